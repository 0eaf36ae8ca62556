"""NumPy's numbers that are only compared, where they are clipped, equal, or not defined."""

import copy
import math
import pickle
import random
from collections import Counter

import numpy as np
import pytest
from scipy import special

from gradproof import UnsupportedDraw, check_estimator
from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import UserFunction
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.run import Run

#: Points of a uniform number; a probability is counted on them but for one or two.
#: A point that lies on the edge itself may fall to either side.
POINTS = 1000
ONE_POINT = 1.5 / POINTS
GRID = (np.arange(POINTS) + 0.5) / POINTS

#: Of each of two numbers, where both are on a grid.
PAIRS = 40

EDGES = np.array([0.2, 0.5])

ROUNDING = 1e-13  # of a few roundings

#: The same of probabilities that are rare: of the exponential of a number of fifty, as a share.
RARE = 1e-12

RNG = np.random.default_rng()


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
    "bounds of a clip the wrong way round": lambda u: bool(np.clip(u, 0.7, 0.2) < 0.4),
    "maximum of several": lambda u: tuple((np.maximum(u, EDGES) < 0.4).tolist()),
    "square root of zero": lambda u: bool(np.sqrt(np.maximum(u - 0.5, 0.0)) <= 0.0),
    "square root above zero": lambda u: bool(np.sqrt(np.maximum(u - 0.5, 0.0)) > 0.0),
    "one over zero": lambda u: bool(np.reciprocal(np.maximum(u - 0.25, 0.0)) < np.inf),
    "hard concrete": lambda u: bool(
        np.clip(1.2 * special.expit(special.logit(u) + 0.3) - 0.1, 0, 1) >= 1
    ),
    "logarithm of zero": lambda u: bool(np.log(np.maximum(u - 0.25, 0.0)) <= -np.inf),
    "sum of clipped ones, at most": lambda u: bool(np.minimum(u, 0.5) + np.minimum(u, 0.5) <= 1.0),
    "sum of clipped ones, less": lambda u: bool(np.minimum(u, 0.5) + np.minimum(u, 0.5) < 1.0),
    "searchsorted": lambda u: int(np.searchsorted(EDGES, np.minimum(u, 0.5))),
    "searchsorted, right": lambda u: int(np.searchsorted(EDGES, np.minimum(u, 0.5), side="right")),
    "searchsorted, method": lambda u: int(EDGES.searchsorted(np.minimum(u, 0.5))),
    "searchsorted, method, right": lambda u: int(EDGES.searchsorted(np.minimum(u, 0.5), "right")),
    "digitize": lambda u: int(np.digitize(np.minimum(u, 0.5), EDGES)),
    "digitize, right": lambda u: int(np.digitize(np.minimum(u, 0.5), EDGES, right=True)),
    "floor": lambda u: float(np.floor(np.minimum(4.0 * u, 2.0))),
    "floor of a bound that is no whole number": lambda u: float(np.floor(np.clip(4 * u, 1.0, 2.5))),
    "int": lambda u: int(np.minimum(4.0 * u, 3)),
    "sign": lambda u: float(np.sign(np.maximum(u - 0.3, 0.0))),
    "truth": lambda u: bool(np.maximum(u - 0.3, 0.0)),
    "not": lambda u: not np.maximum(u - 0.3, 0.0),
    "itself": lambda u: (bool(u < u), bool(u <= u), bool(u >= u)),
}


@pytest.mark.parametrize(
    "draw", [random.random, RNG.random, lambda: RNG.random(1)[0]], ids=["Python", "NumPy", "entry"]
)
@pytest.mark.parametrize("name", OF_ONE)
def test_several_numbers_of_one_value(name, draw):
    """Whether a bound is met counts there."""
    found = law(lambda: OF_ONE[name](draw()))
    with np.errstate(divide="ignore"):
        counted = Counter(OF_ONE[name](u) for u in GRID)
    for outcome in found | counted:
        assert found[outcome] == pytest.approx(counted[outcome] / POINTS, abs=ONE_POINT), outcome


