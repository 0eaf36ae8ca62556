"""OpenRLHF: its policy loss, and its approximate divergences, which are in single precision."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from . import problem
from .installed import openrlhf
from .problem import DIVERGENCE, EXPECTED, NEXT_TOKENS, Tensor
from .row import Row

#: ``compute_approx_kl`` turns log-probabilities into single precision.
SINGLE = float(np.finfo(np.float32).eps)


def policy_loss(standardised: bool = False, **options: Any) -> Any:
    """``PolicyLoss`` on the policy that drew the group."""

    def of_group(log_probs: Tensor, mask: Tensor, rewards: Tensor, *_: Any) -> Any:
        advantages = (
            (rewards - rewards.mean()) / (rewards.std() + 1e-9)  # as its group_norm
            if standardised
            else problem.leave_one_out(rewards)
        )
        loss = openrlhf()[0].PolicyLoss(**options)
        return loss(log_probs, log_probs.detach(), advantages[:, None] * mask, action_mask=mask)[0]

    return of_group


def penalty(kind: str, unbiased: bool) -> Any:
    """``compute_approx_kl``, summed over tokens, as a loss."""

    def of_group(log_probs: Tensor, mask: Tensor, rewards: Tensor, tokens: Tensor, ref: Any) -> Any:
        kl = openrlhf()[1].compute_approx_kl(
            log_probs, ref, log_probs.detach(), kl_estimator=kind, unbiased_gradient=unbiased
        )
        return (kl * mask).sum(dim=1).mean()

    return of_group


def rows() -> list[Row]:
    """Every row of OpenRLHF."""
    losses = {
        "PolicyLoss(), rloo": policy_loss(),
        "PolicyLoss(dual_clip=3.0), rloo": policy_loss(dual_clip=3.0),
        "PolicyLoss(token_level_loss=False), rloo": policy_loss(token_level_loss=False),
        "PolicyLoss(policy_loss_type='gspo'), rloo": policy_loss(policy_loss_type="gspo"),
        "PolicyLoss(), group_norm": policy_loss(standardised=True),
    }
    return [
        *(
            Row("openrlhf", name, EXPECTED, functools.partial(problem.check_loss, loss, EXPECTED))
            for name, loss in losses.items()
        ),
        *(
            Row(
                "openrlhf",
                f"compute_approx_kl {kind}" + ", unbiased_gradient" * unbiased,
                estimand,
                functools.partial(
                    problem.check_loss, penalty(kind, unbiased), estimand, precision=SINGLE
                ),
            )
            for kind in ("k1", "k2", "k3")
            for unbiased in (False, True)
            for estimand in (DIVERGENCE, NEXT_TOKENS)
        ),
    ]
