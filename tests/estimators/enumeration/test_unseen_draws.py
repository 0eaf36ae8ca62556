"""What is drawn and no handler sees passes for no constant, on whatever path it is drawn."""

import contextvars
import functools
import random
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gradproof import UnsupportedDraw, check_estimator, check_surrogate
from gradproof.estimators.backends import load
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.run import NotReproducible, Run

COSTS = np.array([1.0, 3.0, 2.0])
LOGITS = np.array([0.3, -0.2, 0.5])


@pytest.fixture
def torch():
    """The framework, or a skip."""
    return load("torch").torch


def softmax(logits):
    """Probabilities."""
    size = np.exp(logits - logits.max())
    return size / size.sum()


def gradient(logits, costs=COSTS):
    """Of the expected cost."""
    p = softmax(logits)
    return p * (costs - p @ costs)


def reinforce(rng, logits, factor=1.0):
    """One estimate, by a generator."""
    p = softmax(logits)
    y = rng.choice(len(p), p=p)
    return factor * COSTS[y] * (np.eye(len(p))[y] - p)


# ------------------------------------------------------------------ methods that are kept


def _class_attribute(rng):
    class Noise:
        coin = rng.integers

    return lambda: Noise.coin(2)


def _deque(rng):
    kept = deque([rng.integers])
    return lambda: kept[0](2)


def _iterator(rng):
    kept = map(rng.integers, [2] * 100_000)
    return lambda: next(kept)


def _frame(rng):
    def coins():
        draw = rng.integers
        while True:
            yield draw(2)

    kept = coins()
    next(kept)
    return lambda: next(kept)


def _far(rng):
    kept = [[[[[[rng.integers]]]]]]
    return lambda: kept[0][0][0][0][0][0](2)


KEPT = [_class_attribute, _deque, _iterator, _frame, _far]


@pytest.mark.parametrize("keep", KEPT)
@pytest.mark.parametrize("shared", [True, False], ids=["of-what-draws", "of-another"])
@pytest.mark.parametrize("factor", [1.0, 0.5], ids=["right", "wrong"])
def test_a_method_that_is_kept_out_of_reach_moves_its_generator(keep, shared, factor):
    """Whether or not the same generator answers other draws of the run."""
    rng = np.random.default_rng()
    coin = keep(rng if shared else np.random.default_rng())

    def estimate(logits):
        return reinforce(rng, logits, 2.0 * factor * coin())

    with pytest.raises((UnsupportedDraw, NotReproducible)):
        check_estimator(estimate, [LOGITS], exact=gradient(LOGITS))


def test_a_tuple_of_methods_is_seen():
    """It cannot be written to; another takes its place, and is taken out again."""
    rng = np.random.default_rng()
    samplers = before = (rng.choice, rng.integers)

    def estimate(logits):
        p = softmax(logits)
        y = samplers[0](3, p=p)
        return COSTS[y] * (np.eye(3)[y] - p)

    assert check_estimator(estimate, [LOGITS], exact=gradient(LOGITS)).verdict == "holds"
    assert check_estimator(estimate, [LOGITS], exact=1.1 * gradient(LOGITS)).verdict == "refuted"
    assert samplers is before


# ------------------------------------------------------------------ on rare paths


@pytest.fixture
def rare(torch):
    """A surrogate on 40 labels, a function of one of which may draw something more."""
    logits = torch.zeros(40, dtype=torch.double, requires_grad=True)
    costs = torch.arange(40.0, dtype=torch.double)

    def made(more):
        def estimate(logits):
            q = torch.distributions.Categorical(logits=logits)
            y = q.sample()
            cost = costs[y] if y != 37 else more(costs[y])
            return cost * q.log_prob(y)

        p = np.full(40, 1.0 / 40.0)
        return estimate, logits, gradient(np.zeros(40), costs.numpy()) * (p > 0.0)

    return made


@pytest.mark.torch
@pytest.mark.parametrize(
    "draw",
    ["dropout", "operation", "attention", "rrelu"],
)
def test_what_is_drawn_on_one_path_alone_is_refused(torch, rare, draw):
    """No run of that path is watched; its generator is not where handled draws left it."""
    more = {
        "dropout": lambda cost: torch.ops.aten.dropout(cost, 0.5, True),
        "operation": lambda cost: cost * 2.0 * torch.ops.aten.bernoulli(torch.tensor(0.5)),
        "rrelu": lambda cost: torch.nn.functional.rrelu(-cost, training=True),
        "attention": lambda cost: (
            cost
            * torch.ops.aten.scaled_dot_product_attention(
                *torch.ones(3, 1, 2, 2), dropout_p=0.5
            ).sum()
        ),
    }[draw]
    estimate, logits, exact = rare(more)
    with pytest.raises(UnsupportedDraw, match="a generator of PyTorch moved"):
        check_estimator(estimate, [logits], exact=exact)


