"""Anyone's estimator: verdicts on right and wrong ones, and a defined answer to all else."""

import copy
import dataclasses
import pickle
import random

import numpy as np
import pytest

from gradproof import Biased, assert_unbiased, check_estimator
from gradproof.checks.evidence import HOLDS, REFUTED, UNDECIDED, NothingCompared, worst_of
from gradproof.checks.user.expected_cost import NotDifferentiable
from gradproof.estimators.backends import load
from gradproof.estimators.enumeration.gradients import NotAGradient
from gradproof.estimators.enumeration.run import NotReproducible, TooManyPaths, UnsupportedDraw

from .policy import COST, THETA, exact, softmax


def estimator(cost=COST, baseline=0.0, seed=None):
    """A score-function estimator with a generator of its own."""
    rng = np.random.default_rng(seed)

    def estimate(theta):
        p = softmax(theta)
        y = rng.choice(3, p=p)
        return (cost[y] - baseline) * (np.eye(3)[y] - p)

    return estimate


def test_a_right_estimator_holds():
    """Its mean and its variance are those that are known."""
    found = check_estimator(estimator(baseline=0.5), (THETA,), exact=exact)
    assert found.unbiased
    assert found.verdict == HOLDS
    assert (found.paths, found.draws, found.method) == (3, 1, "enumerated")
    p = softmax(THETA)
    draws = (COST - 0.5)[:, None] * (np.eye(3) - p)
    second = p @ draws**2 - (p @ draws) ** 2
    # Sums of three terms, in another order, that are a few times what is left.
    assert found.variance["gradient"] == pytest.approx(second, rel=1e-14, abs=0.0)
    assert found.total_variance == pytest.approx(second.sum(), rel=1e-14, abs=0.0)  # the same
    assert "estimate: unbiased, by 3 paths of at most 1 draw." in found.explain()


def in_single_precision(theta, factor=1.0):
    """Computed in single precision, and turned into double: nothing shows that it was."""
    p = softmax(theta.astype(np.float32))
    y = RNG.choice(3, p=np.float64(p) / np.float64(p).sum())
    return factor * np.float64(COST.astype(np.float32)[y] * (np.eye(3, dtype=np.float32)[y] - p))


def hidden(theta, factor=1.0):
    """The same by numbers of Python, of which nobody knows how they are rounded."""
    return in_single_precision(np.array([float(each) for each in theta]), factor)


RNG = np.random.default_rng()


def test_the_precision_of_what_is_inside_can_be_told():
    """A model in single precision whose arithmetic is hidden is not refuted by a rounding."""
    found = check_estimator(in_single_precision, (THETA,), exact=exact)  # it is measured
    assert found.verdict == HOLDS, found.explain()
    found = check_estimator(hidden, (THETA,), exact=exact)
    assert found.verdict == UNDECIDED, found.explain()
    assert "pass precision=" in found.explain()
    step = float(np.finfo(np.float32).eps)
    found = check_estimator(hidden, (THETA,), exact=exact, precision=step)
    assert found.verdict == HOLDS, found.explain()
    for estimate in (hidden, in_single_precision):
        found = check_estimator(estimate, (THETA, 1.01), exact=exact2, precision=step)
        assert found.verdict == REFUTED


def exact2(theta, _factor):
    """The gradient, whatever the factor."""
    return exact(theta)


@pytest.mark.parametrize("precision", [-1e-7, 1.0, np.nan])
def test_a_precision_that_is_none_is_an_error(precision):
    """Named, with what is expected."""
    with pytest.raises(ValueError, match="expected a step such as"):
        check_estimator(estimator(), (THETA,), exact=exact, precision=precision)


@pytest.mark.parametrize(
    ("seed", "said"), [(7, True), ([1, 2], True), (2**70, True), (None, False)]
)
def test_a_generator_that_is_seeded_in_each_run_is_told_of(seed, said):
    """It is walked through as if it drew anew: the mean is right, and what is drawn is not."""

    def estimate(theta):
        p = softmax(theta)
        y = np.random.default_rng(seed).choice(3, p=p)
        return COST[y] * (np.eye(3)[y] - p)

    found = check_estimator(estimate, (THETA,), exact=exact)
    assert found.verdict == HOLDS
    assert ("A generator is made from a seed in each run" in found.explain()) is said


