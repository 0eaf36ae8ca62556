"""The pytest plugin: what a test of an estimator says, records and repeats.

Sessions run in this process (gradproof is imported once), but those with workers, and those that
are about what is imported.
"""

import ast
import importlib
import json
import math
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import gradproof as package

pytest_plugins = ["pytester"]

# Here, or each session in this process would import it for itself, with classes of its own.
importlib.import_module("gradproof.checks.user.estimator")

# Three outcomes with these probabilities and costs; the estimand is q (c - E[c]) = (-1/2, 0, 1/2).
MINE = """
import pytest
import numpy as np
import gradproof as package

rng = np.random.default_rng()
q = np.array([0.5, 0.25, 0.25])
c = np.array([1.0, 2.0, 4.0])
theta = np.zeros(3)
exact = q * (c - q @ c)

def right(theta):
    k = rng.choice(3, p=q)
    return c[k] * (np.eye(3)[k] - q)

def doubled(theta):
    k = rng.choice(3, p=q)
    return 2.0 * c[k] * (np.eye(3)[k] - q)

def raises(theta):
    k = rng.choice(3, p=q)
    if k == 2:
        raise KeyError("two")
    return c[k] * (np.eye(3)[k] - q)
"""

PASSES = """
def test_right(gradproof_checks):
    found = gradproof_checks.assert_unbiased(right, [theta], exact=exact)
    assert found.paths == 3
"""

FAILS = """
def test_doubled(gradproof_checks):
    gradproof_checks.assert_unbiased(doubled, [np.array([1.0, 2.0])], exact=exact)

def test_raises(gradproof_checks):
    gradproof_checks.assert_unbiased(raises, [theta], exact=exact)

def test_local(gradproof_checks):
    estimate = lambda _: np.eye(3)[rng.choice(3, p=q)]
    gradproof_checks.assert_unbiased(estimate, [object()], exact=exact)
"""

EXPECTS = """
def test_known_bias(gradproof_checks):
    assert not gradproof_checks.check_estimator(doubled, [theta], exact=exact).unbiased

def test_many(gradproof_checks):
    with pytest.raises(package.TooManyPaths):
        gradproof_checks.check_estimator(right, [theta], exact=exact, paths=2)
"""

# Stands in for checks that sample, and notes what they are given.
SAMPLED = """
import dataclasses
import json

enumerated = package.check_estimator

@pytest.fixture(autouse=True)
def sampling(monkeypatch, request):
    def check(estimate, inputs, *, exact, alpha, seed, draws, paths=9):
        found = enumerated(estimate, inputs, exact=exact)
        with open("given.txt", "a") as file:
            print(json.dumps([request.node.nodeid, alpha, seed]), file=file)
        return dataclasses.replace(found, method="sampled", detectable=0.01)
    monkeypatch.setattr(package, "check_estimator", check)

def test_one(gradproof_checks):
    for _ in range(3):
        gradproof_checks.assert_unbiased(right, [theta], exact=exact, draws=5)

@pytest.mark.parametrize("number", [1, 2])
def test_two(gradproof_checks, number):
    gradproof_checks.assert_unbiased(right, [theta], exact=exact, draws=5)

@pytest.mark.gradproof(alpha=1e-9)
def test_own_alpha(gradproof_checks):
    gradproof_checks.assert_unbiased(right, [theta], exact=exact, draws=5)

def test_none(): ...
"""

NORMAL = """
rng = np.random.default_rng()

def noisy(theta):
    return theta + rng.uniform(1.0, 3.0, 3)

def test_enough(gradproof_checks):
    gradproof_checks.assert_unbiased(noisy, [theta], exact=theta + 2.0, draws=40_000)

def test_too_large(gradproof_checks):
    gradproof_checks.assert_unbiased(noisy, [theta], exact=theta + 3.0, draws=40_000)
"""

REVERSED = "def pytest_collection_modifyitems(items): items.reverse()"


@pytest.fixture
def session(pytester):
    """Runs a file with these tests."""

    def run(*tests, options=(), subprocess=False):
        pytester.makepyfile(test_mine="\n".join([MINE, *tests]))
        start = pytester.runpytest_subprocess if subprocess else pytester.runpytest_inprocess
        return start("--strict-markers", *options)

    return run


def section(result):
    """What the summary says, without its headline."""
    lines = result.outlines
    heads = [place for place, line in enumerate(lines) if line.strip("= ") == "gradproof"]
    if not heads:
        return []
    after = lines[heads[0] + 1 :]
    end = next(place for place, line in enumerate(after) if line.startswith("==="))
    return after[:end]


