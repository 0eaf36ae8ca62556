"""Work that is shared out to processes: each result once, errors as they are, dead workers."""

import os
import signal
import sys
import time
import types

import joblib
import pytest

from gradproof.estimators.workers import RETRIES, WorkerTraceback, cloudpickle, share_out


def double(number):
    """Twice as much."""
    return 2 * number


def slow_first(number):
    """The number, the first of them after all others."""
    time.sleep(1.0 if number == 0 else 0.0)
    return number


def die_once(number, marker):
    """The number, but the first time that the third is asked for, its process dies."""
    if number == 3 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die(number):
    """Nothing, ever."""
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(number):
    """An error from the second number on, which it names."""
    if number:
        time.sleep(0.5 / number)  # later ones come first
        raise KeyError(f"no {number}")
    return number


def leave():
    """An end of the process, as far as it has a say."""
    raise SystemExit(3)


class Unsendable(Exception):
    """An error that cannot be made anew from its message."""

    def __init__(self, one, other):
        super().__init__(f"{one} and {other}")


def refuse_unsendable():
    """Such an error."""
    raise Unsendable("one", "other")


def threads():
    """How many threads BLAS and OpenMP are allowed."""
    return os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"]


@pytest.fixture(autouse=True, scope="module")
def _sent_as_it_is():
    """No worker can import this file by its name, however the tests are started."""
    cloudpickle().register_pickle_by_value(sys.modules[__name__])
    yield
    cloudpickle().unregister_pickle_by_value(sys.modules[__name__])


NUMBERS = [(number,) for number in range(7)]


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_each_result_comes_once_and_in_order_if_asked(jobs):
    """Whoever ran it."""
    assert list(share_out(jobs, double, NUMBERS, ordered=True)) == [0, 2, 4, 6, 8, 10, 12]
    assert sorted(share_out(jobs, double, NUMBERS)) == [0, 2, 4, 6, 8, 10, 12]
    assert list(share_out(jobs, double, [])) == []


def test_results_that_arrive_in_another_order_are_put_in_order():
    """The first arrives last."""
    assert list(share_out(2, slow_first, NUMBERS))[-1] == 0
    assert list(share_out(2, slow_first, NUMBERS, ordered=True)) == list(range(7))


def test_a_worker_that_dies_is_replaced_and_nothing_is_returned_twice(tmp_path):
    """What it was at is done again."""
    tasks = [(number, tmp_path / "died") for number in range(9)]
    assert list(share_out(2, die_once, tasks, ordered=True)) == list(range(9))
    (tmp_path / "died").unlink()
    assert sorted(share_out(2, die_once, tasks)) == list(range(9))
    assert (tmp_path / "died").exists()


def test_workers_that_go_on_dying_are_an_error():
    """Which says how often it was tried, and what to do."""
    message = r"1 at the least \(--jobs 1, jobs=1\)"
    with pytest.raises(
        ChildProcessError, match=rf"{RETRIES + 1} times in a row \(7 of 7.*{message}"
    ):
        list(share_out(2, die, NUMBERS))


def test_an_error_is_that_of_the_first_task_with_one():
    """With its own class and message, and where in the worker it was raised as its cause."""
    with pytest.raises(KeyError, match="no 1") as caught:
        list(share_out(2, refuse, NUMBERS, ordered=True))
    assert isinstance(caught.value.__cause__, WorkerTraceback)
    assert "in refuse" in str(caught.value.__cause__)
    assert "in a worker: process" in caught.value.__notes__[-1]
    with pytest.raises(RuntimeError, match="Unsendable: one and other"):
        list(share_out(2, refuse_unsendable, [()]))
    with pytest.raises(SystemExit, match="3"):
        list(share_out(2, leave, [()]))


def test_a_worker_has_one_thread_and_the_environment_is_as_it_was(monkeypatch):
    """More would only wait for each other."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert list(share_out(2, threads, [()])) == [("1", "1")]
    assert "OMP_NUM_THREADS" not in os.environ


def test_a_backend_of_threads_is_not_used():
    """They would share the state of what runs in them; the work is done here."""
    with joblib.parallel_config("threading"):
        (process,) = share_out(2, os.getpid, [()])
    assert process == os.getpid()
    (process,) = share_out(2, os.getpid, [()])
    assert process != os.getpid()


# joblib's thread may still look for a task when its workers are killed, and not find it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_iterator_that_is_closed_ends_its_workers():
    """At once, and not when what they are at is done."""
    started = time.monotonic()
    results = share_out(2, time.sleep, [(0.0,), (0.0,), (60.0,), (60.0,)])
    assert next(results) is None
    results.close()
    assert time.monotonic() - started < 30.0  # half of what they would have slept


def test_what_a_worker_cannot_import_is_said_and_is_no_death():
    """The name of the module, at the first attempt."""
    nowhere = types.ModuleType("not_to_be_found")
    exec("def double(number): return 2 * number", vars(nowhere))
    sys.modules["not_to_be_found"] = nowhere
    try:
        with pytest.raises(RuntimeError, match=r"cannot read .*No module named 'not_to_be_found'"):
            list(share_out(2, nowhere.double, NUMBERS))
    finally:
        del sys.modules["not_to_be_found"]