def test_a_wrong_one_is_refuted_and_named():
    """The entry, its mean, what it should be, and by how much it is off."""
    wrong = estimator(cost=COST + np.array([0.0, 0.0, 1.0]))
    with pytest.raises(
        Biased, match=r"mean of gradient\[\d\] is -?\d.*, should be -?\d.*: off by"
    ) as told:
        assert_unbiased(wrong, (THETA,), exact=exact(THETA), name="planted")
    found = told.value.checked
    assert found.verdict == REFUTED
    assert found.worst.index == worst_of(found.comparisons).index
    assert str(told.value).startswith("planted: refuted, by 3 paths")


def test_the_mean_of_a_cost_is_differenced():
    """Instead of an exact gradient: what draws and returns a cost."""
    rng = np.random.default_rng()

    def cost(theta):
        return COST[rng.choice(3, p=softmax(theta))]

    theta = THETA.copy()
    found = check_estimator(estimator(), (theta,), objective=cost)
    assert found.unbiased
    assert np.array_equal(theta, THETA)
    # By differences of a mean of about 2, over steps of some thousandths: a few roundings.
    assert found.exact["gradient"] == pytest.approx(exact(THETA), abs=3e-12)
    assert not check_estimator(estimator(cost=1.01 * COST), (theta,), objective=cost).unbiased


def test_a_dictionary_or_dataclass_of_gradients_is_compared_by_name():
    """Whatever collection; what is not returned is zero, and said to be."""

    @dataclasses.dataclass
    class Both:
        w: np.ndarray
        b: np.ndarray | None

    known = {"w": exact(THETA), "b": np.zeros(2)}
    estimate = estimator()
    assert check_estimator(lambda x: Both(estimate(x), None), (THETA,), exact=known).unbiased
    known["b"] = np.ones(2)
    found = check_estimator(lambda x: {"w": estimate(x)}, (THETA,), exact=known)
    assert found.verdict == REFUTED
    assert "b got no gradient on any path" in found.explain()


def test_names_and_shapes_that_do_not_fit_are_errors():
    """A mistake in the call is no verdict."""
    estimate = estimator()
    with pytest.raises(ValueError, match="the estimator returns v, which the exact gradient lacks"):
        check_estimator(lambda x: {"v": estimate(x)}, (THETA,), exact={"w": exact(THETA), "b": 0.0})
    with pytest.raises(
        ValueError, match=r"gradient has shape \(3,\), and its exact gradient \(2,\)"
    ):
        check_estimator(estimate, (THETA,), exact=np.zeros(2))
    with pytest.raises(ValueError, match="exact gradient of gradient is not finite"):
        check_estimator(estimate, (THETA,), exact=np.full(3, np.nan))
    with pytest.raises(TypeError, match=r"pass one of exact= .* and objective="):
        check_estimator(estimate, (THETA,))
    with pytest.raises(TypeError, match="expected something to call"):
        check_estimator(3, exact=1.0)
    with pytest.raises(TypeError, match="one estimator at a time; compare_estimators takes a dict"):
        check_estimator([estimate, estimate], (THETA,), exact=exact)
    with pytest.raises(TypeError, match="a function of the inputs that draws, and returns a cost"):
        check_estimator(estimate, (THETA,), objective=THETA)
    with pytest.raises(ValueError, match=r"exact gradient \(\); if that is .* is it the mean cost"):
        check_estimator(estimate, (THETA,), exact=0.5)
    with pytest.raises(ValueError, match=r"these are places in a list, .* call both"):
        check_estimator(
            lambda x: {"v": estimate(x), "w": estimate(x)}, (THETA,), exact=[THETA, THETA]
        )
    with pytest.raises(NotAGradient, match="the gradient is 'no' of type str"):
        check_estimator(lambda: "no", exact=1.0)
    with pytest.raises(NothingCompared):
        check_estimator(lambda: np.zeros(0), exact=np.zeros(0))


def test_an_estimator_that_draws_nothing_is_one_path():
    """An exact gradient is an estimator too; it is said."""
    found = check_estimator(exact, (THETA,), exact=exact)
    assert found.unbiased
    assert found.paths == 1
    assert found.total_variance == 0.0
    assert "Nothing was drawn" in found.explain()


def test_a_gradient_that_is_zero_for_sure_is_one():
    """K = 1: there is nothing to choose. Beside one that is not zero it holds; alone it says so."""

    def alone(theta):
        return np.random.default_rng(0).choice([7.0]) * (1.0 - np.exp(0.0 * theta))

    def both(theta):
        return {"alone": alone(theta), "other": np.ones(1)}

    exact = {"alone": np.zeros(1), "other": np.ones(1)}
    assert check_estimator(both, (np.zeros(1),), exact=exact).unbiased
    report = check_estimator(alone, (np.zeros(1),), exact=np.zeros(1))
    assert report.verdict == "undecided"
    assert "whatever is wrong could not be seen" in report.reason


