"""Work shared out to other processes: on the cores of this machine, or on a cluster.

By joblib: its own processes unless somebody chose another of its backends around the call, such as
``joblib.parallel_config("dask")``. All of the project that runs in several processes does so here.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import traceback
import uuid
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from multiprocessing import resource_tracker
from typing import Any, NamedTuple, TypeVar

from gradproof.errors import GradproofError

T = TypeVar("T")

#: Times that what a dead worker left undone is given to new ones. Whoever runs out of memory twice
#: does so again.
RETRIES = 2

#: This process, which a copy of it shares, so that its number is asked for too.
_PROCESS = uuid.uuid4().hex


class Frame(NamedTuple):
    """A line of code that was being run."""

    file: str
    line: int
    module: str


class WorkerTraceback(GradproofError, RuntimeError):
    """Where in a worker an error was raised: the cause of the error here.

    Args:
        shown: the traceback as Python shows it.
        frames: of it, the innermost last.
    """

    def __init__(self, shown: str, frames: Sequence[Frame]) -> None:
        super().__init__(f"\n{shown}")
        self.frames = tuple(frames)


def frames_of(error: BaseException) -> tuple[Frame, ...]:
    """The lines that an error came through, the innermost last; in a worker, if it was there."""
    if isinstance(error.__cause__, WorkerTraceback):
        return error.__cause__.frames
    return tuple(
        Frame(frame.f_code.co_filename, line, str(frame.f_globals.get("__name__")))
        for frame, line in traceback.walk_tb(error.__traceback__)
    )


class _Outcome(NamedTuple):
    """What became of one task: its result, or an error and where it was raised."""

    result: Any
    error: BaseException | None = None
    trace: str = ""
    frames: tuple[Frame, ...] = ()

    def get(self) -> Any:
        """The result.

        Raises:
            Whatever the work raised.
        """
        if self.error is not None:
            raise self.error from WorkerTraceback(self.trace, self.frames)
        return self.result


def share_out(
    jobs: int, work: Callable[..., T], tasks: Sequence[tuple[Any, ...]], *, ordered: bool = False
) -> Iterator[T]:
    """What a function returns for each tuple of arguments, run in several processes.

    A worker that dies is replaced, and what it left undone is done again; nothing is returned
    twice. On Ctrl-C, or when the iterator is closed, workers of this machine are ended at once.

    Args:
        jobs: processes, each with one thread; on a cluster there are as many as it has. 1, or a
            backend of threads: it is run here, one after the other.
        work: what can be pickled, as its arguments and results can.
        ordered: whether in the order of the tasks, so that the error that is raised is that of the
            first of them; otherwise as they come.

    Raises:
        ChildProcessError: if workers go on dying.
        RuntimeError: if a worker cannot read what it is sent.
        ValueError: if the workers of a cluster are threads of this process.
        TimeoutError: if a cluster has no workers.
        Whatever the work raises, from the traceback there.
    """
    if jobs == 1 or not tasks or not _has_processes():
        yield from (work(*task) for task in tasks)
        return
    with contextlib.closing(_arrivals(jobs, work, tasks)) as arrivals:
        if not ordered:
            yield from (outcome.get() for _, outcome in arrivals)
            return
        waiting: dict[int, _Outcome] = {}
        place = 0
        for number, outcome in arrivals:
            waiting[number] = outcome
            while place in waiting:
                yield waiting.pop(place).get()
                place += 1


def count_workers(jobs: int) -> int:
    """How many processes there will be: those of the cluster, where one was chosen."""
    import joblib

    return int(joblib.effective_n_jobs(jobs)) if _has_processes() else 1


def cloudpickle() -> Any:
    """The module: its own, where users say what to send by value, or that in an older joblib."""
    try:
        import cloudpickle
    except ModuleNotFoundError:
        from joblib.externals import cloudpickle
    return cloudpickle


def _has_processes() -> bool:
    """Whether the backend that is chosen is one of processes; within its own workers it is not."""
    from joblib.parallel import BACKENDS, get_active_backend

    backend, _ = get_active_backend()
    if isinstance(backend, BACKENDS["loky"]) and backend.effective_n_jobs(2) == 1:
        return False  # in a process that may start none
    return not any(getattr(backend, each, False) for each in ("uses_threads", "supports_sharedmem"))


def _arrivals(
    jobs: int, work: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]
) -> Generator[tuple[int, _Outcome], None, None]:
    """The number and the outcome of each task, once, as it comes."""
    left = dict(enumerate(tasks))
    for attempt in range(RETRIES + 1):
        try:
            with contextlib.closing(_once(jobs, work, left)) as arrivals:
                for number, outcome in arrivals:
                    del left[number]
                    yield number, outcome
            return
        except BrokenExecutor as error:
            if "un-serialize" in str(error):  # no worker died: none can read what it is sent
                raise RuntimeError(
                    f"a worker cannot read what it was sent ({_reason(error)}): modules must be "
                    "importable there; run in one process (--jobs 1, jobs=1)"
                ) from error
            if attempt == RETRIES:
                raise ChildProcessError(
                    f"one of {jobs} processes ended before its work did, {RETRIES + 1} times in a "
                    f"row ({len(left)} of {len(tasks)} pieces are undone), for want of memory "
                    "perhaps; run in fewer, 1 at the least (--jobs 1, jobs=1)"
                ) from error


def _reason(error: BrokenExecutor) -> str:
    """The last line of the traceback in the worker."""
    return str(error.__cause__ or error).strip(' \n"').rpartition("\n")[2]


def _once(
    jobs: int, work: Callable[..., Any], left: Mapping[int, tuple[Any, ...]]
) -> Generator[tuple[int, _Outcome], None, None]:
    import joblib

    here = os.getpid(), _PROCESS
    with _one_thread_each():
        pool = joblib.Parallel(jobs, return_as="generator_unordered", batch_size=1)
        outcomes = None
        try:
            with _no_interrupt():  # it starts processes
                calls = (joblib.delayed(_run)(here, each, work, left[each]) for each in [*left])
                outcomes = pool(calls)
            for outcome in outcomes:  # noqa: UP028 - or whoever closes this would close it first
                yield outcome
        finally:
            if outcomes is not None:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # it says that work was left, which is meant
                    outcomes.close()


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Several processes with as many threads as cores only wait; others may have been chosen."""
    import joblib
    from joblib.parallel import get_active_backend

    backend, _ = get_active_backend()
    chosen = getattr(backend, "inner_max_num_threads", None)
    if chosen is not None or not backend.supports_inner_max_num_threads:
        yield
        return
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        yield


