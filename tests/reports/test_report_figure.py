"""Figures of reports on anyone's estimator: what is drawn is the report; nothing else changes."""

import builtins
import io
import sys
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from gradproof import check_estimator, check_surrogate
from gradproof.checks.evidence import GAP
from gradproof.reports.report_figure import panels_of, plot, svg
from gradproof.reports.report_panels import FLOOR

Q = np.array([0.2, 0.3, 0.5])
COSTS = np.array([1.0, 3.0, 2.0])
EXACT = Q * (COSTS - Q @ COSTS)


def report_on(cost=COSTS, copies=1, **options):
    """Of REINFORCE by hand, as so many parameters."""
    rng = np.random.default_rng()

    def estimate():
        drawn = rng.choice(3, p=Q)
        gradient = cost[drawn] * (np.eye(3)[drawn] - Q)
        return {f"w{copy}": gradient for copy in range(copies)}

    exact = {f"w{copy}": EXACT for copy in range(copies)}
    return check_estimator(estimate, exact=exact, name="<b> & co", **options)


@pytest.fixture(scope="module")
def wrong():
    """The cost of one outcome is not there."""
    return report_on(np.array([1.0, 0.0, 2.0]), keep_paths=True)


def words(axes):
    """All texts of a panel, and the names at its axes."""
    texts = [text.get_text() for text in axes.texts]
    ticks = [label.get_text() for label in axes.get_yticklabels()]
    return [*texts, *ticks, axes.get_title("left"), axes.get_xlabel(), axes.get_ylabel()]


def test_four_panels_of_a_wrong_one(wrong):
    """Ratios, deviations, the law and the guilty paths, of the worst entry."""
    bias, deviation, law, paths = plot(wrong).axes
    ratios = np.sort(wrong.ratios["w0"])[::-1]
    (dots,) = [each for each in bias.collections if len(each.get_offsets()) == 3]
    np.testing.assert_array_equal(np.asarray(dots.get_offsets())[:, 0], ratios)
    assert 1.0 in bias.get_lines()[0].get_xdata()
    assert bias.get_xscale() == "log"
    middle = np.sqrt(wrong.variance["w0"].mean())
    assert middle in [
        line.get_xdata()[0] for line in deviation.get_lines() if len(line.get_xdata())
    ]
    place = wrong.worst.index
    name = f"w0{list(place)}"
    values, weights = wrong.law.of_entry("w0", place)
    stems = next(line for line in law.get_lines() if len(line.get_xdata()) == len(values))
    np.testing.assert_array_equal(stems.get_xdata(), values)
    np.testing.assert_array_equal(stems.get_ydata(), weights)
    drawn = {float(line.get_xdata()[0]) for line in law.get_lines() if line is not stems}
    assert drawn == {wrong.worst.mean, wrong.worst.exact}
    assert f"Estimates of {name}" in words(law)
    guilty = wrong.guilty_paths()
    widths = [bar.get_width() for bar in paths.patches]
    np.testing.assert_array_equal(widths[: len(guilty)], [100.0 * path.share for path in guilty])
    assert sum(widths) == pytest.approx(100.0, abs=1e-10)  # some roundings of a few hundred
    assert any(label.startswith(guilty[0].when) for label in words(paths))


def test_an_entry_can_be_chosen(wrong):
    """By name; the bias is of it, too."""
    figure = plot(wrong, entry="w0[1]", panels=["law"])
    assert "Estimates of w0[1]" in words(figure.axes[0])
    assert len(figure.axes) == 1


def test_a_right_one_has_no_guilty_paths():
    """And without keeping paths there is no law; zero is at the edge of a log axis."""
    right = report_on(keep_paths=True)
    assert panels_of(right) == ("bias", "deviation", "law")
    assert panels_of(report_on()) == ("bias", "deviation")
    law = plot(right).axes[2]
    assert any(text.startswith("mean and gradient") for text in words(law))
    still = check_estimator(lambda: np.zeros(2), exact=np.zeros(2))
    figure = plot(still)
    (dots,) = [each for each in figure.axes[0].collections if len(each.get_offsets()) == 2]
    assert set(np.asarray(dots.get_offsets())[:, 0]) == {FLOOR}
    assert "does not vary" in words(figure.axes[1])
    figure.savefig(io.BytesIO())