def test_nan_on_some_path_is_refuted_with_the_path():
    """Once in a thousand draws is found for sure."""
    rng = np.random.default_rng()

    def estimate():
        y = rng.choice(2, p=[0.999, 0.001])
        return np.array([1.0, np.nan if y else 1.0])

    found = check_estimator(estimate, exact=np.ones(2))
    assert found.verdict == REFUTED
    assert "gradient is NaN where Generator.choice -> 1 (probability 0.001)" in found.explain()


def test_an_error_on_some_path_is_the_users_own():
    """It is told from a verdict, and the draws that lead there are on it."""
    rng = np.random.default_rng()

    def estimate():
        if rng.integers(2):
            raise KeyError("mine")
        return 1.0

    with pytest.raises(KeyError, match="mine") as told:
        check_estimator(estimate, exact=1.0)
    assert any("Generator.integers -> 1" in note for note in told.value.__notes__)


def test_a_generator_among_the_inputs_is_walked_through():
    """As JAX's keys are passed, and as many people pass NumPy's generators."""

    def estimate(theta, rng):
        p = softmax(theta)
        y = rng.choice(3, p=p)
        return COST[y] * (np.eye(3)[y] - p)

    def cost(theta, rng):
        return COST[rng.choice(3, p=softmax(theta))]

    rng = np.random.default_rng()
    assert check_estimator(estimate, (THETA, rng), exact=exact(THETA)).paths == 3
    assert check_estimator(estimate, (THETA.copy(), rng), objective=cost).unbiased


def test_what_an_estimator_keeps_is_noticed_and_can_be_reset():
    """A running mean that its own draw enters is biased at the first step."""
    kept = {"mean": 0.5}
    rng = np.random.default_rng()

    def estimate(theta):
        p = softmax(theta)
        y = rng.choice(3, p=p)
        kept["mean"] = 0.9 * kept["mean"] + 0.1 * COST[y]
        return (COST[y] - kept["mean"]) * (np.eye(3)[y] - p)

    for reset in (None, lambda: kept.update(mean=0.5)):
        found = check_estimator(estimate, (THETA,), exact=exact, reset=reset)
        assert found.verdict == REFUTED
        # A few products, summed over three paths.
        assert found.mean["gradient"] == pytest.approx(0.9 * exact(THETA), rel=1e-14, abs=0.0)
        assert found.changed == ("kept['mean']",)
        assert kept == {"mean": 0.5}


def test_an_input_that_changes_is_put_back():
    """Every run begins where the first did, and it is said."""

    def estimate(theta):
        theta += 1.0
        return theta

    given = THETA.copy()
    found = check_estimator(estimate, (given,), exact=THETA + 1.0)
    assert found.unbiased
    assert "Each run changes" in found.explain()
    assert np.array_equal(given, THETA)


def test_too_many_paths_and_continuous_draws_are_errors_with_advice():
    """A verdict on some of the paths would be none."""
    rng = np.random.default_rng()
    with pytest.raises(TooManyPaths, match="allow more of them"):
        check_estimator(lambda: float(rng.integers(2, size=4).sum()), exact=2.0, paths=15)
    assert check_estimator(lambda: float(rng.integers(2, size=4).sum()), exact=2.0).unbiased
    with pytest.raises(UnsupportedDraw, match=r"Generator.normal\(\) is used other than compared"):
        check_estimator(lambda: rng.normal(), exact=0.0)


def test_an_objective_that_is_none_is_an_error():
    """More numbers than one, infinity, nothing to differentiate by, too much of it."""
    estimate = estimator()
    for bad in (lambda theta: theta, lambda theta: np.inf):
        with pytest.raises(NotDifferentiable, match="expected one finite number"):
            check_estimator(estimate, (THETA,), objective=bad)
    with pytest.raises(NotDifferentiable, match="needs something to differentiate by"):
        check_estimator(lambda: 1.0, objective=lambda: 1.0)
    with pytest.raises(NotDifferentiable, match="pass exact= instead"):
        check_estimator(estimate, (np.zeros(600_000),), objective=lambda theta: 1.0)


# ------------------------------------------------------------------ what a reviewer found


def test_a_bound_wider_than_the_gradient_is_no_verdict():
    """A cost with a large offset, in single precision: nothing could be seen."""
    rng = np.random.default_rng()
    p = softmax(THETA)

    def half(theta):
        y = rng.choice(3, p=p)
        return ((0.5 * COST[y] + 1e6) * (np.eye(3)[y] - p)).astype(np.float32)

    found = check_estimator(half, (THETA,), exact=exact(THETA))
    assert found.verdict == UNDECIDED
    assert "would not have been seen in gradient" in found.explain()


