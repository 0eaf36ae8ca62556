"""Drawn cases: each makes a subject, can be pasted, and stays where the claims are about."""

import dataclasses

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from gradproof.checks.note.cases import (
    CoupledCase,
    GaussianCase,
    TabularCase,
    coupled_cases,
    gaussian_cases,
    tabular_cases,
    typical_coupled,
    typical_gaussian,
    typical_tabular,
)
from gradproof.checks.note.registry import CHECKS
from gradproof.checks.note.study import FEW_DRAWS
from gradproof.estimators.note.exact import reference
from gradproof.reference_models.batch import UNLABELLED

#: All strategies that rows use, under the name of the first row that uses each.
DRAWN = {
    repr(check.cases): (check.id, check) for check in CHECKS.values() if check.cases is not None
}
STRATEGIES = dict(DRAWN.values())
SEEDS = st.integers(0, 2**32 - 1)


def pasted(case):
    """The case as its ``repr`` makes it."""
    kinds = {kind.__name__: kind for kind in (TabularCase, GaussianCase, CoupledCase)}
    return eval(repr(case), dict(kinds))  # what a user does with a snippet


@pytest.mark.parametrize("check", STRATEGIES)
@given(data=st.data())
@settings(max_examples=50)
def test_every_drawn_case_makes_a_subject(check, data):
    """Strategies filter nothing and draw nothing that is invalid."""
    case = data.draw(STRATEGIES[check].cases)
    subject = case.subject()
    assert subject.parameters
    assert all(np.isfinite(value).all() for value in subject.parameters.values())
    assert subject.describe()


@pytest.mark.parametrize("check", STRATEGIES)
@given(data=st.data())
@settings(max_examples=50)
def test_a_drawn_case_can_be_pasted(check, data):
    """Its ``repr`` is Python that makes an equal case, with the same subject to the last bit."""
    case = data.draw(STRATEGIES[check].cases)
    again = pasted(case)
    assert again == case
    assert hash(again) == hash(case)
    one, other = case.subject(), again.subject()
    for name, value in one.parameters.items():
        assert value.dtype == other.parameters[name].dtype
        assert (value == other.parameters[name]).all()


@pytest.mark.parametrize("check", [check.id for check in CHECKS.values() if check.typical])
@given(seed=SEEDS)
@settings(max_examples=5)
def test_a_typical_case_can_be_pasted_too(check, seed):
    """It is reported as a counterexample where it is the only one."""
    case = CHECKS[check].typical(np.random.default_rng(seed))
    assert pasted(case) == case
    assert pasted(case).subject().describe() == case.subject().describe()
    assert "np." not in repr(case)


def test_rows_with_cases_have_a_typical_one():
    """Hypothesis likes zeros, at which many a wrong gradient is right."""
    for check in CHECKS.values():
        assert (check.cases is None) == (check.typical is None), check.id


# ------------------------------------------------------------------ tabular


@given(tabular_cases())
def test_tabular_cases_stay_in_their_ranges(case):
    """K is 2 or 3, N 1 or 2, or 3 if K is 2; none is empty, every token and label exists."""
    k, n = len(case.bias), len(case.tokens)
    assert 2 <= k <= 3
    assert 1 <= n <= (3 if k == 2 else 2)
    assert all(1 <= len(row) <= 3 for row in case.tokens)
    assert all(0 <= token < k for row in case.tokens for token in row)
    assert case.labels == (UNLABELLED,) * n
    assert case.dtype in ("float64", "float32")
    assert not case.batch_statistics
    # V is K, so that e and w have a table of the same shape.
    assert len(case.embedding) == len(case.weight) == len(case.phi) == len(case.theta) == k
    assert len(case.noise) == n


@given(tabular_cases(sentences=(2, 4), classes=(3, 5), labelled=True, batch_statistics=True))
def test_limits_are_kept(case):
    """What a row asks for is what it gets."""
    assert 2 <= len(case.tokens) <= 4
    assert 3 <= len(case.bias) <= 5
    assert all(UNLABELLED <= label < len(case.bias) for label in case.labels)
    assert case.batch_statistics


