"""Betting e-values for the mean of samples: stakes from past draws, and what they win.

No bettor can lose more than his wealth. :mod:`.mean_test` describes the method.

Reference:
    Waudby-Smith and Ramdas (2024), Estimating means of bounded random variables by betting.
    Catoni (2012), Challenging the empirical mean and empirical variance. Kelly (1956), A new
    interpretation of information rate. Chan, Golub and LeVeque (1983), Algorithms for computing
    the sample variance.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

#: Most of a bettor's wealth that one draw may cost. Beyond a half little is gained (Waudby-Smith
#: and Ramdas take the same), and a bettor who can lose all never comes back.
MOST_LOST = 0.5

#: Directions in which nothing varies are bet on as if they had this part of the usual variance: far
#: above rounding, far below what is estimated from any feasible number of draws.
RIDGE = 1e-9


@dataclasses.dataclass(frozen=True)
class Ranges:
    """Ranges that are known for certain."""

    low: np.ndarray
    high: np.ndarray

    assumption = (
        "no sample can lie outside of the range that was given, and the mean of each, given those "
        "before, is the same"
    )

    def strategy(self, exact: np.ndarray, rounding: float, off: np.ndarray) -> Strategy:
        """Of bets on differences from the exact mean, which may be ``off`` itself."""
        size = np.maximum.reduce([np.abs(self.low), np.abs(self.high), np.abs(exact)])
        return RangeStrategy(
            self.low - exact, self.high - exact, rounding * largest_of_all(size), off
        )


@dataclasses.dataclass(frozen=True)
class Spreads:
    """Variances, or a covariance, that are not exceeded."""

    scatter: np.ndarray

    assumption = (
        "no variance exceeds the one that was given, and the mean of each sample, given those "
        "before, is the same"
    )

    def strategy(self, exact: np.ndarray, rounding: float, off: np.ndarray) -> Strategy:
        """Of bets on differences from the exact mean, which may be ``off`` itself."""
        size = np.abs(exact) + np.sqrt(diagonal(self.scatter))
        return CatoniStrategy(self.scatter, rounding * largest_of_all(size) + off)


class RunningMoments:
    """Mean, scatter and extremes of the draws, as they grow."""

    def __init__(self, size: int, joint: bool) -> None:
        self.count = 0
        self.mean = np.zeros(size)
        self.square = np.zeros((size, size) if joint else size)
        self.low, self.high = np.full(size, np.inf), np.full(size, -np.inf)

    def add(self, part: np.ndarray) -> None:
        """Chan's update: nothing is subtracted from a sum of squares."""
        if not len(part):
            return
        mean = part.mean(axis=0)
        step, total = mean - self.mean, self.count + len(part)
        weight = len(part) * self.count / total
        self.square += _square(part - mean, self.square.ndim)
        self.square += weight * _square(step[None], self.square.ndim)
        self.mean = self.mean + step * (len(part) / total)
        self.low = np.minimum(self.low, part.min(axis=0))
        self.high = np.maximum(self.high, part.max(axis=0))
        self.count = total

    def variance(self) -> np.ndarray:
        """By coordinate, without bias; 0 for one draw."""
        return diagonal(self.square) / max(1, self.count - 1)


class Strategy:
    """Bets of all bettors: a stake for each coordinate, and stakes on all for the direction.

    A stake s on a coordinate wins ``s x - |s| allowance`` by a sample that is off by x: nothing or
    less on average, if the mean is off by no more than the allowance. That is what rounding may do
    to a sample, and what the exact mean may be off by itself.

    Args:
        low, high: between which samples lie, as differences from the exact mean.
        rounding: by how much more they may be off.
        off: by how much the exact mean may be.
    """

    def __init__(
        self, low: np.ndarray, high: np.ndarray, rounding: np.ndarray, off: np.ndarray
    ) -> None:
        self.low, self.high, self.rounding, self.allowance = low, high, rounding, rounding + off
        self.stakes = np.zeros_like(self.allowance)
        self.direction: np.ndarray | None = None

    def is_inside(self, part: np.ndarray) -> np.ndarray:
        """Which numbers are finite, and where they were assumed to be."""
        between = (part >= self.low - self.rounding) & (part <= self.high + self.rounding)
        return between & np.isfinite(part)

    def renew(self, moments: RunningMoments) -> None:
        """Kelly's stakes, by the mean and scatter that were seen so far."""
        scatter, mean = self.scatter(moments), moments.mean
        variance, noise = diagonal(scatter), 1.0 / moments.count
        one = np.divide(mean, variance, out=np.zeros_like(mean), where=variance > 0.0)
        one = one * _prudent(one * mean, np.abs(one) * self.allowance, noise)
        self.stakes = one * _at_most(MOST_LOST, self.losses(one))
        if scatter.ndim == 2:
            along = _whiten(scatter, mean)
            along = along * _prudent(
                along @ mean, np.abs(along) @ self.allowance, mean.size * noise
            )
            self.direction = along * _at_most(MOST_LOST, self.losses(along).sum())

    def gains(self, part: np.ndarray) -> np.ndarray:
        """By what each bettor's logarithm of wealth grows with each draw: (B, bettors)."""
        won = part * self.stakes - np.abs(self.stakes) * self.allowance
        if self.direction is None:
            return self.settle(won)
        joint = part @ self.direction - np.abs(self.direction) @ self.allowance
        return self.settle(np.column_stack([won, joint]))

    def scatter(self, moments: RunningMoments) -> np.ndarray:
        """Variances (P,), or the covariance if there is a bet on a direction."""
        raise NotImplementedError

    def losses(self, stakes: np.ndarray) -> np.ndarray:
        """The most that each stake can lose by one draw; 0 where it does not matter."""
        raise NotImplementedError

    def largest(self) -> np.ndarray:
        """The largest stake, by coordinate, that may be made either way."""
        raise NotImplementedError

    def settle(self, won: np.ndarray) -> np.ndarray:
        """Logarithmic growth, of what was won as part of the wealth."""
        raise NotImplementedError


