"""What a draw may come out as: a distribution over numbered outcomes, never a list of them.

A draw of two thousand million equally likely numbers is as small here as a coin. Outcomes are
numbered from 0; what a number stands for is the business of whoever asks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

#: The step from 1 to the next number in double precision.
EPS = float(np.finfo(np.float64).eps)

#: How far probabilities that somebody gives may be from adding up to one: those of single precision
#: by some hundred roundings. Of coarser ones each is off by half a step of itself, and so is the
#: sum of all; twice that for what made them, and twice again for whatever adds them up.
UNNORMALISED = 1e-5
UNNORMALISED_STEPS = 4.0


_DOUBLE = np.dtype(np.float64)


def precision_of(given: Any) -> float:
    """The step from 1 to the next number, of what probabilities are given in."""
    kind = given.dtype if isinstance(given, np.ndarray | np.generic) else np.asarray(given).dtype
    if kind is _DOUBLE or kind.kind != "f":
        return EPS
    return float(np.finfo(kind).eps)


class OutcomeDistribution:
    """A distribution over outcomes 0 .. count - 1.

    Args:
        what: draws, for messages.
        count: how many outcomes are numbered, possible or not.
        precision: of the probabilities as they were given, as the step from 1 to the next number.
    """

    __slots__ = ("count", "precision", "what")
    #: Whether only some outcomes are kept, of a law without an end; see :mod:`.counts`.
    is_cut = False

    def __init__(self, what: str, count: int, precision: float = EPS) -> None:
        self.what, self.count, self.precision = what, count, precision

    @property
    def possible(self) -> int:
        """How many have a probability above zero; some of these may be too rare for a number."""
        return self.count

    @property
    def rarest(self) -> float:
        """The least probability above zero."""
        raise NotImplementedError

    def probability(self, outcome: int) -> float:
        """Of one outcome."""
        raise NotImplementedError

    def next_possible(self, outcome: int) -> int | None:
        """The next possible outcome; the first after -1; None after the last."""
        raise NotImplementedError

    def rank(self, outcome: int) -> int:
        """How many possible outcomes come before this one."""
        if self.possible == self.count:
            return outcome
        before, other = 0, self.next_possible(-1)
        while other is not None and other < outcome:
            before, other = before + 1, self.next_possible(other)
        return before

    def listed(self) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of the possible outcomes, and their probabilities; each (K,)."""
        numbers = []
        outcome = self.next_possible(-1)
        while outcome is not None:
            numbers.append(outcome)
            outcome = self.next_possible(outcome)
        return np.array(numbers), np.array([self.probability(each) for each in numbers])

    def quantile(self, share: float) -> int:
        """The outcome in which the cumulative probability reaches a share of 1."""
        raise NotImplementedError

    def key(self) -> object:
        """Equal for equal distributions, and only for these."""
        raise NotImplementedError

    def is_same(self, other: OutcomeDistribution) -> bool:
        """Whether the other is the same draw by the same probabilities."""
        return type(self) is type(other) and self.what == other.what and self.key() == other.key()

    def is_like(self, other: OutcomeDistribution) -> bool:
        """Whether the other is the same draw, by probabilities that may be others."""
        return (self.what, self.count) == (other.what, other.count)

    def __str__(self) -> str:
        shown = ", ".join(f"{self.probability(each):.3g}" for each in range(min(6, self.count)))
        return f"{self.what} with probabilities ({shown}{', ...' if self.count > 6 else ''})"


#: Answers a draw with the number of an outcome.
Choose = Callable[[OutcomeDistribution], int]


