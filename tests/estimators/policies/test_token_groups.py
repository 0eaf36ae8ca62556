"""Groups of completions: how many, how likely, and two ways to one mean."""

import itertools
from collections import Counter

import numpy as np
import pytest

from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.rounding import perturbation
from gradproof.estimators.policies.goals import ExpectedReward
from gradproof.estimators.policies.group_estimator import GroupEstimator, GroupSurrogate
from gradproof.estimators.policies.group_gradients import (
    can_be_mapped,
    completions_of,
    groups_of,
    is_symmetric,
)
from gradproof.estimators.policies.group_rounding import mean_gradient

pytestmark = [
    pytest.mark.torch,
    # PyTorch's own functional transformations compile something when they are first used.
    pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning"),
]

CLOSE = {"rtol": 1e-12, "atol": 1e-13}  # sums of some hundred terms below 20


def standardised(log_probs, mask, rewards, tokens):
    """A loss in which groups matter as a whole."""
    advantages = (rewards - rewards.mean()) / (rewards.std() + 0.1)
    return -(advantages * log_probs.sum(dim=1)).mean()


@pytest.fixture
def groups(policy, table):
    """Pairs of 15 completions."""
    completions = completions_of(policy, ExpectedReward(table.reward), None)
    return groups_of(policy, standardised, completions, 2, 1000)


def test_groups_are_multisets_with_the_probability_of_all_their_orders(policy, groups):
    """Of every pair, by the law of completions."""
    law = policy.probabilities()
    rows = groups.tree.completions(0).tuples()
    expected = Counter()
    for pair in itertools.product(rows, repeat=2):
        expected[tuple(sorted(pair))] += law[pair[0]] * law[pair[1]]
    assert len(groups.weights) == len(expected) == 15 * 16 // 2
    for members, weight in zip(groups.members.tolist(), groups.weights.tolist(), strict=True):
        pair = tuple(sorted(rows[each] for each in members))
        np.testing.assert_allclose(weight, expected[pair], **CLOSE)


def test_the_mean_by_one_derivative_of_the_model_is_that_over_all_paths(policy, groups):
    """Which are run one by one here, each through the model."""
    estimator = GroupEstimator(policy, standardised, groups)
    with Enumeration(estimator, 1000, batch=False) as enumeration:
        moments = enumeration.moments()
    mean = mean_gradient(GroupSurrogate(policy, standardised, groups))["gradient"]
    assert np.abs(mean).max() > 0.1  # there is something to be compared
    np.testing.assert_allclose(mean.ravel(), moments.mean(), **CLOSE)


def test_blocks_come_to_what_single_paths_come_to(policy, groups):
    """It is an error if they do not, since they are asked for."""
    estimator = GroupEstimator(policy, standardised, groups)
    with Enumeration(estimator, 1000, batch=True) as enumeration:
        together = enumeration.moments()
        assert enumeration.blocks
    with Enumeration(GroupEstimator(policy, standardised, groups), 1000, batch=False) as one_by_one:
        alone = one_by_one.moments()
    np.testing.assert_allclose(together.mean(), alone.mean(), **CLOSE)
    np.testing.assert_allclose(together.variance(), alone.variance(), **CLOSE)


def test_moved_roundings_reach_the_loss(policy, groups):
    """Single precision inside of a loss shows, also where it is mapped."""

    def coarse(log_probs, mask, rewards, tokens):
        return standardised(log_probs.float(), mask, rewards.float(), tokens)

    for loss, least, most in ((standardised, 1e-18, 1e-13), (coarse, 1e-9, 1e-5)):
        surrogate = GroupSurrogate(policy, loss, groups)
        assert can_be_mapped(loss, groups)
        base = mean_gradient(surrogate)["gradient"]
        with perturbation(np.random.default_rng(0)) as moved:
            other = mean_gradient(surrogate)["gradient"]
        assert moved.count
        assert not moved.unseen
        # Roundings of 1e-16 or 6e-8, of numbers of size 1, some hundreds of them.
        assert least < np.abs(other - base).max() < most


def test_symmetry_is_seen_on_every_group(groups):
    """A loss that depends on the order in one group of a hundred is not symmetric."""

    def nearly(log_probs, mask, rewards, tokens):
        rare = (tokens[0, 0] == 2) & (tokens[1, 0] == 0)
        return standardised(log_probs, mask, rewards, tokens) + rare * log_probs[0].sum()

    assert is_symmetric(standardised, groups, np.random.default_rng(0))
    assert not is_symmetric(nearly, groups, np.random.default_rng(0))
