"""Right estimators of real layers: none is ever further off than its spread allows for.

REINFORCE by a plain loop over all outcomes, its probabilities read anew in each run, against the
gradient of the enumerated objective in double precision; in double precision itself against the
same gradient, whose own spread is added.
"""

import copy

import numpy as np
import pytest

from gradproof.estimators.enumeration.rounding import (
    FACTOR,
    RUNS,
    Steps,
    largest_deviation,
    perturbation,
)

pytestmark = pytest.mark.torch

FORMS = ("float64", "float32", "bfloat16")


@pytest.fixture(scope="module")
def torch():
    """The framework, or a test less."""
    return pytest.importorskip("torch")


class Picked:
    """What a function takes out of a layer's result, as a module."""

    def __new__(cls, torch, layer, pick):
        """A module, since PyTorch must know its parameters."""

        class Module(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = layer

            def forward(self, x):
                return pick(self.layer, x)

        return Module()


def layers(torch, rng):
    """By name, a network of random size and its input; the last layer gives three logits."""
    nn = torch.nn
    d, h, t, n = (int(size) for size in rng.integers(2, 6, 4))
    size = float(10 ** rng.uniform(-1, 1))
    kinds = (nn.Tanh, nn.ReLU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Softplus, nn.ELU, nn.Mish)
    act = kinds[rng.integers(len(kinds))]()
    last = lambda layer: Picked(torch, layer, lambda m, x: m(x)[0][:, -1])  # noqa: E731

    def normal(*shape):
        return torch.randn(*shape) * size

    def attention(m, x):
        return m(x, x, x, need_weights=False)[0].mean(1)

    return {
        "linear": (nn.Sequential(nn.Linear(d, h), act, nn.Linear(h, 3)), normal(n, d)),
        "layer norm": (
            nn.Sequential(nn.Linear(d, h), nn.LayerNorm(h), act, nn.Linear(h, 3)),
            normal(n, d),
        ),
        "group norm": (
            nn.Sequential(
                nn.Conv1d(2, 4, 3, padding=1),
                nn.GroupNorm(2, 4),
                act,
                nn.Flatten(),
                nn.Linear(4 * t, 3),
            ),
            normal(n, 2, t),
        ),
        "batch norm": (
            nn.Sequential(nn.Linear(d, h), nn.BatchNorm1d(h), act, nn.Linear(h, 3)),
            normal(n + 2, d),
        ),
        "batch norm of before": (
            nn.Sequential(nn.Linear(d, h), nn.BatchNorm1d(h).eval(), act, nn.Linear(h, 3)),
            normal(n, d),
        ),
        "attention": (
            nn.Sequential(
                Picked(torch, nn.MultiheadAttention(8, 2, batch_first=True), attention),
                nn.Linear(8, 3),
            ),
            torch.randn(2, t, 8),
        ),
        "transformer": (
            nn.Sequential(
                Picked(
                    torch,
                    nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True),
                    lambda m, x: m(x).mean(1),
                ),
                nn.Linear(8, 3),
            ),
            torch.randn(2, t, 8),
        ),
        "GRU": (
            nn.Sequential(last(nn.GRU(d, h, batch_first=True)), nn.Linear(h, 3)),
            torch.randn(n, t, d),
        ),
        "LSTM": (
            nn.Sequential(last(nn.LSTM(d, h, batch_first=True)), nn.Linear(h, 3)),
            torch.randn(n, t, d),
        ),
        "convolution": (
            nn.Sequential(
                nn.Conv2d(2, 4, 3, padding=1),
                act,
                nn.MaxPool2d(2),
                nn.Conv2d(4, 3, 2),
                nn.AdaptiveAvgPool2d(1),
                nn.Flatten(),
            ),
            normal(n, 2, 6, 6),
        ),
        "embedding": (
            nn.Sequential(nn.Embedding(5, d), nn.Flatten(), nn.Linear(d * t, h), act)
            + nn.Sequential(nn.Linear(h, 3)),
            torch.randint(0, 5, (n, t)),
        ),
    }


def categorical(torch, logits):
    """Log-probabilities and probabilities of three outcomes."""
    log = logits.log_softmax(0)
    return log, log.exp(), lambda costs: logits.softmax(0) @ costs


