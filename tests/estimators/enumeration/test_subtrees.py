"""Pieces of a tree of paths: which there are depends on the tree alone, and they are all of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.outcomes import Categorical, Certain, Coin, Uniform, binomial
from gradproof.estimators.enumeration.run import current_run, next_prefix, paths, run_path
from gradproof.estimators.enumeration.subtrees import FEWEST, HEAD, MOST, PIECE, Cut

#: A tree: what draws, and what is drawn after each of its outcomes; None: nothing.
DRAWS = st.one_of(
    st.integers(1, 9).map(lambda count: Uniform("die", count)),
    st.sampled_from([0.0, 0.25, 1.0]).map(lambda one: Coin("coin", one)),
    st.integers(2, 5).map(lambda count: Certain("sure", 1, count)),
    st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=7)
    .filter(any)
    .map(lambda row: Categorical("table", np.array(row) / np.sum(row))),
)
TREES = st.recursive(
    st.none(),
    lambda inner: st.tuples(DRAWS, st.lists(inner, min_size=1, max_size=3)),
    max_leaves=12,
)


def run_tree(tree):
    """Draws what a tree says, and returns nothing."""
    while tree is not None:
        draw, inner = tree
        taken = current_run().choose(draw)
        tree = inner[taken % len(inner)]


def taken(path):
    """The outcomes of a path, by number."""
    return tuple(choice.taken for choice in path.choices)


def pieces_in_order(code, perform, cut, first):
    """The paths of each piece, run from its own beginning, which is found without the others."""
    start, found = first, []
    while start is not None:
        inside = [
            taken(path) for path in paths(code, perform, most=10**6, start=start, ends=cut.divides)
        ]
        found.append(inside)
        choices = start
        if not cut.is_within_piece(start):
            choices = run_path(code, perform, start).choices
        start = cut.next_start(choices)
    return found


@given(tree=TREES, pieces=st.sampled_from([1, 2, 3, 7, 16, 100]), skipped=st.integers(0, 9))
def test_pieces_are_the_tree_in_order_wherever_one_begins(tree, pieces, skipped):
    """Each path is in one piece, and the pieces begin where those before them end."""
    cut = Cut(pieces)

    def code():
        run_tree(tree)

    with Handling() as handling:
        whole = list(paths(code, handling.perform, most=10**6))
        first = () if not skipped else next_prefix(whole[min(skipped, len(whole)) - 1].choices)
        if first is None:
            return
        found = pieces_in_order(code, handling.perform, cut, first)
    behind = skipped
    assert [path for piece in found for path in piece] == [taken(each) for each in whole[behind:]]
    ends = [
        number + 1
        for number, path in enumerate(whole)
        if (following := next_prefix(path.choices)) is None or cut.divides(path.choices, following)
    ]
    lengths = np.diff([behind, *(end for end in ends if end > behind)])
    assert [len(piece) for piece in found] == lengths.tolist()


@pytest.mark.parametrize(
    ("draws", "fewest"),
    [
        ([Uniform("die", 6)] * 5, 16),
        ([Uniform("number", 20_000)], 78),
        ([Coin("coin", 0.5)] * 14, 64),
        ([Certain("sure", 3, 50)] * 5 + [Coin("coin", 0.5)] * 14, 64),
        ([Categorical("sparse", np.r_[np.full(5, 0.2), np.zeros(500)])] * 6, 61),
        ([binomial("successes", 30, 0.5)] * 3, 116),
    ],
)
def test_pieces_are_as_many_as_there_shall_be(draws, fewest):
    """However the draws are distributed, and there are never more than twice as many."""

    def code():
        for draw in draws:
            current_run().choose(draw)

    with Handling() as handling:
        head = next(paths(code, handling.perform, most=10**6))
        count = int(np.prod([draw.possible for draw in draws]))
        cut = Cut(max(16, count // PIECE))
        starts, start = 0, head.choices
        while start is not None:
            starts += 1
            if not cut.is_within_piece(start):
                start = run_path(code, handling.perform, start, 10**6).choices
            start = cut.next_start(start)
    assert fewest <= starts <= 2 * cut.pieces


@pytest.mark.parametrize(
    ("behind", "pieces"), [(1.0, FEWEST), (HEAD / (50 * PIECE), 50), (1e-300, MOST), (0.0, MOST)]
)
def test_how_finely_a_tree_is_cut_follows_from_its_first_paths(behind, pieces):
    """From the share that they are of all."""

    class Last:
        pass

    path = Last()
    path.behind = behind
    assert Cut.after(path, HEAD).pieces == pieces


def test_the_rank_of_an_outcome_counts_those_that_are_possible():
    """One by one, for each kind of draw."""
    for draw in (
        Uniform("die", 5),
        Coin("coin", 1.0),
        Coin("coin", 0.25),
        Certain("sure", 2, 4),
        Categorical("table", np.array([0.0, 0.5, 0.0, 0.25, 0.25])),
    ):
        outcome, ranks = draw.next_possible(-1), []
        while outcome is not None:
            ranks.append(draw.rank(outcome))
            outcome = draw.next_possible(outcome)
        assert ranks == list(range(draw.possible))
