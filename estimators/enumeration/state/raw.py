"""How classes, objects and code are read without running any code of theirs."""

from __future__ import annotations

import opcode
import types
from typing import Any

#: Operations that write to a global, and to an attribute.
STORE_GLOBAL, STORE_ATTR = opcode.opmap["STORE_GLOBAL"], opcode.opmap["STORE_ATTR"]

# The order in which a class looks things up, what stands in it itself, its name and its module's:
# past what a class of classes may make of these.
mro = type.__dict__["__mro__"].__get__
namespace = type.__dict__["__dict__"].__get__
type_name = type.__dict__["__name__"].__get__
type_module = type.__dict__["__module__"].__get__

#: What Python itself, or a class that is written in C, reads attributes by.
_DESCRIPTORS = (types.GetSetDescriptorType, types.MemberDescriptorType)

_module_dict: Any = vars(types.ModuleType)["__dict__"].__get__


def module_namespace(module: Any) -> dict[str, Any]:
    """What a module holds, without what it would load when asked; empty for no module."""
    if types.ModuleType not in mro(type(module)):
        return {}
    return _module_dict(module) or {}


def layout(kind: type) -> tuple[Any, list[tuple[str, Any]]]:
    """What reads the attributes of a type's objects: of the dict, and of each slot."""
    mapping, slots = None, []
    for each in mro(kind):
        space = namespace(each)
        found = space.get("__dict__")
        if mapping is None and type(found) in _DESCRIPTORS:
            mapping = found
        # Those of built-in classes cannot be written to, or are no business of anyone's.
        if "__slots__" in space:
            slots += [
                (key, descriptor)
                for key, descriptor in space.items()
                if type(descriptor) is types.MemberDescriptorType
            ]
    return mapping, slots


def code_names(code: types.CodeType) -> tuple[dict[str, None], set[int]]:
    """What code and the code within it names, and the operations that it is made of."""
    names, operations = dict.fromkeys(code.co_names), set(code.co_code[::2])
    for each in code.co_consts:
        if type(each) is types.CodeType:
            more, others = code_names(each)
            names.update(more)
            operations |= others
    return names, operations
