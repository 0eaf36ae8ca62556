"""The array namespace that models are written against.

A model never imports a framework. It receives an ``ops`` object with NumPy's names and writes its
forward pass once; what then differs between two frameworks is how they differentiate and how they
hold a value constant, which is what gradproof verifies.

Sizes are Python integers, known when the model is built (a symbolic framework compiles for them),
so models take them from the batch and the parameters, never from an array's ``shape``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

#: An array of whichever framework is running: NumPy's, an autograd box, a tensor, a variable.
#: ``Any`` on purpose: no static type is common to all of them.
Array = Any


#: One step of a scan: ``step(*slices, *states, *constants)`` gives the states after it.
Step = Callable[..., Sequence[Array]]


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

    def scan(
        self,
        step: Step,
        sequences: Sequence[Array],
        states: Sequence[Array],
        constants: Sequence[Array],
        *,
        axis: int,
        count: int,
    ) -> Array:
        """The first state after each of ``count`` steps, stacked along ``axis``.

        Theano: ``theano.scan``, a graph of one size whatever the count. Elsewhere: a loop.

        Args:
            step: takes the slices of the sequences along ``axis``, without it, then the states,
                then the constants, and returns the states after the step, of the same shapes.
            sequences: arrays with ``count`` entries along ``axis``.
            states: before the first step.
            constants: whatever else a step needs; a step must reach no other array.
        """

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


class LoopScan:
    """``scan`` as a Python loop, for frameworks that run at once, and as a second witness."""

    def scan(
        self: Ops,
        step: Step,
        sequences: Sequence[Array],
        states: Sequence[Array],
        constants: Sequence[Array],
        *,
        axis: int,
        count: int,
    ) -> Array:
        """The first state after each step, stacked."""
        slices = [self.unstack(sequence, axis, count) for sequence in sequences]
        firsts = []
        for inputs in zip(*slices, strict=True):
            states = step(*inputs, *states, *constants)
            firsts.append(states[0])
        return self.stack(firsts, axis)
