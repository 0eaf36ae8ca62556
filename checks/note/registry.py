"""Every check there is, by its identifier: what the modules of ``claims`` list as CHECKS."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterator

from gradproof.derivations.claims import CLAIMS

from . import claims
from .check import Check


def _rows() -> Iterator[Check]:
    """Those of each module, in the order in which it has them."""
    for module in pkgutil.iter_modules(claims.__path__, f"{claims.__name__}."):
        yield from getattr(importlib.import_module(module.name), "CHECKS", ())


def _by_id(rows: list[Check]) -> dict[str, Check]:
    """In the order of the claims.

    Raises:
        RuntimeError: if a row is of no claim, or two have one id.
    """
    unknown = sorted({check.claim for check in rows} - CLAIMS.keys())
    if unknown:
        raise RuntimeError(f"checks of {', '.join(unknown)}, which no claim is called")
    order = list(CLAIMS)
    by_id = {check.id: check for check in sorted(rows, key=lambda row: order.index(row.claim))}
    if len(by_id) != len(rows):
        raise RuntimeError("two checks have one id; give each row a variant of its own")
    return by_id


CHECKS = _by_id(list(_rows()))


def find_checks(patterns: tuple[str, ...] = ()) -> list[Check]:
    """The checks whose claim or id begins so; all of them if no pattern is given.

    An id that is written out means itself alone, and not what begins like it.

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
            hint = f"; did you mean {near[0]!r}? " if near else "; "
            raise ValueError(
                f"no check or claim is called {pattern!r}, or begins so{hint}"
                "`gradproof claims --variants` lists them"
            )
    return [
        check for check in CHECKS.values() if any(_matches(check, pattern) for pattern in patterns)
    ]


def _matches(check: Check, pattern: str) -> bool:
    whole = pattern in CHECKS
    return check.id == pattern if whole else check.id.startswith(pattern)