#: Rows that are not about sentences, or not about two labels: with two, every pair is drawn.
NOT_TWO_LABELS = ("kl.", "renormalised")


@pytest.mark.parametrize(
    "check", [name for name in STRATEGIES if not name.startswith(NOT_TWO_LABELS)]
)
def test_three_sentences_of_two_labels_are_drawn(check):
    """Every row can meet them, and they are enumerated jointly: 2^3 draws are few."""
    case = find(STRATEGIES[check].cases, lambda case: len(case.tokens) == 3)
    assert len(case.bias) == 2
    assert 2**3 <= FEW_DRAWS < 3**3


@given(tabular_cases(supports=False))
def test_without_supports_every_label_can_be_drawn(case):
    """No log q is minus infinity, where a check cannot do with that."""
    assert case.support is None
    assert np.isfinite(reference(case.subject()).log_q).all()


@given(tabular_cases(classes=(3, 4)))
def test_with_supports_some_label_can_be_drawn(case):
    """The probabilities of the rest are zero, exactly, and those of all sum to one."""
    probability = reference(case.subject()).probability
    allowed = np.array(case.support or (True,) * len(case.bias))
    assert (probability[:, ~allowed] == 0.0).all()
    assert allowed.sum() >= 2
    # K roundings of terms of at most one, and each exp is off by |log q| roundings or fewer.
    assert np.abs(probability.sum(axis=1) - 1.0).max() < 1e-12


@given(tabular_cases())
def test_numbers_are_exact_in_both_dtypes(case):
    """In float32 and float64 a case is the same case: no parameter is rounded on the way in."""
    for table in (case.embedding, case.weight, case.phi, case.theta, case.noise, (case.bias,)):
        wide = np.array(table)
        assert (wide == wide.astype(np.float32)).all()


@given(tabular_cases())
def test_sentences_are_padded_on_the_right(case):
    """The subject's mask has a one for each token of the case, and its tokens are the case's."""
    batch = case.subject().batch
    for row, tokens in enumerate(case.tokens):
        assert batch.mask[row].sum() == len(tokens)
        assert tuple(batch.tokens[row, : len(tokens)]) == tokens


LIMITS = [{}, {"sentences": (2, 3), "classes": (2, 4), "labelled": True, "supports": False}]


@pytest.mark.parametrize("limits", LIMITS)
@given(seed=SEEDS)
@settings(max_examples=20)
def test_a_typical_case_has_no_gradient_that_vanishes(limits, seed):
    """It is the largest of its kind, with every parameter's every row in use."""
    case = typical_tabular(np.random.default_rng(seed), **limits)
    subject = case.subject()
    assert subject.batch.n == limits.get("sentences", (1, 2))[1]
    assert subject.model.classes == limits.get("classes", (2, 3))[1]
    assert (subject.batch.labels != UNLABELLED).any() == limits.get("labelled", False)
    for name, table in reference(subject).gradient.items():
        assert np.abs(table).max(axis=tuple(range(1, table.ndim))).min() > 0.0, name


@given(SEEDS, SEEDS)
def test_typical_cases_are_their_generators(one, other):
    """The same seed gives the same case, another seed another one."""
    for typical in (typical_tabular, typical_gaussian, typical_coupled):
        first = typical(np.random.default_rng(one))
        assert first == typical(np.random.default_rng(one))
        assert (first == typical(np.random.default_rng(other))) is (one == other)


def test_a_typical_case_can_be_coupled():
    """Batch statistics are asked for like the rest."""
    case = typical_tabular(np.random.default_rng(0), sentences=(2, 2), batch_statistics=True)
    assert case.subject().model.batch_statistics


SMALL = TabularCase(
    tokens=((0,), (1, 0)),
    labels=(-1, -1),
    embedding=((1.0,), (2.0,)),
    weight=((1.0,), (0.0,)),
    bias=(0.0, 0.5),
    phi=((1.0,), (0.0,)),
    theta=((1.0,), (0.5,)),
    noise=((0.0,), (1.0,)),
)

