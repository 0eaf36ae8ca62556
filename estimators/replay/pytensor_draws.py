"""PyTensor's discrete draws, asked of a walker, inside functions that are compiled already.

Its random variables draw by a method that is looked up each time they run, in ``scan`` too: that is
replaced for a while. A function that numba, JAX or another compiler has taken whole runs no such
method, and is refused where it draws: compile it with ``mode="FAST_COMPILE"``, or set
``pytensor.config.mode`` to that, which changes no number that matters to a check.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .outcomes import Choose, Draws, below, binomials, integers, multinomials, row
from .patch import patched
from .walk import Continuous, Walker

#: A variable, a node, or an op of PyTensor.
Symbolic = Any


@contextlib.contextmanager
def pytensor_draws(pytensor: Any, walker: Walker) -> Iterator[None]:
    """Draws of PyTensor ask the walker until this is left.

    States move as they do without a walker; :class:`.outcomes.Draws` says what a state that draws
    twice gives.

    Raises:
        Continuous: if a function is called that draws what cannot be walked through.
    """
    # Its coins are SciPy's, which it loads when they are first asked for; and loading that draws.
    _ = pytensor.tensor.random.basic.stats.bernoulli
    draws = Draws(walker, "PyTensor")
    base = pytensor.tensor.random.op.RandomVariable
    function = pytensor.compile.Function
    call = function.__call__

    def checked(self: Any, *args: Any, **kwargs: Any) -> Any:
        check(self)
        return call(self, *args, **kwargs)

    with contextlib.ExitStack() as stack:
        stack.enter_context(patched(function, {"__call__": checked}))
        for kind in {base, *_below(base)}:
            if "rng_fn" in vars(kind):
                asks = functools.partialmethod(_asks, draws, _own(vars(kind)["rng_fn"]))
                stack.enter_context(patched(kind, {"rng_fn": asks}))
        yield


def check(function: Any) -> None:
    """Whether all that a compiled function draws can be walked through.

    Raises:
        Continuous: if it cannot, naming what draws.
    """
    compiled = _is_compiled_whole(function.maker.linker)
    for op in _random(function.maker.fgraph):
        if _name(op) not in KINDS:
            raise Continuous(_of_kind(_name(op)))
        if compiled:
            raise Continuous(
                f"PyTensor draws by {_name(op)} in a function that {compiled} compiled, where no "
                'draw can be asked; compile it with mode="FAST_COMPILE", or set '
                'pytensor.config.mode = "FAST_COMPILE"'
            )


def _asks(op: Any, draws: Draws, real: Any, state: Any, *given: Any) -> np.ndarray:
    """A draw from a generator: PyTensor's own moves it, and has the shape."""
    before, moved = state.bit_generator.state, draws.walker.moved
    if repr(moved.get(id(state), (state, before))[1]) != repr(before):
        raise Continuous("a generator of PyTensor moved between draws: something else drew from it")
    like = np.asarray(real.__get__(op, type(op))(state, *given))
    moved[id(state)] = state, state.bit_generator.state
    name = _name(op)
    if name not in KINDS:
        raise Continuous(_of_kind(name))
    parameters = tuple(np.asarray(each) for each in given[:-1])
    kind = functools.partial(KINDS[name], op)
    return draws.ask(repr(before).encode(), name, kind, parameters, like)


def _own(drawing: Any) -> Any:
    """PyTensor's own, inside of another walk too: only the innermost is asked."""
    asked = isinstance(drawing, functools.partialmethod) and drawing.func is _asks
    return drawing.args[1] if asked else drawing


# ------------------------------------------------------------------ what is drawn


def _swapped(kind: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """A kind that has no need to know the op."""
    return lambda _, choose, *given: kind(choose, *given)


def _categories(_: Any, choose: Choose, p: np.ndarray, like: np.ndarray) -> np.ndarray:
    """The number of the outcome that came out, for each row of chances."""
    rows = np.broadcast_to(p, (*like.shape, p.shape[-1]))
    found = np.empty_like(like)
    for place in np.ndindex(*like.shape):
        found[place] = choose(rows[place], "categorical")
    return found


def _choices(op: Any, choose: Choose, a: np.ndarray, *rest: np.ndarray) -> np.ndarray:
    """Entries along the first axis, none of them twice."""
    *p, shape, like = rest
    values = _alone(op, a)
    chances = p[0] if p else np.full(len(values), 1.0 / len(values))
    if chances.ndim > 1:
        raise Continuous(_of_kind("choice_without_replacement, of several at once"))
    count = int(np.prod(shape))
    found = values[row(choose, np.array(chances), count, False, "choice_without_replacement")]
    return found.reshape(like.shape)


def _permutations(op: Any, choose: Choose, x: np.ndarray, like: np.ndarray) -> np.ndarray:
    """The same along the first axis, in any order."""
    values = _alone(op, x)
    each = np.full(len(values), 1.0 / len(values))
    found = values[row(choose, each, len(values), False, "permutation")]
    return found.reshape(like.shape)


def _alone(op: Any, values: np.ndarray) -> np.ndarray:
    """What is drawn from; a number stands for the numbers below it."""
    if values.ndim > op.ndims_params[0]:
        raise Continuous(_of_kind(f"{_name(op)}, of several at once"))
    return np.arange(values.item()) if values.ndim == 0 else values


#: What is drawn outcome by outcome, by the name of the op; each is given the op first.
KINDS: dict[str, Callable[..., np.ndarray]] = {
    "bernoulli": _swapped(below),
    "binomial": _swapped(binomials),
    "categorical": _categories,
    "choice_without_replacement": _choices,
    "integers": lambda _, choose, low, high, like: integers(
        choose, low, np.asarray(high, object) - 1, like
    ),
    "multinomial": _swapped(multinomials),
    "permutation": _permutations,
}


# ------------------------------------------------------------------ graphs


def _random(graph: Any) -> Iterator[Any]:
    """The ops that draw in a graph, and in graphs inside of it."""
    for node in graph.apply_nodes:
        inner = getattr(node.op, "fgraph", None)
        if inner is not None:  # of scan, and of what is kept together for a compiler
            yield from _random(inner)
        elif any(kind.__name__ == "RandomVariable" for kind in type(node.op).__mro__):
            yield node.op


def _is_compiled_whole(linker: Any) -> str:
    """The name of what compiles a graph in one piece; nothing where ops run one by one."""
    kinds = [kind.__name__ for kind in type(linker).__mro__]
    return kinds[0].removesuffix("Linker") if {"JITLinker", "CLinker"} & set(kinds) else ""


def _below(kind: type) -> Iterator[type]:
    below: list[type] = kind.__subclasses__()
    for each in below:
        yield each
        yield from _below(each)


def _name(op: Any) -> str:
    """What a random op draws; that of somebody else has no such name."""
    name, where = str(op.name), type(op).__module__
    return name if where.startswith("pytensor.") else f"{name} of {where}"


def _of_kind(name: str) -> str:
    return (
        f"PyTensor draws by {name}, which has no outcomes to count; hold its numbers fixed: give "
        "them by givens="
    )
