"""JAX code that is run for many paths at a time comes to what it comes to path by path."""

import contextlib
import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradproof import check_estimator
from gradproof.estimators.enumeration import block_moments, path_blocks
from gradproof.estimators.enumeration.block import NotBatchable
from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import Estimator
from gradproof.estimators.enumeration.frameworks import jax_rows
from gradproof.estimators.enumeration.run import UnsupportedDraw

pytestmark = pytest.mark.libraries

COSTS = np.array([1.0, -2.0, 0.5, 3.0])
LOGITS = np.linspace(-1.0, 1.0, 4)

#: How long JAX takes to compile, as it is when nobody tests.
COMPILING = jax_rows.COMPILING


@pytest.fixture(autouse=True)
def jax(library):
    """JAX, in double precision."""
    found = library("jax")
    with found.enable_x64(True):
        yield found


@pytest.fixture(autouse=True)
def few_paths_too(monkeypatch):
    """Small problems are run in blocks, so that the tests can be quick."""
    monkeypatch.setattr(block_moments, "FEWEST_PATHS", 1)
    monkeypatch.setattr(jax_rows, "COMPILING", 0.0)


def enumerated(estimate, inputs, way):
    """Moments of an estimator, and its enumeration."""
    with Enumeration(Estimator(estimate, inputs), batch=way) as enumeration:
        return enumeration.moments(), enumeration


def same(one, other, precision=2.0**-52):
    """Whether two moments are the same, but for rounding."""
    assert (one.count, one.draws) == (other.count, other.draws)
    assert one.layout.shapes == other.layout.shapes
    scale = (1.0 + one.largest().max()) * precision
    np.testing.assert_allclose(one.mean(), other.mean(), atol=45 * scale, rtol=0)  # roundings
    scale = (1.0 + one.largest().max() ** 2) * precision
    # Of squares, so that ten times as many are allowed.
    np.testing.assert_allclose(one.variance(), other.variance(), atol=450 * scale, rtol=0)


def compare(estimate, inputs, precision=2.0**-52, least=1):
    """Blocks and paths one by one, which must come to the same; how many blocks there were."""
    moments, enumeration = enumerated(estimate, inputs, True)
    other, one_by_one = enumerated(estimate, inputs, False)
    assert enumeration.blocks >= least
    assert one_by_one.blocks == 0
    same(moments, other, precision)
    return enumeration


# ------------------------------------------------------------------ estimators


def surrogate(jax, logits, key):
    """The usual one, indexed by what was drawn."""
    y = jax.random.categorical(key, logits)
    return jax.numpy.asarray(COSTS)[y] * jax.nn.log_softmax(logits)[y]


def usual(jax, logits):
    """Its gradient."""
    return jax.grad(functools.partial(surrogate, jax))(logits, jax.random.key(0))


def leave_one_out(jax, logits):
    """Three samples of one draw, each with the others as its baseline."""

    def loss(logits):
        y = jax.random.categorical(jax.random.PRNGKey(0), logits, shape=(3,))
        cost = jax.numpy.asarray(COSTS)[y]
        baseline = (cost.sum() - cost) / 2
        return (jax.lax.stop_gradient(cost - baseline) * jax.nn.log_softmax(logits)[y]).mean()

    return jax.grad(loss)(logits)


def mapped(jax, logits):
    """A key for each row of a batch, under vmap."""
    keys = jax.random.split(jax.random.key(0), 3)
    each = jax.vmap(jax.grad(functools.partial(surrogate, jax)), in_axes=(None, 0))
    return each(logits, keys).mean(0)


def scanned(jax, logits):
    """A draw in each step of a loop, by which the next one is made."""

    def loss(logits):
        def step(carry, key):
            y = jax.random.categorical(key, logits + 0.3 * carry)
            log_q = jax.nn.log_softmax(logits + 0.3 * carry)[y]
            return jax.numpy.asarray(COSTS)[y], (log_q, jax.numpy.asarray(COSTS)[y])

        _, (log_q, cost) = jax.lax.scan(step, 0.0, jax.random.split(jax.random.key(0), 2))
        return jax.lax.stop_gradient(cost.sum()) * log_q.sum()

    return jax.grad(loss)(logits)