def test_many_entries_are_a_curve_by_rank():
    """Each entry once, the worst first, in the colour of its parameter or the one of the rest."""
    report = report_on(np.zeros(3), copies=14)
    bias, deviation = plot(report).axes
    lines = [line for line in bias.get_lines() if line.get_marker() == "."]
    assert [line.get_label() for line in lines][-1] == "all others"
    ranks = np.sort(np.concatenate([line.get_xdata() for line in lines]))
    np.testing.assert_array_equal(ranks, np.arange(1, 43))
    for line in lines:
        assert (np.diff(line.get_ydata()) <= 0.0).all()
    assert "3 more vary less" in words(deviation)


def test_samples_and_surrogates_are_drawn_as_far_as_they_go():
    """A bound of samples is what would have been seen; a surrogate has no one gradient."""
    rng = np.random.default_rng()
    sampled = check_estimator(lambda: rng.normal(size=2), exact=np.zeros(2), draws=20_000)
    assert panels_of(sampled) == ("bias", "deviation")
    assert "bias / smallest that would be seen" in words(sampled.plot().axes[0])
    theta = np.array([0.5, -1.0])
    surrogate = check_surrogate(np.sum, (theta,), gradient=lambda _: np.array([1.0, 2.0]))
    figure = surrogate.plot()
    assert surrogate.ratios["gradient"][0] <= 1.0 < GAP < surrogate.ratios["gradient"][1]
    assert "gradient[1]" in words(figure.axes[0])
    assert "does not vary" in words(figure.axes[1])
    with pytest.raises(ValueError, match="panels has 'law'"):
        surrogate.plot(panels=["law"])


def test_estimates_that_are_no_numbers_are_said():
    """Infinite ones have no place on an axis."""
    with np.errstate(all="ignore"):
        report = report_on(np.array([np.inf, 1.0, 1.0]), keep_paths=True)
    figure = plot(report)
    assert "estimate (no number in 0.2 of all)" in words(figure.axes[2])
    assert "no number" in words(figure.axes[1])
    figure.savefig(io.BytesIO())


def test_nothing_of_the_users_is_changed(wrong):
    """Neither rcParams nor the figures of pyplot; and they are respected."""
    from matplotlib import pyplot

    with matplotlib.rc_context({"font.size": 14.0, "axes.titlesize": "x-large"}):
        before, open_figures = dict(matplotlib.rcParams), pyplot.get_fignums()
        figure = wrong.plot()
        wrong.plot(preset="column")
        svg(wrong)
        assert dict(matplotlib.rcParams) == before
        assert pyplot.get_fignums() == open_figures
        large = matplotlib.font_manager.font_scalings["x-large"]
        assert figure.axes[0].title.get_fontsize() == 14.0 * large


def test_axes_and_figures_that_are_given_are_drawn_on(wrong):
    """One axes a panel; parts of a figure too."""
    figure = Figure()
    axes = figure.subplots(2, 2)
    assert wrong.plot(axes=axes) is figure
    assert len(figure.axes) == 4
    upper, lower = Figure().subfigures(2)
    wrong.plot(figure=lower, panels=("law", "paths"))
    assert (len(upper.axes), len(lower.axes)) == (0, 2)
    one = Figure().subplots()
    wrong.plot(axes=one, panels="bias")
    assert one.get_xscale() == "log"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"panels": ["law", "bais"]}, "panels has 'bais', expected some of bias, deviation, law"),
        ({"panels": []}, "panels is empty, expected some of bias"),
        ({"axes": [None] * 3}, "axes has 3 axes, expected one for each of bias, deviation, law, p"),
        ({"preset": "nips"}, "preset = 'nips', expected one of column, page, icml, icml-wide"),
        ({"entry": "v[1]"}, "there is no 'v'; there are w0"),
    ],
)
def test_what_cannot_be_drawn_is_an_error(wrong, options, said):
    """With the value, and what was expected."""
    with pytest.raises(ValueError, match=said.replace("[", r"\[")):
        wrong.plot(**options)


