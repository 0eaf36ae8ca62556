"""Every derivation there is, by the claim that it is about."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable

from . import baseline_form as form
from . import baseline_unbiased as baselines
from . import baseline_variance as variance
from . import batch as batches
from . import constant_theano as constants
from . import cost_labels as cost
from . import gradient as gradients
from . import higher_order as higher
from . import kl_closed_form as kl
from . import objective as objectives
from . import partition as structure
from . import renormalised as draws
from .claims import CLAIMS
from .kernel.derivation import Derivation

#: One row a claim. A row is a function, so that naming the claims builds none of them.
DERIVATIONS: dict[str, Callable[[], Derivation]] = {
    "partition.seqdgm": structure.partition_seqdgm,
    "partition.seqdgm_a": structure.partition_seqdgm_a,
    "invariants": structure.invariants,
    "kl.closed_form": kl.closed_form,
    "baseline.reconstruction": objectives.reconstruction,
    "objective.u": objectives.objective_u,
    "objective.c": objectives.objective_c,
    "gradient.e": gradients.gradient_e,
    "gradient.w": gradients.gradient_w,
    "gradient.phi_theta": gradients.gradient_phi_theta,
    "baseline.unbiased": baselines.unbiased,
    "baseline.variance": variance.variance,
    "baseline.form": form.form,
    "constant.theano": constants.constant_theano,
    "batch.one_pass": batches.one_pass,
    "batch.plus_one": batches.plus_one,
    "renormalised": draws.renormalised,
    "higher_order": higher.higher_order,
    "cost.labels": cost.labels,
    "labelled": objectives.labelled,
}


def find_derivations(patterns: tuple[str, ...] = ()) -> list[str]:
    """The claims with these ids, or that begin so; all that have a derivation if none is given.

    Raises:
        ValueError: if a pattern finds none.
    """
    for pattern in patterns:
        if not any(claim.startswith(pattern) for claim in DERIVATIONS) or not pattern:
            derivation(pattern)  # which says what is wrong with it
    return [claim for claim in DERIVATIONS if not patterns or claim.startswith(tuple(patterns))]


@functools.cache
def derive(claim: str) -> Derivation:
    """The derivation of a claim, with every step checked.

    Raises:
        ValueError: if no derivation is about that claim.
        StepFails: if a step does not follow.
    """
    found = derivation(claim)
    found.check()
    return found


@functools.cache
def derivation(claim: str) -> Derivation:
    """The derivation of a claim, not checked: its oracle is there at once.

    Raises:
        ValueError: if no derivation is about that claim.
    """
    if claim not in DERIVATIONS:
        near = difflib.get_close_matches(claim.split("/")[0], DERIVATIONS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        why = "has no derivation" if claim in CLAIMS else "is no claim"
        raise ValueError(f"{claim!r} {why}{hint}; `gradproof derive` lists the derivations")
    return DERIVATIONS[claim]()
