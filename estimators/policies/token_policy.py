"""A policy that draws tokens one after the other: its law, its samples, its log-probabilities."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .completions import Completions, Tokens, pad, read_completion
from .logits import Model, next_logits
from .prefix_tree import PrefixTree, grow
from .truncation import Truncation

#: A tensor of PyTorch.
Tensor = Any


@dataclasses.dataclass(frozen=True, repr=False)
class TokenPolicy:
    """A policy that completes prompts token by token.

    It keeps nothing of the model but the model itself: parameters may be moved, and what is asked
    for next is of these.

    Shape:
        ``parameters``: tensors that gradients are by, by name.
    """

    model: Model
    prompts: tuple[Tokens, ...]
    ends: frozenset[int]
    longest: int
    vocabulary: int
    truncation: Truncation
    parameters: Mapping[str, Tensor]

    def __repr__(self) -> str:
        """In a line; a model and its parameters are long."""
        ends = ", ".join(map(str, sorted(self.ends))) or "no token"
        many = "" if len(self.prompts) == 1 else "s"
        return (
            f"<policy of {type(self.model).__name__}: {len(self.prompts)} prompt{many}, up to "
            f"{self.longest} of {self.vocabulary} tokens, ended by {ends}>"
        )

    def next_log_probs(self, prefixes: Tensor) -> Tensor:
        """The logarithms of the probabilities of the token after each prefix, with their graph.

        Shape: (B, L), with the prompt, to (B, V).

        Raises:
            ValueError: for logits that no distribution has.
        """
        logits = next_logits(self.model, prefixes)
        if logits.shape[1] != self.vocabulary:
            raise ValueError(
                f"the model returns logits of {logits.shape[1]} tokens, expected {self.vocabulary}"
            )
        return self.truncation.log_probs(logits, prefixes)

    def tree(self) -> PrefixTree:
        """All completions of all prompts, by the parameters of now.

        Raises:
            ValueError: if there are too many.
        """
        return grow(self.next_log_probs, self.prompts, self.ends, self.longest)

    def law(self) -> PrefixTree:
        """See :class:`.goal.Policy`."""
        return self.tree()

    def probabilities(self, prompt: int | None = None) -> dict[Tokens, float]:
        """The probability of each completion of one prompt.

        Args:
            prompt: its number; None, where there is one alone.

        Raises:
            ValueError: for the number of a prompt that there is not, or none of several.
        """
        import torch

        alone = dataclasses.replace(self, prompts=(self._prompt(self._number(prompt)),))
        with torch.no_grad():
            tree = alone.tree()
        return dict(zip(tree.completions(0).tuples(), tree.weights.tolist(), strict=True))

    def sample(self, count: int, prompt: int | None = None) -> Completions:
        """Completions of one prompt that are drawn independently, by ``torch.multinomial``.

        A completion that has ended draws nothing more, so that an enumeration has one path for each
        that there is.

        Args:
            count: how many.
            prompt: its number; None, where there is one alone.

        Raises:
            ValueError: for a count below 1, or the number of a prompt that there is not.
        """
        import torch

        if type(count) is not int or count < 1:
            raise ValueError(f"count = {count!r:.60}, expected a whole number from 1")
        number = self._number(prompt)
        start = torch.tensor(self._prompt(number), dtype=torch.int64)
        rows: list[list[int]] = [[] for _ in range(count)]
        with torch.no_grad():
            for _ in range(self.longest):
                alive = [row for row in rows if not row or row[-1] not in self.ends]
                if not alive:
                    break
                drawn = torch.tensor(alive, dtype=torch.int64).view(len(alive), -1)
                prefixes = torch.cat([start.expand(len(alive), -1), drawn], dim=1)
                tokens = torch.multinomial(self.next_log_probs(prefixes).exp(), 1)
                for row, token in zip(alive, tokens.flatten().tolist(), strict=True):
                    row.append(token)
        return self._padded([tuple(row) for row in rows], number)

    def log_probs(self, completions: Completions | Iterable[Sequence[int]]) -> Tensor:
        """The logarithm of each token's probability with its graph, 0 for padding.

        Args:
            completions: what :meth:`sample` returned; or sequences of tokens, where there is one
                prompt.

        Shape: (N, T).

        Raises:
            ValueError: for completions that the policy has not.
        """
        import torch

        if not isinstance(completions, Completions):
            completions = self.read(completions)
        prompt = torch.tensor(self._prompt(completions.prompt), dtype=torch.int64)
        tokens, mask = completions.tokens, completions.mask
        columns = []
        for step in range(self.longest):
            alive = mask[:, step].nonzero().flatten()
            column = torch.zeros(len(tokens), dtype=torch.float64)
            if len(alive):
                prefixes = torch.cat([prompt.expand(len(alive), -1), tokens[alive, :step]], dim=1)
                rows = self.next_log_probs(prefixes)
                chosen = rows.gather(1, tokens[alive, step, None]).squeeze(1)
                column = column.index_put((alive,), chosen)
            columns.append(column)
        return torch.stack(columns, dim=1)

    def read(self, completions: Iterable[Sequence[int]], prompt: int | None = None) -> Completions:
        """Completions that are given as tokens, up to the end of each.

        Args:
            completions: sequences of tokens, or rows of a tensor; padding may follow the end.
            prompt: its number; None, where there is one alone.

        Raises:
            ValueError: for completions that the policy has not.
        """
        ends, longest = self.ends, self.longest
        rows = [read_completion(row, ends, longest, self.vocabulary) for row in completions]
        return self._padded(rows, self._number(prompt))

    def _padded(self, rows: Sequence[Tokens], prompt: int) -> Completions:
        return pad(rows, self.longest, min(self.ends, default=0), prompt)

    def _number(self, prompt: int | None) -> int:
        """That of a prompt."""
        if prompt is None and len(self.prompts) > 1:
            raise ValueError(
                f"the policy has {len(self.prompts)} prompts: say which is completed, by prompt= "
                "(its number, from 0)"
            )
        return 0 if prompt is None else prompt

    def _prompt(self, number: int) -> Tokens:
        if not 0 <= number < len(self.prompts):
            raise ValueError(
                f"prompt = {number}, expected the number of one of {len(self.prompts)} prompts, "
                "from 0"
            )
        return self.prompts[number]
