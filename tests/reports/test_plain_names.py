"""Names and numbers of figures: in words, and without a power of ten where one can do without."""

import pytest

from gradproof.estimators.baselines import BASELINES as OURS
from gradproof.reference_models.corpora import available
from gradproof.reports.plain_names import (
    DATA,
    baseline_name,
    data_name,
    fit_name,
    number,
    subject_name,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.0, "1"),
        (19.57, "19.6"),
        (3120.4, "3,120"),
        (123456.0, "123,000"),
        (0.00123, "0.00123"),
        (-2.5, "\N{MINUS SIGN}2.5"),
        (3e14, r"$3.00\times10^{14}$"),
        (1e-9, r"$1.00\times10^{-9}$"),
        (float("nan"), "nan"),
    ],
)
def test_numbers(value, text):
    """Three digits."""
    assert number(value) == text


def test_words():
    """Of ours; what is a user's own keeps its name."""
    assert set(DATA) == {row.name for row in available()}
    assert subject_name("seqdgm-a", "names-8") == "SeqDGM-A on last names, 8 locales"
    assert data_name("mine.csv") == "mine.csv"
    assert baseline_name("affine-both") == "affine in both"
    assert baseline_name("Mine") == "Mine"
    assert fit_name("mse") == "least squares"
    assert [name for name in OURS if "-" in baseline_name(name)] == []
