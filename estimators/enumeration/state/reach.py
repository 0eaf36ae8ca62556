"""All that code can reach and change, each thing once."""

from __future__ import annotations

import array
import dataclasses
import functools
import gc
import random
import sys
import types
import weakref
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from . import arrays, containers, random_states, tensors, variables
from .ownership import Ownership, is_closed, is_kernel
from .raw import (
    STORE_ATTR,
    STORE_GLOBAL,
    code_names,
    layout,
    module_namespace,
    mro,
    namespace,
    type_module,
    type_name,
)
from .reached_names import Name, NameStep
from .record import MISSING, StateRecord
from .search import ATOMS, MOST_OBJECTS, Reader, Search

#: Bytes of arrays and tensors that are copied: as much as may well be used without being asked.
MOST_BYTES = 2**30

#: Attributes of a module of PyTorch that hold what it is made of.
_MEMBERS = ("_parameters", "_buffers", "_modules")

#: Containers that hold nothing beside their items.
_PLAIN = frozenset(
    (
        *(dict, list, tuple, set, frozenset, deque, bytearray, array.array),
        *(OrderedDict, defaultdict),
    )
)

_FUNCTIONS = (types.FunctionType, staticmethod, classmethod, property)

#: How a class that is written in C goes on to the next item.
_SLOT = types.WrapperDescriptorType

_factory = defaultdict.__dict__["default_factory"].__get__
_function_dict = types.FunctionType.__dict__["__dict__"].__get__


@dataclasses.dataclass
class _Space:
    """Names of a module that code refers to."""

    name: Name
    namespace: dict[str, Any]
    names: dict[str, Name] = dataclasses.field(default_factory=dict)
    absent: set[str] = dataclasses.field(default_factory=set)
    whole: bool = False


