"""What is recorded of each sampler."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Answer:
    """What can be said of one sampler.

    Args:
        library, sampler: as people write them.
        value: of code that uses what is drawn: ``enumerated``, ``integrated``, or ``refused``.
        reason: why it is not enumerated.
        comparisons: whether code that only compares what is drawn is enumerated.
    """

    library: str
    sampler: str
    value: str
    reason: str
    comparisons: bool


@dataclasses.dataclass(frozen=True)
class SamplerTable:
    """The record: versions of the packages, and what can be said of each sampler."""

    versions: Mapping[str, str]
    answers: tuple[Answer, ...]
