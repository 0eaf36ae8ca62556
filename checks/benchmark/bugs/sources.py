"""Where draws come from: names, generators and transforms that people draw with."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.random import choice

from gradproof.estimators.enumeration.run import TooManyPaths, UnsupportedDraw

from .row import Problem, right, wrong
from .toy_problem import (
    FEATURES,
    SENTENCES,
    K,
    N,
    TorchProblem,
    by_framework,
    by_hand,
    costs,
    draw,
    pathwise,
    score,
    softmax,
    tensors,
    to_weights,
)

#: Draws a label of each sentence, of probabilities (N, K).
Labels = Callable[[np.ndarray], np.ndarray]


def _estimators(labels: Labels, *, centred: bool = False) -> Callable[[], Problem]:
    """Estimators that differ in what they draw with.

    Args:
        centred: whether the mean cost of the batch is subtracted, which is a bias.
    """

    def estimate(_rng: Any, w: Any, v: Any) -> Any:
        q = softmax(FEATURES @ w)
        y = labels(q)
        f = costs(v)[SENTENCES, y]
        signal = f - f.mean() if centred else f
        return to_weights(signal[:, None] * score(q, y)), pathwise(v, y)

    return by_hand(estimate)


def _by_name(q: np.ndarray) -> np.ndarray:
    return np.array([choice(K, p=row) for row in q])  # noqa: NPY002 - it is what is checked


def _by_python(q: np.ndarray) -> np.ndarray:
    return np.array([random.choices(range(K), weights=row)[0] for row in q])


def _by_system(q: np.ndarray) -> np.ndarray:
    return np.array([random.SystemRandom().choices(range(K), weights=row)[0] for row in q])


def _by_seed(q: np.ndarray) -> np.ndarray:
    seed = np.random.randint(2**31)  # noqa: NPY002 - people draw their seeds so
    return draw(np.random.default_rng(seed), q)


class _LazyGenerator:
    """A generator that is made when it is first used."""

    def __init__(self) -> None:
        self._rng: np.random.Generator | None = None

    def __call__(self, q: np.ndarray) -> np.ndarray:
        if self._rng is None:
            self._rng = np.random.default_rng()
        return draw(self._rng, q)


def _import_by_name() -> Problem:
    """As after ``from torch import multinomial``."""
    multinomial = TorchProblem().torch.multinomial

    def estimate(s: TorchProblem, w: Any, v: Any) -> Any:
        log_q = s.log_q(w)
        y = multinomial(log_q.detach().exp(), 1)[:, 0]
        f = s.cost(v, y)
        return (f.detach() * s.take(log_q, y) + f).mean()

    return tensors(estimate)()


def _lazy_tensors() -> Problem:
    kept: dict[str, Any] = {}

    def estimate(s: TorchProblem, w: Any, v: Any) -> Any:
        if not kept:
            kept["generator"] = s.torch.Generator()
        log_q = s.log_q(w)
        y = s.torch.multinomial(log_q.detach().exp(), 1, generator=kept["generator"])[:, 0]
        f = s.cost(v, y)
        return (f.detach() * s.take(log_q, y) + f).mean()

    return tensors(estimate)()


# ------------------------------------------------------------------ common random numbers


def _pairs_alike(rng: Any, w: Any, v: Any) -> Any:
    q = softmax(FEATURES @ w)
    state = rng.bit_generator.state
    y = draw(rng, q)
    rng.bit_generator.state = state
    f, other = costs(v)[SENTENCES, y], costs(v)[SENTENCES, draw(rng, q)]
    return to_weights((f - other)[:, None] * score(q, y)), pathwise(v, y)


def _pairs_of_tensors_alike() -> Problem:
    generator = TorchProblem().torch.Generator()

    def estimate(s: TorchProblem, w: Any, v: Any) -> Any:
        log_q = s.log_q(w)
        q, state = log_q.detach().exp(), generator.get_state()
        y = s.torch.multinomial(q, 1, generator=generator)[:, 0]
        generator.set_state(state)
        again = s.torch.multinomial(q, 1, generator=generator)[:, 0]
        f, other = s.cost(v, y), s.cost(v, again)
        return ((f - other).detach() * s.take(log_q, y) + f).mean()

    return tensors(estimate)()


# ------------------------------------------------------------------ mapped draws

#: Samples of each sentence.
SAMPLES = 2


def _vmap(others: bool) -> Callable[..., Any]:
    """Samples by vmap, each with a baseline: the other's cost, or the mean of both."""

    def estimate(s: TorchProblem, w: Any, v: Any) -> Any:
        log_q = s.log_q(w)
        q = log_q.detach().exp()

        def labels(_: Any) -> Any:
            return s.torch.multinomial(q, 1)[:, 0]

        y = s.torch.func.vmap(labels, randomness="different")(s.torch.zeros(SAMPLES))
        f = s.cost(v, y)
        held = f.detach()
        total = held.sum(dim=0)
        baseline = (total - held) / (SAMPLES - 1) if others else total / SAMPLES
        return ((held - baseline) * log_q[s.torch.arange(N), y] + f).mean()

    return estimate


ROWS = (
    *right(
        "drawn-by-name",
        "The function that draws is imported by its name.",
        "from torch import multinomial, from numpy.random import choice: as many write it",
        {"torch": _import_by_name, "numpy": _estimators(_by_name)},
    ),
    *right(
        "drawn-by-python",
        "Labels are drawn by random.choices.",
        "Python's random, as in code without a framework",
        {"numpy": _estimators(_by_python)},
    ),
    *right(
        "generator-made-late",
        "The generator is made when it is first used.",
        "Gymnasium's Env.np_random",
        {"torch": _lazy_tensors, "numpy": lambda: _estimators(_LazyGenerator())()},
    ),
    *right(
        "mapped-leave-one-out",
        "Two samples by vmap, each with the other's cost as its baseline.",
        'torch.func.vmap(randomness="different")',
        by_framework(_vmap(True)),
    ),
    *wrong(
        "mapped-own-draw",
        "Two samples by vmap, with the mean of both as their baseline.",
        'torch.func.vmap(randomness="different"); textbook mistake',
        by_framework(_vmap(False)),
    ),
    *wrong(
        "generator-set-back",
        "The generator is set back, so that a sample and its baseline are the same draw.",
        "common random numbers, where independent ones were meant",
        {"torch": _pairs_of_tensors_alike, "numpy": by_hand(_pairs_alike)},
        sees="sampler",
        raises=UnsupportedDraw,
    ),
    *wrong(
        "entropy-of-the-system",
        "Drawn by random.SystemRandom, which nobody can repeat, and centred by its own mean.",
        "Python's secrets and SystemRandom; textbook mistake",
        {"numpy": _estimators(_by_system, centred=True)},
        sees="sampler",
        raises=UnsupportedDraw,
    ),
    *wrong(
        "seed-drawn",
        "A seed is drawn among two thousand million for a generator, and costs are centred.",
        "seeds of workers and environments; textbook mistake",
        {"numpy": _estimators(_by_seed, centred=True)},
        sees="sampler",
        raises=TooManyPaths,
    ),
)
