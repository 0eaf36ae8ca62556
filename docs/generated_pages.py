"""Pages of the site that a program writes when it is built; nobody commits them.

The home page is the README, the pages on contributing and on changes are the files at the root, and
the catalogue has a page for each bug; the page of draws is from a record. Links to files of the
repository lead to their pages, and formulas are turned into MathML.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import latex2mathml.converter
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))

import bug_pages
import draws_page

ROOT = Path(__file__).resolve().parents[1]

#: Files at the root, and the page that each is on the site.
AT_THE_ROOT = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}


#: The address of the repository, with which the README's links begin.
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
REPOSITORY = PROJECT["project"]["urls"]["Repository"]


def on_config(config: Any) -> None:
    """A link to the repository in the footer; called by MkDocs.

    Not MkDocs's ``repo_url``, for which the theme asks GitHub for stars on every page.
    """
    icon = {"icon": "fontawesome/brands/git-alt", "link": REPOSITORY, "name": "The repository"}
    config["extra"]["social"] = [icon]


def on_files(files: Files, config: Any) -> Files:
    """Add the pages to those of the folder; called by MkDocs."""
    pages = {page: _at_root(name) for name, page in AT_THE_ROOT.items()}
    pages["index.md"] = "---\nhide: [navigation]\n---\n\n" + pages["index.md"]
    for path, text in {**pages, **bug_pages.pages(), **draws_page.pages()}.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """A page whose formulas are MathML, which browsers draw by themselves; called by MkDocs."""
    parts = re.split(r"(^```.*?^```|`[^`\n]*`)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(
        part if part.startswith("`") else re.sub(r"\$([^$\n]+)\$", _mathml, part) for part in parts
    )


def _mathml(formula: re.Match[str]) -> str:
    return latex2mathml.converter.convert(formula[1])


def _at_root(name: str) -> str:
    """The text of a file at the root, with links as they are from the site's first page."""
    text = (ROOT / name).read_text(encoding="utf-8")
    text = re.sub(rf"\]\({REPOSITORY}/(?:blob|raw)/main/([^)]*)\)", r"](\1)", text)
    for path, page in AT_THE_ROOT.items():
        text = text.replace(f"]({path})", f"]({page})")
    return text.replace("](docs/", "](")
