"""Keys of JAX that an estimator is given or keeps: each sample has its own.

A key is a number: an estimator that is called twice with the same key draws the same twice. So a
key among its inputs, defaults, closures, or what it names or keeps, is folded with the number of
the sample while samples are taken.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from gradproof.estimators.enumeration import places

#: What inputs are called that are keys, where an array of numbers alone does not tell.
CALLED = re.compile(r"(^|_)(key|keys|rng|rngs|prng)\d*$")


class FreshKeys:
    """The keys that a user's code is given or keeps, until this is left.

    Args:
        function: is called with ``inputs``; looked through as far as functions are that draw.
        inputs: changed in place, and put back.
        seed: folded into each key first. None: they are as they are.

    An array of two whole numbers is a key if JAX's type for such is its own, or, in the form that
    keys had before they had a type, if it is an array of JAX; of NumPy, or more than one of them,
    if its argument is called so. ``count`` keys were found.
    """

    def __init__(
        self, function: Callable[..., Any], inputs: list[Any], *, seed: int | None = None
    ) -> None:
        self._jax: Any = sys.modules.get("jax")
        self._seed = seed
        self._slots: list[tuple[Any, Callable[[Any], object]]] = []
        self.count = 0
        if self._jax is not None:
            self._find(function, inputs)

    def _find(self, function: Callable[..., Any], inputs: list[Any]) -> None:
        seen: set[int] = set()
        for place, (name, value) in enumerate(arguments(function, inputs)):
            put = _setter(inputs, place)
            if CALLED.search(name) and may_be_keys(self._jax, value):
                self._slots.append((value, put))
            else:
                self._slots += self._slots_in(value, put, seen, places.DEPTH)
        self._slots += self._slots_in(function, _nowhere, seen, places.DEPTH)
        self.count = len(self._slots)

    def _slots_in(
        self, value: Any, put: Callable[[Any], object], seen: set[int], depth: int
    ) -> Iterator[tuple[Any, Callable[[Any], object]]]:
        """Where keys are, in an object that is itself somewhere."""
        if is_key(self._jax, value) or self._has_keys(value):
            with contextlib.suppress(TypeError, AttributeError):  # it cannot be put anywhere
                put(value)
                yield value, put
        if id(value) in seen or depth == 0 or inspect.ismodule(value) or inspect.isclass(value):
            return
        seen.add(id(value))
        within_a_tuple = isinstance(value, tuple)
        for each, setter in places.held_values(value):
            if not (within_a_tuple and (is_key(self._jax, each) or self._has_keys(each))):
                yield from self._slots_in(each, setter, seen, depth - 1)

    def __enter__(self) -> FreshKeys:
        return self

    def __exit__(self, *_: object) -> None:
        for value, put in self._slots:
            put(value)

    def renew(self, sample: int) -> None:
        """Fold each key with the number of a sample."""
        for value, put in self._slots:
            put(self._fold(value, sample))

    def _has_keys(self, value: Any) -> bool:
        """Of a tuple, nothing in which can be replaced by itself."""
        return isinstance(value, tuple) and any(
            is_key(self._jax, each) or self._has_keys(each) for each in value
        )

    def _fold(self, value: Any, sample: int) -> Any:
        if isinstance(value, tuple):
            each = [
                self._fold(one, sample) if is_key(self._jax, one) or self._has_keys(one) else one
                for one in value
            ]
            return type(value)(*each) if hasattr(value, "_fields") else tuple(each)
        numbers = (sample,) if self._seed is None else (self._seed, sample)
        return functools.reduce(functools.partial(folded, self._jax), numbers, value)


class SeveralKeys:
    """The keys of several functions, each folded with the number of the sample."""

    def __init__(self, *several: FreshKeys) -> None:
        self._several = several
        self.count = sum(each.count for each in several)

    def __enter__(self) -> SeveralKeys:
        return self

    def __exit__(self, *error: object) -> None:
        for each in self._several:
            each.__exit__(*error)

    def renew(self, sample: int) -> None:
        """Fold each key with the number of a sample."""
        for each in self._several:
            each.renew(sample)


def is_key(jax: Any, value: Any) -> bool:
    """Whether something is a key of JAX, or an array of keys that have a type of their own."""
    kind = getattr(value, "dtype", None)
    if kind is None or not isinstance(value, jax.Array):
        return False
    typed = jax.numpy.issubdtype(kind, jax.dtypes.prng_key)
    return bool(typed) or (may_be_keys(jax, value) and value.ndim == 1)


def may_be_keys(jax: Any, value: Any) -> bool:
    """Whether something may be a key, or several, in the form that they had before their type."""
    if not isinstance(value, np.ndarray | jax.Array) or value.dtype != np.uint32:
        return False
    shape = jax.random.key_data(jax.random.key(0)).shape
    return bool(value.ndim) and tuple(value.shape[-1:]) == shape


def folded(jax: Any, keys: Any, number: int) -> Any:
    """Other keys, which follow from these and a number."""
    found = _folding(jax)(keys, np.uint32(number % 2**32))
    return np.asarray(found) if isinstance(keys, np.ndarray) else found


@functools.cache
def _folding(jax: Any) -> Callable[[Any, Any], Any]:
    """Folds keys with a number; compiled once, since to trace it takes milliseconds."""

    def fold(keys: Any, number: Any) -> Any:
        typed = jax.numpy.issubdtype(keys.dtype, jax.dtypes.prng_key)
        rows = keys.reshape(-1) if typed else keys.reshape(-1, keys.shape[-1])
        return jax.vmap(jax.random.fold_in, (0, None))(rows, number).reshape(keys.shape)

    return jax.jit(fold)


def _nowhere(value: Any) -> None:
    raise TypeError(f"{value!r:.60} is nowhere that it could be put")


def _setter(inputs: list[Any], place: int) -> Callable[[Any], object]:
    return lambda value: inputs.__setitem__(place, value)


def arguments(function: Callable[..., Any], inputs: Sequence[Any]) -> list[tuple[str, Any]]:
    """Inputs with the names that the function gives them, where it can be asked."""
    names: list[str] = []
    with contextlib.suppress(TypeError, ValueError):
        names = list(inspect.signature(function).parameters)
    names += [""] * (len(inputs) - len(names))
    return list(zip(names, inputs, strict=False))
