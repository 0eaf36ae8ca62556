"""A check that could not finish, or that saw nothing, is neither held nor refuted, and says why."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import strategies as st

from gradproof.checks.evidence import HOLDS, REFUTED, UNDECIDED, Comparison, compare
from gradproof.checks.note.check import Check
from gradproof.checks.note.registry import CHECKS
from gradproof.checks.note.run_check import run_check
from gradproof.checks.note.study import Study
from gradproof.estimators.note.bench import Bench

from .plant import TYPICAL, held_checks


def planted(compare, **fields):
    """A check with a comparison of the test's own, on the typical case of another."""
    like = CHECKS["gradient.phi_theta/batch-form"]
    return dataclasses.replace(like, compare=compare, **fields)


def raising(error):
    """A function that raises, whatever it is given."""

    def function(*args, **kwargs):
        raise error

    return function


ERRORS = [
    RuntimeError("out of memory"),
    ZeroDivisionError("division by zero"),
    AssertionError("an assertion of the framework's own"),
    NotImplementedError("no gradient for this operation"),
    KeyError("w.bias"),
    np.linalg.LinAlgError("singular"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("place", ["gradient", "values", "stop_gradient"])
def test_a_crash_is_told_from_a_refutation(scene, place, error):
    """An error raised anywhere inside ends in ``crash``, with its kind and its words."""
    crash = raising(error)
    plant = {
        "gradient": {"gradient": crash},
        "values": {"values": crash},
        "stop_gradient": {"ops": {"stop_gradient": crash}},
    }
    scene.framework(**plant[place])
    # It evaluates, differentiates and holds.
    found = scene.run("constant.theano/held")
    assert found.verdict == UNDECIDED
    assert not found.as_expected
    assert found.crash == f"{type(error).__name__}: {error}"
    assert found.comparisons == 0
    assert found.counterexample == found.snippet == ""
    assert f"The check could not finish: {found.crash}" in found.explain()
    json.dumps(found.as_dict(), allow_nan=False)


# What labels cost is counted in NumPy, and slopes are the reference's: no framework is asked.
@pytest.mark.parametrize("check", held_checks("cost.labels", "objective.u/slopes"))
def test_no_check_swallows_an_error(scene, check):
    """Whatever a framework raises, no check goes on as if nothing had happened."""
    crash = raising(RuntimeError("planted"))
    scene.framework(gradient=crash, values=crash)
    scene.replace(type(scene.backend), "reach", crash)
    kind = TYPICAL if CHECKS[check].typical else CHECKS[check].models[0]
    found = scene.run(check, kind)
    assert found.verdict == UNDECIDED
    assert found.crash == "RuntimeError: planted"


def test_a_crash_on_a_drawn_case_is_a_crash(scene):
    """Cases that Hypothesis draws may crash as well; an error is no counterexample."""

    def crash_on_labels(study):
        if study.subject.model.classes == 2:
            raise RuntimeError("two labels")
        return CHECKS["gradient.phi_theta/batch-form"].compare(study)

    found = scene.run(planted(crash_on_labels), examples=50)
    assert found.verdict == UNDECIDED
    assert found.crash == "RuntimeError: two labels"
    assert found.counterexample == ""


def test_a_missing_parameter_is_a_crash(scene):
    """A framework that gives no gradient for a parameter has not given zeros."""
    scene.framework(gradient=lambda found: {k: v for k, v in found.items() if k != "w.bias"})
    found = scene.run("gradient.phi_theta/batch-form")
    assert found.verdict == UNDECIDED
    assert "w.bias" in found.crash


# ------------------------------------------------------------------ nothing compared, nothing seen


NOTHING = "NothingCompared: zero comparisons: a verdict needs at least one number compared"


@pytest.mark.parametrize("examples", [0, 5])
@pytest.mark.parametrize("check", ["none", "empty"])
def test_comparing_nothing_is_a_crash(scene, check, examples):
    """Neither no comparison nor one of empty arrays is a verdict."""
    empty = compare("nothing", np.zeros(0), np.zeros(0), 1.0, "planted")
    found = scene.run(planted(lambda study: [] if check == "none" else [empty]), examples=examples)
    assert found.verdict == UNDECIDED
    assert found.crash.startswith(NOTHING), found.crash


def test_without_subject_or_case_there_is_no_verdict(scene):
    """A check that ran on nothing has not held."""
    check = CHECKS["partition.seqdgm/groups"]
    found = run_check(check, Bench(scene.backend), [], examples=5, seed=scene.seed)
    assert found.verdict == UNDECIDED
    assert found.crash.startswith(NOTHING), found.crash


@pytest.mark.parametrize("signal", [0.0, 1e-13])
def test_equal_and_too_small_to_see_does_not_hold(scene, signal):
    """Equal zeros, and numbers below what rounding may do to them, are undecided."""
    seen = Comparison("a number", 1, 0.0, 1e-13, signal, "planted")
    found = scene.run(planted(lambda study: [seen]))
    assert found.verdict == UNDECIDED
    assert not found.crash
    assert found.resolution >= 1.0


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (0.0, HOLDS),
        (1.0, HOLDS),
        (1.0 + 1e-9, UNDECIDED),
        (16.0, UNDECIDED),
        (16.0 + 1e-9, REFUTED),
        (math.inf, REFUTED),
    ],
)
def test_between_the_bound_and_sixteen_times_it_nothing_is_decided(scene, error, verdict):
    """An error that rounding hardly explains, and a bug hardly makes, is nobody's."""
    seen = Comparison("a number", 1, error * 1e-12, 1e-12, 1.0, "planted")
    assert scene.run(planted(lambda study: [seen])).verdict == verdict


