"""A loss on more groups than can be listed: the most probable are enumerated, the others drawn.

A path is a group, as :mod:`gradproof.estimators.policies.group_draws` draws it, and what is done
with paths is what is done with those of any estimator (:mod:`.partly_enumerated`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from typing import Any

from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import Estimator
from gradproof.estimators.policies.goal import Goal
from gradproof.estimators.policies.group_draws import (
    DrawnGroupGradient,
    DrawnGroups,
    OrderMatters,
)
from gradproof.estimators.policies.group_gradients import is_exchangeable
from gradproof.estimators.policies.model_library import Loss
from gradproof.estimators.policies.token_policy import TokenPolicy

from .enumerated import EnumeratedCheck
from .estimand import exact_gradient
from .estimator_report import EstimatorReport
from .known_spread import check_known
from .partly_enumerated import check_heaviest
from .progress import Progress, telling
from .sampled import check_sampling
from .strategy import ALL, HEAVIEST, check_strategy

#: What can be done where there are more groups than may be.
INSTEAD = (
    "or pass strategy='heaviest', with paths= of some thousands and draws=10_000, to enumerate the "
    "most probable groups and to draw from the others"
)


@dataclasses.dataclass(frozen=True)
class GroupSampling:
    """How groups are run where there are too many; see :func:`.policy_loss.check_loss`.

    Raises:
        TypeError, ValueError: for what does not go together, or is none.
    """

    strategy: str
    draws: int
    alpha: float
    rarest: float | None
    bounds: tuple[Any, Any] | None
    seed: int | None
    paths: int
    precision: float

    def __post_init__(self) -> None:
        check_sampling(draws=self.draws, alpha=self.alpha, rarest=self.rarest, seed=self.seed)
        check_known(self.bounds, None, is_used=self.draws > 0)
        check_strategy(self.options)
        if self.strategy not in (ALL, HEAVIEST):
            raise ValueError(f"strategy = {self.strategy!r:.60}, expected {ALL!r} or {HEAVIEST!r}")
        if self.draws and self.strategy == ALL:
            raise TypeError(
                f"draws = {self.draws} go with strategy='heaviest': pass it, or no draws"
            )

    @property
    def options(self) -> dict[str, Any]:
        """As arguments of :func:`gradproof.check_estimator`."""
        given = {**vars(self), "sd": None, "integrate": None}
        return given | {"fast": False, "batch": False, "jobs": 1, "keep_paths": False}


def check_heaviest_groups(
    label: str,
    policy: TokenPolicy,
    loss: Loss,
    goal: Goal,
    groups: DrawnGroups,
    sampling: GroupSampling,
    progress: Progress | bool | None,
) -> EstimatorReport:
    """The report on a loss of groups that are drawn, of which the heaviest are enumerated.

    Raises:
        NotEnumerable, TooFewDraws: as :func:`.partly_enumerated.check_heaviest`.
    """
    in_order = DrawnGroupGradient(policy, loss, groups, ordered=True)
    if groups.size > 1 and is_exchangeable(loss, policy, groups.some(), sampling.paths):
        multisets = dataclasses.replace(in_order, ordered=False)
        # It may matter on a group that is rarer than those that were tried.
        with contextlib.suppress(OrderMatters):
            return _check(label, multisets, goal, sampling, progress)
    return _check(label, in_order, goal, sampling, progress)


def _check(
    label: str,
    gradient: DrawnGroupGradient,
    goal: Goal,
    sampling: GroupSampling,
    progress: Progress | bool | None,
) -> EstimatorReport:
    started, options = time.perf_counter(), sampling.options
    policy, groups = gradient.policy, gradient.groups
    wrt = dict(policy.parameters) if policy.library.returns == "surrogate" else None
    estimator = Estimator(gradient, wrt=wrt, returns="gradient")
    estimand = exact_gradient(goal.as_loss, estimator).with_measured_error()
    with telling(progress, sampling.paths) as listener:
        estimator.listener = listener
        report = check_heaviest(label, estimator, estimand, options, listener)
        if report is None:  # all others have no probability
            with Enumeration(estimator, sampling.paths, batch=False) as enumeration:
                check = EnumeratedCheck(label, estimator, enumeration, estimand, sampling.precision)
                check.look()
            report = check.report(time.perf_counter() - started)
    how = "every order being one" if gradient.ordered else "by how often each completion is in them"
    note = (
        f"Groups of {groups.size} of {len(groups.tree.tokens):,} completions were counted, {how}."
    )
    return dataclasses.replace(report, notes=(note, *report.notes))
