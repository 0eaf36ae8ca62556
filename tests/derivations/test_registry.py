"""Derivations are found by themselves, one a claim, in the order of the claims."""

import pytest

from gradproof.derivations import registry
from gradproof.derivations.claims import CLAIMS
from gradproof.derivations.registry import DERIVATIONS


def test_each_is_of_a_claim_of_its_own():
    """What is of none, or of one that has another, is an error when the registry is loaded."""
    rows = list(registry._rows())
    assert len(rows) == len(DERIVATIONS)
    (claim, make), *_ = rows
    for wrong in ([*rows, (claim, make)], [*rows, ("nothing", make)]):
        with pytest.raises(RuntimeError, match="is no claim, or has two derivations"):
            registry._by_claim(wrong)


def test_they_are_in_the_order_of_the_claims():
    """Wherever their modules are."""
    assert list(DERIVATIONS) == [claim for claim in CLAIMS if claim in DERIVATIONS]
