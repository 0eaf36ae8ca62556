"""PyTensor's draws: outcomes and probabilities as it has them, what is put back, and refused."""

from __future__ import annotations

import numpy as np
import pytest

from gradproof import check_estimator
from gradproof.estimators.enumeration.frameworks.pytensor import PyTensor
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.run import SampledRun, TooManyPaths, UnsupportedDraw, paths

pytestmark = [
    pytest.mark.libraries,
    # Its names, as it says of itself, will give the generator's next state too.
    pytest.mark.filterwarnings("ignore:RandomVariable Ops will stop:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*RandomStream:DeprecationWarning"),
]

LOGITS = np.array([[0.3, -0.2, 0.5], [1.0, 0.0, -1.0]])
SHARES = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
COST = np.array([1.0, 2.0, 4.0])
#: A softmax, a product or two of probabilities, and sums of some dozen: 1 at most.
ROUNDINGS = 1e-14
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


def enumerated(code):
    """Value and probability of each path."""
    with Handling(code) as handling:
        return [(path.value, path.probability) for path in paths(code, handling.perform)]


def probabilities(function, *args):
    """The probability of each value of a function's one output."""
    found = {}
    for value, probability in enumerated(lambda: function(*args)):
        key = repr(np.asarray(value).tolist())
        found[key] = found.get(key, 0.0) + probability
    assert sum(found.values()) == pytest.approx(1.0, abs=ROUNDINGS)
    return found


def drawn(pytensor, rng, make, mode="FAST_COMPILE"):
    """A compiled function that draws once, and moves its generator."""
    moved, found = make(pytensor.tensor.random, rng=rng, return_next_rng=True)
    return pytensor.function([], found, updates={rng: moved}, mode=mode)


#: What is drawn, and the probability of each outcome.
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
def test_outcomes_and_their_probabilities(pytensor, rng, name, mode):
    """However it is compiled, as long as its ops run one by one."""
    make, known = DRAWS[name]
    found = probabilities(drawn(pytensor, rng, make, mode))
    assert found == pytest.approx(known, abs=ROUNDINGS)


def test_draws_in_order_with_parameters_that_hang_on_those_before(pytensor, rng):
    """The second coin's probability is what the first one decides."""
    random = pytensor.tensor.random
    first = random.bernoulli(0.25, rng=rng)
    second = random.bernoulli(0.5 * first, rng=first.owner.outputs[0])
    updates = {rng: second.owner.outputs[0]}
    function = pytensor.function([], [first, second], updates=updates, mode="FAST_COMPILE")
    assert probabilities(function) == {"[0, 0]": 0.75, "[1, 0]": 0.125, "[1, 1]": 0.125}


def test_a_state_that_is_not_moved_draws_the_same(pytensor, rng):
    """As it does without a run; and another draw from it is refused."""
    random = pytensor.tensor.random
    coins = [random.bernoulli(np.array([0.25, 0.25]), rng=rng) for _ in range(2)]
    function = pytensor.function([], coins[0] - coins[1], mode="FAST_COMPILE")
    assert probabilities(function) == {"[0, 0]": 1.0}
    other = random.bernoulli(0.5, rng=rng)
    function = pytensor.function([], coins[0] - other, mode="FAST_COMPILE")
    with pytest.raises(
        UnsupportedDraw, match="PyTensor draws by bernoulli from a state that bernoulli"
    ):
        probabilities(function)


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
    assert probabilities(function) == expected


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


def test_nested_runs_ask_the_innermost(pytensor, rng):
    """The outer one has a single path of what only the inner one draws."""
    function = drawn(pytensor, rng, DRAWS["bernoulli"][0])
    outer = enumerated(lambda: probabilities(function))
    assert len(outer) == 1
    assert outer[0][0] == DRAWS["bernoulli"][1]


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("name", ["normal", "uniform", "poisson"])
def test_what_has_no_outcomes_to_count_is_named(pytensor, rng, name):
    """Before anything is run."""
    function = drawn(pytensor, rng, lambda random, **how: getattr(random, name)(**how))
    with pytest.raises(UnsupportedDraw, match=f"PyTensor draws by {name}, which has no outcomes"):
        probabilities(function)


def test_a_function_that_is_compiled_whole_is_refused(pytensor, rng):
    """It runs no method that could be asked; the message has what to do."""
    function = drawn(pytensor, rng, DRAWS["bernoulli"][0], mode="NUMBA")
    with pytest.raises(UnsupportedDraw, match='compile it with mode="FAST_COMPILE"'):
        probabilities(function)


