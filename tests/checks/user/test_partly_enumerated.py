"""The heaviest paths are enumerated, and the others drawn from: verdicts, reports, refusals."""

import secrets
from itertools import pairwise, product

import numpy as np
import pytest

from gradproof import Biased, assert_unbiased, check_estimator
from gradproof.checks.evidence import HOLDS, REFUTED, UNDECIDED
from gradproof.checks.sequential.mean_test import BeyondRange
from gradproof.checks.user.rarity import TooFewDraws
from gradproof.estimators.enumeration.heaviest import LikeliestRun, RandomRun, RestOfPaths
from gradproof.estimators.enumeration.run import NotReproducible, TooManyPaths, UnsupportedDraw

from .tokens import Tokens, softmax

#: More draws than the range is learnt from at the default false-alarm rate, some 1,800.
DRAWS = 3000


@pytest.fixture
def policy():
    """A sharp one of 6,561 paths; of 500 of these the probability is 0.99, about."""
    return Tokens(np.random.default_rng(4), length=8, tokens=3, sharpness=4.0)


def check(policy, estimate=None, **options):
    """The report on an estimator of the policy's gradient."""
    options = {"paths": 500, "draws": DRAWS, "strategy": "heaviest", **options}
    estimate = policy.reinforce if estimate is None else estimate
    return check_estimator(estimate, [policy.logits], exact=policy.exact(), **options)


def test_a_right_estimator_holds_and_the_report_says_how(policy):
    """How many paths of what probability, how many draws, and what would have been seen."""
    report = check(policy)
    assert (report.verdict, report.method) == (HOLDS, "heaviest")
    assert (report.paths, report.draws) == (500, DRAWS)
    assert 0.95 < report.mass < 1.0
    assert 0.0 < report.detectable < 0.1 * np.abs(policy.exact()).max()
    said = report.explain()
    assert "500 paths were enumerated, the most probable first, of probability 0.9" in said
    assert f"of probability {1.0 - report.mass:.3g}, 3,000 were drawn (seed={report.seed})" in said
    assert "refuted with a probability of at most 1e-06, on that condition" in said
    assert "would have been seen with probability 0.9" in said
    # The range is learnt to a hundredth of the rest.
    rarest = 0.01 * (1.0 - report.mass)
    assert report.condition.startswith(f"no outcome rarer than {rarest:.2g} lies far beyond")
    facts = dict(report.section().facts)
    assert (facts["method"], facts["paths"]) == ("heaviest", "500")
    assert facts["of probability"] == f"{report.mass:.6g}"


def test_moments_are_those_of_all_paths(policy):
    """Mean and variance against full enumeration, by so much as would be seen."""
    report = check(policy)
    whole = check_estimator(policy.reinforce, [policy.logits], exact=policy.exact())
    assert whole.method == "enumerated"
    mean, exact = report.mean["gradient"], whole.mean["gradient"]
    assert (np.abs(mean - exact) <= report.bounds["gradient"]).all()
    # The rest, of which the variance is estimated, has a few hundredths of it.
    assert abs(report.total_variance / whole.total_variance - 1.0) < 0.2


def test_where_all_paths_can_be_run_the_verdict_is_exact(policy):
    """Also of a bias of a thousandth, and with fewer draws than a test needs."""
    report = check(policy, paths=6561, draws=1)
    assert (report.verdict, report.method, report.paths, report.mass) == (
        HOLDS, "enumerated", 6561, 1.0,
    )  # fmt: skip
    report = check(policy, lambda a: policy.reinforce(a, 1.001), paths=6561)
    assert (report.verdict, report.method) == (REFUTED, "enumerated")


def test_a_bias_of_three_hundredths_is_refuted_early(policy):
    """Which would need some hundred thousand plain draws."""
    report = check(policy, lambda a: policy.reinforce(a, 1.03), paths=2000)
    assert report.verdict == REFUTED
    assert report.draws < DRAWS
    with pytest.raises(Biased, match="refuted, if no outcome rarer than"):
        assert_unbiased(
            lambda a: policy.reinforce(a, 1.03),
            [policy.logits],
            exact=policy.exact(),
            paths=2000,
            draws=DRAWS,
            strategy="heaviest",
        )


def test_a_bias_of_the_rest_alone_is_refuted(policy):
    """The estimator is right on all paths that are enumerated; only draws can see more."""

    def estimate(logits, factor=-30.0):
        tokens, score = policy.sample(logits)
        return policy.reward(tokens) * score * (factor if probability(policy, tokens) < 1e-4 else 1)

    heavy = [probability(policy, tokens) for tokens in product(range(3), repeat=8)]
    assert sum(p >= 1e-4 for p in heavy) > 30  # so that none of these is wrong
    report = check(policy, estimate, paths=30)
    assert report.mass == pytest.approx(sum(sorted(heavy)[-30:]), rel=0.01)  # not by path exactly
    assert report.verdict == REFUTED
    assert check(policy, lambda a: estimate(a, 1.0), paths=30).verdict != REFUTED


