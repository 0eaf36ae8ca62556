"""The command line: what it prints, how it exits, what it does with bad input."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gradproof.checks.evidence import REFUTED
from gradproof.checks.note import registry
from gradproof.cli import COMMANDS as NAMES
from gradproof.cli import main
from gradproof.derivations.claims import CLAIMS

#: One quick claim in one framework, in this process.
QUICK = ["--backend", "autograd", "--model", "seqdgm", "--examples", "3", "--jobs", "1"]


def run(*arguments: str) -> Result:
    """Run a command as a shell would, without a terminal."""
    return CliRunner().invoke(main, list(arguments))


def test_verify_prints_verdicts_and_exits_with_0() -> None:
    """As printed refuted, corrected held, both on record: status 0 and a line to repeat it by."""
    result = run("verify", "--only", "gradient.e", "--seed", "5", *QUICK)
    assert result.exit_code == 0, result.output
    for word in ("gradient.e", "printed", "refuted", "corrected", "holds", "autograd"):
        assert word in result.stdout
    assert "6 of 6 verdicts as recorded (1 refuted)" in result.stdout
    assert "seed 5" in result.stdout


def test_piped_output_has_neither_progress_nor_colour() -> None:
    """A file or a pipe gets the table alone: no bar on standard error, no escape sequences."""
    result = run("verify", "--only", "kl", *QUICK)
    assert result.stderr == ""
    assert "\x1b" not in result.stdout


def test_a_terminal_sees_progress() -> None:
    """On a terminal a bar says what is being done; a run can take minutes."""
    pty = pytest.importorskip("pty", reason="there are no pseudo-terminals")
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "gradproof", "verify", "--only", "gradient.w", *QUICK]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"}
    for name in ("CI", "NO_COLOR"):  # Rich reads both, and a test must not depend on them
        environment.pop(name, None)
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=follower, env=environment
    ) as process:
        os.close(follower)
        shown = b""
        while chunk := _read(leader):
            shown += chunk
        os.close(leader)
    assert process.returncode == 0
    assert b"autograd gradient.w/" in shown
    assert b"/6" in shown, "the count of checks"


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux's answer when the other end of a terminal is closed
        return b""


def _wait_for_children(pid: int) -> None:
    """Wait until two processes were started, and a third that keeps account of them."""
    children = Path(f"/proc/{pid}/task/{pid}/children")  # elsewhere than on Linux: long enough
    for _ in range(100):
        if children.exists() and len(children.read_text().split()) >= 3:
            return
        time.sleep(0.1)


@pytest.mark.skipif(sys.platform == "win32", reason="a group of processes has no signal there")
@pytest.mark.parametrize("seconds", [0, 5])  # the processes still import, or they are at work
def test_ctrl_c_ends_all_processes_without_a_traceback(seconds: int) -> None:
    """An interrupted run ends at once with one line, also where it runs in several processes."""
    _interrupt(["verify", "--jobs", "2", "--backend", "autograd"], seconds)


@pytest.mark.skipif(sys.platform == "win32", reason="a group of processes has no signal there")
def test_ctrl_c_ends_processes_that_run_paths(tmp_path: Path) -> None:
    """At once, though each of them would be at its paths for an hour."""
    file = tmp_path / "slow.py"
    file.write_text(
        "import os, time\n"
        "import numpy as np\n"
        "rng, here, exact = np.random.default_rng(), os.getpid(), 0.5\n"
        "def slow():\n"
        "    time.sleep(10.0 * (os.getpid() != here))\n"
        "    return np.mean([rng.random() < 0.5 for _ in range(9)])\n"
    )
    _interrupt(["check", f"{file}:slow", "--jobs", "2"], 2)


def _interrupt(arguments: list[str], seconds: float) -> None:
    """Interrupt a command some time after it has started its processes; it says so, and ends."""
    with subprocess.Popen(
        [sys.executable, "-m", "gradproof", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        # A shell's background jobs are deaf to it, and so is what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        _wait_for_children(process.pid)
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGINT)
        # Ends when no process of the run has the pipe open any more: none is left behind.
        _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert error == b"gradproof: interrupted\n"


COMMANDS = [["claims"], ["data"], ["verify", "--help"], ["verify", "--only", "kl", *QUICK]]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
@pytest.mark.parametrize("arguments", COMMANDS)
def test_output_that_cannot_be_written_is_one_clear_line(arguments: list[str]) -> None:
    """A full disk is said once, and turns the status to 2."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "gradproof", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == (
        "gradproof: cannot write to standard output: No space left on device; "
        "redirect it elsewhere\n"
    )


