"""What rounding does to the sums on the way: the part that moving terms and total does not show.

A sum of n terms rounds at each of its partial sums, and these may be far larger than its terms and
its total: the first half of a batch pulls one way, the second half the other. They are taken here
at √n places, in the order of storage, and moved: by as many units in the last place as the
roundings up to the next place add up to at random, if the terms are added one after another; by one
or two, if they are added in pairs.

Reference:
    Higham (1993), The accuracy of floating point summation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .ulps import Steps, moved_copy

#: Fewer terms have no partial sum that is larger than the largest term by more than a factor of 3,
#: and the terms are moved.
FEWEST = 4

#: Numbers that all partial sums of one product may be, 32 MB in double precision; of a large
#: product fewer are taken.
ROOM = 1 << 22


def drift_of_sum(
    terms: npt.NDArray[Any], axes: Sequence[int], steps: Steps, pairwise: bool
) -> npt.NDArray[Any] | None:
    """What the roundings of partial sums add to a sum over some axes, or None for few terms.

    Args:
        terms: In the precision in which they are added, of any shape.
        axes: Over which they are added.
        pairwise: Whether they are added in pairs, and pairs of pairs, as NumPy and PyTorch do it.

    Returns:
        Of the shape of the sum without these axes.
    """
    summed = {axis % terms.ndim for axis in axes}
    kept = [axis for axis in range(terms.ndim) if axis not in summed]
    count = math.prod(terms.shape[axis] for axis in summed)
    if count < FEWEST:
        return None
    rows = terms.transpose([*kept, *sorted(summed)]).reshape(
        [*(terms.shape[axis] for axis in kept), count]
    )
    blocks = math.isqrt(count)
    parts = rows[..., : count // blocks * blocks].reshape([*rows.shape[:-1], blocks, -1]).sum(-1)
    grain = 1 if pairwise else math.isqrt(count // blocks)
    return differences(parts.cumsum(-1), steps, grain).sum(-1)


def drift_of_product(
    left: npt.NDArray[Any], right: npt.NDArray[Any], steps: Steps
) -> npt.NDArray[Any] | None:
    """What the roundings of partial sums add to ``left @ right``, or None for few terms.

    Args:
        left: ``[..., m, k]``, in the precision in which products are added.
        right: ``[..., k, n]``.

    Returns:
        Of the shape of the product.
    """
    count = left.shape[-1]
    if count < FEWEST:
        return None
    room = ROOM // max(1, math.prod(left.shape[:-1]) * right.shape[-1])
    blocks = max(2, min(math.isqrt(count), room))
    length = count // blocks * blocks
    columns = left[..., :length].reshape([*left.shape[:-1], blocks, -1])
    rows = right[..., :length, :].reshape([*right.shape[:-2], blocks, -1, right.shape[-1]])
    parts = np.moveaxis(columns, -2, 0) @ np.moveaxis(rows, -3, 0)
    return differences(parts.cumsum(0), steps, math.isqrt(count // blocks)).sum(0)


def drift_of_cumulative_sum(sums: npt.NDArray[Any], axis: int, steps: Steps) -> npt.NDArray[Any]:
    """What the roundings of those before it add to each of some cumulative sums."""
    return differences(sums, steps).cumsum(axis)


def differences(sums: npt.NDArray[Any], steps: Steps, grain: int = 1) -> npt.NDArray[Any]:
    """How far numbers are moved when they are; infinite ones are not."""
    with np.errstate(invalid="ignore"):
        result = moved_copy(sums, steps, grain) - sums
    result[~np.isfinite(result)] = 0.0
    return result
