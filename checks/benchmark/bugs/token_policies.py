"""The toy problem of language models' rows: a policy that writes completions of one or two tokens.

A token's logits depend on the token before it alone. Token 0 ends a completion, and the prompt ends
with it too. A batch is padded with it, as generators do, so that what is not masked counts.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from .row import Makes
from .toy_problem import TorchProblem, by_framework

#: Tokens, the one that ends a completion, and the most that one has.
VOCABULARY, END, LONGEST = 3, 0, 2

#: Logits of a token (columns) by the one before (rows): of the policy, of the older policy that
#: drew the completions where they are not the policy's own, and of the reference.
LOGITS = np.array([[0.3, -0.2, 0.5], [0.1, 0.4, -0.6], [-0.5, 0.2, 0.3]])
OLD = np.array([[-0.1, 0.3, 0.2], [0.5, -0.3, 0.1], [0.2, 0.6, -0.4]])
REFERENCE = np.array([[0.9, 0.1, -0.4], [-0.3, 0.8, 0.2], [0.5, -0.7, 0.6]])

#: Of a completion, by its first token (rows) and its second. One that ends at once has the first
#: number; the two beside it are of policies that do not stop there.
REWARDS = np.array([[1.0, 0.7, -0.6], [3.0, -2.0, 0.5], [2.0, 4.0, -1.0]])

#: Of the policy, each with the tokens that are drawn.
COMPLETIONS = (
    (END,),
    *itertools.product(range(1, VOCABULARY), range(VOCABULARY)),
)
LENGTHS = np.array([len(y) for y in COMPLETIONS])
REWARD_OF = np.array([REWARDS[(*y, END)[:LONGEST]] for y in COMPLETIONS])


# ------------------------------------------------------------------ what is right


def log_probabilities(logits: Any) -> Any:
    """Of the completions, for real or complex logits.

    Args:
        logits: by the token before, or by the position too.

    Shape:
        (3, 3) or (2, 3, 3), to (7,).
    """
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    table = np.broadcast_to(log_p, (LONGEST, VOCABULARY, VOCABULARY))
    pairs = [enumerate(itertools.pairwise((END, *y))) for y in COMPLETIONS]
    return np.array([sum(table[t, *pair] for t, pair in each) for each in pairs])


def expected_loss(logits: Any) -> Any:
    """Minus the mean reward of a completion."""
    return -(np.exp(log_probabilities(logits)) @ REWARD_OF)


# ------------------------------------------------------------------ completions, on tensors


@dataclasses.dataclass(frozen=True)
class CompletionBatch:
    """A batch of completions, padded to the same length.

    Shape:
        ``previous``, ``tokens``, ``mask``: (G, T); ``log_p``, of each token, those of the padding
        too: (G, T); ``rewards``: (G,).
    """

    previous: Any
    tokens: Any
    mask: Any
    log_p: Any
    rewards: Any

    @property
    def log_probability(self) -> Any:
        """Of each completion, (G,)."""
        return (self.log_p * self.mask).sum(dim=1)

    @property
    def lengths(self) -> Any:
        """Tokens of each completion, (G,)."""
        return self.mask.sum(dim=1)

    def look_up(self, table: Any) -> Any:
        """What a table by position, token before and token has for each token, (G, T)."""
        shape = (LONGEST, VOCABULARY, VOCABULARY)
        positions = self.tokens.new_tensor(range(LONGEST))
        return table.expand(shape)[positions, self.previous, self.tokens]


def roll_out(
    s: TorchProblem, log_p: Any, size: int, *, sampler: Any = None, stops: bool = True
) -> CompletionBatch:
    """A batch of completions, with the log-probabilities that a policy gives them.

    Args:
        log_p: of the policy, by the token before, or by the position too.
        sampler: log-probabilities of what draws the tokens; None: the policy.
        stops: whether a completion ends with the token that ends it.
    """
    torch = s.torch
    drawn_by = (log_p if sampler is None else sampler).detach().exp()
    drawn_by = drawn_by.expand(LONGEST, VOCABULARY, VOCABULARY)
    padding = torch.eye(VOCABULARY, dtype=drawn_by.dtype)[END]
    tokens, mask = [], []
    previous = [torch.full((size,), END)]
    running = torch.ones(size, dtype=torch.bool)
    for table in drawn_by:
        q = torch.where(running[:, None], table[previous[-1]], padding)
        tokens.append(torch.multinomial(q, 1)[:, 0])
        mask.append(running)
        if stops:
            running = running & (tokens[-1] != END)
        previous.append(tokens[-1])
    columns = (previous[:LONGEST], tokens, mask)
    before, after, counts = (torch.stack(each, dim=1) for each in columns)
    rewards = s.constant(REWARDS)[after[:, 0], after[:, 1]]
    batch = CompletionBatch(before, after, counts.to(log_p.dtype), None, rewards)
    return dataclasses.replace(batch, log_p=batch.look_up(log_p))


def leave_one_out(values: Any) -> Any:
    """Each less the mean of the others, (G,)."""
    return values - (values.sum() - values) / (len(values) - 1)


def of_tokens(
    estimate: Callable[..., Any], mean: Callable[[Any], Any] = expected_loss, **options: Any
) -> Makes:
    """One estimator of the policy's logits, in PyTorch.

    Args:
        estimate: takes the toy problem, the logits and the options, and returns a surrogate.
        mean: what the policy should lower, of complex logits too.
    """
    return by_framework(estimate, inputs=(LOGITS,), mean=mean, **options)
