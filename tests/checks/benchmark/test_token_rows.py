"""The rows of completions, beside loops that write out every group, with formulas by hand."""

import itertools
import math

import numpy as np
import pytest

from gradproof.checks.benchmark.bugs import ROWS, token_returns
from gradproof.checks.benchmark.bugs.token_policies import LOGITS, OLD, REFERENCE, REWARDS
from gradproof.checks.user.estimator import check_estimator

#: Some hundred sums and products of numbers of the same size, in another order.
ROUNDINGS = 1e-12

#: Completions with the padding behind them, and how many of their tokens are drawn.
COMPLETIONS = [((0, 0), 1), *[((a, b), 2) for a in (1, 2) for b in (0, 1, 2)]]


def log_p(logits, before, token):
    """Of a token, by the one before it."""
    return logits[before][token] - math.log(sum(math.exp(each) for each in logits[before]))


def pairs(y):
    """Each token of a padded completion, after the one before it."""
    tokens, _ = y
    return [(0, tokens[0]), (tokens[0], tokens[1])]


def total_log_p(logits, y):
    """Of a completion, whose padding was not drawn."""
    return sum(log_p(logits, *pair) for pair in pairs(y)[: y[1]])


def score(before, token):
    """The derivative of a token's log-probability by the logits, (3, 3)."""
    gradient = np.zeros((3, 3))
    for other in range(3):
        gradient[before, other] = (other == token) - math.exp(log_p(LOGITS, before, other))
    return gradient


def reward(y):
    """Of a padded completion."""
    (first, second), _ = y
    return float(REWARDS[first, second])


def less_others(group):
    """Each reward less the mean of the others."""
    rewards = [reward(y) for y in group]
    return [r - (sum(rewards) - r) / (len(rewards) - 1) for r in rewards]


def ratio(y, position):
    """Of a token that the older policy drew."""
    pair = pairs(y)[position]
    return math.exp(log_p(LOGITS, *pair) - log_p(OLD, *pair))


def on_drawn_tokens(values):
    """The same weight for each drawn token of a completion, and none for its padding."""
    return lambda group: [
        [value, value if y[1] == 2 else 0.0] for value, y in zip(values(group), group, strict=True)
    ]


def mean_of(weights, size, by=LOGITS):
    """The mean gradient: minus each token's score times its weight, over all groups."""
    total = np.zeros((3, 3))
    for group in itertools.product(COMPLETIONS, repeat=size):
        probability = math.exp(sum(total_log_p(by, y) for y in group))
        for y, of_tokens in zip(group, weights(group), strict=True):
            for pair, weight in zip(pairs(y), of_tokens, strict=True):
                total -= probability * weight * score(*pair)
    return total


# ------------------------------------------------------------------ weights, by hand


def own_shares(group):
    """Rewards, averaged."""
    return [reward(y) / len(group) for y in group]


def less_group_mean(group):
    """Less the mean of all."""
    rewards = [reward(y) for y in group]
    return [(r - sum(rewards) / len(rewards)) / len(rewards) for r in rewards]


def over_deviation(group):
    """Over the group's deviation, with one less than their number below."""
    rewards = [reward(y) for y in group]
    middle = sum(rewards) / len(rewards)
    deviation = math.sqrt(sum((r - middle) ** 2 for r in rewards) / (len(rewards) - 1))
    return [(r - middle) / (deviation + 1e-4) / len(rewards) for r in rewards]  # as the row


def over_token_deviation(group):
    """By statistics over the tokens."""
    tokens = [reward(y) for y in group for _ in range(y[1])]
    middle = sum(tokens) / len(tokens)
    deviation = math.sqrt(sum((r - middle) ** 2 for r in tokens) / len(tokens))
    return [(reward(y) - middle) / (deviation + 1e-4) / len(group) for y in group]  # as the row


def less_token_mean(group):
    """Less the mean over the tokens."""
    tokens = [reward(y) for y in group for _ in range(y[1])]
    return [(reward(y) - sum(tokens) / len(tokens)) / len(group) for y in group]


def gains(group):
    """What each adds to the other's reward."""
    a, b = (reward(y) for y in group)
    return [max(a, b) - b, max(a, b) - a]


def advantage(group):
    """Less the mean of the others, averaged."""
    return [each / len(group) for each in less_others(group)]


