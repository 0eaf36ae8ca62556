"""After ``pip install -e`` type checkers resolve what a user imports from gradproof."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

USER = """\
from gradproof import check_estimator

report = check_estimator(lambda x: x, [1.0], exact=[1.0])
reveal_type(report.verdict)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The interpreter of an environment that holds nothing but this checkout, as editable."""
    home = tmp_path_factory.mktemp("editable")
    venv.create(home, with_pip=True)
    found = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = [found, "-m", "pip", "install", "--quiet", "--no-deps", "--editable", ROOT]
    subprocess.run(install, check=True)
    return found


@pytest.fixture
def user_file(tmp_path):
    """A file of somebody else, far from here."""
    path = tmp_path / "user.py"
    path.write_text(USER, encoding="utf-8")
    return path


def run(*command):
    """What a command prints."""
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, check=False
    )
    return done.stdout


def test_mypy_resolves_what_is_installed(python, user_file):
    """The verdict is text, and not something that nobody knows."""
    said = run("mypy", "--python-executable", python, "--cache-dir", os.devnull, user_file)
    assert 'Revealed type is "str"' in said.replace("builtins.", ""), said
    assert "Success" in said


def test_pyright_resolves_what_is_installed(python, user_file):
    """The same, where links are followed by another hand."""
    said = run("basedpyright", "--pythonpath", python, "--outputjson", user_file)
    found = json.loads(said)["generalDiagnostics"]
    assert [each["message"] for each in found if each["severity"] == "error"] == []
    (revealed,) = [each["message"] for each in found if each["severity"] == "information"]
    assert revealed.endswith('is "str"')
