"""A search for losses, texts and states at which a user's baseline reads its own draw.

B of a sentence may depend on anything but the sentence's own draw, and of that it sees the loss. So
the loss is changed, with everything else held, and B must stay: for whatever losses, as another
model, or the same one later in its training, has others than those of one text.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from gradproof.estimators.backends import load
from gradproof.estimators.baselines.custom import BaselineError, CustomBaseline, in_torch
from gradproof.estimators.baselines.protocol import BaselineBatch, plain

from ..evidence import COARSEST, GAP, Comparison
from . import own_rounding
from .baseline_states import BaselineState
from .loss_cases import FEW, KINDS, MANY, MODEL, SENTENCES, LossCase, LossSource, few
from .study import Study

#: What a row compares on one study.
Look = Callable[[Study], list[Comparison]]

#: Cases of each kind, number of sentences, and length (as the text's, and any) where it is fresh...
REPEATS = 16

#: ... and in a state in which it has learned.
REPEATS_LATER = 1

#: What the losses of the others are moved by, in roundings of the largest loss. B moves by as much
#: where it is steep in them, or jumps, and so may by rounding a difference of theirs.
MOVED = 2.0**6

#: What the losses of all others are moved by, of the largest, to see whether B follows them.
OTHERS_MOVED = (2.0**-6, -(2.0**-6), 0.5, -0.5, 4.0, -4.0)

#: Refutations after which no more cases are tried for a row.
ENOUGH = 24

#: Batches of usual losses that the precision of a baseline is taken from.
PRECISION_CASES = 5

#: Draws of losses of one size that are tried where only losses of several showed a dependence.
CLOSE = 4

#: Calls with other random numbers, where B draws some.
SEEDS = 64

#: Standard errors between two means at which they differ: by chance, for differences that are as
#: likely negative as positive, in fewer than one of a million comparisons (Hoeffding 1963).
DEVIATIONS = 8.0


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a baseline gave in a case.

    ``unit`` is the unit roundoff of its numbers. ``gradient`` is the largest derivative of B by
    what carries the model's gradient, of PyTorch.

    Shape: ``values`` (1 + M,), with the losses as they are and with each other own loss; empty
    where it raised something, ``failure``, or gave no number.
    """

    values: np.ndarray
    unit: float = 0.0
    gradient: float = 0.0
    failure: str = ""
    failed_at: float = 0.0


@dataclasses.dataclass(frozen=True)
class Looked:
    """What a search has looked at.

    ``cases`` by kind of losses; ``losses`` is the least and the greatest; ``limits`` are the
    places, beyond those of the text, where the baseline gave no number and so was not looked at.
    ``rounded`` is what rounding moved B by at most, beside the largest loss, where it lost digits.
    """

    cases: dict[str, int]
    sentences: tuple[int, ...]
    longest: int
    states: tuple[str, ...]
    updates: int
    smallest: float
    losses: tuple[float, float]
    limits: tuple[str, ...] = ()
    rounded: float = 0.0


