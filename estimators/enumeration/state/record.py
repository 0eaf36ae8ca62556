"""One thing that can change: what it was, whether it is that still, and how it is put back."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable, Sequence
from types import FunctionType, MethodType
from typing import Any, ClassVar

import numpy as np

from .ownership import is_handler, is_kernel
from .raw import mro, type_module
from .reached_names import Name

#: Stands where there was nothing.
MISSING: Any = object()

#: Values of these types are compared by value, all others by identity: that would run their code.
SCALARS = frozenset((type(None), bool, int, float, complex, str, bytes))

#: Arrays of more entries are compared whole only in thorough comparisons: up to here one costs
#: about a microsecond, which was measured.
LARGE = 4096

#: Likewise for containers: up to here one costs about ten microseconds, which was measured.
MANY = 512


class StateRecord(abc.ABC):
    """What one thing was.

    None of its methods runs code of the user's.
    """

    __slots__ = ("name",)

    #: Whether :meth:`unchanged_check` sees any change at all; if not, only thorough comparisons do.
    quick: ClassVar[bool] = True

    def __init__(self, name: Name) -> None:
        self.name = name

    @property
    def cost(self) -> int:
        """Of its quick comparison, in references that are compared meanwhile."""
        return 1

    @classmethod
    def unchanged_check(cls, records: Sequence[Any]) -> Callable[[], bool]:
        """What returns whether many records of this class are as they were, quickly.

        It may miss what its class says it may; it may also see a change where there is none.
        """
        return lambda: not any(each.has_changed() for each in records)

    @abc.abstractmethod
    def has_changed(self) -> bool:
        """Whether it is anything else than it was, also an equal object."""

    def names(self) -> list[str]:
        """Of what has another value than it had, as far as values can be compared."""
        return [str(self.name)]

    @abc.abstractmethod
    def restore(self) -> None:
        """Put back what was."""

    def restore_state(self, thorough: bool) -> list[str]:
        """The names of what has changed, after it was put back.

        Args:
            thorough: whether what costs much to compare is compared.
        """
        if not self.has_changed():
            return []
        names = self.names()
        self.restore()
        return names


def is_same(first: Any, second: Any, depth: int = 4) -> bool:
    """Whether two objects are one, or equal scalars, or tuples of these; not a number is itself.

    A handler is taken for what it stands for.

    Args:
        depth: how far tuples within tuples are looked into; deeper ones are taken for different.
    """
    if first is second or is_handler(first) or is_handler(second):
        return True
    kind = type(first)
    if kind is not type(second):
        return False
    if kind in SCALARS:
        return bool(first == second or (first != first and second != second))
    if kind is tuple:
        return (
            depth > 0
            and len(first) == len(second)
            and all(
                is_same(one, other, depth - 1) for one, other in zip(first, second, strict=True)
            )
        )
    if np.generic in mro(kind) and type_module(kind) == "numpy" and kind is not np.object_:
        return bool(first.tobytes() == second.tobytes())
    return False


def value_to_restore(now: Any, before: Any) -> Any:
    """What is to stand where something stands now: what stood before, but handlers are left."""
    return now if is_handler(now) or is_handler(before) else before


def may_be_handlers(*values: Iterable[Any]) -> bool:
    """Whether there may be handlers among these: a quick look at their types."""
    kinds = {type(each) for some in values for each in some}
    return any(
        kind is FunctionType or kind is MethodType or is_kernel(type_module(kind)) for kind in kinds
    )
