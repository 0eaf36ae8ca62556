"""A function in a user's file: found by name, run, and named in the message if it raises."""

from __future__ import annotations

import importlib.util
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from gradproof.errors import GradproofError
from gradproof.estimators.user_code import blame

from .console import check_writable, write_whole


class FileError(GradproofError, ValueError):
    """A user's file that lacks what it should have, or cannot be run."""


def load(target: str, command: str, example: str) -> tuple[Callable[..., Any], ModuleType]:
    """The function that ``FILE.py:NAME`` names, or an object of the class, and its module.

    Args:
        command: of gradproof, whose ``--new`` writes such a file.
        example: of a name.

    Raises:
        ValueError: if there is no such file or name, the file cannot be run, or what is there
            cannot be called.
    """
    file, colon, name = target.rpartition(":")
    whole = Path(target.removesuffix(":"))
    if (not colon or not name) and whole.suffix == ".py" and whole.is_file():
        inside = _names_in(_run(whole))
        raise FileError(f"which function of {whole}? It has {inside}; check {whole}:NAME")
    if not colon or not file or not name:
        raise FileError(f"{target!r} is not FILE.py:NAME, e.g. mine.py:{example}")
    module = module_of(file, command)
    if not hasattr(module, name):
        raise FileError(f"{file} has no {name!r}; it has {_names_in(module)}")
    function = getattr(module, name)
    try:
        function = function() if isinstance(function, type) else function
    except (Exception, SystemExit) as error:
        raise FileError(
            f"{name}() in {file} raised {type(error).__name__}: {error}; a class must be made "
            "without arguments"
        ) from error
    if not callable(function):
        raise FileError(f"{name} in {file} is {function!r:.60}, expected a function or a class")
    return function, module


def module_of(file: str, command: str) -> ModuleType:
    """The module that a file is.

    Args:
        command: of gradproof, whose ``--new`` writes such a file.

    Raises:
        FileError: if there is no such file, or it cannot be run.
    """
    if not Path(file).is_file():
        raise FileError(f"there is no file {file}; `gradproof {command} --new {file}` writes one")
    return _run(Path(file))


def _names_in(module: ModuleType) -> str:
    """The public functions and classes of a file, but for what it imports."""
    names = [
        name
        for name, value in vars(module).items()
        if callable(value) and name[0] != "_" and _is_of(module, value)
    ]
    return ", ".join(names) or "nothing"


def _is_of(module: ModuleType, value: Any) -> bool:
    return getattr(value, "__module__", module.__name__) == module.__name__


def _run(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"_own_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise FileError(f"{path} is not a Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    sys.path.append(str(path.absolute().parent))  # what stands beside it may be imported
    with blame(module, str(path)):
        spec.loader.exec_module(module)
    return module


def target_of(
    target: str | None, new_file: str | None, template: str, command: str, name: str
) -> str | None:
    """What ``FILE.py:NAME`` is given; None where ``--new`` asked for a template, which is written.

    Raises:
        ValueError: unless one of the two is given.
        Other errors: as :func:`write_template`.
    """
    if (target is None) == (new_file is None):
        raise ValueError(f"give either FILE.py{':NAME' if name else ''} or --new FILE.py")
    if new_file is not None:
        write_template(new_file, template, command, name)
    return target


def write_template(file: str, template: str, command: str, name: str) -> None:
    """Write a file to begin with, in which ``{file}`` is its own name.

    Args:
        name: in the file, that the command is to be tried on; empty: the file as a whole.

    Raises:
        FileError: if its name does not end in .py.
        OSError: if it is there already, or cannot be written.
    """
    path = Path(file)
    if path.suffix != ".py":
        raise FileError(f"{path} would not be a Python file; its name must end in .py")
    check_writable(file)
    if path.exists():
        raise FileExistsError(f"{path} exists already; choose another name")
    write_whole(path, template.replace("{file}", path.name))
    target = f"{path}:{name}" if name else str(path)
    click.echo(f"wrote {path}; try: gradproof {command} {shlex.quote(target)}")