def probability(policy, tokens):
    """Of a path."""
    laws = softmax(policy.logits)
    return float(np.prod([laws[a, b] for a, b in pairwise((policy.tokens, *tokens))]))


def test_a_seed_repeats_the_verdict(policy):
    """To the last bit; without one the report says which was drawn."""
    first = check(policy)
    again = check(policy, seed=first.seed)
    assert np.array_equal(first.mean["gradient"], again.mean["gradient"])
    assert np.array_equal(first.variance["gradient"], again.variance["gradient"])
    assert f"seed={first.seed}" in first.snippet
    assert "strategy='heaviest'" in first.snippet
    assert not np.array_equal(first.mean["gradient"], check(policy).mean["gradient"])


def test_bounds_that_are_known_spare_the_condition(policy):
    """No range is learnt, so that no draw is lost and nothing is left out."""
    reach = 8.0 * policy.length  # no reward is larger than 8, no score than T
    report = check(policy, bounds=(-reach, reach), draws=1000)
    assert (report.condition, report.verdict) == ("", HOLDS)
    report = check(policy, lambda a: -policy.reinforce(a), bounds=(-reach, reach), draws=1000)
    assert report.verdict == REFUTED
    assert report.draws < 1000
    assert "at most 1e-06." in report.explain()


def test_what_the_rest_cannot_make_up_for_is_refuted_at_once(policy):
    """By bounds the others add so little that the mean cannot be the exact one."""
    reach = 8.0 * policy.length
    report = check(policy, lambda a: policy.reinforce(a, 1.1), bounds=(-reach, reach), draws=1000)
    assert (report.verdict, report.draws) == (REFUTED, 1)
    assert "and so does its mean; " in report.explain()


def test_a_rest_that_is_too_unlikely_for_a_number():
    """Eight coins of probability 1e-200: but for nine paths none has a probability as a number."""
    rng = np.random.default_rng()

    def estimate(theta):
        return np.array([sum(float(rng.random() < 1e-200) for _ in range(8)) + 1.0]) * theta

    for exact, verdict in ((1.0, HOLDS), (1.1, REFUTED)):
        report = check_estimator(
            estimate, [np.ones(1)], exact=np.array([exact]), paths=20, draws=3000,
            strategy="heaviest",
        )  # fmt: skip
        assert (report.verdict, report.method) == (verdict, "heaviest")


@pytest.mark.parametrize("paths", [1, 500])
def test_what_is_beyond_bounds_is_an_error(policy, paths):
    """Whether it was enumerated or drawn; the message has the path."""
    with pytest.raises(BeyondRange, match=r"choice -> .* beyond bounds = \(-1, 1\)"):
        check(policy, lambda a: 5.0 * np.sign(policy.reinforce(a)), paths=paths, bounds=(-1.0, 1.0))


def test_too_few_draws_are_an_error(policy):
    """The message says how many it takes, and what else would do."""
    with pytest.raises(TooFewDraws, match=r"draws is 900, and 1,9\d\d are needed .* bounds= if"):
        check(policy, draws=900)
    with pytest.raises(TooFewDraws, match=r"are needed .* of probability 0\.\d+: take more"):
        check(policy, paths=1)


def test_a_few_draws_of_a_large_rest_decide_nothing():
    """A flat policy: what was enumerated is next to nothing."""
    policy = Tokens(np.random.default_rng(4), length=12, tokens=3, sharpness=0.1)
    report = check(policy, rarest=0.01, draws=2100)
    assert report.mass < 0.1
    assert report.verdict == UNDECIDED
    assert "Take more draws to tell, enumerate more paths (paths=)" in report.explain()


