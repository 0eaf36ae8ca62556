"""Every derivation there is, by the claim that it is about: what is marked with ``derives``."""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path

from .claims import CLAIMS
from .kernel.derivation import Derivation, Maker


def _rows() -> Iterator[tuple[str, Maker]]:
    """Those of each module beside this one."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)], f"{__package__}."):
        if module.name != __name__:
            for made in vars(importlib.import_module(module.name)).values():
                if inspect.isfunction(made) and hasattr(made, "claim"):
                    yield made.claim, made


def _by_claim(rows: list[tuple[str, Maker]]) -> dict[str, Maker]:
    """In the order of the claims.

    Raises:
        RuntimeError: for a derivation of no claim, or two of one.
    """
    names = [claim for claim, _ in rows]
    wrong = [claim for claim in names if claim not in CLAIMS or names.count(claim) > 1]
    if wrong:
        raise RuntimeError(f"{wrong[0]!r} is no claim, or has two derivations")
    order = list(CLAIMS)
    return dict(sorted(rows, key=lambda row: order.index(row[0])))


DERIVATIONS = _by_claim(list(_rows()))


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
    unchecked = derivation(claim)
    unchecked.check()
    return unchecked


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