def test_a_random_variable_of_somebody_else_is_refused(pytensor, rng):
    """Whatever it is called: nobody knows how it draws."""
    kind = pytensor.tensor.random.op.RandomVariable

    class Mine(kind):
        name, signature, dtype = "bernoulli", "()->()", "int64"

        @classmethod
        def rng_fn(cls, rng, p, size):
            return rng.binomial(1, p / 2, size)

    function = drawn(pytensor, rng, lambda _, **how: Mine()(0.5, **how))
    with pytest.raises(UnsupportedDraw, match=r"draws by bernoulli of .*test_pytensor"):
        probabilities(function)


def test_all_is_as_before(pytensor, rng):
    """After an enumeration, and after one that is broken off."""
    basic = pytensor.tensor.random.basic
    kinds = [basic.BernoulliRV, basic.CategoricalRV, pytensor.tensor.random.op.RandomVariable]
    before = [vars(kind).get("rng_fn") for kind in kinds]
    call = pytensor.compile.Function.__call__
    probabilities(drawn(pytensor, rng, DRAWS["bernoulli"][0]))
    with pytest.raises(UnsupportedDraw):
        probabilities(drawn(pytensor, rng, lambda random, **how: random.normal(**how)))
    assert [vars(kind).get("rng_fn") for kind in kinds] == before
    assert pytensor.compile.Function.__call__ is call


# ------------------------------------------------------------------ what is put back


def seeded(code):
    """Whether what it draws from is found to be made from a fixed seed in each run."""
    with Handling(code) as handling:
        assert len(list(paths(code, handling.perform))) > 1
        return handling.seeds.seeded


@pytest.mark.parametrize("mode", MODES)
def test_shared_variables_are_put_back(pytensor, rng, mode):
    """What updates change is as it was before: for each run, and at the end."""
    weights = pytensor.shared(np.array([1.0, 2.0]))
    held = weights.get_value(borrow=True)
    moved, coin = pytensor.tensor.random.bernoulli(0.25, rng=rng, return_next_rng=True)
    updates = {rng: moved, weights: pytensor.tensor.inc_subtensor(weights[:1], 1.0 + coin)}
    function = pytensor.function([], weights.sum(), updates=updates, mode=mode)
    found = enumerated(lambda: [float(function()), float(function())])
    assert [value for value, _ in found] == [[3.0, 4.0]] * 2 + [[3.0, 5.0]] * 2
    assert weights.get_value(borrow=True) is held
    assert held.tolist() == [1.0, 2.0]


def test_what_is_set_is_put_back(pytensor, rng):
    """Also where a compiler has taken whole what draws nothing."""
    weight = pytensor.shared(1.0)
    step = pytensor.function([], weight, updates={weight: weight + 1.0})
    coin = drawn(pytensor, rng, DRAWS["bernoulli"][0])

    def code():
        step()
        weight.set_value(weight.get_value() * 3.0 + coin()[0])
        return float(weight.get_value())

    assert [value for value, _ in enumerated(code)] == [6.0, 7.0]
    assert float(weight.get_value()) == 1.0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("borrow", [False, True])
def test_states_are_put_back(pytensor, mode, borrow):
    """The generator draws afterwards what it would have drawn."""
    given = np.random.default_rng()
    before = given.bit_generator.state
    rng = pytensor.shared(given, borrow=borrow)
    function = drawn(pytensor, rng, lambda random, **how: random.integers(2, **how), mode)
    assert len(enumerated(lambda: (function(), function()))) == 4
    after = rng.get_value(borrow=True)
    assert after.bit_generator.state == before == given.bit_generator.state
    assert (after is given) == borrow
    with Handling() as handling:
        handling.perform(function, SampledRun())
    assert rng.get_value().bit_generator.state != before


# ------------------------------------------------------------------ seeds


def test_seeds_in_each_run_are_seen(pytensor, rng):
    """Set in each run, given to a function in each, never updated; and others are not."""
    random = pytensor.tensor.random
    moving = drawn(pytensor, rng, DRAWS["bernoulli"][0])
    state = random.type.random_generator_type()
    moved, coin = random.bernoulli(0.25, rng=state, return_next_rng=True)
    given = pytensor.function([state], [moved, coin], mode="FAST_COMPILE")
    still = pytensor.function([], random.bernoulli(0.25, rng=rng), mode="FAST_COMPILE")
    start = np.random.default_rng()

    def setting():
        rng.set_value(np.random.default_rng(5))
        return moving()

    def by_hand():
        after, first = given(start)
        return first, given(after)[1]

    def set_by_hand():
        after, first = given(rng.get_value())
        rng.set_value(after)
        return first, moving()

    assert seeded(setting)
    assert seeded(lambda: given(np.random.default_rng(5))[1])
    assert seeded(still)
    assert not seeded(lambda: (moving(), moving()))
    assert not seeded(by_hand)
    assert not seeded(set_by_hand)


