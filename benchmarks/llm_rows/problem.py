"""The small problem of all rows but those of trainers: a policy of three tokens, and its goals.

Logits depend on the token before alone, so that they are a table and everything can be repeated by
hand. A completion ends with the token 0 or after two tokens: there are seven.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from gradproof import policies

#: A tensor of PyTorch.
Tensor = Any

#: Logits of the next token, by the token before; the last row is the prompt's.
LOGITS = ((0.0, 0.0, 0.0), (0.1, 0.4, -0.6), (-0.5, 0.2, 0.3), (0.3, -0.2, 0.5))

#: The same of the reference that divergences are from.
REFERENCE = ((0.0, 0.0, 0.0), (-0.3, 0.8, 0.2), (0.5, -0.7, 0.6), (0.9, 0.1, -0.4))

#: The same of an older policy, whose completions are trained on where that is said.
OLD = ((0.0, 0.0, 0.0), (0.5, 0.1, -0.2), (-0.1, -0.3, 0.4), (-0.1, 0.3, 0.2))

PROMPT, END, LONGEST, GROUP = 3, 0, 2, 3

#: No two are equal, and none is zero; the longer completions have both the best and the worst.
REWARDS = {
    (0,): 1.0,
    (1, 0): 3.0,
    (1, 1): -2.0,
    (1, 2): 0.5,
    (2, 0): 2.0,
    (2, 1): 4.0,
    (2, 2): -1.0,
}

#: The weight of a divergence that is subtracted from the reward.
BETA = 0.1

EXPECTED, PENALISED = "E[reward]", "E[reward] - 0.1 KL"
DIVERGENCE, NEXT_TOKENS = "-KL", "-KL of next tokens"


def table(logits: tuple[tuple[float, ...], ...]) -> Any:
    """A model whose logits are a table, in double precision."""
    import torch

    return torch.nn.Embedding.from_pretrained(
        torch.tensor(logits, dtype=torch.float64), freeze=False
    )


def policy_of(logits: tuple[tuple[float, ...], ...]) -> policies.Autoregressive:
    """The policy of a table of logits."""
    return policies.autoregressive(table(logits), [[PROMPT]], eos=END, longest=LONGEST)


@functools.cache
def goals() -> tuple[policies.Autoregressive, Any, dict[str, policies.Goal]]:
    """The policy, the reference's model, and the goals by name."""
    policy, reference = policy_of(LOGITS), table(REFERENCE)
    reward = policy.expected(REWARDS.__getitem__)
    return (
        policy,
        reference,
        {
            EXPECTED: reward,
            PENALISED: reward - BETA * policy.kl(reference),
            DIVERGENCE: -1.0 * policy.kl(reference),
            NEXT_TOKENS: -1.0 * policy.kl_of_next_tokens(reference),
        },
    )


def check_loss(
    loss: Callable[..., Tensor], estimand: str, *, group: int = GROUP, precision: float = 0.0
) -> Any:
    """The report on a loss of ``(log_probs, mask, rewards, tokens, by_reference)``."""
    policy, reference, by_name = goals()
    return policies.check_loss(
        policy,
        loss,
        by_name[estimand],
        group=group,
        reward=REWARDS.__getitem__,
        reference=reference,
        precision=precision,
    )


def at_the_end(rewards: Tensor, mask: Tensor) -> Tensor:
    """Rewards as most libraries want them, each at its completion's last token; (G, T)."""
    import torch

    last = torch.nn.functional.one_hot(mask.sum(dim=1).long() - 1, mask.shape[1])
    return rewards[:, None] * last


def leave_one_out(rewards: Tensor) -> Tensor:
    """Each reward less the mean of the others; (G,)."""
    return rewards - (rewards.sum() - rewards) / (len(rewards) - 1)


def squared_probabilities(tokens: Tensor) -> Tensor:
    """The sum of the squared probabilities of all next tokens, at each place; (G, T)."""
    import torch

    before = torch.cat([torch.full_like(tokens[:, :1], PROMPT), tokens[:, :-1]], dim=1)
    rows = torch.tensor(LOGITS, dtype=torch.float64).softmax(dim=1).square().sum(dim=1)
    return rows[before]


def greedy_reward() -> float:
    """That of the completion whose every token is the likeliest."""
    tokens: list[int] = []
    while len(tokens) < LONGEST and tokens[-1:] != [END]:
        row = LOGITS[tokens[-1] if tokens else PROMPT]
        tokens.append(max(range(len(row)), key=row.__getitem__))
    return REWARDS[tuple(tokens)]
