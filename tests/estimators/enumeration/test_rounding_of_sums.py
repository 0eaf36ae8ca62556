"""What rounding does to a mean over many paths, of which all may share it, or none."""

import pytest

from gradproof.checks.user.estimator import check_estimator

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

#: Outcomes, all as likely: as many paths as roundings are moved on at first.
COUNT = 16


def problem(shared):
    """Costs in single precision: one weight of all outcomes, or a weight of each."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(1 if shared else COUNT, generator=generator, dtype=torch.float64) + 0.5
    theta = torch.linspace(0.1, 0.2, 4, dtype=torch.float64, requires_grad=True)

    def estimate():
        y = torch.randint(COUNT, ())
        # The product is rounded in single precision on each path, of one number or of its own.
        weight = (weights.float() * 1.1)[0 if shared else y].double()
        return weight * theta

    def exact():
        return 1.1 * weights.mean() * torch.ones(4, dtype=torch.float64)

    return estimate, theta, exact


@pytest.mark.parametrize("shared", [True, False])
def test_a_right_estimator_is_within_a_tenth_of_its_bound(shared):
    """Whether its roundings are those of all paths, or of each: and one a little off is refuted."""
    estimate, theta, exact = problem(shared)
    found = check_estimator(lambda: estimate().sum(), wrt=theta, exact=exact)
    assert found.unbiased, found.explain()
    assert max(one.ratio for one in found.comparisons) < 0.1
    wrong = check_estimator(lambda: 1.001 * estimate().sum(), wrt=theta, exact=exact)
    assert wrong.verdict == "refuted"
