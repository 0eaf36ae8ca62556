"""The pytest fixture under Hypothesis, all its checks, its statistics, and what tracebacks show."""

import importlib
import math
import textwrap

import pytest

from .test_pytest_plugin import given, section, session

pytest_plugins = ["pytester"]

__all__ = ["session"]  # a fixture, used by name

HYPOTHESIS = """
from hypothesis import given, note, settings, strategies as st

# Where all costs are zero no path has a gradient, and nothing could be seen.
costs = st.lists(st.integers(-3, 3), min_size=2, max_size=4).filter(any)

def gradient(c):
    c = np.array(c, float)
    return (c - c.mean()) / len(c)

def estimator(c, factor=1.0):
    q = np.full(len(c), 1.0 / len(c))

    def estimate(theta):
        k = rng.choice(len(c), p=q)
        return factor * c[k] * (np.eye(len(c))[k] - q)
    return estimate

def check(fixture, c, factor=1.0, **options):
    theta = np.zeros(len(c))
    return fixture.assert_unbiased(estimator(c, factor), [theta], exact=gradient(c), **options)
"""

RIGHT = """
@settings(max_examples=20, deadline=None, database=None)
@given(c=costs)
def test_right(gradproof_checks, c):
    check(gradproof_checks, c)
"""

WRONG = """
@settings(max_examples=50, deadline=None, database=None)
@given(c=costs)
def test_wrong(gradproof_checks, c):
    check(gradproof_checks, c, factor=2.0)
"""


def test_hypothesis_draws_examples_for_it(session):
    """No health check fires, and the summary counts every example."""
    result = session(HYPOTHESIS, RIGHT, options=["--gradproof-statistics"])
    result.assert_outcomes(passed=1)
    counted, line = section(result)
    assert counted.startswith("enumerated: 20 checks, ")
    assert line.startswith(
        "test_mine.py::test_right: check_estimator estimator.<locals>.estimate: holds 20; paths "
    )


def test_a_fixture_of_a_test_would_be_refused(session):
    """Why it lasts for the session: were it made for each test, Hypothesis would fail the test."""
    own = """
    @pytest.fixture(name="gradproof_checks")
    def _for_each_test(gradproof_checks):
        return gradproof_checks
    """
    result = session(HYPOTHESIS, textwrap.dedent(own), RIGHT)
    result.assert_outcomes(failed=1)
    assert "function-scoped fixture 'gradproof_checks'" in str(result.stdout)


def test_what_hypothesis_shrinks_is_told_once(session):
    """A bias is found and shrunk; the lines that repeat the smallest example are shown."""
    result = session(HYPOTHESIS, WRONG)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *Biased: *refuted, by 2 paths*", "E *Once more: pytest *"])
    assert "Flaky" not in str(result.stdout)
    *_, line = section(result)
    assert line.startswith("test_mine.py::test_wrong: estimator.<locals>.estimate: refuted, ")
    assert line.endswith("times; this is the last)")


NOTING = """
import json

enumerated = package.check_estimator

@pytest.fixture(autouse=True, scope="module")
def noting():
    def check(estimate, inputs, *, exact, alpha, seed, draws):
        with open("given.txt", "a") as file:
            print(json.dumps([str(exact.tolist()), alpha, seed]), file=file)
        return dataclasses.replace(enumerated(estimate, inputs, exact=exact), method="sampled")
    package.check_estimator, was = check, package.check_estimator
    yield
    package.check_estimator = was

@settings(max_examples=20, deadline=None, database=None)
@given(c=costs)
def test_sampled(gradproof_checks, c):
    check(gradproof_checks, c, draws=9)
    check(gradproof_checks, c, draws=9)
"""


def test_examples_share_the_alpha_of_their_test(session, pytester):
    """Each has its part, the same when it is run again: as if Hypothesis replays it."""
    options = ["--gradproof-alpha=1e-3", "--gradproof-tests=10"]
    result = session("import dataclasses", HYPOTHESIS, NOTING, options=options)
    result.assert_outcomes(passed=1)
    numbers = [row for rows in given(pytester).values() for row in rows]
    first, second = (1e-4 / 20 / 2, 1e-4 / 20 / 6)
    assert len(numbers) == 40
    assert {round(math.log(alpha), 9) for alpha, _ in numbers} == {
        round(math.log(first), 9),
        round(math.log(second), 9),
    }
    assert math.fsum(alpha for alpha, _ in numbers) < 1e-4
    # By alpha, the first and the second check of an example, each with one seed in all of them.
    assert len({(round(math.log(alpha), 9), seed) for alpha, seed in numbers}) == 2


