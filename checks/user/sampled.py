"""Moments of an estimator that is sampled, and an anytime-valid test of its mean.

Runs are observed while they draw: what the probabilities of outcomes are decides how many draws
the range of the estimate is learnt from, and whether the verdict is conditional; see
:mod:`.sequential` and :mod:`.rarity`. Samples that repeat each other are no samples, and no verdict
comes of them; nor does one where a generator is seen to be in the same state in each of them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import numbers
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradproof.errors import GradproofError
from gradproof.estimators.enumeration.gradients import GradientLayout, arrays_by_name, precision
from gradproof.estimators.enumeration.run import SampledRun
from gradproof.estimators.enumeration.whole_numbers import whole_number

from ..sequential.betting import RunningMoments
from ..sequential.mean_result import MeanTestResult
from ..sequential.mean_test import MeanTest
from ..sequential.wealth import CELLS, ROUNDINGS
from .jax_keys import FreshKeys, SeveralKeys
from .known_spread import KnownSpread
from .rarity import Rarity
from .sampled_generators import WATCHED, GeneratorStates, GeneratorWatch, seed_generators

#: Samples of the first block; each further one is twice as large, up to the last of these.
BLOCKS = 64, 4096

#: Samples that a period is looked for among, and how often it must come back. Of 64 samples or more
#: those of a fair coin do so by accident once in 1e13, and those of a coin of 0.02, which are rare
#: and would have to keep time, once in a million.
LOOKED, PERIODS = 16_384, 4

#: Nobody said how far samples spread.
NOTHING = KnownSpread()

#: What is wrong where samples repeat each other, and what to do.
DRAW = (
    "the same is drawn each time. Do not set a seed in the estimator, nor make a generator or a "
    "key of JAX from one there; give it the generator or the key as an argument (a key is folded "
    "with the number of the sample)"
)

#: The same, where the generator itself was seen.
SAME = (
    "{} is made from the same seed in each sample, or set to the same state, and draws the same "
    "each time: what the estimator keeps, such as a counter that it makes seeds of, is put back "
    "before each sample. Keep a generator and draw from it, or give the estimator the generator or "
    "the key as an argument (a key is folded with the number of the sample)"
)


class RepeatedSamples(GradproofError, ValueError):
    """Repeated samples, as from a generator with a fixed seed: each should be a new draw."""


@dataclasses.dataclass(frozen=True)
class Samples:
    """What samples showed: moments by parameter, and what the test found.

    ``condition`` is what the verdict depends on, after an "if"; empty if on nothing.
    ``notes`` are facts that no verdict hangs on. ``doubtful`` says that the mean is not the exact
    one, by no more than may be nobody's fault: then ``test`` is the one that allows for that.
    """

    mean: Mapping[str, np.ndarray]
    variance: Mapping[str, np.ndarray]
    test: MeanTestResult
    notes: tuple[str, ...] = ()
    doubtful: bool = False

    @property
    def condition(self) -> str:
        """That of the test."""
        return self.test.condition


def check_sampling(
    *, draws: object, alpha: object, rarest: object = None, seed: object = None, least: int = 0
) -> None:
    """Whether arguments of a check that samples are any, before anything is run.

    Args:
        least: the smallest number of draws that makes sense.

    Raises:
        ValueError: for a value that is none, naming it.
    """
    _check_whole("draws", draws, least, None)
    if seed is not None:
        _check_whole("seed", seed, 0, 2**64)
    for name, value in (("alpha", alpha), ("rarest", rarest)):
        if name == "rarest" and value is None:
            continue
        real = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not real or not 0.0 < value < 1.0:  # type: ignore[operator]
            raise ValueError(f"{name} is {value!r}, should be a number between 0 and 1")


def _check_whole(name: str, value: object, least: int, end: int | None) -> None:
    number = whole_number(value)
    if number is None:
        raise ValueError(f"{name} is {value!r}, expected a whole number")
    if number < least:
        raise ValueError(f"{name} is {value!r}, expected at least {least}")
    if end is not None and number >= end:
        raise ValueError(f"{name} is {value!r}, expected less than {end:,}")


def sample(
    run: Callable[[], Any],
    exact: Mapping[str, np.ndarray],
    *,
    draws: int,
    alpha: float,
    rarest: float | None = None,
    exact_error: Mapping[str, np.ndarray] | float = 0.0,
    doubt: Mapping[str, np.ndarray] | float = 0.0,
    low: Mapping[str, np.ndarray] | float | None = None,
    high: Mapping[str, np.ndarray] | float | None = None,
    known: KnownSpread = NOTHING,
    seed: int | None = None,
    coarsest: float = 0.0,
    perform: Callable[[Callable[[], Any], SampledRun], Any] | None = None,
    restore_state: Callable[[], object] | None = None,
    keys: FreshKeys | SeveralKeys | None = None,
) -> Samples:
    """Run an estimator until its mean is rejected, or for as many draws as there may be.

    Args:
        run: returns gradients of the names and shapes of ``exact``.
        draws: at most.
        alpha: as of :class:`.sequential.MeanTest`.
        rarest: the same; outcomes that are rarer may be left out. None: as rare as any draw's
            rarest outcome is, as far as that is seen, and ``RAREST`` at most.
        exact_error: what ``exact`` may be off by.
        doubt: what the mean may be off by besides, without anybody's being wrong for certain: it
            is sampled until a mean is rejected that may be off by so much more.
        low, high: between which each entry lies, for certain: nothing is learnt then, and the
            verdict is not conditional.
        known: the same, or a standard deviation, as somebody said.
        seed: of the generators that PyTorch, NumPy and Python have of their own; they are as before
            afterwards, also if the estimator raises. None: they go on from where they are.
            Generators that the estimator has itself go on in either case.
        coarsest: precision that is at least to be allowed for.
        perform: runs it while a run observes its draws, as
            :meth:`..enumeration.handling.Handling.perform`. None: nothing is seen of them.
        restore_state: is called when what a run returned was read.
        keys: of JAX, that are another for each sample.

    Raises:
        TooFewDraws: for too few to test anything; before anything is run where that is known, after
            one run where its draws show it, and later only if later draws have rarer outcomes.
        BeyondRange, BeyondSpread: for samples that spread farther than was said.
        RepeatedSamples: if all samples are equal, and not the exact gradient, if they come back in
            turn, or if a generator or a key is seen to be the same in each.
        ValueError: for arguments that are none, or gradients that do not fit.
    """
    check_sampling(draws=draws, alpha=alpha, rarest=rarest, seed=seed, least=1)
    layout, rarity = GradientLayout(exact), Rarity(rarest)
    error, more = _row(exact_error, layout), _row(doubt, layout)

    def allowing(off: np.ndarray) -> MeanTest:
        return MeanTest(
            layout.row(exact),
            exact_error=off,
            alpha=alpha,
            rarest=rarity.least,
            low=known.low if low is None else _row(low, layout),
            high=known.high if high is None else _row(high, layout),
            sd=known.sd,
            groups=entry_groups(layout),
            precision=coarsest,
        )

    tests = [allowing(error), *([allowing(error + more)] if more.any() else [])]
    if tests[0].stretch and perform is None:
        for test in tests:
            rarity.plan(test, draws)
    with contextlib.ExitStack() as stack:
        stack.enter_context(seed_generators(None if seed is None else int(seed)))
        if keys is not None:
            stack.enter_context(keys)
        sampling = _Sampling(run, layout, tests, rarity, perform, restore_state, keys)
        samples = sampling.finish(draws)
    known.check(layout, layout.row(samples.variance))
    return samples


class _Sampling:
    """Samples that are taken, what is known of them, and the tests that they are fed to.

    Args:
        tests: the first of which says whether anything is wrong, the last for certain.
    """

    def __init__(
        self,
        run: Callable[[], Any],
        layout: GradientLayout,
        tests: list[MeanTest],
        rarity: Rarity,
        perform: Callable[[Callable[[], Any], SampledRun], Any] | None,
        restore_state: Callable[[], object] | None,
        keys: FreshKeys | SeveralKeys | None,
    ) -> None:
        self._run, self._layout, self._tests, self._rarity = run, layout, tests, rarity
        self._test, self._generators = tests[0], GeneratorStates()
        self._perform, self._restore_state, self._keys = perform, restore_state, keys
        self._count = 0
        self._moments = RunningMoments(layout.size, joint=False)  # of what is off
        self._first: np.ndarray | None = None
        self._marks: list[int] = []
        self._equal = True

    def finish(self, draws: int) -> Samples:
        """Take samples until the test has decided, or so many."""
        size = 1  # the first run shows what is drawn
        while self._count < draws:
            rows = np.zeros((min(size, draws - self._count), self._layout.size))
            learning = self._count < self._test.stretch
            for row in rows:
                self._take(row, learning)
            if learning:
                for test in self._tests:
                    self._rarity.plan(test, draws)
            self._add(rows)
            self._check_generators()
            # What a range that is known refutes at once may be one outcome, again and again.
            decided = [test.feed(rows) for test in self._tests][-1]
            if decided and not (self._equal and not self._test.stretch):
                break
            size = min(max(2 * size, BLOCKS[0]), BLOCKS[1], max(1, CELLS // self._layout.size))
        self._check_repeats()
        doubtful = self._test.rejected and not self._tests[-1].rejected
        decisive = self._tests[-1] if doubtful or self._tests[-1].rejected else self._test
        return Samples(
            self._layout.split(self._test.exact + self._moments.mean),
            self._layout.split(self._moments.square / self._count),
            decisive.found(),
            self._notes(),
            doubtful,
        )

    def _take(self, row: np.ndarray, learning: bool) -> None:
        """One sample, into a row (P,)."""
        if self._keys is not None:
            self._keys.renew(self._count)
        if self._perform is None:
            value = self._run()
        else:
            value = self._perform(self._run, observed := self._observer(learning))
            if learning:
                self._rarity.see(observed)
            if self._count < WATCHED:
                self._generators.end()
        if self._count < BLOCKS[0]:
            for test in self._tests:
                test.precision = max(test.precision or 0.0, precision(value))
        self._layout.write(arrays_by_name(value), row)
        if self._restore_state is not None:
            self._restore_state()
        self._count += 1
        if len(self._marks) < LOOKED:
            self._marks.append(hash(row.tobytes()))

    def _observer(self, learning: bool) -> SampledRun:
        """What looks at the draws of the next sample."""
        if self._count < WATCHED:
            self._generators.begin()
            return GeneratorWatch(self._generators)
        return SampledRun() if learning else _Unobserved()

    def _add(self, rows: np.ndarray) -> None:
        if self._first is None:
            self._first = rows[0].copy()
        self._equal = self._equal and bool((rows == self._first).all())
        with np.errstate(over="ignore", invalid="ignore"):  # the test names what is no number
            self._moments.add(rows - self._test.exact)

    def _check_repeats(self) -> None:
        """Raise if samples repeat each other, unless that is no harm."""
        assert self._first is not None
        if self._count > 1 and self._equal and not self._is_exact(self._first):
            raise RepeatedSamples(
                f"all {self._count:,} samples are equal, and not the exact gradient: what differs "
                f"is rarer than that, or {DRAW}"
            )
        period = _period(self._marks)
        if period > 1:
            raise RepeatedSamples(f"samples come back in turn, each {period:,} draws later: {DRAW}")

    def _check_generators(self) -> None:
        """Raise if a generator is the same in each sample, unless that is no harm."""
        assert self._first is not None
        what = self._generators.repeated_kind()
        if what and not (self._equal and self._is_exact(self._first)):
            raise RepeatedSamples(SAME.format(what))

    def _is_exact(self, row: np.ndarray) -> bool:
        """But for rounding."""
        exact, step = self._test.exact, self._test.precision or 0.0
        rounding = ROUNDINGS * step * np.maximum(np.abs(exact), np.abs(row))
        allowed = self._tests[-1].exact_error + rounding
        return bool((np.abs(row - exact) <= allowed).all())

    def _notes(self) -> tuple[str, ...]:
        if self._keys is None or not self._keys.count:
            return ()
        return (
            "Keys of JAX that it is given, or keeps, were folded with the number of each sample.",
        )


class _Unobserved(SampledRun):
    """What is drawn was seen often enough."""

    def observe(self, draw: Callable[[], object]) -> None:
        """It is not looked at."""


def _row(value: Mapping[str, np.ndarray] | float, layout: GradientLayout) -> np.ndarray:
    """One number for all entries, or arrays by name: (P,)."""
    if isinstance(value, Mapping):
        return layout.row(arrays_by_name(value))
    return np.full(layout.size, float(value))


def entry_groups(layout: GradientLayout) -> np.ndarray:
    """Which entries have one scale, (P,): those of a parameter, and those that stand alone.

    Parameters of one number might as well be the entries of one array, such as one for each label.
    """
    groups = np.zeros(layout.size, dtype=np.int64)
    for number, part in enumerate(layout.parts.values(), start=1):
        groups[part] = number if part.stop - part.start > 1 else 0
    return groups


def _period(marks: list[int]) -> int:
    """After how many the same come back, over and over; 0 if they do not.

    By Knuth, Morris and Pratt's: how much of the beginning stands at each place once more.
    """
    again = [0] * len(marks)
    length = 0
    for place in range(1, len(marks)):
        while length and marks[place] != marks[length]:
            length = again[length - 1]
        length += marks[place] == marks[length]
        again[place] = length
    period = len(marks) - length
    return period if period * PERIODS <= len(marks) >= BLOCKS[0] else 0
