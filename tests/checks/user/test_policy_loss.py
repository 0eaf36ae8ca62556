"""Losses of language models against goals: what is known of them, by brute force in NumPy too."""

import itertools
import random

import numpy as np
import pytest

from gradproof.checks.evidence import HOLDS, REFUTED
from gradproof.estimators.enumeration.run import TooManyPaths

from ...estimators.policies.table import LOGITS, REFERENCE, Table

pytestmark = [
    pytest.mark.torch,
    # PyTorch's own functional transformations compile something when they are first used.
    pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning"),
]

torch = pytest.importorskip("torch")
policies = pytest.importorskip("gradproof.policies")

LONGEST = 2  # seven completions
TABLE = Table()
TABLE.longest = LONGEST

#: Sums of some thousand terms below 20, of a few roundings each.
CLOSE = {"rtol": 1e-11, "atol": 1e-12}


def make(longest=LONGEST, prompts=(0,), dtype=torch.float64):
    """The table as a policy."""
    theta = torch.tensor(LOGITS, requires_grad=True, dtype=dtype)
    return policies.autoregressive(
        lambda tokens: theta[tokens], list(prompts), eos=0, longest=longest, parameters=theta
    )


def reference(tokens):
    """Another table."""
    return torch.tensor(REFERENCE)[tokens]


def rloo(log_probs, mask, rewards, tokens):
    """The baseline is the mean of the others."""
    others = (rewards.sum() - rewards) / (len(rewards) - 1)
    return -((rewards - others) * log_probs.sum(dim=1)).mean()


def own_mean(log_probs, mask, rewards, tokens):
    """The baseline is the mean of all."""
    return -((rewards - rewards.mean()) * log_probs.sum(dim=1)).mean()


def dr_grpo(log_probs, mask, rewards, tokens):
    """The mean of all, and a constant in place of lengths."""
    return -((rewards - rewards.mean())[:, None] * log_probs).sum() / mask.numel()


def grpo(log_probs, mask, rewards, tokens):
    """Standardised, and the mean over each completion's tokens."""
    advantages = (rewards - rewards.mean()) / (rewards.std() + 1e-4)
    return -(advantages * log_probs.sum(dim=1) / mask.sum(dim=1)).mean()


#: What each multiplies a completion's score by, of rewards and lengths, in NumPy.
FACTORS = {
    rloo: lambda r, n: (r - (r.sum() - r) / (len(r) - 1)) / len(r),
    own_mean: lambda r, n: (r - r.mean()) / len(r),
    dr_grpo: lambda r, n: (r - r.mean()) / (len(r) * LONGEST),
    grpo: lambda r, n: (r - r.mean()) / (r.std(ddof=1) + 1e-4) / n / len(r),
}


def score(row):
    """The gradient of a completion's log-probability by the logits."""
    q = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    found = np.zeros_like(LOGITS)
    for before, token in zip((0, *row), row, strict=False):
        found[before] -= q[before]
        found[before, token] += 1.0
    return found


def brute_force(loss, size):
    """The mean and the variance over all groups in every order, by NumPy."""
    rows = TABLE.completions()
    p = [np.exp(TABLE.log_p(LOGITS, row).sum()) for row in rows]
    scores, rewards = [score(row) for row in rows], [TABLE.reward(row) for row in rows]
    first, second = np.zeros_like(LOGITS), np.zeros_like(LOGITS)
    for group in itertools.product(range(len(rows)), repeat=size):
        weight = np.prod([p[each] for each in group])
        given = np.array([rewards[each] for each in group])
        lengths = np.array([float(len(rows[each])) for each in group])
        factors = FACTORS[loss](given, lengths)
        gradient = -sum(f * scores[each] for f, each in zip(factors, group, strict=True))
        first += weight * gradient
        second += weight * gradient**2
    return first, second - first**2


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("loss", FACTORS, ids=lambda loss: loss.__name__)
def test_moments_are_those_of_all_groups_in_every_order(loss, size):
    """Mean and variance of each entry; RLOO alone holds."""
    policy = make()
    report = policies.check_loss(policy, loss, policy.expected(TABLE.reward), group=size)
    mean, variance = brute_force(loss, size)
    np.testing.assert_allclose(report.mean["gradient"], mean, **CLOSE)
    np.testing.assert_allclose(report.variance["gradient"], variance, **CLOSE)
    assert report.verdict == (HOLDS if loss is rloo else REFUTED), report.explain()
    assert report.paths == {2: 28, 3: 84}[size]  # multisets of seven completions


