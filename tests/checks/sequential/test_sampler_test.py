"""The anytime-valid test of a sampler against its log probabilities."""

import dataclasses
import math

import numpy as np
import pytest
from scipy.special import gammaln, logsumexp

from gradproof.checks.evidence import NothingCompared
from gradproof.checks.sequential.sampler_test import STRENGTHS, SamplerTest

#: Probability of a false alarm, and of a missed bug, of each test here that draws.
RARE = 1e-9

Q = np.array([0.5, 0.3, 0.15, 0.05])


@pytest.fixture
def rng(pytestconfig):
    """With the run's own seed, which the header names."""
    return np.random.default_rng(int(pytestconfig.option.hypothesis_seed))


def found(labels, q=Q, **options):
    """What is found of a block."""
    with np.errstate(divide="ignore"):
        test = SamplerTest(np.log(q), **({"alpha": RARE} | options))
    test.feed(labels)
    return test.found()


def test_a_right_sampler_is_not_rejected(rng):
    """And the record says what would have been seen."""
    one = found(rng.choice(4, size=5000, p=Q))
    assert not one.rejected
    assert one.draws == 5000
    assert 0.0 < one.e_value < 1 / RARE
    assert np.all((one.detectable > 0.0) & (one.detectable < 0.1))
    assert "nothing found" in one.explain()
    assert f"{one.detectable[one.worst]:.1e}" in one.explain()
    assert one.assumption in one.explain()


def test_a_wrong_sampler_is_rejected_early_and_the_label_named(rng):
    """With its frequency, and what it should be."""
    # The wealth's logarithm grows by 0.26 a draw, give or take 0.9: by 1300 of which 21 is enough.
    labels = rng.choice(4, size=5000, p=[0.35, 0.2, 0.1, 0.35])
    one = found(labels)
    assert one.rejected
    assert one.draws < 5000
    assert one.e_value >= 1 / RARE
    assert one.worst == 3
    assert one.frequency == np.mean(labels[: one.draws] == 3)
    # Given as a logarithm, and normalised.
    assert one.probability == pytest.approx(0.05, rel=1e-14, abs=0.0)
    error = np.sqrt(0.05 * 0.95 / one.draws)
    assert one.standard_error == pytest.approx(error, rel=1e-14, abs=0.0)  # the same again
    assert f"{one.frequency:.6e}, should be {one.probability:.6e}" in one.explain()


def test_a_sampler_that_always_draws_the_same_is_rejected():
    """However likely that label is."""
    one = found(np.zeros(2000, dtype=int), q=np.array([0.9, 0.1]))
    assert one.rejected
    # 0.9^-n reaches 1e9 after 197 draws, had it been known; learning it costs some more.
    assert 197 <= one.draws < 300


def test_an_impossible_label_is_rejected_at_once(rng):
    """With infinite evidence, by its name, in the middle of a block."""
    labels = rng.integers(0, 2, size=20)
    labels[7] = 2
    one = found(labels, q=np.array([0.5, 0.5, 0.0]))
    assert one.rejected
    assert (one.draws, one.worst, one.e_value) == (8, 2, math.inf)
    assert one.probability == 0.0
    assert "label 2 was drawn, which has probability 0" in one.explain()


def test_a_rare_label_that_is_seen_is_no_alarm():
    """One draw of probability 1e-4 in a hundred is luck, of 1e-300 it is evidence."""
    labels = np.zeros(100, dtype=int)
    labels[50] = 1
    assert not found(labels, q=np.array([1.0 - 1e-4, 1e-4])).rejected
    assert found(labels, q=np.array([1.0, 1e-300])).rejected


def test_wealth_is_the_mixture_of_likelihood_ratios(rng):
    """Dirichlet-multinomial over multinomial, by its closed form."""
    labels = rng.choice(4, size=200, p=Q)
    counts = np.bincount(labels, minlength=4)
    prior = np.vstack([STRENGTHS[:, None] * Q, np.full(4, 0.5)])
    total = prior.sum(axis=1)
    logs = (
        gammaln(total)
        - gammaln(total + 200)
        + (gammaln(prior + counts) - gammaln(prior) - counts * np.log(Q)).sum(axis=1)
    )
    expected = logsumexp(logs) - np.log(len(total))
    # gammaln at a million is 1e7, of which a rounding is 2e-9.
    assert math.log(found(labels).e_value) == pytest.approx(expected, abs=2e-8)


