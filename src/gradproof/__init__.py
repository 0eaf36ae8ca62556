"""gradproof: gradcheck for stochastic gradients.

Verifies gradient estimators by running them on every draw and weighing, so that mean and variance
are exact and a verdict has no sampling noise in it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradproof.checks.cases import CoupledCase, GaussianCase, TabularCase
    from gradproof.checks.estimator import Biased, Checked, assert_unbiased, check_estimator
    from gradproof.checks.evidence import Evidence
    from gradproof.checks.held import CheckedSurrogate, check_surrogate
    from gradproof.checks.invariances import Swept, check_invariances
    from gradproof.checks.sampler import SamplerTest
    from gradproof.checks.sequential import MeanTest
    from gradproof.checks.text import TextOptions, prepare_text, text_subject
    from gradproof.checks.verify import Verification, replay, verify
    from gradproof.derivations.claims import CLAIMS, Claim
    from gradproof.estimators.backends import BackendMissing
    from gradproof.estimators.engine import entry_moments, moments_table
    from gradproof.estimators.enumeration.gradients import NotAGradient
    from gradproof.estimators.enumeration.run import (
        NotEnumerable,
        NotReproducible,
        TooManyPaths,
        UnsupportedDraw,
    )
    from gradproof.estimators.quadratic import Quadratics
    from gradproof.estimators.subject import Subject
    from gradproof.estimators.table import Table
    from gradproof.reference_models.corpora import CorpusError

__all__ = [
    "CLAIMS",
    "BackendMissing",
    "Biased",
    "Checked",
    "CheckedSurrogate",
    "Claim",
    "CorpusError",
    "CoupledCase",
    "Evidence",
    "GaussianCase",
    "MeanTest",
    "NotAGradient",
    "NotEnumerable",
    "NotReproducible",
    "Quadratics",
    "SamplerTest",
    "Subject",
    "Swept",
    "Table",
    "TabularCase",
    "TextOptions",
    "TooManyPaths",
    "UnsupportedDraw",
    "Verification",
    "assert_unbiased",
    "check_estimator",
    "check_invariances",
    "check_surrogate",
    "entry_moments",
    "moments_table",
    "prepare_text",
    "replay",
    "text_subject",
    "verify",
]

#: Where each public name is kept. They are imported when they are asked for: pytest loads this
#: package in every session, for its plugin, and most sessions verify no gradient.
_HOMES = {
    "gradproof.checks.cases": ("CoupledCase", "GaussianCase", "TabularCase"),
    "gradproof.checks.estimator": ("Biased", "Checked", "assert_unbiased", "check_estimator"),
    "gradproof.checks.evidence": ("Evidence",),
    "gradproof.checks.held": ("CheckedSurrogate", "check_surrogate"),
    "gradproof.checks.invariances": ("Swept", "check_invariances"),
    "gradproof.checks.sampler": ("SamplerTest",),
    "gradproof.checks.sequential": ("MeanTest",),
    "gradproof.checks.text": ("TextOptions", "prepare_text", "text_subject"),
    "gradproof.checks.verify": ("Verification", "replay", "verify"),
    "gradproof.derivations.claims": ("CLAIMS", "Claim"),
    "gradproof.estimators.backends": ("BackendMissing",),
    "gradproof.estimators.engine": ("entry_moments", "moments_table"),
    "gradproof.estimators.enumeration.gradients": ("NotAGradient",),
    "gradproof.estimators.enumeration.run": (
        "NotEnumerable",
        "NotReproducible",
        "TooManyPaths",
        "UnsupportedDraw",
    ),
    "gradproof.estimators.quadratic": ("Quadratics",),
    "gradproof.estimators.subject": ("Subject",),
    "gradproof.estimators.table": ("Table",),
    "gradproof.reference_models.corpora": ("CorpusError",),
}

if not TYPE_CHECKING:  # or a type checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        """A public name, imported when it is asked for."""
        home = next((home for home, names in _HOMES.items() if name in names), None)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(home), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
