"""Which paths of a block are run by themselves too, and how far they may be off."""

import numpy as np
import pytest

from gradproof import check_estimator
from gradproof.estimators.enumeration import block_moments
from gradproof.estimators.enumeration.compared_paths import COVERING, SPREAD, ComparedPaths
from gradproof.estimators.enumeration.path_blocks import Block

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def block_of(numbers, weights=None):
    """A block of these paths."""
    count = len(numbers)
    weights = np.full(count, 1.0 / count) if weights is None else weights
    widths = tuple(int(column.max()) + 1 for column in numbers.T)
    return Block(numbers, widths, weights, {}, np.finfo(float).eps, np.zeros(count, bool), 0.0)


def test_each_outcome_of_each_draw_is_in_a_path_that_is_compared():
    """In the first block, where there are few; also one that a hundredth of all paths have."""
    numbers = np.stack(np.unravel_index(np.arange(1000), (10, 10, 10)), axis=1)
    places = ComparedPaths().choose(block_of(numbers), np.zeros((1000, 2)))
    for column in numbers[places].T:
        assert set(column) == set(range(10))
    assert len(places) <= 2 + SPREAD + COVERING
    assert len(set(places)) == len(places)


def test_what_was_seen_in_one_block_is_not_looked_for_in_the_next():
    """And what is new in that is."""
    numbers = np.stack(np.unravel_index(np.arange(400), (4, 10, 10)), axis=1)
    compared = ComparedPaths()
    rows = np.zeros((200, 1))
    compared.choose(block_of(numbers[:200]), rows)
    places = compared.choose(block_of(numbers[200:]), rows)
    assert set(numbers[200:][places, 0]) == {2, 3}
    assert len(places) <= 4


def test_the_likeliest_and_the_largest_and_one_that_is_no_number_are_compared():
    """In each block."""
    compared, rows = ComparedPaths(), np.ones((300, 2))
    numbers = np.zeros((300, 1), np.int64)
    compared.choose(block_of(numbers), rows)
    weights = np.full(300, 0.001)
    weights[17], rows[101, 1], rows[223, 0] = 0.5, -7.0, np.nan
    assert set(compared.choose(block_of(numbers, weights), rows)) == {17, 101, 223}


@pytest.mark.parametrize("planted", [0.0, 1e-6])
def test_what_is_small_and_likely_is_compared_beside_what_is_large_and_unlikely(
    monkeypatch, planted
):
    """One outcome in 1e15 has a gradient of 1e15; on the others something is off by a millionth."""
    monkeypatch.setattr(block_moments, "FEWEST_PATHS", 1)
    given = torch.tensor([0.0, 0.1, 0.2, -34.0], dtype=torch.float64, requires_grad=True)

    def estimate(given):
        mapped = torch._C._functorch.peek_interpreter_stack() is not None
        q = torch.distributions.Categorical(logits=given)
        y = q.sample((3,))
        weight = 1.0 / q.probs[y[0]].detach()
        return (weight + planted * mapped * (y[0] != 3)) * q.log_prob(y).sum()

    report = check_estimator(estimate, [given], exact=np.zeros(4))
    assert (report.blocks == 0) == bool(planted)