def by_hand(result, test):
    """The lines that a failed test prints for repeating it."""
    lines = result.outlines
    start = next(n for n, line in enumerate(lines) if line.strip("_ ") == test)
    start += next(n for n, line in enumerate(lines[start:]) if line.endswith("By hand:"))
    code = []
    for line in lines[start + 1 :]:
        if not line.startswith("E "):
            break
        code.append(line.removeprefix("E").lstrip())
    assert code
    return "\n".join(code)


# ------------------------------------------------------------------ results


def test_what_passes_is_counted(session):
    """The fixture returns what was found, and the summary counts it."""
    result = session(PASSES)
    result.assert_outcomes(passed=1)
    assert section(result) == ["enumerated: 1 checks, 3 paths"]


def test_a_session_without_checks_says_nothing(session):
    """Most sessions are not about gradients."""
    result = session("def test_other(): ...")
    result.assert_outcomes(passed=1)
    assert section(result) == []
    assert "gradproof" not in str(result.stdout).replace("plugins: ", "").split("collected")[1]


def test_what_fails_is_explained(session):
    """The numbers, the command, and the summary; the traceback ends in the test's own line."""
    result = session(FAILS)
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            "E *Biased: doubled: refuted, by 3 paths*",
            "E *mean of gradient[[]0] is -1.0*, should be -5.0*",
            "E *Once more: pytest test_mine.py::test_doubled",
            "test_mine.py:*: Biased",
            "E *KeyError: 'two'",
            "E *draws so far: Generator.choice -> 2",
        ]
    )
    enumerated, *bad = section(result)
    assert enumerated == "enumerated: 2 checks, 6 paths"
    assert [line.partition(": ")[0] for line in bad] == [
        "test_mine.py::test_doubled",
        "test_mine.py::test_local",
        "test_mine.py::test_raises",
    ]
    assert "refuted, gradient[0] is off by 5.0e-01, at most" in bad[0]
    assert bad[2].endswith("raises: not checked, KeyError: 'two'")


def test_what_fails_is_repeated_by_hand(session, capsys):
    """The lines that are printed come to the same verdict, or to the same error."""
    result = session(FAILS)
    capsys.readouterr()
    exec(by_hand(result, "test_doubled"), {})
    assert "doubled: refuted, by 3 paths" in capsys.readouterr().out
    with pytest.raises(KeyError, match="two"):
        exec(by_hand(result, "test_raises"), {})
    local = by_hand(result, "test_local")
    ast.parse(local)
    assert local.startswith("# What is ... cannot be written down: paste this where it was made")
    assert "check_estimator(..., [...], exact=test['exact'])" in local


def test_an_expected_bias_is_no_failure(session):
    """``check`` returns what it finds; the summary counts it apart."""
    result = session(EXPECTS)
    result.assert_outcomes(passed=2)
    assert section(result) == [
        "enumerated: 1 checks, 3 paths",
        "biased or not to be checked, as their tests expect: 2",
    ]


# ------------------------------------------------------------------ options


