"""Collections that hold arrays: what stands in them, by which keys, and the same with other things.

Mappings, lists, tuples, dataclasses, and whatever is registered as a pytree with JAX.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

#: What stands in a collection, by key.
Children = list[tuple[Any, Any]]


def children(value: Any) -> Children | None:
    """What stands in a collection, by key; None if it is none.

    A list of plain numbers is one array.
    """
    if isinstance(value, Mapping):
        return list(value.items())
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        if _are_numbers(value):
            return None
        return list(zip(getattr(value, "_fields", range(len(value))), value, strict=True))
    node = _pytree_node(value)
    if node is not None:
        return node[0]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(each.name, getattr(value, each.name)) for each in dataclasses.fields(value)]
    return None


def dotted(name: str, key: Any) -> str:
    """The name of what stands in a collection by a key; an array in a box has the box's name."""
    if not name:
        return str(key)
    return name if key == "" else f"{name}.{key}"


def leaves(value: Any, keys: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """What is in collections and is none itself, with the keys that lead to it."""
    inner = children(value)
    if inner is None:
        yield keys, value
        return
    for key, each in inner:
        yield from leaves(each, (*keys, key))


def replaced(value: Any, others: Mapping[tuple[Any, ...], Any], keys: tuple[Any, ...] = ()) -> Any:
    """A collection as it is, but for what stands where some keys lead to.

    Raises:
        TypeError: for a collection that cannot be made anew.
    """
    if keys in others:
        return others[keys]
    inner = children(value)
    if inner is None or not any(path[: len(keys)] == keys for path in others):
        return value
    return _made_of(value, [(key, replaced(each, others, (*keys, key))) for key, each in inner])


def _made_of(value: Any, inner: Children) -> Any:
    """A collection like another, of other things."""
    if type(value) is dict:
        return dict(inner)
    if hasattr(value, "_fields"):
        return type(value)(*[each for _, each in inner])
    if type(value) in (list, tuple):
        return type(value)(each for _, each in inner)
    node = _pytree_node(value)
    if node is not None:
        by_key = dict(inner)  # JAX has an order of its own
        return node[1]([by_key[key] for key, _ in node[0]])
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.replace(value, **dict(inner))
    raise TypeError(
        f"an input is, or has in it, a {type(value).__name__}, which cannot be made anew with "
        "moved arrays in it: pass its arrays in a dict, list or tuple"
    )


def _pytree_node(value: Any) -> tuple[Children, Callable[[list[Any]], Any]] | None:
    """What stands in a pytree of JAX, one level down, and what makes such a one of other things.

    None for a leaf.
    """
    jax: Any = sys.modules.get("jax")
    if jax is None or value is None or isinstance(value, int | float | str):
        return None
    if isinstance(value, np.ndarray) or hasattr(value, "detach"):  # an array or a tensor
        return None
    trees = getattr(jax, "tree_util", None)  # while JAX is being imported there may be none
    if trees is None or trees.all_leaves([value]):
        return None
    found, tree = trees.tree_flatten_with_path(value, is_leaf=lambda each: each is not value)
    boxed = hasattr(value, "shape")  # flax's Variable is one array with something to it
    return [("" if boxed else _key(path[0]), each) for path, each in found], tree.unflatten


def _key(entry: Any) -> Any:
    """The key itself, of an entry of one of JAX's paths."""
    for kind in ("name", "key", "idx"):
        if hasattr(entry, kind):
            return getattr(entry, kind)
    return str(entry)


def _are_numbers(value: Sequence[Any]) -> bool:
    return len(value) > 0 and all(isinstance(each, int | float) for each in value)
