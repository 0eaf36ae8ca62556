"""NumPy with autograd: the reference. Imperative."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence

import autograd
import autograd.numpy as anp
import numpy as np
from autograd.core import VJPNode
from autograd.extend import notrace_primitive
from autograd.tracer import trace

from gradproof.reference_models import lstm
from gradproof.reference_models.ops import Array, LoopScan, Step

from .autograd_lstm import lstm_states
from .backend import Arrays, Build, Function, Names


class AutogradOps(LoopScan):
    """The array namespace on NumPy arrays and autograd's boxes."""

    def __init__(self) -> None:
        self.exp, self.log, self.tanh, self.square = anp.exp, anp.log, anp.tanh, anp.square
        self.where, self.sum, self.dot, self.transpose = anp.where, anp.sum, anp.dot, anp.transpose
        self.expand_dims, self.zeros_like = anp.expand_dims, anp.zeros_like

    def sigmoid(self, x: Array) -> Array:
        """Logistic function by tanh, which cannot overflow."""
        return 0.5 * (anp.tanh(0.5 * x) + 1.0)

    def concatenate(self, arrays: Sequence[Array], axis: int) -> Array:
        """Join along an axis."""
        return anp.concatenate(arrays, axis=axis)

    def stack(self, arrays: Sequence[Array], axis: int) -> Array:
        """Join along a new axis."""
        return anp.stack(arrays, axis=axis)

    def unstack(self, x: Array, axis: int, count: int) -> list[Array]:
        """Views, one for each index."""
        return [x[(slice(None),) * axis + (place,)] for place in range(count)]

    def take(self, table: Array, rows: Array) -> Array:
        """Rows of a table."""
        return table[rows]

    def logsumexp(self, x: Array, axis: int) -> Array:
        """Shifted by the largest entry, which cancels from value and gradient alike."""
        largest = _largest(x, axis)
        total = anp.sum(anp.exp(x - largest), axis=axis)
        return anp.log(total) + anp.squeeze(largest, axis=axis)

    def log_softmax(self, x: Array) -> Array:
        """Log probabilities over the last axis."""
        return x - anp.expand_dims(self.logsumexp(x, axis=-1), -1)

    def stop_gradient(self, x: Array) -> Array:
        """The value, outside the trace."""
        return _untraced(x)


class LayerOps(AutogradOps):
    """The same with an LSTM as one operation, for first derivatives."""

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
        """The first state after each step; in a loop unless the step is an LSTM's on these ops."""
        if not (isinstance(step, lstm.LSTMStep) and step.ops is self):
            return super().scan(step, sequences, states, constants, axis=axis, count=count)
        (gates, keep), (recurrent,) = sequences, constants
        return lstm_states(gates, recurrent, keep, *states)


@notrace_primitive
def _untraced(x: np.ndarray) -> np.ndarray:
    return x


@notrace_primitive
def _largest(x: np.ndarray, axis: int) -> np.ndarray:
    # The real part: a complex step through this code must not shift by its own imaginary part.
    return np.max(np.real(x), axis=axis, keepdims=True)


def _copies(arrays: Arrays) -> dict[str, np.ndarray]:
    # Neither a build that writes nor a result that is an argument may reach the caller's arrays.
    return {name: np.array(array) for name, array in arrays.items()}


class AutogradBackend:
    """Runs ``build`` under autograd's tracer at each call."""

    name = "autograd"

    def evaluate(self, build: Build, parameters: Arrays, inputs: Arrays) -> Function:
        """Values by plain NumPy."""

        def call(parameters: Arrays, inputs: Arrays) -> dict[str, np.ndarray]:
            values = build(AutogradOps(), _copies(parameters), _copies(inputs))
            return {name: np.asarray(value) for name, value in values.items()}

        return call

    def differentiate(
        self, build: Build, parameters: Arrays, inputs: Arrays, wrt: Names
    ) -> Function:
        """One reverse pass, with each LSTM as one operation."""

        def call(parameters: Arrays, inputs: Arrays) -> dict[str, np.ndarray]:
            known, given = _copies(parameters), _copies(inputs)

            def cost(traced: dict[str, Array]) -> Array:
                return build(LayerOps(), {**known, **traced}, given)

            with _independence_is_an_answer():
                return dict(autograd.grad(cost)({name: known[name] for name in wrt}))

        return call

    def differentiate_twice(
        self, build: Build, parameters: Arrays, inputs: Arrays, wrt: Names
    ) -> Function:
        """A reverse pass through a reverse pass."""

        def call(parameters: Arrays, inputs: Arrays) -> dict[str, np.ndarray]:
            copied, given = _copies(parameters), _copies(inputs)

            def cost(traced: dict[str, Array]) -> Array:
                return build(AutogradOps(), {**copied, **traced}, given)

            def slope(traced: dict[str, Array]) -> Array:
                gradient = autograd.grad(cost)(traced)
                return sum(anp.sum(gradient[name] * given[f"along.{name}"]) for name in wrt)

            with _independence_is_an_answer():
                return dict(autograd.grad(slope)({name: copied[name] for name in wrt}))

        return call

    def reach(self, build: Build, parameters: Arrays, inputs: Arrays) -> frozenset[str]:
        """Trace from one parameter at a time and see whether the values are boxed."""

        def reached(name: str) -> bool:
            def values(value: Array) -> Array:
                outputs = build(AutogradOps(), {**parameters, name: value}, inputs)
                return anp.concatenate([anp.ravel(output) for output in outputs.values()])

            return trace(VJPNode.new_root(), values, parameters[name])[1] is not None

        with _independence_is_an_answer():
            return frozenset(name for name in parameters if reached(name))


@contextlib.contextmanager
def _independence_is_an_answer() -> Iterator[None]:
    """Autograd warns of an output that no input reaches; its gradient is zero, as asked for."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Output seems independent of input")
        yield


def backend() -> AutogradBackend:
    """The backend of this module."""
    return AutogradBackend()
