"""Every baseline of the note's question in one table, as anybody's estimators are compared.

The estimator draws the label of a sentence and returns (L + log q + 1 - B) ∂log q + ∂L at it, from
the gradients of all labels. It is enumerated as anybody's estimator is: no parabola of
:mod:`gradproof.estimators.note.parabola` is used, so the two are independent witnesses.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np

from gradproof.estimators.engine import moments_table
from gradproof.estimators.engine.label_jacobian import LabelJacobian, label_jacobian
from gradproof.estimators.note.independence import check_independent
from gradproof.estimators.note.subject import Subject
from gradproof.reference_models.model import group_of

from ..user.estimator import check_estimator
from ..user.estimator_comparison import BUDGET, EstimatorComparison, compare_reports
from ..user.estimator_report import EstimatorReport
from ..user.summed_report import SummedReport
from .removable import EXACT, NO_FIT, check_same, exact_values, fitted_values, sentence_features

#: From 1 to the next number.
EPS = float(np.finfo(np.float64).eps)

#: What rounding may leave of the mean of the scores, which is zero, beside their mean magnitude.
#: Some thousand roundings of an LSTM leave 1e-12 of it, and a score that is wrong leaves all.
LEFT = 1e-9

#: Told of each sentence: how many are done, of how many.
Progress = Callable[[int, int], None]


def compare_baselines(
    train: Subject,
    held_out: Subject,
    *,
    rng: np.random.Generator,
    only: Collection[str] | None = None,
    costs: Mapping[str, float] | None = None,
    budget: float = BUDGET,
    progress: Progress | None = None,
) -> EstimatorComparison:
    """The note's estimator with each baseline in one table: exact bias and variance of the batch.

    Estimand: the gradient of the sum of U over the held-out sentences.
    Estimator: one label for each, (L + log q + 1 - B(x; lambda)) dlog q + dL. Rows are called as
    in the tables of the note's answer: by the baseline and how lambda was fitted.
    Valid when: no sentence enters another's cost. Each sentence is enumerated by itself, with K
    paths, and variances are added.

    Args:
        train: a model on the sentences that lambda is fitted on.
        held_out: the same model at the same parameters on those that are compared.
        rng: where fits begin that are not linear.
        only: names of rows; None: all.
        costs, budget: as of :func:`.compare_estimators`.

    Raises:
        ValueError: if the two subjects are not the same model at the same parameters, a sentence
            enters another's cost, the mean of its scores is not zero, or there is no row of a name.
        BackendMissing: if PyTorch is not installed.
    """
    check_same(train, held_out)
    check_independent(held_out)
    values = _chosen(baseline_values(train, held_out, rng=rng), only)
    sums = {name: SummedReport(name) for name in values}
    for place in range(held_out.batch.n):
        sentence = Sentence(label_jacobian(held_out.example(place)))
        for name, baseline in values.items():
            sums[name].add(sentence.check(name, float(baseline[place])))
        if progress is not None:
            progress(place + 1, held_out.batch.n)
    reports = {name: each.report for name, each in sums.items()}
    return compare_reports(reports, costs=costs, budget=budget)


def baseline_values(
    train: Subject, held_out: Subject, *, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """B of each held-out sentence by the name of the row, (N,)."""
    fitted_on, measured = moments_table(train), moments_table(held_out)
    features = sentence_features(train), sentence_features(held_out)
    rows = [
        *fitted_values(fitted_on, features[0], features[1], rng=rng),
        *exact_values(measured.quadratics()),
    ]
    n = held_out.batch.n
    named = {name if by in (NO_FIT, EXACT) else f"{name}, {by}": value for name, by, value in rows}
    return {name: np.broadcast_to(value, (n,)) for name, value in named.items()}


class Sentence:
    """One sentence at every label: what its estimates are made of."""

    def __init__(self, jacobian: LabelJacobian) -> None:
        k = len(jacobian.log_q)
        q = np.exp(jacobian.log_q)
        self._q = q / q.sum()
        self._returns = np.where(q > 0.0, jacobian.loss + jacobian.log_q + 1.0, 0.0)
        groups = np.repeat(
            [group_of(name) for name in jacobian.sizes], list(jacobian.sizes.values())
        )
        parts = {group: jacobian.rows[:, groups == group] for group in dict.fromkeys(groups)}
        self._score = {group: rows[:k] for group, rows in parts.items()}
        self._pathwise = {group: rows[k:] for group, rows in parts.items()}
        self._centre = float(self._q @ self._returns)
        self._check_scores()

    def _check_scores(self) -> None:
        """Whether their mean is zero: what is left of it is taken for rounding from here on.

        Raises:
            ValueError: if not.
        """
        for group, score in self._score.items():
            left, size = np.abs(self._q @ score), self._q @ np.abs(score)
            if not left.max(initial=0.0) <= LEFT * size.max(initial=0.0):
                raise ValueError(
                    f"the mean of the scores by {group} is {left.max():.2g}, expected zero but for "
                    "rounding; log q is not normalised over the labels, or its derivative is wrong"
                )

    def check(self, name: str, baseline: float) -> EstimatorReport:
        """The report on the estimate with a baseline."""
        rng = np.random.default_rng()  # of which every outcome is taken

        def estimate() -> dict[str, np.ndarray]:
            label = rng.choice(len(self._q), p=self._q)
            weight = self._returns[label] - baseline
            return {
                group: weight * score[label] + self._pathwise[group][label]
                for group, score in self._score.items()
            }

        return check_estimator(
            estimate,
            exact=self._gradient(),
            exact_error=self._error(baseline),
            name=name,
            progress=False,
        )

    def _gradient(self) -> dict[str, np.ndarray]:
        """Of U, with E[R] taken off R: the terms are smaller so, and cancel less."""
        weight = self._q * (self._returns - self._centre)
        return {
            group: weight @ score + self._q @ self._pathwise[group]
            for group, score in self._score.items()
        }

    def _error(self, baseline: float) -> dict[str, np.ndarray]:
        """What rounding leaves of it: in the sum, and in the mean of the score, which is zero."""
        weight = self._q * np.abs(self._returns - self._centre)
        moved = abs(self._centre) + abs(baseline)
        error = {}
        for group, score in self._score.items():
            terms = weight @ np.abs(score) + self._q @ np.abs(self._pathwise[group])
            # K products and sums, each rounded once, of two terms.
            error[group] = 2 * len(self._q) * 2 * EPS * terms + moved * np.abs(self._q @ score)
        return error


def _chosen(values: dict[str, np.ndarray], only: Collection[str] | None) -> dict[str, np.ndarray]:
    for name in only or ():
        if name not in values:
            raise ValueError(f"no row is called {name!r}; there are {', '.join(values)}")
    return {name: value for name, value in values.items() if only is None or name in only}
