"""The object behind the pytest fixture: the package's checks, with a session's options, recorded.

It lives as long as the session, so that Hypothesis takes it under ``@given``; the plugin tells it
which test is running.
"""

from __future__ import annotations

import dataclasses
import shlex
import sys
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

# Whoever has no pytest has this file nevertheless, and a type checker reads it there too.
import pytest  # type: ignore[import-not-found,unused-ignore]

import gradproof
from gradproof.checks.user import snippet
from gradproof.checks.user.code_name import code_name

if TYPE_CHECKING:
    import gradproof.policies
    from gradproof.checks.sequential.mean_test import MeanTest
    from gradproof.checks.sequential.sampler_test import SamplerTest
    from gradproof.checks.user.estimator_report import EstimatorReport
    from gradproof.checks.user.invariances import InvarianceReport
    from gradproof.checks.user.surrogate import SurrogateReport
    from gradproof.estimators.policies.autoregressive import Autoregressive
    from gradproof.estimators.policies.goal import Goal

#: Under this name a test's report carries what was found: also from worker to controller, and
#: also of a worker that crashed later. JUnit's file has it as properties, one by one, whose names
#: begin with it and the number of the check in its test.
PROPERTY = "gradproof"

#: What a test on samples says that found nothing: it is no proof.
NOT_REFUTED = "not refuted"

#: What a test found, beside the test: see :class:`gradproof.checks.user.session.SessionCheck`.
Facts = dict[str, Any]
CHECKS = pytest.StashKey[list[Facts]]()

#: Facts that are no property of a test: the page's.
FOR_PAGES = ("section", "snippet", "said")


class Checks:
    """The fixture ``gradproof_checks``: the checks of the package, recorded.

    Each method is the function of the package that it is named after, with the same arguments. What
    a call does not give comes from the mark ``gradproof``, and what that does not give, from the
    command line. A bias fails no test but in :meth:`assert_unbiased`.
    """

    def __init__(self, mark_options: Callable[[Any], Mapping[str, Any]]) -> None:
        self._mark_options = mark_options
        self._test: _Test | None = None

    def begin(self, item: Any) -> None:
        """A test is about to run."""
        self._test = _Test(item, self._mark_options(item))

    def end(self) -> None:
        """It has run: tests on samples that it made are read."""
        if self._test is not None:
            self._test.read_tests()
            self._test = None

    def check_estimator(
        self, estimate: Callable[..., Any], inputs: Sequence[Any] = (), **options: Any
    ) -> EstimatorReport:
        """:func:`gradproof.check_estimator`, recorded."""
        report: EstimatorReport = self._estimator(estimate, inputs, options)[0]
        return report

    def assert_unbiased(
        self, estimate: Callable[..., Any], inputs: Sequence[Any] = (), **options: Any
    ) -> EstimatorReport:
        """:func:`gradproof.assert_unbiased`, recorded.

        Raises:
            Biased: as that, with lines that repeat the check.
        """
        report, used = self._estimator(estimate, inputs, options)
        if not report.accepted:
            error = gradproof.Biased(report)
            error.add_note(self._running.how_to_repeat("check_estimator", estimate, inputs, used))
            raise error
        return report

    def check_surrogate(
        self, surrogate: Callable[..., Any], inputs: Sequence[Any] = (), **options: Any
    ) -> SurrogateReport:
        """:func:`gradproof.check_surrogate`, recorded."""
        used = self._running.paths() | options
        report: SurrogateReport = self._check("check_surrogate", surrogate, inputs, used)
        return report

    def check_invariances(
        self, make: Callable[..., Callable[..., Any]], inputs: Sequence[Any] = (), **options: Any
    ) -> InvarianceReport:
        """:func:`gradproof.check_invariances`, recorded."""
        used = self._running.paths() | options
        report: InvarianceReport = self._check("check_invariances", make, inputs, used)
        return report

    def check_loss(
        self, policy: Autoregressive, loss: Callable[..., Any], goal: Goal, **options: Any
    ) -> EstimatorReport:
        """:func:`gradproof.policies.check_loss`, recorded."""
        used = self._running.options(options)
        report: EstimatorReport = self._check("check_loss", loss, (policy, goal), used)
        return report

    def mean_test(self, exact: Any, **options: Any) -> MeanTest:
        """:class:`gradproof.MeanTest`, recorded when the test ends."""
        test = gradproof.MeanTest(exact, **(self._running.share_of_alpha() | options))
        self._running.watch("mean_test", test)
        return test

    def sampler_test(self, log_probabilities: Any, **options: Any) -> SamplerTest:
        """:class:`gradproof.SamplerTest`, recorded when the test ends."""
        options = self._running.share_of_alpha() | options
        test = gradproof.SamplerTest(log_probabilities, **options)
        self._running.watch("sampler_test", test)
        return test

    @property
    def _running(self) -> _Test:
        if self._test is None:
            raise RuntimeError("no test is running: ask the fixture for a check in a test")
        return self._test

    def _estimator(
        self, estimate: Callable[..., Any], inputs: Sequence[Any], options: Mapping[str, Any]
    ) -> tuple[Any, Facts]:
        used = self._running.options(options)
        return self._check("check_estimator", estimate, inputs, used), used

    def _check(
        self, check: str, code: Callable[..., Any], inputs: Sequence[Any], used: Mapping[str, Any]
    ) -> Any:
        test = self._running
        test.made += 1
        started = time.perf_counter()
        try:
            report = _call(check, code, inputs, used)
        except Exception as error:
            name = used.get("name") or code_name(code)
            said = f"{type(error).__name__}: {error}"
            draws = snippet.draws_before(error)
            repeat = test.how_to_repeat(check, code, inputs, used, draws)
            test.record({"check": check, "name": str(name), "error": said}, snippet=repeat)
            error.add_note(repeat)
            raise
        facts = _facts(report)
        is_sampled = facts["method"] != "enumerated"
        test.sampled += is_sampled
        alpha = float(used.get("alpha", 0.0)) if is_sampled else 0.0
        seconds = time.perf_counter() - started
        page = {}
        if test.has_page:
            repeat = test.how_to_repeat(check, code, inputs, used)
            page["section"] = dataclasses.replace(report.section(), snippet=repeat).to_json()
        test.record({"check": check, **facts, "alpha": alpha, "seconds": seconds}, **page)
        return report


