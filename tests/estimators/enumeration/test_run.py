"""Every path once, probabilities that add up, nothing drawn unseen, handlers taken off again."""

import functools
import math
import os
import random
import secrets
import sys
import tracemalloc
import types
import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.estimators.backends import load
from gradproof.estimators.enumeration.gradients import NotAGradient, named
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.patches import Patches
from gradproof.estimators.enumeration.run import NotReproducible, TooManyPaths, UnsupportedDraw
from gradproof.estimators.enumeration.run import paths as paths_of

#: A product of at most four probabilities, or a sum of some hundred of them, that is 1 at most.
ROUNDING = 1e-14


def paths(run, most=1000):
    """All paths of a run."""
    with Handling(run) as handling:
        return list(paths_of(run, handling.perform, most=most))


def probabilities(run):
    """The probability of each value that a run can return."""
    found = {}
    for path in paths(run):
        found[path.value] = found.get(path.value, 0.0) + path.probability
    return found


@given(st.lists(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=4), max_size=4))
def test_every_path_is_run_once_and_their_probabilities_add_up_to_one(tables):
    """As many paths as there are combinations, no two the same, all together certain."""
    rng = np.random.default_rng()
    tables = [np.array(table) / sum(table) for table in tables]

    def run():
        return tuple(int(rng.choice(len(table), p=table)) for table in tables)

    found = paths(run)
    assert len({path.value for path in found}) == len(found) == math.prod(map(len, tables))
    assert sum(path.probability for path in found) == pytest.approx(1.0, abs=ROUNDING)
    for path in found:
        expected = math.prod(table[place] for table, place in zip(tables, path.value, strict=True))
        assert path.probability == pytest.approx(expected, rel=ROUNDING, abs=0.0)


def test_the_number_of_draws_may_differ_from_path_to_path():
    """Heads end it: a geometric number of draws, cut at three."""
    rng = np.random.default_rng()

    def run():
        count = 1
        while count < 3 and rng.random() < 0.25:
            count += 1
        return count

    assert probabilities(run) == {1: 0.75, 2: 0.1875, 3: 0.0625}


def test_what_has_no_probability_is_not_run():
    """An outcome of probability zero would be divided by somewhere."""
    rng = np.random.default_rng()
    assert probabilities(lambda: int(rng.choice(3, p=[0.5, 0.0, 0.5]))) == {0: 0.5, 2: 0.5}


def test_a_uniform_number_is_known_by_its_comparisons_alone():
    """Each one narrows it down: those that follow from earlier ones are no draws."""
    rng = np.random.default_rng()

    def run():
        u = rng.random()
        return bool(u < 0.5), bool(u < 0.25), bool(u > 0.75)

    found = {(True, True, False): 0.25, (True, False, False): 0.25}
    assert probabilities(run) == found | {(False, False, True): 0.25} | {(False,) * 3: 0.25}


def test_an_inverse_of_a_distribution_function_is_enumerated():
    """A uniform number below an array of sums: how many people draw a label."""
    rng = np.random.default_rng()
    sums = np.cumsum([0.2, 0.5, 0.3])
    assert probabilities(lambda: int((rng.random() > sums).sum())) == pytest.approx(
        {0: 0.2, 1: 0.5, 2: 0.3}, abs=ROUNDING
    )


def test_numpy_may_compare_from_the_other_side():
    """An array or a number of NumPy on the left, or its own function."""
    rng = np.random.default_rng()
    sums = np.cumsum([0.2, 0.5, 0.3])
    third = {0: 0.2, 1: 0.5, 2: 0.3}
    found = probabilities(lambda: int((sums < rng.random()).sum()))
    assert found == pytest.approx(third, abs=ROUNDING)
    assert probabilities(lambda: bool(np.float64(0.25) > rng.random())) == {True: 0.25, False: 0.75}
    assert probabilities(lambda: bool(np.less(rng.random(), 0.25))) == {True: 0.25, False: 0.75}
    both = probabilities(lambda: tuple(np.array([0.5, 0.25]) >= rng.random(2)))
    assert both[True, True] == 0.125