class Coin(OutcomeDistribution):
    """Outcome 1 with a probability, outcome 0 otherwise.

    Raises:
        ValueError: for a probability that is none.
    """

    __slots__ = ("_one", "_zero")

    def __init__(
        self, what: str, one: float, precision: float = EPS, zero: float | None = None
    ) -> None:
        if not 0.0 <= one <= 1.0:
            raise ValueError(
                f"{what} draws with probability {one!r}, expected a number from 0 to 1"
            )
        self.what, self.count, self.precision, self._one = what, 2, precision, one
        self._zero = 1.0 - one if zero is None else zero

    @property
    def possible(self) -> int:
        """One where the coin has two equal sides."""
        return (self._one > 0.0) + (self._zero > 0.0)

    @property
    def rarest(self) -> float:
        """The less likely side."""
        return min(each for each in (self._one, self._zero) if each > 0.0)

    def probability(self, outcome: int) -> float:
        """Of 0 or of 1."""
        return self._one if outcome else self._zero

    def next_possible(self, outcome: int) -> int | None:
        """See the base class."""
        if outcome < 0 and self._zero > 0.0:
            return 0
        return 1 if outcome < 1 and self._one > 0.0 else None

    def quantile(self, share: float) -> int:
        """1 in the upper part."""
        return int(share >= self._zero) if self._one > 0.0 else 0

    def key(self) -> object:
        """The probability of 1."""
        return self._one

    def is_same(self, other: OutcomeDistribution) -> bool:
        """See the base class; coins are thrown by the thousand."""
        return type(other) is Coin and self._one == other._one and self.what == other.what


class Uniform(OutcomeDistribution):
    """So many outcomes, all as likely; as many as a machine word holds, or more.

    Raises:
        ValueError: for none.
    """

    __slots__ = ()

    def __init__(self, what: str, count: int) -> None:
        super().__init__(what, count)
        if count < 1:
            raise ValueError(f"{what} draws one of {count} outcomes, expected at least one")

    @property
    def rarest(self) -> float:
        """That of each."""
        return 1.0 / self.count

    def probability(self, outcome: int) -> float:
        """The same of each."""
        return 1.0 / self.count

    def next_possible(self, outcome: int) -> int | None:
        """See the base class."""
        return outcome + 1 if outcome + 1 < self.count else None

    def quantile(self, share: float) -> int:
        """By division."""
        return min(int(share * self.count), self.count - 1)

    def key(self) -> object:
        """How many."""
        return self.count


class Categorical(OutcomeDistribution):
    """One probability an outcome.

    Args:
        probabilities: (K,), which add up to one; made by :func:`table` and :func:`tables`.
    """

    __slots__ = ("_possible", "_probabilities", "weights")

    def __init__(self, what: str, probabilities: np.ndarray, precision: float = EPS) -> None:
        super().__init__(what, probabilities.size, precision)
        self._probabilities = probabilities
        self._possible = 0
        #: What it was made of together with others; None: that is not known.
        self.weights: WeightRows | None = None

    @property
    def possible(self) -> int:
        """Those above zero."""
        if not self._possible:  # there is one at least
            self._possible = int(np.count_nonzero(self._probabilities))
        return self._possible

    @property
    def rarest(self) -> float:
        """The smallest above zero."""
        return float(self._probabilities[self._probabilities > 0.0].min())

    def probability(self, outcome: int) -> float:
        """As given."""
        return float(self._probabilities[outcome])

    def next_possible(self, outcome: int) -> int | None:
        """See the base class."""
        place = outcome + 1
        if place < self.count and self._probabilities[place] > 0.0:
            return place  # the usual case, without a search
        left = np.flatnonzero(self._probabilities[place:])
        return place + int(left[0]) if left.size else None

    def rank(self, outcome: int) -> int:
        """Those above zero."""
        return int(np.count_nonzero(self._probabilities[:outcome]))

    def listed(self) -> tuple[np.ndarray, np.ndarray]:
        """Those above zero."""
        numbers = np.flatnonzero(self._probabilities)
        return numbers, self._probabilities[numbers]

    def quantile(self, share: float) -> int:
        """By the cumulative sum."""
        place = int(np.searchsorted(np.cumsum(self._probabilities), share, side="right"))
        place = min(place, self.count - 1)
        # The sum may end a rounding below 1, and outcomes that cannot be have no width.
        return (
            place
            if self._probabilities[place] > 0.0
            else int(np.flatnonzero(self._probabilities)[-1])
        )

    def key(self) -> object:
        """The numbers themselves."""
        return self._probabilities.tobytes()