class BaselineSearch:
    """The cases that a baseline was tried at, and what came out.

    Args:
        states: of the baseline, the fresh one first.
        source: of the losses, lengths and embeddings.
        seed: of the cases.
        repeats: cases of each kind, number of sentences and length where it is fresh.
    """

    def __init__(
        self,
        states: list[BaselineState],
        source: LossSource,
        seed: int,
        repeats: int = REPEATS,
    ) -> None:
        self.states, self.source, self.seed, self.repeats = states, source, seed, repeats
        self._cases: dict[bool, tuple[LossCase, ...]] = {}
        self._outcomes: dict[LossCase, Outcome] = {}
        self._limits: dict[str, None] = {}
        self._smallest: dict[str, float] = {}
        self._units: dict[bool, float] = {}
        self._rounded = 0.0
        #: The comparison of the case that was looked at last, when cases are drawn one by one.
        self.last = Comparison("nothing yet", 0, 0.0, 0.0, 0.0, "")

    def rows(self, *, later: bool) -> tuple[int, ...]:
        """The states in which it has learned, or those in which it has not."""
        return tuple(row for row, state in enumerate(self.states) if state.later == later)

    def cases(self, *, later: bool) -> tuple[LossCase, ...]:
        """Cases of every kind, number of sentences, length and state."""
        if later not in self._cases:
            self._cases[later] = tuple(self._draw_cases(later=later))
        return self._cases[later]

    def _draw_cases(self, *, later: bool) -> Iterator[LossCase]:
        rng = np.random.default_rng([self.seed, later])
        rows = self.rows(later=later)
        for place, state in enumerate(rows):
            # A leak that comes with an update stays with the next, as a rule: one N for each kind
            # of losses will do in most states, and all of them in the last that is usual.
            whole = not later or place == len(rows) // 2 or state == self._last_usual(rows)
            for kind, (turn, n) in itertools.product(KINDS, enumerate(SENTENCES)):
                if whole or kind == MODEL or turn == (place + KINDS.index(kind)) % len(SENTENCES):
                    for _ in range(REPEATS_LATER if later else self.repeats):
                        yield self.source.draw(rng, kind, n, state=state)
                        yield self.source.draw(rng, kind, n, state=state, long=True)
                        if kind == MODEL:  # it may know the text
                            yield self.source.draw_known(rng, kind, n, state=state)
            if whole:
                for kind, n in itertools.product(KINDS, MANY):
                    yield self.source.draw(rng, kind, n, state=state)

    def _last_usual(self, rows: tuple[int, ...]) -> int:
        return max(row for row in rows if self.states[row].usual)

    def numbers_of(self) -> Look:
        """The check that B is a number, on the cases of all states and on one that is drawn."""

        def cases() -> Iterable[LossCase]:
            return itertools.chain(self.cases(later=False), self.cases(later=True))

        return self._look(self.numbers, cases)

    def draws_of(self, *, later: bool) -> Look:
        """The check that B does not depend on its own draw; each kind of losses must be seen."""

        def seen(comparisons: list[Comparison]) -> list[Comparison]:
            return [*comparisons, *missing(comparisons)]

        return self._look(self.draws, lambda: self.cases(later=later), seen)

    def gradients_of(self, *, later: bool) -> Look:
        """The check that no gradient enters B; nothing for NumPy, in which there is none."""
        return self._look(self.gradients, lambda: self.cases(later=later))

    def _look(
        self,
        at_case: Callable[[LossCase], list[Comparison]],
        cases: Callable[[], Iterable[LossCase]],
        seen: Callable[[list[Comparison]], list[Comparison]] = lambda comparisons: comparisons,
    ) -> Look:
        def look(study: Study) -> list[Comparison]:
            if isinstance(study.subject, LossCase):
                found = at_case(study.subject)
                self.last = found[0] if found else self.last
                return found
            all_made: list[Comparison] = []
            refuted = 0
            for case in cases():
                made = at_case(case)
                all_made += made
                refuted += any(one.ratio > GAP for one in made)
                if refuted == ENOUGH:
                    break
            return seen(all_made)

        return look

    def outcome(self, case: LossCase) -> Outcome:
        """What the baseline gives in a case; computed once."""
        if case not in self._outcomes:
            self._outcomes[case] = self._run(case)
        return self._outcomes[case]

    def _run(self, case: LossCase) -> Outcome:
        own, x = self._own(case), self.source.batch(case)
        values, unit, gradient, loss = [], 0.0, 0.0, 0.0
        try:
            for place, loss in enumerate((case.losses[case.row], *case.own)):
                found, leak = _call(own, x, case.losses_with(loss), differentiate=place == 0)
                values.append(float(found[case.row]))
                unit, gradient = max(unit, _unit(found)), max(gradient, leak)
        except BaselineError as error:
            failure = str(error).removesuffix("; --traceback shows more")
            return Outcome(np.empty(0), failure=failure, failed_at=loss)
        return Outcome(np.array(values), unit, gradient)

    def _own(self, case: LossCase) -> CustomBaseline:
        """The baseline of a case, with random numbers of the case's own."""
        return dataclasses.replace(self.states[case.state].own, seed=case.seed)

    def numbers(self, case: LossCase) -> list[Comparison]:
        """Whether the baseline gives numbers in a case.

        It must where everything is as on the text. Where it does not with one sentence alone, or
        with losses of another kind, it is undecided; at other lengths, it is a limit to be told.
        """
        outcome = self.outcome(case)
        failure, state = outcome.failure, self.states[case.state]
        place = f"{case.describe()}, {state.name}"
        what = f"numbers that B gives, losses {case.kind}"
        if not failure:
            return [Comparison(what, len(case.own) + 1, 0.0, 0.0, 1.0, place)]
        note = f"{failure} ({place})"
        as_text = max(case.lengths) <= self.source.longest and case.scale == 1.0 and state.usual
        if not as_text:
            self._limits.setdefault(f"{failure} ({place})")
            return []
        alone = len(case.losses) == 1
        if case.kind == MODEL and outcome.failed_at in self.source.table and not alone:
            return [Comparison(what, 1, math.inf, 0.0, 1.0, place, note)]
        unseen = "with one sentence alone" if alone else f"with losses {case.kind}"
        what = f"numbers that B gives {unseen}"
        return [Comparison(what, 1, 0.0, 0.0, 1.0, place, note, coarsest=math.inf, unseen=(note,))]

    def draws(self, case: LossCase) -> list[Comparison]:
        """Whether B of a sentence stays, as its own loss changes; nothing where it gave none."""
        outcome, losses = self.outcome(case), np.array((case.losses[case.row], *case.own))
        changed = float(np.ptp(losses))
        if outcome.failure or changed == 0.0:
            return []
        values, n = outcome.values, len(case.losses)
        spread = float(np.ptp(values))
        largest = float(max(np.abs(case.losses).max(), np.abs(losses).max(), np.abs(values).max()))
        # Leaving a loss out of a sum takes the sum and one difference: n + 2 roundings of it, and
        # what B makes of it, a multiple or a square, makes as much of them.
        # In single precision that would hide a leak: there it is looked at how B changes.
        bound = own_rounding.DOUBLE * (n + 2) * n * largest
        what = f"B of a sentence as its own loss changes, losses {case.kind}"
        place = f"{case.describe()}, {self.states[case.state].name}"
        plain_case = Comparison(what, len(values), spread, bound, changed, place)
        if spread <= bound:
            self._smallest[case.kind] = min(
                bound / changed, self._smallest.get(case.kind, math.inf)
            )
            return [plain_case]
        return [self._suspicious(case, outcome, plain_case, largest)]

    def _suspicious(
        self, case: LossCase, outcome: Outcome, seen: Comparison, largest: float
    ) -> Comparison:
        """A dependence, measured against what rounding and noise can do here."""
        losses = np.array((case.losses[case.row], *case.own))
        ends = losses[[int(np.argmin(outcome.values)), int(np.argmax(outcome.values))]]
        own, x = self._own(case), self.source.batch(case)

        def b(all_losses: np.ndarray, more: int = 0) -> float:
            seeded = dataclasses.replace(own, seed=own.seed + more)
            return float(_call(seeded, x, all_losses)[0][case.row])

        note = self.described(case, ends)
        try:
            noisy = b(case.losses_with(ends[0])) != b(case.losses_with(ends[0]), 1)
            noisy = noisy or b(case.losses_with(ends[1])) != b(case.losses_with(ends[1]), 1)
            if noisy:
                return self._of_noise(case, seen, ends, b, note)
            if len(case.losses) > 1 and not _follows_others(case, ends, b):
                # What rounds is what B makes of the others: where it reads none, nothing does.
                return dataclasses.replace(seen, note=note)
            return self._of_rounding(case, seen, ends, b, largest, note)
        except BaselineError as error:
            # It gave numbers at all of these losses, and does not a rounding away from one.
            return dataclasses.replace(
                seen, error=0.0, coarsest=math.inf, unseen=(str(error),), note=note
            )

    def _of_rounding(
        self,
        case: LossCase,
        seen: Comparison,
        ends: np.ndarray,
        b: Callable[..., float],
        largest: float,
        note: str,
    ) -> Comparison:
        """The comparison, with a bound for what rounding can do, or undecided where it may."""

        def of_loss(loss: float) -> float:
            return b(case.losses_with(loss))

        unit = self.unit(later=self.states[case.state].later)
        both = float(ends[0]), float(ends[1])
        steep = max(
            abs(b(moved) - of_loss(end))
            for end in both
            for moved in _moved(case, end, MOVED * unit * largest)
        )
        others = np.delete(case.losses, case.row)
        usual = not len(others) or own_rounding.of_one_size(np.array([*others, *both]))
        allowed = own_rounding.allow(of_loss, both, largest, unit, usual=usual)
        made = dataclasses.replace(seen, bound=seen.bound + steep + allowed.bound)
        if made.ratio <= 1.0 and seen.error <= COARSEST * largest:
            self._rounded = max(self._rounded, seen.error / largest)
            return made
        if made.ratio > GAP and (
            usual or any(self._stays(case, at, largest, unit, b) for at in (allowed.place, *both))
        ):
            return dataclasses.replace(made, note=note)
        if 1.0 < made.ratio <= GAP:
            return made
        why = (
            "where one loss is far larger than another, rounding, or numbers too small to be kept, "
            f"may do this: {note}"
        )
        what = f"{seen.what}, where rounding may hide the others'"
        return dataclasses.replace(
            made, what=what, error=0.0, coarsest=math.inf, unseen=(why,), note=note
        )

    def _stays(
        self, case: LossCase, place: float, largest: float, unit: float, b: Callable[..., float]
    ) -> bool:
        """Whether B follows its own loss where the others' are as large, and rounding small."""
        rng, n = np.random.default_rng(case.seed), len(case.losses)
        for turn in range(CLOSE):
            reach = own_rounding.reaches(place, largest)[turn % 2]
            others = place + reach * rng.uniform(-1.0, 1.0, n)
            own = place + reach * own_rounding.AMONG
            close = dataclasses.replace(case, losses=tuple(map(float, others)))

            def of_loss(loss: float, close: LossCase = close) -> float:
                return b(close.losses_with(loss))

            values = [of_loss(float(loss)) for loss in own]
            ends = float(own[int(np.argmin(values))]), float(own[int(np.argmax(values))])
            size = float(np.abs([*others, *own, *values]).max())
            if float(np.ptp(values)) <= GAP * own_rounding.DOUBLE * (n + 2) * n * size:
                continue
            allowed = own_rounding.allow(of_loss, ends, size, unit, usual=False)
            bound = own_rounding.DOUBLE * (n + 2) * n * size + allowed.bound
            if allowed.jumps:
                if turn % 2:  # as exponents they may be far apart, and one hide another
                    continue
                bound += own_rounding.of_squares(unit, size)
            if float(np.ptp(values)) > GAP * bound:
                return True
        return False

    def unit(self, *, later: bool) -> float:
        """The unit roundoff of what a baseline computes in, on usual losses."""
        if later not in self._units:
            state = self._last_usual(self.rows(later=later))
            own, rng = self.states[state].own, np.random.default_rng(self.seed)
            units = []
            for turn in range(PRECISION_CASES):
                case = self.source.draw(rng, MODEL, 3 + turn % 2)
                x, row, losses = self.source.batch(case), case.row, np.array(case.losses)

                def b(losses: np.ndarray, x: BaselineBatch = x, row: int = row) -> float:
                    return float(_call(own, x, losses)[0][row])

                with contextlib.suppress(BaselineError):
                    units.append(own_rounding.unit_of(b, losses, (row + 1) % len(losses)))
            self._units[later] = max(float(np.median(units or [0.0])), own_rounding.DOUBLE)
        return self._units[later]

    def _of_noise(
        self, case: LossCase, seen: Comparison, ends: np.ndarray, b: object, note: str
    ) -> Comparison:
        """The means of B at two own losses, over the random numbers that it draws."""
        assert callable(b)
        apart = np.array(
            [
                b(case.losses_with(ends[1]), seed) - b(case.losses_with(ends[0]), seed)
                for seed in range(1, SEEDS + 1)
            ]
        )
        error = float(apart.std(ddof=1)) / math.sqrt(SEEDS)
        bound = seen.bound + error * DEVIATIONS / GAP
        mean = abs(float(apart.mean()))
        what = f"mean of B over its own noise, losses {case.kind}"
        if mean > GAP * bound:
            return dataclasses.replace(seen, what=what, error=mean, bound=bound, note=note)
        why = "the random numbers that B draws depend on the sentence's own loss, and its mean may"
        return dataclasses.replace(
            seen, what=what, error=mean, bound=bound, note=note, coarsest=math.inf, unseen=(why,)
        )

    def described(self, case: LossCase, ends: Iterable[float]) -> str:
        """A counterexample in one line: losses, and B at two of the own ones."""
        own, x = self._own(case), self.source.batch(case)
        both = [case.losses_with(float(end)) for end in ends]
        values = [float(_call(own, x, losses)[0][case.row]) for losses in both]
        first, second = (f"({', '.join(f'{loss:.6g}' for loss in losses)})" for losses in both)
        with_losses = f"with losses {first}"
        if len(case.losses) > FEW:
            first, second = (f"{losses[case.row]:.6g}" for losses in both)
            with_losses = f"with {first} there"
        said = f"it is {values[1]:.6g}"
        if f"{values[0]:.6g}" == f"{values[1]:.6g}":
            said = f"{values[1] - values[0]:.3g} more"
        lengths = few(case.lengths)
        return (
            f"B of sentence {case.row}, of {len(case.losses)}, follows its own loss: {with_losses} "
            f"it is {values[0]:.6g}, with {second} {said} ({self.states[case.state].name}, "
            f"lengths {lengths})"
        )

    def gradients(self, case: LossCase) -> list[Comparison]:
        """Whether no gradient of the model's enters B, of PyTorch."""
        outcome = self.outcome(case)
        if outcome.failure or not self.states[case.state].own.torch:
            return []
        what = f"gradient of B by what it reads, losses {case.kind}"
        place = f"{case.describe()}, {self.states[case.state].name}"
        return [Comparison(what, 1, outcome.gradient, 0.0, 1.0, place)]

    def shares(self) -> dict[int, float | None]:
        """What B contains of its own loss, by N, on the model's losses, where it is fresh.

        None where B is in no proportion to it.
        """
        rng = np.random.default_rng(self.seed)
        shares: dict[int, float | None] = {}
        for n in SENTENCES:
            case = self.source.draw(rng, MODEL, n)
            loss, step = case.losses[case.row], 0.1 * self.source.size
            steps = (-2.0 * step, -step, step, 2.0 * step)
            outcome = self.outcome(
                dataclasses.replace(case, own=tuple(loss + each for each in steps))
            )
            if outcome.failure:
                continue
            slopes = (outcome.values[1:] - outcome.values[0]) / np.array(steps)
            rounding = 16.0 * outcome.unit * float(np.abs(outcome.values).max()) / step
            even = np.ptp(slopes) <= max(1e-3 * np.abs(slopes).max(), rounding)  # three digits
            shares[n] = float(slopes.mean()) if even else None
        return shares

    def looked(self, updates: int) -> Looked:
        """What was looked at so far."""
        done = [case for case, outcome in self._outcomes.items() if not outcome.failure]
        tried = [(case.losses[case.row], *case.own) for case in done]
        return Looked(
            cases=dict(Counter(case.kind for case in done)),
            sentences=tuple(sorted({len(case.losses) for case in done})),
            longest=max((max(case.lengths) for case in done), default=0),
            states=tuple(self.states[row].name for row in sorted({case.state for case in done})),
            updates=updates,
            smallest=max(self._smallest.values(), default=math.inf),
            losses=(min(map(min, tried), default=0.0), max(map(max, tried), default=0.0)),
            limits=tuple(self._limits),
            rounded=self._rounded,
        )


