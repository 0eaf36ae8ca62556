"""Files of figures: what they may be called, and how one is written."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gradproof.reports.style import RC, FigureLayout

from .console import check_writable, write_whole

#: What matplotlib writes that people put into papers and pages, and what it would say of the time:
#: the same record makes the same file.
FORMATS: dict[str, dict[str, Any]] = {
    ".pdf": {"CreationDate": None},
    ".png": {},
    ".svg": {"Date": None},
}

#: Dots per inch where a figure is dots: what journals ask of line art at the least.
DOTS = 300


def check_figure(file: str) -> None:
    """Find out that a figure cannot be written before the work is done.

    Raises:
        ValueError: if the name does not end as a figure's does.
        OSError: if there is no place for it.
    """
    if Path(file).suffix.lower() not in FORMATS:
        raise ValueError(f"{file!r} must end in {', '.join(FORMATS)}")
    check_writable(file)


def save(file: str, layout: FigureLayout, paint: Callable[[Any], Any]) -> None:
    """Write a figure, whole or not at all.

    Args:
        paint: draws on the panels of the layout: on Axes, or an array of them where there are more.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    suffix, drawn = Path(file).suffix.lower(), io.BytesIO()
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
        figure.savefig(drawn, format=suffix[1:], dpi=DOTS, metadata=FORMATS[suffix])
    write_whole(Path(file), drawn.getvalue())
