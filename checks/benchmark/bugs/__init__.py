"""Estimators that are right, and ones that are wrong in ways that were seen: a row each."""

from __future__ import annotations

import itertools

from . import (
    baselines,
    concrete,
    control_variates,
    detaching,
    distributions,
    entropy,
    heads,
    importance_weights,
    kept_state,
    noise_of_bits,
    objectives,
    off_policy,
    precision,
    relaxations,
    rl,
    several_samples,
    sources,
    subsets,
    surrogates,
)
from .row import BenchmarkRow, Problem

__all__ = ["ROWS", "BenchmarkRow", "Problem"]

_FILES = (
    baselines,
    control_variates,
    detaching,
    surrogates,
    entropy,
    several_samples,
    subsets,
    off_policy,
    distributions,
    relaxations,
    rl,
    kept_state,
    objectives,
    precision,
    sources,
    heads,
    noise_of_bits,
    importance_weights,
    concrete,
)

_ALL = tuple(itertools.chain.from_iterable(file.ROWS for file in _FILES))

#: By ``framework/id``.
ROWS = {row.key: row for row in _ALL}
if len(ROWS) < len(_ALL):
    raise ValueError("two rows of the catalogue have one id in one framework")
