"""The tests by sampling: their false alarms, and what they see, measured on many seeds.

Every bound is computed: a rate that is as promised breaks it once in ten billion runs.
"""

import dataclasses
import math

import numpy as np
import pytest
from scipy.stats import binom

from gradproof.checks.sequential.mean_test import MeanTest
from gradproof.checks.sequential.sampler_test import SamplerTest
from gradproof.checks.user.sampled import sample
from gradproof.estimators.enumeration.handling import Handling

#: Probability that one of these tests fails though the rates are as promised.
MAY_FAIL = 1e-10

#: Nominal rate of false alarms: so large that it can be measured.
ALPHA = 0.05


@pytest.fixture
def rng(pytestconfig):
    """With the run's own seed, which the header names."""
    return np.random.default_rng(int(pytestconfig.option.hypothesis_seed))


@pytest.fixture
def told(record_property):
    """Print what was measured, and keep it."""

    def tell(what, count, trials, bound):
        record_property(what, count / trials)
        print(f"{what}: {count} of {trials}, bound {bound}")  # noqa: T201 - measured

    return tell


def most(trials, probability):
    """No more successes than this, but with probability ``MAY_FAIL``."""
    return int(binom.isf(MAY_FAIL, trials, probability))


def least(trials, probability):
    """No fewer successes than this, but with probability ``MAY_FAIL``."""
    return int(binom.ppf(MAY_FAIL, trials, probability))


@dataclasses.dataclass(frozen=True)
class Table:
    """Labels with probabilities, and a gradient for each."""

    probability: np.ndarray
    gradient: np.ndarray

    @property
    def exact(self):
        """The mean."""
        return self.probability @ self.gradient

    @property
    def covariance(self):
        """Of one draw."""
        off = self.gradient - self.exact
        return (self.probability[:, None] * off).T @ off

    def draw(self, rng, draws):
        """Gradients of labels drawn."""
        steps = np.append(np.cumsum(self.probability)[:-1], 1.0)
        return self.gradient[np.searchsorted(steps, rng.random(draws), side="right")]


def rare(rng, probability, times):
    """Four labels in four coordinates, and one that is rare, with a gradient so much larger."""
    others = rng.dirichlet(np.full(4, 5.0)) * (1.0 - probability)
    gradient = rng.normal(size=(5, 4))
    gradient[0] *= times
    return Table(np.append(probability, others), gradient)


def skewed(rng):
    """Each of ten labels half as likely as the one before, and of three times its gradient."""
    probabilities = 0.5 ** np.arange(10)
    size = 3.0 ** np.arange(10)[:, None]
    return Table(probabilities / probabilities.sum(), size * rng.uniform(0.5, 1.0, size=(10, 4)))


def broad(rng):
    """Twenty labels in 64 coordinates."""
    return Table(rng.dirichlet(np.full(20, 2.0)), rng.normal(size=(20, 64)))


TABLES = {
    "rare 1e-4": lambda rng: rare(rng, 1e-4, 1000.0),
    "rare 1e-3": lambda rng: rare(rng, 1e-3, 100.0),
    "skewed": skewed,
    "broad": broad,
}


def knowledge(kind, table):
    """The options that tell a test what is known of a table."""
    if kind == "range":
        return {"low": table.gradient.min(axis=0), "high": table.gradient.max(axis=0)}
    if kind == "sd":
        return {"sd": np.sqrt(np.diagonal(table.covariance))}
    if kind == "covariance":
        return {"covariance": table.covariance}
    return {"rarest": float(table.probability.min())}


def alarms(table, rng, trials, draws, **options):
    """How many tests of right samples reject at any of so many draws after the first stretch."""
    count = 0
    for _ in range(trials):
        test = MeanTest(table.exact, alpha=ALPHA, **options)
        count += test.feed(table.draw(rng, test.stretch + draws))
    return count


@pytest.mark.parametrize("kind", ["range", "sd", "covariance"])
def test_false_alarms_are_as_rare_as_promised(kind, rng, told):
    """At the worst of 4,000 moments to stop at, whatever the label that was not seen."""
    trials, total = 100, 0
    for name, make in TABLES.items():
        table = make(rng)
        count = alarms(table, rng, trials, 4000, **knowledge(kind, table))
        told(f"false alarms, {name}, {kind}", count, trials, most(trials, ALPHA))
        assert count <= most(trials, ALPHA)
        total += count
    assert total <= most(len(TABLES) * trials, ALPHA)


@pytest.mark.parametrize(("probability", "trials"), [(1e-4, 40), (1e-3, 100)])
def test_without_knowledge_too(probability, trials, rng, told):
    """The rare label is as rare as the assumption allows, and the first stretch is over."""
    table = rare(rng, probability, 0.1 / probability)
    count = alarms(table, rng, trials, 4000, rarest=probability)
    told(f"false alarms, learnt range, rare {probability}", count, trials, most(trials, ALPHA))
    assert count <= most(trials, ALPHA)


