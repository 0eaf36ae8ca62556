"""Generators that are set back, copied or seeded in a run.

No two draws are taken for independent that are the same, and nothing hides behind a state that is
put back.
"""

import copy
import dataclasses
import pickle
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.pool import ThreadPool

import numpy as np
import pytest
from numpy.random import default_rng  # as people import it

from gradproof import check_estimator, check_surrogate
from gradproof.estimators.enumeration.generators import BIT_GENERATORS, BITS, PYTHON
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.run import TooManyPaths, UnsupportedDraw, paths

P = 0.6

#: Products of two probabilities, and sums of two such.
ROUNDING = 1e-15


def outcomes(run):
    """Each value with its probability."""
    found = {}
    with Handling(run) as handling:
        for path in paths(run, handling.perform):
            found[path.value] = found.get(path.value, 0.0) + path.probability
    return found


def coin(rng):
    """A draw that has outcomes to count."""
    return int(rng.binomial(1, P))


# ------------------------------------------------------------------ NumPy


def set_back():
    """The second coin is the first."""
    state = np.random.get_state()  # noqa: NPY002 - as people do
    first = np.random.binomial(1, P)  # noqa: NPY002
    np.random.set_state(state)  # noqa: NPY002
    return first, np.random.binomial(1, P)  # noqa: NPY002


def copied(make=copy.deepcopy):
    """So it is here."""
    rng = np.random.default_rng()
    other = make(rng)
    return coin(rng), coin(other)


def seeded_twice():
    """And here."""
    return coin(np.random.default_rng(0)), coin(np.random.default_rng(0))


def made_twice():
    """And here, by what has a state."""
    first, second = (np.random.Generator(np.random.PCG64(5)) for _ in range(2))
    return coin(first), coin(second)


def spawned_twice():
    """Twins of one parent, made twice."""
    first, second = (np.random.SeedSequence(3).spawn(1)[0] for _ in range(2))
    return coin(np.random.default_rng(first)), coin(np.random.default_rng(second))


def written_down():
    """What is read from what was written draws the same."""
    rng = np.random.default_rng()
    other = pickle.loads(pickle.dumps(rng))
    return coin(rng), coin(other)


def of_python():
    """The second coin is the first."""
    state = random.getstate()
    first = random.random() < P
    random.setstate(state)
    return first, random.random() < P


def hidden():
    """Something draws in C."""
    bits = np.random.mtrand._rand._bit_generator.ctypes
    return bits.next_uint32(bits.state) % 2


@pytest.mark.parametrize(
    "run",
    [
        set_back,
        copied,
        seeded_twice,
        made_twice,
        lambda: (coin(np.random.default_rng(0)), coin(np.random.default_rng([0]))),
        lambda: (coin(np.random.default_rng(0)), coin(np.random.Generator(np.random.PCG64(0)))),
        spawned_twice,
        written_down,
        of_python,
    ],
    ids=[
        "set_back",
        "deepcopy",
        "seeded_twice",
        "made_twice",
        "list_of_seed",
        "bit_generator",
        "spawned_twice",
        "pickle",
        "python",
    ],
)
def test_draws_that_are_those_before_are_refused(run):
    """They hang on each other; independent they would have another mean."""
    with pytest.raises(UnsupportedDraw, match="draws from a state that was drawn from before"):
        outcomes(run)


def test_what_draws_unseen_is_noticed():
    """Its generator moves, and is put back."""
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - it is looked at
    with pytest.raises(UnsupportedDraw, match="moved: something was drawn from it that no handler"):
        outcomes(hidden)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_generators_are_where_they_were():
    """Those that drew, those that were seeded, those of the frameworks and of one's own."""
    own, old = np.random.default_rng(5), np.random.RandomState(5)
    alone = random.Random(5)

    def run():
        np.random.seed(1)  # noqa: NPY002 - people do
        random.seed(1)
        drawn = coin(own), int(old.randint(2)), alone.choice("ab"), random.choice("ab")
        return (*drawn, coin(np.random))

    def states():
        return [
            repr(own.bit_generator.state),
            repr(old.get_state()),
            repr(np.random.get_state()),  # noqa: NPY002
            alone.getstate(),
            random.getstate(),
        ]

    before = states()
    assert len(outcomes(run)) == 32
    assert states() == before


