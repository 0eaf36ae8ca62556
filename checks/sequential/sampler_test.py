"""Are these labels drawn from these probabilities? An anytime-valid test, by betting.

An estimator enumerated with q is right for a sampler that draws from q, and says nothing of one
that does not; only draws show that. Here a bettor predicts each label from those before it: label
k with probability (c q_k + n_k)/(c + n), by Dirichlet's prior around q with strength c. His wealth
is multiplied by that over q_k: on average by 1 if q is right, so that it ever reaches 1/alpha with
probability at most alpha (Ville 1939), whenever one looks, and however rare a label is. Nothing is
assumed but independence. The mean over strengths, from one draw's to a million draws', is a wealth
too; a strong prior finds what is slightly off in many labels, and a weak one what is far off. One
bettor more takes all labels for alike at first, half a draw of each: those above would never expect
a label of probability 1e-300, however often it is drawn.

References:
    Ville 1939, Étude critique de la notion de collectif. Good 1967, A Bayesian significance test
    for multinomial distributions. Krichevsky and Trofimov 1981, The performance of universal
    encoding. Lindon and Malek 2022, Anytime-valid inference for multinomial
    count data.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

import numpy as np
from scipy.special import chndtrinc, logsumexp, rel_entr

from ..evidence import NothingCompared
from ..no_truth_value import NoTruthValue
from .error_rates import ALPHA, POWER
from .wealth import CELLS, ROUNDINGS, exp, log_sum, settle_bets

#: Strengths of the priors, in draws. Steps of four lose little to the best strength between.
STRENGTHS = 4.0 ** np.arange(11)

#: Draws of each label that the last bettor begins with (Krichevsky and Trofimov 1981).
ALIKE = 0.5

#: All of them.
BETTORS = STRENGTHS.size + 1

#: Halvings of an interval within 0 and 1: a millionth of a millionth is left.
BISECTIONS = 40


@dataclasses.dataclass(frozen=True)
class SamplerTestResult(NoTruthValue):
    """The report on a sampler: verdict, e-value, threshold; asserts and tables only read it.

    ``e_value`` is the wealth when the test stopped: under a right sampler it is 1 or less on
    average, and it ever reaches 1/alpha with probability at most alpha. ``worst`` is the label that
    is the most standard errors away, or the impossible one that was seen; ``frequency``,
    ``probability`` and ``standard_error`` (under a right sampler) are its own. ``detectable`` is,
    by label, the smallest excess of its probability, made up for by all others alike, that would
    have been seen with probability ``power`` in as many draws (an approximation by chi-squares;
    infinite where none is large enough). ``reason`` says why it was rejected without a bet.

    Shape:
        ``detectable`` (K,).
    """

    rejected: bool
    alpha: float
    draws: int
    e_value: float
    worst: int
    frequency: float
    probability: float
    standard_error: float
    power: float
    detectable: np.ndarray
    assumption: str
    reason: str = ""

    condition_words: ClassVar[str] = "result.rejected"

    def explain(self) -> str:
        """A paragraph: what came out, where it is worst, on what it rests."""
        verdict = "labels are not drawn from these" if self.rejected else "nothing found"
        lines = [
            f"{verdict}: e-value {self.e_value:.3e}, rejects at {1 / self.alpha:.3e}, after "
            f"{self.draws:,} draws.",
            f"frequency of label {self.worst} is {self.frequency:.6e}, should be "
            f"{self.probability:.6e} [standard error {self.standard_error:.1e}].",
        ]
        if self.reason:
            lines.append(self.reason)
        if not self.rejected:
            lines.append(
                f"An excess of {self.detectable[self.worst]:.1e} in that probability would have "
                f"been seen with probability {self.power:g}, and of {self.detectable.max():.1e} in "
                "any."
            )
        return "\n".join([*lines, f"Valid if {self.assumption}."])


class SamplerTest:
    """Anytime-valid test that labels are drawn from given probabilities.

    Estimand: whether P(label = k) = exp(``log_probabilities[k]``) for every k.
    Estimator: the wealth of a Dirichlet-multinomial bettor, rejecting at 1/``alpha``.
    Valid when: draws are independent.

    Args:
        log_probabilities: minus infinity where a label is impossible.
        alpha: probability of a false alarm, of the whole test, at whatever draw it is stopped.
        power: for which the smallest visible error is stated.

    Shape:
        ``log_probabilities`` (K,).

    Raises:
        ValueError: for what are no log probabilities; raw logits are none.

    Reference: see the module.
    """

    assumption = "labels are drawn independently of each other"

    def __init__(
        self, log_probabilities: Any, *, alpha: float = ALPHA, power: float = POWER
    ) -> None:
        for name, value in (("alpha", alpha), ("power", power)):
            if not 0.0 < value < 1.0:
                raise ValueError(f"{name} is {value}, should be between 0 and 1")
        self._log_q = _normalise(log_probabilities)
        self.alpha, self.power = alpha, power
        self.counts = np.zeros(self._log_q.size, dtype=np.int64)
        self._possible = int(np.count_nonzero(self._log_q > -np.inf))
        self._wealth = np.zeros(BETTORS)  # its logarithm
        self.reason = ""
        self.rejected = False

    def feed(self, labels: Any) -> bool:
        """Take labels; whether the sampler is rejected, so that drawing may stop.

        How labels are cut into blocks changes nothing. Those after a rejection are ignored.

        Args:
            labels: one or a block of them, in the order of their drawing.

        Shape:
            ``labels`` () or (B,).

        Raises:
            TypeError: for labels that are not integers.
            ValueError: for another shape, or a label that has no probability.
        """
        block = self._read(labels)
        rows = CELLS // BETTORS
        for start in range(0, len(block), rows):
            if not self.rejected:
                self._take(block[start : start + rows])
        return self.rejected

    def found(self) -> SamplerTestResult:
        """The report so far.

        Raises:
            NothingCompared: if nothing was fed.
        """
        draws = int(self.counts.sum())
        if not draws:
            raise NothingCompared("zero labels: a verdict needs at least one; feed it draws")
        q = np.exp(self._log_q)
        errors = np.sqrt(q * (1.0 - q) / draws)
        off = np.abs(self.counts / draws - q)
        units = np.divide(off, errors, out=np.where(off > 0.0, np.inf, 0.0), where=errors > 0.0)
        impossible = (self.counts > 0) & (self._log_q == -np.inf)
        worst = int(np.argmax(impossible if impossible.any() else units))
        return SamplerTestResult(
            rejected=self.rejected,
            alpha=self.alpha,
            draws=draws,
            e_value=math.inf if self.reason else exp(self._total(self._wealth)),
            worst=worst,
            frequency=float(self.counts[worst] / draws),
            probability=float(q[worst]),
            standard_error=float(errors[worst]),
            power=self.power,
            detectable=self._detectable(draws),
            assumption=self.assumption,
            reason=self.reason,
        )

    def _read(self, labels: Any) -> np.ndarray:
        block = np.asarray(labels)
        if block.dtype.kind not in "iu":
            raise TypeError(f"labels are of type {block.dtype}, should be integers")
        if block.ndim > 1:
            raise ValueError(f"labels have shape {block.shape}, should be () or (B,)")
        block, size = np.atleast_1d(block), self.counts.size
        strange = (block < 0) | (block >= size)
        if strange.any():
            raise ValueError(
                f"label {block[np.argmax(strange)]} has no probability: there are {size} labels, "
                "from 0"
            )
        return block.astype(np.int64)

    def _take(self, block: np.ndarray) -> None:
        """Settle the bets on some draws, up to the one that decides."""
        impossible = np.flatnonzero(self._log_q[block] == -np.inf)
        possible = block[: impossible[0]] if impossible.size else block
        taken = len(possible)
        if taken:
            self._wealth, taken, self.rejected = settle_bets(
                self._wealth, self._gains(possible), self._total, -math.log(self.alpha)
            )
        if impossible.size and not self.rejected:
            label, taken = int(block[impossible[0]]), taken + 1
            self.rejected = True
            self.reason = f"label {label} was drawn, which has probability 0."
        self.counts += np.bincount(block[:taken], minlength=self.counts.size)

    def _gains(self, block: np.ndarray) -> np.ndarray:
        """By what the logarithm of wealth grows with each draw: (B, bettors)."""
        log_q, draws = self._log_q[block], self.counts.sum() + np.arange(len(block))
        with np.errstate(divide="ignore"):  # a label that was not seen before
            seen = np.log(self.counts[block] + _count_before(block)) - log_q
        around = np.broadcast_to(np.log(STRENGTHS), (len(block), STRENGTHS.size))
        prior = np.column_stack([around, math.log(ALIKE) - log_q])
        total = np.append(STRENGTHS, ALIKE * self._possible)
        gains: np.ndarray = np.logaddexp(prior, seen[:, None]) - np.log(total + draws[:, None])
        return gains

    @staticmethod
    def _total(wealth: np.ndarray) -> Any:
        """The mean wealth's logarithm."""
        return log_sum(wealth) - math.log(BETTORS)

    def _detectable(self, draws: int) -> np.ndarray:
        """The smallest excess of each probability that would be seen with ``power``.

        With K - 1 = d degrees of freedom and r = n/(n + c), the wealth of strength c is about
        exp(r X/2) (1 + n/c)^(-d/2), where X is twice the logarithm of the likelihood ratio (Good
        1967): a chi-square, noncentral by 2n times the divergence from q of what is drawn from.
        """
        free = self._possible - 1
        if not free:
            return np.zeros_like(self._log_q)
        need = 2.0 * (math.log(BETTORS) - math.log(self.alpha))
        ratio = (need + free * np.log1p(draws / STRENGTHS)) * (1.0 + STRENGTHS / draws)
        noncentrality = float(chndtrinc(ratio.min(), free, 1.0 - self.power))
        return _excess(np.exp(self._log_q), noncentrality / (2.0 * draws))