@pytest.mark.parametrize(
    ("loss", "size", "share"),
    [(own_mean, 2, 0.5), (own_mean, 4, 0.75), (dr_grpo, 2, 0.25), (dr_grpo, 4, 0.375)],
)
def test_a_baseline_of_ones_own_is_a_share_of_the_gradient(loss, size, share):
    """1 - 1/G, and half of that where every sum is divided by two tokens."""
    policy = make()
    report = policies.check_loss(policy, loss, policy.expected(TABLE.reward), group=size)
    assert report.verdict == REFUTED
    assert f"The mean is {share:.4f} times the gradient in every entry." in report.notes
    np.testing.assert_allclose(report.mean["gradient"], share * report.exact["gradient"], **CLOSE)


def estimator_of(kind, level):
    """A divergence in the loss: k1, k2 or k3 of the log ratio, by token or of the completion."""

    def loss(log_probs, mask, rewards, tokens, by_reference):
        ratio = log_probs - by_reference
        ratio = ratio.sum(dim=1) if level == "completion" else ratio
        found = {"k1": ratio, "k2": ratio**2 / 2, "k3": (-ratio).exp() - 1 + ratio}[kind]
        return found.sum() / len(log_probs)

    return loss


@pytest.mark.parametrize(
    ("kind", "level", "goal", "verdict"),
    [
        ("k2", "completion", "kl", HOLDS),
        ("k2", "token", "kl", REFUTED),
        ("k2", "token", "kl_of_next_tokens", HOLDS),
        ("k3", "completion", "forward_kl", HOLDS),
        ("k3", "completion", "kl", REFUTED),
        ("k3", "token", "kl_of_next_tokens", REFUTED),
        ("k1", "token", "kl", REFUTED),
    ],
)
def test_divergences_in_a_loss_are_what_is_known_of_them(kind, level, goal, verdict):
    """Half the square of the sum of log ratios is right; k3 has the other divergence's gradient."""
    policy = make()
    loss, divergence = estimator_of(kind, level), getattr(policy, goal)(reference)
    for size in (1, 2):
        report = policies.check_loss(policy, loss, -divergence, group=size, reference=reference)
        assert report.verdict == verdict, report.explain()
    if kind == "k1":
        assert np.abs(report.mean["gradient"]).max() < 1e-14  # some roundings of numbers below 1
        assert np.abs(report.exact["gradient"]).max() > 0.01


def test_a_penalised_reward():
    """The log ratio belongs in RLOO's reward; in the loss, as k1, it has no effect."""
    policy, beta = make(), 0.3
    goal = policy.expected(TABLE.reward) - beta * policy.kl(reference)

    def in_reward(log_probs, mask, rewards, tokens, by_reference):
        ratio = (log_probs - by_reference).sum(dim=1).detach()
        return rloo(log_probs, mask, rewards - beta * ratio, tokens)

    def in_loss(log_probs, mask, rewards, tokens, by_reference):
        ratio = (log_probs - by_reference).sum(dim=1)
        return rloo(log_probs, mask, rewards, tokens) + beta * ratio.mean()

    for loss, verdict in ((in_reward, HOLDS), (in_loss, REFUTED)):
        report = policies.check_loss(policy, loss, goal, group=2, reference=reference)
        assert report.verdict == verdict, report.explain()


