"""A reset= that puts parameters back does not undo what differences and segments move."""

import numpy as np
import pytest

import gradproof
from gradproof.checks.evidence import HOLDS, REFUTED

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

COSTS = torch.tensor([1.0, 3.0, 2.0], dtype=torch.float64)
START = (0.3, -0.2, 0.5)


def logits():
    """A parameter, and how a training loop puts it back."""
    w = torch.nn.Parameter(torch.tensor(START, dtype=torch.float64))
    start = w.detach().clone()

    def reset():
        with torch.no_grad():
            w.copy_(start)

    return w, reset


def train_step(w, factor=1.0):
    """REINFORCE and a step of an optimizer; ``factor`` 1 is right."""
    optimizer = torch.optim.SGD([w], lr=0.1)

    def step():
        q = torch.distributions.Categorical(logits=w)
        y = q.sample()
        optimizer.zero_grad()
        (factor * q.log_prob(y) * COSTS[y]).backward()
        optimizer.step()

    return step


def cost(w):
    """What a label costs, drawn by the parameter."""
    return lambda: COSTS[torch.distributions.Categorical(logits=w).sample()]


def noisy(w):
    """The cost and a normal number, which cannot be enumerated."""
    return lambda: cost(w)() + 0.1 * torch.randn((), dtype=torch.float64)


def exact(w):
    """The gradient in closed form: p (c - E c)."""
    p = np.exp(w.detach().numpy())
    p /= p.sum()
    return p * (COSTS.numpy() - p @ COSTS.numpy())


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize(("factor", "verdict"), [(1.0, HOLDS), (1.1, REFUTED)])
def test_a_reset_of_parameters_leaves_the_gradient_of_an_objective(factor, verdict, fast):
    """It was zero in every entry, and a right training step was refuted."""
    w, reset = logits()
    report = gradproof.check_estimator(
        train_step(w, factor), objective=cost(w), wrt=w, reset=reset, fast=fast, seed=1 * fast
    )
    assert report.verdict == verdict
    if not fast:
        assert np.allclose(report.exact["gradient"], exact(w), rtol=1e-7, atol=0)  # by differences
    assert w.tolist() == list(START)


@pytest.mark.parametrize(("factor", "refuted"), [(1.0, False), (3.0, True)])
def test_a_reset_of_parameters_leaves_segments(factor, refuted):
    """Sampled along segments: the objective's slope was zero, the estimator's was not."""
    w, reset = logits()
    report = gradproof.check_estimator(
        train_step(w, factor),
        objective=noisy(w),
        wrt=w,
        reset=reset,
        draws=20_000,
        seed=1,
        rarest=0.01,
        fast=True,
    )
    assert (report.verdict == REFUTED) == refuted


def test_a_reset_of_an_array_leaves_the_gradient():
    """NumPy's arrays are moved where they are, and so is what a reset writes to."""
    theta = np.array([0.4])

    def reset():
        theta[0] = 0.4

    rng = np.random.default_rng()

    def objective(theta):
        return (float(rng.random() < theta[0]) - 0.3) ** 2

    def estimate(theta):
        b = float(rng.random() < theta[0])
        score = b / theta[0] - (1.0 - b) / (1.0 - theta[0])
        theta[0] += 0.05 * b
        return np.array([(b - 0.3) ** 2 * score])

    report = gradproof.check_estimator(estimate, [theta], objective=objective, reset=reset)
    assert report.verdict == HOLDS
    assert report.exact["gradient"] == pytest.approx(0.4, rel=1e-7)  # 0.7² - 0.3², by differences


@pytest.mark.parametrize("factor", [1.0, 1.1])
def test_a_reset_of_parameters_leaves_a_surrogate(factor):
    """check_surrogate's differences moved nothing either."""
    w, reset = logits()

    class Scaled(torch.autograd.Function):
        """The identity; its backward is off by ``factor``."""

        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            return factor * g

    report = gradproof.check_surrogate(
        lambda: (Scaled.apply(w) ** 2).sum(), wrt=w, reset=reset, name="scaled"
    )
    assert report.verdict == (HOLDS if factor == 1.0 else REFUTED)
    assert w.tolist() == list(START)


def test_a_reset_to_other_parameters_is_refused():
    """The estimator would run at one point, and the objective be differentiated at another."""
    w, reset = logits()
    with torch.no_grad():
        w += 1.0
    with pytest.raises(ValueError, match=r"reset= gives the parameter gradient other values"):
        gradproof.check_estimator(train_step(w), objective=cost(w), wrt=w, reset=reset)
    assert w.tolist() == [each + 1.0 for each in START]