def scanned_twice(jax, logits):
    """A loop in a loop, under vmap and a checkpoint, backwards."""

    def loss(logits, key):
        def outer(total, key):
            def inner(total, key):
                return total + surrogate(jax, logits * (1.0 + total), key), total

            return jax.lax.scan(inner, total, jax.random.split(key, 2))

        total, seen = jax.lax.scan(
            jax.checkpoint(outer), 0.0, jax.random.split(key, 1), reverse=True
        )
        return total + seen.sum()

    keys = jax.random.split(jax.random.key(0), 2)
    return jax.vmap(jax.grad(loss), in_axes=(None, 0))(logits[:2], keys).sum(0)


def by_hand(jax, logits):
    """The score written out, with a key that is made of another in a loop of Python's."""
    key, total = jax.random.key(0), 0.0
    for step in range(3):
        y = jax.random.categorical(jax.random.fold_in(key, step), logits)
        total += jax.numpy.asarray(COSTS)[y] * (jax.nn.one_hot(y, 4) - jax.nn.softmax(logits))
    return total


def without_replacement(jax, logits):
    """Some of four, in order, and a choice by weights."""
    one, two = jax.random.split(jax.random.key(0))
    y = jax.random.categorical(one, logits, shape=(3,), replace=False)
    z = jax.random.choice(two, jax.numpy.asarray(COSTS), (2,), False, jax.nn.softmax(logits))
    return logits[y].sum() * COSTS + z[0] * logits - z[1]


def coins(jax, logits):
    """Some of which are certain on some paths."""
    one, two = jax.random.split(jax.random.key(0))
    p = jax.nn.sigmoid(logits)
    first = jax.random.bernoulli(one, p[0])
    rest = jax.random.bernoulli(two, jax.numpy.where(first, p[1:], 1.0))
    return first * p + (rest * p[1:]).sum()


def integers(jax, logits):
    """Places in a batch, in a permutation, and numbers between bounds."""
    one, two, three, four = jax.random.split(jax.random.key(0), 4)
    place = jax.random.randint(one, (2,), 0, np.array([4, 2]))
    order = jax.random.permutation(two, 3)
    other = jax.random.choice(three, jax.numpy.asarray(COSTS), (2,))
    mixed = jax.random.permutation(four, logits[:2])
    return logits[place].sum() * order[0] * COSTS + other[0] * logits * mixed[1]


def counts(jax, logits):
    """How many of two trials come out, another probability on other paths; signs; one trial."""
    one, two, three = jax.random.split(jax.random.key(0), 3)
    sign = jax.random.rademacher(one, (2,))
    many = jax.random.binomial(two, 2, jax.nn.sigmoid(logits[0] * sign[0]))
    found = many * logits + sign.sum()
    if hasattr(jax.random, "multinomial"):
        found += COSTS * jax.random.multinomial(three, 1.0, jax.nn.softmax(logits))
    return found


def reused(jax, logits):
    """The same key draws the same again."""
    key = jax.random.key(0)
    return usual(jax, logits) * jax.numpy.asarray(COSTS)[jax.random.categorical(key, logits)]


def impossible(jax, logits):
    """Outcomes that cannot be, other ones after some first ones."""
    one, two = jax.random.split(jax.random.key(0))
    y = jax.random.categorical(one, jax.numpy.where(np.arange(4) == 1, -np.inf, logits))
    z = jax.random.categorical(two, jax.numpy.where(np.arange(4) <= y, logits, -np.inf))
    return COSTS * logits[y] + logits * logits[z]


def chosen(jax, logits):
    """A way through the code that depends on what is drawn, without a draw in it."""

    def loss(logits):
        y = jax.random.categorical(jax.random.key(0), logits, shape=(2,))
        way = jax.lax.cond(y[0] > 1, lambda x: x**2, jax.numpy.sin, logits[y[0]])
        _, total = jax.lax.while_loop(
            lambda each: each[0] < y[1],
            lambda each: (each[0] + 1, 2.0 * each[1]),
            (0, jax.lax.stop_gradient(logits[0])),
        )
        return way * total * jax.nn.log_softmax(logits)[y].sum()

    return jax.grad(loss)(logits)


def second_order(jax, logits):
    """A gradient of a gradient, and a forward derivative."""
    key = jax.random.key(0)

    def loss(logits):
        return (jax.grad(functools.partial(surrogate, jax))(logits, key) ** 2).sum()

    return jax.grad(loss)(logits) + jax.jacfwd(functools.partial(surrogate, jax))(logits, key)


