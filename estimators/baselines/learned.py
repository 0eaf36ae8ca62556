"""Baselines of the sentence alone, whose lambda is learned from returns."""

from __future__ import annotations

import dataclasses

import numpy as np

from gradproof.reference_models.ops import Array, Ops

from ..backends.autograd_backend import AutogradOps
from .protocol import BaselineBatch, BaselineInput, Features, Lambda, check_shape, plain

#: How often a step is halved before it is given up.
HALVINGS = 20


@dataclasses.dataclass(frozen=True)
class LearnedBaseline:
    """B(x) of features that no label enters.

    A form says what B is (:meth:`value_of`), and its derivative by lambda (:meth:`slopes`);
    learning from a step and fits to many sentences follow.

    Valid when: detached. Features are the model's, and with ``held=False`` the gradient of B
    reaches e: claims ``baseline.reconstruction`` and ``baseline.unbiased`` fail.

    Args:
        rate: of learning, between 0 and 2.

    Raises:
        ValueError: for a rate that is not.

    Reference:
        Mnih and Gregor (2014), Neural variational inference and learning in belief networks (NVIL).
    """

    name: str
    held: bool = True
    coupled: bool = False
    rate: float = 0.1

    def __post_init__(self) -> None:
        if not 0.0 < self.rate < 2.0:
            raise ValueError(
                f"rate = {self.rate!r}, expected a number between 0 and 2: at 2 a step only turns "
                "the error round"
            )

    def initial(self, rng: np.random.Generator, width: int) -> dict[str, np.ndarray]:
        """Lambda, at random."""
        raise NotImplementedError

    def value_of(self, ops: Ops, lambda_: Lambda, x: Features) -> Array:
        """B of each sentence, (N,)."""
        raise NotImplementedError

    def slopes(self, lambda_: Lambda, x: Features) -> dict[str, np.ndarray]:
        """The derivative of B of each sentence by lambda: by name, (N, *shape)."""
        raise NotImplementedError

    def value(self, seen: BaselineInput) -> Array:
        """B of each sentence, in the arrays of a framework."""
        return seen.ops.zeros_like(seen.loss) + self.value_of(seen.ops, seen.inputs, seen.features)

    def updated(
        self, lambda_: Lambda, x: BaselineBatch, returns: np.ndarray
    ) -> dict[str, np.ndarray]:
        """A normalised step down the mean squared error: B leaves it no larger on this batch.

        The gradient is divided by the mean of |dB/dlambda|^2, as in normalised least mean squares,
        and the step halved as long as the error grows, which it may where B is not linear in
        lambda. So no rate, no scale of features and no outlier makes lambda diverge.

        Raises:
            ValueError: if the returns are not one finite number for each sentence.
        """
        features = Features(plain(x.lengths), plain(x.embedded))
        returns = check_shape("returns", returns, (len(features.lengths),))
        error = returns - self.value_of(AutogradOps(), lambda_, features)
        slopes = self.slopes(lambda_, features)
        size = sum(float((of**2).sum()) for of in slopes.values())
        if size == 0.0:
            return dict(lambda_)
        along = {name: np.tensordot(error, of, axes=1) / size for name, of in slopes.items()}
        step = self.rate
        for _ in range(HALVINGS):
            new = {name: lambda_[name] + step * of for name, of in along.items()}
            new_error = returns - self.value_of(AutogradOps(), new, features)
            if np.sum(new_error**2) <= np.sum(error**2):
                return dict(lambda_) | new
            step /= 2.0
        return dict(lambda_)
