"""Estimators that are right, and ones that are wrong in ways that were seen: a row each."""

from __future__ import annotations

import itertools

from . import (
    baselines,
    completion_rewards,
    concrete,
    control_variates,
    decision_steps,
    detaching,
    distributions,
    entropy,
    group_baselines,
    heads,
    importance_weights,
    kept_state,
    kl_terms,
    length_and_masks,
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
    token_ratios,
    token_returns,
    token_samplers,
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
    group_baselines,
    completion_rewards,
    length_and_masks,
    token_ratios,
    kl_terms,
    token_returns,
    token_samplers,
    decision_steps,
)

_ALL = tuple(itertools.chain.from_iterable(file.ROWS for file in _FILES))

#: By ``framework/id``.
ROWS = {row.key: row for row in _ALL}
if len(ROWS) < len(_ALL):
    raise ValueError("two rows of the catalogue have one id in one framework")
