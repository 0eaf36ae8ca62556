"""What is usually the matter with a mean that is off in this way, read off factors."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from .direction import factor_of
from .estimand import left_by_constants
from .listing import list_names

#: A mean or a sum over more samples than this is not guessed at from a factor.
MOST_SAMPLES = 64

#: A factor is 1/N, N or 1 - 1/N if it is so to a share of itself that is far below the distance
#: between two of them for N up to MOST_SAMPLES, 1/64 - 1/65 = 2.4e-4.
NEAR = 1e-6

#: Of two factors at once: there are 225 such products, and one is met by accident no more often
#: than one factor in a thousand.
FEW = 16

#: Of a factor that is none of these.
OTHERWISE = (
    "That is none of the usual factors. A scale of the costs, a temperature, the weight of a loss "
    "or a baseline that is not detached leaves one; another learning rate makes up for it "
    "(judge='direction' lets it pass)."
)

#: Of an error that is as small everywhere.
SINGLE = (
    "Constants in single precision leave errors of that size, such as torch.tensor([0.1]) without "
    "a dtype=: is there one in the estimator, or in what it is compared with?"
)

#: Of an error that has no simple form and is small, of numbers that were given as ``exact``.
DIFFERENCED = (
    "Differences in one direction leave errors of that size: if exact= was made by them, say how "
    "far off it may be (exact_error=), or pass a function that computes the gradient."
)

#: A step of differences in one direction, at most, as people choose it: where slopes change on a
#: scale of 1 a slope is off by half of it.
STEP = 1e-4


def may_be_differenced(
    mean: Mapping[str, np.ndarray], exact: Mapping[str, np.ndarray], size: Mapping[str, np.ndarray]
) -> bool:
    """Whether a mean is off by no more than differences in one direction leave, in every entry."""
    largest = max(float(np.max(each, initial=0.0)) for each in size.values())
    return all((np.abs(mean[key] - exact[key]) <= 0.5 * STEP * largest).all() for key in exact)


def usual_reasons(
    mean: Mapping[str, np.ndarray],
    exact: Mapping[str, np.ndarray],
    error: Mapping[str, np.ndarray],
    size: Mapping[str, np.ndarray],
    draws: int,
    unseen: Collection[str] = (),
) -> list[str]:
    """Sentences on how a mean is off, and what makes such an error as a rule.

    They are hints: no verdict depends on them. There is none where the error has no simple form.

    Args:
        mean: of the estimator, by parameter, and ``exact``, what it should be.
        error: what each entry may be off by, bounds and the exact gradient's own error together.
        size: of the gradients on the paths: zero where there is none on any path.
        draws: at most, on any path.
        unseen: parameters in which an error of one part in a hundred would not have been seen.

    Shape:
        ``mean``, ``exact``, ``error`` and ``size`` have the same names and shapes.
    """
    if not all(np.isfinite(mean[key]).all() for key in mean):
        return []  # no error is known then
    if all((np.abs(exact[key]) <= error[key]).all() for key in exact):
        return [
            "The exact gradient is zero in every entry: if it is that of objective=, does this use "
            "its arguments? What it has from elsewhere may not move with them."
        ]
    if left_by_constants(mean, exact, error, size):
        return [SINGLE]
    factor = factor_of(*(_row(by_name) for by_name in (mean, exact, error)))
    if factor is not None:
        why = _why(factor, _row(size), draws) or [OTHERWISE]
        return [f"The mean is {_times(factor)} in every entry.", *why]
    off = {key: bool(_off(mean[key], exact[key], error[key])) for key in exact}
    wrong = [key for key, is_off in off.items() if is_off]
    if len(wrong) == len(off):
        return []
    rest = "the rest is right"
    if any(key in unseen for key in off if not off[key]):
        rest += " as far as could be seen"
    reasons = [f"Only {list_names(wrong)} {'is' if len(wrong) == 1 else 'are'} off; {rest}."]
    alike: dict[tuple[str, ...], list[str]] = {}
    for key in wrong:
        factor = factor_of(*(np.ravel(by_name[key]) for by_name in (mean, exact, error)))
        if factor is not None:
            why = _why(factor, np.ravel(size[key]), draws)
            alike.setdefault((_times(factor), *why), []).append(key)
    for (times, *why), keys in list(alike.items())[:3]:
        each = "" if len(keys) == 1 else "each of "
        reasons.extend([f"The mean of {each}{list_names(keys)} is {times}.", *why])
    zero = [key for key in wrong if (np.abs(exact[key]) <= error[key]).all()]
    if zero:
        reasons.append(
            f"The exact gradient is zero for {list_names(zero)}. A learned baseline, say, has a "
            "loss of its own: check the others alone (wrt=), or name an objective for each part "
            "(objective={'encoder': cost, 'baseline': loss})."
        )
    return reasons


def _row(by_name: Mapping[str, np.ndarray]) -> np.ndarray:
    return np.concatenate([np.ravel(value) for value in by_name.values()])


def _off(mean: np.ndarray, exact: np.ndarray, error: np.ndarray) -> bool:
    return not (np.abs(mean - exact) <= error).all()


def _times(factor: float) -> str:
    if factor == 0.0:
        return "zero"
    if abs(factor + 1.0) <= NEAR:
        return "minus the gradient"
    rough = f"{factor:.4f}"
    shown = rough if abs(factor) >= 0.1 and float(rough) != 1.0 else f"{factor:.6g}"
    return f"{shown} times the gradient"


def _why(factor: float, size: np.ndarray, draws: int) -> list[str]:
    """What such a factor comes from, as a rule; empty if none is known."""
    if factor == 0.0:
        if not size.any():
            return [
                "There is no gradient on any path: something is detached on the way to it "
                "(detach(), item(), no_grad(), stop_gradient), the surrogate does not reach it, or "
                "what multiplies it is always zero."
            ]
        return [
            "Gradients cancel over the paths: a score times what does not depend on the draw has "
            "mean zero. Is the cost subtracted from itself, or a constant?"
        ]
    if abs(factor + 1.0) <= NEAR:
        return ["The sign is wrong, as where a reward is minimised, or a cost maximised."]
    most = min(draws, MOST_SAMPLES)
    reasons = []
    for n in range(2, most + 1):
        if _near(factor, 1.0 - 1.0 / n):
            reasons.append(
                f"1 - 1/{n}: as where each of {n} samples is in its own baseline. Leave a sample "
                "out of the mean that it is compared with."
            )
        if _near(factor, 1.0 / n):
            reasons.append(
                f"1/{n}: as where a mean over {n} samples stands for their sum, or costs of shape "
                f"({n}, 1) meet log-probabilities of shape ({n},)."
            )
        if _near(factor, float(n)):
            reasons.append(f"{n}: as where a sum over {n} samples stands for their mean.")
    return reasons or _why_both(factor, most)


def _why_both(factor: float, most: int) -> list[str]:
    """Of two such mistakes at once; for few samples, or any factor would be one."""
    most = min(most, FEW)
    return [
        f"(1 - 1/{n})/{m}: as where each of {n} samples is in its own baseline, and a mean over "
        f"{m} (tokens, or the longest that there may be) stands for a sum."
        for n in range(2, most + 1)
        for m in range(2, most + 1)
        if _near(factor, (1.0 - 1.0 / n) / m)
    ]


def _near(factor: float, simple: float) -> bool:
    return abs(factor - simple) <= NEAR * simple
