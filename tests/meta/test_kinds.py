"""The kinds of faults that a checker of estimators can have, each with a bug that must be caught.

Either an estimator is wrong in a way that a checker may well miss, or the checker itself is made
wrong, and what it says of a row of the catalogue is then no more what the row says. What is raised
for a reason is told apart from a crash by its type and its words.
"""

import functools
import itertools
import os
import random
import secrets
import tracemalloc
import uuid

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradproof.checks import evidence
from gradproof.checks.benchmark.bugs import ROWS
from gradproof.checks.evidence import HOLDS, REFUTED, UNDECIDED, unresolved_quantities
from gradproof.checks.user.estimator import assert_unbiased, check_estimator
from gradproof.checks.user.estimator_report import Biased
from gradproof.checks.user.expected_cost import NotDifferentiable
from gradproof.checks.user.invariances import check_invariances
from gradproof.checks.user.surrogate import check_surrogate
from gradproof.estimators.enumeration import spread
from gradproof.estimators.enumeration.generators import Streams
from gradproof.estimators.enumeration.gradients import NotAGradient
from gradproof.estimators.enumeration.run import NotEnumerable, TooManyPaths, UnsupportedDraw
from gradproof.estimators.enumeration.state import Snapshot

LOGITS = np.array([0.3, -0.4, 0.8])
COSTS = np.array([1.2, -0.5, 2.1])


def softmax(logits):
    """Probabilities of the last axis."""
    size = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return size / size.sum(axis=-1, keepdims=True)


def gradient(logits, costs=COSTS):
    """Of the mean cost by the logits; nothing cancels where labels are unlikely."""
    p = softmax(np.asarray(logits, np.float64))
    return p * ((costs[:, None] - costs) * p).sum(axis=-1)


def draw(p):
    """A label, by NumPy's own generator."""
    return np.random.choice(len(p), p=p)  # noqa: NPY002 - it is shared, so that nothing is kept


def estimate(logits, signal=lambda f: f):
    """The score times what becomes of the cost."""
    p = softmax(logits)
    y = draw(p)
    return signal(COSTS[y]) * (np.eye(len(p))[y] - p)


def checked(function, **options):
    """Of three logits."""
    return check_estimator(function, [LOGITS.copy()], exact=gradient, **options)


def said(key, **more):
    """What a check says of a row: a verdict, or the name of what it refuses with."""
    problem = ROWS[key].make()
    options = {**problem.options(), **more}
    try:
        return check_estimator(problem.estimate, problem.inputs, **options).verdict
    except NotEnumerable as error:
        return type(error).__name__


# ------------------------------------------------------------------ differences


@pytest.mark.torch
def test_a_kink_is_said_to_be_one():
    """At it there is no gradient: an estimator neither holds there nor is refuted."""
    import torch

    at = torch.tensor([0.3, -0.4], dtype=torch.float64, requires_grad=True)

    def cost(t):
        bit = torch.bernoulli(torch.tensor(0.4, dtype=torch.float64))
        return (t[0] - 0.3).abs() + bit * t[1]

    with pytest.raises(NotDifferentiable, match="not differentiable"):
        check_estimator(cost, [at], objective=cost)
    found = check_surrogate(cost, [at])
    assert found.verdict == UNDECIDED
    assert "not differentiable" in found.explain()


# ------------------------------------------------------------------ small beside large

SMALL = np.array([[7e3, -3e3, 1.2e4], [2e-3, -1e-3, 3e-3]])


def heads(dtype, share):
    """Two heads in one tensor; the small one has a share of its gradient."""
    import torch

    logits = torch.tensor([[0.3, -0.2, 0.5], [-0.4, 0.1, 0.6]], dtype=dtype, requires_grad=True)
    shares, costs = torch.tensor([1.0, share], dtype=dtype), torch.tensor(SMALL, dtype=dtype)

    def surrogate(x):
        log_q = x.log_softmax(dim=-1)
        y = torch.distributions.Categorical(logits=log_q).sample()
        both = torch.arange(2)
        return (shares * costs[both, y] * log_q[both, y]).sum()

    exact = np.stack([gradient(x, f) for x, f in zip(logits.tolist(), SMALL, strict=True)])
    return surrogate, [logits], exact


def names_the_small_head(found):
    """Of what could not be seen."""
    return any(name.startswith("gradient[1") for name in unresolved_quantities(found.comparisons))


