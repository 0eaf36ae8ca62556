"""Draws of Python's own ``random`` are handled; the operating system's entropy is refused."""

from __future__ import annotations

import bisect
import contextvars
import functools
import importlib
import itertools
import os
import random
import secrets
import sys
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..generators import PYTHON, draw_from, handle_reader, handle_setter
from ..outcomes import Uniform, binomial, draw_without_replacement, weighted_table
from ..patches import Patches
from ..run import Run, current_run
from ..uniforms import uniform
from .framework import GeneratorFramework, by_itself, handle, refuse, unsupported_message
from .numpy_continuous import draw_by_quantile
from .numpy_integrated import beta_number, gamma_number, triangular_number

#: Modules whose names for temporary files, or for what they compile, are no draws of anybody's
#: estimator.
UNRELATED = ("tempfile", "equinox")


def _sample(
    run: Run, what: str, population: Sequence[Any], k: int, *, counts: Iterable[int] | None = None
) -> list[Any]:
    """Some of a population, none of them twice, in order."""
    if not isinstance(population, Sequence):
        raise TypeError("Population must be a sequence.  For dicts or sets, use sorted(d).")
    ends = None if counts is None else list(itertools.accumulate(counts))
    size = ends[-1] if ends else len(population)
    if not 0 <= k <= size:
        raise ValueError("Sample larger than population or is negative")  # as Python does
    places = draw_without_replacement(run.choose, what, size, k)
    if ends is not None:
        return [population[bisect.bisect(ends, place)] for place in places]
    return [population[place] for place in places]


def _choices(
    run: Run,
    what: str,
    population: Sequence[Any],
    weights: Iterable[float] | None = None,
    *,
    cum_weights: Iterable[float] | None = None,
    k: int = 1,
) -> list[Any]:
    """So many of a population, each by its weight."""
    if cum_weights is not None:
        if weights is not None:
            raise TypeError("Cannot specify both weights and cumulative weights")
        ends = [0.0, *(float(each) for each in cum_weights)]
        weights = [after - before for before, after in itertools.pairwise(ends)]
    if weights is None:
        uniform = Uniform(what, len(population))
        return [population[place] for place in run.choose_each([uniform] * k)]
    numbers = [float(each) for each in weights]
    if len(numbers) != len(population):
        raise ValueError("The number of weights does not match the population")
    outcomes = weighted_table(what, numbers)
    return [population[place] for place in run.choose_each([outcomes] * k)]


def _binomial(run: Run, what: str, n: int = 1, p: float = 0.5) -> int:
    return run.choose(binomial(what, n, float(p)))


def _exponential(run: Run, what: str, lambd: float = 1.0) -> Any:
    return draw_by_quantile(run, what, "exponential", (1.0 / lambd,), None)


def _normal(run: Run, what: str, mu: float = 0.0, sigma: float = 1.0) -> Any:
    return draw_by_quantile(run, what, "normal", (mu, sigma), None)


def _lognormal(run: Run, what: str, mu: float, sigma: float) -> Any:
    return draw_by_quantile(run, what, "lognormal", (mu, sigma), None)


def _weibull(run: Run, what: str, alpha: float, beta: float) -> Any:
    return draw_by_quantile(run, what, "weibull", (beta,), None) * float(alpha)


def _pareto(run: Run, what: str, alpha: float) -> Any:
    """From 1 on, where NumPy's are from 0 on."""
    return draw_by_quantile(run, what, "pareto", (alpha,), None) + 1.0


#: What answers, by the method of ``random.Random``: its name in messages, and what is called with
#: the run, that name and the method's arguments. ``choice``, ``randrange``, ``randint`` and
#: ``shuffle`` draw by ``_randbelow``.
ANSWERS: dict[str, tuple[str, Callable[..., Any]]] = {
    "random": ("random.random", lambda run, what: uniform(run, what, None)),
    "uniform": (
        "random.uniform",
        lambda run, what, a, b: uniform(run, what, None, float(a), float(b)),
    ),
    "expovariate": ("random.expovariate", _exponential),
    "gauss": ("random.gauss", _normal),
    "normalvariate": ("random.normalvariate", _normal),
    "lognormvariate": ("random.lognormvariate", _lognormal),
    "weibullvariate": ("random.weibullvariate", _weibull),
    "paretovariate": ("random.paretovariate", _pareto),
    "gammavariate": ("random.gammavariate", gamma_number),
    "betavariate": ("random.betavariate", beta_number),
    "triangular": ("random.triangular", triangular_number),
    "_randbelow": ("random.randrange", lambda run, what, n: run.choose(Uniform(what, n))),
    "getrandbits": ("random.getrandbits", lambda run, what, k: run.choose(Uniform(what, 1 << k))),
    "sample": ("random.sample", _sample),
    "choices": ("random.choices", _choices),
    "binomialvariate": ("random.binomialvariate", _binomial),
}

#: Methods that are as Python wrote them: they draw by the others.
WRITTEN = ("choice", "randrange", "randint", "shuffle")

#: Methods of it that have no outcomes to count.
UNCOUNTED = ("randbytes", "vonmisesvariate")