def test_the_closest_option_counts(session):
    """The call before the mark, the mark before the command line."""
    result = session(
        """
        def test_line(gradproof_checks):
            with pytest.raises(package.TooManyPaths):
                gradproof_checks.check_estimator(right, [theta], exact=exact)

        @pytest.mark.gradproof(paths=3)
        class TestMarked:
            def test_mark(self, gradproof_checks):
                assert gradproof_checks.check_estimator(right, [theta], exact=exact).unbiased

            @pytest.mark.gradproof(paths=2)
            def test_closest_mark(self, gradproof_checks):
                with pytest.raises(package.TooManyPaths):
                    gradproof_checks.check_estimator(right, [theta], exact=exact)
                report = gradproof_checks.check_estimator(right, [theta], exact=exact, paths=3)
                assert report.unbiased
        """.replace("\n        ", "\n"),
        options=["--gradproof-paths=1"],
    )
    result.assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--gradproof-paths=0", "'0', should be a number of 1 or more"),
        ("--gradproof-paths=many", "'many', should be a number of 1 or more"),
        ("--gradproof-alpha=1", "'1', should be a number between 0 and 1"),
        ("--gradproof-alpha=small", "'small', should be a number between 0 and 1"),
    ],
)
def test_options_without_sense_are_errors(session, option, words):
    """Before anything is run."""
    result = session(PASSES, options=[option])
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert words in str(result.stderr)


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        ("path=3", "the mark gradproof takes paths= and alpha=, not path"),
        ("3", "the mark gradproof takes paths= and alpha=, not 3"),
        ("alpha=2.0", "alpha is 2.0, should be between 0 and 1"),
    ],
)
def test_marks_without_sense_are_errors(session, mark, words):
    """Also of a test that is not run."""
    result = session(f"@pytest.mark.gradproof({mark}){PASSES}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"test_mine.py::test_right: {words}" in str(result.stderr)


def given(pytester):
    """What checks that sample were given: by test, alphas and seeds."""
    path = pytester.path / "given.txt"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    path.unlink()
    found = {}
    for test, *numbers in rows:
        found.setdefault(test.removeprefix("test_mine.py::"), []).append(numbers)
    return found


def test_sampling_is_summarised(session):
    """A test that asks for draws has alpha and seed of the session, and says what it could see."""
    result = session(NORMAL, options=["--gradproof-seed=7"])
    result.assert_outcomes(passed=1, failed=1)
    told = "sampled: 2 checks, which would have seen a bias of"
    assert told in "\n".join(section(result))
    text = str(result.stdout)
    assert "Once more: pytest test_mine.py::test_too_large --gradproof-seed=7" in text
    assert "draws=40000).explain())" in text


def test_each_test_that_samples_has_its_own_alpha(session, pytester):
    """Its checks share it; no test beside it does, and the summary adds up what all may."""
    result = session(SAMPLED, options=["--gradproof-alpha=0.3", "--gradproof-tests=1000"])
    result.assert_outcomes(passed=5)
    alphas = {test: [alpha for alpha, _ in rows] for test, rows in given(pytester).items()}
    own = alphas.pop("test_own_alpha")
    assert own == [5e-10]
    shares = {test: sum(each) for test, each in alphas.items()}
    of_test = 0.3 / 1000
    assert alphas["test_one"] == [of_test / 2, of_test / 6, of_test / 12]
    assert max(shares.values()) < 3e-4  # 1/(k (k + 1)) of it each, which never use it up
    (line,) = section(result)
    told = (
        "sampled: 6 checks, which would have seen a bias of 1.0e-02; probability of a false alarm"
    )
    assert line.startswith(told)
    assert f"at most {math.fsum([*shares.values(), *own]):.1e}; seed " in line


def test_alphas_do_not_depend_on_the_tests_beside(session, pytester):
    """A test that is run alone needs no fewer draws than among others."""
    session(SAMPLED).assert_outcomes(passed=5)
    among = given(pytester)["test_two[1]"]
    session(SAMPLED, options=["-k", "test_two and 1"]).assert_outcomes(passed=1, deselected=4)
    assert [alpha for alpha, _ in given(pytester)["test_two[1]"]] == [alpha for alpha, _ in among]


def test_what_a_figure_rests_on_stands_beside_it():
    """Once, however many checks rest on it; and with the verdict of each that failed."""
    plugin = importlib.import_module("gradproof.session_summary")
    rare = "no outcome rarer than 0.001 lies far beyond all others"
    record = {
        "test": "test_it", "failed": False, "name": "reinforce", "verdict": "holds",
        "method": "sampled", "paths": 0, "worst": "gradient[0]", "off": 0.1, "bound": 0.01,
        "detectable": 0.01, "condition": "", "alpha": 1e-6,
    }  # fmt: skip
    (line,) = plugin.summary([record], 7, 1e-3, 1000)
    assert line.endswith("in any of them at most 1.0e-06; seed 7")
    conditional = record | {"condition": rare}
    (line,) = plugin.summary([record, conditional, conditional], 7, 1e-3, 1000)
    assert line.endswith(f"in any of them at most 3.0e-06, if {rare}; seed 7")
    refuted = conditional | {"verdict": "refuted", "failed": True}
    *_, line = plugin.summary([refuted], 7, 1e-3, 1000)
    assert line == (
        f"test_it: reinforce: refuted, if {rare}, gradient[0] is off by 1.0e-01, at most 1.0e-02 "
        "is sampling noise"
    )


@pytest.mark.parametrize(
    "options", [["-n", "2"], ["-p", "backwards"]], ids=["workers", "backwards"]
)
def test_alphas_and_seeds_do_not_depend_on_the_order(session, pytester, options):
    """The same seed gives each check the same, on whatever worker and in whatever order."""
    pytester.makepyfile(backwards=REVERSED)
    pytester.syspathinsert()
    seed = "--gradproof-seed=7"
    session(SAMPLED, options=[seed]).assert_outcomes(passed=5)
    first = given(pytester)
    again = session(SAMPLED, options=[seed, *options], subprocess="-n" in options)
    again.assert_outcomes(passed=5)
    assert given(pytester) == first
    session(SAMPLED)
    other = given(pytester)
    assert len({seed for rows in [*first.values(), *other.values()] for _, seed in rows}) == 12


# ------------------------------------------------------------------ with and without others


def test_workers_say_what_one_process_says(session):
    """Results come from workers to the controller, each once."""
    alone = section(session(PASSES, FAILS, EXPECTS))
    assert len(alone) == 5
    shared = session(PASSES, FAILS, EXPECTS, options=["-n", "2"], subprocess=True)
    shared.assert_outcomes(passed=3, failed=3)
    assert section(shared) == alone


def test_it_can_be_left_out(session):
    """Without the plugin there is neither fixture nor option, and all else runs."""
    off = ["-p", "no:gradproof"]
    result = session(PASSES, "def test_other(): ...", options=off, subprocess=True)
    result.assert_outcomes(passed=1, errors=1)
    assert "fixture 'gradproof_checks' not found" in str(result.stdout)


def test_a_session_without_checks_imports_nothing():
    """Loading the plugin brings only what it needs, which imports nothing, and Python's own."""
    code = """
        import sys, pytest
        before = set(sys.modules)
        import gradproof.pytest_plugin
        print(*sorted({name for name in set(sys.modules) - before}))
    """
    run = [sys.executable, "-c", textwrap.dedent(code)]
    names = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()
    ours = [name for name in names if name.partition(".")[0] not in sys.stdlib_module_names]
    modules = [
        "checks",
        "checks.user",
        "checks.user.code_name",
        "checks.user.error_words",
        "checks.user.snippet",
        "extras",
        "pytest_plugin",
    ]
    modules += ["recorded_checks", "session_summary"]
    assert ours == ["gradproof", *(f"gradproof.{name}" for name in modules)]


def test_public_names_are_where_the_package_says():
    """What is imported when asked for is what type checkers read, and what is promised."""
    homes = {name: home for home, names in package._HOMES.items() for name in names}
    assert sorted(homes) == sorted([*package.__all__, "__version__"])
    for name, home in homes.items():
        assert getattr(package, name) is getattr(importlib.import_module(home), name)
    tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    (checked,) = [node for node in tree.body if ast.unparse(node).startswith("if TYPE_CHECKING")]
    imports = [node for node in checked.body if isinstance(node, ast.ImportFrom)]
    read = {(each.name, node.module) for node in imports for each in node.names}
    assert read == set(homes.items())
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        package.nothing  # noqa: B018  (reading it is the test)


# ------------------------------------------------------------------ our own estimators

RNG = np.random.default_rng()
COSTS = np.array([1.0, 3.0, 2.0, -1.0])


def softmax(logits):
    """Probabilities of the outcomes."""
    odds = np.exp(logits - logits.max())
    return odds / odds.sum()


def gradient(logits):
    """Of the expected cost."""
    probabilities = softmax(logits)
    return probabilities * (COSTS - probabilities @ COSTS)


def with_constant(logits):
    """A constant baseline."""
    k = RNG.choice(4, p=softmax(logits))
    return (COSTS[k] - 1.5) * (np.eye(4)[k] - softmax(logits))


def leave_one_out(logits):
    """Three draws; the baseline of each is the mean cost of the others."""
    ks = RNG.choice(4, size=3, p=softmax(logits))
    others = (COSTS[ks].sum() - COSTS[ks]) / 2.0
    return ((COSTS[ks] - others)[:, None] * (np.eye(4)[ks] - softmax(logits))).mean(axis=0)


def batch_mean(logits):
    """The same with each draw in its own baseline, which keeps two thirds of the gradient."""
    ks = RNG.choice(4, size=3, p=softmax(logits))
    centred = COSTS[ks] - COSTS[ks].mean()
    return (centred[:, None] * (np.eye(4)[ks] - softmax(logits))).mean(axis=0)


LOGITS = np.array([0.3, -0.2, 0.5, 0.0])


@pytest.mark.parametrize("estimate", [with_constant, leave_one_out])
def test_right_estimators_pass(gradproof_checks, estimate):
    """The plugin, used as anyone would use it."""
    gradproof_checks.assert_unbiased(estimate, [LOGITS], exact=gradient)


def test_a_batch_mean_is_found_out(gradproof_checks):
    """It keeps 1 - 1/N of the gradient, and the failure says by how much it is off."""
    with pytest.raises(package.Biased, match="batch_mean: refuted, by 64 paths") as failure:
        gradproof_checks.assert_unbiased(batch_mean, [LOGITS], exact=gradient)
    found = failure.value.checked
    bounds = {one.what: one.bound for one in found.comparisons}
    share = 2.0 / 3.0 * found.exact["gradient"]
    assert np.abs(found.mean["gradient"] - share).max() <= bounds["gradient"]