def missing(comparisons: list[Comparison]) -> list[Comparison]:
    """A comparison that saw nothing for each kind of losses that none was made with."""
    made = {one.what for one in comparisons}
    prefix = "B of a sentence as its own loss changes, losses"
    return [
        Comparison(f"{prefix} {kind}", 1, 0.0, 0.0, 0.0, "no case")
        for kind in KINDS
        if f"{prefix} {kind}" not in made
    ]


def _moved(case: LossCase, own: float, move: float) -> Iterator[np.ndarray]:
    """The losses moved by little: all to one side, and to either; equal ones stay equal."""
    rng = np.random.default_rng(case.seed)
    losses = case.losses_with(own)
    values, places = np.unique(losses, return_inverse=True)
    for step in (np.ones(len(values)), rng.choice([-1.0, 1.0], len(values))):
        for sign in (1.0, -1.0):
            yield losses + sign * move * step[places]


def _follows_others(case: LossCase, ends: np.ndarray, b: Callable[..., float]) -> bool:
    """Whether B follows the losses of the others, at either own loss."""
    size = float(np.abs([*case.losses, *ends]).max()) or 1.0
    for end in ends:
        losses = case.losses_with(float(end))
        others = np.arange(len(losses)) != case.row
        at_end = b(losses)
        for step in OTHERS_MOVED:
            if b(losses + np.where(others, step * size, 0.0)) != at_end:
                return True
    return False


def _unit(found: np.ndarray) -> float:
    return float(np.finfo(found.dtype).eps) / 2.0 if found.dtype.kind == "f" else 2.0**-53


def _call(
    own: CustomBaseline, x: BaselineBatch, losses: np.ndarray, *, differentiate: bool = False
) -> tuple[np.ndarray, float]:
    """B of each sentence, (N,), and its largest derivative by embeddings and losses."""
    given = dataclasses.replace(x, losses=losses)
    if not own.torch:
        return np.asarray(plain(own.called(given))), 0.0
    given = in_torch(given)
    carried = [given.embedded.requires_grad_(), given.losses.requires_grad_()]
    found = own.called(given)
    leak = 0.0
    if differentiate and getattr(found, "requires_grad", False):
        torch = load("torch").torch  # type: ignore[attr-defined]
        weight = torch.linspace(0.5, 1.5, len(losses), dtype=found.dtype)  # so that no sum cancels
        slopes = torch.autograd.grad((weight * found).sum(), carried, allow_unused=True)
        leak = max((float(abs(slope).max()) for slope in slopes if slope is not None), default=0.0)
        leak = leak if math.isfinite(leak) else math.inf
    return plain(found), leak
