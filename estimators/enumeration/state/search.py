"""A search through objects that hold each other: each once, the nearest first."""

from __future__ import annotations

import abc
import types
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from .raw import type_name
from .reached_names import Name, NameStep
from .record import SCALARS

#: Objects that are looked at: they take about a third of a second, which was measured.
MOST_OBJECTS = 50_000

#: Values of these types hold nothing that can change, or nothing that matters.
ATOMS = frozenset(
    (
        *SCALARS,
        *(type(Ellipsis), type(NotImplemented), range, slice, object),
        *(types.CodeType, types.FrameType, types.TracebackType, types.GenericAlias),
        *(types.GetSetDescriptorType, types.MemberDescriptorType, types.WrapperDescriptorType),
        *(types.MethodDescriptorType, types.ClassMethodDescriptorType, types.UnionType),
    )
)

#: What reads an object: it keeps records, and goes on to what the object holds.
Reader = Callable[[Any, Name], None]


class Search(abc.ABC):
    """Goes through all that can be reached.

    Args:
        most_objects: as many are looked at in each walk.
    """

    def __init__(self, most_objects: int) -> None:
        #: What has a state that cannot be read, such as an iterator.
        self.unseen: list[str] = []
        #: What was left out for its size.
        self.omitted: list[str] = []
        self._most_objects = most_objects
        self._queue: deque[tuple[Any, Name]] = deque()
        # Keys are better known by the names that they have elsewhere.
        self._keys: list[tuple[Any, Name]] = []
        self._seen: dict[int, Any] = {}  # holds them, so that no id is taken twice
        self._readers: dict[type, Reader | None] = {}
        self._missed: set[Name] = set()

    @abc.abstractmethod
    def _reader(self, kind: type) -> Reader | None:
        """How objects of a type are read; None if there is nothing to be read."""

    def walk(self, roots: Iterable[tuple[Any, Name]]) -> None:
        """Look at these, and at all they reach that was not looked at before."""
        left = self._most_objects
        for root, name in roots:
            self.push(root, name)
        while self._queue or self._keys:
            if left == 0:
                self._stop()
                return
            left -= 1
            if not self._queue:
                for key, name in self._keys:
                    self.push(key, name)
                self._keys.clear()
                continue
            value, name = self._queue.popleft()
            reader = self._readers[type(value)]
            assert reader is not None  # or it had not been pushed
            try:
                reader(value, name)
            except Exception:  # noqa: BLE001 - it is of a type that nobody here has heard of
                self._miss(name)

    def _stop(self) -> None:
        """There are too many."""
        first = self._queue[0][1] if self._queue else self._keys[0][1]
        self.omitted.append(
            f"what {first} holds, and all that is farther away than that, since more than "
            f"{self._most_objects:,} objects can be reached"
        )
        self._queue.clear()
        self._keys.clear()

    def _miss(self, name: Name) -> None:
        """The state of this cannot be read; said once for what is made of such things."""
        if not any(each in self._missed for each in name.way()):
            self.unseen.append(str(name))
        self._missed.add(name)

    def push(self, value: Any, name: Name) -> None:
        """Look at this later, if there is anything to be seen."""
        kind = type(value)
        if kind in ATOMS or id(value) in self._seen:
            return
        try:
            reader = self._readers[kind]
        except KeyError:
            reader = self._readers[kind] = self._reader(kind)
            self.push(kind, Name(NameStep.START, type_name(kind)))
        if reader is None:
            return
        self._seen[id(value)] = value
        self._queue.append((value, name))
