"""NumPy's draws: by its own functions, and by any Generator or RandomState wherever it is kept.

Methods are handled in the classes themselves, so that it does not matter how a generator is
reached, nor whether it existed before. Only a method that was looked up before and is kept, and a
function that was imported by its own name, must be found where they are; see :mod:`..places`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from ..counts import (
    draw_counts,
    draw_several_kinds,
    geometric,
    hypergeometric,
    logarithmic,
    negative_binomial,
    poisson,
)
from ..generators import (
    BIT_GENERATORS,
    BITS,
    GeneratorAccess,
    Streams,
    bits_of,
    draw_from,
    handle_reader,
    handle_setter,
)
from ..outcomes import (
    OutcomeDistribution,
    Uniform,
    binomial,
    draw_weighted_without_replacement,
    draw_without_replacement,
    formed_before,
    precision_of,
    tables,
    weighted_table,
)
from ..patches import Patches
from ..run import Run, UnsupportedDraw, current_run, outside_runs
from .framework import GeneratorFramework, handle, refuse, unsupported_message
from .numpy_continuous import ContinuousDraws, LegacyContinuousDraws
from .numpy_integrated import IntegratedDraws

#: How far probabilities may be from adding up to 1: the root of the precision, as NumPy has it.
SUM = 1.5e-8

#: Why a law is refused that has no place to cut it at.
HEAVY = (
    "{} is an unsupported draw: the probabilities of its outcomes fall so slowly that none may be "
    "left out; draw by choice from as many as matter"
)

#: Methods of NumPy's own, which no handler stands for.
REAL: dict[type, dict[str, Any]] = {
    kind: dict(vars(kind)) for kind in (np.random.Generator, np.random.RandomState)
}

#: Methods of the two classes that draw nothing.
NOT_DRAWS = {"bit_generator", "get_state", "seed", "set_state", "spawn"}


class Drawing(ContinuousDraws, IntegratedDraws):
    """One generator in a run: what it draws is asked for, and its state moves on.

    Args:
        what: the class or module that people call, for messages.

    Raises (each method):
        ValueError: for arguments that NumPy refuses.
        UnsupportedDraw: for arguments that have no outcomes to count.
    """

    __slots__ = ("_bits", "_run", "_what")
    _kind: ClassVar[type] = np.random.Generator

    def __init__(self, run: Run, generator: Any, what: str) -> None:
        self._run, self._bits, self._what = run, bits_of(generator), what

    def _begin(self, name: str) -> str:
        """A draw begins; its name."""
        what = f"{self._what}.{name}"
        draw_from(self._run, self._bits, BITS, what)
        return what

    def choice(
        self,
        a: Any,
        size: Any = None,
        replace: bool = True,
        p: Any = None,
        axis: int = 0,
        shuffle: bool = True,
    ) -> Any:
        """Entries of an array, or numbers below ``a``."""
        what = self._begin("choice")
        values = None if np.ndim(a) == 0 else np.asarray(a)
        count = int(a) if values is None else values.shape[axis]
        draws = 1 if size is None else int(np.prod(size))
        if count < 1 and draws:
            raise ValueError("a must be a positive integer or a non-empty array")  # as NumPy does
        if p is None and not replace and not shuffle:
            raise UnsupportedDraw(
                f"{what}(shuffle=False) has an unknown order; leave shuffle=False out"
            )
        places = self._places(what, count, draws, replace, p)
        if size is None and values is None:
            return places[0]
        found = np.reshape(np.asarray(places, np.int64), () if size is None else size)
        return found if values is None else values.take(found, axis=axis)

    def _places(self, what: str, count: int, draws: int, replace: bool, p: Any) -> list[int]:
        if p is None:
            if not replace and draws > count:
                raise ValueError("Cannot take a larger sample than population")  # as NumPy does
            if not replace:
                return draw_without_replacement(self._run.choose, what, count, draws)
            return self._run.choose_each([Uniform(what, count)] * draws)
        weights = np.asarray(p, np.float64)
        step = precision_of(p)
        if replace and draws == 1 and weights.shape == (count,):
            before = formed_before(self._run.next_in_prefix(), what, weights[None], step)
            if before:  # it was found to be a distribution then
                return [self._run.choose(before[0])]
        if weights.shape != (count,):
            raise ValueError("a and p must have same size")  # as NumPy does
        if not abs(weights.sum() - 1.0) <= max(SUM, step**0.5):
            raise ValueError("Probabilities do not sum to 1")  # as NumPy does
        if not replace and draws > np.count_nonzero(weights):
            raise ValueError("Fewer non-zero entries in p than size")  # as NumPy does
        return draw_by_weight(self._run, what, weights, draws, replace, step)

    def integers(
        self,
        low: Any,
        high: Any = None,
        size: Any = None,
        dtype: Any = np.int64,
        endpoint: bool = False,
        name: str = "integers",
    ) -> Any:
        """Whole numbers, each as likely."""
        what = self._begin(name)
        shape: Any = size
        if np.ndim(low) or np.ndim(high):
            shape = np.broadcast_shapes(np.shape(low), np.shape(high)) if size is None else size
        lows = np.broadcast_to(0 if high is None else low, () if shape is None else shape)
        highs = np.broadcast_to(low if high is None else high, lows.shape)
        firsts = [int(low) for low in lows.flat]
        ends = [int(high) + bool(endpoint) for high in highs.flat]
        if any(end <= first for first, end in zip(firsts, ends, strict=True)):
            raise ValueError("low >= high")  # as NumPy does
        drawn = self._run.choose_each(
            [Uniform(what, end - first) for first, end in zip(firsts, ends, strict=True)]
        )
        numbers = [first + place for first, place in zip(firsts, drawn, strict=True)]
        found = np.array(numbers, object).reshape(lows.shape)
        if shape is None and dtype in (int, bool):
            return dtype(found[()])
        return found.astype(dtype)[()]

    def binomial(self, n: Any, p: Any, size: Any = None) -> Any:
        """Of one trial each: zeros and ones. Of more, how many come out."""
        what = self._begin("binomial")
        shape = np.broadcast_shapes(np.shape(n), np.shape(p)) if size is None else size
        return binomials(self._run, what, n, p, np.empty(shape, np.int64))[()]

    def multinomial(self, n: Any, pvals: Any, size: Any = None) -> Any:
        """Of one trial each: a one where it came out."""
        what = self._begin("multinomial")
        rows = np.array(pvals, np.float64)
        if rows.shape[-1] == 0 or np.any(rows[..., :-1].sum(axis=-1) > 1.0 + 1e-12):
            raise ValueError("sum(pvals[:-1].astype(np.float64)) > 1.0")  # as NumPy does
        # NumPy gives the last what is left.
        rows[..., -1] = np.maximum(0.0, 1.0 - rows[..., :-1].sum(axis=-1))
        batch = np.broadcast_shapes(np.shape(n), rows.shape[:-1])
        shape = batch if size is None else tuple(np.atleast_1d(size))
        rows = np.broadcast_to(rows, (*shape, rows.shape[-1]))
        trials = np.broadcast_to(n, shape)
        found = np.zeros(rows.shape, np.int64)
        for place in np.ndindex(*shape):
            tables(what, rows[place][None], precision_of(pvals))  # refuses what is no distribution
            many = int(trials[place])
            if many < 0:
                raise ValueError("n < 0")  # as NumPy does
            found[place] = draw_counts(
                self._run.choose, what, many, rows[place], precision_of(pvals)
            )
        return found

    def poisson(self, lam: Any = 1.0, size: Any = None) -> Any:
        """Numbers of events at a rate."""
        return self._draw_counts("poisson", poisson, (lam,), size)

    def geometric(self, p: Any, size: Any = None) -> Any:
        """Numbers of trials up to the first success."""
        return self._draw_counts("geometric", geometric, (p,), size, first=1)

    def negative_binomial(self, n: Any, p: Any, size: Any = None) -> Any:
        """Numbers of failures before so many successes."""
        return self._draw_counts("negative_binomial", negative_binomial, (n, p), size)

    def logseries(self, p: Any, size: Any = None) -> Any:
        """Numbers from 1 on, with probabilities as p^k / k."""
        return self._draw_counts("logseries", logarithmic, (p,), size, first=1)

    def zipf(self, a: Any, size: Any = None) -> Any:
        """Nothing: its outcomes are never so rare that they may be left out."""
        raise UnsupportedDraw(HEAVY.format(f"{self._what}.zipf"))

    def hypergeometric(self, ngood: Any, nbad: Any, nsample: Any, size: Any = None) -> Any:
        """How many of so many draws without replacement are good."""
        return self._draw_counts("hypergeometric", hypergeometric, (ngood, nbad, nsample), size)

    def multivariate_hypergeometric(
        self, colors: Any, nsample: Any, size: Any = None, method: str = "marginals"
    ) -> Any:
        """How many of each colour are among so many draws without replacement."""
        what = self._begin("multivariate_hypergeometric")
        like = self._real("multivariate_hypergeometric", (colors, nsample, size, method))
        rows = like.reshape(-1, like.shape[-1])
        kinds = [int(each) for each in colors]
        for row in rows:
            row[:] = draw_several_kinds(self._run.choose, what, kinds, int(nsample))
        return like

    def _draw_counts(
        self,
        name: str,
        law: Callable[..., OutcomeDistribution],
        parameters: tuple[Any, ...],
        size: Any,
        first: int = 0,
    ) -> Any:
        """Numbers from the first on, by a law of each parameter."""
        what = self._begin(name)
        like = self._real(name, (*parameters, size))
        found = np.array(like)
        arrays = [np.broadcast_to(np.array(each), found.shape) for each in parameters]
        step = () if law is hypergeometric else (max(precision_of(each) for each in parameters),)
        kind = int if law is hypergeometric else float
        laws = [
            law(what, *(kind(each) for each in row), *step)
            for row in zip(*(each.flat for each in arrays), strict=True)
        ]
        drawn = self._run.choose_each(laws)
        found[...] = np.reshape([first + each for each in drawn], found.shape)
        return found if isinstance(like, np.ndarray) else type(like)(found)

    def _real(self, name: str, args: tuple[Any, ...]) -> Any:
        """What NumPy itself returns, by a generator of nobody's: its errors, shape and type."""
        kind = self._kind
        with outside_runs():
            return REAL[kind][name](kind(np.random.MT19937(0)), *args)

    def permutation(self, x: Any, axis: int = 0) -> Any:
        """The same in any order."""
        what = self._begin("permutation")
        values = np.arange(x) if np.ndim(x) == 0 else np.asarray(x)
        order = self._order(what, values.shape[axis])
        return values.take(np.asarray(order, np.int64), axis=axis)

    def shuffle(self, x: Any, axis: int = 0) -> None:
        """The same in any order, in place."""
        what = self._begin("shuffle")
        order = self._order(what, x.shape[axis] if isinstance(x, np.ndarray) else len(x))
        if self._run.is_sampling:  # it is only looked at
            return
        if isinstance(x, np.ndarray):
            x[...] = x.take(np.asarray(order, np.int64), axis=axis)
        else:
            x[:] = [x[place] for place in order]

    def _order(self, what: str, count: int) -> list[int]:
        return draw_without_replacement(self._run.choose, what, count, count)


