"""The catalogue on the site: a page for each bug, with its code, its bias and what mends it."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from gradproof.checks.benchmark.bugs import ROWS
from gradproof.checks.benchmark.fixes import FIXES

from .pages import ROOT, read

BUGS = {row.id for row in ROWS.values() if not row.right}


def load(name: str) -> ModuleType:
    """A program of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


bug_pages, check_site = load("bug_pages"), load("check_site")
PAGES = bug_pages.pages()


def test_every_bug_has_a_fix_and_no_other() -> None:
    """A bug that is added is mended too."""
    assert FIXES.keys() == BUGS
    assert [id for id, fix in FIXES.items() if not re.match(r"[A-Z].*\.$", fix)] == []


def test_every_bug_has_a_page_and_a_row() -> None:
    """The table links to each page."""
    linked = re.findall(
        r"^\| \[([\w-]+)\]\(\1\.md\) \|", PAGES["bugs/index.md"], flags=re.MULTILINE
    )
    assert set(linked) == BUGS
    assert len(linked) == len(BUGS)
    assert set(PAGES) == {"bugs/index.md", *(f"bugs/{id}.md" for id in BUGS)}


@pytest.mark.parametrize("id", sorted(BUGS))
def test_the_code_is_whole(id: str) -> None:
    """It can be parsed, and what it names of its own file is there too."""
    code = bug_pages.code_of(id)
    tree = ast.parse(code)
    module, _ = bug_pages._calls()[id]
    local = {
        node.name
        for node in ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} & local
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assert named <= defined
    assert code in PAGES[f"bugs/{id}.md"]


def test_a_page_says_what_the_record_says() -> None:
    """Who catches it, and by how much its mean is off."""
    page = PAGES["bugs/batch-mean.md"]
    assert "score_function(lambda f, x: f - f.mean())" in page
    assert "The mean is off by 17.8% of" in page
    assert "| enumeration | caught | caught |" in page
    assert "gradproof benchmark --only numpy/batch-mean" in page
    assert FIXES["batch-mean"] in page
    assert "The mean is right." in PAGES["bugs/samples-repeated.md"]


def test_a_page_says_where_a_mean_points() -> None:
    """By its factor, and as no mistake where people want it so."""
    for id, where in {
        "padding-in-the-mean": "0.5 times the gradient in every entry",
        "group-mean": "0.6667 times the gradient in every entry",
        "k1-in-loss": "zero",
        "k3-in-loss": "no multiple of the gradient",
    }.items():
        assert f"The mean is {where}. It shows in" in PAGES[f"bugs/{id}.md"]
    intended = {row.id for row in ROWS.values() if row.is_intended}
    for id in BUGS:
        page = PAGES[f"bugs/{id}.md"]
        assert ("## How to have the gradient instead" in page) == (id in intended)
        assert ("## How to mend it" in page) != (id in intended)
    assert f"{len(intended)} of them differ from the gradient on purpose" in PAGES["bugs/index.md"]


def test_pages_that_link_to_a_bug_link_to_one_that_is_there() -> None:
    """A bug that is renamed is renamed there too."""
    linked = {
        id
        for path in (ROOT / "docs").rglob("*.md")
        for id in re.findall(r"\(\.\./bugs/([\w-]+)\.md\)", path.read_text(encoding="utf-8"))
    }
    assert len(linked) >= 3
    assert linked <= BUGS | {"index"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('<a href="b.html">', "a.html links to b.html, which is no file"),
        ('<a href="#x">', "a.html links to #x, which has no such anchor"),
        ('<img src="x.svg">', "a.html links to x.svg, which is no file"),
        ('<script src="https://example.org/x.js">', "a.html loads https://example.org/x.js"),
        ('<a href="a.html#x"><p id="x">', None),
        ('<a href="https://example.org/">', None),
    ],
)
def test_a_link_that_leads_nowhere_is_found(body: str, said: str | None, tmp_path: Path) -> None:
    """Of a site with one page; what is elsewhere may be linked to, but not loaded."""
    (tmp_path / "a.html").write_text(body, encoding="utf-8")
    assert check_site.troubles(tmp_path) == ([said] if said else [])


def test_a_site_without_pages_is_an_error(tmp_path: Path) -> None:
    """Nothing was checked then."""
    with pytest.raises(ValueError, match="has no pages; build them"):
        check_site.troubles(tmp_path)


def test_the_build_is_strict() -> None:
    """Warnings of MkDocs, about links and anchors among others, are errors."""
    settings = read("mkdocs.yml")
    assert "\nstrict: true\n" in settings
    assert "anchors: warn" in settings
