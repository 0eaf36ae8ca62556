"""pytest plugin: the fixture ``gradproof``, its mark, its options, and what is said at the end.

    def test_reinforce(gradproof):
        gradproof.assert_unbiased(reinforce, [logits], exact=exact)

pytest imports this module in every session in which gradproof is installed, so it imports nothing
that pytest has not; the rest of gradproof is imported when a test asks for a check.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import shlex
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

# Whoever has no pytest has this file nevertheless, and a type checker reads it there too.
import pytest  # type: ignore[import-not-found,unused-ignore]

import gradproof
from gradproof.checks.user import snippet

if TYPE_CHECKING:
    from gradproof.checks.user.estimator_report import EstimatorReport

#: Probability that any sampled check of a test raises a false alarm, by default. It is
#: that of each test, whatever stands beside it: else a test that passes alone would need more draws
#: in a larger session.
ALPHA = 1e-6

#: Under this name a test's report carries what was found: also from worker to controller, and
#: also of a worker that crashed later. JUnit's file has it as properties, one by one, whose names
#: begin with it and the number of the check in its test.
PROPERTY = "gradproof"

#: What a test found, beside the test: see :class:`gradproof.checks.user.session.SessionCheck`.
Facts = dict[str, Any]
CHECKS = pytest.StashKey[list[Facts]]()

#: Facts that are no property of a test: the page's.
FOR_PAGES = ("section", "snippet")

#: What the mark takes.
MARKED = ("paths", "alpha")

#: Under this name the plugins of a session have what was found in it.
SESSION = "gradproof-session"


class Checks:
    """The fixture ``gradproof``: checks with the session's options, recorded.

    Options are those of :func:`gradproof.check_estimator`. What a call does not give comes from the
    mark ``gradproof``, and what that does not give, from the command line.
    """

    def __init__(self, item: Any) -> None:
        self._item = item
        self._mark_options = _mark_options(item)
        self._made = self._sampled = 0
        item.stash[CHECKS] = []  # of a test that is run again, what counts is the last time
        item.user_properties[:] = [
            (name, value) for name, value in item.user_properties if not _is_ours(name)
        ]

    def check(
        self, estimate: Callable[..., Any], inputs: Sequence[Any] = (), **options: Any
    ) -> EstimatorReport:
        """:func:`gradproof.check_estimator`, recorded; a bias does not fail the test."""
        __tracebackhide__ = True
        return self._check(estimate, inputs, options)[0]

    def assert_unbiased(
        self, estimate: Callable[..., Any], inputs: Sequence[Any] = (), **options: Any
    ) -> EstimatorReport:
        """:func:`gradproof.assert_unbiased`, recorded.

        Raises:
            Biased: unless the mean is the exact gradient, with lines that repeat the check.
        """
        __tracebackhide__ = True
        checked, used = self._check(estimate, inputs, options)
        if not checked.unbiased:
            error = gradproof.Biased(checked)
            error.add_note(self._how_to_repeat(estimate, inputs, used))
            raise error
        return checked

    def _check(
        self, estimate: Callable[..., Any], inputs: Sequence[Any], options: Mapping[str, Any]
    ) -> tuple[EstimatorReport, dict[str, Any]]:
        __tracebackhide__ = True
        used = self._defaults(samples=bool(options.get("draws"))) | dict(options)
        self._made += 1
        try:
            checked = gradproof.check_estimator(estimate, inputs, **used)
        except Exception as error:
            name = used.get("name") or getattr(estimate, "__qualname__", type(estimate).__name__)
            repeat = self._how_to_repeat(estimate, inputs, used, snippet.draws_before(error))
            said = f"{type(error).__name__}: {error}"
            self._record({"name": str(name), "error": said}, snippet=repeat)
            error.add_note(repeat)
            raise
        self._sampled += checked.method == "sampled"
        alpha = used.get("alpha", 0.0) if checked.method == "sampled" else 0.0
        page = {}
        if self._item.config.option.gradproof_html:
            repeat = self._how_to_repeat(estimate, inputs, used)
            page["section"] = dataclasses.replace(checked.section(), snippet=repeat).to_json()
        self._record(_facts(checked) | {"alpha": float(alpha)}, **page)
        return checked, used

    def _defaults(self, *, samples: bool) -> dict[str, Any]:
        """What the call need not give: alpha and seed are for what may be sampled."""
        config = self._item.config
        paths = self._mark_options.get("paths", config.option.gradproof_paths)
        given = {} if paths is None else {"paths": paths}
        if not samples:
            return given
        # Halves of halves: however many checks of a test sample, they share what is the test's.
        whole = self._mark_options.get("alpha", config.option.gradproof_alpha)
        return given | {"alpha": whole / 2.0 ** (self._sampled + 1), "seed": self._seed()}

    def _seed(self) -> int:
        """Of this check: the same in any order of tests, and on any worker."""
        what = f"{self._item.config.option.gradproof_seed} {self._item.nodeid} {self._made}"
        return zlib.crc32(what.encode())

    def _record(self, facts: Facts, **for_pages: str) -> None:
        self._item.stash[CHECKS].append(facts | for_pages)
        number = len(self._item.stash[CHECKS])
        self._item.user_properties += [
            (f"{PROPERTY}.{number}.{name}", str(value))
            for name, value in facts.items()
            if value != ""
        ]

    def _how_to_repeat(
        self,
        estimate: Callable[..., Any],
        inputs: Sequence[Any],
        used: Mapping[str, Any],
        draws: Sequence[Any] = (),
    ) -> str:
        known = vars(self._item.module) if hasattr(self._item, "module") else {}
        lines = snippet.lines(str(self._item.path), known, estimate, inputs, used, draws)
        again = f"pytest {shlex.quote(self._item.nodeid)}"
        if "seed" in used:
            again += f" --gradproof-seed={self._item.config.option.gradproof_seed}"
        return f"Once more: {again}\nBy hand:\n{lines}"


def _fixture(request: Any) -> Checks:
    """Checks of gradient estimators: ``check`` and ``assert_unbiased``, with recorded results."""
    return Checks(request.node)


#: Called, not used as a decorator: where pytest is missing, a type checker knows no type of it.
gradproof_fixture = pytest.fixture(name="gradproof")(_fixture)


def _is_ours(name: str) -> bool:
    return name.startswith(f"{PROPERTY}.")


def _facts(checked: EstimatorReport) -> Facts:
    """What the summary says of a check, in types that pass from process to process."""
    worst = max(checked.comparisons, key=lambda one: (one.ratio, one.error))
    return {
        "name": checked.name,
        "verdict": checked.verdict,
        "method": checked.method,
        "paths": int(checked.paths),
        "draws": int(checked.draws),
        "worst": f"{checked.worst.parameter}{list(checked.worst.index) or ''}",
        "off": float(worst.error),
        "bound": float(worst.bound),
        "ratio": float(worst.ratio),
        "detectable": _largest(getattr(checked, "detectable", None)),
        "condition": str(getattr(checked, "condition", "")),
        "along": str(getattr(checked, "along", "")),
    }


def _largest(value: Any) -> float:
    """Of a number, an array, or a mapping of them; 0 for none."""
    if value is None:
        return 0.0
    if isinstance(value, Mapping):
        return max(map(_largest, value.values()), default=0.0)
    return float(value.max() if hasattr(value, "max") else value)


def _mark_options(item: Any) -> dict[str, Any]:
    """The options of the test's marks, the closest first.

    Raises:
        UsageError: for what the mark does not take.
    """
    options: dict[str, Any] = {}
    for mark in item.iter_markers("gradproof"):
        strange = [*map(repr, mark.args), *sorted(set(mark.kwargs) - set(MARKED))]
        if strange:
            raise pytest.UsageError(
                f"{item.nodeid}: the mark gradproof takes paths= and alpha=, not "
                f"{', '.join(strange)}"
            )
        options = mark.kwargs | options
    if not 0.0 < options.get("alpha", ALPHA) < 1.0:
        raise pytest.UsageError(
            f"{item.nodeid}: alpha is {options['alpha']}, should be between 0 and 1"
        )
    return options


# ------------------------------------------------------------------ the session


def pytest_addoption(parser: Any) -> None:
    """Options of the command line."""
    group = parser.getgroup("gradproof", "gradient estimators")
    group.addoption(
        "--gradproof-paths",
        type=_positive,
        metavar="N",
        help="Paths that a check may run at most. Default: that of gradproof.check_estimator.",
    )
    group.addoption(
        "--gradproof-alpha",
        type=_probability,
        default=ALPHA,
        metavar="P",
        help=f"Probability of a false alarm in each test that samples; checks by enumeration need "
        f"none. Default: {ALPHA:g}.",
    )
    for suffix, what in (("html", "a page"), ("json", "a record")):
        group.addoption(
            f"--gradproof-{suffix}",
            metavar="FILE",
            help=f"Write {what} of all checks of the session here.",
        )
    group.addoption(
        "--gradproof-seed",
        type=int,
        metavar="N",
        help="Draw the same samples again. Default: a fresh one, which the summary names.",
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}, should be a number of 1 or more")
    return int(text)


def _probability(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0.0 < float(text) < 1.0:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r}, should be a number between 0 and 1")


def pytest_configure(config: Any) -> None:
    """Register the mark, and choose a seed that workers share."""
    config.addinivalue_line(
        "markers",
        "gradproof(paths, alpha): options of the test's checks of gradient estimators; alpha is "
        "the probability of a false alarm in the test.",
    )
    if config.option.gradproof_seed is None:
        # Not from random's own generator: others seed that, and read it.
        config.option.gradproof_seed = int.from_bytes(os.urandom(4))
    config.pluginmanager.register(Session(), SESSION)
    asked = config.option.gradproof_html or config.option.gradproof_json
    if asked and not hasattr(config, "workerinput"):  # workers send what they found
        config.pluginmanager.import_plugin("gradproof.pytest_files")
        config.pluginmanager.get_plugin("gradproof.pytest_files").check_files(config)


def _carry(item: Any, call: Any) -> Iterator[None]:
    """Let a test's last report carry what its checks found."""
    outcome: Any = yield
    if call.when == "teardown":
        setattr(outcome.get_result(), PROPERTY, item.stash.get(CHECKS, []))


