"""States of generators of random numbers: torch, NumPy and Python's own."""

from __future__ import annotations

import _random
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..generators import identity, set_state_of_bits, state_of_bits
from .raw import mro
from .reached_names import Name
from .record import StateRecord


class StateAccess(NamedTuple):
    """How the state of a kind of generator is read and written."""

    read: Callable[[Any], Any]
    write: Callable[[Any, Any], object]


#: How many children were spawned cannot be taken back, and decides no draw of a run.
_NUMPY = StateAccess(state_of_bits, set_state_of_bits)

_LEGACY = StateAccess(
    lambda generator: np.random.RandomState.get_state(generator, legacy=False),
    np.random.RandomState.set_state,
)

#: The class below the one in Python, whose methods a subclass does not change.
_PYTHON = StateAccess(_random.Random.getstate, _random.Random.setstate)

_TORCH = StateAccess(
    lambda generator: generator.get_state().numpy(),
    lambda generator, state: generator.set_state(sys.modules["torch"].from_numpy(state)),
)


class RandomState(StateRecord):
    """The state of a generator.

    A quick comparison does not see it: some take 30 microseconds to be read, and whoever runs an
    estimator on given outcomes puts generators back by itself.
    """

    __slots__ = ("_access", "_saved", "_target")

    quick = False

    def __init__(self, name: Name, target: Any, access: StateAccess) -> None:
        super().__init__(name)
        self._target, self._access = target, access
        self._saved = access.read(target)

    @classmethod
    def unchanged_check(cls, records: Sequence[RandomState]) -> Callable[[], bool]:
        """As :meth:`.StateRecord.unchanged_check`."""
        return lambda: True

    @property
    def owner(self) -> int:
        """The identity of what is drawn from."""
        # A RandomState draws from a bit generator, by which it is known.
        return identity(getattr(self._target, "_bit_generator", self._target))

    def has_changed(self) -> bool:
        """As :meth:`.StateRecord.has_changed`."""
        return not _is_same_state(self._access.read(self._target), self._saved)

    def restore(self) -> None:
        """As :meth:`.StateRecord.restore`.

        Raises:
            ValueError: if generators were spawned from it.
        """
        self._access.write(self._target, self._saved)


def record(name: Name, target: Any) -> RandomState | None:
    """Of a generator; None for anything else."""
    kinds = mro(type(target))
    if np.random.Generator in kinds:
        target = np.random.Generator.bit_generator.__get__(target)
        return RandomState(name, target, _NUMPY)
    if np.random.BitGenerator in kinds:
        return RandomState(name, target, _NUMPY)
    if np.random.RandomState in kinds:
        return RandomState(name, target, _LEGACY)
    if random.Random in kinds and random.SystemRandom not in kinds:
        return RandomState(name, target, _PYTHON)
    torch: Any = sys.modules.get("torch")
    if torch is not None and type(target) is torch.Generator:
        return RandomState(name, target, _TORCH)
    return None


def shared_generators() -> Iterator[Any]:
    """Those of the frameworks themselves, which other threads draw from too: none is put back here.

    Whoever handles draws knows which of them are an estimator's.
    """
    yield random._inst
    yield np.random.mtrand._rand
    yield np.random.mtrand._rand._bit_generator
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        yield torch.default_generator
        yield from torch.cuda.default_generators if torch.cuda.is_initialized() else ()


def _is_same_state(first: Any, second: Any) -> bool:
    """Whether two states are the same: numbers and arrays in mappings and tuples."""
    if type(first) is dict:
        return all(_is_same_state(value, second[key]) for key, value in first.items())
    if type(first) is tuple and any(type(each) in (tuple, dict) for each in first):
        return all(map(_is_same_state, first, second))
    if type(first) is np.ndarray:
        return bool(np.array_equal(first, second))
    return bool(first == second)
