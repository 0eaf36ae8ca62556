"""Pages with places that a program writes: what is between ``<!-- name -->`` and its end."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping


def fill(page: str, parts: Mapping[str, Callable[[], str]], others: Collection[str] = ()) -> str:
    """A page with every marked place written anew.

    Args:
        parts: what is written, by name.
        others: names of places that are left as they are.

    Raises:
        ValueError: if a place is marked by another name, or has no end.
    """
    opened = re.findall(r"<!-- ([\w-]+) -->", page)
    for name in opened:
        if name not in {*parts, *others} or f"<!-- /{name} -->" not in page:
            raise ValueError(
                f"<!-- {name} --> has no end, or is none of what a page can quote: "
                f"{', '.join([*parts, *others])}"
            )
    for name in opened:
        if name in parts:
            start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
            before, rest = page.split(start, 1)
            page = f"{before}{start}\n{parts[name]()}\n{end}{rest.split(end, 1)[1]}"
    return page