def test_each_entry_has_a_bound_of_its_own():
    """A small one with the wrong sign beside a large one."""
    rng = np.random.default_rng()
    known = np.array([1.0, 1e-5])

    def estimate():
        return np.array([1.0, -1e-5], np.float32) * np.float32(2.0 * rng.integers(2))

    found = check_estimator(estimate, exact=known)
    assert found.verdict == REFUTED
    assert found.worst.index == found.comparisons[0].index == (1,)
    (one,) = found.comparisons
    assert one.error == abs(found.mean["gradient"][1] - known[1])


def test_arrays_that_are_no_row_of_memory_are_differenced():
    """A transpose; of one that cannot be written to a copy is moved."""
    rng = np.random.default_rng()
    w = np.arange(4.0).reshape(2, 2).T * 0.3

    def cost(w):
        return 3.0 * (rng.random() < 1.0 / (1.0 + np.exp(-w.sum())))

    def right(w):
        p = 1.0 / (1.0 + np.exp(-w.sum()))
        y = float(rng.random() < p)
        return np.full((2, 2), 3.0 * y * (y - p))

    assert check_estimator(right, (w,), objective=cost).unbiased
    assert not check_estimator(lambda w: 0.0 * w, (w,), objective=cost).unbiased
    w.flags.writeable = False
    assert check_estimator(right, (w,), objective=cost).unbiased
    assert not check_estimator(lambda w: 0.0 * w, (w,), objective=cost).unbiased


def test_a_refusal_that_is_caught_is_one():
    """Code that goes on after any error draws all the same."""
    rng = np.random.default_rng()

    def estimate():
        try:
            noise = rng.normal()
        except RuntimeError:
            noise = 0.0
        return noise + rng.integers(2)

    with pytest.raises(UnsupportedDraw, match=r"Generator\.normal"):
        check_estimator(estimate, exact=0.5)


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: copy.deepcopy(rng).random() < 0.5,
        lambda rng: rng.spawn(1)[0].random() < 0.5,
        lambda rng: next(rng.random() < 0.5 for _ in range(1)),
        lambda rng: pickle.loads(pickle.dumps(rng)).integers(2),
        lambda rng: LEGACY.rand() < 0.5,
        lambda rng: RANDOM.random() < 0.5,
    ],
    ids=["copy", "spawn", "comprehension", "pickle", "RandomState", "Random"],
)
def test_generators_that_come_of_others_are_enumerated(draw):
    """None of them is taken for a constant."""
    rng = np.random.default_rng()
    assert check_estimator(lambda: 2.0 * draw(rng), exact=1.0).paths == 2


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: rng.bit_generator.random_raw() % 2,
        lambda rng: rng.choice(3, 2, replace=False, shuffle=False)[0],
        lambda rng: LEGACY.standard_gamma(1.0) < 0.5,
        lambda rng: RANDOM.gauss(0.0, 1.0),
    ],
    ids=["raw", "not shuffled", "RandomState", "Random"],
)
def test_what_else_draws_is_refused(draw):
    """Also behind a gate that is shut on the first path."""
    rng = np.random.default_rng()
    with pytest.raises(UnsupportedDraw):
        check_estimator(lambda: 4.0 * rng.integers(2) * draw(rng), exact=1.0)


LEGACY, RANDOM = np.random.RandomState(0), random.Random(0)


def test_a_buffer_that_is_written_again_is_read_in_time():
    """What was returned before is not what is in it now."""
    rng, buffer = np.random.default_rng(), np.zeros(1)

    def estimate():
        buffer[:] = 2.0 + rng.uniform(-1.0, 1.0)
        return buffer

    assert check_estimator(estimate, exact=np.array([2.0]), draws=40_000, seed=0).unbiased
    kept = np.zeros(1)

    def grows():
        kept[0] += rng.integers(2)
        return kept

    found = check_estimator(grows, exact=np.array([0.5]))
    assert found.verdict == UNDECIDED  # right from where it is, and not from where a run leaves it
    assert "runs leave it is off by up to" in found.explain()
    assert kept[0] == 0.0


def test_what_changes_on_some_path_only_is_noticed():
    """Every path is run twice, while they are few."""
    rng, calls = np.random.default_rng(), iter(range(10_000))
    with pytest.raises(NotReproducible, match="the same outcomes gave another gradient"):
        check_estimator(lambda: float(rng.integers(2) * next(calls)), exact=0.5)

    def cost(theta):
        return float(rng.random() < softmax(theta)[0]) * next(calls)

    with pytest.raises(NotReproducible, match="the mean of the objective is another one"):
        check_estimator(estimator(), (THETA,), objective=cost)