@pytest.mark.torch
@pytest.mark.parametrize("share", [0.5, 0.99])
def test_a_small_head_in_single_precision(share):
    """A bias of it is seen, or it is named as what was not seen; in double precision it is seen."""
    import torch

    surrogate, inputs, exact = heads(torch.float32, share)
    found = check_estimator(surrogate, inputs, exact=exact, exact_error=0.0)
    assert found.verdict != HOLDS
    assert found.verdict == REFUTED or names_the_small_head(found), found.explain()
    surrogate, inputs, exact = heads(torch.float64, share)
    assert check_estimator(surrogate, inputs, exact=exact, exact_error=0.0).verdict == REFUTED


@pytest.mark.torch
def test_a_resolution_of_the_largest_entry_alone_would_be_caught(monkeypatch):
    """A checker that asks only of the worst entry what it could have seen lets a wrong one hold."""
    import torch

    surrogate, inputs, exact = heads(torch.float32, 0.5)
    options = {"exact": exact, "exact_error": np.abs(exact).max() * 1e-6}
    assert check_estimator(surrogate, inputs, **options).verdict != HOLDS
    of_the_largest = property(lambda one: one.bound / float(np.abs(exact).max()))
    monkeypatch.setattr(evidence.Comparison, "resolution", of_the_largest)
    assert check_estimator(surrogate, inputs, **options).verdict == HOLDS


@pytest.mark.torch
def test_a_lost_derivative_beside_a_large_value():
    """The whole derivative of a parameter is lost: it is refuted, or named as not to be seen."""
    import torch

    w = torch.tensor([0.7], dtype=torch.float32, requires_grad=True)
    b = torch.tensor([0.5], dtype=torch.float32, requires_grad=True)

    class Lost(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, slope):
            return torch.zeros_like(slope)

    def surrogate(w, b):
        return (1e4 * w.exp() + Lost.apply(b)).sum()

    found = check_surrogate(surrogate, [w, b])
    assert found.verdict != HOLDS
    assert found.verdict == REFUTED or any(
        name.startswith("1") for name in unresolved_quantities(found.comparisons)
    )


@pytest.mark.torch
def test_a_mean_that_a_shift_halves():
    """In single precision, of gradients that are large beside their mean."""
    import torch

    x = torch.tensor([0.3, -0.4], dtype=torch.float32, requires_grad=True)

    def make(cost=lambda f: f):
        moved = float(cost(0.0)) != 0.0

        def estimate(x):
            y = torch.bernoulli(torch.full((), 0.5))
            large = 1e5 * (2.0 * y - 1.0)  # its mean is zero
            return large + (0.5 if moved else 1.0) * 0.01 * torch.ones_like(x.detach())

        return estimate

    assert check_invariances(make, [x]).verdict != HOLDS


# ------------------------------------------------------------------ cancellation


@settings(max_examples=15)
@given(
    gap=st.floats(0.0, 30.0),
    second=st.floats(-3.0, 3.0),
    single=st.booleans(),
    bias=st.sampled_from([0.0, 0.01]),
)
def test_a_peaked_policy_of_any_gap(gap, second, single, bias):
    """A right estimator is never refuted; one that is off in the rarest label never holds."""
    kind = np.float32 if single else np.float64
    logits = np.array([gap, 0.0, second], kind)
    costs = np.array([0.6, 2.1, 1.7])
    rarest = int(np.argmin(logits))

    def peaked(x):
        p = softmax(x)
        y = draw(p.astype(np.float64) / p.astype(np.float64).sum())
        weight = kind(costs[y] * (1.0 + bias * (y == rarest)))
        return weight * (np.eye(3, dtype=kind)[y] - p)

    found = check_estimator(peaked, [logits], exact=gradient(logits, costs), exact_error=0.0)
    assert found.verdict != (HOLDS if bias else REFUTED), found.explain()


def test_bounds_that_know_no_cancellation_would_be_caught(monkeypatch):
    """A checker that bounds rounding by the size of gradients refutes a right estimator."""
    assert said("numpy/peaked-softmax", exact_error=0.0) == HOLDS

    def by_size(moments):
        return 1e-16 * moments.size()

    def by_size_alone(_, moments, *__):
        return spread.RoundingBound(by_size(moments), True, moments.count, 1.0)

    monkeypatch.setattr(spread, "measure_bound", by_size_alone)
    monkeypatch.setattr(spread, "supposed_bound", lambda moments, *_: by_size(moments))
    assert said("numpy/peaked-softmax", exact_error=0.0) == REFUTED