def test_what_is_copied_and_draws_alone_may_draw():
    """One of the two: the copy, or what it was copied from."""
    assert outcomes(lambda: coin(copy.deepcopy(np.random.default_rng()))) == {0: 0.4, 1: P}

    def original():
        rng = np.random.default_rng()
        copy.deepcopy(rng)
        return coin(rng), coin(rng)

    assert len(outcomes(original)) == 4


def test_a_state_that_is_set_for_a_while_and_put_back_is_no_hindrance():
    """As people do who draw by a seed: nothing is drawn after it is put back."""

    def run():
        state = np.random.get_state()  # noqa: NPY002 - as people do
        np.random.seed(0)  # noqa: NPY002
        found = int(np.random.binomial(1, P))  # noqa: NPY002
        np.random.set_state(state)  # noqa: NPY002
        return found

    assert outcomes(run) == {0: 0.4, 1: P}


def test_functions_that_were_imported_by_name_are_enumerated():
    """``from numpy.random import default_rng`` is the same as its long name."""
    assert outcomes(lambda: coin(default_rng())) == {0: 0.4, 1: P}
    assert default_rng is np.random.default_rng


def test_comparisons_are_of_the_kind_that_numpy_gives():
    """Of numbers of NumPy they are NumPy's: True + True is True, and ~ is not."""
    rng, p = np.random.default_rng(), np.float64(P)
    both = outcomes(lambda: float((rng.random() < p) + (rng.random() < p)))
    assert both == pytest.approx({0.0: 0.16, 1.0: 0.84}, abs=ROUNDING)
    assert outcomes(lambda: bool(~(rng.random() >= p))) == {True: P, False: 0.4}
    assert outcomes(lambda: int((rng.random() < p).astype(int))) == {0: 0.4, 1: P}
    plain = outcomes(lambda: (rng.random() < P) + (rng.random() < P))  # of Python's they are not
    assert plain == pytest.approx({0: 0.16, 1: 0.48, 2: 0.36}, abs=ROUNDING)


def test_a_generator_in_a_frozen_dataclass_is_enumerated():
    """And put back."""

    @dataclasses.dataclass(frozen=True)
    class Frozen:
        rng: np.random.Generator

    held = Frozen(np.random.default_rng())
    before = held.rng
    assert outcomes(lambda: coin(held.rng)) == {0: 0.4, 1: P}
    assert held.rng is before


def test_a_run_that_draws_nothing_is_repeated_until_it_would_show():
    """What comes out another way now and then was drawn by something that is not seen."""
    count = iter(range(10_000))

    def estimate(theta):
        return theta * (1.0 + (next(count) % 16 == 15))

    with pytest.raises(RuntimeError, match="gave another gradient when they were repeated"):
        check_estimator(estimate, (np.ones(2),), exact=np.ones(2))


def test_probabilities_in_single_precision_are_as_exact_as_that():
    """The binomial's too."""
    rng, p = np.random.default_rng(), np.float32(0.3)
    estimate = lambda theta: np.asarray(float(rng.binomial(1, p)) / 0.3 * theta[0])  # noqa: E731
    assert check_estimator(estimate, (np.ones(1),), exact=np.array(1.0)).unbiased


def test_a_loop_without_end_is_stopped(tmp_path):
    """Each of its draws is where another path begins: there are more than may be run."""
    rng = np.random.default_rng()

    def until(theta):
        while rng.integers(2) == 0:
            pass
        return theta

    with pytest.raises(
        TooManyPaths, match="one path has made 50 draws, from which at least 51 paths go out"
    ):
        check_estimator(until, (np.ones(2),), exact=np.ones(2), paths=50)

    def caught(theta):
        try:
            return until(theta)
        except RuntimeError:  # as code does that tries again
            return theta

    with pytest.raises(TooManyPaths):
        check_estimator(caught, (np.ones(2),), exact=np.ones(2), paths=50)
    found = check_estimator(until, (np.ones(2),), exact=np.ones(2), paths=50, draws=60_000)
    assert found.method == "sampled"
    # What is certain is no place where another path begins.
    certain = check_estimator(
        lambda theta: theta * sum(rng.binomial(1, 1.0) for _ in range(99)) / 99,
        (np.ones(2),),
        exact=np.ones(2),
        paths=50,
    )
    assert certain.unbiased


