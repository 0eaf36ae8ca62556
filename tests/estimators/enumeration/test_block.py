"""Paths in blocks: every path once, whatever the tree looks like; no framework is needed for it."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.estimators.enumeration import block, path_blocks
from gradproof.estimators.enumeration.block import BlockRun, NotBatchable, Rows
from gradproof.estimators.enumeration.path_blocks import blocks
from gradproof.estimators.enumeration.run import TooManyPaths


@dataclasses.dataclass(frozen=True)
class Tree:
    """A program that draws: how many outcomes, and which are possible, depends on those before.

    ``widths`` are of the draws in order; after an outcome of ``ends`` it draws no further, after
    one of ``wider`` its next draw has one outcome more, and ``never`` cannot be after an even sum.
    """

    widths: tuple[int, ...]
    ends: int
    wider: int
    never: int

    def next_draw(self, path):
        """The probabilities of the next draw; None after the last."""
        if len(path) == len(self.widths) or (path and path[-1] == self.ends):
            return None
        width = self.widths[len(path)] + bool(path and path[-1] == self.wider)
        weights = np.arange(1.0, width + 1.0)
        if self.never < width > 1 and sum(path) % 2 == 0:
            weights[self.never] = 0.0
        return weights / weights.sum()

    def paths(self, path=()):
        """Every path with its probability, in order, one by one."""
        table = self.next_draw(path)
        if table is None:
            return [(path, 1.0)]
        return [
            (rest, probability * behind)
            for outcome, probability in enumerate(table)
            if probability > 0.0
            for rest, behind in self.paths((*path, outcome))
        ]

    def perform(self, run):
        """Run it for all rows; rows that draw from different numbers of outcomes are split."""
        paths = [()] * run.size
        for _ in self.widths:
            tables = [self.next_draw(path) for path in paths]
            lengths = np.array([0 if table is None else len(table) for table in tables])
            if (lengths != lengths[0]).any():
                run.split(lengths)
            if not lengths[0]:
                break
            outcomes = run.take([np.array(tables)])[:, 0]
            paths = [(*path, int(outcome)) for path, outcome in zip(paths, outcomes, strict=True)]
        run.finish()
        return {"path": paths}


TREES = st.builds(
    Tree,
    widths=st.lists(st.integers(1, 4), max_size=5).map(tuple),
    ends=st.integers(0, 4),
    wider=st.integers(0, 4),
    never=st.integers(0, 4),
)


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of six rows at most, and rows that go any way they like."""
    monkeypatch.setattr(path_blocks, "MOST_ROWS", 6)
    monkeypatch.setattr(block, "MOST_ROWS", 6)
    monkeypatch.setattr(block, "FEWEST", 0)
    monkeypatch.setattr(path_blocks, "WORTHWHILE", 1)
    monkeypatch.setattr(path_blocks, "FEWEST_RUNS", 1000)


@pytest.mark.usefixtures("small_blocks")
def test_every_path_comes_once_in_order():
    """Also where fewer or more draws were expected, and where some outcomes cannot be."""

    @given(tree=TREES, expected=st.lists(st.integers(1, 4), max_size=6))
    def check(tree, expected):
        exact = tree.paths()
        found = list(blocks(tree.perform, expected, size=1, most=len(exact)))
        rows = [tuple(row) for each in found for row in each.numbers.tolist()]
        assert rows == [path for each in found for path in each.gradients["path"]]
        assert sorted(rows) == sorted(path for path, _ in exact)
        weights = np.concatenate([each.weights for each in found])
        # Five products of probabilities, in one order and in the other.
        assert dict(zip(rows, weights, strict=True)) == pytest.approx(dict(exact), rel=1e-12)
        assert max(len(each.numbers) for each in found) <= 6 * 5 * 5

    check()


@pytest.mark.usefixtures("small_blocks")
def test_too_many_paths_are_known_before_they_are_run():
    """Ten draws of ten, where a million may be run: it is known after a few blocks."""
    runs = []

    def perform(run):
        runs.append(run.size)
        run.take([np.full((run.size, 10), 0.1)] * 10)
        return {}

    with pytest.raises(TooManyPaths, match="more than 1,000; allow more of them"):
        list(blocks(perform, [10] * 10, size=1, most=1000))
    assert len(runs) < 400
    assert sum(runs) < 2000


@pytest.mark.parametrize(("most", "fits"), [(1000, True), (999, False)])
def test_as_many_paths_as_may_be_run_are_run(most, fits):
    """Also where the first path knew of all draws, so that no run is given up."""

    def perform(run):
        run.take([np.full((run.size, 10), 0.1)] * 3)
        return {}

    if fits:
        found = list(blocks(perform, [10] * 3, size=1, most=most))
        assert sum(len(each.numbers) for each in found) == most
        return
    with pytest.raises(TooManyPaths, match="at least 1,000 paths, more than 999"):
        list(blocks(perform, [10] * 3, size=1, most=most))


def test_code_that_goes_its_own_way_on_each_path_is_left_to_the_loop():
    """Nothing is gained then, and it is said."""

    def perform(run):
        run.take([np.full((run.size, 50), 1.0 / 50.0)])
        run.split(np.arange(run.size))

    with pytest.raises(NotBatchable, match="another one on nearly every path"):
        list(blocks(perform, [50], size=1, most=50))


def test_rows_of_a_large_gradient_are_left_to_the_loop():
    """Sixteen megabytes hold but a few of them."""
    with pytest.raises(NotBatchable, match="1,000,000 numbers are run faster one by one"):
        list(blocks(lambda run: {}, [2], size=10**6, most=4))


def test_a_run_that_was_given_up_and_went_on_is_given_up():
    """Code may catch everything, and an interrupt with it."""

    def perform(run):
        try:
            run.take([np.full((run.size, 2), 0.5)])
        except BaseException:  # noqa: BLE001 - as careless code does
            return {"path": ["none"]}
        return {"path": run.numbers.tolist() if hasattr(run, "numbers") else ["some"] * run.size}

    found = list(blocks(perform, [], size=1, most=2))
    assert [each.gradients["path"] for each in found] == [["some", "some"]]


def test_the_same_outcomes_must_give_the_same_draws():
    """A draw of two outcomes that has three when it is repeated."""
    widths = itertools.chain([2], itertools.repeat(3))

    def perform(run):
        width = next(widths)
        run.take([np.full((run.size, width), 1.0 / width)])
        return {}

    with pytest.raises(NotBatchable, match="another draw was made"):
        list(blocks(perform, [], size=1, most=9))


def test_rows_up_to_a_draw_are_there_once():
    """Those that were expected beyond it are forgotten."""
    rows = Rows(np.array([[1], [2]]), (3,), 1).with_expected([3, 2], 100)
    assert rows.numbers.tolist() == [[1, 0], [1, 1], [2, 0], [2, 1]]
    assert rows.up_to(1).numbers.tolist() == [[1], [2]]
    assert BlockRun(rows).size == 4
