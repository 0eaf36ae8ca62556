"""What a forward pass costs, counted in whole numbers: no machine and no clock has a part in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradproof.reference_models.ops import Array

from ..backends import Arrays, Build
from ..backends.autograd_backend import AutogradOps

#: Is told of each operation: a function of NumPy, a ufunc's method (of others ``""``), arguments,
#: keywords and what came out, all of them plain arrays.
Observer = Callable[[Any, str, Sequence[Any], dict[str, Any], Any], None]


def watched_arrays(see: Observer) -> Callable[[Arrays], dict[str, np.ndarray]]:
    """What copies arrays into such as tell what NumPy does with them: by ufuncs, and by ``dot``."""

    class WatchedArray(np.ndarray):
        """An array that reports what NumPy does with it."""

        def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
            plain = [_plain(value) for value in args]
            result = getattr(ufunc, method)(*plain, **kwargs)
            see(ufunc, method, plain, kwargs, result)
            # A full sum is a scalar, and what is done to it afterwards counts too.
            return np.asarray(result).view(WatchedArray)

        def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
            result = super().__array_function__(function, types, args, kwargs)
            if function is np.dot:
                see(function, "", [_plain(value) for value in args], kwargs, _plain(result))
            # NumPy gives some results back as plain arrays, with which the counting would end.
            return result.view(WatchedArray) if isinstance(result, np.ndarray) else result

    return lambda arrays: {
        name: np.array(value).view(WatchedArray) for name, value in arrays.items()
    }


class WatchedOps(AutogradOps):
    """NumPy's own joining of arrays: autograd's makes plain arrays of what it joins."""

    def concatenate(self, arrays: Sequence[Array], axis: int) -> Array:
        """Join along an axis."""
        return np.concatenate(arrays, axis=axis)

    def stack(self, arrays: Sequence[Array], axis: int) -> Array:
        """Join along a new axis."""
        return np.stack(arrays, axis=axis)


def count_results(build: Build, parameters: Arrays, inputs: Arrays) -> int:
    """Run a build forwards in NumPy, and add up the entries that its operations compute.

    An operation, elementwise, a sum or a product of matrices, costs one for each entry of its
    result. What only moves entries (picks, joins, transposes) costs nothing: so a product with
    one-hot labels costs as much for any number of labels, as picking the label's row would.
    """
    counts = [0]

    def see(*operation: Any) -> None:
        counts.append(np.size(operation[-1]))

    watched = watched_arrays(see)
    build(WatchedOps(), watched(parameters), watched(inputs))
    return sum(counts)


def _plain(value: Any) -> Any:
    return value.view(np.ndarray) if isinstance(value, np.ndarray) else value
