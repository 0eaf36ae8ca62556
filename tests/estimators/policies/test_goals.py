"""Goals of policies: values and gradients against NumPy's enumeration and complex steps."""

import numpy as np
import pytest

pytestmark = pytest.mark.torch

#: Differences of sums of some fifty terms of size 1 to 10, each with a few roundings.
CLOSE = {"rtol": 0.0, "atol": 1e-13}


def by_numpy(table):
    """Each goal as a function of complex logits."""
    rows, log_p = table.completions(), table.log_p

    def p(logits, row):
        return np.exp(log_p(logits, row).sum())

    def log_ratio(logits, row):
        return (log_p(logits, row) - log_p(table.reference, row)).sum()

    def next_tokens(other):
        """Of prefixes that are drawn by the table itself, and do not move."""

        def value(logits):
            log_q = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
            log_r = other - np.log(np.exp(other).sum(axis=1, keepdims=True))
            rows_of = (np.exp(log_q) * (log_q - log_r)).sum(axis=1)
            return sum(
                p(table.logits, row) * sum(rows_of[each] for each in (0, *row)[: len(row)])
                for row in rows
            )

        return value

    uniform = np.zeros((3, 3))
    return {
        "expected": lambda x: sum(p(x, row) * table.reward(row) for row in rows),
        "kl": lambda x: sum(p(x, row) * log_ratio(x, row) for row in rows),
        "forward_kl": lambda x: -sum(p(table.reference, row) * log_ratio(x, row) for row in rows),
        "kl_of_next_tokens": next_tokens(table.reference),
        "entropy": lambda x: -sum(p(x, row) * log_p(x, row).sum() for row in rows),
        "entropy_of_next_tokens": lambda x: (
            sum(p(table.logits, row) * len(row) for row in rows) * np.log(3.0)
            - next_tokens(uniform)(x)
        ),
        "length": lambda x: sum(p(x, row) * len(row) for row in rows),
        "discounted": lambda x: sum(
            p(x, row) * sum(0.9**place * token for place, token in enumerate(row)) for row in rows
        ),
    }


def goal(name, policy, table, reference):
    """The same of the policy."""
    if name == "expected":
        return policy.expected(table.reward)
    if name == "discounted":
        return policy.expected(lambda row: [float(token) for token in row], discount=0.9)
    method = getattr(policy, name)
    return method(reference) if "kl" in name else method()


