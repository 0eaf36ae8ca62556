"""Replaces what is looked up in modules, classes and mappings, and puts it back."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable, Iterable, Mapping
from typing import Any

#: Stands for an attribute that was not there.
_MISSING = object()


class Patches:
    """Replacements that are put on one by one, and taken off together in reverse order.

    Where they are for a while only, ``with`` takes them off.
    """

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []

    def __enter__(self) -> Patches:
        return self

    def __exit__(self, *_: object) -> None:
        self.undo()

    def attribute(self, owner: Any, name: str, value: Any) -> None:
        """Another attribute of a module, a class written in Python, or an object."""
        # As it is kept: a class method is more than what a class gives when it is asked for one.
        before = vars(owner).get(name, _MISSING)
        if before is _MISSING:
            self._undo.append(lambda: delattr(owner, name))
        else:
            self._undo.append(lambda: setattr(owner, name, before))
        setattr(owner, name, value)

    def attributes(self, owner: Any, values: Mapping[str, Any]) -> None:
        """Several of the same owner."""
        for name, value in values.items():
            self.attribute(owner, name, value)

    def each_attribute(self, name: str, values: Iterable[tuple[Any, Any]]) -> None:
        """One of each of several owners."""
        for owner, value in values:
            self.attribute(owner, name, value)

    def method(self, kind: type, name: str, value: Any) -> None:
        """Another method of a class that is written in C, and does not let itself be written to.

        Its methods stand in a dictionary like those of any class. What Python remembers of the
        class is told to be forgotten.
        """
        (methods,) = (each for each in gc.get_referents(kind.__dict__) if type(each) is dict)
        before = methods.get(name, _MISSING)

        def put_back() -> None:
            if before is _MISSING:
                methods.pop(name, None)
            else:
                methods[name] = before
            _forget(kind)

        self._undo.append(put_back)
        methods[name] = value
        _forget(kind)

    def call(self, put: Callable[[Any], object], value: Any, before: Any) -> None:
        """Whatever else can be put somewhere, and put back."""
        put(value)  # if that is refused, there is nothing to be put back
        self._undo.append(lambda: put(before))

    def undo(self) -> None:
        """As it was.

        Raises:
            Exception: the first of those that putting back raised, after all others were put back.
        """
        errors = []
        while self._undo:
            try:
                self._undo.pop()()
            except Exception as error:  # noqa: BLE001 - the others are put back before it is raised
                errors.append(error)
        if errors:
            raise errors[0]


def _forget(kind: type) -> None:
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(kind))
