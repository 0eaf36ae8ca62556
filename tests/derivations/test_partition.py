"""What reaches what: planted errors, tables against switching parameters, padding by running it."""

import numpy as np
import pytest
import sympy as sp

from gradproof.derivations.gradient import LOG_Q
from gradproof.derivations.kernel.derivation import PROVED, Proof
from gradproof.derivations.kernel.expressions import D, L, e, phi, w
from gradproof.derivations.kernel.numeric_check import evaluate_at_point
from gradproof.derivations.registry import derivation


@pytest.mark.parametrize("claim", ["partition.seqdgm", "partition.seqdgm_a", "invariants"])
def test_the_verdict(claim):
    """Each is proved."""
    assert derivation(claim).verdict == PROVED


@pytest.mark.parametrize(
    ("claim", "title", "number", "changes"),
    [
        ("partition.seqdgm", "φ does not reach log q", 1, {"after": D(L, phi)}),
        ("partition.seqdgm", "how e reaches log q", -1, {"after": sp.S.Zero}),
        ("partition.seqdgm", "how φ reaches L", 2, {"rule": "product rule"}),
        ("partition.seqdgm", "how θ reaches L", -1, {"after": sp.S.Zero}),
        ("partition.seqdgm", "so φ has no score term", 0, {"rule": "held constant"}),
        ("partition.seqdgm_a", "how v reaches log q", -1, {"after": sp.S.Zero}),
        ("partition.seqdgm_a", "how v reaches L", -1, {"rule": "held constant"}),
        ("partition.seqdgm_a", "how u reaches log q", -1, {"after": sp.S.Zero}),
        (
            "partition.seqdgm_a",
            "how u reaches log q, if q(a|x) alone reads its encoder",
            -1,
            {"after": sp.S.Zero},
        ),
        ("invariants", "padding leaves the state where it was", 1, {"given": {}}),
        ("invariants", "padding leaves the state where it was", 2, {"after": sp.S.Zero}),
        ("invariants", "and its derivative", 2, {"after": D(LOG_Q, e)}),
        ("invariants", "and its derivative", 3, {"rule": "held constant"}),
        ("invariants", "padding adds nothing to a masked sum", 0, {"given": {}}),
    ],
)
def test_a_planted_error_is_found(planted, claim, title, number, changes):
    """A dropped path, a path too many, a wrong rule, padding that is not said to be padding."""
    planted(claim, title, number, **changes)


def test_a_dropped_path_through_the_draw_is_found(planted):
    """φ reaches L by mean and spread of the divergence, and by h."""
    claim, title = "partition.seqdgm", "how φ reaches L"
    (part,) = [part for part in derivation(claim).parts if part.title == title]
    first, *others = part.result.args
    planted(claim, title, -1, after=sp.Add(*others))
    planted(claim, title, -1, after=part.result - 2 * first)


@pytest.mark.parametrize("claim", ["partition.seqdgm", "partition.seqdgm_a"])
def test_what_reaches_has_a_derivative(claim):
    """In numbers, where every unknown function is a polynomial: it is zero or it is not."""
    proofs = [part for part in derivation(claim).parts if isinstance(part, Proof)]
    given = {left: right for proof in proofs for left, right in proof.given.items()}
    ways = [
        proof for proof in proofs if proof.start.func == D and proof.start.args[0] in (LOG_Q, L)
    ]
    table = derivation(claim).oracle()
    moves = [bool(abs(evaluate_at_point(proof.start, given)) > 0) for proof in ways]
    # By log q first, and by group below that.
    np.testing.assert_array_equal(table.T.ravel(), moves)


def test_the_table_of_seqdgm():
    """Rows e, w, φ, θ; columns log q, L."""
    table = derivation("partition.seqdgm").oracle()
    np.testing.assert_array_equal(table, [[1, 1], [1, 0], [0, 1], [0, 1]])


def test_the_table_of_seqdgm_a():
    """Rows e, u, v, w, φ, θ; columns log q, L: the encoder and what makes a of it reach both."""
    table = derivation("partition.seqdgm_a").oracle()
    np.testing.assert_array_equal(table, [[1, 1], [1, 1], [1, 1], [1, 0], [0, 1], [0, 1]])


def test_with_encoders_apart_the_encoder_of_a_reaches_both():
    """Through a alone, and all the same: two proofs more, whose derivatives are not zero."""
    parts = [part for part in derivation("partition.seqdgm_a").parts if isinstance(part, Proof)]
    given = {left: right for proof in parts for left, right in proof.given.items()}
    apart = [part for part in parts if part.title.endswith("if q(a|x) alone reads its encoder")]
    assert len(apart) == 2
    for proof in apart:
        assert proof.result != 0
        assert abs(evaluate_at_point(proof.start, given)) > 0


def test_seqdgm_has_no_pathwise_term_for_the_classifier():
    """The proof is there, and about w."""
    titles = [part.title for part in derivation("partition.seqdgm").parts]
    assert "so w has no pathwise term" in titles
    assert f"so {w} has no score term" not in titles


@pytest.mark.parametrize("padding", [0, 1, 4])
def test_a_masked_sum_and_a_masked_state(padding):
    """Run over columns with garbage in the padding, for a batch of two."""
    rng = np.random.default_rng(padding)
    values = rng.standard_normal((3 + padding, 2))
    mask = np.concatenate([np.ones((3, 2)), np.zeros((padding, 2))])
    found = derivation("invariants")
    total = found.oracle(mask=mask, value=values)
    # Zeros are added to the same sum of three.
    np.testing.assert_array_equal(total, values[:3].sum(axis=0))
    state = expected = np.zeros(2)
    for column, value in enumerate(values):
        updated = np.tanh(state + value)
        state = found.further["state"](mask=mask[column], updated=updated, before=state)
        expected = updated if column < 3 else expected
    np.testing.assert_array_equal(state, expected)
