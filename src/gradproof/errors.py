"""What all errors of gradproof have in common."""

from __future__ import annotations


class GradproofError(Exception):
    """Whatever gradproof raises of its own.

    Each such class is also the built-in error that fits, so that ``except ValueError`` finds it
    where a caller would look for one. Bad arguments raise the built-in error itself.
    """
