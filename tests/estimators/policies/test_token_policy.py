"""A policy's law, its samples and log-probabilities, and what is refused."""

import dataclasses

import numpy as np
import pytest

pytestmark = pytest.mark.torch

CLOSE = {"rtol": 0.0, "atol": 1e-14}  # of probabilities: a few roundings of numbers below 1


def make(model, theta, **options):
    """A policy of a function."""
    from gradproof import policies

    given = {"prompts": [0], "eos": 0, "longest": 2, "parameters": theta} | options
    return policies.autoregressive(model, given.pop("prompts"), **given)


def test_the_law_is_the_product_of_probabilities(policy, table):
    """Of every completion, by NumPy, and all of them are certain."""
    law = policy.probabilities()
    assert set(law) == set(table.completions())
    for row, likely in law.items():
        expected = np.exp(table.log_p(table.logits, row).sum())
        np.testing.assert_allclose(likely, expected, **CLOSE)
    np.testing.assert_allclose(sum(law.values()), 1.0, **CLOSE)


def test_each_prefix_goes_to_the_model_once(theta, table):
    """Together with the others of its length."""
    seen = []

    def model(tokens):
        seen.append(tokens.tolist())
        return theta[tokens]

    policy = make(model, theta, longest=3)
    seen.clear()
    policy.probabilities()
    assert [len(batch) for batch in seen] == [1, 2, 4]  # by length
    prefixes = [tuple(row) for batch in seen for row in batch]
    assert len(set(prefixes)) == len(prefixes) == 7


def test_log_probabilities_are_of_each_token(policy, table):
    """0 for padding."""
    rows = table.completions()
    log_p = policy.log_probs(rows)
    assert log_p.shape == (len(rows), table.longest)
    for row, found in zip(rows, log_p.detach().numpy(), strict=True):
        expected = np.zeros(table.longest)
        expected[: len(row)] = table.log_p(table.logits, row)
        np.testing.assert_allclose(found, expected, **CLOSE)


def test_samples_follow_the_law(policy, torch):
    """Of 40,000 real draws every frequency is within 5 standard deviations: 15 completions."""
    count = 40_000
    torch.manual_seed(0)
    drawn = policy.sample(count).tuples()
    for row, likely in policy.probabilities().items():
        spread = np.sqrt(likely * (1.0 - likely) / count)
        # One in a million for each of 15 by chance.
        assert abs(drawn.count(row) / count - likely) < 5.0 * spread


def test_what_has_ended_draws_no_more(policy):
    """An enumeration has one path for each pair of completions, and each has its probability."""
    from gradproof.estimators.enumeration.enumeration import Enumeration
    from gradproof.estimators.enumeration.estimator import UserFunction

    law, pairs = policy.probabilities(), {}
    with Enumeration(UserFunction(lambda: tuple(policy.sample(2).tuples()))) as enumeration:
        for path in enumeration.paths():
            assert path.value not in pairs
            pairs[path.value] = path.probability
    assert len(pairs) == len(law) ** 2 == 225
    for (one, other), likely in pairs.items():
        np.testing.assert_allclose(likely, law[one] * law[other], **CLOSE)


@pytest.mark.parametrize(
    ("options", "kept"),
    [({"temperature": 0.5}, 3), ({"top_k": 2}, 2), ({"top_p": 0.6}, 2), ({"top_p": 0.3}, 1)],
)
def test_the_sampler_is_the_policy(theta, table, options, kept):
    """The first token's law at a temperature, of the likeliest, and of the nucleus."""
    logits = table.logits[0] / options.get("temperature", 1.0)
    order = np.argsort(-logits)[:kept]
    expected = dict(zip(order.tolist(), np.exp(logits[order]), strict=True))
    total = sum(expected.values())
    first = {}
    for row, likely in make(lambda tokens: theta[tokens], theta, **options).probabilities().items():
        first[row[0]] = first.get(row[0], 0.0) + likely
    assert set(first) == set(expected)
    for token, likely in first.items():
        np.testing.assert_allclose(likely, expected[token] / total, **CLOSE)


