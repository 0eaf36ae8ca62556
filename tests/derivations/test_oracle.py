"""An oracle is its formula, as a function of arrays."""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from gradproof.derivations.kernel.expressions import B, L, d, q, s, total
from gradproof.derivations.kernel.oracle import Oracle
from gradproof.derivations.registry import DERIVATIONS, derivation

LOG_Q = sp.log(q)
MEAN = Oracle(
    total(q * ((L + LOG_Q + 1 - B) * s + d)),
    {"q": q, "log_q": LOG_Q, "loss": L, "score": s, "pathwise": d, "baseline": B},
)


@given(labels=st.integers(1, 6), shape=st.sampled_from([(), (2,), (3, 2)]), seed=st.integers(0, 99))
def test_it_is_the_sum_that_it_says(labels, shape, seed):
    """Any number of labels, and whatever shape a parameter has."""
    rng = np.random.default_rng(seed)
    q, loss = rng.dirichlet(np.ones(labels)), rng.standard_normal(labels)
    score, pathwise = rng.standard_normal((2, labels, *shape))
    found = MEAN(q=q, log_q=np.log(q), loss=loss, score=score, pathwise=pathwise, baseline=0.5)
    expected = sum(
        q[label] * ((loss[label] + np.log(q[label]) + 0.5) * score[label] + pathwise[label])
        for label in range(labels)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-13)  # the same sum, reordered


def test_arguments_are_by_name():
    """A missing one and a strange one are named."""
    with pytest.raises(TypeError, match="takes q, log_q, loss, score, pathwise, baseline, got q"):
        MEAN(q=np.ones(2))


def test_labels_must_agree():
    """Arrays of two and of three labels are no tables of one sentence."""
    table = np.ones(2)
    with pytest.raises(ValueError, match="lengths"):
        MEAN(q=table, log_q=table, loss=table, score=np.ones(3), pathwise=table, baseline=0.0)


def test_a_letter_that_is_no_argument_is_an_error():
    """Nothing in a formula is left without a value."""
    with pytest.raises(ValueError, match="is no argument"):
        Oracle(total(q * L), {"q": q})
    with pytest.raises(ValueError, match="is no argument"):
        Oracle(sp.Symbol("x") * total(q), {"q": q})


@pytest.mark.parametrize("claim", DERIVATIONS)
def test_each_oracle_sums_over_its_arguments(claim):
    """An index that a formula sums over is in one of its arguments."""
    oracle = derivation(claim).oracle
    if oracle.formula.has(sp.Sum):
        free = set.union(*(node.free_symbols for node in oracle.arguments.values()))
        assert set(oracle.indices) & free