class WeightRows(NamedTuple):
    """Rows of weights, as bytes, and what was made of all but the first."""

    given: bytes
    others: list[Categorical]


def table(what: str, probabilities: Any, precision: float | None = None) -> Categorical:
    """A draw by probabilities that somebody gives.

    Args:
        probabilities: of each outcome, (K,); normalised if their sum is not quite 1.
        precision: of these. None: that of their type.

    Raises:
        ValueError: if they are none.
    """
    given = np.asarray(probabilities)
    if given.ndim != 1:
        raise ValueError(
            f"{what} draws with probabilities of shape {given.shape}, expected one a outcome, (K,)"
        )
    return tables(what, given[None], precision)[0]


def tables(what: str, rows: Any, precision: float | None = None) -> list[Categorical]:
    """A draw for each row of probabilities; see :func:`table`.

    Shape:
        ``rows`` (N, K).

    Raises:
        ValueError: for a row that is no distribution.
    """
    given = np.asarray(rows)
    step = precision_of(given) if precision is None else precision
    weights = given.astype(np.float64)
    if not weights.size:
        if len(weights):
            raise ValueError(f"{what} draws one of no outcomes, expected at least one")
        return []
    totals = weights.sum(axis=-1)
    # Both comparisons are false of NaN.
    off = max(UNNORMALISED, UNNORMALISED_STEPS * step)
    if not (weights.min() >= 0.0 and np.abs(totals - 1.0).max() <= off):
        good = (weights.min(axis=-1) >= 0.0) & (np.abs(totals - 1.0) <= off)
        _refuse(what, weights[int(np.argmin(good))])
    if step > EPS or np.any(np.abs(totals - 1.0) > EPS):
        weights = weights / totals[:, None]
    return [Categorical(what, row, step) for row in weights]


def _refuse(what: str, row: np.ndarray) -> None:
    total = float(row.sum())
    if not np.isfinite(row).all() or (row < 0.0).any() or total <= 0.0:
        raise ValueError(
            f"{what} draws with probabilities {row.tolist()!r:.80}, expected finite numbers that "
            "are not negative, and not all zero"
        )
    raise ValueError(f"{what} draws with probabilities that sum to {total:.6g}, expected 1")


def weighted_rows(
    what: str, rows: np.ndarray, precision: float, before: OutcomeDistribution | None = None
) -> list[Categorical]:
    """A draw for each row of weights, (N, K), in double precision.

    Args:
        before: what the first of these was in an earlier run. If it was made of the same weights,
            these are those of that run.

    Raises:
        ValueError: for weights that are negative, not finite or all zero.
    """
    known = formed_before(before, what, rows, precision)
    if known is not None:
        return known
    if not len(rows):
        return []
    totals = rows.sum(axis=-1)
    if not (rows.shape[-1] and rows.min() >= 0.0 and 0.0 < totals.min() <= totals.max() < math.inf):
        for row in rows:
            if not (row.size and row.min() >= 0.0 and 0.0 < row.sum() < math.inf):
                _refuse(what, row)
    tables = [Categorical(what, row, precision) for row in rows / totals[:, None]]
    tables[0].weights = WeightRows(rows.tobytes(), tables[1:])
    return tables


def formed_before(
    before: OutcomeDistribution | None, what: str, rows: np.ndarray, precision: float
) -> list[Categorical] | None:
    """What :func:`weighted_rows` made in an earlier run, if it was given the same to the last bit.

    Args:
        before: the first of what was drawn from there.
    """
    if type(before) is not Categorical or before.weights is None:
        return None
    if before.what != what or before.precision != precision:
        return None
    given, others = before.weights
    if given != rows.tobytes() or 1 + len(others) != len(rows):
        return None
    return [before, *others]


def weighted_table(
    what: str,
    weights: Any,
    precision: float | None = None,
    before: OutcomeDistribution | None = None,
) -> Categorical:
    """A draw by weights, (K,), which need not add up to one; see :func:`weighted_rows`.

    Raises:
        ValueError: for weights that are negative, not finite or all zero.
    """
    given = np.asarray(weights)
    step = precision_of(given) if precision is None else precision
    if given.ndim != 1:
        _refuse(what, np.atleast_1d(given.astype(np.float64)).reshape(-1))
    return weighted_rows(what, given.astype(np.float64)[None], step, before)[0]


