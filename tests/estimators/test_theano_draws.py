"""Theano's draws, walked through: outcomes and chances as Theano has them, and what is refused."""

import numpy as np
import pytest

from gradproof import check_estimator
from gradproof.estimators.backends import load
from gradproof.estimators.replay import Continuous, intercepted, walk
from gradproof.estimators.replay.theano_draws import walked

pytestmark = pytest.mark.theano

LOGITS = np.array([[0.3, -0.2, 0.5], [1.0, 0.0, -1.0]])
SHARES = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
THETA = np.array([1.0, 2.0, -1.5])
CHANCE = 1e-13  # several roundings


@pytest.fixture
def theano():
    """Theano, with what its backend sets."""
    return load("theano").theano


@pytest.fixture(params=["RandomStreams", "MRG_RandomStreams"])
def kind(request, theano):
    """Makes streams, and compiles what draws from them."""
    if request.param == "RandomStreams":
        return theano.tensor.shared_randomstreams.RandomStreams, theano.function
    return theano.sandbox.rng_mrg.MRG_RandomStreams, walked


@pytest.fixture
def streams(theano):
    """Streams of states of NumPy."""
    return theano.tensor.shared_randomstreams.RandomStreams(3)


def paths(run):
    """Value and probability of each path."""
    found = [(path.value, path.weight) for path in walk(run, intercepted(run))]
    assert sum(weight for _, weight in found) == pytest.approx(1.0, abs=CHANCE)
    return found


def chances(function, *args):
    """The probability of each value of a function's one output."""
    found = {}
    for value, weight in paths(lambda: function(*args)):
        key = repr(np.asarray(value).tolist())
        found[key] = found.get(key, 0.0) + weight
    return found


# ------------------------------------------------------------------ outcomes and their chances


@pytest.mark.parametrize("mode", ["FAST_COMPILE", "FAST_RUN"])
def test_labels_and_coins(theano, kind, mode):
    """Each row's label has its own chances, and so has each coin, however it is compiled."""
    make, compiled = kind
    pvals, p = theano.tensor.dmatrix(), theano.tensor.dvector()
    function = compiled([pvals], make(3).multinomial(pvals=pvals), mode=mode)
    eye = np.eye(3, dtype=int).tolist()
    assert chances(function, SHARES) == pytest.approx(
        {repr([eye[i], eye[j]]): SHARES[0, i] * SHARES[1, j] for i in range(3) for j in range(3)}
    )
    function = compiled([p], make(3).binomial(size=(2,), p=p), mode=mode)
    assert chances(function, [0.25, 1.0]) == pytest.approx({"[0, 1]": 0.75, "[1, 1]": 0.25})


def test_single_precision(theano, kind):
    """Chances in single precision sum to 1 in single precision, and paths know of it."""
    make, compiled = kind
    pvals = theano.tensor.fmatrix()
    function = compiled([pvals], make(3).multinomial(pvals=pvals, dtype="float32"))
    run = list(walk(lambda: function(SHARES.astype(np.float32)), intercepted()))
    assert len(run) == 9
    assert {path.precision for path in run} == {float(np.finfo(np.float32).eps)}


@pytest.mark.parametrize("mode", ["FAST_COMPILE", "FAST_RUN"])
def test_a_draw_that_depends_on_another(theano, kind, mode):
    """A coin whose chance hangs on the label that was drawn before it."""
    make, compiled = kind
    streams, pvals = make(3), theano.tensor.dmatrix()
    label = streams.multinomial(pvals=pvals)
    coin = streams.binomial(size=(1,), p=(label * np.array([0.25, 0.5, 1.0])).sum(1))
    function = compiled([pvals], theano.tensor.concatenate([label[0], coin]), mode=mode)
    q = SHARES[0]
    assert chances(function, SHARES[:1]) == pytest.approx(
        {
            "[1, 0, 0, 0]": q[0] * 0.75,
            "[1, 0, 0, 1]": q[0] * 0.25,
            "[0, 1, 0, 0]": q[1] * 0.5,
            "[0, 1, 0, 1]": q[1] * 0.5,
            "[0, 0, 1, 1]": q[2],
        }
    )


