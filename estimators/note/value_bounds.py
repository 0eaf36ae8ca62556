"""How far rounding alone can move a result: the bound that every exact comparison uses.

A first-order bound: each of R rounded operations adds at most one unit roundoff u of the largest
magnitude that passes through it. R is counted while the model runs; magnitudes come from the
per-label scores and pathwise gradients. Nothing is chosen by hand but the factor for reverse mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ..backends import Arrays, Build
from .operation_counts import WatchedOps, watched_arrays

#: Reverse mode runs each operation once forwards and at most twice backwards, and the enumeration
#: adds its weighted sum: four passes of R roundings.
PASSES = 4


def unit_roundoff(dtype: np.dtype) -> float:
    """u: half the distance from 1 to the next number."""
    return float(np.finfo(dtype).eps) / 2.0


class Roundings(NamedTuple):
    """What one forward pass does.

    ``operations`` is R, the roundings on all its paths, a sum of n terms counting as n: longer than
    any single path, and so an upper bound for each. ``largest`` is the largest finite magnitude
    of its intermediate results.
    """

    operations: int
    largest: float


def count_roundings(build: Build, parameters: Arrays, inputs: Arrays) -> Roundings:
    """Run a build forwards, and watch every operation that NumPy does for it."""
    counts, sizes = [0], [0.0]

    def see(
        function: Any, method: str, args: Sequence[Any], kwargs: dict[str, Any], result: Any
    ) -> None:
        counts.append(
            args[0].shape[-1] if function is np.dot else _terms(function, method, args, kwargs)
        )
        sizes.append(_largest(result))

    build(WatchedOps(), watched_arrays(see)(parameters), inputs)
    return Roundings(sum(counts), max(sizes))


def _largest(result: Any) -> float:
    sizes = np.abs(np.asarray(result, dtype=np.float64))
    return float(np.max(sizes, initial=0.0, where=np.isfinite(sizes)))


def _terms(ufunc: Any, method: str, args: Sequence[Any], kwargs: dict[str, Any]) -> int:
    if method != "reduce":
        return 1
    if ufunc is not np.add:
        return 0  # a maximum does not round
    axis = kwargs.get("axis", 0)
    return (
        args[0].size if axis is None else args[0].shape[axis if isinstance(axis, int) else axis[0]]
    )
