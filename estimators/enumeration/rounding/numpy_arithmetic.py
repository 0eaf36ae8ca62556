"""NumPy's arithmetic, moved: every floating-point result that is computed from what is observed."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any

import numpy as np
import numpy.typing as npt

from ..patches import Patches
from . import partial_sums
from .name_rows import names
from .numpy_rules import (
    COMPARISONS,
    ELEMENTWISE,
    EXACT_FUNCTIONS,
    EXACT_UFUNCS,
    MADE_OF_OTHERS,
    SHORT,
    WHOLE,
)
from .observed import (
    ACTIVE,
    SCALARS,
    ObservedArray,
    is_observed,
    observed,
    plain,
    without_observing,
)
from .perturbation import Perturbation
from .ulps import ONE_AT_ZERO, all_whole, digits_of, moved_copy, raise_above, unrounded_places

#: Functions of NumPy's that make arrays. In other people's code they make observed ones, since what
#: is written into an array that is not observed is lost from sight.
MAKERS = names(
    """
    arange array asarray ascontiguousarray empty empty_like eye full full_like identity linspace
    ones ones_like zeros zeros_like
    """
)

#: Whose own code is given arrays of NumPy's own type, but for those that it makes of observed ones.
FRAMEWORKS = names(
    """
    flax jax jaxlib matplotlib numpy optax pandas pytensor scipy theano torch
    """
)

#: The package that this is part of, which looks at numbers and must not go on moving them.
OURS = __name__.partition(".")[0]

#: Functions of Python's on floats, and the ufuncs that compute the same.
MATH = {
    "acos": np.arccos, "acosh": np.arccosh, "asin": np.arcsin, "asinh": np.arcsinh,
    "atan": np.arctan, "atan2": np.arctan2, "atanh": np.arctanh, "cos": np.cos, "cosh": np.cosh,
    "exp": np.exp, "expm1": np.expm1, "fabs": np.fabs, "hypot": np.hypot, "log": np.log,
    "log10": np.log10, "log1p": np.log1p, "log2": np.log2, "pow": np.power, "sin": np.sin,
    "sinh": np.sinh, "sqrt": np.sqrt, "tan": np.tan, "tanh": np.tanh,
}  # fmt: skip


@contextmanager
def moved_numpy(perturbation: Perturbation) -> Iterator[None]:
    """Move what is computed from observed arrays and scalars, in this context, until left."""
    _tell_autograd()
    token = ACTIVE.set(_NumpyArithmetic(perturbation))
    try:
        with Patches() as patches:
            for name in MAKERS:
                patches.attribute(np, name, _observed_maker(getattr(np, name)))
            for name, ufunc in MATH.items():
                patches.attribute(math, name, _math_function(getattr(math, name), ufunc))
            yield
    finally:
        ACTIVE.reset(token)


def _observed_maker(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def make(*args: Any, **kwargs: Any) -> Any:
        if ACTIVE.get() is None:
            return original(*args, **kwargs)
        with without_observing():  # what becomes a part of an array is not lost
            result = original(*args, **kwargs)
        if type(result) is not np.ndarray:
            return result
        caller = str(sys._getframe(1).f_globals.get("__name__")).partition(".")[0]
        if caller == OURS or (caller in FRAMEWORKS and not (args and is_observed(args[0]))):
            return result
        return observed(result)

    return make


def _math_function(original: Callable[..., Any], ufunc: np.ufunc) -> Callable[..., Any]:
    @wraps(original)
    def compute(*args: Any) -> Any:
        if ACTIVE.get() is None or not any(is_observed(value) for value in args):
            return original(*args)
        if len(args) > ufunc.nin:  # a logarithm and its base
            return ufunc(args[0]) / ufunc(args[1])
        return ufunc(*args)

    return compute


def _tell_autograd() -> None:
    """Let HIPS autograd differentiate what is observed as it differentiates NumPy's own."""
    boxes = sys.modules.get("autograd.numpy.numpy_boxes")
    spaces = sys.modules.get("autograd.numpy.numpy_vspaces")
    if boxes is None or spaces is None:
        return

    def space(value: Any) -> Any:
        return (spaces.ComplexArrayVSpace if np.iscomplexobj(value) else spaces.ArrayVSpace)(value)

    for kind in (ObservedArray, *SCALARS.values()):
        if kind not in boxes.Box.type_mappings:
            boxes.ArrayBox.register(kind)
            spaces.VSpace.register(kind, space)