def loops(jax, logits):
    """A loop that is written out in twos, one of a fixed length, and a map with keys of its own."""
    key = jax.random.key(0, impl="rbg")

    def step(total, key):
        p = jax.nn.sigmoid(logits[0] + 0.1 * total.sum())
        return total + jax.random.bernoulli(key, p) * logits, None

    total, _ = jax.lax.scan(step, logits, jax.random.split(key, 2), unroll=2)
    total = jax.lax.fori_loop(
        2, 4, lambda each, total: step(total, jax.random.fold_in(key, each))[0], total
    )
    keys = jax.random.split(jax.random.key(0), 2)
    drawn = jax.lax.map(lambda key: jax.random.bernoulli(key, 0.3), keys)
    return total * jax.lax.associative_scan(jax.numpy.add, drawn.astype(int))[-1]


def one_key_for_all(jax, logits):
    """The same key for each row of a vmap: it draws the same in each; and a second derivative."""
    key = jax.random.key(0)
    mapped = jax.vmap(lambda x: x * jax.random.categorical(key, logits))(logits)
    second = jax.hessian(lambda logits: logits[jax.random.categorical(key, logits)] ** 3)(logits)
    return mapped + second.sum(0)


def custom(jax, logits):
    """A function whose derivative somebody wrote, with a draw in its forward pass."""

    @jax.custom_vjp
    def drawn(logits, key):
        return jax.numpy.asarray(COSTS)[jax.random.categorical(key, logits)]

    def forward(logits, key):
        y = jax.random.categorical(key, logits)
        return jax.numpy.asarray(COSTS)[y], (logits, y)

    def backward(kept, slope):
        logits, y = kept
        score = jax.nn.one_hot(y, 4) - jax.nn.softmax(logits)
        return slope * jax.numpy.asarray(COSTS)[y] * score, None

    drawn.defvjp(forward, backward)
    first, second = jax.random.split(jax.random.key(0))
    return jax.grad(drawn)(logits, first) + drawn(logits, second)


ESTIMATORS = {
    each.__name__: each
    for each in (
        *(usual, leave_one_out, mapped, scanned, scanned_twice, by_hand, without_replacement),
        *(coins, integers, counts, reused, impossible, chosen, second_order, custom),
        *(loops, one_key_for_all),
    )
}


@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "jit"])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_blocks_are_paths(jax, name, compiled):
    """Mean, variance, number of paths and draws, however gradients are made."""
    estimate = functools.partial(ESTIMATORS[name], jax)
    compare(jax.jit(estimate) if compiled else estimate, [jax.numpy.asarray(LOGITS)])


def test_single_precision(jax):
    """In JAX's own."""

    def estimate(logits):
        costs = np.array(COSTS, np.float32)  # JAX mixes up arrays that it knows in both precisions

        def loss(logits):
            one, two = jax.random.split(jax.random.key(0))
            y = jax.random.categorical(one, logits, shape=(2,))
            coin = jax.random.bernoulli(two, jax.nn.sigmoid(logits[y[0]]))
            return (jax.numpy.asarray(costs)[y] * jax.nn.log_softmax(logits)[y]).sum() * (1 + coin)

        return jax.grad(loss)(logits)

    with jax.enable_x64(False):
        for run in (estimate, jax.jit(estimate)):
            compare(run, [LOGITS.astype(np.float32)], 2.0**-23)


def test_what_is_returned_and_called_with(jax):
    """Gradients by name, one that nothing is drawn for and one that is not reached; keys."""

    def estimate(params, old, new):
        value = {"logits": usual(jax, params["logits"]), "fixed": np.float64(0.1), "none": None}
        labels = [jax.random.categorical(key, params["logits"]) for key in (old, new)]
        return {**value, "rest": [params["rest"] * COSTS[0] * label for label in labels]}

    params = {"logits": jax.numpy.asarray(LOGITS), "rest": jax.numpy.ones((2, 3))}
    inputs = [params, jax.random.PRNGKey(1), jax.random.key(2)]
    enumeration = compare(estimate, inputs)
    assert enumeration.repeats >= 20


def test_models(jax):
    """Of Equinox and Flax, as they come."""
    equinox = pytest.importorskip("equinox")
    linen = pytest.importorskip("flax.linen")
    x = jax.numpy.asarray(LOGITS)[:3]

    def loss(forward):
        logits, baseline = forward[:4], forward[4]
        y = jax.random.categorical(jax.random.key(0), logits, shape=(2,))
        cost = jax.numpy.asarray(COSTS)[y] - jax.lax.stop_gradient(baseline)
        return (cost * jax.nn.log_softmax(logits)[y]).sum() + baseline

    model = equinox.nn.MLP(3, 5, 6, 1, key=jax.random.key(1))
    compare(lambda: equinox.filter_grad(lambda model: loss(model(x)))(model), [])
    dense = linen.Dense(5)
    variables = dense.init(jax.random.key(1), x)
    compare(jax.grad(lambda each: loss(dense.apply(each, x))), [variables])


