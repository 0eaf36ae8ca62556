"""Paths that are less likely may be computed in a coarser way, and their errors are no bias."""

import numpy as np
import pytest

from gradproof import check_estimator
from gradproof.checks.evidence import HOLDS, REFUTED, UNDECIDED
from gradproof.estimators.backends import load


@pytest.fixture
def problem():
    """Logits of labels, of which the last are less likely; costs; the gradient of the mean cost."""
    torch = load("torch").torch

    def of(labels):
        rng = np.random.default_rng(0)
        logits = torch.tensor(np.r_[np.full(20, 1.5), 0.1 * rng.normal(size=labels - 20)])
        logits.requires_grad_()
        costs = torch.tensor(1.0 + rng.random(labels))
        (exact,) = torch.autograd.grad(logits.softmax(0) @ costs, logits)
        return logits, costs, exact

    return torch, of


def reinforce(torch, costs, rare):
    """A surrogate whose cost is another function of itself on the labels that are less likely."""

    def surrogate(logits):
        q = torch.distributions.Categorical(logits=logits)
        y = q.sample()
        cost = costs[y]
        return (cost if y < 20 else rare(cost)) * q.log_prob(y)

    return surrogate


ROUNDED = {
    "single precision": lambda cost: cost.float().double(),
    "half precision": lambda cost: cost.half().double(),
    "a sum with 1e10": lambda cost: (cost + 1e10) - 1e10,
    "a sum with 1e13": lambda cost: (cost + 1e13) - 1e13,
}


@pytest.mark.torch
@pytest.mark.parametrize("rare", ROUNDED.values(), ids=ROUNDED)
def test_what_is_coarser_on_less_likely_paths_is_not_refuted(problem, rare):
    """All of them are measured where an error is small."""
    torch, of = problem
    logits, costs, exact = of(64)
    found = check_estimator(reinforce(torch, costs, rare), [logits], exact=exact)
    assert found.verdict in (HOLDS, UNDECIDED)


@pytest.mark.torch
def test_a_small_bias_of_them_is_refuted_still(problem):
    """One part in ten million, of paths that were all measured."""
    torch, of = problem
    logits, costs, exact = of(64)
    surrogate = reinforce(torch, costs, lambda cost: cost * (1.0 + 1e-7))
    # Of numbers that were made somehow it might be what a constant in single precision leaves.
    found = check_estimator(surrogate, [logits], exact=exact, exact_error=0)
    assert found.verdict == REFUTED
    assert "8 runs with perturbed rounding, on 64 paths" in found.explain()


@pytest.mark.torch
@pytest.mark.parametrize(("factor", "verdict"), [(1e-9, UNDECIDED), (0.1, REFUTED)])
def test_of_more_paths_than_are_measured_what_is_small_is_not_known(problem, factor, verdict):
    """What may be rounding of single precision on the others; what is larger is refuted."""
    torch, of = problem
    logits, costs, exact = of(300)
    surrogate = reinforce(torch, costs, lambda cost: cost * (1.0 + factor))
    found = check_estimator(surrogate, [logits], exact=exact)
    assert found.verdict == verdict
    said = "measured on 256 of 300 paths" in found.explain()
    assert said is (verdict == UNDECIDED)
