"""An estimator against an objective, neither of which can be enumerated: both are sampled."""

import numpy as np
import pytest

import gradproof
from gradproof import check_estimator
from gradproof.checks.evidence import HOLDS, REFUTED, UNDECIDED
from gradproof.checks.user.segments import draw_segments
from gradproof.estimators.enumeration.expectation import NotDifferentiable
from gradproof.estimators.enumeration.run import UnsupportedDraw

#: So that the range is learnt from 900 draws, and a test takes a second or two.
QUICK = {"rarest": 0.02, "draws": 2500}

#: Where the cost of x, normal around the parameters, is least.
LEAST = np.array([2.0, -1.0])


class Normals:
    """Estimators of the gradient of E[|x - LEAST|²], x normal around theta, and bugs of theirs."""

    def __init__(self, batch=8):
        self.rng, self.batch = np.random.default_rng(), batch

    def draw(self, theta):
        """Noise (N, 2), and costs (N,)."""
        noise = self.rng.standard_normal((self.batch, 2))
        return noise, ((theta + noise - LEAST) ** 2).sum(axis=1)

    def cost(self, theta):
        """The mean over a batch: the objective."""
        return self.draw(theta)[1].mean()

    def pathwise(self, theta):
        """Right: reparameterised."""
        noise, _ = self.draw(theta)
        return 2.0 * (theta + noise - LEAST).mean(axis=0)

    def reinforce(self, theta):
        """Right: the baseline of each is the mean of the others."""
        noise, cost = self.draw(theta)
        others = (cost.sum() - cost) / (self.batch - 1)
        return ((cost - others)[:, None] * noise).mean(axis=0)

    def with_control(self, theta):
        """Right: a quadratic control variate, whose mean is put back along its own path, as RELAX.

        Reference: Grathwohl et al. (2018), Backpropagation through the void.
        """
        noise, cost = self.draw(theta)
        x = theta + noise
        control, slope = 0.9 * (x**2).sum(axis=1), 1.8 * x
        return ((cost - control)[:, None] * noise + slope).mean(axis=0)

    def minus(self, theta):
        """Wrong: the sign."""
        return -self.pathwise(theta)

    def half(self, theta):
        """Wrong: a factor."""
        return 0.5 * self.pathwise(theta)

    def own_sample(self, theta):
        """Wrong: the baseline has its own sample, a factor of 1 - 1/N."""
        noise, cost = self.draw(theta)
        return ((cost - cost.mean())[:, None] * noise).mean(axis=0)

    def no_score(self, theta):
        """Wrong: the control variate's slope is lost."""
        noise, cost = self.draw(theta)
        control = 0.9 * ((theta + noise) ** 2).sum(axis=1)
        return ((cost - control)[:, None] * noise).mean(axis=0)


THETA = np.array([-0.5, 1.0])


@pytest.mark.parametrize("right", ["pathwise", "reinforce", "with_control"])
def test_what_is_right_is_not_refuted(right):
    """Within as many draws as refute each bug."""
    code = Normals()
    found = check_estimator(getattr(code, right), [THETA], objective=code.cost, **QUICK)
    assert found.verdict in (HOLDS, UNDECIDED)
    assert found.method == "sampled"
    assert 0.0 < found.detectable < np.inf
    for name, slope in found.mean.items():
        off = abs(float(slope - found.exact[name]))
        assert off < found.detectable


@pytest.mark.parametrize("bug", ["minus", "half", "no_score"])
def test_bugs_are_refuted(bug):
    """Within 2,500 draws, of which the first 900 teach the range."""
    code = Normals()
    found = check_estimator(getattr(code, bug), [THETA], objective=code.cost, **QUICK)
    assert found.verdict == REFUTED
    told = found.explain()
    assert "the mean slopes are not the same, if no outcome rarer than 0.02" in told
    assert "refuted along 2 random directions, averaged over segments of half-length" in told
    assert "by the estimator and" in told


def test_an_own_sample_in_the_baseline_is_refuted():
    """An eighth is missing, which takes more draws than what is off by half."""
    code = Normals()
    options = {**QUICK, "draws": 20_000}
    found = check_estimator(code.own_sample, [THETA], objective=code.cost, **options)
    assert found.verdict == REFUTED
    assert found.draws < 20_000


