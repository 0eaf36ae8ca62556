"""What one estimate costs: evaluations of a function, and gradients that come back to it.

Papers compare estimators of discrete latent variables at an equal number of evaluations of the
objective (Kool, van Hoof and Welling, 2019; Dong, Mnih and Tucker, 2020). The function is marked by
whoever knows it, and counted on every path, weighted by the path's probability.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from gradproof.errors import GradproofError
from gradproof.estimators.enumeration.estimator import Estimator
from gradproof.estimators.enumeration.limits import MOST_PATHS
from gradproof.estimators.enumeration.run import TooManyPaths, UnsupportedDraw
from gradproof.estimators.enumeration.stops import is_transformed

from .estimator import check_estimator
from .estimator_report import EstimatorReport

#: Options of a check that say how paths are run.
OF_PATHS = ("reset", "paths", "integrate", "exchangeable", "additive", "seed")

#: Paths on which passes are counted where numbers are integrated: the count is no smooth function,
#: and has to be the same at all nodes.
FEW = 250

#: The share of a squared number that its variance is by rounding of a rule's weights, some hundred.
ROUNDS = 1e-13


class NotCountable(GradproofError, ValueError):
    """An estimator whose evaluations cannot be counted."""


@dataclasses.dataclass(frozen=True)
class Passes:
    """The expected number of passes of one estimate.

    ``forward`` are evaluations of what :class:`CountedFunction` marks, and ``backward`` those to
    whose results a gradient came back; ``total`` is both together.
    """

    forward: float
    backward: float

    @property
    def total(self) -> float:
        """Forward and backward passes, of which each counts as one."""
        return self.forward + self.backward


class _Tally:
    """What one run has counted so far."""

    def __init__(self) -> None:
        self.forward = self.backward = 0.0


#: Of the run that is being counted.
_TALLY: ContextVar[_Tally | None] = ContextVar("_TALLY", default=None)


class CountedFunction:
    """A function whose evaluations are counted where estimators are compared: an objective, say.

    It does what the function does. With ``compare_estimators(..., costs="passes")`` each call is a
    forward pass, and each time that a gradient comes back to its result is a backward pass; what is
    detached has none, and neither has what does not depend on ``wrt`` where only that is
    differentiated by. Gradients are seen in PyTorch only. In NumPy the derivative is a function of
    its own, which can be marked too.

    Args:
        function: returns one array, tensor or number.
        evaluations: how many there are in one call, a number or a function of the call's arguments:
            ``len`` for a batch of samples. Default: 1.

    Raises:
        NotCountable: while passes are counted, for results of JAX, for several results, and within
            ``torch.func``: gradients that come back are not seen there.

    Reference: Dong, Mnih and Tucker (2020), DisARM, which compares estimators of two evaluations.
    """

    def __init__(
        self, function: Callable[..., Any], evaluations: float | Callable[..., float] = 1
    ) -> None:
        if not callable(function):
            raise TypeError(f"function = {function!r:.60}, expected a function to be counted")
        functools.update_wrapper(self, function)
        self._function, self._evaluations = function, evaluations

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the function returns."""
        tally = _TALLY.get()
        if tally is None:
            return self._function(*args, **kwargs)
        of_call = self._evaluations
        number = float(of_call(*args, **kwargs) if callable(of_call) else of_call)
        tally.forward += number  # before, for checkpoints leave a function before it returns
        result = self._function(*args, **kwargs)
        self._check(result, args, kwargs)
        return _observed(tally, result, number, (*args, *kwargs.values()))

    def _check(self, result: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        name = getattr(self, "__name__", type(self._function).__name__)
        for value in (*args, *kwargs.values(), result):
            if type(value).__module__.partition(".")[0] in ("jax", "jaxlib"):
                raise NotCountable(
                    f"{name} is evaluated by JAX, which compiles what it calls and shows neither "
                    "calls nor gradients: pass costs={name: number} for what estimates cost"
                )
        if isinstance(result, tuple | list | Mapping):
            raise NotCountable(
                f"{name} returns a {type(result).__name__}, expected one array, tensor or number: "
                "mark a function of one result, or pass costs={name: number}"
            )
        torch = sys.modules.get("torch")
        is_tensor = torch is not None and isinstance(result, torch.Tensor)
        if is_tensor and is_transformed(torch, result):
            raise NotCountable(
                f"{name} is evaluated within torch.func, where gradients that come back to it are "
                "not seen: differentiate by torch.autograd, or pass costs={name: number}"
            )


def _observed(tally: _Tally, result: Any, number: float, arguments: tuple[Any, ...]) -> Any:
    """The result, or the same of which it is seen when a gradient comes back to it."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(result, torch.Tensor) or not result.requires_grad:
        return result

    def came_back(_: Any) -> None:
        tally.backward += number

    if result.is_leaf or any(result is each for each in arguments):  # others use it too
        result = result.view_as(result)
    result.register_hook(came_back)
    return result


@contextlib.contextmanager
def _counting() -> Iterator[_Tally]:
    tally = _Tally()
    token = _TALLY.set(tally)
    try:
        yield tally
    finally:
        _TALLY.reset(token)


def expected_passes(
    estimate: Callable[..., Any], inputs: Sequence[Any], options: Mapping[str, Any]
) -> Passes:
    """The mean number of passes over all paths: an exact one, as the mean of a gradient is.

    Args:
        options: of the check of the estimator itself.

    Raises:
        NotCountable: if nothing was counted, paths have to be sampled, or numbers are integrated
            and the number of passes varies.
        Other errors: as :func:`.check_estimator`.
    """
    report = _count_on_paths(estimate, inputs, options)
    mean = sum(float(each) for each in report.mean.values())
    if report.method == "integrated" and report.total_variance > ROUNDS * mean**2:
        raise NotCountable(
            "the number of passes is not the same on all paths, and these were integrated: pass "
            "costs={name: number} for what estimates cost"
        )
    passes = Passes(float(report.mean["forward"]), float(report.mean["backward"]))
    if not passes.forward:
        raise NotCountable(
            "no evaluation was counted: mark the objective, f = CountedFunction(f), where the "
            "estimator calls it, or pass costs={name: number}"
        )
    return passes


def _count_on_paths(
    estimate: Callable[..., Any], inputs: Sequence[Any], options: Mapping[str, Any]
) -> EstimatorReport:
    """The report on the numbers of passes, as if they were gradients; its verdict says nothing."""
    reading = {key: options[key] for key in ("wrt", "returns") if key in options}
    estimator = Estimator(estimate, inputs, **reading)

    # What draws is an argument too, so that its generators are found.
    def count(*_: Any, _draws: Callable[..., Any] = estimate) -> dict[str, np.ndarray]:
        with _counting() as tally:
            estimator()
        return {"forward": np.array(tally.forward), "backward": np.array(tally.backward)}

    how = {key: value for key, value in options.items() if key in OF_PATHS}
    how |= {"exact": {"forward": np.array(0.0), "backward": np.array(0.0)}}
    how |= {"returns": "gradient", "batch": False, "progress": False}
    most = how.pop("paths", MOST_PATHS)
    try:
        if how.get("integrate") is not None:
            with contextlib.suppress(TooManyPaths):  # there may be more discrete outcomes
                return check_estimator(count, inputs, paths=min(FEW, most), **how)
        return check_estimator(count, inputs, paths=most, **how)
    except (UnsupportedDraw, TooManyPaths) as error:
        raise NotCountable(
            f"passes are counted on all paths, and these cannot be run ({error}); pass "
            "costs={name: number} for what estimates cost"
        ) from error
