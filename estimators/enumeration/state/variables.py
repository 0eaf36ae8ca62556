"""Variables that are kept: globals, class attributes, closures, slots, and caches of functions."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from types import CellType, FunctionType
from typing import Any

from .raw import mro
from .reached_names import Name, NameStep
from .record import MISSING, StateRecord, is_same, value_to_restore

#: By which a cell, a variable that functions within a function share, is read and written.
CELL = CellType.__dict__["cell_contents"]

#: What an empty slot is reported by, and an empty cell.
EMPTY = (AttributeError, ValueError)


class NamespaceRecord(StateRecord):
    """Some names of a module, or all names of a class.

    A quick comparison does not see another function, class or module under a name that held one:
    few estimators replace these, and there are many.

    Args:
        name: of the module or class; of a module that only its own code was found to refer to, none
            is needed, and its names are called globals.
        namespace: what the names stand in.
        names: those that are watched, with how they are called.
        absent: names that were not there, and may come to be.
        whole: whether any other new name counts too.
        owner: a class whose namespace it is; None: it can be written to itself.
    """

    __slots__ = ("_absent", "_names", "_owner", "_saved", "_size", "_space", "_write")

    def __init__(
        self,
        name: Name,
        namespace: Mapping[str, Any],
        names: dict[str, Name],
        absent: frozenset[str] = frozenset(),
        *,
        whole: bool = False,
        owner: type | None = None,
    ) -> None:
        super().__init__(name)
        self._space, self._names, self._owner = namespace, names, owner
        self._write: Any = namespace
        self._saved = {key: namespace[key] for key in names}
        self._absent = absent
        self._size = len(namespace) if whole else None

    @property
    def cost(self) -> int:
        """As many as are compared quickly."""
        return 4 + len(self._quick_names())

    def _quick_names(self) -> list[str]:
        return [
            key
            for key, value in self._saved.items()
            if not (key.startswith("__") or _is_definition(value))
        ]

    @classmethod
    def unchanged_check(cls, records: Sequence[NamespaceRecord]) -> Callable[[], bool]:
        """As :meth:`.StateRecord.unchanged_check`."""
        rows = []
        for each in records:
            keys = each._quick_names()
            if len(keys) == 1:
                keys *= 2  # one alone would be returned without a tuple
            if keys:
                saved = tuple(each._saved[key] for key in keys)
                rows.append((itemgetter(*keys), each._space, saved))
        absent = [(each._space.keys(), each._absent) for each in records if each._absent]
        sizes = [(each._space, each._size) for each in records if each._size is not None]
        is_ = operator.is_

        def is_unchanged() -> bool:
            try:
                for get, space, saved in rows:
                    if not all(map(is_, get(space), saved)):
                        return False
            except KeyError:
                return False
            return all(keys.isdisjoint(names) for keys, names in absent) and all(
                len(space) == size for space, size in sizes
            )

        return is_unchanged

    def has_changed(self) -> bool:
        """As :meth:`.StateRecord.has_changed`."""
        return (
            any(self._space.get(key, MISSING) is not value for key, value in self._saved.items())
            or not self._space.keys().isdisjoint(self._absent)
            or (self._size is not None and bool(self._new_names()))
        )

    def _new_names(self) -> list[str]:
        if self._size is not None:
            return [key for key in tuple(self._space) if key not in self._saved]
        return [key for key in self._absent if key in self._space]

    def names(self) -> list[str]:
        """As :meth:`.StateRecord.names`."""
        changed = [
            key
            for key, value in self._saved.items()
            if not is_same(self._space.get(key, MISSING), value)
        ]
        called = self._names
        return [
            *(str(called[key]) for key in changed),
            *(str(self._name_new(key)) for key in self._new_names()),
        ]

    def _name_new(self, key: str) -> Name:
        """The name of what has come to be."""
        return (
            Name(NameStep.GLOBAL, key)
            if self.name.step is NameStep.GLOBAL
            else self.name.attribute(key)
        )

    def restore(self) -> None:
        """As :meth:`.StateRecord.restore`."""
        for key in self._new_names():
            if self._owner is None:
                del self._write[key]
            else:
                type.__delattr__(self._owner, key)
        for key, before in self._saved.items():
            now = self._space.get(key, MISSING)
            value = value_to_restore(now, before)
            if now is not value:
                if self._owner is None:
                    self._write[key] = value
                else:
                    type.__setattr__(self._owner, key, value)


class SlotRecord(StateRecord):
    """An attribute that has a slot in its object; or a variable that nested functions share.

    Args:
        descriptor: of the class, by which it is read and written; :data:`CELL` of a cell.
    """

    __slots__ = ("_descriptor", "_saved", "_target")

    def __init__(self, name: Name, target: Any, descriptor: Any) -> None:
        super().__init__(name)
        self._target, self._descriptor = target, descriptor
        self._saved = slot_value(descriptor, target)

    @classmethod
    def unchanged_check(cls, records: Sequence[SlotRecord]) -> Callable[[], bool]:
        """As :meth:`.StateRecord.unchanged_check`."""
        full = [record for record in records if record._saved is not MISSING]
        empty = [record for record in records if record._saved is MISSING]
        getters = [record._descriptor.__get__ for record in full]
        targets = [record._target for record in full]
        saved = [record._saved for record in full]
        is_, call = operator.is_, operator.call

        def is_unchanged() -> bool:
            try:
                return all(map(is_, map(call, getters, targets), saved)) and not any(
                    record.has_changed() for record in empty
                )
            except EMPTY:
                return False

        return is_unchanged

    def has_changed(self) -> bool:
        """As :meth:`.StateRecord.has_changed`."""
        return slot_value(self._descriptor, self._target) is not self._saved

    def names(self) -> list[str]:
        """As :meth:`.StateRecord.names`."""
        now = slot_value(self._descriptor, self._target)
        return [] if is_same(now, self._saved) else [str(self.name)]

    def restore(self) -> None:
        """As :meth:`.StateRecord.restore`."""
        if self._saved is not MISSING:
            now = slot_value(self._descriptor, self._target)
            self._descriptor.__set__(self._target, value_to_restore(now, self._saved))
        elif self.has_changed():
            self._descriptor.__delete__(self._target)


class CacheRecord(StateRecord):
    """What ``functools.lru_cache`` keeps.

    It can be emptied; what was added to others cannot be told from the rest.
    """

    __slots__ = ("_saved", "_target")

    def __init__(self, name: Name, target: Any) -> None:
        super().__init__(name)
        self._target = target
        self._saved = self._read()

    def _read(self) -> tuple[int, int]:
        _, misses, _, size = self._target.cache_info()
        return misses, size

    def has_changed(self) -> bool:
        """As :meth:`.StateRecord.has_changed`."""
        # It counts from zero after it was emptied.
        misses, size = self._read()
        return size != self._saved[1] or (size > 0 and misses != self._saved[0])

    def restore(self) -> None:
        """As :meth:`.StateRecord.restore`.

        Raises:
            ValueError: if it was not empty.
        """
        if self._saved[1] > 0:
            raise ValueError(f"{self.name} was not empty, and was added to")
        self._target.cache_clear()


def slot_value(descriptor: Any, target: Any) -> Any:
    """What a slot or a cell holds; MISSING if it is empty."""
    try:
        return descriptor.__get__(target)
    except EMPTY:
        return MISSING


def _is_definition(value: Any) -> bool:
    """Whether something is a function, a class, a module, or what a class makes of a function."""
    kinds = mro(type(value))
    return type(value) in (FunctionType, *_DESCRIPTORS) or type in kinds or _MODULE in kinds


_MODULE = type(operator)
_DESCRIPTORS = (property, staticmethod, classmethod, type(len), type(str.join), type(str.__len__))