# ------------------------------------------------------------------ PyTorch


@pytest.fixture
def torch():
    """PyTorch."""
    return pytest.importorskip("torch")


def of_torch(torch, generator=None):
    """A coin."""
    return int(torch.bernoulli(torch.tensor(P, dtype=torch.float64), generator=generator))


@pytest.mark.torch
def test_a_state_of_torch_that_is_set_back_is_refused(torch):
    """Also by fork_rng, and of one's own generator; where nothing is drawn after, it is not."""

    def set_back():
        state = torch.get_rng_state()
        first = of_torch(torch)
        torch.set_rng_state(state)
        return first, of_torch(torch)

    def forked():
        with torch.random.fork_rng():
            first = of_torch(torch)
        return first, of_torch(torch)

    def seeded():
        own = torch.Generator()
        return tuple(of_torch(torch, own.manual_seed(1)) for _ in range(2))

    for run in (set_back, forked, seeded):
        with pytest.raises(UnsupportedDraw, match="draws from a state that was drawn from before"):
            outcomes(run)

    def alone():
        with torch.random.fork_rng():
            return of_torch(torch)

    assert outcomes(alone) == {0: 0.4, 1: P}
    own = torch.Generator()
    assert len(outcomes(lambda: (of_torch(torch, own), of_torch(torch, own)))) == 4


@pytest.mark.torch
def test_dropout_does_not_hide_behind_a_state_that_is_put_back(torch):
    """It would be taken for a constant, whichever it is."""

    def run(theta):
        first = of_torch(torch)
        with torch.random.fork_rng():
            kept = torch.ops.aten.dropout(torch.ones(1), 0.5, True)
        return theta * first * float(kept)

    with pytest.raises(UnsupportedDraw, match="a generator of PyTorch moved"):
        check_estimator(run, (np.ones(1),), exact=np.ones(1))


@pytest.mark.torch
def test_a_checkpoint_that_draws_again_is_refused(torch):
    """PyTorch sets its generator back to draw the same again, which is not known here."""
    from torch.utils.checkpoint import checkpoint

    theta = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)

    def inner(theta):
        p = torch.sigmoid(theta)
        drawn = torch.bernoulli(p.detach())
        return drawn * p.log() + (1.0 - drawn) * (1.0 - p).log()

    def estimate(theta):
        return checkpoint(inner, theta, use_reentrant=False)

    with pytest.raises(UnsupportedDraw, match="draws from a state that was drawn from before"):
        check_estimator(estimate, (theta,), exact=np.array(0.0), returns="surrogate")


@pytest.mark.torch
def test_numbers_of_numpy_compared_with_tensors_are_tensors(torch):
    """On either side, and whether or not gradients are asked of them."""
    rng, p = np.random.default_rng(), torch.tensor(P, dtype=torch.float64, requires_grad=True)
    known = {0.0: 0.4, 1.0: P}
    assert outcomes(lambda: (rng.random() < p).double().item()) == known
    assert outcomes(lambda: (p.detach() > rng.random()).double().item()) == known


@pytest.mark.torch
def test_gradients_that_the_user_had_are_there_afterwards(torch):
    """Also after a check of what calls backward()."""
    theta = torch.tensor([0.3, 0.1], dtype=torch.float64, requires_grad=True)
    theta.grad = torch.tensor([7.0, 8.0], dtype=torch.float64)
    assert check_estimator(lambda t: t.sum().backward(), (theta,), exact=np.ones(2)).unbiased
    assert theta.grad.tolist() == [7.0, 8.0]


