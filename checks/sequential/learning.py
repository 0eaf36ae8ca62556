"""The range of samples, learnt from a first stretch of them on which nothing is bet.

What is learnt is no knowledge. An outcome of probability 1e-5 is not seen in 20,000 draws, four
times of five, and may be most of the mean. So a verdict by a learnt range is conditional, and
``condition`` has the words for it: if no outcome rarer than ``rarest`` lies far beyond all others.
It is empty where the probabilities of all outcomes of all draws of a sample were seen; then the
stretch has them all. The path to an end of a coordinate's range was drawn, or it leaves what was
drawn at its i-th draw, by an outcome that could have come out and did not. To get there had a
probability p, and n samples without it have (1 - p)^n: at most beta, if n is log(1/beta)/p or more.
Let beta be delta/(2 P i (i + 1)), and add up over i: both ends of all P coordinates were drawn with
probability 1 - delta. This needs a number that p is not below, such as the least product of the
probabilities of the rarest outcomes on a path that was drawn, and a number that i is not above, the
most draws on such a path. It needs nothing of what was not drawn.
"""

from __future__ import annotations

import math

import numpy as np

from .betting import RangeStrategy, RunningMoments, largest_of_all

#: Part of the false alarms that may come from a range that was learnt too narrow.
SHARE = 0.1


def stretch(size: int, alpha: float, rarest: float, depth: int = 0) -> int:
    """Draws that a range is learnt from; see :class:`.mean_test.MeanTest`.

    Args:
        size: coordinates, P.
    """
    ends = 2.0 * size * max(1, depth * (depth + 1))
    draws = math.log(ends / (SHARE * alpha)) / rarest
    return math.ceil(min(draws, 2.0**62))  # beyond this nobody draws, and few can count


def learn_range(
    moments: RunningMoments,
    exact: np.ndarray,
    *,
    rounding: float,
    off: np.ndarray,
    widen: float,
    groups: np.ndarray,
) -> RangeStrategy:
    """Bets within the range of what was seen, widened.

    The exact mean is counted in, so that it is always where a mean can be: what was drawn on one
    side of it only is a reason to bet, and none to be certain. Coordinates of one group have one
    scale: an entry that is small because its label is rare will be as large as others when that
    label comes.

    Args:
        rounding: in units of the size of a sample.
        widen: ``widen - 1`` lengths are added at either end: of its own range, or of the longest of
            its group; where nothing in a group varies, of the longest of all.
        groups: a number for each coordinate, (P,), from 0.
    """
    low, high = np.minimum(moments.low, 0.0), np.maximum(moments.high, 0.0)
    longest = np.zeros(int(groups.max()) + 1)
    np.maximum.at(longest, groups, moments.high - moments.low)
    scale = np.where(longest > 0.0, longest, longest.max())[groups]
    more = (widen - 1.0) * np.maximum(high - low, scale)
    size = np.abs(exact) + np.maximum(-low, high)
    return RangeStrategy(low - more, high + more, rounding * largest_of_all(size), off)
