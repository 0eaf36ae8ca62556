"""Means over continuous numbers by nets of points that are randomised: quasi-Monte Carlo.

A net of N points fills a cube more evenly than N independent ones do. Once it is scrambled, each of
its points is uniform by itself: so the mean of an estimator over the points, and over all outcomes
of its discrete draws, is unbiased for any N and in any dimension, smooth or not. It varies less
than a mean of N independent draws where the estimator is smooth. Nets that are scrambled anew are
independent of each other, and their means are what a sequential test takes for draws.

Reference:
    Owen (1995), Randomly permuted (t,m,s)-nets and (t,s)-sequences; L'Ecuyer and Lemieux (2002),
    Recent advances in randomized quasi-Monte Carlo methods; Matousek (1998), On the L2-discrepancy
    for anchored boxes, for the linear scrambling that SciPy has.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..enumeration import Enumeration
from ..gradients import GradientLayout
from ..heaviest import Shares
from ..moments import ROUNDINGS_OF_A_DRAW, Moments
from ..run import NotReproducible, UnsupportedDraw
from .laws import Nodes
from .quadrature import ChoosingRun, PartOfLaw, Quadrature

#: Binary digits of a coordinate: those of a double between a half and one.
DIGITS = 53

#: What is added to a coordinate, which may be zero: half its last digit.
HALF = 0.5**DIGITS / 2.0

#: Paths at the beginning of which each is run twice; after these, those whose number is a power of
#: two.
FIRST = 16


class RandomPoint(Quadrature):
    """Gives each number one node: where its law has the share that is a coordinate of a point.

    A number takes the first coordinate that none on the path has taken, so that coordinates that
    are uniform and independent make numbers of the right law, whatever those before have led to.

    Args:
        point: coordinates between 0 and 1, (D,).
        further: draws one more, for numbers beyond these.
    """

    def __init__(self, point: np.ndarray, further: Callable[[], float]) -> None:
        super().__init__()
        self._point, self._further = point.tolist(), further

    def nodes(self, run: ChoosingRun, place: int, part: PartOfLaw) -> Nodes:
        """See the base class."""
        law, precision, low, high = part
        while place >= len(self._point):
            self._point.append(self._further())
        share = low + (high - low) * self._point[place]
        # In coarse arithmetic a share that is nearly 1 would be rounded to 1, which none draws.
        values = law.quantile(np.array([min(share, 1.0 - precision / 2.0)]))
        return Nodes(values, np.ones(1))


class RandomNets:
    """Means of one estimator, each over a net of points that is scrambled anew.

    Args:
        enumeration: of its paths, which was entered.
        layout: the names and shapes of gradients.
        rng: scrambles nets.

    ``moments`` are those over all nets so far, ``per_node`` is how many paths the point had that
    :meth:`look` ran, and ``numbers`` how many continuous numbers a path used, at most.
    """

    def __init__(
        self, enumeration: Enumeration, layout: GradientLayout, rng: np.random.Generator
    ) -> None:
        self._enumeration, self._layout, self._rng = enumeration, layout, rng
        self._shares = Shares(rng)
        self.moments = Moments(layout)
        self.per_node = self.numbers = 0
        #: What a framework approximates the derivatives of.
        self.approximated: set[str] = set()

    def look(self) -> None:
        """Run one point, to see how many paths and numbers it has; it counts in no mean.

        Raises:
            NotEnumerable: for an unsupported draw, too many paths, or nondeterministic code.
        """
        self.per_node = self._moments_over(np.zeros((1, 0))).count

    def mean(self, count: int) -> np.ndarray:
        """Over a net of so many points, and all outcomes of discrete draws; (P,).

        Args:
            count: a power of two.

        Raises:
            NotEnumerable: likewise.
        """
        moments = self._moments_over(random_net(self._rng, self.numbers, count))
        self.moments.merge(moments)
        return moments.mean()

    def approximation(self, count: int) -> np.ndarray:
        """What approximations of a framework's derivatives move an estimate by, on average; (P,).

        The mean magnitude over a net of so many points; zero if nothing is approximated.
        """
        if not self.approximated:
            return np.zeros(self._layout.size)
        total = np.zeros(self._layout.size)
        for point in random_net(self._rng, self.numbers, count):
            node, rows = RandomPoint(point, self._shares.draw), list[np.ndarray]()
            for node.derives in (False, True):
                moments = Moments(self._layout)
                self._add(node, moments)
                rows.append(moments.mean())
            total += np.abs(rows[1] - rows[0])
        return total / count

    def _moments_over(self, net: np.ndarray) -> Moments:
        """Those over the points of a net, (N, D)."""
        moments = Moments(self._layout)
        for point in net:
            self._add(RandomPoint(point, self._shares.draw), moments)
        self._check_mass(moments, len(net))
        return moments

    def _add(self, point: RandomPoint, moments: Moments) -> None:
        """Run all paths of a point."""
        enumeration = self._enumeration
        enumeration.handling.quadrature = point
        for path in enumeration.paths():
            moments.add(path)
            count = self.moments.count + moments.count
            if count <= FIRST or not count & (count - 1):
                enumeration.check_repeated(path, self._layout.row(path.value), self._layout)
        self.numbers = max(self.numbers, point.numbers)
        self.approximated |= point.approximated

    def _check_mass(self, moments: Moments, nodes: int) -> None:
        """All paths of a node are certain together.

        Raises:
            NotReproducible: if they are not.
            UnsupportedDraw: if some are left out.
        """
        if moments.probability_left_out:
            raise UnsupportedDraw(
                "a draw without an end (Poisson, geometric) beside continuous numbers: what is "
                "left out of it is not bounded where these are drawn; draw from finitely many "
                "outcomes, or sample all of it (draws=, strategy='all')"
            )
        allowed = ROUNDINGS_OF_A_DRAW * moments.precision * max(1, moments.draws)
        if not abs(moments.mass / nodes - 1.0) <= allowed:
            raise NotReproducible(
                f"the probabilities of {moments.count:,} paths of {nodes:,} points add up to "
                f"{moments.mass:.17g}, expected {nodes:,} within {nodes * allowed:.1e}: what is "
                "drawn, or by which probabilities, is not the same from run to run"
            )


def random_net(rng: np.random.Generator, numbers: int, count: int) -> np.ndarray:
    """A Sobol net of so many points, scrambled; each of them is uniform in the cube.

    Args:
        count: a power of two.

    Shape:
        The net (N, D), by numbers D.
    """
    if not numbers:
        return np.zeros((count, 0))
    from scipy.stats import qmc  # here, for it takes as long to import as all else

    sobol = qmc.Sobol(numbers, scramble=True, bits=DIGITS, seed=rng)
    return np.asarray(sobol.random_base2(count.bit_length() - 1)) + HALF
