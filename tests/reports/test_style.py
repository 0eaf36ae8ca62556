"""What all figures share: names that do not hide one another, and lines told apart."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from gradproof.reports.style import COLOURS, GROUPS, decades, line_style, name_lines, spread

PLACES = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=15)


@given(places=PLACES)
def test_names_are_spread_in_their_order(places):
    """No two are nearer than the gap, none is beyond the panel, and none overtakes another."""
    gap = 0.05
    moved = np.array(spread(places, gap))
    order = np.argsort(places, kind="stable")
    rounding = 1e-14  # of some dozen additions of numbers below 1
    assert (np.diff(moved[order]) >= gap - rounding).all()
    assert moved.min() >= -rounding
    assert moved.max() <= 1.0 + rounding


@given(places=PLACES)
def test_places_that_are_apart_stay(places):
    """What has room is not moved."""
    apart = [index * 0.05 for index in range(len(places))]
    assert spread(apart, 0.01) == apart


def test_groups_are_told_apart_without_colour():
    """No two have one dash, and no two have one colour."""
    assert len({str(dashes) for _, dashes, _ in GROUPS.values()}) == len(GROUPS)
    assert len({colour for colour, _, _ in GROUPS.values()}) == len(GROUPS)


def test_lines_are_told_apart_without_colour():
    """As many baselines as there are have each a dash and a mark that no other has."""
    styles = [line_style(place) for place in range(20)]
    assert len({(str(each["linestyle"]), each["marker"]) for each in styles}) == 20
    assert {each["color"] for each in styles} == set(COLOURS)


def test_an_axis_has_at_least_a_decade():
    """Equal numbers have an axis too, and whole powers of ten end it."""
    assert decades([3.0, 3.0]) == (1.0, 10.0)
    assert decades([0.02, 450.0]) == (0.01, 1000.0)
    assert decades([10.0]) == (10.0, 100.0)


def test_naming_lines_does_not_move_the_axes():
    """The limits are those of what was drawn."""
    axes = Figure().subplots()
    axes.plot([0.0, 1.0], [2.0, 4.0])
    limits = axes.get_xlim(), axes.get_ylim()
    name_lines(axes, [("a", 1.0, 4.0, "black"), ("b", 1.0, 4.0, "black")])
    assert (axes.get_xlim(), axes.get_ylim()) == limits
    assert [text.get_text() for text in axes.texts] == ["a", "b"]
