"""What comparisons of baselines and training runs are known by: written, read and drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class Captured:
    """The exact variance of the gradient with one baseline.

    ``variances`` by parameter group, each summed over its parameters and the sentences. ``share``
    of the removable variance that is removed: 1 for the best B of each sentence, 0 for none,
    negative where it does harm; NaN where no baseline could remove any. ``fit`` is how lambda was
    found.
    """

    baseline: str
    fit: str
    variances: Mapping[str, float]
    share: float

    @property
    def total(self) -> float:
        """All groups together."""
        return sum(self.variances.values())


@dataclasses.dataclass(frozen=True)
class Stage:
    """Every baseline at one set of parameters, fitted on some sentences and measured on others.

    ``step`` is how far the parameters were trained; ``sentences`` how many were measured on,
    ``classes`` is K. The rows ``none`` and ``best`` (one B for each sentence, the best there is)
    are always among ``rows``: what the latter leaves, no baseline of a sentence removes.
    """

    model: str
    data: str
    step: int
    sentences: int
    classes: int
    rows: tuple[Captured, ...]


@dataclasses.dataclass(frozen=True)
class Training:
    """A training run: losses, accuracies, and the variance at chosen steps.

    Shape: ``steps``, ``seconds`` (of the run so far), ``loss`` (C of the batch, or its estimate)
    and ``accuracy`` (on held-out sentences) have one entry for each time it was looked at.
    """

    model: str
    data: str
    estimator: str
    baseline: str
    seed: int
    steps: np.ndarray
    seconds: np.ndarray
    loss: np.ndarray
    accuracy: np.ndarray
    stages: tuple[Stage, ...]
