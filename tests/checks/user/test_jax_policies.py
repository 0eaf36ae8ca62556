"""Losses of JAX that draw completions, against goals: right ones, and planted bugs."""

import random

import numpy as np
import pytest

from gradproof import check_estimator, policies
from gradproof.checks.evidence import HOLDS, REFUTED

from ...estimators.policies.table import LOGITS, REFERENCE, Table

pytestmark = pytest.mark.libraries

TABLE = Table()


@pytest.fixture(autouse=True)
def jax(library):
    """JAX in double precision, or nothing is tested."""
    found = library("jax")
    with found.enable_x64(True):
        yield found


class Problem:
    """A policy of JAX, and losses of two of its completions."""

    def __init__(self, jax, **options):
        self.jax, self.numpy = jax, jax.numpy
        self.parameters = {"table": self.numpy.asarray(LOGITS)}
        self.policy = policies.autoregressive(
            lambda parameters, tokens: parameters["table"][tokens],
            [0],
            **{"eos": 0, "longest": 2, "parameters": self.parameters} | options,
        )
        self.reference = self.policy.at({"table": self.numpy.asarray(REFERENCE)})

    def rewards(self, group):
        """As of the table."""
        places = self.numpy.arange(group.mask.shape[1]) + 1.3
        lengths = group.mask.sum(axis=1)
        return (group.tokens * group.mask) @ places - 0.7 * lengths**2

    def drawn(self, parameters, key):
        """A pair, the log-probability of each, and its log ratio."""
        now = self.policy.at(parameters)
        group = now.sample(2, key=key)
        log_p = now.log_probs(group).sum(axis=1)
        return group, log_p, log_p - self.reference.log_probs(group).sum(axis=1)

    def reinforce(self, parameters, key):
        """Without a baseline."""
        group, log_p, _ = self.drawn(parameters, key)
        return -(self.rewards(group) * log_p).mean()

    def rloo(self, parameters, key):
        """The other one is the baseline, and the penalty is in the reward."""
        group, log_p, ratio = self.drawn(parameters, key)
        returns = self.rewards(group) - 0.3 * self.jax.lax.stop_gradient(ratio)
        return -((returns - returns[::-1]) * log_p).mean()

    def own_mean(self, parameters, key):
        """Each one's own reward is part of its baseline."""
        group, log_p, ratio = self.drawn(parameters, key)
        returns = self.rewards(group) - 0.3 * self.jax.lax.stop_gradient(ratio)
        return -((returns - returns.mean()) * log_p).mean()

    def k1_in_the_loss(self, parameters, key):
        """The log ratio, differentiated."""
        return self.drawn(parameters, key)[2].mean()

    def half_square(self, parameters, key):
        """k2 of completions."""
        return 0.5 * (self.drawn(parameters, key)[2] ** 2).mean()

    def check(self, loss, goal, *, jit=False):
        """The report on a loss."""
        gradient = self.jax.grad(loss)
        inputs = [self.parameters, self.jax.random.key(0)]
        estimate = self.jax.jit(gradient) if jit else gradient
        return check_estimator(estimate, inputs, exact=goal.as_loss())

    @property
    def penalised(self):
        """The reward less a multiple of the divergence."""
        return self.policy.expected(TABLE.reward) - 0.3 * self.policy.kl(self.reference)


@pytest.mark.parametrize("jit", [False, True])
def test_right_losses_hold(jit, jax):
    """Compiled or not, on one path for each pair of completions."""
    problem = Problem(jax)
    for loss, goal in (
        (problem.reinforce, problem.policy.expected(TABLE.reward)),
        (problem.rloo, problem.penalised),
    ):
        report = problem.check(loss, goal, jit=jit)
        assert (report.verdict, report.paths) == (HOLDS, 49), report.explain()


