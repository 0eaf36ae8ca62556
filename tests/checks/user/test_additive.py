"""Estimators of which it is said that they are sums of terms of one draw each."""

import numpy as np
import pytest

from gradproof import check_estimator
from gradproof.checks.evidence import HOLDS, REFUTED, UNDECIDED
from gradproof.estimators.enumeration.additive_paths import NotAdditive
from gradproof.estimators.enumeration.run import NotReproducible, TooManyPaths, UnsupportedDraw

rng = np.random.default_rng()
COSTS = np.array([0.5, 1.0, 3.0, 4.0])
LOGITS = np.array([-1.0, 0.0, 0.5, 1.0])

#: Of each example, so that no two are alike.
SCALES = np.linspace(0.5, 2.0, 12)


def law(logits):
    """Probabilities."""
    odds = np.exp(logits)
    return odds / odds.sum()


def terms(y, logits, baseline):
    """REINFORCE of examples, each with a scale of its own."""
    scales = SCALES[: len(y)]
    cost = COSTS[y] * scales
    return ((cost - baseline(cost))[:, None] * (np.eye(4)[y] - law(logits))).mean(0)


def make(draws, baseline=lambda cost: 2.0, extra=lambda y: 0.0, factor=1.0):
    """With a baseline that no draw moves, unless another one is given."""

    def estimate(logits):
        y = rng.choice(4, p=law(logits), size=draws)
        return factor * terms(y, logits, baseline) + extra(y)

    return estimate


def check(estimate, examples=12, **options):
    """The report, with the exact gradient of the mean cost."""
    exact = SCALES[:examples].mean() * law(LOGITS) * (COSTS - law(LOGITS) @ COSTS)
    return check_estimator(estimate, [LOGITS], **{"exact": exact, "additive": True, **options})


def leave_one_out(cost):
    """The mean cost of the others."""
    return (cost.sum() - cost) / (len(cost) - 1)


def test_a_batch_of_twelve_takes_37_paths():
    """In place of sixteen million; what is declared and what was seen is said."""
    with pytest.raises(TooManyPaths):
        check(make(12), additive=False)
    report = check(make(12))
    assert (report.verdict, report.method) == (HOLDS, "additive")
    assert (report.paths, report.draws) == (12 * 3 + 1, 12)
    said = report.explain()
    assert "unbiased, if the estimate is a sum of terms of one draw each, as additive=True" in said
    assert "That is declared and not proved." in said
    assert "500 random paths" in said
    assert "on paths of a probability of 0.027 together" in said  # 1 - 1e-6 ** (1/500)
    assert "missed with a probability of 1e-06" in said
    assert dict(report.section().facts)["the verdict rests on this"].startswith("the estimate is")


def test_moments_are_those_of_all_paths():
    """Mean and variance, for a batch that is small enough for both."""
    few = check(make(5), examples=5)
    every = check(make(5), examples=5, additive=False)
    assert (few.paths, every.paths) == (16, 1024)
    for name in ("mean", "variance"):
        one, other = getattr(few, name)["gradient"], getattr(every, name)["gradient"]
        # Roundings of a thousand paths, which add up to a few in 1e15.
        assert np.abs(one - other).max() <= 1e-13 * np.abs(other).max()


def test_a_bias_is_refuted():
    """Of a hundredth; and of a baseline that is the example's own cost."""
    assert check(make(12, factor=1.01)).verdict == REFUTED
    report = check(make(12, baseline=lambda cost: 0.1 * cost))
    assert report.verdict == REFUTED
    share = report.mean["gradient"] / report.exact["gradient"]
    assert np.abs(share - 0.9).max() <= 1e-12  # some thousand roundings, as the bound allows


INTERACTIONS = {
    "a leave-one-out baseline": {"baseline": leave_one_out},
    "the batch's mean as a baseline": {"baseline": lambda cost: cost.mean()},
    "normalised by the batch": {"baseline": lambda cost: cost * (1.0 - 1.0 / cost.std())},
    "neighbours": {"extra": lambda y: 1e-6 * (y[0] == y[1])},
    "a product": {"extra": lambda y: 1e-6 * y[3] * y[7]},
    "a pair of rare outcomes": {"extra": lambda y: 1e-3 * (y[2] == 0 and y[5] == 0)},
    "three at once": {"extra": lambda y: 1e-3 * ((y[0] == 1) and (y[1] == 2) and (y[2] == 3))},
    "the largest": {"extra": lambda y: 1e-3 * y.max()},
}


@pytest.mark.parametrize("name", INTERACTIONS)
def test_draws_that_interact_are_an_error(name):
    """Whatever the mean; the message names draws and both numbers."""
    options = {"baseline": lambda cost: 2.0 + 0.0 * cost.min()} | INTERACTIONS[name]
    with pytest.raises(NotAdditive, match=r"is no sum of terms .* draw \d+ .* come out together"):
        check(make(12, **options))


def test_the_two_draws_that_interact_are_named():
    """And no others."""
    with pytest.raises(NotAdditive) as caught:
        check(make(12, extra=lambda y: 1e-6 * y[3] * y[7]))
    said = str(caught.value)
    assert "where draw 4 (Generator.choice) -> " in said
    assert "and draw 8 (Generator.choice) -> " in said
    assert said.count("Generator.choice") == 2


