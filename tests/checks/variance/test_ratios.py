"""The map of ratios: what a baseline does to each entry's variance."""

import numpy as np
import pytest

from gradproof.checks.evidence import NothingCompared
from gradproof.checks.note.text import TextOptions, prepare_text, text_subject
from gradproof.checks.variance.ratios import KINDS, baseline_of, ratio_map
from gradproof.estimators.note.exact import reference
from gradproof.estimators.note.parabola import Quadratics, quadratics

OPTIONS = TextOptions(labelled=0, unlabelled=2)


@pytest.fixture(scope="module")
def parabola():
    """Of every entry of a small model on two names."""
    subject = text_subject("seqdgm", prepare_text("names-8", OPTIONS, 1), OPTIONS, 1)
    return quadratics(reference(subject))


@pytest.mark.parametrize("kind", KINDS)
def test_a_ratio_is_one_variance_over_another(parabola, kind):
    """Of each matrix that the score reaches, and of no other."""
    found = ratio_map(parabola, kind, "mine")
    assert set(found.ratios) == {
        "e.embedding", "w.lstm.input", "w.lstm.recurrent", "w.logits.weight",
    }  # fmt: skip
    own, none = parabola.variance(baseline_of(parabola, kind)), parabola.variance(0.0)
    for name, ratios in found.ratios.items():
        there = np.isfinite(ratios)
        assert there.any()
        # A division and a product, of numbers that are not near overflow or underflow.
        np.testing.assert_allclose((ratios * none[name])[there], own[name][there], rtol=1e-15)
        assert not none[name][~there].any()  # a token that is not in the text
        assert found.lowered_share(name) == np.mean(ratios[there] < 1.0)


def test_the_best_is_no_worse_than_any_other(parabola):
    """In total: an entry by itself may be better off with another."""
    totals = [parabola.total(baseline_of(parabola, kind)) for kind in ("best", "constant")]
    assert totals == sorted(totals)
    assert totals[1] <= parabola.total(0.0)
    assert totals[1] <= parabola.total(float(np.mean(parabola.centre)))


def test_the_best_is_the_best_and_the_expected_the_mean(parabola):
    """Neither is the other: away from the best the variance grows, and the mean is of returns."""
    best, expected = baseline_of(parabola, "best"), baseline_of(parabola, "expected")
    for row in range(len(best)):
        for aside in (0.9, 1.1):
            assert parabola.total(best * np.where(np.arange(len(best)) == row, aside, 1.0)) > (
                parabola.total(best)
            )
    known = reference(text_subject("seqdgm", prepare_text("names-8", OPTIONS, 1), OPTIONS, 1))
    returns = known.probability * (known.loss + known.log_q + 1.0)
    # A sum of eight terms of one size.
    np.testing.assert_allclose(expected, returns.sum(axis=1), rtol=1e-14)
    # Another number, by far more than rounding: they are 0.2 % apart.
    assert not np.allclose(expected, best, rtol=1e-3, atol=0.0)


def test_what_has_no_map_is_an_error(parabola):
    """A kind that is none, and a model whose score is zero."""
    with pytest.raises(ValueError, match="'mean' has no map"):
        ratio_map(parabola, "mean", "mine")
    zeros = {"w": np.zeros((2, 3, 3))}
    still = Quadratics(np.ones(2), {"w": np.ones((2, 3, 3))}, zeros, zeros)
    with pytest.raises(NothingCompared, match="every score is zero"):
        ratio_map(still, "expected", "mine")
