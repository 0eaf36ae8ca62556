"""Estimators whose continuous draws are used: verdicts on integrated means, and what is refused."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from gradproof import TooManyPaths, UnsupportedDraw, check_estimator

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

AT = 0.4

#: What gradients that SciPy integrates are off by, or differences of these.
SCIPY = 1e-7

#: What the integral is to come to.
TOLERANCE = 1e-6


def parameter(value=AT):
    """A parameter of one entry, in double precision."""
    return torch.tensor([value], dtype=torch.float64, requires_grad=True)


def check(estimate, exact, at=AT, **options):
    """A report on an estimator of one parameter."""
    options = {"integrate": TOLERANCE, "exact_error": SCIPY, **options}
    return check_estimator(estimate, [parameter(at)], exact=[float(exact)], **options)


def slope(mean, at=AT):
    """Of a mean that SciPy knows, by differences of the fourth order."""
    h = 1e-3
    return (8 * (mean(at + h) - mean(at - h)) - (mean(at + 2 * h) - mean(at - 2 * h))) / (12 * h)


def mean_of(law, function):
    """The mean of a function of a number, by SciPy."""
    found, _ = integrate.quad(lambda u: function(law.ppf(u)), 0.0, 1.0, epsabs=1e-11, limit=300)
    return found


normal = torch.distributions.Normal


def rand(*shape):
    """Uniform numbers in double precision."""
    return torch.rand(*shape, dtype=torch.float64)


def randn(*shape):
    """Normal numbers in double precision."""
    return torch.randn(*shape, dtype=torch.float64)


def score(law, cost):
    """A score-function estimator."""

    def estimate(theta):
        q = law(theta)
        z = q.sample()
        return (cost(z) * q.log_prob(z)).sum()

    return estimate


def pathwise(law, cost):
    """A pathwise estimator."""
    return lambda theta: cost(law(theta).rsample()).sum()


distributions = torch.distributions

#: By name: the estimator, its parameter, and the gradient.
ESTIMATORS = {
    "score of a normal": (score(lambda m: normal(m, 1.0), torch.square), AT, 2 * AT),
    "pathwise of a normal": (pathwise(lambda m: normal(m, 1.0), torch.square), AT, 2 * AT),
    "its standard deviation": (pathwise(lambda s: normal(0.0, s), torch.square), AT, 2 * AT),
    "log-normal": (
        pathwise(lambda m: distributions.LogNormal(m, 0.5), lambda z: z),
        AT,
        math.exp(AT + 0.125),
    ),
    "exponential": (
        pathwise(distributions.Exponential, torch.square),
        1.3,
        -4.0 / 1.3**3,
    ),
    "uniform": (
        pathwise(lambda b: distributions.Uniform(torch.zeros_like(b), b), torch.exp),
        1.3,
        slope(lambda b: math.expm1(b) / b, 1.3),
    ),
    "Laplace": (pathwise(lambda m: distributions.Laplace(m, 1.0), torch.square), AT, 2 * AT),
    "Gumbel": (
        pathwise(lambda m: distributions.Gumbel(m, 1.0), torch.tanh),
        AT,
        mean_of(stats.gumbel_r(), lambda g: 1.0 - math.tanh(AT + g) ** 2),
    ),
    "half-normal": (pathwise(distributions.HalfNormal, torch.square), 1.3, 2.6),
    "concrete": (
        pathwise(
            lambda a: distributions.RelaxedBernoulli(torch.tensor([0.7]).double(), logits=a),
            torch.square,
        ),
        AT,
        slope(
            lambda a: mean_of(
                stats.logistic(), lambda x: 1.0 / (1.0 + math.exp(-(a + x) / 0.7)) ** 2
            )
        ),
    ),
    "score of a gamma": (
        score(lambda a: distributions.Gamma(a, 1.0), torch.square),
        1.3,
        2 * 1.3 + 1.0,
    ),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_right_estimators_hold_and_their_twins_are_refuted(name):
    """One part in fifty off is a bias that is far beyond the error of the integral."""
    estimate, at, exact = ESTIMATORS[name]
    report = check(estimate, exact, at)
    assert (report.verdict, report.method) == ("holds", "integrated"), report.explain()
    assert "the error is estimated at" in report.explain()
    wrong = check(lambda theta: 1.02 * estimate(theta), exact, at)
    assert wrong.verdict == "refuted"
    assert "should be" in wrong.explain()


def test_the_variance_is_integrated_too():
    """Of (m + z)², whose gradient is 2 (m + z): four."""
    report = check(ESTIMATORS["pathwise of a normal"][0], 2 * AT)
    assert report.total_variance == pytest.approx(4.0, rel=1e-8)  # Gauss rules are exact there


@pytest.mark.parametrize(
    ("law", "mean"),
    [
        (lambda a: distributions.Gamma(a, 1.0), lambda a: a * (a + 1.0)),
        (
            lambda a: distributions.Beta(a, torch.full_like(a, 2.0)),
            lambda a: a * (a + 1.0) / ((a + 2.0) * (a + 3.0)),
        ),
    ],
    ids=["gamma", "beta"],
)
def test_what_pytorch_approximates_is_allowed_for_and_named(law, mean):
    """Pathwise derivatives of gamma and beta numbers are off by some 1e-5 in PyTorch itself."""
    exact = slope(mean, 1.3)
    report = check(pathwise(law, torch.square), exact, 1.3)
    assert report.verdict == "holds", report.explain()
    assert "PyTorch's own, which are approximations" in report.explain()
    off = abs(report.mean["gradient"][0] - exact)
    assert off > 1e-7  # else there was nothing to be allowed for
    wrong = check(lambda a: 1.02 * pathwise(law, torch.square)(a), exact, 1.3)
    assert wrong.verdict == "refuted"


def branch(theta):
    """Compared first, then used: each side is a piece of its own."""
    z = randn(())
    return theta[0] * z if z < theta[0].detach() else theta[0] ** 2 * z**2


def written_to(theta):
    """In place, after it was drawn."""
    z = randn(2)
    z.mul_(2.0)
    z[0] = 1.0
    z.add_(theta)
    return (z**2).sum()


def by_sample(theta):
    """Differentiated by the sample itself."""
    z = (theta + randn(1)).detach().requires_grad_()
    (gradient,) = torch.autograd.grad((z**3).sum(), z)
    return (gradient * theta).sum()


class Square(torch.autograd.Function):
    """With a derivative of its own."""

    @staticmethod
    def forward(ctx, x):
        """The square."""
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        """Of the square."""
        return 2 * ctx.saved_tensors[0] * gradient


def no_graph(theta):
    """Drawn without a graph, and scored."""
    with torch.no_grad():
        z = theta + randn(1)
    return (z**2 * normal(theta, 1.0).log_prob(z)).sum()


def mixture(theta):
    """A discrete draw, and a continuous one that depends on it."""
    q = distributions.Bernoulli(logits=theta)
    k = q.sample()
    return (q.log_prob(k) * (randn(1) * (1.0 + k)) ** 2).sum()


def shared(theta):
    """One number in two functions, of which one is used late."""
    u = rand(1)
    one, other = torch.log(u), torch.log1p(-u)
    first = (one * theta).sum()
    return first + (one * other * theta).sum()


def as_numbers(theta):
    """Taken out of PyTorch."""
    z = randn(2)
    return theta[0] * float(np.exp(z.numpy()[0])) + theta[0] * z[1].item() ** 2


SHAPES = {
    "branch": (
        branch,
        -stats.norm.pdf(AT) + 2 * AT * (stats.norm.sf(AT) + AT * stats.norm.pdf(AT)),
    ),
    "written to": (written_to, 2 * (1.0 + AT) + 2 * AT),
    "by the sample": (by_sample, 3 * (1.0 + AT**2)),
    "a derivative of its own": (lambda m: Square.apply(m + randn(1)).sum(), 2 * AT),
    "no graph": (no_graph, 2 * AT),
    "mixture": (mixture, 3.0 / (2.0 + 2.0 * math.cosh(AT))),
    "shared": (shared, -1.0 + 2.0 - math.pi**2 / 6.0),
    "as numbers": (as_numbers, math.exp(0.5) + 1.0),
    "rectified": (lambda m: torch.relu(m + randn(1)).sum(), stats.norm.cdf(AT)),
    "several": (lambda m: (torch.stack([m + randn(1) for _ in range(2)]) ** 2).sum(), 4 * AT),
}


@pytest.mark.parametrize("name", SHAPES)
def test_numbers_are_tensors_like_any_other(name):
    """Whatever is done to them, values and gradients are PyTorch's."""
    estimate, exact = SHAPES[name]
    report = check(estimate, exact)
    assert report.verdict == "holds", report.explain()
    assert check(lambda m: 1.02 * estimate(m), exact).verdict == "refuted"


