"""The derivative of a loss by the log-probabilities of a group, for many groups at a time."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from ..enumeration.enumeration import Enumeration
from ..enumeration.estimator import UserFunction
from ..enumeration.rounding import ROUNDINGS, perturbation
from .common_generators import keeping_generators
from .goals import ExpectedReward
from .token_groups import Groups, data_of, enumerate_groups
from .token_policy import TokenPolicy

#: A tensor of PyTorch.
Tensor = Any

#: Called with ``(log_probs, mask, rewards, tokens)``, and log-probabilities by the reference where
#: there is one; returns one number.
Loss = Callable[..., Tensor]

#: Groups that are differentiated at a time: more are no faster.
AT_ONCE = 1024

#: Groups on which it is looked for what a loss draws, and for what it uses but log-probabilities.
TRIED = 9


def group_gradients(
    loss: Loss, groups: Groups, members: Tensor, log_probs: Tensor | None = None
) -> Tensor:
    """The derivative of the loss by each token's log-probability; by vmap, or one by one.

    Args:
        log_probs: of each completion's tokens, (N, T). None: those of the groups' tree.

    Shape: ``members`` (B, G) to (B, G, T).

    Raises:
        TypeError, ValueError: for a loss that is not one number.
        Whatever the loss raises.
    """
    import torch

    log_probs = groups.tree.log_probs.detach() if log_probs is None else log_probs
    parts = []
    for some in members.split(AT_ONCE):
        given = (log_probs[some], *groups.of(some).arguments)
        try:
            parts.append(_mapped(torch, loss, given))
        except Exception:  # noqa: BLE001 - one by one it may run, and if not it says why
            rows = zip(*given, strict=True)
            parts.append(torch.stack([_derivative(torch, loss, *row) for row in rows]))
    return torch.cat(parts)


def can_be_mapped(loss: Loss, groups: Groups) -> bool:
    """Whether a loss is differentiated for many groups at a time, also with moved roundings."""
    import torch

    some = groups.members[:2]
    given = groups.tree.log_probs.detach()[some], *groups.of(some).arguments
    try:
        _mapped(torch, loss, given)
        with perturbation(np.random.default_rng(0)):
            _mapped(torch, loss, given)
    except Exception:  # noqa: BLE001 - it is differentiated one by one
        return False
    return True


def _mapped(torch: Any, loss: Loss, given: tuple[Tensor, ...]) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of operations that are mapped in a loop
        return torch.func.vmap(torch.func.grad(loss))(*given)


def _derivative(torch: Any, loss: Loss, log_probs: Tensor, *others: Tensor) -> Tensor:
    leaf = log_probs.clone().requires_grad_()
    value = loss(leaf, *others)
    check_loss_value(torch, value)
    if not value.requires_grad:
        return torch.zeros_like(leaf)
    (found,) = torch.autograd.grad(value.sum(), leaf, allow_unused=True)
    return torch.zeros_like(leaf) if found is None else found


def check_loss_value(torch: Any, value: Any) -> None:
    """Whether a loss is one number.

    Raises:
        TypeError, ValueError: if not.
    """
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"the loss returns {value!r:.60}, expected a tensor of one number")
    if value.numel() != 1:
        raise ValueError(
            f"the loss has shape {tuple(value.shape)}, expected one number: return its mean or sum"
        )


def is_symmetric(loss: Loss, groups: Groups, rng: np.random.Generator) -> bool:
    """Whether the order of a group's completions does not matter, on every group in two orders.

    The derivatives are the same, each with its completion, but for as many roundings of the largest
    as are supposed where nothing is measured.

    Args:
        rng: of the other orders.
    """
    import torch

    members = groups.members
    count, size = members.shape
    first = group_gradients(loss, groups, members)
    finite = torch.where(first.isfinite(), first.abs(), 0.0)
    allowed = ROUNDINGS * float(np.finfo(np.float64).eps) * float(finite.max())
    backwards = torch.arange(size - 1, -1, -1).expand(count, size)
    shuffled = torch.from_numpy(rng.permuted(np.tile(np.arange(size), (count, 1)), axis=1))
    for order in (backwards, shuffled):
        other = group_gradients(loss, groups, members.gather(1, order))
        here = first.gather(1, order[:, :, None].expand_as(first))
        off = (here - other).abs()
        same = (off <= allowed) | (here == other) | (here.isnan() & other.isnan())
        if not bool(same.all()):
            return False
    return True


def is_not_finite(loss: Loss, groups: Groups) -> Tensor:
    """Whether the derivative of a loss is NaN or infinite somewhere, of each group, (B,)."""
    import torch

    state = UserFunction(loss, called="loss").restoring_state(generators=False)
    with state, torch.random.fork_rng(devices=[]):  # on other groups it may draw
        derivatives = group_gradients(loss, groups, groups.members)
    return (~derivatives.isfinite()).flatten(1).any(dim=1)


def groups_of(
    policy: TokenPolicy,
    loss: Loss,
    reward: ExpectedReward | None,
    reference: TokenPolicy | None,
    size: int,
    most: int,
) -> Groups:
    """Every group that a policy can draw: as multisets, if the loss is symmetric.

    Args:
        reward: what the loss is given of each completion; None: zeros.
        reference: whose log-probabilities it is given; None: of nobody.
        size: of a group.
        most: groups that there may be.

    Raises:
        TooManyPaths: if there are more.
        TypeError, ValueError: for a reward or a loss that is none.
    """
    import torch

    with torch.no_grad():
        tree = policy.tree()
    rewards = torch.zeros(len(tree.tokens), dtype=torch.float64)
    if reward is not None:
        rewards = torch.from_numpy(reward.rewards(policy, tree))
    data = data_of(tree, rewards, reference)
    groups = enumerate_groups(tree, data, size, most, ordered=False)
    if size == 1:
        return groups
    # What a loss that draws comes to in another order cannot be compared, and neither can what it
    # does with the model by itself, which is not seen in its derivative by log-probabilities.
    if not _draws_or_uses(loss, policy, groups, most):
        code = UserFunction(loss, called="loss")
        with code.restoring_state(), keeping_generators() as drawn:
            # From a seed: the same check is to say the same each time.
            symmetric = is_symmetric(loss, groups, np.random.default_rng(0))
            if symmetric and not drawn():  # on other groups it may draw
                return groups
    return enumerate_groups(tree, data, size, most, ordered=True)


def _draws_or_uses(loss: Loss, policy: TokenPolicy, groups: Groups, most: int) -> bool:
    """Whether a loss draws, or is differentiated by the model's parameters, as far as some tell.

    Args:
        most: paths that there may be.

    Raises:
        NotEnumerable: for an unsupported draw.
    """
    leaves = list(policy.parameters.values())
    # All of the first one's completions are the same: what is done with others is not seen there.
    for place in np.unique(np.linspace(0, len(groups.members) - 1, TRIED).astype(int)):
        members = groups.members[place]
        given = groups.tree.log_probs.detach()[members], *groups.of(members).arguments
        reached = functools.partial(_reaches, loss, leaves, *given)
        with Enumeration(UserFunction(reached, called="loss"), most) as enumeration:
            path = enumeration.run_once(())
            enumeration.restore_state()
        if path.choices or path.value:
            return True
    return False


def _reaches(loss: Loss, leaves: list[Tensor], log_probs: Tensor, *others: Tensor) -> bool:
    """Whether a loss of log-probabilities that are made of nothing is made of these leaves."""
    import torch

    value = loss(log_probs.clone().requires_grad_(), *others)
    check_loss_value(torch, value)
    if not value.requires_grad:
        return False
    found = torch.autograd.grad(value.sum(), leaves, allow_unused=True)
    return any(each is not None for each in found)
