"""Data of the user's modules, as they are in the process of a check.

A module that can be imported is sent to a worker by its name, and imported there anew. What was set
in it since, such as a configuration, goes along: numbers, texts, arrays and collections of these,
also of its classes.
"""

from __future__ import annotations

import contextlib
import pickle
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

#: What is data, by itself and in collections.
PLAIN = (bool, int, float, complex, str, bytes, type(None))
COLLECTIONS = (list, tuple, set, frozenset, dict)

#: Bytes of what is sent of one name, at most: a corpus is read there as it was here.
MOST_BYTES = 1_000_000

#: By module, by name or by class and name.
ModuleData = Mapping[str, Mapping[tuple[str, ...], Any]]


def module_data(modules: Iterable[Any]) -> ModuleData:
    """What modules keep that is data."""
    return {module.__name__: dict(_data_of(module)) for module in modules}


def _data_of(module: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in list(vars(module).items()):
        if _is_data(name, value):
            yield (name,), value
        elif isinstance(value, type) and value.__module__ == module.__name__:
            for inner, held in list(vars(value).items()):
                if _is_data(inner, held):
                    yield (name, inner), held


def _is_data(name: str, value: Any) -> bool:
    if name.startswith("__") or not _is_plain(value):
        return False
    return type(value) in PLAIN or len(pickle.dumps(value)) <= MOST_BYTES


def _is_plain(value: Any, depth: int = 8) -> bool:
    kind = type(value)
    if kind in PLAIN:
        return True
    if kind is np.ndarray:
        return bool(value.dtype.kind in "fiubc")
    if kind not in COLLECTIONS or not depth:
        return False
    inner = [*value, *value.values()] if kind is dict else value
    return all(_is_plain(each, depth - 1) for each in inner)


@contextlib.contextmanager
def module_data_placed(data: ModuleData) -> Iterator[None]:
    """Modules that are imported here keep the same, until this is left."""
    with contextlib.ExitStack() as stack:
        for module, by_name in data.items():
            for names, value in by_name.items():
                owner = sys.modules.get(module)
                for name in names[:-1]:
                    owner = getattr(owner, name, None)
                if owner is not None:
                    stack.callback(_place(owner, names[-1], value))
        yield


def _place(owner: Any, name: str, value: Any) -> Callable[[], object]:
    """Put a value there, where others hold it too if it can be written to; what undoes that."""
    missing = object()
    before = vars(owner).get(name, missing)
    if type(before) is type(value) and type(value) in (list, dict, set, np.ndarray):
        kept = before.copy()
        if type(value) is not np.ndarray:
            _write(before, value)
            return lambda: _write(before, kept)
        fits = before.shape == value.shape and before.dtype == value.dtype
        if fits and before.flags.writeable:
            before[...] = value
            return lambda: before.__setitem__(..., kept)
    setattr(owner, name, value)
    if before is missing:
        return lambda: delattr(owner, name)
    return lambda: setattr(owner, name, before)


def _write(collection: Any, value: Any) -> None:
    """Make a list, a dict or a set hold what another does."""
    held = value.copy()
    collection.clear()
    (collection.extend if isinstance(collection, list) else collection.update)(held)
