"""PyTensor's draws, walked through: outcomes and chances as it has them, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from gradproof import check_estimator
from gradproof.estimators.replay import Continuous, intercepted, walk

pytestmark = [
    pytest.mark.libraries,
    # Its names, as it says of itself, will give the generator's next state too.
    pytest.mark.filterwarnings("ignore:RandomVariable Ops will stop:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*RandomStream:DeprecationWarning"),
]

LOGITS = np.array([[0.3, -0.2, 0.5], [1.0, 0.0, -1.0]])
SHARES = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
COST = np.array([1.0, 2.0, 4.0])
CHANCE = 1e-13  # several roundings
MODES = ["FAST_COMPILE", "CVM"]


@pytest.fixture(autouse=True)
def pytensor(library):
    """PyTensor; its draws are not loaded by the package alone."""
    found = library("pytensor")
    library("pytensor.tensor.random")
    return found


@pytest.fixture
def rng(pytensor):
    """A generator that functions keep, to be given to what draws."""
    return pytensor.shared(np.random.default_rng())


def chances(function, *args):
    """The probability of each value of a function's one output."""
    found = {}
    for path in walk(lambda: function(*args), intercepted()):
        key = repr(np.asarray(path.value).tolist())
        found[key] = found.get(key, 0.0) + path.weight
    assert sum(found.values()) == pytest.approx(1.0, abs=CHANCE)
    return found


def drawn(pytensor, rng, make, mode="FAST_COMPILE"):
    """A compiled function that draws once, and moves its generator."""
    moved, found = make(pytensor.tensor.random, rng=rng, return_next_rng=True)
    return pytensor.function([], found, updates={rng: moved}, mode=mode)


