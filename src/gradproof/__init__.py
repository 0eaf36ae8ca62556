"""gradproof: gradcheck for stochastic gradients.

Checks that a stochastic gradient estimator (score function or REINFORCE, pathwise,
straight-through) is unbiased, by running it on every draw and weighting by probability: mean and
variance are exact, and a verdict has no sampling noise in it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from gradproof.extras import what_to_install

if TYPE_CHECKING:
    from gradproof.checks.evidence import Evidence, NothingCompared
    from gradproof.checks.note.cases import CoupledCase, GaussianCase, TabularCase
    from gradproof.checks.note.text import TextOptions, prepare_text, text_subject
    from gradproof.checks.note.verification import Verification
    from gradproof.checks.note.verify import reproduce, verify
    from gradproof.checks.sequential.mean_test import BeyondRange, MeanTest
    from gradproof.checks.sequential.sampler_test import SamplerTest
    from gradproof.checks.user.comparison_curve import ComparisonCurve, compare_along
    from gradproof.checks.user.direction import MeanDirection
    from gradproof.checks.user.estimator import assert_unbiased, check_estimator
    from gradproof.checks.user.estimator_comparison import (
        ComparedEstimator,
        EstimatorComparison,
        compare_estimators,
    )
    from gradproof.checks.user.estimator_report import Biased, EstimatorReport
    from gradproof.checks.user.invariances import InvarianceReport, check_invariances
    from gradproof.checks.user.known_spread import BeyondSpread
    from gradproof.checks.user.passes import CountedFunction, NotCountable, Passes
    from gradproof.checks.user.rarity import TooFewDraws
    from gradproof.checks.user.sampled import RepeatedSamples
    from gradproof.checks.user.surrogate import SurrogateReport, check_surrogate
    from gradproof.checks.user.surrogate_runs import InputChanged
    from gradproof.checks.user.worst_case import WorstCase, find_worst_case
    from gradproof.derivations.claims import CLAIMS, Claim
    from gradproof.errors import GradproofError
    from gradproof.estimators.backends import BackendMissing
    from gradproof.estimators.engine import NotAnOuterProduct, entry_moments, moments_table
    from gradproof.estimators.enumeration.differences import NotMovable
    from gradproof.estimators.enumeration.expectation import NotDifferentiable
    from gradproof.estimators.enumeration.gradients import NotAGradient
    from gradproof.estimators.enumeration.packing import NotSendable
    from gradproof.estimators.enumeration.run import (
        NotEnumerable,
        NotReproducible,
        TooManyPaths,
        UnsupportedDraw,
    )
    from gradproof.estimators.enumeration.stops import UnsupportedStopGradient
    from gradproof.estimators.note.label_table import LabelTable
    from gradproof.estimators.note.parabola import Quadratics
    from gradproof.estimators.note.subject import Subject
    from gradproof.reference_models.corpora import CorpusError
    from gradproof.version import __version__ as __version__

__all__ = [
    "CLAIMS",
    "BackendMissing",
    "BeyondRange",
    "BeyondSpread",
    "Biased",
    "Claim",
    "ComparedEstimator",
    "ComparisonCurve",
    "CorpusError",
    "CountedFunction",
    "CoupledCase",
    "EstimatorComparison",
    "EstimatorReport",
    "Evidence",
    "GaussianCase",
    "GradproofError",
    "InputChanged",
    "InvarianceReport",
    "LabelTable",
    "MeanDirection",
    "MeanTest",
    "NotAGradient",
    "NotAnOuterProduct",
    "NotCountable",
    "NotDifferentiable",
    "NotEnumerable",
    "NotMovable",
    "NotReproducible",
    "NotSendable",
    "NothingCompared",
    "Passes",
    "Quadratics",
    "RepeatedSamples",
    "SamplerTest",
    "Subject",
    "SurrogateReport",
    "TabularCase",
    "TextOptions",
    "TooFewDraws",
    "TooManyPaths",
    "UnsupportedDraw",
    "UnsupportedStopGradient",
    "Verification",
    "WorstCase",
    "assert_unbiased",
    "check_estimator",
    "check_invariances",
    "check_surrogate",
    "compare_along",
    "compare_estimators",
    "entry_moments",
    "find_worst_case",
    "moments_table",
    "prepare_text",
    "reproduce",
    "text_subject",
    "verify",
]

#: Where each public name is kept. They are imported on first use: pytest loads this
#: package in every session, for its plugin, and most sessions verify no gradient.
_HOMES = {
    "gradproof.checks.note.cases": ("CoupledCase", "GaussianCase", "TabularCase"),
    "gradproof.checks.user.estimator": ("assert_unbiased", "check_estimator"),
    "gradproof.checks.user.direction": ("MeanDirection",),
    "gradproof.checks.user.estimator_comparison": (
        "ComparedEstimator",
        "EstimatorComparison",
        "compare_estimators",
    ),
    "gradproof.checks.user.estimator_report": ("Biased", "EstimatorReport"),
    "gradproof.checks.user.comparison_curve": ("ComparisonCurve", "compare_along"),
    "gradproof.checks.user.worst_case": ("WorstCase", "find_worst_case"),
    "gradproof.checks.evidence": ("Evidence", "NothingCompared"),
    "gradproof.checks.user.surrogate": ("SurrogateReport", "check_surrogate"),
    "gradproof.checks.user.surrogate_runs": ("InputChanged",),
    "gradproof.checks.user.known_spread": ("BeyondSpread",),
    "gradproof.checks.user.passes": ("CountedFunction", "NotCountable", "Passes"),
    "gradproof.checks.user.rarity": ("TooFewDraws",),
    "gradproof.checks.user.sampled": ("RepeatedSamples",),
    "gradproof.checks.user.invariances": ("InvarianceReport", "check_invariances"),
    "gradproof.checks.sequential.sampler_test": ("SamplerTest",),
    "gradproof.checks.sequential.mean_test": ("BeyondRange", "MeanTest"),
    "gradproof.checks.note.text": ("TextOptions", "prepare_text", "text_subject"),
    "gradproof.checks.note.verification": ("Verification",),
    "gradproof.checks.note.verify": ("reproduce", "verify"),
    "gradproof.derivations.claims": ("CLAIMS", "Claim"),
    "gradproof.estimators.backends": ("BackendMissing",),
    "gradproof.estimators.engine": ("NotAnOuterProduct", "entry_moments", "moments_table"),
    "gradproof.estimators.enumeration.differences": ("NotMovable",),
    "gradproof.estimators.enumeration.expectation": ("NotDifferentiable",),
    "gradproof.estimators.enumeration.packing": ("NotSendable",),
    "gradproof.estimators.enumeration.stops": ("UnsupportedStopGradient",),
    "gradproof.estimators.enumeration.gradients": ("NotAGradient",),
    "gradproof.estimators.enumeration.run": (
        "NotEnumerable",
        "NotReproducible",
        "TooManyPaths",
        "UnsupportedDraw",
    ),
    "gradproof.errors": ("GradproofError",),
    "gradproof.estimators.note.parabola": ("Quadratics",),
    "gradproof.estimators.note.subject": ("Subject",),
    "gradproof.estimators.note.label_table": ("LabelTable",),
    "gradproof.reference_models.corpora": ("CorpusError",),
    "gradproof.version": ("__version__",),
}

if not TYPE_CHECKING:  # or a type checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        """A public name, imported on first use."""
        home = next((home for home, names in _HOMES.items() if name in names), None)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            found = getattr(importlib.import_module(home), name)
        except ModuleNotFoundError as error:
            remedy = what_to_install(error)
            if remedy is None:
                raise
            raise ModuleNotFoundError(f"gradproof.{name}: {remedy}", name=error.name) from error
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
