"""A range or a standard deviation that is known: nothing is learnt, and no verdict hangs on it."""

import numpy as np
import pytest

from gradproof import check_estimator
from gradproof.checks.evidence import HOLDS, REFUTED
from gradproof.checks.sequential.mean_test import BeyondRange
from gradproof.checks.user.known_spread import BeyondSpread

M = np.array([3.0, -2.0])

#: Of 2 (m + u), u uniform on (-1, 1).
BOUNDS, SD = (2.0 * M - 2.0, 2.0 * M + 2.0), 2.0 / np.sqrt(3.0)


def estimator(scale=1.0):
    """Of the gradient of E[(m + u)^2] by the sample itself."""
    rng = np.random.default_rng()
    return lambda m: scale * 2.0 * (m + rng.uniform(-1.0, 1.0, np.shape(m)))


@pytest.mark.parametrize("known", [{"bounds": BOUNDS}, {"bounds": (-6.6, 8.8)}, {"sd": SD}])
def test_no_draw_goes_into_a_range_that_is_known(known):
    """A bias of a tenth is refuted in hundreds of draws, where 17,000 would teach the range."""
    found = check_estimator(estimator(), [M], exact=2.0 * M, draws=4000, **known)
    assert found.verdict == HOLDS
    assert not found.condition
    assert "that was given" in found.explain()
    wide = {"bounds": (-8.8, 8.8)} if "bounds" in known else known
    wrong = check_estimator(estimator(1.1), [M], exact=2.0 * M, draws=4000, **wide)
    assert wrong.verdict == REFUTED
    assert wrong.draws < 2000


def test_arrays_by_name():
    """As gradients are."""
    code = estimator()

    def estimate(m):
        return {"a": code(m), "b": code(m)}

    exact = {"a": 2.0 * M, "b": 2.0 * M}
    spread = {"a": np.full(2, SD), "b": np.full(2, SD)}
    found = check_estimator(estimate, [M], exact=exact, draws=4000, sd=spread)
    assert found.verdict == HOLDS
    with pytest.raises(ValueError, match="sd lacks b"):
        check_estimator(estimate, [M], exact=exact, draws=4000, sd={"a": np.full(2, SD)})


def test_samples_that_spread_farther_are_an_error():
    """Of what was said one part is wrong, and no verdict comes of it."""
    with pytest.raises(BeyondRange, match="beyond the range from -5"):
        check_estimator(estimator(), [M], exact=2.0 * M, draws=4000, bounds=(-5.0, 7.0))
    with pytest.raises(ValueError, match=r"of gradient\[0\] is 6, where no mean"):
        check_estimator(estimator(), [M], exact=2.0 * M, draws=4000, bounds=(-1.0, 1.0))
    with pytest.raises(BeyondSpread, match=r"deviation of gradient\[0\] is 1\.\d+e\+00 over"):
        check_estimator(estimator(), [M], exact=2.0 * M, draws=4000, sd=0.3)
    with pytest.raises(BeyondSpread):  # a bias does not hide it
        check_estimator(estimator(1.5), [M], exact=2.0 * M, draws=4000, sd=0.3)


@pytest.mark.parametrize(
    ("known", "error", "message"),
    [
        ({"bounds": (0.0, 1.0), "sd": 1.0}, TypeError, "pass one of bounds= and sd="),
        ({"bounds": 3.0}, TypeError, "expected a pair"),
        ({"bounds": (1.0, 0.0)}, ValueError, "with low below high"),
        ({"bounds": (0.0, np.inf)}, ValueError, "expected finite numbers"),
        ({"sd": -1.0}, ValueError, "expected numbers of 0 or more"),
        ({"sd": 1.0, "draws": 0}, TypeError, "sd= goes with draws="),
    ],
)
def test_what_is_no_knowledge_is_refused(known, error, message):
    """Naming it, and saying what was expected."""
    with pytest.raises(error, match=message):
        check_estimator(estimator(), [M], **{"exact": 2.0 * M, "draws": 4000, **known})


def test_slopes_are_no_entries():
    """Where slopes are sampled, what is known of entries is not used."""
    rng = np.random.default_rng()

    def objective(m):
        return ((m + rng.uniform(-1.0, 1.0, 2)) ** 2).sum()

    with pytest.raises(TypeError, match="and here slopes are sampled"):
        check_estimator(estimator(), [M], objective=objective, draws=4000, bounds=BOUNDS)
