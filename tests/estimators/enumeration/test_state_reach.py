"""What a snapshot reaches, what it leaves alone, what it says that it cannot see, and its time."""

import fnmatch
import functools
import gc
import itertools
import random
import sys
import time
import types
import weakref
from collections import Counter, deque
from unittest import mock

import numpy as np
import pytest

from gradproof.estimators.enumeration.state import Snapshot
from gradproof.estimators.enumeration.state.record import MANY


class Kept:
    """An object with a value."""

    def __init__(self, value):
        self.value = value


# ------------------------------------------------------------------ what must not happen


class Hostile:
    """An object all of whose own ways are traps."""

    trapped = 0

    def _trap(self, *_):
        Hostile.trapped += 1
        raise RuntimeError("code of the user's was run")

    __eq__ = __ne__ = __bool__ = __len__ = __iter__ = __getattr__ = _trap
    __repr__ = __str__ = __setattr__ = __delattr__ = __getattribute__ = _trap
    __get__ = __class_getitem__ = __array__ = __index__ = _trap

    def __hash__(self):
        if self in HASHED:
            return id(self)
        return Hostile._trap(self)

    @property
    def __class__(self):
        return Hostile._trap(self)

    @property
    def __dict__(self):
        return Hostile._trap(self)


class Identities:
    """Objects by identity, which runs no code of theirs."""

    def __init__(self):
        self.ids = set()

    def __contains__(self, each):
        return id(each) in self.ids


HASHED = Identities()


def test_no_code_of_the_users_is_run():
    """Neither the walk, nor a comparison, nor putting back asks an object for anything."""
    one, other = Hostile(), Hostile()
    HASHED.ids |= {id(one), id(other)}
    keyed, members = {one: one, other: 0}, {one, other}
    HASHED.ids.clear()
    listed, slot = [one, other, 0], np.empty(2, object)
    slot[0] = one

    def estimate():
        return keyed, members, listed, slot

    Hostile.trapped = 0
    state = Snapshot(estimate)
    listed.append(one)
    listed[0] = other
    keyed.clear()
    members.clear()
    slot[0] = other
    names = state.changes()
    state.restore_state()
    assert Hostile.trapped == 0
    assert set(names) == {
        "closure variable keyed",
        "closure variable members",
        "closure variable listed",
        "closure variable slot",
    }
    assert len(listed) == 3
    assert listed[0] is one
    assert [key is each for key, each in zip(keyed, (one, other), strict=True)] == [True, True]
    assert len(members) == 2
    assert slot[0] is one
    assert state.unrestorable == ()


def test_odd_objects():
    """Mocks, proxies, descriptors, lazy modules and classes of classes are no hindrance."""

    class Meta(type):
        def __getattribute__(cls, name):
            raise RuntimeError(name)

    class Odd(metaclass=Meta):
        count = 0

    class Lazy(types.ModuleType):
        def __getattribute__(self, name):
            raise RuntimeError(name)

    class Descriptor:
        def __get__(self, *_):
            raise RuntimeError("asked")

    class Holder:
        trap = Descriptor()

    target = Kept(0)
    proxy, dead = weakref.proxy(target), weakref.ref(Kept(0))
    things = [mock.MagicMock(), Odd, object.__new__(Odd), Lazy("lazy"), Holder(), proxy, dead]

    def estimate():
        things[0].method(1)
        type.__setattr__(Odd, "count", 5)
        return len(things)

    state = Snapshot(estimate)
    assert state.unseen == ("things[5]",)  # what a proxy stands for is told by its own code
    estimate()
    assert "Odd.count" in state.changes()
    assert "things[0].method_calls" in state.changes()
    state.restore_state()
    assert state.changes() == ()
    assert type.__getattribute__(Odd, "count") == 0


def test_iterators_are_named():
    """What has come to somewhere that cannot be read is said to be unseen."""
    numbers, lines, items = itertools.count(), (n for n in range(3)), iter([[1], [2]])
    pairs, stream = zip([1], [2], strict=False), sys.stdout

    def estimate():
        return next(numbers), next(lines), next(items), pairs, stream

    state = Snapshot(estimate)
    names = ("numbers", "lines", "items", "pairs")
    assert set(state.unseen) == {f"closure variable {name}" for name in names}
    assert Snapshot(lambda: 1).unseen == ()


