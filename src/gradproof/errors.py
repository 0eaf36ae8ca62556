"""The base class of all errors of gradproof."""

from __future__ import annotations


class GradproofError(Exception):
    """The base class of all errors that gradproof raises itself.

    Each such class is also the built-in error that fits, so that ``except ValueError`` finds it
    where a caller would look for one. Bad arguments raise the built-in error itself.
    """
