"""What a row of the catalogue is: an estimator that is right, or wrong in a way that was seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Problem:
    """An estimator, freshly made, and what its mean should be; arguments of ``check_estimator``.

    Args:
        surrogate: takes ``inputs`` and returns the number that is differentiated, for those who
            would give it to a checker of derivatives; None if the estimator has none.
        integrate: how well its mean is integrated over continuous numbers that it uses; None: it
            uses none, and is enumerated.
    """

    estimate: Callable[..., Any]
    inputs: tuple[Any, ...]
    exact: Any = None
    objective: Callable[..., Any] | None = None
    wrt: Any = None
    reset: Callable[[], object] | None = None
    surrogate: Callable[..., Any] | None = None
    integrate: float | None = None

    def options(self) -> Mapping[str, Any]:
        """Keywords for ``check_estimator``."""
        given = {
            "exact": self.exact,
            "objective": self.objective,
            "wrt": self.wrt,
            "integrate": self.integrate,
        }
        return {key: value for key, value in given.items() if value is not None} | (
            {"reset": self.reset} if self.reset is not None else {}
        )


@dataclasses.dataclass(frozen=True)
class BenchmarkRow:
    """One estimator.

    Args:
        id: a name, the same in each framework that has it.
        framework: ``torch``, ``numpy`` (with gradients by hand or autograd), ``jax``, ``theano``.
        right: whether it is unbiased.
        statement: what is wrong with it, or why it is right, in a line.
        source: where it was seen: a library and version, an issue, a paper.
        make: a problem with nothing in it that an earlier one has touched.
        sees: what shows that it is wrong: ``mean``, or where the mean over all paths is right or
            cannot be had, ``variance``, ``sampler`` (only draws by the framework's own generator
            show it), ``reach`` (a parameter without a gradient), ``state`` or ``identity``.
        raises: what a check of its mean raises instead of a verdict.
        direction: where a wrong mean points: ``proportional`` to the gradient, ``zero``, or it
            ``differs``; None: the row does not say.
        factor: what the gradient is multiplied by where the mean is proportional to it.
        is_intended: whether people want it so, as where a bias buys less variance.
    """

    id: str
    framework: str
    right: bool
    statement: str
    source: str
    make: Callable[[], Problem]
    sees: str = "mean"
    raises: type[Exception] | None = None
    direction: str | None = None
    factor: float | None = None
    is_intended: bool = False

    @property
    def key(self) -> str:
        """``framework/id``."""
        return f"{self.framework}/{self.id}"


#: What makes a problem, by framework.
Makes = Mapping[str, Callable[[], Problem]]


def right(id: str, statement: str, source: str, makes: Makes) -> tuple[BenchmarkRow, ...]:
    """An unbiased estimator, a row for each framework."""
    return tuple(
        BenchmarkRow(id, name, True, statement, source, make) for name, make in makes.items()
    )


def wrong(
    id: str,
    statement: str,
    source: str,
    makes: Makes,
    sees: str = "mean",
    raises: type[Exception] | None = None,
    *,
    direction: str | None = None,
    factor: float | None = None,
    is_intended: bool = False,
) -> tuple[BenchmarkRow, ...]:
    """A bug, or what differs from the gradient on purpose, a row for each framework."""
    rest = sees, raises, direction, factor, is_intended
    return tuple(
        BenchmarkRow(id, name, False, statement, source, make, *rest)
        for name, make in makes.items()
    )
