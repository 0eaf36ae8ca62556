"""Runs one check in one framework: on the subjects given, then on cases that Hypothesis draws."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, Verbosity, find, settings
from hypothesis.errors import NoSuchExample

from gradproof.estimators.note.bench import Bench

from ..evidence import (
    GAP,
    REFUTED,
    UNDECIDED,
    Comparison,
    Evidence,
    judge,
    resolution,
    unresolved_quantities,
    worst_of,
)
from .check import Check
from .study import Study

#: The kind of all subjects that are drawn; each that is given is a kind of its own.
DRAWN = "drawn cases"


def run_check(
    check: Check, bench: Bench, studies: Sequence[Study], *, examples: int, seed: int
) -> Evidence:
    """Evidence for a check in a framework.

    Args:
        studies: subjects beside the drawn cases.
        examples: how many cases Hypothesis draws; it shrinks the first that refutes, and stops.
        seed: of Hypothesis; the same seed draws the same cases.
    """
    started = time.perf_counter()
    try:
        # What overflows is infinite or NaN in the result, where a comparison finds it and says of
        # what; NumPy's warning would say it once more, of a line in a framework.
        with np.errstate(all="ignore"):
            made = [(study.name, of_kind(study.name, check.compare(study))) for study in studies]
            drawn, case = search(check, bench, examples=examples, seed=seed)
        return _evidence(check, bench, made, drawn, case, seed, started)
    except Exception as error:  # noqa: BLE001 - a crash is a result, neither held nor refuted
        return _crashed(check, bench, error, seed, started)


def search(check: Check, bench: Bench, *, examples: int, seed: int) -> tuple[list[Comparison], Any]:
    """Run the typical case, then draw cases until one refutes, and shrink that one.

    Returns:
        The comparisons made, and the smallest case that refutes, or None.
    """
    if check.cases is None or examples == 0:
        return [], None
    made: list[Comparison] = []

    def refutes(case: Any) -> bool:
        found = of_kind(DRAWN, check.compare(Study(bench, case.subject())))
        made.extend(found)
        return any(comparison.ratio > GAP for comparison in found)

    typical = check.typical(np.random.default_rng(seed)) if check.typical else None
    refuting = typical if typical is not None and refutes(typical) else None
    on_typical = len(made)
    try:
        case = find(
            check.cases,
            refutes,
            settings=_settings(examples),
            random=random.Random(f"{seed} {check.id}"),
        )
    except NoSuchExample:
        return made, refuting
    # Of the cases that were tried on the way, the smallest says it all.
    return made[:on_typical] + of_kind(DRAWN, check.compare(Study(bench, case.subject()))), case


def of_kind(kind: str, comparisons: list[Comparison]) -> list[Comparison]:
    """Comparisons, marked as of a kind of subject."""
    return [dataclasses.replace(comparison, kind=kind) for comparison in comparisons]


def _settings(examples: int) -> settings:
    return settings(
        max_examples=examples,
        database=None,  # what an earlier run found must not decide what this one does
        deadline=None,  # a first call compiles
        derandomize=False,  # the seed is the caller's, also under CI
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),  # they are about time, and compiling takes some
        verbosity=Verbosity.quiet,
    )


def _evidence(
    check: Check,
    bench: Bench,
    on_subjects: list[tuple[str, list[Comparison]]],
    drawn: list[Comparison],
    case: Any,
    seed: int,
    started: float,
) -> Evidence:
    given = [one for _, made in on_subjects for one in made]
    comparisons = given + drawn
    verdict = judge(comparisons)
    worst = worst_of(comparisons)
    subjects = dict.fromkeys(comparison.subject for comparison in given)
    # A verdict that rests on the drawn cases alone must not look as if it were of the text too.
    passed_over = [f"nothing was compared on {name}" for name, made in on_subjects if not made]
    return Evidence(
        claim=check.claim,
        variant=check.variant,
        backend=bench.name,
        statement=check.statement,
        expected=check.expected,
        verdict=verdict,
        comparisons=sum(comparison.count for comparison in comparisons),
        error=worst.error,
        bound=worst.bound,
        signal=worst.signal,
        worst=f"{worst.what} of {worst.subject}",
        note="; ".join(filter(None, [worst.note, *passed_over])),
        resolution=resolution(comparisons),
        unresolved=unresolved_quantities(comparisons),
        bound_reason=check.bound_reason,
        subjects=tuple(subjects),
        seed=seed,
        seconds=time.perf_counter() - started,
        counterexample="" if case is None else repr(case),
        snippet="" if case is None else snippet(check, bench.name, case),
    )


def snippet(check: Check, backend: str, case: Any) -> str:
    """Python that repeats a refutation on its smallest case."""
    kind = type(case).__name__
    return (
        f"from gradproof import {kind}, reproduce\n\n"
        f"case = {case!r}\n"
        f"print(reproduce({check.id!r}, case, backend={backend!r}).explain())\n"
    )


def _crashed(check: Check, bench: Bench, error: Exception, seed: int, started: float) -> Evidence:
    seconds = time.perf_counter() - started
    return _unfinished(check, bench, f"{type(error).__name__}: {error}", seed, seconds)


def blocked(found: Evidence, forward: Evidence) -> Evidence:
    """Evidence that counts for nothing, by reason of the forward values of its framework.

    Args:
        forward: the evidence for those, which do not hold: they differ, or are unknown.
    """
    if forward.crash:
        reason = f"the check of {found.backend}'s forward values crashed ({forward.crash})"
    elif forward.verdict == REFUTED:
        reason = f"the forward values of {found.backend} differ from NumPy's"
    else:
        reason = f"whether {found.backend}'s forward values are NumPy's is undecided"
    reason = f"{reason}; mend that first"
    return dataclasses.replace(
        found, verdict=UNDECIDED, crash=reason, counterexample="", snippet=""
    )


def _unfinished(check: Check, bench: Bench, reason: str, seed: int, seconds: float) -> Evidence:
    return Evidence(
        claim=check.claim,
        variant=check.variant,
        backend=bench.name,
        statement=check.statement,
        expected=check.expected,
        verdict=UNDECIDED,
        comparisons=0,
        error=float("nan"),
        bound=float("nan"),
        signal=float("nan"),
        worst="",
        note="",
        resolution=float("inf"),
        bound_reason=check.bound_reason,
        subjects=(),
        seed=seed,
        seconds=seconds,
        crash=reason,
    )