def _call(
    check: str, code: Callable[..., Any], inputs: Sequence[Any], used: Mapping[str, Any]
) -> Any:
    if check != "check_loss":
        return getattr(gradproof, check)(code, inputs, **used)
    policy, goal = inputs
    # A test that has a policy has imported the module, and no other session should.
    return gradproof.policies.check_loss(policy, code, goal, **used)


class _Test:
    """One test while it runs: what its checks are given, and what they found."""

    def __init__(self, item: Any, mark_options: Mapping[str, Any]) -> None:
        self._item, self._mark_options = item, mark_options
        self._example: object = None
        self._watched: list[tuple[str, Any]] = []
        self.made = self.sampled = 0
        item.stash[CHECKS] = []  # of a test that is run again, what counts is the last time
        item.user_properties[:] = [
            pair for pair in item.user_properties if not pair[0].startswith(f"{PROPERTY}.")
        ]

    @property
    def has_page(self) -> bool:
        """Whether the session writes a page, which takes more than facts."""
        return bool(self._item.config.option.gradproof_html)

    def paths(self) -> Facts:
        """The paths that a check may run, where a mark or the command line says."""
        paths = self._mark_options.get("paths", self._item.config.option.gradproof_paths)
        return {} if paths is None else {"paths": paths}

    def options(self, of_call: Mapping[str, Any]) -> Facts:
        """The options of a check that may sample: those of the call, and before them the test's."""
        used = self.paths()
        if of_call.get("draws"):  # alpha and seed are for what may be sampled
            used |= self.share_of_alpha() | {"seed": self.seed()}
        return used | dict(of_call)

    def share_of_alpha(self) -> Facts:
        """What the next check that samples may take of the test's alpha.

        The test has the session's alpha over the number of tests that there may be, whatever stands
        beside it. Its k-th check has 1/(k (k + 1)) of that, of which all together, however many,
        take less than 1 (1/(k (k + 1)) = 1/k - 1/(k + 1)). Under Hypothesis each of
        ``max_examples`` examples has its part of the test's alpha, and one that is run again
        has the same once more, so that it comes to the same verdict.
        """
        option = self._item.config.option
        of_test = option.gradproof_alpha / option.gradproof_tests
        whole = self._mark_options.get("alpha", of_test) / self._begin_example()
        k = self.sampled + 1
        return {"alpha": whole / (k * (k + 1))}

    def seed(self) -> int:
        """Of the next check: the same in any order of tests, and on any worker."""
        self._begin_example()
        what = f"{self._item.config.option.gradproof_seed} {self._item.nodeid} {self.made + 1}"
        return zlib.crc32(what.encode())

    def _begin_example(self) -> int:
        """How many examples Hypothesis may draw; with each of them, counting begins anew."""
        hypothesis = sys.modules.get("hypothesis")
        if hypothesis is None or not hypothesis.currently_in_test_context():
            return 1
        example = sys.modules["hypothesis.control"].current_build_context()
        if example is not self._example:
            self._example = example
            self.made = self.sampled = 0
        return int(hypothesis.settings.default.max_examples)

    def watch(self, check: str, test: Any) -> None:
        """Note a test that samples will be fed to."""
        self.sampled += 1
        self._watched.append((check, test))

    def read_tests(self) -> None:
        """What samples showed, now that no more come."""
        for check, test in self._watched:
            name = type(test).__name__
            try:
                result = test.found()
            except gradproof.GradproofError as error:
                said = f"{type(error).__name__}: {error}"
                self.record({"check": check, "name": name, "error": said}, snippet="")
            else:
                facts = _facts_of_samples(result)
                self.record({"check": check, "name": name, **facts}, said=result.explain())
        self._watched.clear()

    def record(self, facts: Facts, **for_pages: str) -> None:
        """Let the test's report carry what a check found."""
        self._item.stash[CHECKS].append(facts | for_pages)
        number = len(self._item.stash[CHECKS])
        self._item.user_properties += [
            (f"{PROPERTY}.{number}.{name}", str(value))
            for name, value in facts.items()
            if value != ""
        ]

    def how_to_repeat(
        self,
        check: str,
        code: Callable[..., Any],
        inputs: Sequence[Any],
        used: Mapping[str, Any],
        draws: Sequence[Any] = (),
    ) -> str:
        """The command that repeats this test, and the lines that repeat the check."""
        known = vars(self._item.module) if hasattr(self._item, "module") else {}
        lines = snippet.lines(str(self._item.path), known, code, inputs, used, draws, check=check)
        again = f"pytest {shlex.quote(self._item.nodeid)}"
        if "seed" in used:
            again += f" --gradproof-seed={self._item.config.option.gradproof_seed}"
        return f"Once more: {again}\nBy hand:\n{lines}"


