"""Running a check: cases are drawn, shrunk and reported so that anyone can repeat them."""

import contextlib
import dataclasses
import io
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import core, settings

from gradproof.checks.evidence import HOLDS, REFUTED, UNDECIDED, Comparison
from gradproof.checks.note.cases import GaussianCase, TabularCase, typical_tabular
from gradproof.checks.note.check import Check, on_tabular_cases
from gradproof.checks.note.registry import CHECKS
from gradproof.checks.note.run_check import blocked, run_check, search
from gradproof.checks.note.study import Study
from gradproof.estimators import backends
from gradproof.estimators.note.bench import Bench


@pytest.fixture
def seed(pytestconfig):
    """The run's own, which the header names. A property would nest Hypothesis in itself."""
    return int(pytestconfig.option.hypothesis_seed)


@pytest.fixture(scope="module")
def bench():
    """NumPy and autograd."""
    return Bench(backends.load("autograd"))


def check_of(compare, **fields):
    """A check on tabular cases with a comparison of the test's own."""
    values = {"claim": "gradient.e", "variant": "planted", "statement": "s", "expected": HOLDS}
    return Check(**values | on_tabular_cases() | fields, compare=compare)


def recording(errors=lambda subject: 0.0):
    """A comparison with a given error, and the list of subjects that it was made on."""
    seen = []

    def compare(study):
        seen.append(study.subject)
        return [Comparison("a number", 1, errors(study.subject), 1e-12, 1.0, study.name)]

    return compare, seen


def wrong_where(condition):
    """An error of 1 on some subjects."""
    return recording(lambda subject: float(condition(subject)))


def three_labels(subject):
    """K = 3."""
    return subject.model.classes == 3


def large_bias(subject):
    """Some logit is above 2: larger than the tables' entries ever are."""
    return bool((subject.parameters["w.bias"] > 2.0).any())


# ------------------------------------------------------------------ searching


def test_a_refuting_case_is_found_and_shrunk(bench):
    """The smallest case that refutes, not the first: three labels, and zeros for all else."""
    compare, _ = wrong_where(three_labels)
    comparisons, case = search(check_of(compare), bench, examples=50, seed=0)
    zeros = ((0.0,),) * 3
    assert case == TabularCase(
        tokens=((0,),),
        labels=(-1,),
        embedding=zeros,
        weight=zeros,
        bias=(0.0, 0.0, 0.0),
        phi=zeros,
        theta=zeros,
        noise=((0.0,),),
    )
    assert comparisons[-1].error == 1.0
    assert comparisons[-1].subject == case.subject().describe()


def test_a_shrunk_case_still_refutes(bench, seed):
    """Shrinking keeps what is refuted, whatever the seed drew first."""
    compare, _ = wrong_where(large_bias)
    _, case = search(check_of(compare), bench, examples=200, seed=seed)
    assert large_bias(case.subject())
    assert sorted(case.bias) == [0.0, 30.0]
    assert case.embedding == ((0.0,), (0.0,))


def test_no_refuting_case_is_none(bench):
    """Every comparison that was made is returned."""
    compare, seen = recording()
    comparisons, case = search(check_of(compare), bench, examples=7, seed=1)
    assert case is None
    assert len(comparisons) == len(seen)
    # The typical case, and as many as were asked for.
    assert 2 <= len(seen) <= 8


def test_without_examples_nothing_is_drawn(bench):
    """Not even the typical case: the caller asked for subjects alone."""
    compare, seen = recording()
    assert search(check_of(compare), bench, examples=0, seed=1) == ([], None)
    assert search(check_of(compare, cases=None), bench, examples=9, seed=1) == ([], None)
    assert not seen


def test_a_typical_case_that_refutes_is_reported(bench):
    """Where no drawn case refutes, the typical one is the counterexample."""

    def odd(subject):
        # In eighths or far out, as all drawn numbers are, it is whole; typical numbers are not.
        return bool((subject.parameters["phi.table"] * 8 % 1 != 0).any())

    compare, _ = wrong_where(odd)
    check = check_of(compare)
    comparisons, case = search(check, bench, examples=10, seed=3)
    assert case == check.typical(np.random.default_rng(3))
    assert max(comparison.error for comparison in comparisons) == 1.0


def cases_seen(bench, seed, examples=20):
    """What is drawn for a seed."""
    compare, seen = recording()
    search(check_of(compare), bench, examples=examples, seed=seed)
    return [(subject.describe(), subject.parameters["w.bias"].tolist()) for subject in seen]


