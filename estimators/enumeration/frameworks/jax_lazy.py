"""JAX's continuous numbers that are only compared: of which nothing is decided before.

An array of such numbers is to JAX an array that is traced, in the trace where everything else has
values. So ``grad``, ``vmap`` and whatever else JAX builds on top of that trace hand their steps on
to it, and each step that is given such numbers is answered by :mod:`.jax_lazy_steps`. What is
compiled, and loops, are run step by step where such numbers are drawn or come in.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import weakref
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from ..block import BlockRun
from ..drawn_numbers import DrawnNumbers
from ..lazy_functions import NoLaw, truncate
from ..lazy_numbers import LazyNumbers
from ..monotone import spread
from ..patches import Patches
from ..run import Run, current_run
from .jax_lazy_loops import LOOPS, run_steps
from .jax_lazy_steps import answer
from .jax_primitive import AnsweredDraws, Array, draw_primitive, part
from .jax_replay import OUTSIDE
from .jax_samplers import LAWS, ContinuousNumbers

#: Which continuous numbers are drawn by steps: none, some, or some that are divided among devices.
Draws = int
NONE, SOME, DIVIDED = range(3)

#: Steps that are done on several devices, and are compiled for them in any case.
DIVIDING = ("shard_map", "xla_pmap")

#: By sequences of steps.
_known: weakref.WeakKeyDictionary[Any, Draws] = weakref.WeakKeyDictionary()


def are_kept_undecided(run: Run | None) -> bool:
    """Whether continuous numbers of a run are decided by what they are compared with."""
    return (
        run is not None
        and not run.is_sampling
        and run.quadrature is None
        and not isinstance(run, BlockRun)
    )


class Undecided:
    """What JAX asks of an array that is traced, where its numbers are needed.

    ``numbers`` are what was drawn, and monotone functions of it. Where they are no longer such
    functions, ``how`` says by which step: then nothing can be compared any more, but what does not
    come to a result does no harm, as a derivative that nobody asked for.
    """

    __slots__ = ()
    numbers: LazyNumbers
    how: str

    def refuse(self, how: str) -> NoReturn:
        """See :func:`..cells.refuse`."""
        self.numbers.refuse(self.how or how)

    def __int__(self) -> int:
        if self.how or self.numbers.places.size != 1:
            self.refuse("by int")
        try:
            return int(truncate(self.numbers).reshape(-1)[0])
        except NoLaw:
            self.refuse("by int")


def _needing(name: str) -> Any:
    def method(self: Undecided, *_: Any, **__: Any) -> NoReturn:
        self.refuse(f"by {name.strip('_')}")

    return method


for _name in (
    "__array__", "__bool__", "__float__", "__index__", "__complex__", "__dlpack__", "tolist",
    "tobytes", "item", "__format__",
):  # fmt: skip
    setattr(Undecided, _name, _needing(_name))


@functools.cache
def array_class(jax: Any) -> Any:
    """The class of such arrays, for a JAX that is imported."""
    core = sys.modules["jax._src.core"]

    class UndecidedArray(Undecided, core.Tracer):  # type: ignore[name-defined]
        """Numbers that are not decided yet, of a shape and a type."""

        __slots__ = ("how", "numbers")

        def __init__(
            self, numbers: LazyNumbers, dtype: Any, how: str = "", shape: Sequence[int] = ()
        ) -> None:
            shape = tuple(shape) if how else numbers.shape
            super().__init__(core.eval_trace, core.ShapedArray(shape, np.dtype(dtype)))
            self.numbers, self.how = numbers, how

    return UndecidedArray


class UndecidedSteps:
    """What is done by steps that draw continuous numbers, or are given some."""

    def __init__(self, jax: Any) -> None:
        self._jax, self._draw = jax, draw_primitive(jax)
        self._core = sys.modules["jax._src.core"]
        self._of_jaxpr = part(jax, ".extend.core").jaxprs_in_params
        self._arrays = array_class(jax)

    def concern(self, primitive: Any, args: Sequence[Array], params: dict[str, Any]) -> bool:
        """Whether a step is one of these."""
        if any(type(each) is self._arrays for each in args):
            return True
        if primitive is self._draw:
            return _is_continuous(params) and are_kept_undecided(current_run())
        return (
            primitive.name in LOOPS
            and are_kept_undecided(current_run())
            and max((self._draws(each) for each in self._of_jaxpr(params)), default=NONE) == SOME
        )

    def evaluate(self, primitive: Any, args: Sequence[Array], params: dict[str, Any]) -> Any:
        """The results of such a step: one, or a list.

        Raises:
            UnsupportedDraw: if it needs the numbers themselves.
        """
        name = primitive.name
        if primitive is self._draw:
            return self._numbers(*args, **params)
        if name in LOOPS:
            with self._core.eval_context():
                return run_steps(self._jax, name, args, params)
        first = next(each for each in args if type(each) is self._arrays)
        if name in OUTSIDE:
            first.refuse(f"by jax.{name}")
        spoilt = next((each for each in args if type(each) is self._arrays and each.how), None)
        if spoilt is None:
            with contextlib.suppress(NoLaw):
                return self._results(primitive, args, params)
        return self._spoil(first if spoilt is None else spoilt, primitive, args, params)

    def _results(self, primitive: Any, args: Sequence[Array], params: dict[str, Any]) -> Any:
        kinds = [getattr(each, "dtype", None) or np.asarray(each).dtype for each in args]
        given = [each.numbers if type(each) is self._arrays else each for each in args]
        found = answer(self._jax, primitive, given, kinds, params)
        results = [
            self._arrays(each, kind) if isinstance(each, LazyNumbers) else self._known(each, kind)
            for each, kind in found
        ]
        return results if primitive.multiple_results else results[0]

    def _known(self, values: Array, kind: Any) -> Array:
        return self._jax.numpy.asarray(values, kind)

    def _spoil(
        self, array: Any, primitive: Any, args: Sequence[Array], params: dict[str, Any]
    ) -> Any:
        """Results that are no function that could be compared, and refused where that is needed."""
        how = array.how or f"by jax.lax.{primitive.name}"
        kinds = [
            self._jax.ShapeDtypeStruct(each.shape, each.dtype) if hasattr(each, "dtype") else each
            for each in args
        ]
        shapes = self._jax.eval_shape(functools.partial(primitive.bind, **params), *kinds)
        results = shapes if primitive.multiple_results else [shapes]
        floats = self._jax.numpy.floating
        if not results or not all(self._jax.numpy.issubdtype(one.dtype, floats) for one in results):
            array.refuse(how)
        found = [self._arrays(array.numbers, one.dtype, how, one.shape) for one in results]
        return found if primitive.multiple_results else found[0]

    def _numbers(
        self, data: Array, *, sampler: ContinuousNumbers, generator: str, where: Any
    ) -> Array:
        """New numbers of a law, or those that the same key drew before."""
        run = where.run(sampler.what)
        drawn = DrawnNumbers.of(run)
        chain = LAWS[sampler.law]

        def draw(count: int) -> np.ndarray:
            return drawn.draw(sampler.what, count, sampler.step, chain[:1])

        places = AnsweredDraws.of(run).places(sampler, generator, np.asarray(data), draw)
        return self._arrays(LazyNumbers(drawn, places, spread(chain, places.shape)), sampler.dtype)

    def _draws(self, jaxpr: Any) -> Draws:
        """What some steps draw, or steps inside of them."""
        jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
        found = _known.get(jaxpr)
        if found is None:
            found = _known[jaxpr] = max((self._draws_at(each) for each in jaxpr.eqns), default=NONE)
        return found

    def _draws_at(self, step: Any) -> Draws:
        if step.primitive is self._draw:
            return SOME if _is_continuous(step.params) else NONE
        found = max((self._draws(each) for each in self._of_jaxpr(step.params)), default=NONE)
        return DIVIDED if found and step.primitive.name in DIVIDING else found


def _is_continuous(params: dict[str, Any]) -> bool:
    return isinstance(params["sampler"], ContinuousNumbers)


def keep_undecided(jax: Any, patches: Patches) -> None:
    """Have continuous numbers compared before they are decided, in a JAX where that can be done.

    In others they are refused as they are drawn.
    """
    parts = _replaced(jax)
    if parts is None:
        return
    core, compiled = parts
    steps, arrays = UndecidedSteps(jax), array_class(jax)
    evaluate, check = core.EvalTrace.process_primitive, core.check_eval_args
    call = compiled._pjit_call_impl_python

    @functools.wraps(evaluate)
    def process_primitive(self: Any, primitive: Any, args: Any, params: Any, /) -> Any:
        if steps.concern(primitive, args, params):
            return steps.evaluate(primitive, args, params)
        return evaluate(self, primitive, args, params)

    @functools.wraps(check)
    def check_arguments(args: Sequence[Any]) -> None:
        check([each for each in args if type(each) is not arrays])

    @functools.wraps(call)
    def call_compiled(*args: Any, **params: Any) -> Any:
        if steps.concern(compiled.jit_p, args, params):
            return steps.evaluate(compiled.jit_p, args, params), None, None, []
        return call(*args, **params)

    patches.attribute(core.EvalTrace, "process_primitive", process_primitive)
    patches.attribute(core, "check_eval_args", check_arguments)
    patches.attribute(compiled, "_pjit_call_impl_python", call_compiled)


def _replaced(jax: Any) -> tuple[Any, Any] | None:
    """The modules of JAX that evaluate steps; None for a version that has others."""
    core, compiled = (sys.modules.get(f"jax._src.{name}") for name in ("core", "pjit"))
    needed = (
        hasattr(core, "eval_trace"),
        hasattr(core, "check_eval_args"),
        hasattr(core, "eval_context"),
        hasattr(getattr(core, "EvalTrace", None), "process_primitive"),
        hasattr(compiled, "_pjit_call_impl_python"),
        hasattr(compiled, "_run_python_pjit"),  # which expects as much of it as is returned here
        getattr(getattr(compiled, "jit_p", None), "name", "") in LOOPS,
    )
    return (core, compiled) if all(needed) else None
