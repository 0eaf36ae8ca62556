"""The command line."""

from __future__ import annotations

import importlib
from typing import Any, NoReturn

import click

from gradproof.extras import what_to_install

from .console import Command, fail

#: The commands, each in a module of its name, which is imported when it is asked for: what verifies
#: the note needs packages that a check of one's own estimator does not.
COMMANDS = (
    "baseline",
    "benchmark",
    "check",
    "claims",
    "data",
    "derive",
    "plot",
    "schema",
    "train",
    "verify",
)

#: What the help ends with; the first character keeps click from folding it.
COMPLETION = """\b
Completion of commands and options, in ~/.bashrc (in ~/.zshrc: zsh_source):
  eval "$(_GRADPROOF_COMPLETE=bash_source gradproof)"
and in ~/.config/fish/completions/gradproof.fish:
  _GRADPROOF_COMPLETE=fish_source gradproof | source
"""


class Commands(Command):
    """Imports a command when it is named, and says what to install if it cannot be."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All of them, also those that lack a package."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        try:
            module = importlib.import_module(f".{cmd_name}", __package__)
        except ModuleNotFoundError as error:
            return _not_installed(cmd_name, error)
        command: click.Command = module.command
        return command


def _not_installed(name: str, error: ModuleNotFoundError) -> click.Command:
    """A command that says what it lacks, whatever its arguments are."""
    remedy = what_to_install(error)
    if remedy is None:
        raise error

    def tell(**_: Any) -> NoReturn:
        fail(f"{name} cannot be run: {remedy}")

    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(
        name,
        callback=tell,
        short_help=f"({remedy})",
        help=f"Cannot be run: {remedy}",
        context_settings=anything,
    )


@click.group(
    cls=Commands, context_settings={"help_option_names": ["-h", "--help"]}, epilog=COMPLETION
)
@click.version_option(package_name="gradproof")
def main() -> None:
    """gradcheck for stochastic gradients: verify gradient estimators, exactly.

    An estimator is run on every draw and weighed, so that its mean is exact and a verdict has no
    sampling noise in it.
    """
