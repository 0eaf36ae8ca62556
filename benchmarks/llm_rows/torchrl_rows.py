"""torchrl: the losses of its policy gradients, on the tokens of a group as one batch of steps."""

from __future__ import annotations

import functools
import warnings
from typing import Any

from gradproof import check_estimator

from . import problem
from .problem import EXPECTED, Tensor
from .row import Row


def check(loss_name: str, reduction: str, advantages: Any, **options: Any) -> Any:
    """The report on a loss of torchrl, whose actor has the problem's policy."""
    import torch

    policy, _, goals = problem.goals()
    loss, key = _loss(loss_name, policy.model, reduction, options)

    def estimate() -> Tensor:
        group = policy.sample(problem.GROUP)
        rewards = torch.tensor([problem.REWARDS[y] for y in group.tuples()], dtype=torch.float64)
        total = loss(_steps(policy, group, advantages(rewards)))[key]
        return total / problem.GROUP if reduction == "sum" else total

    return check_estimator(estimate, wrt=policy.model, exact=goals[EXPECTED].as_loss())


def _loss(name: str, model: Any, reduction: str, options: dict[str, Any]) -> tuple[Any, str]:
    """The loss, and the name of its part that is the policy's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it imports
        import torch
        from tensordict.nn import ProbabilisticTensorDictModule, ProbabilisticTensorDictSequential
        from tensordict.nn import TensorDictModule as Module
        from torchrl import objectives

    actor = ProbabilisticTensorDictSequential(
        Module(model, in_keys=["before"], out_keys=["logits"]),
        ProbabilisticTensorDictModule(
            in_keys=["logits"],
            out_keys=["action"],
            distribution_class=torch.distributions.Categorical,
            return_log_prob=True,
        ),
    )
    critic = Module(
        torch.nn.Embedding(4, 1, dtype=torch.float64), in_keys=["before"], out_keys=["state_value"]
    )
    # What is asked for is the policy's part; the critic's is a sum of its own.
    loss = getattr(objectives, name)(
        actor, critic, functional=False, reduction=reduction, **options
    )
    return loss, "loss_actor" if name == "ReinforceLoss" else "loss_objective"


def _steps(policy: Any, group: Any, advantages: Tensor) -> Any:
    """Every token of a group as a step, without padding."""
    import torch
    from tensordict import TensorDict

    valid = group.mask.bool()
    first = torch.full_like(group.tokens[:, :1], problem.PROMPT)
    before = torch.cat([first, group.tokens[:, :-1]], dim=1)
    with torch.no_grad():
        drawn = policy.log_probs(group)
    each = (advantages[:, None] * group.mask)[valid][:, None]
    return TensorDict(
        {
            "before": before[valid],
            "action": group.tokens[valid],
            "action_log_prob": drawn[valid],
            "advantage": each,
            "value_target": torch.zeros_like(each),
        },
        batch_size=[int(valid.sum())],
    )


def rows() -> list[Row]:
    """Every row of torchrl."""
    without_bonus = {"entropy_bonus": False}
    losses: tuple[tuple[str, dict[str, Any]], ...] = (
        ("ReinforceLoss", {}),
        ("A2CLoss", without_bonus),
        ("ClipPPOLoss", without_bonus),
        ("ClipPPOLoss", without_bonus | {"normalize_advantage": True}),
    )
    return [
        Row(
            "torchrl",
            f"{name}, rloo; reduction {reduction}"
            + "".join(f"; {key}" for key, value in options.items() if value),
            EXPECTED,
            functools.partial(check, name, reduction, problem.leave_one_out, **options),
        )
        for name, options in losses
        for reduction in ("sum", "mean")
    ]
