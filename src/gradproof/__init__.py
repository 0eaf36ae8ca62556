"""gradproof: gradcheck for stochastic gradients.

Verifies gradient estimators by running them on every draw and weighing, so that mean and variance
are exact and a verdict has no sampling noise in it.
"""

from gradproof.checks.cases import CoupledCase, GaussianCase, TabularCase
from gradproof.checks.estimator import Biased, Checked, assert_unbiased, check_estimator
from gradproof.checks.evidence import Evidence
from gradproof.checks.text import TextOptions, prepare_text, text_subject
from gradproof.checks.verify import Verification, replay, verify
from gradproof.derivations.claims import CLAIMS, Claim
from gradproof.estimators.backends import BackendMissing
from gradproof.estimators.engine import entry_moments, moments_table
from gradproof.estimators.quadratic import Quadratics
from gradproof.estimators.replay import (
    Continuous,
    NotAGradient,
    NotEnumerable,
    Restless,
    TooManyPaths,
)
from gradproof.estimators.subject import Subject
from gradproof.estimators.table import Table
from gradproof.reference_models.corpora import CorpusError

__all__ = [
    "CLAIMS",
    "BackendMissing",
    "Biased",
    "Checked",
    "Claim",
    "Continuous",
    "CorpusError",
    "CoupledCase",
    "Evidence",
    "GaussianCase",
    "NotAGradient",
    "NotEnumerable",
    "Quadratics",
    "Restless",
    "Subject",
    "Table",
    "TabularCase",
    "TextOptions",
    "TooManyPaths",
    "Verification",
    "assert_unbiased",
    "check_estimator",
    "entry_moments",
    "moments_table",
    "prepare_text",
    "replay",
    "text_subject",
    "verify",
]