def test_the_graph_of_what_was_compared_first_is_there():
    """A comparison decides nothing of a gradient."""

    def estimate(theta):
        z = theta + randn(1)
        sign = 1.0 if bool(z > 0.0) else -1.0
        return (sign * z).sum()

    # d/dm E[sign(z) z] where the sign is a constant of each path: P(z > 0) - P(z < 0).
    assert check(estimate, 1.0 - 2.0 * stats.norm.cdf(-AT)).verdict == "holds"


def test_numbers_that_are_returned_as_they_were_drawn():
    """Nothing needs them before the run ends."""
    report = check(lambda theta: theta.detach() + 2.0 * randn(1), AT)
    assert report.verdict == "holds", report.explain()
    assert report.total_variance == pytest.approx(4.0, rel=1e-8)  # Gauss rules are exact there
    assert check(lambda theta: theta.detach() + randn(1), 1.1 * AT).verdict == "refuted"


def test_an_objective_is_not_told_to_be_integrated():
    """That is for the estimator; what it needs is an exact gradient."""
    pathwise = ESTIMATORS["pathwise of a normal"][0]
    with pytest.raises(UnsupportedDraw, match="the objective cannot be enumerated") as raised:
        check_estimator(pathwise, [parameter()], objective=pathwise, integrate=TOLERANCE)
    assert "integrate it" not in str(raised.value)
    assert "exact= instead (in closed form, or by quadrature; integrate= and" in str(raised.value)