def test_the_same_seed_draws_the_same_cases(bench, seed):
    """In the same order: a run can be repeated."""
    assert cases_seen(bench, seed) == cases_seen(bench, seed)


def test_another_seed_draws_other_cases(bench):
    """The seed is in use: five seeds do not all draw the same."""
    assert len({str(cases_seen(bench, seed)) for seed in range(5)}) == 5


def test_checks_draw_cases_of_their_own(bench):
    """One seed does not test every check on the same few cases."""
    found = []
    for variant in ("one", "other"):
        compare, seen = recording()
        check = check_of(compare, variant=variant, typical=None)
        search(check, bench, examples=10, seed=0)
        found.append([subject.parameters["w.bias"].tolist() for subject in seen])
    assert found[0] != found[1]


@pytest.mark.parametrize("compared", [True, False])
def test_a_subject_on_which_nothing_was_compared_is_named(bench, compared):
    """A verdict that rests on the drawn cases alone says so."""
    on_drawn, _ = recording()
    study = Study(bench, typical_tabular(np.random.default_rng(0)).subject())

    def compare(one):
        return on_drawn(one) if compared or one is not study else []

    found = run_check(check_of(compare), bench, [study], examples=3, seed=1)
    assert found.verdict == HOLDS
    assert found.note == ("" if compared else f"nothing was compared on {study.name}")
    assert found.subjects == ((study.name,) if compared else ())


def test_hypothesis_seed_of_a_test_run_is_not_ours(bench, monkeypatch):
    """``pytest --hypothesis-seed`` forces a seed on every property; ours is the caller's."""
    before = cases_seen(bench, 4)
    monkeypatch.setattr(core, "global_force_seed", 99)
    assert cases_seen(bench, 4) == before


@pytest.mark.parametrize("profile", ["ci", "default"])
def test_hypothesis_profiles_change_nothing(bench, profile):
    """Nor does its profile for CI, which draws the same cases whatever the seed."""
    before = cases_seen(bench, 4), cases_seen(bench, 5)
    current = settings.default
    try:
        settings.load_profile(profile)
        assert (cases_seen(bench, 4), cases_seen(bench, 5)) == before
    finally:
        settings.register_profile("before", current)
        settings.load_profile("before")
    assert before[0] != before[1]


SCRIPT = """
from gradproof.checks.note.registry import CHECKS
from gradproof.checks.note.run_check import search
from gradproof.estimators import backends
from gradproof.estimators.note.bench import Bench

bench = Bench(backends.load("autograd"))
for seed in (1, 2):
    made, _ = search(CHECKS["forward/values"], bench, examples=5, seed=seed)
    print([comparison.signal for comparison in made])
"""


def test_ci_does_not_fix_the_cases():
    """With CI set, as build servers do, the cases are still the seed's."""
    printed = []
    for ci in ("true", None):
        environment = {name: value for name, value in os.environ.items() if name != "CI"}
        environment |= {"CI": ci} if ci else {}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout.splitlines())
    assert printed[0] == printed[1]
    assert printed[0][0] != printed[0][1]


def test_nothing_is_kept_between_runs(bench, tmp_path, monkeypatch):
    """No database of examples: what one run found must not decide what the next does."""
    monkeypatch.chdir(tmp_path)
    compare, _ = wrong_where(three_labels)
    search(check_of(compare), bench, examples=20, seed=0)
    assert not list(tmp_path.rglob("examples"))


# ------------------------------------------------------------------ evidence


def test_evidence_is_of_subjects_and_cases(bench):
    """Comparisons on both are counted; the subjects named are those that were given."""
    compare, seen = recording()
    case = check_of(compare).typical(np.random.default_rng(0))
    study = Study(bench, case.subject())
    found = run_check(check_of(compare), bench, [study, study], examples=5, seed=2)
    assert found.verdict == HOLDS
    assert found.comparisons == len(seen)
    assert found.subjects == (study.name,)
    assert found.seed == 2
    assert found.seconds > 0.0
    assert (found.claim, found.variant, found.backend) == ("gradient.e", "planted", "autograd")
    assert found.statement == "s"
    assert found.bound_reason.startswith("rounding: ")


