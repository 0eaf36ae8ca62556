"""Moments of an estimator that is sampled, and a test of its mean that is valid at any time."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from gradproof.estimators.replay import precision

from .gradients import complete, flat
from .sequential import MeanFound, MeanTest

#: Samples of the first block; each further one is twice as large, up to the last of these.
BLOCKS = 64, 4096


@dataclasses.dataclass(frozen=True)
class Sampled:
    """What samples showed: moments by parameter, and what the test found."""

    mean: Mapping[str, np.ndarray]
    variance: Mapping[str, np.ndarray]
    test: MeanFound


def sample(
    run: Callable[[], Any],
    exact: Mapping[str, np.ndarray],
    *,
    draws: int,
    alpha: float,
    rarest: float,
    seed: int | None = None,
    coarsest: float = 0.0,
) -> Sampled:
    """Run an estimator until its mean is rejected, or for as many draws as there may be.

    Args:
        run: returns gradients of the names and shapes of ``exact``.
        draws: at most.
        alpha, rarest: as of :class:`.sequential.MeanTest`.
        seed: of the generators that PyTorch, NumPy and Python have of their own; they are as before
            afterwards. None: they go on from where they are.
        coarsest: precision that is at least to be allowed for.

    Raises:
        ValueError: for too few draws to test anything, or gradients that do not fit.
    """
    if draws < 1:
        raise ValueError(f"draws is {draws}, expected at least 1")
    target = flat(exact)
    count, total, square = 0, np.zeros_like(target), np.zeros_like(target)
    test: MeanTest | None = None
    with _seeded(seed):
        size = BLOCKS[0]
        while count < draws:
            values = [run() for _ in range(min(size, draws - count))]
            if test is None:
                step = max(coarsest, *(precision(value) for value in values))
                test = MeanTest(target, alpha=alpha, rarest=rarest, precision=step)
                if test.stretch >= draws:
                    raise ValueError(
                        f"draws is {draws:,}, and {test.stretch:,} are needed to know the range of "
                        f"what is drawn before anything is tested: take more, or in Python leave "
                        f"out outcomes that are likelier than {rarest:g} (rarest=)"
                    )
            block = np.stack([flat(complete(value, exact)) for value in values])
            count += len(block)
            total += (block - target).sum(axis=0)
            square += ((block - target) ** 2).sum(axis=0)
            if test.feed(block):
                break
            size = min(2 * size, BLOCKS[1])
    assert test is not None
    off = total / count
    return Sampled(
        _named(target + off, exact), _named(square / count - off**2, exact), test.found()
    )


@contextlib.contextmanager
def _seeded(seed: int | None) -> Iterator[None]:
    """The generators that frameworks have of their own, from a seed, and as before afterwards."""
    if seed is None:
        yield
        return
    torch: Any = sys.modules.get("torch")
    before = random.getstate(), np.random.get_state()  # noqa: NPY002 - it is put back
    with contextlib.ExitStack() as stack:
        stack.callback(random.setstate, before[0])
        stack.callback(np.random.set_state, before[1])
        if torch is not None:
            stack.callback(torch.set_rng_state, torch.get_rng_state())
            torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - people draw from it
        yield


def _named(flat: np.ndarray, like: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    found, start = {}, 0
    for name, value in like.items():
        found[name] = flat[start : start + value.size].reshape(value.shape)
        start += value.size
    return found
