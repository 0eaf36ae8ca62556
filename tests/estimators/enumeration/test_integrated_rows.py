"""Integrals by blocks of paths: the same as path by path, and what has to be run path by path."""

import numpy as np
import pytest

from gradproof import NotReproducible, check_estimator
from gradproof.estimators.enumeration import block_moments
from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import Estimator
from gradproof.estimators.enumeration.integration.quadrature import Quadrature
from gradproof.estimators.enumeration.integration.several import Quadratures

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

distributions = torch.distributions

#: A thousand paths are added up in another order, and vector instructions differ in the last place.
ROUNDING = 1e-12

#: So few that path by path takes seconds.
PATHS = 800


def rand(*shape):
    """Uniform numbers in double precision."""
    return torch.rand(*shape, dtype=torch.float64)


def randn(*shape):
    """Normal numbers in double precision."""
    return torch.randn(*shape, dtype=torch.float64)


def pathwise(theta):
    """Of a normal number."""
    return (distributions.Normal(theta[0], 1.0).rsample() ** 2).sum()


def score(theta):
    """Of two, with the law's own logarithm."""
    q = distributions.Normal(theta, 1.0)
    z = q.sample()
    return ((z**2).sum() * q.log_prob(z)).sum()


def hierarchy(theta):
    """The second has a mean that is a function of the first."""
    one = distributions.Normal(theta[0], 1.0).rsample()
    other = distributions.Normal(torch.tanh(one) * theta[1], 0.7).rsample()
    return torch.sin(one) * other**2


def exponential_hierarchy(theta):
    """The same, and a function of that."""
    one = randn()
    return torch.exp(0.3 * randn() + theta[0] * one).sum()


def bits(theta):
    """REBAR's noise: compared first, by parameters, and used afterwards."""
    z = theta + torch.logit(rand(2))
    b = (z > 0).double()
    return (b * torch.sigmoid(z) * theta).sum()


def branch(theta):
    """The way through the code is decided by a number."""
    z = randn()
    if z < theta[0].detach():
        return theta[0] * z + randn() * theta[1] ** 2
    return theta[0] ** 2 * z**2 + theta[1]


def coin_of_a_node(theta):
    """A discrete draw whose probability is a function of a number."""
    z = randn()
    q = distributions.Bernoulli(logits=z + theta[0])
    b = q.sample()
    return (1.0 + b) * q.log_prob(b) + theta[1] * z


def indexed(theta):
    """A discrete draw says which number is used, and the others are not."""
    z = randn(3)
    y = distributions.Categorical(logits=theta[:1].expand(3)).sample()
    return theta[0] * z[y] ** 2 + theta[1]


def clipped(theta):
    """A kink that is known beforehand."""
    return (torch.clamp(randn(), -0.4, 0.9) * theta[0]).sum() + theta[1]


def in_place(theta):
    """Numbers that are written to a tensor, as ``F.gumbel_softmax`` has them."""
    gumbels = -torch.empty(2, dtype=torch.float64).exponential_().log()
    return (torch.softmax(theta + gumbels, -1) * torch.tensor([1.0, 3.0])).sum()


def in_place_of_a_module(theta):
    """The same of a distribution that makes its tensor by ``new``."""
    return (distributions.Laplace(theta[0], 1.0).rsample() ** 2).sum() + theta[1]


def scaled_in_place(theta):
    """Before they are needed."""
    z = randn(2)
    z.mul_(2.0)
    return (z * theta).sum() ** 2


def ordered(theta):
    """Gumbel-max, and a number of its own."""
    y = (theta.detach() - torch.log(-torch.log(rand(2)))).argmax()
    return theta.log_softmax(-1)[y] * (1.0 + y) + (theta[0] * randn()) ** 2


def by_backward(theta):
    """Differentiated by the estimator."""
    ((theta * randn()) ** 2).sum().backward()


