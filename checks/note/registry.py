"""Every check there is, by its identifier."""

from __future__ import annotations

import difflib

from gradproof.derivations.claims import CLAIMS

from .check import Check
from .claims import (
    baseline,
    batch,
    constant,
    cost,
    derived,
    derived_structure,
    derived_values,
    derived_variance,
    every_baseline,
    forward,
    gradient,
    higher,
    invariants,
    kl,
    labelled,
    objective,
    pairs,
)
from .claims import partition as partition_rows

_ROWS = (
    *forward.CHECKS,
    *partition_rows.CHECKS,
    *invariants.CHECKS,
    *kl.CHECKS,
    *objective.CHECKS,
    *gradient.CHECKS,
    *baseline.CHECKS,
    *every_baseline.CHECKS,
    *constant.CHECKS,
    *batch.CHECKS,
    *labelled.CHECKS,
    *derived.CHECKS,
    *derived_structure.CHECKS,
    *derived_values.CHECKS,
    *cost.CHECKS,
    *derived_variance.CHECKS,
    *pairs.CHECKS,
    *higher.CHECKS,
)

CHECKS: dict[str, Check] = {check.id: check for check in _ROWS}

if len(CHECKS) != len(_ROWS):
    raise RuntimeError("two checks have one id; give each row a variant of its own")


def find_checks(patterns: tuple[str, ...] = ()) -> list[Check]:
    """The checks with these ids, or of claims that begin so; all of them if no pattern is given.

    Raises:
        ValueError: if a pattern names no check.
    """
    if not patterns:
        return list(CHECKS.values())
    for pattern in patterns:
        if not any(_matches(check, pattern) for check in CHECKS.values()):
            if pattern in CLAIMS:
                raise ValueError(f"claim {pattern!r} has no check")
            near = difflib.get_close_matches(pattern, [*CLAIMS, *CHECKS], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                f"no check or claim is called {pattern!r}, or begins so{hint}; "
                "`gradproof claims` lists them"
            )
    return [
        check for check in CHECKS.values() if any(_matches(check, pattern) for pattern in patterns)
    ]


def _matches(check: Check, pattern: str) -> bool:
    return check.id == pattern if "/" in pattern else check.claim.startswith(pattern)
