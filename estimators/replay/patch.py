"""Replaces attributes for a while; they are put back whatever happens."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any


@contextlib.contextmanager
def patched(owner: Any, replacements: Mapping[str, Any]) -> Iterator[None]:
    """An object with other attributes, until this is left.

    What was there is put back in reverse order, so that one may be inside another. Attributes that
    the owner inherits are taken off it again.
    """
    # As it is kept: a class method is more than what a class gives when it is asked for one.
    before = [(name, name in vars(owner), vars(owner).get(name)) for name in replacements]
    try:
        for name, value in replacements.items():
            setattr(owner, name, value)
        yield
    finally:
        for name, own, value in reversed(before):
            if own:
                setattr(owner, name, value)
            else:
                delattr(owner, name)
