"""Names in a message: the first of them, and how many more there are."""

from __future__ import annotations

from collections.abc import Iterable

#: Names that a message has room for.
MOST = 6


def note_of_changes(changed: Iterable[str]) -> str:
    """What each run leaves changed, which is put back."""
    return (
        f"Each run changes {list_names(changed)}. All of it is put back before the next, so that "
        "every run begins in the state that was given."
    )


def list_names(names: Iterable[str]) -> str:
    """Some names, one after the other."""
    names = list(names)
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more
