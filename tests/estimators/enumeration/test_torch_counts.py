"""PyTorch's counts: laws as SciPy has them, samples as PyTorch draws them, and REINFORCE."""

import math

import numpy as np
import pytest
from scipy import stats

from gradproof import check_estimator
from gradproof.checks.evidence import HOLDS, REFUTED
from gradproof.estimators.enumeration import block_moments
from gradproof.estimators.enumeration.block import NotBatchable
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.run import TooManyPaths, paths

torch = pytest.importorskip("torch")
distributions = torch.distributions
pytestmark = pytest.mark.torch

#: Ratios on some hundred places, against SciPy's logarithms of gamma functions.
ROUNDING = 1e-11

#: A share of samples is farther off than so many deviations once in 10^9 comparisons.
DEVIATIONS, SAMPLES = 6.0, 4000


def tensor(*values):
    """In double precision."""
    return torch.tensor(values, dtype=torch.float64)


def law(code):
    """The probability of each value, as a tuple."""
    found = {}
    with Handling(code) as handling:
        for path in paths(code, handling.perform_watched):
            value = tuple(path.value.reshape(-1).tolist())
            found[value] = found.get(value, 0.0) + path.probability
    return found


#: What draws a number, and SciPy's law of it.
NUMBERS = {
    "poisson": (lambda: torch.poisson(tensor(1.7)), stats.poisson(1.7)),
    "Poisson": (lambda: distributions.Poisson(tensor(1.7)).sample(), stats.poisson(1.7)),
    "Geometric": (lambda: distributions.Geometric(tensor(0.6)).sample(), stats.geom(0.6, loc=-1)),
    "by logits": (
        lambda: distributions.Geometric(logits=tensor(math.log(1.5))).sample(),
        stats.geom(0.6, loc=-1),
    ),
    "geometric_": (
        lambda: torch.empty(1, dtype=torch.float64).geometric_(0.6),
        stats.geom(0.6),
    ),
    "NegativeBinomial": (
        lambda: distributions.NegativeBinomial(2.5, tensor(0.3)).sample(),
        stats.nbinom(2.5, 0.7),
    ),
    "Binomial": (lambda: distributions.Binomial(4, tensor(0.3)).sample(), stats.binom(4, 0.3)),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_have_the_law_that_scipy_has(name):
    """And PyTorch draws them as often."""
    draw, known = NUMBERS[name]
    found = law(draw)
    for (value,), probability in found.items():
        assert probability == pytest.approx(known.pmf(value), rel=ROUNDING)
    torch.manual_seed(0)
    drawn = [tuple(draw().tolist()) for _ in range(SAMPLES)]
    assert set(drawn) <= set(found)
    for value, probability in found.items():
        # Of rare ones none, or one or two: their shares are no normal numbers.
        deviation = math.sqrt(probability * (1.0 - probability) / SAMPLES) + 1.0 / SAMPLES
        assert abs(drawn.count(value) / SAMPLES - probability) <= DEVIATIONS * deviation


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_shapes_and_types_are_pytorchs(kind):
    """Of a batch, and several samples of it."""
    rates = torch.tensor([[0.1], [0.0]], dtype=kind)
    half = torch.tensor([0.5, 1.0], dtype=kind)
    for draw in (
        lambda: distributions.Poisson(rates).sample((2,)),
        lambda: distributions.Geometric(half).sample(),
        lambda: distributions.NegativeBinomial(torch.tensor([1.0, 0.0], dtype=kind), half / 2),
        lambda: distributions.Multinomial(2, half).sample((1,)),
        lambda: torch.poisson(rates),
        lambda: torch.empty(1, dtype=kind).geometric_(0.5),
    ):

        def sample(draw=draw):
            drawn = draw()
            return drawn if isinstance(drawn, torch.Tensor) else drawn.sample()

        with Handling() as handling:
            value = next(iter(paths(sample, handling.perform))).value
        real = sample()
        assert (value.shape, value.dtype, value.requires_grad) == (real.shape, real.dtype, False)


def test_multisets_are_one_path_each():
    """With the probabilities of SciPy."""
    p = tensor(0.2, 0.5, 0.3)
    found = law(lambda: distributions.Multinomial(4, p).sample())
    assert len(found) == math.comb(4 + 2, 2)
    for value, probability in found.items():
        assert probability == pytest.approx(
            stats.multinomial(4, p.numpy()).pmf(value), rel=ROUNDING
        )


def test_what_pytorch_refuses():
    """In its words."""
    for rate in (-1.0, math.nan):
        with pytest.raises(RuntimeError, match="invalid Poisson rate"):
            law(lambda rate=rate: torch.poisson(tensor(rate)))
    with pytest.raises(NotImplementedError, match="poisson"):
        law(lambda: torch.poisson(torch.tensor([1])))
    for p in (0.0, 1.0, math.nan):
        with pytest.raises(RuntimeError, match=r"expects p to be in \(0, 1\)"):
            law(lambda p=p: torch.empty(1).geometric_(p))
    with pytest.raises(ValueError, match="draws with rate inf"):
        law(lambda: torch.poisson(tensor(math.inf)))
    with pytest.raises(TooManyPaths, match="large numbers are rarer"):
        law(lambda: distributions.Geometric(tensor(1e-5)).sample())


def test_poisson_numbers_under_transforms():
    """Drawn by PyTorch's own rules for rows."""
    rates = tensor(0.02, 0.03)
    mapped = lambda: torch.func.vmap(torch.poisson, randomness="different")(rates)  # noqa: E731
    assert law(mapped) == pytest.approx(law(lambda: torch.poisson(rates)), rel=ROUNDING)
    slope = torch.func.grad(lambda rate: (rate**2 * torch.poisson(rate)).sum())
    assert set(law(lambda: slope(tensor(1e-3)))) <= {(2e-3 * k,) for k in range(20)}


# ------------------------------------------------------------------ REINFORCE


def surrogate(make, cost, shift=0.0, own=None):
    """The usual one; the score may be of other parameters, or the numbers counted from another."""

    def estimate(parameter):
        z = make(parameter.detach()).sample()
        q = make(parameter if own is None else own(parameter))
        return (cost(z + shift) * q.log_prob(z)).sum()

    return estimate


#: A distribution, its parameter, a cost, and the mean of that.
REINFORCE = {
    "Poisson": (distributions.Poisson, 1.3, lambda z: z**2, lambda r: r + r**2),
    "Geometric": (distributions.Geometric, 0.6, lambda z: z, lambda p: (1.0 - p) / p),
    "Binomial": (
        lambda p: distributions.Binomial(4, p),
        0.3,
        lambda z: z**2,
        lambda p: 4.0 * p * (1.0 - p) + 16.0 * p**2,
    ),
    "NegativeBinomial": (
        lambda p: distributions.NegativeBinomial(2.5, p),
        0.3,
        lambda z: z**2,
        lambda p: 2.5 * p / (1.0 - p) ** 2 + (2.5 * p / (1.0 - p)) ** 2,
    ),
}

#: Wrong twins: what they change.
TWINS = {
    "another parameter in the score": {"own": lambda parameter: 1.02 * parameter},
    "numbers counted from one": {"shift": 1.0},
}


@pytest.mark.parametrize("name", REINFORCE)
def test_reinforce_is_the_derivative_of_the_closed_form(name):
    """By exact= and by objective=; and each wrong twin is refuted."""
    make, value, cost, mean = REINFORCE[name]
    parameter = tensor(value).requires_grad_()
    exact = torch.autograd.grad(mean(parameter).sum(), parameter)[0]
    objective = lambda parameter: cost(make(parameter).sample()).sum()  # noqa: E731
    right = surrogate(make, cost)
    for wanted in ({"exact": exact}, {"objective": objective}):
        assert check_estimator(right, [parameter], **wanted).verdict == HOLDS
    for twin, change in TWINS.items():
        if (name, twin) == ("Geometric", "numbers counted from one"):
            continue  # the cost is linear, and a constant is a baseline
        wrong = surrogate(make, cost, **change)
        assert check_estimator(wrong, [parameter], exact=exact).verdict == REFUTED


def test_reinforce_of_a_multinomial():
    """By logits: a quadratic cost of the counts."""
    logits = tensor(0.3, -0.2, 0.1).requires_grad_()
    weights, trials = tensor(1.0, -2.0, 0.5), 3

    def make(logits):
        return distributions.Multinomial(trials, logits=logits)

    q = logits.softmax(0)
    mean = trials * (weights**2 @ q) + trials * (trials - 1) * (weights @ q) ** 2
    exact = torch.autograd.grad(mean, logits)[0]
    right = surrogate(make, lambda z: (z @ weights) ** 2)
    report = check_estimator(right, [logits], exact=exact)
    assert (report.verdict, report.paths) == (HOLDS, math.comb(trials + 2, 2))
    objective = lambda logits: (make(logits).sample() @ weights) ** 2  # noqa: E731
    assert check_estimator(right, [logits], objective=objective).verdict == HOLDS
    wrong = surrogate(make, lambda z: (z @ weights) ** 2, own=lambda logits: 1.02 * logits)
    assert check_estimator(wrong, [logits], exact=exact).verdict == REFUTED


def test_a_baseline_of_its_own_samples_is_refuted():
    """As of two Poisson numbers whose mean cost is subtracted from both."""
    rate = tensor(0.8).requires_grad_()

    def estimate(rate, own=False):
        q = distributions.Poisson(rate)
        z = q.sample((2,))
        cost = z**2
        baseline = cost.mean() if own else cost.flip(0)
        return ((cost - baseline) * q.log_prob(z)).mean()

    exact = [2.0 * 0.8 + 1.0]
    assert check_estimator(estimate, [rate], exact=exact).verdict == HOLDS
    wrong = check_estimator(lambda rate: estimate(rate, own=True), [rate], exact=exact)
    assert wrong.verdict == REFUTED
    assert wrong.mean["gradient"] == pytest.approx([1.3], abs=wrong.bounds["gradient"][0])


def test_blocks_of_poisson_numbers_are_as_their_paths(monkeypatch):
    """Also where a rate depends on what was drawn before; or they are run one by one."""
    monkeypatch.setattr(block_moments, "FEWEST_PATHS", 1)
    rate = tensor(0.8, 0.3).requires_grad_()

    def estimate(rate, chained=False):
        q = distributions.Poisson(rate)
        z = q.sample()
        log = q.log_prob(z).sum()
        if chained:
            again = distributions.Poisson(0.1 + 0.1 * z[0])
            z = z + again.sample()
        return (z**2).sum() * log

    means = []
    for batch in (True, False):
        report = check_estimator(estimate, [rate], exact=np.zeros(2), batch=batch)
        means.append((report.mean["gradient"], report.paths))
        assert bool(report.blocks) == batch
    assert means[0][1] == means[1][1]
    np.testing.assert_allclose(means[0][0], means[1][0], rtol=ROUNDING)
    own, alone = (
        check_estimator(lambda r: estimate(r, True), [rate], exact=np.zeros(2), batch=way)
        for way in ("auto", False)
    )
    cut = 1e-9  # rates that differ by row are cut elsewhere in a block than on a path
    np.testing.assert_allclose(own.mean["gradient"], alone.mean["gradient"], rtol=cut)
    with pytest.raises(NotBatchable, match="one path at a time"):
        check_estimator(
            lambda p: distributions.Geometric(p).sample().sum() * p.log().sum(),
            [tensor(0.5).requires_grad_()],
            exact=[0.0],
            batch=True,
        )
