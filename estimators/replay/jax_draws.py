"""JAX's discrete draws, asked of a walker.

A sampler becomes a primitive of its own, which runs where its arguments have values: plainly, under
grad, where a draw has no derivative, under vmap over keys, and in traced code when it is evaluated.
Nothing is compiled meanwhile, so that what jit and scan were given runs as it was written.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .patch import patched
from .walk import EPS, Continuous, Walker

#: An array of JAX, traced or not.
Array = Any

#: What ``jax.random`` has besides samplers. Anything else there draws, and is refused by name, so
#: that a sampler of a later JAX cannot pass for a constant: a key makes every draw one.
KEPT = frozenset(
    {"PRNGKey", "clone", "fold_in", "key", "key_data", "key_dtype", "key_impl", "split"}
    | {"wrap_key_data"}
)

#: Primitives that all other draws come down to.
BELOW = ("random_bits_p", "random_gamma_p", "rng_uniform_p", "rng_bit_generator_p")


@contextlib.contextmanager
def jax_draws(jax: Any, walker: Walker) -> Iterator[None]:
    """Draws of JAX ask the walker until this is left.

    A key that draws the same again gives the same again, as it does in JAX. One that draws anything
    else is refused: those two draws hang on each other in a way that nobody knows. A key that draws
    and is split as well is not noticed: what comes of it is as good as independent.

    Raises:
        Continuous: if something is drawn that cannot be walked through.
    """
    below = _below(jax)
    draws = _Draws(jax, walker)
    samplers = {
        "bernoulli": draws.bernoulli,
        "categorical": draws.categorical,
        "choice": draws.choice,
        "permutation": draws.permutation,
        "randint": draws.randint,
    }
    others = {
        name: _refused(f"jax.random.{name} is not walked through")
        for name, value in vars(jax.random).items()
        if callable(value) and name[0] != "_" and name not in KEPT | set(samplers)
        if not name.endswith("_p")
    }
    with contextlib.ExitStack() as stack:
        stack.enter_context(patched(jax.random, samplers | others))
        for primitive in below:
            unseen = _refused(
                f"JAX drew by {primitive.name}, out of sight: by a function that was imported by "
                "its own name (from jax.random import ...), or one of jax.lax"
            )
            stack.enter_context(patched(primitive, {"bind": unseen}))
        ahead = _refused("what was compiled ahead of time may draw unseen: pass the function")
        stack.enter_context(patched(jax.stages.Compiled, {"__call__": ahead}))
        stack.enter_context(_afresh(jax))
        stack.callback(_ASKED.pop)
        _ASKED.append(draws)
        yield


@contextlib.contextmanager
def _afresh(jax: Any) -> Iterator[None]:
    """No code that was compiled or traced outside is used meanwhile: it would draw unseen.

    Both settings are part of what JAX keeps such code under. The second is there for those who
    switched jit off themselves: it has two names for one precision, and one of them is new.
    """
    now = jax.config.jax_default_matmul_precision
    precision = "highest" if now == "float32" else "float32"
    with jax.disable_jit(), jax.default_matmul_precision(precision):
        yield


def _below(jax: Any) -> list[Any]:
    try:
        known = _of(jax, ".extend.core.primitives")
        return [getattr(known, name) for name in BELOW]
    except (ImportError, AttributeError):
        raise Continuous(
            f"JAX {jax.__version__} is imported, and might draw unseen: it is watched from 0.5 on; "
            "update it, or run this where it is not imported"
        ) from None


def _of(jax: Any, name: str) -> Any:
    """A module of JAX that importing JAX does not load."""
    return importlib.import_module(name, jax.__name__)


def _refused(why: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise Continuous(why)

    return refuse


#: Of the walks that are under way, one inside the other: what their draws ask. The primitive finds
#: it here, because what JAX keeps of traced code must not hold on to a walk.
_ASKED: list[_Draws] = []


@functools.cache
def _primitive(jax: Any) -> Any:
    """Draws places in the last axis of an array of weights, by a key; it has no derivative."""
    drawn = _of(jax, ".extend.core").Primitive("gradproof_draw")
    ad, batching, mlir = (_of(jax, f".interpreters.{name}") for name in ("ad", "batching", "mlir"))

    @drawn.def_impl
    def run(key: Array, weights: Array, **how: Any) -> Array:
        if not _ASKED:
            raise Continuous(f"{how['what']} was traced in a walk, and is run outside of it")
        return _ASKED[-1].ask(np.asarray(key), np.asarray(weights), **how)

    @drawn.def_abstract_eval
    def trace(_: Any, weights: Any, *, count: int, **__: Any) -> Any:
        whole = jax.dtypes.canonicalize_dtype(int)
        return jax.core.ShapedArray((*weights.shape[:-1], count), whole)

    def compiled(*_: Any, what: str, **__: Any) -> Any:
        raise Continuous(
            f"{what} is compiled, and cannot be asked for an outcome there; check the function "
            "that it is compiled from"
        )

    def rows(arrays: Sequence[Array], axes: Sequence[int | None], **how: Any) -> tuple[Array, int]:
        if axes[0] is None:
            raise Continuous(
                f"{how['what']} draws with one key for all rows of a vmap: the rows hang on each "
                "other in a way that nobody knows; split the key, and map over the keys too"
            )
        count = arrays[0].shape[axes[0]]
        each = [
            [array if axis is None else array.take(row, axis) for row in range(count)]
            for array, axis in zip(arrays, axes, strict=True)
        ]
        return jax.numpy.stack([drawn.bind(*one, **how) for one in zip(*each, strict=True)]), 0

    def still(values: Sequence[Array], _: object, **how: Any) -> tuple[Array, Any]:
        found = drawn.bind(*values, **how)
        return found, ad.Zero.from_primal_value(found)

    batching.primitive_batchers[drawn] = rows
    ad.primitive_jvps[drawn] = still
    mlir.register_lowering(drawn, compiled)
    return drawn


class _Draws:
    """What stands in for JAX's samplers; their arguments are theirs."""

    def __init__(self, jax: Any, walker: Walker) -> None:
        self._jax, self._walker = jax, walker
        self._seen: dict[bytes, tuple[tuple[Any, ...], list[list[int]]]] = {}

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
        logits = self._jax.numpy.moveaxis(self._jax.numpy.asarray(logits), axis, -1)
        batch = logits.shape[:-1]
        shape = batch if shape is None else tuple(shape)
        front = shape[: len(shape) - len(batch)]
        if replace:
            logits = self._jax.numpy.broadcast_to(logits, (*shape, logits.shape[-1]))
            return self._drawn("categorical", key, logits, _softmax)[..., 0]
        found = self._drawn("categorical", key, logits, _softmax, math.prod(front))
        return self._jax.numpy.moveaxis(found, -1, 0).reshape(shape)

    def bernoulli(
        self,
        key: Array,
        p: Array = 0.5,
        shape: Sequence[int] | None = None,
        mode: str = "low",
        **_: Any,
    ) -> Array:
        """True with these chances."""
        p = self._jax.numpy.asarray(p)
        p = self._jax.numpy.broadcast_to(p, p.shape if shape is None else tuple(shape))
        return self._drawn("bernoulli", key, p[..., None], _two)[..., 0].astype(bool)

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
        numpy = self._jax.numpy
        values = numpy.arange(a) if numpy.ndim(a) == 0 else numpy.asarray(a)
        count, size = values.shape[axis], math.prod(shape)
        if not replace and size > count:
            raise ValueError(f"{size} of {count} cannot be taken without replacement")  # as JAX
        chances = numpy.ones(count) if p is None else numpy.asarray(p)
        if chances.shape != (count,):
            raise ValueError(f"p has shape {chances.shape}, and there are {count}")  # as JAX
        places = self._drawn("choice", key, chances, _shares, size, replace)
        return numpy.take(values, places.reshape(shape), axis=axis)

    def permutation(
        self, key: Array, x: Array, axis: int = 0, independent: bool = False, **_: Any
    ) -> Array:
        """The same in any order."""
        numpy = self._jax.numpy
        values = numpy.arange(x) if numpy.ndim(x) == 0 else numpy.asarray(x)
        if independent and values.ndim > 1:
            raise Continuous("jax.random.permutation of independent rows is not walked through")
        count = values.shape[axis]
        places = self._drawn("permutation", key, numpy.ones(count), _shares, count, False)
        return numpy.take(values, places, axis=axis)

    def randint(
        self,
        key: Array,
        shape: Sequence[int],
        minval: Any,
        maxval: Any,
        dtype: Any = None,
        **_: Any,
    ) -> Array:
        """Whole numbers, each as likely."""
        if self._jax.numpy.ndim(minval) or self._jax.numpy.ndim(maxval):
            raise Continuous("jax.random.randint with arrays as bounds is not walked through")
        low, high = int(minval), int(maxval)
        each = self._jax.numpy.ones(max(1, high - low))  # JAX gives minval where there is none
        found = self._drawn("randint", key, each, _shares, math.prod(shape))
        return (found.reshape(shape) + low).astype(int if dtype is None else dtype)

    def _drawn(
        self,
        name: str,
        key: Array,
        weights: Array,
        chances: Callable[[np.ndarray], np.ndarray],
        count: int = 1,
        replace: bool = False,
    ) -> Array:
        """So many outcomes of each row of weights, as places, (rows, count)."""
        jax = self._jax
        if jax.numpy.issubdtype(getattr(key, "dtype", None), jax.dtypes.prng_key):
            key = jax.random.key_data(key)
        how = {"what": f"jax.random.{name}", "chances": chances, "count": count}
        weights = jax.lax.stop_gradient(weights)
        return _primitive(jax).bind(key, weights, **how, replace=replace)

    def ask(
        self,
        key: np.ndarray,
        weights: np.ndarray,
        *,
        what: str,
        chances: Callable[[np.ndarray], np.ndarray],
        count: int,
        replace: bool,
    ) -> Array:
        """The same, of numbers."""
        known = chances(weights.astype(np.float64))
        rows = known.reshape(-1, known.shape[-1])
        asked = (what, rows.tobytes(), rows.shape, count, replace)
        before, found = self._seen.get(key.tobytes(), (asked, None))
        if before != asked:
            raise Continuous(
                f"{what} draws with a key that {before[0]} drew with: the two hang on each other "
                "in a way that nobody knows; split the key"
            )
        if found is None:
            real = self._jax.numpy.issubdtype(weights.dtype, self._jax.numpy.floating)
            step = float(self._jax.numpy.finfo(weights.dtype).eps) if real else EPS
            found = [self._row(row, count, replace, what, step) for row in rows]
            self._seen[key.tobytes()] = asked, found
        return self._jax.numpy.asarray(found, int).reshape(*known.shape[:-1], count)

    def _row(
        self, chances: np.ndarray, count: int, replace: bool, what: str, step: float
    ) -> list[int]:
        left, drawn = chances.copy(), []
        for _ in range(count):
            drawn.append(self._walker.choose(left / left.sum(), what, step))
            if not replace:
                left[drawn[-1]] = 0.0
        return drawn


def _softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def _two(chances: np.ndarray) -> np.ndarray:
    """Of False and of True."""
    one = np.clip(chances, 0.0, 1.0)  # as JAX does: it compares with a number between them
    return np.concatenate([1.0 - one, one], -1)


def _shares(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum(-1, keepdims=True)