#: Called, not used as a decorator, as above.
pytest_runtest_makereport = pytest.hookimpl(hookwrapper=True)(_carry)


class Session:
    """What one session found."""

    def __init__(self) -> None:
        self.records: list[Facts] = []
        self._failed: set[str] = set()

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Look at all marks, before anything is run."""
        for item in items:
            if "gradproof" in getattr(item, "fixturenames", ()):
                _mark_options(item)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Gather what a test found, wherever it ran."""
        if report.failed:
            self._failed.add(report.nodeid)
        if report.when == "teardown":  # the last of a test, which has all of it
            failed = report.nodeid in self._failed
            for facts in getattr(report, PROPERTY, ()):
                self.records.append({"test": report.nodeid, "failed": failed, **facts})

    def pytest_terminal_summary(self, terminalreporter: Any, config: Any) -> None:
        """Say what was checked, how, and what failed."""
        if self.records:
            terminalreporter.write_sep("=", "gradproof")
            for line in summary(self.records, config.option.gradproof_seed):
                terminalreporter.write_line(line)


def summary(records: Sequence[Mapping[str, Any]], seed: int) -> Iterator[str]:
    """What was checked, how, and what failed, in the order of the tests' names."""
    done = [check for check in records if "error" not in check]
    if enumerated := [check for check in done if check["method"] == "enumerated"]:
        paths = sum(check["paths"] for check in enumerated)
        along = sum(bool(check.get("along")) for check in enumerated)
        only = f", {along} of them along one random direction only" if along else ""
        yield f"enumerated: {len(enumerated)} checks, {paths:,} paths{only}"
    if sampled := [check for check in done if check["method"] == "sampled"]:
        conditions = dict.fromkeys(check["condition"] for check in sampled if check["condition"])
        yield (
            f"sampled: {len(sampled)} checks, which would have seen a bias of "
            f"{max(check['detectable'] for check in sampled):.1e}; probability of a false alarm in "
            f"any of them at most {sum(check['alpha'] for check in sampled):.1e}"
            f"{', if ' if conditions else ''}{' and '.join(conditions)}; seed {seed}"
        )
    bad = [check for check in records if check.get("verdict") != "holds"]
    if expected := sum(not check["failed"] for check in bad):
        yield f"biased or not to be checked, as their tests expect: {expected}"
    for check in sorted(bad, key=lambda check: (check["test"], check["name"])):
        if check["failed"]:
            yield f"{check['test']}: {check['name']}: {_trouble(check)}"


def _trouble(found: Mapping[str, Any]) -> str:
    if "error" in found:
        return f"not checked, {found['error'].splitlines()[0]}"
    why = "rounding" if found["method"] == "enumerated" else "sampling noise"
    along = f" {found['along']}" if found.get("along") else ""
    condition = f", if {found['condition']}" if found["condition"] else ""
    return (
        f"{found['verdict']}{along}{condition}, {found['worst']} is off by {found['off']:.1e}, "
        f"at most {found['bound']:.1e} is {why}"
    )
