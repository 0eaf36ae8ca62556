"""A policy that draws tokens one after the other: its law, its samples, its log-probabilities."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Self

from ..enumeration.whole_numbers import whole_from
from .completions import Completions, Tokens, pad, read_completion
from .logits import Model, next_logits
from .model_library import Array, ModelLibrary
from .prefix_tree import PrefixTree, grow
from .truncation import Truncation


@dataclasses.dataclass(frozen=True, repr=False)
class TokenPolicy:
    """A policy that completes prompts token by token.

    It keeps nothing of the model but the model itself: parameters may be moved, and what is asked
    for next is of these.

    ``parameters`` are what gradients are by: in PyTorch tensors by name, which are the model's own;
    in JAX a pytree, the model's first argument.
    """

    model: Model
    prompts: tuple[Tokens, ...]
    ends: frozenset[int]
    longest: int
    vocabulary: int
    truncation: Truncation
    parameters: Any
    library: ModelLibrary

    def __repr__(self) -> str:
        """In a line; a model and its parameters are long."""
        ends = ", ".join(map(str, sorted(self.ends))) or "no token"
        many = "" if len(self.prompts) == 1 else "s"
        return (
            f"<policy of {type(self.model).__name__}: {len(self.prompts)} prompt{many}, up to "
            f"{self.longest} of {self.vocabulary} tokens, ended by {ends}>"
        )

    def next_log_probs(self, prefixes: Array) -> Array:
        """The logarithms of the probabilities of the token after each prefix, with their graph.

        Shape: (B, L), with the prompt, to (B, V).

        Raises:
            ValueError: for logits that no distribution has.
        """
        logits = next_logits(self.library, self.model, self.parameters, prefixes)
        if logits.shape[1] != self.vocabulary:
            raise ValueError(
                f"the model returns logits of {logits.shape[1]} tokens, expected {self.vocabulary}"
            )
        return self.truncation.log_probs(self.library, logits, prefixes)

    def tree(self) -> PrefixTree:
        """All completions of all prompts, by the parameters of now.

        Raises:
            ValueError: if there are too many.
        """
        return grow(self.next_log_probs, self.library, self.prompts, self.ends, self.longest)

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
        alone = dataclasses.replace(self, prompts=(self._prompt(self._number(prompt)),))
        with self.library.without_graph():
            tree = alone.tree()
        likely = self.library.held(tree.weights).tolist()
        return dict(zip(tree.completions(0).tuples(), likely, strict=True))

    def at(self, parameters: Any) -> Self:
        """The same policy with other parameters, which may be traced: of JAX alone.

        An estimator takes it of the parameters that it is given, to draw and to be differentiated;
        and it is a reference, of other parameters.

        Args:
            parameters: a pytree of the structure that the policy's has.

        Raises:
            TypeError: for a policy of PyTorch, whose parameters are its model's.
            ValueError: for another structure.
        """
        return dataclasses.replace(self, parameters=self.library.moved(self, parameters))

    def sample(self, count: int, prompt: int | None = None, *, key: Any = None) -> Completions:
        """Completions of one prompt that are drawn independently.

        They are drawn by ``torch.multinomial`` or ``jax.random.categorical``. A completion that has
        ended draws nothing more, so that an enumeration has one path for each that there is.

        Args:
            count: how many.
            prompt: its number; None, where there is one alone.
            key: of JAX, which has no generator; one that the estimator draws nothing else by.

        Raises:
            TypeError: for a key that is missing in JAX, or that PyTorch is given.
            ValueError: for a count below 1, or the number of a prompt that there is not.
        """
        words = f"count = {count!r:.60}, expected a whole number from 1"
        count = whole_from(count, 1, words)
        number = self._number(prompt)
        self._prompt(number)  # there is such a one
        return self.library.sample(self, count, number, key)

    def log_probs(self, completions: Completions | Iterable[Sequence[int]]) -> Array:
        """The logarithm of each token's probability with its graph, 0 for padding.

        Args:
            completions: what :meth:`sample` returned; or sequences of tokens, where there is one
                prompt.

        Shape: (N, T).

        Raises:
            ValueError: for completions that the policy has not.
        """
        if not isinstance(completions, Completions):
            completions = self.read(completions)
        self._prompt(completions.prompt)  # there is such a one
        return self.library.log_probs(self, completions)

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
        padded = pad(rows, longest, min(ends, default=0), self._number(prompt))
        constant = self.library.constant
        return Completions(padded.prompt, constant(padded.tokens), constant(padded.mask))

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