def test_open_files_are_named(tmp_path):
    """A file that is read from is unseen; one that is written to holds nothing that is read."""
    path = tmp_path / "lines"
    path.write_text("1\n2\n", encoding="utf-8")
    with path.open(encoding="utf-8") as read, (tmp_path / "log").open("wb") as written:
        state = Snapshot(lambda: (read.readline(), written.write(b"1")))
    assert state.unseen == ("closure variable read",)


def test_full_cache():
    """What is added to a cache that was not empty cannot be taken out, and that is said."""

    @functools.lru_cache
    def square(number):
        return number * number

    square(1)
    state = Snapshot(lambda: square(2))
    assert state.changes() == ()
    square(1)
    assert state.restore_state() == ()
    square(2)
    assert state.restore_state() == ("closure variable square",)
    assert state.unrestorable == ("closure variable square",)


def test_too_much():
    """What is beyond the limits is said to be left out; what is near is watched all the same."""
    near, far = [0], [[[n]] for n in range(1000)]
    array = np.zeros(1000)

    def estimate():
        return near, far, array

    state = Snapshot(estimate, most_objects=100, most_bytes=100)
    objects, size = sorted(state.incomplete, reverse=True)
    assert "more than 100 objects can be reached" in objects
    assert "closure variable array, which is too large to be copied" in size
    near[0] = 1
    assert state.restore_state() == ("near[0]",)
    assert Snapshot(estimate).incomplete == ()


def test_nothing_is_held_afterwards():
    """What was looked at can go as soon as the snapshot has gone."""
    held = [Kept(0)]
    gone = weakref.ref(held[0])
    state = Snapshot(lambda: held)
    held[0].value = 1
    state.restore_state()
    state.changes()
    del held[:], state
    gc.collect()
    assert gone() is None


def test_generators_of_everybody():
    """Those that other threads draw from too are left alone, whoever refers to them."""
    shared, legacy = random._inst, np.random.mtrand._rand
    state = Snapshot(lambda: (shared, legacy))
    random.random()
    np.random.random()  # noqa: NPY002
    assert state.restore_state(thorough=True) == ()


def test_libraries_are_left_alone():
    """Modules and classes of libraries are no state, while objects of theirs are."""
    counts = Counter()

    def estimate():
        return np.linalg, functools, counts, types.SimpleNamespace, mock.MagicMock

    state = Snapshot(estimate)
    mock.MagicMock.planted = 1
    np.linalg.planted = 1
    try:
        assert state.changes() == ()
    finally:
        del mock.MagicMock.planted, np.linalg.planted
    counts["a"] = 1
    assert state.changes() == ("closure variable counts",)


def test_functions_of_libraries():
    """A library's cache for all is left alone; what it made for the user when called is not."""
    calls = []

    @functools.singledispatch
    def own(_):
        calls.append(1)

    def estimate():
        return fnmatch._compile_pattern, own(1)

    state = Snapshot(estimate)
    assert type(fnmatch._compile_pattern) is type(functools.lru_cache(len))
    fnmatch.filter(["a"], "planted by a test")
    assert state.changes() == ()
    estimate()
    assert "closure variable calls" in state.restore_state()
    assert calls == []