@contextlib.contextmanager
def _no_interrupt() -> Iterator[None]:
    """Ctrl-C waits, and does not reach processes started within, which are ended from here."""
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    resource_tracker.ensure_running()  # it would let Ctrl-C through once it is started
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _run(
    asked_by: tuple[int, str], number: int, work: Callable[..., Any], task: tuple[Any, ...]
) -> tuple[int, _Outcome]:
    """One task, in a worker."""
    if asked_by == (os.getpid(), _PROCESS):
        error = ValueError(
            "the workers are threads of the process that asks them, and share its state; start "
            "processes, as LocalCluster(processes=True) does"
        )
        return number, _Outcome(None, error)
    try:
        return number, _Outcome(work(*task))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - SystemExit too: it is raised in who asked
        error.add_note(f"in a worker: process {os.getpid()} on {socket.gethostname()}")
        shown, frames = traceback.format_exc(), frames_of(error)
        return number, _Outcome(None, _sendable(error), shown, frames)


def _sendable(error: BaseException) -> BaseException:
    """An error that arrives as it was sent; else one that says the same."""
    error.__cause__ = error.__context__ = None  # which are in the traceback
    try:
        cloudpickle().loads(cloudpickle().dumps(error))
    except Exception:  # noqa: BLE001 - its class may do anything
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