def test_a_kink_is_no_slope():
    """Differences would give the mean of both sides, and no bound."""
    rng = np.random.default_rng()

    def cost(theta):
        return abs(theta[0]) * rng.integers(2)

    slope = lambda x: 0.5 * np.sign(x)  # noqa: E731 - the mean of the coin is a half
    with pytest.raises(NotDifferentiable, match=r"kink there, slopes .* are -0.5 and 0.5"):
        check_estimator(slope, (np.array([0.0]),), objective=cost)
    for at in (2e-4, -1e-5):  # near a kink there is a slope
        assert check_estimator(slope, (np.array([at]),), objective=cost).unbiased


def test_calls_that_make_no_sense_are_errors():
    """Inputs that are none, paths that are none, a way to read that is none."""
    estimate = estimator()
    with pytest.raises(
        TypeError, match=r"inputs is .*, expected a list or tuple.* single input in a list"
    ):
        check_estimator(estimate, THETA, exact=exact)
    with pytest.raises(ValueError, match="paths is 0, expected a whole number of at least 1"):
        check_estimator(estimate, (THETA,), exact=exact, paths=0)
    with pytest.raises(ValueError, match="returns is 'loss', expected one of gradient, surrogate"):
        check_estimator(estimate, (THETA,), exact=exact, returns="loss")
    with pytest.raises(ValueError, match=r"is it the loss\? Return its gradient"):
        check_estimator(lambda x: 3.0, (THETA,), exact=exact)


def test_a_loss_beside_or_in_place_of_gradients_is_named():
    """As value_and_grad returns it; a list that does not fit for another reason is told apart."""
    estimate = estimator()
    known = {"w": exact(THETA), "b": np.ones(2)}
    gradients = {"w": exact(THETA), "b": np.ones(2)}
    with pytest.raises(ValueError, match=r"lacks; it has w, b; is the first of them, one number"):
        check_estimator(lambda x: (3.0, gradients), (THETA,), exact=known)
    with pytest.raises(ValueError, match=r"lacks; it has gradient; is the first of them"):
        check_estimator(lambda x: (3.0, estimate(x)), (THETA,), exact=exact)
    with pytest.raises(ValueError, match=r"lacks; it has w, b; is it the loss"):
        check_estimator(lambda x: 3.0, (THETA,), exact=known)
    with pytest.raises(ValueError, match=r"returns a list of 4, which does not fit these one by"):
        check_estimator(lambda x: [3.0, x, x, x], (THETA,), exact=known)


@pytest.mark.parametrize("called", ["estimate", "exact", "objective"])
def test_who_does_not_take_the_inputs_is_told_what_it_is_called_with(called):
    """Such as an exact gradient that takes no key; an error from within is left alone."""

    def short(x):
        raise AssertionError(x)

    functions = {"estimate": lambda x, key: x, called: short}
    functions |= {"exact": exact(THETA)} if called == "estimate" else {}
    with pytest.raises(TypeError) as error:
        check_estimator(functions.pop("estimate"), (THETA, 0), **functions)
    assert error.value.__notes__[:-1] == [
        f"gradproof calls {called}= with everything in inputs, in order, and with nothing else: "
        "here 2 in all"
    ]


def test_a_type_error_from_within_has_no_note():
    """The function takes its inputs."""

    def inside(x):
        return short(x, x)

    def short(x):
        return x

    with pytest.raises(TypeError) as error:
        check_estimator(inside, (THETA,), exact=exact)
    assert error.value.__notes__ == ["draws so far: none"]


