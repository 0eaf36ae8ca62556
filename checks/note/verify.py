"""The main job: every claim, in every framework, on real text and on drawn cases."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gradproof.estimators import backends as frameworks
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.subject import Subject
from gradproof.reference_models.corpora import PreparedCorpus
from gradproof.reference_models.registry import MODELS

from ..evidence import HOLDS, REFUTED, Evidence
from .cases import TabularCase
from .check import Check
from .jobs import Job, VerificationPlan, run_jobs
from .registry import CHECKS, find_checks
from .run_check import blocked, run_check
from .study import Study
from .text import TextOptions, check_whole, describe_fewer, prepare_text, rows_of, text_subject
from .verification import Verification

#: Told of each check as it ends: how many are done, of how many, and what was done.
Progress = Callable[[int, int, str], None]

#: The check that all others wait for.
FORWARD = "forward/values"


def verify(
    *,
    models: Sequence[str] = tuple(MODELS),
    data: str = "names-8",
    backends: Sequence[str] | None = None,
    only: Sequence[str] = (),
    seed: int | None = None,
    examples: int = 20,
    options: TextOptions | None = None,
    processes: int = 1,
    progress: Progress | None = None,
) -> Verification:
    """Settle every claim, and say what was compared.

    Args:
        models: sequence models to run on the text, of ``seqdgm`` and ``seqdgm-a``.
        data: a corpus by name, or the path of a CSV, TSV or JSONL file.
        backends: frameworks; None takes all that are installed, and reports the others.
        only: checks by id, or by the beginning of one; none means all.
        seed: of text, parameters and cases; None draws one, which the result holds.
        examples: cases that Hypothesis draws for each check and framework.
        options: how much text, and which columns of a file.
        processes: how many to run checks in; with more than one, guard the calling script's main
            part by ``if __name__ == "__main__"``, as :mod:`multiprocessing` asks.
        progress: called after each check.

    Raises:
        ValueError: for an unknown model, data set, framework or check; the message says which.
        BackendMissing: for a framework named in ``backends`` that is not there.
    """
    for what, names in (("models", models), ("backends", backends), ("only", only)):
        if isinstance(names, str) or not all(
            name and isinstance(name, str) for name in names or ()
        ):
            raise ValueError(f"{what} = {names!r}, expected a list of names, none of them empty")
    plan = VerificationPlan(
        models=tuple(dict.fromkeys(models)),
        data=str(data),
        seed=fresh_seed() if seed is None else seed,
        examples=examples,
        options=options or TextOptions(),
    )
    prepared = _check(plan)
    corpus = prepared.corpus
    backends_found, missing = _available(backends)
    chosen = _ordered(find_checks(tuple(only)))
    idle = {check.id: why for check in chosen if (why := _idle(check, plan, backends_found))}
    asked = [check for check in chosen if not only or check.id != FORWARD]
    if asked and all(check.id in idle for check in asked):
        raise ValueError(f"nothing to run: {asked[0].id}: {idle[asked[0].id]}")
    jobs = [
        (name, check.id)
        for check in chosen
        for name in backends_found
        if name in check.backends and check.id not in idle
    ]
    evidence: dict[Job, Evidence] = {}
    for job, result in run_jobs(plan, jobs, processes):
        evidence[job] = result
        if progress:
            progress(len(evidence), len(jobs), f"{result.backend} {result.id}")
    in_order = {job: evidence[job] for job in jobs}
    settled = tuple(
        _repeatable(backends_found, plan) for backends_found in _without_blocked(in_order)
    )
    rows = rows_of(prepared, plan.options, np.random.default_rng(plan.seed))
    return Verification(
        evidence=settled,
        data=corpus.name,
        source=corpus.source,
        fingerprint=corpus.fingerprint,
        seed=plan.seed,
        missing=missing,
        not_run=idle,
        cut=prepared.describe_cut(rows),
        fewer=describe_fewer(plan.options, rows),
    )


def reproduce(check: str, case: Any, *, backend: str = "autograd") -> Evidence:
    """Run one check on one case: what the snippet of a refutation calls.

    Raises:
        ValueError: for an unknown check or framework, or a case that the check is not about.
    """
    if check not in CHECKS:
        raise ValueError(f"no check has the id {check!r}; `gradproof claims` lists them")
    bench = Bench(frameworks.load(backend))
    subject = _subject(CHECKS[check], case)
    return run_check(CHECKS[check], bench, [Study(bench, subject)], examples=0, seed=0)


def _subject(check: Check, case: Any) -> Any:
    """What a case makes, if the check can run on it: a user's own case may bring another model."""
    typical = check.typical(np.random.default_rng(0)) if check.typical else None
    kind = TabularCase if typical is None else type(typical)
    if isinstance(case, kind):
        return case.subject()
    subject = case.subject() if hasattr(case, "subject") else None
    if kind is TabularCase and isinstance(subject, Subject):
        return subject
    raise ValueError(
        f"case is {case!r}, expected a {kind.__name__} for check {check.id!r}; take the two from "
        "one snippet"
    )


