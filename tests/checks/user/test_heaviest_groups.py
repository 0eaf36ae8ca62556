"""Losses on more groups than may be listed: multisets that are drawn, and verdicts."""

import collections
import itertools
import math

import numpy as np
import pytest

from gradproof.checks.evidence import HOLDS, REFUTED
from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import Estimator, UserFunction
from gradproof.estimators.enumeration.run import TooManyPaths

from ...estimators.policies.table import LOGITS, Table

pytestmark = [
    pytest.mark.torch,
    # PyTorch's own functional transformations compile something when they are first used.
    pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning"),
]

torch = pytest.importorskip("torch")
policies = pytest.importorskip("gradproof.policies")
group_draws = pytest.importorskip("gradproof.estimators.policies.group_draws")

TABLE = Table()

#: Sums of some hundred terms of size 10, of a few roundings each.
CLOSE = {"rtol": 1e-11, "atol": 1e-12}

#: Of 210 groups, with next to all of the probability. Rewards lie less than 10 apart, and scores
#: of two tokens are below 4 together.
FEW = {"strategy": "heaviest", "paths": 80, "draws": 300, "bounds": (-40.0, 40.0), "seed": 1}


def make(prompts=(0,), sharper=1.0):
    """The table as a policy of seven completions."""
    theta = torch.tensor(sharper * LOGITS, requires_grad=True)
    return policies.autoregressive(
        lambda tokens: theta[tokens], list(prompts), eos=0, longest=2, parameters=theta
    )


def rloo(log_probs, mask, rewards, tokens):
    """The baseline is the mean of the others."""
    others = (rewards.sum() - rewards) / (len(rewards) - 1)
    return -((rewards - others) * log_probs.sum(dim=1)).mean()


def own_mean(log_probs, mask, rewards, tokens):
    """The baseline is the mean of all."""
    return -((rewards - rewards.mean()) * log_probs.sum(dim=1)).mean()


def before(log_probs, mask, rewards, tokens):
    """The baseline is the reward of the one before: right, and not symmetric."""
    return -((rewards - rewards.roll(1)) * log_probs.sum(dim=1)).mean()


@pytest.mark.parametrize(("count", "size"), [(1, 3), (4, 3), (3, 5), (40, 2)])
def test_each_multiset_is_one_path_of_its_probability(count, size):
    """By the multinomial formula; forty are drawn in blocks."""
    p = np.sort(np.random.default_rng(count).dirichlet(np.full(count, 0.3)))[::-1]
    rng = np.random.default_rng()
    code = UserFunction(lambda: group_draws.draw_multiset(rng, p, size), called="draw")
    likely = {}
    with Enumeration(code, 10_000, batch=False) as enumeration:
        for path in enumeration.paths():
            assert tuple(path.value) not in likely
            likely[tuple(path.value)] = path.probability
    every = list(itertools.combinations_with_replacement(range(count), size))
    assert set(likely) == set(every)
    for row in every:
        repeats = collections.Counter(row).values()
        orders = math.factorial(size) // math.prod(map(math.factorial, repeats))
        # Some dozen roundings of a product.
        assert math.isclose(likely[row], orders * math.prod(p[list(row)]), rel_tol=1e-13)


@pytest.mark.parametrize("prompts", [(0,), ([1], [2])])
@pytest.mark.parametrize(("loss", "ordered"), [(rloo, False), (before, True)])
def test_drawn_groups_have_the_moments_of_listed_ones(loss, ordered, prompts):
    """The mean and the variance over all paths, by code that shares little."""
    policy = make(prompts)
    goal = policy.expected(TABLE.reward)
    listed = policies.check_loss(policy, loss, goal, group=3)
    drawn = group_draws.DrawnGroups(*completions(policy), 3)
    gradient = group_draws.DrawnGroupGradient(policy, loss, drawn, ordered)
    estimator = Estimator(gradient, wrt=dict(policy.parameters), returns="gradient")
    with Enumeration(estimator, 1_000, batch=False) as enumeration:
        moments = enumeration.moments()
    assert moments.count == listed.paths
    np.testing.assert_allclose(moments.mean(), listed.mean["gradient"].ravel(), **CLOSE)
    np.testing.assert_allclose(moments.variance(), listed.variance["gradient"].ravel(), **CLOSE)


def completions(policy):
    """Those of a policy, with their rewards."""
    from gradproof.estimators.policies.goals import ExpectedReward
    from gradproof.estimators.policies.group_gradients import completions_of

    return completions_of(policy, ExpectedReward(TABLE.reward), None)


@pytest.mark.parametrize(("loss", "verdict"), [(rloo, HOLDS), (own_mean, REFUTED)])
def test_the_heaviest_groups_and_some_of_the_others_are_enough(loss, verdict):
    """For a right loss to hold, and a wrong factor to be refuted; the draws are repeatable."""
    policy = make(sharper=3.0)
    goal = policy.expected(TABLE.reward)
    report = policies.check_loss(policy, loss, goal, group=4, **FEW)
    assert report.verdict == verdict, report.explain()
    assert report.method == "heaviest"
    assert report.paths == 80
    assert 0.9 < report.mass < 1.0
    assert "by how often each completion is in them" in report.notes[0]
    again = policies.check_loss(policy, loss, goal, group=4, **FEW)
    np.testing.assert_array_equal(again.mean["gradient"], report.mean["gradient"])


