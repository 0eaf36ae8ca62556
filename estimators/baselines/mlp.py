"""A baseline that is a small network on the mean embedding of the sentence."""

from __future__ import annotations

import dataclasses

import numpy as np

from gradproof.reference_models.ops import Array, Ops

from .affine import Affine
from .protocol import Features, Lambda


@dataclasses.dataclass(frozen=True)
class MLP(Affine):
    """Affine in the mean embedding, plus lambda.out . tanh of an affine layer of ``hidden`` units.

    With ``out`` at zero it is the affine form, so that a fit can begin there and do no worse.

    Valid when: detached.

    Reference:
        Mnih and Gregor (2014), Neural variational inference and learning in belief networks (NVIL),
        whose input-dependent baseline is a network.
    """

    name: str = "mlp"
    hidden: int = 8

    def initial(self, rng: np.random.Generator, width: int) -> dict[str, np.ndarray]:
        """That of the affine form, ``hidden`` (D, H), ``shift`` and ``out`` (H,)."""
        return super().initial(rng, width) | {
            "lambda.hidden": rng.standard_normal((width, self.hidden)) / np.sqrt(width),
            "lambda.shift": rng.standard_normal(self.hidden),
            "lambda.out": rng.standard_normal(self.hidden),
        }

    def value_of(self, ops: Ops, lambda_: Lambda, x: Features) -> Array:
        """B of each sentence."""
        out = ops.expand_dims(lambda_["lambda.out"], 0)
        return super().value_of(ops, lambda_, x) + ops.sum(_units(ops, lambda_, x) * out, axis=1)

    def slopes(self, lambda_: Lambda, x: Features) -> dict[str, np.ndarray]:
        """By the chain rule."""
        units = np.tanh(x.embedded @ lambda_["lambda.hidden"] + lambda_["lambda.shift"])
        back = lambda_["lambda.out"] * (1.0 - units**2)
        return super().slopes(lambda_, x) | {
            "lambda.hidden": x.embedded[:, :, None] * back[:, None, :],
            "lambda.shift": back,
            "lambda.out": units,
        }


def _units(ops: Ops, lambda_: Lambda, x: Features) -> Array:
    """The hidden layer, (N, H)."""
    inner = ops.dot(x.embedded, lambda_["lambda.hidden"])
    return ops.tanh(inner + ops.expand_dims(lambda_["lambda.shift"], 0))