@pytest.mark.torch
class TestTorch:
    """Estimators of PyTorch, which leave gradients in three ways."""

    @pytest.fixture(name="torch", autouse=True)
    def _torch(self):
        self.torch = load("torch").torch
        self.logits = self.torch.tensor(THETA, requires_grad=True)
        self.cost = self.torch.tensor(COST)

    def surrogate(self, logits):
        """One number to be differentiated."""
        draws = self.torch.distributions.Categorical(logits=logits)
        y = draws.sample()
        return (self.cost[y] - 0.7) * draws.log_prob(y)

    def objective(self, logits):
        """The cost of one draw."""
        return self.cost[self.torch.distributions.Categorical(logits=logits).sample()]

    def test_a_tensor_that_requires_no_gradient_is_named(self):
        """With its place among the inputs, and what to do."""
        theta = self.torch.tensor([0.1, 0.2], dtype=self.torch.float64)
        match = "input 0 does not require gradients: pass tensors after requires_grad_.*wrt="
        with pytest.raises(NotDifferentiable, match=match):
            check_estimator(lambda x: x.sum(), (theta,), objective=lambda x: x.sum())

    def test_a_surrogate_is_differentiated(self):
        """As gradcheck takes a function and its inputs."""
        assert check_estimator(self.surrogate, (self.logits,), exact=exact(THETA)).unbiased
        assert check_estimator(self.surrogate, (self.logits,), objective=self.objective).unbiased

    def test_gradients_that_are_left_are_read(self):
        """After backward(), of tensors or of a module."""

        def leaves():
            self.surrogate(self.logits).backward()

        assert check_estimator(leaves, wrt=self.logits, exact=exact(THETA)).unbiased
        module = self.torch.nn.Linear(3, 3, bias=False).double()
        x = self.torch.tensor([1.0, 2.0, -1.0]).double()

        def of_module(module):
            self.surrogate(module(x)).backward()

        def cost(module):
            return self.objective(module(x))

        found = check_estimator(of_module, (module,), objective=cost)
        assert found.unbiased
        assert list(found.mean) == ["weight"]

    def test_a_loss_is_returned_without_metrics(self):
        """A training step returns them too: it is said that they are left out."""

        def with_metrics(logits, bias):
            loss = self.surrogate(logits) + 0.0 * bias.sum()
            return loss, {"loss": loss.item()}

        inputs = (self.logits, self.torch.zeros(2, requires_grad=True))
        with pytest.raises(NotDifferentiable, match="return it alone, without metrics"):
            check_estimator(with_metrics, inputs, objective=lambda p, _: self.objective(p))
        for metrics in ({"reward": 1.0, "step": 3}, 2.0):
            with pytest.raises(ValueError, match="Return it alone, without metrics beside it"):
                check_estimator(
                    lambda logits, extra=metrics: (self.surrogate(logits), extra),
                    (self.logits,),
                    objective=self.objective,
                )

    def test_what_is_unseen_is_named_where_it_changes_what_is_drawn_next(self):
        """The objective is run first, and comes to a draw of other probabilities."""
        torch = self.torch

        class Unseen(torch.nn.Module):
            """Dropout by an operation."""

            def forward(self, x):
                return torch.ops.aten.dropout(x, 0.5, self.training)

        layers = torch.nn.Linear(2, 8), Unseen(), torch.nn.Linear(8, 3)
        model = torch.nn.Sequential(*layers).double()
        x, costs = torch.ones(2, dtype=torch.float64), torch.arange(3.0, dtype=torch.float64)

        def cost():
            return costs[torch.distributions.Categorical(logits=model(x)).sample()]

        def surrogate():
            q = torch.distributions.Categorical(logits=model(x))
            y = q.sample()
            return costs[y] * q.log_prob(y)

        for fast in (False, True):
            with pytest.raises(UnsupportedDraw, match=r"PyTorch drew by aten\.bernoulli_"):
                check_estimator(surrogate, wrt=model, objective=cost, fast=fast)
        model.eval()
        assert check_estimator(surrogate, wrt=model, objective=cost).verdict == HOLDS

    def test_one_number_with_a_graph_is_asked_about(self):
        """A surrogate, or the gradient of a parameter of one number."""
        theta = self.torch.tensor([0.4], dtype=self.torch.double, requires_grad=True)
        p = 1.0 / (1.0 + np.exp(-0.4))
        known = np.array([3.0 * p * (1.0 - p)])

        def gradient(theta):
            p = self.torch.sigmoid(theta)
            y = self.torch.bernoulli(p)
            return (3.0 * y + 1.0) * (y - p)

        with pytest.raises(NotAGradient, match="pass returns='surrogate' or returns='gradient'"):
            check_estimator(gradient, (theta,), exact=known)
        assert check_estimator(gradient, (theta,), exact=known, returns="gradient").unbiased

    def test_the_loss_may_be_returned_after_backward(self):
        """What is left in .grad is the gradient then."""

        def leaves(logits):
            loss = self.surrogate(logits)
            loss.backward()
            return loss.item()

        assert check_estimator(leaves, (self.logits,), exact=exact(THETA)).unbiased

    @pytest.mark.parametrize("kind", ["SGD", "Adam"])
    def test_a_step_of_an_optimizer_is_part_of_no_gradient(self, kind):
        """What stood in .grad before it is; parameters and optimizer are put back."""
        module = self.torch.nn.Linear(3, 3, bias=False).double()
        optimizer = getattr(self.torch.optim, kind)(module.parameters(), lr=0.1)
        x = self.torch.tensor([1.0, 2.0, -1.0]).double()
        before = module.weight.detach().clone()

        def estimate():
            optimizer.zero_grad()
            self.surrogate(module(x)).backward()
            optimizer.step()
            optimizer.zero_grad()

        def cost():
            q = self.torch.distributions.Categorical(logits=module(x))
            return self.torch.tensor(COST)[q.sample()]

        found = check_estimator(estimate, wrt=module, objective=cost)
        assert found.unbiased, found.explain()
        assert "An optimizer takes a step in each run" in found.explain()
        assert self.torch.equal(module.weight, before)
        assert not optimizer.state
        assert module.weight.grad is None

    def test_what_has_no_gradient_is_an_error(self):
        """Nothing returned and nothing left; a surrogate of nothing."""
        with pytest.raises(NotAGradient, match="returns nothing and leaves no gradient"):
            check_estimator(lambda x: None, (self.logits,), exact=exact(THETA))
        with pytest.raises(NotAGradient, match="nothing to differentiate it by"):
            check_estimator(lambda: self.surrogate(self.logits), exact=exact(THETA))
        with pytest.raises(TypeError, match="wrt is 3, expected a module, a tensor"):
            check_estimator(self.surrogate, (self.logits,), wrt=3, exact=exact(THETA))
        parameters = self.torch.nn.Linear(2, 2).parameters()
        with pytest.raises(TypeError, match="pass the module itself, or a list"):
            check_estimator(self.surrogate, (self.logits,), wrt=parameters, exact=exact(THETA))

    def test_single_precision_is_said_and_allowed_for(self):
        """Rounding of single precision is no bias, and a bias of a part in a hundred is one."""
        logits = self.torch.tensor(THETA, dtype=self.torch.float32, requires_grad=True)
        found = check_estimator(self.surrogate, (logits,), exact=exact(THETA))
        assert found.unbiased
        assert "in double precision a smaller bias could be seen" in found.explain()
        assert not check_estimator(self.surrogate, (logits,), exact=1.02 * exact(THETA)).unbiased

    def test_a_parameter_that_is_changed_is_put_back(self):
        """A step by hand."""

        def steps(logits):
            self.surrogate(logits).backward()
            with self.torch.no_grad():
                logits -= 0.1

        before = self.logits.detach().clone()
        assert check_estimator(steps, (self.logits,), exact=exact(THETA)).unbiased
        assert self.torch.equal(self.logits, before)


