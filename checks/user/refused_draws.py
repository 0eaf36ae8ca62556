"""What a check says of an unsupported draw that others could integrate, and it cannot."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from gradproof.estimators.enumeration.run import UnsupportedDraw

#: What an estimator may do about a continuous number, and nothing else may.
INTEGRATE = "integrate it (integrate=1e-6)"


def without_integrate(refused: Exception) -> str:
    """The message, without an option that is of the estimator alone."""
    message = str(refused)
    for before in (", or ", "; or ", "; "):
        message = message.replace(f"{before}{INTEGRATE}", "")
    return message


@contextlib.contextmanager
def saying_instead(remedy: str) -> Iterator[None]:
    """Unsupported draws are refused with what this check can do about them.

    Raises:
        UnsupportedDraw: for one within, in other words.
    """
    try:
        yield
    except UnsupportedDraw as refused:
        error = type(refused)(f"{without_integrate(refused)}; {remedy}")
        for note in getattr(refused, "__notes__", ()):
            error.add_note(note)
        raise error from refused
