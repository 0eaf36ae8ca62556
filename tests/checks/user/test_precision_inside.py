"""Arithmetic that is coarser inside than parameters and gradients are: allowed for, and named."""

import pytest

from gradproof.checks.user.estimator import check_estimator

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def problem(coarse):
    """A layer whose normalisation is in single precision, as language models have it, or is not."""
    torch.manual_seed(0)
    first, last = torch.nn.Linear(3, 4).double(), torch.nn.Linear(4, 3).double()
    x = torch.randn(3, dtype=torch.float64)
    costs = torch.tensor([1.0, 3.0, 2.0], dtype=torch.float64)

    def logits():
        hidden = first(x)
        inside = hidden.to(coarse)
        inside = inside * torch.rsqrt(inside.pow(2).mean() + 1e-6)
        return last(inside.to(hidden.dtype))

    def reinforce():
        q = torch.distributions.Categorical(logits=logits())
        y = q.sample()
        return costs[y] * q.log_prob(y)

    module = torch.nn.ModuleList([first, last])

    def exact():
        mean = (logits().softmax(-1) * costs).sum()
        names, leaves = zip(*module.named_parameters(), strict=True)
        return dict(zip(names, torch.autograd.grad(mean, leaves), strict=True))

    return reinforce, module, exact


def test_a_coarser_format_inside_is_named():
    """A right estimator holds; one that is a thousandth off is refuted all the same."""
    reinforce, module, exact = problem(torch.float32)
    found = check_estimator(reinforce, wrt=module, exact=exact)
    assert found.unbiased
    assert "Some of it is computed in float32 inside" in found.explain()
    found = check_estimator(lambda: 1.001 * reinforce(), wrt=module, exact=exact)
    assert found.verdict == "refuted"
    assert found.direction.verdict == "proportional"


def test_nothing_is_said_where_all_is_in_double_precision():
    """Also where roundings were measured."""
    reinforce, module, exact = problem(torch.float64)
    for estimate in (reinforce, lambda: 1.001 * reinforce()):
        found = check_estimator(estimate, wrt=module, exact=exact)
        assert "inside, whatever" not in found.explain()