def by_grad(theta):
    """Likewise, and returned."""
    return torch.autograd.grad(((theta * randn()) ** 2).sum(), theta)[0]


def returned_numbers(theta):
    """Numbers that are returned as they were drawn."""
    return [theta.detach() * randn(2)]


IN_BLOCKS = [
    pathwise, score, hierarchy, exponential_hierarchy, bits, branch, coin_of_a_node, indexed,
    clipped, scaled_in_place, in_place, in_place_of_a_module, ordered, by_grad, returned_numbers,
]  # fmt: skip


def compared_by_a_node(theta):
    """The threshold is another one on each path."""
    z = torch.cos(randn())
    return theta[0] * (rand() < z**2).double() + theta[1] * z


def out_of_pytorch(theta):
    """A number is taken out."""
    return theta[0] * float(np.exp(randn(1).numpy()[0])) + theta[1]


def by_a_gamma(theta):
    """Whose derivatives PyTorch approximates, path by path."""
    return (distributions.Gamma(theta[0] ** 2 + 1.0, 1.0).rsample() ** 2).sum() + theta[1]


def written_to(theta):
    """A tensor of numbers is written to by what needs them."""
    z = randn(1)
    z.cos_()
    return (z * theta).sum() ** 2


def clipped_by_a_node(theta):
    """A kink in another place on each path."""
    z = torch.cos(randn())
    return torch.cos(torch.clamp(randn(), min=z)) * theta[1] + theta[0]


ONE_BY_ONE = {
    compared_by_a_node: "compared with another one on each path",
    out_of_pytorch: "is another one on nearly every path",
    by_a_gamma: "decided when they are compared",
    written_to: "written to",
    clipped_by_a_node: "compared with another one on each path",
}


def check(estimate, theta, **options):
    """A report, whatever the estimand is."""
    options = {"integrate": 1e-3, "paths": PATHS, "exact": np.zeros(2), **options}
    return check_estimator(estimate, [theta], **options)


@pytest.fixture(name="theta")
def _theta():
    return torch.tensor([0.4, -0.3], dtype=torch.float64, requires_grad=True)


def is_in_blocks(report):
    """Whether the notes say so."""
    return any("many at a time" in note for note in report.notes)


def assert_same(one, other):
    """Two reports are of the same moments, but for rounding."""
    assert (one.verdict, one.paths, one.draws) == (other.verdict, other.paths, other.draws)
    size = np.sqrt(other.variance["gradient"] + other.mean["gradient"] ** 2)
    assert one.mean["gradient"] == pytest.approx(other.mean["gradient"], abs=ROUNDING * size.max())
    squares = ROUNDING * (size**2).max()
    assert one.variance["gradient"] == pytest.approx(other.variance["gradient"], abs=squares)


@pytest.mark.parametrize("estimate", IN_BLOCKS, ids=lambda each: each.__name__)
def test_blocks_come_to_what_paths_come_to_one_by_one(estimate, theta):
    """Verdict, paths, mean and variance."""
    wrt = {"wrt": theta} if estimate is by_backward else {}
    together, alone = (check(estimate, theta, batch=batch, **wrt) for batch in ("auto", False))
    assert is_in_blocks(together), together.notes
    assert not is_in_blocks(alone)
    assert_same(together, alone)


@pytest.mark.parametrize("estimate", ONE_BY_ONE, ids=lambda each: each.__name__)
def test_what_no_block_has_is_run_one_by_one(estimate, theta):
    """With the same result, and it is said why."""
    together, alone = (check(estimate, theta, batch=batch) for batch in ("auto", False))
    assert not is_in_blocks(together), together.notes
    assert_same(together, alone)
    with pytest.raises(RuntimeError, match=ONE_BY_ONE[estimate]):
        check(estimate, theta, batch=True)


def test_gradients_that_are_left_in_grad(theta):
    """By ``backward``."""
    together, alone = (check(by_backward, theta, batch=batch) for batch in ("auto", False))
    assert is_in_blocks(together), together.notes
    assert_same(together, alone)