def _check(plan: VerificationPlan) -> PreparedCorpus:
    """Make sure that a plan can be run, before any process is started for it; its text."""
    if not plan.models:
        raise ValueError(f"no model given, expected one or more of {', '.join(MODELS)}")
    check_whole("examples", plan.examples, 0)
    check_whole("seed", plan.seed, 0)
    prepared = prepare_text(plan.data, plan.options, plan.seed)
    for name in plan.models:
        text_subject(name, prepared, plan.options, plan.seed)
    return prepared


def _repeatable(found: Evidence, plan: VerificationPlan) -> Evidence:
    """Evidence with a snippet, also where it was the text that refuted and no drawn case."""
    if found.verdict != REFUTED or found.snippet:
        return found
    options = "" if plan.options == TextOptions() else f"    options={plan.options!r},\n"
    imports = "TextOptions, verify" if options else "verify"
    snippet = (
        f"from gradproof import {imports}\n\n"
        "found = verify(\n"
        f"    only=[{found.id!r}],\n"
        f"    models={list(plan.models)!r},\n"
        f"    data={plan.data!r},\n"
        f"    backends=[{found.backend!r}],\n"
        f"    seed={plan.seed},\n"
        f"{options}"
        ")\n"
        "print(found.evidence[-1].explain())\n"
    )
    return dataclasses.replace(found, counterexample=found.worst, snippet=snippet)


def _without_blocked(evidence: dict[Job, Evidence]) -> tuple[Evidence, ...]:
    """Evidence of a framework whose forward values do not hold counts for nothing, and says so."""
    stopping = {
        name: found
        for (name, check), found in evidence.items()
        if check == FORWARD and found.verdict != HOLDS
    }
    return tuple(
        blocked(found, stopping[name]) if name in stopping and check != FORWARD else found
        for (name, check), found in evidence.items()
    )


def _ordered(checks: list[Check]) -> list[Check]:
    """Forward values first, asked for or not: no gradient means anything without them."""
    forward = CHECKS[FORWARD]
    return [forward, *(check for check in checks if check is not forward)]


def _idle(check: Check, plan: VerificationPlan, found: Sequence[str]) -> str:
    """Why a run has nothing to do for a check; empty if it has."""
    drawn = check.cases is not None and plan.examples > 0
    if not (drawn or set(check.models) & set(plan.models)):
        about = " and ".join(check.models) or "drawn cases"
    elif not set(check.backends) & set(found):
        about = " and ".join(check.backends)
    else:
        return ""
    return f"it is about {about}, which this run left out"


def _available(names: Sequence[str] | None) -> tuple[list[str], dict[str, str]]:
    """The frameworks to run, and the message of each that is not there and was not asked for."""
    if names is not None and not names:
        raise ValueError(
            f"no framework given, expected one or more of {', '.join(frameworks.BACKENDS)}"
        )
    found, missing = [], {}
    for name in dict.fromkeys(frameworks.BACKENDS if names is None else names):
        try:
            frameworks.load(name)
            found.append(name)
        except frameworks.BackendMissing as error:
            if names is not None:
                raise
            missing[name] = str(error)
    return found, missing


def fresh_seed() -> int:
    """A seed that no run had before, where none is given."""
    return int(np.random.SeedSequence().generate_state(1)[0])
