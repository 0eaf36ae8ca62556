"""PyTensor's discrete draws, inside functions that are compiled already.

Its random variables draw by a method that is looked up each time they run, in ``scan`` too: it is a
handler while a run is under way. A function that numba, JAX or another compiler has taken whole
runs no such method, and is refused where it draws: compile it with ``mode="FAST_COMPILE"``, or set
``pytensor.config.mode`` to that, which changes no number that matters to a check.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..patches import Patches
from ..run import Run, UnsupportedDraw, current_run
from .compiled import Compiled, Symbolic, subclasses_of
from .framework import by_itself, refuse
from .numpy import binomials
from .symbolic import categories, choices, coins, integers, multinomials


class PyTensor(Compiled):
    """PyTensor's random variables."""

    name = "pytensor"
    called = "PyTensor"

    def install(self, patches: Patches) -> None:
        """Handle what random variables draw by, and calls of functions."""
        compiled = self.module.compile
        self.install_functions(patches, compiled.Function, compiled.sharedvalue.SharedVariable)
        random = sys.modules.get("pytensor.tensor.random")
        if random is not None:
            self._install_variables(patches, random)
        maker = compiled.maker.FunctionMaker
        patches.attribute(maker, "__init__", by_itself(vars(maker)["__init__"]))
        create, numba = by_itself(vars(maker)["create"]), _Numba(patches)

        @functools.wraps(create)
        def create_and_look(*args: Any, **kwargs: Any) -> Any:
            found = create(*args, **kwargs)
            numba.look()
            return found

        patches.attribute(maker, "create", create_and_look)

    def _install_variables(self, patches: Patches, random: Any) -> None:
        # Its coins are SciPy's, which it loads when they are first asked for; and loading draws.
        _ = random.basic.stats.bernoulli
        base = random.op.RandomVariable
        for kind in {base, *subclasses_of(base)}:
            if "rng_fn" in vars(kind):
                patches.attribute(kind, "rng_fn", _Drawing(self, vars(kind)["rng_fn"]))

    def unseen_draws(self, maker: Symbolic) -> Iterator[str]:
        """See the base class."""
        compiled = _is_compiled_whole(maker.linker)
        for op in _random_ops(maker.fgraph):
            if _name(op) not in KINDS:
                yield _no_outcomes(_name(op))
            elif compiled:
                yield (
                    f"PyTensor draws by {_name(op)} in a function that {compiled} compiled, where "
                    'no draw can be enumerated; compile it with mode="FAST_COMPILE", or set '
                    'pytensor.config.mode = "FAST_COMPILE"'
                )

    def draw(self, run: Run, op: Symbolic, real: Any, state: Any, *given: Any) -> np.ndarray:
        """A draw from a generator: PyTensor's own moves it, and has the shape."""
        name = _name(op)
        kind = KINDS.get(name, lambda *_: refuse(_no_outcomes(name))())

        def draw(run: Run, what: str, *parameters: Any) -> Any:
            return kind(op, run, what, *map(np.asarray, parameters))

        return self.answer_draw(run, name, draw, real, state, *given)


class _Drawing:
    """What a class of random variables draws by: a handler for the objects of it, in a run."""

    def __init__(self, framework: PyTensor, real: Any) -> None:
        self._framework, self._real = framework, real

    def __get__(self, op: Symbolic, kind: type) -> Any:
        real, run = self._real.__get__(op, kind), current_run()
        if run is None or op is None:
            return real
        return functools.partial(self._framework.draw, run, op, real)


class _Numba:
    """Numba, which PyTensor loads when it first compiles something by it.

    It compiles at the first call of a function, and names by random numbers what it compiles.
    """

    def __init__(self, patches: Patches) -> None:
        self._patches, self._done = patches, False
        self.look()

    def look(self) -> None:
        """Handle what compiles, once it is there."""
        module = sys.modules.get("numba.core.dispatcher")
        if module is not None and not self._done:
            self._done = True
            kind = module.Dispatcher
            self._patches.attribute(kind, "compile", by_itself(vars(kind)["compile"]))


# ------------------------------------------------------------------ what is drawn


def _without_op(draw: Any) -> Any:
    """A kind that has no need to know the op."""
    return lambda _, run, what, *given: draw(run, what, *given)


def _choices(op: Any, run: Run, what: str, a: np.ndarray, *rest: np.ndarray) -> np.ndarray:
    """Entries along the first axis, none of them twice."""
    *p, _, like = rest
    _check_single(op, a)
    if p and p[0].ndim > 1:
        raise UnsupportedDraw(_no_outcomes("choice_without_replacement, of several at once"))
    return choices(run, what, a, False, p[0] if p else (), like)


def _permutations(op: Any, run: Run, what: str, x: np.ndarray, like: np.ndarray) -> np.ndarray:
    """The same along the first axis, in any order."""
    _check_single(op, x)
    return choices(run, what, x, False, (), like)


def _check_single(op: Any, values: np.ndarray) -> None:
    if values.ndim > op.ndims_params[0]:
        raise UnsupportedDraw(_no_outcomes(f"{_name(op)}, of several at once"))


#: What is drawn outcome by outcome, by the name of the op; each is given the op first.
KINDS: dict[str, Any] = {
    "bernoulli": _without_op(coins),
    "binomial": _without_op(binomials),
    "categorical": _without_op(categories),
    "choice_without_replacement": _choices,
    "integers": _without_op(functools.partial(integers, last=False)),
    "multinomial": _without_op(multinomials),
    "permutation": _permutations,
}


# ------------------------------------------------------------------ graphs


def _random_ops(graph: Symbolic) -> Iterator[Any]:
    """The ops that draw in a graph, and in graphs inside of it."""
    for node in graph.apply_nodes:
        inner = getattr(node.op, "fgraph", None)
        if inner is not None:  # of scan, and of what is kept together for a compiler
            yield from _random_ops(inner)
        elif any(kind.__name__ == "RandomVariable" for kind in type(node.op).__mro__):
            yield node.op


def _is_compiled_whole(linker: Any) -> str:
    """The name of what compiles a graph in one piece; nothing where ops run one by one."""
    kinds = [kind.__name__ for kind in type(linker).__mro__]
    return kinds[0].removesuffix("Linker") if {"JITLinker", "CLinker"} & set(kinds) else ""


def _name(op: Any) -> str:
    """What a random op draws; that of somebody else has no such name."""
    name, where = str(op.name), type(op).__module__
    return name if where.startswith("pytensor.") else f"{name} of {where}"


def _no_outcomes(name: str) -> str:
    return (
        f"PyTensor draws by {name}, which has no outcomes to count; keep its numbers "
        "fixed: give them by givens="
    )
