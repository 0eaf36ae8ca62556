"""A study: one subject on one bench, with all that is random in a check from the subject's seed."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradproof.checks.note.cases import tabular_cases, typical_tabular
from gradproof.checks.note.study import Study
from gradproof.estimators import backends
from gradproof.estimators.baselines import BASELINES
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.exact import reference
from gradproof.estimators.note.forms import FORMS

BENCH = Bench(backends.load("autograd"))
SEEDS = st.integers(0, 2**32 - 1)


def study_of(seed, **limits):
    """A study of a case in general position."""
    return Study(BENCH, typical_tabular(np.random.default_rng(seed), **limits).subject())


@given(tabular_cases())
@settings(max_examples=50)
def test_draws_have_a_positive_probability(case):
    """A label that is never drawn is not looked at, and the same study draws the same labels."""
    study = Study(BENCH, case.subject())
    labels = study.draw()
    rows = np.arange(study.subject.batch.n)
    assert labels.shape == rows.shape
    assert (study.reference.probability[rows, labels] > 0.0).all()
    assert (study.draw() == labels).all()


@given(SEEDS, st.sampled_from(sorted(BASELINES)))
@settings(max_examples=50)
def test_lambda_is_the_subjects(seed, name):
    """In its dtype, from its seed, and always the same."""
    study = study_of(seed)
    narrow = {k: v.astype(np.float32) for k, v in study.subject.parameters.items()}
    for subject in (study.subject, study.subject.replace(parameters=narrow)):
        found = Study(BENCH, subject).baseline_inputs(BASELINES[name])
        again = Study(BENCH, subject).baseline_inputs(BASELINES[name])
        assert all(value.dtype == subject.dtype for value in found.values())
        assert all((value == again[key]).all() for key, value in found.items())
        assert all(key.startswith("lambda.") for key in found)


def test_another_seed_is_another_lambda():
    """The subject's seed is in use."""
    study = study_of(0)
    other = Study(BENCH, study.subject.replace(seed=study.subject.seed + 1))
    for name in ("constant", "affine-embedding", "running-mean"):
        one, two = (s.baseline_inputs(BASELINES[name]) for s in (study, other))
        assert all((one[key] != two[key]).any() for key in one)


def test_the_first_sentences_are_a_study_of_their_own():
    """The same parameters, fewer sentences; asked for twice it is the same study."""
    study = study_of(1, sentences=(3, 3))
    two = study.first(2)
    assert two.subject.batch.n == 2
    assert (two.subject.batch.tokens == study.subject.batch.tokens[:2]).all()
    assert two.subject.parameters is study.subject.parameters
    assert study.first(2) is two
    assert study.first(3) is study
    assert study.first(4) is study
    assert two.reference.log_q.shape[0] == 2


def test_a_reference_that_is_known_is_not_computed():
    """Frameworks share it."""
    study = study_of(2)
    known = dataclasses.replace(reference(study.subject), unit=1.0)
    assert Study(BENCH, study.subject, known).reference is known
    assert study.reference is study.reference
    assert study.reference.unit < 1.0


@pytest.mark.parametrize(
    ("groups", "names"),
    [
        ((), ["e.embedding", "w.weight", "w.bias", "phi.table", "theta.table"]),
        (("w",), ["w.weight", "w.bias"]),
        (("theta", "phi"), ["phi.table", "theta.table"]),
        (("lambda",), []),
    ],
)
def test_names_are_by_group(groups, names):
    """In the order of the parameters; none named means all."""
    assert study_of(3).names(*groups) == names


def test_moments_are_computed_once():
    """By form, baseline and groups, whether they are given by name or not."""
    study = study_of(4)
    found = study.moments("one-pass")
    assert study.moments(FORMS["one-pass"], BASELINES["none"]) is found
    assert study.moments("one-pass", "constant") is not found
    assert study.moments("one-pass", groups=("w",)) is not found
    assert list(study.moments("one-pass", groups=("w",)).mean) == ["w.weight", "w.bias"]


def test_coupled_baselines_are_enumerated_jointly():
    """K^N draws for those, N K for the rest where K^N is more than a few."""
    study = study_of(5)
    assert study.moments("one-pass", "affine-embedding").draws == 3**2
    assert study.moments("one-pass", "leave-one-out").draws == 3**2
    case = typical_tabular(np.random.default_rng(5), sentences=(3, 3))
    larger = Study(study.bench, case.subject())
    assert larger.moments("one-pass", "affine-embedding").draws == 3 * 3
    assert larger.moments("one-pass", "leave-one-out").draws == 3**3


def test_compare_gradient_has_a_comparison_for_each_parameter():
    """With its own bound, widened by what else the weight contains."""
    study = study_of(6)
    known = dict(study.reference.gradient)
    found = study.compare_gradient(known, known, study.names("w"))
    assert [one.what for one in found] == ["w.weight", "w.bias"]
    assert all(one.error == 0.0 and one.bound > 0.0 for one in found)
    assert all(one.subject == study.name == study.subject.describe() for one in found)
    wider = study.compare_gradient(known, known, study.names("w"), extra=100.0)
    assert all(more.bound > one.bound for one, more in zip(found, wider, strict=True))
    given_signal = study.compare_gradient(known, known, ["w.bias"], signal={"w.bias": 7.0})
    assert given_signal[0].signal == 7.0


def test_a_gradient_that_is_missing_is_an_error():
    """It is not compared as zeros."""
    study = study_of(7)
    known = dict(study.reference.gradient)
    with pytest.raises(KeyError, match=r"w\.bias"):
        study.compare_gradient({"w.weight": known["w.weight"]}, known, study.names("w"))
