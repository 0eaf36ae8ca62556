"""What a forward pass costs, counted in whole numbers: no machine and no clock has a part in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gradproof.reference_models.ops import Array

from ..backends import Arrays, Build
from ..backends.autograd_backend import AutogradOps


def count_results(build: Build, parameters: Arrays, inputs: Arrays) -> int:
    """Run a build forwards in NumPy, and add up the entries that its operations compute.

    An operation, elementwise, a sum or a product of matrices, costs one for each entry of its
    result. What only moves entries (picks, joins, transposes) costs nothing: so a product with
    one-hot labels costs as much for any number of labels, as picking the label's row would.
    """
    counts = [0]

    class CountedArray(np.ndarray):
        """An array that reports how large a result NumPy makes of it."""

        def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
            plain = [
                value.view(np.ndarray) if isinstance(value, CountedArray) else value
                for value in args
            ]
            result = np.asarray(getattr(ufunc, method)(*plain, **kwargs))
            counts.append(result.size)
            return result.view(CountedArray)

        def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
            result = super().__array_function__(function, types, args, kwargs)
            if function is np.dot:
                counts.append(result.size)
            # NumPy gives some results back as plain arrays, with which the counting would end.
            return result.view(CountedArray) if isinstance(result, np.ndarray) else result

    counted, given = (
        {name: np.array(value).view(CountedArray) for name, value in arrays.items()}
        for arrays in (parameters, inputs)
    )
    build(_CountingOps(), counted, given)
    return sum(counts)


class _CountingOps(AutogradOps):
    """NumPy's own joining of arrays: autograd's makes plain arrays of what it joins."""

    def concatenate(self, arrays: Sequence[Array], axis: int) -> Array:
        """Join along an axis."""
        return np.concatenate(arrays, axis=axis)

    def stack(self, arrays: Sequence[Array], axis: int) -> Array:
        """Join along a new axis."""
        return np.stack(arrays, axis=axis)
