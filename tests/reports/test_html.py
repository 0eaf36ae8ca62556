"""Pages of reports: whole by themselves, and with nothing in them that a user's text put there."""

import math

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.checks.section import Ratio, Section, SectionTable
from gradproof.reports import html

from .html_reader import HtmlReader

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</pre></section></style><svg onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "]]><!-- &amp; &#60;b&#62;",
]

RATIOS = st.floats(min_value=0.0, allow_nan=False)


def section_of(text, ratios=(1.0,)):
    """A section in which every text is this one."""
    return Section(
        title=text,
        verdict=text,
        worst=text,
        paragraphs=(text,),
        facts=((text, text),),
        tables=(SectionTable(text, (text, text), ((text, text),)),),
        ratios=tuple(Ratio(text, ratio) for ratio in ratios),
        snippet=text,
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text(text):
    """On a page and in a notebook: it is shown as it is, and no browser takes it for more."""
    section = section_of(text)
    for page in (html.page([section, section], facts={text: text}), html.table(section)):
        reader = HtmlReader(page)
        assert reader.faults == []
        assert " ".join(text.split()) in reader.words


@given(text=st.text())
def test_any_text_is_text(text):
    """Whatever somebody calls a parameter."""
    assert HtmlReader(html.page([section_of(text)])).faults == []


@pytest.mark.parametrize("text", [text for text in HOSTILE if '"' in text or "</" in text])
def test_the_reader_sees_what_is_not_escaped(text, monkeypatch):
    """The planted bug: an environment that escapes nothing."""
    careless = html._environment()
    careless.autoescape = False
    monkeypatch.setattr(html, "_ENVIRONMENT", careless)
    assert HtmlReader(html.page([section_of(text)])).faults


def test_nothing_outside_is_read():
    """And a browser is told to read nothing, should a figure ask it to."""
    page = html.page([section_of("a")])
    assert "default-src 'none'" in page
    assert "http" not in page.replace('http-equiv="', "")


def test_verdicts_are_told_apart_without_colour():
    """Each has a sign; what is no verdict has the sign of a fault."""
    signs = [html._tone(verdict)[1] for verdict in ("holds", "refuted", "undecided", "crashed")]
    assert len(set(signs)) == 4
    assert html._tone("anything else") == html._tone("crashed") == html.WRONG


@given(ratios=st.lists(RATIOS, min_size=1, max_size=20))
def test_dots_stand_in_the_figure_in_their_order(ratios):
    """Also those of zero, of no number, and beyond the decades that are drawn."""
    rows = [Ratio(f"entry {number}", ratio) for number, ratio in enumerate(ratios)]
    dots, ticks = html._dots(rows), html._ticks(rows)
    assert len(dots) == len(rows)
    assert all(html.LEFT <= dot.x <= html.RIGHT for dot in dots)
    assert all(html.LEFT <= tick.x <= html.RIGHT for tick in ticks)
    (one,) = (tick.x for tick in ticks if tick.strong)
    for ratio, dot in zip(ratios, dots, strict=True):
        if ratio > 1.5:  # places are rounded to a tenth of a unit, which is less than half of 1.5
            assert dot.x > one
        if ratio < 0.5:
            assert dot.x < one
        assert (dot.ratio == "no number") is math.isinf(ratio)
    assert HtmlReader(html.page([section_of("a", ratios)])).faults == []


def test_a_figure_that_is_drawn_already_is_put_in_as_it_is():
    """The one thing on a page that is not text."""
    figure = '<svg viewBox="0 0 1 1"><circle r="1"/></svg>'
    page = html.page([Section("a", "holds", figures=(figure,))])
    assert figure in page
    assert HtmlReader(page).faults == []


def test_what_is_empty_has_no_heading():
    """No table without rows, no snippet without lines, no contents of one section."""
    table = SectionTable("Stop-gradients", ("function",), ())
    words = HtmlReader(html.page([Section("a", "holds", tables=(table,))])).words
    for heading in ("Stop-gradients", "To repeat it", "In words", "Contents"):
        assert heading not in words


def test_the_page_says_which_versions():
    """Of what is imported."""
    words = HtmlReader(html.page([section_of("a")])).words
    for name in ("gradproof", "Python", "numpy"):
        assert name in words
    assert "pandas" not in words


def test_a_small_table_counts_what_it_leaves_out():
    """A notebook shows ten rows."""
    table = SectionTable("a", ("b",), tuple((f"row {number}",) for number in range(13)))
    words = HtmlReader(html.table(Section("a", "holds", tables=(table,)))).words
    assert "row 9" in words
    assert "row 10" not in words
    assert "3 more" in words


def test_a_name_that_is_missing_is_an_error():
    """A template that asks for what no section has must not show an empty place."""
    with pytest.raises(jinja2.UndefinedError):
        html._ENVIRONMENT.from_string("{{ section.colour }}").render(section=section_of("a"))
