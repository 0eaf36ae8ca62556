"""Files of figures: what they may be called, and how one is written."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gradproof.reports.style import RC, FigureLayout

from .console import check_writable, write_whole

#: What matplotlib writes that people put into papers and pages, and what it would say of the time:
#: the same record makes the same file.
FORMATS: dict[str, dict[str, Any]] = {
    ".pdf": {"metadata": {"CreationDate": None}},
    ".pgf": {},
    ".png": {"metadata": {}},
    ".svg": {"metadata": {"Date": None}},
}

#: Dots per inch where a figure is dots: what journals ask of line art at the least.
DOTS = 300


def check_figure(file: str) -> None:
    """Find out that a figure cannot be written before the work is done.

    Raises:
        ValueError: if the name does not end as a figure's does, or there is no LaTeX for PGF.
        OSError: if there is no place for it.
    """
    suffix = Path(file).suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(f"{file!r} must end in {', '.join(FORMATS)}")
    check_writable(file)
    if suffix == ".pgf":
        _check_latex(file)


def _check_latex(file: str) -> None:
    """LaTeX measures the words of a PGF figure.

    Raises:
        ValueError: if there is none.
    """
    from matplotlib import rcParams

    program = str(rcParams["pgf.texsystem"])
    if shutil.which(program) is None:
        raise ValueError(
            f"{file!r} cannot be written: words in PGF are measured by LaTeX, and there is no "
            f"{program!r} here; install it, set pgf.texsystem in a matplotlibrc to one that there "
            "is, or write .pdf"
        )


def save(file: str, layout: FigureLayout, paint: Callable[[Any], Any]) -> None:
    """Write a figure, whole or not at all.

    Args:
        paint: draws on the panels of the layout: on Axes, or an array of them where there are more.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(RC):
        figure = Figure(figsize=(layout.width, layout.height), layout="constrained")
        paint(
            figure.subplots(
                layout.rows,
                layout.columns,
                sharex=layout.share_x,
                sharey=layout.share_y,
                height_ratios=layout.heights,
            )
        )
    write_figure(file, figure)


def write_figure(file: str, figure: Any) -> None:
    """Write a figure that is drawn, whole or not at all."""
    from matplotlib import rc_context

    suffix = Path(file).suffix.lower()
    written: Any = io.StringIO() if suffix == ".pgf" else io.BytesIO()
    with rc_context(RC):
        figure.savefig(written, format=suffix[1:], dpi=DOTS, **FORMATS[suffix])
    write_whole(Path(file), written.getvalue())