@pytest.mark.parametrize("compare", [np.less, np.less_equal, np.greater, np.greater_equal])
def test_two_numbers_that_may_be_equal(compare):
    """Two that are clipped: a quarter of all pairs are equal."""

    def code(u, v):
        return bool(compare(np.minimum(u, 0.5), np.minimum(v, 0.5)))

    points = (np.arange(PAIRS) + 0.5) / PAIRS
    counted = np.mean([code(u, v) for u in points for v in points - 0.25 / PAIRS])
    # Of the points one row lies on the other side.
    assert law(lambda: code(*RNG.random(2)))[True] == pytest.approx(counted, abs=1.0 / PAIRS)


def test_clipped_numbers_that_are_equal():
    """The first of them is the largest, as NumPy says."""
    for code in (
        lambda: int(np.minimum(RNG.random(2), 0.5).argmax()),
        lambda: int(np.maximum(RNG.random(2), 0.5).argmax()),
    ):
        assert law(code)[0] == pytest.approx(0.25 + 0.25 + 0.125, abs=ROUNDING)


def test_bounds_at_the_ends_of_several_numbers():
    """They are met by all, or by none, whatever comes first in the numbers."""
    for code in (
        lambda: bool((RNG.uniform([0.0, 0.0], 2.0) < 2.0).all()),
        lambda: bool((2.0 * np.exp(2.0 * RNG.random(2)) > 2.0).all()),
        lambda: bool((RNG.random(2) * np.array([2.0, 3.0]) >= 0.0).all()),
    ):
        assert law(code) == {True: 1.0}


def single():
    """Of single precision."""
    return RNG.random(2, dtype=np.float32)


#: What has no law, or none that is known.
NO_LAW = {
    "log1p where it is not defined": lambda u: np.log1p(3.0 * u - 2.0) < 0.0,
    "logit where it is not defined": lambda u: special.logit(2.0 * u - 0.3) < 0.0,
    "nan is added": lambda u: u + np.array(np.nan) > 0.5,
    "nan is subtracted": lambda u: u - math.nan > 0.5,
    "infinity is added": lambda u: u + math.inf < math.inf,
    "clip to nan": lambda u: np.maximum(u, np.nan) < 0.4,
    "times zero": lambda u: u * np.array([0.0, 1.0]) < 0.5,
    "a clipped number's tanh, and that of the clip": lambda u: (
        np.tanh(np.maximum(2.0 * u, 1.0)) <= np.tanh(1.0)
    ),
    "a product that rounding leaves below": lambda u: np.minimum(u, 0.3) * 3.0 >= 0.9,
    "a sigmoid that comes to 1": lambda u: special.expit(80.0 * u) < 1.0,
    "rarer than single precision has it": lambda u: single() < 1e-9,
    "more often than it has it": lambda u: single() < 1.0 - 1e-6,
    "too large a number": lambda u: u + 1e15 < 1e15 + 0.5,
    "too large a number for single precision": lambda u: (
        single() + np.float32(1e4) < np.float32(1e4 + 0.5)
    ),
    "a tail that no number has": lambda u: RNG.normal(size=2) > 9.0,
    "a row of bounds that fall": lambda u: np.searchsorted([0.5, 0.2], u),
    "whole numbers without end": lambda u: RNG.normal(size=2).astype(int),
    "normal numbers rounded down": lambda u: np.floor(RNG.normal(size=2)),
}

#: What needs the number itself.
USED = {
    "times another": lambda u: u * u[::-1],
    "sum": lambda u: u.sum(),
    "sum by NumPy": lambda u: np.sum(u),
    "mean": lambda u: u.mean(),
    "dot": lambda u: u @ u,
    "where": lambda u: np.where([True, False], u, 0.0),
    "plain": lambda u: np.asarray(u),
    "plain, with a type": lambda u: np.asarray(u[0], np.float64),
    "list": lambda u: np.array(u.tolist(), float),
    "float": lambda u: float(u[0]),
    "mathematics": lambda u: math.log(u[0]),
    "equal": lambda u: u == 0.5,
    "odd power": lambda u: (u - 0.5) ** 3,
    "round": lambda u: np.round(u, 2),
    "text": lambda u: f"{u[0]:.3f}",
    "written to": lambda u: u.__setitem__(0, 1.0),
    "in place": lambda u: u.__iadd__(1.0),
    "in place of a view": lambda u: (3.0 * np.exp(u))[:1].__imul__(2.0),
    "kept in an array": lambda u: np.zeros(2).__setitem__(0, u[0]),
    "cumulated": lambda u: np.cumsum(u),
    "sorted": lambda u: np.sort(u),
    "stacked with others": lambda u: np.stack([u, np.ones(2)]),
    "sum of others": lambda u: u + RNG.random(2),
    "falls and rises": lambda u: np.log(u) + np.log(1 - u),
    "copy": lambda u: copy.deepcopy(u),
    "pickle": lambda u: pickle.dumps(u),
    "by an index": lambda u: np.arange(3)[u[0]],
    "softmax": lambda u: special.softmax(u),
    "reduced": lambda u: np.add.reduce(u),
    "outer": lambda u: np.subtract.outer(u, u),
    "of objects": lambda u: np.sin(np.array([u[0]])),
    "of a box": lambda u: np.histogram(u),
}


