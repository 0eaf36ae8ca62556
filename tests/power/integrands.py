"""Functions of continuous numbers, and their moments by any quadrature, without an estimator."""

import types

import numpy as np

from gradproof.estimators.enumeration.integration.laws import node_of
from gradproof.estimators.enumeration.integration.quadrature import LEAST


class GridMoments:
    """Of a function on the nodes of rules."""

    draws = 0

    def __init__(self, values, weights):
        self._values, self._weights, self.count = values, weights, len(weights)

    def mean(self):
        """Of each entry."""
        return self._weights @ self._values

    def variance(self):
        """Of each entry."""
        return self._weights @ (self._values - self.mean()) ** 2

    def size(self):
        """The mean magnitude of each entry."""
        return self._weights @ np.abs(self._values)


def grid(rules):
    """Nodes and weights of independent numbers, (N, D) and (N,)."""
    values = np.meshgrid(*[values for values, _ in rules], indexing="ij")
    weights = np.meshgrid(*[weights for _, weights in rules], indexing="ij")
    at = np.stack(values, axis=-1).reshape(-1, len(rules))
    return at, np.prod(np.stack(weights, axis=-1), axis=-1).reshape(-1)


def moments_of(function, laws):
    """A function's moments by a quadrature; it is given all nodes at once, (N, D)."""

    def moments_by(quadratures):
        return [_moments(each) for each in quadratures]

    def _moments(quadrature):
        rules = []
        for place, law in enumerate(laws):
            count = quadrature.counts[place] if place < len(quadrature.counts) else LEAST
            low, high = quadrature.box[place] if place < len(quadrature.box) else (0.0, 1.0)
            rule = quadrature._rule(law, low, high, count)
            rules.append(node_of(law, low, high) if count == 1 else rule)
        quadrature.numbers = len(laws)
        at, weights = grid(rules)
        return GridMoments(function(at), weights)

    return moments_by


class GridEnumeration:
    """What an integration asks an enumeration for, of a function that is no estimator."""

    def __init__(self, function, laws):
        self._moments_by = moments_of(function, laws)
        self.handling = types.SimpleNamespace(quadrature=None)

    def moments(self, like, *, one_by_one):
        """By the quadrature that is set."""
        return self._moments_by([self.handling.quadrature])[0]

    def moments_by_quadrature(self, like, quadratures):
        """All at once is what it does anyway."""