class Learner:
    """Keeps a baseline that learns, and what it has seen."""

    def __init__(self, jax):
        self._jax, self.mean, self.seen = jax, jax.numpy.zeros(()), []

    def __call__(self, logits):
        """An estimate."""

        def loss(logits):
            y = self._jax.random.categorical(self._jax.random.key(0), logits)
            cost = self._jax.numpy.asarray(COSTS)[y]
            return (cost - self.mean) * self._jax.nn.log_softmax(logits)[y], (cost, y)

        gradient, (cost, y) = self._jax.grad(loss, has_aux=True)(logits)
        self.mean = 0.9 * self.mean + 0.1 * cost
        self.seen.append(y)
        return gradient


def test_what_a_run_keeps_is_put_back(jax):
    """Each path begins with the same baseline, in blocks too, and nothing traced is left."""
    learner = Learner(jax)
    compare(learner, [jax.numpy.asarray(LOGITS)])
    assert learner.seen == []
    assert float(learner.mean) == 0.0


def test_many_blocks(jax, monkeypatch):
    """The tree grows where not all draws fit, and a block that is not full is filled up."""
    monkeypatch.setattr(jax_rows, "MOST_ROWS", 24)
    monkeypatch.setattr(jax_rows, "AT_ONCE", 7)
    monkeypatch.setattr(path_blocks, "WORTHWHILE", 1)
    for name in ("leave_one_out", "impossible", "coins"):
        estimate = jax.jit(functools.partial(ESTIMATORS[name], jax))
        compare(estimate, [jax.numpy.asarray(LOGITS)], least=2 if name == "leave_one_out" else 1)


@settings(max_examples=10, deadline=None)  # each compiles two programs
@given(data=st.data())
def test_random_trees(data):
    """Draws of several kinds, by keys that may be used again, each by what was drawn before."""
    import jax

    kinds = st.sampled_from(["categorical", "bernoulli", "randint", "masked", "again"])
    tree = data.draw(st.lists(kinds, min_size=1, max_size=4), label="draws")
    rng = np.random.default_rng(data.draw(st.integers(0, 99), label="seed"))
    tables = rng.normal(size=(len(tree), 3)), rng.normal(size=(len(tree), 3))

    def drawn(kind, place, key, logits, state):
        shifted = logits[:3] * (1.0 + 0.1 * state) + tables[0][place]
        if kind == "bernoulli":
            return jax.random.bernoulli(key, jax.nn.sigmoid(shifted[0])).astype(int)
        if kind == "randint":
            return jax.random.randint(key, (), -1, 2)
        mask = (np.arange(3) > state % 2) if kind == "masked" else np.full(3, True)
        return jax.random.categorical(key, jax.numpy.where(mask, shifted, -np.inf))

    def estimate(logits):
        state, total, keys = 0, jax.numpy.zeros(3), jax.random.split(jax.random.key(0), len(tree))
        for place, kind in enumerate(tree):
            label = drawn(kind, place, keys[place], logits, state)
            if kind == "again":
                label += drawn(kind, place, keys[place], logits, state)
            state = state + label
            total = total * 0.5 + tables[1][place] * label + logits[:3] * state
        return total

    with jax.enable_x64(True), pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(block_moments, "FEWEST_PATHS", 1)
        monkeypatch.setattr(jax_rows, "COMPILING", 0.0)
        compare(jax.jit(estimate), [jax.numpy.asarray(LOGITS)])


# ------------------------------------------------------------------ what cannot be run in blocks


def numbers(jax, logits):
    """A way through the code, in Python, that depends on what is drawn."""
    y = jax.random.categorical(jax.random.key(0), logits, shape=(2,))
    return logits * (2.0 if y[0] == 1 else COSTS[int(y[1])])


def arrays(jax, logits):
    """A reward that NumPy computes."""
    y = jax.random.categorical(jax.random.key(0), logits)
    return logits * np.cos(y)


def rare(jax, logits):
    """On few paths it comes to something else if a number cannot be read, which it catches."""
    y = jax.random.categorical(jax.random.key(0), logits)
    number = 0
    with contextlib.suppress(Exception):
        number = int(y)
    return logits * (1.0 + (number == 3)) * (1.0 + (y == 0))