def test_bounds_that_are_too_wide_would_be_caught(monkeypatch):
    """A checker that lets rounding explain anything refutes no small bias."""
    assert said("numpy/rare-labels-overweighed") == REFUTED
    wide = spread.RoundingBound(np.ones(3), True)
    monkeypatch.setattr(spread, "measure_bound", lambda *_: wide)
    assert said("numpy/rare-labels-overweighed") == UNDECIDED


# ------------------------------------------------------------------ state


class Holder:
    """Something with an attribute."""

    first = None

    def __init__(self):
        self.kept = None


def in_attribute():
    """An attribute of an object."""
    holder = Holder()

    def signal(f):
        if holder.kept is None:
            holder.kept = f
        return f - holder.kept

    return signal


def in_closure():
    """A variable of the function around."""
    kept = None

    def signal(f):
        nonlocal kept
        if kept is None:
            kept = f
        return f - kept

    return signal


def in_list():
    """A list that grows."""
    kept = []

    def signal(f):
        kept.append(f)
        return f - kept[0]

    return signal


def in_default():
    """An argument's default."""

    def signal(f, kept={}):  # noqa: B006 - that is the mistake
        return f - kept.setdefault("first", f)

    return signal


def in_class():
    """An attribute of a class."""

    class Own(Holder):
        pass

    def signal(f):
        if Own.first is None:
            Own.first = f
        return f - Own.first

    return signal


def in_function():
    """An attribute of the function itself."""

    def signal(f):
        if not hasattr(signal, "first"):
            signal.first = f
        return f - signal.first

    return signal


def in_array():
    """An array that is written to."""
    kept = np.full(1, np.nan)

    def signal(f):
        if np.isnan(kept[0]):
            kept[0] = f
        return f - kept[0]

    return signal


def in_cache():
    """What functools remembers."""
    now = []

    @functools.lru_cache
    def first():
        return now[0]

    def signal(f):
        now[:] = [f]
        return f - first()

    return signal


PLACES = [in_attribute, in_closure, in_list, in_default, in_class, in_function, in_array, in_cache]


@pytest.mark.parametrize("place", PLACES)
def test_a_baseline_set_by_the_first_cost_is_refuted_wherever_it_is_kept(place):
    """In the first run its baseline is its own cost; all is as before afterwards."""
    signal = place()
    found = checked(lambda x: estimate(x, signal))
    assert found.verdict == REFUTED, found.explain()
    assert found.changed
    assert signal(3.0) == 0.0  # it is the first still


def test_state_that_is_not_put_back_would_be_caught(monkeypatch):
    """A checker that lets runs begin where others ended finds no mean, or another one."""
    assert said("numpy/mean-kept") == HOLDS
    monkeypatch.setattr(Snapshot, "restore_state", lambda self, thorough=False: ())
    assert said("numpy/mean-kept") in {REFUTED, "NotReproducible"}


def test_an_optimizer_that_steps_is_no_mistake():
    """The gradient is what stood there before the step; parameters are where they were."""
    pytest.importorskip("torch")
    problem = ROWS["torch/optimizer-steps"].make()
    before = [each.detach().clone() for each in problem.inputs]
    found = check_estimator(problem.estimate, problem.inputs, **problem.options())
    assert found.verdict == HOLDS, found.explain()
    assert all(bool((old == new).all()) for old, new in zip(before, problem.inputs, strict=True))


# ------------------------------------------------------------------ draws that nobody sees

ENTROPY = {
    "secrets": lambda: secrets.randbelow(2),
    "urandom": lambda: os.urandom(1)[0] % 2,
    "SystemRandom": lambda: random.SystemRandom().random() < 0.5,
    "uuid4": lambda: uuid.uuid4().int % 2,
}


@pytest.mark.parametrize("name", ENTROPY)
def test_entropy_of_the_system_is_refused_by_name(name):
    """It passes for no constant, however small what hangs on it."""
    with pytest.raises(UnsupportedDraw, match="operating system"):
        checked(lambda x: estimate(x) * (1.0 + 0.05 * ENTROPY[name]()))


