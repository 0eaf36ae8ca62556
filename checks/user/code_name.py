"""What to call a user's code in a report."""

from __future__ import annotations

import functools


def code_name(code: object) -> str:
    """The name of a function or a class; of a partial, that of the function within.

    A function that was given another ``__name__``, as in a loop over variants, is called by that.
    """
    while isinstance(code, functools.partial):
        code = code.func
    qualified = str(getattr(code, "__qualname__", type(code).__name__))
    name = str(getattr(code, "__name__", qualified))
    return qualified if qualified.endswith(name) else name
