"""pytest plugin: the fixture ``gradproof_checks``, the mark ``gradproof``, options, a summary.

    def test_reinforce(gradproof_checks):
        gradproof_checks.assert_unbiased(reinforce, [logits], exact=exact)

pytest imports this module in every session in which gradproof is installed, so it and what it
imports import nothing that pytest has not; the rest of gradproof is imported when a test asks for a
check.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import traceback
from collections.abc import Iterator
from typing import Any

# Whoever has no pytest has this file nevertheless, and a type checker reads it there too.
import pytest  # type: ignore[import-not-found,unused-ignore]

from .recorded_checks import CHECKS, PROPERTY, Checks, Facts
from .session_summary import statistics, summary

#: Probability that any sampled check of a session raises a false alarm, and the number of tests
#: that it is shared among, by default. Each test has its part whatever stands beside it: else a
#: test that passes alone would need more draws in a larger session. By Bonferroni's inequality
#: the whole is kept as long as no more tests sample.
ALPHA, TESTS = 1e-3, 1000

#: What the mark takes.
MARKED = ("paths", "alpha")

#: Under this name the plugins of a session have what was found in it.
SESSION = "gradproof-session"

#: The fixture's name: not the package's, which a test file may import.
FIXTURE = "gradproof_checks"


def _fixture(request: Any) -> Checks:
    """Checks of gradient estimators: the functions of gradproof, with recorded results."""
    return request.config.pluginmanager.get_plugin(SESSION).checks


#: Called, not used as a decorator: where pytest is missing, a type checker knows no type of it. It
#: lasts for the session, since Hypothesis warns of one that lasts for a test.
gradproof_fixture = pytest.fixture(name=FIXTURE, scope="session")(_fixture)


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
        help=f"Probability of a false alarm in the session, of tests that sample; checks by "
        f"enumeration need none. Default: {ALPHA:g}.",
    )
    group.addoption(
        "--gradproof-tests",
        type=_positive,
        default=TESTS,
        metavar="N",
        help=f"Tests that it is shared among, alike; a test has the same alone as beside others. "
        f"Default: {TESTS}.",
    )
    group.addoption(
        "--gradproof-statistics",
        action="store_true",
        help="Show a line for each check: verdict, paths, draws, seconds, the worst entry.",
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


class Session:
    """What one session found."""

    def __init__(self) -> None:
        self.records: list[Facts] = []
        self._failed: set[str] = set()
        #: The fixture, which is one for all tests.
        self.checks = Checks(_mark_options)

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Look at all marks, before anything is run."""
        for item in items:
            if FIXTURE in getattr(item, "fixturenames", ()):
                _mark_options(item)

    def _begin(self, item: Any) -> None:
        """Checks are this test's from now on."""
        self.checks.begin(item)

    def pytest_runtest_teardown(self) -> None:
        """Read what a test was fed."""
        self.checks.end()

    def _make_report(self, item: Any, call: Any) -> Iterator[None]:
        """Show a failure without frames of this package, where they tell nothing."""
        with _hidden(call.excinfo, str(item.config.rootpath)):
            outcome: Any = yield
        if call.when == "teardown":  # the last report of a test carries what its checks found
            setattr(outcome.get_result(), PROPERTY, item.stash.get(CHECKS, []))

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
        if not self.records:
            return
        option = config.option
        terminalreporter.write_sep("=", "gradproof")
        lines = [
            *summary(
                self.records, option.gradproof_seed, option.gradproof_alpha, option.gradproof_tests
            ),
            *(statistics(self.records) if option.gradproof_statistics else ()),
        ]
        for line in lines:
            terminalreporter.write_line(line)

    #: Called, not used as decorators, as above. First, or a fixture's checks would be those of the
    #: test before.
    pytest_runtest_setup = pytest.hookimpl(tryfirst=True)(_begin)
    pytest_runtest_makereport = pytest.hookimpl(hookwrapper=True)(_make_report)


@contextlib.contextmanager
def _hidden(excinfo: Any, root: str) -> Iterator[None]:
    """Frames of this package are hidden while a failure is shown; --full-trace shows them.

    Only where the error is one of its own, which says all, or comes from the user's code that it
    called: an error that it makes itself is a bug, of which every frame matters.
    """
    errors = [] if excinfo is None else [*_chain(excinfo.value)]
    scopes = [frame.f_globals for error in errors for frame in _frames_to_hide(error, root)]
    for scope in scopes:
        scope["__tracebackhide__"] = True
    try:
        yield
    finally:
        for scope in scopes:
            scope.pop("__tracebackhide__", None)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it came from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _frames_to_hide(error: BaseException, root: str) -> list[Any]:
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    places = [place for place, frame in enumerate(frames) if _is_ours(frame)]
    below = frames[places[-1] + 1 :] if places else []
    called = any(frame.f_code.co_filename.startswith(root) for frame in below)
    own = any(
        f"{kind.__module__}.{kind.__name__}" == "gradproof.errors.GradproofError"
        for kind in type(error).__mro__
    )
    return [frames[place] for place in places] if called or own else []


def _is_ours(frame: Any) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] == "gradproof"
