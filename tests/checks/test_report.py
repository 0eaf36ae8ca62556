"""Every report has a line, a small table and a page, and no truth value."""

import dataclasses
import math

import numpy as np
import pytest

from gradproof import (
    Biased,
    MeanTest,
    SamplerTest,
    assert_unbiased,
    check_estimator,
    check_invariances,
)
from gradproof.checks.evidence import Comparison, Evidence
from gradproof.checks.note.verification import Verification
from gradproof.checks.report import Report
from gradproof.checks.user.estimator_report import Bias, EstimatorReport
from gradproof.checks.user.surrogate import SurrogateReport
from gradproof.checks.user.surrogate_runs import Gradcheck

HOSTILE = "<script>alert(1)</script>\n| `x`"


def estimator_report(**changes):
    """A small one, that is refuted."""
    arrays = {HOSTILE: np.array([1.0, 2.0])}
    report = EstimatorReport(
        name=HOSTILE,
        verdict="refuted",
        method="enumerated",
        comparisons=(Comparison(HOSTILE, 2, 0.5, 1e-12, 1.0, "a", index=(1,)),),
        worst=Bias(HOSTILE, (1,), 2.0, 1.5),
        mean=arrays,
        variance=arrays,
        exact={HOSTILE: np.array([1.0, 1.5])},
        paths=3,
        draws=1,
        seconds=0.5,
    )
    return dataclasses.replace(report, **changes)


def surrogate_report():
    """One of what was compared on one path, with no stop-gradient."""
    comparison = Comparison(HOSTILE, 1, 0.0, 1e-12, 1.0, "a")
    gradcheck = Gradcheck(None, HOSTILE)
    return SurrogateReport(
        HOSTILE, "holds", 1, (comparison,), None, (HOSTILE,), (), gradcheck, 1, 0.5
    )


def invariance_report():
    """Of an estimator whose baseline may be shifted."""

    def make(baseline=lambda b: b):
        return lambda x: x * (1.0 + 0.0 * baseline(1.0))

    return check_invariances(make, [np.ones(2)])


def verification(evidence=()):
    """With a framework that is missing, a check that was not run, and maybe evidence."""
    return Verification(evidence, HOSTILE, HOSTILE, "f", 1, {HOSTILE: HOSTILE}, {"kl": HOSTILE})


def crashed():
    """Evidence without a number."""
    nan = math.nan
    return Evidence(
        "gradient.e", "printed", "torch", HOSTILE, "holds", "undecided", 0, nan, nan, nan, "", "",
        math.inf, "", (), 1, 0.5, crash=HOSTILE,
    )  # fmt: skip


