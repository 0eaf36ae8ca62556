"""What planted bugs are made of: a scene that is right, to be made wrong in one place."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from gradproof.checks.evidence import Evidence
from gradproof.checks.note.check import Check
from gradproof.checks.note.registry import CHECKS
from gradproof.checks.note.run_check import run_check
from gradproof.checks.note.study import Study
from gradproof.estimators import backends
from gradproof.estimators.baselines import BASELINES, Baseline
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.exact import Reference, reference
from gradproof.estimators.note.forms import FORMS, Form
from gradproof.estimators.note.subject import Subject
from gradproof.reference_models.batch import make_batch
from gradproof.reference_models.seqdgm import SeqDGM
from gradproof.reference_models.seqdgm_a import SeqDGMA

#: Sequence models at the smallest sizes at which every parameter has a gradient.
SMALL = {
    "seqdgm": functools.partial(SeqDGM, 3, 9, width=3, hidden=4, latent=2),
    "seqdgm-a": functools.partial(SeqDGMA, 3, 9, width=3, hidden=4, latent=2, auxiliary=2),
}

#: The subjects of a scene, by name: the check's typical case, and the small sequence models.
TYPICAL = "typical"


class Ops:
    """A framework's array namespace, some of its functions replaced.

    Args:
        inner: the namespace.
        functions: by name; each is given ``inner`` and then its own arguments.
    """

    def __init__(self, inner: Any, functions: Mapping[str, Callable[..., Any]]) -> None:
        self._inner, self._functions = inner, functions

    def __getattr__(self, name: str) -> Any:
        if name in self._functions:
            return functools.partial(self._functions[name], self._inner)
        return getattr(self._inner, name)


@dataclasses.dataclass(frozen=True)
class Framework:
    """A backend that computes with other functions than it should, or gives other results.

    Args:
        inner: the framework that it is otherwise.
        ops: replaced functions, see :class:`Ops`.
        gradient: what becomes of the gradients by name.
        values: what becomes of the values by name.
        reached: what becomes of the names of the parameters that a value depends on.
        second: what becomes of the second derivatives; None: what becomes of the gradients.
    """

    inner: Any
    ops: Mapping[str, Callable[..., Any]] = dataclasses.field(default_factory=dict)
    gradient: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]] = dict
    values: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]] = dict
    reached: Callable[[frozenset[str]], frozenset[str]] = frozenset
    second: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]] | None = None

    @property
    def name(self) -> str:
        """As the framework's own."""
        return self.inner.name

    def unrolled(self) -> Any:
        """What Theano's graphs with a scan are compared with, which is right."""
        return self.inner.unrolled()

    def _build(self, build: Any) -> Any:
        return lambda ops, parameters, inputs: build(Ops(ops, self.ops), parameters, inputs)

    def evaluate(self, build: Any, parameters: Any, inputs: Any) -> Any:
        """Values, replaced."""
        function = self.inner.evaluate(self._build(build), parameters, inputs)
        return lambda *arrays: self.values(function(*arrays))

    def differentiate(self, build: Any, parameters: Any, inputs: Any, wrt: Any) -> Any:
        """Gradients, replaced."""
        function = self.inner.differentiate(self._build(build), parameters, inputs, wrt)
        return lambda *arrays: self.gradient(function(*arrays))

    def differentiate_twice(self, build: Any, parameters: Any, inputs: Any, wrt: Any) -> Any:
        """Second derivatives, replaced as gradients are unless it is said how."""
        function = self.inner.differentiate_twice(self._build(build), parameters, inputs, wrt)
        return lambda *arrays: (self.second or self.gradient)(function(*arrays))

    def reach(self, build: Any, parameters: Any, inputs: Any) -> Any:
        """Names, replaced."""
        return self.reached(self.inner.reach(self._build(build), parameters, inputs))