def test_wrong_estimators_are_refuted_in_blocks(theta):
    """Of θ₀² + 1, by the mean of (θ₀ + z)²: 2 θ₀; a fiftieth off is seen."""
    options = {"exact": [0.8, 0.0], "integrate": 1e-6}
    right = check(pathwise, theta, **options)
    wrong = check(lambda theta: 1.02 * pathwise(theta), theta, **options)
    assert (right.verdict, wrong.verdict) == ("holds", "refuted")
    assert is_in_blocks(right)
    assert is_in_blocks(wrong)


# --- what would go wrong in blocks alone is seen, by the paths that are run by themselves too


def _other_nodes(monkeypatch):
    real = Quadrature.take_rows
    monkeypatch.setattr(Quadrature, "take_rows", lambda *args: real(*args) + 1e-6)


def _nodes_of_another_row(monkeypatch):
    real = Quadrature.take_rows
    monkeypatch.setattr(Quadrature, "take_rows", lambda *args: np.roll(real(*args), 1))


def _rules_of_another(monkeypatch):
    real = Quadratures._rules_of_rows

    def other(self, run, place, part):
        return real(self, run, place, part._replace(low=0.9 * part.low))

    monkeypatch.setattr(Quadratures, "_rules_of_rows", other)


@pytest.mark.parametrize("plant", [_other_nodes, _nodes_of_another_row, _rules_of_another])
def test_planted_bugs_of_blocks_are_seen(plant, theta, monkeypatch):
    """Paths are run one by one then, and the result is right."""
    alone = check(bits, theta, batch=False)
    plant(monkeypatch)
    found = check(bits, theta)
    assert not is_in_blocks(found)
    assert_same(found, alone)
    with pytest.raises(RuntimeError, match="comes to something else than among others"):
        check(bits, theta, batch=True)


def test_nondeterministic_code_is_named(theta):
    """What is kept from run to run where nobody sees it."""
    calls = iter(range(10**9))
    with pytest.raises(NotReproducible, match="nondeterministic"):
        check(lambda theta: pathwise(theta) * (1.0 + 7 * next(calls) % 5), theta)


# --- several quadratures at once


def test_moments_by_each_of_several_quadratures(theta, monkeypatch):
    """Those of a normal number's powers, as Gauss rules of n nodes have them up to 2n - 1."""
    monkeypatch.setattr(block_moments, "FEWEST_PATHS", 1)

    def estimate():
        z = randn()
        return [torch.stack([z**2, z**4])]

    counts = (2, 3, 5, 16)
    quadratures = Quadratures([Quadrature((count,)) for count in counts])
    with Enumeration(Estimator(estimate, [])) as enumeration:
        found = enumeration.moments_by_quadrature({"gradient": np.zeros(2)}, quadratures)
    assert [each.count for each in found] == list(counts)
    means = np.array([each.mean() for each in found])
    assert means[:, 0] == pytest.approx(np.ones(4), abs=ROUNDING)
    # The rule of two nodes, -1 and 1, has one for the fourth power, whose mean is three.
    assert means[:, 1] == pytest.approx([1.0, 3.0, 3.0, 3.0], abs=ROUNDING)


def test_boxes_are_parts_of_a_law(theta):
    """The mean of a uniform number in halves: one and three quarters."""
    boxes = [((0.0, 0.5),), ((0.5, 1.0),)]
    quadratures = Quadratures([Quadrature((4,), box) for box in boxes])
    with Enumeration(Estimator(lambda: [torch.exp(torch.log(rand(1)))], [])) as enumeration:
        found = enumeration.moments_by_quadrature({"gradient": np.zeros(1)}, quadratures)
    means = [each.mean()[0] for each in found]
    assert means == pytest.approx([0.25, 0.75], abs=1e-9)  # Gauss rules of parts are fitted
