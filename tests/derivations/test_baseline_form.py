"""Which form the baseline should have: the derivation, its oracle, and planted errors."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.derivations.baseline_form import EXCESS, form
from gradproof.derivations.kernel.derivation import Proof, StepFails

#: Sums of some dozen float64 terms, after a least squares fit of four features.
ROUNDING = 1e-9


def planted(title: str, number: int, **changes: object) -> Proof:
    """A part of the derivation with one step changed."""
    part = next(part for part in form().parts if part.title.startswith(title))
    assert isinstance(part, Proof)
    steps = list(part.steps)
    steps[number - 1] = dataclasses.replace(steps[number - 1], **changes)
    return dataclasses.replace(part, steps=tuple(steps))


def test_the_verdict() -> None:
    """The open question has an answer that is proved."""
    assert form().verdict == "proved"


@pytest.mark.parametrize(
    ("title", "number", "changes", "message"),
    [
        ("and how far", 2, {"rule": "linearity of the mean"}, r"step 2 .*'normalisation'"),
        ("two labels", 1, {"given": {}}, r"step 1 \(assumption\)"),
        ("what a form B = F", 3, {"rule": "algebra"}, r"step 3 \(algebra\): .* would lead there"),
        ("what one constant", 1, {"rule": "algebra"}, r"step 1 .*'linearity of the sum'"),
    ],
)
def test_a_planted_error_is_named(
    title: str, number: int, changes: dict[str, object], message: str
) -> None:
    """A forgotten Σ q = 1, a missing assumption or a wrong rule fails at its own step."""
    with pytest.raises(StepFails, match=message):
        planted(title, number, **changes).check("baseline.form", {})


def test_a_flipped_sign_is_named() -> None:
    """E[L] + 1 + H is not E[R]."""
    right = planted("and how far", 4).steps
    wrong = -right[3].after + 2 * right[0].after.args[0]
    with pytest.raises(StepFails, match=r"step 4 \(definition\)"):
        planted("and how far", 4, after=wrong).check("baseline.form", {})


@given(seed=st.integers(0, 2**32 - 1), sentences=st.integers(6, 30))
def test_the_oracle_is_the_share_captured(seed: int, sentences: int) -> None:
    """Parabola by parabola: what B takes away, of what the best B would."""
    draw = np.random.default_rng(seed)
    a2, best = draw.uniform(0.5, 2, sentences), draw.normal(2, 1, sentences)
    baseline = draw.normal(2, 1, sentences)
    lowered = sum(
        bend * (2 * own * at - at**2) for bend, own, at in zip(a2, best, baseline, strict=True)
    )
    possible = sum(bend * own**2 for bend, own in zip(a2, best, strict=True))
    found = form().oracle(a2=a2, best=best, baseline=baseline)
    np.testing.assert_allclose(found, lowered / possible, rtol=ROUNDING, atol=ROUNDING)


@given(seed=st.integers(0, 2**32 - 1), sentences=st.integers(6, 30))
def test_the_projection_leaves_least(seed: int, sentences: int) -> None:
    """Weighted least squares leaves less than its neighbours, by what Pythagoras says."""
    draw = np.random.default_rng(seed)
    a2, best = draw.uniform(0.5, 2, sentences), draw.normal(2, 1, sentences)
    features, root = draw.normal(size=(sentences, 4)), np.sqrt(a2)
    chosen = np.linalg.lstsq(features * root[:, None], best * root, rcond=None)[0]
    fitted, other = features @ chosen, features @ (chosen + draw.normal(size=4))
    left = EXCESS(a2=a2, best=best, baseline=fitted)
    more = EXCESS(a2=a2, best=best, baseline=other) - left
    np.testing.assert_allclose(more, a2 @ (other - fitted) ** 2, rtol=ROUNDING, atol=ROUNDING)
    share = form().oracle(a2=a2, best=best, baseline=fitted)
    expected = (a2 @ fitted**2) / (a2 @ best**2)
    np.testing.assert_allclose(share, expected, rtol=ROUNDING, atol=ROUNDING)
