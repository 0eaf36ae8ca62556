"""verl: its advantages, aggregations, losses and penalties, in the combinations people use."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from . import problem
from .installed import ActorOptions, AlgorithmOptions, verl
from .problem import DIVERGENCE, EXPECTED, NEXT_TOKENS, PENALISED, Tensor
from .row import Row

AGGREGATIONS = (
    "token-mean",
    "token-sum",
    "seq-mean-token-sum",
    "seq-mean-token-sum-norm",
    "seq-mean-token-mean",
)

#: The one under which an advantage or a loss stands for itself.
SUM = "seq-mean-token-sum"

#: Of a batch: (log-probabilities as drawn, mask, rewards at the ends, tokens) to advantages.
Advantage = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def actor(**options: Any) -> ActorOptions:
    """verl's options of an actor, with its defaults where a loss asks for them."""
    clipped = {"clip_cov_ratio": 0.0002, "clip_cov_lb": 1.0, "clip_cov_ub": 5.0}
    policy = AlgorithmOptions(dro_beta=0.1, kl_cov_ratio=0.0002, ppo_kl_coef=1.0, **clipped)
    known = {
        "clip_ratio": 0.2,
        "clip_ratio_low": None,
        "clip_ratio_high": None,
        "global_batch_info": {},
        "tau_pos": 1.0,
        "tau_neg": 1.05,
        "policy_loss": policy,
    }
    return ActorOptions(**known | options)


def advantage(name: str, **options: Any) -> Advantage:
    """An advantage estimator that verl registers under a name."""

    def of_batch(drawn: Tensor, mask: Tensor, rewards: Tensor, tokens: Tensor) -> Tensor:
        import torch

        known = {
            "config": AlgorithmOptions(gamma=1.0, **options),
            "index": np.zeros(len(mask), dtype=int),
            "response_mask": mask,
            "token_level_rewards": rewards,
        }
        if name == "gae":
            del known["config"], known["index"]
            known |= {"values": torch.zeros_like(mask), "gamma": 1.0, "lam": 1.0}
        if name == "remax":
            del known["index"]
            known["reward_baselines"] = torch.full_like(rewards[:, 0], problem.greedy_reward())
        if "optimal_token_baseline" in name:
            squares = problem.squared_probabilities(tokens)
            known |= {"old_log_probs": drawn, "sum_pi_squared": squares}
        if name.startswith("grpo") and name != "grpo_passk":
            known |= options
        return verl().get_adv_estimator_fn(name)(**known)[0]

    return of_batch


def no_baseline(drawn: Tensor, mask: Tensor, rewards: Tensor, tokens: Tensor) -> Tensor:
    """The reward itself, of every token."""
    return rewards.sum(dim=1, keepdim=True) * mask


def estimator(advantages: Advantage, aggregation: str, loss: str = "vanilla") -> Any:
    """A loss of a group, on the policy that drew it."""

    def of_group(log_probs: Tensor, mask: Tensor, rewards: Tensor, tokens: Tensor, _: Any) -> Any:
        drawn = log_probs.detach()
        weights = advantages(drawn, mask, problem.at_the_end(rewards, mask), tokens)
        return verl().get_policy_loss_fn(loss)(
            old_log_prob=drawn,
            log_prob=log_probs,
            advantages=weights,
            response_mask=mask,
            loss_agg_mode=aggregation,
            config=actor(),
        )[0]

    return of_group


def penalty_in_reward() -> Any:
    """RLOO, of rewards from which ``compute_rewards`` has subtracted the log ratio."""
    rloo = advantage("rloo")

    def of_group(log_probs: Tensor, mask: Tensor, rewards: Tensor, tokens: Tensor, ref: Any) -> Any:
        drawn = log_probs.detach()
        less = verl().compute_rewards(
            problem.at_the_end(rewards, mask), drawn * mask, ref * mask, problem.BETA
        )
        weights = rloo(drawn, mask, less, tokens)
        return verl().agg_loss(-weights * log_probs, mask, SUM)

    return of_group


def penalty(kind: str, aggregation: str) -> Any:
    """``kl_penalty`` as a loss."""

    def of_group(log_probs: Tensor, mask: Tensor, rewards: Tensor, tokens: Tensor, ref: Any) -> Any:
        return verl().agg_loss(verl().kl_penalty(log_probs, ref, kind), mask, aggregation)

    return of_group


def rows() -> list[Row]:
    """Every row of verl."""
    without_std = {"norm_adv_by_std_in_grpo": False}
    in_all_ways = {
        "no baseline": no_baseline,
        "rloo": advantage("rloo"),
        "grpo, norm_adv_by_std_in_grpo=False": advantage("grpo", **without_std),
        "grpo": advantage("grpo"),
    }
    once = {
        "rloo_vectorized": advantage("rloo_vectorized"),
        "grpo_vectorized": advantage("grpo_vectorized"),
        "remax": advantage("remax"),
        "opo": advantage("opo"),
        "gpg": advantage("gpg"),
        "grpo_passk": advantage("grpo_passk"),
        "grpo_passk, norm_adv_by_std_in_grpo=False": advantage("grpo_passk", **without_std),
        "reinforce_plus_plus": advantage("reinforce_plus_plus"),
        "reinforce_plus_plus_baseline": advantage("reinforce_plus_plus_baseline"),
        "gdpo": advantage("gdpo"),
        "gae, values 0": advantage("gae"),
        "optimal_token_baseline": advantage("optimal_token_baseline"),
        "tir_optimal_token_baseline": advantage("tir_optimal_token_baseline"),
    }
    losses = ("gspo", "cispo", "sapo", "gpg", "geo_mean", "dppo_tv", "dppo_kl", "dro")
    by_covariance = ("kl_cov", "clip_cov")
    return [
        *(
            _row(f"{name}; {aggregation}", EXPECTED, estimator(weights, aggregation))
            for name, weights in in_all_ways.items()
            for aggregation in AGGREGATIONS
        ),
        *(_row(f"{name}; {SUM}", EXPECTED, estimator(of, SUM)) for name, of in once.items()),
        *(
            _row(f"rloo; {SUM}; loss {loss}", EXPECTED, estimator(advantage("rloo"), SUM, loss))
            for loss in (*losses, *by_covariance)
        ),
        _row(f"rloo, compute_rewards with kl_ratio 0.1; {SUM}", PENALISED, penalty_in_reward()),
        *(
            _row(f"kl_penalty {kind}; {SUM}", estimand, penalty(kind, SUM))
            for kind in ("k1", "abs", "k2", "k3", "k1+", "k3+")
            for estimand in (DIVERGENCE, NEXT_TOKENS)
        ),
        *(
            _row(f"kl_penalty {kind}; token-mean", NEXT_TOKENS, penalty(kind, "token-mean"))
            for kind in ("k2", "k3")
        ),
    ]


def _row(option: str, estimand: str, loss: Any) -> Row:
    return Row("verl", option, estimand, functools.partial(problem.check_loss, loss, estimand))
