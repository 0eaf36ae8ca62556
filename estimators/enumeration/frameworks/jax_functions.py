"""What stands in for functions of ``jax.random``: their arguments, shapes and types are theirs."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..outcomes import EPS
from .framework import unsupported_message
from .jax_primitive import Array, draw_primitive
from .jax_samplers import (
    LAWS,
    Binomials,
    Categoricals,
    Coins,
    ContinuousNumbers,
    Counts,
    Geometrics,
    Integers,
    Permutations,
    Poissons,
    Sampler,
    Signs,
    UncountedSampler,
)
from .jax_traces import home

#: Generators that draw the same numbers by the same key as another one.
SAME_NUMBERS = {"unsafe_rbg": "rbg"}

#: What has the same law as what is usually made of continuous numbers, and can be enumerated.
INSTEAD = {
    "jax.random.uniform": (
        "where it is compared with a probability, draw by jax.random.bernoulli(key, p), and where "
        "cumulated probabilities are searched for it, by jax.random.choice(key, n, p=p)"
    ),
    "jax.random.gumbel": (
        "jnp.argmax(logits + jax.random.gumbel(key, logits.shape)) is "
        "jax.random.categorical(key, logits)"
    ),
    "jax.random.exponential": (
        "the place of the smallest of jax.random.exponential(key, rates.shape) / rates is "
        "jax.random.categorical(key, jnp.log(rates))"
    ),
    "jax.random.logistic": (
        "where logit(p) + jax.random.logistic(key) is compared with 0, draw by "
        "jax.random.bernoulli(key, p)"
    ),
}


def refusal(what: str) -> str:
    """Why a sampler is refused that has no outcomes to count, and what there is instead."""
    instead = INSTEAD.get(what, "")
    return f"{unsupported_message(what)}{'; ' if instead else ''}{instead}"


class Functions:
    """Those of one JAX. What begins without an underscore is called as in ``jax.random``.

    Raises (each function):
        ValueError: for arguments that JAX refuses.
    """

    def __init__(self, jax: Any) -> None:
        self._jax = jax
        self._numpy = jax.numpy
        self._primitive = draw_primitive(jax)
        #: Where each thread that samples keeps what was asked beside a draw.
        self._asked = threading.local()

    def categorical(
        self,
        key: Array,
        logits: Array,
        axis: int = -1,
        shape: Sequence[int] | None = None,
        replace: bool = True,
        mode: str | None = None,
        **_: Any,
    ) -> Array:
        """Of each row of logits, so many outcomes as the shape has in front of that of the rows."""
        what, logits = "jax.random.categorical", self._array(logits)
        if axis not in (-1, logits.ndim - 1):
            logits = self._numpy.moveaxis(logits, axis, -1)
        *rows, count = logits.shape
        shape = tuple(rows) if shape is None else tuple(shape)
        _check(what, shape, rows)
        times = None if replace else math.prod(shape[: len(shape) - len(rows)])
        if times is not None and times > count:
            raise ValueError(
                f"{what}: {times} of {count} cannot be drawn without replacement; draw fewer"
            )
        sampler = Categoricals(
            what, shape, self._whole_type, self._step(logits), softmax=True, times=times
        )
        return self._draw(key, sampler, logits)

    def bernoulli(
        self,
        key: Array,
        p: Array = 0.5,
        shape: Sequence[int] | None = None,
        mode: str = "low",
        **_: Any,
    ) -> Array:
        """True with these probabilities."""
        what, p = "jax.random.bernoulli", self._array(p)
        shape = tuple(p.shape) if shape is None else tuple(shape)
        _check(what, shape, p.shape)
        return self._draw(key, Coins(what, shape, np.dtype(bool), self._step(p)), p)

    def rademacher(
        self, key: Array, shape: Sequence[int] = (), dtype: Any = None, **_: Any
    ) -> Array:
        """1 or -1."""
        kind = self._type(int if dtype is None else dtype)
        return self._draw(key, Signs("jax.random.rademacher", tuple(shape), kind))

    def choice(
        self,
        key: Array,
        a: Array,
        shape: Sequence[int] = (),
        replace: bool = True,
        p: Array | None = None,
        axis: int = 0,
        mode: str | None = None,
    ) -> Array:
        """Entries of an array, or numbers below ``a``."""
        what, size = "jax.random.choice", math.prod(shape)
        values = None if np.ndim(a) == 0 else self._array(a)
        count = int(a) if values is None else values.shape[axis]
        if not size:
            return self._numpy.zeros(shape, self._array(a).dtype)
        if count < 1:
            raise ValueError("a must be greater than 0 unless no samples are taken")  # as JAX
        if not replace and size > count:
            raise ValueError(
                f"{what}: {size} of {count} cannot be drawn without replacement; draw fewer"
            )
        places = self._places(what, key, count, tuple(shape), replace, p)
        return places if values is None else self._numpy.take(values, places, axis=axis)

    def _places(
        self, what: str, key: Array, count: int, shape: tuple[int, ...], replace: bool, p: Any
    ) -> Array:
        if p is None:
            if replace:
                return self._draw(key, Integers(what, shape, self._whole_type), 0, count)
            size = math.prod(shape)
            return self._draw(
                key, Permutations(what, shape, self._whole_type, count=count, size=size)
            )
        p = self._array(p)
        if p.shape != (count,):
            raise ValueError(f"{what}: p has shape {p.shape}, expected ({count},)")
        times = None if replace else math.prod(shape)
        return self._draw(
            key, Categoricals(what, shape, self._whole_type, self._step(p), times=times), p
        )

    def permutation(
        self, key: Array, x: Array, axis: int = 0, independent: bool = False, **_: Any
    ) -> Array:
        """The same in any order."""
        what = "jax.random.permutation"
        values = None if np.ndim(x) == 0 else self._array(x)
        count = int(x) if values is None else values.shape[axis]
        shape: tuple[int, ...] = (count,)
        rows = independent and values is not None and values.ndim > 1
        if rows:
            values = self._numpy.moveaxis(values, axis, -1)
            shape = tuple(values.shape)
        places = self._draw(
            key, Permutations(what, shape, self._whole_type, count=count, size=count)
        )
        if values is None:
            return places
        if rows:
            found = self._numpy.take_along_axis(values, places, -1)
            return self._numpy.moveaxis(found, -1, axis)
        return self._numpy.take(values, places, axis=axis)

    def randint(
        self,
        key: Array,
        shape: Sequence[int],
        minval: Array,
        maxval: Array,
        dtype: Any = None,
        **_: Any,
    ) -> Array:
        """Whole numbers, each as likely."""
        what, bounds = "jax.random.randint", [self._array(minval), self._array(maxval)]
        _check(what, tuple(shape), *(each.shape for each in bounds))
        kind = self._type(int if dtype is None else dtype)
        return self._draw(key, Integers(what, tuple(shape), kind), *bounds)

    def binomial(
        self,
        key: Array,
        n: Array,
        p: Array,
        shape: Sequence[int] | None = None,
        dtype: Any = None,
    ) -> Array:
        """How many of so many trials come out."""
        what, n, p = "jax.random.binomial", self._array(n), self._array(p)
        whole = np.broadcast_shapes(n.shape, p.shape) if shape is None else tuple(shape)
        _check(what, whole, n.shape, p.shape)
        kind = self._type(float if dtype is None else dtype)
        return self._draw(key, Binomials(what, whole, kind, self._step(p)), n, p)

    def poisson(
        self,
        key: Array,
        lam: Array,
        shape: Sequence[int] | None = None,
        dtype: Any = None,
        **_: Any,
    ) -> Array:
        """Numbers of events at a rate, which JAX itself rounds to single precision."""
        what, lam = "jax.random.poisson", self._array(lam)
        whole = tuple(lam.shape) if shape is None else tuple(shape)
        _check(what, whole, lam.shape)
        kind = self._type(int if dtype is None else dtype)
        return self._draw(key, Poissons(what, whole, kind, self._step(lam)), lam)

    def geometric(
        self,
        key: Array,
        p: Array,
        shape: Sequence[int] | None = None,
        dtype: Any = None,
        **_: Any,
    ) -> Array:
        """Numbers of trials up to the first success."""
        what, p = "jax.random.geometric", self._array(p)
        whole = tuple(p.shape) if shape is None else tuple(shape)
        _check(what, whole, p.shape)
        kind = self._type(int if dtype is None else dtype)
        return self._draw(key, Geometrics(what, whole, kind, self._step(p)), p)

    def multinomial(
        self,
        key: Array,
        n: Array,
        p: Array,
        *,
        shape: Sequence[int] | None = None,
        dtype: Any = None,
        **_: Any,
    ) -> Array:
        """How often each place comes out in so many trials."""
        what, n, p = "jax.random.multinomial", self._array(n), self._array(p)
        whole = tuple(p.shape) if shape is None else tuple(shape)
        _check(what, whole, p.shape)
        _check(what, whole[:-1], n.shape)
        kind = self._type(float if dtype is None else dtype)
        return self._draw(key, Counts(what, whole, kind, self._step(p)), n, p)

    def uniform(
        self,
        key: Array,
        shape: Sequence[int] = (),
        dtype: Any = None,
        minval: Array = 0.0,
        maxval: Array = 1.0,
        **_: Any,
    ) -> Array:
        """Numbers between two others."""
        found = self._draw_numbers("uniform", key, shape, dtype)
        low, high = (self._numpy.asarray(each, found.dtype) for each in (minval, maxval))
        return low + found * (high - low)

    def _draw_numbers(self, law: str, key: Array, shape: Sequence[int], dtype: Any) -> Array:
        """Continuous numbers of a law without parameters."""
        kind = self._type(float if dtype is None else dtype)
        if not self._numpy.issubdtype(kind, np.floating):
            raise ValueError(f"dtype = {kind}, expected floats: jax.random.{law}")  # as JAX does
        shape = tuple(int(each) for each in np.atleast_1d(np.asarray(shape, np.int64)))
        what = home().sampler or f"jax.random.{law}"
        sampler = ContinuousNumbers(
            what, shape, kind, _step(self._jax, kind), law=law,
            why=f"{refusal(what)}; or integrate it (integrate=1e-6)",
        )  # fmt: skip
        return self._draw(key, sampler)

    def _refuse_value(self, why: str, shape: Sequence[int] = (), dtype: Any = bool) -> Array:
        """What is refused where it has a value."""
        data = np.zeros(1, np.uint32)
        sampler = UncountedSampler(why, tuple(shape), np.dtype(dtype))
        return self._bind(sampler, "none", data)

    def _ask_beside(self, result: Any, ask: Callable[[], object]) -> Any:
        """What was drawn, after a run that samples is told what could have been.

        In compiled code only that is computed which something follows from. What is asked comes out
        as zeros there, which only we know, and they are added.
        """
        arrays: list[Array] = []
        self._asked.arrays = arrays
        try:
            ask()
        finally:
            del self._asked.arrays
        for array in arrays:
            if isinstance(array, self._jax.core.Tracer) and array.size:
                zero = array.sum()
                result = self._jax.tree.map(
                    lambda each, zero=zero: self._add_zero(each, zero), result
                )
        return result

    def _add_zero(self, result: Array, zero: Array) -> Array:
        if result.dtype == bool:
            return result ^ zero.astype(bool)
        return result + zero.astype(result.dtype)

    def _bind(self, sampler: Sampler, generator: str, *arrays: Array) -> Array:
        found = self._primitive.bind(*arrays, sampler=sampler, generator=generator, where=home())
        asked = getattr(self._asked, "arrays", None)
        if asked is not None:
            asked.append(found)
        return found

    def _draw(self, key: Array, sampler: Sampler, *given: Any) -> Array:
        data, generator = self._words(key)
        if data.ndim != 1:
            raise ValueError(
                f"{sampler.what} accepts a single key, but was given a key array of shape "
                f"{data.shape[:-1]}. Use jax.vmap for batching."
            )  # as JAX does
        given = tuple(self._array(each) for each in given)
        return self._bind(sampler, generator, data, *given)

    def _words(self, key: Array) -> tuple[Array, str]:
        """Of a key, and the name of what they are words of."""
        jax = self._jax
        if not isinstance(key, jax.Array | np.ndarray):
            raise TypeError(f"unexpected PRNG key type {type(key)}")  # as JAX does
        if self._numpy.issubdtype(key.dtype, jax.dtypes.prng_key):
            generator = str(jax.random.key_impl(key))
            # The words themselves, where they have values: to ask for them takes 14 µs.
            known = None if isinstance(key, jax.core.Tracer) else getattr(key, "_base_array", None)
            data = jax.random.key_data(key) if known is None else known
        else:
            data, generator = key, str(jax.config.jax_default_prng_impl)
        return data, SAME_NUMBERS.get(generator, generator)

    def _array(self, given: Any) -> Array:
        """As JAX sees it: of NumPy where it is no array of JAX."""
        if isinstance(given, self._jax.Array):
            return given
        found = np.asarray(given)
        kind = self._type(found.dtype)
        if found.dtype == kind:
            return found
        # A number of Python that is too large is an error to JAX as well, one of NumPy wraps.
        return np.asarray(given, kind) if isinstance(given, int) else found.astype(kind)

    def _type(self, kind: Any) -> np.dtype[Any]:
        found: np.dtype[Any] = self._jax.dtypes.canonicalize_dtype(kind)
        return found

    @property
    def _whole_type(self) -> np.dtype[Any]:
        return self._type(int)

    def _step(self, given: Array) -> float:
        """The precision of what probabilities are given in."""
        return _step(self._jax, np.dtype(given.dtype))


def _draw_by_law(law: str) -> Any:
    def draw(
        self: Functions,
        key: Array,
        shape: Sequence[int] = (),
        dtype: Any = None,
        *_: Any,
        **__: Any,
    ) -> Array:
        return self._draw_numbers(law, key, shape, dtype)

    return draw


for _law in set(LAWS) - {"uniform"}:  # which has ends
    setattr(Functions, _law, _draw_by_law(_law))


@functools.cache
def _step(jax: Any, kind: np.dtype[Any]) -> float:
    real = jax.numpy.issubdtype(kind, jax.numpy.floating)
    return float(jax.numpy.finfo(kind).eps) if real else EPS


def _check(what: str, shape: tuple[int, ...], *given: Sequence[int]) -> None:
    """As JAX does."""
    if all(not each for each in given):
        return
    found = np.broadcast_shapes(shape, *(tuple(each) for each in given))
    if found != shape:
        raise ValueError(
            f"{what}: the shape {shape} and those of the arguments make {found}, expected the shape"
        )