def text(jax, logits):
    """The same by the text of a number."""
    y = jax.random.categorical(jax.random.key(0), logits)
    return logits * {"3": 2.0}.get(str(y), 1.0) * (1.0 + (y == 0))


generator = np.random.default_rng(0)


def mixed(jax, logits):
    """A draw of NumPy's beside one of JAX's."""
    return usual(jax, logits) * (1.0 + int(generator.integers(2)))


def drawn_sometimes(jax, logits):
    """A draw that only some paths make."""
    one, two = jax.random.split(jax.random.key(0))
    y = jax.random.categorical(one, logits)
    other = jax.lax.cond(y > 1, lambda: jax.random.categorical(two, logits), lambda: y)
    return logits * (y + other)


def drawn_until(jax, logits):
    """Draws until something comes out, twice at most."""
    state = jax.lax.while_loop(
        lambda each: (each[1] == 0) & (each[0] < 2),
        lambda each: (
            each[0] + 1,
            jax.random.categorical(jax.random.fold_in(jax.random.key(0), each[0]), logits),
        ),
        (0, jax.numpy.asarray(0, int)),
    )
    return logits * state[1]


def drawn_key(jax, logits):
    """A key that depends on what is drawn."""
    key = jax.random.key(0)
    y = jax.random.categorical(key, logits)
    return logits * (y + jax.random.categorical(jax.random.fold_in(key, y), logits))


def drawn_bounds(jax, logits):
    """Bounds that depend on what is drawn."""
    one, two = jax.random.split(jax.random.key(0))
    y = jax.random.categorical(one, logits)
    return logits * jax.random.randint(two, (), y, 4)


def several_trials(jax, logits):
    """Draws after which others are certain."""
    if not hasattr(jax.random, "multinomial"):
        pytest.skip("this JAX has no multinomial")
    return logits * jax.random.multinomial(jax.random.key(0), 2.0, jax.nn.softmax(logits))


def called_back(jax, logits):
    """A function of the host."""
    y = jax.random.categorical(jax.random.key(0), logits)
    kind = jax.ShapeDtypeStruct((), float)
    return logits * jax.pure_callback(lambda y: np.cos(y), kind, y, vmap_method="sequential")


def printed(jax, logits):
    """A line for each path."""
    y = jax.random.categorical(jax.random.key(0), logits)
    jax.debug.print("{y}", y=y)
    return logits * y


def mapped_by_a_rule(jax, logits):
    """Somebody's own rule for vmap, which is a wrong one."""

    @jax.custom_batching.custom_vmap
    def double(x):
        return 2.0 * x

    @double.def_vmap
    def rule(size, mapped, x):
        return 2.0 * x + 1e-3 * (x > 2.5), True

    y = jax.random.categorical(jax.random.key(0), logits)
    return logits * double(y.astype(float))


REFUSED = {
    numbers: "Python needs the value of an array that JAX traces",
    arrays: "Python needs the value of an array that JAX traces",
    rare: "Python needs the value of an array that JAX traces",
    text: "Python needs the value of an array that JAX traces",
    mixed: "integers draws for one path at a time",
    drawn_sometimes: "it draws inside of cond, and so perhaps not on all paths",
    drawn_until: "it draws inside of while, and so perhaps not on all paths",
    drawn_key: "its keys depend on what is drawn",
    drawn_bounds: "what jax.random.randint is called with depends on what is drawn",
    several_trials: "it makes more or fewer draws by a key than its first path",
    called_back: r"it does more than compute \(pure_callback\)",
    printed: r"it does more than compute \(.*Debug",
    mapped_by_a_rule: r"it does more than compute \(custom_vmap_call\)",
}

#: Those that JAX can compile too.
COMPILABLE = (
    *(drawn_sometimes, drawn_until, drawn_key, drawn_bounds, several_trials, called_back, printed),
    mapped_by_a_rule,
)


@pytest.mark.parametrize(
    ("estimate", "compiled"),
    [*((each, False) for each in REFUSED), *((each, True) for each in COMPILABLE)],
    ids=lambda each: ("plain", "jit")[each] if isinstance(each, bool) else each.__name__,
)
def test_what_cannot_be_run_in_blocks_is_run_path_by_path(jax, estimate, compiled):
    """With the reason, and as if nobody had tried."""
    plain = functools.partial(estimate, jax)
    run, inputs = jax.jit(plain) if compiled else plain, [jax.numpy.asarray(LOGITS)]
    with pytest.raises(NotBatchable, match=REFUSED[estimate]):
        enumerated(run, inputs, True)
    moments, enumeration = enumerated(run, inputs, "auto")
    assert enumeration.blocks == 0
    same(moments, enumerated(run, inputs, False)[0])


