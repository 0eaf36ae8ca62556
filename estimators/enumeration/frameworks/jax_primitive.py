"""The primitive that stands for a sampler of JAX: it asks the run that is under way.

It has no derivative, and under vmap one draw for each key. What it remembers of a call is the same
for all runs, so that code is compiled with it once.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..run import Choice, NotEnumerable, Run, SampledRun, UnsupportedDraw, _current, current_run
from .jax_keyed_draws import KeyedDraws
from .jax_samplers import ContinuousNumbers, Sampler
from .jax_traces import Home, asks_by

#: An array of JAX, traced or not.
Array = Any

#: Compiled code may call from several threads at once.
_one_at_a_time = threading.RLock()


class AnsweredDraws:
    """What one run has answered, as it is kept in its memory under the name of the framework."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._keys = KeyedDraws()
        self._places = {key: place for place, key in enumerate(run._keyed)}
        self._ordered = len(run._ordered)
        #: Of JAX, while the run is under way.
        self.setting: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
        self._error = sys.exc_info()[1]
        #: What was raised in a call by compiled code, which hands on its text alone.
        self.failed: BaseException | None = None

    @staticmethod
    def of(run: Run) -> AnsweredDraws:
        """Those of a run that is under way."""
        found = run.memory["jax"]
        assert isinstance(found, AnsweredDraws)
        return found

    def draw(
        self, sampler: Sampler, generator: str, data: np.ndarray, arguments: Sequence[np.ndarray]
    ) -> np.ndarray:
        """What is drawn by each of some keys; see :meth:`.jax_keyed_draws.KeyedDraws.draw`."""
        with _one_at_a_time:
            if isinstance(self._run, SampledRun):
                try:
                    self._run.observe(
                        lambda: self._keys.draw(self._run, sampler, generator, data, arguments)
                    )
                except ValueError as error:  # JAX draws by what is no distribution as well
                    self._run.unknown[str(error)] = None
                return np.zeros((*data.shape[:-1], *sampler.shape), sampler.dtype)
            return self._keys.draw(self._run, sampler, generator, data, arguments)

    def places(
        self,
        sampler: ContinuousNumbers,
        generator: str,
        data: np.ndarray,
        draw: Callable[[int], np.ndarray],
    ) -> np.ndarray:
        """Which numbers, not decided, are drawn; see :meth:`.jax_keyed_draws.KeyedDraws.places`."""
        with _one_at_a_time:
            return self._keys.places(sampler, generator, data, draw)

    def note(self, error: BaseException) -> None:
        """Keep what was raised where it cannot get out as it is."""
        self.failed = self.failed or error
        if isinstance(error, NotEnumerable) and error not in self._run.refused:
            self._run.refused.append(error)

    def error_since(self) -> BaseException | None:
        """What is being raised, if it is not since before the run."""
        error = sys.exc_info()[1]
        return None if error is self._error else error

    def put_in_order(self) -> None:
        """Draws of the prefix first, in its order, whichever were made first.

        A draw that was not given follows from those before it and no others, since it was made
        without knowing these. If it came before one that is given, a path would be left out.
        """
        places, left = self._places, self._ordered
        first = self._run.choices[: len(places)]
        if not left and [choice.key for choice in first] == list(places):
            return
        prefix: list[Choice] = []
        free: list[Choice] = []
        for choice in self._run.choices:
            ordered = choice.key is None and left > 0
            left -= ordered
            (prefix if ordered or choice.key in places else free).append(choice)
        keyed = [choice for choice in prefix if choice.key in places]
        following = iter(sorted(keyed, key=lambda choice: places[choice.key]))
        prefix = [next(following) if choice.key in places else choice for choice in prefix]
        self._run.choices[:] = [*prefix, *free]


def part(jax: Any, name: str) -> Any:
    """A module of JAX that importing JAX does not load."""
    return importlib.import_module(name, jax.__name__)


