"""Whether every link of the built site leads somewhere, without the network.

    python docs/check_site.py site

MkDocs looks at links in Markdown; this looks at the pages as they are served: links, anchors,
pictures, style sheets and scripts, and that no page loads anything from elsewhere.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: Attributes that a browser loads when it opens the page, by tag.
LOADED = {"img": "src", "script": "src", "link": "href"}


class Page(HTMLParser):
    """The anchors of a page, what it links to, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.loads: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of what a tag names; called by the parser."""
        values = {name: value for name, value in attrs if value}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.add(values["href"])
        elif LOADED.get(tag) in values and values.get("rel") != "canonical":
            self.loads.add(values[LOADED[tag]])


def troubles(site: Path) -> list[str]:
    """What is wrong with the pages of a folder, a line each.

    Raises:
        ValueError: if there are no pages.
    """
    pages = {
        path.resolve(): Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")
    }
    if not pages:
        raise ValueError(f"{site} has no pages; build them with `mkdocs build`")
    said = []
    for path, page in sorted(pages.items()):
        if path.name == "404.html":  # its links are from the root of a server
            continue
        name = path.relative_to(site.resolve())
        said += [f"{name} loads {url}" for url in sorted(page.loads) if urlsplit(url).netloc]
        for url in sorted(page.links | page.loads):
            target = _target(path, url)
            if target is None:
                continue
            anchor = unquote(urlsplit(url).fragment)
            if not target.is_file():
                said.append(f"{name} links to {url}, which is no file")
            elif anchor and target in pages and anchor not in pages[target].anchors:
                said.append(f"{name} links to {url}, which has no such anchor")
    return said


def _target(page: Path, url: str) -> Path | None:
    """The file that a link of a page leads to; None if it leads out of the site."""
    parts = urlsplit(url)
    if parts.scheme or parts.netloc:
        return None
    return (page.parent / unquote(parts.path)).resolve() if parts.path else page


def main() -> None:
    """Print what is wrong, and exit with 1 if anything is."""
    said = troubles(Path(sys.argv[1]))
    for line in said:
        print(line)
    sys.exit(bool(said))


if __name__ == "__main__":
    main()