REFUSED = {
    "no sentence": ({"tokens": ()}, r"tokens are \(\), expected a tuple of one sentence or more"),
    "no token": ({"tokens": ((), (1,))}, r"tokens are \(\(\), \(1,\)\), .* of one token or more"),
    "one sentence": ({"tokens": (0, 1)}, r"tokens are \(0, 1\), expected a tuple of one sentence"),
    "a number": ({"tokens": 3}, "tokens are 3, expected a tuple of one sentence or more"),
    "unknown token": ({"tokens": ((2,), (1,))}, r"token 2 at \(0, 0\) is outside 0\.\.1"),
    "ragged": (
        {"embedding": ((1.0,), (1.0, 2.0))},
        r"e\.embedding is \(\(1\.0,\), \(1\.0, 2\.0\)\), expected rows of numbers, all of one",
    ),
    "no rows": (
        {"phi": ()},
        r"phi\.table is \(\), expected rows of numbers, all of one length, and",
    ),
    "empty rows": ({"embedding": ((), ())}, r"e\.embedding is \(\(\), \(\)\), expected rows"),
    "no bias": ({"bias": ()}, r"w\.bias is \(\), expected a row of numbers, and one at least"),
    "no number": ({"theta": "ab"}, r"theta\.table is 'ab', expected rows of numbers"),
    "ragged noise": ({"noise": ((1.0,), ())}, r"noise is \(\(1\.0,\), \(\)\), expected rows"),
    "wide noise": ({"noise": ((1.0, 2.0),) * 2}, r"'eps_h' has shape \(2, 2\), expected \(2, 1\)"),
    "infinite": ({"bias": (np.inf, 0.0)}, r"'w\.bias' is inf at \(0,\), expected a finite value"),
    "beyond float32": (
        {"bias": (1e300, 0.0), "dtype": "float32"},
        r"'w\.bias' is inf at \(0,\), expected a finite value",
    ),
    "half": ({"dtype": "float16"}, "dtype is 'float16', expected 'float64' or 'float32'"),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_tables_that_describe_no_model_are_named(change, message):
    """What a user typed is refused with the table's name, its value and what was expected."""
    assert SMALL.subject().batch.n == 2
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **change).subject()


# ------------------------------------------------------------------ Gaussians


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (GaussianCase(np.inf, 0.0), r"'phi\.mean' is inf at \(0,\), expected a finite value"),
        (GaussianCase(0.0, np.nan), r"'phi\.log_variance' is nan at \(0,\), expected a finite"),
        (GaussianCase(1e300, 0.0, "float32"), r"'phi\.mean' is inf at \(0,\), expected a finite"),
        (GaussianCase(0.0, 1.0, "int8"), "dtype is 'int8', expected 'float64' or 'float32'"),
        (
            GaussianCase((0.0, 1.0), 1.0),
            r"phi\.mean is \[\(0\.0, 1\.0\)\], expected a row of",
        ),
        (CoupledCase(0, 1, 2, 3, 4, np.nan), r"'phi\.p_log_variance' is nan at \(0,\), expected a"),
    ],
)
def test_gaussians_that_are_none_are_named(case, message):
    """No quadrature is run on what is not finite."""
    with pytest.raises(ValueError, match=message):
        case.subject()


@given(gaussian_cases)
def test_gaussian_cases_are_where_quadrature_is_exact_enough(case):
    """From e^-4 to e^2, and means of a few standard deviations."""
    assert -4.0 <= case.log_variance <= 2.0
    assert -2.0 <= case.mean <= 2.0
    subject = case.subject()
    assert set(subject.parameters) == {"phi.mean", "phi.log_variance"}
    assert {value.dtype.name for value in subject.parameters.values()} == {case.dtype}
    assert subject.describe() == repr(case)


@given(coupled_cases)
def test_coupled_cases_are_parameters_of_one_entry(case):
    """Every field is a parameter, under the group phi."""
    subject = case.subject()
    expected = {f"phi.{field.name}" for field in dataclasses.fields(CoupledCase)}
    assert set(subject.parameters) == expected
    assert all(value.shape == (1,) for value in subject.parameters.values())
