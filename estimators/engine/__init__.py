"""Exact moments at about the cost of a gradient, in PyTorch, for models written against ``ops``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..backends import load
from ..subject import Subject
from ..table import Table
from .accumulate import general, structured
from .entries import Entries, entries
from .tape import Unstructured

__all__ = ["Entries", "Unstructured", "entry_moments", "moments_table"]


def moments_table(subject: Subject, *, path: str = "auto") -> Table:
    """The table of inner products that the variance under any baseline is made of.

    Estimand: none; it describes the single-sample estimators (R - B) s + d of :class:`Table`.
    Valid when: labels are drawn independently, and no sentence enters another's cost.

    Args:
        subject: its parameters are taken in double precision.
        path: ``structured``, for models whose parameters enter in layers; ``general``, for any
            model that runs in PyTorch; ``auto`` takes the first that fits.

    Raises:
        BackendMissing: if PyTorch is not installed.
        Unstructured: for a model that has no layers, if ``path`` is ``structured``.
        ValueError: for another path, or where L or log q is NaN, or L infinite.
    """
    if path not in ("auto", "structured", "general"):
        raise ValueError(f"path = {path!r}, expected 'auto', 'structured' or 'general'")
    torch = _torch()
    if path == "general":
        return general(torch, subject)
    try:
        return structured(torch, subject)
    except Unstructured:
        if path == "structured":
            raise
        return general(torch, subject)


def entry_moments(subject: Subject, baselines: Mapping[str, np.ndarray] | None = None) -> Entries:
    """The variance of every parameter entry, as a parabola of B, for a model made of layers.

    Args:
        baselines: by name, B of each sentence, (N,), whose variances are wanted too.

    Raises:
        BackendMissing: if PyTorch is not installed.
        Unstructured: for a model that has no layers.
        ValueError: for a baseline that is not a finite number for each sentence.
    """
    return entries(_torch(), subject, baselines)


def _torch() -> Any:
    backend: Any = load("torch")
    return backend.torch
