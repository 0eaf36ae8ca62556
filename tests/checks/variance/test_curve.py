"""The curve of a variance: what a figure shows is what the parabolas say."""

import numpy as np
import pytest
from hypothesis import assume, given

from gradproof.checks.note.cases import tabular_cases
from gradproof.checks.variance.curve import curve
from gradproof.estimators.note.exact import reference
from gradproof.estimators.note.parabola import Quadratics, quadratics
from gradproof.reference_models.model import group_of


@given(case=tabular_cases())
def test_it_is_least_at_its_best(case):
    """No place is lower than the marked one, nor that than the floor; the interval is one."""
    parabola = quadratics(reference(case.subject())).grouped(group_of)
    # Of the input, not of what is found: whether there is a curve.
    assume(sum(of.sum() for of in parabola.curvature.values()) > 1e-6)
    found = curve(parabola)
    slack = 1e-12 * found.variances["all"].max()  # rounding of sums of a few hundred terms
    assert (found.variances["all"] >= found.least - slack).all()
    assert found.least >= found.per_sentence - slack
    assert abs(parabola.total(found.limit) - found.none) <= slack
    inside = (found.baselines > min(0.0, found.limit)) & (found.baselines < max(0.0, found.limit))
    assert (found.variances["all"][inside] <= found.none + slack).all()
    assert (found.variances["all"][~inside] >= found.none - slack).all()
    groups = [values for name, values in found.variances.items() if name != "all"]
    # Three additions of what is not negative, in the same order or another.
    np.testing.assert_allclose(np.sum(groups, axis=0), found.variances["all"], rtol=1e-15)


def test_no_score_no_curve():
    """Where every score is zero there is nothing to draw, and that is said."""
    zero = {"w": np.zeros(2)}
    with pytest.raises(ValueError, match="every score is zero, so no baseline matters"):
        curve(Quadratics(np.zeros(2), {"w": np.ones(2)}, zero, zero))
