"""What rounding may do to the mean of a loss's gradients, measured on all groups together."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from ..enumeration.enumeration import Enumeration
from ..enumeration.moments import Moments
from ..enumeration.rounding import FACTOR, Steps, largest_deviation, moved_runs
from ..enumeration.spread import RoundingBound, RoundingBounds
from .group_estimator import GroupSurrogate
from .group_gradients import can_be_mapped, group_gradients
from .model_library import Array
from .token_groups import group_weights


class MeanDeviation(NamedTuple):
    """How far the mean came out, (P,), and the formats of what was moved."""

    largest: np.ndarray
    formats: frozenset[str]


class GroupRoundingBounds(RoundingBounds):
    """What rounding may do to the mean over groups.

    Where the loss is mapped over groups, the whole mean is computed anew with moved roundings, in
    another way than it was added up: the model is differentiated once, by what the loss gives each
    completion in the mean.

    Args:
        surrogate: of which it is the mean.
    """

    def __init__(
        self,
        surrogate: GroupSurrogate,
        enumeration: Enumeration,
        moments: Moments,
        step: float,
        stated: float = 0.0,
    ) -> None:
        super().__init__(enumeration, moments, step, stated)
        self._surrogate = surrogate

    def _measure(self, most: int) -> RoundingBound:
        groups, moments = self._surrogate.groups, self._moments
        alone = moments.draws > 1 or moments.count != len(groups.members)  # the loss draws too
        deviation = None if alone else self._deviation()
        if deviation is None:
            return super()._measure(most)
        bound = self.least + FACTOR * deviation.largest
        if self._stated:
            bound = np.maximum(bound, self.wide.bound)
        formats = deviation.formats
        return RoundingBound(bound, True, moments.count, moments.mass, formats=formats)

    def _deviation(self) -> MeanDeviation | None:
        """How far the mean comes out at most; None if that cannot be measured so."""
        restore = self._enumeration.restore_state
        try:
            if not can_be_mapped(self._surrogate.loss, self._surrogate.groups):
                return None
            base = self._row()
        finally:
            restore()
        rows, underflow, formats = [], 0.0, set[str]()
        # From a seed: the same check is to say the same each time.
        steps = Steps(np.random.default_rng(0))
        for row, moved in moved_runs(self._row, steps, after=restore):
            if not moved.count or moved.unseen:
                return None
            rows.append(row)
            underflow = max(underflow, moved.underflow)
            formats |= moved.formats
        largest = np.asarray(largest_deviation(rows, base) + underflow)
        return MeanDeviation(largest, frozenset(formats))

    def _row(self) -> np.ndarray:
        return self._moments.layout.row(mean_gradient(self._surrogate))


def mean_gradient(surrogate: GroupSurrogate) -> dict[str, np.ndarray]:
    """The mean gradient over all groups, by name: the model is differentiated once."""
    policy, groups, library = surrogate.policy, surrogate.groups, surrogate.policy.library
    with library.without_graph():
        log_probs = policy.tree().held_log_probs
    by_token = group_gradients(surrogate.loss, groups, groups.members, log_probs)
    weights = group_weights(library, log_probs, groups.members, groups.log_orders)
    weighed = (weights[:, None, None] * by_token).reshape(-1, by_token.shape[2])
    each = library.added_up(weighed, groups.members.reshape(-1), len(log_probs))

    def weighed_log_probs(parameters: Any) -> Array:
        moved = dataclasses.replace(policy, parameters=parameters)
        return (each * moved.tree().log_probs).sum()

    with np.errstate(invalid="ignore"):  # a mean that is not finite is said to be none elsewhere
        return library.gradient(weighed_log_probs, policy.parameters)