@pytest.mark.parametrize("arguments", COMMANDS)
def test_a_reader_that_goes_away_ends_the_command_quietly(arguments: list[str]) -> None:
    """As `| head` does: the status is that of a broken pipe, and there is nothing to say."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "gradproof", *arguments],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_verdict_off_the_record_exits_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """A verdict that is not the recorded one is marked, explained, and turns the status to 1."""
    row = dataclasses.replace(registry.CHECKS["batch.plus_one/mean"], expected=REFUTED)
    monkeypatch.setitem(registry.CHECKS, row.id, row)
    result = run("verify", "--only", "batch.plus_one/mean", *QUICK)
    assert result.exit_code == 1
    assert "holds !" in result.stdout
    assert "batch.plus_one/mean [autograd]: holds, expected refuted." in result.stdout
    assert "1 of 2 verdicts as recorded" in result.stdout


def test_a_crash_is_told_from_a_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that raises is neither held nor refuted, and the table says that it crashed."""

    def broken(study: Any) -> Any:
        raise RuntimeError("planted")

    row = dataclasses.replace(registry.CHECKS["batch.plus_one/mean"], compare=broken)
    monkeypatch.setitem(registry.CHECKS, row.id, row)
    result = run("verify", "--only", "batch.plus_one/mean", *QUICK)
    assert result.exit_code == 1
    assert "crashed !" in result.stdout
    assert "The check could not finish: RuntimeError: planted" in result.stdout