@pytest.mark.parametrize(
    "use",
    [
        lambda u: u * u,
        lambda u: 0.0 * u,
        lambda u: (u - 0.5) ** 2,
        lambda u: 2.0 / (u - 0.5),
        lambda u: u.mean(),
        lambda u: u.astype(complex),
        lambda u: np.cos(u - 0.5),
        lambda u: np.sin(u),
        lambda u: float(u),
        lambda u: u == 0.5,
        lambda u: np.searchsorted(u, [0.2, 0.7]),
        lambda u: np.sort(u),
        lambda u: f"{u:.3f}",
    ],
    ids=[
        "times u",
        "zero",
        "power",
        "over",
        "mean",
        "astype",
        "cos",
        "sin",
        "float",
        "equal",
        "searchsorted",
        "sort",
        "text",
    ],
)
def test_a_uniform_number_that_is_used_otherwise_is_an_error(use):
    """It has no outcomes to count."""
    for make in (lambda rng: rng.random(), lambda rng: rng.random(2)):
        rng = np.random.default_rng()
        with pytest.raises(UnsupportedDraw, match="used other than compared"):
            paths(lambda make=make, rng=rng: use(make(rng)))


def test_a_uniform_number_may_be_scaled_and_moved():
    """``low + (high - low) u``, ``1 - u``: comparisons with these are comparisons with u."""
    rng = np.random.default_rng()
    quarter = {True: 0.25, False: 0.75}
    assert probabilities(lambda: bool(1.0 - rng.random() < 0.25)) == quarter
    assert probabilities(lambda: bool(2.0 * rng.random() + 1.0 < 1.5)) == quarter
    assert probabilities(lambda: bool(-rng.random() / 2.0 > -0.125)) == quarter
    assert probabilities(lambda: bool(rng.uniform(-1.0, 3.0) < 0.0)) == quarter
    assert probabilities(lambda: bool(np.random.uniform() < 0.25)) == quarter  # noqa: NPY002
    both = probabilities(lambda: tuple(1.0 - rng.random(2) < np.array([0.5, 0.25])))
    assert both[True, True] == 0.125


def test_arrays_of_uniform_numbers_may_change_their_shape():
    """They stay the same numbers, whichever view of them is compared."""
    rng = np.random.default_rng()

    def run():
        u = rng.random((2, 1))
        first = u.T[0] < 0.5
        return (*first, *(u.reshape(-1) < 0.5), *(each < 0.5 for each in u.ravel().copy()))

    found = probabilities(run)
    assert len(found) == 4
    assert all(key[:2] == key[2:4] == key[4:] for key in found)
    assert probabilities(lambda: (rng.random(0) < 0.5).size) == {0: 1.0}
    assert probabilities(lambda: rng.random((3, 2)).shape) == {(3, 2): 1.0}


@pytest.mark.parametrize(
    "other",
    [
        lambda u: u[[0, 1, 2]],
        lambda u: u[[2, 2, 0, 1]][[2, 3, 0]],
        lambda u: u[np.array([0, 1, 2])],
        lambda u: u[np.array([True, True, True])],
        lambda u: u[np.arange(3)[::-1]][::-1],
        lambda u: u[::-1][[2, 1, 0]],
        lambda u: u.reshape(3, 1).T.ravel(),
        lambda u: u[None, ...][0],
        lambda u: (1.0 - u)[[0, 1, 2]] * -1.0 + 1.0,
        lambda u: u[-3:][:3],
    ],
    ids=["list", "twice", "array", "mask", "turned", "back", "ravel", "dots", "moved", "slices"],
)
def test_copies_of_uniform_numbers_are_the_same_numbers(other):
    """Of whatever NumPy makes a copy: what one comparison says, the other does."""
    rng, p = np.random.default_rng(), np.array([0.5, 0.25, 0.125])

    def run():
        u = rng.random(3)
        return tuple(other(u) < p), tuple(u < p)

    found = probabilities(run)
    assert len(found) == 8
    assert all(first == second for first, second in found)