@pytest.mark.parametrize("name", NO_LAW | USED)
def test_no_law_is_made_up(name):
    """Of what is no number, of numbers that are used, and of what rounding decides."""
    use = (NO_LAW | USED)[name]
    with pytest.raises(UnsupportedDraw, match=r"used other than compared"):
        law(lambda: use(RNG.random(2)) is None)


@pytest.mark.parametrize("name", sorted(USED))
def test_a_refusal_stands_whatever_the_code_does(name):
    """Also where the code catches it."""

    def careless():
        try:
            USED[name](RNG.random(2))
        except Exception:  # noqa: BLE001 - as careless code does
            return 1
        return 0

    with pytest.raises(UnsupportedDraw, match="used other than compared"):
        law(careless)


def test_what_is_rare_is_known():
    """To its last digits, on the side where numbers have them."""
    small = law(lambda: bool(RNG.normal() < -9.0))
    assert small[True] == pytest.approx(special.ndtr(-9.0), rel=RARE)
    large = law(lambda: random.expovariate(1.0) > 50.0)
    assert large[True] == pytest.approx(math.exp(-50.0), rel=RARE)


def test_describing_an_array_decides_nothing():
    """It is an array to whoever asks, and can be printed; a number of Python's is a float."""

    def code():
        x = RNG.normal(size=(2, 3))
        assert isinstance(x, np.ndarray)
        assert (x.shape, x.dtype, x.ndim, len(x), x.size) == ((2, 3), np.float64, 2, 2, 6)
        assert isinstance(RNG.normal(), float)
        assert isinstance(random.random(), float)
        assert isinstance(x[0, 0], np.float64)
        assert "drawn by Generator.normal and not decided" in f"{x}"
        assert np.zeros_like(x).tolist() == [[0.0] * 3] * 2
        assert x.T.reshape(-1)[None].squeeze().shape == (6,)
        assert np.concatenate([x, x]).shape == (4, 3)
        assert RNG.random(2, dtype=np.float32).dtype == np.float32
        return True

    assert law(code) == {True: 1.0}


def test_comparisons_are_of_numpys_type_or_pythons():
    """They add up in different ways: of NumPy's numbers, true and true is true."""
    both = law(lambda: float((random.random() < 0.6) + (random.random() < 0.6)))
    assert both[2.0] == pytest.approx(0.36, abs=ROUNDING)
    entries = law(lambda: float(((u := RNG.random(2))[0] < 0.6) + (u[1] < 0.6)))
    assert entries[1.0] == pytest.approx(0.84, abs=ROUNDING)
    numpys = law(lambda: float((RNG.normal() < np.float64(0.0)) + (RNG.normal() < np.zeros(()))))
    assert numpys[1.0] == pytest.approx(0.75, abs=ROUNDING)


def test_what_was_compared_with_others_is_not_compared_again():
    """But the same question has the same answer."""

    def twice():
        z = RNG.gumbel(size=3)
        return bool(z.argmax() == np.argmax(z)) and z.max() is not None

    assert law(twice) == {True: pytest.approx(1.0, abs=ROUNDING)}

    def after():
        u = RNG.random(3)
        np.log(u).argmax()
        return bool(u[0] < 0.5)

    with pytest.raises(UnsupportedDraw, match="compared again after it was compared with others"):
        law(after)

    def array_after():
        u = RNG.random(3)
        np.log(u).argmax()
        return bool((u < 0.5).all())

    with pytest.raises(UnsupportedDraw, match="compared again after it was compared with others"):
        law(array_after)