def test_without_integrate_used_numbers_are_refused_and_it_is_named():
    """The message says what to do."""
    with pytest.raises(UnsupportedDraw, match="or integrate it"):
        check(ESTIMATORS["pathwise of a normal"][0], 2 * AT, integrate=None)


@pytest.mark.parametrize(
    ("estimate", "words"),
    [
        (lambda m: m[0] * torch.exp(randn(()) ** 2), "differ on the variance"),
        (lambda m: (m * torch.empty(1).double().cauchy_()).sum(), "sample"),
        (lambda m: m[0] * torch.log(randn(()) * 1.0), "is not known"),
        (
            lambda m: (m * distributions.StudentT(torch.ones(1).double()).sample()).sum(),
            "differ on the variance",
        ),
    ],
    ids=["infinite mean", "no mean", "no number", "no mean of a symmetrical law"],
)
def test_what_has_no_mean_is_undecided(estimate, words):
    """And refuted by nothing."""
    report = check(estimate, 1.0, paths=2000)
    assert report.verdict == "undecided"
    assert words in report.reason


def test_too_many_numbers_are_said_to_be_that():
    """Before most of them are run."""
    with pytest.raises(TooManyPaths, match=r"60 continuous numbers are used on a path.*draws="):
        check(lambda m: (m * randn(60) ** 2).sum(), 1.0)