class Scene:
    """A check about to run, all of it right: plant one bug, then :meth:`run`.

    Args:
        monkeypatch: takes the bug out again.
        seed: of parameters, noise and cases.
        backend: the framework by name.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seed: int, backend: str) -> None:
        self.monkeypatch, self.seed = monkeypatch, seed
        self.backend: Any = backends.load(backend)
        self._subject: Callable[[Subject], Subject] = lambda subject: subject
        self._known: Callable[[Reference], Reference] | None = None

    def form(self, name: str, cost: Callable[[Any, Any], Any]) -> None:
        """Another cost in the row ``name`` of the forms."""
        self.monkeypatch.setitem(FORMS, name, Form(name, "planted", cost))

    def baseline(self, name: str, baseline: Baseline) -> None:
        """Another baseline in the row ``name``."""
        self.monkeypatch.setitem(BASELINES, name, baseline)

    def replace(self, place: Any, name: str, value: Any) -> None:
        """Another function of a module, or attribute of a class."""
        self.monkeypatch.setattr(place, name, value)

    def framework(self, **changes: Any) -> None:
        """A framework that is wrong; see :class:`Framework`."""
        self.backend = Framework(self.backend, **changes)

    def model(self, kind: type, **more: Any) -> None:
        """Another model, a subclass of the right one; parameters it has beside are drawn."""

        def planted(subject: Subject) -> Subject:
            model = kind(**vars(subject.model) | more)
            rng = np.random.default_rng(self.seed + 1)
            parameters = {
                name: subject.parameters.get(name, value.astype(subject.dtype))
                for name, value in model.initial(rng).items()
            }
            noise = model.noise(rng, subject.batch.n, subject.batch.t) | dict(subject.batch.noise)
            batch = dataclasses.replace(subject.batch, noise=noise)
            return dataclasses.replace(subject, model=model, parameters=parameters, batch=batch)

        self._subject = planted

    def known(self, change: Callable[[Reference], Reference]) -> None:
        """Another reference than the right one."""
        self._known = change

    def study(self, check: Check, kind: str) -> Study:
        """The check's typical case, or a small sequence model by name, with the bug in it."""
        rng = np.random.default_rng(self.seed)
        right = check.typical(rng).subject() if kind == TYPICAL else small(kind, rng)
        subject = self._subject(right)
        known = self._known(reference(subject)) if self._known else None
        return Study(Bench(self.backend), subject, known)

    def run(self, check: str | Check, *kinds: str, examples: int = 0) -> Evidence:
        """Evidence on subjects by name; none: the typical case alone."""
        check = CHECKS[check] if isinstance(check, str) else check
        studies = [self.study(check, kind) for kind in kinds or (TYPICAL,)]
        bench = Bench(self.backend)
        return run_check(check, bench, studies, examples=examples, seed=self.seed)


def small(name: str, rng: np.random.Generator) -> Subject:
    """A small sequence model on two sentences of different lengths, the first labelled."""
    model = SMALL[name]()
    tokens = rng.integers(4, model.vocabulary, (2, 4))
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0]])
    noise = model.noise(rng, 2, 4)
    noise["keep"] = np.array([[1.0, 1.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
    batch = make_batch(tokens * mask, mask, np.array([1, -1]), noise, classes=model.classes)
    return Subject(model, model.initial(rng), batch, name=name, seed=int(rng.integers(1000)))


def kinds_of(check: str | Check) -> list[str]:
    """The subjects that a check is about."""
    check = CHECKS[check] if isinstance(check, str) else check
    typical = [TYPICAL] if check.typical else []
    return [*typical, *(name for name in SMALL if name in check.models)]


def held_checks(*excepted: str) -> Sequence[str]:
    """The checks that are expected to hold, in any framework, but some.

    Args:
        excepted: checks by id, or all of a claim by the claim's.
    """
    return [
        check.id
        for check in CHECKS.values()
        if check.expected == "holds"
        and "autograd" in check.backends
        and not {check.id, check.claim} & set(excepted)
    ]