def _facts(report: Any) -> Facts:
    """What the summary says of a check, in types that pass from process to process."""
    comparisons = report.comparisons
    if isinstance(comparisons, Mapping):
        comparisons = tuple(comparisons.values())
    worst = max(comparisons, key=lambda one: (one.ratio, one.error))
    return {
        "name": report.name,
        "verdict": report.verdict,
        "method": getattr(report, "method", "enumerated"),
        "paths": int(getattr(report, "paths", 0)),
        "draws": int(getattr(report, "draws", 0)),
        "worst": f"{worst.what}{list(worst.index) or ''}",
        "off": float(worst.error),
        "bound": float(worst.bound),
        "ratio": float(worst.ratio),
        "detectable": _largest(getattr(report, "detectable", None)),
        "condition": str(getattr(report, "condition", "")),
        "along": str(getattr(report, "along", "")),
    }


def _facts_of_samples(result: Any) -> Facts:
    """The same of a test that samples were fed to."""
    is_mean = hasattr(result, "mean")
    found, exact = (
        (result.mean, result.exact) if is_mean else (result.frequency, result.probability)
    )
    undecided = is_mean and not result.bets and not result.rejected
    return {
        "verdict": "refuted" if result.rejected else "undecided" if undecided else NOT_REFUTED,
        "method": "sampled",
        "paths": 0,
        "draws": int(result.draws),
        "worst": f"{'mean of coordinate' if is_mean else 'frequency of label'} {result.worst}",
        "off": abs(float(found) - float(exact)),
        "bound": float(result.detectable[result.worst]),
        "detectable": _largest(result.detectable),
        "condition": str(getattr(result, "condition", "")),
        "alpha": float(result.alpha),
        "seconds": 0.0,
    }


def _largest(value: Any) -> float:
    """Of a number, an array, or a mapping of them; 0 for none."""
    if value is None:
        return 0.0
    if isinstance(value, Mapping):
        return max(map(_largest, value.values()), default=0.0)
    return float(value.max() if hasattr(value, "max") else value)
