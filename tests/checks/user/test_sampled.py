"""Sampled verdicts: where draws cannot be enumerated, with what could have been seen."""

import math
import random

import numpy as np
import pytest

from gradproof import check_estimator
from gradproof.checks.evidence import HOLDS, REFUTED, UNDECIDED
from gradproof.checks.user.rarity import TooFewDraws
from gradproof.checks.user.sampled import RepeatedSamples, check_sampling, sample
from gradproof.checks.user.sampled_generators import GeneratorStates
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.run import TooManyPaths, UnsupportedDraw


def estimator(scale=1.0):
    """Of the gradient of E[(m + u)^2], u uniform on (-1, 1), by the sample itself: 2 (m + u)."""
    rng = np.random.default_rng()
    return lambda m: scale * 2.0 * (m + rng.uniform(-1.0, 1.0, np.shape(m)))


M = np.array([3.0, -2.0])


def test_what_cannot_be_enumerated_is_sampled_if_that_is_asked_for():
    """The verdict says how, why, on what it rests and what it could have seen."""
    found = check_estimator(estimator(), (M,), exact=2.0 * M, draws=40_000)
    assert (found.verdict, found.method, found.paths) == (HOLDS, "sampled", 0)
    assert found.draws == 40_000
    assert 0.0 < found.detectable < 0.6
    told = found.explain()
    assert ": unbiased as far as could be seen, if no outcome rarer" in told
    assert "It was sampled, for Generator.uniform" in told
    assert "Valid if draws are independent" in told
    assert "would have been seen with probability 0.9" in told
    with pytest.raises(UnsupportedDraw, match="pass draws= to sample it instead"):
        check_estimator(estimator(), (M,), exact=2.0 * M)


def test_a_bias_is_found_and_sampling_stops():
    """A fifth too large: long before the last draw that there may be."""
    found = check_estimator(estimator(1.2), (M,), exact=2.0 * M, draws=200_000)
    assert found.verdict == REFUTED
    assert found.draws < 100_000
    assert found.worst.parameter == "gradient"


def test_too_few_samples_decide_nothing():
    """Before the ranges are known nothing is bet, and that is said before it takes long."""
    with pytest.raises(ValueError, match=r"draws is 100, and 17,\d+ are needed to know the range"):
        check_estimator(estimator(), (M,), exact=2.0 * M, draws=100)
    found = check_estimator(estimator(), (M,), exact=2.0 * M, draws=18_000)
    assert found.verdict == UNDECIDED
    assert "Take more draws to tell" in found.explain()


def test_too_many_paths_are_sampled_too():
    """The mean of forty coins."""
    rng = np.random.default_rng()

    def estimate():
        return float((rng.random(40) < 0.25).mean())

    with pytest.raises(TooManyPaths):
        check_estimator(estimate, exact=0.25, paths=100)
    found = check_estimator(estimate, exact=0.25, paths=100, draws=40_000)
    assert found.method == "sampled"
    assert found.verdict == HOLDS
    # A standard error of the variance of 40,000 such means is 0.7 %: seven are once in 10^11.
    assert float(found.variance["gradient"]) == pytest.approx(0.25 * 0.75 / 40, rel=0.05)


def test_a_seed_is_kept_and_undone():
    """The generators that NumPy and Python have of their own are as before."""

    def run():
        return np.array([np.random.rand() + random.random()])  # noqa: NPY002 - people draw so

    known = {"gradient": np.ones(1)}
    before = random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002 - it is watched
    options = {"draws": 50, "alpha": 1e-6, "rarest": 0.5}
    first, again = (sample(run, known, seed=5, **options).mean["gradient"] for _ in range(2))
    assert np.array_equal(first, again)
    assert before[0] == random.getstate()
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002 - it is watched
    assert not np.array_equal(sample(run, known, seed=6, **options).mean["gradient"], first)


def failing(_):
    """Draws, and fails at its third run."""
    value = np.random.rand() + random.random()  # noqa: NPY002 - people draw so
    failing.runs += 1
    if failing.runs == 3:
        raise ZeroDivisionError("the user's own")
    return np.array([value])


