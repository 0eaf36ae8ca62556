"""The command line."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any, NamedTuple, NoReturn

import click
from click.shell_completion import CompletionItem

from gradproof.extras import what_to_install

from .exits import Command, fail


class Listed(NamedTuple):
    """What the list of commands says of one, without importing it.

    ``help`` is how its help begins, and ``needs`` a package that it cannot be run without.
    """

    help: str
    needs: str | None = None


#: The commands, each in a module of its name, which is imported when it is asked for, and not to
#: list it: what verifies the note takes seconds to import, and needs packages of its own.
COMMANDS = {
    "baseline": Listed(
        "Verify a baseline of your own: may it be subtracted, and does it help?", "sympy"
    ),
    "baselines": Listed("Compare every baseline on a model that was trained.", "sympy"),
    "benchmark": Listed("Try methods of checking on known bugs and on right estimators."),
    "check": Listed(
        "Is a gradient estimator of your own unbiased: is its mean the gradient it estimates?"
    ),
    "claims": Listed("List the claims, each in a line.", "sympy"),
    "compare": Listed(
        "Compare estimators of one gradient: bias, direction, exact variance, error at equal cost."
    ),
    "data": Listed("List the corpora that --data knows by name."),
    "derive": Listed("Derive claims symbolically, and check every step.", "sympy"),
    "plot": Listed("Draw figures of exact variances, as SVG, PNG, PDF or PGF.", "sympy"),
    "schema": Listed("Print the JSON schema of what --json and --gradproof-json write."),
    "train": Listed("Train a semi-supervised model on real text, with PyTorch.", "sympy"),
    "verify": Listed(
        "Settle the claims about an estimator, on real text and on drawn cases.", "sympy"
    ),
}

#: What the help ends with; the first character keeps click from folding it.
COMPLETION = """\b
Completion of commands and options, in ~/.bashrc (in ~/.zshrc: zsh_source):
  eval "$(_GRADPROOF_COMPLETE=bash_source gradproof)"
and in ~/.config/fish/completions/gradproof.fish:
  _GRADPROOF_COMPLETE=fish_source gradproof | source
"""


class Commands(Command):
    """Imports a command when it is named, not to list it; says what to install if it cannot be."""

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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, as click writes it."""
        # Six columns are what click leaves beside the two, too.
        width = formatter.width - 6 - max(map(len, COMMANDS))
        with formatter.section("Commands"):
            formatter.write_dl([(name, short_help(name, width)) for name in COMMANDS])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The commands that begin so, and options."""
        names = [name for name in COMMANDS if name.startswith(incomplete)]
        items = [CompletionItem(name, help=short_help(name)) for name in names]
        # Not of click's group, which would import every command.
        return items + click.Command.shell_complete(self, ctx, incomplete)


def short_help(name: str, width: int = 45) -> str:
    """What the list of commands says of one, in so many columns; what to install, if it must be."""
    text, needs = COMMANDS[name]
    if needs is not None and not _installed(needs):
        return f"({what_to_install(ModuleNotFoundError(name=needs))})"
    return click.Command(name, help=text).get_short_help_str(width)


def _installed(package: str) -> bool:
    """Whether a package is there, without importing it."""
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError):  # somebody hides it: from the finders, or as None
        return False


def _not_installed(name: str, error: ModuleNotFoundError) -> click.Command:
    """A command that says what it lacks, whatever its arguments are."""
    remedy = what_to_install(error)
    if remedy is None:
        raise error

    def tell(**_: Any) -> NoReturn:
        fail(f"{name} cannot be run: {remedy}")

    anything = {"ignore_unknown_options": True, "allow_extra_args": True}
    return click.Command(
        name, callback=tell, help=f"Cannot be run: {remedy}", context_settings=anything
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
