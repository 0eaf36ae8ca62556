"""Theano's discrete draws, asked of a walker, inside functions that are compiled already.

``RandomStreams`` draw by one op, whose code looks up what draws each time it runs: that is replaced
for a while, wherever the op is, in ``scan`` too. ``MRG_RandomStreams`` draw uniform numbers, and
compare them in compiled code: a graph with these is compiled by :func:`walked`, which puts an op in
their place that can be asked.

Not walked through: ``MRG_RandomStreams`` inside ``scan``; graphs built, or streams made, while the
walk is under way; ``DebugMode`` with :func:`walked`. Each is an error.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .outcomes import (
    Draws,
    below,
    binomials,
    choices,
    chosen,
    integers,
    multinomials,
    permutations,
)
from .patch import patched
from .walk import Continuous, Walker

#: A variable, a node, or an op of Theano; or None, where there is none.
Symbolic = Any

#: NumPy's own class, which is replaced while NumPy's draws are walked through.
RandomState = np.random.RandomState

#: Where in Theano's order of rewrites draws are found: after equal nodes are merged, at 0, and
#: before anything is rewritten, from 1 on.
EARLY = 0.5


@contextlib.contextmanager
def theano_draws(theano: Any, walker: Walker) -> Iterator[None]:
    """Draws of Theano ask the walker until this is left.

    A state that draws the same again, as one does that is not updated, gives the same again. One
    that draws anything else is refused: the two hang on each other in a way that nobody knows.
    States move as they do without a walker.

    Raises:
        Continuous: if a function is called that draws what cannot be walked through.
    """
    draws = Draws(walker, "Theano")
    random = theano.tensor.raw_random
    function = theano.compile.function_module.Function
    call = function.__call__

    def checked(self: Any, *args: Any, **kwargs: Any) -> Any:
        check(self)
        return call(self, *args, **kwargs)

    with (
        patched(random, {"np": _Numpy()}),
        patched(function, {"__call__": checked}),
        _looked_up(random.RandomFunction, draws),
    ):
        _ASKED.append(draws)
        try:
            yield
        finally:
            _ASKED.pop()


def walked(inputs: Any, outputs: Any = None, mode: Any = None, **kwargs: Any) -> Any:
    """``theano.function``, of a graph whose ``MRG_RandomStreams`` can be asked for outcomes.

    Its ``multinomial``, ``binomial`` (``uniform(size) < p``) and ``choice`` ask the walker in a
    walk, and draw as ever outside of one. What is given by ``givens`` is not drawn: noise that has
    no outcomes to count can be held fixed so. A graph without ``MRG_RandomStreams`` needs no such
    care: compile it by ``theano.function``.

    Args:
        inputs, outputs, mode, kwargs: those of ``theano.function``.

    Raises:
        Continuous: if the graph draws what cannot be walked through.
    """
    theano = sys.modules["theano"]  # it is imported, or there would be no graph
    known = theano.compile.mode.get_mode(mode).register((_early(theano), EARLY))
    function = theano.function(inputs, outputs, known, **kwargs)
    check(function)
    return function


def check(function: Any) -> None:
    """Whether all that a compiled function draws can be walked through.

    Raises:
        Continuous: if it cannot, naming what draws.
    """
    for what in _unseen(function.maker.fgraph):
        raise Continuous(what)


#: Of the walks that are under way, one inside the other: what their draws ask.
_ASKED: list[Draws] = []


class _Numpy:
    """Stands for NumPy in Theano's module of draws, which asks whether a state is of its class."""

    def __init__(self, module: Any = np) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        if name == "RandomState":
            return RandomState
        found = getattr(self._module, name)
        return _Numpy(found) if name == "random" else found