def test_a_seed_is_undone_where_the_estimator_fails():
    """Its own error arrives, and generators are as before."""
    failing.runs = 0
    before = random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002 - it is watched
    with pytest.raises(ZeroDivisionError, match="the user's own"):
        sample(
            lambda: failing(0), {"gradient": np.ones(1)}, draws=50, alpha=0.1, rarest=0.5, seed=1
        )
    assert before[0] == random.getstate()
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002 - it is watched


@pytest.mark.torch
def test_a_seed_is_kept_and_undone_in_pytorch():
    """Its own generator, as the others."""
    import torch

    def run():
        return torch.rand(2, dtype=torch.float64)

    known, options = {"gradient": np.full(2, 0.5)}, {"draws": 50, "alpha": 1e-6, "rarest": 0.5}
    before = torch.get_rng_state()
    first, again = (sample(run, known, seed=5, **options).mean["gradient"] for _ in range(2))
    assert np.array_equal(first, again)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"draws": -1}, "draws is -1, expected at least 0"),
        ({"draws": 1.5}, "draws is 1.5, expected a whole number"),
        ({"draws": True}, "draws is True, expected a whole number"),
        ({"draws": "many"}, "draws is 'many', expected a whole number"),
        ({"seed": -1}, "seed is -1, expected at least 0"),
        ({"seed": 2**70}, f"seed is {2**70}, expected less than"),
        ({"seed": 0.5}, "seed is 0.5, expected a whole number"),
        ({"alpha": 0}, "alpha is 0, should be a number between 0 and 1"),
        ({"alpha": float("nan")}, "alpha is nan, should be a number between 0 and 1"),
        ({"alpha": "small"}, "alpha is 'small', should be a number between 0 and 1"),
        ({"rarest": 0.0}, "rarest is 0.0, should be a number between 0 and 1"),
        ({"rarest": 1}, "rarest is 1, should be a number between 0 and 1"),
    ],
)
def test_arguments_that_are_none_are_named(given, words):
    """Before anything is run."""
    usual = {"draws": 100, "alpha": 1e-6}
    check_sampling(**usual, rarest=None, seed=np.int64(3))
    with pytest.raises(ValueError, match=words):
        check_sampling(**(usual | given))
    with pytest.raises(ValueError, match=words.replace("least 0", "least [01]")):
        sample(lambda: 1 / 0, {"gradient": np.ones(1)}, **(usual | given))


def test_no_draws_are_too_few():
    """There is nothing to be said of none."""
    with pytest.raises(ValueError, match="draws is 0, expected at least 1"):
        sample(lambda: 1 / 0, {"gradient": np.ones(1)}, draws=0, alpha=1e-6, rarest=1e-3)


# ------------------------------------------------------------------ what draws were seen to do

COSTS = np.array([1.0, 3.0, 2.0])


def reinforce(p, noise=0.0, scale=1.0):
    """An estimator by a label's cost, its exact gradient, and how often it was run."""
    rng, p, count = np.random.default_rng(), np.asarray(p), [0]

    def estimate():
        count[0] += 1
        label = rng.choice(3, p=p)
        factor = rng.normal(1.0, noise) if noise else 1.0
        return scale * factor * COSTS[label] * (np.eye(3)[label] - p)

    return estimate, {"gradient": p * (COSTS - p @ COSTS)}, count


def observed(estimate, exact, **options):
    """What is found while handlers look at the draws."""
    with Handling(estimate) as handling:
        return sample(estimate, exact, alpha=1e-6, perform=handling.perform, **options)


def test_labels_whose_probabilities_are_seen_make_no_condition():
    """Of a right estimator, and of one whose mean is a fifth too large."""
    estimate, exact, _ = reinforce([0.5, 0.3, 0.2])
    found = observed(estimate, exact, draws=4000, rarest=0.01)
    assert not found.test.rejected
    assert found.condition == ""
    # What the range is learnt from is rounded up.
    assert found.test.bets == 4000 - math.ceil(math.log(2 * 3 * 2 / (1e-6 / 10)) / 0.01)
    found = observed(reinforce([0.5, 0.3, 0.2], scale=1.2)[0], exact, draws=200_000)
    assert found.test.rejected
    assert found.condition == ""