def test_more_tests_than_were_stated_are_named(session):
    """The alpha of a session is kept for so many tests; beyond that the summary says what is."""
    sampled = """
    @pytest.mark.parametrize("number", range(4))
    def test_many(gradproof_checks, number):
        gradproof_checks.sampler_test(np.log([0.5, 0.5])).feed([0, 1])
    """
    few = ["--gradproof-tests=1"]
    line, told = section(session(textwrap.dedent(sampled), options=few))
    assert "at most 2.0e-03" in line  # each has half of 1e-3
    assert told == (
        "that is more than --gradproof-alpha=0.001, which is shared among --gradproof-tests=1: "
        "4 tests sampled; state as many, or give marks and calls a smaller alpha"
    )
    (line,) = section(session(textwrap.dedent(sampled), options=["--gradproof-tests=4"]))
    assert "at most 5.0e-04" in line


ALL = """
def make(cost=lambda f: f, baseline=lambda b: b):
    def estimate(theta):
        k = rng.choice(3, p=q)
        return (cost(c[k]) - baseline({baseline})) * (np.eye(3)[k] - q)
    return estimate

def surrogate(theta):
    return {factor} * (theta**2).sum() * c[rng.choice(3, p=q)]

def test_surrogate(gradproof_checks):
    def gradient(theta):
        return 2.0 * theta * c[rng.choice(3, p=q)]
    found = gradproof_checks.check_surrogate(surrogate, [theta + 1.0], gradient=gradient)
    assert found.right

def test_invariances(gradproof_checks):
    assert gradproof_checks.check_invariances(make, [theta]).verdict == "holds"

def test_labels(gradproof_checks):
    test = gradproof_checks.sampler_test(np.log(q))
    assert not test.feed(rng.choice(3, size=300, p={drawn}))

def test_mean(gradproof_checks):
    test = gradproof_checks.mean_test([0.5], low=0.0, high=1.0)
    assert not test.feed(rng.random((3000, 1)) ** {power})
"""

PLANTED = {"baseline": "c[k]", "factor": 3.0, "drawn": "[0.0, 0.0, 1.0]", "power": 4}


def test_all_checks_are_there(session):
    """Each is recorded, and counted in the summary."""
    right = {"baseline": 1.0, "factor": 1.0, "drawn": "q", "power": 1}
    result = session(ALL.format(**right), options=["--gradproof-statistics"])
    result.assert_outcomes(passed=4)
    enumerated, sampled, *lines = section(result)
    assert enumerated.startswith("enumerated: 2 checks, 3 paths")
    assert sampled.startswith("sampled: 2 checks, which would have seen a bias of")
    checks = {line.split(": ")[1].split()[0] for line in lines}
    assert checks == {"check_surrogate", "check_invariances", "mean_test", "sampler_test"}
    assert sum("not refuted 1" in line for line in lines) == 2


@pytest.mark.parametrize("planted", PLANTED)
def test_what_each_check_finds_is_in_the_summary(session, planted):
    """One is wrong, and named with its numbers."""
    some = {"baseline": 1.0, "factor": 1.0, "drawn": "q", "power": 1}
    result = session(ALL.format(**(some | {planted: PLANTED[planted]})))
    result.assert_outcomes(passed=3, failed=1)
    (line,) = [line for line in section(result) if line.startswith("test_mine.py::")]
    test = {
        "baseline": "test_invariances", "factor": "test_surrogate", "drawn": "test_labels",
        "power": "test_mean",
    }[planted]  # fmt: skip
    assert line.startswith(f"test_mine.py::{test}: ")
    assert ": refuted, " in line


def test_the_fixture_may_be_asked_for_by_name(session):
    """While the test runs, as request.getfixturevalue does."""
    result = session(
        "def test_it(request):\n    checks = request.getfixturevalue('gradproof_checks')\n"
        "    assert checks.check_estimator(right, [theta], exact=exact).unbiased\n"
    )
    result.assert_outcomes(passed=1)
    assert section(result) == ["enumerated: 1 checks, 3 paths"]


def test_a_test_on_samples_that_got_none_is_no_pass(session):
    """It says so."""
    result = session(
        "def test_it(gradproof_checks):\n    gradproof_checks.sampler_test(np.log(q))\n"
        "    raise KeyError('forgotten')\n"
    )
    result.assert_outcomes(failed=1)
    (line,) = section(result)
    assert line.endswith("SamplerTest: not checked, NothingCompared: zero labels: a verdict needs "
                         "at least one; feed it draws")  # fmt: skip


