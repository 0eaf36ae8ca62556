"""Where there is no gradient at all, nothing holds."""

import numpy as np
import pytest

from gradproof import check_estimator


def test_no_gradient_anywhere_is_undecided():
    """A wrong estimator would come to the same."""
    theta = np.array([0.1, -0.2])

    def estimate(theta):
        rng = np.random.default_rng()
        return 0.0 * rng.integers(2) * theta

    report = check_estimator(estimate, [theta], exact=np.zeros(2))
    assert report.verdict == "undecided"
    assert "whatever is wrong could not be seen" in report.explain()
    assert "longer horizon" in report.explain()


def test_some_gradient_is_enough():
    """A parameter that is not used has none, and is right so."""
    theta = {"used": np.array([0.1]), "unused": np.array([0.2])}

    def estimate(theta):
        rng = np.random.default_rng()
        return {"used": 2.0 * rng.integers(2) * np.ones(1), "unused": np.zeros(1)}

    exact = {"used": np.ones(1), "unused": np.zeros(1)}
    assert check_estimator(estimate, [theta], exact=exact).verdict == "holds"


def test_a_goal_is_no_gradient():
    """Its sign has to be named."""

    class Goal:
        def as_loss(self):
            """The gradient."""

    with pytest.raises(TypeError, match=r"pass exact=goal.as_loss\(\)"):
        check_estimator(lambda theta: theta, [np.ones(2)], exact=Goal())
