"""Pages and records that commands and sessions of tests leave behind: whole, escaped, true."""

import json
import shlex
import xml.etree.ElementTree as ElementTree

import jsonschema
import pytest
from click.testing import CliRunner

from gradproof.cli import main
from gradproof.cli.schema import schema

from .pages import ROOT

pytest_plugins = ["pytester"]

NAME = "<script>alert(1)</script>"

MINE = f"""
import numpy as np

rng = np.random.default_rng()
q = np.array([0.5, 0.25, 0.25])
c = np.array([1.0, 2.0, 4.0])
inputs = (np.log(q),)
exact = {{"{NAME}": q * (c - q @ c)}}

def named(value): return {{"{NAME}": value}}
def score(k): return c[k] * (np.eye(3)[k] - q)
def right(theta): return named(score(rng.choice(3, p=q)))
def doubled(theta): return named(2.0 * score(rng.choice(3, p=q)))
def not_a_number(theta):
    k = rng.choice(3, p=q)
    return named(score(k) * (np.nan if k == 1 else 1.0))
def still(theta): return exact
def normal(theta): return named(score(rng.choice(3, p=q)) + rng.uniform(-1.0, 1.0, 3))
def continuous(theta): return named(score(0) * rng.normal())
def raises(theta): raise KeyError("{NAME}")
"""


def run(*arguments):
    """The command with these arguments."""
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture
def mine(tmp_path):
    """A file with estimators of one gradient, whose parameter has a hostile name."""
    path = tmp_path / "mine.py"
    path.write_text(MINE, encoding="utf-8")
    return path


# ------------------------------------------------------------------ commands


@pytest.mark.parametrize(
    ("name", "options", "status", "words"),
    [
        ("right", [], 0, ["holds", "3 paths of at most 1 draw", "gradproof check "]),
        ("doubled", [], 1, ["refuted", "is off by 5.0e-01"]),
        ("not_a_number", [], 1, ["is NaN where Generator.choice -&gt; 1"]),
        ("still", [], 0, ["Nothing was drawn"]),
        ("normal", ["--draws", "25000", "--seed", "5"], None, ["sampled", "--seed 5"]),
    ],
)
def test_check_writes_a_page(mine, tmp_path, name, options, status, words):
    """Of a verdict of each kind, whatever the parameters are called."""
    page, record = tmp_path / "page.html", tmp_path / "record.json"
    result = run("check", f"{mine}:{name}", *options, "--html", page, "--json", record)
    assert result.exit_code in ((0, 1) if status is None else (status,)), result.output
    text = page.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    for each in words:
        assert each in text
    jsonschema.validate(json.loads(record.read_text(encoding="utf-8")), schema())


def test_the_command_on_the_page_repeats_it(mine, tmp_path):
    """With what was given, and without where results went."""
    page = tmp_path / "page.html"
    first = run("check", f"{mine}:right", "--exact", "exact", "--paths", "7", "--html", page)
    text = page.read_text(encoding="utf-8")
    command = f"gradproof check {mine}:right --exact exact --paths 7"
    assert f"<code>{command}</code>" in text
    assert run(*shlex.split(command)[1:]).output == first.output


@pytest.mark.parametrize("name", ["continuous", "raises"])
def test_what_cannot_be_checked_leaves_no_page(mine, tmp_path, name):
    """There is no verdict to keep."""
    page = tmp_path / "page.html"
    assert run("check", f"{mine}:{name}", "--html", page).exit_code == 2
    assert not page.exists()


@pytest.mark.parametrize(
    "command", [["check", "mine.py:right"], ["verify", "--only", "kl"]], ids=["check", "verify"]
)
def test_a_page_that_cannot_be_written_is_met_before_the_work(command, mine, monkeypatch):
    """Nothing is run for it; the message names the option where the name is empty."""
    monkeypatch.chdir(mine.parent)
    result = run(*command, "--html", "none/page.html")
    assert result.exit_code == 2
    assert "there is no folder" in result.stderr
    assert result.stdout == ""
    assert "give one to --html" in run(*command, "--html", "").stderr


def test_verify_writes_a_page_and_a_record(tmp_path):
    """With every verdict, and what is refuted with the lines that repeat it."""
    page, record = tmp_path / "page.html", tmp_path / "record.json"
    options = ["--only", "gradient.e/printed", "--backend", "autograd", "--examples", "2"]
    files = ["--html", page, "--json", record]
    result = run("verify", *options, "--model", "seqdgm", "--jobs", "1", "--seed", "1", *files)
    assert result.exit_code == 0, result.output
    text = page.read_text(encoding="utf-8")
    assert "as recorded" in text
    assert f"gradproof verify --model seqdgm --backend autograd --only {options[1]}" in text
    assert "from gradproof import" in text
    written = json.loads(record.read_text(encoding="utf-8"))
    jsonschema.validate(written, schema())
    assert [each["verdict"] for each in written["evidence"]] == ["holds", "refuted"]


