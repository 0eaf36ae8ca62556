"""What every report can do: say how far each entry is off, and draw itself."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..report import Report
from ..section import Section
from .estimate_law import EstimateLaw, GuiltyPath

#: A parameter's name and the index of an entry, as messages write it.
NAME = re.compile(r"(?P<name>.+?)\[(?P<index>\s*-?\d+(\s*,\s*-?\d+)*\s*)\]")

#: An entry: its parameter's name, "W[0, 3]", or the two apart.
Entry = str | tuple[str, tuple[int, ...]]


class PlottedReport(Report):
    """A report that draws itself, and what figures read of it.

    ``mean`` and ``variance`` are of the estimates, by parameter.
    """

    name: str
    mean: Mapping[str, np.ndarray]
    variance: Mapping[str, np.ndarray]

    @property
    def estimand(self) -> Mapping[str, np.ndarray]:
        """What the mean should be, by parameter; nothing where that is not known."""
        return {}

    @property
    def path_law(self) -> EstimateLaw | None:
        """The estimates of all paths, if they were kept."""
        return None

    @property
    def ratios(self) -> Mapping[str, np.ndarray]:
        """The error of each entry in units of its bound, by parameter; 0 where both are 0."""
        raise NotImplementedError

    @property
    def ratio_words(self) -> str:
        """What ``ratios`` are, for an axis."""
        return "error / bound"

    def guilty_paths(self, entry: Entry | None = None, most: int = 6) -> tuple[GuiltyPath, ...]:
        """The outcomes with the largest shares of an entry's bias, where paths were kept."""
        return ()

    def sections(self) -> tuple[Section, ...]:
        """The section of the report, with figures where there is what draws them."""
        from gradproof.reports import report_figure

        return (dataclasses.replace(self.section(), figures=report_figure.page_figures(self)),)

    def plot(
        self,
        *,
        entry: Entry | None = None,
        panels: tuple[str, ...] | None = None,
        axes: Any = None,
        figure: Any = None,
        preset: str | None = None,
    ) -> Any:
        """A figure of matplotlib: where it is off, how much it varies, and why.

        Panels are ``bias`` (the error of each entry over its bound, with the line at 1),
        ``deviation`` (the standard deviation of each parameter), ``law`` (all estimates of one
        entry, weighted by probability, against the exact gradient) and ``paths`` (the outcomes with
        the largest shares of that entry's bias). The last two need ``keep_paths=True``.

        Args:
            entry: of the last two panels. Default: the worst.
            panels: their names. Default: all that there are.
            axes: one for each panel, where they are to be drawn.
            figure: a figure or a part of one, in which axes are made.
            preset: a paper's size and fonts: ``neurips``, ``icml`` (a column), ``icml-wide``,
                ``column`` or ``page`` of a paper in two columns. Default: your rcParams.

        Raises:
            ValueError: for an entry, panel or preset that there is not, and axes that do not fit.
            ModuleNotFoundError: without matplotlib, or tueplots for a conference's preset.
        """
        from gradproof.reports import report_figure

        return report_figure.plot(
            self, entry=entry, panels=panels, axes=axes, figure=figure, preset=preset
        )


def ratios_of(
    mean: Mapping[str, np.ndarray],
    exact: Mapping[str, np.ndarray],
    bounds: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """The error of each entry over its bound, by parameter."""
    return {name: ratio_of(mean[name] - exact[name], bound) for name, bound in bounds.items()}


def ratio_of(error: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """The size of each error over its bound; 0 for none of 0, infinite for what is no number."""
    off = np.abs(error)
    off = np.where(np.isnan(off), np.inf, off)
    none = np.where(off > 0.0, np.inf, 0.0)
    return np.asarray(np.divide(off, bounds, out=none, where=bounds > 0.0))


def locate(entry: Entry | None, ratios: Mapping[str, np.ndarray]) -> tuple[str, tuple[int, ...]]:
    """The parameter and the index of an entry; the worst if there is a choice.

    Raises:
        ValueError: for an entry that there is not.
    """
    if entry is None:
        some = [name for name, values in ratios.items() if values.size]
        return _worst(max(some, key=lambda name: float(ratios[name].max())), ratios)
    if isinstance(entry, str):
        if entry in ratios:
            return _worst(entry, ratios)
        parts = NAME.fullmatch(entry)
        name = parts["name"] if parts else entry
        index = tuple(int(place) for place in parts["index"].split(",")) if parts else ()
    else:
        name, index = entry[0], tuple(entry[1])
    if name not in ratios:
        raise ValueError(f"entry = {entry!r}: there is no {name!r}; there are {', '.join(ratios)}")
    shape = ratios[name].shape
    fits = len(index) == len(shape)
    if not fits or any(not 0 <= one < size for one, size in zip(index, shape, strict=True)):
        raise ValueError(
            f"entry = {entry!r}: {name} has shape {shape}, expected an index of it such as "
            f"'{name}{list(_worst(name, ratios)[1]) or ''}'"
        )
    return name, index


def _worst(name: str, ratios: Mapping[str, np.ndarray]) -> tuple[str, tuple[int, ...]]:
    values = ratios[name]
    if not values.size:
        raise ValueError(f"{name} has shape {values.shape}, and so no entry")
    place = np.unravel_index(int(np.argmax(values)), values.shape)
    return name, tuple(int(each) for each in place)
