"""The versions that a verdict was reached with: of this package, Python, and what computed."""

from __future__ import annotations

import importlib.metadata
import platform
import sys

#: The packages beside it, by what is imported; those that are not imported computed nothing.
PACKAGES = ("numpy", "scipy", "autograd", "torch", "jax", "theano", "pytensor")


def versions() -> dict[str, str]:
    """By name; of packages, those that are imported."""
    found = {"gradproof": _version("gradproof"), "Python": platform.python_version()}
    for name in PACKAGES:
        if name in sys.modules:
            found[name] = _version(name, str(getattr(sys.modules[name], "__version__", "unknown")))
    return found


def _version(name: str, otherwise: str = "a checkout that is not installed") -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return otherwise
