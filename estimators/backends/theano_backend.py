"""Theano 1.0.5: stop-gradients by ``theano.grad(consider_constant=[...])``. Symbolic."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradproof.reference_models.ops import Array, LoopScan, Step

from .backend import Arrays, BackendMissing, Build, Function, Names

#: No C compiler and no BLAS of Theano's own: an LSTM's gradient compiles in seconds instead of
#: minutes, and no compiler need be there. No record of where each node was made, which costs a
#: tenth of the time. Flags that the caller has set are left alone.
FLAGS = "blas.ldflags=,mode=FAST_COMPILE,cxx=,traceback.limit=0"


class TheanoOps:
    """The array namespace on symbolic variables.

    Theano broadcasts only axes known to have length one, so each function keeps that knowledge.
    ``held`` lists the nodes that :meth:`hold` made, for ``consider_constant``.
    """

    def __init__(self, theano: Any) -> None:
        self.theano, self._tensor = theano, theano.tensor
        self.held: list[Any] = []
        tensor = theano.tensor
        self.exp, self.log, self.tanh, self.square = tensor.exp, tensor.log, tensor.tanh, tensor.sqr
        self.where, self.sum, self.zeros_like = tensor.switch, tensor.sum, tensor.zeros_like

    def sigmoid(self, x: Array) -> Array:
        """By tanh: Theano's own is cut to 0 and 1 beyond 30, an error of 1e-13."""
        return 0.5 * (self._tensor.tanh(0.5 * x) + 1.0)

    def dot(self, x: Array, matrix: Array) -> Array:
        """Contract the last axis with the first."""
        pattern = (*x.broadcastable[:-1], *matrix.broadcastable[1:])
        return self._tensor.patternbroadcast(self._tensor.dot(x, matrix), pattern)

    def transpose(self, matrix: Array) -> Array:
        """Transpose of a matrix."""
        return matrix.T

    def expand_dims(self, x: Array, axis: int) -> Array:
        """A broadcasting axis."""
        place = axis if axis >= 0 else x.ndim + 1 + axis
        return x.dimshuffle(*range(place), "x", *range(place, x.ndim))

    def concatenate(self, arrays: Sequence[Array], axis: int) -> Array:
        """Join along an axis."""
        return self._tensor.concatenate(arrays, axis=axis)

    def stack(self, arrays: Sequence[Array], axis: int) -> Array:
        """Join along a new axis."""
        return self._tensor.stack(arrays, axis=axis)

    def unstack(self, x: Array, axis: int, count: int) -> list[Array]:
        """Slices, one for each index."""
        return [x[(slice(None),) * axis + (place,)] for place in range(count)]

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
        """``theano.scan``, strict: what a step reaches beside its arguments is an error."""
        broadcast = [state.broadcastable for state in states]

        def checked(*arguments: Array) -> list[Array]:
            # A scan's states keep their type, and sums forget which axes have length one.
            return list(map(self._tensor.patternbroadcast, step(*arguments), broadcast))

        found, _ = self.theano.scan(
            checked,
            sequences=[_moved(sequence, axis, 0) for sequence in sequences],
            outputs_info=list(states),
            non_sequences=list(constants),
            n_steps=count,
            strict=True,
        )
        first = self._tensor.patternbroadcast(found[0], (count == 1, *broadcast[0]))
        return _moved(first, 0, axis)

    def take(self, table: Array, rows: Array) -> Array:
        """Rows of a table, by the one-index gather, whose gradient needs no compiler."""
        rows = self._tensor.as_tensor_variable(rows)
        shape = self._tensor.concatenate([rows.shape, table.shape[1:]])
        picked = self._tensor.reshape(table[rows.flatten()], shape, ndim=rows.ndim + table.ndim - 1)
        pattern = (*rows.broadcastable, *table.broadcastable[1:])
        return self._tensor.patternbroadcast(picked, pattern)

    def logsumexp(self, x: Array, axis: int) -> Array:
        """Shifted by the largest entry, which cancels from value and gradient alike."""
        largest = self.theano.gradient.disconnected_grad(
            self._tensor.max(x, axis=axis, keepdims=True)
        )
        total = self._tensor.sum(self._tensor.exp(x - largest), axis=axis, keepdims=True)
        return self._tensor.sum(self._tensor.log(total) + largest, axis=axis)

    def log_softmax(self, x: Array) -> Array:
        """Log probabilities over the last axis."""
        return x - self.expand_dims(self.logsumexp(x, axis=-1), -1)

    def sample_one_hot(self, log_q: Array, seed: int) -> Array:
        """A label of each sentence drawn in the graph by Theano's generator: one-hot (N, K)."""
        streams = self.theano.sandbox.rng_mrg.MRG_RandomStreams(seed)
        return streams.multinomial(pvals=self._tensor.exp(log_q), dtype=log_q.dtype)

    def stop_gradient(self, x: Array) -> Array:
        """A node of its own, to be named in ``consider_constant``.

        Theano matches nodes, not values: naming ``x`` itself would cut every path through ``x``
        (claim ``constant.theano``).
        """
        node = self._tensor.as_tensor_variable(x).copy()
        self.held.append(node)
        return node


