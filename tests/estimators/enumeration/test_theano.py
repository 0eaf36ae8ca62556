"""Theano's draws: outcomes and probabilities as Theano has them, what is put back, and refused."""

import numpy as np
import pytest

from gradproof import check_estimator
from gradproof.estimators.backends import load
from gradproof.estimators.enumeration.frameworks.theano import Theano, enumerable_function
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.run import (
    SampledRun,
    TooManyPaths,
    UnsupportedDraw,
    paths,
    run_path,
)

pytestmark = pytest.mark.theano

LOGITS = np.array([[0.3, -0.2, 0.5], [1.0, 0.0, -1.0]])
SHARES = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
THETA = np.array([1.0, 2.0, -1.5])
#: A softmax, a product or two of probabilities, and sums of some dozen: 1 at most.
ROUNDINGS = 1e-14


@pytest.fixture
def theano():
    """Theano, with what its backend sets."""
    return load("theano").theano


@pytest.fixture(params=["RandomStreams", "MRG_RandomStreams"])
def kind(request, theano):
    """Makes streams, and compiles what draws from them."""
    if request.param == "RandomStreams":
        return theano.tensor.shared_randomstreams.RandomStreams, theano.function
    return theano.sandbox.rng_mrg.MRG_RandomStreams, enumerable_function


@pytest.fixture
def streams(theano):
    """Streams of states of NumPy."""
    return theano.tensor.shared_randomstreams.RandomStreams(3)


def enumerated(code):
    """Value and probability of each path."""
    with Handling(code) as handling:
        found = [(path.value, path.probability) for path in paths(code, handling.perform)]
    assert sum(probability for _, probability in found) == pytest.approx(1.0, abs=ROUNDINGS)
    return found


def probabilities(function, *args):
    """The probability of each value of a function's one output."""
    found = {}
    for value, probability in enumerated(lambda: function(*args)):
        key = repr(np.asarray(value).tolist())
        found[key] = found.get(key, 0.0) + probability
    return found


# ------------------------------------------------------------------ outcomes, and how probable


@pytest.mark.parametrize("mode", ["FAST_COMPILE", "FAST_RUN"])
def test_labels_and_coins(theano, kind, mode):
    """Each row's label has its own probabilities, and so has each coin, however it is compiled."""
    make, compiled = kind
    pvals, p = theano.tensor.dmatrix(), theano.tensor.dvector()
    function = compiled([pvals], make(3).multinomial(pvals=pvals), mode=mode)
    eye = np.eye(3, dtype=int).tolist()
    assert probabilities(function, SHARES) == pytest.approx(
        {repr([eye[i], eye[j]]): SHARES[0, i] * SHARES[1, j] for i in range(3) for j in range(3)},
        abs=ROUNDINGS,
    )
    function = compiled([p], make(3).binomial(size=(2,), p=p), mode=mode)
    assert probabilities(function, [0.25, 1.0]) == {"[0, 1]": 0.75, "[1, 1]": 0.25}


def test_single_precision(theano, kind):
    """Probabilities in single precision sum to 1 in single precision, and paths know of it."""
    make, compiled = kind
    pvals = theano.tensor.fmatrix()
    function = compiled([pvals], make(3).multinomial(pvals=pvals, dtype="float32"))
    with Handling() as handling:
        run = list(paths(lambda: function(SHARES.astype(np.float32)), handling.perform))
    assert len(run) == 9
    assert {path.precision for path in run} == {float(np.finfo(np.float32).eps)}


