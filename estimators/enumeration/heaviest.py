"""The most probable paths first, and the rest by drawing from it: best-first search on the tree.

A run with a prefix takes the most probable outcome of each further draw. The outcomes that it
leaves are where other paths begin: they wait in a queue by the probability of their prefix, and the
most probable is run next. So after any number of runs each path has either been run, or begins with
one of the prefixes that wait. What waits is a distribution that can be drawn from: a prefix by its
probability, and what follows by the probabilities of the code's own draws.

Reference:
    Hart, Nilsson and Raphael (1968), A formal basis for the heuristic determination of minimum cost
    paths. Poole (1993), Probabilistic Horn abduction and Bayesian networks, who bounds what the
    paths that were not run can add by their probability.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from .outcomes import OutcomeDistribution, Uniform
from .ranked_outcomes import RankedOutcomes
from .run import Choice, Path, Run, outside_runs

#: A path that has become so unlikely, beside the prefix that it began with, takes outcomes as they
#: come: code that draws until something comes out need not end by its most probable outcomes.
UNLIKELY = 1e-12

#: Probabilities of outcomes that may be kept in prefixes: half a gigabyte. Then no more are run.
KEPT = 2**26

#: Uniform numbers that are drawn at once.
SHARES = 1024


class RunOnce(Protocol):
    """Runs code once with a prefix, as :meth:`.enumeration.Enumeration.run_once`."""

    def __call__(
        self, prefix: Sequence[Choice], kind: Callable[[Sequence[Choice], int], Run]
    ) -> Path[Any]:
        """The path that begins with these outcomes, and goes on as its kind of run does."""


class Shares:
    """Uniform numbers, drawn many at a time: no run, whose draws are handled, draws them."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._ready: list[float] = []

    def draw(self) -> float:
        """The next one, from 0 to less than 1."""
        if not self._ready:
            with outside_runs():
                self._ready = self._rng.random(SHARES).tolist()
        return self._ready.pop()


class RandomRun(Run):
    """Draws each outcome beyond its prefix by its probability, from a generator of ours."""

    def __init__(self, prefix: Sequence[Choice], most: int, *, shares: Shares) -> None:
        super().__init__(prefix, most)
        self._shares = shares

    def _choose_freely(self, outcomes: OutcomeDistribution) -> int:
        return outcomes.quantile(self._shares.draw())

    def _count(self) -> None:
        pass  # not all of them are run

    def _count_together(self, many: Sequence[OutcomeDistribution]) -> None:
        pass  # likewise


class LikeliestRun(RandomRun):
    """Takes the most probable outcome of each draw beyond its prefix."""

    def __init__(self, prefix: Sequence[Choice], most: int, *, shares: Shares) -> None:
        super().__init__(prefix, most, shares=shares)
        self._probability = 1.0

    def _choose_freely(self, outcomes: OutcomeDistribution) -> int:
        if self._probability < UNLIKELY:
            return super()._choose_freely(outcomes)
        outcome = RankedOutcomes(outcomes).outcome(0)
        self._probability *= outcomes.probability(outcome)
        return outcome


class _Branch(NamedTuple):
    """Paths that were not run: they begin as a path that was, and differ at one draw.

    Its outcome is one of those of rank ``start`` to before ``stop``.
    """

    choices: tuple[Choice, ...]
    place: int
    start: int
    stop: int
    probability: float

    def prefix(self, outcome: int) -> list[Choice]:
        """That of the paths with this outcome."""
        return [*self.choices[: self.place], self.choices[self.place]._replace(taken=outcome)]


class HeaviestPaths:
    """The paths of some code, the most probable first, as far as they are asked for.

    Args:
        run_once: runs it with a prefix, by a kind of run.
        shares: of outcomes that are drawn.
    """

    def __init__(self, run_once: RunOnce, shares: Shares) -> None:
        self._run_once, self._shares = run_once, shares
        self._queue: list[tuple[float, int, _Branch]] = []
        self._order = itertools.count()  # of equally probable ones the first that was seen
        self._begun = False
        self._kept = 0
        self.count, self.probability = 0, 0.0

    @property
    def complete(self) -> bool:
        """Whether all paths were run."""
        return self._begun and not self._queue

    @property
    def full(self) -> bool:
        """Whether there is no room for more of their draws."""
        return self._kept > KEPT

    def paths(self, most: int) -> Iterator[Path[Any]]:
        """So many paths, or all; fewer if there is no room. What a path returned is not kept."""
        for _ in range(most):
            if self.complete or self.full:
                return
            prefix = self._next()
            path = self._run_once(prefix, functools.partial(LikeliestRun, shares=self._shares))
            self._wait(path.choices, len(prefix))
            self.count += 1
            self.probability += path.probability
            yield path

    def rest(self) -> RestOfPaths:
        """The paths that were not run."""
        return RestOfPaths([branch for _, _, branch in self._queue], self._run_once, self._shares)

    def _next(self) -> list[Choice]:
        """The most probable prefix that waits; the others of its draw go on waiting."""
        if not self._begun:
            self._begun = True
            return []
        _, _, branch = heapq.heappop(self._queue)
        ranked = RankedOutcomes(branch.choices[branch.place].outcomes)
        weight = branch.probability / ranked.probability(branch.start, branch.stop)
        self._push(branch, ranked, weight, branch.start + 1, branch.stop)
        return branch.prefix(ranked.outcome(branch.start))

    def _wait(self, choices: tuple[Choice, ...], made: int) -> None:
        """Let the outcomes that a path left wait, at each draw beyond its prefix."""
        weight = math.prod(choice.probability for choice in choices[:made])
        for place in range(made, len(choices)):
            outcomes = choices[place].outcomes
            ranked = RankedOutcomes(outcomes)
            taken = ranked.rank(choices[place].taken)
            branch = _Branch(choices, place, 0, ranked.count, weight)
            self._push(branch, ranked, weight, 0, taken)
            self._push(branch, ranked, weight, taken + 1, ranked.count)
            weight *= choices[place].probability
            self._kept += 1 if isinstance(outcomes, Uniform) else outcomes.count

    def _push(
        self, branch: _Branch, ranked: RankedOutcomes, weight: float, start: int, stop: int
    ) -> None:
        """Let some ranks of a branch wait, by the most probable of them.

        Args:
            weight: the probability of all draws before.
        """
        if start >= stop:
            return
        first = weight * ranked.probability(start, start + 1)
        together = weight * ranked.probability(start, stop)
        waiting = branch._replace(start=start, stop=stop, probability=together)
        heapq.heappush(self._queue, (-first, next(self._order), waiting))


class RestOfPaths:
    """The paths that were not run, as a distribution: that of all paths, given that it is one.

    ``probability`` is that of all of them together.
    """

    def __init__(self, branches: Sequence[_Branch], run_once: RunOnce, shares: Shares) -> None:
        self._branches, self._run_once, self._shares = branches, run_once, shares
        self._steps = np.cumsum([branch.probability for branch in branches])
        self.probability = math.fsum(branch.probability for branch in branches)

    def draw(self) -> Path[Any]:
        """One of them, by its probability. What it returned is good until the next run."""
        share = self._shares.draw() * self._steps[-1]
        place = int(np.searchsorted(self._steps, share, side="right"))
        branch = self._branches[min(place, len(self._branches) - 1)]
        ranked = RankedOutcomes(branch.choices[branch.place].outcomes)
        outcome = ranked.draw(branch.start, branch.stop, self._shares.draw())
        return self._run_once(
            branch.prefix(outcome), functools.partial(RandomRun, shares=self._shares)
        )