def test_the_schema_is_the_one_that_is_published():
    """`gradproof schema` prints docs/schema.json; write that anew with it."""
    result = run("schema")
    assert result.exit_code == 0
    assert result.output == (ROOT / "docs" / "schema.json").read_text(encoding="utf-8")


# ------------------------------------------------------------------ sessions of tests

TESTS = """
import pytest
import gradproof as package

def test_right(gradproof_checks):
    gradproof_checks.assert_unbiased(right, inputs, exact=exact)
    gradproof_checks.check_estimator(doubled, inputs, exact=exact)

@pytest.mark.parametrize("x", ["<b>"])
def test_wrong(gradproof_checks, x):
    gradproof_checks.assert_unbiased(not_a_number, inputs, exact=exact)

def test_raises(gradproof_checks):
    gradproof_checks.assert_unbiased(raises, inputs, exact=exact)

def test_refused(gradproof_checks):
    with pytest.raises(package.UnsupportedDraw):
        gradproof_checks.check_estimator(continuous, inputs, exact=exact)

def test_other(): ...
"""

FILES = ["--gradproof-html=page.html", "--gradproof-json=record.json", "--junitxml=junit.xml"]


@pytest.fixture
def session(pytester):
    """Runs these tests, and gives the folder in which files are left."""

    def start(tests=TESTS, options=(), subprocess=False):
        pytester.makepyfile(test_mine=MINE + tests)
        begin = pytester.runpytest_subprocess if subprocess else pytester.runpytest_inprocess
        return begin(*FILES, *options), pytester.path

    return start


@pytest.mark.parametrize("options", [[], ["-n", "2"]], ids=["alone", "workers"])
def test_a_session_leaves_a_page_and_a_record(session, options):
    """Of all its checks, wherever they ran: that passed, failed, crashed, and were refused."""
    result, folder = session(options=options, subprocess=bool(options))
    result.assert_outcomes(passed=3, failed=2)
    result.stdout.fnmatch_lines(["gradproof wrote page.html", "gradproof wrote record.json"])
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    jsonschema.validate(record, schema())
    rows = [(each["test"].partition("::")[2], each["verdict"]) for each in record["checks"]]
    assert rows == [
        ("test_raises", ""),
        ("test_refused", ""),
        ("test_right", "holds"),
        ("test_right", "refuted"),
        ("test_wrong[<b>]", "refuted"),
    ]
    assert [each["failed"] for each in record["checks"]] == [True, False, False, False, True]
    assert record["checks"][-1]["off"] == "inf"
    assert record["checks"][0]["error"] == f"KeyError: '{NAME}'"
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<b>" not in page
    for words in ("tests failed", "1 of 5 checks hold", "not checked", "test_wrong[&lt;b&gt;]"):
        assert words in page
    assert page.count("Once more: pytest") == len(rows)


def test_junit_has_a_property_for_each_thing(session):
    """By the number of the check in its test, so that two checks of a test are told apart."""
    _, folder = session()
    cases = ElementTree.parse(folder / "junit.xml").iter("testcase")
    found = {
        case.get("name"): {each.get("name"): each.get("value") for each in case.iter("property")}
        for case in cases
    }
    right = found["test_right"]
    assert right["gradproof.1.verdict"] == "holds"
    assert right["gradproof.2.verdict"] == "refuted"
    assert right["gradproof.2.paths"] == "3"
    assert float(right["gradproof.2.off"]) == 0.5
    assert float(right["gradproof.2.ratio"]) > 1e6  # a bias of a half is far beyond rounding
    assert float(right["gradproof.2.bound"]) < 1e-9  # of some dozen roundings
    assert right["gradproof.2.worst"] == f"{NAME}[0]"
    assert found["test_raises"]["gradproof.1.error"] == f"KeyError: '{NAME}'"
    assert found["test_other"] == {}
    assert not any("section" in name or "snippet" in name for name in right)


def test_a_session_without_checks_says_that_nothing_was_checked(session):
    """An empty page must not look like one on which all holds."""
    _, folder = session("def test_other(): ...")
    assert "nothing checked" in (folder / "page.html").read_text(encoding="utf-8")
    assert json.loads((folder / "record.json").read_text(encoding="utf-8"))["checks"] == []


def test_a_file_that_cannot_be_written_is_met_before_the_tests(session):
    """The session does not begin."""
    result, _ = session(options=["--gradproof-html=none/page.html"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--gradproof-html: cannot write *there is no folder*"])