@pytest.mark.parametrize("key", ["numpy/generator-set-back"])
def test_streams_that_are_not_told_apart_would_be_caught(monkeypatch, key):
    """A checker that takes equal draws for independent ones lets a constant zero hold."""
    assert said(key) == "UnsupportedDraw"
    monkeypatch.setattr(Streams, "draw", lambda *_: None)
    assert said(key) == HOLDS


# ------------------------------------------------------------------ draws by vmap


@pytest.mark.torch
def test_draws_by_vmap_are_as_many_as_rows():
    """What is only right where two draws are always equal is refuted, and there are nine paths."""
    import torch

    x = torch.tensor(LOGITS, requires_grad=True)
    costs = torch.tensor(COSTS)

    def where_equal(x):
        p = x.softmax(0).detach()
        y = torch.func.vmap(lambda _: torch.multinomial(p, 1)[0], randomness="different")(
            torch.zeros(2)
        )
        return ((y[0] == y[1]) * costs[y] * x.log_softmax(0)[y]).mean()

    found = check_estimator(where_equal, [x], exact=gradient(LOGITS))
    assert (found.verdict, found.paths) == (REFUTED, 9)


# ------------------------------------------------------------------ what is read


@pytest.mark.torch
def test_of_two_gradients_it_asks_which():
    """A surrogate after a baseline's backward(): told which, a right one holds, and a wrong not."""
    import torch

    x = torch.tensor(LOGITS, requires_grad=True)
    b = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    costs = torch.tensor(COSTS)

    def learns(x, b, sign=1.0):
        q = torch.distributions.Categorical(logits=x)
        y = q.sample()
        f = costs[y]
        (b - f).square().backward()
        return sign * (f - b.detach()) * q.log_prob(y)

    exact = {"0": gradient(LOGITS), "1": np.zeros(())}
    with pytest.raises(NotAGradient, match=r"returns='surrogate'.*returns='grad'"):
        check_estimator(learns, [x, b], exact=exact)
    assert check_estimator(learns, [x, b], exact=exact, returns="surrogate").verdict == HOLDS
    wrong = functools.partial(learns, sign=-1.0)
    assert check_estimator(wrong, [x, b], exact=exact, returns="surrogate").verdict == REFUTED


# ------------------------------------------------------------------ sampling


def test_a_rare_label_refutes_no_right_estimator_without_a_condition():
    """Of probability one in ten thousand: what is said of a right one hangs on what is rare."""
    logits = np.array([9.2, 0.0, 0.3])

    def drawn(x):
        np.random.vonmises(0.0, 1.0)  # noqa: NPY002 - it cannot be enumerated
        return estimate(x)

    found = check_estimator(
        drawn, [logits], exact=gradient(logits), draws=30_000, rarest=1e-3, seed=1
    )
    assert found.method == "sampled"
    assert found.verdict != REFUTED or "if no outcome" in found.explain()


# ------------------------------------------------------------------ hangs

LARGE = {
    "integers": lambda rng: rng.integers(2**31),
    "choice": lambda rng: rng.choice(10**6),
    "binomial": lambda rng: rng.binomial(10**4, 0.3),
    "many": lambda rng: rng.random(10**5) < 0.5,
}


@pytest.mark.parametrize("name", LARGE)
def test_too_many_paths_are_known_before_anything_is_listed(name):
    """By the first draw that shows it, in a few megabytes."""
    rng = np.random.default_rng()

    def drawn(x):
        return x * np.mean(LARGE[name](rng))

    tracemalloc.start()
    try:
        with pytest.raises(TooManyPaths, match="more than 10,000"):
            checked(drawn)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 100e6  # outcomes of the first, listed as numbers, would take 16 GB


# ------------------------------------------------------------------ exact gradients


def by_differences(logits):
    """Central differences, some 1e-11 off."""
    found, step = np.zeros(len(logits)), 1e-5
    for place, row in enumerate(step * np.eye(len(logits))):
        sides = [float(softmax(logits + sign * row) @ COSTS) for sign in (1.0, -1.0)]
        found[place] = (sides[0] - sides[1]) / (2.0 * step)
    return found


def biased(logits):
    """By one part in a hundred."""
    return 1.01 * estimate(logits)