def test_a_draw_that_has_no_outcomes_makes_a_condition():
    """A normal number beside the label: the range of what it makes is learnt."""
    estimate, exact, _ = reinforce([0.5, 0.3, 0.2], noise=0.1)
    found = observed(estimate, exact, draws=20_000)
    assert found.condition == "no outcome rarer than 0.001 lies far beyond all others"
    assert found.condition in found.test.explain()
    estimate, exact, _ = reinforce([0.5, 0.3, 0.2], noise=0.1)
    found = observed(estimate, exact, draws=5000, rarest=0.01)
    assert found.condition == "no outcome rarer than 0.01 lies far beyond all others"


def test_a_label_that_is_too_rare_for_the_draws_is_found_by_one_run():
    """With what it takes; and whoever leaves it out is told so, and is not misled."""
    estimate, exact, count = reinforce([0.6, 0.39999, 0.00001], noise=0.1)
    with pytest.raises(TooFewDraws, match=r"draws is 20,000, and 1,790,\d+ are needed"):
        observed(estimate, exact, draws=20_000)
    assert count == [1]
    found = observed(estimate, exact, draws=20_000, rarest=1e-3)
    assert not found.test.rejected  # though the label is not in four of five such samples
    assert "no outcome rarer than 0.001" in found.condition


@pytest.mark.parametrize("apart", [False, True])
def test_entries_of_a_label_that_never_came_have_the_scale_of_the_others(apart):
    """A right estimator whose draws nobody sees, in one array and in a parameter for each label."""
    rng, p = np.random.default_rng(), np.array([0.6, 0.39999, 0.00001])
    labels = iter(rng.choice(2, size=4000, p=[0.6, 0.4]).tolist())  # the third does not come
    exact = p * (COSTS - p @ COSTS)

    def arranged(row):
        return {str(each): row[each : each + 1] for each in range(3)} if apart else {"all": row}

    def estimate():
        label = next(labels)
        return arranged(COSTS[label] * (np.eye(3)[label] - p))

    found = sample(estimate, arranged(exact), draws=4000, alpha=1e-6, rarest=0.01)
    assert not found.test.rejected
    assert found.test.bets > 0


def test_a_range_that_is_given_makes_no_condition():
    """Bets begin at once, and rest on it."""
    estimate, exact, _ = reinforce([0.5, 0.3, 0.2])
    for low, high in ((-3.0, 3.0), ({"gradient": np.full(3, -3.0)}, {"gradient": np.full(3, 3.0)})):
        found = sample(estimate, exact, draws=500, alpha=1e-6, low=low, high=high)
        assert (found.test.bets, found.condition) == (500, "")
    wrong = {"gradient": exact["gradient"] + np.array([1.0, 0.0, -1.0])}
    assert sample(estimate, wrong, draws=5000, alpha=1e-6, low=-3.0, high=3.0).test.rejected


def test_each_run_is_settled_once_it_was_read():
    """What a run left may be put back before the next, and not before it was read."""
    left = np.zeros(1)
    order = []

    def run():
        left[:] = np.random.default_rng().uniform(0.5, 1.5)
        order.append("run")
        return left

    def restore_state():
        left[:] = -1e9
        order.append("restore_state")

    known = {"gradient": np.ones(1)}
    found = sample(run, known, draws=100, alpha=1e-6, rarest=0.5, restore_state=restore_state)
    assert order == ["run", "restore_state"] * 100
    assert 0.5 < found.mean["gradient"] < 1.5


def test_what_an_exact_gradient_may_be_off_by_is_no_bias():
    """Stated for all entries, or by name."""
    estimate, exact, _ = reinforce([0.5, 0.3, 0.2])
    wrong = {"gradient": exact["gradient"] + 0.3}
    options = {"draws": 20_000, "alpha": 1e-6, "rarest": 0.05}
    assert sample(estimate, wrong, **options).test.rejected
    for error in (0.3, {"gradient": np.full(3, 0.3)}):
        assert not sample(estimate, wrong, exact_error=error, **options).test.rejected


# ------------------------------------------------------------------ samples that are none


