"""Exact moments for less than two gradients, in PyTorch, for models written against ``ops``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from ..backends import load
from ..note.exact import reference
from ..note.label_table import LabelTable, of_reference
from ..note.subject import Subject
from .accumulate import GradientPlan, general_plan, structured_where_possible, table
from .entries import Entries, entries
from .tape import NotAnOuterProduct

T = TypeVar("T")

__all__ = ["Entries", "NotAnOuterProduct", "entry_moments", "moments_table"]


def moments_table(subject: Subject, *, path: str = "auto") -> LabelTable:
    """The table of inner products that the variance under any baseline is made of.

    Estimand: none; it describes the single-sample estimators (R - B) s + d of :class:`LabelTable`.
    Valid when: labels are drawn independently, and no sentence enters another's cost.

    Args:
        subject: its parameters are taken in double precision.
        path: ``structured``, for models whose parameters enter in layers; ``general``, for any
            model that runs in PyTorch; ``auto``, the first for the parameters that it fits, the
            second for the others; ``witness``, slow, in NumPy and autograd.

    Raises:
        BackendMissing: if PyTorch is not installed, and needed.
        NotAnOuterProduct: for a model that has no layers, if ``path`` is ``structured``.
        ValueError: for another path, where L or log q is NaN, or L infinite, or if a sentence
            enters another's cost.
    """
    if path == "witness":
        return of_reference(reference(subject))
    return _run_on(path, subject, lambda torch, way: table(torch, subject, way))


def entry_moments(
    subject: Subject, baselines: Mapping[str, np.ndarray] | None = None, *, path: str = "auto"
) -> Entries:
    """The variance of every parameter entry, as a parabola of B.

    Args:
        baselines: by name, B of each sentence, (N,), whose variances are wanted too.
        path: as of :func:`moments_table`; there is no witness but :mod:`..note.parabola`.

    Raises:
        BackendMissing: if PyTorch is not installed.
        NotAnOuterProduct: for a model that has no layers, if ``path`` is ``structured``.
        ValueError: for a baseline that is not a finite number for each sentence, or if a sentence
            enters another's cost.
    """
    return _run_on(path, subject, lambda torch, way: entries(torch, subject, way, baselines))


def _run_on(path: str, subject: Subject, run: Callable[[Any, GradientPlan], T]) -> T:
    if path not in ("auto", "structured", "general"):
        raise ValueError(f"path = {path!r}, expected 'auto', 'structured' or 'general'")
    backend: Any = load("torch")
    if path == "general":
        return run(backend.torch, general_plan(subject))
    way = structured_where_possible(backend.torch, subject, layered=path == "structured")
    return run(backend.torch, way)
