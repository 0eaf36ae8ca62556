"""Work in several processes, each with one thread, that ends at once when it is interrupted."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, as_completed
from typing import Any, TypeVar

T = TypeVar("T")


def in_processes(
    processes: int,
    work: Callable[..., T],
    arguments: Iterable[tuple[Any, ...]],
    *,
    start: Callable[..., object] | None = None,
    started_with: tuple[Any, ...] = (),
) -> Iterator[T]:
    """What a function returns for each tuple of arguments, as it comes: in no order.

    Args:
        work: what can be pickled, as its arguments can.
        start: called once in each process, with ``started_with``.

    Raises:
        ChildProcessError: if a process ends before its work does.
        Whatever the work raises.
    """
    # A fresh interpreter each: a forked one inherits the threads of PyTorch and BLAS, half dead.
    context = multiprocessing.get_context("spawn")
    begin = (start, started_with)
    with (
        _one_thread_per_process(),
        ProcessPoolExecutor(
            processes, mp_context=context, initializer=_begin, initargs=begin
        ) as pool,
    ):
        try:
            with _no_interrupt():
                running = [pool.submit(work, *each) for each in arguments]
            for done in as_completed(running):
                yield done.result()
        except BrokenExecutor as error:
            raise ChildProcessError(
                f"one of {processes} processes ended before its checks did, for want of memory "
                "perhaps; run in fewer, --jobs 1 at the least"
            ) from error
        finally:
            # Where all went well none is at work any more; else none shall be waited for.
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()


@contextlib.contextmanager
def _one_thread_per_process() -> Iterator[None]:
    """Processes started within use one thread: several with as many threads as cores only wait."""
    name = "OMP_NUM_THREADS"
    before = os.environ.get(name)
    os.environ.setdefault(name, "1")
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]


@contextlib.contextmanager
def _no_interrupt() -> Iterator[None]:
    """Ctrl-C waits: a process started within would meet it before it knows what to do then."""
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(start: Callable[..., object] | None, started_with: tuple[Any, ...]) -> None:
    # Ctrl-C reaches every process of a terminal: a worker ends at once, and the first one reports.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # it began as _no_interrupt is
    if start is not None:
        start(*started_with)
