"""What a policy needs of the library that its model is written in: PyTorch, or JAX.

Trees of prefixes, goals and truncation are written once, with these. What is not differentiated is
of NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, Self

import numpy as np

from .completions import Completions, Tokens

#: An array of the library, with its graph.
Array = Any

#: Called with ``(log_probs, mask, rewards, tokens)``, and log-probabilities by the reference where
#: there is one; returns one number.
Loss = Callable[..., Array]


class CompletionPolicy(Protocol):
    """What a library knows of a policy that it draws for: a :class:`.token_policy.TokenPolicy`."""

    @property
    def prompts(self) -> tuple[Tokens, ...]:
        """Prompts by their number."""

    @property
    def ends(self) -> frozenset[int]:
        """Tokens that end a completion."""

    @property
    def longest(self) -> int:
        """Tokens of a completion at most."""

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""

    @property
    def parameters(self) -> Any:
        """What gradients are by."""

    def next_log_probs(self, prefixes: Array) -> Array:
        """Logarithms of the probabilities of the token after each prefix."""

    def at(self, parameters: Any) -> Self:
        """The same with other parameters."""

    def read(self, completions: Iterable[Sequence[int]], prompt: int | None = None) -> Completions:
        """Completions of a prompt, of their tokens."""


class ModelLibrary(Protocol):
    """Functions of one library, with NumPy's names where it has them."""

    #: How it is called in messages, and one of its arrays.
    name: str
    array: str
    #: What a loss gives an estimator: ``surrogate``, which has a graph, or ``gradient``.
    returns: str
    #: Whether exact gradients are computed in double precision, whatever a model asks for.
    lifts: bool

    def call(self, model: Any, parameters: Any, prefixes: Array) -> Any:
        """What a model returns, whatever that is."""

    def is_floating(self, value: Any) -> bool:
        """Whether something is an array of the library, of floating-point numbers."""

    def double(self, array: Array) -> Array:
        """The same in double precision, with its graph."""

    def held(self, array: Array) -> Any:
        """The numbers of an array, of NumPy and without graph; in JAX, still traced under jit."""

    def numpy(self, held: Any) -> Any:
        """The module that has NumPy's functions for what :meth:`held` returned."""

    def constant(self, array: np.ndarray) -> Array:
        """An array of the library that nothing is differentiated by."""

    def added_up(self, rows: Array, places: Array, count: int) -> Array:
        """As many rows as are counted, to each of which those of its place are added.

        Shape: ``rows`` (N, T), ``places`` (N,), numbers; the result (count, T).
        """

    def where(self, condition: Any, array: Array, other: float) -> Array:
        """The array where a condition holds, and one number elsewhere."""

    def exp(self, array: Array) -> Array:
        """The exponential."""

    def log_softmax(self, array: Array) -> Array:
        """Logarithms of probabilities along the last axis."""

    def concatenate(self, arrays: list[Array]) -> Array:
        """Arrays one after the other."""

    def without_graph(self) -> AbstractContextManager[Any]:
        """Nothing that is computed within is differentiated."""

    def gradient(self, total: Callable[[Any], Array], parameters: Any) -> dict[str, np.ndarray]:
        """The gradient of a function of the parameters, by the name of each.

        Raises:
            ValueError: if none moves it.
        """

    def exact_gradient(
        self, total: Callable[[Any], Array], parameters: Any
    ) -> dict[str, np.ndarray]:
        """The same, in double precision where it can be, of a function that does not draw."""

    def scores(self, policy: CompletionPolicy, prefixes: list[np.ndarray]) -> dict[str, np.ndarray]:
        """The gradient of the log-probability of each token after each prefix, by parameter.

        Shape: ``prefixes`` (B, L) each; the results (M, *shape), for M = V times all prefixes.
        """

    def count(self, parameters: Any) -> int:
        """How many numbers the parameters are."""

    def derivative(self, loss: Loss, *given: Array) -> Array:
        """The derivative of a loss of one group by its first argument.

        Raises:
            TypeError, ValueError: for a loss that is not one number.
        """

    def derivatives(self, loss: Loss, *given: Array) -> Array:
        """The same of many groups, over which the loss is mapped.

        Raises:
            Whatever a loss raises that cannot be.
        """

    def reaches(self, loss: Loss, parameters: Any, *given: Array) -> bool:
        """Whether a loss that is run is made of the parameters otherwise than by its arguments."""

    def parameters(self, model: Any, parameters: Any) -> Any:
        """What gradients are by, as a policy keeps it.

        Raises:
            TypeError: if there is none.
        """

    def moved(self, policy: CompletionPolicy, parameters: Any) -> Any:
        """Other parameters in place of a policy's.

        Raises:
            TypeError, ValueError: for what does not fit.
        """

    def as_model(self, reference: Any) -> Any:
        """A function of prefixes alone as a model.

        Raises:
            TypeError: for one that takes something else.
        """

    def sample(self, policy: CompletionPolicy, count: int, prompt: int, key: Any) -> Completions:
        """Completions of a prompt, drawn independently.

        Raises:
            TypeError: for a key that is missing, or that nothing is drawn by.
        """

    def log_probs(self, policy: CompletionPolicy, completions: Completions) -> Array:
        """The logarithm of each token's probability, 0 for padding, (N, T)."""


def check_loss_value(library: ModelLibrary, value: Any) -> None:
    """Whether a loss is one number.

    Raises:
        TypeError, ValueError: if not.
    """
    if not library.is_floating(value):
        raise TypeError(f"the loss returns {value!r:.60}, expected {library.array} of one number")
    if math.prod(value.shape) != 1:
        raise ValueError(
            f"the loss has shape {tuple(value.shape)}, expected one number: return its mean or sum"
        )