def _excess(q: np.ndarray, divergence: float) -> np.ndarray:
    """What to add to a probability for a divergence from it; infinite where none is as large."""
    low, high = np.zeros_like(q), 1.0 - q
    with np.errstate(divide="ignore"):
        possible = (q == 0.0) | (-np.log(q) >= divergence)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2.0
        p = q + middle
        far = np.where(q > 0.0, rel_entr(p, q) + rel_entr(1.0 - p, 1.0 - q), np.inf) >= divergence
        low, high = np.where(far, low, middle), np.where(far, middle, high)
    return np.where(possible, high, np.inf)


def _count_before(block: np.ndarray) -> np.ndarray:
    """How often each label of a block stands before it in the block."""
    order = np.argsort(block, kind="stable")
    ordered = block[order]
    place = np.arange(len(block))
    begins = np.maximum.accumulate(np.where(np.diff(ordered, prepend=-1) != 0, place, 0))
    before = np.empty_like(place)
    before[order] = place - begins
    return before


def _normalise(log_probabilities: Any) -> np.ndarray:
    """Log probabilities that add up to one exactly: what is missing by rounding is made up for.

    Raises:
        ValueError: if they are none.
    """
    array = np.asarray(log_probabilities)
    log_q = array.astype(np.float64)
    if log_q.ndim != 1 or not log_q.size:
        raise ValueError(f"log probabilities have shape {log_q.shape}, should be (K,)")
    if np.isnan(log_q).any() or (log_q == np.inf).any():
        raise ValueError(
            "log probabilities are NaN or infinite; only minus infinity (probability 0) is allowed"
        )
    total = float(logsumexp(log_q))
    kind = array.dtype if array.dtype.kind == "f" else np.float64
    if not abs(total) <= ROUNDINGS * float(np.finfo(kind).eps):
        raise ValueError(
            f"probabilities add up to {math.exp(min(total, 700.0)):.6e}, should be 1: pass log "
            "probabilities, not logits"
        )
    normal: np.ndarray = log_q - total
    return normal
