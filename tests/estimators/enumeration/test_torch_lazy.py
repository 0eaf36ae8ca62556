"""PyTorch's continuous draws that are only compared: probabilities, and what is refused."""

import copy
import itertools
import warnings

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gradproof import UnsupportedDraw, check_estimator
from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import UserFunction
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.run import Run

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

#: Points of a uniform number, of which a monotone function lies on one side of a bound for as many
#: as its probability says, but for one.
POINTS = 4000
GRID = (torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS

COSTS = torch.tensor([1.0, 3.0, 2.0, 5.0], dtype=torch.float64)

#: Probabilities of a few roundings.
ROUNDING = 1e-13

#: The same of probabilities that are rare: of the exponential of a number of fifty, as a share.
RARE = 1e-12


def rand(*shape):
    """In double precision."""
    return torch.rand(*shape, dtype=torch.float64)


def law(code):
    """The probability of each thing that code returns."""
    found = {}
    with Enumeration(UserFunction(code)) as enumeration:
        for path in enumeration.paths():
            key = path.value if isinstance(path.value, tuple) else (path.value,)
            found[key] = found.get(key, 0.0) + path.probability
    assert sum(found.values()) == pytest.approx(1.0, abs=ROUNDING)
    return {key if len(key) > 1 else key[0]: value for key, value in found.items()}


def numbers(low, high):
    """Such as a user writes."""
    return st.floats(low, high, allow_nan=False).map(lambda x: round(x, 3))


nonzero = numbers(-3.0, 3.0).filter(lambda x: abs(x) > 0.01)

#: Functions of a number, by name, each made of one of a user's.
FUNCTIONS = {
    "plus": lambda a: lambda x: x + a,
    "from": lambda a: lambda x: a - x,
    "minus": lambda a: lambda x: torch.sub(x, a, alpha=2),
    "plus twice": lambda a: lambda x: torch.add(torch.tensor(a).double(), x, alpha=-2),
    "times": lambda a: lambda x: x * a,
    "times tensor": lambda a: lambda x: torch.tensor(a).double() * x,
    "over": lambda a: lambda x: x / a,
    "negative": lambda a: lambda x: -x,
    "exp": lambda a: lambda x: x.exp(),
    "expm1": lambda a: lambda x: torch.expm1(x),
    "sigmoid": lambda a: lambda x: torch.sigmoid(x),
    "tanh": lambda a: lambda x: x.tanh(),
    "logsigmoid": lambda a: lambda x: torch.nn.functional.logsigmoid(x),
    "clamp": lambda a: lambda x: x.clamp(min=a),
    "clip": lambda a: lambda x: x.clip(max=a),
    "in place": lambda a: lambda x: x.clone().add_(a).mul_(2.0),
    "single": lambda a: lambda x: x.double(),
}

#: What comes first, of numbers between 0 and 1.
FIRST = {
    "number": lambda u: u,
    "log": lambda u: u.log(),
    "exponential": lambda u: -torch.log(u),
    "Gumbel": lambda u: -torch.log(-torch.log(u)),
    "log1p": lambda u: -torch.log1p(-u),
    "logit": lambda u: torch.logit(u),
    "logistic": lambda u: torch.log(u) - torch.log(1 - u),
    "Laplace, one side": lambda u: u.sqrt(),
    "reciprocal": lambda u: 1.0 / u,
    "normal": lambda u: torch.special.ndtri(u),
}

COMPARISONS = {
    "<": lambda x, c: x < c,
    ">": lambda x, c: x > c,
    "<= turned": lambda x, c: c >= x,
    "> turned": lambda x, c: c < x,
    "tensor": lambda x, c: torch.le(x, torch.tensor(c, dtype=torch.float64)),
}


@given(
    st.sampled_from(sorted(FIRST)),
    st.lists(st.tuples(st.sampled_from(sorted(FUNCTIONS)), nonzero), max_size=4),
    st.sampled_from(sorted(COMPARISONS)),
    # No value that a function comes to by rounding alone, as a sigmoid to 0 and to 1.
    numbers(-4.0, 4.0).map(lambda x: x + 3.14159e-4),
)
def test_a_comparison_has_the_probability_that_numbers_have(first, functions, comparison, bound):
    """Whatever monotone functions a number goes through: counted on a grid of it."""

    def value(u):
        x = FIRST[first](u)
        for name, a in functions:
            x = FUNCTIONS[name](a)(x)
        return x

    def code(u):
        return COMPARISONS[comparison](value(u), bound)

    assume(value(GRID).isfinite().all())  # what overflows is refused
    found = law(lambda: bool(code(rand(()))))
    counted = code(GRID).double().mean().item()
    # A point of the grid that lies on the edge itself may fall to either side.
    assert found.get(True, 0.0) == pytest.approx(counted, abs=1.5 / POINTS)


@given(st.lists(numbers(0.01, 0.99), min_size=2, max_size=4))
def test_what_was_compared_lies_between_its_ends(bounds):
    """Later comparisons are given earlier ones."""

    def code():
        u = rand(())
        return tuple(bool(u < each) for each in bounds)

    found = law(code)
    for ways, probability in found.items():
        low = max([b for b, w in zip(bounds, ways, strict=True) if not w], default=0.0)
        high = min([b for b, w in zip(bounds, ways, strict=True) if w], default=1.0)
        assert probability == pytest.approx(high - low, abs=ROUNDING)


LOGITS = torch.tensor([0.3, -0.2, 0.5, 0.1], dtype=torch.float64)


def gumbel(shift=0.0):
    """Written out, perhaps with a shift against the logarithm of zero."""
    return -torch.log(-torch.log(rand(4) + shift) + shift)


def exponential(like):
    """In place, as samplers of language models do it."""
    return torch.empty_like(like).exponential_(1)


def divided_in_place(p):
    """Likewise."""
    return p.softmax(-1).div_(exponential(p)).argmax(dim=-1)


#: Samplers of one of four outcomes with logits LOGITS.
SAMPLERS = {
    "Gumbel-max": lambda x: (x + gumbel()).argmax(),
    "Gumbel-max with a shift": lambda x: torch.argmax(x + gumbel(1e-20), dim=-1),
    "Gumbel-max, max": lambda x: (x + gumbel()).max(-1)[1],
    "Gumbel-max, topk": lambda x: torch.topk(x + gumbel(), 1).indices[0],
    "Gumbel-max of a temperature": lambda x: ((x + gumbel()) / 0.7).argmax(),
    "Gumbel distribution": lambda x: torch.distributions.Gumbel(x, torch.ones(4)).sample().argmax(),
    "exponential race": lambda x: (exponential(x) / x.exp()).argmin(),
    "over an exponential": lambda x: (x.softmax(-1) / exponential(x)).argmax(dim=-1),
    "over an exponential in place": divided_in_place,
    "inverse of the cumulative": lambda x: torch.searchsorted(x.softmax(0).cumsum(0)[:3], rand(1))[
        0
    ],
    "bucketize": lambda x: torch.bucketize(rand(()), x.softmax(0).cumsum(0)[:3]),
    "count": lambda x: (x.softmax(0).cumsum(0)[:3] < rand(1)).sum(),
    "normal thresholds": lambda x: (
        torch.randn((), dtype=torch.float64) > torch.special.ndtri(x.softmax(0).cumsum(0)[:3])
    ).sum(),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_draw_from_the_softmax(name):
    """However they are written."""
    found = law(lambda: int(SAMPLERS[name](LOGITS)))
    expected = LOGITS.softmax(0).tolist()
    assert [found[k] for k in range(4)] == pytest.approx(expected, abs=ROUNDING)


@pytest.mark.parametrize("name", SAMPLERS)
def test_an_estimator_holds_and_a_wrong_one_is_refuted(name):
    """The score of what was drawn; and of logits that are another's."""
    logits = LOGITS.clone().requires_grad_()
    exact = torch.autograd.grad(logits.softmax(0) @ COSTS, logits)[0]

    def estimate(logits, wrong=1.0):
        y = SAMPLERS[name](wrong * logits.detach())
        return COSTS[y] * logits.log_softmax(0)[y]

    assert check_estimator(estimate, [logits], exact=exact).verdict == "holds"
    wrong = check_estimator(lambda x: estimate(x, 1.001), [logits], exact=exact)
    assert wrong.verdict == "refuted"


def test_objectives_move_thresholds():
    """No graph knows of them, so that differences do it."""
    logits = LOGITS.clone().requires_grad_()

    def objective(logits):
        return COSTS[(logits + gumbel()).argmax()]

    def estimate(logits):
        y = (logits + gumbel()).argmax()
        return COSTS[y] * logits.log_softmax(0)[y]

    assert check_estimator(estimate, [logits], objective=objective).verdict == "holds"


def test_numbers_in_order():
    """Without replacement: Plackett's law for Gumbel numbers, all orders alike for equal ones."""
    weights = LOGITS.softmax(0).tolist()
    for code in (
        lambda: tuple((LOGITS + gumbel()).topk(2)[1].tolist()),
        lambda: tuple((LOGITS + gumbel()).argsort(descending=True)[:2].tolist()),
        lambda: tuple(torch.sort(-LOGITS - gumbel()).indices[:2].tolist()),
    ):
        found = law(code)
        for one, other in itertools.permutations(range(4), 2):
            expected = weights[one] * weights[other] / (1.0 - weights[one])
            assert found[one, other] == pytest.approx(expected, abs=ROUNDING)
    for code in (rand, lambda n: torch.randn(n, dtype=torch.float64)):
        found = law(lambda code=code: tuple(code(3).argsort().tolist()))
        assert list(found.values()) == pytest.approx([1 / 6] * 6, abs=ROUNDING)


def test_peaked_policies():
    """Of logits that are far apart, as those of language models are, to the last digits."""
    logits = torch.tensor([0.0, 20.0, -15.0, 3.0], dtype=torch.float64)
    expected = logits.softmax(0).tolist()
    for name in ("Gumbel-max", "Gumbel-max with a shift", "over an exponential"):
        found = law(lambda name=name: int(SAMPLERS[name](logits)))
        # As a share: the rarest has a probability of 1e-16.
        assert [found[k] for k in range(4)] == pytest.approx(expected, rel=RARE, abs=0.0)


def test_clipped_numbers_that_are_equal():
    """The first of them is the largest, as PyTorch says."""
    found = law(lambda: int(rand(2).clamp(max=0.5).argmax()))
    assert found[0] == pytest.approx(0.25 + 0.25 + 0.125, abs=ROUNDING)
    found = law(lambda: int(rand(2).clamp(min=0.5).argmax()))
    assert found[0] == pytest.approx(0.25 + 0.25 + 0.125, abs=ROUNDING)


def test_numbers_that_rounding_makes_equal_are_not_put_in_order():
    """A sigmoid comes to 1: which of several ones is the largest is no matter of its law."""
    with pytest.raises(UnsupportedDraw, match="that rounding makes equal"):
        law(lambda: int(torch.sigmoid(20.0 * gumbel()).argmax()))
    found = law(lambda: int(torch.sigmoid(gumbel()).argmax()))
    assert list(found.values()) == pytest.approx([0.25] * 4, abs=ROUNDING)
    with pytest.raises(UnsupportedDraw, match="searchsorted"):
        law(lambda: int(torch.searchsorted(torch.tensor([0.5, 0.2]), torch.rand(()))))


def test_numbers_of_other_laws_are_compared_by_an_integral():
    """The largest of three normal numbers with different means and scales; of two of a kind."""
    mean = torch.tensor([0.5, 0.0, -1.0], dtype=torch.float64)
    scale = torch.tensor([1.0, 0.5, 2.0], dtype=torch.float64)
    found = law(lambda: int((mean + scale * torch.randn(3, dtype=torch.float64)).argmax()))
    x = np.random.default_rng().normal(mean.numpy(), scale.numpy(), (400_000, 3)).argmax(axis=1)
    counted = np.bincount(x, minlength=3) / len(x)
    # Six standard deviations: a false alarm once in 1e8 runs.
    allowed = 6.0 * (0.25 / len(x)) ** 0.5
    assert [found[k] for k in range(3)] == pytest.approx(counted.tolist(), abs=allowed)
    pair = law(lambda: bool(rand(()) * 2.0 < rand(())))
    assert pair[True] == pytest.approx(0.25, abs=ROUNDING)
    halves = law(lambda: bool(torch.lt(*rand(2))))
    assert halves[True] == pytest.approx(0.5, abs=ROUNDING)
    late = law(lambda: (bool((u := rand(2))[0] < 0.5), int(u.argmax())))
    assert late[True, 0] == pytest.approx(0.125, abs=ROUNDING)
    assert late[False, 0] == pytest.approx(0.375, abs=ROUNDING)


def test_whole_numbers():
    """By rounding down: int, long, floor, a distribution's."""
    uniform = torch.distributions.Uniform(0.0, 4.0)
    for code in (
        lambda: int(rand(()) * 4),
        lambda: int((rand(1) * 4).long()[0]),
        lambda: int(torch.floor(4 * rand(()))),
        lambda: int(uniform.sample().floor()),
        lambda: int((rand(2, 2) * 4).to(torch.int32)[0, 1]),
    ):
        assert list(law(code).values()) == pytest.approx([0.25] * 4, abs=ROUNDING)


def test_numbers_of_python_are_as_undecided():
    """Of ``item``, and in a loop over a tensor."""
    found = law(lambda: bool(rand(1).item() < 0.3))
    assert found[True] == pytest.approx(0.3, abs=ROUNDING)
    many = law(lambda: tuple(bool(u < 0.3) for u in rand(2)))
    assert many[True, True] == pytest.approx(0.09, abs=ROUNDING)


def test_what_the_same_largest_is_asked_for_again():
    """It was drawn once; another function of the same numbers is refused."""

    def twice():
        z = LOGITS + gumbel()
        return z.argmax().item() == z.max(0)[1].item()

    assert law(twice) == {True: pytest.approx(1.0, abs=ROUNDING)}

    def other():
        g = gumbel()
        return ((LOGITS + g).argmax() == (g - LOGITS).argmax()).item()

    with pytest.raises(UnsupportedDraw, match="compared with each other twice"):
        law(other)

    def after():
        g = gumbel()
        g.argmax()
        return bool(g[0] < 0.0)

    with pytest.raises(UnsupportedDraw, match="compared again after it was compared with others"):
        law(after)


def below_half(u: torch.Tensor):
    """For TorchScript."""
    return u < 0.5


def scripted():
    """It passes by what Python sees."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch says that it has something newer
        return torch.jit.script(below_half)


USED = {
    "mul": lambda u: u * u,
    "sum": lambda u: u.sum(),
    "where": lambda u: torch.where(torch.ones(3, dtype=torch.bool), u, 0.0),
    "numpy": lambda u: u.numpy(),
    "float": lambda u: float(u[0]),
    "eq": lambda u: u == 0.5,
    "softmax": lambda u: u.softmax(0),
    "matmul": lambda u: u @ u,
    "pow": lambda u: u**2,
    "cos": lambda u: (u - 0.5).cos(),
    "tolist": lambda u: u.tolist(),
    "setitem": lambda u: u.__setitem__(0, 1.0),
    "zero": lambda u: u * 0.0,
    "in place of a view": lambda u: u[:2].mul_(2.0),
    "a list of others": lambda u: torch.stack([u, torch.ones(3, dtype=torch.float64)]),
    "sum of others": lambda u: u + rand(3),
    "falls and rises": lambda u: u.log() + torch.log(1 - u),
    "script": lambda u: scripted()(u),
    "function": lambda u: Doubled.apply(u),
    "copy": lambda u: copy.deepcopy(u),
}


class Doubled(torch.autograd.Function):
    """A user's own function."""

    @staticmethod
    def forward(ctx, u):
        """Twice as much."""
        return 2.0 * u.square()


@pytest.mark.parametrize("name", USED)
def test_whatever_needs_the_number_is_refused(name):
    """By its name; also where the code catches it, and where PyTorch passes by Python."""
    with pytest.raises(UnsupportedDraw, match="used other than compared"):
        law(lambda: USED[name](rand(3)) is None)

    def careless():
        u = rand(3)
        try:
            USED[name](u)
        except Exception:  # noqa: BLE001 - as careless code does
            return 1
        return 0

    with pytest.raises(UnsupportedDraw, match="used other than compared"):
        law(careless)


def test_describing_a_tensor_decides_nothing():
    """It is a tensor to whoever asks, and can be printed."""

    def code():
        u = torch.rand(2, 3)
        assert isinstance(u, torch.Tensor)
        assert (u.shape, u.dtype, u.ndim, len(u)) == ((2, 3), torch.float32, 2, 2)
        assert u.device.type == "cpu"
        assert not u.requires_grad
        assert "drawn by torch.rand and not decided" in f"{u}"
        assert u.T.reshape(-1).shape == (6,)
        return bool((u < 1.0).all())

    assert law(code) == {True: 1.0}


def test_what_is_drawn_in_place_ends_with_the_run():
    """A tensor that is made in a run, and lives longer."""

    def code():
        made = torch.ones(2, dtype=torch.float64)
        made.uniform_()
        assert (made < 1.0).all()
        return made

    with Handling(code) as handling:
        made = handling.perform(code, Run())
    assert type(made) is torch.Tensor
    assert made.tolist() == [1.0, 1.0]


def test_a_bound_is_what_it_was():
    """It is written to after it was added, and before the comparison."""

    def code():
        u, shift = rand(()), torch.zeros((), dtype=torch.float64)
        moved = u + shift
        shift += 0.5
        return bool(moved < 0.25)

    assert law(code)[True] == pytest.approx(0.25, abs=ROUNDING)


def test_memory_that_others_see_is_not_drawn_into():
    """A view would go on with old numbers."""
    whole = torch.ones(2, 3)
    first, array = whole[0], np.ones(3)
    shared = torch.from_numpy(array)
    kept = torch.ones(3)  # which is put back after each run, so that it is kept elsewhere too
    for tensor in (whole, first, shared, kept):
        with pytest.raises(UnsupportedDraw, match="whose memory others have"):
            law(lambda tensor=tensor: bool((tensor.uniform_() < 0.5).all()))
        assert type(tensor) is torch.Tensor


def test_a_bound_that_is_no_number_is_above_and_below_nothing():
    """As of PyTorch's numbers."""
    nan = float("nan")
    assert law(lambda: (bool(rand(()) < nan), bool(rand(()) >= nan))) == {(False, False): 1.0}


def test_what_is_too_rare_for_a_number_is_refused():
    """A probability that is rounded to one would leave paths out."""
    with pytest.raises(UnsupportedDraw, match="hardly ever comes to"):
        law(lambda: bool(torch.randn((), dtype=torch.float64) > 9.0))
    small = law(lambda: bool(torch.randn((), dtype=torch.float64) < -9.0))
    assert small[True] == pytest.approx(1.1285884059538405e-19, rel=RARE)
    rare = law(lambda: bool(torch.empty((), dtype=torch.float64).exponential_() > 50.0))
    assert rare[True] == pytest.approx(np.exp(-50.0), rel=RARE)


def test_normal_numbers_of_a_distribution():
    """With a mean and a standard deviation of each: a probit model."""
    mean = torch.tensor([0.3, -1.0], dtype=torch.float64)
    scale = torch.tensor([1.0, 0.5], dtype=torch.float64)
    expected = torch.special.ndtr(mean / scale).prod().item()
    for draw in (
        lambda: torch.distributions.Normal(mean, scale).sample(),
        lambda: torch.distributions.Normal(mean, scale).rsample(),
        lambda: torch.normal(mean, scale),
        lambda: torch.normal(0.0, 1.0, (2,), dtype=torch.float64) * scale + mean,
        lambda: torch.empty(2, dtype=torch.float64).normal_() * scale + mean,
    ):
        found = law(lambda draw=draw: tuple((draw() > 0).tolist()))
        assert found[True, True] == pytest.approx(expected, abs=ROUNDING)


def test_under_transforms():
    """A gradient by torch.func; rows of vmap are refused."""
    logits = LOGITS.clone()

    def surrogate(logits):
        y = (logits + gumbel()).argmax()
        return COSTS[y] * logits.log_softmax(0)[y]

    exact = torch.func.grad(lambda x: x.softmax(0) @ COSTS)(logits)
    report = check_estimator(torch.func.grad(surrogate), [logits], exact=exact)
    assert report.verdict == "holds"
    rows = torch.func.vmap(lambda x: x < torch.rand(()), randomness="different")
    with pytest.raises(UnsupportedDraw, match="vmap"):
        law(lambda: bool(rows(torch.zeros(3)).all()))