def test_the_other_way_comes_to_the_same():
    """What check_estimator enumerates of samples, draw by draw."""
    from gradproof import check_estimator

    policy = make()
    goal = policy.expected(TABLE.reward)

    def estimate():
        group = policy.sample(2)
        rewards = torch.tensor([TABLE.reward(row) for row in group.tuples()], dtype=torch.float64)
        return grpo(policy.log_probs(group), group.mask, rewards, group.tokens)

    theta = policy.parameters["gradient"]
    drawn = check_estimator(estimate, wrt=theta, exact=goal.as_loss())
    report = policies.check_loss(policy, grpo, goal, group=2)
    assert (drawn.paths, report.paths) == (49, 28)
    np.testing.assert_allclose(drawn.mean["gradient"], report.mean["gradient"], **CLOSE)
    np.testing.assert_allclose(drawn.total_variance, report.total_variance, **CLOSE)


def test_eight_of_a_group():
    """5.8 million orders are 3,003 multisets, most of which are run at a time."""
    policy = make()
    report = policies.check_loss(policy, rloo, policy.expected(TABLE.reward), group=8)
    assert report.verdict == HOLDS
    assert report.paths == 3003
    assert report.blocks


def test_groups_count_in_every_order_where_a_loss_depends_on_it():
    """The second is compared with the first, which is right, or the first alone is scored."""

    def second(log_probs, mask, rewards, tokens):
        return -(rewards[1] - rewards[0]) * log_probs[1].sum()

    def its_own(log_probs, mask, rewards, tokens):
        return -(rewards[1] - rewards.mean()) * log_probs[1].sum()

    policy = make()
    goal = policy.expected(TABLE.reward)
    for loss, verdict in ((second, HOLDS), (its_own, REFUTED)):
        report = policies.check_loss(policy, loss, goal, group=2)
        assert report.verdict == verdict, report.explain()
        assert report.paths == 49
        assert "in every order, since the loss depends on it" in report.notes[0]
    with pytest.raises(TooManyPaths, match="since the loss is not symmetric"):
        policies.check_loss(policy, second, goal, group=3, paths=200)


def test_a_loss_that_cannot_be_mapped_is_run_one_by_one():
    """Because it asks for numbers."""

    def asks(log_probs, mask, rewards, tokens):
        better = int(rewards.argmax())
        if float(rewards.max()) == float(rewards.min()):
            return 0.0 * log_probs.sum()
        gap = float(rewards[better] - rewards[1 - better])
        return -0.5 * gap * (log_probs[better].sum() - log_probs[1 - better].sum())

    policy = make()
    report = policies.check_loss(policy, asks, policy.expected(TABLE.reward), group=2)
    assert report.verdict == HOLDS, report.explain()


def test_a_loss_that_draws_is_enumerated_with_its_draws():
    """A coin that leaves a completion out, scaled or not."""

    def thinned(scale):
        def loss(log_probs, mask, rewards, tokens):
            keep = torch.bernoulli(torch.full((len(rewards),), 0.5, dtype=torch.float64))
            return -scale * (keep * rewards * log_probs.sum(dim=1)).mean()

        return loss

    policy = make()
    for scale, verdict in ((2.0, HOLDS), (1.0, REFUTED)):
        state = torch.random.get_rng_state()
        goal = policy.expected(TABLE.reward)
        report = policies.check_loss(policy, thinned(scale), goal, group=1)
        assert report.verdict == verdict, report.explain()
        assert report.paths == 14
        assert torch.equal(torch.random.get_rng_state(), state)


def test_a_loss_that_draws_counts_in_every_order():
    """One of two completions is chosen by a coin: the same as the mean of both."""

    def chosen(log_probs, mask, rewards, tokens):
        place = int(torch.bernoulli(torch.tensor(0.5, dtype=torch.float64)))
        return -rewards[place] * log_probs[place].sum()

    policy = make()
    report = policies.check_loss(policy, chosen, policy.expected(TABLE.reward), group=2)
    assert report.verdict == HOLDS, report.explain()
    assert report.paths == 98


