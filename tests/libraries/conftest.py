"""Rows and snippets of docs/libraries.md, for the tests of the libraries that they are about."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "libraries.md"


class Row(NamedTuple):
    """A line of a table: what is run, the verdict, and the shares as printed."""

    call: str
    verdict: str
    shares: tuple[str, ...]


def section(title: str) -> str:
    """What stands below a heading of the page."""
    (found,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE.read_text("utf-8"), re.M | re.S)
    return found


def rows(title: str) -> list[Row]:
    """The table below a heading."""
    found = re.findall(r"^\| `(.*?)` \| (\w+) \| (.*?) \|$", section(title), re.M)
    return [Row(call, verdict, tuple(shares.split(", "))) for call, verdict, shares in found]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test of rows is run for each row of its library's table."""
    if "row" in metafunc.fixturenames:
        found = rows(metafunc.module.SECTION)
        assert found, f"{PAGE.name} has no table for {metafunc.module.SECTION}"
        metafunc.parametrize("row", found, ids=[row.call for row in found])


@pytest.fixture(autouse=True)
def libraries(request: pytest.FixtureRequest, library: Callable[[str], object]) -> None:
    """Skips what lacks its libraries, unless the environment demands them."""
    for name in request.module.NEEDS:
        library(name)


@pytest.fixture
def snippet(request: pytest.FixtureRequest, libraries: None) -> dict[str, object]:
    """What the snippet below the library's heading defines."""
    (code,) = re.findall(r"```python\n(.*?)```", section(request.module.SECTION), re.S)
    names: dict[str, object] = {}
    exec(compile(code, str(PAGE), "exec"), names)
    return names


@pytest.fixture
def check(snippet):
    """Runs a row's estimator, or that of any other call."""
    return lambda call: eval(call, snippet)


@pytest.fixture
def as_printed():
    """Says of a row's estimator whether verdict and shares are those that the page has."""

    def compare(row, checked):
        (mean,), (exact,) = checked.mean.values(), checked.exact.values()
        printed = [float(share) for share in row.shares] * (3 if len(row.shares) == 1 else 1)
        digits = len(row.shares[0].partition(".")[2])
        assert checked.verdict == row.verdict, checked.explain()
        # Half a unit of the last digit, and what makes a tie of it.
        assert mean / exact == pytest.approx(printed, abs=0.51 * 10.0**-digits)

    return compare