OTHERS = {
    "binomial of two": (
        lambda streams: streams.binomial(n=2, p=0.25),
        {"0": 9 / 16, "1": 6 / 16, "2": 1 / 16},
    ),
    "multinomial of two": (
        lambda streams: streams.multinomial(n=2, pvals=[0.25, 0.75]),
        {"[2, 0]": 1 / 16, "[1, 1]": 6 / 16, "[0, 2]": 9 / 16},
    ),
    "random_integers": (
        lambda streams: streams.random_integers(low=2, high=4),
        {"2": 1 / 3, "3": 1 / 3, "4": 1 / 3},
    ),
    "choice of numbers": (
        lambda streams: streams.choice(a=2, size=(2,)),
        {"[0, 0]": 0.25, "[0, 1]": 0.25, "[1, 0]": 0.25, "[1, 1]": 0.25},
    ),
    "choice of entries": (
        lambda streams: streams.choice(a=[5, 7, 9], size=(2,), replace=False, p=[0.5, 0.5, 0.0]),
        {"[5, 7]": 0.5, "[7, 5]": 0.5},
    ),
    "permutation": (
        lambda streams: streams.permutation(n=3)[0],
        {"0": 1 / 3, "1": 1 / 3, "2": 1 / 3},
    ),
}


@pytest.mark.parametrize(("draw", "expected"), OTHERS.values(), ids=OTHERS)
def test_other_draws_of_states(theano, streams, draw, expected):
    """Counts, whole numbers, entries, orders."""
    assert chances(theano.function([], draw(streams))) == pytest.approx(expected)


def test_choice_by_uniform_numbers(theano):
    """Two of three without replacement: six orders, and no label twice."""
    streams = theano.sandbox.rng_mrg.MRG_RandomStreams(3)
    function = walked([], streams.choice(size=2, replace=False, p=SHARES[:1]))
    q = SHARES[0]
    assert chances(function) == pytest.approx(
        {repr([[i, j]]): q[i] * q[j] / (1.0 - q[i]) for i in range(3) for j in range(3) if i != j}
    )


def test_one_chance_for_many_coins(theano, kind):
    """A chance that is broadcast is that of each coin."""
    make, compiled = kind
    function = compiled([], make(3).binomial(size=(2,), p=0.25))
    assert chances(function)["[1, 1]"] == pytest.approx(1 / 16)


def test_outside_of_a_walk_it_draws_as_ever(theano):
    """The same numbers as of a function that was compiled without our op."""
    found = []
    for compiled in (theano.function, walked):
        streams = theano.sandbox.rng_mrg.MRG_RandomStreams(3)
        both = [streams.multinomial(pvals=SHARES), streams.binomial(size=(5,), p=0.5)]
        both.append(streams.choice(size=2, replace=False, p=SHARES))
        function = compiled([], both)
        found.append([np.asarray(each).tolist() for _ in range(3) for each in function()])
    assert found[0] == found[1]


def test_scan(theano, streams):
    """Two coins in a loop, the second with a chance that hangs on the first, and their sum."""

    def step(last):
        return streams.binomial(n=1, p=0.25 + 0.5 * last, dtype="float64")

    coins, updates = theano.scan(step, outputs_info=[np.float64(0.0)], n_steps=2)
    found = chances(theano.function([], coins, updates=updates))
    assert found == pytest.approx(
        {"[0.0, 0.0]": 9 / 16, "[0.0, 1.0]": 3 / 16, "[1.0, 0.0]": 1 / 16, "[1.0, 1.0]": 3 / 16}
    )


def test_a_state_that_is_not_updated_draws_the_same_again(theano, streams):
    """As it does without a walk; one that is updated draws anew."""
    coin = streams.binomial(n=1, p=0.25)
    same = theano.function([], coin, no_default_updates=True)
    other = theano.function([], coin)
    assert {value for value, _ in paths(lambda: (int(same()), int(same())))} == {(0, 0), (1, 1)}
    assert len(paths(lambda: (int(other()), int(other())))) == 4


