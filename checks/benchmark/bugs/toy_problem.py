"""The small problem that most rows share: two sentences, three labels, a cost with parameters.

Nothing is zero, symmetric or equal, so that no wrong gradient looks right by chance.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .row import Makes, Problem

#: Of the sentences, (N, D); parameters of q, (D, K), and of the cost, (K,).
FEATURES = np.array([[0.7, -1.3], [1.1, 0.4]])
WEIGHTS = np.array([[0.31, -0.52, 0.17], [-0.23, 0.44, 0.61]])
VALUES = np.array([0.9, -0.4, 1.7])

#: Of the cost: what a label's value should be, (N,), and what is not differentiated, (N, K).
TARGETS = np.array([0.35, -0.8])
TABLE = np.array([[1.2, 0.3, 2.1], [0.6, 1.9, -0.7]])

N, K = TABLE.shape
SENTENCES = np.arange(N)

#: Its square is below the smallest double, so that the step leaves no truncation error.
STEP = 1e-200

#: The share of a gradient's mean magnitude that an integral's error may be: its bound is ten times
#: that, and a bias of a hundredth is seen.
WITHIN = 1e-5

Inputs = Sequence[np.ndarray]
Expected = Callable[..., Any]


# ------------------------------------------------------------------ what is right


def softmax(logits: Any) -> Any:
    """Chances, of real or complex logits."""
    size = np.exp(logits)
    return size / size.sum(axis=-1, keepdims=True)


def costs(v: Any) -> Any:
    """Of every sentence and label, (N, K)."""
    return TABLE + (v - TARGETS[:, None]) ** 2


def expected_cost(w: Any, v: Any) -> Any:
    """The mean cost of a sentence, by enumeration."""
    return (softmax(FEATURES @ w) * costs(v)).sum() / N


def exact(function: Expected, inputs: Inputs) -> tuple[np.ndarray, ...]:
    """The gradient of an enumerated mean by complex steps: no rule of derivatives is used."""
    found = [np.empty(each.shape) for each in inputs]
    for which, gradient in enumerate(found):
        for place in np.ndindex(*gradient.shape):
            moved = [each.astype(complex) for each in inputs]
            moved[which][place] += 1j * STEP
            gradient[place] = np.imag(function(*moved)) / STEP
    return tuple(found)


# ------------------------------------------------------------------ estimators, on tensors


class TorchProblem:
    """The problem in PyTorch."""

    def __init__(self) -> None:
        import torch

        self.torch: Any = torch
        self.x, self.t, self.table = map(self.constant, (FEATURES, TARGETS, TABLE))

    def constant(self, array: Any) -> Any:
        """A tensor in double precision."""
        return self.torch.tensor(array, dtype=self.torch.float64)

    def log_q(self, w: Any) -> Any:
        """Of every sentence and label."""
        return self.torch.log_softmax(self.x @ w, dim=-1)

    def draw(self, log_q: Any, *shape: int) -> Any:
        """A label of each sentence, so many times."""
        return self.torch.distributions.Categorical(logits=log_q).sample(shape)

    def take(self, table: Any, y: Any) -> Any:
        """What a table (N, K) has for the labels (..., N)."""
        return table[self.torch.arange(N), y]

    def cost(self, v: Any, y: Any) -> Any:
        """Of the labels."""
        return self.take(self.table, y) + (v[y] - self.t) ** 2


def tensors(
    estimate: Callable[..., Any],
    inputs: Inputs = (WEIGHTS, VALUES),
    mean: Expected = expected_cost,
    *,
    reset: Callable[[], object] | None = None,
    integrate: float | None = None,
) -> Callable[[], Problem]:
    """Makes a problem of a surrogate ``estimate(scene, *tensors)``."""

    def make() -> Problem:
        scene = TorchProblem()
        given = tuple(scene.constant(each).requires_grad_() for each in inputs)

        def surrogate(*leaves: Any) -> Any:
            return estimate(scene, *leaves)

        known = exact(mean, inputs)
        return Problem(
            surrogate,
            given,
            exact=known,
            reset=reset,
            surrogate=surrogate,
            integrate=integrate,
        )

    return make


def integrated(torch: Callable[..., Any], inputs: Inputs, mean: Expected, **options: Any) -> Makes:
    """One estimator that uses continuous numbers, in PyTorch, where means are integrated.

    Args:
        torch: as :func:`tensors` takes it.
        mean: of the objective: of complex inputs too, with no noise.
        options: keywords of the estimator.
    """
    estimate = functools.partial(torch, **options)
    return {"torch": tensors(estimate, inputs, mean, integrate=WITHIN)}


# ------------------------------------------------------------------ estimators, by hand


def draw(rng: Any, q: np.ndarray, *shape: int) -> np.ndarray:
    """A label of each sentence, so many times."""
    count = int(np.prod(shape))
    found = [[rng.choice(K, p=row) for row in q] for _ in range(count)]
    return np.array(found).reshape(*shape, N)


def score(q: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The derivative of log q by the logits, (..., N, K)."""
    return np.eye(K)[y] - q


