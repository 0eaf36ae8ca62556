"""How far integrated means are off beside what is estimated of it: what a verdict rests on."""

import itertools

import numpy as np
import pytest
from scipy import special

from gradproof.checks.evidence import GAP
from gradproof.checks.user.integrated import FACTOR, LEAST
from gradproof.estimators.enumeration.integration.integrate import Integration
from gradproof.estimators.enumeration.integration.laws import law_of_chain, nodes_of
from gradproof.estimators.enumeration.monotone import NORMAL, Known

from .integrands import GridEnumeration, grid

#: By name: a law, and the share of it below a number.
LAWS = {
    "normal": (law_of_chain((NORMAL,)), special.ndtr),
    "exponential": (law_of_chain((Known("log"),)), lambda y: np.exp(np.minimum(y, 0.0))),
    "uniform": (law_of_chain(()), lambda x: np.clip(x, 0.0, 1.0)),
}

#: What the units of a small network are; the last three have kinks or jumps.
UNITS = {
    "tanh": np.tanh,
    "relu": lambda t: np.maximum(t, 0.0),
    "abs": np.abs,
    "jump": lambda t: (t > 0.0).astype(float),
}

#: What lies beyond all nodes, as a share of a law: where an estimator is zero on every node, no
#: rule can see the tail in which it is not.
BEYOND = 1e-4

#: Estimators of each kind of unit.
COUNT = 25

#: What the reference is off by, as a share of the mean magnitude: it is piece by piece, with rules
#: of 24 nodes; of two numbers a grid of 400 by 400, on which a jump may lie between two nodes.
REFERENCE = {1: 1e-9, 2: 1.0 / 400.0}


def pieces(law, edges, count):
    """A rule of so many nodes between each two edges."""
    rules = [nodes_of(law, low, high, count) for low, high in itertools.pairwise(edges)]
    values = np.concatenate([rule.values for rule in rules])
    widths = np.diff(edges)
    return values, np.concatenate(
        [rule.weights * width for rule, width in zip(rules, widths, strict=True)]
    )


def reference(function, names, weights, biases):
    """The mean; of one number piece by piece between kinks and powers of ten."""
    if len(names) == 1:
        law, below = LAWS[names[0]]
        kinks = below(-biases / weights[0])
        tails = 10.0 ** -np.arange(1, 16)
        edges = np.unique([0.0, 0.5, 1.0, *tails, *(1.0 - tails), *kinks])
        at, by = pieces(law, edges, 24)
        return by @ function(at[:, None])
    rules = [pieces(LAWS[name][0], np.linspace(0.0, 1.0, 41), 10) for name in names]
    at, by = grid(rules)
    return by @ function(at)


@pytest.mark.parametrize("numbers", [1, 2])
@pytest.mark.parametrize("unit", UNITS)
def test_no_right_estimator_would_be_refuted(unit, numbers):
    """Random networks of random numbers, half of them times a score.

    Of 3,768 such two were off by more than the ten times what was estimated that a verdict allows
    for, by 15 and 17 times; it refutes 160 times. New ones each time.
    """
    rng = np.random.default_rng()
    compared = 0
    for _ in range(COUNT):
        names = rng.choice(list(LAWS), numbers)
        weights = rng.normal(size=(numbers, 3)) * rng.choice([0.5, 1.0, 2.0])
        biases, out = rng.normal(size=3), rng.normal(size=(3, 2))
        is_score = rng.random() < 0.5

        def function(x, weights=weights, biases=biases, out=out, is_score=is_score):
            value = UNITS[unit](x @ weights + biases) @ out
            return value * (x[:, :1] + 0.3) if is_score else value

        laws = [LAWS[name][0] for name in names]
        integration = Integration(GridEnumeration(function, laws), {}, 1e-6, 10_000)
        found = integration.integrate()
        exact = reference(function, names, weights, biases)
        off = np.abs(found.sums.mean - exact) - REFERENCE[numbers] * found.sums.size
        allowed = np.maximum(FACTOR * found.error, LEAST * found.sums.size)
        unseen = np.where(found.sums.size == 0.0, BEYOND * np.abs(out).sum(), 0.0)
        assert found.has_tails() or (off <= GAP * allowed + unseen).all()
        compared += exact.size
    assert compared == 2 * COUNT
