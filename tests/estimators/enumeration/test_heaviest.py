"""The most probable paths first, and draws from the others, held against all paths one by one."""

import math
import secrets
from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from gradproof.estimators.enumeration import heaviest
from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import UserFunction
from gradproof.estimators.enumeration.heaviest import HeaviestPaths, Shares
from gradproof.estimators.enumeration.outcomes import EPS, Coin, Uniform, binomial, table
from gradproof.estimators.enumeration.ranked_outcomes import RankedOutcomes

#: Probability that a comparison of frequencies fails though the law is right.
MAY_FAIL = 1e-9

DISTRIBUTIONS = {
    "coin": Coin("coin", 0.3),
    "sure coin": Coin("coin", 1.0),
    "uniform": Uniform("uniform", 5),
    "table": table("table", np.array([0.1, 0.0, 0.6, 0.0, 0.3])),
    "ties": table("ties", np.array([0.25, 0.25, 0.25, 0.25])),
    "certain": binomial("certain", 4, 1.0),
    "binomial": binomial("binomial", 6, 0.7),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_ranks_are_in_the_order_of_probabilities(name):
    """Each possible outcome has one rank, and the probabilities of ranks do not grow."""
    outcomes = DISTRIBUTIONS[name]
    ranked = RankedOutcomes(outcomes)
    possible = [each for each in range(outcomes.count) if outcomes.probability(each) > 0.0]
    numbers = [ranked.outcome(rank) for rank in range(ranked.count)]
    assert sorted(numbers) == possible
    assert [ranked.rank(number) for number in numbers] == list(range(ranked.count))
    probabilities = [outcomes.probability(number) for number in numbers]
    assert probabilities == sorted(probabilities, reverse=True)
    assert [ranked.probability(rank, rank + 1) for rank in range(ranked.count)] == probabilities


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_range_of_ranks_is_drawn_by_inversion(name):
    """Of evenly spaced shares each outcome gets its part, but for one at either end of it."""
    outcomes = DISTRIBUTIONS[name]
    ranked = RankedOutcomes(outcomes)
    shares = (np.arange(1000) + 0.5) / 1000
    for start in range(ranked.count):
        counts = Counter(ranked.draw(start, ranked.count, share) for share in shares)
        total = ranked.probability(start, ranked.count)
        for rank in range(start, ranked.count):
            expected = 1000 * ranked.probability(rank, rank + 1) / total
            assert abs(counts.pop(ranked.outcome(rank), 0) - expected) <= 1.0  # the two ends
        assert not counts


def test_a_draw_of_very_many_outcomes_is_not_listed():
    """As many as a machine word holds."""
    ranked = RankedOutcomes(Uniform("word", 2**63))
    assert ranked.outcome(2**62) == ranked.rank(2**62) == 2**62
    assert ranked.probability(1, 2**63) == 1.0  # to the last bit
    assert 1 <= ranked.draw(1, 2**63, 0.5) < 2**63


@pytest.fixture
def entered():
    """Enumerations of functions, entered, and left afterwards."""
    open_ones = []

    def enter(code):
        enumeration = Enumeration(UserFunction(code), 10_000, batch=False)
        enumeration.__enter__()
        open_ones.append(enumeration)
        return enumeration

    yield enter
    for each in reversed(open_ones):
        each.__exit__(None, None, None)


def walk():
    """A table of weights for each state, whose draws are by the states before."""
    rng = np.random.default_rng(secrets.randbits(64))
    laws = rng.dirichlet(np.full(3, 0.4), size=(4, 3))
    generator = np.random.default_rng()

    def run():
        numbers, state = [], 0
        for step in range(4):
            state = int(generator.choice(3, p=laws[step, state]))
            numbers.append(state)
            if state == 2 and step:
                break  # some paths are shorter
        return tuple(numbers)

    return run


def all_paths(enumeration):
    """The probability of each path, by what it returned."""
    return {path.value: path.probability for path in enumeration.paths()}


@pytest.mark.parametrize("trial", range(10))
def test_every_path_is_run_once_if_there_is_room(entered, trial):
    """The same paths with the same probabilities as in the order of the tree."""
    enumeration = entered(walk())
    expected = all_paths(enumeration)
    search = HeaviestPaths(enumeration.run_once, Shares(np.random.default_rng()))
    found = []
    for path in search.paths(10_000):
        found.append((path.value, path.probability))
        enumeration.restore_state()
    assert len(dict(found)) == len(found)
    assert dict(found) == expected
    assert search.complete
    assert search.rest().probability == 0.0


@pytest.mark.parametrize("most", [1, 2, 5, 10])
def test_what_was_run_and_the_rest_are_everything(entered, most):
    """Their probabilities add up to one, and the first path takes the likeliest outcomes."""
    enumeration = entered(walk())
    expected = all_paths(enumeration)
    search = HeaviestPaths(enumeration.run_once, Shares(np.random.default_rng()))
    done = [(path.value, path.probability) for path in search.paths(most)]
    total = math.fsum(p for _, p in done) + search.rest().probability
    assert abs(total - 1.0) <= 64 * EPS  # some roundings of each draw
    assert len({value for value, _ in done}) == len(done) <= most
    assert all(expected[value] == p for value, p in done)


def test_the_next_path_has_the_most_probable_prefix(entered):
    """Of two coins that are thrown one after the other: 0.9 and 0.8, so 11, 10, 01, 00."""
    rng = np.random.default_rng()
    enumeration = entered(lambda: (rng.random() < 0.9, rng.random() < 0.8))
    search = HeaviestPaths(enumeration.run_once, Shares(np.random.default_rng()))
    order = [tuple(bool(each) for each in path.value) for path in search.paths(10)]
    assert order == [(True, True), (True, False), (False, True), (False, False)]
    assert search.complete


def frequencies(rest, expected, draws):
    """How often each path of the rest was drawn, in the order of what is expected."""
    counts = Counter(rest.draw().value for _ in range(draws))
    assert counts.keys() <= expected.keys()  # no path that was run, and none that cannot be
    return np.array([counts[value] for value in expected])


def rest_of(enumeration, most):
    """The rest after so many paths, and the conditional probability of each path of it."""
    law = all_paths(enumeration)
    search = HeaviestPaths(enumeration.run_once, Shares(np.random.default_rng()))
    for path in search.paths(most):
        del law[path.value]
        enumeration.restore_state()
    total = math.fsum(law.values())
    return search.rest(), {value: p / total for value, p in law.items()}


def p_value(counts, law):
    """Of Pearson's test; what is expected less than thirty times is counted together."""
    expected = np.array(list(law.values())) * counts.sum()
    rare = expected < 30.0
    observed = np.append(counts[~rare], counts[rare].sum())
    wanted = np.append(expected[~rare], expected[rare].sum())
    keep = wanted > 0.0
    if keep.sum() < 2:
        return 1.0
    return chisquare(observed[keep], wanted[keep] * observed.sum() / wanted[keep].sum()).pvalue


@pytest.mark.parametrize("most", [1, 3, 8])
def test_the_rest_is_drawn_by_its_probabilities(entered, most):
    """Against those of all paths, of a tree that is another in each session."""
    enumeration = entered(walk())
    rest, law = rest_of(enumeration, most)
    if not law:
        pytest.skip("the tree has no more paths")
    assert p_value(frequencies(rest, law, 4000), law) > MAY_FAIL


def test_a_rest_that_forgets_what_was_run_is_seen(entered, monkeypatch):
    """Planted: all outcomes of a draw, and not those alone that wait."""
    rng = np.random.default_rng()
    enumeration = entered(lambda: (int(rng.choice(3, p=[0.6, 0.3, 0.1])), rng.random() < 0.5))
    rest, law = rest_of(enumeration, 2)
    monkeypatch.setattr(
        RankedOutcomes,
        "draw",
        lambda self, start, stop, share: self.outcome(int(share * self.count)),
    )
    with pytest.raises(AssertionError):
        frequencies(rest, law, 2000)


def test_a_rest_that_takes_the_likeliest_is_seen(entered, monkeypatch):
    """Planted: what follows the prefix is not drawn by its probabilities."""
    rng = np.random.default_rng()
    enumeration = entered(lambda: tuple(int(rng.choice(3, p=[0.5, 0.3, 0.2])) for _ in range(3)))
    rest, law = rest_of(enumeration, 2)
    monkeypatch.setattr(heaviest.RandomRun, "_choose_freely", heaviest.LikeliestRun._choose_freely)
    monkeypatch.setattr(heaviest.RandomRun, "_probability", 1.0, raising=False)
    assert p_value(frequencies(rest, law, 4000), law) < MAY_FAIL


def test_code_that_draws_until_something_comes_out_ends(entered):
    """Its likeliest outcomes have no end: a path that has become unlikely takes what comes."""
    rng = np.random.default_rng()

    def run():
        count = 0
        while rng.random() < 0.9:
            count += 1
        return count

    enumeration = entered(run)
    search = HeaviestPaths(enumeration.run_once, Shares(np.random.default_rng()))
    found = {path.value: path.probability for path in search.paths(40)}
    allowed = 400 * EPS  # a rounding of each draw, of which a path makes some 300
    assert all(abs(p / (0.1 * 0.9**count) - 1.0) < allowed for count, p in found.items())
    assert abs(sum(found.values()) + search.rest().probability - 1.0) < allowed
    assert set(range(20)) <= found.keys()


def test_there_is_an_end_to_what_is_kept(entered, monkeypatch):
    """No more paths are run where their draws need too much room."""
    monkeypatch.setattr(heaviest, "KEPT", 50)
    rng = np.random.default_rng()
    enumeration = entered(lambda: tuple(int(rng.choice(10, p=np.full(10, 0.1))) for _ in range(3)))
    search = HeaviestPaths(enumeration.run_once, Shares(np.random.default_rng()))
    assert 2 <= sum(1 for _ in search.paths(1000)) < 20
    assert search.full
    assert not search.complete
