"""One sampler of a library, and how it is called."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True)
class Row:
    """One sampler.

    Args:
        library: that it is of, as the page calls it.
        name: as people write it.
        draw: draws once from a source (a generator, a module, a key; None: a global one).
        mean: of what is drawn, where a formula is known; None: it is not.
    """

    library: str
    name: str
    draw: Callable[[Any], Any]
    mean: Any = None


@dataclasses.dataclass(frozen=True)
class Library:
    """The samplers of a library.

    Args:
        name: as the page calls it.
        packages: that must be installed, by what is imported.
        rows: makes them.
        source: makes what a draw takes, from a seed; it also seeds what is global.
    """

    name: str
    packages: tuple[str, ...]
    rows: Callable[[], list[Row]]
    source: Callable[[int], Any]