@pytest.mark.torch
def test_single_precision_inside_can_be_told_to_all(torch):
    """To what differences an objective, and to what checks a surrogate."""
    theta = torch.tensor([0.2, -0.3, 0.5], dtype=torch.float64, requires_grad=True)
    cost = torch.tensor([1.0, 4.0, 2.0])
    step = float(np.finfo(np.float32).eps)

    def surrogate(theta):
        q = torch.distributions.Categorical(logits=theta.float())
        y = q.sample()
        return (100.0 + cost[y]) * q.log_prob(y)

    def objective(theta):
        return 100.0 + cost[torch.distributions.Categorical(logits=theta.float()).sample()]

    found = check_estimator(surrogate, (theta,), objective=objective, precision=step)
    assert found.verdict != "refuted", found.explain()
    found = check_surrogate(surrogate, (theta,), precision=step)
    assert found.verdict != "refuted", found.explain()
    assert check_surrogate(surrogate, (theta,)).verdict != "refuted"


# ------------------------------------------------------------------ how states are told apart


def _generators():
    yield from ((BITS, kind(5)) for kind in BIT_GENERATORS)
    yield PYTHON, random.Random(5)


@pytest.mark.parametrize(
    ("kind", "generator"),
    [pytest.param(*each, id=type(each[1]).__name__) for each in _generators()],
)
def test_a_state_has_one_key_until_the_generator_moves(kind, generator):
    """And what was read can be written back."""
    keys = set()
    first = kind.read(generator)
    for _ in range(3):
        assert kind.key(kind.read(generator)) == kind.key(kind.read(generator))
        keys.add(kind.key(kind.read(generator)))
        kind.move(generator)
    assert len(keys) == 3
    kind.write(generator, first)
    assert kind.key(kind.read(generator)) == kind.key(first)


def _looks():
    """How somebody comes to the state of a generator, and another that stands in it."""
    yield "numpy state", lambda: np.random.default_rng(3), _bits_set
    yield "numpy copy", lambda: np.random.default_rng(3), copy.deepcopy
    yield "numpy pickle", lambda: np.random.default_rng(3), _through_pickle
    yield "RandomState", lambda: np.random.RandomState(3), copy.deepcopy
    yield "RandomState state", lambda: np.random.RandomState(3), _legacy_set
    yield "random", lambda: random.Random(3), copy.copy
    yield "random state", lambda: random.Random(3), _python_set


def _bits_set(rng):
    other = np.random.default_rng(8)
    other.bit_generator.state = rng.bit_generator.state
    return other


def _legacy_set(rng):
    other = np.random.RandomState(8)
    other.set_state(rng.get_state())
    return other


def _python_set(rng):
    other = random.Random(8)
    other.setstate(rng.getstate())
    return other


def _through_pickle(rng):
    return pickle.loads(pickle.dumps(rng))


def _one(rng):
    return rng.random() < 0.5


@pytest.mark.parametrize(
    ("make", "twin"), [pytest.param(make, twin, id=name) for name, make, twin in _looks()]
)
@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_twin_stands_where_the_draws_so_far_lead(make, twin, before):
    """It may draw what the first no longer draws, and no other."""

    def goes_on():
        rng = make()
        drawn = [_one(rng) for _ in range(before)]
        return *drawn, _one(twin(rng))

    def both():
        rng = make()
        drawn = [_one(rng) for _ in range(before)]
        other = twin(rng)
        return *drawn, _one(rng), _one(other)

    assert len(outcomes(goes_on)) == 2 ** (before + 1)
    with pytest.raises(UnsupportedDraw, match="drawn from before"):
        outcomes(both)


def _torch_set(generator):
    other = type(generator)()
    other.set_state(generator.get_state())
    return other


def _global_set(generator):
    """The other is PyTorch's own."""
    torch = pytest.importorskip("torch")
    torch.default_generator.set_state(generator.get_state())
    return torch.default_generator


