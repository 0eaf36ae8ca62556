"""Numbers of PyTorch that are integrated, beside tensors that are written to in between."""

import contextlib

import numpy as np
import pytest

from gradproof import UnsupportedDraw, check_estimator

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

#: The mean of the gradient of (mean + number)² by the mean, which is this.
MEAN = 0.7
EXACT = [np.array([2.0 * MEAN])]


def normal():
    """One number, in double precision."""
    return torch.randn(1, dtype=torch.float64)


def check(estimate):
    """By rules."""
    mean = torch.tensor([MEAN], dtype=torch.float64, requires_grad=True)
    return check_estimator(estimate, [mean], exact=EXACT, integrate=1e-6)


def by_data(mean):
    """A parameter is moved and put back, as a target network is."""
    z = mean + normal()
    mean.data.add_(1.0)
    cost = (z**2).sum()
    mean.data.sub_(1.0)
    return cost


def by_numpy(mean):
    """A constant is written to through NumPy."""
    factor = torch.ones(1, dtype=torch.float64)
    z = mean + factor * normal()
    factor.numpy()[0] = 5.0
    return (z**2).sum()


def by_requiring(mean):
    """Gradients are wanted of a copy only once the number was made of it."""
    copy = mean.detach().clone()
    z = copy + normal()
    copy.requires_grad_(True)
    return (z**2).sum() + 2.0 * (z.detach() * (mean - mean.detach())).sum()


@pytest.mark.parametrize("estimate", [by_data, by_numpy, by_requiring])
def test_what_changes_before_a_number_is_used_is_refused(estimate):
    """For it is put together only when it is used: by then with other numbers."""
    with pytest.raises(UnsupportedDraw, match="is used after a tensor that it was put together"):
        check(estimate)


@pytest.mark.parametrize("factor", [1.0, 1.03])
def test_what_others_see_is_written_to_at_once(factor):
    """Numbers drawn into a tensor that has a view; 3 % more is refuted."""

    def estimate(mean):
        noise = torch.zeros(1, dtype=torch.float64)
        view = noise.view(1, 1)
        noise.normal_()
        return factor * ((mean + view) ** 2).sum()

    assert check(estimate).verdict == ("holds" if factor == 1.0 else "refuted")


def by_numpys_generator(mean):
    """A number of NumPy's, to a function of PyTorch."""
    return ((mean + np.random.default_rng().normal()) ** 2).sum()


def by_item(mean):
    """A number of Python's that PyTorch gave away."""
    return ((mean + normal().item()) ** 2).sum()


def by_caught_error(mean):
    """Code that catches all errors, and goes on without the number."""
    number = normal().item()
    cost = mean**2
    with contextlib.suppress(Exception):
        cost = (mean + number) ** 2
    return cost.sum()


@pytest.mark.parametrize("estimate", [by_numpys_generator, by_item, by_caught_error])
def test_numbers_outside_pytorch_are_integrated_too(estimate):
    """They are the numbers that were drawn."""
    assert check(estimate).verdict == "holds"
    assert check(lambda mean: 1.03 * estimate(mean)).verdict == "refuted"