@contextlib.contextmanager
def _looked_up(kind: Any, draws: Draws) -> Iterator[None]:
    """Another ``exec_fn`` for all random ops: a property comes before what is kept in an object."""
    before = vars(kind).get("exec_fn")

    def get(op: Any) -> Callable[..., Any]:
        real = vars(op)["exec_fn"]
        return functools.wraps(real)(functools.partial(_state, draws, op, real))

    def put(op: Any, value: Any) -> None:
        vars(op)["exec_fn"] = value

    kind.exec_fn = property(get, put)
    try:
        yield
    finally:
        if before is None:
            del kind.exec_fn
        else:
            kind.exec_fn = before


# ------------------------------------------------------------------ what is drawn


def _state(draws: Draws, op: Any, real: Callable[..., Any], state: Any, *given: Any) -> np.ndarray:
    """A draw from a state of NumPy: Theano's own moves the state, and has the shape."""
    _, words, place, *_ = state.get_state()
    key = words.tobytes() + int(place).to_bytes(2, "little")
    like = np.asarray(real(state, *given))
    name = _name(op)
    if name not in STATES:
        raise Continuous(_of_state(name))
    return draws.ask(key, name, STATES[name], given[:-1], like)


#: What ``RandomStreams`` draw, by the function of NumPy or of Theano that draws it.
STATES: dict[str, Callable[..., np.ndarray]] = {
    "binomial": binomials,
    "multinomial_helper": multinomials,
    "random_integers_helper": integers,
    "choice_helper": choices,
    "permutation_helper": permutations,
}

#: What ``MRG_RandomStreams`` draw, by the op that has the uniform numbers.
UNIFORMS: dict[str, Callable[..., np.ndarray]] = {
    "MultinomialFromUniform": lambda choose, pvals, n, like: multinomials(choose, n, pvals, like),
    "ChoiceFromUniform": lambda choose, p, _, like: chosen(choose, p, like),
    "LT": below,
}


# ------------------------------------------------------------------ graphs


@functools.cache
def _asked(theano: Any) -> type:
    """The op that stands where uniform numbers become outcomes."""

    class Asked(theano.Op):
        """Asks the walker in a walk, and does what it stands for outside of one."""

        __props__ = ("drawn",)

        def __init__(self, drawn: Any) -> None:
            self.drawn = drawn

        def make_node(self, *inputs: Symbolic) -> Symbolic:
            (found,) = self.drawn.make_node(*inputs).outputs
            return theano.Apply(self, list(inputs), [found.type()])

        def perform(self, node: Symbolic, inputs: list[Any], outputs: list[Any]) -> None:
            name = _uniform_name(self.drawn)
            if name == "LT":
                uniform, *given = inputs
                plain = np.less(uniform, *given)
                if plain.shape != np.shape(uniform):
                    raise ValueError(
                        f"uniform numbers of shape {np.shape(uniform)} are compared with chances "
                        f"of shape {np.shape(given[0])}; draw as many as there are chances"
                    )
            else:
                self.drawn.perform(node, inputs, outputs)
                chances, uniform, count = inputs
                given, plain = [chances, count], outputs[0][0]
            if _ASKED:
                key, kind = np.asarray(uniform).tobytes(), UNIFORMS[name]
                plain = _ASKED[-1].ask(key, name, kind, tuple(given), plain)
            outputs[0][0] = np.asarray(plain)

    return Asked


@functools.cache
def _early(theano: Any) -> Any:
    """The rewrite that puts it there."""

    @theano.gof.local_optimizer(None)
    def gradproof_draws(node: Symbolic) -> Any:
        return _replaced(theano, node)

    return theano.tensor.opt.in2out(gradproof_draws, name="gradproof_draws")


def _replaced(theano: Any, node: Symbolic) -> Any:
    """What Theano is to put in place of a node's outputs; False to leave it."""
    name = _uniform_name(node.op)
    if name == "LT":
        uniform, inputs = _uniform(theano, node.inputs[0]), node.inputs
        put = [uniform, *inputs[1:]]
    elif name in UNIFORMS and not getattr(node.op, "replace", False):
        uniform = _uniform(theano, node.inputs[1])
        put = [node.inputs[0], uniform, node.inputs[2]]
    else:
        return False
    return False if uniform is None else _asked(theano)(node.op).make_node(*put).outputs