def test_shapes_of_uniform_numbers_that_numpy_copies():
    """Transposed and made flat, by columns, by a mask and the rest, twice in one comparison."""
    rng = np.random.default_rng()
    mask = np.array([True, False, True])

    def flat():
        u = rng.random((3, 2))
        return tuple(u.T.ravel()[:3] < 0.5) == tuple(u[:, 0] < 0.5), *(u.ravel("F") < 0.5)[:3]

    assert all(same for same, *_ in probabilities(flat))
    masked = probabilities(lambda: (*((u := rng.random(3))[mask] < 0.5), *(u[~mask] < 0.25)))
    assert masked[True, True, True] == 1 / 16
    assert probabilities(lambda: tuple(rng.random(2)[[0, 0]] < 0.25)) == {
        (True, True): 0.25,
        (False, False): 0.75,
    }
    assert probabilities(lambda: bool(rng.random(())[()] < 0.25)) == {True: 0.25, False: 0.75}
    with pytest.raises(IndexError):
        paths(lambda: rng.random(3)[3])


def test_large_arrays_of_uniform_numbers_cost_no_more_than_zeros():
    """Parts of them are looked at, and nothing is laid out for the rest."""
    rng = np.random.default_rng()
    count = 10**6

    def run():
        u = rng.random((count, 2))
        tracemalloc.start()
        try:
            first = (*(u[:2].ravel() < 0.5), u[-1][1] < 0.5, u.reshape(-1)[::2][count - 2] < 0.5)
            return first, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    found = paths(run)
    assert len({path.value[0] for path in found}) == 2**6
    assert max(path.value[1] for path in found) < 10**5


def test_keywords_of_numpys_functions_are_kept_to_or_refused():
    """What is written elsewhere is written there; what is compared in part only is refused."""
    rng, half = np.random.default_rng(), np.array([0.5, 0.25])

    def written():
        out = np.zeros(2)
        assert np.less(rng.random(2), half, out=out) is out
        return tuple(out)

    assert probabilities(written)[1.0, 1.0] == 0.125
    both = probabilities(lambda: tuple(np.less(rng.random(2), half, out=None, where=True)))
    assert both[True, True] == 0.125
    for use in (
        lambda u: np.less(u, half, where=np.array([True, False])),
        lambda u: np.less(u, half, dtype=object),
        lambda u: np.add(half, 1.0, out=u),
    ):
        with pytest.raises(
            UnsupportedDraw, match=r"given to np\.(less|add) with (where|dtype|out)="
        ):
            paths(lambda use=use: use(rng.random(2)))
    with pytest.raises(UnsupportedDraw, match="used other than compared"):
        paths(lambda: np.add(rng.random(2), half[0], out=np.zeros(2)))


def test_uniform_numbers_between_two_that_are_one():
    """There is nothing to be drawn, nor to be divided by."""
    rng = np.random.default_rng()
    assert probabilities(lambda: rng.uniform(2.0, 2.0) + random.uniform(1, 1)) == {3.0: 1.0}
    assert probabilities(lambda: tuple(rng.uniform(0.5, 0.5, 2) < 0.75)) == {(True, True): 1.0}
    assert probabilities(lambda: rng.uniform(0.0, 0.0, (2, 3)).shape) == {(2, 3): 1.0}
    with pytest.raises(UnsupportedDraw, match="used other than compared"):
        paths(lambda: rng.random() * 1e-200 * 1e-200 < 0.5)


def test_numpys_draws_have_the_probabilities_that_they_should():
    """Choices with and without replacement, whole numbers, coins, permutations."""
    rng = np.random.default_rng()
    assert probabilities(lambda: tuple(rng.choice(3, 2, replace=False, p=[0.5, 0.25, 0.25]))) == (
        pytest.approx({(0, 1): 0.25, (0, 2): 0.25, (1, 0): 1 / 6, (1, 2): 1 / 12, (2, 0): 1 / 6,
                       (2, 1): 1 / 12}, abs=ROUNDING)
    )  # fmt: skip
    assert probabilities(lambda: int(rng.integers(2, 4))) == {2: 0.5, 3: 0.5}
    assert probabilities(lambda: int(rng.integers(1, endpoint=True))) == {0: 0.5, 1: 0.5}
    found = probabilities(lambda: int(rng.binomial(2, 0.25)))
    assert found == pytest.approx({0: 9 / 16, 1: 6 / 16, 2: 1 / 16}, abs=ROUNDING)
    found = probabilities(lambda: tuple(rng.permutation(3)))
    assert found[2, 0, 1] == pytest.approx(1 / 6, abs=ROUNDING)
    assert probabilities(lambda: tuple(rng.multinomial(1, [0.25, 0.75]))) == {
        (1, 0): 0.25,
        (0, 1): 0.75,
    }
    assert probabilities(lambda: str(rng.choice(["a", "b"], p=[0.25, 0.75]))) == {
        "a": 0.25,
        "b": 0.75,
    }