def test_a_refuted_subject_needs_no_case(bench):
    """It is refuted all the same, without a counterexample that could be pasted."""
    compare, _ = wrong_where(three_labels)
    case = check_of(compare).typical(np.random.default_rng(0))
    found = run_check(check_of(compare), bench, [Study(bench, case.subject())], examples=0, seed=2)
    assert found.verdict == REFUTED
    assert found.counterexample == found.snippet == ""


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        ({"verdict": REFUTED}, "the forward values of autograd differ from NumPy's"),
        (
            {"crash": "RuntimeError: no memory"},
            "the check of autograd's forward values crashed (RuntimeError: no memory)",
        ),
        ({}, "whether autograd's forward values are NumPy's is undecided"),
    ],
    ids=["differ", "crashed", "undecided"],
)
def test_blocked_evidence_counts_for_nothing(bench, forward, reason):
    """Whatever it found, it is undecided, and says what came of the forward values."""
    compare, _ = wrong_where(three_labels)
    found = run_check(check_of(compare), bench, [], examples=20, seed=2)
    assert found.verdict == REFUTED
    stopped = blocked(found, dataclasses.replace(found, **{"verdict": UNDECIDED} | forward))
    assert stopped.verdict == UNDECIDED
    assert stopped.counterexample == stopped.snippet == ""
    assert stopped.crash == f"{reason}; mend that first"
    assert stopped.crash in stopped.explain()


# ------------------------------------------------------------------ snippets


def printed_by(source):
    """What a snippet prints."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(source, "snippet", "exec"), {})
    return output.getvalue()


#: Rows on record as refuted that autograd can run on drawn cases.
REFUTED_ROWS = [
    check.id
    for check in CHECKS.values()
    if check.expected == REFUTED and check.cases is not None and "autograd" in check.backends
]


@pytest.mark.parametrize("name", REFUTED_ROWS)
def test_a_snippet_repeats_the_refutation(bench, name, seed):
    """Pasted as it is printed, it refutes again, on the counterexample and with its numbers."""
    found = run_check(CHECKS[name], bench, [], examples=10, seed=seed)
    assert found.verdict == REFUTED
    assert found.counterexample in found.snippet
    printed = printed_by(found.snippet)
    assert printed.startswith(f"{name} [autograd]: refuted, expected refuted.\n")


def test_the_folder_of_hypothesis_stays_out_of_the_users(tmp_path):
    """It keeps constants of the sources in .hypothesis of the working folder, if it is let."""
    code = """
from hypothesis import find, settings, strategies as st
from gradproof import verify
only = {{"only": ["gradient.e/corrected"], "backends": ["autograd"], "models": ["seqdgm"]}}
assert verify(**only, examples=2).evidence
{afterwards}
"""
    # The profile is named since Hypothesis, where CI is set, keeps nothing by itself.
    default = 'settings.get_profile("default")'
    planted = f"find(st.floats(), lambda x: x > 1.0, settings={default})"
    for afterwards, left in (("", []), (planted, [".hypothesis"])):
        run = [sys.executable, "-c", code.format(afterwards=afterwards)]
        subprocess.run(run, cwd=tmp_path, check=True, capture_output=True)
        assert [path.name for path in tmp_path.iterdir()] == left


@pytest.mark.torch
def test_a_snippet_names_the_framework():
    """What PyTorch refuted is repeated in PyTorch."""
    bench = Bench(backends.load("torch"))
    found = run_check(CHECKS["labelled/score-term"], bench, [], examples=5, seed=0)
    assert "backend='torch'" in found.snippet
    assert printed_by(found.snippet).startswith("labelled/score-term [torch]: refuted")


def test_a_snippet_of_what_holds_says_so():
    """The snippet reports what it finds, not what was found."""
    case = GaussianCase(0.5, 0.25)
    source = (
        "from gradproof import GaussianCase, reproduce\n"
        f"print(reproduce('kl.closed_form/gaussian', {case!r}).explain())\n"
    )
    assert printed_by(source).startswith("kl.closed_form/gaussian [autograd]: holds")


def test_evidence_can_be_changed_only_in_a_copy(bench):
    """As all records."""
    compare, _ = recording()
    found = run_check(check_of(compare), bench, [], examples=1, seed=2)
    assert dataclasses.replace(found, seed=3) != found
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.seed = 3


@pytest.mark.parametrize("size", [1e3, 1e150, 1e300])
@pytest.mark.parametrize("check", ["forward/values", "gradient.e/corrected", "objective.c/sampled"])
def test_huge_parameters_are_no_news_to_numpy(bench, check, size):
    """What overflows is in the evidence; here, where warnings are errors, none is in its place."""
    case = typical_tabular(np.random.default_rng(0), sentences=(2, 2), labelled=True)
    subject = case.subject()
    for name, table in subject.parameters.items():
        huge = subject.replace(parameters={**subject.parameters, name: size * table})
        found = run_check(CHECKS[check], bench, [Study(bench, huge)], examples=0, seed=0)
        assert "Warning" not in found.crash
        assert found.verdict != REFUTED