#: What is drawn, and the chance of each outcome.
DRAWS = {
    "categorical": (
        lambda random, **how: random.categorical(SHARES, **how),
        {repr([i, j]): SHARES[0, i] * SHARES[1, j] for i in range(3) for j in range(3)},
    ),
    "categorical, twice": (
        lambda random, **how: random.categorical(np.array([0.25, 0.75]), size=(2,), **how),
        {repr([i, j]): (0.25, 0.75)[i] * (0.25, 0.75)[j] for i in range(2) for j in range(2)},
    ),
    "bernoulli": (
        lambda random, **how: random.bernoulli(np.array([0.25, 1.0]), **how),
        {"[0, 1]": 0.75, "[1, 1]": 0.25},
    ),
    "binomial": (
        lambda random, **how: random.binomial(2, 0.25, **how),
        {"0": 0.5625, "1": 0.375, "2": 0.0625},
    ),
    "multinomial": (
        lambda random, **how: random.multinomial(1, SHARES[0], **how),
        {repr(row): SHARES[0, i] for i, row in enumerate(np.eye(3, dtype=int).tolist())},
    ),
    "integers": (
        lambda random, **how: random.integers(2, 5, **how),
        {"2": 1 / 3, "3": 1 / 3, "4": 1 / 3},
    ),
    "choice": (
        lambda random, **how: random.choice(np.array([7, 9]), p=np.array([0.25, 0.75]), **how),
        {"7": 0.25, "9": 0.75},
    ),
    "choice, none twice": (
        lambda random, **how: random.choice(
            np.array([7, 8, 9]), p=np.array([0.5, 0.25, 0.25]), size=2, replace=False, **how
        ),
        {"[7, 8]": 0.25, "[7, 9]": 0.25, "[8, 7]": 1 / 6, "[8, 9]": 1 / 12, "[9, 7]": 1 / 6,
         "[9, 8]": 1 / 12},
    ),
    "permutation": (
        lambda random, **how: random.permutation(np.array([4, 5]), **how),
        {"[4, 5]": 0.5, "[5, 4]": 0.5},
    ),
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", DRAWS)
def test_outcomes_and_their_chances(pytensor, rng, name, mode):
    """However it is compiled, as long as its ops run one by one."""
    make, known = DRAWS[name]
    assert chances(drawn(pytensor, rng, make, mode)) == pytest.approx(known)


def test_draws_in_order_with_parameters_that_hang_on_those_before(pytensor, rng):
    """The second coin's chance is what the first one decides."""
    random = pytensor.tensor.random
    first = random.bernoulli(0.25, rng=rng)
    second = random.bernoulli(0.5 * first, rng=first.owner.outputs[0])
    updates = {rng: second.owner.outputs[0]}
    function = pytensor.function([], [first, second], updates=updates, mode="FAST_COMPILE")
    assert chances(function) == pytest.approx({"[0, 0]": 0.75, "[1, 0]": 0.125, "[1, 1]": 0.125})


def test_a_state_that_is_not_moved_draws_the_same(pytensor, rng):
    """As it does without a walker; and another draw from it is refused."""
    random = pytensor.tensor.random
    coins = [random.bernoulli(np.array([0.25, 0.25]), rng=rng) for _ in range(2)]
    function = pytensor.function([], coins[0] - coins[1], mode="FAST_COMPILE")
    assert chances(function) == {"[0, 0]": pytest.approx(1.0)}
    other = random.bernoulli(0.5, rng=rng)
    function = pytensor.function([], coins[0] - other, mode="FAST_COMPILE")
    with pytest.raises(Continuous, match="PyTensor draws by bernoulli from a state that bernoulli"):
        chances(function)


@pytest.mark.parametrize("inner", ["FAST_COMPILE", None])
def test_draws_inside_scan(pytensor, rng, inner):
    """Each step's coin is one of its own, whatever mode the loop names for itself."""

    def step(state):
        coin = pytensor.tensor.random.bernoulli(0.25, rng=state)
        return coin.owner.outputs[0], coin

    coins = pytensor.scan(
        step, outputs_info=[rng, None], n_steps=2, mode=inner, return_updates=False
    )[1]
    function = pytensor.function([], coins, mode="FAST_COMPILE")
    expected = {"[0, 0]": 0.5625, "[0, 1]": 0.1875, "[1, 0]": 0.1875, "[1, 1]": 0.0625}
    assert chances(function) == pytest.approx(expected)


# ------------------------------------------------------------------ estimators


def score_estimate(pytensor, rng, bias=0.0):
    """A compiled single-sample score-function gradient by the logits, and its inputs."""
    import pytensor.gradient
    import pytensor.tensor as pt

    logits = pt.vector("logits", dtype="float64")
    log_q = logits - pt.logsumexp(logits)
    label = pt.random.categorical(pt.exp(log_q), rng=rng)
    held = pytensor.gradient.disconnected_grad(
        pt.as_tensor(COST)[label] - bias * pt.exp(log_q)[label]
    )
    gradient = pytensor.grad(held * log_q[label], logits, disconnected_inputs="ignore",
                             consider_constant=[label])  # fmt: skip
    updates = {rng: label.owner.outputs[0]}
    return pytensor.function([logits], gradient, updates=updates, mode="FAST_COMPILE")


def exact(logits):
    """The gradient of the mean cost."""
    q = np.exp(logits) / np.exp(logits).sum()
    return q * (COST - q @ COST)


def test_an_estimator_holds_and_one_with_a_bias_does_not(pytensor, rng):
    """A baseline that hangs on the label that was drawn moves the mean."""
    right = score_estimate(pytensor, rng)
    assert check_estimator(right, [LOGITS[0]], exact=exact).verdict == "holds"
    wrong = score_estimate(pytensor, rng, bias=1.0)
    assert check_estimator(wrong, [LOGITS[0]], exact=exact).verdict == "refuted"


def test_nested_walks_ask_the_innermost(pytensor, rng):
    """The outer one has a single path of what only the inner one draws."""
    function = drawn(pytensor, rng, DRAWS["bernoulli"][0])
    outer = list(walk(lambda: chances(function), intercepted()))
    assert len(outer) == 1
    assert outer[0].value == pytest.approx(DRAWS["bernoulli"][1])


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("name", ["normal", "uniform", "poisson"])
def test_what_has_no_outcomes_to_count_is_named(pytensor, rng, name):
    """Before anything is run."""
    function = drawn(pytensor, rng, lambda random, **how: getattr(random, name)(**how))
    with pytest.raises(Continuous, match=f"PyTensor draws by {name}, which has no outcomes"):
        chances(function)


def test_a_function_that_is_compiled_whole_is_refused(pytensor, rng):
    """It runs no method that could be asked; the message has what to do."""
    function = drawn(pytensor, rng, DRAWS["bernoulli"][0], mode="NUMBA")
    with pytest.raises(Continuous, match='compile it with mode="FAST_COMPILE"'):
        chances(function)


def test_a_random_variable_of_somebody_else_is_refused(pytensor, rng):
    """Whatever it is called: nobody knows how it draws."""
    kind = pytensor.tensor.random.op.RandomVariable

    class Mine(kind):
        name, signature, dtype = "bernoulli", "()->()", "int64"

        @classmethod
        def rng_fn(cls, rng, p, size):
            return rng.binomial(1, p / 2, size)

    function = drawn(pytensor, rng, lambda _, **how: Mine()(0.5, **how))
    with pytest.raises(Continuous, match=r"draws by bernoulli of .*test_pytensor_draws"):
        chances(function)


def test_all_is_as_before(pytensor, rng):
    """After a walk, and after one that is broken off."""
    basic = pytensor.tensor.random.basic
    kinds = [basic.BernoulliRV, basic.CategoricalRV, pytensor.tensor.random.op.RandomVariable]
    before = [vars(kind).get("rng_fn") for kind in kinds]
    call = pytensor.compile.Function.__call__
    chances(drawn(pytensor, rng, DRAWS["bernoulli"][0]))
    with pytest.raises(Continuous):
        chances(drawn(pytensor, rng, lambda random, **how: random.normal(**how)))
    assert [vars(kind).get("rng_fn") for kind in kinds] == before
    assert pytensor.compile.Function.__call__ is call
