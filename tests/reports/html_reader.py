"""Reads a page as a browser would, and says what it must not have."""

from html.parser import HTMLParser

#: What the templates have; anything else came from somebody's text.
TAGS = frozenset(
    [
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "nav",
        "ol",
        "li",
        "a",
        "span",
        "main",
        "section",
        "h1",
        "h2",
        "h3",
        "p",
        "dl",
        "div",
        "dt",
        "dd",
        "figure",
        "figcaption",
        "svg",
        "line",
        "text",
        "circle",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "pre",
        "code",
        "footer",
        "strong",
        "br",
    ]
)

VOID = frozenset({"meta", "br"})

#: What would load something, or run it.
FETCHING = frozenset({"src", "srcset", "action", "data", "formaction", "poster", "xlink:href"})


class HtmlReader(HTMLParser):
    """The text of a page, and its faults, in words."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.faults, self.text, self.headings, self._open = [], [], [], []
        self.feed(page)
        self.close()
        self.faults += [f"{tag} is never closed" for tag in self._open]

    def handle_starttag(self, tag, attributes):
        """A tag that is not ours, or an attribute that fetches or runs."""
        if tag not in TAGS:
            self.faults.append(f"a tag {tag}")
        for name, value in attributes:
            outside = name == "href" and not (value or "").startswith("#")
            if name in FETCHING or name.startswith("on") or outside:
                self.faults.append(f"{name}={value} in {tag}")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        """One that is closed at once."""
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag):
        """The one that was opened last."""
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"{tag} is closed where it is not open")

    def handle_data(self, data):
        """Text; a style sheet may not fetch either."""
        if self._open and self._open[-1] == "style":
            self.faults += [f"{word} in the style" for word in ("url(", "@import") if word in data]
            return
        self.text.append(data)
        if self._open and self._open[-1] in ("h1", "h2"):
            self.headings.append(" ".join(data.split()))

    @property
    def words(self):
        """All text, with single spaces."""
        return " ".join(" ".join(self.text).split())
