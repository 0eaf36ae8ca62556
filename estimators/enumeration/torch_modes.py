"""Modes of PyTorch, which see its operations."""

from __future__ import annotations

from typing import TypeVar

Mode = TypeVar("Mode", bound=type)


def not_hidden(mode: Mode) -> Mode:
    """A mode whose method is called as it is.

    PyTorch hides the method from its compiler, which it loads for that (1.3 s), and which takes
    half as long again as the method itself. In a run nothing is compiled that it could be hidden
    from.
    """
    method = vars(mode)["__torch_dispatch__"]
    mode.__torch_dispatch__ = getattr(method, "__wrapped__", method)  # type: ignore[attr-defined]
    return mode