def by_logsumexp(torch, logits):
    """The same by another way."""
    log = logits - logits.logsumexp(0)
    return log, log.exp(), lambda costs: logits.softmax(0) @ costs


def by_hand(torch, logits):
    """And as most people write it."""
    powers = (logits - logits.max()).exp()
    shares = powers / powers.sum()
    return shares.log(), shares, lambda costs: logits.softmax(0) @ costs


def bernoulli(torch, logits):
    """Of the first logit alone."""
    unit = logits[0]
    log = torch.stack([torch.nn.functional.logsigmoid(v) for v in (-unit, unit)])
    shares = torch.stack([1 - unit.sigmoid(), unit.sigmoid()])
    return log, shares, lambda costs: (costs[1] - costs[0]) * unit.sigmoid() + costs[0]


HEADS = (categorical, by_logsumexp, by_hand, bernoulli)


def flat(torch, scalar, parameters):
    """All gradients in a row, in double precision."""
    gradients = torch.autograd.grad(scalar, parameters, allow_unused=True)
    return np.concatenate(
        [
            np.zeros(p.numel()) if g is None else g.detach().double().numpy().ravel()
            for g, p in zip(gradients, parameters, strict=True)
        ]
    )


def moved(function, steps):
    """What a function returns, and what it spreads over; the least that a format has above zero."""
    base, found, least = function(), [], 0.0
    for _ in range(RUNS):
        with perturbation(steps) as moving:
            found.append(function())
        assert moving.operations["torch"] > 0
        assert not moving.unseen
        least = max(least, moving.underflow)
    return base, largest_deviation(found, base) + least


def ratio(torch, name, head, form, gap, rng):
    """The largest error of any entry over its spread."""
    kind = getattr(torch, form)
    net, x = layers(torch, rng)[name]
    net, costs = net.to(kind), torch.randn(3).to(kind)
    x = x.to(kind) if x.is_floating_point() else x
    shift = torch.tensor([gap, 0.0, 0.0]).to(kind)
    wide = copy.deepcopy(net).double()

    def exact(net, kind):
        given = x.to(kind) if x.is_floating_point() else x
        objective = head(torch, net(given)[0] + shift.to(kind))[2]
        return flat(torch, objective(costs.to(kind)), list(net.parameters()))

    def weighed(y):
        log, shares, _ = head(torch, net(x)[0] + shift)
        return float(shares[y].detach().double()) * flat(
            torch, costs[y] * log[y], list(net.parameters())
        )

    steps, mean, bound = Steps(rng), 0.0, 0.0
    for y in range(2 if head is bernoulli else 3):
        base, found = moved(lambda y=y: weighed(y), steps)
        mean, bound = mean + base, bound + found
    if form == "float64":
        truth, found = moved(lambda: exact(net, kind), steps)
        bound = bound + found
    else:
        truth = exact(wide, torch.float64)
    error = np.abs(mean - truth)
    return float(np.max(np.divide(error, bound, out=np.zeros_like(error), where=error > 0)))


NAMES = (
    "linear", "layer norm", "group norm", "batch norm", "batch norm of before", "attention",
    "transformer", "GRU", "LSTM", "convolution", "embedding",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_right_estimator_is_never_further_off_than_its_bound(torch, name):
    """In single precision, with one of the heads."""
    rng = np.random.default_rng()
    head = HEADS[rng.integers(len(HEADS))]
    gap = float(rng.choice([0.0, 5.0, 20.0]))
    assert ratio(torch, name, head, "float32", gap, rng) <= FACTOR


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", FORMS)
def test_of_many_right_estimators_none_is_further_off_than_its_bound(torch, name, form):
    """Eight of each layer and format: 264 in all, with logits up to 80 apart."""
    rng = np.random.default_rng()
    ratios = [
        ratio(torch, name, head, form, float(rng.choice(gaps)), rng)
        for head in HEADS
        for gaps in ([0.0, 5.0], [12.0, 20.0, 40.0, 80.0])
    ]
    assert len(ratios) == 8
    assert max(ratios) <= FACTOR