def by_position(weigh):
    """Weights of the two tokens of each completion, by a formula of its advantage."""
    return lambda group: [
        [weigh(y, a, position) if position < y[1] else 0.0 for position in (0, 1)]
        for y, a in zip(group, advantage(group), strict=True)
    ]


def token_mean(group):
    """Over all drawn tokens."""
    tokens = sum(length for _, length in group)
    return [a * len(group) / tokens for a in advantage(group)]


def clipped_weight(y, a, position):
    """The ratio, where it lowers the objective or is near one."""
    r = ratio(y, position)
    clipped = (a > 0 and r > 1.2) or (a < 0 and r < 0.8)  # one and the clip of the row
    return 0.0 if clipped else r * a


def ratio_until(y, last):
    """The product of the ratios until a token."""
    return math.prod(ratio(y, position) for position in range(min(last + 1, y[1])))


def log_ratio_weights(weigh):
    """Weights of one completion, by a formula of log ratios to the reference."""

    def weights(group):
        (y,) = group
        ratios = [log_p(LOGITS, *pair) - log_p(REFERENCE, *pair) for pair in pairs(y)[: y[1]]]
        return [[*(-weigh(d, sum(ratios)) for d in ratios), 0.0][:2]]

    return weights


def mixed_advantages(group):
    """Generalised advantages with the row's critic, discounted."""
    (y,) = group
    discount, critic = token_returns.DISCOUNT, token_returns.CRITIC
    errors = []
    for position, (before, token) in enumerate(pairs(y)[: y[1]]):
        after = critic[position + 1][token] if token else 0.0
        r = token_returns.STEP_REWARDS[before][token]
        errors.append(r + discount * after - critic[position][before])
    if len(errors) == 1:
        return [[errors[0], 0.0]]
    return [[errors[0] + discount * token_returns.MIXED * errors[1], discount * errors[1]]]


#: The weights of tokens' scores, by row; of how many completions; by what they are drawn.
MEANS = {
    "completion-reinforce": (on_drawn_tokens(own_shares), 2, LOGITS),
    "rloo": (on_drawn_tokens(advantage), 3, LOGITS),
    "group-mean": (on_drawn_tokens(less_group_mean), 3, LOGITS),
    "grpo": (on_drawn_tokens(over_deviation), 3, LOGITS),
    "batch-whitened": (on_drawn_tokens(over_token_deviation), 3, LOGITS),
    "optimal-baseline-own-group": (on_drawn_tokens(less_token_mean), 3, LOGITS),
    "pass-at-two": (on_drawn_tokens(gains), 2, LOGITS),
    "pass-at-two-by-own-reward": (
        on_drawn_tokens(lambda g: [2.0 * r for r in own_shares(g)]),
        2,
        LOGITS,
    ),
    "own-length-divides": (by_position(lambda y, a, _: a / y[1]), 2, LOGITS),
    "token-mean": (on_drawn_tokens(token_mean), 2, LOGITS),
    "constant-length-divides": (
        on_drawn_tokens(lambda g: [c / 2.0 for c in less_group_mean(g)]),
        2,
        LOGITS,
    ),
    "padding-in-the-mean": (on_drawn_tokens(lambda g: [a / 2.0 for a in advantage(g)]), 2, LOGITS),
    "padding-not-masked": (lambda g: [[a, a] for a in advantage(g)], 2, LOGITS),
    "end-masked": (by_position(lambda y, a, t: a if y[0][t] else 0.0), 2, LOGITS),
    "token-ratio-on-policy": (on_drawn_tokens(advantage), 2, LOGITS),
    "completion-ratio": (by_position(lambda y, a, _: a * ratio_until(y, 1)), 2, OLD),
    "token-ratio-off-policy": (by_position(lambda y, a, t: a * ratio(y, t)), 2, OLD),
    "token-ratio-clipped": (by_position(clipped_weight), 2, OLD),
    "ratio-of-prefixes": (by_position(lambda y, a, t: a * ratio_until(y, t)), 2, OLD),
    "second-epoch-without-ratio": (on_drawn_tokens(advantage), 2, OLD),
    "completion-ratio-truncated": (
        by_position(lambda y, a, _: a * min(ratio_until(y, 1), 1.0)),
        2,
        OLD,
    ),
    "cispo-cut-at-default": (by_position(lambda y, a, _: 0.2 * a), 2, LOGITS),  # the row's cut
    "gspo-on-policy": (by_position(lambda y, a, _: a / y[1]), 2, LOGITS),
    "k1-in-reward": (log_ratio_weights(lambda d, whole: whole), 1, LOGITS),
    "k1-in-loss": (log_ratio_weights(lambda d, whole: 1.0), 1, LOGITS),
    "k2-of-tokens-for-completions": (log_ratio_weights(lambda d, whole: d), 1, LOGITS),
    "k3-in-loss": (log_ratio_weights(lambda d, whole: 1.0 - math.exp(-whole)), 1, LOGITS),
    "token-advantage-mixed": (mixed_advantages, 1, LOGITS),
}

