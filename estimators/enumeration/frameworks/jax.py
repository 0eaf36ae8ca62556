"""JAX's discrete draws, in code that is traced and compiled once for all runs.

A sampler becomes a primitive of its own: it asks the run where its arguments have values, and where
it is compiled, the compiled code calls back. The order of such calls is not fixed, so a draw is
known by its key. What draws anything else becomes the same, and is refused when it is evaluated:
where only shapes are asked for, nothing is drawn.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..patches import Patches
from ..run import NotEnumerable, Run, UnsupportedDraw, _current, current_run, outside_runs
from .framework import Framework, handle, handle_in_runs, refuse
from .jax_functions import Functions, refusal
from .jax_lazy import keep_undecided
from .jax_primitive import AnsweredDraws, part
from .jax_rows import note_what_needs_values
from .jax_traces import Home, compile_once, home, traces

#: What ``jax.random`` has besides samplers. Anything else there draws, and is refused by name, but
#: for what comes down to a sampler that is handled: a key makes every draw a constant.
KEPT = frozenset(
    {"PRNGKey", "clone", "fold_in", "key", "key_data", "key_dtype", "key_impl", "split"}
    | {"wrap_key_data"}
)

#: Primitives that all other draws come down to.
BELOW = ("random_bits_p", "random_gamma_p", "rng_uniform_p", "rng_bit_generator_p")

#: Says why a draw below is refused that no sampler of ``jax.random`` makes.
NO_SAMPLER = (
    "JAX drew by {}, which is no sampler of jax.random and has no outcomes to count; draw by one "
    "that has, such as jax.random.categorical"
)

#: Where JAX makes keys of keys, by bits with some generators.
MAKES_KEYS = ("jax._src.random", "jax._src.prng")

AHEAD = "what JAX compiled ahead of time or exported may draw unseen: pass the function itself"


class Jax(Framework):
    """JAX's samplers, and what they come down to."""

    name = "jax"

    def install(self, patches: Patches) -> None:
        """Handle samplers wherever they are kept, and what all others come down to.

        Raises:
            UnsupportedDraw: for a JAX that might draw unseen.
        """
        below = _primitives_below(self.module)
        handlers = _handlers(self.module)
        handlers.install(patches)
        for primitive in below:
            handlers.put_below(primitive, patches)
        _refuse_ahead(self.module, patches)
        keep_undecided(self.module, patches)
        compile_once(self.module, patches)
        note_what_needs_values(self.module, patches)

    def start(self, run: Run, watched: bool) -> None:
        """Code that was traced outside is not used in a run."""
        run.memory["jax"] = begun = AnsweredDraws(run)
        here = home()
        begun.setting = traces(self.module).of(here, *here.place(run), *here.apart)
        begun.setting.__enter__()
        here.runs.append(run)

    def finish(self, run: Run, watched: bool) -> None:
        """Nothing is computed any more that asks the run, and its draws are in order.

        Raises:
            BaseException: what was raised in a call by compiled code, as it was.
        """
        here = home()
        if run not in here.runs:
            return  # it could not be started
        answers = AnsweredDraws.of(run)
        try:
            if here.compiled:
                _settle(self.module)
        finally:
            here.runs.remove(run)
            answers.setting.__exit__(None, None, None)
        answers.put_in_order()
        error = answers.error_since()
        if error is not None or run.refused:
            here.leave(run)
        if answers.failed is not None and (error is None or isinstance(error, Exception)):
            # Whatever else was raised followed from it.
            raise answers.failed from None

    def end(self, failed: bool) -> None:
        """What was traced when something went wrong may hold what was drawn then."""
        if failed:
            home().age += 1


def _settle(jax: Any) -> None:
    """Wait for what this thread asked of JAX."""
    compiled, zeros = _idle_computation(jax)
    if len(zeros) > 1:  # what is computed on several is in no order
        for array in jax.live_arrays():
            with contextlib.suppress(Exception):  # of a failure, which is known, or a deleted one
                array.block_until_ready()
    for zero in zeros:  # in order, where there is one
        compiled(zero).block_until_ready()


@functools.cache
def _idle_computation(jax: Any) -> tuple[Callable[[Any], Any], list[Any]]:
    """A computation, and what it is done with on each device."""
    # Whole numbers of 32 bits, which there are with and without double precision.
    zeros = [jax.device_put(np.zeros((), np.int32), each) for each in jax.local_devices()]
    return jax.jit(lambda zero: zero + 1), zeros