@pytest.mark.torch
@pytest.mark.parametrize(
    "twin",
    [_torch_set, _global_set, copy.deepcopy, _through_pickle, lambda each: each.clone_state()],
    ids=["state", "global", "copy", "pickle", "clone"],
)
@pytest.mark.parametrize("before", [0, 1, 3])
def test_so_it_does_in_torch(twin, before):
    """Likewise, however the other comes to its state; and all are where they were."""
    torch = pytest.importorskip("torch")
    half = torch.tensor(0.5)
    generator = torch.Generator().manual_seed(3)
    states = generator.get_state(), torch.get_rng_state()

    def toss(generator):
        return int(torch.bernoulli(half, generator=generator))

    def goes_on():
        return *[toss(generator) for _ in range(before)], toss(twin(generator))

    def both():
        drawn = [toss(generator) for _ in range(before)]
        other = twin(generator)
        return *drawn, toss(generator), toss(other)

    assert len(outcomes(goes_on)) == 2 ** (before + 1)
    with pytest.raises(UnsupportedDraw, match="drawn from before"):
        outcomes(both)
    now = generator.get_state(), torch.get_rng_state()
    assert all(torch.equal(one, other) for one, other in zip(states, now, strict=True))


def test_what_is_read_of_a_generator_moves_with_its_draws():
    """Somebody may look whether anything was drawn."""
    rng = np.random.default_rng(3)
    start = rng.bit_generator.state

    def code():
        before = rng.bit_generator.state == start
        _one(rng)
        return before, rng.bit_generator.state == start

    assert outcomes(code) == {(True, False): 1.0}
    assert rng.bit_generator.state == start


def test_a_copy_of_a_later_state_draws_the_same():
    """The third draw is the second, by a generator that was made in between."""

    def code():
        rng = np.random.default_rng(3)
        first = coin(rng)
        other = copy.deepcopy(rng)
        return first, coin(rng), coin(other)

    with pytest.raises(UnsupportedDraw, match="drawn from before"):
        outcomes(code)


# ------------------------------------------------------------------ unseen draws and looks


def unseen(rng):
    """A number by NumPy's C function, past every handler."""
    bits = rng.bit_generator.ctypes
    return bits.next_double(bits.state_address)


@pytest.mark.parametrize(
    "look",
    [
        lambda rng: rng.bit_generator.state,
        copy.deepcopy,
        pickle.dumps,
        lambda rng: setattr(rng.bit_generator, "state", np.random.PCG64(8).state),
    ],
    ids=["state", "copy", "pickle", "set"],
)
def test_a_look_does_not_hide_what_was_drawn_unseen(look):
    """Whoever looks at the state, or sets it, takes it for what handled draws left."""
    rng = np.random.default_rng(3)

    def code():
        _one(rng)
        unseen(rng)
        look(rng)
        return _one(rng)

    with pytest.raises(UnsupportedDraw, match="no handler sees"):
        outcomes(code)


def test_what_is_drawn_unseen_before_anything_else_is_seen_too():
    """By what the estimator keeps: it is not where it was."""
    rng = np.random.default_rng(3)

    def estimate(theta):
        unseen(rng)
        copy.deepcopy(rng)
        return theta * _one(rng)

    with pytest.raises(UnsupportedDraw, match="no handler sees"):
        check_estimator(estimate, (np.array([0.5]),), exact=np.array([0.25]))


def _advanced(rng, state):
    rng.bit_generator.state = state
    rng.bit_generator.advance(1)


def test_a_place_that_was_counted_is_known_by_its_state():
    """The third draw is the second: the first is skipped after the state is set back."""
    rng = np.random.default_rng(3)

    def code():
        state = rng.bit_generator.state
        drawn = [_one(rng), _one(rng)]
        _advanced(rng, state)
        return *drawn, _one(rng)

    with pytest.raises(UnsupportedDraw, match="drawn from before"):
        outcomes(code)


@pytest.mark.parametrize("make", [random.Random, np.random.default_rng])
def test_the_one_behind_may_draw_last(make):
    """Both have drawn when the first comes to where the second began."""
    first = make(5)
    second = copy.deepcopy(first)
    for _ in range(2):
        second.random()

    def code():
        return _one(first), _one(second), _one(first), _one(first)

    with pytest.raises(UnsupportedDraw, match="drawn from before"):
        outcomes(code)