class LegacyDrawing(Drawing, LegacyContinuousDraws):
    """The same of a RandomState, whose methods have other names for some."""

    __slots__ = ()
    _kind = np.random.RandomState

    def randint(self, low: Any, high: Any = None, size: Any = None, dtype: Any = int) -> Any:
        """Whole numbers below ``high``."""
        return self.integers(low, high, size, dtype, name="randint")

    def random_integers(self, low: Any, high: Any = None, size: Any = None) -> Any:
        """Whole numbers up to ``high``."""
        first, last = (1, low) if high is None else (low, high)
        return self.integers(first, last, size, int, True, name="random_integers")


def _public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


#: By the class of NumPy: what draws in its place, and what it is called in messages.
KINDS: dict[type, tuple[type[Drawing], str]] = {
    np.random.Generator: (Drawing, "Generator"),
    np.random.RandomState: (LegacyDrawing, "RandomState"),
}


class Numpy(GeneratorFramework):
    """NumPy's generators and functions."""

    name = "numpy"

    def install(self, patches: Patches) -> None:
        """Handle the methods of the two classes, and the module's functions."""
        elsewhere = self.drawn_outside_runs
        elsewhere.clear()
        for kind, (drawing, called) in KINDS.items():
            for name in _public(kind) - NOT_DRAWS:
                patches.method(kind, name, self._handler(vars(kind)[name], drawing, name, called))
        for name in ("seed", "set_state"):
            setter = handle_setter(vars(np.random.RandomState)[name], BITS, elsewhere, bits_of)
            patches.method(np.random.RandomState, name, _restore_normal(setter))
        raw = vars(np.random.BitGenerator)["random_raw"]
        bits = refuse("random_raw draws bits, which have no outcomes to count; draw by integers")
        patches.method(np.random.BitGenerator, "random_raw", handle(raw, bits))
        for kind in BIT_GENERATORS:
            own = vars(kind)
            state = own["state"]
            settable = property(
                handle_reader(state.__get__, BITS), handle_setter(state.__set__, BITS, elsewhere)
            )
            patches.method(kind, "state", settable)
            if "advance" in own:
                patches.method(kind, "advance", handle_setter(own["advance"], BITS, elsewhere))
        legacy = np.random.mtrand._rand
        for name in np.random.__all__:
            real = getattr(np.random, name)
            if getattr(real, "__self__", None) is legacy and name not in NOT_DRAWS:
                handler = self._handler(real, LegacyDrawing, name, "numpy.random", legacy)
            elif name in ("seed", "set_state"):
                handler = functools.partial(getattr(np.random.RandomState, name), legacy)
            else:
                continue
            patches.attribute(np.random, name, handler)
            self._handlers.append((real, handler))

    def _handler(
        self, real: Any, kind: type[Drawing], name: str, called: str, *owner: Any
    ) -> Callable[..., Any]:
        """A handler for a method of NumPy's generators.

        Args:
            owner: the generator whose bound method it is; else it is the first argument.
        """
        drawing = getattr(kind, name, None)

        def draw(run: Run, generator: Any, *args: Any, **kwargs: Any) -> Any:
            if drawing is None:
                raise UnsupportedDraw(unsupported_message(f"{called}.{name}"))
            return drawing(kind(run, generator, called), *args, **kwargs)

        def answer(run: Run, *args: Any, **kwargs: Any) -> Any:
            return draw(run, *owner, *args, **kwargs)

        def note_elsewhere(*args: Any, **_: Any) -> None:
            self.note_drawn_outside(bits_of((*owner, *args)[0]))

        return handle(real, answer, note_elsewhere)

    def begin(self) -> None:
        """Watch the generator that NumPy has of its own."""
        self._watched.add(np.random.mtrand._rand._bit_generator, BITS)