def seeded(seeds):
    """An estimator that makes its generator in each run, from one of these seeds in turn."""
    count = [0]

    def estimate():
        rng = np.random.default_rng(seeds[count[0] % len(seeds)])
        count[0] += 1
        return np.array([rng.uniform(0.0, 2.0), 1.0])

    return estimate


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ([3], r"all [\d,]+ samples are equal"),
        ([3, 4, 5], "samples come back in turn, each 3 draws"),
    ],
)
@pytest.mark.parametrize("range_known", [False, True])
def test_samples_that_repeat_each_other_give_no_verdict(seeds, words, range_known):
    """Whatever their mean is; and the message says what to do."""
    known = {"gradient": np.ones(2)}
    options = {"low": 0.0, "high": 2.0} if range_known else {"rarest": 0.05}
    with pytest.raises(RepeatedSamples, match=words) as raised:
        sample(seeded(seeds), known, draws=2000, alpha=1e-6, **options)
    assert "Do not set a seed in the estimator" in str(raised.value)


def test_a_seed_that_is_set_in_each_run_gives_no_verdict():
    """Of NumPy's own generator."""

    def estimate():
        np.random.seed(0)  # noqa: NPY002 - it is the mistake
        return np.array([np.random.rand()])  # noqa: NPY002 - people draw so

    with pytest.raises(RepeatedSamples, match="are equal"):
        sample(estimate, {"gradient": np.full(1, 0.5)}, draws=600, alpha=1e-6, rarest=0.05, seed=1)


def test_samples_that_are_all_the_exact_gradient_are_right():
    """As those of a mean's own derivative are, whatever is drawn."""
    rng = np.random.default_rng()

    def estimate():
        return np.array([0.1 + 0.0 * rng.normal(), 1.0 + 1e-16])

    known = {"gradient": np.array([0.1, 1.0])}
    found = sample(estimate, known, draws=600, alpha=1e-6, rarest=0.05)
    assert not found.test.rejected
    assert found.test.bets > 0
    # Nothing varies, so what is left is what numbers near 1 are rounded by, times some thousand.
    assert np.all(found.test.detectable < 5e-12)


def test_rare_samples_are_no_repetition():
    """Nearly all of them are equal."""
    rng = np.random.default_rng()
    known = {"gradient": np.full(1, 0.01)}
    for _ in range(5):
        found = sample(
            lambda: np.array([float(rng.random() < 0.01)]),
            known,
            draws=4000,
            alpha=1e-6,
            rarest=0.01,
        )
        assert not found.test.rejected


def test_nan_in_a_sample_is_refuted():
    """With the draw at which it came."""
    rng = np.random.default_rng()

    def estimate():
        return np.array([1.0 + rng.uniform(-0.1, 0.1), np.nan])

    found = check_estimator(estimate, exact=np.ones(2), draws=40_000)
    assert found.verdict == REFUTED
    assert found.worst.index == (1,)
    assert "draw 1 of gradient[1] is NaN, and so is the mean" in found.explain()


# ------------------------------------------------------------------ generators of frameworks


@pytest.mark.torch
@pytest.mark.parametrize("seed", [0, 7, 2**64 - 1])
def test_a_seed_makes_other_numbers_in_each_framework(seed):
    """All three draw by a Mersenne Twister, and of one seed the same numbers."""
    import torch

    drawn = []

    def run():
        numpy = np.random.randint(0, 16, 20)  # noqa: NPY002 - people draw so
        drawn.append((torch.randint(16, (20,)).tolist(), numpy.tolist(), random.choices(range(16))))
        return np.random.rand(1)  # noqa: NPY002 - people draw so

    options = {"draws": 50, "alpha": 1e-6, "rarest": 0.5}
    sample(run, {"gradient": np.full(1, 0.5)}, seed=seed, **options)
    pairs = np.array([np.equal(*each[:2]).mean() for each in drawn])
    # A thousand pairs, one of sixteen equal by accident: 0.0625, give or take 0.0077.
    assert pairs.mean() < 0.1
    alike = [each[0][0] == each[2][0] for each in drawn]
    assert sum(alike) < 20  # of 50; by accident 3


@pytest.mark.torch
@pytest.mark.parametrize(("factor", "verdict"), [(1.0, HOLDS), (1.3, REFUTED)])
def test_an_independent_label_of_another_framework_is_independent(factor, verdict):
    """A baseline that NumPy draws, beside a label that PyTorch draws, from one seed."""
    import torch

    costs, p = np.array([1.0, 3.0, 2.0, 5.0]), np.array([0.3, 0.2, 0.4, 0.1])

    def estimate():
        y, z = int(torch.randint(4, (1,))), np.random.randint(4)  # noqa: NPY002 - people draw so
        noise = random.gauss(0.0, 0.1)
        return factor * 4.0 * p[y] * (np.eye(4)[y] - p) * (costs[y] - costs[z] + noise)

    # By an independent z the mean is that of the costs alone, since p (e - p) adds up to 0.
    exact = p * (costs - p @ costs)
    found = check_estimator(estimate, exact=exact, draws=60_000, seed=0)
    assert found.verdict == verdict, found.explain()


