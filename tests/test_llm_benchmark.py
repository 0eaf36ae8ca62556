"""The table of losses of language models: by brute force, and up to date where libraries are."""

import importlib.util
import itertools
import math
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARK = Path(__file__).resolve().parents[1] / "benchmarks" / "llm.py"
T, G = 2, 3


def load():
    """The program, which is in no package."""
    spec = importlib.util.spec_from_file_location("benchmark_llm", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


llm = load()
TABLE = llm.read()
problem = llm.verl_rows.problem
COMPLETIONS = list(problem.REWARDS)


def log_table(logits):
    """Logarithms of probabilities, by the token before; (4, 3)."""
    rows = np.array(logits)
    return rows - np.log(np.exp(rows).sum(axis=1, keepdims=True))


LOG_P, LOG_REF, LOG_OLD = map(log_table, (problem.LOGITS, problem.REFERENCE, problem.OLD))


def before(completion):
    """Of each token, the one before it."""
    return (problem.PROMPT, *completion)[: len(completion)]


def logs(table, completion):
    """Log-probabilities of a completion's tokens, padded with zeros; (T,)."""
    found = [table[a, b] for a, b in zip(before(completion), completion, strict=True)]
    return np.array(found + [0.0] * (T - len(found)))


def scores(completion):
    """The derivative of each token's log-probability by the table of logits; (T, 12)."""
    found = np.zeros((T, 4, 3))
    for t, (a, b) in enumerate(zip(before(completion), completion, strict=True)):
        found[t, a] = -np.exp(LOG_P[a])
        found[t, a, b] += 1.0
    return found.reshape(T, -1)


def probability_of(table, completion):
    """The probability of a completion."""
    return math.exp(logs(table, completion).sum())


def gradient(estimand):
    """The gradient of what is made small, by hand over completions; (12,)."""
    total = np.zeros(12)
    for y in COMPLETIONS:
        p, score = probability_of(LOG_P, y), scores(y)
        log_ratio = (logs(LOG_P, y) - logs(LOG_REF, y)).sum()
        weight = {
            problem.EXPECTED: -problem.REWARDS[y],
            problem.PENALISED: -problem.REWARDS[y] + problem.BETA * log_ratio,
            problem.DIVERGENCE: log_ratio,
        }
        if estimand in weight:
            total += p * weight[estimand] * score.sum(axis=0)
            continue
        for a in before(y):  # the divergence of each next token, with the prefix held
            inner = np.exp(LOG_P[a]) * (LOG_P[a] - LOG_REF[a])
            row = np.zeros((4, 3))
            row[a] = inner - np.exp(LOG_P[a]) * inner.sum()
            total += p * row.ravel()
    return total


def moments(coefficients, drawn_from):
    """Mean and total variance of a loss's gradient, over all ordered groups."""
    mean, second = np.zeros(12), 0.0
    by_completion = {y: scores(y) for y in COMPLETIONS}
    for group in itertools.product(COMPLETIONS, repeat=G):
        p = math.prod(probability_of(drawn_from, y) for y in group)
        weights = coefficients(group)
        one = sum(w @ by_completion[y] for w, y in zip(weights, group, strict=True))
        mean += p * one
        second += p * (one @ one)
    return mean, second - mean @ mean


def facts(group):
    """Rewards (G,), lengths (G,) and mask (G, T) of a group."""
    lengths = np.array([len(y) for y in group], dtype=float)
    mask = np.arange(T)[None, :] < lengths[:, None]
    return np.array([problem.REWARDS[y] for y in group]), lengths, mask.astype(float)


def itself(r, n):
    """No baseline."""
    return r


def others(r, n):
    """Less the mean of the others."""
    return np.array([r[i] - np.delete(r, i).mean() for i in range(G)])


def centred(r, n):
    """Less the mean of the group."""
    return r - r.mean()


def standardised(r, n):
    """Less the mean, over the standard deviation and what verl adds to it."""
    return (r - r.mean()) / (r.std(ddof=1) + 1e-6)


def by_length(r, n):
    """Less the mean that is weighed by lengths."""
    return r - (n * r).sum() / n.sum()


def best_alone(r, n):
    """The best has what it is better by than the second; pass at k."""
    second, first = np.sort(r)[-2:]
    found = np.zeros(G)
    found[r.argmax()] = first - second
    return found


DIVIDED = {
    "token-mean": lambda n: np.full(G, n.sum()),
    "token-sum": lambda n: np.ones(G),
    "seq-mean-token-sum": lambda n: np.full(G, float(G)),
    "seq-mean-token-sum-norm": lambda n: np.full(G, float(G * T)),
    "seq-mean-token-mean": lambda n: G * n,
}


def on_policy(advantages, aggregation):
    """What each token's score is multiplied with."""

    def of_group(group):
        r, n, mask = facts(group)
        return -(advantages(r, n) / DIVIDED[aggregation](n))[:, None] * mask

    return of_group


def of_ratios(weights, mean_of_log_ratio=False):
    """RLOO of an older policy, with ratios of tokens, or as they are handed back."""

    def of_group(group):
        r, _, mask = facts(group)
        log_ratio = np.array([logs(LOG_P, y) - logs(LOG_OLD, y) for y in group])
        return -others(r, None)[:, None] / G * weights(log_ratio, mask) * mask

    return of_group


def of_divergence(derivative, aggregation="seq-mean-token-sum"):
    """A penalty, by its derivative by the log ratio of a token."""

    def of_group(group):
        _, n, mask = facts(group)
        log_ratio = np.array([logs(LOG_P, y) - logs(LOG_REF, y) for y in group])
        return derivative(log_ratio) / DIVIDED[aggregation](n)[:, None] * mask

    return of_group


def total(log_ratio):
    """Of a completion, beside each of its tokens."""
    return log_ratio.sum(axis=1, keepdims=True)


ADVANTAGES = {
    "no baseline": itself,
    "rloo": others,
    "grpo, norm_adv_by_std_in_grpo=False": centred,
    "grpo": standardised,
}
EXPECTED = problem.EXPECTED
BY_HAND = {
    **{
        ("verl", f"{name}; {how}", EXPECTED): (on_policy(weights, how), LOG_P)
        for name, weights in ADVANTAGES.items()
        for how in DIVIDED
    },
    **{
        ("verl", f"{name}; seq-mean-token-sum", EXPECTED): (
            on_policy(weights, "seq-mean-token-sum"),
            LOG_P,
        )
        for name, weights in {
            "opo": by_length,
            "gpg": centred,
            "grpo_passk, norm_adv_by_std_in_grpo=False": best_alone,
        }.items()
    },
    **{
        ("verl", f"kl_penalty {kind}; seq-mean-token-sum", estimand): (of_divergence(d), LOG_P)
        for kind, d in {
            "k1": np.ones_like,
            "abs": np.sign,
            "k2": lambda x: x,
            "k3": lambda x: 1.0 - np.exp(-x),
            "k3+": lambda x: x,
        }.items()
        for estimand in (problem.DIVERGENCE, problem.NEXT_TOKENS)
    },
    ("openrlhf", "PolicyLoss(), rloo", EXPECTED): (on_policy(others, "token-mean"), LOG_P),
    ("torchrl", "A2CLoss, rloo; reduction mean", EXPECTED): (
        on_policy(others, "token-mean"),
        LOG_P,
    ),
    ("verl", "rloo of an older policy; vanilla, never clipped", EXPECTED): (
        of_ratios(lambda x, mask: np.exp(x)),
        LOG_OLD,
    ),
    ("verl", "rloo of an older policy; gspo, never clipped", EXPECTED): (
        # Each token has the completion's ratio, of which a token's own derivative is left.
        of_ratios(lambda x, mask: np.exp(total(x) / mask.sum(axis=1, keepdims=True))),
        LOG_OLD,
    ),
    ("verl", "rloo of an older policy; gpg (no ratio)", EXPECTED): (
        of_ratios(lambda x, mask: np.ones_like(x)),
        LOG_OLD,
    ),
    ("by hand", "rloo of an older policy; ratios of completions", EXPECTED): (
        of_ratios(lambda x, mask: np.exp(total(x))),
        LOG_OLD,
    ),
}

#: Half of the last decimal of the record, and as much for constants that libraries add (1e-8).
ALLOWED = 1e-6


@pytest.mark.parametrize("key", BY_HAND, ids="; ".join)
def test_recorded_rows_agree_with_loops_over_groups(key):
    """Factor, cosine and deviation, by formulas in NumPy over every ordered group."""
    (recorded,) = [one for one in TABLE.answers if llm._key(one) == key]
    coefficients, drawn_from = BY_HAND[key]
    mean, variance = moments(coefficients, drawn_from)
    exact = gradient(key[2])
    length = np.linalg.norm(exact)
    factor = mean @ exact / length**2
    assert recorded.factor == pytest.approx(factor, rel=0.0, abs=ALLOWED)
    assert recorded.deviation == pytest.approx(math.sqrt(variance) / length, rel=0.0, abs=ALLOWED)
    residual = np.linalg.norm(mean - factor * exact) / length
    if recorded.verdict == "zero":
        assert np.linalg.norm(mean) < ALLOWED * length
        return
    cosine = mean @ exact / (np.linalg.norm(mean) * length)
    assert recorded.cosine == pytest.approx(cosine, rel=0.0, abs=ALLOWED)
    # What differs has something left that is a thousand times what is allowed.
    assert (residual > 1e-3) == (recorded.verdict == "differs")
    assert (recorded.verdict == "holds") == (residual <= ALLOWED and abs(factor - 1.0) <= ALLOWED)
