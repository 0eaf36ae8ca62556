"""The state that an estimator is given in: whatever a run changes is named, and put back."""

import array
import dataclasses
import functools
import itertools
import random
import weakref
from collections import Counter, OrderedDict, defaultdict, deque

import numpy as np
import pytest

from gradproof.estimators.enumeration.state import Snapshot

# ------------------------------------------------------------------ what estimators keep
#
# Each of these returns an estimator whose result depends on the runs before, and the names by which
# it is to be called what it keeps.


class Kept:
    """An estimator that does something to itself before it answers."""

    def __init__(self, start, step):
        self.value, self._step = start, step

    def __call__(self):
        """What the step returns."""
        return self._step(self)


def running_mean():
    """An average over all runs."""

    def step(self):
        self.value = 0.9 * self.value + 0.1
        return self.value

    return Kept(0.0, step), ("self.value",)


def running_maximum():
    """The largest so far."""
    rising = [0.0]

    def step(self):
        rising[0] += 1.0
        self.value = max(self.value, rising[0])
        return self.value

    return Kept(0.0, step), ("self.value", "rising[0]")


def number_to_not_a_number():
    """A number that turns into none."""

    def step(self):
        before, self.value = self.value, float("nan")
        return before

    return Kept(1.0, step), ("self.value",)


def list_appended():
    """Rewards pile up."""
    rewards = []

    def estimate():
        rewards.append(1.0)
        return sum(rewards)

    return estimate, ("closure variable rewards",)


def list_item():
    """One of several counts."""
    counts = [0, 0, 0]

    def estimate():
        counts[1] += 1
        return counts[1]

    return estimate, ("counts[1]",)


def nested_list():
    """A list in a tuple in a mapping."""
    store = {"a": ([], 1)}

    def estimate():
        store["a"][0].append(1)
        return len(store["a"][0])

    return estimate, ("store['a'][0]",)


def cached_in_dict():
    """A value that is computed once."""
    cache = {}

    def estimate():
        cache["value"] = cache.get("value", 0) + 1
        return cache["value"]

    return estimate, ("closure variable cache",)


def dict_item():
    """A count under a name that was there."""
    stats = {"n": 0, "m": 1}

    def estimate():
        stats["n"] += 1
        return stats["n"]

    return estimate, ("stats['n']",)


def last_of_ordered():
    """The order in which things were used last."""
    order = OrderedDict(a=1, b=2, c=3, d=4)

    def estimate():
        order.move_to_end(next(iter(order)))
        return list(order)

    return estimate, ("closure variable order",)


def constant_size():
    """A set of constant size, as the keys of a mapping to one value."""
    window = {0: True}

    def estimate():
        (last,) = window
        del window[last]
        window[last + 1] = True
        return last

    return estimate, ("closure variable window",)


def counter():
    """A count by a class of its own."""
    counts = Counter()

    def estimate():
        counts.update("a")
        return counts["a"]

    return estimate, ("closure variable counts",)


def default_made():
    """A mapping that makes what is missing."""
    found = defaultdict(list)

    def estimate():
        found["a"].append(1)
        return len(found["a"])

    return estimate, ("closure variable found",)


def replay_buffer():
    """A queue of constant length."""
    buffer = deque([0, 0], maxlen=2)

    def estimate():
        buffer.append(buffer[-1] + 1)
        return sum(buffer)

    return estimate, ("closure variable buffer",)


def visited():
    """A set that grows."""
    states = set()

    def estimate():
        states.add(len(states))
        return len(states)

    return estimate, ("closure variable states",)


def raw_bytes():
    """Bytes, and an array of Python's own."""
    data, numbers = bytearray(2), array.array("d", [0.0])

    def estimate():
        data.append(1)
        numbers[0] += 1.0
        return len(data), numbers[0]

    return estimate, ("closure variable data", "closure variable numbers")


def remembered():
    """A result that is computed once, of something that goes on."""
    numbers = itertools.count()

    @functools.lru_cache
    def first(_):
        return []

    def estimate():
        first(0).append(next(numbers))
        return len(first(0))

    return estimate, ("closure variable first",)


def nonlocal_variable():
    """A variable of the function around it."""
    b = None

    def estimate():
        nonlocal b
        b = 1.0 if b is None else b + 1.0
        return b

    return estimate, ("closure variable b",)


def empty_cell():
    """One that had no value yet."""

    def estimate():
        nonlocal b
        try:
            b += 1
        except NameError:
            b = 0
        return b

    if estimate is None:
        b = 0
    return estimate, ("closure variable b",)


COUNT = 0


def global_variable():
    """A variable of the module."""

    def estimate():
        global COUNT
        COUNT += 1
        return COUNT

    return estimate, ("global COUNT",)


def global_made():
    """One that comes into being."""

    def estimate():
        global MADE
        try:
            MADE += 1
        except NameError:
            MADE = 0
        return MADE

    return estimate, ("global MADE",)