@functools.cache
def draw_primitive(jax: Any) -> Any:
    """Takes the words of keys, (*keys, words), and a sampler's arguments, (*keys, ...)."""
    drawn = part(jax, ".extend.core").Primitive("gradproof_draw")
    ad, batching, mlir = (part(jax, f".interpreters.{name}") for name in ("ad", "batching", "mlir"))
    kind_of = getattr(jax, "typeof", None) or jax.core.get_aval  # in an older JAX
    place = jax.jit(lambda outcomes: outcomes)

    def evaluate(
        data: Array, *arguments: Array, sampler: Sampler, generator: str, where: Home
    ) -> Array:
        run = where.run(sampler.what)
        numbers = [np.asarray(each) for each in arguments]
        outcomes = AnsweredDraws.of(run).draw(sampler, generator, np.asarray(data), numbers)
        placed = place(outcomes)  # in a third of the time that jax.numpy.asarray takes
        return placed if isinstance(placed, jax.Array) else jax.numpy.asarray(outcomes)

    def abstract_value(data: Any, *_: Any, sampler: Sampler, **__: Any) -> Any:
        return jax.core.ShapedArray((*data.shape[:-1], *sampler.shape), sampler.dtype)

    def map_over(
        arrays: Sequence[Array], axes: Sequence[int | None], **how: Any
    ) -> tuple[Array, int]:
        pairs = list(zip(arrays, axes, strict=True))
        (size, *_) = (array.shape[axis] for array, axis in pairs if axis is not None)
        # A key that is not mapped is the same one for each: it may draw the same again.
        return drawn.bind(*(batching.bdim_at_front(*pair, size) for pair in pairs), **how), 0

    def differentiate(values: Sequence[Array], _: object, **how: Any) -> tuple[Array, Any]:
        outcomes = drawn.bind(*values, **how)
        return outcomes, ad.Zero(kind_of(outcomes).to_tangent_aval())

    drawn.def_impl(evaluate)
    drawn.def_abstract_eval(abstract_value)
    batching.primitive_batchers[drawn] = map_over
    ad.primitive_jvps[drawn] = differentiate
    try:
        mlir.register_lowering(drawn, _lowering(mlir), cacheable=False)  # as JAX's own calls
    except TypeError:  # by an older JAX, which has no such cache
        mlir.register_lowering(drawn, _lowering(mlir))
    return drawn


def _lowering(mlir: Any) -> Any:
    """What is compiled: a call that asks the run."""

    def lower(
        context: Any, *values: Any, sampler: Sampler, generator: str, where: Home
    ) -> Sequence[Any]:
        devices = getattr(context.module_context.axis_context, "num_devices", 1) or 1
        if devices > 1:
            _refuse_several(sampler.what, devices)
            return [
                mlir.ir_constant(np.zeros(each.shape, each.dtype)) for each in context.avals_out
            ]
        where.compiled = True
        results, *_ = mlir.emit_python_callback(
            context, _ask_run(sampler, generator, where), None, list(values), context.avals_in,
            context.avals_out, has_side_effect=False,
        )  # fmt: skip
        asks_by(context.module_context, (sampler, generator, where))
        return results

    return lower


def _refuse_several(what: str, devices: int) -> None:
    why = (
        f"{what} is compiled for {devices} devices, whose draws cannot be enumerated one by one; "
        "run it on one device"
    )
    run = current_run()
    if not isinstance(run, SampledRun):
        raise UnsupportedDraw(why)
    run.unknown[why] = None


def _ask_run(sampler: Sampler, generator: str, where: Home) -> Callable[..., tuple[np.ndarray]]:
    """What compiled code calls, in whatever thread that is."""

    def ask(data: np.ndarray, *given: np.ndarray) -> tuple[np.ndarray]:
        run = where.run(sampler.what)
        token = None if current_run() is run else _current.set(run)
        answers = AnsweredDraws.of(run)
        try:
            return (answers.draw(sampler, generator, data, given),)
        except BaseException as error:
            answers.note(error)
            raise
        finally:
            if token is not None:
                _current.reset(token)

    return ask