class UnrolledTheanoOps(LoopScan, TheanoOps):
    """The same with a scan as so many copies of its step: a second witness of short sentences."""


def _moved(x: Array, source: int, target: int) -> Array:
    """``x`` with one axis in another place."""
    axes = [axis for axis in range(x.ndim) if axis != source]
    return x.dimshuffle(*axes[:target], source, *axes[target:])


class TheanoBackend:
    """Builds a graph for the shapes given, compiles it, and calls it."""

    name = "theano"

    def __init__(self, theano: Any, ops: type[TheanoOps] = TheanoOps) -> None:
        self.theano, self._ops = theano, ops

    def unrolled(self) -> TheanoBackend:
        """The same with no scan in its graphs, for sentences of a dozen tokens at most."""
        return TheanoBackend(self.theano, UnrolledTheanoOps)

    def variables(self, arrays: Arrays) -> dict[str, Any]:
        """An input variable for each array, broadcasting where its axes have length one."""
        return {
            name: self.theano.tensor.TensorType(
                np.asarray(array).dtype, [size == 1 for size in np.shape(array)]
            )(name)
            for name, array in arrays.items()
        }

    def precision(self, parameters: Arrays) -> contextlib.AbstractContextManager[Any]:
        """Where numbers in a model, log K say, have the precision of its parameters.

        Theano makes float64 of a number that float32 does not hold exactly, and of all after it.
        """
        dtypes = {np.asarray(array).dtype.name for array in parameters.values()}
        if dtypes == {"float32"} and self.theano.config.cast_policy == "custom":
            return self.theano.scalar.autocast_float_as("float32")
        return contextlib.nullcontext()

    def compile(
        self, parameters: dict[str, Any], inputs: dict[str, Any], outputs: dict[str, Any]
    ) -> Function:
        """``theano.function`` with arguments by name and results by name."""
        function = self.theano.function(
            [*parameters.values(), *inputs.values()],
            list(outputs.values()),
            on_unused_input="ignore",  # a term may need neither every parameter nor every input
        )

        def call(parameters_now: Arrays, inputs_now: Arrays) -> dict[str, np.ndarray]:
            arguments = [parameters_now[name] for name in parameters]
            arguments += [inputs_now[name] for name in inputs]
            return dict(zip(outputs, map(np.asarray, function(*arguments)), strict=True))

        return call

    def evaluate(self, build: Build, parameters: Arrays, inputs: Arrays) -> Function:
        """Compile the values."""
        symbols, symbolic_inputs = self.variables(parameters), self.variables(inputs)
        with self.precision(parameters):
            values = build(self._ops(self.theano), symbols, symbolic_inputs)
        return self.compile(symbols, symbolic_inputs, values)

    def differentiate(
        self, build: Build, parameters: Arrays, inputs: Arrays, wrt: Names
    ) -> Function:
        """One ``theano.grad`` with every stop-gradient in ``consider_constant``."""
        ops = self._ops(self.theano)
        symbols, symbolic_inputs = self.variables(parameters), self.variables(inputs)
        with self.precision(parameters):
            cost = build(ops, symbols, symbolic_inputs)
            gradients = self.gradient(
                cost, {name: symbols[name] for name in wrt}, consider_constant=ops.held
            )
        return self.compile(symbols, symbolic_inputs, gradients)

    def differentiate_twice(
        self, build: Build, parameters: Arrays, inputs: Arrays, wrt: Names
    ) -> Function:
        """``theano.grad`` of what it gave, with the same nodes in ``consider_constant``.

        Steps are written out, for sentences of a dozen tokens at most: Theano's second derivative
        of a scan is wrong where more than the last state enters the cost.
        """
        ops = UnrolledTheanoOps(self.theano)
        symbols, symbolic_inputs = self.variables(parameters), self.variables(inputs)
        by = {name: symbols[name] for name in wrt}
        with self.precision(parameters):
            cost = build(ops, symbols, symbolic_inputs)
            first = self.gradient(cost, by, consider_constant=ops.held)
            slope = sum((first[name] * symbolic_inputs[f"along.{name}"]).sum() for name in wrt)
            # A parameter that the first derivatives do not depend on, or only by what is held.
            second = self.gradient(slope, by, consider_constant=ops.held, disconnected="ignore")
        return self.compile(symbols, symbolic_inputs, second)

    def gradient(
        self,
        cost: Any,
        symbols: dict[str, Any],
        *,
        consider_constant: list[Any],
        disconnected: str = "raise",
    ) -> dict[str, Any]:
        """Symbolic gradients by name.

        Args:
            disconnected: ``raise``, or ``ignore`` for zeros.

        Raises:
            theano.gradient.DisconnectedInputError: if a parameter is in the computation of the cost
                and holding cut it off.
        """
        ancestors = set(self.theano.gof.graph.inputs([cost]))
        wrt = {name: symbol for name, symbol in symbols.items() if symbol in ancestors}
        found = self.theano.grad(
            cost,
            list(wrt.values()),
            consider_constant=consider_constant,
            disconnected_inputs=disconnected,
        )
        gradients = dict(zip(wrt, found, strict=True))
        return {
            name: gradients.get(name, self.theano.tensor.zeros_like(symbol))
            for name, symbol in symbols.items()
        }

    def reach(self, build: Build, parameters: Arrays, inputs: Arrays) -> frozenset[str]:
        """The parameters among the ancestors of the values, past no stop-gradient."""
        ops, symbols = self._ops(self.theano), self.variables(parameters)
        values = build(ops, symbols, self.variables(inputs))
        ancestors = set(self.theano.gof.graph.inputs(list(values.values()), ops.held))
        return frozenset(name for name, symbol in symbols.items() if symbol in ancestors)


