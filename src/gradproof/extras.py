"""What to install where a package is missing that not everyone needs."""

from __future__ import annotations

#: By the package that is imported: the extra of gradproof that brings it.
EXTRAS = {
    "autograd": "note",
    "faker": "note",
    "hypothesis": "note",
    "matplotlib": "plot",
    "sympy": "note",
    "theano": "theano",
    "torch": "torch",
    "tueplots": "plot",
}


def what_to_install(error: ModuleNotFoundError) -> str | None:
    """What is missing and the command that installs it; None if no extra brings it."""
    package = (error.name or "").partition(".")[0]
    extra = EXTRAS.get(package)
    if extra is None:
        return None
    return f"{package} is not installed; pip install 'gradproof[{extra}]'"