def test_parts_of_an_array_are_the_same_numbers():
    """Whichever way they are reached, before they become other functions."""

    def code():
        u = RNG.random((3, 2))
        first = u[1:][0] < 0.5
        return tuple(first.tolist()) == tuple((np.log(u)[1] < np.log(0.5)).tolist())

    assert law(code) == {True: pytest.approx(1.0, abs=ROUNDING)}
    with pytest.raises(UnsupportedDraw, match="compared with each other twice"):
        law(lambda: int(np.concatenate([(u := RNG.random(2)), u[:1]]).argmax()))


def test_numbers_of_a_run_that_has_ended():
    """Kept where nothing is put back, they are no draws of the next run."""
    kept = []

    def draw_some():
        kept.append((RNG.normal(size=2), RNG.random(), RNG.random(2)))

    uses = [
        lambda: bool(kept[0][0][0] < 0.5),
        lambda: int(kept[0][0].argmax()),
        lambda: bool(kept[0][1] < 0.5),
        lambda: bool((kept[0][2] < 0.5).all()),
        lambda: int(np.stack([RNG.random(2), kept[0][2]]).reshape(-1).argmax()),
    ]
    for use in uses:
        kept.clear()
        with Handling(draw_some) as handling:
            handling.perform(draw_some, Run())
            with pytest.raises(UnsupportedDraw, match="after it has ended"):
                handling.perform(use, Run())


def test_numbers_that_are_kept_and_not_used():
    """On an object that draws, and in a list: for a log, say."""
    kept = []

    class Sampler:
        """Keeps what it draws."""

        def __call__(self, p):
            """An estimate of the gradient of E[b]."""
            self.u, self.x = RNG.random(), RNG.normal(size=2)
            kept.append(RNG.gumbel())
            b = float(self.u < p[0])
            return [b / p[0]]

    assert check_estimator(Sampler(), [np.array([0.4])], exact=[1.0]).verdict == "holds"


def test_a_gradient_of_numbers_that_are_used():
    """It is refused by the draw's name: alone, in an array, in a list, as an objective."""
    for estimate in (
        lambda p: RNG.normal(),
        lambda p: np.array([RNG.normal()]),
        lambda p: p + RNG.normal(size=1),
        lambda p: [RNG.normal(size=1)],
        lambda p: {"0": [p[0] * RNG.normal()]},
    ):
        with pytest.raises(UnsupportedDraw, match=r"Generator\.normal\(\) is used other than"):
            check_estimator(estimate, [np.array([0.4])], exact=[np.array([1.0])])
    with pytest.raises(UnsupportedDraw, match=r"random\.gauss\(\) is used other than compared"):
        check_estimator(
            lambda p: p, [np.array([0.4])], objective=lambda p: p[0] + random.gauss(0.0, 1.0)
        )


def test_arguments():
    """What NumPy refuses is refused; what leaves nothing random, or is no number, is too."""
    for draw in (lambda: RNG.normal(0.0, -1.0), lambda: RNG.exponential(-1.0)):
        with pytest.raises(ValueError, match="expected no negative one"):
            law(draw)
    for draw in (
        lambda: RNG.normal(0.0, 0.0),
        lambda: RNG.normal(np.nan, 1.0),
        lambda: RNG.exponential([1.0, 0.0]),
        lambda: RNG.uniform([0.0, 1.0], [1.0, 1.0]),
        lambda: RNG.standard_normal(out=np.zeros(2)),
        lambda: RNG.random(out=np.zeros(2)),
    ):
        with pytest.raises(UnsupportedDraw):
            law(lambda draw=draw: bool(np.all(draw() < 0.5)))
    with pytest.raises(TypeError, match="Unsupported dtype"):
        law(lambda: RNG.random(2, dtype=np.int64))
    for code in (
        lambda: bool((RNG.normal([0.0, 0.0], 1.0) < 0.0).all()),
        lambda: bool((RNG.uniform([0.0, 1.0], 2.0) < [1.0, 1.5]).all()),
        lambda: bool((RNG.normal(size=np.int64(2)) < 0.0).all()),
        lambda: bool((np.random.randn(2, 1) < 0.0).all()),  # noqa: NPY002
        lambda: RNG.gumbel(size=(0,)).size == 0 and bool((RNG.random(2) < 0.5).all()),
    ):
        assert law(code)[True] == pytest.approx(0.25, abs=ROUNDING)