def test_a_law_that_was_not_kept_is_an_error():
    """The message says how to keep it."""
    with pytest.raises(ValueError, match="panels has 'law': no paths were kept; pass keep_paths="):
        report_on().plot(panels=["law"])
    with pytest.raises(ValueError, match="panels has 'paths': this entry is within its bound"):
        report_on(keep_paths=True).plot(panels=["paths"])


@pytest.mark.parametrize(("preset", "width", "columns"), [("column", 3.4, 1), ("page", 7.0, 2)])
def test_a_paper_in_two_columns(wrong, preset, width, columns):
    """A column has its panels below one another, a page in pairs."""
    figure = wrong.plot(preset=preset)
    assert figure.get_figwidth() == width
    assert figure.axes[0].get_gridspec().ncols == columns


@pytest.mark.parametrize(
    ("preset", "width", "size"),
    [("icml", 3.25, 8.0), ("icml-wide", 6.75, 8.0), ("neurips", 5.5, 9)],
)
def test_a_conference(wrong, preset, width, size):
    """Widths of its style file, and the size of its captions."""
    pytest.importorskip("tueplots", reason="the extra `plot` brings it")
    figure = wrong.plot(preset=preset)
    assert figure.get_figwidth() == width
    assert figure.axes[0].xaxis.label.get_fontsize() == size


def test_a_conference_without_tueplots(wrong, monkeypatch):
    """Is an error that names what is missing."""
    monkeypatch.setitem(sys.modules, "tueplots", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs tueplots: pip install 'gradproof"):
        wrong.plot(preset="icml")
    assert wrong.plot(preset="page") is not None


def test_a_figure_in_a_page(wrong):
    """One element, whose text is text, without styles or names that others could meet."""
    drawn = svg(wrong)
    assert drawn == svg(wrong)
    root = ET.fromstring(drawn)
    assert root.tag.endswith("svg")
    assert root.attrib["aria-label"] == "Figure of <b> & co"
    assert "<style" not in drawn
    assert "<metadata" not in drawn
    names = [each.attrib["id"] for each in root.iter() if "id" in each.attrib]
    assert all(f"#{name}" in drawn for name in names)
    assert any("Guilty paths" in (each.text or "") for each in root.iter())
    other = svg(report_on())
    assert not {name for name in names if f'id="{name}"' in other}


def test_matplotlib_is_loaded_to_draw_only(wrong, monkeypatch):
    """A report without it is a report all the same, and says what it needs."""
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.partition(".")[0] == "matplotlib":
            raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ModuleNotFoundError, match="pip install 'gradproof\\[plot\\]'"):
        wrong.plot()


def test_long_names_leave_room_for_the_panels(recwarn):
    """Many draws of two kinds, and long names: each panel is still a third of the figure wide."""
    rng = np.random.default_rng()

    def estimate():
        drawn = [rng.choice(3, p=Q), rng.integers(2), rng.choice(3, p=Q), rng.integers(2)]
        gradient = (1.0 + drawn[1] * drawn[3]) * COSTS[drawn[0]] * (np.eye(3)[drawn[0]] - Q)
        return {f"actor.layers.{place}.weight": gradient for place in range(6)}

    exact = {f"actor.layers.{place}.weight": EXACT for place in range(6)}
    figure = plot(check_estimator(estimate, exact=exact, keep_paths=True))
    figure.savefig(io.BytesIO(), format="png")
    assert not [each for each in recwarn if "constrained_layout" in str(each.message)]
    assert all(axes.get_position().width > 1 / 3 for axes in figure.axes)
