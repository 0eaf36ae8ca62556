"""gradproof: gradcheck for stochastic gradients.

Verifies gradient estimators by running them on every draw and weighing, so that mean and variance
are exact and a verdict has no sampling noise in it.
"""

from gradproof.checks.cases import CoupledCase, GaussianCase, TabularCase
from gradproof.checks.evidence import Evidence
from gradproof.checks.text import TextOptions
from gradproof.checks.verify import Verification, replay, verify
from gradproof.derivations.claims import CLAIMS, Claim
from gradproof.estimators.backends import BackendMissing
from gradproof.reference_models.corpora import CorpusError

__all__ = [
    "CLAIMS",
    "BackendMissing",
    "Claim",
    "CorpusError",
    "CoupledCase",
    "Evidence",
    "GaussianCase",
    "TabularCase",
    "TextOptions",
    "Verification",
    "replay",
    "verify",
]
