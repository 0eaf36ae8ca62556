"""Completions of an older policy: losses of verl with their ratios, against the new one's goal."""

from __future__ import annotations

import functools
from typing import Any

from gradproof import check_estimator

from . import problem
from .installed import verl
from .problem import EXPECTED, Tensor
from .row import Row
from .verl_rows import SUM, actor, advantage

#: So wide that nothing is clipped.
NEVER = 1e9


def ratio_left_out(new: Tensor, old: Tensor, mask: Tensor, advantages: Tensor) -> Tensor:
    """As if the new policy had drawn."""
    return -(advantages * new * mask).sum(dim=1).mean()


def ratios_of_completions(new: Tensor, old: Tensor, mask: Tensor, advantages: Tensor) -> Tensor:
    """Each completion's, which is the product of its tokens'."""
    ratio = ((new - old) * mask).sum(dim=1).exp()
    return -(ratio * advantages[:, 0]).mean()


def ratios_of_prefixes(new: Tensor, old: Tensor, mask: Tensor, advantages: Tensor) -> Tensor:
    """For each token, the product up to it."""
    ratio = ((new - old) * mask).cumsum(dim=1).exp().detach()
    return -(ratio * advantages * new * mask).sum(dim=1).mean()


def of_verl(loss: str, **options: Any) -> Any:
    """A loss of verl, of which nothing is cut where ``clip_ratio`` is wide."""

    def of_group(new: Tensor, old: Tensor, mask: Tensor, advantages: Tensor) -> Tensor:
        return verl().get_policy_loss_fn(loss)(
            old_log_prob=old,
            log_prob=new,
            advantages=advantages,
            response_mask=mask,
            loss_agg_mode=SUM,
            config=actor(**options),
        )[0]

    return of_group


@functools.cache
def older() -> tuple[Any, Any]:
    """The older policy, and the exact gradient that the new one should have."""
    _, _, goals = problem.goals()
    return problem.policy_of(problem.OLD), goals[EXPECTED].as_loss()


def check(loss: Any) -> Any:
    """The report on a loss whose groups the older policy draws."""
    import torch

    policy, _, _ = problem.goals()
    old, exact = older()

    def estimate() -> Tensor:
        group = old.sample(problem.GROUP)
        rewards = torch.tensor([problem.REWARDS[y] for y in group.tuples()], dtype=torch.float64)
        with torch.no_grad():
            drawn = old.log_probs(group)
        at_the_end = problem.at_the_end(rewards, group.mask)
        weights = advantage("rloo")(drawn, group.mask, at_the_end, group.tokens)
        return loss(policy.log_probs(group), drawn, group.mask, weights)

    return check_estimator(estimate, wrt=policy.model, exact=exact)


def rows() -> list[Row]:
    """Every row off policy: losses of verl, and what they are beside."""
    unclipped = {"clip_ratio": NEVER, "clip_ratio_c": NEVER}
    losses = {
        "vanilla, never clipped": of_verl("vanilla", **unclipped),
        "vanilla, clip_ratio 0.2": of_verl("vanilla"),
        "gspo, never clipped": of_verl("gspo", **unclipped),
        "gspo, clip_ratio 0.2": of_verl("gspo"),
        "cispo, never clipped": of_verl("cispo", **unclipped),
        "cispo, clip_ratio 0.2": of_verl("cispo"),
        "gpg (no ratio)": of_verl("gpg"),
    }
    by_hand = {
        "no ratio": ratio_left_out,
        "ratios of prefixes": ratios_of_prefixes,
        "ratios of completions": ratios_of_completions,
    }
    return [
        *(_row("verl", name, loss) for name, loss in losses.items()),
        *(_row("by hand", name, loss) for name, loss in by_hand.items()),
    ]


def _row(library: str, name: str, loss: Any) -> Row:
    option = f"rloo of an older policy; {name}"
    return Row(library, option, EXPECTED, functools.partial(check, loss))