def test_draws_that_depend_on_others_are_an_error():
    """By their probabilities, by being made at all, also where the code catches errors."""

    def chain(logits):
        y = [rng.choice(4, p=law(logits))]
        for _ in range(3):
            y.append(rng.choice(4, p=law(logits + 0.1 * (y[-1] == 0))))
        return terms(np.array(y), logits, lambda cost: 2.0)

    def stops(logits):
        y = [rng.choice(4, p=law(logits))]
        while y[-1] == 0 and len(y) < 3:
            y.append(rng.choice(4, p=law(logits)))
        return terms(np.array(y), logits, lambda cost: 2.0)

    def careless(logits):
        try:
            return chain(logits)
        except RuntimeError:
            return np.zeros(4)

    with pytest.raises(NotAdditive, match=r"not independent: where draw 1 .* has other prob"):
        check(chain)
    with pytest.raises(NotAdditive, match=r"not independent: .* is made in addition"):
        check(stops)
    with pytest.raises(NotAdditive, match="not independent"):
        check(careless)


def test_other_kinds_of_draws_are_changed_too():
    """A coin, a choice of five, and a number that is compared; against all paths."""

    def estimate(logits):
        coin = float(rng.random() < 0.3)
        number = rng.choice(5)
        large = float(rng.normal() > 0.5)
        return (2.0 * coin + number**2 - large) * np.ones(4)

    every = check(estimate, additive=False, exact=np.zeros(4))
    few = check(estimate, exact=every.mean["gradient"])
    assert (every.paths, few.paths) == (20, 7)
    assert few.verdict == HOLDS
    # Roundings of twenty paths.
    assert abs(few.total_variance / every.total_variance - 1.0) < 1e-13


@pytest.mark.torch
def test_torch_and_a_mean_loss_of_a_network():
    """A surrogate, with a baseline that is a network's."""
    import torch

    x = torch.linspace(-1.0, 1.0, 6, dtype=torch.float64)
    weight = torch.tensor([0.4, -0.3, 0.7], dtype=torch.float64, requires_grad=True)
    cost = torch.tensor([1.0, 3.0, 2.0], dtype=torch.float64)

    def estimate(weight, baseline):
        q = torch.distributions.Categorical(logits=x[:, None] * weight)
        y = q.sample()
        loss = cost[y] * (1.0 + x)
        return ((loss - baseline(loss)).detach() * q.log_prob(y)).mean()

    expected = ((x[:, None] * weight).softmax(-1) @ cost * (1.0 + x)).mean()
    exact = torch.autograd.grad(expected, weight)[0]

    def run(baseline):
        return check_estimator(
            lambda weight: estimate(weight, baseline), [weight], exact=exact, additive=True
        )

    report = run(lambda loss: 1.0 + x)
    assert (report.verdict, report.paths) == (HOLDS, 13)
    assert run(lambda loss: 0.5 * loss).verdict == REFUTED
    with pytest.raises(NotAdditive):
        run(lambda loss: loss.mean())


def test_a_gradient_that_is_no_number_refutes():
    """For one outcome of one draw."""
    report = check(make(12, extra=lambda y: np.nan if y[4] == 2 else 0.0))
    assert report.verdict == REFUTED


def test_nondeterministic_code_is_called_that():
    """And not one in which draws interact."""
    count = iter(range(10**9))
    with pytest.raises(NotReproducible, match="another gradient when they were repeated"):
        check(make(3, extra=lambda y: float(next(count))))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": True}, "batch=True does not go with additive=True"),
        ({"jobs": 2}, "jobs= does not go with"),
        ({"draws": 100}, "draws= does not go with"),
        ({"strategy": "heaviest", "draws": 100}, "strategy='heaviest' does not go with"),
        ({"exchangeable": True}, "exchangeable=True does not go with"),
        ({"integrate": 1e-6}, "integrate= does not go with"),
        ({"keep_paths": True}, "keep_paths=True does not go with"),
        ({"additive": 1}, "additive = 1, expected True or False"),
    ],
)
def test_what_does_not_go_with_it_is_refused(options, message):
    """Before anything is run."""
    with pytest.raises(TypeError, match=message):
        check(make(3), **options)


def test_what_cannot_be_changed_one_at_a_time_is_refused():
    """Too many outcomes, and such as have no end."""
    with pytest.raises(TooManyPaths, match=r"draws at a time makes 37 paths, more than 30"):
        check(make(12), paths=30)
    with pytest.raises(UnsupportedDraw, match="without an end"):
        check(lambda logits: rng.poisson(1.0) * np.ones(4))


def test_a_constant_in_single_precision_refutes_no_right_estimator():
    """Costs as ``torch.tensor([0.1, 0.7, 0.3])`` has them; 16 times as far off is a bias."""
    double = np.array([0.1, 0.7, 0.3])
    single = double.astype(np.float32).astype(np.float64)
    p = law(np.array([0.2, -0.4, 0.7]))

    def checked(costs, **options):
        def estimate():
            y = rng.choice(3, p=p, size=12)
            return (costs[y][:, None] * (np.eye(3)[y] - p)).mean(0)

        return check_estimator(estimate, exact=p * (double - p @ double), additive=True, **options)

    assert checked(double).verdict == HOLDS
    report = checked(single)
    assert report.verdict == UNDECIDED
    assert "A constant in single precision leaves errors of that size" in report.explain()
    assert checked(single, exact_error=0).verdict == REFUTED
    assert checked(double * (1.0 + np.array([1.0, -1.0, 1.0]) * 2.0**-20)).verdict == REFUTED
