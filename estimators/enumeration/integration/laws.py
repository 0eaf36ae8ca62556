"""Laws of one continuous number, and nodes and weights that integrate over them.

A Gauss rule of n nodes is exact for polynomials below degree 2n in the number itself, so that it
suits what is smooth in it. The classical ones are taken where the whole law is integrated; for a
part of it, and for other laws, it is made from a fine double exponential rule of the same law.

Reference:
    Golub and Welsch (1969), Calculation of Gauss quadrature rules; Gautschi (2004), Orthogonal
    polynomials: computation and approximation, section 2.2, for rules of discretised laws; Takahasi
    and Mori (1974), Double exponential formulas for numerical integration.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import special
from scipy.linalg import eigh_tridiagonal

from ..monotone import BELOW_ONE, Chain, Factor, Known, Shift, forward

#: Points of the fine rule that others are made from, on either side of the middle.
FINE = 400

#: A law whose tails reach so many times as far as its middle half has moments that are ruled by
#: what hardly ever happens, if it has any: polynomials in it are no help. Normal numbers reach 12
#: times as far, Gumbel ones 24, exponential and logistic ones 31, log-normal ones 1,900.
HEAVY = 200.0

#: The share of a law at either end beyond which its tails are looked at.
TAIL = 1e-15


class Nodes(NamedTuple):
    """Numbers, and the weight of each; weights add up to one.

    Shape: (K,) both.
    """

    values: np.ndarray
    weights: np.ndarray


class ContinuousLaw(NamedTuple):
    """The law of a continuous number.

    Args:
        key: of its family and parameters: laws are the same if these are.
        quantile: the numbers below which shares of it lie, entry by entry.
        gauss: its classical Gauss rule, by the number of nodes; None if it has none.
    """

    key: tuple[object, ...]
    quantile: Callable[[np.ndarray], np.ndarray]
    gauss: Callable[[int], Nodes] | None = None


def nodes_of(law: ContinuousLaw, low: float, high: float, count: int) -> Nodes:
    """A rule of so many nodes for a law between two shares of it.

    Args:
        low, high: shares, 0 and 1 for the whole law.
    """
    place = (law.key, low, high, count)
    if place not in _known:
        if len(_known) >= MOST_KNOWN:
            _known.clear()
        _known[place] = _form(law, low, high, count)
    return _known[place]


def node_of(law: ContinuousLaw, low: float, high: float) -> Nodes:
    """A node for all of a law: about its mean, but not there, where kinks are."""
    middle = nodes_of(law, low, high, 1).values
    quartiles = law.quantile(low + (high - low) * np.array([0.25, 0.75]))
    return Nodes(middle + BESIDE * np.ptp(quartiles), np.ones(1))


#: How far beside the mean, as a share of what lies between the quartiles.
BESIDE = 0.01


def nodes_of_parts(law: ContinuousLaw, low: float, high: float, count: int) -> Nodes:
    """The rules of two parts of a law together, that of each half as large.

    Where they meet is no place that a symmetrical law has, so that a jump or a kink which rules of
    the whole law do not see, between their nodes in the middle, shows in these.
    """
    middle = low + CUT * (high - low)
    one = nodes_of(law, low, middle, max(1, count // 2))
    two = nodes_of(law, middle, high, max(1, count // 2))
    weights = np.concatenate([CUT * one.weights, (1.0 - CUT) * two.weights])
    return Nodes(np.concatenate([one.values, two.values]), weights / math.fsum(weights))


#: The share of a law at which it is cut in two: the golden section, far from all fractions.
CUT = 0.5 * (3.0 - math.sqrt(5.0))

#: Rules that were formed, which changes nothing but the time that they take; and how many are kept.
_known: dict[tuple[object, ...], Nodes] = {}
MOST_KNOWN = 4096


def _form(law: ContinuousLaw, low: float, high: float, count: int) -> Nodes:
    if law.gauss is not None and (low, high) == (0.0, 1.0):
        return _normalised(law.gauss(count))
    if _is_heavy(law, low, high):
        # In shares, where what has no mean shows: sums of more and more nodes go on growing.
        share, weights = _legendre(count)
        return _normalised(Nodes(law.quantile(low + (high - low) * share), weights))
    share, weights = double_exponential(FINE)
    values = law.quantile(low + (high - low) * share)
    good = np.isfinite(values)
    return _gauss(values[good], weights[good] / weights[good].sum(), count)


def _is_heavy(law: ContinuousLaw, low: float, high: float) -> bool:
    shares = np.array([TAIL, 0.25, 0.75, 1.0 - TAIL])
    ends = law.quantile(low + (high - low) * shares)
    return bool(np.ptp(ends) > HEAVY * abs(ends[2] - ends[1]))


def _gauss(values: np.ndarray, weights: np.ndarray, count: int) -> Nodes:
    """The Gauss rule of numbers that have weights, by Lanczos's recurrence.

    What it loses by rounding is orthogonality, which is made anew in each step.
    """
    center, scale = float(weights @ values), float(np.ptp(values)) or 1.0
    x = (values - center) / scale
    basis = np.zeros((min(count, len(x)), len(x)))
    vector, along, beside = np.sqrt(weights), [], []
    for step in range(len(basis)):
        basis[step] = vector
        along.append(float(vector @ (x * vector)))
        rest = x * vector
        for _ in range(2):  # twice is enough
            rest = rest - basis[: step + 1].T @ (basis[: step + 1] @ rest)
        size = float(np.linalg.norm(rest))
        if size < np.finfo(float).eps:  # so few different numbers
            break
        beside.append(size)
        vector = rest / size
    found, vectors = eigh_tridiagonal(np.array(along), np.array(beside[: len(along) - 1]))
    return _normalised(Nodes(center + scale * found, vectors[0] ** 2))


def double_exponential(points: int) -> tuple[np.ndarray, np.ndarray]:
    """Shares between 0 and 1, so many on either side of a half, and weights that add up to one."""
    reach = 3.4  # beyond, nothing is left between a share and the end
    t = (np.arange(-points, points) + 0.5) * (reach / points)
    share = special.expit(math.pi * np.sinh(t))
    weights = math.pi * np.cosh(t) * share * special.expit(-math.pi * np.sinh(t))
    inside = (share > 0.0) & (share <= BELOW_ONE) & (weights > 0.0)
    return share[inside], weights[inside] / weights[inside].sum()


def _normalised(nodes: Nodes) -> Nodes:
    """Those that have a weight; which add up to one to the last bit or so."""
    values, weights = (np.asarray(each, np.float64) for each in nodes)
    good = (weights > 0.0) & np.isfinite(values)
    return Nodes(values[good], weights[good] / math.fsum(weights[good]))


def _hermite(count: int) -> Nodes:
    return Nodes(*special.roots_hermitenorm(count))


def _legendre(count: int) -> Nodes:
    x, weights = special.roots_legendre(count)
    return Nodes(0.5 * (1.0 + x), weights)


def _laguerre(count: int) -> Nodes:
    x, weights = special.roots_laguerre(count)
    return Nodes(-x, weights)


#: Gauss rules of laws by the functions of a uniform number that they are.
_CLASSICAL: dict[Chain, Callable[[int], Nodes]] = {
    (): _legendre,
    (Known("normal quantile"),): _hermite,
    (Known("log"),): _laguerre,
}


def law_of_chain(chain: Chain) -> ContinuousLaw:
    """The law of a function of a uniform number, of one entry."""
    known = all(isinstance(link, Known) for link in chain)
    return ContinuousLaw(
        ("chain", *(_key(link) for link in chain)),
        functools.partial(forward, chain),
        _CLASSICAL.get(chain) if known else None,
    )


def _key(link: object) -> object:
    if isinstance(link, tuple):
        return (type(link).__name__, *(_key(part) for part in link))
    return link.tobytes() if isinstance(link, np.ndarray) else link


def without_last_affine(chain: Chain) -> Chain:
    """A chain less the factors and shifts at its end, which Gauss rules do not depend on."""
    links = [*chain]
    while links and isinstance(links[-1], Factor | Shift):
        links.pop()
    return tuple(links)


def is_light(law: ContinuousLaw) -> bool:
    """Whether polynomials in its numbers can be integrated."""
    return law.gauss is not None or not _is_heavy(law, 0.0, 1.0)


def gamma_law(shape: float) -> ContinuousLaw:
    """A gamma number of scale one."""

    def quantile(share: np.ndarray) -> np.ndarray:
        return np.asarray(special.gammaincinv(shape, share))

    def gauss(count: int) -> Nodes:
        return Nodes(*special.roots_genlaguerre(count, shape - 1.0))

    return ContinuousLaw(("gamma", shape), quantile, gauss if shape < LARGEST_SHAPE else None)


#: Parameters from which on the classical rules of gamma and beta numbers overflow.
LARGEST_SHAPE = 100.0


def beta_law(one: float, other: float) -> ContinuousLaw:
    """A beta number."""

    def quantile(share: np.ndarray) -> np.ndarray:
        return np.asarray(special.betaincinv(one, other, share))

    def gauss(count: int) -> Nodes:
        x, weights = special.roots_jacobi(count, other - 1.0, one - 1.0)
        return Nodes(0.5 * (1.0 + x), weights)

    is_small = max(one, other) < LARGEST_SHAPE
    return ContinuousLaw(("beta", one, other), quantile, gauss if is_small else None)