KINDS = {
    "estimator": estimator_report,
    "nan": lambda: estimator_report(mean={HOSTILE: np.array([1.0, math.nan])}),
    "empty array": lambda: estimator_report(
        **{
            name: {HOSTILE: np.array([1.0, 2.0]), "none": np.ones((2, 0))}
            for name in ("mean", "variance", "exact")
        },
        comparisons=(
            Comparison("none", 0, 0.0, 0.0, 0.0, "a", coarsest=0.0),
            Comparison(HOSTILE, 2, 0.5, 1e-12, 1.0, "a", index=(1,)),
        ),
    ),
    "sampled": lambda: estimator_report(
        method="sampled", paths=0, draws=99, detectable=0.5, condition=HOSTILE, verdict="holds"
    ),
    "surrogate": surrogate_report,
    "invariances": invariance_report,
    "verification": verification,
    "crashed": lambda: verification((crashed(),)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_report_has_no_truth_value(kind):
    """`if check_estimator(...)` was always true; the message says what to ask."""
    report = KINDS[kind]()
    with pytest.raises(TypeError, match=r"neither true nor false.*ask report\.") as told:
        bool(report)
    name = str(told.value).rpartition("ask report.")[2].split()[0].rstrip(",")
    assert hasattr(report, name), name


def test_results_of_tests_have_no_truth_value_either():
    """Of a mean, and of a sampler: a result that rejects nothing is no reason to pass, either."""
    mean, sampler = MeanTest([0.0], low=-1.0, high=1.0), SamplerTest(np.log([0.5, 0.5]))
    mean.feed(np.ones((3, 1)))
    sampler.feed([0, 1, 1])
    for result in (mean.found(), sampler.found()):
        with pytest.raises(TypeError, match=r"ask result\.rejected"):
            bool(result)
        assert result.rejected in (False, True)


def test_an_assertion_of_a_report_fails():
    """The planted bug: a test that is passed by every estimator, right or wrong."""

    def doubled(x):
        return 2.0 * x

    with pytest.raises(TypeError, match=r"ask report\.unbiased"):
        assert check_estimator(doubled, [np.ones(2)], exact=np.ones(2))
    with pytest.raises(Biased):
        assert_unbiased(doubled, [np.ones(2)], exact=np.ones(2))


@pytest.mark.parametrize("kind", KINDS)
def test_a_line(kind):
    """One line, with the name of its class, and no array in it."""
    report = KINDS[kind]()
    line = repr(report)
    assert "\n" not in line
    assert line.startswith(f"<{type(report).__name__} ")
    assert "array(" not in line
    assert report.headline().verdict in line


def test_a_line_says_where_it_is_worst():
    """And for a sampled one what its verdict rests on, which must not be left out."""
    line = repr(estimator_report(name="reinforce"))
    assert line.startswith("<EstimatorReport reinforce: refuted; ")
    assert line.endswith("is off by 5.0e-01, at most 1.0e-12 is rounding>")
    sampled = KINDS["sampled"]()
    assert "is sampling noise, if <script>" in repr(sampled)


@pytest.mark.parametrize("kind", KINDS)
def test_pages_and_tables(kind, tmp_path):
    """They can be made of every kind; what is hostile in them is text."""
    report = KINDS[kind]()
    report.to_html(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page == report.page()
    for text in (page, report._repr_html_(), report._repr_markdown_()):
        assert "<script" not in text
        assert report.headline().verdict in text.replace("\\", "")
    for section in report.sections():
        assert section.title


def test_entries_that_are_no_number_come_first():
    """They are the farthest off, and are shown as what they are."""
    mean = {"a": np.array([1.0, math.nan, 2.0]), "b": np.array(9.0)}
    exact = {"a": np.zeros(3), "b": np.array(0.0)}
    report = estimator_report(
        mean=mean, exact=exact, variance=exact, worst=Bias("a", (1,), math.nan, 0.0),
        comparisons=(
            Comparison("a", 3, math.inf, 1e-12, 1.0, "f", "a is NaN in 1 entries", index=(1,)),
            Comparison("b", 1, 9.0, 1e-12, 1.0, "f"),
        ),
    )  # fmt: skip
    assert report.headline().worst == "a is NaN in 1 entries"
    entries = report.section().tables[1].rows
    assert [row[0] for row in entries] == ["a[1]", "b", "a[2]", "a[0]"]
    assert entries[0][3] == "nan"


def test_a_page_can_have_another_command():
    """The command line knows how it was called, and the report does not."""
    report = estimator_report(snippet="check_estimator(f)")
    assert "check_estimator(f)" in report.page()
    page = report.page(repeat="gradproof check f.py:f")
    assert "gradproof check f.py:f" in page
    assert "check_estimator(f)" not in page


def test_a_page_that_cannot_be_written_is_an_error(tmp_path):
    """As of any file."""
    with pytest.raises(FileNotFoundError):
        estimator_report().to_html(tmp_path / "none" / "report.html")


def test_surprises_come_before_what_is_refuted_as_recorded():
    """Whoever opens the page of a verification looks for these."""
    refuted = dataclasses.replace(
        crashed(), crash="", verdict="refuted", expected="refuted", error=1.0, bound=0.1, signal=1.0
    )
    titles = [one.verdict for one in verification((refuted, crashed())).sections()]
    assert titles == ["not as recorded", "crashed", "refuted"]


def test_every_report_is_one():
    """Those that a public function returns."""
    direct = Report.__subclasses__()
    kinds = {kind.__name__ for base in direct for kind in (base, *base.__subclasses__())}
    assert kinds >= {"EstimatorReport", "InvarianceReport", "SurrogateReport", "Verification"}
