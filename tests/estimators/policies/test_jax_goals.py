"""Policies of JAX: goals against NumPy's enumeration, and what is refused."""

import numpy as np
import pytest

from .table import END, LOGITS, LONGEST, REFERENCE
from .test_goals import NAMES, by_numpy, goal

pytestmark = pytest.mark.libraries

#: Differences of sums of some fifty terms of size 1 to 10, each with a few roundings.
CLOSE = {"rtol": 0.0, "atol": 1e-13}


def model(parameters, tokens):
    """The table as a pure function of logits and prefixes."""
    return parameters[tokens]


@pytest.fixture(autouse=True)
def jax(library):
    """JAX in double precision, or nothing is tested."""
    found = library("jax")
    with found.enable_x64(True):
        yield found


@pytest.fixture
def theta(jax):
    """The logits as an array of JAX."""
    return jax.numpy.asarray(LOGITS)


def make(parameters, of=model, **options):
    """A policy of JAX."""
    from gradproof import policies

    given = {"prompts": [0], "eos": END, "longest": LONGEST, "parameters": parameters} | options
    return policies.autoregressive(of, given.pop("prompts"), **given)


@pytest.mark.parametrize("name", NAMES)
def test_a_goal_is_what_numpy_enumerates(name, jax, theta, table):
    """Its value, and both signs of its gradient; the reference as a function, and as a policy."""
    expected = by_numpy(table)[name]
    other = jax.numpy.asarray(REFERENCE)
    gradient = table.gradient(expected)
    assert np.abs(gradient).max() > 0.01  # there is something to be compared
    policy = make(theta)
    for reference in (lambda tokens: other[tokens], policy.at(other)):
        one = goal(name, policy, table, reference)
        np.testing.assert_allclose(one.value(), expected(table.logits).real, **CLOSE)
        np.testing.assert_allclose(one.as_reward()["gradient"], gradient, **CLOSE)
        np.testing.assert_allclose(one.as_loss()["gradient"], -gradient, **CLOSE)


@pytest.mark.parametrize("name", ["expected", "kl", "forward_kl", "entropy", "kl_of_next_tokens"])
def test_temperature_is_of_the_policy_and_of_its_reference(name, jax, theta, table):
    """By the chain rule each derivative of NumPy's table is divided by it."""
    table.logits, table.reference = LOGITS / 0.7, REFERENCE / 0.7
    gradient = table.gradient(by_numpy(table)[name]) / 0.7
    other = jax.numpy.asarray(REFERENCE)
    one = goal(name, make(theta, temperature=0.7), table, lambda tokens: other[tokens])
    np.testing.assert_allclose(one.as_reward()["gradient"], gradient, **CLOSE)


@pytest.mark.parametrize(("options", "kept"), [({"top_k": 2}, 2), ({"top_p": 0.3}, 1)])
def test_what_is_left_out_is_of_no_completion(options, kept, jax, theta, table):
    """Values and gradients, by NumPy with logits of minus ten thousand in place of others."""
    likeliest = np.argsort(-LOGITS, axis=1)[:, :kept]
    out = np.ones_like(LOGITS, dtype=bool)
    np.put_along_axis(out, likeliest, values=False, axis=1)
    table.logits = np.where(out, -1e4, LOGITS)  # their exponentials are zero
    other = jax.numpy.asarray(REFERENCE)
    for name in NAMES:
        if name == "forward_kl":  # it is infinite
            continue
        one = goal(name, make(theta, **options), table, lambda tokens: other[tokens])
        expected = by_numpy(table)[name]
        np.testing.assert_allclose(one.value(), expected(table.logits).real, **CLOSE)
        gradient = np.where(out, 0.0, table.gradient(expected))
        np.testing.assert_allclose(one.as_reward()["gradient"], gradient, **CLOSE)


def test_prompts_are_equally_likely(theta, table):
    """A goal of two prompts is the mean of the goals of each, also of other lengths."""

    def reward(prompt, completion):
        return table.reward(completion) * (1.0 + prompt[-1])

    several = ([[1], [0, 2]], [1], [0, 2])
    both, *alone = [make(theta, prompts=each).expected(reward).as_loss() for each in several]
    mean = np.mean([each["gradient"] for each in alone], axis=0)
    np.testing.assert_allclose(both["gradient"], mean, **CLOSE)