def test_numbers_that_are_drawn_without_an_end_are_said_to_be_that():
    """Each takes the same node, and the loop would go on for ever."""

    def reject(theta):
        while True:
            z = randn(()) ** 2
            if z > 1.0:
                return theta[0] * z

    with pytest.raises(TooManyPaths, match=r"uses more than 1,000 continuous numbers"):
        check(reject, 1.0)


@pytest.mark.parametrize(
    ("estimate", "words"),
    [
        (lambda m: _largest_then_used(m), "used after it was compared with others"),
        (lambda m: _view_written(m), "which a view would have to see"),
        (lambda m: _masked_written(m), "which a view would have to see"),
        (lambda m: _late_write(m), "was written to"),
        (lambda m: _in_vmap(m), "within torch.func.vmap"),
    ],
    ids=["order first", "view", "mask", "late write", "vmap"],
)
def test_what_cannot_be_followed_is_refused(estimate, words):
    """By the name of the draw, and with what to do."""
    with pytest.raises(UnsupportedDraw, match=words):
        check(estimate, 1.0)


def _largest_then_used(theta):
    z = randn(2)
    return theta[0] * z[z.argmax()] ** 2


def _masked_written(mean):
    """What a mask leaves is written to; on some paths it leaves nothing."""
    z = torch.distributions.Normal(mean, 1.0).sample().clone()
    z[z < 0] *= -1.0
    return (z * mean).sum()


def _view_written(theta):
    z = randn(2)
    view = z[0]
    z.add_(theta.detach())
    return theta[0] * view**2


def _late_write(theta):
    scale = torch.ones(1, dtype=torch.float64)
    z = randn(1) * scale
    scale.mul_(2.0)
    return (theta * z**2).sum()


def _in_vmap(theta):
    noise = torch.func.vmap(lambda x: randn(()) * x, randomness="different")
    return (theta * noise(torch.ones(2, dtype=torch.float64)) ** 2).sum()


@pytest.mark.parametrize("value", [0.0, 1.0, -1e-6, math.nan, True, "1e-6"])
def test_a_tolerance_is_a_share(value):
    """Between 0 and 1."""
    with pytest.raises(ValueError, match=r"integrate = .*expected a number between 0 and 1"):
        check(ESTIMATORS["pathwise of a normal"][0], 2 * AT, integrate=value)


def test_where_much_cancels_a_smaller_error_is_to_be_asked_for():
    """A constant cost of 50 has no gradient, and large scores; the report says its bound."""
    estimate = score(lambda theta: normal(theta, 1.0), lambda z: z + 50.0)
    report = check(estimate, 1.0, integrate=1e-2)
    assert report.verdict == "undecided"
    assert "ask for a smaller error of the integral (integrate=)" in report.explain()
    assert "at least 0.01 of an entry's mean magnitude" in report.bound_reason
    assert check(estimate, 1.0, integrate=1e-5).verdict == "holds"
    assert check(estimate, 1.02, integrate=1e-5).verdict == "refuted"


def test_single_precision_has_its_own_bound():
    """A right estimator in single precision holds, and 2 % off is still seen."""

    def estimate(theta):
        return (normal(theta.float(), 1.0).rsample() ** 2).sum()

    report = check(estimate, 2 * AT)
    assert report.verdict == "holds", report.explain()
    assert max(one.bound for one in report.comparisons) > 1e-5  # of single precision
    assert check(lambda theta: 1.02 * estimate(theta), 2 * AT).verdict == "refuted"


def test_the_user_s_world_is_as_it_was():
    """Generator, gradients and the functions of PyTorch."""
    torch.manual_seed(3)
    before, real = torch.get_rng_state(), torch.autograd.Function.apply
    theta = parameter()
    check_estimator(
        ESTIMATORS["pathwise of a normal"][0], [theta], exact=[2 * AT], integrate=TOLERANCE
    )
    assert torch.equal(before, torch.get_rng_state())
    assert theta.grad is None
    assert torch.autograd.Function.apply == real
    assert type(torch.randn(1)) is torch.Tensor