def test_a_draw_that_compiled_code_leaves_out(jax):
    """Nothing follows from it, so that compiled code does not ask for it."""

    def estimate(logits):
        one, two = jax.random.split(jax.random.key(0))
        jax.random.categorical(two, logits)
        return surrogate(jax, logits, one) * logits

    compare(estimate, [jax.numpy.asarray(LOGITS)])
    with pytest.raises(NotBatchable, match="makes draws that its first path does not make"):
        enumerated(jax.jit(estimate), [jax.numpy.asarray(LOGITS)], True)


@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "jit"])
def test_a_key_that_is_used_for_several_draws_is_refused(jax, compiled):
    """On the paths on which their probabilities are not the same, in whatever way it is run."""

    def estimate(logits):
        one, two = jax.random.split(jax.random.key(0))
        y = jax.random.categorical(one, logits)
        first = jax.random.categorical(two, logits)
        again = jax.random.categorical(two, logits + (y == 3) * COSTS)
        return logits * (first + again)

    run = jax.jit(estimate) if compiled else estimate
    for way in ("auto", False):
        with pytest.raises(UnsupportedDraw, match="split the key"):
            enumerated(run, [jax.numpy.asarray(LOGITS)], way)


@pytest.mark.parametrize("planted", ["gradient", "weight", "draws"])
def test_a_difference_between_the_two_ways_is_seen(jax, planted):
    """Code that can tell how it is run, and does something else."""

    def estimate(logits):
        one, two = jax.random.split(jax.random.key(0))
        traced = isinstance(logits + jax.numpy.zeros(4), jax.core.Tracer)
        moved = logits + 1e-9 * traced * np.arange(4.0) * (planted == "weight")
        y = jax.random.categorical(one, moved)
        value = (
            jax.numpy.asarray(COSTS)[y] * logits * (1.0 + 1e-9 * (planted == "gradient") * traced)
        )
        if planted == "draws" and traced:
            value = value + jax.random.bernoulli(two)
        return value

    inputs = [jax.numpy.asarray(LOGITS)]
    message = "a path by itself comes to something else|draws that its first path does not make"
    with pytest.raises(NotBatchable, match=message):
        enumerated(estimate, inputs, True)
    moments, enumeration = enumerated(estimate, inputs, "auto")
    assert enumeration.blocks == 0
    same(moments, enumerated(estimate, inputs, False)[0])


# ------------------------------------------------------------------ reports


def test_verdicts_are_the_same(jax):
    """The right estimator holds, one that is 2 % off does not, and the report says how it ran."""
    exact = jax.grad(lambda logits: jax.nn.softmax(logits) @ COSTS)
    for factor, verdict in ((1.0, "holds"), (1.02, "refuted")):
        estimate = jax.jit(lambda logits, factor=factor: factor * usual(jax, logits))
        one, other = (
            check_estimator(estimate, [jax.numpy.asarray(LOGITS)], exact=exact, batch=way)
            for way in (True, False)
        )
        assert one.verdict == other.verdict == verdict
        assert (one.blocks, other.blocks) == (1, 0)
        assert one.notes[-1].startswith("Paths were run many at a time, in 1 block, and")


def test_a_gradient_that_is_not_finite_is_named(jax):
    """With the path on which it is so."""

    def estimate(logits):
        y = jax.random.categorical(jax.random.key(0), logits, shape=(2,))
        return logits / (y[0] != 2)

    one, other = (
        check_estimator(jax.jit(estimate), [jax.numpy.asarray(LOGITS)], exact=np.ones(4), batch=way)
        for way in (True, False)
    )
    assert one.comparisons[0].note == other.comparisons[0].note
    assert "where jax.random.categorical -> 2" in one.comparisons[0].note


def test_few_paths_are_not_compiled_for(jax, monkeypatch):
    """Fewer where each path is run step by step than where it is compiled already."""
    monkeypatch.setattr(jax_rows, "COMPILING", COMPILING)
    usual_way = functools.partial(by_hand, jax)
    for estimate, blocks in ((usual_way, 1), (jax.jit(usual_way), 0)):
        _, enumeration = enumerated(estimate, [jax.numpy.asarray(LOGITS)], "auto")
        assert enumeration.blocks == blocks
    assert "are run faster so" in enumeration.one_by_one
