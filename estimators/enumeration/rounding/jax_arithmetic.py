"""JAX's arithmetic, moved: every floating-point result of every primitive, both ways.

With compilation off, the primitives of a computation and of its derivative are evaluated one by
one, in one place: the trace that has concrete numbers. They are of the same kinds as PyTorch's
operations, but that hardly any of them is fused.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from ..patches import Patches
from . import partial_sums
from .name_rows import names
from .perturbation import Perturbation
from .ulps import FORMATS, ONE_AT_ZERO, all_whole, digits_of, move, raise_above, unrounded_places

#: Primitives that copy, choose or make numbers, or run others, and round nothing themselves.
EXACT = names(
    """
    abs all_gather all_to_all argmax argmin bitcast_convert_type broadcast_in_dim ceil checkpoint
    clamp complex concatenate conj copy copy_p cummax cummin custom_jvp_call custom_vjp_call
    debug_callback device_put dynamic_slice dynamic_update_slice empty empty2 expand_dims floor
    gather imag io_callback iota is_finite max min name neg nextafter optimization_barrier pad
    pbroadcast pmax pmin ppermute pure_callback pvary real reduce_max reduce_min
    reduce_window_max reduce_window_min rem remat remat2 reshape reshard rev rng_bit_generator
    rng_uniform round scatter select_and_gather_add select_n sharding_constraint sign slice sort
    split squeeze stage stop_gradient tie tile top_k transpose unstack with_sharding_constraint
    """
)

#: One rounding of an exact result, or nearly so.
ELEMENTWISE = names(
    """
    acos acosh add add_any asin asinh atan atan2 atanh cbrt cos cosh div erf erfc exp exp2 expm1
    integer_pow log log1p logistic mul pow rsqrt sin sinh sqrt square sub tan tanh
    """
)

#: Without rounding where whole numbers go in and come out.
WHOLE = names("add add_any cumsum dot_general mul reduce_sum square sub")

#: What is compiled is run step by step instead; the parameter that has the steps.
COMPILED = {"jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "core_call": "call_jaxpr"}

#: Code of its own, compiled as a whole, whose inside is not seen.
OPAQUE = names("cond ffi_call pallas_call scan shard_map while xla_pmap")

_FLOATING = {*FORMATS, "complex64", "complex128"}

_ACTIVE: ContextVar[_JaxArithmetic | None] = ContextVar("_ACTIVE", default=None)


#: Evaluates a primitive, given its arguments and parameters: its result, or a list of them.
Evaluate = Callable[[Any, Sequence[Any], dict[str, Any]], Any]


@contextmanager
def moved_jax(perturbation: Perturbation) -> Iterator[None]:
    """Move JAX's results, in this thread and context, until left; nothing is compiled meanwhile."""
    jax, trace = sys.modules["jax"], sys.modules["jax._src.core"].EvalTrace
    original = trace.process_primitive

    def process_primitive(self: Any, primitive: Any, args: Any, params: Any, /) -> Any:
        arithmetic, evaluate = _ACTIVE.get(), partial(original, self)
        if arithmetic is None or arithmetic.busy:
            return evaluate(primitive, args, params)
        return arithmetic.run(evaluate, primitive, args, params)

    token = _ACTIVE.set(_JaxArithmetic(perturbation))
    try:
        with Patches() as patches, jax.disable_jit():
            patches.attribute(trace, "process_primitive", process_primitive)
            yield
    finally:
        _ACTIVE.reset(token)


