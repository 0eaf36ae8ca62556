"""How the terms of a batch's tokens become one loss: which of them count, and what divides them.

Reference:
    Liu et al. (2025), Understanding R1-Zero-like training, has lengths that divide. Yu et al.
    (2025), DAPO, has the mean over tokens. Rows name the sources of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...evidence import DIFFERS, PROPORTIONAL
from .row import Makes, right, wrong
from .token_policies import (
    END,
    LONGEST,
    REWARDS,
    CompletionBatch,
    expected_loss,
    leave_one_out,
    of_tokens,
    roll_out,
)
from .toy_problem import TorchProblem, softmax

#: CompletionBatch of a prompt.
GROUP = 2

#: The last two tokens of the prompt; the model gives the second a probability too.
PROMPT = (1, END)


def _with_total(
    total: Callable[[Any, CompletionBatch], Any],
    advantage: Callable[[Any], Any] = leave_one_out,
    *,
    mean: Callable[[Any], Any] = expected_loss,
    stops: bool = True,
) -> Makes:
    """Estimators that differ in how the terms of tokens (G, T) become one loss."""

    def estimate(s: TorchProblem, logits: Any) -> Any:
        y = roll_out(s, logits.log_softmax(dim=-1), GROUP, stops=stops)
        return total(-advantage(y.rewards)[:, None] * y.log_p, y)

    return of_tokens(estimate, mean)


def _loss_of_a_token(logits: Any) -> Any:
    """Minus the mean reward of completions that all have two tokens, for each of the two."""
    p = softmax(logits)
    return -(p[END] @ (p * REWARDS).sum(axis=1)) / LONGEST


def _mean_over_tokens(terms: Any, y: CompletionBatch) -> Any:
    return (terms * y.mask).sum() / y.mask.sum()


def _constant_length(terms: Any, y: CompletionBatch) -> Any:
    return (terms * y.mask).sum() / (GROUP * LONGEST)


def _prompt(s: TorchProblem, logits: Any, *, counts: bool) -> Any:
    """The prompt's own log-probability counts among the completion's, or it does not.

    There is no baseline: what no draw enters vanishes beside advantages whose mean is zero.
    """
    log_p = logits.log_softmax(dim=-1)
    y = roll_out(s, log_p, GROUP)
    of_prompt = log_p[PROMPT] if counts else 0.0
    return -(y.rewards * (of_prompt + y.log_probability)).mean()


def _read_at(s: TorchProblem, logits: Any, *, after: bool) -> Any:
    """The log-probabilities are read at the position before each token, or after it."""
    log_p = logits.log_softmax(dim=-1)
    y = roll_out(s, log_p, GROUP)
    read = log_p[y.tokens if after else y.previous, y.tokens]
    return -(leave_one_out(y.rewards) * (read * y.mask).sum(dim=1)).mean()


_LIU = "Liu et al. (2025), Understanding R1-Zero-like training: a critical perspective"
_DAPO = "Yu et al. (2025), DAPO: an open-source LLM reinforcement learning system at scale"

ROWS = (
    *right(
        "tokens-summed",
        "A completion's terms are summed over its own tokens, and averaged over completions.",
        _LIU,
        _with_total(lambda terms, y: (terms * y.mask).sum(dim=1).mean()),
    ),
    *right(
        "token-mean-equal-lengths",
        "Terms are averaged over the batch's tokens, where all completions have the same number, "
        "and the reward for each token is wanted.",
        _DAPO,
        _with_total(_mean_over_tokens, mean=_loss_of_a_token, stops=False),
    ),
    *right(
        "prompt-masked",
        "The prompt's tokens have no term.",
        "Ziegler et al. (2019), Fine-tuning language models from human preferences",
        of_tokens(_prompt, counts=False),
    ),
    *right(
        "log-probability-in-place",
        "A token's log-probability is read at the position before it.",
        "github.com/lucidrains/PaLM-rlhf-pytorch/issues/31, as mended",
        of_tokens(_read_at, after=False),
    ),
    *wrong(
        "own-length-divides",
        "A completion's terms are averaged over its own tokens, so that longer ones count less: "
        "differs from the mean reward's gradient, on purpose.",
        "Shao et al. (2024), DeepSeekMath, on GRPO; " + _LIU + ", who show the bias",
        _with_total(lambda terms, y: ((terms * y.mask).sum(dim=1) / y.lengths).mean()),
        direction=DIFFERS,
        is_intended=True,
    ),
    *wrong(
        "token-mean",
        "Terms are averaged over the batch's tokens, whose number depends on what was drawn: "
        "differs from the mean reward's gradient, on purpose.",
        _DAPO,
        _with_total(_mean_over_tokens),
        direction=DIFFERS,
        is_intended=True,
    ),
    *wrong(
        "constant-length-divides",
        "Less the group's mean, and over the longest length that is allowed: "
        "(1 - 1/G) / T times the gradient.",
        _LIU + ", on Dr. GRPO",
        _with_total(_constant_length, lambda rewards: rewards - rewards.mean()),
        direction=PROPORTIONAL,
        factor=(1.0 - 1.0 / GROUP) / LONGEST,
        is_intended=True,
    ),
    *wrong(
        "padding-in-the-mean",
        "What is masked is zero, and counts in the mean over positions: 1 / T times the gradient.",
        "textbook mistake: a mean over a padded batch",
        _with_total(lambda terms, y: (terms * y.mask).mean()),
        direction=PROPORTIONAL,
        factor=1.0 / LONGEST,
    ),
    *wrong(
        "padding-not-masked",
        "The padding after the end has terms too.",
        "github.com/peremartra/optipfair/issues/34, on a distillation loss",
        _with_total(lambda terms, y: terms.sum(dim=1).mean()),
        direction=DIFFERS,
    ),
    *wrong(
        "end-masked",
        "The mask leaves out every token that equals the padding, the drawn end among them.",
        "github.com/NVIDIA-NeMo/Megatron-Bridge/pull/4660, on a mask by the padding's token",
        _with_total(lambda terms, y: (terms * (y.tokens != END)).sum(dim=1).mean()),
        direction=DIFFERS,
    ),
    *wrong(
        "prompt-tokens-counted",
        "The prompt's tokens, which nobody drew, have terms too.",
        "github.com/lucidrains/PaLM-rlhf-pytorch/issues/31, on probabilities of the prompt",
        of_tokens(_prompt, counts=True),
        direction=DIFFERS,
    ),
    *wrong(
        "log-probability-shifted",
        "A token's log-probability is read at its own position, which predicts the next one.",
        "github.com/AI-Hypercomputer/maxtext/issues/2103, on log-probabilities of a prompt",
        of_tokens(_read_at, after=True),
        direction=DIFFERS,
    ),
)
