"""Draws of JAX by keys that are not the ones that an estimator is given.

Whoever is given a key and draws by another one draws the same in each call, as long as that key is
the same. It is enumerated as any draw is, and nothing else would tell.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Hashable, Mapping
from typing import Any

from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import UserFunction
from gradproof.estimators.enumeration.trees import leaves, replaced

from .jax_keys import CALLED, arguments, folded, is_key, may_be_keys


def constant_keys_note(enumeration: Enumeration, code: UserFunction) -> str:
    """What is to be said of draws whose keys do not follow from those among the inputs.

    Empty if there is no such draw, or no key among the inputs. The first path is run with the keys
    that are given, and with others: what draws by the same key in both does not depend on them.
    """
    others = _inputs_with_other_keys(code)
    if others is None:
        return ""
    given = _draws_by_key(enumeration, code, list(code.inputs))
    with_others = _draws_by_key(enumeration, code, others)
    names = dict.fromkeys(what for key, what in given.items() if key in with_others)
    if not names:
        return ""
    return (
        f"{', '.join(names)} draws by a key that does not follow from the key among the inputs: it "
        "is enumerated as if it drew anew, and draws the same in each call as long as that key is "
        "the same. Derive it from the key that is given (jax.random.split)."
    )


def _inputs_with_other_keys(code: UserFunction) -> list[Any] | None:
    """The inputs, with other keys of JAX where there are keys; None if there are none."""
    jax: Any = sys.modules.get("jax")
    if jax is None:
        return None
    found: dict[tuple[Any, ...], Any] = {}
    for place, (name, value) in enumerate(arguments(code.function, code.inputs)):
        for keys, leaf in leaves(value):
            called = not keys and CALLED.search(name) is not None and may_be_keys(jax, leaf)
            if called or is_key(jax, leaf):
                found[(place, *keys)] = folded(jax, leaf, 1)  # any number
    try:
        return list(replaced(list(code.inputs), found)) if found else None
    except TypeError:  # for what cannot be made anew
        return None


def _draws_by_key(
    enumeration: Enumeration, code: UserFunction, inputs: list[Any]
) -> Mapping[Hashable, str]:
    """What draws on the first path, by the key that it draws by."""
    before, code.arguments = code.arguments, functools.partial(list, inputs)
    try:
        path = enumeration.run_once(())
    finally:
        code.arguments = before
        enumeration.restore_state()
    return {one.key: one.outcomes.what for one in path.choices if one.key is not None}