def test_one_error_among_many_is_enough(scene):
    """The largest error decides, however many comparisons agree and whichever comes last."""
    good = [Comparison("fine", 100, 0.0, 1e-12, 1.0, "planted")] * 50
    bad = Comparison("wrong", 1, 1e-6, 1e-12, 1.0, "planted", "a note")
    found = scene.run(planted(lambda study: [*good, bad, *good]))
    assert found.verdict == REFUTED
    assert found.worst == "wrong of planted"
    assert found.note == "a note"
    assert found.comparisons == 50 * 100 + 1 + 50 * 100


@pytest.mark.parametrize("blind", [TYPICAL, "seqdgm", "seqdgm-a"])
@pytest.mark.parametrize("examples", [0, 5])
def test_each_kind_of_subject_is_seen_on_its_own(scene, blind, examples):
    """Where one model shows nothing of a parameter, another's of the same name does not make up."""
    seen = []

    def one_number(study):
        name = study.subject.name
        seen.append(name)
        hidden = name == {TYPICAL: "tabular"}.get(blind, blind)
        return [Comparison("e.embedding", 1, 0.0, 1e-13, 0.0 if hidden else 1.0, study.name)]

    check = planted(one_number)
    found = scene.run(check, TYPICAL, "seqdgm", "seqdgm-a", examples=examples)
    assert {"tabular", "seqdgm", "seqdgm-a"} == set(seen)
    assert found.verdict == UNDECIDED
    assert not found.crash
    kinds = {TYPICAL: "tabular: "}.get(blind, f"{blind}: ")
    assert found.unresolved[0].startswith(f"e.embedding of {kinds}")
    drawn = ["e.embedding of drawn cases"] if blind == TYPICAL and examples else []
    assert list(found.unresolved[1:]) == drawn
    assert all(name in found.explain() for name in found.unresolved)


def test_a_recurrence_that_is_never_used_is_not_said_to_hold(scene):
    """Sentences of one token: nothing is seen of what acts from the second on, and that is said."""
    check = CHECKS["gradient.w/batch-form"]
    subject = scene.study(check, "seqdgm").subject
    arrays = subject.batch.arrays()
    short = {name: arrays[name][:, :1] for name in ("tokens", "mask", "noise.keep")}
    batch = dataclasses.replace(subject.batch.with_arrays(arrays | short), t=1)
    study = Study(Bench(scene.backend), subject.replace(batch=batch))
    found = run_check(check, study.bench, [study], examples=5, seed=scene.seed)
    assert found.verdict == UNDECIDED
    assert found.unresolved == (f"w.lstm.recurrent of {study.name}",)
    assert found.unresolved[0] in found.explain()


def test_refuted_on_one_subject_is_refuted(scene):
    """A bug on LSTMs alone is not voted down by tables that are right."""

    def only_on_sequences(study):
        found = CHECKS["gradient.phi_theta/batch-form"].compare(study)
        if study.subject.model.name == "tabular":
            return found
        return [dataclasses.replace(one, error=1.0) for one in found]

    check = planted(only_on_sequences)
    assert scene.run(check).verdict == HOLDS
    found = scene.run(check, TYPICAL, "seqdgm")
    assert found.verdict == REFUTED
    assert found.subjects[0].startswith("tabular: ")
    assert found.subjects[1].startswith("seqdgm: ")
    assert "seqdgm" in found.worst


def test_a_check_is_not_told_what_is_expected(scene):
    """The verdict comes from the numbers: the same ones refute a row on record as holding."""
    bad = Comparison("wrong", 1, 1.0, 1e-12, 1.0, "planted")
    for expected in (HOLDS, REFUTED):
        found = scene.run(planted(lambda study: [bad], expected=expected))
        assert found.verdict == REFUTED
        assert found.as_expected is (expected == REFUTED)


def test_a_case_that_cannot_be_made_is_a_crash(scene):
    """A drawn case whose subject is invalid is an error of the check, not of the claim."""

    @dataclasses.dataclass(frozen=True)
    class Broken:
        """A case."""

        def subject(self):
            """Not to be made."""
            raise ValueError("no such subject")

    check = Check("gradient.e", "planted", "", HOLDS, lambda study: [], st.builds(Broken))
    found = scene.run(check, "seqdgm", examples=3)
    assert found.verdict == UNDECIDED
    assert found.crash == "ValueError: no such subject"