def test_skewed_outcomes_without_knowledge(rng, told):
    """Ten labels, of which the rarest has the largest gradient."""
    table, trials = skewed(rng), 100
    count = alarms(table, rng, trials, 4000, **knowledge("nothing", table))
    told("false alarms, learnt range, skewed", count, trials, most(trials, ALPHA))
    assert count <= most(trials, ALPHA)


def tree(rng):
    """An estimator that draws once more where it drew what is rare, and its mean."""

    def estimate():
        for one in (0.3, 0.2):
            if not rng.choice(2, p=[1.0 - one, one]):
                return np.array([float(rng.choice(2))])
        return np.array([50.0])

    return estimate, {"gradient": np.array([0.94 * 0.5 + 0.06 * 50.0])}


def test_what_is_said_without_a_condition_is_as_rare_as_promised(rng, told):
    """Where all draws are seen, though how rare paths are shows only while they are drawn."""
    trials, count, learnt = 60, 0, 0
    for _ in range(trials):
        estimate, exact = tree(rng)
        with Handling(estimate) as handling:
            options = {"draws": 1500, "alpha": ALPHA, "rarest": 0.02}  # as rare as paths are
            found = sample(estimate, exact, perform=handling.perform, **options)
        assert not found.condition or found.test.notes
        count += found.test.rejected
        learnt += not found.test.notes
    told("false alarms, all draws seen", count, trials, most(trials, ALPHA))
    assert count <= most(trials, ALPHA)
    # The whole range is in what was learnt, but for a tenth of alpha.
    assert trials - learnt <= most(trials, ALPHA / 10)


@pytest.mark.parametrize("probability", [3e-4, 1e-5])
def test_a_label_that_is_rarer_than_assumed_is_seldom_a_bias(probability, rng, told):
    """Its own entry has the scale of the others; on 40,000 draws, with a condition all the same."""
    others = np.array([0.6, 0.3, 0.1 - probability])
    p, cost = np.append(others, probability), np.array([1.0, 3.0, 2.0, 5.0])
    table = Table(p, cost[:, None] * (np.eye(4) - p))
    trials, count = 40, 0
    for _ in range(trials):
        test = MeanTest(table.exact, alpha=ALPHA, rarest=1e-3)
        count += test.feed(table.draw(rng, 40_000))
        assert test.condition
    told(f"false alarms, label of {probability}", count, trials, most(trials, ALPHA))
    assert count <= most(trials, ALPHA)


def test_heavy_tails_with_known_variance(rng, told):
    """Student's t with three degrees of freedom, which has no third moment."""
    trials, count = 100, 0
    for _ in range(trials):
        mixing = np.eye(4) + 0.5
        samples = rng.standard_t(3, size=(2000, 4)) @ mixing.T
        # The variance of Student's t with three degrees of freedom is 3.
        count += MeanTest(np.zeros(4), alpha=ALPHA, covariance=3.0 * mixing @ mixing.T).feed(
            samples
        )
    told("false alarms, heavy tails", count, trials, most(trials, ALPHA))
    assert count <= most(trials, ALPHA)


def test_a_z_test_cries_wolf(rng, told):
    """What all this is for: a label of 1e-4, 4,000 draws, right code, and 10 standard errors."""
    trials, count = 100, 0
    table = Table(np.array([1e-4, 0.5 - 5e-5, 0.5 - 5e-5]), np.array([[1e4], [-1.0], [1.0]]))
    for _ in range(trials):
        samples = table.draw(rng, 4000)
        error = samples.std(axis=0, ddof=1) / math.sqrt(len(samples))
        count += bool(np.any(np.abs(samples.mean(axis=0) - table.exact) > 10.0 * error))
    unseen = (1.0 - 1e-4) ** 4000  # then the mean is off by 1, and its standard error is 1/63
    told("false alarms of a z-test", count, trials, least(trials, unseen))
    assert count >= least(trials, unseen)
    assert least(trials, unseen) > most(trials, ALPHA)


def hits(trials, draw, exact, **options):
    """Records of so many tests of what is drawn."""
    found = []
    for _ in range(trials):
        test = MeanTest(exact, **options)
        test.feed(draw(test.stretch))
        found.append(test.found())
    return found


def seen(found, told, what, power):
    """Require that the bias was seen as often as the power says; the median of draws is told."""
    count, bound = sum(one.rejected for one in found), least(len(found), power)
    median = np.median([one.draws for one in found])
    told(f"{what}, median of {median:.0f} draws", count, len(found), bound)
    assert count >= bound
    assert bound > most(len(found), found[0].alpha)  # chance alone would not do


def clean(make):
    """The record of a right mean or sampler that was not rejected: one of ten, but for 1e-13."""
    return next(one for one in (make() for _ in range(10)) if not one.rejected)


#: Biases of a mean in 64 coordinates. A mean over coordinates would not show the last.
BIASES = {
    "scale of 15 %": lambda x: 1.15 * x,
    "one coordinate of 64": lambda x: x + 0.2 * (np.arange(64) == 17),
    "cancelling": lambda x: x + 0.05 * (-1.0) ** np.arange(64),
}