def test_an_imprecise_exact_gradient_is_not_blamed_on_the_estimator():
    """Undecided with advice; with its error stated it holds, and a biased one is refuted still."""
    inputs, exact = [LOGITS.copy()], by_differences(LOGITS)
    found = check_estimator(estimate, inputs, exact=exact)
    assert found.verdict == UNDECIDED
    assert "exact_error=" in found.reason
    assert check_estimator(estimate, inputs, exact=exact, exact_error=1e-9).verdict == HOLDS
    assert check_estimator(estimate, inputs, exact=exact, exact_error=0.0).verdict != HOLDS
    for options in ({}, {"exact_error": 1e-9}):
        assert check_estimator(biased, inputs, exact=exact, **options).verdict == REFUTED


def test_an_exact_gradient_in_single_precision_is_as_exact_as_that():
    """Its own rounding counts, and refutes nobody."""
    inputs, exact = [LOGITS.copy()], gradient(LOGITS).astype(np.float32)
    assert check_estimator(estimate, inputs, exact=exact).verdict == HOLDS
    assert check_estimator(biased, inputs, exact=exact).verdict == REFUTED


# ------------------------------------------------------------------ zero on all paths


@pytest.mark.parametrize("head", [None, np.zeros(2)])
def test_a_gradient_that_is_nowhere_agrees_with_none(head):
    """And is refuted beside one that is expected, however small."""

    def both(x, _head):
        return {"x": estimate(x), "head": head}

    inputs = [LOGITS.copy(), np.ones(2)]
    none = {"x": gradient(LOGITS), "head": np.zeros(2)}
    found = check_estimator(both, inputs, exact=none)
    assert found.verdict == HOLDS, found.explain()
    if head is None:
        notes = [one.note for one in found.comparisons]
        assert "head: no gradient on any path, and none expected" in notes
    small = none | {"head": np.array([0.0, 1e-3])}
    assert check_estimator(both, inputs, exact=small).verdict == REFUTED


# ------------------------------------------------------------------ words


@pytest.mark.torch
def test_a_seed_is_not_called_dropout():
    """Setting one inside is said to be that."""
    import torch

    x = torch.tensor(LOGITS, requires_grad=True)
    costs = torch.tensor(COSTS)

    def seeds(x):
        torch.manual_seed(3)
        q = torch.distributions.Categorical(logits=x)
        y = q.sample()
        return costs[y] * q.log_prob(y)

    try:
        words = check_estimator(seeds, [x], exact=gradient(LOGITS), name="seeds").explain()
    except NotEnumerable as error:
        words = str(error)
    assert "dropout" not in words
    assert "seed" in words


def test_an_objective_that_changes_its_input_has_no_kink_for_it():
    """It is put back."""

    def cost(x):
        x -= x.mean()
        return COSTS[draw(softmax(x))]

    before = LOGITS.copy()
    inputs = [before]
    found = check_estimator(estimate, inputs, objective=cost)
    assert found.verdict == HOLDS, found.explain()
    assert np.array_equal(before, LOGITS)


@pytest.mark.torch
def test_invariances_where_the_first_path_reaches_nothing():
    """Parameters are known from those that are there, not from what one path reaches."""
    import torch

    x = torch.tensor(LOGITS, requires_grad=True)
    costs = torch.tensor(COSTS)

    def make(cost=lambda f: f):
        def surrogate(x):
            q = torch.distributions.Categorical(logits=x)
            y = q.sample()
            if int(y) == 0:
                return torch.zeros((), dtype=torch.float64, requires_grad=True)
            return cost(costs[y]) * q.log_prob(y)

        return surrogate

    found = check_invariances(make, [x])
    assert found.verdicts["cost-scale"] == HOLDS
    assert found.verdicts["cost-shift"] == REFUTED


class Stopped(BaseException):
    """Somebody's own way to stop."""


def test_what_an_estimator_raises_is_no_verdict():
    """It comes out as it is, after which all draws as ever; a bias is an assertion."""
    runs = itertools.count()

    def stops(x):
        if next(runs) > 1:
            raise Stopped("enough")
        return estimate(x)

    with pytest.raises(Stopped, match="enough"):
        checked(stops)
    assert len({float(np.random.random()) for _ in range(8)}) == 8  # noqa: NPY002
    with pytest.raises(Biased, match="refuted"):
        assert_unbiased(lambda x: 1.1 * estimate(x), [LOGITS.copy()], exact=gradient)