def test_without_an_end_each_has_all_tokens(theta):
    """And several tokens may end."""
    law = make(lambda tokens: theta[tokens], theta, eos=None).probabilities()
    assert {len(row) for row in law} == {2}
    assert len(law) == 9
    law = make(lambda tokens: theta[tokens], theta, eos=[0, 2]).probabilities()
    assert set(law) == {(0,), (2,), (1, 0), (1, 1), (1, 2)}


def test_logits_of_the_next_token_alone_will_do(theta, policy):
    """(B, V), as of a state that is kept."""
    other = make(lambda tokens: theta[tokens[:, -1]], theta, longest=3)
    assert other.probabilities() == policy.probabilities()


def test_nothing_is_left_changed(torch, policy, theta, table, reference):
    """Neither generators nor gradients; and moved parameters are followed."""
    state = torch.random.get_rng_state()
    goal = policy.expected(table.reward) - 0.1 * policy.kl(reference)
    before = goal.as_loss()["gradient"]
    assert torch.equal(torch.random.get_rng_state(), state)
    assert theta.grad is None
    with torch.no_grad():
        theta.mul_(2.0)
    assert np.abs(goal.as_loss()["gradient"] - before).max() > 0.01  # by about its size


def test_a_model_that_draws_is_refused_where_it_does_not_show(torch):
    """Dropout of one in a million, which gives the same logits twice."""
    table, dropout = torch.nn.Embedding(3, 3), torch.nn.Dropout(1e-6)
    model = torch.nn.Sequential(table, dropout)
    state = torch.random.get_rng_state()
    with pytest.raises(ValueError, match=r"draws random numbers, .*call model.eval\(\)"):
        make(model, None)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert make(model.eval(), None).vocabulary == 3


def test_the_end_may_be_a_number_of_numpys(torch):
    """Or a tensor, as tokenizers have it."""
    table = torch.nn.Embedding(3, 3)
    for end in (np.int64(2), torch.tensor(2), np.array([2]), 2):
        policy = make(table, None, eos=end)
        assert policy.ends == {2}


def test_a_model_that_draws_is_refused(torch):
    """Dropout, and statistics that are kept, of a module in training mode."""
    for layer in (torch.nn.Dropout(0.5), torch.nn.BatchNorm1d(3)):
        table = torch.nn.Embedding(3, 3)

        class Model(torch.nn.Module):
            def __init__(self, table, layer):
                super().__init__()
                self.table, self.layer = table, layer

            def forward(self, tokens):
                rows = self.table(tokens[:, -1]).repeat(2, 1)  # two, for their variance
                return self.layer(rows)[: len(tokens)]

        model = Model(table, layer)
        buffers = {name: each.clone() for name, each in model.named_buffers()}
        with pytest.raises(ValueError, match=r"call model.eval\(\)"):
            make(model, None)
        for name, each in model.named_buffers():
            assert torch.equal(each, buffers[name])
        assert make(model.eval(), None).vocabulary == 3


def test_what_does_not_fit_is_refused(torch, theta):
    """By its value, with what to do."""

    def table(tokens):
        return theta[tokens]

    def late(tokens, value):
        return theta[tokens] + (value if tokens.shape[1] > 1 else 0.0)

    values = {
        "temperature = 0": {"temperature": 0.0},
        "top_k = 0": {"top_k": 0},
        "top_p = 1.5": {"top_p": 1.5},
        "longest = None": {"longest": None},
        "eos = 3, expected a token from 0 to 2": {"eos": 3},
        "vocabulary = 5, and the model returns logits of 3": {"vocabulary": 5},
        "one token number at least": {"prompts": [[]]},
    }
    for words, options in values.items():
        with pytest.raises(ValueError, match=words):
            make(table, theta, **options)
    models = {
        "is nan": lambda tokens: theta[tokens] * float("nan"),
        "are -inf": lambda tokens: theta[tokens] - float("inf"),
        "as probabilities do": lambda tokens: theta[tokens].softmax(-1),
        "logits of shape": lambda tokens: theta[0],
    }
    for words, model in models.items():
        with pytest.raises(ValueError, match=words):
            make(model, theta)
    with pytest.raises(ValueError, match=r"the logit of token 0 after \[0, 1\] is nan"):
        make(lambda tokens: late(tokens, float("nan")), theta).probabilities()
    with pytest.raises(TypeError, match="pass parameters="):
        make(table, None)
    with pytest.raises(TypeError, match="expected a tensor of logits"):
        make(lambda tokens: [1.0], theta)
    policy = make(table, theta)
    for words, call in {
        "count = 0": lambda: policy.sample(0),
        "prompt = 1": lambda: policy.sample(1, prompt=1),
        "say which": lambda: make(table, theta, prompts=[[0], [1]]).sample(1),
        "has the token 7": lambda: policy.log_probs([(7,)]),
        "a completion is": lambda: policy.log_probs([(1,)]),
    }.items():
        with pytest.raises(ValueError, match=words):
            call()


