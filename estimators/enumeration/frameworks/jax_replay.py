"""A traced computation of JAX, run once more with outcomes that are given to it.

Draws are steps of it, known by their primitive. Here each takes what it is given instead of asking,
and what it would have asked with is returned beside the result: the words of its key, and its
arguments. So the whole can be mapped over, differentiated no more, and compiled.

Reference:
    JAX's page on writing interpreters of traced code ("Writing custom Jaxpr interpreters in JAX").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..block import NotBatchable
from .jax_primitive import Array, draw_primitive, part
from .jax_samplers import Sampler

#: Steps that are other steps, done once: where these are.
CALLS = {
    "jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "core_call": "call_jaxpr",
    "checkpoint": "jaxpr", "remat": "jaxpr", "remat2": "jaxpr", "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr", "custom_vjp_call_jaxpr": "fun_jaxpr",
}  # fmt: skip

#: Those that are compiled once for all paths.
COMPILED = ("jit", "pjit")

#: Steps by which code does more than compute, or says itself what a map over it is.
OUTSIDE = frozenset(
    {"pure_callback", "io_callback", "debug_callback", "outside_call", "custom_vmap_call"}
    | {"ffi_call"}
)


class Site(NamedTuple):
    """A place where draws are made.

    ``axes`` are of the steps of loops around it, and of the keys that it has in each; ``inputs``
    the number of arguments beside keys.
    """

    sampler: Sampler
    generator: str
    axes: tuple[int, ...]
    inputs: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what is drawn there."""
        return (*self.axes, *self.sampler.shape)


class Asked(NamedTuple):
    """What a site asks with.

    Shape:
        ``words`` (*axes, words); each argument (*axes, *shape).
    """

    words: Array
    arguments: tuple[Array, ...]


