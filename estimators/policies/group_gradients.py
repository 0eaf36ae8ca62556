"""The derivative of a loss by the log-probabilities of a group, for many groups at a time."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from ..enumeration.enumeration import Enumeration
from ..enumeration.estimator import UserFunction
from ..enumeration.gradients import array_of
from ..enumeration.rounding import ROUNDINGS, perturbation
from .common_generators import keeping_generators
from .completions import Completions
from .goals import ExpectedReward
from .model_library import Array, Loss, check_loss_value
from .prefix_tree import PrefixTree
from .token_groups import GroupData, Groups, data_of, enumerate_groups
from .token_policy import TokenPolicy

#: Groups that are differentiated at a time: more are no faster.
AT_ONCE = 1024

#: Groups on which it is looked for what a loss draws, and for what it uses but log-probabilities.
TRIED = 9


def loss_of_group(
    policy: TokenPolicy, loss: Loss, prompt: int, data: GroupData
) -> Callable[[Any], Array]:
    """A loss of one group as a function of the policy's parameters, through its log-probabilities.

    Raises:
        TypeError, ValueError: by the function, for a loss that is not one number.
    """

    def value(parameters: Any) -> Array:
        moved = dataclasses.replace(policy, parameters=parameters)
        log_probs = moved.log_probs(Completions(prompt, data.tokens, data.mask))
        found = loss(log_probs, *data.arguments)
        check_loss_value(policy.library, found)
        # A group on which the loss has no derivative has a gradient too, which is zero.
        return found.sum() + 0.0 * log_probs.sum()

    return value


class OrderListener(Protocol):
    """Is told how far it is whether the order of groups matters."""

    def tried(self, done: int, total: int) -> None:
        """So many groups, of about how many, were differentiated."""


def group_gradients(
    loss: Loss,
    groups: Groups,
    members: Array,
    log_probs: Array | None = None,
    done: Callable[[int], object] = lambda count: None,
) -> Array:
    """The derivative of the loss by each token's log-probability; by vmap, or one by one.

    Args:
        log_probs: of each completion's tokens, (N, T). None: those of the groups' tree.
        done: is told how many of the groups were differentiated.

    Shape: ``members`` (B, G) to (B, G, T).

    Raises:
        TypeError, ValueError: for a loss that is not one number.
        Whatever the loss raises.
    """
    library, code = groups.tree.library, UserFunction(loss, called="loss")
    log_probs = groups.tree.held_log_probs if log_probs is None else log_probs
    parts = []
    # What a loss keeps of a group, such as a learned baseline, is nothing to the next one.
    with code.restoring_state(generators=False):
        for start in range(0, len(members), AT_ONCE):
            some = members[start : start + AT_ONCE]
            given = (log_probs[some], *groups.of(some).arguments)
            try:
                parts.append(library.derivatives(loss, *given))
                code.restore_state()
            except Exception:  # noqa: BLE001 - one by one it may run, and if not it says why
                code.restore_state()
                for row in zip(*given, strict=True):
                    parts.append(library.derivative(loss, *row)[None])
                    code.restore_state()
            done(start + len(some))
    return library.concatenate(parts)


def can_be_mapped(loss: Loss, groups: Groups) -> bool:
    """Whether a loss is differentiated for many groups at a time, also with moved roundings."""
    some = groups.members[:2]
    given = groups.tree.held_log_probs[some], *groups.of(some).arguments
    code = UserFunction(loss, called="loss")
    try:
        with code.restoring_state(generators=False):
            groups.tree.library.derivatives(loss, *given)
            code.restore_state()
            with perturbation(np.random.default_rng(0)):
                groups.tree.library.derivatives(loss, *given)
    except Exception:  # noqa: BLE001 - it is differentiated one by one
        return False
    return True


def is_symmetric(
    loss: Loss, groups: Groups, rng: np.random.Generator, listener: OrderListener | None = None
) -> bool:
    """Whether the order of a group's completions does not matter, on every group in two orders.

    The derivatives are the same, each with its completion, but for as many roundings of the largest
    as are supposed where nothing is measured.

    Args:
        rng: of the other orders.
        listener: is told how many groups were differentiated, of all in each order.
    """
    library, members = groups.tree.library, array_of(groups.members)
    count, size = members.shape

    def derivatives(number: int, members: Array) -> np.ndarray:
        def tried(done: int) -> None:
            if listener is not None:
                listener.tried(number * count + done, 3 * count)

        return np.asarray(library.held(group_gradients(loss, groups, members, done=tried)))

    first = derivatives(0, groups.members)
    finite = np.where(np.isfinite(first), np.abs(first), 0.0)
    allowed = ROUNDINGS * float(np.finfo(np.float64).eps) * float(finite.max())
    backwards = np.tile(np.arange(size - 1, -1, -1), (count, 1))
    shuffled = rng.permuted(np.tile(np.arange(size), (count, 1)), axis=1)
    for number, order in enumerate((backwards, shuffled), start=1):
        reordered = library.constant(np.take_along_axis(members, order, axis=1))
        other = derivatives(number, reordered)
        here = np.take_along_axis(first, order[:, :, None], axis=1)
        with np.errstate(invalid="ignore"):
            same = (np.abs(here - other) <= allowed) | (here == other)
        if not (same | (np.isnan(here) & np.isnan(other))).all():
            return False
    return True


def is_not_finite(loss: Loss, groups: Groups) -> np.ndarray:
    """Whether the derivative of a loss is NaN or infinite somewhere, of each group, (B,)."""
    with keeping_generators():  # on other groups it may draw
        derivatives = groups.tree.library.held(group_gradients(loss, groups, groups.members))
    return np.asarray((~np.isfinite(derivatives)).any(axis=(1, 2)))


def completions_of(
    policy: TokenPolicy, reward: ExpectedReward | None, reference: TokenPolicy | None
) -> tuple[PrefixTree, GroupData]:
    """Every completion of a policy, and what a loss is given of each.

    Args:
        reward: what the loss is given of each completion; None: zeros.
        reference: whose log-probabilities it is given; None: of nobody.

    Raises:
        TypeError, ValueError: for a reward that is none, and for too many completions.
    """
    with policy.library.without_graph():
        tree = policy.tree()
    rewards = np.zeros(len(tree.tokens))
    if reward is not None:
        rewards = reward.rewards(policy, tree)
    return tree, data_of(tree, rewards, reference)


def groups_of(
    policy: TokenPolicy,
    loss: Loss,
    completions: tuple[PrefixTree, GroupData],
    size: int,
    most: int,
    listener: OrderListener | None = None,
) -> Groups:
    """Every group that a policy can draw: as multisets, if the loss is symmetric.

    Args:
        completions: as :func:`completions_of` returns them.
        size: of a group.
        most: groups that there may be.
        listener: as of :func:`is_symmetric`.

    Raises:
        TooManyPaths: if there are more.
        TypeError, ValueError: for a loss that is none.
    """
    tree, data = completions
    groups = enumerate_groups(tree, data, size, most, ordered=False)
    if size == 1 or is_exchangeable(loss, policy, groups, most, listener):
        return groups
    return enumerate_groups(tree, data, size, most, ordered=True)


def is_exchangeable(
    loss: Loss,
    policy: TokenPolicy,
    groups: Groups,
    most: int,
    listener: OrderListener | None = None,
) -> bool:
    """Whether groups may be drawn as multisets: the loss is symmetric, and a function of them.

    What a loss that draws comes to in another order cannot be compared, and neither can what it
    does with the model by itself, which is not seen in its derivative by log-probabilities.

    Args:
        groups: on which it is looked.
        most: paths that there may be.
        listener: as of :func:`is_symmetric`.

    Raises:
        NotEnumerable: for an unsupported draw.
    """
    if _draws_or_uses(loss, policy, groups, most):
        return False
    code = UserFunction(loss, called="loss")
    with code.restoring_state(), keeping_generators() as drawn:
        # From a seed: the same check is to say the same each time.
        symmetric = is_symmetric(loss, groups, np.random.default_rng(0), listener)
        return symmetric and not drawn()  # on other groups it may draw


def _draws_or_uses(loss: Loss, policy: TokenPolicy, groups: Groups, most: int) -> bool:
    """Whether a loss draws, or is differentiated by the model's parameters, as far as some tell.

    Args:
        most: paths that there may be.

    Raises:
        NotEnumerable: for an unsupported draw.
    """
    # All of the first one's completions are the same: what is done with others is not seen there.
    for place in np.unique(np.linspace(0, len(groups.members) - 1, TRIED).astype(int)):
        members = groups.members[int(place)]
        given = groups.tree.held_log_probs[members], *groups.of(members).arguments
        reached = functools.partial(policy.library.reaches, loss, policy.parameters, *given)
        with Enumeration(UserFunction(reached, called="loss"), most) as enumeration:
            path = enumeration.run_once(())
            enumeration.restore_state()
        if path.choices or path.value:
            return True
    return False