def _uniform(theano: Any, variable: Symbolic) -> Symbolic:
    """The numbers of ``MRG_RandomStreams`` that ``u * (1 - 0) + 0`` is of, as it makes them."""
    tensor = theano.tensor
    scaled, low = _operands(variable, tensor.add)
    number, span = _operands(scaled, tensor.mul)
    high, lowest = _operands(_bare(span), tensor.sub)
    if (_constant(low), _constant(lowest), _constant(high)) != (0.0, 0.0, 1.0):
        return None
    return number if _is_mrg(number.owner) else None


def _operands(variable: Symbolic, op: Any) -> tuple[Symbolic, Symbolic]:
    owner = getattr(variable, "owner", None)
    if owner is None or owner.op != op or len(owner.inputs) != 2:
        return None, None
    return owner.inputs[0], owner.inputs[1]


def _bare(variable: Symbolic) -> Symbolic:
    """Without what changes nothing but type and shape."""
    while variable is not None and variable.owner and len(variable.owner.inputs) == 1:
        variable = variable.owner.inputs[0]
    return variable


def _constant(variable: Symbolic) -> float | None:
    data: Any = getattr(_bare(variable), "data", ())
    return float(data) if np.size(data) == 1 else None


def _unseen(graph: Any) -> Iterator[str]:
    """What draws in a compiled graph, and in graphs inside of it, and cannot be asked."""
    for node in graph.apply_nodes:
        inner: Any = getattr(node.op, "fn", None)
        if hasattr(inner, "maker"):  # scan has a compiled function of its own
            yield from _unseen(inner.maker.fgraph)
        if type(node.op).__name__ == "RandomFunction" and _name(node.op) not in STATES:
            yield _of_state(_name(node.op))
        if _is_mrg(node):
            users = set(_users(node.outputs[1]))
            if users - {"Asked"}:
                yield (
                    "MRG_RandomStreams draw uniform numbers that "
                    f"{', '.join(sorted(users))} is given: compile by "
                    "gradproof.estimators.replay.theano_draws.walked what draws by multinomial, "
                    "binomial or choice; anything else has no outcomes to count"
                )


def _users(variable: Symbolic) -> Iterator[str]:
    """What a variable of a compiled graph is given to, by name."""
    for user, _ in variable.clients:
        name = user if isinstance(user, str) else type(user.op).__name__
        if name == "Rebroadcast":  # it knows that an axis has length one, and changes nothing
            yield from _users(user.outputs[0])
        else:
            yield name if name in ("Asked", "output") else str(user.op)


def _is_mrg(node: Symbolic) -> bool:
    """Whether a node draws uniform numbers for ``MRG_RandomStreams``, on whatever device."""
    kinds = type(getattr(node, "op", None)).__mro__
    return any(kind.__name__ == "mrg_uniform_base" for kind in kinds)


def _uniform_name(op: Any) -> str:
    """Of an op that turns uniform numbers into outcomes, its name in :data:`UNIFORMS`."""
    scalar = getattr(op, "scalar_op", None)
    return type(op if scalar is None else scalar).__name__


def _name(op: Any) -> str:
    """What a random op draws by; a function of somebody else has no such name."""
    if isinstance(op.fn, str):
        return str(op.fn)
    name = str(getattr(op.fn, "__name__", op.fn))
    own = getattr(sys.modules[type(op).__module__], name, None) is op.fn
    return name if own else f"{name} of {getattr(op.fn, '__module__', '?')}"


def _of_state(name: str) -> str:
    return (
        f"RandomStreams draw by {name}, which has no outcomes to count; hold its numbers fixed: "
        "give them by givens="
    )