class Replay:
    """A traced computation without arguments.

    Args:
        traced: a closed jaxpr.

    Raises:
        NotBatchable: for draws that only some paths make, and steps that do more than compute.
    """

    def __init__(self, jax: Any, traced: Any) -> None:
        self._jax, self._draw = jax, draw_primitive(jax)
        self._core = part(jax, ".extend.core")
        self._jaxpr, self.constants = traced.jaxpr, list(traced.consts)
        if traced.effects:
            raise NotBatchable(_does_more(", ".join(sorted(map(str, traced.effects)))))
        self.sites = list(self._sites(self._jaxpr))
        #: Steps at the top, which code that is not compiled does one by one, and of these such as
        #: have steps inside that are compiled each time; and all steps.
        self.steps = len(self._jaxpr.eqns)
        self.loops = sum(
            step.primitive.name not in COMPILED and any(True for _ in self._inner(step))
            for step in self._jaxpr.eqns
        )
        self.all_steps = sum(1 for _ in self._all_steps(self._jaxpr))
        #: Numbers of the largest array that it makes on the way.
        self.largest = max(
            (_size(each.aval) for step in self._all_steps(self._jaxpr) for each in step.outvars),
            default=1,
        )

    def __call__(
        self, constants: Sequence[Array], outcomes: Sequence[Array]
    ) -> tuple[list[Array], list[Asked]]:
        """The results, and what each site asks with.

        Args:
            outcomes: what is drawn at each site, of its shape.
        """
        results, asked = self._run(self._jaxpr, constants, (), outcomes)
        kinds = [each.aval for each in self._jaxpr.outvars]
        return [_of_kind(*each) for each in zip(results, kinds, strict=True)], asked

    # -------------------------------------------------------------- what is in it

    def _inner(self, step: Any) -> Iterator[Any]:
        for each in self._core.jaxprs_in_params(step.params):
            yield getattr(each, "jaxpr", each)

    def _all_steps(self, jaxpr: Any) -> Iterator[Any]:
        for step in jaxpr.eqns:
            yield step
            for inner in self._inner(step):
                yield from self._all_steps(inner)

    def _has_draws(self, step: Any) -> bool:
        return any(
            each.primitive is self._draw
            for inner in self._inner(step)
            for each in self._all_steps(inner)
        )

    def _sites(self, jaxpr: Any, axes: tuple[int, ...] = ()) -> Iterator[Site]:
        """In the order in which they are run."""
        for step in jaxpr.eqns:
            name, params = step.primitive.name, step.params
            if step.primitive is self._draw:
                data, *inputs = (each.aval for each in step.invars)
                keys = data.shape[:-1]
                yield Site(params["sampler"], params["generator"], (*axes, *keys), len(inputs))
            elif name in OUTSIDE:
                raise NotBatchable(_does_more(name))
            elif not self._has_draws(step):
                for inner in self._inner(step):
                    yield from self._sites(inner)  # there are none, and nothing that is refused
            elif name == "scan":
                yield from self._sites(params["jaxpr"].jaxpr, (*axes, params["length"]))
            elif name in CALLS:
                yield from self._sites(_called(step)[0], axes)
            else:
                raise NotBatchable(f"it draws inside of {name}, and so perhaps not on all paths")

    # -------------------------------------------------------------- how it is run

    def _run(
        self,
        jaxpr: Any,
        constants: Sequence[Array],
        arguments: Sequence[Array],
        outcomes: Sequence[Array],
    ) -> tuple[list[Array], list[Asked]]:
        values = dict(zip(jaxpr.constvars, constants, strict=True))
        values.update(zip(jaxpr.invars, arguments, strict=True))
        asked: list[Asked] = []

        def read(variable: Any) -> Array:
            return variable.val if isinstance(variable, self._core.Literal) else values[variable]

        for step in jaxpr.eqns:
            given = [read(each) for each in step.invars]
            found: Sequence[Array]
            if step.primitive is self._draw:
                found = [_of_kind(outcomes[len(asked)], step.outvars[0].aval)]
                asked.append(Asked(given[0], tuple(given[1:])))
            elif self._has_draws(step):
                found, inner = self._run_inner(step, given, outcomes[len(asked) :])
                asked += inner
            else:
                found = _bind(step, given)
            values.update(zip(step.outvars, found, strict=True))
        return [read(each) for each in jaxpr.outvars], asked

    def _run_inner(
        self, step: Any, given: Sequence[Array], outcomes: Sequence[Array]
    ) -> tuple[list[Array], list[Asked]]:
        """A step that draws.

        Args:
            outcomes: of its sites, and of those after it.
        """
        if step.primitive.name != "scan":
            jaxpr, constants = _called(step)
            return self._run(jaxpr, constants, given, outcomes)
        params, body = step.params, step.params["jaxpr"]
        fixed, carried = params["num_consts"], params["num_carry"]
        sites = sum(1 for _ in self._sites(body.jaxpr))

        def turn(carry: Any, each: Any) -> tuple[Any, Any]:
            arguments, drawn = each
            found, asked = self._run(
                body.jaxpr, body.consts, [*given[:fixed], *carry, *arguments], drawn
            )
            return found[:carried], (found[carried:], asked)

        carry, (rest, asked) = self._jax.lax.scan(
            turn,
            list(given[fixed : fixed + carried]),
            (list(given[fixed + carried :]), list(outcomes[:sites])),
            length=params["length"],
            reverse=params["reverse"],
        )
        return [*carry, *rest], asked


def _of_kind(value: Array, kind: Any) -> Array:
    """A value, if it is of the type that it had where it was traced."""
    if not hasattr(value, "dtype"):
        return np.asarray(value, kind.dtype)  # a number that was written there
    if (value.shape, value.dtype) != (kind.shape, kind.dtype):
        raise NotBatchable(
            f"it has an array of {value.dtype} where one of {kind.dtype} was traced: is the "
            "precision set in the estimator?"
        )
    return value


def _bind(step: Any, given: Sequence[Array]) -> Sequence[Array]:
    """What a step comes to, under the settings that it was traced under."""
    primitive = step.primitive
    bound = primitive.get_bind_params(step.params)
    functions, params = ((), bound) if isinstance(bound, dict) else bound  # in an older JAX
    with step.ctx.manager:
        found = primitive.bind(*functions, *given, **params)
    return found if primitive.multiple_results else [found]


def _called(step: Any) -> tuple[Any, Sequence[Array]]:
    """The steps that a step is, and their constants."""
    inner = step.params[CALLS[step.primitive.name]]
    return getattr(inner, "jaxpr", inner), getattr(inner, "consts", ())


def _size(kind: Any) -> int:
    size = 1
    for each in getattr(kind, "shape", ()):
        size *= int(each)
    return size


def _does_more(what: str) -> str:
    return f"it does more than compute ({what}), which is done once for all paths"
