"""Names in a message: the first of them, and how many more there are."""

from __future__ import annotations

from collections.abc import Iterable

#: Names that a message has room for.
MOST = 6


def list_names(names: Iterable[str]) -> str:
    """Some names, one after the other."""
    names = list(names)
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more
