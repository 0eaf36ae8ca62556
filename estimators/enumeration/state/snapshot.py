"""The state that an estimator is given in, and gets back after each run."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .ownership import Ownership
from .random_states import RandomState
from .raw import module_namespace, type_module
from .reach import MOST_BYTES, Reach
from .reached_names import Name, NameStep
from .record import StateRecord
from .search import MOST_OBJECTS
from .tensors import TensorRecord

#: References that are compared after each path: they take a quarter of a millisecond, which was
#: measured. What is farther away from the estimator than these is left to thorough comparisons.
MOST_COMPARED = 10_000


class Snapshot:
    """All that an estimator can reach and change, as it was when this was made.

    That is what stands in closures, defaults, globals and attributes of modules that its code and
    the code that it calls refer to; in attributes of objects, of classes and of functions; in
    containers, arrays, tensors (also their ``.grad``), modules and optimizers of PyTorch, and
    generators; and in caches. Libraries' own modules and classes are left out, objects of theirs
    are not, nor the parameter store of Pyro. It holds copies until it is dropped.

    The generators of random, numpy.random and torch themselves are left out, since other threads
    draw from them too. Not seen are: what generators and other iterators have come to (see
    :attr:`unseen`), what code that was written in C keeps for itself, context variables, and
    settings of a process or library.

    A handler that stands for a function for a while is no change of it, whether it came before this
    was made or after, and it is left where it is.

    Args:
        roots: the estimator and all else that it is called with: functions, methods, objects,
            modules of PyTorch, collections of them.
        leaves: tensors whose ``.grad`` is the estimate, by name: it is put back, and is no change.
        most_objects: as many are looked at.
        most_bytes: as many of arrays and tensors are copied.
        generators: whether generators of random numbers are put back; where an estimator is
            sampled they go on.
        named: roots that are called by their keyword, as ``inputs``, unless they are reached from
            the other roots too.
    """

    def __init__(
        self,
        *roots: object,
        leaves: Mapping[str, Any] | None = None,
        most_objects: int = MOST_OBJECTS,
        most_bytes: int = MOST_BYTES,
        generators: bool = True,
        **named: object,
    ) -> None:
        leaves = {} if leaves is None else leaves
        self._leaves = [(name, leaf, leaf.grad) for name, leaf in leaves.items()]
        packages = filter(None, (_package(root) for root in (*roots, *named.values())))
        reach = Reach(
            Ownership(packages),
            (id(leaf) for leaf in leaves.values()),
            most_objects=most_objects,
            most_bytes=most_bytes,
            generators=generators,
        )
        reach.walk(pair for root in roots for pair in _named_root(root))
        reach.walk((value, Name(NameStep.START, name)) for name, value in named.items())
        reach.walk((leaf, Name(NameStep.START, name)) for name, leaf in leaves.items())
        reach.walk(_stores())
        reach.finish()
        #: Names of what has a state that cannot be read: iterators, open files, odd tensors.
        self.unseen = tuple(dict.fromkeys(reach.unseen))
        #: What was left out for its size, in words; empty if nothing was.
        self.incomplete = tuple(reach.omitted)
        #: What was never seen to change, of which the first are compared each time.
        self._near, self._far = _by_cost(reach.records)
        #: What changed once is put back each time.
        self._known: list[StateRecord] = []
        self._changed: dict[str, None] = {}
        #: Generators that were found moved, by identity, with their names.
        self.moved_generators: dict[int, str] = {}
        self._unrestorable: dict[str, None] = {}
        self._compile()

    @property
    def changed(self) -> tuple[str, ...]:
        """Names of all that was ever found changed by :meth:`restore_state`."""
        return tuple(self._changed)

    @property
    def unrestorable(self) -> tuple[str, ...]:
        """Names of what was found changed and could not be put back."""
        return tuple(self._unrestorable)

    def changes(self, thorough: bool = True) -> tuple[str, ...]:
        """Names of what differs now from what it was; nothing is put back.

        Args:
            thorough: whether everything is compared, as by :meth:`restore_state`.
        """
        records = [*self._known, *(self._records() if thorough else self._suspects())]
        found = [name for each in records for name in self._attempt(each, _differences)]
        return tuple(dict.fromkeys(found))

    def restore_state(self, thorough: bool = False) -> tuple[str, ...]:
        """Put everything back, and say what changed that :attr:`changed` did not name before.

        What a thorough call returns may have changed in any run since the thorough call before it,
        so that the runs after that began in another state. So let one follow the first runs and the
        last, and make runs again where it returns something later than that.

        Args:
            thorough: whether everything is compared. Otherwise these are not seen until they were
                seen once: states of generators; what is written past PyTorch (through ``.data``, by
                NumPy, by a fused optimizer) or to an array, of more than 4096 entries, unless it is
                written to one of some 64 of them; items that are replaced in containers of more
                than 512, except the last; what is farther from the estimator than some 10,000
                references; names of functions and classes that are given to others; and attributes
                that go by other names, with the same values in the same order.
        """
        suspects = self._suspects()
        if not (suspects or thorough or self._known):
            self._put_gradients()  # the usual case
            return ()
        moved = [record for record in suspects if self._has_moved(record)]
        if thorough:
            known = {id(record) for record in moved}
            others = (record for record in self._records() if id(record) not in known)
            moved += [record for record in others if self._has_moved(record)]
        self.moved_generators.update(
            {record.owner: str(record.name) for record in moved if isinstance(record, RandomState)}
        )
        # Names first: what is put back may share its memory with what is not looked at yet.
        names = [name for record in moved for name in self._attempt(record, _differences)]
        for record in self._known:
            names += self._attempt(record, lambda known: known.restore_state(thorough))
        for record in moved:
            self._attempt(record, _restore)
        if moved:
            self._learn(moved)
        self._put_gradients()
        new = tuple(dict.fromkeys(name for name in names if name not in self._changed))
        self._changed.update(dict.fromkeys(new))
        return new

    def restore(self) -> None:
        """Put everything back, after a thorough comparison."""
        self.restore_state(thorough=True)

    def _put_gradients(self) -> None:
        for name, leaf, grad in self._leaves:
            if leaf.grad is not grad:
                try:
                    leaf.grad = grad
                except (RuntimeError, TypeError):  # its shape or type could not be put back
                    self._unrestorable[f"{name}.grad"] = None

    def tensors(self) -> list[Any]:
        """All tensors of PyTorch that were reached and could be read."""
        return [each.target for each in self._records() if isinstance(each, TensorRecord)]

    def _records(self) -> Iterator[StateRecord]:
        yield from self._near
        yield from self._far

    def _suspects(self) -> list[StateRecord]:
        """Those among which a quick comparison sees a change."""
        found: list[StateRecord] = []
        for unchanged, records in self._groups:
            try:
                if unchanged():
                    continue
            except Exception:  # noqa: BLE001 - what can no more be read has changed
                pass
            found += records
        return found

    def _has_moved(self, record: StateRecord) -> bool:
        try:
            return record.has_changed()
        except Exception:  # noqa: BLE001 - what can no more be read has changed
            return True

    def _attempt(
        self, record: StateRecord, action: Callable[[StateRecord], list[str]]
    ) -> list[str]:
        """The names that come back; of what cannot be done, it is noted."""
        try:
            return action(record)
        except Exception:  # noqa: BLE001 - whatever stands in the way, the rest is put back
            self._unrestorable[str(record.name)] = None
            return [str(record.name)]

    def _learn(self, moved: list[StateRecord]) -> None:
        known = {id(each) for each in moved}
        self._known += moved
        self._near = [each for each in self._near if id(each) not in known]
        self._far = [each for each in self._far if id(each) not in known]
        self._compile()

    def _compile(self) -> None:
        kinds: dict[Any, list[StateRecord]] = {}
        for each in self._near:
            kinds.setdefault(type(each).unchanged_check.__func__, []).append(each)  # type: ignore[attr-defined]
        self._groups = [
            (type(records[0]).unchanged_check(records), records) for records in kinds.values()
        ]


def _differences(record: StateRecord) -> list[str]:
    return record.names() if record.has_changed() else []


def _restore(record: StateRecord) -> list[str]:
    record.restore()
    return []


def _by_cost(records: list[StateRecord]) -> tuple[list[StateRecord], list[StateRecord]]:
    """Those that are compared each time, and the others."""
    near: list[StateRecord] = []
    far: list[StateRecord] = []
    left = MOST_COMPARED
    for each in records:
        left -= each.cost
        (near if each.quick and left >= 0 else far).append(each)
    return near, far


def _stores() -> Iterator[tuple[Any, Name]]:
    """What libraries keep for whoever names nothing: the parameters of Pyro."""
    runtime = module_namespace(sys.modules.get("pyro.poutine.runtime"))
    if "_PYRO_PARAM_STORE" in runtime:
        yield runtime["_PYRO_PARAM_STORE"], Name(NameStep.START, "the parameter store of Pyro")


def _named_root(root: Any) -> Iterator[tuple[object, Name]]:
    """A root, with what it is called: variables of functions have names of their own."""
    kind = type(root)
    if kind is types.MethodType:
        yield root.__self__, Name(NameStep.START, "self")
        yield root.__func__, Name(NameStep.START, "")
    elif kind in (types.FunctionType, functools.partial, list, tuple, dict):
        yield root, Name(NameStep.START, "")
    else:
        yield root, Name(NameStep.START, "self")


def _package(root: Any) -> str | None:
    """Of the module that a root's code is from."""
    while type(root) is functools.partial:
        root = root.func
    if type(root) is types.MethodType:
        root = root.__func__
    kind = type(root)
    name = root.__globals__.get("__name__") if kind is types.FunctionType else type_module(kind)
    return name if type(name) is str else None
