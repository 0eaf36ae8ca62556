"""Sizes and fonts of papers, for figures that are to fit into one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from .style import COLUMN, PAGE, RC


class Paper(NamedTuple):
    """A paper's text: inches across, whether it is one of two columns, and what to tell matplotlib.

    ``width`` is None where nobody asked for a paper's.
    """

    width: float | None
    narrow: bool
    rc: Any


#: By preset: the names in tueplots of a paper's figure sizes and font sizes, which follow its style
#: files, and whether a figure stands in one of two columns.
CONFERENCES = {
    "icml": ("icml2024_half", "icml2024", True),
    "icml-wide": ("icml2024_full", "icml2024", False),
    "neurips": ("neurips2024", "neurips2024", False),
}

#: A column, and the page, of any paper in two columns.
PLAIN = {"column": (COLUMN, True), "page": (PAGE, False)}

PRESETS = (*PLAIN, *CONFERENCES)


def paper(preset: str | None) -> Paper:
    """The size and the fonts of a preset; None: nothing is set.

    Raises:
        ValueError: for a preset that there is not.
        ModuleNotFoundError: without matplotlib, or tueplots for a conference's.
    """
    if preset not in (None, *PRESETS):
        raise ValueError(f"preset = {preset!r}, expected one of {', '.join(PRESETS)}")
    with _saying_what_to_install():
        return _paper(preset)


@contextlib.contextmanager
def _saying_what_to_install() -> Iterator[None]:
    try:
        import matplotlib  # noqa: F401 - or there is no figure

        yield
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"a figure of this kind needs {error.name}: pip install 'gradproof[plot]'",
            name=error.name,
        ) from error


def _paper(preset: str | None) -> Paper:
    if preset is None:
        return Paper(None, False, {})
    if preset in PLAIN:
        width, narrow = PLAIN[preset]
        return Paper(width, narrow, RC)
    from tueplots import figsizes, fontsizes

    size, font, narrow = CONFERENCES[preset]
    width, _ = getattr(figsizes, size)()["figure.figsize"]
    return Paper(float(width), narrow, RC | getattr(fontsizes, font)())