class _NumpyArithmetic:
    """Answers what NumPy asks the types of observed arrays and scalars."""

    def __init__(self, perturbation: Perturbation) -> None:
        self.perturbation = perturbation
        self.steps = perturbation.steps

    def lose(self, name: str) -> None:
        """Note that a number is made one of Python's own, by this function."""
        self.perturbation.unseen.add(name)

    # Ufuncs: arguments and results are plain

    def ufunc(
        self, ufunc: np.ufunc, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """The moved result of a method of a ufunc."""
        name = ufunc.__name__
        call = partial(getattr(ufunc, method), **kwargs)
        if name in EXACT_UFUNCS or name in COMPARISONS:
            return call(*args)
        if method == "at":
            return self.move_at(ufunc, *args)
        if name in WHOLE and _is_whole(args):
            result = call(*args)
            if _is_whole((result,)):
                return result
            if method == "__call__" and name in ELEMENTWISE:
                return self.moved_result(result, kwargs)
        if method in ("__call__", "outer") and name in ELEMENTWISE:
            return self.elementwise(name, call, args, kwargs)
        inputs = tuple(self.moved_copy(value) for value in args)
        result, drift = call(*inputs), None
        real = digits_of(result) and digits_of(inputs[0])
        if not real or kwargs.get("where", True) is not True:
            return self.moved_result(result, kwargs)  # complex, integer or masked
        if name == "add" and method == "reduce":
            return self.sum(np.asarray(args[0]), inputs[0], result, kwargs)
        if name == "add" and method == "accumulate":
            axis = kwargs.get("axis", 0)
            drift = partial_sums.drift_of_cumulative_sum(_wide(result), axis, self.steps)
        if name == "matmul":
            drift = self.drift_of_product(*inputs)
        return self.moved_result(result, kwargs, drift)

    def elementwise(
        self, name: str, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """A result that is moved but where it is known to be exact."""
        still = np.equal(args[0], 0) if name in ONE_AT_ZERO else None
        if name in SHORT and getattr(call, "func", call).__name__ != "outer":
            still = unrounded_places(SHORT[name], *args[:2])
        result = call(*args)
        values = self.moved_result(result, {})
        if still is not None and still.any():
            values = np.where(still, result, values).astype(result.dtype)[()]
        return self.write(values, result, kwargs)

    def move_at(self, ufunc: np.ufunc, target: Any, places: Any, *values: Any) -> None:
        """In place, at some places; what was not written to stays."""
        before = np.array(target)
        ufunc.at(target, places, *(self.moved_copy(value) for value in values))
        np.copyto(target, self.moved_copy(target), where=target != before)

    def sum(self, terms: Any, moved: Any, result: Any, kwargs: dict[str, Any]) -> Any:
        """The sum of moved terms: its partial sums and itself are moved.

        Terms that are not negative add up to no less than the largest of them.
        """
        axis = kwargs.get("axis", 0)
        axes = tuple(range(terms.ndim)) if axis is None else np.atleast_1d(plain(axis)).tolist()
        if math.prod(terms.shape[place] for place in axes) <= 1:
            return result
        # Pairs are formed along the last axis only.
        pairwise = terms.ndim - 1 in axes or -1 in axes
        drift = partial_sums.drift_of_sum(_wide(moved), axes, self.steps, pairwise)
        result = self.moved_result(result, kwargs, drift)
        if terms.size and terms.min() >= 0:
            least = terms.max(axis=tuple(axes), keepdims=kwargs.get("keepdims", False))
            values = raise_above(result, least, np.finfo(result.dtype).eps)[()]
            result = self.write(values, result, kwargs)
        return result

    def drift_of_product(self, left: Any, right: Any) -> npt.NDArray[Any] | None:
        """What partial sums add to a product of matrices or vectors."""
        first, second = _wide(left), _wide(right)
        return partial_sums.drift_of_product(
            first[None, :] if first.ndim == 1 else first,
            second[:, None] if second.ndim == 1 else second,
            self.steps,
        )

    # Other functions: arguments and results are observed

    def function(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The moved result of any function but a ufunc."""
        name = function.__name__
        if function in (np.ndarray.mean, np.ndarray.var, np.ndarray.std):
            return getattr(self, name)(*args, **kwargs)
        if name in MADE_OF_OTHERS:
            return function._implementation(*args, **kwargs)
        values, keywords = plain(args), plain(kwargs)
        if name == "astype":
            result = function(*values, **keywords)
            narrower = 0 < digits_of(result) < digits_of(values[0])
            return observed(self.moved_copy(result) if narrower else result)
        if name in EXACT_FUNCTIONS:
            return _observe_result(function(*values, **keywords), kwargs)
        values = tuple(self.moved_copy(value) for value in values)
        result = function(*values, **keywords)
        drift = None
        if name == "dot" and all(digits_of(value) and np.ndim(value) in (1, 2) for value in values):
            drift = self.drift_of_product(*values[:2])
        return _observe_result(self.moved_result(result, keywords, drift), kwargs)

    def mean(
        self, x: Any, axis: Any = None, dtype: Any = None, out: Any = None, **more: Any
    ) -> Any:
        """As ``ndarray.mean``."""
        if out is not None or set(more) - {"keepdims"} or x.dtype == np.float16:
            result = x.view(np.ndarray).mean(axis, dtype, out, **more)
            return observed(self.moved_result(result, {}))
        total = x.sum(axis, dtype, **more)
        return total / (x.size / total.size if total.size else 1)

    def var(
        self, x: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0,
        keepdims: bool = False, **more: Any,
    ) -> Any:  # fmt: skip
        """As ``ndarray.var``."""
        if out is not None or more or dtype is not None or x.dtype.kind == "c":
            values = self.moved_copy(x.view(np.ndarray))
            result = values.var(axis, dtype, out, ddof, keepdims, **more)
            return observed(self.moved_result(result, {}))
        apart = x - x.mean(axis, keepdims=True)
        total = (apart * apart).sum(axis, keepdims=keepdims)
        return total / max(0, x.size / max(1, total.size) - ddof)

    def std(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """As ``ndarray.std``."""
        return np.sqrt(self.var(x, *args, **kwargs))

    # What rules are made of

    def moved_copy(self, value: Any) -> Any:
        """A moved copy of what holds floating-point numbers, also within lists and tuples."""
        if type(value) in (list, tuple):
            return type(value)(self.moved_copy(item) for item in value)
        if not isinstance(value, (np.ndarray, np.generic)) or value.dtype.kind not in "fc":
            return value
        self.perturbation.record("numpy", value.real.dtype.name)
        return moved_copy(np.asarray(value), self.steps)[()]

    def moved_result(
        self, result: Any, kwargs: dict[str, Any], drift: npt.NDArray[Any] | None = None
    ) -> Any:
        """A result moved; drift is added before."""
        if isinstance(result, (list, tuple)):
            parts = [self.moved_result(part, kwargs) for part in result]
            return type(result)(*parts) if hasattr(result, "_fields") else type(result)(parts)
        if not isinstance(result, (np.ndarray, np.generic)) or result.dtype.kind not in "fc":
            return result
        if drift is not None:
            shifted = (_wide(result) + drift.reshape(result.shape)).astype(result.dtype)
            return self.write(self.moved_copy(shifted), result, kwargs)
        return self.write(self.moved_copy(result), result, kwargs)

    def write(self, values: Any, result: Any, kwargs: dict[str, Any]) -> Any:
        """Values, written to the array in which the result was wanted, if there is one."""
        if kwargs.get("out") is None:
            return values
        np.copyto(result, values, where=kwargs.get("where", True))
        return result


def _observe_result(result: Any, kwargs: dict[str, Any]) -> Any:
    if kwargs.get("out") is not None:
        return kwargs["out"]
    if isinstance(result, (list, tuple)):
        parts = [_observe_result(part, {}) for part in result]
        return type(result)(*parts) if hasattr(result, "_fields") else type(result)(parts)
    return observed(result)


def _wide(value: Any) -> npt.NDArray[Any]:
    values = np.ndarray.view(value) if isinstance(value, np.ndarray) else np.array(value)
    return values.astype(np.float32) if values.dtype == np.float16 else values


def _is_whole(values: tuple[Any, ...]) -> bool:
    for value in values:
        if isinstance(value, (bool, int)):
            continue
        if isinstance(value, float) and not isinstance(value, np.generic):
            if not value.is_integer():
                return False
            continue
        if not isinstance(value, (np.ndarray, np.generic)):
            return False
        array = value if isinstance(value, np.ndarray) else np.array(value)
        if not all_whole(array, digits_of(value) or 53):
            return False
    return True