def test_generators_are_found_where_they_are_kept():
    """In a closure, in the globals, in an object, made anew, and NumPy's own."""
    assert len(paths(_global)) == 2

    class Keeps:
        def __init__(self):
            self.rng = np.random.default_rng()

        def __call__(self):
            return int(self.rng.integers(2))

        def method(self):
            return int(self.rng.integers(3))

    kept = Keeps()
    assert len(paths(kept)) == 2
    assert len(paths(kept.method)) == 3
    assert isinstance(kept.rng, np.random.Generator)
    assert type(kept.rng) is np.random.Generator
    assert len(paths(lambda: int(np.random.default_rng(3).integers(4)))) == 4
    assert len(paths(lambda: int(np.random.randint(4)))) == 4  # noqa: NPY002 - people draw so


GENERATOR = np.random.default_rng()


def _global():
    return int(GENERATOR.integers(2))


def _calls():
    return _global() + int(np.random.Generator(np.random.PCG64(1)).integers(3))


class _Deep:
    """Keeps a generator three away."""

    def __init__(self):
        self.sampler = types.SimpleNamespace(source={"rng": [np.random.default_rng()]})

    def __call__(self, *_):
        return int(self.sampler.source["rng"][0].integers(2))


def _of_argument(rng):
    return int(rng.integers(2))


def _in_closure(held):
    return lambda: int(held["rng"].integers(2))


@pytest.mark.parametrize(
    ("run", "count"),
    [
        (_calls, 6),
        (_Deep(), 2),
        (functools.partial(_of_argument, np.random.default_rng()), 2),
        (functools.partial(_of_argument, rng=np.random.default_rng()), 2),
        (_in_closure({"rng": np.random.default_rng()}), 2),
        (_in_closure(types.MappingProxyType({"rng": np.random.default_rng()})), 2),
    ],
    ids=["function", "object", "partial", "keyword", "closure", "proxy"],
)
def test_generators_that_are_kept_further_away(run, count):
    """It does not matter how a generator is reached."""
    assert len(paths(run)) == count


@pytest.mark.parametrize(
    "draw",
    [
        lambda: float(GENERATOR.standard_normal()),
        lambda: float(np.random.default_rng().normal()),
        lambda: float(np.random.randn()),  # noqa: NPY002 - people draw so
        lambda: float(np.random.RandomState(0).randn()),
        lambda: GENERATOR.standard_gamma(2.0),
        lambda: float(random.random()),
        lambda: float(random.gauss(0.0, 1.0)),
        lambda: random.gammavariate(1.0, 1.0),
        lambda: np.random.PCG64().random_raw(),
        lambda: os.urandom(1),
        lambda: secrets.randbelow(2),
        lambda: random.SystemRandom().random() < 0.5,
        lambda: uuid.uuid4(),
    ],
    ids=[
        "standard_normal",
        "normal",
        "randn",
        "RandomState",
        "standard_gamma",
        "random",
        "gauss",
        "gammavariate",
        "random_raw",
        "urandom",
        "secrets",
        "SystemRandom",
        "uuid4",
    ],
)
def test_what_cannot_be_enumerated_is_an_error(draw):
    """It is never taken for a number that is always the same."""
    with pytest.raises(UnsupportedDraw):
        paths(draw)


def test_a_budget_on_paths_is_kept():
    """With a message that says what to do."""
    rng = np.random.default_rng()
    with pytest.raises(TooManyPaths, match=r"7 paths were run, and there are more; allow more"):
        paths(lambda: sum(rng.integers(2) for _ in range(3)), most=7)
    with pytest.raises(TooManyPaths, match=r"3 draws in one call, which may come out in 8 ways"):
        paths(lambda: rng.integers(2, size=3).sum(), most=7)
    assert len(paths(lambda: rng.integers(2, size=3).sum(), most=8)) == 8


def test_draws_of_the_prefix_count_too_once_another_follows():
    """A path that goes on where the last one ended shows how many there are before it is run."""
    rng = np.random.default_rng()

    def more():
        first = [rng.integers(2) for _ in range(3)]
        return first, [rng.integers(4) for _ in range(first[-1])]

    assert len(paths(more, most=20)) == 4 * 1 + 4 * 4
    with pytest.raises(TooManyPaths, match=r"made 4 draws, from which at least 7 paths go out"):
        paths(more, most=6)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not copied here")
