"""Estimators that keep something, change what they are given, or draw the same each time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .baselines import KeptMean
from .row import Makes, Problem, right, wrong
from .toy_problem import (
    FEATURES,
    SENTENCES,
    TABLE,
    VALUES,
    WEIGHTS,
    TorchProblem,
    by_framework,
    by_hand,
    costs,
    draw,
    exact,
    expected_cost,
    pathwise,
    score,
    score_function,
    softmax,
    to_weights,
)

# ------------------------------------------------------------------ signals that keep something


class _LargestSoFar:
    """Cost over the largest magnitude so far, that of this run among them."""

    def __init__(self) -> None:
        self._kept = 0.0

    def __call__(self, f: Any, _x: Any) -> Any:
        self._kept = max(self._kept, float(abs(f).max()))
        return f / self._kept


class _BestSoFar:
    """Cost less the least so far, that of this run among them."""

    def __init__(self) -> None:
        self._kept = np.inf

    def __call__(self, f: Any, _x: Any) -> Any:
        self._kept = min(self._kept, float(f.min()))
        return f - self._kept


def _keep(start: Callable[[], Any]) -> Makes:
    """Estimators of a signal that keeps something, and no way to forget it."""

    def makes(name: str) -> Callable[[], Problem]:
        return lambda: score_function(start())[name]()

    return {name: makes(name) for name in ("torch", "numpy")}


# ------------------------------------------------------------------ what runs move


def _steps() -> Problem:
    """Gradients by backward(), and an optimizer that takes its step at once."""
    s = TorchProblem()
    w, v = leaves = [s.constant(each).requires_grad_() for each in (WEIGHTS, VALUES)]
    optimizer = s.torch.optim.Adam(leaves, lr=0.1)

    def estimate(*_: Any) -> None:
        optimizer.zero_grad()
        log_q = s.log_q(w)
        y = s.draw(log_q)
        f = s.cost(v, y)
        (f.detach() * s.take(log_q, y) + f).mean().backward()
        optimizer.step()

    return Problem(estimate, (w, v), exact=exact(expected_cost, (WEIGHTS, VALUES)))


#: Shift of each feature after it was normalised over sentences, (D,).
SHIFTS = np.array([0.6, -0.25])


def _mean_of_normalised(w: Any, shifts: Any) -> Any:
    """The mean cost of labels whose logits are of features normalised over the sentences."""
    spread = np.sqrt(FEATURES.var(axis=0) + 1e-5)  # what PyTorch adds
    hidden = (FEATURES - FEATURES.mean(axis=0)) / spread + shifts
    return (softmax(hidden @ w) * TABLE).sum() / len(TABLE)


def _normalises() -> Problem:
    """Batch normalisation as it trains: it keeps running statistics, which no gradient uses."""
    s = TorchProblem()
    norm = s.torch.nn.BatchNorm1d(FEATURES.shape[1]).double()
    norm.weight.requires_grad_(False)  # as large as it is
    norm.bias.data = s.constant(SHIFTS)

    def surrogate(w: Any, _shifts: Any) -> Any:
        log_q = (norm(s.x) @ w).log_softmax(dim=-1)
        y = s.draw(log_q)
        return (s.take(s.table, y) * s.take(log_q, y)).mean()

    inputs = s.constant(WEIGHTS).requires_grad_(), norm.bias
    return Problem(surrogate, inputs, exact=exact(_mean_of_normalised, (WEIGHTS, SHIFTS)))


def _adds_up() -> Problem:
    """Gradients that are added to what was there, as by backward() without zero_grad()."""
    buffer = np.zeros_like(WEIGHTS)

    def estimate(rng: Any, w: Any, v: Any) -> Any:
        nonlocal buffer
        q = softmax(FEATURES @ w)
        y = draw(rng, q)
        f = costs(v)[SENTENCES, y]
        buffer = buffer + to_weights(f[:, None] * score(q, y))
        return buffer, pathwise(v, y)

    return by_hand(estimate)()


def _centres_in_place(rng: Any, w: Any, v: Any) -> Any:
    w -= w.mean(axis=1, keepdims=True)  # it makes no difference to q
    q = softmax(FEATURES @ w)
    y = draw(rng, q)
    f = costs(v)[SENTENCES, y]
    return to_weights(f[:, None] * score(q, y)), pathwise(v, y)


def _centres_tensor_in_place(s: TorchProblem, w: Any, v: Any) -> Any:
    w.data -= w.data.mean(dim=1, keepdim=True)
    log_q = s.log_q(w)
    y = s.draw(log_q)
    f = s.cost(v, y)
    return (f.detach() * s.take(log_q, y) + f).mean()


def _seeds() -> Problem:
    """A generator that is seeded at each call: enumerated it is right, run it draws alike."""

    def estimate(w: Any, v: Any) -> Any:
        q = softmax(FEATURES @ w)
        y = draw(np.random.default_rng(7), q)
        f = costs(v)[SENTENCES, y]
        return to_weights(f[:, None] * score(q, y)), pathwise(v, y)

    inputs = WEIGHTS.copy(), VALUES.copy()
    return Problem(estimate, inputs, exact=exact(expected_cost, inputs))


_OWN_DRAW = "textbook mistake: a baseline that depends on the draw that it is subtracted from"

ROWS = (
    *right(
        "mean-kept",
        "A running mean of the costs of earlier runs is kept from run to run.",
        "the kind of state that Storchastic MovingAverageBaseline keeps",
        _keep(lambda: KeptMean(start=0.9, learns_first=False)),
    ),
    *right(
        "optimizer-steps",
        "The optimizer takes its step in the same function, after backward().",
        "training steps as most tutorials have them",
        {"torch": _steps},
    ),
    *right(
        "batch-norm-training",
        "Batch normalisation in training mode moves its running statistics in each run.",
        "torch.nn.BatchNorm1d, which is in training mode by default",
        {"torch": _normalises},
    ),
    *wrong(
        "first-cost-kept",
        "The baseline is set once, to the first cost there ever is: in the first run its own.",
        _OWN_DRAW,
        _keep(lambda: KeptMean(start=None, learns_first=True, decay=1.0)),
    ),
    *wrong(
        "largest-so-far",
        "Costs are divided by the largest magnitude so far, this run's own among them.",
        "rewards scaled by a running maximum; " + _OWN_DRAW,
        _keep(_LargestSoFar),
    ),
    *wrong(
        "best-so-far",
        "The baseline is the least cost so far, this run's own among them.",
        "neural combinatorial search with a best-so-far baseline; " + _OWN_DRAW,
        _keep(_BestSoFar),
    ),
    *wrong(
        "gradients-add-up",
        "Gradients are added to those of the run before.",
        "textbook mistake: backward() without zero_grad()",
        {"numpy": _adds_up},
        sees="state",
    ),
    *wrong(
        "parameters-changed",
        "The parameters are another vector after an estimate than before it.",
        "textbook mistake",
        by_framework(_centres_tensor_in_place, _centres_in_place),
        sees="state",
    ),
    *wrong(
        "seeded-each-time",
        "The generator is seeded in each call: every estimate is of the same draw.",
        "reused random keys, as in JAX; a sampler that does not draw from q",
        {"numpy": _seeds},
        sees="sampler",
    ),
)