def test_logits_may_add_up_to_one_by_accident(torch):
    """After one prefix; probabilities do after each."""
    rows = torch.tensor([[0.2, 0.3, 0.5], [1.0, 2.0, 3.0], [0.1, 0.1, 0.1]], requires_grad=True)
    assert make(lambda tokens: rows[tokens], rows).vocabulary == 3


def test_ties_are_refused(torch):
    """What is left out is up to the library where tokens are equally likely."""
    equal = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    for options in ({"top_k": 2}, {"top_p": 0.5}, {"top_p": 1.0 / 3.0}):
        with pytest.raises(ValueError, match="equally likely after"):
            make(lambda tokens: equal[tokens], equal, **options).probabilities()


def test_too_many_completions_are_said_at_once(torch):
    """Before many prefixes are run: the number, and what to shrink."""
    wide = torch.zeros(1000, 1000, dtype=torch.float64, requires_grad=True)
    seen = []

    def model(tokens):
        seen.append(len(tokens))
        return wide[tokens]

    policy = make(model, wide, longest=4)
    with pytest.raises(ValueError, match=r"999,001 .* some 1e\+12 of them: take a smaller"):
        policy.probabilities()
    assert max(seen) < 1000  # one prefix, and those of one token


def test_it_is_a_record(policy):
    """Frozen: another temperature is another policy."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        policy.longest = 5


def test_text_is_no_prompt(theta):
    """Prompts are numbers of tokens."""
    for text in ("hi", ["hi"], [["h", "i"]]):
        with pytest.raises(TypeError, match="expected numbers of tokens, such as"):
            make(lambda tokens: theta[tokens], theta, prompts=text)


def test_an_error_of_the_model_says_what_it_was_given(theta):
    """As where a prompt has a token that the model does not know."""
    with pytest.raises(IndexError) as raised:
        make(lambda tokens: theta[tokens], theta, prompts=[[7]])
    assert "prefixes of shape (1, 1)" in raised.value.__notes__[0]
    assert "tokens from 7 to 7" in raised.value.__notes__[0]


def test_a_policy_is_shown_in_a_line(theta):
    """Without the numbers of its parameters."""
    policy = make(lambda tokens: theta[tokens], theta)
    assert repr(policy) == "<policy of function: 1 prompt, up to 2 of 3 tokens, ended by 0>"


@pytest.mark.parametrize("options", [{}, {"top_k": 2}])
def test_functional_derivatives_are_the_same(options, torch, theta):
    """Of torch.func.grad, under which tensors have no memory to be looked at."""
    rows = [(2, 0), (2, 2)]
    policy = make(lambda tokens: theta[tokens], theta, **options)

    def total(values):
        other = dataclasses.replace(policy, model=lambda tokens: values[tokens])
        return other.log_probs(rows).sum()

    expected = torch.autograd.grad(policy.log_probs(rows).sum(), theta)[0]
    np.testing.assert_allclose(torch.func.grad(total)(theta.detach()), expected, **CLOSE)


def test_what_is_of_jax_is_refused(policy, theta):
    """A key, and other parameters."""
    with pytest.raises(TypeError, match="leave key= out"):
        policy.sample(1, key=0)
    with pytest.raises(TypeError, match=r"at\(\) is of policies of JAX"):
        policy.at(theta)
    with pytest.raises(TypeError, match="expected a whole number"):
        policy.log_probs([(None,)])