class RangeStrategy(Strategy):
    """Wealth is multiplied by 1 + what is won: fair, and positive within the range."""

    def scatter(self, moments: RunningMoments) -> np.ndarray:
        """What was seen, and one draw more that has the largest variance a range allows."""
        extra = (self.high - self.low) ** 2 / 4.0
        square = moments.square
        return (square + (np.diag(extra) if square.ndim == 2 else extra)) / (moments.count + 1)

    def losses(self, stakes: np.ndarray) -> np.ndarray:
        """A sample may be a rounding beyond the range, and the allowance is lost too."""
        more = self.rounding + self.allowance
        return np.maximum(-stakes * (self.low - more), -stakes * (self.high + more))

    def largest(self) -> np.ndarray:
        """By the longer side of the range."""
        reach = np.maximum(-self.low, self.high) + self.rounding + self.allowance
        return np.divide(MOST_LOST, reach, out=np.full_like(reach, np.inf), where=reach > 0.0)

    def settle(self, won: np.ndarray) -> np.ndarray:
        """See the class."""
        return np.log1p(won)


class CatoniStrategy(Strategy):
    """Wealth is multiplied by Catoni's 1 + y + y^2/2, or its mirror image, and the variance paid.

    If y = won has mean m in [-2c, 0], with c what was charged, and its variance is v at most, then
    E[1 + y + y^2/2] <= exp((v + 4 c^2)/2), and the mirror image 1/(1 - y + y^2/2) is smaller.
    """

    def __init__(self, covariance: np.ndarray, allowance: np.ndarray) -> None:
        reach = np.where(diagonal(covariance) > 0.0, np.inf, 0.0)
        # What never varies is where its mean is, and may be off by as much.
        super().__init__(-reach, reach, allowance, np.zeros_like(allowance))
        self._covariance = covariance

    def scatter(self, moments: RunningMoments) -> np.ndarray:
        """What was given."""
        return self._covariance

    def losses(self, stakes: np.ndarray) -> np.ndarray:
        """None: the influence of a draw is bounded by the logarithm."""
        return np.zeros_like(stakes)

    def largest(self) -> np.ndarray:
        """Any."""
        return np.full_like(self.allowance, np.inf)

    def settle(self, won: np.ndarray) -> np.ndarray:
        """See the class."""
        pay = self.stakes**2 * (diagonal(self._covariance) + 4.0 * self.allowance**2)
        if self.direction is not None:
            left = 2.0 * np.abs(self.direction) @ self.allowance
            joint = self.direction @ self._covariance @ self.direction + left**2
            pay = np.append(pay, joint)
        return np.sign(won) * np.log1p(np.abs(won) + won**2 / 2.0) - pay / 2.0


def largest_of_all(size: np.ndarray) -> np.ndarray:
    """The largest of all, for each: what cancels in one entry is of the size of another."""
    return np.full_like(size, size.max(initial=0.0))


def _prudent(edge: Any, allowance: Any, noise: float) -> Any:
    """What part of Kelly's stake to make; ``edge`` is the squared mean in units of the scatter.

    Of the edge that was seen, noise alone makes 1/n for each dimension: it is taken off, as James
    and Stein 1961 do, so that a right mean is hardly bet on. So is what is charged.
    """
    edge = np.asarray(edge)
    worth = np.maximum(0.0, edge - allowance - noise)
    part: np.ndarray = np.divide(
        worth, edge * (1.0 + edge), out=np.zeros_like(edge), where=worth > 0.0
    )
    return part


def _at_most(most: float, losses: Any) -> Any:
    """By what to multiply stakes that can lose so much, if they may lose ``most``."""
    return most / np.maximum(most, losses)


def _whiten(scatter: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Inverse scatter times mean: the direction in which it is the most standard errors away."""
    unit = np.sqrt(np.diagonal(scatter))
    unit = np.where(unit > 0.0, unit, 1.0)
    likeness = scatter / unit / unit[:, None] + RIDGE * np.eye(unit.size)
    return np.linalg.solve(likeness, mean / unit) / unit


def diagonal(scatter: np.ndarray) -> np.ndarray:
    """Of a scatter, which may be kept by coordinate alone."""
    return np.diagonal(scatter) if scatter.ndim == 2 else scatter


def _square(rows: np.ndarray, dimensions: int) -> np.ndarray:
    """Sum over rows of their squares, or of their outer products."""
    return rows.T @ rows if dimensions == 2 else np.einsum("bp,bp->p", rows, rows)
