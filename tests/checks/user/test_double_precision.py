"""What single precision is too coarse for is decided in double precision; then all is as it was."""

import pytest

from gradproof import check_estimator

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.torch


class Policy(torch.nn.Module):
    """Attention over two tokens: the gradient of its bias of keys is zero, but for rounding."""

    def __init__(self, dtype):
        super().__init__()
        torch.manual_seed(0)
        self.embed = torch.nn.Embedding(3, 4)
        self.attention = torch.nn.MultiheadAttention(4, 1, batch_first=True)
        self.head = torch.nn.Linear(4, 3)
        self.register_buffer("reward", torch.randn(3, 3))
        self.to(dtype)

    def forward(self, ids):
        """Log-probabilities of the next token."""
        h = self.embed(ids)
        return self.head(h + self.attention(h, h, h, need_weights=False)[0])[:, -1].log_softmax(-1)

    def exact(self):
        """The gradient of the expected reward."""
        start = torch.zeros(1, 1, dtype=torch.long)
        value = 0.0
        first = self(start)[0].exp()
        for token in range(3):
            second = self(torch.tensor([[0, token]]))[0].exp()
            value = value + first[token] * (second * self.reward[token]).sum()
        named = dict(self.named_parameters())
        return dict(zip(named, torch.autograd.grad(value, list(named.values())), strict=True))

    def reinforce(self):
        """The surrogate of the score-function estimator."""
        ids, log_prob = torch.zeros(1, 1, dtype=torch.long), 0.0
        for _ in range(2):
            law = torch.distributions.Categorical(logits=self(ids))
            token = law.sample()
            log_prob = log_prob + law.log_prob(token)
            ids = torch.cat([ids, token[:, None]], 1)
        return self.reward[ids[0, 1], ids[0, 2]] * log_prob.sum()


def world(policy):
    """All that a check might leave changed."""
    return (
        torch.get_default_dtype(),
        [(id(each), each.dtype, each.data_ptr(), each.grad) for each in policy.parameters()],
        [(id(each), each.dtype, each.data_ptr()) for each in policy.buffers()],
    )


def test_a_right_estimator_in_single_precision_holds():
    """Its bias of keys could not be judged there; the report says where it was."""
    policy = Policy(torch.float32)
    policy.head.weight.grad = torch.ones_like(policy.head.weight)
    before = world(policy)
    report = check_estimator(policy.reinforce, wrt=policy, exact=policy.exact)
    assert report.verdict == "holds", report.explain()
    assert "put into double precision for a while" in report.explain()
    assert "in_proj_bias[4]" in report.explain()
    assert world(policy) == before


@pytest.mark.parametrize("factor", [1.01, 1.0001])
def test_a_wrong_one_does_not(factor):
    """Nor where only double precision could show it: then it is undecided, and says why."""
    policy = Policy(torch.float32)
    before = world(policy)
    report = check_estimator(lambda: factor * policy.reinforce(), wrt=policy, exact=policy.exact)
    assert report.verdict == ("refuted" if factor > 1.001 else "undecided"), report.explain()
    if factor < 1.001:
        assert "is refuted there" in report.reason
    assert world(policy) == before


def test_the_direction_of_what_is_refuted_is_told_in_double_precision():
    """Where entries that are zero but for rounding hide it in single precision."""
    policy = Policy(torch.float32)
    report = check_estimator(
        lambda: 0.5 * policy.reinforce(), wrt=policy, exact=policy.exact, judge="direction"
    )
    assert report.verdict == "proportional", report.explain()
    assert abs(report.direction.factor - 0.5) < 1e-12  # some roundings
    assert "could not be told where the mean points" in report.explain()


def test_an_estimator_that_needs_single_precision_is_undecided():
    """With what was raised in double precision."""
    policy = Policy(torch.float32)

    def reinforce():
        if policy.head.weight.dtype is not torch.float32:
            raise ValueError("single precision alone")
        return policy.reinforce()

    report = check_estimator(reinforce, wrt=policy, exact=policy.exact)
    assert report.verdict == "undecided"
    assert "does not run there (ValueError: single precision alone)" in report.reason
    assert policy.head.weight.dtype is torch.float32


def test_numbers_of_single_precision_do_not_decide():
    """An exact gradient that was computed before stays as coarse as it was."""
    policy = Policy(torch.float32)
    report = check_estimator(policy.reinforce, wrt=policy, exact=policy.exact())
    assert report.verdict == "undecided"
    assert "exact= is in single precision" in report.reason
    assert "or pass exact= as a function" in report.reason


class Halved(torch.autograd.Function):
    """A sum whose backward pass is written by hand, in single precision."""

    @staticmethod
    def forward(ctx, x):
        """Of all numbers."""
        ctx.save_for_backward(x)
        return x.to(torch.float32).sum()

    @staticmethod
    def backward(ctx, grad):
        """One for each."""
        (x,) = ctx.saved_tensors
        one = torch.ones(x.shape, dtype=torch.float32)
        return (grad.float() * (one / 3.0) * 3.0).to(x.dtype)


