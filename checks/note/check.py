"""What a check is: one row, whose identifier is also the identifier of its tests."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from gradproof.estimators.backends import BACKENDS

from ..evidence import Comparison
from .cases import tabular_cases, typical_tabular
from .study import Study

#: The models of real text, by the names that the command line knows.
SEQUENCE_MODELS = ("seqdgm", "seqdgm-a")

ROUNDING = "rounding: u 4R (2 + M) sum_n [max|weight| max|score| + max|pathwise|]"


def on_tabular_cases(**limits: Any) -> dict[str, Any]:
    """The fields ``cases`` and ``typical`` of a check that runs on tabular models.

    Args:
        limits: those of :func:`gradproof.checks.note.cases.tabular_cases`.
    """
    return {
        "cases": tabular_cases(**limits),
        "typical": functools.partial(typical_tabular, **limits),
    }


def checks_of(claim: str, **shared: Any) -> Callable[..., Check]:
    """What makes the checks of a claim, from variant, statement, expected verdict and comparison.

    Args:
        shared: further fields, which all of them have.
    """
    return functools.partial(Check, claim, **shared)


@dataclasses.dataclass(frozen=True)
class Check:
    """A claim in one variant, and how to compare it on one subject.

    Args:
        claim: an id of :data:`gradproof.derivations.claims.CLAIMS`.
        variant: what is checked of it; ``printed`` is as the note has it.
        statement: one line.
        expected: the verdict that is on record.
        compare: comparisons for one study; must make at least one over all subjects.
        cases: strategy of small cases, or None where a case adds nothing to the sequence models.
        typical: a case in general position, from a generator; it is run beside those drawn.
        models: the models of real text that it also runs on.
        limits: why it does not run on each of them, if it does not.
        backends: the frameworks that it is about.
        bound_reason: where the bounds come from.
    """

    claim: str
    variant: str
    statement: str
    expected: str
    compare: Callable[[Study], list[Comparison]]
    cases: st.SearchStrategy[Any] | None = None
    typical: Callable[[np.random.Generator], Any] | None = None
    models: tuple[str, ...] = SEQUENCE_MODELS
    backends: tuple[str, ...] = tuple(BACKENDS)
    bound_reason: str = ROUNDING
    limits: str = ""

    @property
    def id(self) -> str:
        """``claim/variant``."""
        return f"{self.claim}/{self.variant}"

    @property
    def runs_on(self) -> str:
        """The models of text and the cases that it runs on, and why on no others."""
        places = [f"{name} on text" for name in self.models]
        places += ["drawn cases"] if self.cases is not None else []
        return "; ".join(filter(None, [", ".join(places), self.limits]))
