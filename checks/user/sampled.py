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
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from gradproof.errors import GradproofError
from gradproof.estimators.enumeration.generators import BITS, PYTHON, bits_of
from gradproof.estimators.enumeration.gradients import GradientLayout, arrays_by_name, precision
from gradproof.estimators.enumeration.run import SampledRun

from ..sequential.mean_test import CELLS, ROUNDINGS, MeanTest, MeanTestResult
from .jax_keys import FreshKeys
from .rarity import Rarity

#: Samples of the first block; each further one is twice as large, up to the last of these.
BLOCKS = 64, 4096

#: Samples that a period is looked for among, and how often it must come back. Of 64 samples or more
#: those of a fair coin do so by accident once in 1e13, and those of a coin of 0.02, which are rare
#: and would have to keep time, once in a million.
LOOKED, PERIODS = 16_384, 4

#: Samples in which generators are looked at; and where one state is drawn from in so large a share
#: of them, and in so many, it comes from one seed. By accident it does if a seed is itself drawn
#: from fewer than four.
WATCHED, SHARE, LEAST = 64, 1 / 4, 8


class RepeatedSamples(GradproofError, ValueError):
    """Repeated samples, as from a generator with a fixed seed: each should be a new draw."""


@dataclasses.dataclass(frozen=True)
class SampledMoments:
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
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise ValueError(f"{name} is {value!r}, expected a whole number")
    if not least <= int(value):
        raise ValueError(f"{name} is {value!r}, expected at least {least}")
    if end is not None and int(value) >= end:
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
    seed: int | None = None,
    coarsest: float = 0.0,
    perform: Callable[[Callable[[], Any], SampledRun], Any] | None = None,
    restore_state: Callable[[], object] | None = None,
    keys: FreshKeys | None = None,
) -> SampledMoments:
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
            low=None if low is None else _row(low, layout),
            high=None if high is None else _row(high, layout),
            groups=_parameters(layout),
            precision=coarsest,
        )

    tests = [allowing(error), *([allowing(error + more)] if more.any() else [])]
    if tests[0].stretch and perform is None:
        for test in tests:
            rarity.plan(test, draws)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_seeded(None if seed is None else int(seed)))
        if keys is not None:
            stack.enter_context(keys)
        return _Sampling(run, layout, tests, rarity, perform, restore_state, keys).finish(draws)


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
        keys: FreshKeys | None,
    ) -> None:
        self._run, self._layout, self._tests, self._rarity = run, layout, tests, rarity
        self._test, self._drawn_from = tests[0], GeneratorStates()
        self._perform, self._restore_state, self._keys = perform, restore_state, keys
        self._count = 0
        self._total, self._square = np.zeros(layout.size), np.zeros(layout.size)
        self._first: np.ndarray | None = None
        self._marks: list[int] = []
        self._equal = True

    def finish(self, draws: int) -> SampledMoments:
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
        found = decisive.found()
        off = self._total / self._count
        with np.errstate(over="ignore", invalid="ignore"):
            variance = self._square / self._count - off**2
        return SampledMoments(
            self._layout.split(self._test.exact + off),
            self._layout.split(np.maximum(variance, 0.0)),
            found,
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
            value = self._perform(self._run, observed := self._observed(learning))
            if learning:
                self._rarity.see(observed)
            if self._count < WATCHED:
                self._drawn_from.ended()
        if self._count < BLOCKS[0]:
            for test in self._tests:
                test.precision = max(test.precision or 0.0, precision(value))
        self._layout.write(arrays_by_name(value), row)
        if self._restore_state is not None:
            self._restore_state()
        self._count += 1
        if len(self._marks) < LOOKED:
            self._marks.append(hash(row.tobytes()))

    def _observed(self, learning: bool) -> SampledRun:
        """What looks at the draws of the next sample."""
        if self._count < WATCHED:
            self._drawn_from.begin()
            return _Watching(self._drawn_from)
        return SampledRun() if learning else _Unobserved()

    def _add(self, rows: np.ndarray) -> None:
        if self._first is None:
            self._first = rows[0].copy()
        self._equal = self._equal and bool((rows == self._first).all())
        with np.errstate(over="ignore", invalid="ignore"):  # the test names what is no number
            off = rows - self._test.exact
            self._total += off.sum(axis=0)
            self._square += (off**2).sum(axis=0)

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
        what = self._drawn_from.repeated()
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


class GeneratorStates:
    """The states of generators that samples drew from, and how many samples drew from each.

    Of a generator that is drawn from by itself the state of its first draw counts. Of those that
    frameworks have of their own it is the state at any draw, if the sample brought it there and
    moved it on: what a sample sets for a while, and sets back, is a generator of its own.
    """

    def __init__(self) -> None:
        self.samples = 0
        self._counts: Counter[tuple[str, bytes]] = Counter()
        self._seen: set[tuple[str, bytes]] = set()
        self._first: dict[int, Any] = {}
        self._began: list[tuple[str, bytes]] = []
        self._last: list[tuple[str, bytes]] = []

    def begin(self) -> None:
        """A sample begins."""
        self._seen, self._first = set(), {}
        self._began = self._last = _shared_states()

    def draw(self, given: Mapping[str, Any]) -> None:
        """Something is about to be drawn.

        Args:
            given: what a handler passes on to what answers for the draw, by name.
        """
        self._look_at_shared()
        words, kind = given.get("data"), given.get("generator")
        if isinstance(words, np.ndarray) and isinstance(kind, str) and kind != "none":
            self._seen.add(("a key of JAX", words.tobytes()))  # "none": which key is not known
        named = given.get("kwargs", {})
        for each in (*given.get("args", ()), *named.values()):
            if id(each) not in self._first:
                state = _state_of(each)
                if state is not None:
                    self._first[id(each)] = each  # kept, so that no other has its identity
                    self._seen.add(state)

    def ended(self) -> None:
        """The sample has ended."""
        self._look_at_shared()
        self._counts.update(self._seen)
        self._first = {}
        self.samples += 1

    def repeated(self) -> str:
        """What kind of generator was in one state in too many samples; empty if none was."""
        most = max(LEAST, SHARE * self.samples)
        return next((what for (what, _), count in self._counts.items() if count >= most), "")

    def _look_at_shared(self) -> None:
        now = _shared_states()
        for began, last, state in zip(self._began, self._last, now, strict=False):
            if last not in (began, state):
                self._seen.add(last)
        self._last = now


def _state_of(value: Any) -> tuple[str, bytes] | None:
    """What kind of generator something is, and its state; None: it is none."""
    if isinstance(value, np.random.Generator | np.random.RandomState | np.random.BitGenerator):
        bits = bits_of(value) if not isinstance(value, np.random.BitGenerator) else value
        return BITS.name, BITS.key(BITS.read(bits))
    if isinstance(value, random.Random) and not isinstance(value, random.SystemRandom):
        return PYTHON.name, PYTHON.key(PYTHON.read(value))
    torch: Any = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Generator):
        with contextlib.suppress(Exception):  # while functions are transformed, or compiled
            return "a generator of PyTorch", bytes(value.get_state().cpu().numpy())
    return None