def test_what_asks_for_single_precision_inside_gets_double_precision():
    """Also in a backward pass; in a model in double precision, of which a gradient cancels."""
    logits = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
    costs = torch.tensor([1.0, 3.0, 2.0], dtype=torch.float64)
    shift = torch.zeros(3, dtype=torch.float64, requires_grad=True)

    def log_probs():
        shifted = logits + Halved.apply(shift) + shift.float().mean()
        return shifted.to(torch.float32).log_softmax(-1).to(torch.float64)

    def reinforce():
        y = torch.distributions.Categorical(logits=log_probs().detach()).sample()
        return costs[y] * log_probs()[y]

    def exact():
        value = (log_probs().exp() * costs).sum()
        return dict(zip(("a", "b"), torch.autograd.grad(value, [logits, shift]), strict=True))

    report = check_estimator(reinforce, wrt={"a": logits, "b": shift}, exact=exact)
    assert report.verdict == "holds", report.explain()
    assert "put into double precision for a while" in report.explain()
    assert max(float(abs(report.mean[key] - report.exact[key]).max()) for key in "ab") < 1e-15
    assert max(one.bound for one in report.comparisons) < 1e-11  # a thousand roundings of 3


def test_what_rounding_decides_is_not_taken_over():
    """A floor comes out otherwise in double precision: that is another mean."""
    logits = torch.tensor([0.3, -0.2, 0.5], requires_grad=True)
    scores = torch.tensor([0.7, 0.1, 0.2])  # of which ten times the first is 7, and 6.99 there

    def gradient(marks):
        law = torch.distributions.Categorical(logits=logits.double())
        (found,) = torch.autograd.grad((law.probs * torch.tensor(marks)).sum(), logits)
        return found.double()

    def reinforce():
        law = torch.distributions.Categorical(logits=logits)
        y = law.sample()
        return (scores[y] * 10).floor() * law.log_prob(y)

    for marks in ([6.0, 1.0, 2.0], [7.0, 1.0, 2.0]):
        exact = gradient(marks)
        report = check_estimator(reinforce, wrt=[logits], exact=[exact])
        assert report.verdict != ("holds" if marks[0] == 6.0 else "refuted"), report.explain()


def test_what_rounding_decides_on_a_rare_outcome_is_not_taken_over():
    """Of a probability of 0.3 %: of the largest entry little is off, of a small one a quarter."""
    logits = torch.tensor([0.0, -5.5, 0.5], requires_grad=True)
    shift = torch.tensor(0.1, requires_grad=True)  # its gradient is nothing but rounding
    scores = torch.tensor([0.1, 0.7, 0.2])  # ten times the second is 7, and 6.99 in double

    def law():
        return torch.distributions.Categorical(logits=logits + shift)

    def reinforce():
        y = law().sample()
        return (scores[y] * 10).floor() * law().log_prob(y)

    def exact():
        value = (law().probs * torch.tensor([1.0, 6.0, 2.0])).sum()
        return dict(zip("ab", torch.autograd.grad(value, [logits, shift]), strict=True))

    report = check_estimator(reinforce, wrt={"a": logits, "b": shift}, exact=exact)
    assert report.verdict == "undecided", report.explain()
    assert "its mean there is another one" in report.reason


def test_watched_gradients_are_left():
    """What accumulates them, and its hooks, would be gone."""
    policy = Policy(torch.float32)
    called = []
    accumulators = []
    for parameter in policy.parameters():
        accumulators.append(parameter.expand_as(parameter).grad_fn.next_functions[0][0])
        accumulators[-1].register_hook(lambda *_: called.append(1))
    report = check_estimator(policy.reinforce, wrt=policy, exact=policy.exact)
    assert report.verdict == "undecided"
    called.clear()
    policy.reinforce().backward()
    assert len(called) == len(accumulators)


def test_tensors_that_share_memory_are_left():
    """Of two views of one memory each would get its own."""
    policy = Policy(torch.float32)
    whole = torch.arange(6.0)
    parts = [whole[:3], whole[3:]]

    def reinforce():
        return policy.reinforce() + 0.0 * (parts[0] + parts[1]).sum()

    report = check_estimator(reinforce, wrt=policy, exact=policy.exact)
    assert report.verdict == "undecided", report.explain()
    assert "use double precision" in report.explain()


class Shifted(torch.nn.Module):
    """A model in single precision, with a parameter whose gradient is nothing but rounding."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table, self.shift = torch.nn.Embedding(3, 3), torch.nn.Parameter(torch.zeros(1))

    def forward(self, tokens):
        """Logits of the next token."""
        return self.table(tokens) + self.shift


def test_rewards_of_a_loss_are_what_they_are_in_their_own_precision():
    """Ten times 0.7 is 7 where it is computed in single precision."""
    policies = pytest.importorskip("gradproof.policies")
    scores = torch.tensor([0.7, 0.1, 0.2], dtype=torch.float64)

    def reward(tokens):
        return float((scores[list(tokens)].sum().float() * 10).floor())

    def rloo(log_probs, mask, rewards, tokens):
        others = (rewards.sum() - rewards) / (len(rewards) - 1)
        return -((rewards - others) * log_probs.sum(dim=1)).mean()

    policy = policies.autoregressive(Shifted(), [0], eos=0, longest=2)
    marks = {tokens: reward(tokens) for tokens in policy.probabilities()}
    assert marks[0,] == 7.0
    goal = policy.expected(marks.get)
    report = policies.check_loss(policy, rloo, goal, group=2, reward=reward)
    assert report.verdict == "holds", report.explain()
    assert "put into double precision for a while" in report.explain()
