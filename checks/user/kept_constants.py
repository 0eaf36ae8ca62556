"""Constants over the memory of parameters: what is kept of a tensor by ``detach()``, say.

Where parameters are moved they stay as they are: an old policy is meant to. Somebody else may mean
the parameter itself, and then what is said of it is about another function.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gradproof.estimators.enumeration.gradients import array_of
from gradproof.estimators.enumeration.places import kept_values


def note_of_constants(
    named: Mapping[str, Callable[..., Any]], inputs: Sequence[Any], leaves: Mapping[str, Any]
) -> str:
    """What code keeps, or is given, over the memory of tensors that are moved; empty if nothing.

    Args:
        named: the code, by what it is called in messages.
    """
    tensors = {name: leaf for name, leaf in leaves.items() if hasattr(leaf, "detach")}
    notes = []
    for what, code in named.items():
        shared = dict.fromkeys(_shared(code, inputs, tensors))
        if shared:
            notes.append(
                f"{what[0].upper()}{what[1:]} keeps something over the memory of "
                f"{', '.join(shared)}, as detach() makes it: it is a constant here, and stays as "
                "it is where the parameters are moved. If it is meant to be the parameter, use "
                "that itself in the call."
            )
    return " ".join(notes)


def _shared(
    code: Callable[..., Any], inputs: Sequence[Any], leaves: Mapping[str, Any]
) -> Iterator[str]:
    torch: Any = sys.modules.get("torch")
    for value, _ in kept_values(code, list(inputs)) if leaves else ():
        is_tensor = isinstance(value, torch.Tensor) and value.layout is torch.strided
        if not is_tensor and not isinstance(value, np.ndarray):
            continue
        if any(value is leaf for leaf in leaves.values()):
            continue
        mine = array_of(value)
        for name, leaf in leaves.items():
            if np.may_share_memory(mine, array_of(leaf)):
                yield name