def test_what_a_loss_keeps_is_put_back():
    """A running mean of rewards as the baseline: right in each run, and as before afterwards."""

    class Running:
        def __init__(self):
            self.mean = torch.tensor(1.0, dtype=torch.float64)

        def __call__(self, log_probs, mask, rewards, tokens):
            baseline = self.mean
            self.mean = 0.9 * self.mean + 0.1 * rewards.mean()
            return -((rewards - baseline) * log_probs.sum(dim=1)).mean()

    policy, loss = make(), Running()
    report = policies.check_loss(policy, loss, policy.expected(TABLE.reward), group=2)
    assert report.verdict == HOLDS, report.explain()
    assert float(loss.mean) == 1.0


def test_single_precision_refutes_nothing():
    """In the model, or in the loss; and what is wrong by a half is refuted there as well."""

    def coarse(log_probs, mask, rewards, tokens):
        return rloo(log_probs.float(), mask.float(), rewards.float(), tokens)

    for policy, loss in ((make(dtype=torch.float32), rloo), (make(), coarse)):
        report = policies.check_loss(policy, loss, policy.expected(TABLE.reward), group=2)
        assert report.verdict != REFUTED, report.explain()
    policy = make(dtype=torch.float32)
    report = policies.check_loss(policy, own_mean, policy.expected(TABLE.reward), group=2)
    assert report.verdict == REFUTED, report.explain()