def test_goals_are_of_other_parameters(jax, theta, table):
    """As of a policy that is made of them."""
    other = jax.numpy.asarray(REFERENCE)
    moved = make(theta).expected(table.reward).at(other).as_loss()
    np.testing.assert_array_equal(
        moved["gradient"], make(other).expected(table.reward).as_loss()["gradient"]
    )


def test_jitted_models_and_logits_of_each_place(jax, theta, table):
    """(B, L, V) and (B, V), compiled or not, in a mapping or not: the same."""
    models = (
        jax.jit(model),
        lambda parameters, tokens: parameters[tokens[:, -1]],
        lambda parameters, tokens: {"logits": parameters[tokens]},
    )
    expected = make(theta).expected(table.reward).as_loss()["gradient"]
    for each in models:
        found = make(theta, each).expected(table.reward).as_loss()["gradient"]
        np.testing.assert_allclose(found, expected, **CLOSE)


def test_gradients_have_the_names_that_estimators_returns_have(jax, theta, table):
    """Of a pytree, in which whatever is no floating-point array is held."""
    parameters = {
        "layers": [{"w": theta}, (np.zeros(3), jax.numpy.arange(3))],
        "unused": jax.numpy.ones(2),
        "rate": 0.5,
        "key": jax.random.key(0),
    }

    def nested(given, tokens):
        (first, (bias, _)) = given["layers"]
        return first["w"][tokens] + bias

    found = make(parameters, nested).expected(table.reward).as_reward()
    assert set(found) == {"layers.0.w", "layers.1.0", "unused"}
    expected = make(theta).expected(table.reward).as_reward()["gradient"]
    np.testing.assert_allclose(found["layers.0.w"], expected, **CLOSE)
    np.testing.assert_allclose(found["layers.1.0"], expected.sum(axis=0), **CLOSE)
    assert not found["unused"].any()


def of_equinox(library, jax):
    """A module, and the policy's model of it."""
    equinox = library("equinox")
    layer = equinox.nn.Embedding(weight=jax.numpy.asarray(LOGITS))
    return layer, lambda module, tokens: jax.vmap(jax.vmap(module))(tokens)


def of_flax(library, jax):
    """The same of flax."""
    layer = library("flax.linen").Embed(3, 3)
    return {"params": {"embedding": jax.numpy.asarray(LOGITS)}}, layer.apply


def of_nnx(library, jax):
    """... and of its modules that have their parameters."""
    nnx = library("flax.nnx")
    layer = nnx.Embed(3, 3, rngs=nnx.Rngs(0), param_dtype=jax.numpy.float64)
    layer.embedding.set_value(jax.numpy.asarray(LOGITS))
    graph, state = nnx.split(layer)
    return state, lambda state, tokens: nnx.merge(graph, state)(tokens)


def of_haiku(library, jax):
    """... and of haiku."""
    haiku = library("haiku")

    def table(tokens):
        return haiku.Embed(embedding_matrix=jax.numpy.asarray(LOGITS))(tokens)

    function = haiku.without_apply_rng(haiku.transform(table))
    return function.init(None, jax.numpy.zeros((1, 1), dtype=int)), function.apply


@pytest.mark.parametrize("make_one", [of_equinox, of_flax, of_nnx, of_haiku])
def test_modules_are_functions_of_their_parameters(make_one, library, jax, theta, table):
    """The same gradient, by the one name that each has, which is that of jax.grad's."""
    from gradproof.estimators.enumeration.gradients import named

    parameters, function = make_one(library, jax)
    policy = make(parameters, function)
    (name, gradient), *none = policy.expected(table.reward).as_loss().items()
    assert not none
    expected = make(theta).expected(table.reward).as_loss()["gradient"]
    np.testing.assert_allclose(gradient, expected, **CLOSE)

    def length(parameters):
        return policy.at(parameters).log_probs([(0,)]).sum()

    assert list(named(jax.grad(length)(parameters))) == [name]