# ------------------------------------------------------------------ exact= in single precision


def many_outcomes(scale=1.0):
    """An estimator in double precision with forty outcomes, and its exact gradient in any."""
    rng = np.random.default_rng(0)
    theta, cost = rng.normal(size=40), rng.normal(size=40) + 20.0

    def estimate():
        p = softmax(theta)
        y = rng.choice(40, p=p)
        return scale * cost[y] * (np.eye(40)[y] - p)

    def gradient(dtype):
        p, c = softmax(theta.astype(dtype)), cost.astype(dtype)
        return p * (c - p @ c)

    return estimate, gradient


@pytest.mark.parametrize("cast", [False, True])
def test_an_exact_gradient_in_single_precision_refutes_no_right_estimator(cast):
    """What cancels in it is rounded with the costs; also where it was cast afterwards."""
    estimate, gradient = many_outcomes()
    single = gradient(np.float32).astype(np.float64 if cast else np.float32)
    found = check_estimator(estimate, exact=single)
    assert found.verdict == UNDECIDED, found.explain()
    assert "compute exact= in double precision, or pass exact_error=" in found.explain()
    assert check_estimator(estimate, exact=single, exact_error=1e-5).verdict != REFUTED
    assert check_estimator(estimate, exact=gradient(np.float64)).verdict == HOLDS
    for scale in (1.01, 0.99):
        wrong, _ = many_outcomes(scale)
        assert check_estimator(wrong, exact=single).verdict == REFUTED


def test_numbers_that_single_precision_has_by_accident_are_doubles():
    """Halves and whole numbers, and too few to tell; what is off by 1e-6 is refuted then."""
    for known in (np.array([0.5, 2.0, -3.0, 0.25, 1.0]), np.array([np.float32(0.1), 0.5])):
        value = np.asarray(known, np.float64)
        rng = np.random.default_rng(0)

        def estimate(value=value, rng=rng):
            return value * (1.0 + 1e-6) * 2.0 * rng.integers(2)

        assert check_estimator(estimate, exact=value).verdict == REFUTED