NAMES = [
    *("expected", "kl", "forward_kl", "kl_of_next_tokens", "entropy", "entropy_of_next_tokens"),
    *("length", "discounted"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_goal_is_what_numpy_enumerates(name, policy, table, reference):
    """Its value, and both signs of its gradient."""
    expected = by_numpy(table)[name]
    one = goal(name, policy, table, reference)
    gradient = table.gradient(expected)
    assert np.abs(gradient).max() > 0.01  # there is something to be compared
    np.testing.assert_allclose(one.value(), expected(table.logits).real, **CLOSE)
    np.testing.assert_allclose(one.as_reward()["gradient"], gradient, **CLOSE)
    np.testing.assert_allclose(one.as_loss()["gradient"], -gradient, **CLOSE)


def test_goals_are_added_and_multiplied(policy, table, reference):
    """And so are their values and gradients."""
    reward, kl = policy.expected(table.reward), policy.kl(reference)
    both = reward - 0.3 * kl / 2 + -policy.length()
    value = reward.value() - 0.15 * kl.value() - policy.length().value()
    np.testing.assert_allclose(both.value(), value, **CLOSE)
    parts = [one.as_reward()["gradient"] for one in (reward, kl, policy.length())]
    expected = parts[0] - 0.15 * parts[1] - parts[2]
    np.testing.assert_allclose(both.as_reward()["gradient"], expected, **CLOSE)
    assert sum([reward, kl]).value() == (reward + kl).value()


def test_two_divergences_are_one_number_and_have_two_gradients(policy, reference):
    """By the chain rule; whether prefixes are held is all that differs."""
    whole, by_token = policy.kl(reference), policy.kl_of_next_tokens(reference)
    np.testing.assert_allclose(whole.value(), by_token.value(), **CLOSE)
    apart = whole.as_loss()["gradient"] - by_token.as_loss()["gradient"]
    assert np.abs(apart).max() > 0.01  # it is some 0.05


def test_prompts_are_equally_likely(torch, theta, table):
    """A goal of two prompts is the mean of the goals of each, also of other lengths."""
    from gradproof import policies

    def make(prompts):
        return policies.autoregressive(
            lambda tokens: theta[tokens], prompts, eos=0, longest=2, parameters=theta
        )

    def reward(prompt, completion):
        return table.reward(completion) * (1.0 + prompt[-1])

    both = make([[1], [0, 2]])
    alone = [make([prompt]).expected(reward) for prompt in ([1], [0, 2])]
    mean = np.mean([each.as_loss()["gradient"] for each in alone], axis=0)
    np.testing.assert_allclose(both.expected(reward).as_loss()["gradient"], mean, **CLOSE)


def test_a_module_names_its_parameters(torch):
    """Those that no logit reaches have zeros, and those that are frozen no gradient."""
    from gradproof import policies

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table = torch.nn.Embedding(3, 3, dtype=torch.float64)
            self.unused = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
            self.frozen = torch.nn.Parameter(torch.ones(2), requires_grad=False)

        def forward(self, tokens):
            output = torch.nn.Module()
            output.logits = self.table(tokens)  # as models of Hugging Face's return them
            return output

    gradient = policies.autoregressive(Model(), [0], eos=0, longest=2).length().as_reward()
    assert set(gradient) == {"table.weight", "unused"}
    assert gradient["table.weight"].any()
    assert not gradient["unused"].any()


def test_the_gradient_of_a_model_in_single_precision_is_in_double_precision(torch):
    """As that of the same numbers in double precision; the model stays as it is."""
    from gradproof import policies

    def gradient(*models):
        policy, reference = (
            policies.autoregressive(model, [0], eos=0, longest=3) for model in models
        )
        return (policy.expected(len) - 0.1 * policy.kl(reference)).as_loss()

    def network(seed):
        torch.manual_seed(seed)
        return torch.nn.Sequential(torch.nn.Embedding(3, 4), torch.nn.Linear(4, 3)).float()

    models = network(0), network(1)
    single = gradient(*models)
    assert {each.dtype for model in models for each in model.parameters()} == {torch.float32}
    double = gradient(*(model.double() for model in models))
    for name, value in single.items():
        np.testing.assert_array_equal(value, double[name])
        assert value.dtype == np.float64


def test_rewards_are_what_they_are_in_their_own_precision(torch):
    """Ten times 0.7 is 7 in single precision, and less in double precision."""
    from gradproof import policies

    scores = torch.tensor([0.7, 0.1, 0.2], dtype=torch.float32)

    def reward(tokens):
        return float((scores[list(tokens)].sum() * 10).floor())

    for dtype in (torch.float32, torch.float64):
        logits = torch.tensor([[0.3, -0.2, 0.5]] * 3, dtype=dtype, requires_grad=True)
        policy = policies.autoregressive(
            lambda tokens, logits=logits: logits[tokens], [0], eos=0, longest=2, parameters=logits
        )
        marks = {tokens: reward(tokens) for tokens in policy.probabilities()}
        assert marks[0,] == 7.0
        found, expected = policy.expected(reward), policy.expected(marks.get)
        np.testing.assert_array_equal(found.as_loss()["gradient"], expected.as_loss()["gradient"])


def test_what_a_model_keeps_from_its_first_call_is_its_own(torch):
    """A mask that is made when it is first needed is not one in double precision."""
    from gradproof import policies

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.shift = torch.nn.Embedding(3, 3), None

        def forward(self, tokens):
            if self.shift is None:
                self.shift = torch.zeros(3)
            return self.table(tokens) + self.shift

    torch.manual_seed(0)
    model, reference = Model(), Model()
    policy = policies.autoregressive(model, [0], eos=0, longest=2)
    policy.kl(reference).as_loss()
    assert reference.shift is None or reference.shift.dtype is torch.float32
    assert model(torch.zeros(1, 1, dtype=torch.int64)).dtype is torch.float32
    assert reference(torch.zeros(1, 1, dtype=torch.int64)).dtype is torch.float32


def test_an_infinite_divergence_is_refused(policy, torch, theta):
    """Of either kind, naming where; and none is refused that is finite."""
    from gradproof import policies

    without = policies.autoregressive(
        lambda tokens: theta[tokens], [0], eos=0, longest=3, top_k=2, parameters=theta
    )
    with pytest.raises(ValueError, match=r"KL\(policy \|\| reference\) is infinite: .* token 1 "):
        policy.kl(without).value()
    with pytest.raises(ValueError, match="is infinite"):
        policy.kl_of_next_tokens(without).value()
    with pytest.raises(ValueError, match=r"KL\(reference \|\| policy\) is infinite"):
        without.forward_kl(policy).value()
    assert without.kl(policy).value() > 0.0
    assert policy.forward_kl(without).value() > 0.0
    assert without.kl(without).value() == 0.0


def test_the_longest_may_be_a_number_of_numpys(table, theta):
    """As a loop over sizes has it."""
    from gradproof import policies

    def logits(tokens):
        return theta[tokens]

    made = [
        policies.autoregressive(logits, [0], eos=0, longest=longest, parameters=theta)
        for longest in (2, np.int64(2))
    ]
    assert made[0].expected(len).value() == made[1].expected(len).value()


def test_what_is_no_goal_is_refused(policy, table, theta, torch):
    """Each with what to do."""
    from gradproof import policies

    rng = np.random.default_rng(0)
    refused = {
        "when it is asked for again": policy.expected(lambda row: rng.random()),
        "draws from a generator": policy.expected(lambda row: 0.0 * float(torch.rand(()))),
        "expected finite numbers": policy.expected(lambda row: float("nan")),
        "has shape": policy.expected(lambda row: [1.0] * (len(row) + 1), discount=1.0),
        "one number for some": policy.expected(
            lambda row: [1.0] * len(row) if len(row) > 1 else 1.0
        ),
        "pass discount=": policy.expected(lambda row: [1.0] * len(row)),
        "leave discount= out": policy.expected(table.reward, discount=0.5),
    }
    for words, one in refused.items():
        with pytest.raises(ValueError, match=words):
            one.value()
    with pytest.raises(TypeError, match="expected a number"):
        policy.expected(lambda row: "good").value()
    with pytest.raises(TypeError, match="expected a function"):
        policy.expected(1.0).value()
    with pytest.raises(TypeError, match="cannot be called with one argument or two"):
        policy.expected(lambda prompt, completion, text: 1.0).value()
    with pytest.raises(TypeError) as raised:
        policy.expected(lambda completions: [sum(row) for row in completions]).value()
    assert "one completion at a time" in raised.value.__notes__[0]
    with pytest.raises(ValueError, match="discount = 2"):
        policy.expected(table.reward, discount=2)
    with pytest.raises(ValueError, match="different policies"):
        (
            policy.length()
            + policies.autoregressive(
                lambda tokens: theta[tokens], [0], eos=0, longest=3, parameters=theta
            ).length()
        )
    with pytest.raises(ValueError, match="expected a finite number"):
        policy.length() * float("inf")
    with pytest.raises(TypeError):
        policy.length() + 1.0
    held = policies.autoregressive(
        lambda tokens: theta.detach()[tokens], [0], eos=0, longest=2, parameters=theta
    )
    with pytest.raises(ValueError, match="no parameter moves the goal"):
        held.length().as_loss()
    with pytest.raises(TypeError, match="reference = 3"):
        policy.kl(3)
    shorter = policies.autoregressive(
        lambda tokens: theta[tokens], [0], eos=0, longest=2, parameters=theta
    )
    with pytest.raises(ValueError, match="has longest 2, and the policy 3"):
        policy.kl(shorter)
