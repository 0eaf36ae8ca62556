"""Leaves that stand elsewhere for a while."""

import numpy as np
import pytest

from gradproof.estimators.enumeration.differences import NotMovable
from gradproof.estimators.enumeration.moved_leaves import MovedLeaves


def test_they_are_put_back_also_after_an_error():
    """Bit for bit; one with two names moves by way of both."""
    theta, other = np.array([0.1, 0.7]), np.array(3.0)
    before = theta.copy(), other.copy()
    leaves = MovedLeaves({"a": theta, "b": theta, "c": other})
    towards = {"a": np.array([1.0, 0.0]), "b": np.array([1.0, 1.0])}
    with leaves.moved(towards, 0.5):
        assert theta.tolist() == [0.1 + 0.5 * 2.0, 0.7 + 0.5 * 1.0]
        assert other == 3.0
    with pytest.raises(ZeroDivisionError), leaves.moved({"c": np.array(-3.0)}, 1.0):
        1 // int(other)
    assert np.array_equal(theta, before[0])
    assert np.array_equal(other, before[1])
    assert leaves.entry_at({"c": np.array(-1.0)}, 2.0) == ("c", (), 1.0)
    assert leaves.entry_at(towards, 1.0) == ("a", (0,), 1.1)


def test_what_cannot_be_written_to_is_refused():
    """By its name."""
    fixed = np.ones(2)
    fixed.flags.writeable = False
    with pytest.raises(NotMovable, match="theta cannot be moved"):
        MovedLeaves({"theta": fixed})
