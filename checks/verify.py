"""The main job: every claim, in every framework, on real text and on drawn cases."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from gradproof.estimators import backends as frameworks
from gradproof.estimators.bench import Bench
from gradproof.estimators.exact import Reference, reference
from gradproof.estimators.subject import Subject
from gradproof.reference_models.registry import MODELS

from .check import Check
from .evidence import HOLDS, Evidence
from .registry import CHECKS, find_checks
from .run import blocked, run_check
from .study import Study
from .text import TextOptions, prepare_text, text_subject

#: Told of each check as it ends: how many are done, of how many, and what was done.
Progress = Callable[[int, int, str], None]

#: The check that all others wait for.
FORWARD = "forward/values"


@dataclasses.dataclass(frozen=True)
class Verification:
    """What a verification found.

    ``missing`` has the message for each framework that was not asked for by name and is not there;
    ``not_run`` the reason for each check that concerns none of the models that were chosen.
    """

    evidence: tuple[Evidence, ...]
    data: str
    seed: int
    missing: dict[str, str]
    not_run: dict[str, str]

    @property
    def as_expected(self) -> bool:
        """Whether there is evidence, and every verdict is the recorded expectation."""
        return bool(self.evidence) and all(found.as_expected for found in self.evidence)

    def to_json(self) -> str:
        """The whole record."""
        record = {
            "data": self.data,
            "seed": self.seed,
            "as_expected": self.as_expected,
            "missing": self.missing,
            "not_run": self.not_run,
            "evidence": [found.as_dict() for found in self.evidence],
        }
        return json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False)


def verify(
    *,
    models: Sequence[str] = tuple(MODELS),
    data: str = "names-8",
    backends: Sequence[str] | None = None,
    only: Sequence[str] = (),
    seed: int | None = None,
    examples: int = 20,
    options: TextOptions | None = None,
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
        progress: called after each check.

    Raises:
        ValueError: for an unknown model, data set, framework or check; the message says which.
        BackendMissing: for a framework named in ``backends`` that is not there.
    """
    seed = _fresh_seed() if seed is None else seed
    options = options or TextOptions()
    benches, missing = _benches(backends)
    checks = _ordered(find_checks(tuple(only)))
    prepared = prepare_text(data, options, seed)
    subjects = {name: text_subject(name, prepared, options, seed) for name in models}
    known = {name: reference(subject) for name, subject in subjects.items()}
    idle = {check.id: _idle(check) for check in checks if not _runs(check, models)}
    jobs = [
        (bench, check)
        for bench in benches
        for check in checks
        if bench.name in check.backends and check.id not in idle
    ]
    evidence = []
    for found in _run(jobs, subjects, known, examples, seed):
        evidence.append(found)
        if progress:
            progress(len(evidence), len(jobs), f"{found.backend} {found.id}")
    return Verification(tuple(evidence), prepared.corpus.name, seed, missing, idle)


def replay(check: str, case: Any, *, backend: str = "autograd") -> Evidence:
    """Run one check on one case: what the snippet of a refutation calls.

    Raises:
        ValueError: for an unknown check, or one that takes no drawn case.
    """
    found = find_checks((check,))
    if len(found) != 1:
        raise ValueError(f"{check!r} names {len(found)} checks; give the whole id of one")
    bench = Bench(frameworks.load(backend))
    return run_check(found[0], bench, [Study(bench, case.subject())], examples=0, seed=0)


def _run(
    jobs: list[tuple[Bench, Check]],
    subjects: dict[str, Subject],
    known: dict[str, Reference],
    examples: int,
    seed: int,
) -> Iterator[Evidence]:
    differing: set[str] = set()
    studies = {
        bench.name: {name: Study(bench, subjects[name], known[name]) for name in subjects}
        for bench, _ in jobs
    }
    for bench, check in jobs:
        if bench.name in differing:
            yield blocked(check, bench, seed)
            continue
        chosen = [study for name, study in studies[bench.name].items() if name in check.models]
        found = run_check(check, bench, chosen, examples=examples, seed=seed)
        if check.id == FORWARD and found.verdict != HOLDS:
            differing.add(bench.name)
        yield found


def _runs(check: Check, models: Sequence[str]) -> bool:
    return check.cases is not None or bool(set(check.models) & set(models))


def _idle(check: Check) -> str:
    return f"it is about {' and '.join(check.models)}, which --model left out"


def _ordered(checks: list[Check]) -> list[Check]:
    """Forward values first, asked for or not: no gradient means anything without them."""
    forward = CHECKS[FORWARD]
    return [forward, *(check for check in checks if check is not forward)]


def _benches(names: Sequence[str] | None) -> tuple[list[Bench], dict[str, str]]:
    if names is not None:
        return [Bench(frameworks.load(name)) for name in dict.fromkeys(names)], {}
    found, missing = [], {}
    for name in frameworks.BACKENDS:
        try:
            found.append(Bench(frameworks.load(name)))
        except frameworks.BackendMissing as error:
            missing[name] = str(error)
    return found, missing


def _fresh_seed() -> int:
    return int(np.random.SeedSequence().generate_state(1)[0])