@contextlib.contextmanager
def separate_traces(jax: Any, *what: Any) -> Iterator[None]:
    """Runs that begin in here use no code that was traced in others, nor others theirs.

    For whatever replaces functions that are called while code is traced.
    """
    here = home()
    before = here.apart
    here.apart = (*before, *what)
    try:
        yield
    finally:
        here.apart = before


@contextlib.contextmanager
def without_compiling(jax: Any) -> Iterator[None]:
    """Runs that begin in here compile nothing, so that everything has values."""
    with separate_traces(jax, "uncompiled"), jax.disable_jit():
        yield


# ------------------------------------------------------------------ functions


@functools.cache
def _handlers(jax: Any) -> _Handlers:
    """Made once, so that code which is traced with them is traced once."""
    return _Handlers(jax)


class _Handlers:
    """What stands for functions of JAX."""

    def __init__(self, jax: Any) -> None:
        self._jax, self._functions = jax, Functions(jax)
        self._all: list[tuple[Any, str, Any]] = []
        for name, real in vars(jax.random).items():
            if callable(real) and name[0] != "_" and name not in KEPT and not name.endswith("_p"):
                answer = getattr(self._functions, name, None)
                handler = self._sampler(f"jax.random.{name}", _twin(real), answer)
                self._all.append((jax.random, name, handler))
        for owner, name in (
            (jax, "pure_callback"),
            (jax.debug, "callback"),
            (sys.modules.get("jax.experimental"), "io_callback"),
        ):
            if hasattr(owner, name):
                self._all.append((owner, name, _handle_callback(_twin(getattr(owner, name)))))

    def install(self, patches: Patches) -> None:
        """Put them in place of the functions."""
        for owner, name, handler in self._all:
            _replace(patches, owner, name, handler)

    def _sampler(
        self, what: str, real: Callable[..., Any], answer: Callable[..., Any] | None
    ) -> Callable[..., Any]:
        @functools.wraps(real, assigned=("__name__", "__doc__"), updated=())
        def handler(*args: Any, **kwargs: Any) -> Any:
            run = current_run()
            if run is None:
                with self._mark_outside(what):
                    return real(*args, **kwargs)
            _check_thread(what)
            if run.is_sampling:
                with outside_runs():  # what it does inside is its own business
                    found = real(*args, **kwargs)
                asked = answer or (lambda *_, **__: self._functions._refuse_value(refusal(what)))
                return self._functions._ask_beside(found, lambda: asked(*args, **kwargs))
            if answer is not None:
                return answer(*args, **kwargs)
            with self._naming_sampler(what, run):
                return real(*args, **kwargs)

        return handler

    @contextlib.contextmanager
    def _naming_sampler(self, what: str, run: Run) -> Iterator[None]:
        """A sampler is called, and traced with its name."""
        here = home()
        if here.sampler:
            yield
            return
        here.sampler = what
        try:
            with traces(self._jax).of(here, *here.place(run), *here.apart, what):
                yield
        finally:
            here.sampler = ""

    def _mark_outside(self, what: str) -> contextlib.AbstractContextManager[object]:
        """Where no run is under way, though one may be in this thread that was stepped out of."""
        runs = home().runs
        if not runs or runs[-1].is_sampling:
            return contextlib.nullcontext()
        if part(self._jax, ".extend.core").unsafe_am_i_under_a_jit_DO_NOT_USE():
            raise UnsupportedDraw(
                f"{what} is traced where no run is under way, in code that runs may use; trace it "
                "in the estimator"
            )
        return traces(self._jax).of("outside")

    def put_below(self, primitive: Any, patches: Patches) -> None:
        """Handle a primitive by which draws are made that no handler above has seen."""
        real, numpy = primitive.bind, self._jax.numpy
        derives = primitive.name == "rng_bit_generator"  # keys from keys, with some generators

        @functools.wraps(real)
        def bind(*args: Any, **params: Any) -> Any:
            run = current_run()
            if run is None or (derives and _is_a_key_derived()):
                return real(*args, **params)
            what = home().sampler
            why = refusal(what) if what else NO_SAMPLER.format(primitive.name)
            _check_thread(primitive.name)
            if run.is_sampling:
                found = real(*args, **params)
                return self._functions._ask_beside(
                    found, lambda: self._functions._refuse_value(why)
                )
            shapes = self._jax.eval_shape(functools.partial(real, **params), *args)
            made = functools.partial(self._functions._refuse_value, why)
            return self._jax.tree.map(
                lambda each: made(each.shape, numpy.dtype(each.dtype)), shapes
            )

        patches.attribute(primitive, "bind", bind)
        if not derives:
            self._put_lowering(primitive, patches)

    def _put_lowering(self, primitive: Any, patches: Patches) -> None:
        """The same in what was traced outside and is compiled in a run."""
        mlir = part(self._jax, ".interpreters.mlir")
        for table in (mlir._lowerings, *list(mlir._platform_specific_lowerings.values())):
            before = table.get(primitive)
            if before is None:
                continue
            rule = _refuse_lowering(primitive.name, getattr(before, "rule", before))
            # In later versions of JAX a rule stands in an entry.
            entry = dataclasses.replace(before, rule=rule) if hasattr(before, "rule") else rule
            patches.call(functools.partial(table.__setitem__, primitive), entry, before)


