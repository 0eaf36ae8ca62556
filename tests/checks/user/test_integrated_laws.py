"""Gradients of means of PyTorch's continuous laws, integrated: right ones hold, others do not."""

import itertools

import numpy as np
import pytest
from scipy import integrate, stats

from gradproof import check_estimator

pytestmark = pytest.mark.torch


def double(number):
    """A tensor."""
    import torch

    return torch.tensor(number, dtype=torch.float64)


#: A law of one parameter in PyTorch, the same in SciPy, and the parameter.
LAWS = {
    "Normal": (
        lambda d, a: d.Normal(a, double(1.2)),
        lambda a: stats.norm(a, 1.2),
        0.3,
    ),
    "Laplace": (
        lambda d, a: d.Laplace(double(0.3), a),
        lambda a: stats.laplace(0.3, a),
        1.2,
    ),
    "Gamma": (
        lambda d, a: d.Gamma(a, double(1.5)),
        lambda a: stats.gamma(a, scale=1 / 1.5),
        2.5,
    ),
    "Beta": (
        lambda d, a: d.Beta(a, double(3.0)),
        lambda a: stats.beta(a, 3.0),
        2.0,
    ),
}


def exact(law, a):
    """The derivative of the mean of tanh(x), by SciPy's densities and differences."""

    def mean(a):
        one = law(a)
        ends = [one.ppf(q) for q in (0.0, 1e-4, 0.1, 0.5, 0.9, 1.0 - 1e-4, 1.0)]
        return sum(
            integrate.quad(lambda x: np.tanh(x) * one.pdf(x), low, high, epsabs=1e-13)[0]
            for low, high in itertools.pairwise(ends)
        )

    def slope(step):
        return (mean(a + step) - mean(a - step)) / (2.0 * step)

    return (4.0 * slope(1e-3) - slope(2e-3)) / 3.0


@pytest.mark.parametrize(
    ("name", "way"),
    # Where the score has a kink, as Laplace's, that takes more paths than a test should.
    [
        ("Normal", "score"),
        ("Laplace", "pathwise"),
        ("Gamma", "pathwise"),
        ("Beta", "pathwise"),
        ("Beta", "score"),
    ],
)
@pytest.mark.filterwarnings("error")  # what is integrated says nothing that was not asked
def test_a_right_gradient_holds_and_one_off_by_a_fiftieth_does_not(name, way):
    """The exact one is SciPy's."""
    import torch

    make, law, a = LAWS[name]

    def estimate(a):
        one = make(torch.distributions, a)
        if way == "pathwise":
            return torch.tanh(one.rsample())
        x = one.sample()
        return torch.tanh(x) * one.log_prob(x)

    parameter = double(a).requires_grad_()
    options = {
        "exact": [double(exact(law, a))],
        "integrate": 1e-6,
        "returns": "surrogate",
        "paths": 3000,
    }
    right = check_estimator(estimate, [parameter], **options)
    assert (right.method, right.verdict) == ("integrated", "holds"), right.explain()
    wrong = check_estimator(lambda a: 1.02 * estimate(a), [parameter], **options)
    assert wrong.verdict == "refuted", wrong.explain()


@pytest.mark.filterwarnings("error")  # the rules for what is added divide by next to nothing
def test_a_comparison_of_gumbel_numbers_warns_of_nothing():
    """Numbers around zero are added to."""
    import torch

    law = torch.distributions.Gumbel(double(0.0), double(1.0))
    below = stats.gumbel_r.cdf(0.3)
    report = check_estimator(lambda: [(law.rsample() < 0.3).double()], [], exact=[np.array(below)])
    assert report.verdict == "holds"


@pytest.mark.parametrize("name", ["rand", "random_sample", "randn"])
def test_a_refusal_has_the_name_of_the_function(name):
    """Not that of the function by which it draws."""
    from gradproof import UnsupportedDraw

    draw = getattr(np.random, name)
    with pytest.raises(UnsupportedDraw, match=rf"^numpy\.random\.{name}\(\) is used"):
        check_estimator(lambda: [np.tanh(draw())], [], exact=[np.array(0.0)])
