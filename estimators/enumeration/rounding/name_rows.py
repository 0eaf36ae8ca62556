"""Rows of names, written as text."""

from __future__ import annotations


def names(text: str) -> frozenset[str]:
    """The names in a text, which white space parts."""
    return frozenset(text.split())
