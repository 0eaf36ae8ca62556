"""Frameworks are imported when asked for, and one that is missing is said with what to do."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from gradproof.estimators.backends import BACKENDS, BackendMissing, installed, load


def run_python(program, **environment):
    """Run a program in an interpreter of its own, and read the JSON that it prints last."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "name",
    [
        "autograd",
        pytest.param("torch", marks=pytest.mark.torch),
        pytest.param("theano", marks=pytest.mark.theano),
    ],
)
def test_a_backend_goes_by_its_name(name):
    """The name that a user gives leads to the backend that carries it."""
    assert installed(name)
    assert load(name).name == name


@pytest.mark.parametrize("ask", [load, installed])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pytorch", r"expected one of autograd, torch, theano; did you mean 'torch'\?"),
        ("Theano", r"unknown backend 'Theano', .*; did you mean 'theano'\?"),
        ("mxnet", r"unknown backend 'mxnet', expected one of autograd, torch, theano$"),
    ],
)
def test_an_unknown_backend_is_an_error(ask, name, message):
    """A name that no row has is answered with the names there are, and the nearest."""
    with pytest.raises(ValueError, match=message):
        ask(name)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_missing_framework_is_said_with_its_command(name, monkeypatch):
    """Without the framework the error is an ImportError that holds the command to install it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    assert not installed(name)
    with pytest.raises(
        BackendMissing, match=f"{name} is not installed; install it with: "
    ) as found:
        load(name)
    assert str(found.value).endswith(BACKENDS[name].install)
    assert isinstance(found.value, ImportError)


def test_commands_name_what_the_package_offers():
    """The commands that errors give install the extras that there are."""
    assert {name: row.install for name, row in BACKENDS.items()} == {
        "autograd": "pip install autograd",
        "torch": "pip install 'gradproof[torch]'",
        "theano": "pip install 'gradproof[theano]' (CPython 3.11)",
    }


def test_no_framework_is_imported_before_it_is_asked_for():
    """Who verifies with one framework neither waits for the others nor needs them."""
    frameworks = run_python(
        "import sys, json\n"
        "import gradproof\n"
        "import gradproof.estimators.backends as backends\n"
        "import gradproof.estimators.note.estimate_moments, gradproof.estimators.note.forms\n"
        "backends.load('autograd'), backends.installed('torch'), backends.installed('theano')\n"
        "print(json.dumps([n for n in ('torch', 'theano', 'jax') if n in sys.modules]))\n"
    )
    assert frameworks == []


STUB = """
import numpy
raise AttributeError("module 'numpy' has no attribute 'bool'")
"""


def test_a_theano_that_cannot_be_imported_is_said_with_the_reason(tmp_path):
    """Beside a NumPy that Theano cannot be imported with, the error says which it needs."""
    (tmp_path / "theano").mkdir()
    (tmp_path / "theano" / "__init__.py").write_text(STUB)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    found = run_python(
        "import json, numpy\n"
        "from gradproof.estimators.backends import BackendMissing, load\n"
        "errors = []\n"
        "for _ in range(2):\n"  # a first failure leaves nothing behind that looks like a success
        "    try:\n"
        "        load('theano')\n"
        "    except BackendMissing as error:\n"
        "        errors.append([str(error), type(error.__cause__).__name__])\n"
        "print(json.dumps([numpy.__version__, errors]))\n",
        PYTHONPATH=path,
    )
    version, errors = found
    assert len(errors) == 2
    for message, cause in errors:
        assert f"cannot be imported with NumPy {version}: AttributeError: module 'numpy'" in message
        assert "it needs numpy==1.23.5, scipy<1.11 and setuptools<81 on CPython 3.11" in message
        assert message.endswith("pip install 'gradproof[theano]'")
        assert cause == "AttributeError"