def by_globals():
    """One that is written to by its name."""

    def estimate():
        globals()["NAMED"] = globals().get("NAMED", 0) + 1
        return globals()["NAMED"]

    return estimate, ("global NAMED",)


def of_a_helper():
    """A variable of a function that is called."""
    total = 0

    def helper():
        nonlocal total
        total += 1
        return total

    def estimate():
        return helper()

    return estimate, ("closure variable total",)


def default_list():
    """A default that is one list for all calls."""

    def estimate(seen=[]):  # noqa: B006 - what is tested
        seen.append(1)
        return len(seen)

    return estimate, ("default argument seen",)


def keyword_default():
    """The same, of a keyword."""

    def estimate(*, seen={}):  # noqa: B006
        seen[len(seen)] = 1
        return len(seen)

    return estimate, ("default argument seen",)


def function_attribute():
    """An attribute of the function."""

    def estimate():
        estimate.calls = getattr(estimate, "calls", 0) + 1
        return estimate.calls

    return estimate, ("estimate.calls",)


def argument_of_partial():
    """What a partial holds."""

    def estimate(seen, *, more):
        seen.append(1)
        more.append(1)
        return len(seen) + len(more)

    return functools.partial(estimate, [], more=[]), ("args[0]", "keywords['more']")


def class_attribute():
    """A count that all objects share."""

    class Estimator:
        count = 0

        def __call__(self):
            type(self).count += 1
            return Estimator.count

    return Estimator(), ("Estimator.count",)


def attribute_of_base():
    """The same, in a class that it is derived from."""

    class Base:
        count = 0

    class Estimator(Base):
        def __call__(self):
            type(self).__base__.count += 1
            return self.count

    return Estimator(), ("Base.count",)


def class_attribute_made():
    """One that comes into being, in a class that is only named."""

    class Baseline:
        def update(self):
            Baseline.value = getattr(Baseline, "value", 0) + 1
            return Baseline.value

    def estimate():
        return Baseline().update()

    return estimate, ("Baseline.value",)


def slots():
    """Attributes without a mapping, one of them without a value."""

    class Estimator:
        __slots__ = ("count", "made")

        def __init__(self):
            self.count = 0

        def __call__(self):
            self.count += 1
            self.made = getattr(self, "made", 0) + 1
            return self.count + self.made

    return Estimator(), ("self.count", "self.made")


@dataclasses.dataclass(frozen=True)
class Frozen:
    """What cannot be written to, but its array can."""

    mean: np.ndarray
    history: list

    def __call__(self):
        """Moves both."""
        self.mean[:] += 1.0
        self.history.append(1)
        object.__setattr__(self, "extra", len(self.history))
        return float(self.mean.sum()), len(self.history), self.extra


def frozen_dataclass():
    """A dataclass that forbids being written to."""
    return Frozen(np.zeros(2), []), ("self.mean", "self.history", "self.extra")


def array_in_place():
    """An array, a view of another, and one of objects."""
    base, things = np.zeros((4, 4)), np.array([None, []], object)
    column = base[:, 1]

    def estimate():
        column[2] += 1.0
        things[0] = (things[0] or 0) + 1
        things[1].append(1)
        return base.sum(), things[0], len(things[1])

    names = ("closure variable base", "closure variable column")
    return estimate, (*names, "closure variable things", "things[1]")


def array_of_other_shape():
    """An array whose shape is another afterwards, and its memory too."""
    table = np.ones((2, 1000))

    def estimate():
        before = table.shape
        table.resize((before[0] + 1, before[1]), refcheck=False)
        return before

    return estimate, ("closure variable table",)


def method_of_object():
    """A bound method."""

    class Policy:
        def __init__(self):
            self.rewards = []

        def episode(self):
            self.rewards.append(1)
            return len(self.rewards)

    return Policy().episode, ("self.rewards",)


def held_by_a_property():
    """What is behind a property, and behind a class's own ways to be written to."""

    class Estimator:
        def __init__(self):
            vars(self)["hidden"] = 0

        def __setattr__(self, name, value):
            raise AttributeError(name)

        @property
        def value(self):
            return vars(self)["hidden"]

        def __call__(self):
            vars(self)["hidden"] += 1
            return self.value

    return Estimator(), ("self.hidden",)


ALIVE = []


def weak_reference():
    """An object that is only referred to weakly, as far as can be seen."""
    target = Kept(0, None)
    reference = weakref.ref(target)

    def estimate():
        reference().value += 1
        return reference().value

    ALIVE.append(target)
    return estimate, ("reference.value",)


def in_a_ring():
    """Two objects that hold each other."""

    def step(self):
        self.other.value += 1
        return self.other.value

    first, second = Kept(0, step), Kept(0, step)
    first.other, second.other = second, first
    return first, ("self.other.value",)