class Counting:
    """Makes a generator in each run, of a number that it counts up."""

    def __init__(self, make, shared=None):
        self.step, self._make = 0, make
        self._noise = np.random.default_rng()

    def estimate(self):
        """Of a coin's mean, with a second source of noise."""
        draw = self._make(self.step)
        self.step += 1
        return np.array([draw() + 0.1 * self._noise.normal()])


def made_by_numpy(step):
    """A coin of a Generator."""
    rng = np.random.default_rng(step)
    return lambda: float(rng.integers(2))


def made_by_numpy_of_old(step):
    """A normal number of a RandomState: no outcomes, and the generator is seen all the same."""
    rng = np.random.RandomState(step)
    return lambda: 0.5 + rng.randn()


def made_by_python(step):
    """A coin of Python's."""
    rng = random.Random(step)
    return lambda: float(rng.randrange(2))


def set_of_numpy(step):
    """The generator that NumPy has of its own."""
    np.random.seed(step)  # noqa: NPY002 - it is the mistake
    return lambda: float(np.random.randint(2))  # noqa: NPY002 - it is the mistake


def made_by_torch(step):
    """A coin of a generator of PyTorch."""
    import torch

    generator = torch.Generator().manual_seed(step)
    return lambda: float(torch.randint(2, (), generator=generator))


def set_of_torch(step):
    """The generator that PyTorch has of its own, for a while."""
    import torch

    def draw():
        with torch.random.fork_rng():
            torch.manual_seed(step)
            return float(torch.randint(2, ()))

    return draw


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (made_by_numpy, "a generator of NumPy"),
        (made_by_numpy_of_old, "a generator of NumPy"),
        (made_by_python, "a generator of Python's random"),
        (set_of_numpy, "a generator of NumPy"),
        pytest.param(made_by_torch, "a generator of PyTorch", marks=pytest.mark.torch),
        pytest.param(set_of_torch, "a generator of PyTorch", marks=pytest.mark.torch),
    ],
)
def test_a_seed_that_is_counted_up_gives_no_verdict(make, kind):
    """The counter is put back before each sample, so that a right estimator draws the same."""
    with pytest.raises(RepeatedSamples, match=kind) as raised:
        check_estimator(Counting(make).estimate, exact=np.full(1, 0.5), draws=40_000, seed=0)
    assert "Keep a generator and draw from it" in str(raised.value)


def test_generators_that_are_made_of_other_seeds_are_no_repetition():
    """Of a number that is drawn, and one that is set for a while and set back."""
    keeper = np.random.default_rng(0)

    def estimate():
        inner = np.random.default_rng(keeper.integers(2**31))
        before = random.getstate()
        random.seed(int(keeper.integers(2**31)))
        coin = random.randrange(2)
        random.setstate(before)
        return np.array([inner.integers(2) + coin + 0.1 * keeper.normal()])

    options = {"draws": 60_000, "rarest": 1e-3}  # which seed it is does not matter
    found = check_estimator(estimate, exact=np.ones(1), **options)
    assert found.verdict == HOLDS, found.explain()
    wrong = check_estimator(lambda: 1.2 * estimate(), exact=np.ones(1), **options)
    assert wrong.verdict == REFUTED, wrong.explain()


def test_a_state_counts_once_a_sample():
    """However often it is drawn from there; and only from many samples on."""
    drawn_from, rng = GeneratorStates(), np.random.default_rng(3)
    for count in range(8):
        assert not drawn_from.repeated_kind(), count
        drawn_from.begin()
        for _ in range(5):
            drawn_from.draw({"args": (rng,)})
        drawn_from.end()
    assert drawn_from.repeated_kind() == "a generator of NumPy"


# ------------------------------------------------------------------ errors that are nobody's


K = 40
THETA, STEEP = np.random.default_rng(0).normal(size=(2, K))