def test_a_loss_of_the_order_has_a_path_for_each_order():
    """Also where it matters, or something is drawn, in a rare group only: that is seen in a run."""
    policy = make(sharper=3.0)
    goal = policy.expected(TABLE.reward)
    rarest = min(policy.probabilities().items(), key=lambda item: item[1])[0]

    def seldom(tokens):
        return (tokens[0] == torch.tensor(rarest)).all() & (tokens[1:] == 0).all()

    def rarely(log_probs, mask, rewards, tokens):
        return rloo(log_probs, mask, rewards, tokens) + seldom(tokens) * log_probs[0].sum()

    def rarely_noisy(log_probs, mask, rewards, tokens):
        sign = (torch.rand(()) < 0.5) if seldom(tokens) or seldom(tokens.flip(0)) else True
        return rloo(log_probs, mask, rewards, tokens) + 0.0 * sign

    for loss in (before, rarely, rarely_noisy):
        report = policies.check_loss(policy, loss, goal, group=4, **FEW)
        assert "every order being one" in report.notes[0]


def test_where_all_groups_can_be_listed_they_are():
    """The report is the one that there is without a strategy."""
    policy = make()
    goal = policy.expected(TABLE.reward)
    options = FEW | {"paths": 210}
    report = policies.check_loss(policy, rloo, goal, group=4, **options)
    assert report.method == "enumerated"
    assert report.verdict == HOLDS


def test_a_loss_that_keeps_something_is_run_from_the_same_state():
    """What it is called with to see whether order matters is not kept."""
    policy = make(sharper=3.0)
    goal = policy.expected(TABLE.reward)

    class Running:
        def __init__(self):
            self.mean = torch.tensor(1.0, dtype=torch.float64)

        def __call__(self, log_probs, mask, rewards, tokens):
            value = -((rewards - self.mean) * log_probs.sum(dim=1)).mean()
            self.mean = 0.9 * self.mean + 0.1 * rewards.detach().mean()
            return value

    loss = Running()
    report = policies.check_loss(policy, loss, goal, group=2, **(FEW | {"paths": 20}))
    assert report.verdict == HOLDS, report.explain()
    assert report.method == "heaviest"  # of 28
    assert float(loss.mean) == 1.0


def test_what_does_not_go_together_is_refused():
    """Before anything is run; and too many groups name what can be done."""
    policy = make()
    goal = policy.expected(TABLE.reward)

    def check(**options):
        return policies.check_loss(policy, rloo, goal, group=4, **({"paths": 100} | options))

    with pytest.raises(TooManyPaths, match=r"210 groups.* or pass strategy='heaviest', with paths"):
        check()
    with pytest.raises(TypeError, match="draws = 10 go with strategy='heaviest'"):
        check(draws=10)
    with pytest.raises(TypeError, match="pass draws="):
        check(strategy="heaviest")
    with pytest.raises(ValueError, match="strategy = 'quasi', expected 'all' or 'heaviest'"):
        check(strategy="quasi", draws=10)


def test_more_completions_than_can_be_listed_are_checked_as_the_error_says():
    """Four of fifty tokens are six million completions: the goal is refused, the loss is checked.

    Tokens are independent, and each has a reward, so the gradient has a closed form.
    """
    from gradproof import check_estimator

    theta = torch.zeros(50, dtype=torch.float64)
    theta[:3] = torch.tensor([12.0, 10.0, 8.0])
    theta.requires_grad_()
    rewards = torch.linspace(-1.0, 1.0, 50, dtype=torch.float64).cos()
    rewards[:3] = torch.tensor([0.5, -1.0, 2.0])
    policy = policies.autoregressive(
        lambda tokens: theta.expand(len(tokens), 50), [0], eos=None, longest=4, parameters=theta
    )

    def reward(row):
        return float(rewards[list(row)].sum())

    with pytest.raises(ValueError, match=r"125,000 prefixes of 3 .* policy\.sample\(group\)"):
        policies.check_loss(policy, rloo, policy.expected(reward), group=2)

    p = theta.detach().softmax(0)
    exact = -4.0 * p * (rewards - p @ rewards)
    for loss, verdict in ((rloo, HOLDS), (own_mean, REFUTED)):

        def estimate(loss=loss):
            group = policy.sample(2)
            returns = rewards[group.tokens].sum(dim=1)
            return loss(policy.log_probs(group), group.mask, returns, group.tokens)

        report = check_estimator(
            estimate,
            wrt={"theta": theta},
            exact={"theta": exact},
            strategy="heaviest",
            paths=1_000,
            draws=500,
            bounds=(-50.0, 50.0),  # rewards lie 12 apart at most, and four scores below 4
            seed=1,
        )
        assert report.verdict == verdict, report.explain()