# ------------------------------------------------------------------ tracebacks

DIRECT = """
def many(theta):
    return theta * rng.integers(10**6)

def test_own_error():
    package.check_estimator(many, [theta], exact=exact)

def test_in_the_estimator():
    package.check_estimator(raises, [theta], exact=exact)
"""


def frames(result):
    """The files of this package that a failure shows."""
    return [line for line in result.outlines if "gradproof" in line and ".py:" in line]


def test_tracebacks_show_no_frames_of_the_package(session):
    """Of an error of its own, or of the estimator that it ran, by the fixture or without."""
    result = session(DIRECT)
    result.assert_outcomes(failed=2)
    shown = [line for line in frames(result) if not line.startswith(("test_mine.py", "FAILED"))]
    assert shown == []
    text = str(result.stdout)
    assert ">       raise KeyError" in text or 'raise KeyError("two")' in text
    assert "TooManyPaths" in text
    whole = session(DIRECT, options=["--full-trace"])
    assert any("checks/user/estimator.py" in line for line in frames(whole))


def test_a_bug_of_the_package_shows_where_it_is(session):
    """Planted: an error that neither the estimator raises nor the package means to."""
    planted = """
    def test_bug(monkeypatch, gradproof_checks):
        import gradproof.checks.user.estimator as module
        monkeypatch.delattr(module, "exact_gradient")
        gradproof_checks.check_estimator(right, [theta], exact=exact)
    """
    result = session(textwrap.dedent(planted))
    result.assert_outcomes(failed=1)
    assert any("checks/user/estimator.py" in line for line in frames(result))
    module = importlib.import_module("gradproof.checks.user.estimator")
    assert not hasattr(module, "__tracebackhide__")


HEAVIEST = """
def test_heaviest(gradproof_checks):
    def estimate(theta):
        return np.array([sum(rng.random() < 0.99 for _ in range(6))]) * theta

    report = gradproof_checks.assert_unbiased(
        estimate, [np.ones(1)], exact=np.array([5.94]), paths=7, draws=2500, strategy="heaviest"
    )
    assert report.method == "heaviest"
"""


def test_the_heaviest_paths_count_as_a_sampled_check(session):
    """Its verdict may be a false alarm, so that it has a share of the session's."""
    result = session(HEAVIEST, options=["--gradproof-alpha=1e-3", "--gradproof-tests=1"])
    result.assert_outcomes(passed=1)
    (line,) = section(result)
    assert line.startswith("sampled: 1 checks, which would have seen a bias of")
    assert "at most 5.0e-04, if no outcome rarer than" in line


LOSS = """
import torch
from gradproof import policies

table = torch.nn.Embedding.from_pretrained(
    torch.tensor([[0.1, 0.4], [-0.3, 0.2]], dtype=torch.float64), freeze=False
)
policy = policies.autoregressive(table, [[1]], eos=0, longest=2)
goal = policy.expected(lambda tokens: float(len(tokens)) ** 2)

def rloo(log_probs, mask, rewards, tokens):
    others = (rewards.sum() - rewards) / (len(rewards) - 1)
    return -((rewards - others) * log_probs.sum(dim=1)).mean()

def rloo_summed(*arguments):
    return 2 * rloo(*arguments)

def test_loss(gradproof_checks):
    report = gradproof_checks.check_loss(policy, rloo, goal, group=2)
    assert report.verdict == "holds", report.explain()

def test_sum(gradproof_checks):
    report = gradproof_checks.check_loss(policy, rloo_summed, goal, group=2)
    assert report.verdict == "holds", report.explain()

def test_error(gradproof_checks):
    gradproof_checks.check_loss(policy, rloo, goal, group=0)
"""


@pytest.mark.torch
def test_losses_of_a_policy_are_recorded(pytester):
    """With their verdicts; a sum in place of a mean fails, and an error has lines to repeat it."""
    pytester.makepyfile(test_mine=LOSS)
    # In a process of its own: PyTorch cannot be imported twice in one.
    result = pytester.runpytest_subprocess("--gradproof-statistics")
    result.assert_outcomes(passed=1, failed=2)
    said = result.stdout.str()
    assert "test_loss: check_loss rloo: holds 1" in said
    assert "test_sum: check_loss rloo_summed: refuted 1" in said
    assert "The mean is 2.0000 times the gradient in every entry." in said
    assert "from gradproof.policies import check_loss" in said
    assert "check_loss(test['policy'], test['rloo'], test['goal'], group=0)" in said
