"""What is subtracted from the cost: it may be anything but a function of the label drawn.

Reference:
    Williams (1992), Simple statistical gradient-following algorithms for connectionist
    reinforcement learning. Kool, van Hoof and Welling (2019), Buy 4 REINFORCE samples, get a
    baseline for free! Rows name the sources of the others.
"""

from __future__ import annotations

from typing import Any

from .row import right, wrong
from .toy_problem import (
    FEATURES,
    SENTENCES,
    TorchProblem,
    by_framework,
    costs,
    draw,
    pathwise,
    score,
    score_function,
    score_function_with_state,
    softmax,
    to_weights,
)

#: Samples of each sentence.
SAMPLES = 2

#: Of a running mean.
DECAY = 0.8

#: Keeps a division by a standard deviation from being one by zero.
TINY = 1e-6


class KeptMean:
    """A running mean of costs, that a signal subtracts before or after it learns of them."""

    def __init__(self, *, start: float | None, learns_first: bool, decay: float = DECAY) -> None:
        self._start, self._learns_first, self._decay = start, learns_first, decay
        self.reset()

    def reset(self) -> None:
        """As at first."""
        self._mean = self._start

    def _learn(self, f: Any) -> None:
        new = float(f.mean())
        if self._mean is None:
            self._mean = new
        else:
            self._mean = self._decay * self._mean + (1.0 - self._decay) * new

    def __call__(self, f: Any, x: Any) -> Any:
        """The signal."""
        if self._learns_first:
            self._learn(f)
        signal = f - self._mean
        if not self._learns_first:
            self._learn(f)
        return signal


def _greedy_tensors(s: TorchProblem, w: Any, v: Any) -> Any:
    log_q = s.log_q(w)
    y, greedy = s.draw(log_q), log_q.argmax(dim=-1)
    f = s.cost(v, y)
    return ((f - s.cost(v, greedy)).detach() * s.take(log_q, y) + f).mean()


def _greedy_by_hand(rng: Any, w: Any, v: Any) -> Any:
    q = softmax(FEATURES @ w)
    y = draw(rng, q)
    f = costs(v)
    signal = f[SENTENCES, y] - f[SENTENCES, q.argmax(axis=-1)]
    return to_weights(signal[:, None] * score(q, y)), pathwise(v, y)


def _not_detached(s: TorchProblem, w: Any, v: Any) -> Any:
    log_q = s.log_q(w)
    y = s.draw(log_q)
    f = s.cost(v, y)
    baseline = 0.6 + 0.4 * (v * v).sum()  # it sees the parameters of the cost
    return ((f.detach() - baseline) * s.take(log_q, y) + f).mean()


ROWS = (
    *right(
        "no-baseline",
        "REINFORCE: the score times the cost, and the cost's own derivative.",
        "Williams (1992), Simple statistical gradient-following algorithms",
        score_function(lambda f, x: f),
    ),
    *right(
        "constant-baseline",
        "A constant has no covariance with the score.",
        "Williams (1992), Simple statistical gradient-following algorithms",
        score_function(lambda f, x: f - 1.37),
    ),
    *right(
        "input-baseline",
        "What depends on the sentence alone has none either.",
        "Mnih and Gregor (2014), Neural variational inference and learning",
        score_function(lambda f, x: f - (0.5 + 0.8 * x[:, 0] - 0.3 * x[:, 1])),
    ),
    *right(
        "leave-one-out-samples",
        "Each sample's baseline is the mean of the other samples of its sentence.",
        "Kool, van Hoof and Welling (2019), Buy 4 REINFORCE samples, get a baseline for free",
        score_function(lambda f, x: f - (f.sum(0) - f) / (SAMPLES - 1), SAMPLES),
    ),
    *right(
        "leave-one-out-batch",
        "Each sentence's baseline is the mean cost of the other sentences.",
        "Mnih and Rezende (2016), Variational inference for Monte Carlo objectives",
        score_function(lambda f, x: f - (f.sum() - f) / (len(f) - 1)),
    ),
    *right(
        "running-mean-before-update",
        "The running mean is subtracted first and learns of the costs then.",
        "Pyro, whose decaying average baseline is right",
        score_function_with_state(lambda: KeptMean(start=0.9, learns_first=False)),
    ),
    *right(
        "self-critical",
        "The baseline is the cost of the likeliest label, which is not drawn.",
        "Rennie et al. (2017), Self-critical sequence training",
        by_framework(_greedy_tensors, _greedy_by_hand),
    ),
    *wrong(
        "running-mean-after-update",
        "The running mean has seen the cost already: (1 - (1-d)/N) of the score is left.",
        "Storchastic MovingAverageBaseline; optax 0.1.8; mc_gradients; TF-contrib",
        score_function_with_state(lambda: KeptMean(start=0.9, learns_first=True)),
    ),
    *wrong(
        "running-mean-first-step",
        "A running mean that starts as the first costs: (N-1)/N of the score, nothing at N = 1.",
        "optax 0.1.8 moving_avg_baseline, first step",
        score_function_with_state(lambda: KeptMean(start=None, learns_first=True)),
    ),
    *wrong(
        "batch-mean",
        "The mean cost of the batch holds the sentence's own: (N-1)/N of the score.",
        "AdvancedVI ScoreGradELBO, there over samples",
        score_function(lambda f, x: f - f.mean()),
    ),
    *wrong(
        "samples-mean",
        "The mean cost of the samples holds the sample's own: (S-1)/S of the score.",
        "AdvancedVI ScoreGradELBO",
        score_function(lambda f, x: f - f.mean(0), SAMPLES),
    ),
    *wrong(
        "leave-one-out-over-std",
        "Leave-one-out is right, dividing it by the samples' standard deviation is not.",
        "NeMo-RL #1518",
        score_function(
            lambda f, x: (f - (f.sum(0) - f) / (SAMPLES - 1)) / (f.std(0) + TINY), SAMPLES
        ),
    ),
    *wrong(
        "group-advantage",
        "Costs less their mean, over their standard deviation, both of the group itself.",
        "Liu et al. (2025), Understanding R1-Zero-like training, on GRPO",
        score_function(lambda f, x: (f - f.mean(0)) / (f.std(0) + TINY), SAMPLES),
    ),
    *wrong(
        "lowest-cost-baseline",
        "The baseline is the lowest cost of the batch, which may be the label's own.",
        "textbook mistake",
        score_function(lambda f, x: f - f.min()),
    ),
    *wrong(
        "advantage-clipped",
        "Only costs above the baseline count.",
        "textbook mistake",
        score_function(lambda f, x: (f - 1.9).clip(min=0.0)),
    ),
    *wrong(
        "cost-clipped",
        "Costs beyond a limit count as the limit: the gradient of another expected cost.",
        "Mnih et al. (2015), Human-level control, clips rewards so",
        score_function(lambda f, x: f.clip(max=2.5)),
    ),
    *wrong(
        "baseline-divides",
        "The cost is divided by a baseline, as if that were as free as subtracting it.",
        "textbook mistake",
        score_function(lambda f, x: f / (1.0 + f.mean())),
    ),
    *wrong(
        "baseline-not-detached",
        "A baseline that shares parameters with the cost is differentiated in the surrogate.",
        "textbook mistake",
        by_framework(_not_detached),
    ),
)