@pytest.mark.filterwarnings("ignore:.*fork:RuntimeWarning")  # JAX's
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # nothing is waited for here
def test_a_copy_of_the_process_cannot_draw():
    """It is refused there, and the run goes on here."""
    rng = np.random.default_rng()

    def copied():
        first = rng.integers(2)
        child = os.fork()
        if not child:
            try:
                rng.integers(2)
            except UnsupportedDraw:
                os._exit(7)
            os._exit(0)
        return first, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), rng.integers(2)

    assert [path.value for path in paths(copied)] == [(a, 7, b) for a in (0, 1) for b in (0, 1)]


def test_what_is_kept_from_run_to_run_is_noticed():
    """Other probabilities after the same draws, or fewer draws."""
    rng = np.random.default_rng()
    seen = []

    def other():
        seen.append(0)
        return rng.choice(2, p=[0.5, 0.5] if len(seen) == 1 else [0.25, 0.75])

    with pytest.raises(
        NotReproducible, match=r"draw 1 was .*\(0.5, 0.5\), .* it is .*\(0.25, 0.75\)"
    ):
        paths(other)

    def fewer():
        seen.append(0)
        return rng.integers(2, size=1 if len(seen) > 3 else 2)

    seen.clear()
    with pytest.raises(
        NotReproducible, match="a run ended after 1 draws, and after the same outcomes it"
    ):
        paths(fewer)


def test_bad_probabilities_are_an_error():
    """Whoever draws has made them."""
    rng = np.random.default_rng()
    with pytest.raises(ValueError, match="Probabilities do not sum to 1"):
        paths(lambda: rng.choice(2, p=[np.nan, 1.0]))


def test_patches_are_undone_whatever_happens():
    """After an end, an error, and one inside the other."""
    before = {name: getattr(np.random, name) for name in ("choice", "default_rng", "RandomState")}
    rng = np.random.default_rng()
    paths(lambda: len(paths(lambda: rng.integers(2))) + 0 * int(rng.integers(3)))

    def fails():
        rng.integers(2)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        paths(fails)
    assert before == {name: getattr(np.random, name) for name in before}


def test_an_attribute_that_was_inherited_is_taken_off_again():
    """It is the parent's again, also if that changes."""

    class Parent:
        value = 1

    class Child(Parent):
        pass

    first, second = Patches(), Patches()
    first.attribute(Child, "value", 2)
    second.attributes(Child, {"value": 3})
    assert Child.value == 3
    second.undo()
    assert Child.value == 2
    first.undo()
    assert "value" not in vars(Child)


def test_arrays_are_named_by_where_they_are():
    """Mappings, sequences and dataclasses, one in the other; None is left out."""
    found = named({"w": [np.ones(2), None], "b": {"c": 1.0}})
    assert {name: value.tolist() for name, value in found.items()} == {
        "w.0": [1.0, 1.0],
        "b.c": 1.0,
    }
    assert list(named(np.ones(3))) == ["gradient"]
    assert list(named([1.0, 2.0])) == ["gradient"]
    with pytest.raises(NotAGradient, match=r"w is 'none' of type str, expected an array"):
        named({"w": "none"})
    with pytest.raises(NotAGradient, match="of type complex"):
        named(1j)
    with pytest.raises(ValueError, match=r"called 'a\.b': \['a'\]\['b'\] and \['a\.b'\]; rename"):
        named({"a": {"b": np.ones(2)}, "a.b": np.zeros(2)})
    with pytest.raises(ValueError, match=r"called '1': \[1\] and \['1'\]"):
        named({1: np.ones(2), "1": np.zeros(2)})


