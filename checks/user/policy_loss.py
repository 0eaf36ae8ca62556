"""A loss on groups of a policy's completions, against the goal that it is meant to have."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import takes
from gradproof.estimators.enumeration.gradients import array_of
from gradproof.estimators.enumeration.run import TooManyPaths
from gradproof.estimators.enumeration.spread import RoundingBounds
from gradproof.estimators.enumeration.whole_numbers import whole_from
from gradproof.estimators.policies.autoregressive import Autoregressive
from gradproof.estimators.policies.goal import Goal
from gradproof.estimators.policies.goals import (
    ExpectedReward,
    as_reference,
    only_reward,
)
from gradproof.estimators.policies.group_draws import DrawnGroups
from gradproof.estimators.policies.group_estimator import GroupEstimator, GroupSurrogate
from gradproof.estimators.policies.group_gradients import (
    completions_of,
    groups_of,
    is_not_finite,
)
from gradproof.estimators.policies.group_rounding import GroupRoundingBounds
from gradproof.estimators.policies.model_library import Loss
from gradproof.estimators.policies.prefix_tree import PrefixTree
from gradproof.estimators.policies.token_groups import MOST_GROUPS, GroupData, Groups

from ..sequential.error_rates import ALPHA
from .code_name import code_name
from .direction import EQUALITY, check_judge
from .double_precision import decide_in_double
from .enumerated import EnumeratedCheck
from .estimand import exact_gradient
from .estimator_comparison import (
    BUDGET,
    EstimatorComparison,
    check_functions,
    compare_reports,
)
from .estimator_report import EstimatorReport
from .heaviest_groups import INSTEAD, GroupSampling, check_heaviest_groups
from .progress import Progress, telling
from .strategy import ALL


def check_loss(
    policy: Autoregressive,
    loss: Loss,
    goal: Goal,
    *,
    group: int,
    reward: Callable[..., Any] | None = None,
    reference: Any = None,
    paths: int = MOST_GROUPS,
    strategy: str = ALL,
    draws: int = 0,
    alpha: float = ALPHA,
    rarest: float | None = None,
    bounds: tuple[Any, Any] | None = None,
    seed: int | None = None,
    precision: float = 0.0,
    judge: str = EQUALITY,
    name: str | None = None,
    progress: Progress | bool | None = None,
) -> EstimatorReport:
    """The report on a loss of groups: whether its mean gradient is that of the goal made large.

    Estimand: the gradient of ``-goal``.
    Estimator: the gradient of ``loss`` on a group of completions that the policy draws
    independently for one prompt.
    Valid when: the loss uses the model through the log-probabilities that it is given, and through
    nothing else; what it keeps from one call to the next is put back. In JAX parameters that it
    knows otherwise are constants.

    Groups are enumerated as multisets if the loss is symmetric in its group, which is tried on
    every one of them in two other orders, and in every order if it is not, if it draws, or if it is
    differentiated by the model's parameters otherwise, too. The variance is exact, that of one
    group.

    Args:
        loss: called with ``(log_probs, mask, rewards, tokens)`` of a group, and with the
            reference's log-probabilities where ``reference`` is given; returns one number, to be
            made small. ``log_probs.detach()`` is what the policy gave when it drew.
        goal: a goal of this policy.
        group: completions of a group.
        reward: what the loss is given of each completion. Default: the reward of the goal, and
            zeros where it has none.
        reference: the model or policy whose log-probabilities the loss is given.
        paths: groups that there may be.
        strategy: ``all``: more groups than ``paths`` are an error; ``heaviest``: as many as may be
            are enumerated then, the most probable first, one by one (some thousands take a minute),
            and ``draws`` are drawn from the others, and tested by betting.
        draws, alpha, rarest, bounds, seed: of these, as of :func:`gradproof.check_estimator`.
        precision, judge: as of :func:`gradproof.check_estimator`.
        name: of the loss, in the report.
        progress: as of :func:`gradproof.check_estimator`.

    Shape:
        ``log_probs``, ``mask``, ``tokens`` and the reference's (G, T), padded up to ``longest``
        with zeros and the token that ends; ``rewards`` (G,), or (G, T) where the reward is one
        number for each token.

    Raises:
        TooManyPaths: if there are more groups.
        TooFewDraws: if all draws would go into learning the range.
        NotEnumerable: for a loss that is not reproducible.
        TypeError, ValueError: for a goal of another policy, a group of none, and what the loss
            cannot be.
    """
    started = time.perf_counter()
    _check_arguments(policy, loss, goal, reference)
    words = f"group = {group!r:.60}, expected a whole number of completions, from 1"
    group = whole_from(group, 1, words)
    check_judge(judge)
    sampling = GroupSampling(strategy, draws, alpha, rarest, bounds, seed, paths, precision)
    goal = goal.with_rewards_held()
    completions = _completions(policy, goal, reward, reference)
    label = name or code_name(loss)
    try:
        with telling(progress, paths) as listener:
            groups = groups_of(policy, loss, completions, group, paths, listener)
    except TooManyPaths as error:
        if strategy == ALL:
            raise TooManyPaths(f"{error}; {INSTEAD}") from error
        groups = None
    if groups is None:
        drawn = DrawnGroups(*completions, group)
        report = check_heaviest_groups(label, policy, loss, goal, drawn, sampling, progress)
        return report.judged(judge)
    estimator = GroupEstimator(policy, loss, groups)
    estimand = exact_gradient(goal.as_loss, estimator)
    with (
        telling(progress, paths) as listener,
        Enumeration(estimator, paths) as enumeration,
    ):
        estimator.listener = listener
        check = GroupCheck(label, estimator, enumeration, estimand, precision)
        check.look()
    report = check.report(time.perf_counter() - started)
    report = dataclasses.replace(report, notes=(_note(groups), *report.notes))
    if check.is_coarse:
        held = _rewards_held(reward, policy, groups.tree)  # before it is in double precision

        def again() -> EstimatorReport:
            options = {"reward": held, "reference": reference, "paths": paths, "name": label}
            options |= {"precision": precision, "progress": progress}
            return check_loss(policy, loss, goal, group=group, **options)

        given = {"exact": goal.as_loss, "objective": None}
        report = decide_in_double(report, again, estimator, given)
    return report.judged(judge)


def compare_losses(
    policy: Autoregressive,
    losses: Mapping[str, Loss],
    goal: Goal,
    *,
    costs: Mapping[str, float] | None = None,
    budget: float = BUDGET,
    **options: Any,
) -> EstimatorComparison:
    """A table of losses on groups of one policy's completions, against one goal.

    Estimand, estimator, valid when: as of :func:`check_loss`.

    Args:
        losses: by the name of the row.
        costs, budget: as of :func:`gradproof.compare_estimators`.
        options: of :func:`check_loss`, ``group`` among them.

    Raises:
        TypeError: if the losses are no functions by name.
        Other errors: as :func:`check_loss` and :func:`gradproof.compare_estimators`.
    """
    check_functions("losses", losses)
    if isinstance(costs, str):
        raise TypeError(
            f"costs = {costs!r}: passes are counted where an estimator calls the model; a loss of "
            "log-probabilities does not: pass costs={name: number}"
        )
    reports = {
        name: functools.partial(check_loss, policy, loss, goal, name=name, **options)
        for name, loss in losses.items()
    }
    return compare_reports(reports, costs=costs, budget=budget)


class GroupCheck(EnumeratedCheck):
    """The moments of a loss over all groups, compared with the gradient of a goal."""

    def _rounding_bounds(self) -> RoundingBounds:
        """See the base class; measured on all groups together."""
        return GroupRoundingBounds(
            self._surrogate,
            self._enumeration,
            self._moments,
            self._estimator.precision,
            self._precision,
        )

    def _draws(self) -> int:
        """See the base class: tokens of a group, at most."""
        groups = self._surrogate.groups
        return int(groups.members.shape[1] * groups.tree.tokens.shape[1])

    def _reading(self) -> list[str]:
        """See the base class; and on which groups the loss has no finite derivative."""
        notes = super()._reading()
        if all(np.isfinite(value).all() for value in self._mean.values()):
            return notes
        return [*notes, *_not_finite(self._surrogate.loss, self._surrogate.groups)]

    @property
    def _surrogate(self) -> GroupSurrogate:
        surrogate = self._estimator.function
        assert isinstance(surrogate, GroupSurrogate)
        return surrogate


def _not_finite(loss: Loss, groups: Groups) -> list[str]:
    """On how many groups a loss has no finite derivative, and one of them."""
    bad = is_not_finite(loss, groups)
    if not bad.any():
        return []
    first = array_of(groups.members)[bad][0]
    rewards, tokens = array_of(groups.data.rewards)[first], array_of(groups.tree.tokens)[first]
    lengths = array_of(groups.data.mask)[first].sum(axis=1)
    rows = [tuple(row[: int(n)].tolist()) for row, n in zip(tokens, lengths, strict=True)]
    shown = f"{', '.join(str(row) for row in rows[:8])}{', ...' if len(rows) > 8 else ''}"
    note = (
        f"The loss has a derivative that is not finite on {int(bad.sum()):,} of {len(bad):,} "
        f"groups, of probability {float(array_of(groups.weights)[bad].sum()):.3g}, such as {shown}."
    )
    if bool((rewards == rewards[0]).all()):
        note += (
            " Its rewards are equal: is something divided by their standard deviation, or by how "
            "many others there are?"
        )
    return [note]


def _check_arguments(policy: Autoregressive, loss: Loss, goal: Goal, reference: Any) -> None:
    if not isinstance(policy, Autoregressive):
        raise TypeError(
            f"policy = {policy!r:.60}, expected one that policies.autoregressive made of the model"
        )
    if not callable(loss):
        raise TypeError(
            f"loss = {loss!r:.60}, expected a function of (log_probs, mask, rewards, tokens), one "
            "loss at a time; policies.compare_losses takes a dict of several"
        )
    names = [
        "log_probs",
        "mask",
        "rewards",
        "tokens",
        *([] if reference is None else ["reference"]),
    ]
    if not takes(loss, names):
        more = "" if reference is not None else "; with reference=, its log-probabilities come last"
        raise TypeError(
            f"loss {code_name(loss)} cannot be called with {len(names)} arguments, expected a "
            f"function of ({', '.join(names)}){more}"
        )
    if not isinstance(goal, Goal):
        raise TypeError(
            f"goal = {goal!r:.60}, expected a goal of the policy, as policy.expected(reward)"
        )
    if goal.policy is not policy:
        raise ValueError("the goal is of another policy; make it of the one that is passed")


def _completions(
    policy: Autoregressive,
    goal: Goal,
    reward: Callable[..., Any] | None,
    reference: Any,
) -> tuple[PrefixTree, GroupData]:
    """Every completion, and what the loss is given of it."""
    term = only_reward(goal) if reward is None else ExpectedReward(reward)
    other = None if reference is None else as_reference(policy, reference)
    return completions_of(policy, term, other)


def _rewards_held(
    reward: Callable[..., Any] | None, policy: Autoregressive, tree: PrefixTree
) -> Callable[..., Any] | None:
    """The rewards that a function gives now, whatever the precision that it is called in later."""
    if reward is None:
        return None
    return ExpectedReward(reward).with_rewards_held(policy, tree).reward


def _note(groups: Groups) -> str:
    count, size = groups.members.shape
    completions = len(groups.tree.tokens)
    how = (
        "in every order, since the loss depends on it, draws, or uses the model by itself"
        if groups.ordered
        else "by how often each is in it"
    )
    return (
        f"Groups of {size} of {completions:,} completions were enumerated {how}: {count:,} of them."
    )