def _shared_states() -> list[tuple[str, bytes]]:
    """Those of the generators that frameworks have of their own."""
    torch: Any = sys.modules.get("torch")
    shared = [random._inst, np.random.mtrand._rand]
    shared += [] if torch is None else [torch.default_generator]
    return [_state_of(each) or ("", b"") for each in shared]


class _Watching(SampledRun):
    """Looks at generators too."""

    def __init__(self, drawn_from: GeneratorStates) -> None:
        super().__init__()
        self._drawn_from = drawn_from

    def observe(self, draw: Callable[[], object]) -> None:
        """As the base class; handlers keep what a draw was called with around ``draw``."""
        code = getattr(draw, "__code__", None)
        if code is not None:
            cells = zip(code.co_freevars, draw.__closure__ or (), strict=True)
            self._drawn_from.draw({name: cell.cell_contents for name, cell in cells})
        super().observe(draw)


class _Unobserved(SampledRun):
    """What is drawn was seen often enough."""

    def observe(self, draw: Callable[[], object]) -> None:
        """It is not looked at."""


def _row(value: Mapping[str, np.ndarray] | float, layout: GradientLayout) -> np.ndarray:
    """One number for all entries, or arrays by name: (P,)."""
    if isinstance(value, Mapping):
        return layout.row(arrays_by_name(value))
    return np.full(layout.size, float(value))


def _parameters(layout: GradientLayout) -> np.ndarray:
    """Which entries have one scale, (P,): those of a parameter, and those that stand alone.

    Parameters of one number might as well be the entries of one array, such as one for each label.
    """
    found = np.zeros(layout.size, dtype=np.int64)
    for number, part in enumerate(layout.parts.values(), start=1):
        found[part] = number if part.stop - part.start > 1 else 0
    return found


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


@contextlib.contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    """The generators that frameworks have of their own, from a seed, and as before afterwards.

    Each from a seed of its own: PyTorch's, NumPy's and Python's are one kind of generator, and
    would draw the same numbers from the same seed.
    """
    if seed is None:
        yield
        return
    torch: Any = sys.modules.get("torch")
    before = random.getstate(), np.random.get_state()  # noqa: NPY002 - it is put back
    for_python, for_numpy, for_torch = np.random.SeedSequence(seed).spawn(3)
    with contextlib.ExitStack() as stack:
        stack.callback(random.setstate, before[0])
        stack.callback(np.random.set_state, before[1])
        if torch is not None:
            stack.callback(torch.set_rng_state, torch.get_rng_state())
            if torch.cuda.is_available() and torch.cuda.is_initialized():
                stack.callback(torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all())
            torch.manual_seed(int(for_torch.generate_state(1, np.uint64)[0]))
        random.seed(for_python.generate_state(8).tobytes())
        np.random.seed(for_numpy.generate_state(8))  # noqa: NPY002 - people draw from it
        yield
