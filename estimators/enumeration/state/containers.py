"""Mappings, lists, queues, sets and bytes that are kept."""

from __future__ import annotations

import array
import operator
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

from .raw import mro, namespace
from .reached_names import Name, NameStep
from .record import (
    LARGE,
    MANY,
    MISSING,
    SCALARS,
    StateRecord,
    is_same,
    may_be_handlers,
    value_to_restore,
)

#: Views that are iterated from their end without code of the user's.
_REVERSIBLE: tuple[type, ...] = (list, deque, type({}.values()), type({}.keys()))

#: As many items that differ are named one by one; of more, only what holds them.
_NAMED = 3


class View:
    """A container, iterated by its built-in class and not by what a subclass makes of it."""

    __slots__ = ("container", "kind")

    def __init__(self, container: Any, kind: Any) -> None:
        self.container, self.kind = container, kind

    def __iter__(self) -> Iterator[Any]:
        return self.kind.__iter__(self.container)

    def __len__(self) -> int:
        return self.kind.__len__(self.container)


class ContainerRecord(StateRecord):
    """References that are held in some order.

    A quick comparison sees only how many items there are and the last of them, where these are more
    than ``MANY``; and not the names of attributes, where their values are the same objects in the
    same order.
    """

    __slots__ = ("saved", "target", "views")

    target: Any
    #: What it held, for each of the views.
    saved: tuple[tuple[Any, ...], ...]
    #: What it holds, whenever one iterates.
    views: tuple[Any, ...]

    def __init__(self, name: Name, target: Any, *views: Any) -> None:
        super().__init__(name)
        self.target, self.views = target, views
        self.saved = tuple(tuple(view) for view in views)

    @property
    def cost(self) -> int:
        """Nothing to speak of for what is large."""
        return 1 if len(self.saved[0]) > MANY else 1 + len(self.saved[0])

    @property
    def compared(self) -> int:
        """How many of the views are compared quickly."""
        return len(self.views)

    @classmethod
    def unchanged_check(cls, records: Sequence[ContainerRecord]) -> Callable[[], bool]:
        """As :meth:`.StateRecord.unchanged_check`."""
        pairs = [
            pair
            for each in records
            for pair in list(zip(each.views, each.saved, strict=True))[: each.compared]
        ]
        empty = [view for view, saved in pairs if not saved]
        sized = [view for view, saved in pairs if saved]
        lengths = [len(saved) for _, saved in pairs if saved]
        walked = [view for view, saved in pairs if 0 < len(saved) <= MANY]
        flat = [each for _, saved in pairs if len(saved) <= MANY for each in saved]
        # What is kept at a length, as a queue, has another last item when something was added.
        ended = [
            (view, saved[-1])
            for view, saved in pairs
            if len(saved) > MANY and type(view) in _REVERSIBLE
        ]
        is_, flatten = operator.is_, chain.from_iterable

        def is_unchanged() -> bool:
            return (
                not any(empty)
                and list(map(len, sized)) == lengths
                and all(map(is_, flatten(walked), flat))
                and (not ended or all(next(reversed(view)) is last for view, last in ended))
            )

        return is_unchanged

    def has_changed(self) -> bool:
        """As :meth:`.StateRecord.has_changed`."""
        return any(
            len(view) != len(saved) or not all(map(operator.is_, view, saved))
            for view, saved in zip(self.views, self.saved, strict=True)
        )


class MappingRecord(ContainerRecord):
    """A dict, or the attributes of an object."""

    __slots__ = ("copy", "kind")

    def __init__(self, name: Name, target: dict[Any, Any]) -> None:
        ordered = OrderedDict in mro(type(target))
        self.kind: Any = OrderedDict if ordered else dict
        super().__init__(name, target, self.kind.values(target), self.kind.keys(target))
        # A copy takes the hashes over, and asks no key for one; a class that iterates in its own
        # way would be asked.
        plain = _iterator_of(type(target)) is _iterator_of(dict)
        self.copy: dict[Any, Any] = dict(target) if plain else dict(self.kind.items(target))

    @property
    def compared(self) -> int:
        """Names of attributes are left to thorough comparisons."""
        return 1 if self.name.step is NameStep.MEMBERS else 2

    def names(self) -> list[str]:
        """As :meth:`.StateRecord.names`."""
        values, keys = self.saved
        before = {_token(key): (key, value) for key, value in zip(keys, values, strict=True)}
        now = {_token(key): (key, value) for key, value in tuple(self.kind.items(self.target))}
        gone = [before[token][0] for token in before if token not in now]
        new = [now[token][0] for token in now if token not in before]
        other = [
            key
            for token, (key, value) in before.items()
            if token in now and not is_same(value, now[token][1])
        ]
        listed = [*other, *new, *gone]
        if self.name.step is NameStep.MEMBERS:
            return [str(self.name.item(key)) for key in listed if not _is_note(key)]
        if new or gone or len(other) > _NAMED:
            return [str(self.name)]
        if not listed and list(before) != list(now):
            return [str(self.name)]  # in another order
        return [str(self.name.item(key)) for key in listed]

    def restore(self) -> None:
        """As :meth:`.StateRecord.restore`."""
        before = self._values_to_restore()
        if self.name.step is NameStep.MEMBERS and self.kind is dict and self._update(before):
            return
        self.kind.clear(self.target)
        if self.kind is OrderedDict:
            for key in self.saved[1]:
                OrderedDict.__setitem__(self.target, key, before[key])
        else:
            dict.update(self.target, before)

    def _values_to_restore(self) -> dict[Any, Any]:
        """What was, except that handlers stay where they are."""
        if not may_be_handlers(self.saved[0], self.views[0]):
            return self.copy
        return {
            key: value_to_restore(self.kind.get(self.target, key, value), value)
            for key, value in self.copy.items()
        }

    def _update(self, before: dict[Any, Any]) -> bool:
        """Whether attributes could be put back without a moment in which there are none."""
        target, keys = self.target, self.saved[1]
        present = tuple(target)
        if any(type(key) is not str for key in (*keys, *present)):
            return False
        dict.update(target, before)
        if len(target) != len(keys):
            for key in set(present).difference(keys):
                dict.pop(target, key, None)
        return all(map(operator.is_, target, keys))


