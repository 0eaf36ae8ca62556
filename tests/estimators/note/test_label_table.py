"""The table of inner products gives the same parabolas as the gradients that it is made of."""

import numpy as np
import pytest
from hypothesis import given, settings

from gradproof.checks.note.cases import tabular_cases, typical_tabular
from gradproof.estimators.note.exact import reference
from gradproof.estimators.note.label_table import ANALYTIC, ONE_PASS, of_reference
from gradproof.estimators.note.parabola import quadratics
from gradproof.reference_models.model import group_of


@given(case=tabular_cases())
@settings(max_examples=25)
def test_the_table_knows_the_parabola_of_each_group(case):
    """Value, slope and curvature, from inner products as from entries."""
    known = reference(case.subject())
    table = of_reference(known)
    found, expected = table.quadratics(), quadratics(known).grouped(group_of)
    size = {  # what is added up, and cancels in the variance
        group: float((table.probability * abs(table.pathwise[group])).sum())
        + float((table.probability * table.returns() ** 2 * table.score[group]).sum())
        for group in table.score
    }
    for group in expected.names():
        # Some hundred terms, each rounded a few times, relative to what is added up.
        bound = 1e3 * np.finfo(np.float64).eps * (size[group] + expected.value[group].sum())
        assert abs(found.value[group] - expected.value[group]).max() <= bound
    assert found.names() == expected.names()


def test_a_form_without_a_table_is_an_error():
    """Only the two forms whose estimate is (R - B) s + d have one."""
    with pytest.raises(ValueError, match="expected 'one-pass' or 'analytic-entropy'"):
        of_reference(reference(_subject())).returns("score")


def test_the_analytic_entropy_leaves_log_q_out_of_the_returns():
    """R is L + log q + 1 in the one form, L in the other."""
    table = of_reference(reference(_subject()))
    assert np.array_equal(table.returns(ANALYTIC), table.loss)
    assert np.array_equal(table.returns(ONE_PASS), table.loss + (table.log_q + 1.0))


def _subject():
    return typical_tabular(np.random.default_rng(0), supports=False).subject()
