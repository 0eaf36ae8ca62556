"""Of each parameter the path that adds most to its mean, however paths come."""

import numpy as np

from gradproof.estimators.enumeration.gradients import GradientLayout
from gradproof.estimators.enumeration.heaviest_by_parameter import HeaviestByParameter

LAYOUT = GradientLayout({"a": np.zeros(2), "none": np.zeros(0), "b": np.zeros((1, 2))})
NAMES = ("a", "none", "b")


def by_hand(weights, rows):
    """The first path at which probability times magnitude is largest, by parameter."""
    found = {}
    for name, part in LAYOUT.parts.items():
        added = weights * np.abs(rows[:, part]).max(axis=1, initial=0.0)
        if part.stop > part.start and added.max() > 0.0:
            found[name] = int(np.argmax(added))
    return found


def test_it_is_the_first_of_the_heaviest():
    """Block by block, and by merging what was seen of the rest."""
    rng = np.random.default_rng()
    weights, rows = rng.random(30), rng.integers(-2, 3, (30, 4)).astype(float)
    weights[7] = weights[3]
    numbers = np.arange(30)[:, None]
    first, second = HeaviestByParameter(LAYOUT), HeaviestByParameter(LAYOUT)
    for start, into in ((0, first), (10, first), (20, second)):
        part = slice(start, start + 10)
        into.add(weights[part], np.abs(rows[part]), numbers[part])
    first.merge(second)
    found = [int(path[0]) for _, path in first.of(NAMES)]
    assert found == list(by_hand(weights, rows).values())
    assert [weight for weight, _ in first.of(NAMES)] == [weights[place] for place in found]


def test_a_parameter_without_a_gradient_has_none():
    """And what is not finite is no largest."""
    paths = HeaviestByParameter(LAYOUT)
    rows = np.array([[0.0, 0.0, np.inf, 1.0], [0.0, 0.0, 2.0, 3.0]])
    paths.add(np.array([0.5, 0.5]), rows, np.array([[0], [1]]))
    assert [int(path[0]) for _, path in paths.of(NAMES)] == [1]
