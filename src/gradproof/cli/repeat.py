"""The command that repeats a command, as one would type it."""

from __future__ import annotations

import shlex

import click
from click.core import ParameterSource

#: What decides where results go, and not what they are; the seed is given as it turned out.
LEFT_OUT = (
    "explain", "figure", "html_file", "json_file", "latex_file", "markdown_file", "seed",
    "show_traceback",
)  # fmt: skip


def command_line(seed: int | None) -> str:
    """The command that is being run, with all that was given and the seed that it took.

    Args:
        seed: None if it took none.
    """
    context = click.get_current_context()
    words = ["gradproof", str(context.info_name)]
    for parameter in context.command.params:
        name = str(parameter.name)
        if name in LEFT_OUT or context.get_parameter_source(name) != ParameterSource.COMMANDLINE:
            continue
        value = context.params[name]
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(parameter, click.Argument):
                words.append(str(each))
            elif isinstance(parameter, click.Option) and parameter.is_flag:
                words.append(parameter.opts[0])
            else:
                words += [parameter.opts[0], str(each)]
    if seed is not None:
        words += ["--seed", str(seed)]
    return shlex.join(words)
