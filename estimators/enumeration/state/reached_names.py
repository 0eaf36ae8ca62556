"""Readable names of what can be reached, by the way that led there."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any


class NameStep(enum.Enum):
    """How something was reached from what holds it."""

    START = enum.auto()  # a root, a class or a module: the name begins here
    CLOSURE = enum.auto()
    GLOBAL = enum.auto()
    DEFAULT = enum.auto()
    ATTRIBUTE = enum.auto()
    ITEM = enum.auto()
    MEMBERS = enum.auto()  # a mapping whose items are attributes of what holds it
    SAME = enum.auto()  # something without a name of its own


#: What a variable is called where nothing follows its name.
_VARIABLES = {
    NameStep.CLOSURE: "closure variable",
    NameStep.GLOBAL: "global",
    NameStep.DEFAULT: "default argument",
}

#: Keys of these types are shown; to show another one would run code of its own.
_SHOWN = (str, int, float, bool, bytes, type(None))


class Name:
    """One step of the way to something; it is put into words only when it is asked for."""

    __slots__ = ("key", "parent", "step")

    def __init__(self, step: NameStep, key: Any = None, parent: Name | None = None) -> None:
        self.step, self.key, self.parent = step, key, parent

    def attribute(self, key: str) -> Name:
        """Of an attribute of this."""
        return Name(NameStep.ATTRIBUTE, key, self)

    def item(self, key: object) -> Name:
        """Of an item of this: an attribute, if this is a mapping of attributes."""
        if self.step is NameStep.MEMBERS and type(key) is str:
            return Name(NameStep.ATTRIBUTE, key, self.parent)
        return Name(NameStep.ITEM, key, self)

    def way(self) -> Iterator[Name]:
        """This, and the names of what holds it."""
        each: Name | None = self
        while each is not None:
            yield each
            each = each.parent

    def __str__(self) -> str:
        if self.step in _VARIABLES:
            return f"{_VARIABLES[self.step]} {self.key}"
        return self._short() or "the estimator"

    def _short(self) -> str:
        """Without the word for what kind of variable it is."""
        before = "" if self.parent is None else self.parent._short()
        if self.step is NameStep.ATTRIBUTE:
            return f"{before}.{self.key}" if before else self.key
        if self.step is NameStep.ITEM:
            return f"{before}[{_key(self.key)}]"
        if self.step in (NameStep.MEMBERS, NameStep.SAME):
            return before
        return str(self.key)


def _key(key: object) -> str:
    if type(key) is tuple and len(key) <= 4:  # more would not be read
        return ", ".join(_key(each) for each in key)
    if type(key) in _SHOWN:
        text = repr(key)
        return text if len(text) <= 40 else f"{text[:37]}..."  # more would not be read
    return "..."