@pytest.mark.torch
class TestTorch:
    """PyTorch's draws."""

    @pytest.fixture(name="torch", autouse=True)
    def _torch(self):
        self.torch = load("torch").torch
        return self.torch

    def test_distributions_are_enumerated(self):
        """They draw by two functions of PyTorch."""
        distributions, tensor = self.torch.distributions, self.torch.tensor
        p = tensor([0.5, 0.25, 0.25], dtype=self.torch.double)
        assert probabilities(lambda: distributions.Categorical(p).sample().item()) == {
            0: 0.5,
            1: 0.25,
            2: 0.25,
        }
        one_hot = distributions.OneHotCategorical(p)
        assert len(probabilities(lambda: tuple(one_hot.sample().tolist()))) == 3
        coins = distributions.Bernoulli(p[:2])
        assert probabilities(lambda: tuple(coins.sample().tolist()))[1.0, 0.0] == 0.375
        two = distributions.Multinomial(2, p)
        assert probabilities(lambda: tuple(two.sample().tolist()))[2.0, 0.0, 0.0] == 0.25
        many = distributions.Categorical(p).sample
        assert len(paths(lambda: many((2, 2)).sum().item())) == 81

    def test_functions_and_methods_are(self):
        """With and without replacement, rows, coins, whole numbers, permutations."""
        torch = self.torch
        p = torch.tensor([[0.5, 0.25, 0.25], [0.0, 1.0, 1.0]], dtype=torch.double)
        assert len(paths(lambda: torch.multinomial(p, 2))) == 6 * 2
        assert len(paths(lambda: p.multinomial(1))) == 3 * 2
        assert len(paths(lambda: p.multinomial(2, replacement=True))) == 9 * 4
        assert probabilities(lambda: tuple(torch.bernoulli(p[0]).tolist()))[1, 1, 1] == 1 / 32
        assert probabilities(lambda: torch.empty(1).bernoulli_(0.25).item()) == {0: 0.75, 1: 0.25}
        assert probabilities(lambda: torch.randint(2, 5, (1,)).item()) == {
            2: 1 / 3,
            3: 1 / 3,
            4: 1 / 3,
        }
        assert probabilities(lambda: torch.randint(high=2, size=(1,)).item()) == {0: 0.5, 1: 0.5}
        assert probabilities(lambda: torch.randint(2, ()).item()) == {0: 0.5, 1: 0.5}
        assert len(paths(lambda: torch.randint(0, 2, (2,), out=torch.empty(0).long()).sum())) == 4
        assert probabilities(lambda: torch.empty(1).random_(1, to=3).item()) == {1: 0.5, 2: 0.5}
        assert probabilities(lambda: torch.tensor([1, 3]).multinomial(1).item()) == {
            0: 0.25,
            1: 0.75,
        }
        with pytest.raises(RuntimeError, match="to be less than 'to', got 3 and 3"):
            paths(lambda: torch.randint(3, 3, (1,)))
        found = probabilities(lambda: tuple(torch.randperm(3).tolist()))
        assert found[1, 0, 2] == pytest.approx(1 / 6, abs=ROUNDING)
        assert probabilities(lambda: torch.empty(1).random_(2).item()) == {0: 0.5, 1: 0.5}
        out = torch.empty(0, dtype=torch.long)
        assert len(paths(lambda: torch.multinomial(p[0], 1, out=out).item())) == 3

    @pytest.mark.parametrize(
        "draw",
        [
            lambda torch: torch.randn(2).sum(),
            lambda torch: torch.rand(2).square() < 0.5,
            lambda torch: torch.empty(2).normal_().numpy(),
            lambda torch: torch.distributions.Normal(0.0, 1.0).sample().item() ** 2,
            lambda torch: torch.nn.functional.gumbel_softmax(torch.ones(3)),
            lambda torch: torch.distributions.Gamma(1.0, 1.0).sample(),
        ],
        ids=["randn", "rand", "normal_", "Normal", "gumbel_softmax", "Gamma"],
    )
    def test_what_cannot_be_enumerated_is_an_error(self, draw):
        """It is never taken for a number that is always the same."""
        with pytest.raises(UnsupportedDraw):
            paths(lambda: draw(self.torch))

    def test_patches_are_undone(self):
        """On PyTorch and on its tensors, after an error too."""
        torch = self.torch
        before = torch.multinomial, torch.Tensor.bernoulli_, torch.Tensor.normal_

        def fails():
            torch.multinomial(torch.ones(2), 1)
            raise KeyError("mine")

        with pytest.raises(KeyError):
            paths(fails)
        assert before == (torch.multinomial, torch.Tensor.bernoulli_, torch.Tensor.normal_)
        assert "torch" in sys.modules
