"""The sequence models by the name that the command line knows."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from .model import Model
from .seqdgm import SeqDGM
from .seqdgm_a import SeqDGMA

#: Makes a model of K labels and V tokens.
MODELS: dict[str, Callable[[int, int], Model]] = {"seqdgm": SeqDGM, "seqdgm-a": SeqDGMA}


def make_model(name: str, classes: int, vocabulary: int) -> Model:
    """The model ``name`` for K labels and V tokens, at its default sizes.

    Raises:
        ValueError: for a name that no row has, or K < 2.
    """
    if name not in MODELS:
        near = difflib.get_close_matches(name, MODELS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown model {name!r}, expected one of {', '.join(MODELS)}{hint}")
    return MODELS[name](classes, vocabulary)