def test_how_labels_are_cut_into_blocks_changes_nothing(rng):
    """One by one, in blocks, or all at once; right or wrong."""
    for p in (Q, Q[::-1]):
        labels = rng.choice(4, size=500, p=p)
        once, ragged = SamplerTest(np.log(Q)), SamplerTest(np.log(Q))
        once.feed(labels)
        place = 0
        while place < len(labels):
            size = int(rng.integers(0, 20))
            ragged.feed(labels[place] if size == 1 else labels[place : place + size])
            place += size
        one, other = once.found(), ragged.found()
        assert (one.rejected, one.draws, one.worst) == (other.rejected, other.draws, other.worst)
        # A sum of hundreds of terms, in another order.
        assert math.log(one.e_value) == pytest.approx(math.log(other.e_value), abs=1e-12)


def test_labels_after_a_rejection_are_ignored():
    """The evidence is that of the draw that decided."""
    test = SamplerTest(np.log([0.5, 0.5]))
    assert test.feed(np.zeros(200, dtype=int))
    before = test.found()
    assert test.feed([1, 1])
    assert test.found().draws == before.draws


def test_one_label_is_always_right():
    """There is nothing else to draw."""
    one = found(np.zeros(10, dtype=int), q=np.ones(1))
    assert not one.rejected
    # Ten ratios of one to one, by logarithms that are rounded.
    assert one.e_value == pytest.approx(1.0, abs=2e-14)
    assert one.detectable.tolist() == [0.0]


def test_single_precision_is_normalised():
    """What is missing by rounding is no error; what logits add up to is one."""
    given = np.log(np.full(3, 1 / 3)).astype(np.float32)
    assert not SamplerTest(given).feed([0, 1, 2])


def test_no_labels_are_no_evidence():
    """Nor are those of an empty block."""
    test = SamplerTest(np.log(Q))
    test.feed(np.zeros(0, dtype=int))
    with pytest.raises(NothingCompared, match="zero labels"):
        test.found()


def test_what_cannot_be_seen_in_so_few_draws_is_infinite():
    """Two draws show no excess of a half, whatever they are."""
    assert np.all(np.isinf(found([0, 1]).detectable))


def test_a_record_is_frozen():
    """Asserts and tables read the same."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        found([0]).rejected = True


@pytest.mark.parametrize(
    ("given", "options", "words"),
    [
        ([], {}, "log probabilities have shape"),
        ([[0.0]], {}, "log probabilities have shape"),
        ([math.nan, 0.0], {}, "NaN or infinite"),
        ([math.inf, 0.0], {}, "NaN or infinite"),
        ([-math.inf], {}, "add up to 0.0"),
        ([1.0, 2.0], {}, "not logits"),
        ([0.0, -1e-3], {}, "not logits"),
        ([0.0], {"alpha": 0.0}, "alpha is 0.0"),
        ([0.0], {"power": 1.0}, "power is 1.0"),
    ],
)
def test_what_are_no_log_probabilities(given, options, words):
    """Each is an error in words."""
    with pytest.raises(ValueError, match=words):
        SamplerTest(given, **options)


@pytest.mark.parametrize(
    ("labels", "error", "words"),
    [
        ([0.0], TypeError, "float64, should be integers"),
        ([True], TypeError, "bool, should be integers"),
        ([[0]], ValueError, r"labels have shape \(1, 1\)"),
        ([0, 4], ValueError, "label 4 has no probability: there are 4 labels, from 0"),
        ([-1], ValueError, "label -1 has no probability"),
    ],
)
def test_labels_that_do_not_fit(labels, error, words):
    """Each is an error in words."""
    with pytest.raises(error, match=words):
        SamplerTest(np.log(Q)).feed(labels)