def draw_without_replacement(choose: Choose, what: str, count: int, draws: int) -> list[int]:
    """So many of ``count`` places, in order, none twice; no others are listed."""
    moved: dict[int, int] = {}
    found = []
    for place in range(draws):
        other = place + choose(Uniform(what, count - place))
        # As if the places stood in a row, and each that was drawn were swapped to the front.
        found.append(moved.get(other, other))
        moved[other] = moved.get(place, place)
    return found


def draw_weighted_without_replacement(
    choose: Choose, what: str, weights: np.ndarray, draws: int, precision: float
) -> list[int]:
    """The same by weights, (K,), of which those that are left count."""
    left, found = np.array(weights, np.float64), []
    for _ in range(draws):
        found.append(choose(weighted_table(what, left, precision)))
        left[found[-1]] = 0.0
    return found


def binomial(what: str, trials: int, one: float, precision: float = EPS) -> OutcomeDistribution:
    """How many of so many trials come out 1.

    Raises:
        ValueError: for a negative number of trials, or a probability that is none.
    """
    if trials < 0:
        raise ValueError(f"{what} draws of {trials} trials, expected 0 or more")
    if trials == 1:
        return Coin(what, one, precision)
    if not 0.0 <= one <= 1.0:
        raise ValueError(f"{what} draws with probability {one!r}, expected a number from 0 to 1")
    if one in (0.0, 1.0) or not trials:
        return Certain(what, int(trials * one), trials + 1)
    return Binomial(what, trials, one, precision)


class Certain(OutcomeDistribution):
    """One outcome of several that cannot be."""

    __slots__ = ("_outcome",)
    possible, rarest = 1, 1.0

    def __init__(self, what: str, outcome: int, count: int) -> None:
        super().__init__(what, count)
        self._outcome = outcome

    def probability(self, outcome: int) -> float:
        """One or zero."""
        return float(outcome == self._outcome)

    def next_possible(self, outcome: int) -> int | None:
        """See the base class."""
        return self._outcome if outcome < self._outcome else None

    def quantile(self, share: float) -> int:
        """The one."""
        return self._outcome

    def key(self) -> object:
        """Which, of how many."""
        return self._outcome, self.count


class Binomial(OutcomeDistribution):
    """A number of successes, 0 to ``trials``; probabilities are formed when they are asked for."""

    __slots__ = ("_one", "_table", "_trials")

    def __init__(self, what: str, trials: int, one: float, precision: float = EPS) -> None:
        super().__init__(what, trials + 1, precision)
        self._trials, self._one = trials, one
        self._table: Categorical | None = None

    @property
    def rarest(self) -> float:
        """At one of the two ends."""
        return max(min(self._one, 1.0 - self._one) ** self._trials, math.ulp(0.0))

    def _form(self) -> Categorical:
        if self._table is None:
            ratios = _binomials(self._trials, self._one)
            self._table = Categorical(self.what, ratios / ratios.sum(), self.precision)
        return self._table

    def probability(self, outcome: int) -> float:
        """Of so many successes."""
        return self._form().probability(outcome)

    def next_possible(self, outcome: int) -> int | None:
        """See the base class."""
        return self._form().next_possible(outcome)

    def quantile(self, share: float) -> int:
        """By the cumulative sum."""
        return self._form().quantile(share)

    def key(self) -> object:
        """The parameters."""
        return self._trials, self._one


def _binomials(trials: int, one: float) -> np.ndarray:
    """Probabilities of 0 to ``trials`` successes, up to a factor: ratios from the likeliest on."""
    mode = min(int((trials + 1) * one), trials)
    up, down = np.arange(mode, trials), np.arange(mode, 0, -1)
    odds = one / (1.0 - one)
    above = np.cumprod((trials - up) / (up + 1.0) * odds)
    below = np.cumprod(down / (trials - down + 1.0) / odds)
    return np.concatenate([below[::-1], np.ones(1), above])