def test_explain_prints_a_snippet_that_runs() -> None:
    """--explain gives what is needed to see a refutation again, whole lines and all."""
    result = run("verify", "--only", "gradient.e/printed", "--explain", *QUICK)
    _, _, rest = result.stdout.partition("Reproduce with:\n")
    snippet = rest.partition("\n\n\n")[0]
    done = subprocess.run(
        [sys.executable, "-c", snippet], capture_output=True, text=True, check=True
    )
    assert "gradient.e/printed [autograd]: refuted, expected refuted." in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--model", "seqdmg"],
            "unknown model 'seqdmg', expected one of seqdgm, seqdgm-a; did you",
        ),
        (
            ["--backend", "torhc"],
            "unknown backend 'torhc', expected one of autograd, torch, theano",
        ),
        (["--data", "names-9"], "corpus 'names-9' is unknown, expected one of"),
        (["--data", "missing.csv"], "missing.csv"),
        (["--only", "gradeint"], "no check or claim is called 'gradeint'"),
        (["--json", "nowhere/evidence.json"], "there is no folder"),
        (["--json", "."], "it is a folder; give a file's name"),
        (["--json", ""], "the file's name is ''; give one to --json"),
    ],
)
def test_bad_input_is_one_clear_line(arguments: list[str], message: str) -> None:
    """Unknown names and unwritable files: status 2, one line that names the value, no traceback."""
    result = run("verify", "--jobs", "1", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.startswith("gradproof: ")
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stdout == ""


@pytest.mark.parametrize("arguments", [["--examples", "-1"], ["--jobs", "0"], ["--seed", "-1"]])
def test_numbers_out_of_range_are_refused(arguments: list[str]) -> None:
    """A count that makes no sense is refused with the range that does."""
    result = run("verify", *arguments)
    assert result.exit_code == 2
    assert "is not in the range" in result.stderr


def test_traceback_on_request() -> None:
    """Where an error came from is shown to who asks."""
    result = run("verify", "--model", "seqdmg", "--traceback")
    assert result.exit_code == 2
    assert "Traceback (most recent call last)" in result.stderr


def test_one_label_is_refused(tmp_path: Path) -> None:
    """K = 1 leaves nothing to estimate, and the message says so before anything runs."""
    table = tmp_path / "one.csv"
    table.write_text("text,label\na b,x\nc d,x\n", encoding="utf-8")
    result = run("verify", "--data", str(table), *QUICK)
    assert result.exit_code == 2
    assert "class" in result.stderr


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    """A small CSV with columns of other names is all it takes."""
    table = tmp_path / "mine.csv"
    rows = "".join(f"good morning {i},a\ngood night {i},b\n" for i in range(6))
    table.write_text("sentence,topic\n" + rows, encoding="utf-8")
    columns = ["--text-column", "sentence", "--label-column", "topic"]
    result = run("verify", "--data", str(table), *columns, "--only", "labelled", *QUICK)
    assert result.exit_code == 0, result.output


def test_json_holds_all_the_evidence(tmp_path: Path) -> None:
    """The file is strict JSON with the verdicts, the seed, and counterexamples of the refuted."""
    path = tmp_path / "evidence.json"
    result = run("verify", "--only", "objective.u", "--json", str(path), "--seed", "3", *QUICK)
    assert result.exit_code == 0, result.output
    record = json.loads(path.read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert record["seed"] == 3
    assert record["as_expected"] is True
    by_variant = {row["variant"]: row for row in record["evidence"]}
    assert by_variant["entropy-printed"]["verdict"] == "refuted"
    assert "TabularCase(" in by_variant["entropy-printed"]["counterexample"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["evidence.json"], "no draft left"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
def test_evidence_that_cannot_be_written_is_an_error() -> None:
    """Verdicts are printed, and the status is that of a command that could not be run."""
    result = run("verify", "--only", "kl", "--json", "/dev/full", *QUICK)
    assert "verdicts as recorded" in result.stdout
    assert result.exit_code == 2
    assert result.stderr == (
        "gradproof: cannot write /dev/full: No space left on device; choose another place\n"
    )


def test_a_missing_framework_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Left out with the command that installs it; asked for by name it is an error."""
    real = importlib.util.find_spec

    def without_torch(name: str, package: str | None = None) -> Any:
        return None if name in {"torch", "theano"} else real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without_torch)
    result = run("verify", "--only", "kl", "--model", "seqdgm", "--examples", "2", "--jobs", "1")
    assert "left out: torch is not installed; install it with: pip install" in result.stdout
    named = run("verify", "--backend", "torch")
    assert named.exit_code == 2
    assert "torch is not installed; install it with: pip install 'gradproof[torch]'" in named.stderr


def test_what_a_choice_of_models_leaves_out_is_said() -> None:
    """A check about SeqDGM-A alone is not run with --model seqdgm, and never silently."""
    result = run("verify", "--only", "partition", *QUICK)
    assert "not run: partition.seqdgm_a/groups: it is about seqdgm-a" in result.stdout


def test_claims_lists_every_claim() -> None:
    """Each claim with its statement, to the letter: brackets are no markup."""
    result = run("claims", "--variants")
    assert result.exit_code == 0
    for claim in CLAIMS:
        assert claim in result.stdout
    for check in registry.CHECKS:
        assert check in result.stdout
    assert "E_q[log q] is the entropy" in result.stdout


def test_data_lists_corpora_with_licences() -> None:
    """Texts have licences of their own, and the list names them."""
    result = run("data")
    assert "names-8" in result.stdout
    assert "MIT" in result.stdout
    assert "Reuters" in result.stdout


@pytest.mark.parametrize("command", [[], *([each] for each in NAMES)])
def test_help_is_documentation(command: list[str]) -> None:
    """Every command and every option says what it does."""
    result = run(*command, "--help")
    assert result.exit_code == 0
    name = command[0] if command else None
    parameters = (main.get_command(None, name) if name else main).params
    options = [each for each in parameters if each.param_type_name == "option"]
    assert all(option.help for option in options)


def test_module_runs() -> None:
    """`python -m gradproof` is the same command."""
    done = subprocess.run(
        [sys.executable, "-m", "gradproof", "--version"], capture_output=True, text=True, check=True
    )
    assert "gradproof" in done.stdout


def test_a_batch_of_fewer_texts_is_said(tmp_path) -> None:
    """More texts may be asked for than there are."""
    path = tmp_path / "few.csv"
    path.write_text("text,label\na b,x\nc,y\nd e,x\nf,y\n", encoding="utf-8")
    options = ("verify", "--only", "gradient.w/corrected", "--data", str(path), *QUICK)
    result = run(*options, "--texts", "100")
    assert "the batch has 3 of the 100 sentences that were asked for" in result.stdout
    assert "asked for" not in run(*options, "--texts", "2").stdout


def test_texts_that_were_cut_are_counted() -> None:
    """Of those that are verified on; nothing is said where none was."""
    result = run("verify", "--only", "gradient.w/corrected", "--length", "3", "--seed", "5", *QUICK)
    assert result.exit_code == 0, result.output
    assert "3 of 3 texts have more than 3 tokens, their end marker counted" in result.stdout
    result = run("verify", "--only", "gradient.w/corrected", "--seed", "5", *QUICK)
    assert "were cut" not in result.stdout