# ------------------------------------------------------------------ estimators


def estimator(theano, kind, *, held=True, baseline="none"):
    """Gradients by logits and by theta, of labels that cost theta squared.

    Args:
        held: whether the cost is constant beside the score, as it should be.
        baseline: ``none``, or ``own``: the mean over the batch, each label's own cost in it.
    """
    make, compiled = kind
    tensor = theano.tensor
    logits, theta = tensor.dmatrix("logits"), tensor.dvector("theta")
    q = tensor.nnet.softmax(logits)
    label = make(3).multinomial(pvals=q)
    cost = (label * theta**2).sum(1)
    weight = cost.copy()
    if baseline == "own":
        weight = (weight - weight.mean()).copy()
    surrogate = (weight * (label * tensor.log(q)).sum(1) + cost).sum()
    constant = [label, *([weight] if held else [])]
    gradients = theano.grad(surrogate, [logits, theta], consider_constant=constant)
    function = compiled([logits, theta], gradients)

    def estimate(logits, theta):
        return dict(zip(("logits", "theta"), function(logits, theta), strict=True))

    return estimate


def exact(logits, theta):
    """Of the mean cost."""
    costs = theta**2
    means = SHARES @ costs
    return {
        "logits": SHARES * (costs - means[:, None]),
        "theta": (SHARES * 2 * theta).sum(0),
    }


def test_a_right_estimator_holds(theano, kind):
    """The score function, with the cost held by consider_constant: nine paths."""
    found = check_estimator(estimator(theano, kind), [LOGITS, THETA], exact=exact)
    assert found.verdict == "holds", found.explain()
    assert (found.method, found.paths) == ("enumerated", 9)


def test_a_cost_that_is_not_held_is_refuted(theano, kind):
    """Theta gets the derivative of the cost times log q on top, by how much is known."""
    found = check_estimator(estimator(theano, kind, held=False), [LOGITS, THETA], exact=exact)
    assert found.verdict == "refuted"
    assert {one.what for one in found.comparisons if one.ratio > 1.0} == {"theta"}
    excess = (SHARES * np.log(SHARES) * 2 * THETA).sum(0)
    np.testing.assert_allclose(found.mean["theta"] - found.exact["theta"], excess, rtol=1e-12)


def test_a_baseline_of_the_own_draw_is_refuted(theano, kind):
    """Half of the gradient is left where a batch of two is averaged."""
    found = check_estimator(estimator(theano, kind, baseline="own"), [LOGITS, THETA], exact=exact)
    assert found.verdict == "refuted"
    np.testing.assert_allclose(found.mean["logits"], found.exact["logits"] / 2, rtol=1e-12)
    np.testing.assert_allclose(found.mean["theta"], found.exact["theta"], rtol=1e-12)


def test_an_objective_that_draws(theano, kind):
    """The exact gradient may come from a compiled cost that draws."""
    make, compiled = kind
    logits = theano.tensor.dmatrix()
    label = make(5).multinomial(pvals=theano.tensor.nnet.softmax(logits))
    cost = compiled([logits], (label * THETA**2).sum())
    estimate = estimator(theano, kind)
    found = check_estimator(
        lambda logits: estimate(logits, THETA)["logits"], [LOGITS], objective=cost
    )
    assert found.verdict == "holds", found.explain()


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize("name", ["normal", "uniform", "poisson"])
def test_draws_without_outcomes_are_named(theano, streams, name):
    """Whether they are called or compiled for a walk; given by givens, they are not drawn."""
    noise = getattr(streams, name)((2,), *([1.0] if name == "poisson" else []))
    function = theano.function([], noise + 1)
    with pytest.raises(Continuous, match=f"draw by {name}"):
        paths(function)
    with pytest.raises(Continuous, match=f"draw by {name}"):
        walked([], noise + 1)
    given = theano.function([], noise + 1, givens={noise: theano.tensor.ones(2, noise.dtype)})
    assert len(paths(given)) == 1


