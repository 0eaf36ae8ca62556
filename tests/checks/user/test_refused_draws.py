"""What checks that enumerate only say of continuous numbers: nothing that they cannot do."""

import time

import pytest

import gradproof

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

MU = torch.tensor([0.3, -0.2], dtype=torch.float64, requires_grad=True)


def normal(mu, detach=True):
    """The score of a normal number, with its cost."""
    q = torch.distributions.Normal(mu, 0.3)
    z = q.rsample()
    z = z.detach() if detach else z
    return q.log_prob(z).sum() * (z[0] * z[1])


def relaxed(mu):
    """A uniform number that is used."""
    return (mu * torch.rand(2, dtype=torch.float64)).sum()


@pytest.mark.parametrize("surrogate", [normal, lambda mu: normal(mu, False), relaxed])
def test_a_surrogate_is_not_told_to_integrate(surrogate):
    """It has no integrate=; and PyTorch's function is named, not ours that stands for it."""
    with pytest.raises(gradproof.UnsupportedDraw) as refused:
        gradproof.check_surrogate(surrogate, [MU])
    said = str(refused.value)
    assert "integrate=" not in said
    assert "stop_values" not in said
    assert "draw it before the check" in said


def test_what_is_drawn_before_is_checked():
    """As the refusal says; and a wrong derivative is found so."""
    noise = torch.randn(2, dtype=torch.float64)

    class Twice(torch.autograd.Function):
        """The identity, with twice its derivative."""

        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            return 2.0 * g

    def right(mu):
        return ((mu + 0.3 * noise) ** 2).sum()

    def wrong(mu):
        return ((Twice.apply(mu) + 0.3 * noise) ** 2).sum()

    assert gradproof.check_surrogate(right, [MU]).verdict == "holds"
    assert gradproof.check_surrogate(wrong, [MU]).verdict == "refuted"


def test_invariances_are_not_told_to_integrate():
    """They have no integrate= and no draws=."""

    def make(baseline=0.0):
        return lambda mu: normal(mu) - baseline * mu.sum()

    with pytest.raises(gradproof.UnsupportedDraw) as refused:
        gradproof.check_invariances(make, [MU])
    said = str(refused.value)
    assert "integrate it (integrate=" not in said
    assert "check_estimator (exact=), which can integrate or sample it" in said


def test_a_million_draws_of_one_call_are_refused_at_once():
    """The number of ways was a product of a million numbers, one by one."""
    started = time.perf_counter()
    with pytest.raises(gradproof.TooManyPaths, match=r"10\^301029 ways"):
        gradproof.check_estimator(
            lambda mu: mu * torch.bernoulli(torch.full((10**6,), 0.5)).sum(),
            [MU],
            exact=torch.zeros(2, dtype=torch.float64),
        )
    assert time.perf_counter() - started < 10.0  # it took 15 to 30 seconds, and takes 2


def test_an_explanation_has_no_empty_line():
    """Where the exact gradient is zero there is no direction to speak of."""
    report = gradproof.check_estimator(
        lambda mu: torch.distributions.Bernoulli(0.5).sample() + mu.detach() + 1.0,
        [MU],
        exact=torch.zeros(2, dtype=torch.float64),
    )
    assert report.verdict == "refuted"
    assert all(report.explain().split("\n"))