def test_a_long_segment_has_no_error_of_its_own():
    """The mean of cos has no derivative as differences over so long a step would have it."""
    rng = np.random.default_rng()

    def objective(theta):
        return float(np.cos(theta + 0.1 * rng.standard_normal(1))[0])

    def estimate(theta):
        return -np.sin(theta + 0.1 * rng.standard_normal(1))

    options = {"objective": objective, "half_length": 2.0, **QUICK}
    here = np.array([0.7])
    found = check_estimator(estimate, [here], **options)
    assert found.verdict != REFUTED
    assert found.detectable < 0.2  # the other is off by 0.35
    assert float(found.exact["slope 1"]) != pytest.approx(-np.sin(0.7), rel=0.2)
    wrong = check_estimator(lambda theta: 0.0 * estimate(theta) - np.sin(0.7), [here], **options)
    assert wrong.verdict == REFUTED  # it is right at the parameters, and nowhere else


def test_what_cannot_be_enumerated_says_what_to_do():
    """Without draws= it is refused, and half_length= is of no use."""
    code = Normals()
    with pytest.raises(UnsupportedDraw, match="pass draws= to sample it and the estimator along"):
        check_estimator(code.pathwise, [THETA], objective=code.cost)
    with pytest.raises(TypeError, match="half_length= goes with objective= and draws="):
        check_estimator(code.pathwise, [THETA], objective=code.cost, half_length=0.1)
    for wrong in (0.0, -1.0, np.inf, np.nan, "1", True):
        with pytest.raises(ValueError, match="half_length is"):
            check_estimator(code.pathwise, [THETA], objective=code.cost, draws=9, half_length=wrong)


def test_a_place_where_nothing_is_defined_is_named():
    """And the parameters are back."""
    code, theta = Normals(), np.array([0.3])
    before = theta.copy()

    def objective(theta):
        return float(np.log(theta[0]) + code.rng.standard_normal())

    def estimate(theta):
        return np.full(1, 1.0 / theta[0]) + code.rng.standard_normal(1)

    options = {"objective": objective, **QUICK}
    assert check_estimator(estimate, [theta], **options).verdict != REFUTED
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(NotDifferentiable, match="the objective returned nan") as failed,
    ):
        check_estimator(estimate, [theta], half_length=0.5, **options)
    (note,) = [each for each in failed.value.__notes__ if "moved" in each]
    assert "is -0.2: if it must not be that, pass half_length= below 0.5" in note
    assert np.array_equal(theta, before)


def test_an_estimate_that_is_no_number_is_named():
    """It is no bias where the parameters were moved to."""
    code = Normals()

    def estimate(theta):
        return np.sqrt(theta) + code.rng.standard_normal(2)

    with (
        np.errstate(invalid="ignore"),
        pytest.raises(NotDifferentiable, match=r"the estimator returned nan in gradient\[0\]"),
    ):
        check_estimator(estimate, [THETA], objective=code.cost, **QUICK)


def test_an_error_of_the_users_arrives_with_the_place():
    """As it is, with a note."""
    code, theta = Normals(), THETA.copy()

    def objective(theta):
        if abs(theta[0] + 0.5) > 0.2:
            raise ZeroDivisionError("the user's own")
        return code.cost(theta)

    with pytest.raises(ZeroDivisionError, match="the user's own") as failed:
        check_estimator(code.pathwise, [theta], objective=objective, half_length=3.0, **QUICK)
    assert any("the parameters are moved by 3" in each for each in failed.value.__notes__)
    assert np.array_equal(theta, THETA)


def test_one_direction_and_goals():
    """fast=True takes one direction; each goal has directions of its own parameters."""
    code = Normals()
    found = check_estimator(code.pathwise, [THETA], objective=code.cost, fast=True, **QUICK)
    assert list(found.mean) == ["slope 1"]
    assert "along one random direction" in found.along
    assert "not seen that is orthogonal" in found.explain()

    def estimate(a, b):
        return {"a": code.pathwise(a), "b": -code.pathwise(b)}

    def of_a(a, b):
        return code.cost(a)

    def of_b(a, b):
        return code.cost(b)

    goals = {"a": of_a, "b": of_b}
    found = check_estimator(estimate, [THETA, THETA + 1.0], objective=goals, **QUICK)
    assert found.verdict == REFUTED
    assert found.worst.parameter in ("slope 1 by b", "slope 2 by b")