@pytest.mark.torch
def test_nothing_drawn_by_dropout_of_nothing(torch, rare):
    """Nor by attention with a probability of zero, fused or not."""

    def more(cost):
        attention = torch.nn.functional.scaled_dot_product_attention(*torch.ones(3, 1, 2, 2))
        return torch.nn.functional.dropout(cost, 0.0) + 0.0 * attention.sum()

    estimate, logits, exact = rare(more)
    assert check_estimator(estimate, [logits], exact=exact).unbiased

    def always(logits):
        q = torch.distributions.Categorical(logits=logits)
        y = q.sample()
        return more(torch.arange(40.0)[y].double()) * q.log_prob(y)

    assert check_estimator(always, [logits], exact=exact).unbiased


@pytest.mark.torch
def test_surrogates_and_objectives_are_watched_too(torch):
    """Noise in what they cost is no constant."""
    logits = torch.zeros(3, dtype=torch.double, requires_grad=True)
    costs = torch.tensor(COSTS)

    def cost(y):
        return torch.nn.functional.rrelu(-costs, training=True)[y]

    def surrogate(logits):
        q = torch.distributions.Categorical(logits=logits)
        y = q.sample()
        return cost(y) * q.log_prob(y)

    def objective(logits):
        return cost(torch.distributions.Categorical(logits=logits).sample())

    with pytest.raises(UnsupportedDraw, match=r"moved|rrelu"):
        check_surrogate(surrogate, [logits])
    with pytest.raises(UnsupportedDraw, match=r"moved|rrelu"):
        check_surrogate(lambda x: x.sum(), [logits], objective=objective)
    with pytest.raises(UnsupportedDraw, match=r"moved|rrelu"):
        check_estimator(surrogate, [logits], objective=objective)


# ------------------------------------------------------------------ what is set, and who else draws


@pytest.mark.parametrize("kind", [np.random.PCG64, np.random.Philox, np.random.SFC64])
def test_a_state_that_is_set_is_no_draw(kind):
    """By NumPy's mapping, or advanced: draws after it begin there."""
    rng = np.random.Generator(kind(3))

    def estimate(logits):
        first = reinforce(rng, logits)
        rng.bit_generator.state = kind(9).state
        if hasattr(rng.bit_generator, "advance"):
            rng.bit_generator.advance(7)
        return 0.5 * (first + reinforce(rng, logits))

    before = repr(rng.bit_generator.state)
    found = check_estimator(estimate, [LOGITS], exact=gradient(LOGITS))
    assert found.unbiased
    assert found.paths == 9
    assert repr(rng.bit_generator.state) == before


def test_equal_numbers_in_states_of_two_kinds_are_two_streams():
    """PCG64 and PCG64DXSM keep the same, and draw others from it."""
    one, other = (np.random.Generator(kind(5)) for kind in (np.random.PCG64, np.random.PCG64DXSM))

    def estimate(logits):
        return 0.5 * (reinforce(one, logits) + reinforce(other, logits))

    found = check_estimator(estimate, [LOGITS], exact=gradient(LOGITS))
    assert found.unbiased
    assert found.paths == 9