@pytest.mark.parametrize("mode", ["FAST_COMPILE", "FAST_RUN"])
def test_a_draw_that_depends_on_another(theano, kind, mode):
    """A coin whose probability hangs on the label that was drawn before it."""
    make, compiled = kind
    streams, pvals = make(3), theano.tensor.dmatrix()
    label = streams.multinomial(pvals=pvals)
    coin = streams.binomial(size=(1,), p=(label * np.array([0.25, 0.5, 1.0])).sum(1))
    function = compiled([pvals], theano.tensor.concatenate([label[0], coin]), mode=mode)
    q = SHARES[0]
    assert probabilities(function, SHARES[:1]) == pytest.approx(
        {
            "[1, 0, 0, 0]": q[0] * 0.75,
            "[1, 0, 0, 1]": q[0] * 0.25,
            "[0, 1, 0, 0]": q[1] * 0.5,
            "[0, 1, 0, 1]": q[1] * 0.5,
            "[0, 0, 1, 1]": q[2],
        },
        abs=ROUNDINGS,
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
    found = probabilities(theano.function([], draw(streams)))
    assert found == pytest.approx(expected, abs=ROUNDINGS)


def test_choice_by_uniform_numbers(theano):
    """Two of three without replacement: six orders, and no label twice."""
    streams = theano.sandbox.rng_mrg.MRG_RandomStreams(3)
    function = enumerable_function([], streams.choice(size=2, replace=False, p=SHARES[:1]))
    q = SHARES[0]
    assert probabilities(function) == pytest.approx(
        {repr([[i, j]]): q[i] * q[j] / (1.0 - q[i]) for i in range(3) for j in range(3) if i != j},
        abs=ROUNDINGS,
    )


def test_one_probability_for_many_coins(theano, kind):
    """A probability that is broadcast is that of each coin."""
    make, compiled = kind
    function = compiled([], make(3).binomial(size=(2,), p=0.25))
    assert probabilities(function)["[1, 1]"] == 1 / 16


def test_where_no_run_is_under_way_it_draws_as_ever(theano):
    """The same numbers as of a function that was compiled without our op."""
    found = []
    for compiled in (theano.function, enumerable_function):
        streams = theano.sandbox.rng_mrg.MRG_RandomStreams(3)
        both = [streams.multinomial(pvals=SHARES), streams.binomial(size=(5,), p=0.5)]
        both.append(streams.choice(size=2, replace=False, p=SHARES))
        function = compiled([], both)
        found.append([np.asarray(each).tolist() for _ in range(3) for each in function()])
    assert found[0] == found[1]


def test_scan(theano, streams):
    """Two coins in a loop, the second with a probability that hangs on the first, and their sum."""

    def step(last):
        return streams.binomial(n=1, p=0.25 + 0.5 * last, dtype="float64")

    coins, updates = theano.scan(step, outputs_info=[np.float64(0.0)], n_steps=2)
    found = probabilities(theano.function([], coins, updates=updates))
    assert found == {
        "[0.0, 0.0]": 9 / 16,
        "[0.0, 1.0]": 3 / 16,
        "[1.0, 0.0]": 1 / 16,
        "[1.0, 1.0]": 3 / 16,
    }


def test_a_state_that_is_not_updated_draws_the_same_again(theano, streams):
    """As it does without a run; one that is updated draws anew."""
    coin = streams.binomial(n=1, p=0.25)
    same = theano.function([], coin, no_default_updates=True)
    other = theano.function([], coin)
    assert {value for value, _ in enumerated(lambda: (int(same()), int(same())))} == {
        (0, 0),
        (1, 1),
    }
    assert len(enumerated(lambda: (int(other()), int(other())))) == 4


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
    np.testing.assert_allclose(found.mean["theta"] - found.exact["theta"], excess, rtol=ROUNDINGS)


@pytest.mark.parametrize("mode", ["FAST_COMPILE", "FAST_RUN"])
def test_a_baseline_of_the_own_draw_is_refuted(theano, kind, mode):
    """Half of the gradient is left where a batch of two is averaged.

    The mean asks for the shape of the draw, from which nothing else is to be drawn.
    """
    with theano.configparser.change_flags(mode=mode, cxx=""):
        estimate = estimator(theano, kind, baseline="own")
    found = check_estimator(estimate, [LOGITS, THETA], exact=exact)
    assert found.verdict == "refuted"
    np.testing.assert_allclose(found.mean["logits"], found.exact["logits"] / 2, rtol=ROUNDINGS)
    np.testing.assert_allclose(found.mean["theta"], found.exact["theta"], rtol=ROUNDINGS)


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
    """Whether they are called or compiled for a run; given by givens, they are not drawn."""
    noise = getattr(streams, name)((2,), *([1.0] if name == "poisson" else []))
    function = theano.function([], noise + 1)
    with pytest.raises(UnsupportedDraw, match=f"draw by {name}"):
        enumerated(function)
    with pytest.raises(UnsupportedDraw, match=f"draw by {name}"):
        enumerable_function([], noise + 1)
    given = theano.function([], noise + 1, givens={noise: theano.tensor.ones(2, noise.dtype)})
    assert len(enumerated(given)) == 1


def test_uniform_numbers_in_the_open_are_refused(theano):
    """MRG's normal and uniform, and uniform numbers between other bounds than 0 and 1."""
    streams = theano.sandbox.rng_mrg.MRG_RandomStreams(3)
    for output in (
        streams.uniform(size=(2,)),
        streams.normal(size=(2,)),
        streams.uniform(size=(2,), high=2.0) < 0.5,
        streams.uniform(size=(2,), low=-1.0) < 0.5,
    ):
        with pytest.raises(UnsupportedDraw, match="anything else has no outcomes to count"):
            enumerable_function([], output)


@pytest.mark.parametrize("mode", ["FAST_COMPILE", "FAST_RUN"])
def test_an_ordinary_function_of_mrg_streams_is_refused(theano, mode):
    """It draws in compiled code, and is never taken for one that does not."""
    streams = theano.sandbox.rng_mrg.MRG_RandomStreams(3)
    for output in (streams.multinomial(pvals=SHARES), streams.binomial(size=(2,), p=0.5)):
        function = theano.function([], output, mode=mode)
        with pytest.raises(UnsupportedDraw, match=r"by gradproof\..*\.enumerable_function"):
            enumerated(function)


def test_mrg_streams_in_scan_are_refused(theano):
    """Its inner function is compiled by itself."""
    streams = theano.sandbox.rng_mrg.MRG_RandomStreams(3)
    coins, updates = theano.scan(lambda: streams.binomial(size=(1,), p=0.5), n_steps=2)
    with pytest.raises(UnsupportedDraw, match="MRG_RandomStreams draw uniform numbers"):
        enumerable_function([], coins, updates=updates)
    with pytest.raises(UnsupportedDraw, match="MRG_RandomStreams draw uniform numbers"):
        enumerated(theano.function([], coins, updates=updates))


def test_a_function_of_somebody_else_is_refused(theano, streams):
    """What it draws is not known, whatever it is called."""

    def multinomial_helper(state, size):
        return state.random_sample(size)

    random = theano.tensor.raw_random
    op = random.RandomFunction(multinomial_helper, theano.tensor.dvector)
    with pytest.raises(UnsupportedDraw, match=f"draw by multinomial_helper of {__name__}"):
        enumerated(theano.function([], streams.gen(op, (2,))))


def test_two_draws_of_one_state_are_refused(theano, kind):
    """Streams of one seed: they hang on each other."""
    make, compiled = kind
    coins = [make(3).binomial(size=(1,), p=p) for p in (0.25, 0.5)]
    with pytest.raises(UnsupportedDraw, match="let each have a state of its own"):
        enumerated(compiled([], coins))


def test_one_uniform_number_for_many_probabilities_is_refused(theano):
    """One number compared with two probabilities is no two coins; nor is it where no run is."""
    streams = theano.sandbox.rng_mrg.MRG_RandomStreams(3)
    function = enumerable_function([], streams.binomial(size=(1,), p=np.array([0.25, 0.5])))
    with pytest.raises(ValueError, match="draw as many as there are probabilities"):
        enumerated(function)


def test_all_is_put_back(theano, streams):
    """After an enumeration, and after one that fails, Theano is as before, and draws by itself."""
    random, function = theano.tensor.raw_random, theano.compile.function_module.Function
    coin = theano.function([], streams.binomial(n=1, p=0.5, size=(64,)))
    single = theano.function([], streams.binomial(n=1, p=0.5))
    noise = theano.function([], streams.normal())
    before = function.__call__

    def run():
        assert function.__call__ is not before
        assert "exec_fn" in vars(random.RandomFunction)
        assert len(enumerated(single)) == 2  # one inside of another
        return int(single())

    assert [value for value, _ in enumerated(run)] == [0, 1]
    with pytest.raises(UnsupportedDraw):
        enumerated(noise)
    assert function.__call__ is before
    assert random.np is np
    assert "exec_fn" not in vars(random.RandomFunction)
    assert noise() != noise()
    assert 0 < coin().sum() < 64


# ------------------------------------------------------------------ what is put back


def seeded(code):
    """Whether what it draws from is found to be made from a fixed seed in each run."""
    with Handling(code) as handling:
        assert len(list(paths(code, handling.perform))) > 1
        return handling.seeds.seeded


@pytest.mark.parametrize("mode", ["FAST_COMPILE", "FAST_RUN"])
def test_shared_variables_are_put_back(theano, kind, mode):
    """What updates change, in place or not, is as it was before: for each run, and at the end."""
    make, compiled = kind
    weights = theano.shared(np.array([1.0, 2.0]))
    held = weights.get_value(borrow=True)
    coin = make(3).binomial(size=(1,), p=0.25)
    step = theano.tensor.inc_subtensor(weights[:1], 1.0 + coin)
    function = compiled([], weights.sum(), updates=[(weights, step)], mode=mode)

    def code():
        return [float(function()), float(function())]

    found = enumerated(code)
    assert [value for value, _ in found] == [[3.0, 4.0]] * 2 + [[3.0, 5.0]] * 2
    assert weights.get_value(borrow=True) is held
    assert held.tolist() == [1.0, 2.0]


def test_what_is_set_is_put_back(theano, streams):
    """Also what is written to in place, and a failure in between makes no difference."""
    one, two, three = (theano.shared(np.array([1.0, 2.0])) for _ in range(3))
    coin = theano.function([], streams.binomial(n=1, p=0.25))

    def code():
        value = int(coin())
        seen = [each.get_value().tolist() for each in (one, two, three)]
        one.set_value(one.get_value() + value + 1.0)
        two.get_value(borrow=True)[0] = 7.0
        three.zero(borrow=True)
        if value:
            raise KeyError(repr(seen))
        return seen

    with Handling(code) as handling:
        each = paths(code, handling.perform)
        assert next(each).value == [[1.0, 2.0]] * 3
        with pytest.raises(KeyError, match=r"\[1\.0, 2\.0\], \[1\.0, 2\.0\], \[1\.0, 2\.0\]"):
            next(each)
    assert [each.get_value().tolist() for each in (one, two, three)] == [[1.0, 2.0]] * 3


def test_states_are_put_back(theano, kind):
    """The streams draw afterwards what they would have drawn."""
    make, compiled = kind
    functions = [compiled([], make(3).binomial(size=(32,), p=0.5)) for _ in range(2)]
    single = compiled([], make(4).binomial(size=(1,), p=0.5))
    for function in functions:
        function()
    assert len(enumerated(lambda: (single(), single()))) == 4
    with Handling() as handling:
        run = SampledRun()
        handling.perform(functions[0], run)  # which moves it on
    functions[1]()
    assert [functions[0]().tolist() for _ in range(2)] == [
        functions[1]().tolist() for _ in range(2)
    ]


def test_what_shared_variables_are_left_with_is_told(theano, streams):
    """By name; and what a run left can be gone on from."""
    mean = theano.shared(0.0, name="running mean")
    coin = streams.binomial(n=1, p=0.25)
    function = theano.function([], mean + coin, updates=[(mean, mean + coin)])
    with Handling() as handling:
        (own,) = [each for each in handling._frameworks if isinstance(each, Theano)]
        first, second = paths(lambda: float(function()), handling.perform)
        assert (first.value, second.value) == (0.0, 1.0)
        assert list(own.changed) == ["running mean"]

        with own.state_after(lambda: run_path(function, handling.perform, second.choices)):
            later = [path.value for path in paths(lambda: float(function()), handling.perform)]
            assert later == [1.0, 2.0]
            assert float(mean.get_value()) == 1.0
        assert float(mean.get_value()) == 0.0


# ------------------------------------------------------------------ seeds


def test_seeds_in_each_run_are_seen(theano, kind):
    """Streams that are seeded in each run, and those that are never updated; others are not."""
    make, compiled = kind
    streams = make(3)
    coin = streams.binomial(size=(1,), p=0.25)
    moving, other = compiled([], coin), compiled([], coin)
    still = compiled([], coin, no_default_updates=True)

    def seeding():
        streams.seed(5)
        return moving()

    assert seeded(seeding)
    assert seeded(still)
    assert not seeded(lambda: (moving(), other()))


def test_streams_that_are_made_in_a_run(theano, kind):
    """What they draw for themselves is nobody's draw; they have a seed, and that is seen."""
    make, compiled = kind

    def code(streams=None):
        coin = (streams or make(3)).binomial(size=(1,), p=0.25)
        return compiled([], coin)()

    assert len(enumerated(code)) == 2
    assert seeded(code)
    streams = make(3)
    assert len(enumerated(lambda: code(streams))) == 2


# ------------------------------------------------------------------ handlers


def test_a_function_is_looked_through_once(theano, streams, monkeypatch):
    """However often it is called, and by however many enumerations."""
    looked = []
    real = Theano.unseen_draws
    monkeypatch.setattr(Theano, "unseen_draws", lambda *args: looked.append(args[1]) or real(*args))
    x = theano.tensor.dscalar()
    plain, coin = theano.function([x], x + 1), theano.function([], streams.binomial(n=1, p=0.5))
    for _ in range(2):
        assert len(enumerated(lambda: [(plain(1.0), coin()) for _ in range(3)])) == 8
    assert looked == [plain.maker, coin.maker]


def test_another_thread_draws_as_ever(theano, streams, ask_thread):
    """While handlers are installed, and while a run is under way."""
    many = theano.function([], streams.binomial(n=1, p=0.5, size=(64,)))
    noise = theano.function([], streams.normal())
    coin = theano.function([], streams.binomial(n=1, p=0.5))
    found = []

    def code():
        found.append(ask_thread(lambda: (int(many().sum()), float(noise()))))
        return int(coin())

    assert len(enumerated(code)) == 2
    assert all(0 < ones < 64 for ones, _ in found)
    assert len({number for _, number in found}) == 2


def test_a_run_that_samples_draws_as_ever(theano, kind):
    """It sees how rare outcomes can be, and names what it cannot see."""
    make, compiled = kind
    streams = make(3)
    coin = compiled([], streams.binomial(size=(64,), p=0.125))
    noise = theano.function([], streams.normal(size=(2,)))
    weight = theano.shared(1.0)
    step = theano.function([], [], updates=[(weight, weight + 1.0)])
    with Handling() as handling:
        runs = [SampledRun() for _ in range(2)]

        def code():
            step()
            return coin().tolist(), noise().tolist(), float(weight.get_value())

        (first, noisy, one), (second, other, two) = (handling.perform(code, run) for run in runs)
    assert first != second
    assert noisy != other
    assert (one, two) == (2.0, 2.0)
    assert {run.rarest for run in runs} == {0.125}
    assert all(len(run.unknown) == 1 and "no outcomes to count" in str(run.unknown) for run in runs)


@pytest.mark.parametrize("high", [10**5, 2**40])
def test_many_outcomes_are_never_listed(theano, streams, high):
    """There are too many paths, which is known at once."""
    number = theano.function([], streams.random_integers(low=1, high=high))
    with pytest.raises(TooManyPaths, match=f"one of {high:,} outcomes"):
        enumerated(number)


def test_draws_of_one_seed_are_refused_whatever_their_size(theano, kind):
    """Two streams in one state hang on each other, though one draws more numbers than the other."""
    make, compiled = kind
    coins = [make(3).binomial(size=(size,), p=0.25) for size in (1, 2)]
    with pytest.raises(UnsupportedDraw, match="let each have a state of its own"):
        enumerated(compiled([], coins))
