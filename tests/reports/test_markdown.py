"""Small tables in Markdown: a row stays a row, and a text a text."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gradproof.checks.section import Section, SectionTable
from gradproof.reports.markdown import table

HOSTILE = ["<script>alert(1)</script>", "a|b", "a\nb", "[a](http://b)", "![a](b)", "`a`", "**a**"]


def shown(text, rows=1):
    """Of a section in which every text is this one."""
    cells = SectionTable(text, (text, text), ((text, text),) * rows)
    return table(Section(text, text, text, tables=(cells,)))


def cells_of(line):
    """How many cells a row has: a bar behind a backslash is none of its own."""
    return len(re.findall(r"(?<!\\)\|", line)) - 1


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text(text):
    """Nothing that Markdown or HTML takes for its own is left."""
    said = shown(text)
    assert "<" not in said
    assert not re.search(r"(?<!\\)[\[\]`]", said)
    *_, head, line, row = said.rstrip("\n").split("\n")
    assert [cells_of(each) for each in (head, line, row)] == [2, 2, 2]


@given(text=st.text())
@example(text="\r")
def test_any_text_is_a_cell(text):
    """Whatever somebody calls a parameter, the table has as many lines."""
    assert len(shown(text, rows=3).split("\n")) == len(shown("a", rows=3).split("\n")) - 2 * (
        not text.split()
    )


def test_rows_that_are_left_out_are_counted():
    """Ten are shown."""
    assert shown("a", rows=13).endswith("\n\n3 more\n")