def test_checks_in_several_threads_wait_for_each_other():
    """They draw from one generator, and each finds it where it was."""
    said = []

    def check():
        def estimate(logits):
            return reinforce(np.random, logits)

        try:
            said.append(check_estimator(estimate, [LOGITS], exact=gradient(LOGITS)).verdict)
        except Exception as error:  # noqa: BLE001 - it is compared
            said.append(repr(error))

    threads = [threading.Thread(target=check) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert said == ["holds"] * 4


# ------------------------------------------------------------------ what is kept, and seen late


def test_what_is_kept_unseen_is_noticed_however_late_it_comes():
    """The first path is run again after the last: here the best cost so far, of 300 labels."""
    best = contextvars.ContextVar("best", default=0.0)
    costs = np.where(np.arange(300) == 280, 5.0, 0.0)
    rng = np.random.default_rng()
    logits = np.zeros(300)

    def estimate(logits):
        p = softmax(logits)
        y = rng.choice(300, p=p)
        score = np.eye(300)[y] - p
        found = (costs[y] - best.get()) * score
        best.set(max(best.get(), costs[y]))
        return found

    with pytest.raises(NotReproducible):
        check_estimator(estimate, [logits], exact=gradient(logits, costs))
    best.set(0.0)


@pytest.mark.torch
def test_what_is_differentiated_otherwise_while_it_is_watched(torch):
    """The product of numbers, in PyTorch: the same outcomes give another last digit, each time."""
    x = torch.tensor(np.random.default_rng(0).normal(size=5), requires_grad=True)

    def estimate(x):
        y = torch.bernoulli(torch.full((), 0.5, dtype=torch.double))
        return (2.0 * y * (1.0 + x.sigmoid()).prod() + 0.0 * x.sum()).sum()

    (exact,) = torch.autograd.grad((1.0 + x.sigmoid()).prod(), x)
    assert check_estimator(estimate, [x], exact=exact, returns="surrogate").unbiased


def test_a_method_of_pythons_own_is_seen_too():
    """A deque keeps it, and the module's function is handled."""
    kept = deque([random.random])

    def estimate(logits):
        p = softmax(logits)
        (y,) = random.choices(range(3), weights=p)
        return 2.0 * (kept[0]() < 0.5) * COSTS[y] * (np.eye(3)[y] - p)

    with pytest.raises(UnsupportedDraw, match="a generator of Python's random moved"):
        check_estimator(estimate, [LOGITS], exact=gradient(LOGITS))


def test_an_estimator_that_runs_so_often_and_no_more_is_judged():
    """From the state that it was given in; there is none later."""
    batches = [1.0, 1.0, 1.0]
    rng = np.random.default_rng()

    def estimate(logits):
        return reinforce(rng, logits, batches.pop())

    found = check_estimator(estimate, [LOGITS], exact=gradient(LOGITS))
    assert found.unbiased
    assert functools.reduce(lambda one, other: one + other, batches) == 3.0


# ------------------------------------------------------------------ threads of the estimator's own


def _by_thread(draw):
    found = []
    thread = threading.Thread(target=lambda: found.append(draw()))
    thread.start()
    thread.join()
    return found[0]


def _by_pool(draw):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(draw).result()


POOL = ThreadPoolExecutor(1)


def _by_old_pool(draw):
    return POOL.submit(draw).result()


@pytest.mark.parametrize("run", [_by_thread, _by_pool, _by_old_pool])
@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "holds"), (2.0, "refuted")])
def test_a_thread_that_a_run_starts_draws_for_it(run, factor, verdict):
    """Its draws have outcomes like all others: a coin in a thread, by a generator that is kept."""
    POOL.submit(int).result()  # its thread is there before
    rng = np.random.default_rng()

    def estimate(logits):
        coin = run(lambda: rng.integers(2))
        return reinforce(rng, logits, 2.0 * factor * coin)

    found = check_estimator(estimate, [LOGITS], exact=gradient(LOGITS))
    assert found.verdict == verdict
    assert found.paths == 6


def test_a_thread_that_goes_on_draws_for_itself():
    """After the run that started it, while handlers are there still: nobody asks for outcomes."""
    go, drawn, threads = threading.Event(), [], []

    def late():
        go.wait()
        drawn.append(np.random.default_rng(3).integers(2**40))

    def code():
        threads.append(threading.Thread(target=late))
        threads[-1].start()

    with Handling(code) as handling:
        handling.perform(code, Run())
        go.set()
        threads[0].join()
    assert drawn == [np.random.default_rng(3).integers(2**40)]


# ------------------------------------------------------------------ what is no number


@pytest.mark.parametrize(
    "compare",
    [
        lambda u: u < np.nan,
        lambda u: u > np.nan,
        lambda u: 1.0 - u < np.nan,
        lambda u: 1.0 - u > np.nan,
        lambda u: np.less(u, np.nan),
    ],
    ids=["below", "above", "one-less-below", "one-less-above", "by-numpy"],
)
@pytest.mark.parametrize("size", [None, 2])
def test_nothing_is_above_or_below_what_is_no_number(compare, size):
    """As NumPy has it."""
    rng = np.random.default_rng()

    def estimate(x):
        return x * (1.0 + float(np.sum(compare(rng.random(size)))))

    assert check_estimator(estimate, [np.ones(2)], exact=np.ones(2)).unbiased
