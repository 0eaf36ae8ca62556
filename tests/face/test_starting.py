"""What is imported before there is anything to do: by the package, and by commands that list."""

import subprocess
import sys
import textwrap

import click
import pytest
from click.testing import CliRunner

from gradproof import cli
from gradproof.cli import COMMANDS, main, short_help

#: What a start may import beside Python's own: all else waits until a command needs it.
LIGHT = {"click", "gradproof"}

#: Python's own that takes longer to import than all of the package that a start needs.
SLOW = {"importlib.metadata"}

HELP = "from gradproof.cli import main; main({}, prog_name='gradproof')"

#: Starts that do nothing but look at the package.
STARTS = {
    "import": "import gradproof",
    "dir": "import gradproof; dir(gradproof)",
    "help": HELP.format(["--help"]),
    "no command": HELP.format([]),
    "help of a command": HELP.format(["check", "--help"]),
    "unknown option": HELP.format(["check", "--no-such-option"]),
}

#: Starts that do something, which the test has to notice.
WORK = {
    "a name is used": ("import gradproof; gradproof.check_estimator", "numpy"),
    "a command is run": (HELP.format(["data"]), "rich"),
    "the version": ("import gradproof; gradproof.__version__", "importlib.metadata"),
}


def imported(code: str) -> set[str]:
    """What a process of its own imports: packages that are not Python's, and slow modules."""
    script = f"""
        import atexit, sys
        before = set(sys.modules)  # what the environment imports by itself
        atexit.register(lambda: print("modules", *(set(sys.modules) - before)))
        {code}
    """
    run = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    modules = set(done.stdout.splitlines()[-1].split()[1:])
    tops = {name.partition(".")[0] for name in modules}
    return (tops - set(sys.stdlib_module_names)) | (modules & SLOW)


@pytest.mark.parametrize("start", STARTS)
def test_a_start_imports_nothing_that_it_does_not_need(start):
    """Neither numpy nor rich, nor what verifies the note: help is there at once."""
    assert imported(STARTS[start]) <= LIGHT


@pytest.mark.parametrize("work", WORK)
def test_what_is_imported_is_seen(work):
    """Where there is something to do, the test above would fail."""
    code, package = WORK[work]
    assert package in imported(code)


def test_commands_are_listed_as_they_describe_themselves():
    """The list is written without importing them: it is cut where click would cut their help."""
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command.name == name
        assert command.help.split("\n\n")[0].replace("\n", " ") == COMMANDS[name].help
        for width in (20, 45, 62, 200):
            assert short_help(name, width) == command.get_short_help_str(width), name


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_help_is_what_click_writes(columns, monkeypatch):
    """Letter by letter, in a terminal of any width."""
    ours = CliRunner().invoke(main, ["--help"], terminal_width=columns)
    for name in ("format_commands", "shell_complete"):
        monkeypatch.setattr(cli.Commands, name, getattr(click.Group, name))
    assert ours.output == CliRunner().invoke(main, ["--help"], terminal_width=columns).output


@pytest.mark.parametrize("begun", ["", "p", "check", "x", "--v"])
def test_completion_is_what_click_offers(begun, monkeypatch):
    """The same names and helps, without importing the commands."""

    def offered():
        items = main.shell_complete(click.Context(main, info_name="gradproof"), begun)
        return [(item.value, item.help) for item in items]

    ours = offered()
    monkeypatch.setattr(cli.Commands, "shell_complete", click.Group.shell_complete)
    assert ours == offered()


#: Prints the commands that cannot be imported without what an extra brings, and the list of them.
WITHOUT_EXTRAS = """
import importlib, pkgutil, sys
from gradproof.extras import EXTRAS, what_to_install

for name in EXTRAS:
    sys.modules[name] = None  # which import and find_spec take as missing

import gradproof.cli as cli

there = {module.name for module in pkgutil.iter_modules(cli.__path__)}
for name in cli.COMMANDS:
    try:
        for module in there & {name, f"{name}_run"}:
            importlib.import_module(f"gradproof.cli.{module}")
    except ModuleNotFoundError as error:
        print(name, what_to_install(error) is not None, cli.short_help(name))
"""


def test_what_cannot_be_run_is_listed_with_what_to_install():
    """Without the extra, those commands say so that need it, and no other."""
    run = [sys.executable, "-c", WITHOUT_EXTRAS]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    remedy = "True (sympy is not installed; pip install 'gradproof[note]')"
    needy = [name for name, row in COMMANDS.items() if row.needs]
    assert done.stdout.splitlines() == [f"{name} {remedy}" for name in needy]
