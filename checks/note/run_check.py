"""Runs one check in one framework: on the subjects given, then on cases that Hypothesis draws."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, Verbosity, configuration, find, settings
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

    def evidence(**result: Any) -> Evidence:
        return Evidence(
            claim=check.claim,
            variant=check.variant,
            backend=bench.name,
            statement=check.statement,
            expected=check.expected,
            bound_reason=check.bound_reason,
            seed=seed,
            seconds=time.perf_counter() - started,
            **result,
        )

    try:
        # What overflows is infinite or NaN in the result, where a comparison finds it and says of
        # what; NumPy's warning would say it once more, of a line in a framework.
        with np.errstate(all="ignore"):
            on_subjects = [
                (study.name, of_kind(study.name, check.compare(study))) for study in studies
            ]
            on_cases, case = search(check, bench, examples=examples, seed=seed)
        return evidence(
            **_result(on_subjects, on_cases),
            counterexample="" if case is None else repr(case),
            snippet="" if case is None else snippet(check, bench.name, case),
        )
    except Exception as error:  # noqa: BLE001 - a crash is a result, neither held nor refuted
        return evidence(
            verdict=UNDECIDED,
            comparisons=0,
            error=math.nan,
            bound=math.nan,
            signal=math.nan,
            worst="",
            note="",
            resolution=math.inf,
            subjects=(),
            crash=f"{type(error).__name__}: {error}",
        )


def search(check: Check, bench: Bench, *, examples: int, seed: int) -> tuple[list[Comparison], Any]:
    """Run the typical case, then draw cases until one refutes, and shrink that one.

    Returns:
        The comparisons made, and the smallest case that refutes, or None.
    """
    if check.cases is None or examples == 0:
        return [], None
    comparisons: list[Comparison] = []
    verdicts: dict[str, bool] = {}

    def compare_on(case: Any) -> list[Comparison]:
        return of_kind(DRAWN, check.compare(Study(bench, case.subject())))

    def refutes(case: Any) -> bool:
        # A case of a verification is a value that its repr makes again; shrinking asks twice.
        name = repr(case)
        if name in verdicts:
            return verdicts[name]
        of_case = compare_on(case)
        comparisons.extend(of_case)
        verdicts[name] = any(comparison.ratio > GAP for comparison in of_case)
        return verdicts[name]

    typical = check.typical(np.random.default_rng(seed)) if check.typical else None
    refuting = typical if typical is not None and refutes(typical) else None
    on_typical = len(comparisons)
    try:
        with _no_folder():
            case = find(
                check.cases,
                refutes,
                settings=_settings(examples),
                random=random.Random(f"{seed} {check.id}"),
            )
    except NoSuchExample:
        return comparisons, refuting
    # Of the cases that were tried on the way, the smallest says it all.
    return comparisons[:on_typical] + compare_on(case), case


def of_kind(kind: str, comparisons: list[Comparison]) -> list[Comparison]:
    """Comparisons, marked as of a kind of subject."""
    return [dataclasses.replace(comparison, kind=kind) for comparison in comparisons]


@contextlib.contextmanager
def _no_folder() -> Iterator[None]:
    """Hypothesis writes nothing where the user is: it keeps constants of sources in .hypothesis."""
    folder = configuration.storage_directory(intent_to_write=False)
    home: Any = getattr(folder, "home_directory", folder)  # a path in older versions
    with tempfile.TemporaryDirectory() as elsewhere:
        configuration.set_hypothesis_home_dir(elsewhere)
        try:
            yield
        finally:
            configuration.set_hypothesis_home_dir(home)


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


def _result(
    on_subjects: list[tuple[str, list[Comparison]]], on_cases: list[Comparison]
) -> dict[str, Any]:
    """The fields of evidence that comparisons alone decide."""
    of_subjects = [comparison for _, some in on_subjects for comparison in some]
    comparisons = of_subjects + on_cases
    verdict = judge(comparisons)
    worst = worst_of(comparisons)
    # A verdict that rests on the drawn cases alone must not look as if it were of the text too.
    passed_over = [f"nothing was compared on {name}" for name, some in on_subjects if not some]
    return {
        "verdict": verdict,
        "comparisons": sum(comparison.count for comparison in comparisons),
        "error": worst.error,
        "bound": worst.bound,
        "signal": worst.signal,
        "worst": f"{worst.what} of {worst.subject}",
        "note": "; ".join(filter(None, [worst.note, *passed_over])),
        "resolution": resolution(comparisons),
        "unresolved": unresolved_quantities(comparisons),
        "subjects": tuple(dict.fromkeys(comparison.subject for comparison in of_subjects)),
    }


def snippet(check: Check, backend: str, case: Any) -> str:
    """Python that repeats a refutation on its smallest case."""
    kind = type(case).__name__
    return (
        f"from gradproof import {kind}, reproduce\n\n"
        f"case = {case!r}\n"
        f"print(reproduce({check.id!r}, case, backend={backend!r}).explain())\n"
    )


def blocked(evidence: Evidence, forward: Evidence) -> Evidence:
    """Evidence that counts for nothing, by reason of the forward values of its framework.

    Args:
        forward: the evidence for those, which do not hold: they differ, or are unknown.
    """
    if forward.crash:
        reason = f"the check of {evidence.backend}'s forward values crashed ({forward.crash})"
    elif forward.verdict == REFUTED:
        reason = f"the forward values of {evidence.backend} differ from NumPy's"
    else:
        reason = f"whether {evidence.backend}'s forward values are NumPy's is undecided"
    reason = f"{reason}; mend that first"
    return dataclasses.replace(
        evidence, verdict=UNDECIDED, crash=reason, counterexample="", snippet=""
    )