def test_what_does_not_fit_is_refused(jax, theta, table):
    """By its value, with what to do."""
    numpy, rng = jax.numpy, np.random.default_rng()
    models = {
        "the logit of token 0 after .0. is nan": lambda p, tokens: p[tokens] * numpy.nan,
        "are -inf": lambda p, tokens: p[tokens] - numpy.inf,
        "as probabilities do": lambda p, tokens: jax.nn.softmax(p[tokens]),
        r"logits of shape \(3,\)": lambda p, tokens: p[0],
        "gives other logits the next time": lambda p, tokens: p[tokens] + rng.random(),
    }
    for words, each in models.items():
        with pytest.raises(ValueError, match=words):
            make(theta, each)
    with pytest.raises(ValueError, match="vocabulary = 5, and the model returns logits of 3"):
        make(theta, vocabulary=5)
    with pytest.raises(ValueError, match="no parameter moves the goal"):
        make(theta, lambda p, tokens: numpy.asarray(LOGITS)[tokens]).length().as_loss()
    with pytest.raises(ValueError, match=r"KL\(policy \|\| reference\) is infinite"):
        make(theta).kl(make(theta, top_k=2)).value()
    with pytest.raises(ValueError, match="equally likely after"):
        make(0.0 * theta, top_k=2).probabilities()
    with pytest.raises(ValueError, match="pass a pytree of the same structure"):
        make(theta).at({"theta": theta})
    with pytest.raises(TypeError, match=r"expected an array of JAX of logits"):
        make(theta, lambda p, tokens: [1.0])
    with pytest.raises(TypeError, match=r"expected a function of \(parameters, tokens\)"):
        make(theta, lambda tokens: theta[tokens])
    with pytest.raises(TypeError, match="no array of floating-point numbers"):
        make(numpy.arange(3))
    with pytest.raises(TypeError, match="which cannot be called with tokens alone: bind"):
        make(theta).kl(model)
    with pytest.raises(TypeError, match="pass key="):
        make(theta).sample(1)
    with pytest.raises(IndexError) as raised:
        make(theta, lambda p, tokens: np.asarray(LOGITS)[np.asarray(tokens)], prompts=[[7]])
    assert "tokens from 7 to 7" in raised.value.__notes__[0]


def test_single_precision_is_refused(jax, theta):
    """Where x64 is off, before anything is computed."""
    with jax.enable_x64(False), pytest.raises(ValueError, match="jax_enable_x64 is off"):
        make(jax.numpy.asarray(LOGITS))
    policy = make(theta)
    with jax.enable_x64(False), pytest.raises(ValueError, match="jax_enable_x64 is off"):
        policy.probabilities()


def test_traced_parameters_are_refused(jax, theta, table):
    """Where a policy is made of them, and where a goal is asked for."""
    with pytest.raises(TypeError, match="make the policy outside"):
        jax.jit(lambda p: make(p).log_probs([(0,)]))(theta)
    with pytest.raises(TypeError, match="make the policy, and ask for its goals, outside"):
        jax.jit(lambda x: make(theta).log_probs([(0,)]))(theta)
    goal_of = make(theta).expected(table.reward)
    with pytest.raises(TypeError, match="ask for its goals, outside"):
        jax.jit(lambda p: goal_of.at(p).value())(theta)
    with pytest.raises(TypeError, match=r"pass policies\.Completions\(prompt, tokens, mask\)"):
        jax.jit(goal_of.policy.log_probs)(np.zeros((1, 1), dtype=int))
    with pytest.raises(TypeError, match=r"compute with \.tokens and \.mask"):
        jax.jit(lambda key: goal_of.policy.sample(1, key=key).tuples())(jax.random.key(0))


def test_log_probabilities_are_of_each_token(jax, theta, table):
    """0 for padding, under jit too; the gradient has nothing of a prefix that has ended."""
    policy = make(
        theta, lambda p, tokens: p[tokens[:, -1]] / (tokens[:, 1:] != END).all(1)[:, None]
    )
    rows = table.completions()
    group = policy.read(rows)

    def log_probs(parameters):
        return policy.at(parameters).log_probs(group)

    expected = np.zeros((len(rows), LONGEST))
    for place, row in enumerate(rows):
        expected[place, : len(row)] = table.log_p(LOGITS, row)
    for function in (log_probs, jax.jit(log_probs)):
        np.testing.assert_allclose(function(theta), expected, **CLOSE)
    gradient = jax.grad(lambda parameters: log_probs(parameters).sum())(theta)
    total = table.gradient(lambda x: sum(table.log_p(x, row).sum() for row in rows))
    np.testing.assert_allclose(gradient, total, **CLOSE)


