"""PyTorch's numbers that are only compared, where they are clipped, equal, or not defined."""

import weakref
from collections import Counter

import numpy as np
import pytest

from gradproof import UnsupportedDraw, check_estimator
from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import UserFunction
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.run import Run

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

#: Points of a uniform number; a probability is counted on them but for one or two.
#: A point that lies on the edge itself may fall to either side.
POINTS = 1000
ONE_POINT = 1.5 / POINTS
GRID = (torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS

#: Of each of two numbers, where both are on a grid.
PAIRS = 40

EDGES = torch.tensor([0.2, 0.5], dtype=torch.float64)

ROUNDING = 1e-13  # of a few roundings


def rand(*shape):
    """In double precision."""
    return torch.rand(*shape, dtype=torch.float64)


def law(code):
    """The probability of each thing that code returns."""
    found = Counter()
    with Enumeration(UserFunction(code)) as enumeration:
        for path in enumeration.paths():
            found[path.value] += path.probability
    assert sum(found.values()) == pytest.approx(1.0, abs=ROUNDING)
    return found


#: What a function of one number gives, where several numbers come to one value.
OF_ONE = {
    "bounds of a clamp the wrong way round": lambda u: bool(u.clamp(min=0.7, max=0.2) < 0.4),
    "clamp to several": lambda u: tuple((u.clamp(min=EDGES) < 0.4).tolist()),
    "square root of zero": lambda u: bool((u - 0.5).clamp(min=0.0).sqrt() <= 0.0),
    "square root above zero": lambda u: bool((u - 0.5).clamp(min=0.0).sqrt() > 0.0),
    "one over zero": lambda u: bool((u - 0.25).clamp(min=0.0).reciprocal() < torch.inf),
    "hard concrete": lambda u: bool((1.2 * torch.sigmoid(u.logit() + 0.3) - 0.1).clamp(0, 1) >= 1),
    "logarithm of zero": lambda u: bool((u - 0.25).clamp(min=0.0).log() <= -torch.inf),
    "sum of clipped ones, at most": lambda u: bool(u.clamp(max=0.5) + u.clamp(max=0.5) <= 1.0),
    "sum of clipped ones, less": lambda u: bool(u.clamp(max=0.5) + u.clamp(max=0.5) < 1.0),
    "falling sum": lambda u: bool(-u.clamp(max=0.5) - u.clamp(max=0.5) >= -1.0),
    "searchsorted": lambda u: torch.searchsorted(EDGES, u.clamp(max=0.5)).item(),
    "searchsorted, right": lambda u: torch.searchsorted(EDGES, u.clamp(max=0.5), right=True).item(),
    "searchsorted, side": lambda u: torch.searchsorted(
        EDGES, u.clamp(max=0.5), side="right"
    ).item(),
    "bucketize": lambda u: torch.bucketize(u.clamp(max=0.5), EDGES).item(),
    "bucketize, right": lambda u: torch.bucketize(u.clamp(max=0.5), EDGES, right=True).item(),
    "floor": lambda u: (4.0 * u).clamp(max=2.0).floor().item(),
    "floor of a bound that is no whole number": lambda u: (4.0 * u).clamp(1.0, 2.5).floor().item(),
    "long": lambda u: (4.0 * u).clamp(max=3).long().item(),
}


@pytest.mark.parametrize("name", OF_ONE)
def test_several_numbers_of_one_value(name):
    """Whether a bound is met counts there."""
    found = law(lambda: OF_ONE[name](rand(())))
    counted = Counter(OF_ONE[name](u) for u in GRID)
    for outcome in found | counted:
        assert found[outcome] == pytest.approx(counted[outcome] / POINTS, abs=ONE_POINT), outcome


@pytest.mark.parametrize("compare", [torch.lt, torch.le, torch.gt, torch.ge])
def test_two_numbers_that_may_be_equal(compare):
    """Two that are clipped: a quarter of all pairs are equal."""

    def code(u, v):
        return bool(compare(u.clamp(max=0.5), v.clamp(max=0.5)))

    points = (torch.arange(PAIRS, dtype=torch.float64) + 0.5) / PAIRS
    counted = np.mean([code(u, v) for u in points for v in points - 0.25 / PAIRS])
    # Of the points one row lies on the other side.
    assert law(lambda: code(*rand(2)))[True] == pytest.approx(counted, abs=1.0 / PAIRS)


REFUSED = {
    "log1p where it is not defined": lambda u: torch.log1p(3.0 * u - 2.0) < 0.0,
    "logit where it is not defined": lambda u: torch.logit(2.0 * u - 0.3) < 0.0,
    "ndtri where it is not defined": lambda u: torch.special.ndtri(2.0 * u - 0.3) < 0.0,
    "nan is added": lambda u: u + torch.nan > 0.5,
    "nan is subtracted": lambda u: u - torch.tensor(torch.nan) > 0.5,
    "infinity, and infinity is added": lambda u: u + torch.inf <= torch.inf,
    "clamp to nan": lambda u: u.clamp(min=torch.nan) < 0.4,
    "added no times": lambda u: torch.add(torch.ones(2), u, alpha=0.0) < 1.5,
    "to bool": lambda u: u.to(torch.bool),
    "to complex": lambda u: u.to(torch.complex64),
    "the bits": lambda u: u.view(torch.int64) < 3,
    "floor in place": lambda u: u.floor_() < 1.0,
    "a clipped number's tanh, and that of the clip": lambda u: (
        torch.tanh((2.0 * u).clamp(min=1.0)) <= np.tanh(1.0)
    ),
    "the same of single precision": lambda u: (
        torch.tanh((2.0 * u.float()).clamp(max=1.0)) < torch.tanh(torch.tensor(1.0))
    ),
    "a function that NumPy rounds in another way": lambda u: (
        torch.tanh((2.0 * u).clamp(min=1.0)) <= torch.tanh(torch.tensor(1.0).double()) * (1 - 2e-16)
    ),
    "a product that rounding leaves below": lambda u: u.clamp(max=0.3) * 3.0 >= 0.9,
    "a sigmoid that comes to 1": lambda u: torch.sigmoid(80.0 * u) < 1.0,
    "a floor of it": lambda u: torch.sigmoid(80.0 * u).floor() < 1.0,
    "rarer than single precision has it": lambda u: torch.rand(2) < 1e-9,
    "more often than it has it": lambda u: torch.rand(2) < 1.0 - 1e-6,
    "too large a number": lambda u: u.float() + 1e8 < 1e8 + 0.5,
    "too large a number that is subtracted again": lambda u: (u.float() + 1e8) - 1e8 < 0.5,
}


@pytest.mark.parametrize("name", REFUSED)
def test_no_law_is_made_up(name):
    """Of what is no number, of other numbers, and of numbers that rounding has made coarse."""
    with pytest.raises(UnsupportedDraw, match="used other than compared"):
        law(lambda: bool(REFUSED[name](rand(2)).all()))


def test_geometric_numbers_of_single_precision():
    """However rare the largest of them are."""
    found = law(lambda: int(torch.distributions.Geometric(0.5).sample()))
    assert found[0] == pytest.approx(0.5, abs=1e-6)  # its steps of rounding


def test_large_numbers_that_decide_alone():
    """A bound that no number comes to, as of what is masked."""
    assert law(lambda: bool(torch.rand(()) - 1e9 < 0.0)) == {True: 1.0}


def test_draws_of_nothing_random():
    """Between two ends that are one, and with no deviation: as PyTorch gives them."""
    for draw in (
        lambda: torch.empty(1).uniform_(1.0, 1.0),
        lambda: torch.empty(1).normal_(1.0, 0.0),
    ):
        assert law(lambda draw=draw: draw().item()) == {1.0: 1.0}


def test_arguments_that_pytorch_refuses():
    """As it does."""
    for draw, what in (
        (lambda: torch.empty(1).uniform_(2.0, 1.0), "from <= to"),
        (lambda: torch.empty(1).normal_(0.0, -1.0), "std >= 0.0"),
        (lambda: torch.normal(torch.zeros(2), -torch.ones(2)), "std >= 0.0"),
        (lambda: torch.empty(1).exponential_(-1.0), "lambd > 0.0"),
        (lambda: torch.empty(1).exponential_(0.0), "lambd > 0.0"),
    ):
        with pytest.raises(RuntimeError, match=what):
            law(lambda draw=draw: draw().numel())


def test_arguments_as_users_write_them():
    """Sizes of NumPy, one end of two, and no numbers at all."""
    for code, expected in (
        (lambda: bool((torch.rand(np.int64(1)) < 0.5).all()), 0.5),
        (lambda: bool((torch.rand(2, np.int64(1)) < 0.5).all()), 0.25),
        (lambda: bool((torch.rand([2, 1]) < 0.5).all()), 0.25),
        (lambda: bool(torch.empty(1).uniform_(0.5) < 0.75), 0.5),
        (lambda: bool(torch.empty(1).uniform_(to=2.0) < 0.5), 0.25),
        (lambda: torch.rand(3).topk(0).indices.numel() == 0, 1.0),
        (lambda: (torch.rand(0) < 0.5).numel() == 0, 1.0),
    ):
        assert law(code)[True] == pytest.approx(expected, abs=ROUNDING)


def test_numbers_of_a_run_that_has_ended():
    """Kept where nothing is put back, they are no draws of the next run."""
    kept = []

    def draw():
        kept.append(torch.rand(2))

    for use in (lambda: bool(kept[0][0] < 0.5), lambda: int(kept[0].argmax())):
        with Handling(draw) as handling:
            handling.perform(draw, Run())
            with pytest.raises(UnsupportedDraw, match="after it has ended"):
                handling.perform(use, Run())
    with pytest.raises(UnsupportedDraw, match="after it has ended"):
        kept[0] < 0.5  # noqa: B015 - a comparison is what is refused


def test_a_surrogate_of_numbers_that_are_used():
    """It is refused by the draw's name, so that it may be sampled; it has a graph if drawn."""
    costs = torch.tensor([1.0, 3.0], dtype=torch.float64)
    logits = torch.zeros(2, dtype=torch.float64, requires_grad=True)

    def estimate(logits):
        y = (logits.detach() - torch.log(-torch.log(rand(2)))).argmax()
        return (costs[y] + torch.randn((), dtype=torch.float64)) * logits.log_softmax(0)[y]

    options = {"exact": [-0.5, 0.5], "returns": "surrogate"}
    with pytest.raises(UnsupportedDraw, match="used other than compared"):
        check_estimator(estimate, [logits], **options)
    # As many as the range of what is drawn needs.
    assert check_estimator(estimate, [logits], draws=20_000, **options).verdict != "refuted"


def test_tensors_that_pytorch_cannot_swap():
    """Those with weak references, made before or after; and those in wrappers of torch.func."""
    kept = {}

    def before():
        made = torch.empty(2)
        kept["reference"] = weakref.ref(made)
        return bool((made.uniform_() < 0.5).all())

    def after():
        kept["made"] = torch.empty(2).uniform_()
        kept["reference"] = weakref.ref(kept["made"])
        return bool((kept["made"] < 0.5).all())

    for code in (before, after):
        with pytest.raises(UnsupportedDraw, match=r"memory others have|weak references"):
            law(code)

    def race(logits):
        return (logits.softmax(0) / torch.empty_like(logits).exponential_())[0]

    with pytest.raises(UnsupportedDraw, match=r"within torch\.func"):
        law(lambda: torch.func.grad(race)(torch.ones(2)).sum().item())