def steep(dtype=np.float64, scale=1.0):
    """The gradient of the mean of costs near 20, by a softmax, in some precision; (K,)."""
    theta, costs = THETA.astype(dtype), (STEEP + 20.0).astype(dtype)
    weights = np.exp(theta - theta.max())
    p = weights / weights.sum(dtype=dtype)
    return (scale * p * (costs - (p * costs).sum(dtype=dtype))).astype(dtype)


def nearly(value):
    """An estimator of next to no variance around a value, in double precision."""
    rng = np.random.default_rng(1)
    return lambda: value.astype(np.float64) * (1.0 + 1e-7 * rng.normal(size=K))


def judged(value, exact, **options):
    """What is found of such an estimator."""
    return check_estimator(nearly(value), exact=exact, draws=25_000, seed=0, **options)


def test_an_exact_gradient_in_single_precision_refutes_no_sampled_estimator():
    """An array, one that was cast, and a function: the right estimator is in double precision."""
    single = steep(np.float32)
    for exact in (single, single.astype(np.float64)):
        found = judged(steep(), exact)
        assert found.verdict == UNDECIDED, found.explain()
        assert "exact= " in found.explain()
        assert "in single precision" in found.explain()
        assert "Take more draws" not in found.explain()
        assert judged(steep(scale=1.01), exact).verdict == REFUTED
    found = judged(steep(), lambda: steep(np.float32))
    assert found.verdict == UNDECIDED, found.explain()  # nothing that is observed goes into it
    assert judged(steep(scale=1.01), lambda: steep(np.float32)).verdict == REFUTED


@pytest.mark.torch
def test_rounding_of_an_exact_gradient_is_measured_where_it_is_sampled():
    """A function in single precision, of PyTorch: the right estimator is in double precision."""
    import torch

    theta, costs = torch.tensor(THETA), torch.tensor(STEEP + 20.0)

    def exact(t):
        single = t.detach().float().requires_grad_()
        mean = torch.softmax(single, 0) @ costs.float()
        return torch.autograd.grad(mean, single)[0]

    options = {"inputs": [theta], "draws": 25_000, "seed": 0}
    for scale, verdict in ((1.0, HOLDS), (1.01, REFUTED)):
        estimate = nearly(steep(scale=scale))
        found = check_estimator(lambda _, estimate=estimate: estimate(), exact=exact, **options)
        assert found.verdict == verdict, found.explain()


def test_an_estimator_that_computes_in_single_precision_is_not_refuted():
    """It returns double: nobody sees what is inside, unless that is said."""
    found = judged(steep(np.float32), steep())
    assert found.verdict == UNDECIDED, found.explain()
    assert "pass precision=np.finfo(np.float32).eps" in found.explain()
    assert judged(steep(np.float32), steep(), precision=2.0**-23).verdict == HOLDS
    assert judged(steep(np.float32), steep(), precision=2.0**-52, exact_error=0).verdict == REFUTED
    assert judged(steep(np.float32, scale=0.99), steep()).verdict == REFUTED


def test_a_sampled_verdict_names_entries():
    """As an enumerated one does."""
    found = check_estimator(estimator(1.2), (M,), exact=2.0 * M, draws=200_000)
    assert "mean of gradient[" in found.explain()
    one = {"a": np.array(2.0), "b": np.array([[4.0]])}
    rng = np.random.default_rng()

    def estimate():
        return {key: value * (1.1 + 0.01 * rng.normal()) for key, value in one.items()}

    told = check_estimator(estimate, exact=one, draws=100_000).explain()
    assert "mean of a is" in told or "mean of b[0, 0] is" in told
    assert "coordinate " not in told.replace("that coordinate", "").replace("each coordinate", "")


def test_too_many_paths_say_what_to_do_once_and_a_report_does_not_repeat_it():
    """Who sampled has done it."""
    rng = np.random.default_rng()

    def estimate():
        return rng.choice(10, size=5).sum() / 22.5 * np.ones(1)

    with pytest.raises(TooManyPaths) as refused:
        check_estimator(estimate, exact=[1.0])
    told = str(refused.value)
    assert told.count("sample") == 1, told
    assert "or draw less at once (a smaller batch, fewer outcomes); pass draws=" in told
    sampled = check_estimator(estimate, exact=[1.0], draws=40_000)
    assert "there are more than 10,000 paths.\n" in sampled.explain()