def test_boxes_of_autograd():
    """A threshold that is differentiated is compared by its value; logits with numbers added."""
    anp, grad = pytest.importorskip("autograd.numpy"), pytest.importorskip("autograd").grad
    costs, logits = np.array([1.0, 3.0, 2.0]), np.array([0.3, -0.2, 0.5])
    p = special.softmax(logits)

    def surrogate(how, x):
        q = anp.exp(x) / anp.sum(anp.exp(x))
        y = how(x, q)
        return costs[y] * anp.log(q[y])

    ways = (
        lambda x, q: int(anp.argmax(x + RNG.gumbel(size=3))),
        lambda x, q: int((RNG.random() > anp.cumsum(q)[:-1]).sum()),
        lambda x, q: 0 if (u := random.random()) < q[0] else 1 if u < q[0] + q[1] else 2,
    )
    for how in ways:
        report = check_estimator(
            lambda x, how=how: [grad(lambda y: surrogate(how, y))(x)],
            [logits],
            exact=[p * (costs - p @ costs)],
        )
        assert report.verdict == "holds"


#: What other frameworks say of numbers that they do not know.
GIVEN_TO_TORCH = {
    "tensor": lambda torch: torch.tensor(RNG.normal()),
    "from_numpy": lambda torch: torch.from_numpy(RNG.normal(size=2)),
    "as_tensor": lambda torch: torch.as_tensor(RNG.random(2)),
    "full": lambda torch: torch.full((2,), random.random()),
    "sum": lambda torch: torch.ones(2) + RNG.random(2),
    "product": lambda torch: torch.ones(2) * RNG.normal(),
    "written to": lambda torch: torch.ones(2).fill_(RNG.normal()),
}


@pytest.mark.torch
@pytest.mark.parametrize("name", GIVEN_TO_TORCH)
def test_numbers_that_are_given_to_pytorch(name):
    """They are refused by the draw's name, so that they may be sampled."""
    torch = pytest.importorskip("torch")
    with pytest.raises(UnsupportedDraw, match=r"(Generator|random)\.\w+\(\) is used other than"):
        law(lambda: GIVEN_TO_TORCH[name](torch) is None)


@pytest.mark.torch
def test_bounds_of_pytorch():
    """What comes out of a comparison is a tensor."""
    torch = pytest.importorskip("torch")
    bounds = torch.tensor([0.3, -0.4], dtype=torch.float64)
    expected = special.ndtr([0.3, -0.4])
    for code in (
        lambda: tuple((RNG.normal(size=2) < bounds).tolist()),
        lambda: tuple((bounds > RNG.normal(size=2)).tolist()),
    ):
        assert law(code)[True, True] == pytest.approx(expected.prod(), abs=ROUNDING)
    assert law(lambda: bool((bounds >= random.gauss(0.0, 1.0)).all()))[True] == pytest.approx(
        expected[1], abs=ROUNDING
    )
    single = torch.tensor(0.25)  # which a float is, too
    assert law(lambda: bool(single > RNG.random()))[True] == pytest.approx(0.25, abs=ROUNDING)


@pytest.mark.libraries
def test_bounds_of_jax():
    """On either side."""
    jnp = pytest.importorskip("jax.numpy")
    bound = jnp.array(0.25)
    for code in (
        lambda: bool(bound > RNG.random()),
        lambda: bool(random.random() < bound),
        lambda: bool((bound > RNG.random(1))[0]),
        lambda: bool(bound - 0.25 > RNG.normal() - special.ndtri(0.25)),
    ):
        assert law(code)[True] == pytest.approx(0.25, abs=1e-7)  # a step of single precision
    with pytest.raises(UnsupportedDraw):
        law(lambda: bool(jnp.sin(RNG.random()) < bound))


def test_what_is_used_may_be_sampled():
    """Draws are as ever then: of a mean that is right, and of one that is not."""

    def estimate(p, shift=0.0):
        noise = np.array([RNG.normal(), random.gauss(0.0, 1.0)])
        return [np.array([1.0 + shift + noise.mean()])]

    # So many that a shift of a half is seen but once in more runs than anyone makes.
    options = {"draws": 2000, "rarest": 0.1, "seed": 1}
    right = check_estimator(estimate, [np.zeros(1)], exact=[np.ones(1)], **options)
    assert right.verdict != "refuted"
    wrong = check_estimator(
        lambda p: estimate(p, 0.5), [np.zeros(1)], exact=[np.ones(1)], **options
    )
    assert wrong.verdict == "refuted"