def test_ones_own_sample_in_the_baseline_is_half_the_gradient(jax):
    """1 - 1/2 of it, of two completions."""
    problem = Problem(jax)
    report = problem.check(problem.own_mean, problem.penalised, jit=True)
    assert report.verdict == REFUTED
    assert report.direction.verdict == "proportional"
    assert "The mean is 0.5000 times the gradient in every entry." in report.notes


def test_the_log_ratio_in_the_loss_has_no_gradient(jax):
    """And half its square has that of the divergence."""
    problem = Problem(jax)
    goal = -problem.policy.kl(problem.reference)
    report = problem.check(problem.k1_in_the_loss, goal)
    assert report.verdict == REFUTED
    assert report.direction.verdict == "zero"
    assert problem.check(problem.half_square, goal).verdict == HOLDS
    other = -problem.policy.kl_of_next_tokens(problem.reference)
    assert problem.check(problem.half_square, other).verdict == REFUTED


def test_a_goal_that_is_computed_has_its_own_rounding(jax):
    """Of the parameters that the estimator is given, whatever these are."""
    problem = Problem(jax)
    goal = problem.policy.expected(TABLE.reward)
    other = {"table": jax.numpy.asarray(REFERENCE)}
    report = check_estimator(
        jax.grad(problem.reinforce),
        [other, jax.random.key(0)],
        exact=lambda parameters, key: goal.at(parameters).as_loss(),
    )
    assert report.verdict == HOLDS, report.explain()


def test_single_precision_of_parameters_refutes_nothing(jax):
    """A right loss of such may be undecided, and a wrong one is refuted."""
    problem = Problem(jax)
    problem.parameters = {"table": jax.numpy.asarray(LOGITS, dtype="float32")}
    problem.policy = problem.policy.at(problem.parameters)
    goal = problem.policy.expected(TABLE.reward)
    assert goal.as_loss()["table"].dtype == np.float32
    assert problem.check(problem.reinforce, goal).verdict != REFUTED
    assert problem.check(problem.own_mean, goal).verdict == REFUTED


@pytest.mark.parametrize(
    ("temperature", "jit", "verdict"),
    [(1.0, False, HOLDS), (1.0, True, HOLDS), (0.9, True, REFUTED)],
)
def test_a_sampler_draws_by_the_policys_law_or_does_not(temperature, jit, verdict, jax):
    """One that is written by hand, in a loop of fixed length."""
    numpy, draw = jax.numpy, jax.random.categorical
    policy, logits = Problem(jax).policy, numpy.asarray(LOGITS) / temperature

    def generate(key):
        first, second = jax.random.split(key)
        token = draw(first, logits[0])
        ended = numpy.where(numpy.arange(3) == 0, 0.0, -numpy.inf)
        following = draw(second, numpy.where(token == 0, ended, logits[token]))
        return numpy.stack([token, following])

    function = jax.jit(generate) if jit else generate
    report = policies.check_sampler(policy, lambda: function(jax.random.key(0)))
    assert (report.verdict, report.paths) == (verdict, 7), report.explain()


def test_its_own_sampler_draws_by_its_law(jax):
    """At a temperature, of the likeliest, and of two prompts."""
    for options in ({"temperature": 0.6}, {"top_k": 2}):
        policy = Problem(jax, **options).policy
        report = policies.check_sampler(policy, lambda p=policy: p.sample(1, key=jax.random.key(0)))
        assert report.verdict == HOLDS, report.explain()
    policy = Problem(jax).policy  # and that of another temperature is another
    other = Problem(jax, temperature=0.9).policy
    report = policies.check_sampler(policy, lambda: other.sample(1, key=jax.random.key(0)))
    assert report.verdict == REFUTED


def test_nothing_is_left_changed(jax):
    """Neither parameters nor generators."""
    problem, state = Problem(jax), random.getstate()
    before = np.array(problem.parameters["table"])
    problem.check(problem.reinforce, problem.policy.expected(TABLE.reward))
    np.testing.assert_array_equal(problem.parameters["table"], before)
    assert random.getstate() == state
