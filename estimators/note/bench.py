"""One framework at work: runs builds on subjects, compiling each once for its shapes."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Hashable

import numpy as np

from ..backends import Arrays, Backend, Build, Function, Names
from .subject import Subject


class Bench:
    """A backend and the functions it has made ready so far.

    Builds are values: two that are equal, on arrays of the same shapes, share a function. Only
    speed depends on what was run before, never a result, provided that a model which cannot be
    hashed stays as it is: it is known by its identity alone.

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

    def curvature(
        self, build: Build, subject: Subject, inputs: Arrays, along: Arrays
    ) -> dict[str, np.ndarray]:
        """The second derivative of a scalar build, along one direction for each of some parameters.

        Args:
            along: by name, of the parameters' shapes; these are what it is differentiated by.
        """
        given = {**inputs, **{f"along.{name}": array for name, array in along.items()}}
        function = self._function(
            "differentiate_twice", build, subject.parameters, given, tuple(along)
        )
        return function(subject.parameters, given)

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
        key = (kind, _value(build), _signature(parameters), _signature(inputs), wrt)
        if key not in self._ready:
            self._ready[key] = getattr(self.backend, kind)(build, parameters, inputs, *wrt)
            if len(self._ready) > self._keep:
                self._ready.popitem(last=False)
        self._ready.move_to_end(key)
        return self._ready[key]


class _Identity:
    """Stands for an object that cannot be hashed: equal to itself alone, which it keeps alive."""

    def __init__(self, kept: object) -> None:
        self._kept = kept  # else its id could become another object's

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and other._kept is self._kept

    def __hash__(self) -> int:
        return id(self._kept)


def _value(build: Build) -> Hashable:
    """A build as a key; what cannot be hashed of its parts, a user's own model say, by identity."""
    if _hashable(build):
        return build
    if not dataclasses.is_dataclass(build):
        return _Identity(build)
    # Builds are made anew for each run, so it is their parts that are known again.
    parts = (getattr(build, field.name) for field in dataclasses.fields(build))
    return (type(build), *(part if _hashable(part) else _Identity(part) for part in parts))


def _hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _signature(arrays: Arrays) -> tuple[tuple[str, tuple[int, ...], str], ...]:
    return tuple(
        (name, np.shape(array), np.asarray(array).dtype.str) for name, array in arrays.items()
    )