REFUSED = {
    "draws": ({"draws": 0}, "strategy='heaviest' runs paths= at most, .*: pass draws="),
    "fast": ({"fast": True, "exact": None, "objective": lambda a: 0.0}, "fast=True does not go"),
    "sd": ({"sd": 1.0}, r"sd= does not go with strategy='heaviest' \(pass bounds="),
    "batch": ({"batch": True}, "batch=True does not go with strategy='heaviest'"),
    "jobs": ({"jobs": 2}, "jobs= does not go with strategy='heaviest'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_go_with_it_is_refused(policy, name):
    """Before anything is run."""
    options, message = REFUSED[name]

    def never(logits):
        raise AssertionError("it was run")

    with pytest.raises(TypeError, match=message):
        check_estimator(
            never,
            [policy.logits],
            **{"exact": policy.exact(), "draws": 100, "strategy": "heaviest", **options},
        )


def test_a_strategy_that_is_none_is_named(policy):
    """With what there is."""
    with pytest.raises(ValueError, match="strategy = 'best', expected 'all', 'heaviest', 'quasi'"):
        check(policy, strategy="best")


def test_too_many_paths_name_the_strategy(policy):
    """Where there are only too many; what cannot be enumerated has no heaviest paths."""
    with pytest.raises(TooManyPaths, match=r"pass draws= to sample it instead, and strategy='heav"):
        check(policy, draws=0, strategy="all")
    rng = np.random.default_rng()

    def normal(logits):
        return policy.reinforce(logits) + rng.standard_normal()

    with pytest.raises(UnsupportedDraw, match=r"pass draws= to sample it instead$"):
        check(policy, normal, draws=0, strategy="all")
    with pytest.raises(UnsupportedDraw, match="strategy='heaviest' needs draws that can be enum"):
        check(policy, normal)


def test_an_objective_that_can_be_enumerated_is_the_estimand():
    """It draws less than the estimator, which has more paths than may be run."""
    rng = np.random.default_rng()
    costs = np.array([1.0, 2.0, -3.0])

    def law(theta):
        odds = np.exp(theta - theta.max())
        return odds / odds.sum()

    def objective(theta):
        return costs[rng.choice(3, p=law(theta))]

    def estimate(theta, factor=1.0):
        y = rng.choice(3, p=law(theta), size=6)
        return factor * (costs[y][:, None] * (np.eye(3)[y] - law(theta))).mean(0)

    theta = np.array([0.0, 4.0, -1.0])
    options = {"objective": objective, "paths": 200, "draws": DRAWS, "strategy": "heaviest"}
    assert check_estimator(estimate, [theta], **options).verdict == HOLDS
    wrong = check_estimator(lambda t: estimate(t, 1.5), [theta], **options)
    assert (wrong.verdict, wrong.method) == (REFUTED, "heaviest")
    with pytest.raises(TooManyPaths):
        check_estimator(estimate, [theta], **{**options, "objective": lambda t: sum(
            objective(t) for _ in range(6))})  # fmt: skip


def test_code_that_is_nondeterministic_is_refused(policy):
    """Something is kept from run to run where nobody can put it back."""
    count = iter(range(10**9))

    def estimate(logits):
        return policy.reinforce(logits) + next(count)

    with pytest.raises(NotReproducible, match="another gradient when they were repeated"):
        check(policy, estimate)


def test_what_a_run_changes_is_put_back_and_said(policy):
    """A running mean: each run begins in the state that was given."""

    class Running:
        mean = 0.0

        def __call__(self, logits):
            tokens, score = policy.sample(logits)
            reward = policy.reward(tokens)
            gradient = (reward - self.mean) * score
            self.mean = 0.9 * self.mean + 0.1 * reward
            return gradient

    estimate = Running()
    report = check(policy, estimate)
    assert report.verdict == HOLDS
    assert estimate.mean == 0.0
    assert "Each run changes" in report.explain()
    assert "whether the estimator is right from a later state was not checked" in report.explain()


def test_generators_are_left_as_they_were(policy):
    """The estimator's own."""
    before = policy._rng.bit_generator.state
    check(policy)
    assert policy._rng.bit_generator.state == before


def test_what_is_no_number_is_refuted_and_its_path_named(policy):
    """On an enumerated path, or on one that is drawn."""

    def heavy(logits):
        tokens, score = policy.sample(logits)
        return policy.reward(tokens) * score * (np.nan if tokens[0] == 2 else 1.0)

    report = check(policy, heavy)
    assert report.verdict == REFUTED
    assert "gradient is NaN where Generator.choice -> " in report.explain()

    def rare(logits):
        tokens, score = policy.sample(logits)
        return np.full_like(score, np.inf) if probability(policy, tokens) < 1e-6 else (
            policy.reward(tokens) * score)  # fmt: skip

    report = check(policy, rare)
    assert report.verdict == REFUTED
    assert "is infinite, and so is the mean" in report.explain()


def test_paths_are_not_kept_and_that_is_said(policy):
    """As where all are sampled."""
    report = check(policy, keep_paths=True)
    assert report.law is None
    assert "Paths were not kept, for not all of them were run." in report.explain()


def test_rounding_of_single_precision_is_no_bias(policy):
    """An error of a hundred-thousandth may be rounding, and is not called a bias."""
    report = check(policy, lambda a: policy.reinforce(a).astype(np.float32), paths=5000)
    assert report.verdict == HOLDS
    wrong = check(policy, lambda a: policy.reinforce(a, 1.0 + 2e-5), paths=6000)
    assert wrong.verdict != REFUTED


def test_progress_says_how_much_was_enumerated(policy):
    """The probability of the paths so far, and then the draws that are left."""
    said = []
    check(policy, progress=lambda done, total, what: said.append((done, total, what)))
    assert any("runs of probability 0.9" in what for _, _, what in said)
    assert all(done <= total for done, total, _ in said)
    assert said[-1][0] == said[-1][1]


def test_a_rest_of_one_path_is_tested():
    """All draws of the rest are equal then, which is no reason to think that they repeat."""
    rng = np.random.default_rng()

    def estimate(theta):
        return np.array([float(rng.random() < 0.999) + float(rng.random() < 0.999)]) * theta

    right = check_estimator(
        estimate, [np.ones(1)], exact=np.array([1.998]), paths=3, draws=3000, strategy="heaviest"
    )
    assert (right.verdict, right.paths) == (HOLDS, 3)
    wrong = check_estimator(
        estimate, [np.ones(1)], exact=np.array([1.999]), paths=3, draws=3000, strategy="heaviest"
    )
    assert wrong.verdict == REFUTED


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_rest_of_another_probability_is_seen(policy, monkeypatch, factor):
    """Planted: what was not run is counted otherwise than by its probability."""
    made = RestOfPaths.__init__

    def wrong(self, *args):
        made(self, *args)
        self.probability *= factor

    monkeypatch.setattr(RestOfPaths, "__init__", wrong)
    with pytest.raises(NotReproducible, match="those that were not run add up to"):
        check(policy)


def test_a_rest_that_is_drawn_otherwise_is_seen(policy, monkeypatch):
    """Planted: the likeliest path of each prefix; a right estimator is refuted then."""
    monkeypatch.setattr(RandomRun, "_choose_freely", LikeliestRun._choose_freely)
    monkeypatch.setattr(RandomRun, "_probability", 1.0, raising=False)
    assert check(policy, paths=5, draws=20_000).verdict == REFUTED


@pytest.mark.torch
def test_surrogates_of_torch():
    """Tokens of PyTorch, one by one; a sign that is wrong is refuted."""
    torch = pytest.importorskip("torch")
    logits = torch.tensor(
        [[3.0, 0.0, -1.0], [0.0, 4.0, 1.0], [-2.0, 0.0, 3.0]], dtype=torch.float64
    )
    logits.requires_grad_()
    costs = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)

    def estimate(logits, sign=1.0):
        last, total, cost = 0, 0.0, 0.0
        for _ in range(7):
            q = torch.distributions.Categorical(logits=logits[last])
            y = q.sample()
            total, cost, last = total + q.log_prob(y), cost + costs[y], int(y)
        return sign * cost * total

    laws, law, mean = logits.softmax(1), torch.eye(3, dtype=torch.float64)[0], 0.0
    for _ in range(7):
        law = law @ laws
        mean = mean + law @ costs
    (exact,) = torch.autograd.grad(mean, logits)
    options = {"exact": exact, "paths": 300, "draws": DRAWS, "strategy": "heaviest"}
    report = check_estimator(estimate, [logits], **options)
    assert (report.verdict, report.method) == (HOLDS, "heaviest")
    assert check_estimator(lambda a: estimate(a, -1.0), [logits], **options).verdict == REFUTED


@pytest.mark.libraries
def test_keys_of_jax(library):
    """Draws that have keys may be made in any order; they are enumerated and drawn alike."""
    jax = library("jax")
    np_ = jax.numpy
    logits = np_.array([3.0, 0.0, -1.0])
    costs = np_.array([1.0, -2.0, 0.5])

    def estimate(key, logits, sign=1.0):
        y = jax.random.categorical(key, logits, shape=(6,))
        score = jax.vmap(jax.grad(lambda t, k: jax.nn.log_softmax(t)[k]), (None, 0))(logits, y)
        return sign * (costs[y][:, None] * score).mean(0)

    exact = jax.grad(lambda t: jax.nn.softmax(t) @ costs)(logits)
    options = {"exact": np.asarray(exact), "paths": 200, "draws": 2600, "strategy": "heaviest"}
    key = jax.random.key(secrets.randbits(31))
    report = check_estimator(estimate, [key, logits], **options)
    assert (report.verdict, report.method) == (HOLDS, "heaviest")
    wrong = check_estimator(lambda k, t: estimate(k, t, -1.0), [key, logits], **options)
    assert wrong.verdict == REFUTED