class ListRecord(ContainerRecord):
    """A list or a deque."""

    __slots__ = ()

    def names(self) -> list[str]:
        """As :meth:`.StateRecord.names`."""
        now, before = tuple(self.views[0]), self.saved[0]
        if len(now) != len(before) or deque in mro(type(self.target)):
            return [str(self.name)] if not is_same(now, before) else []
        places = [
            place
            for place, (one, other) in enumerate(zip(before, now, strict=True))
            if not is_same(one, other)
        ]
        if len(places) > _NAMED:
            return [str(self.name)]
        return [str(self.name.item(place)) for place in places]

    def restore(self) -> None:
        """As :meth:`.StateRecord.restore`."""
        if deque in mro(type(self.target)):
            deque.clear(self.target)
            deque.extend(self.target, self.saved[0])
        else:
            before = self.saved[0]
            if may_be_handlers(before, self.views[0]):
                before = tuple(map(value_to_restore, self.views[0], before))
                before += self.saved[0][len(before) :]
            list.__setitem__(self.target, slice(None), before)


class SetRecord(ContainerRecord):
    """A set."""

    __slots__ = ("copy",)

    def __init__(self, name: Name, target: set[Any], view: Any) -> None:
        super().__init__(name, target, view)
        self.copy: set[Any] = set().union(target)  # takes hashes over, and asks for none

    def names(self) -> list[str]:
        """As :meth:`.StateRecord.names`."""
        now, before = ({_token(each) for each in held} for held in (self.views[0], self.saved[0]))
        return [] if now == before else [str(self.name)]

    def restore(self) -> None:
        """As :meth:`.StateRecord.restore`."""
        set.clear(self.target)
        set.update(self.target, self.copy)


class Bytes(StateRecord):
    """A bytearray, or an array of Python's own."""

    __slots__ = ("copy", "saved", "target")

    def __init__(self, name: Name, target: Any) -> None:
        super().__init__(name)
        self.target = target
        self.saved = memoryview(target).tobytes()
        # An array must be given an array.
        self.copy = target[:] if type(target) is array.array else self.saved

    @property
    def cost(self) -> int:
        """By the 64 bytes, which take as long as a reference."""
        return 4 + len(self.saved) // 64

    @classmethod
    def unchanged_check(cls, records: Sequence[Bytes]) -> Callable[[], bool]:
        """As :meth:`.StateRecord.unchanged_check`."""
        return super().unchanged_check([each for each in records if len(each.saved) <= 8 * LARGE])

    def has_changed(self) -> bool:
        """As :meth:`.StateRecord.has_changed`."""
        return memoryview(self.target).tobytes() != self.saved

    def restore(self) -> None:
        """As :meth:`.StateRecord.restore`."""
        kind: Any = array.array if type(self.target) is array.array else bytearray
        kind.__setitem__(self.target, slice(None), self.copy)


#: The built-in containers of which this keeps records, with the record.
_RECORDS: dict[Any, Any] = {list: ListRecord, deque: ListRecord, set: SetRecord}


def record(name: Name, target: Any) -> StateRecord | None:
    """Of a container; None for one that cannot change."""
    kinds = mro(type(target))
    if dict in kinds:
        return MappingRecord(name, target)
    if bytearray in kinds or type(target) is array.array:
        return Bytes(name, target)
    for kind, made in _RECORDS.items():
        if kind in kinds:
            return made(name, target, target if type(target) is kind else View(target, kind))
    return None


def items(target: Any) -> list[tuple[Any, Any]]:
    """What a container holds, by keys or places; a set's by nothing that says more."""
    kinds = mro(type(target))
    if dict in kinds:
        return list(dict.items(target))
    for kind in (list, tuple, deque):
        if kind in kinds:
            return list(enumerate(kind.__iter__(target)))
    for other in (set, frozenset):
        if other in kinds:
            return [(MISSING, each) for each in other.__iter__(target)]
    return []


def _iterator_of(kind: type) -> Any:
    """The function by which a class iterates."""
    return next(vars_["__iter__"] for vars_ in map(namespace, mro(kind)) if "__iter__" in vars_)


def _is_note(key: Any) -> bool:
    """Whether an attribute is what PyTorch's compiler notes about tensors and modules."""
    return type(key) is str and key.startswith("_dynamo")


def _token(value: Any) -> Any:
    """What stands for a key or a member: itself if it is a scalar, else its identity."""
    kind = type(value)
    if kind in SCALARS:
        return (kind, value if value == value else None)
    if kind is tuple:
        return tuple(_token(each) for each in value)
    return id(value)
