"""The frameworks, one row each; nothing is imported before a framework is used."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from typing import NamedTuple

from .backend import Arrays, Backend, BackendMissing, Build, Function, Names

__all__ = [
    "BACKENDS",
    "Arrays",
    "Backend",
    "BackendMissing",
    "Build",
    "Function",
    "Names",
    "installed",
    "load",
]


class BackendRow(NamedTuple):
    """Where a backend is and what installs its framework."""

    module: str
    install: str


BACKENDS = {
    "autograd": BackendRow("autograd_backend", "pip install autograd"),
    "torch": BackendRow("torch_backend", "pip install 'gradproof[torch]'"),
    "theano": BackendRow("theano_backend", "pip install 'gradproof[theano]' (CPython 3.11)"),
}


def installed(name: str) -> bool:
    """Whether the framework of a backend is there to be imported."""
    return importlib.util.find_spec(_known(name)) is not None


def load(name: str) -> Backend:
    """The backend of a framework.

    Raises:
        ValueError: for a name that no row has.
        BackendMissing: if the framework is not installed, or cannot be imported as it is; the
            message holds the command that installs it.
    """
    row = BACKENDS[_known(name)]
    if not installed(name):
        raise BackendMissing(f"{name} is not installed; install it with: {row.install}")
    backend: Backend = importlib.import_module(f".{row.module}", __name__).backend()
    return backend


def _known(name: str) -> str:
    if name not in BACKENDS:
        near = difflib.get_close_matches(name, BACKENDS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown backend {name!r}, expected one of {', '.join(BACKENDS)}{hint}")
    return name
