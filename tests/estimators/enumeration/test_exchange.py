"""Draws whose order does not matter: how often each outcome comes, against all orders."""

import math
from collections import defaultdict

import numpy as np
import pytest

from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import UserFunction
from gradproof.estimators.enumeration.exchange import ORDERS, Exchange
from gradproof.estimators.enumeration.outcomes import EPS


def law_of(code, exchange=None):
    """The probability of what code returns, and how many paths that took."""
    law, count = defaultdict(float), 0
    with Enumeration(UserFunction(code), 10_000, batch=False, exchange=exchange) as enumeration:
        for path in enumeration.paths():
            law[path.value] += path.probability
            count += 1
    return law, count


def numpy_labels():
    """Five of three, one of which cannot be."""
    rng = np.random.default_rng()
    return lambda: tuple(sorted(rng.choice(4, p=[0.5, 0.0, 0.2, 0.3], size=5).tolist()))


def uniform_labels():
    """Four of three that are equally likely, and a coin after them."""
    rng = np.random.default_rng()
    return lambda: (*sorted(rng.integers(3, size=4).tolist()), rng.random() < 0.3)


def two_calls():
    """Three of two, and then three more by probabilities that the first ones move."""
    rng = np.random.default_rng()

    def run():
        first = rng.choice(2, p=[0.3, 0.7], size=3).sum()
        q = (1 + first) / 5
        return int(first), int(rng.choice(2, p=[q, 1 - q], size=3).sum())

    return run


def torch_labels():
    """Four labels for each of two rows; rows are not exchanged with each other."""
    torch = pytest.importorskip("torch")
    probs = torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]], dtype=torch.float64)

    def run():
        y = torch.distributions.Categorical(probs=probs).sample((4,))
        return tuple(tuple(row) for row in y.T.sort(dim=1).values.tolist())

    return run


CODES = {
    "numpy": (numpy_labels, math.comb(7, 5), 3**5),
    "uniform": (uniform_labels, 2 * math.comb(6, 4), 2 * 3**4),
    "two calls": (two_calls, 4 * 4, 2**6),
    "torch": (torch_labels, math.comb(6, 4) ** 2, 3**8),
}


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=[pytest.mark.torch] * (each == "torch")) for each in CODES]
)
def test_counts_have_the_law_of_all_orders(name):
    """The same probability of each sorted outcome, from far fewer paths."""
    make, few, many = CODES[name]
    expected, count = law_of(make())
    assert count == many
    exchange = Exchange()
    law, count = law_of(make(), exchange)
    assert count == few
    assert law.keys() == expected.keys()
    # A hundred roundings of each draw, of which no path makes more than ten.
    assert all(abs(law[key] - p) <= 1000 * EPS * p for key, p in expected.items())


def test_orders_differ():
    """The reverse exchanges two labels for certain, and a turn moves each; none is one order."""
    rng = np.random.default_rng()
    seen = defaultdict(set)
    code = UserFunction(lambda: tuple(rng.choice(4, p=np.full(4, 0.25), size=3).tolist()))
    exchange = Exchange()
    with Enumeration(code, 100, batch=False, exchange=exchange) as enumeration:
        for path in enumeration.paths():
            orders = [path.value]
            for exchange.order in range(1, ORDERS):
                orders.append(enumeration.run_once(path.choices).value)
            exchange.order = 0
            assert len({tuple(sorted(each)) for each in orders}) == 1
            assert orders[1] == orders[0][::-1]
            assert orders[2] == (*orders[0][1:], orders[0][0])
            if len(set(path.value)) == 3:
                for number, order in enumerate(orders):
                    seen[number].add(tuple(np.argsort(order).tolist()))
    assert all(len(seen[number]) > 1 for number in range(ORDERS))


def test_draws_of_equal_probabilities_need_not_be_of_one_distribution():
    """Rows of one table that happen to be equal: they may belong to different examples."""
    rng = np.random.default_rng()
    code = lambda: tuple(int(rng.choice(2, p=[0.5, 0.5])) for _ in range(3))  # noqa: E731
    law, count = law_of(code, exchange := Exchange())
    assert (count, len(law), exchange.draws) == (8, 8, 0)