# ------------------------------------------------------------------ what is wanted


def lost_reward(y):
    """What the policy should lower, of a drawn completion, by row."""
    return -reward(y)


def log_ratio(y):
    """To the reference."""
    return total_log_p(LOGITS, y) - total_log_p(REFERENCE, y)


def lost_discounted_reward(y):
    """Minus the discounted rewards of its tokens."""
    rewards = [token_returns.STEP_REWARDS[pair] for pair in pairs(y)[: y[1]]]
    return -sum(token_returns.DISCOUNT**t * r for t, r in enumerate(rewards))


def exact(id):
    """The score of each completion, or pair of them, times its value."""
    total = np.zeros((3, 3))
    if id.startswith("pass-at-two"):
        for pair in itertools.product(COMPLETIONS, repeat=2):
            p = math.exp(sum(total_log_p(LOGITS, y) for y in pair))
            total -= p * max(map(reward, pair)) * sum(map(whole_score, pair))
        return total
    value = log_ratio if id[:2] in {"k1", "k2", "k3"} else lost_reward
    value = lost_discounted_reward if id == "token-advantage-mixed" else value
    for y in COMPLETIONS:
        total += math.exp(total_log_p(LOGITS, y)) * value(y) * whole_score(y)
    return total


def whole_score(y):
    """Of a completion."""
    return sum(score(*pair) for pair in pairs(y)[: y[1]])


@pytest.mark.torch
@pytest.mark.parametrize("id", MEANS)
def test_means_are_those_of_loops(id):
    """Mean, gradient, factor and cosine; the row's own code, and none of its, gives the same."""
    row = ROWS[f"torch/{id}"]
    problem = row.make()
    report = check_estimator(problem.estimate, problem.inputs, **problem.options())
    weights, size, by = MEANS[id]
    mean, gradient = mean_of(weights, size, by).ravel(), exact(id).ravel()
    (key,) = report.mean
    assert np.ravel(report.exact[key]) == pytest.approx(gradient, rel=ROUNDINGS, abs=ROUNDINGS)
    assert np.ravel(report.mean[key]) == pytest.approx(mean, rel=ROUNDINGS, abs=ROUNDINGS)
    direction = report.direction
    factor = mean @ gradient / (gradient @ gradient)
    assert direction.factor == pytest.approx(factor, rel=ROUNDINGS, abs=ROUNDINGS)
    if row.factor is not None:
        assert factor == pytest.approx(row.factor, rel=ROUNDINGS)
    if id != "k1-in-loss":  # where nothing has no direction
        cosine = mean @ gradient / (np.linalg.norm(mean) * np.linalg.norm(gradient))
        assert direction.cosine == pytest.approx(cosine, rel=ROUNDINGS)


def test_the_loops_see_a_weight_that_is_off():
    """A hundredth on one kind of completion is ten million times the bound."""
    weights, size, by = MEANS["own-length-divides"]
    other = by_position(lambda y, a, _: a / y[1] * (1.01 if y[1] == 1 else 1.0))
    off = np.abs(mean_of(other, size, by) - mean_of(weights, size, by)).max()
    assert off > 1e7 * ROUNDINGS


def test_completions_have_all_the_probability():
    """Of either policy."""
    for logits in (LOGITS, OLD, REFERENCE):
        total = sum(math.exp(total_log_p(logits, y)) for y in COMPLETIONS)
        assert total == pytest.approx(1.0, rel=ROUNDINGS)
