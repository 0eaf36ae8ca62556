"""How estimators of completions that differ from the gradient become it, by the row's id."""

from __future__ import annotations

from collections.abc import Mapping

#: Where the difference is intended, what the gradient itself takes.
COMPLETION_FIXES: Mapping[str, str] = {
    # baselines
    "group-mean": (
        "Subtract the mean of the *others'* rewards, or multiply by G / (G - 1); or leave it, and "
        "know that the learning rate is smaller."
    ),
    "grpo": (
        "The difference is intended. For the gradient of the mean reward: divide by nothing, and "
        "subtract the mean of the others' rewards."
    ),
    "batch-whitened": (
        "The difference is intended. For the gradient of the mean reward: use statistics of "
        "earlier batches."
    ),
    "optimal-baseline-own-group": (
        "Take the weighted mean of the *others'* rewards, or of earlier batches."
    ),
    # rewards
    "pass-at-two-by-own-reward": (
        "The difference is intended where the mean of one completion is to be raised. For the best "
        "of two: weigh each score by what its completion adds to the other's reward."
    ),
    "reward-model-leaks": "Detach the reward: `rewards.detach()`, or compute it under `no_grad`.",
    # lengths and masks
    "own-length-divides": (
        "The difference is intended. For the gradient of the mean reward: sum over tokens, and "
        "divide by a constant."
    ),
    "token-mean": (
        "The difference is intended. For the gradient of the mean reward: sum over tokens, and "
        "divide by a constant."
    ),
    "constant-length-divides": (
        "The difference is intended, and is one of the learning rate: multiply by T G / (G - 1)."
    ),
    "padding-in-the-mean": "Sum over positions, and average over completions.",
    "padding-not-masked": "Multiply by the mask of what was drawn before terms are summed.",
    "end-masked": "Mask by position: the first token that ends a completion was drawn, and counts.",
    "prompt-tokens-counted": "Mask the prompt, or slice it off before terms are summed.",
    "log-probability-shifted": (
        "The logits at a position are of the next token: `logits[:, :-1]` with `tokens[:, 1:]`."
    ),
    # ratios
    "token-ratio-off-policy": (
        "Multiply the ratios of all the completion's tokens, or keep the policy close to the one "
        "that drew."
    ),
    "token-ratio-clipped": (
        "The difference is intended. At the policy that drew the tokens nothing is clipped: check "
        "it there."
    ),
    "ratio-of-prefixes": "Use the ratios of all tokens that the reward depends on.",
    "second-epoch-without-ratio": (
        "Keep the log-probabilities of what drew, and weigh by the ratio; or draw anew."
    ),
    "ratio-of-itself": "Detach the old log-probability, or store it when tokens are drawn.",
    "ratio-detached": "Detach the old log-probability alone, not the ratio.",
    "completion-ratio-truncated": (
        "The difference is intended, for less variance. For the gradient: do not cut."
    ),
    "cispo-cut-at-default": (
        "Read whether the bound is the number itself or its distance from one; 5 and 4 are usual."
    ),
    "gspo-on-policy": (
        "The difference is intended. For the gradient of the mean reward: use the form by tokens, "
        "and sum over them."
    ),
    # divergences
    "k1-in-loss": (
        "Put the log ratio, detached, into the reward; or differentiate half its square, on policy."
    ),
    "rloo-divergence-in-loss": "Take the log ratio, detached, from the reward.",
    "k3-in-loss": (
        "Multiply by the ratio to the policy that drew, differentiated; or put the log ratio into "
        "the reward. If the other divergence is wanted, it is right as it is."
    ),
    "k2-of-tokens-for-completions": (
        "Sum the log ratios over the completion before they are squared."
    ),
    "entropy-without-prefixes": (
        "Add each token's entropy, detached, times the log-probability of the tokens before it."
    ),
    # rewards of tokens
    "token-advantage-mixed": (
        "The difference is intended, for less variance. For the gradient: lambda = 1."
    ),
    "token-trace-cut": (
        "The difference is intended, for less variance. For the gradient: do not cut, and weigh "
        "each score by its prefix's ratios too."
    ),
    "token-trace-without-prefixes": (
        "The difference is intended, for less variance. For the gradient: weigh each score by its "
        "prefix's ratios too."
    ),
    # samplers
    "temperature-in-sampler-only": "Divide the logits by the temperature in the scores too.",
    "top-p-in-sampler-only": (
        "Keep the mask of the tokens that could be drawn, and normalise among these; or draw from "
        "all tokens."
    ),
    "masked-after-normalising": "Mask the logits before log_softmax, where they are scored too.",
    "dropout-in-scores-only": "Turn dropout off where tokens are scored, as where they are drawn.",
    "dropout-redrawn": "Turn dropout off, or use the same mask to draw and to score.",
}