class Reach(Search):
    """Records of all that can be reached from some roots, nearest first.

    Args:
        quiet: ids of tensors whose gradient is the estimate itself.
        most_objects: as many are looked at in each walk.
        most_bytes: as many of arrays and tensors are copied.
    """

    def __init__(
        self,
        ownership: Ownership,
        quiet: Iterable[int] = (),
        *,
        most_objects: int = MOST_OBJECTS,
        most_bytes: int = MOST_BYTES,
        generators: bool = True,
    ) -> None:
        super().__init__(most_objects)
        self._generators = generators
        self.records: list[StateRecord] = []
        self._ownership, self._quiet = ownership, frozenset(quiet)
        self._bytes_left = most_bytes
        self._layouts: dict[type, tuple[Any, list[tuple[str, Any]]]] = {}
        self._spaces: dict[int, _Space] = {}
        self._modules: set[tuple[int, str]] = set()

    def finish(self) -> None:
        """Make the records of variables, which are gathered from all code that names them."""
        for space in self._spaces.values():
            absent = frozenset(space.absent.difference(space.names))
            self.records.append(
                variables.NamespaceRecord(
                    space.name, space.namespace, space.names, absent, whole=space.whole
                )
            )
        self._spaces.clear()
        self._seen.clear()

    def _reader(self, kind: type) -> Reader | None:
        """How objects of a type are read; None if there is nothing to be read."""
        kinds = mro(kind)
        torch: Any = sys.modules.get("torch")
        if types.ModuleType in kinds or np.generic in kinds or np.dtype in kinds:
            return None  # modules are looked at for the names that code refers to
        for base, reader in _READERS.items():
            if base in kinds:
                return functools.partial(reader, self)
        if torch is not None and torch.Tensor in kinds:
            return self._tensor
        if torch is not None and torch.Generator in kinds:
            return self._generator
        closed = is_closed(type_module(kind))
        if closed and not (torch is not None and torch.nn.Module in kinds):
            return None if is_kernel(type_module(kind)) else self._closed_object
        if any(type(namespace(each).get("__next__")) is _SLOT for each in kinds):
            return self._iterator
        return self._object

    # What each kind of thing holds.

    def _function(self, function: types.FunctionType, name: Name) -> None:
        code, space = function.__code__, function.__globals__
        users = self._users(function)
        if is_kernel(space.get("__name__")) or not (users or _made_for_others(function)):
            return
        names, operations = code_names(code) if users else ({}, set())
        stores = STORE_ATTR in operations
        for key, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            if id(cell) not in self._seen:
                self._seen[id(cell)] = cell
                called = Name(NameStep.CLOSURE, key)
                self.records.append(variables.SlotRecord(called, cell, variables.CELL))
                held = variables.slot_value(variables.CELL, cell)
                if held is not MISSING:
                    self._push_named(held, called, names, stores)
        positional = code.co_varnames[: code.co_argcount]
        defaults = function.__defaults__ or ()
        for key, value in zip(positional[len(positional) - len(defaults) :], defaults, strict=True):
            self._push_named(value, Name(NameStep.DEFAULT, key), names, stores)
        for key, value in (function.__kwdefaults__ or {}).items():
            self.push(value, Name(NameStep.DEFAULT, key))
        self._attributes(_function_dict(function), Name(NameStep.START, function.__name__))
        if users:
            self._globals(space, names, operations)

    def _users(self, function: types.FunctionType) -> bool:
        space = function.__globals__
        return self._ownership.of_module(space.get("__name__"), space.get("__file__"))

    def _globals(self, space: dict[str, Any], names: dict[str, None], operations: set[int]) -> None:
        """The globals, and what else of modules, that code names."""
        watched = self._spaces.setdefault(id(space), _Space(Name(NameStep.GLOBAL), space))
        if "globals" in names and "globals" not in space:
            watched.whole = True
            names = {**dict.fromkeys(space), **names}
        stores = STORE_ATTR in operations
        for key in names:
            if key in space:
                called = watched.names.setdefault(key, Name(NameStep.GLOBAL, key))
                self._push_named(space[key], called, names, stores)
            elif key in sys.modules:  # it may be imported within
                self._push_named(sys.modules[key], Name(NameStep.START, key), names, stores)
        if STORE_GLOBAL in operations:  # in which of them is not told
            watched.absent.update(names)

    def _push_named(self, value: Any, name: Name, names: Iterable[str], stores: bool) -> None:
        """Go on to what code names; of a module to what the same code names of it."""
        if types.ModuleType not in mro(type(value)):
            self.push(value, name)
            return
        held = module_namespace(value)
        if not self._ownership.of_module(held.get("__name__"), held.get("__file__")):
            return
        start = Name(NameStep.START, name.key)
        watched = self._spaces.setdefault(id(held), _Space(start, held))
        for key in names:
            if (id(value), key) in self._modules:
                continue
            self._modules.add((id(value), key))
            if key in held:
                called = watched.names.setdefault(key, start.attribute(key))
                self._push_named(held[key], called, names, stores)
            elif stores:
                watched.absent.add(key)

    def _method(self, method: types.MethodType, name: Name) -> None:
        self.push(method.__self__, name.attribute("__self__"))
        self.push(method.__func__, name)

    def _builtin(self, method: Any, name: Name) -> None:
        self.push(method.__self__, name.attribute("__self__"))

    def _partial(self, call: functools.partial[Any], name: Name) -> None:
        self.push(call.func, name.attribute("func"))
        for place, value in enumerate(call.args):
            self.push(value, name.attribute("args").item(place))
        self.push(call.keywords, name.attribute("keywords"))
        self._object(call, name)

    def _cache(self, call: Any, name: Name) -> None:
        mapping, _ = layout(type(call))
        function = mapping.__get__(call).get("__wrapped__")
        if type(function) is types.FunctionType and not self._users(function):
            return  # of a library, for all who call it
        self.records.append(variables.CacheRecord(name, call))
        self._object(call, name)

    def _weak(self, reference: Any, name: Name) -> None:
        target = weakref.ref.__call__(reference)
        if target is not None:
            self.push(target, Name(NameStep.SAME, None, name))

    def _class(self, kind: type, name: Name) -> None:
        space = namespace(kind)
        module = type_module(kind)
        if not self._ownership.of_module(module) or is_closed(module):
            return
        names = {key: name.attribute(key) for key in space if type(key) is str}
        self.records.append(variables.NamespaceRecord(name, space, names, whole=True, owner=kind))
        for key, value in tuple(space.items()):
            # What Python notes about a class is no state.
            if not str.startswith(key, "__") or type(value) in _FUNCTIONS:
                self.push(value, name.attribute(key))
        for base in mro(kind)[1:]:
            self.push(base, Name(NameStep.START, type_name(base)))

    def _array(self, value: np.ndarray, name: Name) -> None:
        flags = np.ndarray.flags.__get__(value)
        plain = value if type(value) is np.ndarray else value.view(np.ndarray)
        if flags.writeable and plain.size and self._fits(plain.nbytes, name):
            self.records.append(arrays.Array(name, value))
        if plain.dtype.kind == "O":
            self._push_all(list(enumerate(plain.ravel().tolist())), name)
        if type(value) is not np.ndarray:
            self._object(value, name)

    def _tensor(self, tensor: Any, name: Name) -> None:
        torch: Any = sys.modules["torch"]
        self._attributes_of(tensor, name)
        with torch._C.DisableTorchFunction():
            plain = type(tensor).__torch_dispatch__ is torch.Tensor.__torch_dispatch__
            size = tensor.element_size() * tensor.numel() if plain else 0
            if not plain or not self._fits(size, name):
                if not plain:
                    self._miss(name)
                return
            grad = tensor.grad if tensor.is_leaf else None
        self.records.append(tensors.TensorRecord(name, tensor, quiet=id(tensor) in self._quiet))
        if grad is not None:
            self.push(grad, name.attribute("grad"))

    def _fits(self, size: int, name: Name) -> bool:
        """Whether so many bytes may still be copied."""
        if size > self._bytes_left:
            self.omitted.append(f"{name}, which is too large to be copied ({size / 2**30:.1f} GiB)")
            return False
        self._bytes_left -= size
        return True

    def _generator(self, generator: Any, name: Name) -> None:
        shared = random_states.shared_generators()
        if not self._generators or any(generator is each for each in shared):
            return
        found = random_states.record(name, generator)
        if found is not None:
            self.records.append(found)
        if random.Random in mro(type(generator)):
            self._object(generator, name)

    def _iterator(self, iterator: Any, name: Name) -> None:
        """Where it stands cannot be read, unless it is a file that is only written to."""
        written = type_module(type(iterator)) == "_io" and not iterator.readable()
        if not written and not any(iterator is each for each in _streams()):
            self._miss(name)

    def _closed_object(self, value: Any, name: Name) -> None:
        """What an object that is not looked into stands for, or keeps for others."""
        mapping, _ = layout(type(value))
        held = {} if mapping is None else mapping.__get__(value)
        for key in ("__wrapped__", "storage"):  # the latter of a shared variable
            self.push(held.get(key), name)
        if namespace(type(value)).get("get_shared") is not None:  # of Theano and PyTensor
            for each in value.get_shared():
                self.push(each, name.attribute(each.name or "shared"))

    def _container(self, container: Any, name: Name) -> None:
        found = containers.record(name, container)
        if found is not None:
            self.records.append(found)
        self._push_all(containers.items(container), name)
        if defaultdict in mro(type(container)):
            self.push(_factory(container), name.attribute("default_factory"))
        if type(container) not in _PLAIN:
            self._attributes_of(container, name)

    def _push_all(self, held: list[tuple[Any, Any]], name: Name) -> None:
        # A look at the types is much the faster where there are many numbers.
        if not {type(value) for _, value in held} <= ATOMS:
            for key, value in held:
                self.push(value, name.item(key))
        if not {type(key) for key, _ in held} <= ATOMS:
            self._keys += [(key, name.item(key)) for key, _ in held]

    def _object(self, value: Any, name: Name) -> None:
        self._attributes_of(value, name)
        self._referents(value, name)

    def _attributes_of(self, value: Any, name: Name) -> None:
        """What stands in an object's dict and in its slots."""
        kind = type(value)
        if kind not in self._layouts:
            self._layouts[kind] = layout(kind)
        mapping, slots = self._layouts[kind]
        if mapping is not None:
            self._attributes(mapping.__get__(value), name)
        for key, descriptor in slots:
            called = name.attribute(key)
            self.records.append(variables.SlotRecord(called, value, descriptor))
            held = variables.slot_value(descriptor, value)
            if held is not MISSING:
                self.push(held, called)

    def _attributes(self, mapping: Any, name: Name) -> None:
        if type(mapping) is not dict or id(mapping) in self._seen:
            return
        self._seen[id(mapping)] = mapping
        members = Name(NameStep.MEMBERS, None, name)
        self.records.append(containers.MappingRecord(members, mapping))
        for key, value in tuple(mapping.items()):
            if key in _MEMBERS and type(value) is dict and id(value) not in self._seen:
                # At once: so what a module is made of is found by it before an optimizer's lists.
                self._seen[id(value)] = value
                self._container(value, members)
            else:
                self.push(value, members.item(key))

    def _referents(self, value: Any, name: Name) -> None:
        """What an object holds where Python does not see it, as one that is written in C.

        Its own containers are looked into, and not restored: it may count what it put there.
        """
        for held in gc.get_referents(value):
            same = Name(NameStep.SAME, None, name)
            if type(held) in _PLAIN and type(value) is not types.MappingProxyType:
                if id(held) not in self._seen:
                    self._push_all(containers.items(held), same)
            elif type not in (kinds := mro(type(held))) and types.ModuleType not in kinds:
                self.push(held, same)