@pytest.mark.parametrize("kind", ["range", "covariance", "nothing"])
@pytest.mark.parametrize("bias", BIASES)
def test_biases_in_64_coordinates_are_found(bias, kind, rng, told):
    """With false-alarm probability one in a million, on 10,000 draws, nearly always.

    Gradients of labels, with standard deviations near 1, and some noise, with 0.29.
    """
    table = broad(rng)
    reach = 1.15 * (np.abs(table.gradient).max(axis=0) + 0.5) + 0.2
    options = {
        "range": {"low": -reach, "high": reach},
        "covariance": {"covariance": 1.15**2 * (table.covariance + np.eye(64) / 12.0)},
        "nothing": {"rarest": 1e-3},
    }[kind]

    def draw(stretch):
        noise = rng.random((stretch + 10000, 64)) - 0.5
        return BIASES[bias](table.draw(rng, stretch + 10000) + noise)

    seen(hits(16, draw, table.exact, **options), told, f"{bias}, {kind}", 0.99)


@pytest.mark.parametrize("kind", ["range", "sd"])
def test_the_wrong_coordinate_is_the_one_that_is_named(kind, rng):
    """One of 64 that are independent, in twenty runs."""
    named = 0
    options = {"range": {"low": -2.0, "high": 2.0}, "sd": {"sd": 1.0}}[kind]
    for _ in range(20):
        where = int(rng.integers(64))
        samples = rng.uniform(-math.sqrt(3), math.sqrt(3), size=(4000, 64))
        samples[:, where] += 0.25
        test = MeanTest(np.zeros(64), **options)
        # The mean is 15 standard errors off at the end: 9 would do, and 6 are luck in 1e-9.
        assert test.feed(samples)
        named += test.found().worst == where
    # Another's wealth is larger with probability 63e-6 at most: it would have to be a million.
    assert named >= least(20, 1.0 - 63e-6)
    assert least(20, 1.0 - 63e-6) > 10


def uniform(rng, draws):
    """Eight coordinates, of standard deviation 1."""
    return rng.uniform(-math.sqrt(3), math.sqrt(3), size=(draws, 8))


def lopsided(rng, draws):
    """Eight coordinates that are 10 in one draw of a hundred, and else a little below 0."""
    return 10.0 * (rng.random((draws, 8)) < 0.01) - 0.1


@pytest.mark.parametrize("alpha", [1e-6, ALPHA])
@pytest.mark.parametrize(
    ("draw", "options"),
    [
        (uniform, {"sd": 1.0}),
        (uniform, {"covariance": np.eye(8)}),
        (uniform, {"low": -3.0, "high": 3.0}),
        (uniform, {"rarest": 0.01}),
        (lopsided, {"low": -2.0, "high": 12.0}),
        (lopsided, {"rarest": 0.01}),
    ],
    ids=["sd", "covariance", "range", "nothing", "lopsided range", "lopsided nothing"],
)
def test_what_is_called_detectable_is_detected(draw, options, alpha, rng, told, request):
    """A shift of the size that the record of a right mean names, in that coordinate."""
    options = options | {"alpha": alpha}

    def tests(trials, shift):
        return hits(trials, lambda n: draw(rng, n + 1000) + shift, np.zeros(8), **options)

    right = clean(lambda: tests(1, 0.0)[0])
    assert np.all(right.detectable < 2.0)
    found = tests(40, right.detectable[3] * (np.arange(8) == 3))
    seen(found, told, request.node.name, right.power)


@pytest.mark.parametrize("rarest", [1e-4, 1e-2])
def test_a_right_sampler_is_seldom_accused(rarest, rng, told):
    """At the worst of 4,000 moments to stop at, with rare labels."""
    q = np.append(rarest, rng.dirichlet(np.ones(9)) * (1.0 - rarest))
    trials = 100
    count = sum(
        SamplerTest(np.log(q), alpha=ALPHA).feed(rng.choice(10, size=4000, p=q))
        for _ in range(trials)
    )
    told(f"false alarms of samplers, rarest {rarest}", count, trials, most(trials, ALPHA))
    assert count <= most(trials, ALPHA)


@pytest.mark.parametrize("alpha", [1e-6, ALPHA])
def test_an_excess_that_is_called_detectable_is_detected(alpha, rng, told):
    """In a label of a tenth, or of a hundredth, made up for by the others."""
    q = np.append([0.1, 0.01], rng.dirichlet(np.full(8, 5.0)) * 0.89)

    def test_of(p):
        test = SamplerTest(np.log(q), alpha=alpha)
        test.feed(rng.choice(10, size=4000, p=p))
        return test.found()

    right = clean(lambda: test_of(q))
    for label in range(2):
        excess = right.detectable[label]
        p = q * (1.0 - q[label] - excess) / (1.0 - q[label])
        p[label] = q[label] + excess
        found = [test_of(p) for _ in range(40)]
        seen(found, told, f"excess of label {label}, {alpha}", right.power)
