"""What a baseline does to the variance: the derivation, its oracles, and planted errors."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.derivations.baseline_variance import A1, A2, LEAVE_ONE_OUT, PLUS_ONE, variance
from gradproof.derivations.kernel.derivation import Proof, StepFails

#: Sums of some hundred float64 terms, in two orders; none is larger than a thousand.
ROUNDING = 1e-11


def planted(title: str, number: int, **changes: object) -> Proof:
    """A part of the derivation with one step changed."""
    part = next(part for part in variance().parts if part.title.startswith(title))
    assert isinstance(part, Proof)
    steps = list(part.steps)
    steps[number - 1] = dataclasses.replace(steps[number - 1], **changes)
    return dataclasses.replace(part, steps=tuple(steps))


def table(seed: int, labels: int) -> dict[str, np.ndarray]:
    """Random q, loss, score with mean zero and pathwise gradient for three parameters."""
    draw = np.random.default_rng(seed)
    q = draw.dirichlet(np.ones(labels)) * 0.9 + 0.1 / labels
    score, pathwise = draw.normal(size=(2, labels, 3))
    return {
        "q": q[:, None],
        "log_q": np.log(q)[:, None],
        "loss": draw.normal(size=(labels, 1)),
        "score": score - q @ score,
        "pathwise": pathwise,
    }


def spread(q: np.ndarray, estimates: np.ndarray) -> np.ndarray:
    """The variance of estimates, one label after the other."""
    mean = sum(each * row for each, row in zip(q, estimates, strict=True))
    return np.asarray(sum(each * (row - mean) ** 2 for each, row in zip(q, estimates, strict=True)))


def tuples(q: np.ndarray, draws: int) -> Iterator[tuple[float, list[int]]]:
    """All draws of so many labels, each with its probability."""
    for labels in itertools.product(range(len(q)), repeat=draws):
        yield float(np.prod(q[list(labels)])), list(labels)


def test_the_verdict() -> None:
    """The derivation stands, and refutes the claim without its condition."""
    assert variance().verdict == "refuted"


@pytest.mark.parametrize(
    ("title", "number", "changes", "message"),
    [
        ("the variance of one", 2, {"rule": "algebra"}, r"step 2 .*'normalisation' would lead"),
        ("the variance of one", 3, {"rule": "algebra"}, r"step 3 \(algebra\): .* would lead there"),
        ("the best B", 1, {"given": {}}, r"step 1 \(definition\)"),
        ("one more draw adds E[(r", 3, {"given": {}}, r"step 3 \(shown above\)"),
        ("the estimate from n", 3, {"rule": "algebra"}, r"step 3 .*'counting' would lead"),
    ],
)
def test_a_planted_error_is_named(
    title: str, number: int, changes: dict[str, object], message: str
) -> None:
    """A wrong rule, or a definition left out, fails at its own step."""
    with pytest.raises(StepFails, match=message):
        planted(title, number, **changes).check("baseline.variance", {})


def test_a_dropped_term_is_named() -> None:
    """Without the factor 2 of the covariance the difference of the two forms does not follow."""
    right = planted("the variance of the (CQ", 1).result
    with pytest.raises(StepFails, match=r"step 1 \(linearity of the mean\)"):
        planted("the variance of the (CQ", 1, after=right / 2).check("baseline.variance", {})


@given(seed=st.integers(0, 2**32 - 1), labels=st.integers(2, 6), at=st.floats(-3, 3))
def test_the_oracle_is_the_variance(seed: int, labels: int, at: float) -> None:
    """Label by label, the estimate's variance is the formula, and the parabola through it."""
    given_ = table(seed, labels)
    weight = given_["loss"] + given_["log_q"] + 1
    q = given_["q"][:, 0]
    expected = spread(q, (weight - at) * given_["score"] + given_["pathwise"])
    oracle = variance().oracle
    np.testing.assert_allclose(
        oracle(**given_, baseline=at), expected, rtol=ROUNDING, atol=ROUNDING
    )
    at_zero, a1 = oracle(**given_, baseline=0), A1(**given_)
    a2 = A2(q=given_["q"], score=given_["score"])
    np.testing.assert_allclose(
        at_zero - 2 * at * a1 + at**2 * a2, expected, rtol=ROUNDING, atol=ROUNDING
    )
    lower, inside = expected < at_zero, (at / (a1 / a2) > 0) & (at / (a1 / a2) < 2)
    clear = np.abs(expected - at_zero) > ROUNDING * (1 + at_zero)
    np.testing.assert_array_equal(lower[clear], inside[clear])


@given(seed=st.integers(0, 2**32 - 1), labels=st.integers(2, 6), at=st.floats(-3, 3))
def test_the_two_forms_differ_as_derived(seed: int, labels: int, at: float) -> None:
    """The variance of the (CQ + 1) form less that of the analytic one, label by label."""
    given_ = table(seed, labels)
    q, rest = given_["q"][:, 0], (given_["loss"] - at) * given_["score"] + given_["pathwise"]
    own = (given_["log_q"] + 1) * given_["score"]
    expected = spread(q, own + rest) - spread(q, rest)
    found = PLUS_ONE(**given_, baseline=at)
    np.testing.assert_allclose(found, expected, rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize("draws", [2, 3, 4])
@given(seed=st.integers(0, 2**32 - 1))
def test_draws_as_each_others_baselines(seed: int, labels: int, draws: int) -> None:
    """Through all tuples of labels: the mean is the gradient, and the variance the formula."""
    given_ = table(seed, labels)
    q, weight = given_["q"][:, 0], (given_["loss"] + given_["log_q"] + 1)[:, 0]
    first, second = np.zeros(3), np.zeros(3)
    for probability, drawn in tuples(q, draws):
        own = weight[drawn]
        others = (own.sum() - own) / (draws - 1)
        terms = (own - others)[:, None] * given_["score"][drawn] + given_["pathwise"][drawn]
        first += probability * terms.mean(axis=0)
        second += probability * terms.mean(axis=0) ** 2
    exact = q @ (weight[:, None] * given_["score"] + given_["pathwise"])
    np.testing.assert_allclose(first, exact, rtol=ROUNDING, atol=ROUNDING)
    found = LEAVE_ONE_OUT(**given_, draws=draws)
    np.testing.assert_allclose(found, second - first**2, rtol=ROUNDING, atol=ROUNDING)