_get_state = vars(np.random.RandomState)["get_state"]
_set_state = vars(np.random.RandomState)["set_state"]


def _read_normal(generator: np.random.RandomState) -> tuple[int, float]:
    """Whether a RandomState keeps a normal number for later, and which."""
    with outside_runs():  # nobody else looks at its state
        state = _get_state(generator, legacy=False)
    return state["has_gauss"], state["gauss"]


def _write_normal(generator: np.random.RandomState, kept: tuple[int, float]) -> None:
    with outside_runs():
        state = _get_state(generator, legacy=False)
    _set_state(generator, {**state, "has_gauss": kept[0], "gauss": kept[1]})


#: What a RandomState has beside its bit generator.
NORMAL = GeneratorAccess(
    "a RandomState", _read_normal, lambda kept: repr(kept).encode(), _write_normal, lambda _: None
)


def _restore_normal(setter: Callable[..., Any]) -> Callable[..., Any]:
    """A handler for what sets a RandomState, whose normal number is put back too."""

    @functools.wraps(setter)
    def whole(generator: Any, *args: Any, **kwargs: Any) -> Any:
        run = current_run()
        if run is not None and not run.is_sampling:
            Streams.of(run).keep(generator, NORMAL)
        return setter(generator, *args, **kwargs)

    return whole


def binomials(run: Run, what: str, n: Any, p: Any, like: np.ndarray) -> np.ndarray:
    """How many of n come out, in an array like another one; zeros and ones where n is one."""
    trials, ones = (np.broadcast_to(np.array(each), like.shape) for each in (n, p))
    step = precision_of(p)
    drawn = run.choose_each(
        [
            binomial(what, int(count), float(one), step)
            for count, one in zip(trials.flat, ones.flat, strict=True)
        ]
    )
    return np.array(drawn, like.dtype).reshape(like.shape)


def draw_by_weight(
    run: Run, what: str, weights: np.ndarray, draws: int, replace: bool, step: float
) -> list[int]:
    """Places that come out one after the other, by weights, (K,)."""
    if not replace:
        return draw_weighted_without_replacement(run.choose, what, weights, draws, step)
    outcomes = weighted_table(what, weights, step, run.next_in_prefix()) if draws else None
    return run.choose_each([outcomes] * draws) if outcomes else []