#: What asks the operating system, by where it is looked up.
ENTROPY: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (os, ("urandom", "getrandom")),
    (
        secrets,
        ("choice", "randbelow", "randbits", "token_bytes", "token_hex", "token_urlsafe"),
    ),
    (random.SystemRandom, ("random", "getrandbits", "randbytes")),
    (uuid, ("uuid1", "uuid4")),
)


class Stdlib(GeneratorFramework):
    """Python's ``random``, and the operating system."""

    name = "random"

    def install(self, patches: Patches) -> None:
        """Handle the class's methods, and the module's functions, which are those of an object."""
        self.drawn_outside_runs.clear()
        own = random._inst
        functions = {name: getattr(random, name) for name in dir(random)}
        functions = {
            name: real for name, real in functions.items() if getattr(real, "__self__", None) is own
        }
        for name in (*ANSWERS, *UNCOUNTED):
            real = getattr(random.Random, name, None)
            if real is not None:  # later versions of Python have more
                patches.attribute(random.Random, name, self._method(real, name))
        for name in ("seed", "setstate"):
            real = getattr(random.Random, name)
            patches.attribute(random.Random, name, self._setter(real))
        patches.attribute(random.Random, "getstate", handle_reader(random.Random.getstate, PYTHON))
        for name, real in functions.items():
            if name in (*ANSWERS, *UNCOUNTED, *WRITTEN, "seed", "setstate", "getstate"):
                handler = getattr(own, name)
                patches.attribute(random, name, handler)
                self._handlers.append((real, handler))
        for owner, names in ENTROPY:
            for name in names:
                real = vars(owner).get(name)
                if real is None:
                    continue
                where = f"{getattr(owner, '__qualname__', owner.__name__)}.{name}"
                handler = _unless_unrelated(
                    real,
                    handle(
                        real,
                        refuse(
                            f"{where} draws entropy from the operating system, which has no "
                            "outcomes to count, and no seed; draw by a generator"
                        ),
                    ),
                )
                patches.attribute(owner, name, handler)
                if owner is not random.SystemRandom:
                    self._handlers.append((real, handler))

        start = threading.Thread.start
        patches.attribute(threading.Thread, "start", _start_within(start))
        submit = ThreadPoolExecutor.submit
        patches.attribute(ThreadPoolExecutor, "submit", _submit_within(submit))
        load = importlib._bootstrap._find_and_load  # type: ignore[attr-defined]
        # What a module draws when it is imported for the first time is no draw of the run.
        patches.attribute(importlib._bootstrap, "_find_and_load", by_itself(load))

    def _method(self, real: Any, name: str) -> Callable[..., Any]:
        answer = refuse(unsupported_message(f"random.{name}"))
        if name in ANSWERS:
            what, draw = ANSWERS[name]

            def answer(run: Run, generator: random.Random, *args: Any, **kwargs: Any) -> Any:
                draw_from(run, generator, PYTHON, what)
                return draw(run, what, *args, **kwargs)

        handler = handle(real, answer, lambda own, *_, **__: self.note_drawn_outside(own))

        def method(generator: random.Random, *args: Any, **kwargs: Any) -> Any:
            # SystemRandom inherits some of these, and draws by its own.
            if isinstance(generator, random.SystemRandom) or _is_unrelated():
                return real(generator, *args, **kwargs)
            return handler(generator, *args, **kwargs)

        return method

    def _setter(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """A handler for what sets a generator's state; one that is just being made has none yet."""
        setter = handle_setter(real, PYTHON, self.drawn_outside_runs)

        def set_state(generator: random.Random, *args: Any, **kwargs: Any) -> Any:
            made = hasattr(generator, "gauss_next")
            return (setter if made else real)(generator, *args, **kwargs)

        return set_state

    def begin(self) -> None:
        """Watch the generator that Python has of its own."""
        self._watched.add(random._inst, PYTHON)


def _start_within(start: Callable[..., Any]) -> Callable[..., Any]:
    """Starts a thread; one that a run starts is a part of it, and its draws ask the run."""

    @functools.wraps(start)
    def start_within(thread: threading.Thread) -> None:
        run = current_run()
        if run is None or run.over:
            start(thread)
            return
        within, body = contextvars.copy_context(), thread.run

        def run_within() -> None:
            vars(thread).pop("run", None)
            within.run(body)

        thread.run = run_within  # type: ignore[method-assign]
        start(thread)

    return start_within


def _submit_within(submit: Callable[..., Any]) -> Callable[..., Any]:
    """The same of a call that is handed to a thread that was there before."""

    @functools.wraps(submit)
    def submit_within(pool: Any, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        run = current_run()
        if run is None or run.over:
            return submit(pool, function, *args, **kwargs)
        return submit(pool, contextvars.copy_context().run, function, *args, **kwargs)

    return submit_within


def _unless_unrelated(real: Callable[..., Any], handler: Callable[..., Any]) -> Any:
    """A handler, but for modules that ask for themselves."""
    if isinstance(real, type):
        return handler

    @functools.wraps(handler, assigned=("__name__", "__doc__"), updated=())
    def function(*args: Any, **kwargs: Any) -> Any:
        return (real if _is_unrelated() else handler)(*args, **kwargs)

    return function


def _is_unrelated() -> bool:
    """Whether a module asks that draws for itself."""
    if current_run() is None:
        return False
    name = sys._getframe(2).f_globals.get("__name__")
    return str(name).partition(".")[0] in UNRELATED