def test_a_bias_that_is_zero_is_no_bias():
    """Attention's key bias has a gradient that is zero but for rounding."""

    class Attention(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = torch.nn.Embedding(3, 4)
            self.attention = torch.nn.MultiheadAttention(4, 1, batch_first=True)
            self.head = torch.nn.Linear(4, 3)

        def forward(self, tokens):
            state, length = self.embed(tokens), tokens.shape[1]
            mask = torch.ones(length, length, dtype=torch.bool).triu(1)
            moved = self.attention(state, state, state, attn_mask=mask, need_weights=False)[0]
            return self.head(state + moved)

    torch.manual_seed(0)
    model = Attention().double()
    policy = policies.autoregressive(model, [1], eos=0, longest=3)
    for loss, verdict in ((rloo, HOLDS), (own_mean, REFUTED)):
        report = policies.check_loss(policy, loss, policy.expected(TABLE.reward), group=2)
        assert report.verdict == verdict, report.explain()


def test_two_prompts_each_with_its_groups():
    """A group is of one prompt; pairs of either are 28."""

    def reward(prompt, completion):
        return TABLE.reward(completion) + 5.0 * prompt[-1]

    policy = make(prompts=([0], [1, 2]))
    report = policies.check_loss(policy, rloo, policy.expected(reward), group=2)
    assert report.verdict == HOLDS, report.explain()
    assert report.paths == 56


def test_rewards_of_tokens():
    """Each token's score times what is still to come, discounted from the beginning."""
    discount = 0.8
    policy = make()
    goal = policy.expected(lambda row: [1.0 + token for token in row], discount=discount)

    def to_go(forgetful):
        def loss(log_probs, mask, rewards, tokens):
            powers = discount ** torch.arange(LONGEST, dtype=torch.float64)
            ahead = (rewards * powers).flip(1).cumsum(1).flip(1)
            return -((ahead / powers if forgetful else ahead) * log_probs).sum(dim=1).mean()

        return loss

    for forgetful, verdict in ((False, HOLDS), (True, REFUTED)):
        report = policies.check_loss(policy, to_go(forgetful), goal, group=1)
        assert report.verdict == verdict, report.explain()


def test_what_does_not_fit_is_refused():
    """By its value, with what to do."""
    policy = make()
    goal = policy.expected(TABLE.reward)
    with pytest.raises(TooManyPaths, match=r"7 completions make 1,716 groups.* a group of 3 or"):
        policies.check_loss(policy, rloo, goal, group=7, paths=100)
    with pytest.raises(ValueError, match="group = 0"):
        policies.check_loss(policy, rloo, goal, group=0)
    with pytest.raises(ValueError, match="another policy"):
        policies.check_loss(make(), rloo, goal, group=2)
    with pytest.raises(TypeError, match="goal = "):
        policies.check_loss(policy, rloo, goal.as_loss(), group=2)
    with pytest.raises(TypeError, match="loss = 1"):
        policies.check_loss(policy, 1, goal, group=2)
    with pytest.raises(ValueError, match="the goal has 2 rewards: pass reward="):
        policies.check_loss(policy, rloo, goal + goal, group=2)
    with pytest.raises(ValueError, match=r"the loss has shape \(2,\)"):
        policies.check_loss(policy, lambda lp, *_: lp.sum(dim=1), goal, group=2)
    with pytest.raises(TypeError, match="expected a tensor of one number"):
        policies.check_loss(policy, lambda *_: 1.0, goal, group=2)
    both = policies.check_loss(policy, rloo, goal + goal, group=2, reward=TABLE.reward)
    assert "The mean is 0.5000 times the gradient in every entry." in both.notes


def test_calls_that_do_not_fit_say_what_would():
    """With the arguments that a loss is given, and one policy and one loss."""
    policy = make()
    goal = policy.expected(TABLE.reward)
    with pytest.raises(
        TypeError, match=r"called with 4 .*\(log_probs, .* tokens\); with reference="
    ):
        policies.check_loss(policy, lambda log_probs, rewards: log_probs.sum(), goal, group=2)
    with pytest.raises(TypeError, match=r"rloo cannot be called with 5 .* tokens, reference\)$"):
        policies.check_loss(policy, rloo, goal, group=2, reference=reference)
    with pytest.raises(TypeError, match="one loss at a time"):
        policies.check_loss(policy, [rloo, rloo], goal, group=2)
    with pytest.raises(TypeError, match=r"policy = .* policies\.autoregressive"):
        policies.check_loss(rloo, policy, goal, group=2)


def test_groups_on_which_a_loss_is_no_number_are_named():
    """Rewards that are all alike have no standard deviation to be divided by."""

    def loss(log_probs, mask, rewards, tokens):
        return -((rewards - rewards.mean()) / rewards.std() * log_probs.sum(dim=1)).mean()

    policy = make()
    report = policies.check_loss(policy, loss, policy.expected(len), group=2)
    said = report.explain()
    assert "is not finite on " in said
    assert "such as (0,), (0,). Its rewards are equal" in said
    assert (
        "is not finite on"
        not in policies.check_loss(policy, own_mean, policy.expected(len), group=2).explain()
    )


def test_the_usual_factors_are_those_of_the_group():
    """Of G completions, though a group is one draw; tokens are counted too."""
    policy = make()
    goal = policy.expected(TABLE.reward)
    said = policies.check_loss(policy, own_mean, goal, group=3).explain()
    assert "1 - 1/3: as where each of 3 samples is in its own baseline" in said
    assert "(1 - 1/5)/2" in policies.check_loss(policy, dr_grpo, goal, group=5).explain()


def test_it_tells_how_far_it_is():
    """Each block, of about how many groups; before that those whose order was tried."""
    told = []
    policy = make()
    policies.check_loss(
        policy, rloo, policy.expected(len), group=6, progress=lambda *what: told.append(what)
    )
    assert told[-1][0] == told[-1][1] > 900
    tried = [each for each in told if "other orders" in each[2]]
    assert tried == told[: len(tried)]
    assert tried[-1][0] == tried[-1][1] == 3 * 924  # groups of 6 of 7 completions
    with pytest.raises(TypeError, match="progress = True"):
        policies.check_loss(policy, rloo, policy.expected(len), group=2, progress=True)


def test_a_baseline_that_is_learned_in_a_tensor():
    """It is put back between groups, also where they are differentiated many at a time."""
    policy = make()

    class Learned:
        def __init__(self):
            self.mean = torch.tensor(0.4, dtype=torch.float64)

        def __call__(self, log_probs, mask, rewards, tokens):
            value = -((rewards - self.mean) * log_probs.sum(dim=1)).mean()
            self.mean = 0.9 * self.mean + 0.1 * rewards.mean()
            return value

    loss = Learned()
    report = policies.check_loss(policy, loss, policy.expected(TABLE.reward), group=2)
    assert report.verdict == HOLDS, report.explain()
    assert float(loss.mean) == 0.4


def test_passes_are_not_counted_of_losses():
    """A loss does not call the model."""
    policy = make()
    with pytest.raises(TypeError, match=r"pass costs=\{name: number\}"):
        policies.compare_losses(policy, {"a": rloo}, policy.expected(len), costs="passes", group=2)


def test_losses_side_by_side():
    """In one table, with the factor of the mean of all."""
    policy = make()
    goal = policy.expected(lambda y: float(len(y)) + 0.5 * y[0])
    found = policies.compare_losses(
        policy, {"rloo": rloo, "own mean": own_mean, "dr": dr_grpo}, goal, group=2
    )
    verdicts = {row.name: row.verdict for row in found.rows}
    assert verdicts == {"rloo": "holds", "own mean": "proportional", "dr": "proportional"}
    assert found["own mean"].factor == pytest.approx(0.5, abs=1e-9)  # rounding
    assert found["dr"].factor == pytest.approx(0.25, abs=1e-9)  # rounding
    with pytest.raises(TypeError, match=r"losses = .*, expected functions by name"):
        policies.compare_losses(policy, [rloo], goal, group=2)


def test_a_multiple_of_the_gradient_will_do_if_one_says_so():
    """The verdict is proportional then; another direction is refuted as ever."""
    policy = make()
    goal = policy.expected(lambda y: float(len(y)) + 0.5 * y[0])
    found = policies.check_loss(policy, own_mean, goal, group=2, judge="direction")
    assert (found.verdict, found.accepted) == ("proportional", True)
    found = policies.check_loss(policy, grpo, goal, group=2, judge="direction")
    assert (found.verdict, found.accepted) == (REFUTED, False)
    with pytest.raises(ValueError, match="judge = 'angle'"):
        policies.check_loss(policy, rloo, goal, group=2, judge="angle")


def test_a_loss_that_uses_the_model_by_itself_counts_in_every_order():
    """Half of the gradient by the first completion alone, by the model."""
    policy = make()

    def with_first(log_probs, mask, rewards, tokens):
        length = int(mask[0].sum())
        first = policy.log_probs([tokens[0, :length].tolist()]).sum()
        return rloo(log_probs, mask, rewards, tokens) - 0.5 * rewards[0] * first

    goal = policy.expected(TABLE.reward)
    report = policies.check_loss(policy, with_first, 1.5 * goal, group=2)
    assert report.verdict == HOLDS, report.explain()
    assert policies.check_loss(policy, with_first, goal, group=2).verdict == REFUTED


@pytest.mark.parametrize("draw", [random.random, np.random.rand])
def test_generators_are_left_where_they_were_if_only_some_groups_draw(draw):
    """The first group has one completion twice, and may draw nothing."""

    def loss(log_probs, mask, rewards, tokens):
        one = 0
        if bool((tokens[0] != tokens[1]).any()):
            one = int(draw() < 0.5)
        return -((rewards - rewards.flip(0))[one] * log_probs[one].sum())

    policy = make()

    def states():
        return random.getstate(), np.random.get_state()[2]  # noqa: NPY002 - the shared one

    before = states()
    report = policies.check_loss(policy, loss, policy.expected(TABLE.reward), group=2)
    assert report.verdict == HOLDS, report.explain()
    assert states() == before