def test_a_seed_repeats_it():
    """Directions, half-lengths and places; a generator of the estimator's own goes on."""
    found, options = [], {"rarest": 0.3, "draws": 100}
    for _ in range(2):
        code = Normals()
        code.rng = np.random.default_rng(1)
        found.append(
            check_estimator(code.pathwise, [THETA], objective=code.cost, seed=5, **options)
        )
    first, again = found
    assert first.mean == again.mean
    assert first.seed == 5
    assert "seed=5" in first.snippet
    code = Normals()
    free = check_estimator(code.pathwise, [THETA], objective=code.cost, **options)
    assert f"seed={free.seed}" in free.snippet


def test_a_fixed_seed_is_no_sample():
    """The same in each run: no verdict."""
    code = Normals()

    def objective(theta):
        return ((theta + np.random.default_rng(3).standard_normal(2)) ** 2).sum()

    with pytest.raises(gradproof.GradproofError, match="same"):
        check_estimator(code.pathwise, [THETA], objective=objective, **QUICK)


def test_directions_are_orthogonal_and_default_moves_keep_signs():
    """What is positive stays so; what may be a probability stays one."""
    rng = np.random.default_rng()
    leaves = {
        "probability": rng.uniform(0.1, 0.9, 3),
        "scale": rng.uniform(0.1, 5.0, (2, 2)),
        "free": np.array([-3.0, 0.0, 4.0]),
    }
    segments = draw_segments({"": leaves}, rng)
    rows = np.stack(
        [np.concatenate([way.ravel() for way in one.towards.values()]) for one in segments]
    )
    roundings = 1e-12  # of ten products each
    assert np.abs(rows @ rows.T - np.eye(3)).max() < roundings
    for one in segments:
        for sign in (-1.0, 1.0):
            at = {
                name: leaf + sign * one.longest * one.towards[name] for name, leaf in leaves.items()
            }
            assert ((at["probability"] > 0.0) & (at["probability"] < 1.0)).all()
            assert (at["scale"] > 0.0).all()
    alone = draw_segments({"": {"theta": np.zeros(1)}}, rng)
    assert len(alone) == 1
    assert abs(abs(float(alone[0].towards["theta"][0])) - 1.0) < roundings


@pytest.mark.torch
def test_tensors_are_moved_and_put_back():
    """In memory of their own: what shares a tensor's memory stays where it is."""
    import torch
    from torch.distributions import Normal

    theta = torch.tensor([0.3, -0.7], dtype=torch.float64, requires_grad=True)
    before = theta.data_ptr(), theta._version, theta.detach().clone()

    def objective(theta):
        return (Normal(theta, 1.0).sample() ** 2).sum()

    def wrong(theta):
        x = Normal(theta, 1.0).rsample()  # the score of what moves along is zero
        return (x**2).sum().detach() * Normal(theta, 1.0).log_prob(x).sum()

    options = {"objective": objective, **QUICK}
    assert check_estimator(wrong, [theta], **options).verdict == REFUTED
    assert (theta.data_ptr(), theta._version) == before[:2]
    assert torch.equal(theta, before[2])
    made = Normal(theta * 1.0, 1.0)

    def kept(theta):
        x = made.sample()
        return (x**2).sum() * made.log_prob(x).sum()

    with pytest.raises(NotDifferentiable, match="the estimator has a tensor that was made from"):
        check_estimator(kept, [theta], **options)


def test_keys_of_jax_are_folded_for_both(library):
    """Estimator and objective are given a key; what keeps the parameters is refused."""
    jax = library("jax")
    theta, key = jax.numpy.array([0.3, -0.7]), jax.random.key(0)

    @jax.jit
    def cost(theta, key):
        return ((theta + jax.random.normal(key, (2,))) ** 2).sum()

    gradient = jax.jit(jax.grad(cost))
    options = {"objective": lambda theta, key: cost(theta, key), "rarest": 0.03, "draws": 1500}
    found = check_estimator(lambda theta, key: -gradient(theta, key), [theta, key], **options)
    assert found.verdict == REFUTED
    with pytest.raises(NotDifferentiable, match="the estimator is given gradient, and keeps"):
        check_estimator(lambda _, key: gradient(theta, key), [theta, key], **options)