def to_weights(by_logits: np.ndarray) -> np.ndarray:
    """A gradient by logits (..., N, K), as one by weights; averaged over sentences and samples."""
    return FEATURES.T @ by_logits.reshape(-1, N, K).mean(axis=0) / N


def pathwise(v: np.ndarray, y: np.ndarray, weight: Any = 1.0) -> np.ndarray:
    """The derivative of the labels' cost by the values, each weighed; averaged as the other."""
    slope = weight * 2.0 * (v[y] - TARGETS)
    return (slope[..., None] * np.eye(K)[y]).reshape(-1, N, K).mean(axis=0).sum(axis=0) / N


def by_hand(
    estimate: Callable[..., Any],
    inputs: Inputs = (WEIGHTS, VALUES),
    mean: Expected = expected_cost,
    *,
    reset: Callable[[], object] | None = None,
) -> Callable[[], Problem]:
    """Makes a problem of gradients ``estimate(rng, *arrays)``."""

    def make() -> Problem:
        rng = np.random.default_rng()

        def gradients(*arrays: Any) -> Any:
            return estimate(rng, *arrays)

        given = tuple(each.copy() for each in inputs)
        return Problem(gradients, given, exact=exact(mean, inputs), reset=reset)

    return make


# ------------------------------------------------------------------ both


def by_framework(
    torch: Callable[..., Any] | None = None,
    numpy: Callable[..., Any] | None = None,
    inputs: Inputs = (WEIGHTS, VALUES),
    mean: Expected = expected_cost,
    **options: Any,
) -> Makes:
    """One estimator in each framework that has it, as a surrogate and by hand.

    Args:
        torch, numpy: as :func:`tensors` and :func:`by_hand` take them.
        options: keywords of both.
    """
    makes: dict[str, Callable[[], Problem]] = {}
    if torch is not None:
        makes["torch"] = tensors(functools.partial(torch, **options), inputs, mean)
    if numpy is not None:
        makes["numpy"] = by_hand(functools.partial(numpy, **options), inputs, mean)
    return makes


def score_function(
    signal: Callable[[Any, Any], Any],
    *shape: int,
    torch: Callable[[TorchProblem, Any], Any] | None = None,
    numpy: Callable[[Any, np.ndarray], np.ndarray] | None = None,
) -> Makes:
    """Estimators of a score and a pathwise part, that differ in what the score is weighed by.

    Args:
        signal: of costs (*shape, N) and features (N, D), tensors or arrays: weights of the scores.
        shape: of the samples of each sentence.
        torch, numpy: what draws labels, of log q or of q (N, K). Default: as q says.
    """
    return by_framework(
        _score_function_tensors(signal, torch or (lambda s, log_q: s.draw(log_q, *shape))),
        _score_function_by_hand(signal, numpy or (lambda rng, q: draw(rng, q, *shape))),
    )


def score_function_with_state(start: Callable[[], Any]) -> Makes:
    """The same, of a signal that keeps something, and forgets it by ``reset``."""

    def on_tensors() -> Problem:
        kept = start()
        return tensors(_score_function_tensors(kept, TorchProblem.draw), reset=kept.reset)()

    def hand() -> Problem:
        kept = start()
        return by_hand(_score_function_by_hand(kept, draw), reset=kept.reset)()

    return {"torch": on_tensors, "numpy": hand}


def _score_function_tensors(signal: Any, labels: Callable[..., Any]) -> Callable[..., Any]:
    def estimate(s: TorchProblem, w: Any, v: Any) -> Any:
        log_q = s.log_q(w)
        y = labels(s, log_q)
        f = s.cost(v, y)
        return (signal(f.detach(), s.x) * s.take(log_q, y) + f).mean()

    return estimate


def _score_function_by_hand(signal: Any, labels: Callable[..., Any]) -> Callable[..., Any]:
    def estimate(rng: Any, w: Any, v: Any) -> Any:
        q = softmax(FEATURES @ w)
        y = labels(rng, q)
        weight = signal(costs(v)[SENTENCES, y], FEATURES)
        return to_weights(weight[..., None] * score(q, y)), pathwise(v, y)

    return estimate


def of_labels(surrogate: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """A surrogate of the costs and the log-probabilities of drawn labels, (N,), averaged."""

    def estimate(s: TorchProblem, w: Any, v: Any) -> Any:
        log_q = s.log_q(w)
        y = s.draw(log_q)
        return surrogate(s.cost(v, y), s.take(log_q, y)).mean()

    return estimate


def of_labels_by_hand(by_logits: Callable[[Any, Any, Any], Any]) -> Callable[..., Any]:
    """Gradients of drawn labels: by the logits, from costs (N, 1), q and labels, and pathwise."""

    def estimate(rng: Any, w: Any, v: Any) -> Any:
        q = softmax(FEATURES @ w)
        y = draw(rng, q)
        f = costs(v)[SENTENCES, y][:, None]
        return to_weights(by_logits(f, q, y)), pathwise(v, y)

    return estimate