def of_costs(dtype, scale=1.0):
    """An estimator in double precision, of costs that were in some precision before."""
    costs = scale * np.array([0.1, 0.7, 0.3], dtype).astype(np.float64)
    rng = np.random.default_rng(0)

    def estimate():
        p = softmax(THETA)
        y = rng.choice(3, p=p)
        return costs[y] * (np.eye(3)[y] - p)

    p = softmax(THETA)
    return estimate, p * (costs - p @ costs)


def test_a_constant_in_single_precision_refutes_no_right_estimator():
    """Costs as ``torch.tensor([0.1, 0.7, 0.3])`` has them, in the estimator or in ``exact=``."""
    (single, by_single), (double, by_double) = of_costs(np.float32), of_costs(np.float64)
    for estimate, exact_gradient in ((single, by_double), (double, by_single)):
        found = check_estimator(estimate, exact=exact_gradient)
        assert found.verdict == UNDECIDED, found.explain()
        assert "A constant in single precision leaves errors of that size" in found.explain()
    sure = check_estimator(single, exact=by_double, exact_error=0)
    assert sure.verdict == REFUTED
    assert "Constants in single precision leave errors of that size" in sure.explain()
    # Twice as much is a bias.
    wrong, _ = of_costs(np.float64, 1.0 + 2.0**-23)
    assert check_estimator(wrong, exact=by_double).verdict == REFUTED


@pytest.mark.parametrize(("off", "hinted"), [(1e-6, True), (1e-2, False)])
def test_a_gradient_by_forward_differences_is_thought_of(off, hinted):
    """Their error has no simple form; one that is larger is a bias, and nobody's step."""
    estimate, gradient = of_costs(np.float64)
    forward = gradient + off * np.array([0.3, -0.1, 0.2])
    found = check_estimator(estimate, exact=forward)
    assert found.verdict == REFUTED
    assert ("Differences in one direction leave errors" in found.explain()) == hinted
    stated = check_estimator(estimate, exact=forward, exact_error=off)
    assert stated.verdict != REFUTED


def test_a_coarser_type_still_refutes():
    """Half precision: a part in a hundred of the largest entry may be its own, a tenth not."""
    estimate, gradient = many_outcomes(1.1)
    half = gradient(np.float64).astype(np.float16)
    assert check_estimator(estimate, exact=half).verdict == REFUTED


@pytest.mark.parametrize("noise", [1e-18, 3e-17, -1e-15])
def test_what_automatic_differentiation_leaves_of_a_zero_refutes_no_right_estimator(noise):
    """A shift of all logits changes no softmax; its gradient is zero, but for rounding."""
    rng = np.random.default_rng()
    known = {"logits": exact(THETA), "shift": np.array(noise)}  # rounding is some 1e-16 of the rest

    def estimate(by_shift):
        p = softmax(THETA)
        y = rng.choice(3, p=p)
        return {"logits": COST[y] * (np.eye(3)[y] - p), "shift": by_shift(COST[y], p)}

    def right(cost, p):
        return cost * (1.0 - p.sum() + 1e-16 * rng.integers(2))

    def check(by_shift, **options):
        return check_estimator(lambda: estimate(by_shift), exact=known, **options)

    assert check(right).verdict == HOLDS
    unused = check(lambda cost, p: 0.0)
    assert unused.verdict == UNDECIDED
    assert "terms that cancel, leave errors of that size" in unused.explain()
    assert check(lambda cost, p: 0.0, exact_error=1e-14).verdict == HOLDS
    assert check(lambda cost, p: 0.0, exact_error=0.0).verdict == REFUTED  # it is known to the bit
    wrong = check(lambda cost, p: 1e-9 * cost)
    assert wrong.verdict == REFUTED
    assert "Only shift is off" in wrong.explain()


def test_a_parameter_that_is_off_by_the_rounding_of_the_exact_gradient_is_not_blamed():
    """Where another is wrong, and the verdict is refuted for that."""
    known = {"logits": exact(THETA), "scale": np.array(0.5), "shift": np.array(1e-18)}
    rng = np.random.default_rng()

    def estimate():
        p = softmax(THETA)
        y = rng.choice(3, p=p)
        score = COST[y] * (np.eye(3)[y] - p)
        return {"logits": 0.7 * score, "scale": np.array(0.5), "shift": np.array(0.0)}

    report = check_estimator(estimate, exact=known)
    assert report.verdict == REFUTED
    assert "Only logits is off" in report.explain()