@pytest.mark.parametrize("make", [random.Random, np.random.default_rng])
@pytest.mark.parametrize("behind", [0, 1, 2])
def test_one_generator_may_lag_behind_another(make, behind):
    """Of two that were copies before, one was moved on: they meet after so many draws."""
    first = make(5)
    second = copy.deepcopy(first)
    for _ in range(behind):
        second.random()

    def code():
        drawn = [_one(first) for _ in range(2)]
        return *drawn, _one(second)

    if behind < 2:
        with pytest.raises(UnsupportedDraw, match="drawn from before"):
            outcomes(code)
    else:
        assert len(outcomes(code)) == 8


def test_the_normal_number_that_is_kept_is_put_back():
    """NumPy's RandomState makes two at once, and keeps one."""
    legacy = np.random.RandomState(3)
    legacy.normal()
    kept = legacy.get_state()
    assert kept[3] == 1

    def seeded():
        legacy.seed(0)
        return _one(legacy)

    def set_back():
        state = legacy.get_state()
        drawn = _one(legacy)
        legacy.set_state((*state[:3], 0, 0.0))
        return drawn

    for code in (seeded, set_back):
        assert len(outcomes(code)) == 2
        assert repr(legacy.get_state()) == repr(kept)


def test_a_generator_of_another_thread_is_not_set_back_for_a_look():
    """Its numbers would come again there."""
    found, stop = [], threading.Event()

    def draws():
        while not stop.is_set():
            found.append(random.random())
            time.sleep(1e-4)

    def code():
        drawn = random.random() < 0.5
        random.getstate()
        time.sleep(1e-3)
        return drawn

    thread = threading.Thread(target=draws)
    thread.start()
    try:
        for _ in range(20):
            outcomes(code)
    finally:
        stop.set()
        thread.join()
    assert len(set(found)) == len(found)


def test_an_enumeration_within_one_in_another_thread():
    """The one around it waits for it, and not it for the one around."""
    rng = np.random.default_rng(3)
    with ThreadPoolExecutor(1) as pool:

        def code():
            inner = np.random.default_rng(4)
            found = pool.submit(outcomes, lambda: _one(inner)).result(timeout=60)
            return _one(rng), len(found)

        assert set(outcomes(code)) == {(False, 2), (True, 2)}


@pytest.mark.parametrize("make", [random.Random, np.random.default_rng])
def test_what_a_thread_of_before_draws_for_the_estimator_is_refused(make):
    """It asks no run, and the generator is put back: it would be the same number each time."""
    rng = make(3)
    with ThreadPool(1) as pool:

        def estimate(theta):
            first = _one(rng)
            return theta * first * (pool.apply(rng.random) < 0.5)

        with pytest.raises(UnsupportedDraw, match="another thread"):
            check_estimator(estimate, (np.array([0.5]),), exact=np.array([0.125]))


@pytest.mark.parametrize("make", [random.Random, np.random.default_rng])
def test_so_it_is_from_a_generator_that_is_made_in_the_run(make):
    """No snapshot knows of it; the run itself follows what it draws from."""
    with ThreadPool(1) as pool:

        def code():
            rng = make(3)
            return _one(rng), pool.apply(rng.random) < 0.5

        with pytest.raises(UnsupportedDraw, match="another thread"):
            outcomes(code)


def test_enumerations_of_one_run_wait_for_each_other():
    """As those of several threads do: they look at the same generators."""
    inner = random.Random(4)
    under_way, most = [], []

    def toss():
        under_way.append(None)
        time.sleep(1e-3)
        most.append(len(under_way))
        drawn = _one(inner)
        under_way.pop()
        return drawn

    with ThreadPoolExecutor(3) as pool:

        def code():
            found = [pool.submit(outcomes, toss) for _ in range(6)]
            return tuple(len(each.result(timeout=60)) for each in found)

        assert outcomes(code) == {(2,) * 6: 1.0}
    assert max(most) == 1


def test_what_was_drawn_unseen_before_an_error_is_put_back():
    """The error says what it was; NumPy's own generator is where it was all the same."""
    before = np.random.get_state()  # noqa: NPY002 - it is looked at

    def code():
        np.random.mtrand.random_sample()
        raise KeyError("somebody's own")

    with pytest.raises(KeyError, match="somebody's own"):
        outcomes(code)
    assert repr(np.random.get_state()) == repr(before)  # noqa: NPY002
