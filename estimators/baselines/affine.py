"""Baselines that are affine in the mean embedding of the sentence, in its length, or in both."""

from __future__ import annotations

import dataclasses

from .linear import EMBEDDING, Feature, Linear


@dataclasses.dataclass(frozen=True)
class Affine(Linear):
    """B(x) = lambda.bias + lambda.weight . mean embedding of x, and so on for other features.

    Valid when: detached. With ``held=False`` it reads the shared embeddings live, and the
    gradient of B reaches e: claims ``baseline.reconstruction`` and ``baseline.unbiased`` fail.

    Reference:
        Mnih and Gregor (2014), Neural variational inference and learning in belief networks (NVIL).
    """

    name: str = "affine-embedding"
    features: tuple[Feature, ...] = (EMBEDDING,)
