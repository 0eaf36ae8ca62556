"""One framework at work: runs builds on subjects, compiling each once for its shapes."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from .backends import Arrays, Backend, Build, Function, Names
from .subject import Subject


class Bench:
    """A backend and the functions it has made ready so far.

    Builds are values: two that are equal, on arrays of the same shapes, share a function. Only
    speed depends on what was run before, never a result.

    Args:
        backend: the framework.
        keep: how many functions to keep; the one that was not used for longest goes first. A
            compiled LSTM takes some 20 MB.
    """

    def __init__(self, backend: Backend, keep: int = 24) -> None:
        self.backend = backend
        self._keep = keep
        self._ready: OrderedDict[object, Function] = OrderedDict()

    @property
    def name(self) -> str:
        """The framework's name."""
        return self.backend.name

    def gradient(
        self, build: Build, subject: Subject, inputs: Arrays, wrt: Names | None = None
    ) -> dict[str, np.ndarray]:
        """The gradient of a scalar build by some of the subject's parameters; None: all of them."""
        names = tuple(subject.parameters) if wrt is None else wrt
        function = self._function("differentiate", build, subject.parameters, inputs, names)
        return function(subject.parameters, inputs)

    def values(self, build: Build, subject: Subject, inputs: Arrays) -> dict[str, np.ndarray]:
        """The arrays of a build by name."""
        function = self._function("evaluate", build, subject.parameters, inputs)
        return function(subject.parameters, inputs)

    def reach(self, build: Build, subject: Subject, inputs: Arrays) -> frozenset[str]:
        """The parameters that a build's values depend on."""
        return self.backend.reach(build, subject.parameters, inputs)

    def _function(
        self, kind: str, build: Build, parameters: Arrays, inputs: Arrays, *wrt: Names
    ) -> Function:
        key = (kind, build, _signature(parameters), _signature(inputs), wrt)
        if key not in self._ready:
            self._ready[key] = getattr(self.backend, kind)(build, parameters, inputs, *wrt)
            if len(self._ready) > self._keep:
                self._ready.popitem(last=False)
        self._ready.move_to_end(key)
        return self._ready[key]


def _signature(arrays: Arrays) -> tuple[tuple[str, tuple[int, ...], str], ...]:
    return tuple(
        (name, np.shape(array), np.asarray(array).dtype.str) for name, array in arrays.items()
    )
