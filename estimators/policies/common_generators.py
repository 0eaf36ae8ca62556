"""The generators that everybody draws from: put back after foreign code has run, and watched."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from ..enumeration.state.random_states import RandomState, record, shared_generators
from ..enumeration.state.reached_names import Name, NameStep


@contextlib.contextmanager
def keeping_generators() -> Iterator[Callable[[], bool]]:
    """Whether anything was drawn within, as a function; in the end generators are as before."""
    name = Name(NameStep.START, "generator")
    records = [record(name, generator) for generator in shared_generators()]
    kept: list[RandomState] = [each for each in records if each is not None]
    try:
        yield lambda: any(each.has_changed() for each in kept)
    finally:
        for each in kept:
            each.restore()
