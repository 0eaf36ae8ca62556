"""What is on disk is what is installed, and nothing of it lies outside gradproof."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import gradproof

ROOT = Path(__file__).resolve().parents[1]
FACE = ROOT / "src" / "gradproof"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
# The folders at the root, for each of which src/gradproof has a symbolic link.
ROOMS = ("checks", "derivations", "estimators", "reference_models", "reports")


def files_on_disk() -> set[str]:
    """Every file of the package's folders, by the path it is installed under."""
    places = {FACE: Path("gradproof"), **{ROOT / room: Path("gradproof", room) for room in ROOMS}}
    return {
        (inside / path.relative_to(folder)).as_posix()
        for folder, inside in places.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def own_files(names) -> set[str]:
    """What a wheel or an installation holds, without its records and the interpreter's caches."""
    return {
        path.as_posix()
        for path in map(Path, names)
        if not path.parts[0].endswith(".dist-info") and "__pycache__" not in path.parts
    }


def test_each_room_is_linked():
    """A link to a folder at the root, by a path that is the same in every checkout."""
    links = {
        path.name: Path(os.readlink(path)).as_posix()
        for path in FACE.iterdir()
        if path.is_symlink()
    }
    assert links == {room: f"../../{room}" for room in ROOMS}


def test_every_package_has_an_init():
    """A folder of sources without __init__.py would be a namespace that anyone can add to."""
    shipped = files_on_disk()
    folders = {Path(name).parent for name in shipped if name[-3:] == ".py"}
    assert len(folders) > len(ROOMS), f"only {folders} hold sources, so rooms went unread"
    assert [f for f in sorted(folders) if (f / "__init__.py").as_posix() not in shipped] == []


def copy_project(to: Path) -> None:
    """What a wheel is built from, with its links."""
    for folder in ("src", *ROOMS):
        shutil.copytree(ROOT / folder, to / folder, symlinks=True)
    for name in ("pyproject.toml", "setup.py", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, to)


def build_wheel(folder: Path) -> subprocess.CompletedProcess[str]:
    """In that folder, as pip does it."""
    build = "import setuptools.build_meta as backend; backend.build_wheel('.')"
    return subprocess.run(
        [sys.executable, "-c", build], cwd=folder, capture_output=True, text=True, check=False
    )


def test_a_checkout_without_links_says_what_to_set(tmp_path):
    """Git writes a file with the link's text where links are not allowed; nothing is built then."""
    copy_project(tmp_path)
    link = tmp_path / "src" / "gradproof" / "checks"
    link.unlink()
    link.write_text("../../checks", encoding="utf-8")
    run = build_wheel(tmp_path)
    assert run.returncode
    last = run.stderr.strip().splitlines()[-1]
    assert last.startswith("src/gradproof/checks is no symbolic link to checks/"), run.stderr
    assert "git config core.symlinks true" in last


def test_wheel_holds_what_the_folders_hold(tmp_path):
    """A wheel built beside a stale build ships neither more nor less than the folders."""
    copy_project(tmp_path)
    stale = tmp_path / "build" / "lib" / "gradproof" / "removed_last_year.py"
    stale.parent.mkdir(parents=True)
    stale.write_text("", encoding="utf-8")

    run = build_wheel(tmp_path)
    assert run.returncode == 0, run.stderr
    (wheel,) = tmp_path.glob("*.whl")
    shipped = own_files(zipfile.ZipFile(wheel).namelist())
    assert shipped == files_on_disk(), "a data file wants a row in [tool.setuptools.package-data]"
    assert "gradproof/py.typed" in shipped, "type checkers ignore a package without it"


def test_installed_package_is_what_is_tested():
    """The tests import the installed files, which are the folders' and one script."""
    installed = importlib.metadata.distribution("gradproof")
    origin = json.loads(installed.read_text("direct_url.json") or "{}")
    if origin.get("dir_info", {}).get("editable"):
        pytest.skip("installed as editable, which tests the folders; tox tests the wheel")
    assert Path(gradproof.__file__) == installed.locate_file("gradproof/__init__.py")
    own = own_files(map(str, installed.files))
    scripts = {name for name in own if Path(name).stem == "gradproof" and name.startswith("..")}
    assert len(scripts) == 1
    assert own - scripts == files_on_disk()


def wanted(*tables: list) -> set[str]:
    """The names of the projects that lists of requirements ask for."""
    rows = [row for table in tables for row in table if isinstance(row, str)]
    return {re.match(r"[\w.-]+", row)[0].lower() for row in rows}


EXTRAS = PROJECT["project"]["optional-dependencies"]
GROUPS = PROJECT["dependency-groups"]
ASKED = {
    "current.txt": [EXTRAS["note"], EXTRAS["plot"], EXTRAS["torch"], *GROUPS.values()],
    "theano.txt": [EXTRAS["note"], EXTRAS["torch"], EXTRAS["theano"], GROUPS["test"]],
}


@pytest.mark.parametrize(("name", "tables"), ASKED.items(), ids=ASKED)
def test_constraints_pin_what_is_asked_for(name, tables):
    """Each file gives one version of everything, and no place to take it from."""
    lines = (ROOT / "constraints" / name).read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", pin)] == []
    pinned = {pin.partition("==")[0].lower() for pin in pins}
    assert wanted(PROJECT["project"]["dependencies"], *tables) - pinned == set()


def test_the_version_stands_in_one_place():
    """All others read it from the installed package's metadata, or do without."""
    version = PROJECT["project"]["version"]
    assert gradproof.__version__ == importlib.metadata.version("gradproof")
    named = [
        name
        for name in ("CITATION.cff", "setup.py", "src/gradproof/__init__.py", "tox.ini")
        if re.search(rf"(?<![\d.]){re.escape(version)}(?![\d.])", (ROOT / name).read_text("utf-8"))
    ]
    assert named == []


def test_each_python_that_is_named_is_tested():
    """From the oldest on, without a cap, and in the workflow on each system."""
    project = PROJECT["project"]
    assert project["requires-python"] == ">=3.11"
    head = "Programming Language :: Python :: 3."
    named = [row.removeprefix(head) for row in project["classifiers"] if row.startswith(head)]
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text("utf-8")
    tested = re.search(r"^ +python: \[(.*)\]$", workflow, re.MULTILINE)
    assert tested
    assert re.findall(r'"3\.(\d+)"', tested[1]) == named == ["11", "12", "13", "14"]
    for system in ("ubuntu", "macos", "windows"):
        assert f"{system}-latest" in workflow


def test_the_workflow_runs_what_the_readme_names():
    """Its command for all tests, and environments that there are."""
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text("utf-8")
    assert "python -m pip install tox && tox run" in (ROOT / "README.md").read_text("utf-8")
    assert "run: python -m pip install tox && tox run --skip" in workflow
    tox = (ROOT / "tox.ini").read_text("utf-8")
    for names in re.findall(r"tox run -e (\S+)", workflow):
        for name in names.split(","):
            assert f"[testenv:{name}]" in tox


def test_the_core_needs_six_packages():
    """Whoever checks an estimator of their own installs no more than these."""
    core = {"numpy", "scipy", "joblib", "click", "jinja2", "rich"}
    assert wanted(PROJECT["project"]["dependencies"]) == core


CORE = """
import sys

MISSING = {"autograd", "faker", "hypothesis", "matplotlib", "sympy", "theano", "torch", "tueplots"}

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())

import numpy as np
from gradproof import check_estimator

rng = np.random.default_rng()
assert check_estimator(lambda x: 2.0 * x * rng.integers(2), [np.ones(2)], exact=[1.0, 1.0]).unbiased
assert not {"joblib", "cloudpickle"} & sys.modules.keys(), "nobody asked for several processes"
try:
    from gradproof import verify
except ModuleNotFoundError as error:
    assert "pip install 'gradproof[note]'" in str(error), error
else:
    raise AssertionError("it was imported")

from click.testing import CliRunner
from gradproof.cli import main

shown = CliRunner().invoke(main, ["--help"])
assert shown.exit_code == 0, shown.output
assert "check" in shown.output
assert "sympy is not installed; pip install" in shown.output, shown.output
told = CliRunner().invoke(main, ["verify", "--only", "kl"])
assert told.exit_code == 2
assert "is not installed; pip install 'gradproof[note]'" in told.output, told.output
new = CliRunner().invoke(main, ["check", "--help"])
assert new.exit_code == 0
assert "Cannot be run" not in new.output
assert CliRunner().invoke(main, ["schema"]).exit_code == 0
assert "unbiased" in check_estimator(lambda x: x, [np.ones(2)], exact=[1.0, 1.0]).page()
"""


def test_the_core_works_without_the_rest(tmp_path):
    """What needs an extra says which; all else runs."""
    run = subprocess.run(
        [sys.executable, "-c", CORE], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
