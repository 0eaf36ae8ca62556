"""Paths that other processes run: the same results, to the last bit, and nothing goes unseen."""

import dataclasses
import math
import os
import signal
import subprocess
import sys
import threading
import types

import numpy as np
import pytest

from gradproof import check_estimator
from gradproof.checks.benchmark.bugs import ROWS
from gradproof.errors import GradproofError
from gradproof.estimators.enumeration import enumeration, sharing, subtrees
from gradproof.estimators.enumeration.estimator import Estimator
from gradproof.estimators.enumeration.packing import NotSendable, pack, unpacked
from gradproof.estimators.enumeration.run import NotReproducible, TooManyPaths, UnsupportedDraw

K, N = 4, 4
COSTS = np.array([1.0, 3.0, 2.0, 0.5])
LOGITS = np.array([0.3, -0.2, 0.5, 0.0])


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Trees of a few hundred paths are cut into pieces."""
    monkeypatch.setattr(enumeration, "HEAD", 16)
    monkeypatch.setattr(subtrees, "PIECE", 8)


def softmax(logits):
    """Probabilities."""
    odds = np.exp(logits - logits.max())
    return odds / odds.sum()


EXACT = softmax(LOGITS) * (COSTS - softmax(LOGITS) @ COSTS)


def estimator(inside=lambda taken: 0.0, baseline=True):
    """Leave-one-out of four draws; ``inside`` is added to the gradient, by what was drawn."""
    rng = np.random.default_rng()

    def leave_one_out(logits):
        q = softmax(logits)
        taken = rng.choice(K, size=N, p=q)
        cost = COSTS[taken]
        others = (cost.sum() - cost) / (N - 1) if baseline else cost.mean()
        score = np.eye(K)[taken] - q
        return ((cost - others)[:, None] * score).mean(axis=0) + inside(taken)

    return leave_one_out


def fields(report):
    """All of a report but its times, to the last bit."""
    return {
        field.name: repr(
            {key: value.tobytes() for key, value in value.items()}
            if isinstance(value := getattr(report, field.name), dict)
            else value
        )
        for field in dataclasses.fields(report)
        if field.name not in ("seconds", "snippet")
    }


def check(function, jobs, **options):
    """The report on an estimator of LOGITS."""
    return check_estimator(function, [LOGITS], exact=EXACT, jobs=jobs, **options)


@pytest.mark.parametrize("baseline", [True, False])
def test_a_report_is_the_same_to_the_last_bit_for_any_number_of_workers(baseline):
    """Right or wrong; and the number of workers is no part of the lines that repeat it."""
    function = estimator(baseline=baseline)
    reports = [check(function, jobs) for jobs in (1, 2, 3)]
    assert reports[0].verdict == ("holds" if baseline else "refuted")
    assert reports[0].paths == K**N
    assert fields(reports[0]) == fields(reports[1]) == fields(reports[2])
    assert "jobs=" not in reports[1].snippet


@pytest.mark.parametrize(
    "key",
    [
        "numpy/batch-mean",
        "numpy/constant-baseline",
        "numpy/gradients-add-up",
        "numpy/entropy-of-the-system",
        pytest.param("torch/batch-mean", marks=pytest.mark.torch),
        pytest.param("torch/constant-baseline", marks=pytest.mark.torch),
    ],
)
def test_verdicts_on_known_bugs_are_the_same(key, monkeypatch):
    """Also where an estimator keeps something, or is refused."""
    monkeypatch.setattr(enumeration, "HEAD", 2)
    monkeypatch.setattr(subtrees, "FEWEST", 4)

    def found(jobs):
        problem = ROWS[key].make()
        try:
            report = check_estimator(
                problem.estimate, problem.inputs, **problem.options(), jobs=jobs
            )
        except GradproofError as error:
            return type(error), str(error)
        return fields(report)

    assert found(1) == found(2)


def through(change):
    """``share_out`` in this process, of which the deliveries are changed."""

    def share_out(jobs, work, tasks, *, ordered):
        assert ordered
        done = [work(*task) for task in reversed(tasks)]
        yield from change(done[::-1])

    return share_out


def test_pieces_may_be_run_in_any_order(monkeypatch):
    """They know nothing of each other."""
    function = estimator()
    alone = fields(check(function, 1))
    monkeypatch.setattr(sharing, "share_out", through(lambda done: done))
    assert fields(check(function, 2)) == alone


@pytest.mark.parametrize(
    "change",
    [
        lambda done: [done[0], *done],
        lambda done: done[1:],
        lambda done: [dataclasses.replace(done[0], parts=done[0].parts * 2), *done[1:]],
    ],
    ids=["delivered twice", "lost", "counted twice by a worker"],
)
def test_a_piece_that_does_not_count_once_is_an_error(change, monkeypatch):
    """The probabilities of all paths add up to something else."""
    monkeypatch.setattr(sharing, "share_out", through(change))
    with pytest.raises(NotReproducible, match="add up to"):
        check(estimator(), 2)


def test_a_worker_that_dies_changes_nothing(tmp_path):
    """What it was at is run again by another, and counts once."""
    here, marker = os.getpid(), str(tmp_path / "died")

    def die_once(taken):
        if os.getpid() != here and not os.path.exists(marker):
            open(marker, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return 0.0

    report = check(estimator(die_once), 2)
    assert os.path.exists(marker)
    assert fields(report) == fields(check(estimator(die_once), 1))


def test_what_a_worker_computes_otherwise_is_refused(monkeypatch):
    """A global of a module that is imported there has the value of its file."""
    here = os.getpid()

    def elsewhere(taken):
        return float(os.getpid() != here)

    with pytest.raises(NotReproducible, match="a worker computes a gradient that is off by 1"):
        check(estimator(elsewhere), 2)
    monkeypatch.setattr(math, "tau", 1.0)
    with pytest.raises(NotReproducible, match="globals of imported modules that were changed"):
        check(estimator(lambda taken: math.tau * 0.1), 2)


def test_draws_by_other_probabilities_in_a_worker_are_refused():
    """As if its parameters had not been sent."""
    here, rng = os.getpid(), np.random.default_rng()

    def estimate(logits):
        q = softmax(logits if os.getpid() == here else 0.5 * logits)
        return 0.0 * np.eye(K)[rng.choice(K, size=N, p=q)].sum(axis=0)

    with pytest.raises(NotReproducible, match=r"draw 1 was .* and in a worker it is"):
        check(estimate, 2)


def test_other_roundings_in_a_worker_are_allowed_for():
    """Another processor may round otherwise; what is off by more is not rounding."""
    here, rng = os.getpid(), np.random.default_rng()

    def estimate(logits, step):
        there = os.getpid() != here
        q = softmax(logits)
        q = q / q.sum() if not there else (q + step * q * (np.arange(K) % 2))
        q = q / q.sum()
        taken = rng.choice(K, size=N, p=q)
        score = np.eye(K)[taken] - q
        cost = COSTS[taken]
        others = (cost.sum() - cost) / (N - 1)
        return ((cost - others)[:, None] * score).mean(axis=0)

    tiny = np.finfo(float).eps
    report = check_estimator(estimate, [LOGITS, 2.0 * tiny], exact=EXACT, jobs=2)
    assert report.verdict == "holds"
    with pytest.raises(NotReproducible, match="in a worker it is"):
        check_estimator(estimate, [LOGITS, 1e6 * tiny], exact=EXACT, jobs=2)


def test_something_kept_in_a_worker_is_seen():
    """The same path gives another gradient at the end of a task than at its beginning."""
    here = os.getpid()
    module = sys.modules["colorsys"] if "colorsys" in sys.modules else __import__("colorsys")
    assert isinstance(module, types.ModuleType)

    def keep(taken):
        if os.getpid() != here:
            import colorsys

            colorsys.seen = getattr(colorsys, "seen", 0) + 1
            return 1e-3 * (colorsys.seen > 3)
        return 0.0

    with pytest.raises(NotReproducible, match="nondeterministic"):
        check(estimator(keep), 2)


def test_what_cannot_be_sent_is_named_where_it_would_have_to_be(monkeypatch):
    """And not where there are few paths, which are all run here."""
    lock = threading.Lock()

    def locked(taken):
        with lock:
            return 0.0

    function = estimator(locked)
    with pytest.raises(NotSendable, match=r"inside \(a function\) cannot be sent .*jobs=1"):
        check(function, 2)
    assert check(function, 1).verdict == "holds"
    monkeypatch.setattr(enumeration, "HEAD", 1000)
    assert check(function, 2).verdict == "holds"


def test_errors_of_workers_are_those_of_one_process():
    """The class, and the words but for where it was."""

    def fail(taken):
        if taken.tolist() == [3, 1, 2, 0]:
            raise ZeroDivisionError("at the late path")
        return 0.0

    for jobs in (1, 2):
        with pytest.raises(ZeroDivisionError, match="at the late path") as caught:
            check(estimator(fail), jobs)
        assert any("draws so far" in note for note in caught.value.__notes__)

    noise = np.random.default_rng()
    for jobs in (1, 2):
        with pytest.raises(UnsupportedDraw, match="normal"):
            check(estimator(lambda taken: noise.normal() if taken[0] == 3 else 0.0), jobs)
    assert check(estimator(), 2, paths=K**N).paths == K**N


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_error_of_the_first_path_with_one_is_raised(jobs):
    """Though a later one is met where paths are divided among workers."""
    rng = np.random.default_rng()

    def estimate():
        coins = [int(rng.random() < 0.5) for _ in range(8)]
        if coins == [0, 1, 1, 0, 1, 1, 0, 1]:
            raise ZeroDivisionError("early")
        if coins[0]:
            raise KeyError("late")
        return np.array(0.5)

    with pytest.raises(ZeroDivisionError, match="early"):
        check_estimator(estimate, exact=0.5, jobs=jobs)


def test_a_check_within_a_run_shares_nothing():
    """Its draws are those of the run around it."""
    rng = np.random.default_rng()

    def estimate(p):
        inner = check(estimator(), 2)
        return 2.0 * (rng.random() < 0.5) / p * p * (inner.verdict == "holds")

    report = check_estimator(estimate, [np.array(0.5)], exact=1.0, jobs=2)
    assert report.verdict == "holds"
    assert report.paths == 2


@pytest.mark.parametrize("jobs", [1, 2])
def test_too_many_paths_are_as_many_for_any_number_of_workers(jobs):
    """All that were run count, wherever that was."""
    rng = np.random.default_rng()

    def estimate(p):
        return 2.0 * np.mean([rng.random() < 0.5 for _ in range(8)]) / p * p

    with pytest.raises(TooManyPaths, match="255 paths were run, and there are more"):
        check_estimator(estimate, [np.array(0.5)], exact=1.0, jobs=jobs, paths=255)
    report = check_estimator(estimate, [np.array(0.5)], exact=1.0, jobs=jobs, paths=256)
    assert report.verdict == "holds"


def test_an_estimator_that_keeps_something_is_looked_at_again_from_later():
    """Workers begin from the state that some runs leave, too."""

    def make():
        kept = {"sum": 0.0}

        def inside(taken):
            kept["sum"] += 1.0
            return 1e-2 * (kept["sum"] > 1.0)

        return estimator(inside)

    alone, shared = check(make(), 1), check(make(), 2)
    assert alone.verdict == "undecided"
    assert "it is off by up to" in alone.reason
    assert fields(alone) == fields(shared)


@pytest.mark.torch
def test_modules_and_settings_of_torch_are_sent():
    """Parameters by their values, and the type that new tensors have."""
    import torch

    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        layer = torch.nn.Linear(3, 5)

        def surrogate():
            q = torch.distributions.Categorical(logits=layer(torch.ones(3)))
            taken = q.sample((4,))
            cost = torch.linspace(0.5, 3.0, 5)[taken]
            others = (cost.sum() - cost) / 3
            return ((cost - others) * q.log_prob(taken)).mean()

        def objective():
            q = torch.distributions.Categorical(logits=layer(torch.ones(3)))
            return torch.linspace(0.5, 3.0, 5)[q.sample()]

        options = {"wrt": layer, "objective": objective}
        alone, shared = (check_estimator(surrogate, **options, jobs=jobs) for jobs in (1, 2))
    finally:
        torch.set_default_dtype(before)
    assert alone.verdict == "holds"
    assert alone.paths == 5**4
    assert fields(alone) == fields(shared)


def test_a_parcel_holds_the_state_of_when_it_was_packed():
    """And what is unpacked is another object, each time."""
    kept = [1.0]
    code = Estimator(lambda: np.array(kept), [])
    parcel = pack(code, 100)
    kept[0] = 2.0
    with unpacked(parcel) as (first, most), unpacked(parcel) as (second, _):
        assert most == 100
        assert first()["gradient"] == second()["gradient"] == 1.0
        assert first.function is not second.function


def test_a_script_needs_no_guard_for_its_functions(tmp_path):
    """Functions of ``__main__`` are sent as they are, with the globals that they use."""
    script = tmp_path / "script.py"
    script.write_text(
        "import numpy as np\n"
        "from gradproof import check_estimator\n"
        "rng, scale = np.random.default_rng(), 1.0\n"
        "def estimate(p):\n"
        "    return scale * (rng.random(9) < 0.5).mean() / p * p\n"
        "scale = 2.0\n"
        "if __name__ == '__main__':\n"
        "    for jobs in (1, 2):\n"
        "        r = check_estimator(estimate, [np.array(0.5)], exact=1.0, jobs=jobs)\n"
        "        print(r.verdict, r.paths, float(r.mean['gradient']).hex())\n"
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True, timeout=120
    )
    one, two = done.stdout.splitlines()
    assert one == two
    assert one.startswith("holds 512 ")


def test_progress_is_told_of_what_workers_do():
    """Of as many runs as there are paths, at least."""
    told = []
    check(estimator(), 2, progress=lambda done, total, what: told.append((done, total)))
    assert told[-1][0] >= K**N
    assert told == sorted(told)


@pytest.mark.parametrize("jobs", [0, -1, 1.5, True, "2"])
def test_a_number_of_processes_is_a_whole_one(jobs):
    """1 or more."""
    with pytest.raises(ValueError, match=f"jobs = {jobs!r}, expected a whole number of processes"):
        check(estimator(), jobs)


@pytest.mark.libraries
def test_keys_and_double_precision_of_jax_are_sent(library):
    """Draws by a key, in a worker that imports JAX by itself."""
    jax = library("jax")
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    try:
        costs, logits = jax.numpy.asarray(COSTS), jax.numpy.asarray(LOGITS)

        def estimate(logits, key):
            taken = [jax.random.categorical(each, logits) for each in jax.random.split(key, 4)]
            cost = costs[jax.numpy.array(taken)]
            others = (cost.sum() - cost) / 3
            score = jax.numpy.eye(K)[jax.numpy.array(taken)] - jax.nn.softmax(logits)
            return ((cost - others)[:, None] * score).mean(axis=0)

        inputs = [logits, jax.random.key(0)]
        alone, shared = (
            check_estimator(estimate, inputs, exact=EXACT, jobs=jobs) for jobs in (1, 2)
        )
    finally:
        jax.config.update("jax_enable_x64", before)
    assert alone.verdict == "holds"
    assert alone.paths == K**4
    assert fields(alone) == fields(shared)
