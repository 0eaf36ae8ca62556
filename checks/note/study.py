"""One subject in one framework, with what was computed of it so far."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from gradproof.estimators.baselines import BASELINES, Baseline
from gradproof.estimators.note import estimate_moments
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.builds import BaselineValues, build, surrogate
from gradproof.estimators.note.complex_step import Tables, tables
from gradproof.estimators.note.estimate_moments import EstimateMoments
from gradproof.estimators.note.exact import Reference, reference
from gradproof.estimators.note.forms import FORMS, Form
from gradproof.estimators.note.subject import Subject
from gradproof.reference_models.model import every_label, one_hot

from ..evidence import Comparison, compare

#: Joint draws that are no dearer than sentence by sentence: three labels, two sentences.
FEW_DRAWS = 9

#: Entries of parameters that are stepped one by one; the tabular cases have 27 at most.
FEW_ENTRIES = 64


def check_lambda(
    baseline: Baseline, lam: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]
) -> None:
    """Make sure that a lambda is one of a baseline: another shape may broadcast, in silence.

    Raises:
        ValueError: for a name or a shape that is not the baseline's.
    """
    for name in sorted({*lam, *expected}):
        shapes = [np.shape(of[name]) if name in of else None for of in (lam, expected)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"{name!r} has shape {shapes[0]}, expected {shapes[1]} for baseline "
                f"{baseline.name!r} (None: not there); initial(rng, width) makes one"
            )


class Study:
    """A subject on a bench; what several checks need is computed once.

    Everything random in a check (lambda, a label drawn for an example) comes from :meth:`rng`,
    whose seed is the subject's, so that a subject is all it takes to repeat a check.
    """

    def __init__(self, bench: Bench, subject: Subject, exact: Reference | None = None) -> None:
        self.bench, self.subject = bench, subject
        self._exact = exact
        self._first: dict[int, Study] = {}
        self._sentences: dict[int, Study] = {}
        self._moments: dict[tuple[Form, Baseline, tuple[str, ...]], EstimateMoments] = {}

    @functools.cached_property
    def reference(self) -> Reference:
        """The exact gradient and its parts."""
        return self._exact or reference(self.subject)

    @functools.cached_property
    def tables(self) -> Tables:
        """What derived formulas ask for: by complex steps, entry by entry, if there are few.

        Else the reference's, which row ``objective.u/slopes`` compares with complex steps along
        directions.
        """
        return tables(self.subject) if self.has_few_entries else self.reference.tables()

    @property
    def has_few_entries(self) -> bool:
        """Whether the parameters have so few entries that each can be stepped by itself."""
        entries = sum(np.size(array) for array in self.subject.parameters.values())
        return bool(entries <= FEW_ENTRIES)

    @functools.cached_property
    def name(self) -> str:
        """The subject in a few words."""
        return self.subject.describe()

    def first(self, sentences: int) -> Study:
        """The study of the first few sentences alone, where all of them are too many."""
        if sentences >= self.subject.batch.n:
            return self
        if sentences not in self._first:
            rows = self.subject.replace(batch=self.subject.batch.rows(slice(sentences)))
            self._first[sentences] = Study(self.bench, rows)
        return self._first[sentences]

    def sentences(self, most: int) -> list[Study]:
        """Each of the first sentences alone, where the batch has too many joint draws; else itself.

        A sentence alone has K draws, so that all that is asked of a batch can be asked of it.
        """
        batch = self.subject.batch
        if self.subject.model.classes**batch.n <= FEW_DRAWS:
            return [self]
        for row in range(min(most, batch.n)):
            if row not in self._sentences:
                name = f"{self.subject.name or self.subject.model.name}, sentence {row + 1}"
                example = self.subject.example(row).replace(name=name)
                self._sentences[row] = Study(self.bench, example)
        return [self._sentences[row] for row in range(min(most, batch.n))]

    def rng(self) -> np.random.Generator:
        """The generator of this subject, from its start."""
        return np.random.default_rng(self.subject.seed)

    def draw(self) -> np.ndarray:
        """Labels (N,) of positive probability, to look at one draw."""
        probability = self.reference.probability
        rng = self.rng()
        return np.array([rng.choice(np.flatnonzero(row > 0.0)) for row in probability])

    def baseline_inputs(self, baseline: Baseline) -> dict[str, np.ndarray]:
        """Lambda of a baseline, in the subject's dtype."""
        width = self.subject.parameters["e.embedding"].shape[1]
        lam = baseline.initial(self.rng(), width)
        return {name: np.asarray(value, self.subject.dtype) for name, value in lam.items()}

    def values(self, compute: Any, subject: Subject | None = None) -> dict[str, np.ndarray]:
        """What the framework computes at every label, of the study's subject or of another.

        Args:
            compute: as :func:`gradproof.estimators.note.builds.build` takes it.
        """
        subject = subject or self.subject
        inputs = subject.inputs(every_label(subject.batch.n, subject.model.classes))
        return self.bench.values(build(compute, subject), subject, inputs)

    def baseline_values(self, baseline: Baseline) -> np.ndarray:
        """B of each sentence (N,) at :meth:`draw`, as the framework computes it, in float64."""
        subject = self.subject
        values = BaselineValues(baseline, subject.model, subject.batch.n, subject.batch.t)
        inputs = subject.inputs(one_hot(self.draw(), subject.model.classes))
        inputs |= self.baseline_inputs(baseline)
        return self.bench.values(values, subject, inputs)["B"].astype(np.float64)

    def one_pass_gradient(self, labels: np.ndarray, baseline: Baseline) -> dict[str, np.ndarray]:
        """One differentiation of the batch's one-pass surrogate, at labels (N,)."""
        return self.bench.gradient(
            surrogate(FORMS["one-pass"], baseline, self.subject),
            self.subject,
            self.subject.inputs(one_hot(labels, self.subject.model.classes))
            | self.baseline_inputs(baseline),
        )

    def moments(
        self, form: str | Form, baseline: str | Baseline = "none", groups: tuple[str, ...] = ()
    ) -> EstimateMoments:
        """Exact moments of a form with a baseline.

        Jointly where the baseline couples sentences, and wherever there are few joint draws: then
        nothing rests on a baseline's word that it couples none.

        Args:
            groups: differentiate by the parameters of these groups alone; none: by all of them.
        """
        form = FORMS[form] if isinstance(form, str) else form
        baseline = BASELINES[baseline] if isinstance(baseline, str) else baseline
        key = (form, baseline, groups)
        if key not in self._moments:
            lam = self.baseline_inputs(baseline)
            self._moments[key] = self.moments_with(form, baseline, lam, groups)
        return self._moments[key]

    def moments_with(
        self,
        form: Form,
        baseline: Baseline,
        lam: Mapping[str, np.ndarray],
        groups: tuple[str, ...] = (),
    ) -> EstimateMoments:
        """As :meth:`moments`, with a lambda of one's own, and computed anew.

        Raises:
            ValueError: if lambda is not of the names and shapes that the baseline has.
        """
        check_lambda(baseline, lam, self.baseline_inputs(baseline))
        joint_draws = self.subject.model.classes**self.subject.batch.n
        together = baseline.coupled or joint_draws <= FEW_DRAWS
        enumerate_draws = estimate_moments.joint if together else estimate_moments.per_example
        return enumerate_draws(
            self.bench,
            form,
            baseline,
            self.subject,
            lam,
            self.reference.log_q,
            tuple(self.names(*groups)),
        )

    def names(self, *groups: str) -> list[str]:
        """The subject's parameters in some groups; all of them if none is named."""
        return [
            name
            for name in self.subject.parameters
            if not groups or name.split(".", 1)[0] in groups
        ]

    def compare_gradient(
        self,
        gradient: Mapping[str, np.ndarray],
        expected: Mapping[str, np.ndarray],
        names: list[str],
        *,
        extra: float = 0.0,
        moved: float = 0.0,
        signal: Mapping[str, float] | None = None,
    ) -> list[Comparison]:
        """A comparison for each parameter, bounded by what rounding can do there."""
        return [
            compare(
                name,
                gradient[name],
                expected[name],
                self.reference.bound(name, extra, moved),
                self.name,
                signal=signal[name] if signal else None,
            )
            for name in names
        ]