def backend() -> TheanoBackend:
    """The backend of this module.

    Raises:
        BackendMissing: if Theano cannot be imported beside the NumPy that is installed.
    """
    flags = os.environ.setdefault("THEANO_FLAGS", FLAGS)
    # Theano's C loop for scan does not compile on CPython 3.11; without it scan uses a Python loop.
    if "theano" not in sys.modules:
        sys.modules.setdefault("theano.scan_module.scan_perform_ext", None)  # type: ignore[arg-type]
    # It logs that it has no BLAS of its own, which FLAGS asks of it.
    logging.getLogger("theano.tensor.blas").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Theano warns of the missing compiler that FLAGS asks it to do without, and of aliases
            # that NumPy has deprecated since; neither is for the reader of a verdict.
            warnings.simplefilter("ignore")
            import theano
            import theano.gpuarray  # scan imports it later, outside of this block
            import theano.sandbox.rng_mrg
            import theano.tensor
    except Exception as error:  # Theano fails in many ways beside a newer NumPy, or with odd flags
        fault = f"theano is installed but cannot be imported with NumPy {np.__version__}"
        needs = (
            "it needs numpy==1.23.5, scipy<1.11 and setuptools<81 on CPython 3.11: "
            "pip install 'gradproof[theano]'"
        )
        if flags != FLAGS:
            fault += f" and THEANO_FLAGS={flags}"
            needs = (
                "unset THEANO_FLAGS, or put blas.ldflags=,cxx= in it, so that Theano asks for no "
                f"BLAS and no C compiler; mend the other flags; if it fails all the same, {needs}"
            )
        raise BackendMissing(f"{fault}: {type(error).__name__}: {error}; {needs}") from error
    return TheanoBackend(theano)