def test_modules_of_the_user(tmp_path, monkeypatch):
    """What code names of a module beside it is watched, also of modules that those name."""
    (tmp_path / "planted_settings.py").write_text("step = 0\nlist_ = []\n", encoding="utf-8")
    (tmp_path / "planted_helper.py").write_text(
        "import planted_settings as settings\n"
        "def helper():\n"
        "    settings.step += 1\n"
        "    settings.list_.append(1)\n"
        "    settings.made = 1\n"
        "    return settings.step\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    try:
        import planted_helper

        def estimate():
            return planted_helper.helper()

        state = Snapshot(estimate)
        estimate()
        assert set(state.restore_state()) == {"settings.step", "settings.list_", "settings.made"}
        assert estimate() == 1
        state.restore()
        assert not hasattr(planted_helper.settings, "made")
    finally:
        for name in ("planted_helper", "planted_settings"):
            sys.modules.pop(name, None)


def test_handlers_are_left_where_they_are():
    """A handler that has come to stand for a function since is no change, and is not removed."""
    real = np.random.default_rng(1).choice
    held = types.SimpleNamespace(draw=real)
    drawn = [real]

    def estimate():
        return draw, held, drawn

    draw = real
    state = Snapshot(estimate)
    handler = Snapshot.restore_state  # of the kernel's making
    draw = held.draw = drawn[0] = handler
    held.other = 1
    assert state.restore_state(thorough=True) == ("held.other",)
    state.restore()
    assert estimate()[0] is held.draw is drawn[0] is handler
    draw = held.draw = drawn[0] = real
    assert state.changes() == ()


# ------------------------------------------------------------------ large things, and time


@pytest.mark.parametrize("shape", [(10**6,), (1000, 1000), (100, 100, 100), (10,) * 6])
def test_large_array(shape):
    """Of a million numbers, most are seen to change at once, and one alone thoroughly."""
    large = np.zeros(shape)
    state = Snapshot(lambda: large)
    large += 1.0
    assert state.restore_state() == ("closure variable large",)
    assert not large.any()
    other = Snapshot(lambda: large)
    large[(1,) * large.ndim] = 1.0
    assert other.restore_state() == ()
    assert other.restore_state(thorough=True) == ("closure variable large",)
    assert not large.any()
    # From now on it is put back each time.
    large[(1,) * large.ndim] = 1.0
    other.restore_state()
    assert not large.any()


def test_large_list():
    """Of a long list what is added is seen at once, and what is replaced thoroughly."""
    long = list(range(2 * MANY))
    state = Snapshot(lambda: long)
    long[5] = -1
    assert state.restore_state() == ()
    assert state.restore_state(thorough=True) == ("long[5]",)
    long.append(1)
    state.restore_state()
    assert long == list(range(2 * MANY))


def test_large_queue():
    """Of a long queue that is full, what is added at its end is seen at once."""
    queue = deque(range(2 * MANY), maxlen=2 * MANY)
    state = Snapshot(lambda: queue)
    queue.append(-1)
    assert state.restore_state() == ("closure variable queue",)
    assert list(queue) == list(range(2 * MANY))


def test_settling_costs_little():
    """The time does not grow with the number of entries of what is large.

    A hundred times the entries may take twice as long at the very most: in truth it is as long, and
    a comparison of all would take a hundred times as long.
    """

    def seconds(size):
        arrays = [np.zeros(size) for _ in range(3)]
        long = list(range(size))
        state = Snapshot(lambda: (arrays, long))
        times = []
        for _ in range(200):
            start = time.perf_counter()
            state.restore_state()
            times.append(time.perf_counter() - start)
        return min(times)

    assert seconds(10**6) < 2 * seconds(10**4)


# ------------------------------------------------------------------ libraries


@pytest.mark.libraries
def test_environment(library):
    """A Gymnasium environment begins each run as it was, and its generator is made anew."""
    gymnasium = library("gymnasium")
    environment = gymnasium.make("FrozenLake-v1", is_slippery=True)

    def episode():
        environment.reset(seed=0)
        return [environment.step(1)[0] for _ in range(3)], id(environment.unwrapped._np_random)

    bare = environment.unwrapped
    state = Snapshot(episode)
    (first, _), names = episode(), state.restore_state()
    assert any(name.endswith("._np_random") for name in names)
    assert any(name.endswith(".lastaction") for name in names)
    assert any(name.endswith("._elapsed_steps") for name in names)
    assert bare._np_random is None
    assert episode()[0] == first
    state.restore()
    assert bare._np_random is None
    assert state.unseen == ()


@pytest.mark.libraries
def test_jax(library):
    """What a function that JAX compiled reaches is watched; arrays of JAX cannot change."""
    jax = library("jax")
    traces = []

    @jax.jit
    def double(x):
        traces.append(1)
        return 2 * x

    state = Snapshot(lambda: double(jax.numpy.ones(2)))
    double(jax.numpy.ones(2))
    assert state.restore_state() == ("closure variable traces",)


@pytest.mark.libraries
def test_shared_variable(library):
    """A shared variable that a function of PyTensor updates is put back."""
    pytensor = library("pytensor")
    shared = pytensor.shared(np.zeros(2), name="count")
    step = pytensor.function([], shared.sum(), updates={shared: shared + 1})
    state = Snapshot(step)
    step()
    assert any("count" in name for name in state.restore_state())
    assert step() == 0.0


@pytest.mark.libraries
def test_parameter_store(library):
    """Parameters that Pyro keeps under their names come into being anew in each run."""
    torch, pyro = library("torch"), library("pyro")

    def guide():
        return pyro.param("planted", torch.zeros(2)).sum()

    try:
        state = Snapshot(guide)
        guide()
        assert "the parameter store of Pyro._params" in state.restore_state()
        assert "planted" not in pyro.get_param_store()
    finally:
        pyro.clear_param_store()
