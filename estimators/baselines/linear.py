"""Baselines that are linear in lambda, and the features that they are made of."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from gradproof.reference_models.ops import Array, Ops

from ..backends.autograd_backend import AutogradOps
from .learned import LearnedBaseline
from .protocol import Features, Lambda


@dataclasses.dataclass(frozen=True)
class Feature:
    """What a linear form reads of a sentence.

    Args:
        name: lambda's entry is ``lambda.<name>``, of as many numbers as the feature has.
        read: the feature of each sentence, (N, F).
        entries: F, where the mean embedding has D entries.
    """

    name: str
    read: Callable[[Ops, Features], Array]
    entries: Callable[[int], int]


LENGTH = Feature("length", lambda ops, x: ops.expand_dims(x.lengths, 1), lambda width: 1)
EMBEDDING = Feature("weight", lambda ops, x: x.embedded, lambda width: width)


@dataclasses.dataclass(frozen=True)
class Linear(LearnedBaseline):
    """B(x) = lambda . features of x, with a bias or without."""

    features: tuple[Feature, ...] = ()
    bias: bool = True

    def initial(self, rng: np.random.Generator, width: int) -> dict[str, np.ndarray]:
        """``bias`` () of the size of a loss, and a weight for each entry of each feature."""
        lambda_ = {"lambda.bias": np.array(2.0 + rng.standard_normal())} if self.bias else {}
        for feature in self.features:
            lambda_[f"lambda.{feature.name}"] = 1.0 + rng.standard_normal(feature.entries(width))
        return lambda_

    def value_of(self, ops: Ops, lambda_: Lambda, x: Features) -> Array:
        """B of each sentence."""
        total = lambda_["lambda.bias"] if self.bias else 0.0
        for feature in self.features:
            weight = ops.expand_dims(lambda_[f"lambda.{feature.name}"], 0)
            total = total + ops.sum(feature.read(ops, x) * weight, axis=1)
        return total

    def slopes(self, lambda_: Lambda, x: Features) -> dict[str, np.ndarray]:
        """The features themselves."""
        slopes = {"lambda.bias": np.ones(len(x.lengths))} if self.bias else {}
        for feature in self.features:
            slopes[f"lambda.{feature.name}"] = np.asarray(feature.read(AutogradOps(), x))
        return slopes
