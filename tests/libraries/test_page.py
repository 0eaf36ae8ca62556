"""The page of libraries: all of it is run by a test of some library."""

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "libraries.md"
NEEDS = ()

pytestmark = pytest.mark.libraries


def test_every_section_has_its_tests():
    """A section without a test file would never be run, nor would a file for no section."""
    titles = re.findall(r"^## (.*)$", PAGE.read_text("utf-8"), re.M)
    tested = [
        ast.literal_eval(found.group(1))
        for path in HERE.glob("test_*.py")
        if (found := re.search(r"^SECTION = (.*)$", path.read_text("utf-8"), re.M))
    ]
    assert sorted(titles) == sorted(tested)
    assert len(titles) >= 3