def _is_plain(function: Any) -> bool:
    return isinstance(function, types.FunctionType) and not function.__closure__


def _twin(function: Any) -> Any:
    """The same function once more, which stays as it is."""
    if not _is_plain(function):
        return function
    twin = types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__
    )
    twin.__kwdefaults__ = function.__kwdefaults__
    twin.__doc__ = function.__doc__
    return twin


def _replace(patches: Patches, owner: Any, name: str, handler: Callable[..., Any]) -> None:
    """Have a function call its handler, wherever it is kept: by its name, in a partial, or jit."""
    function = getattr(owner, name)
    if not _is_plain(function):
        patches.attribute(owner, name, handler)
        return
    put = functools.partial(functools.partial, setattr, function)
    known = function.__kwdefaults__
    patches.attribute(function, "__signature__", inspect.signature(function))
    # In this order, since another thread may call it meanwhile.
    patches.call(put("__kwdefaults__"), {**(known or {}), "_gradproof_handler": handler}, known)
    patches.call(put("__code__"), _stand_in.__code__, function.__code__)


def _stand_in(*args: Any, _gradproof_handler: Callable[..., Any], **kwargs: Any) -> Any:
    return _gradproof_handler(*args, **kwargs)


def _refuse_lowering(name: str, rule: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(rule)
    def refuse_in_run(*args: Any, **params: Any) -> Any:
        run = current_run()
        if run is None or run.is_sampling:
            return rule(*args, **params)
        raise UnsupportedDraw(
            f"JAX draws by {name} in code that was traced before the enumeration: pass the "
            "function that it was traced from"
        )

    return refuse_in_run


def _check_thread(what: str) -> None:
    if not home().runs:
        raise UnsupportedDraw(
            f"{what} draws in another thread than the estimator's, which was given its context; "
            "draw in the estimator's own"
        )


def _is_a_key_derived() -> bool:
    """Whether JAX draws bits to make keys of."""
    frame: types.FrameType | None = sys._getframe(2)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.startswith(MAKES_KEYS):
            return True
        if not name.startswith(("jax.", __name__)):  # or of another module here, for JAX
            return False
        frame = frame.f_back
    return False


# ------------------------------------------------------------------ what else is replaced


def _primitives_below(jax: Any) -> list[Any]:
    try:
        known = part(jax, ".extend.core.primitives")
        return [getattr(known, name) for name in BELOW]
    except (ImportError, AttributeError):
        raise UnsupportedDraw(
            f"JAX {jax.__version__} is imported, and might draw unseen: gradproof does not know "
            "this version; update it, or run this where it is not imported"
        ) from None


def _refuse_ahead(jax: Any, patches: Patches) -> None:
    """Refuse machine code that was made of functions before."""
    compiled = jax.stages.Compiled
    patches.attribute(compiled, "__call__", handle(compiled.__call__, refuse(AHEAD)))
    exported = sys.modules.get("jax._src.export._export")
    called = getattr(exported, "call_exported_p", None)
    if called is not None:
        patches.attribute(called, "bind", handle(called.bind, refuse(AHEAD)))


@dataclasses.dataclass(frozen=True)
class _Callback:
    """A user's function that compiled code calls back, in whatever thread that is."""

    function: Callable[..., Any]
    where: Home

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        run = current_run()
        if run is not None or not self.where.runs:
            return self.function(*args, **kwargs)
        run = self.where.run("a function that compiled code calls")
        token = _current.set(run)
        try:
            return self.function(*args, **kwargs)
        except NotEnumerable as error:
            AnsweredDraws.of(run).note(error)
            raise
        finally:
            _current.reset(token)


def _handle_callback(real: Callable[..., Any]) -> Callable[..., Any]:
    """A handler for what has a function called back."""

    def answer(_: Run, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return real(_Callback(callback, home()), *args, **kwargs)

    return handle_in_runs(real, answer)
