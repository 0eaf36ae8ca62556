"""A policy of a model that predicts the next token, and the goals that it may have."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..enumeration.whole_numbers import whole_from, whole_number
from .common_generators import keeping_generators
from .completions import Tokens
from .goal import Goal
from .goals import (
    CompletionDivergence,
    Entropy,
    ExpectedReward,
    ForwardDivergence,
    Length,
    NextTokenDivergence,
    NextTokenEntropy,
    as_reference,
)
from .jax_library import JaxLibrary, has_arrays
from .logits import Model, next_logits, numbers_of, refuse_probabilities
from .model_library import Array, ModelLibrary
from .rewards import Reward
from .token_policy import TokenPolicy
from .torch_library import TorchLibrary
from .truncation import Truncation

#: Prefixes after which logits are looked at: that those of one add up to 1 may be by accident.
TRIED = 4


@dataclasses.dataclass(frozen=True, repr=False)
class Autoregressive(TokenPolicy):
    """A policy that completes prompts token by token, with its goals.

    It is made by :func:`autoregressive`. Where there are several prompts, each is as likely as any
    other.
    """

    def expected(self, reward: Reward, *, discount: float | None = None) -> Goal:
        """The goal E[reward], over completions.

        Args:
            reward: a function of a completion, a tuple of tokens with the one that ends it, or of
                ``(prompt, completion)``; returns a number, or one for each token.
            discount: where it is one for each token, the factor by which each counts less than the
                one before it. It stands in the gradient too: the score of token t has the weight
                of the discounted rewards that come after it.

        Raises:
            TypeError: for what is no number between 0 and 1.
        """
        if discount is not None and not 0.0 <= discount <= 1.0:
            raise ValueError(f"discount = {discount!r}, expected a number from 0 to 1, or None")
        return Goal(self, ((1.0, ExpectedReward(reward, discount)),))

    def kl(self, reference: Model | TokenPolicy) -> Goal:
        """The goal KL(policy || reference) of whole completions, the reverse divergence.

        It is what a penalty is meant to be: the mean of log policy - log reference of completions
        that the policy draws, differentiated in full.

        Args:
            reference: a model, read at the policy's temperature without ``top_k`` and ``top_p``; or
                a policy, with its own. In JAX a model is a function of tokens alone here.

        Raises:
            TypeError, ValueError: for a reference that completes in another way.
        """
        return Goal(self, ((1.0, CompletionDivergence(as_reference(self, reference))),))

    def forward_kl(self, reference: Model | TokenPolicy) -> Goal:
        """The goal KL(reference || policy) of whole completions, the forward divergence.

        Args:
            reference: as of :meth:`kl`.

        Raises:
            TypeError, ValueError: as :meth:`kl`.
        """
        return Goal(self, ((1.0, ForwardDivergence(as_reference(self, reference))),))

    def kl_of_next_tokens(self, reference: Model | TokenPolicy) -> Goal:
        """The goal KL(policy || reference) of each next token, summed over the prefixes drawn.

        It is the same number as :meth:`kl`, and has another gradient: which prefixes are drawn is
        held. That is what losses have that add up a divergence token by token.

        Args:
            reference: as of :meth:`kl`.

        Raises:
            TypeError, ValueError: as :meth:`kl`.
        """
        return Goal(self, ((1.0, NextTokenDivergence(as_reference(self, reference))),))

    def entropy(self) -> Goal:
        """The goal of the entropy of whole completions."""
        return Goal(self, ((1.0, Entropy()),))

    def entropy_of_next_tokens(self) -> Goal:
        """The goal of the entropy of each next token, summed over the prefixes drawn.

        It is the same number as :meth:`entropy`, and has another gradient: which prefixes are drawn
        is held, as in a bonus that is added up token by token.
        """
        return Goal(self, ((1.0, NextTokenEntropy()),))

    def length(self) -> Goal:
        """The goal of the mean number of tokens, with the one that ends a completion."""
        return Goal(self, ((1.0, Length()),))


def autoregressive(
    model: Model,
    prompts: Sequence[Any],
    *,
    eos: int | Sequence[int] | None,
    longest: int,
    vocabulary: int | None = None,
    temperature: float = 1.0,
    top_p: float | None = None,
    top_k: int | None = None,
    parameters: Any = None,
) -> Autoregressive:
    """A policy over completions, all of which are enumerated where an expectation is asked for.

    Each prefix is given to the model once, together with the others of its length; that the model
    is causal is not relied on. Sums are in double precision, and so should the model be.

    A policy is of JAX if its parameters are: the model is then a function of them and of prefixes,
    such as the ``apply`` of flax and haiku, or ``lambda module, tokens: jax.vmap(module)(tokens)``.

    Args:
        model: called with prefixes, prompts included, (B, L) of int64, in JAX after the parameters;
            returns logits (B, L, V), of which the last place is read, or (B, V), or an object that
            has these as ``.logits``, as models of Hugging Face's do. A module of PyTorch, or a
            function.
        prompts: one prompt (token numbers), or a sequence of them, each as likely as any other.
        eos: the token that ends a completion, or several; None: each has ``longest`` tokens.
        longest: tokens of a completion at most, with the one that ends it.
        vocabulary: how many tokens the logits are of. Default: as the model says.
        temperature, top_p, top_k: of the sampler, which is the policy: the log-probabilities and
            goals are those of what is sampled from. Temperature comes first, then ``top_k``, then
            ``top_p`` of what is left.
        parameters: what gradients are by: tensors, or a mapping or sequence of them. Default: the
            parameters of the module that require a gradient. In JAX any pytree; what is no array of
            floating-point numbers in it is held.

    Raises:
        TypeError: for a model that cannot be called, where there are no parameters, or where they
            are traced.
        ValueError: for prompts, tokens or numbers that do not fit, for a model that draws, and
            where JAX computes in single precision.
    """
    if not callable(model):
        raise TypeError(f"model = {model!r:.60}, expected a module or a function of prefixes")
    words = (
        f"longest = {longest!r}, expected a whole number from 1: what a policy may go on with "
        "for ever cannot be enumerated"
    )
    longest = whole_from(longest, 1, words)
    truncation = Truncation(temperature, top_k, top_p)
    library: ModelLibrary = JaxLibrary() if has_arrays(parameters) else TorchLibrary()
    leaves = library.parameters(model, parameters)
    found = _prompts(prompts)
    size = _vocabulary(library, model, leaves, found)
    if vocabulary is not None and vocabulary != size:
        raise ValueError(
            f"vocabulary = {vocabulary}, and the model returns logits of {size} tokens: leave it "
            "out, or let the model return as many"
        )
    ends = _ends(eos, size)
    policy = Autoregressive(model, found, ends, longest, size, truncation, leaves, library)
    _refuse_probabilities(policy)
    return policy


def _prompts(prompts: Sequence[Any]) -> tuple[Tokens, ...]:
    rows = prompts.tolist() if hasattr(prompts, "tolist") else list(prompts)
    rows = [row.tolist() if hasattr(row, "tolist") else row for row in rows]
    if rows and all(whole_number(row) is not None for row in rows):
        rows = [rows]
    if any(isinstance(part, str) for row in rows for part in (row if _is_row(row) else [row])):
        raise TypeError(
            f"prompts = {prompts!r:.60}, expected numbers of tokens, such as [[1, 5]]: what a "
            "tokenizer makes of the text, for a model of a handful of tokens"
        )
    tokens = [tuple(int(token) for token in row) for row in rows]
    if not tokens or not all(tokens):
        raise ValueError(
            f"prompts = {prompts!r:.60}, expected one prompt at least, and one token number at "
            "least in each; a token that begins a text will do"
        )
    return tuple(tokens)


def _is_row(row: Any) -> bool:
    return isinstance(row, list | tuple)


def _ends(eos: int | Sequence[int] | None, vocabulary: int) -> frozenset[int]:
    to_list = getattr(eos, "tolist", None)
    given: Any = eos if to_list is None else to_list()
    alone = whole_number(given) is not None
    several = [] if given is None else list(map(int, [given] if alone else given))
    for token in several:
        if not 0 <= token < vocabulary:
            raise ValueError(
                f"eos = {token}, expected a token from 0 to {vocabulary - 1}, or None where each "
                "completion has longest= tokens"
            )
    return frozenset(several)


def _vocabulary(
    library: ModelLibrary, model: Model, parameters: Any, prompts: Sequence[Tokens]
) -> int:
    """How many tokens there are, by a model that does the same twice.

    Raises:
        ValueError: if it draws, or keeps something of a run.
    """
    prefixes = np.array([prompts[0]], dtype=np.int64)
    run: Callable[[], Array] = functools.partial(next_logits, library, model, parameters, prefixes)
    buffers = dict(model.named_buffers()) if hasattr(model, "named_buffers") else {}
    kept = {name: buffer.clone() for name, buffer in buffers.items()}
    with library.without_graph(), keeping_generators() as drawn:
        logits, again = numbers_of(library, run()), numbers_of(library, run())
        draws = drawn()  # which need not show in these logits
        changed = [name for name, buffer in buffers.items() if not buffer.equal(kept[name])]
        for name in changed:
            buffers[name].copy_(kept[name])
    same = np.array_equal(logits, again)
    if changed or draws or not same:
        why = f"changes its {', '.join(changed)}" if changed else "gives other logits the next time"
        if draws and same:
            why = "draws random numbers"
        raise ValueError(
            f"the model {why}, for the same prompt: call model.eval(), or in JAX what makes it "
            "deterministic, so that nothing is dropped at random and no statistics are kept"
        )
    return int(logits.shape[1])


def _refuse_probabilities(policy: Autoregressive) -> None:
    """Whether the model returns logits, as far as the first prompt and a token after it tell.

    Raises:
        ValueError: if the model returns probabilities.
    """
    prefixes = np.array([policy.prompts[0]], dtype=np.int64)
    library = policy.library
    with library.without_graph():
        if policy.longest > 1:  # or the model may have no place for another token
            going_on = [token for token in range(policy.vocabulary) if token not in policy.ends]
            tokens = np.array(going_on[:TRIED], dtype=np.int64)[:, None]
            if len(tokens):
                prefixes = np.concatenate([prefixes.repeat(len(tokens), axis=0), tokens], axis=1)
        logits = next_logits(library, policy.model, policy.parameters, prefixes)
        refuse_probabilities(numbers_of(library, logits), prefixes)
