"""Two labels drawn without replacement: the derivation, its oracles, and planted errors."""

from __future__ import annotations

import dataclasses
import itertools
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from gradproof.derivations.kernel.derivation import Derivation, Proof, StepFails
from gradproof.derivations.renormalised import GRADIENT, renormalised
from gradproof.derivations.without_replacement import renormalised_mean

#: Sums of some dozen float64 terms, in two orders; none is larger than a thousand.
ROUNDING = 1e-12


def planted(derivation: Derivation, title: str, number: int, **changes: object) -> Proof:
    """A part of the derivation with one step changed."""
    part = next(part for part in derivation.parts if part.title.startswith(title))
    assert isinstance(part, Proof)
    steps = list(part.steps)
    steps[number - 1] = dataclasses.replace(steps[number - 1], **changes)
    return dataclasses.replace(part, steps=tuple(steps))


def table(seed: int, labels: int) -> tuple[np.ndarray, ...]:
    """Random q, f, score with mean zero and pathwise gradient for three parameters."""
    draw = np.random.default_rng(seed)
    q = draw.dirichlet(np.ones(labels)) * 0.9 + 0.1 / labels
    f, score, slope = draw.normal(size=labels), *draw.normal(size=(2, labels, 3))
    return q, f, score - q @ score, slope


def by_pairs(q: np.ndarray, estimate: object) -> np.ndarray:
    """The mean over first and second draw, one pair after the other."""
    assert callable(estimate)
    return sum(
        q[one] * q[two] / (1 - q[one]) * np.asarray(estimate(one, two))
        for one, two in itertools.permutations(range(len(q)), 2)
    )


def test_the_verdict() -> None:
    """The derivation stands, and refutes the released scheme."""
    assert renormalised().verdict == "refuted"


@pytest.mark.parametrize(
    ("title", "number", "changes", "message"),
    [
        ("the probabilities", 2, {"rule": "linearity of the sum"}, r"step 2 .*'normalisation'"),
        ("the mean of the renormalised estimator", 2, {"rule": "algebra"}, r"step 2 .*'order of"),
        ("the weights", 5, {"after": sp.S.Zero}, r"step 5 .*does not lead"),
        ("the weights", 4, {"rule": "linearity of the sum"}, r"step 4 .*'normalisation'"),
        ("the derivative", 5, {"rule": "independence"}, r"step 5 .*'chain rule' would lead"),
    ],
)
def test_a_planted_error_is_named(
    title: str, number: int, changes: dict[str, object], message: str
) -> None:
    """A wrong rule, a forgotten Σ q = 1 or a wrong result fails at its own step."""
    wrong = planted(renormalised(), title, number, **changes)
    with pytest.raises(StepFails, match=message):
        wrong.check("renormalised", {})


def test_a_flipped_sign_is_named() -> None:
    """The bias of three labels with its sign turned does not pass."""
    right = planted(renormalised(), "three labels", 1)
    wrong = planted(renormalised(), "three labels", 1, after=-right.result)
    with pytest.raises(StepFails, match=r"three labels.*step 1 \(assumption\)"):
        wrong.check("renormalised", wrong.given)


@given(seed=st.integers(0, 2**32 - 1), labels=st.integers(2, 7))
def test_the_oracle_is_the_mean_over_the_pairs(seed: int, labels: int) -> None:
    """The formula for any K gives what going through all pairs gives."""
    q, f, _, _ = table(seed, labels)
    found = renormalised().oracle(q=q, f=f)
    expected = by_pairs(q, lambda a, b: (q[a] * f[a] + q[b] * f[b]) / (q[a] + q[b]))
    np.testing.assert_allclose(found, expected, rtol=ROUNDING, atol=ROUNDING)


@given(seed=st.integers(0, 2**32 - 1), labels=st.integers(2, 7))
def test_the_gradient_is_that_of_the_released_scheme(seed: int, labels: int) -> None:
    """Weights held constant, their mean of f as the baseline: its mean is the second oracle."""
    q, f, score, slope = table(seed, labels)

    def estimate(one: int, two: int) -> np.ndarray:
        weight = q[[one, two]] / (q[one] + q[two])
        centred = f[[one, two]] - weight @ f[[one, two]]
        return (weight * centred) @ score[[one, two]] + weight @ slope[[one, two]]

    found = GRADIENT(q=q[:, None], f=f[:, None], score=score, pathwise=slope)
    np.testing.assert_allclose(found, by_pairs(q, estimate), rtol=ROUNDING, atol=ROUNDING)


@given(seed=st.integers(0, 2**32 - 1), labels=st.integers(2, 7))
def test_the_corrected_weights_are_unbiased(seed: int, labels: int) -> None:
    """The weights that the derivation ends with give the mean and the score part."""
    q, f, score, _ = table(seed, labels)

    def mean(a: int, b: int) -> float:
        return float(((1 - q[b]) * f[a] + (1 - q[a]) * f[b]) / (2 - q[a] - q[b]))

    def gradient(a: int, b: int) -> np.ndarray:
        share = (1 - q[a]) * (1 - q[b]) / (2 - q[a] - q[b])
        return np.asarray(share * (f[a] - f[b]) * (score[a] - score[b]))

    np.testing.assert_allclose(by_pairs(q, mean), q @ f, rtol=ROUNDING, atol=ROUNDING)
    np.testing.assert_allclose(by_pairs(q, gradient), (q * f) @ score, rtol=ROUNDING, atol=ROUNDING)


def kept(q: np.ndarray, label: int) -> float:
    """What the released scheme keeps of the derivative by a logit, f being 1 at its label only."""
    labels = np.eye(len(q))
    found = GRADIENT(q=q[:, None], f=labels[:, [label]], score=labels - q, pathwise=0 * labels)
    return float(found[label] / (q[label] * (1 - q[label])))


def test_a_known_number() -> None:
    """Two of four labels keep two thirds at equal q, and least of what an unlikely label says."""
    assert kept(np.full(4, 0.25), 0) == pytest.approx(2 / 3, abs=ROUNDING)
    assert kept(np.array([0.4, 0.3, 0.2, 0.1]), 3) < 0.5 < kept(np.array([0.4, 0.3, 0.2, 0.1]), 0)


def test_exact_numbers_stay_exact() -> None:
    """Going through the pairs in rationals gives a rational."""
    q = [sp.Rational(1, part) for part in (2, 3, 6)]
    found = renormalised_mean(q, [sp.Integer(1), sp.Integer(0), sp.Integer(0)])
    a, b, c = (Fraction(1, part) for part in (2, 3, 6))
    bias = a * b * c * (3 * a - 1) / ((1 - a) * (1 - b) * (1 - c))
    assert found == sp.Rational(str(a + bias))