class _JaxArithmetic:
    """Evaluates every primitive by the rule for its kind."""

    def __init__(self, perturbation: Perturbation) -> None:
        self.perturbation = perturbation
        self.steps = perturbation.steps
        self.busy = False
        self.core = sys.modules["jax._src.core"]
        self.pxla = sys.modules["jax._src.interpreters.pxla"]
        self.array_type = sys.modules["jax"].Array

    def run(
        self, evaluate: Evaluate, primitive: Any, args: Sequence[Any], params: dict[str, Any]
    ) -> Any:
        """The primitive's result, moved."""
        name = primitive.name
        if name in EXACT or name.startswith("random_") or self.is_undecided(args):
            return evaluate(primitive, args, params)
        if name in COMPILED:
            steps = params[COMPILED[name]]
            with self.core.eval_context():
                return self.core.eval_jaxpr(
                    getattr(steps, "jaxpr", steps), getattr(steps, "consts", ()), *args
                )
        if name in OPAQUE:
            self.perturbation.unseen.add(name)
            return evaluate(primitive, args, params)
        self.busy = True  # what this class does itself is not moved
        try:
            return self.evaluate_rounded(evaluate, primitive, args, params)
        finally:
            self.busy = False

    def evaluate_rounded(
        self, evaluate: Evaluate, primitive: Any, args: Sequence[Any], params: dict[str, Any]
    ) -> Any:
        """The result of a primitive that rounds."""
        name = primitive.name
        if name in WHOLE and self.whole(args):
            result = evaluate(primitive, args, params)
            if self.whole([result]):
                return result
        if name in ("convert_element_type", "reduce_precision"):
            result = evaluate(primitive, args, params)
            digits = params.get("mantissa_bits", digits_of(result) - 1) + 1
            return result if digits >= digits_of(args[0]) else self.moved_copy(result)
        if name in ELEMENTWISE:
            result = evaluate(primitive, args, params)
            if name in ONE_AT_ZERO:
                still = np.equal(args[0], 0)
            else:
                still = unrounded_places(name, *args[:2]) if len(args) > 1 else None
            return self.moved_copy(result, still=still)
        plain = evaluate(primitive, args, params)
        if self.is_undecided([plain]):
            return plain
        if not any(
            isinstance(value, self.array_type) and value.dtype.name in _FLOATING
            for value in (plain if primitive.multiple_results else [plain])
        ):
            return plain  # what compares or counts
        grain = self.grain(args[0]) if name in ("dot_general", "conv_general_dilated") else 1
        inputs = [self.moved_copy(value, grain) for value in args]
        result = evaluate(primitive, inputs, params)
        if primitive.multiple_results:
            return [self.moved_copy(value) for value in result]
        drift = self.drift(evaluate, primitive, inputs, result, params)
        least = None
        if name == "reduce_sum" and digits_of(result):
            terms = np.asarray(args[0])
            if terms.size and terms.min() >= 0:
                least = terms.max(axis=tuple(params["axes"]))
        return self.moved_copy(result, drift=drift, least=least)

    def is_undecided(self, values: Sequence[Any]) -> bool:
        """Whether some are drawn numbers that have no value, of which rounding knows nothing."""
        return any(isinstance(value, self.core.Tracer) for value in values)

    def drift(
        self,
        evaluate: Evaluate,
        primitive: Any,
        args: Sequence[Any],
        result: Any,
        params: dict[str, Any],
    ) -> npt.NDArray[Any] | None:
        """What partial sums add to a sum; None for anything else, and for a few terms."""
        if not all(digits_of(value) for value in (*args, result)):
            return None  # of complex numbers, or mixed
        name, steps = primitive.name, self.steps
        if name == "reduce_sum":
            return partial_sums.drift_of_sum(_wide(args[0]), params["axes"], steps, False)
        if name == "cumsum":
            sums, axis = _wide(result), params["axis"]
            if not params["reverse"]:
                return partial_sums.drift_of_cumulative_sum(sums, axis, steps)
            flipped = np.flip(sums, axis)
            return np.flip(partial_sums.drift_of_cumulative_sum(flipped, axis, steps), axis)
        if name == "dot_general":
            left, right = _as_matrices(_wide(args[0]), _wide(args[1]), params)
            return partial_sums.drift_of_product(left, right, steps)
        if name == "conv_general_dilated":
            return self.drift_of_convolution(evaluate, primitive, args, params)
        return None

    def drift_of_convolution(
        self, evaluate: Evaluate, primitive: Any, args: Sequence[Any], params: dict[str, Any]
    ) -> npt.NDArray[Any] | None:
        """What partial sums over input features add; in the gradient these are the batch."""
        numbers = params["dimension_numbers"]
        left, right = numbers.lhs_spec[1], numbers.rhs_spec[1]
        count = args[1].shape[right]
        grouped = params["feature_group_count"] > 1 or params["batch_group_count"] > 1
        if count < partial_sums.FEWEST or grouped:
            return None
        blocks = math.isqrt(count)
        pairs = zip(
            np.array_split(np.asarray(args[0]), blocks, left),
            np.array_split(np.asarray(args[1]), blocks, right),
            strict=True,
        )
        jnp = sys.modules["jax"].numpy
        parts = [
            _wide(evaluate(primitive, [jnp.asarray(part) for part in pair], params))
            for pair in pairs
        ]
        running = np.cumsum(parts, axis=0)
        return partial_sums.drift_of_cumulative_sum(running, 0, self.steps)[-1]

    def moved_copy(
        self,
        value: Any,
        grain: int = 1,
        drift: npt.NDArray[Any] | None = None,
        least: npt.NDArray[Any] | None = None,
        still: npt.NDArray[Any] | None = None,
    ) -> Any:
        """A value moved, if it is an array of floating-point numbers.

        Drift is added before, nothing becomes smaller than ``least``, and where ``still`` is true
        nothing is moved.
        """
        if not isinstance(value, self.array_type):
            return value
        if value.dtype.name not in _FLOATING:
            return value
        values = np.array(value)
        if drift is not None:
            values = (_wide(values) + drift.reshape(values.shape)).astype(values.dtype)
        self.perturbation.record("jax", values.real.dtype.name)
        move(values, self.steps, grain)
        if least is not None:
            values = raise_above(values, least, 2.0 ** (1 - digits_of(value)))
        if still is not None and still.any():
            values = np.where(still, np.asarray(value), values)
        return self.array_like(values, value)

    def array_like(self, values: npt.NDArray[Any], like: Any) -> Any:
        """An array of JAX's, in all but its numbers like another."""
        devices = list(like.sharding.device_set)
        if len(devices) > 1:
            return sys.modules["jax"].device_put(values, like.sharding)
        return self.pxla.batched_device_put(like.aval, like.sharding, [values], devices)

    def whole(self, values: Sequence[Any]) -> bool:
        """Whether all are integers that stand for themselves."""
        for value in values:
            kind = getattr(getattr(value, "dtype", None), "kind", "")
            if isinstance(value, float) and not value.is_integer():
                return False
            if digits_of(value):
                if not all_whole(_wide(value), digits_of(value)):
                    return False
            elif kind and kind not in "iub":
                return False
        return True

    def grain(self, value: Any) -> int:
        """How many units of single precision a product on this device rounds its factors to."""
        platform = next(iter(value.devices())).platform if hasattr(value, "devices") else "cpu"
        if platform == "cpu" or digits_of(value) != FORMATS["float32"].digits:
            return 1
        precise = str(sys.modules["jax"].config.jax_default_matmul_precision)
        if precise in ("float32", "highest"):
            return 1
        return 1 << (16 if platform == "tpu" else 13)  # 7 digits are kept of 23, or 10


def _wide(value: Any) -> npt.NDArray[Any]:
    values = np.asarray(value)
    return values if values.dtype == np.float64 else values.astype(np.float32)


def _as_matrices(
    left: npt.NDArray[Any], right: npt.NDArray[Any], params: dict[str, Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    (left_summed, right_summed), (left_batch, right_batch) = params["dimension_numbers"]
    summed = math.prod(left.shape[axis] for axis in left_summed)
    batch = [left.shape[axis] for axis in left_batch]
    rows = [axis for axis in range(left.ndim) if axis not in (*left_summed, *left_batch)]
    columns = [axis for axis in range(right.ndim) if axis not in (*right_summed, *right_batch)]
    first = left.transpose([*left_batch, *rows, *left_summed])
    second = right.transpose([*right_batch, *right_summed, *columns])
    return (
        first.reshape([*batch, math.prod(left.shape[axis] for axis in rows), summed]),
        second.reshape([*batch, summed, math.prod(right.shape[axis] for axis in columns)]),
    )