def subclasses():
    """Containers that are more than those that Python has."""

    class Loud(list):
        def __iter__(self):
            raise AssertionError("nobody is to iterate this")

    class Own(dict):
        __slots__ = ("n",)

        def __setitem__(self, key, value):
            raise AssertionError("nobody is to write to this")

    loud, own = Loud([1]), Own()
    own.n = 0

    def estimate():
        loud.append(2)
        dict.__setitem__(own, "a", 1)
        own.n += 1
        return len(loud), len(own), own.n

    return estimate, ("closure variable loud", "closure variable own", "own.n")


def lazy_generator():
    """A generator that is made when it is first needed."""

    def step(self):
        if self.value is None:
            self.value = np.random.default_rng(0)
        return self.value.random()

    return Kept(None, step), ("self.value",)


def generators():
    """Generators of NumPy and of Python that are drawn from."""
    rng, twister, legacy = (
        np.random.default_rng(1),
        np.random.Generator(np.random.MT19937(1)),
        np.random.RandomState(1),
    )
    own = random.Random(1)

    def estimate():
        return rng.random(), twister.random(), legacy.normal(), own.random()

    names = ("rng", "twister", "legacy", "own")
    return estimate, tuple(f"closure variable {name}" for name in names)


CASES = [
    running_mean,
    running_maximum,
    number_to_not_a_number,
    list_appended,
    list_item,
    nested_list,
    cached_in_dict,
    dict_item,
    last_of_ordered,
    constant_size,
    counter,
    default_made,
    replay_buffer,
    visited,
    raw_bytes,
    remembered,
    nonlocal_variable,
    empty_cell,
    global_variable,
    global_made,
    by_globals,
    of_a_helper,
    default_list,
    keyword_default,
    function_attribute,
    argument_of_partial,
    class_attribute,
    attribute_of_base,
    class_attribute_made,
    slots,
    frozen_dataclass,
    array_in_place,
    array_of_other_shape,
    method_of_object,
    held_by_a_property,
    weak_reference,
    in_a_ring,
    subclasses,
    lazy_generator,
    generators,
]

#: Only thorough comparisons see these.
THOROUGH = {generators}


def equal(first, second):
    """Whether two results are the same; not a number is itself."""
    return repr(first) == repr(second)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_what_changes_is_named_and_put_back(case):
    """Every run begins in the state of the first, and without that the second would not.

    What changed is named before it is put back, and nothing else is.
    """
    estimate, names = case()
    state = Snapshot(estimate)
    assert state.changes() == ()
    first = estimate()
    assert set(state.changes()) == set(names)
    assert not equal(estimate(), first), "the case keeps nothing"
    assert set(state.restore_state(thorough=case in THOROUGH)) == set(names)
    for _ in range(3):
        assert state.changes() == ()
        assert equal(estimate(), first)
        assert state.restore_state() == ()  # they were named before
    assert set(state.changed) == set(names)
    assert state.unrestorable == ()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_what_is_left_is_what_was(case):
    """One call at the end is enough to put everything back, whatever was done until then."""
    estimate, names = case()
    state = Snapshot(estimate)
    first = estimate()
    for _ in range(5):
        estimate()
    state.restore()
    assert state.changes() == ()
    assert set(state.changed) == set(names)
    assert equal(estimate(), first)
    state.restore()


def test_first_cost():
    """A baseline from the first cost ever seen is forgotten, whatever the costs of the runs are."""
    b = None

    def estimate(cost):
        nonlocal b
        b = cost if b is None else b
        return cost - b

    assert [estimate(cost) for cost in (1.0, 3.0)] == [0.0, 2.0]
    b = None
    state = Snapshot(estimate)
    for cost in (1.0, 3.0, 2.0):
        assert estimate(cost) == 0.0
        state.restore_state()
    assert b is None
    assert state.changed == ("closure variable b",)


def test_order_of_attributes():
    """Attributes that were removed and came back stand again where they stood."""
    held = Kept(0, 1)
    held.last = 2
    state = Snapshot(held)
    held.__dict__["value"] = held.__dict__.pop("value")
    state.restore_state()
    assert list(vars(held)) == ["value", "_step", "last"]


def test_other_name():
    """An attribute that goes by another name is seen thoroughly, and then each time."""
    held = Kept(0, 1)
    state = Snapshot(held)
    for seen in (False, True, True):
        held.__dict__["other"] = held.__dict__.pop("_step")
        state.restore_state(thorough=seen)
        assert hasattr(held, "_step") is seen
        if not seen:
            held.__dict__["_step"] = held.__dict__.pop("other")
    assert set(state.changed) == {"self._step", "self.other"}


def test_equal_values():
    """Another object of the same value is no change, and still gives way to the one that was."""
    held = Kept(float("nan"), None)
    before = held.value
    held.pair = pair = (1.0, ("a", None))
    state = Snapshot(held)
    held.value = float("nan")
    held.pair = (float("1"), ("".join("a"), None))
    assert state.changes() == ()
    assert state.restore_state() == ()
    assert held.value is before
    assert held.pair is pair
    held.pair = (1, ("a", None))  # of another type
    assert state.restore_state() == ("self.pair",)
