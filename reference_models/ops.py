"""The array namespace that models are written against.

A model never imports a framework. It receives an ``ops`` object with NumPy's names and writes its
forward pass once; what then differs between two frameworks is how they differentiate and how they
hold a value constant, which is what gradproof verifies.

Sizes are Python integers, known when the model is built (a symbolic framework compiles for them),
so models take them from the batch and the parameters, never from an array's ``shape``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

#: An array of whichever framework is running: NumPy's, an autograd box, a tensor, a variable.
#: ``Any`` on purpose: no static type is common to all of them.
Array = Any


class Ops(Protocol):
    """Array functions with NumPy's names and meaning; axes may be negative."""

    def exp(self, x: Array) -> Array:
        """Elementwise exponential."""

    def log(self, x: Array) -> Array:
        """Elementwise natural logarithm."""

    def tanh(self, x: Array) -> Array:
        """Elementwise hyperbolic tangent."""

    def sigmoid(self, x: Array) -> Array:
        """Elementwise logistic function, without overflow."""

    def square(self, x: Array) -> Array:
        """Elementwise square."""

    def where(self, condition: Array, x: Array, y: Array) -> Array:
        """Elementwise choice; ``condition`` is boolean."""

    def sum(self, x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
        """Sum over one axis, or over all of them."""

    def dot(self, x: Array, matrix: Array) -> Array:
        """Contract the last axis of ``x`` (..., D) with the first of ``matrix`` (D, E)."""

    def transpose(self, matrix: Array) -> Array:
        """Transpose of a matrix."""

    def expand_dims(self, x: Array, axis: int) -> Array:
        """Insert an axis of length one that broadcasts."""

    def concatenate(self, arrays: Sequence[Array], axis: int) -> Array:
        """Join arrays along an existing axis."""

    def stack(self, arrays: Sequence[Array], axis: int) -> Array:
        """Join arrays along a new axis."""

    def unstack(self, x: Array, axis: int, count: int) -> list[Array]:
        """The ``count`` arrays along an axis, without it: the inverse of ``stack``."""

    def take(self, table: Array, rows: Array) -> Array:
        """Rows of ``table`` (V, D) at integer ``rows`` (...): shape (..., D)."""

    def zeros_like(self, x: Array) -> Array:
        """Zeros of the shape and dtype of ``x``."""

    def logsumexp(self, x: Array, axis: int) -> Array:
        """log sum exp over an axis, without overflow; entries of minus infinity are allowed."""

    def log_softmax(self, x: Array) -> Array:
        """``x - logsumexp(x)`` over the last axis."""

    def stop_gradient(self, x: Array) -> Array:
        """``x`` held constant: the same value, through which no gradient flows.

        Theano: a separate node named in ``consider_constant``. PyTorch: ``detach``. autograd: a
        function that is not traced.
        """