def test_uniform_numbers_in_the_open_are_refused(theano):
    """MRG's normal and uniform, and uniform numbers between other bounds than 0 and 1."""
    streams = theano.sandbox.rng_mrg.MRG_RandomStreams(3)
    for output in (
        streams.uniform(size=(2,)),
        streams.normal(size=(2,)),
        streams.uniform(size=(2,), high=2.0) < 0.5,
        streams.uniform(size=(2,), low=-1.0) < 0.5,
    ):
        with pytest.raises(Continuous, match="anything else has no outcomes to count"):
            walked([], output)


@pytest.mark.parametrize("mode", ["FAST_COMPILE", "FAST_RUN"])
def test_an_ordinary_function_of_mrg_streams_is_refused(theano, mode):
    """It draws in compiled code, and is never taken for one that does not."""
    streams = theano.sandbox.rng_mrg.MRG_RandomStreams(3)
    for output in (streams.multinomial(pvals=SHARES), streams.binomial(size=(2,), p=0.5)):
        function = theano.function([], output, mode=mode)
        with pytest.raises(Continuous, match=r"compile by gradproof\..*\.walked"):
            paths(function)


def test_mrg_streams_in_scan_are_refused(theano):
    """Its inner function is compiled by itself."""
    streams = theano.sandbox.rng_mrg.MRG_RandomStreams(3)
    coins, updates = theano.scan(lambda: streams.binomial(size=(1,), p=0.5), n_steps=2)
    with pytest.raises(Continuous, match="MRG_RandomStreams draw uniform numbers"):
        walked([], coins, updates=updates)
    with pytest.raises(Continuous, match="MRG_RandomStreams draw uniform numbers"):
        paths(theano.function([], coins, updates=updates))


def test_a_function_of_somebody_else_is_refused(theano, streams):
    """What it draws is not known, whatever it is called."""

    def multinomial_helper(state, size):
        return state.random_sample(size)

    random = theano.tensor.raw_random
    op = random.RandomFunction(multinomial_helper, theano.tensor.dvector)
    with pytest.raises(Continuous, match=f"draw by multinomial_helper of {__name__}"):
        paths(theano.function([], streams.gen(op, (2,))))


def test_two_draws_of_one_state_are_refused(theano, kind):
    """Streams of one seed: they hang on each other."""
    make, compiled = kind
    coins = [make(3).binomial(size=(1,), p=p) for p in (0.25, 0.5)]
    with pytest.raises(Continuous, match="let each have a state of its own"):
        paths(compiled([], coins))


def test_one_uniform_number_for_many_chances_is_refused(theano):
    """One number compared with two chances is no two coins; it is so outside of a walk too."""
    streams = theano.sandbox.rng_mrg.MRG_RandomStreams(3)
    function = walked([], streams.binomial(size=(1,), p=np.array([0.25, 0.5])))
    with pytest.raises(ValueError, match="draw as many as there are chances"):
        paths(function)


def test_all_is_put_back(theano, streams):
    """After a walk, and after one that fails, Theano is as before, and draws by itself."""
    random, function = theano.tensor.raw_random, theano.compile.function_module.Function
    coin = theano.function([], streams.binomial(n=1, p=0.5, size=(64,)))
    single = theano.function([], streams.binomial(n=1, p=0.5))
    noise = theano.function([], streams.normal())
    before = function.__call__

    def run():
        assert function.__call__ is not before
        assert "exec_fn" in vars(random.RandomFunction)
        assert len(paths(single)) == 2  # a walk inside of another
        return int(single())

    assert [value for value, _ in paths(run)] == [0, 1]
    with pytest.raises(Continuous):
        paths(noise)
    assert function.__call__ is before
    assert random.np is np
    assert "exec_fn" not in vars(random.RandomFunction)
    assert noise() != noise()
    assert 0 < coin().sum() < 64