# ------------------------------------------------------------------ handlers


def test_a_function_is_looked_through_once(pytensor, rng, monkeypatch):
    """However often it is called, and by however many enumerations."""
    looked = []
    real = PyTensor.unseen_draws
    monkeypatch.setattr(
        PyTensor, "unseen_draws", lambda *args: looked.append(args[1]) or real(*args)
    )
    x = pytensor.tensor.dscalar()
    plain = pytensor.function([x], x + 1, mode="FAST_COMPILE")
    coin = drawn(pytensor, rng, DRAWS["bernoulli"][0])
    for _ in range(2):
        assert len(enumerated(lambda: [(plain(1.0), coin()) for _ in range(3)])) == 8
    assert looked == [plain.maker, coin.maker]


def test_another_thread_draws_as_ever(pytensor, rng, ask_thread):
    """While handlers are installed, and while a run is under way."""
    coin = drawn(pytensor, rng, DRAWS["bernoulli"][0])
    noise = pytensor.shared(np.random.default_rng())
    numbers = drawn(pytensor, noise, lambda random, **how: random.normal(size=(2,), **how))
    whole = drawn(pytensor, noise, DRAWS["integers"][0], mode="NUMBA")
    found = []

    def code():
        found.append(ask_thread(lambda: (*numbers(), int(whole()))))
        return coin()

    assert len(enumerated(code)) == 2
    assert len({first for first, *_ in found}) == 2
    assert {last for *_, last in found} <= {2, 3, 4}


def test_a_run_that_samples_draws_as_ever(pytensor, rng):
    """It sees how rare outcomes can be, and names what it cannot see."""
    coin = drawn(pytensor, rng, lambda random, **how: random.bernoulli(0.125, size=(64,), **how))
    noise = drawn(pytensor, rng, lambda random, **how: random.normal(size=(2,), **how))
    whole = drawn(pytensor, rng, DRAWS["integers"][0], mode="NUMBA")
    with Handling() as handling:
        runs = [SampledRun() for _ in range(2)]

        def code():
            return coin().tolist(), noise().tolist(), int(whole())

        (first, noisy, _), (second, other, _) = (handling.perform(code, run) for run in runs)
    assert first != second
    assert noisy != other
    assert {run.rarest for run in runs} == {0.125}
    for run in runs:
        assert len(run.unknown) == 2
        assert "normal, which has no outcomes to count" in str(run.unknown)
        assert "integers in a function that Numba compiled" in str(run.unknown)


@pytest.mark.parametrize("high", [10**5, 2**40])
def test_many_outcomes_are_never_listed(pytensor, rng, high):
    """There are too many paths, which is known at once."""
    function = drawn(pytensor, rng, lambda random, **how: random.integers(high, **how))
    with pytest.raises(TooManyPaths, match=f"one of {high:,} outcomes"):
        enumerated(function)


def test_a_state_that_numpy_draws_from_is_refused(pytensor):
    """Whoever is first: both would draw the same numbers."""
    given = np.random.default_rng()
    rng = pytensor.shared(given)  # a copy
    function = drawn(pytensor, rng, DRAWS["bernoulli"][0])
    with pytest.raises(UnsupportedDraw, match="from a state that NumPy drew from"):
        enumerated(lambda: (given.integers(2), function()))
    with pytest.raises(UnsupportedDraw, match="a state that was drawn from before"):
        enumerated(lambda: (function(), given.integers(2)))
    borrowed = pytensor.shared(given, borrow=True)
    function = drawn(pytensor, borrowed, DRAWS["bernoulli"][0], "CVM")
    assert len(enumerated(lambda: (function(), given.integers(2)))) == 4


def test_a_method_of_a_class_is_nobodys_draw(pytensor):
    """What somebody calls on the class itself, not on an op of a graph."""
    kind = pytensor.tensor.random.basic.CategoricalRV
    state = np.random.default_rng()
    with Handling():
        assert int(kind.rng_fn(state, np.array([0.0, 1.0]), None)) == 1
