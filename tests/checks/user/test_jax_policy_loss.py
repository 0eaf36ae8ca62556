"""Losses of groups in JAX against goals: moments by brute force in NumPy, and planted bugs."""

import numpy as np
import pytest

from gradproof import policies
from gradproof.checks.evidence import HOLDS, REFUTED

from ...estimators.policies.table import LOGITS, REFERENCE
from .test_policy_loss import CLOSE, TABLE, brute_force, dr_grpo, grpo, own_mean, rloo

pytestmark = pytest.mark.libraries


@pytest.fixture(autouse=True)
def jax(library):
    """JAX in double precision, or nothing is tested."""
    found = library("jax")
    with found.enable_x64(True):
        yield found


def make(jax, **options):
    """The table as a policy."""
    parameters = {"table": jax.numpy.asarray(LOGITS), "places": jax.numpy.arange(3)}
    return policies.autoregressive(
        lambda parameters, tokens: parameters["table"][tokens],
        options.pop("prompts", [0]),
        **{"eos": 0, "longest": 2, "parameters": parameters} | options,
    )


def rloo_in_jax(log_probs, mask, rewards, tokens):
    """The baseline is the mean of the others."""
    others = (rewards.sum() - rewards) / (len(rewards) - 1)
    return -((rewards - others) * log_probs.sum(1)).mean()


def own_mean_in_jax(log_probs, mask, rewards, tokens):
    """The baseline is the mean of all."""
    return -((rewards - rewards.mean()) * log_probs.sum(1)).mean()


def dr_grpo_in_jax(log_probs, mask, rewards, tokens):
    """The mean of all, and a constant in place of lengths."""
    return -((rewards - rewards.mean())[:, None] * log_probs).sum() / mask.size


def grpo_in_jax(log_probs, mask, rewards, tokens):
    """Standardised, and the mean over each completion's tokens."""
    advantages = (rewards - rewards.mean()) / (rewards.std(ddof=1) + 1e-4)
    return -(advantages * log_probs.sum(1) / mask.sum(1)).mean()


#: What each is in PyTorch, of which the moments in NumPy are known.
LOSSES = {
    rloo_in_jax: rloo,
    own_mean_in_jax: own_mean,
    dr_grpo_in_jax: dr_grpo,
    grpo_in_jax: grpo,
}


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
def test_moments_are_those_of_all_groups_in_every_order(loss, size, jax):
    """Mean and variance of each entry; RLOO alone holds."""
    policy = make(jax)
    report = policies.check_loss(policy, loss, policy.expected(TABLE.reward), group=size)
    mean, variance = brute_force(LOSSES[loss], size)
    np.testing.assert_allclose(report.mean["table"], mean, **CLOSE)
    np.testing.assert_allclose(report.variance["table"], variance, **CLOSE)
    assert report.verdict == (HOLDS if loss is rloo_in_jax else REFUTED), report.explain()
    assert report.paths == {2: 28, 3: 84}[size]  # multisets of seven completions


def test_factors_are_named(jax):
    """1 - 1/G, and half of that where every sum is divided by two tokens."""
    policy = make(jax)
    goal = policy.expected(TABLE.reward)
    for loss, factor in ((own_mean_in_jax, 0.75), (dr_grpo_in_jax, 0.375)):
        report = policies.check_loss(policy, loss, goal, group=4, judge="direction")
        assert report.verdict == "proportional"
        assert report.direction.factor == pytest.approx(factor, abs=1e-12)  # some hundred roundings


def test_divergences_have_the_gradients_that_are_known_of_them(jax):
    """k1 in the loss none, k2 by token that of next tokens, half the square of the whole KL's."""
    policy = make(jax)
    other = jax.numpy.asarray(REFERENCE)
    goals = (
        -policy.kl(lambda tokens: other[tokens]),
        -policy.kl_of_next_tokens(policy.at({**policy.parameters, "table": other})),
    )

    def k1(log_probs, mask, rewards, tokens, reference):
        return (log_probs - reference).sum(1).mean()

    def k2_by_token(log_probs, mask, rewards, tokens, reference):
        return 0.5 * ((log_probs - reference) ** 2).sum(1).mean()

    def k2(log_probs, mask, rewards, tokens, reference):
        return 0.5 * ((log_probs - reference).sum(1) ** 2).mean()

    for loss, verdicts in {
        k1: (REFUTED, REFUTED),
        k2_by_token: (REFUTED, HOLDS),
        k2: (HOLDS, REFUTED),
    }.items():
        for goal, verdict in zip(goals, verdicts, strict=True):
            report = policies.check_loss(
                policy, loss, goal, group=1, reference=lambda tokens: other[tokens]
            )
            assert report.verdict == verdict, report.explain()
    assert (
        policies.check_loss(
            policy, k1, goals[0], group=1, reference=lambda tokens: other[tokens]
        ).direction.verdict
        == "zero"
    )


def test_a_loss_that_depends_on_the_order_is_enumerated_in_every_order(jax):
    """And one that draws by a key of its own, of which each outcome is a path."""
    policy = make(jax)
    goal = policy.expected(TABLE.reward)

    def by_the_first(log_probs, mask, rewards, tokens):
        return -(rewards[0] - rewards[1]) * log_probs[0].sum()

    def by_either(log_probs, mask, rewards, tokens):
        first = jax.random.bernoulli(jax.random.key(0)).astype(int)
        return -(rewards[first] - rewards[1 - first]) * log_probs[first].sum()

    for loss, paths in ((by_the_first, 49), (by_either, 98)):
        report = policies.check_loss(policy, loss, goal, group=2)
        assert (report.verdict, report.paths) == (HOLDS, paths), report.explain()


def test_prompts_and_losses_side_by_side(jax):
    """Two prompts of two lengths; a table of several losses."""
    policy = make(jax, prompts=[[1], [0, 2]])
    losses = {"right": rloo_in_jax, "its own mean": own_mean_in_jax}
    table = policies.compare_losses(policy, losses, policy.expected(TABLE.reward), group=2)
    verdicts = {row.name: row.verdict for row in table.rows}
    assert verdicts == {"right": HOLDS, "its own mean": "proportional"}


def test_what_is_no_loss_is_refused(jax):
    """By what it returns; and where it has no derivative, on which groups."""
    policy = make(jax)
    goal = policy.expected(TABLE.reward)
    with pytest.raises(TypeError, match="expected an array of JAX of one number"):
        policies.check_loss(policy, lambda *given: 1.0, goal, group=2)
    with pytest.raises(ValueError, match=r"the loss has shape \(2,\), expected one number"):
        policies.check_loss(policy, lambda p, m, r, t: p.sum(1), goal, group=2)

    def divided(log_probs, mask, rewards, tokens):
        return -((rewards - rewards.mean()) / rewards.std() * log_probs.sum(1)).mean()

    report = policies.check_loss(policy, divided, goal, group=2)
    assert report.verdict != HOLDS
    assert "Its rewards are equal" in report.explain()
