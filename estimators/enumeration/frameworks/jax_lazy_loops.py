"""Steps of JAX that have steps inside, run one by one where numbers are drawn that have no value.

Which branch is taken, and whether a loop goes on, has to be known.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from .jax_primitive import Array

#: Steps that are other steps, done once: where these are.
ONCE = {
    "jit": "jaxpr", "pjit": "jaxpr", "closed_call": "call_jaxpr", "core_call": "call_jaxpr",
    "checkpoint": "jaxpr", "remat": "jaxpr", "remat2": "jaxpr",
}  # fmt: skip


#: Of JAX: where steps are evaluated, and where they are left out.
MODULES = ("core", "interpreters.partial_eval")


def run_steps(jax: Any, name: str, args: Sequence[Array], params: dict[str, Any]) -> list[Array]:
    """The results of a step in :data:`LOOPS`, whose own are evaluated one by one."""
    if name in ONCE:
        return _evaluate(params[ONCE[name]], args)
    return REPEATED[name](jax, args, params)


def _evaluate(steps: Any, args: Sequence[Array]) -> list[Array]:
    """Without what nothing follows from, as where they are compiled."""
    core, partial_eval = (sys.modules[f"jax._src.{name}"] for name in MODULES)
    jaxpr, constants = getattr(steps, "jaxpr", steps), getattr(steps, "consts", ())
    needed, _ = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars), True)
    found: list[Array] = core.eval_jaxpr(needed, constants, *args)
    return found


def _scan(jax: Any, args: Sequence[Array], params: dict[str, Any]) -> list[Array]:
    fixed, carried = params["num_consts"], params["num_carry"]
    length, body = params["length"], params["jaxpr"]
    constants, carry = list(args[:fixed]), list(args[fixed : fixed + carried])
    turns = range(length)
    rows: list[list[Array]] = [[] for _ in turns]
    for turn in reversed(turns) if params["reverse"] else turns:
        own = [jax.lax.index_in_dim(each, turn, 0, False) for each in args[fixed + carried :]]
        found = _evaluate(body, [*constants, *carry, *own])
        carry, rows[turn] = found[:carried], found[carried:]
    kinds = [each.aval for each in body.jaxpr.outvars[carried:]]
    if not length:
        return [*carry, *(jax.numpy.zeros((0, *kind.shape), kind.dtype) for kind in kinds)]
    return [*carry, *(jax.numpy.stack(each) for each in zip(*rows, strict=True))]


def _while(jax: Any, args: Sequence[Array], params: dict[str, Any]) -> list[Array]:
    first, second = params["cond_nconsts"], params["body_nconsts"]
    asked, fixed = args[:first], args[first : first + second]
    carry = list(args[first + second :])
    while bool(_evaluate(params["cond_jaxpr"], [*asked, *carry])[0]):
        carry = _evaluate(params["body_jaxpr"], [*fixed, *carry])
    return carry


def _cond(jax: Any, args: Sequence[Array], params: dict[str, Any]) -> list[Array]:
    return _evaluate(params["branches"][int(args[0])], args[1:])


#: Loops and branches, by their names.
REPEATED: dict[str, Callable[..., list[Array]]] = {"scan": _scan, "while": _while, "cond": _cond}

#: All that have steps inside.
LOOPS = frozenset({*ONCE, *REPEATED})
