"""What shows that an estimator is wrong where the mean over all its draws is right."""

from __future__ import annotations

from gradproof.estimators.enumeration.estimator import Estimator

from ..evidence import REFUTED
from ..sequential.error_rates import ALPHA
from ..user.estimator import check_estimator
from ..user.estimator_report import EstimatorReport
from ..user.sampled import RepeatedSamples, sample
from ..user.surrogate import check_surrogate
from .bugs import ROWS, BenchmarkRow

#: By the id of a row: another of its framework to hold it against. Of a variance the right
#: estimator that is meant; of a gradient that does not arrive the same one, its parameter given.
PEERS = {
    "outer-product-sum": "no-baseline",
    "samples-repeated": "samples-averaged",
    "critic-never-trained": "critic-as-number",
}

#: A variance that is larger by less than this would be no mistake worth a row.
LARGER = 1.5

#: Plain runs, by the framework's own generator, and the probability of the rarest outcome that
#: matters to them. A generator that is seeded in each call shows as soon as anything is tested.
DRAWS, RAREST = 5_000, 0.01


def is_wrong(row: BenchmarkRow) -> bool | None:
    """Whether the check that a row names in ``sees`` says that it is wrong; None: there is none."""
    look = {
        "variance": _varies_more,
        "sampler": _draws_otherwise,
        "reach": _does_not_reach,
        "state": _leaves_changed,
    }
    if row.raises is not None or row.sees not in look:
        return None
    return look[row.sees](row)


def _varies_more(row: BenchmarkRow) -> bool:
    """The exact total variance, against that of the estimator which is meant."""
    return _check(row).total_variance > LARGER * _check(_peer(row)).total_variance


def _draws_otherwise(row: BenchmarkRow) -> bool:
    """The mean of plain runs, against the exact gradient."""
    problem, exact = row.make(), _check(row).exact
    estimator = Estimator(problem.estimate, problem.inputs, wrt=problem.wrt, reset=problem.reset)
    try:
        found = sample(estimator, exact, draws=DRAWS, alpha=ALPHA, rarest=RAREST)
    except RepeatedSamples:
        return True
    return found.test.rejected


def _does_not_reach(row: BenchmarkRow) -> bool:
    """Which parameters the gradient reaches, against all that there are."""
    problem = _peer(row).make()
    assert problem.surrogate is not None
    names = [str(place) for place in range(len(problem.inputs))]
    found = check_surrogate(problem.surrogate, problem.inputs, reaches=names)
    return found.verdict == REFUTED and set(found.reached) < set(names)


def _leaves_changed(row: BenchmarkRow) -> bool:
    """Whether anything is other after a run than before it."""
    return bool(_check(row).changed)


def _peer(row: BenchmarkRow) -> BenchmarkRow:
    return ROWS[f"{row.framework}/{PEERS[row.id]}"]


def _check(row: BenchmarkRow) -> EstimatorReport:
    problem = row.make()
    return check_estimator(problem.estimate, problem.inputs, **problem.options())