def _made_for_others(function: types.FunctionType) -> bool:
    """Whether a library's function was made when the library was called, and so may keep things.

    Otherwise it stands in its module, for all who call it, or keeps nothing.
    """
    return function.__closure__ is not None and (
        function.__globals__.get(function.__name__) is not function
    )


def _streams() -> tuple[Any, ...]:
    """The streams of the process, which much refers to and no gradient depends on."""
    return (sys.stdin, sys.stdout, sys.stderr, sys.__stdin__, sys.__stdout__, sys.__stderr__)


#: What reads objects of some types and of those derived from them, tried in this order.
_READERS: dict[type, Callable[[Reach, Any, Name], None]] = {
    types.FunctionType: Reach._function,
    types.MethodType: Reach._method,
    types.BuiltinFunctionType: Reach._builtin,
    functools.partial: Reach._partial,
    functools._lru_cache_wrapper: Reach._cache,
    weakref.ref: Reach._weak,
    type: Reach._class,
    np.ndarray: Reach._array,
    **dict.fromkeys(
        (np.random.Generator, np.random.BitGenerator, np.random.RandomState, random.Random),
        Reach._generator,
    ),
    **dict.fromkeys(
        (dict, list, tuple, set, frozenset, deque, bytearray, array.array), Reach._container
    ),
}