@pytest.mark.parametrize("options", [{}, {"top_k": 2}, {"top_p": 0.6}])
def test_truncation_is_the_same_under_jit(options, jax, theta):
    """Where it is of traced numbers."""
    policy = make(theta, **options)
    rows = list(policy.probabilities())
    group = policy.read(rows)
    traced = jax.jit(lambda parameters: policy.at(parameters).log_probs(group))(theta)
    likely = np.exp(np.asarray(traced).sum(axis=1))
    np.testing.assert_allclose(likely, list(policy.probabilities().values()), **CLOSE)


def test_samples_follow_the_law(jax, theta):
    """Of 20,000 real draws every frequency is within 5 standard deviations: 15 completions."""
    from gradproof.policies import Completions

    count, policy = 20_000, make(theta)

    def draw(key):
        group = policy.sample(count, key=key)
        return group.tokens, group.mask

    for function in (draw, jax.jit(draw)):
        drawn = Completions(0, *function(jax.random.key(0))).tuples()
        for row, likely in policy.probabilities().items():
            spread = np.sqrt(likely * (1.0 - likely) / count)
            # One in a million for each of 15 by chance.
            assert abs(drawn.count(row) / count - likely) < 5.0 * spread


def test_what_has_ended_draws_no_more(jax, theta):
    """An enumeration has one path for each pair of completions, and each has its probability."""
    from gradproof.estimators.enumeration.enumeration import Enumeration
    from gradproof.estimators.enumeration.estimator import UserFunction

    policy = make(theta, longest=2)
    law, pairs = policy.probabilities(), {}

    def draw():
        return tuple(policy.sample(2, key=jax.random.key(0)).tuples())

    with Enumeration(UserFunction(draw)) as enumeration:
        for path in enumeration.paths():
            assert path.value not in pairs
            pairs[path.value] = path.probability
    assert len(pairs) == len(law) ** 2 == 49
    for (one, other), likely in pairs.items():
        np.testing.assert_allclose(likely, law[one] * law[other], **CLOSE)


def test_a_recurrent_model_is_what_loops_come_to(jax, table):
    """With ``scan``, whose states depend on all of a prefix; by a sum that is written out."""
    numpy, rng = jax.numpy, np.random.default_rng(0)
    shapes = {"embed": (3, 2), "state": (2, 2), "head": (2, 3)}
    parameters = {name: numpy.asarray(rng.normal(size=shape)) for name, shape in shapes.items()}

    def recurrent(given, tokens):
        def step(state, token):
            state = numpy.tanh(state @ given["state"] + given["embed"][token])
            return state, state @ given["head"]

        return jax.lax.scan(step, numpy.zeros((len(tokens), 2)), tokens.T)[1].swapaxes(0, 1)

    def written_out(given):
        total = 0.0
        for row in table.completions():
            state, log_p = numpy.zeros(2), 0.0
            for before, token in zip((0, *row), row, strict=False):
                state = numpy.tanh(state @ given["state"] + given["embed"][before])
                log_p += jax.nn.log_softmax(state @ given["head"])[token]
            total += numpy.exp(log_p) * table.reward(row)
        return total

    found = make(parameters, recurrent).expected(table.reward)
    expected, gradient = jax.value_and_grad(written_out)(parameters)
    np.testing.assert_allclose(found.value(), expected, **CLOSE)
    for name, value in found.as_reward().items():
        np.testing.assert_allclose(value, gradient[name], **CLOSE)


def test_a_reference_may_be_of_pytorch(library, theta, table):
    """And the other way round: what is held has numbers, whosever they are."""
    torch = library("torch")
    other = torch.tensor(REFERENCE, requires_grad=True)
    reference = make(other, lambda tokens: other[tokens])
    ours = make(theta)
    expected = by_numpy(table)
    np.testing.assert_allclose(ours.kl(reference).value(), expected["kl"](LOGITS).real, **CLOSE)
    gradient = table.gradient(expected["forward_kl"])
    np.testing.assert_allclose(
        ours.forward_kl(reference).as_reward()["gradient"], gradient, **CLOSE
    )
    table.logits, table.reference = table.reference, table.logits
    gradient = table.gradient(by_numpy(table)["kl"])
    np.testing.assert_allclose(reference.kl(ours).as_reward()["gradient"], gradient, **CLOSE)
