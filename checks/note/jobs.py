"""Runs checks by name, in this process or in several."""

from __future__ import annotations

import dataclasses
import functools
import uuid
from collections.abc import Iterator, Sequence

from gradproof.estimators import backends as frameworks
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.exact import reference
from gradproof.estimators.workers import share_out

from ..evidence import Evidence
from .registry import CHECKS
from .run_check import run_check
from .study import Study
from .text import TextOptions, check_whole, prepare_text, text_subject


@dataclasses.dataclass(frozen=True)
class VerificationPlan:
    """All that a process needs to know to run any check of a verification."""

    models: tuple[str, ...]
    data: str
    seed: int
    examples: int
    options: TextOptions


#: A framework and a check, by name.
Job = tuple[str, str]


class Runner:
    """A plan made ready: subjects, their references, and a bench for each framework."""

    def __init__(self, plan: VerificationPlan) -> None:
        self._plan = plan
        prepared = prepare_text(plan.data, plan.options, plan.seed)
        self._subjects = {
            name: text_subject(name, prepared, plan.options, plan.seed) for name in plan.models
        }
        self._exact = {name: reference(subject) for name, subject in self._subjects.items()}
        self._studies: dict[str, dict[str, Study]] = {}
        self._benches: dict[str, Bench] = {}

    def run(self, job: Job) -> Evidence:
        """Evidence for one check in one framework."""
        backend, check = job[0], CHECKS[job[1]]
        if backend not in self._benches:
            framework = frameworks.load(backend)
            # Drawn cases have a bench of their own: what is compiled for one of them is seldom
            # asked for again, and would push out what many checks share, that of the text.
            self._benches[backend] = Bench(framework)
            of_text = Bench(framework)
            self._studies[backend] = {
                name: Study(of_text, subject, self._exact[name])
                for name, subject in self._subjects.items()
            }
        studies = [study for name, study in self._studies[backend].items() if name in check.models]
        return run_check(
            check,
            self._benches[backend],
            studies,
            examples=self._plan.examples,
            seed=self._plan.seed,
        )


def run_jobs(
    plan: VerificationPlan, jobs: Sequence[Job], processes: int
) -> Iterator[tuple[Job, Evidence]]:
    """Evidence for each job, as it comes: with several processes in no order.

    Raises:
        ValueError: for fewer than one process.
    """
    check_whole("processes", processes, 1)
    if processes == 1:
        runner = Runner(plan)
        for job in jobs:
            yield job, runner.run(job)
        return
    call = uuid.uuid4().hex
    families = [(call, plan, family) for family in _families(jobs)]
    for done in share_out(processes, _run, families):
        yield from done


def _run(call: str, plan: VerificationPlan, jobs: list[Job]) -> list[tuple[Job, Evidence]]:
    runner = _runner(call, plan)
    return [(job, runner.run(job)) for job in jobs]


@functools.lru_cache(maxsize=1)
def _runner(_call: str, plan: VerificationPlan) -> Runner:
    """That of a worker, which is given many families of one plan; another call reads files anew."""
    return Runner(plan)


def _families(jobs: Sequence[Job]) -> list[list[Job]]:
    """Jobs that share what they enumerate or compile, for one process each; the slowest first."""
    families: dict[tuple[str, str], list[Job]] = {}
    for backend, check in jobs:
        claim = CHECKS[check].claim
        root = "gradient" if claim.startswith("gradient.") else claim
        families.setdefault((backend, root), []).append((backend, check))
    # A framework that compiles is the slowest, and the last process to end is waited for.
    return sorted(families.values(), key=lambda family: (family[0][0] != "theano", -len(family)))
