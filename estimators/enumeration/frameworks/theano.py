"""Theano's discrete draws, inside functions that are compiled already.

``RandomStreams`` draw by one op, whose code looks up what draws each time it runs: it finds a
handler there while a run is under way, in ``scan`` too. ``MRG_RandomStreams`` draw uniform numbers,
and compare them in compiled code: a graph with these is compiled by :func:`enumerable_function`,
which puts an op in their place that asks the run.

Not enumerated: ``MRG_RandomStreams`` inside ``scan``; ``DebugMode`` with
:func:`enumerable_function`. Each is an error.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..patches import Patches
from ..run import Run, UnsupportedDraw, current_run
from .compiled import Compiled, SharedVariables, Symbolic
from .framework import by_itself, handle_in_runs, refuse
from .numpy import binomials
from .symbolic import (
    Draw,
    SymbolicDraws,
    choices,
    coins,
    integers,
    multinomials,
    orders,
    picks,
)

#: Where in Theano's order of rewrites draws are found: after equal nodes are merged, at 0, and
#: before shapes are asked of the nodes that are there, at 0.1, which keeps them in the graph.
EARLY = 0.05

#: What ``RandomStreams`` draw, by the function of NumPy or of Theano that draws it.
STATES: dict[str, Draw] = {
    "binomial": binomials,
    "multinomial_helper": multinomials,
    "random_integers_helper": integers,
    "choice_helper": choices,
    "permutation_helper": orders,
}

#: What ``MRG_RandomStreams`` draw, by the op that has the uniform numbers: its name, and how.
UNIFORMS: dict[str, tuple[str, Draw]] = {
    "MultinomialFromUniform": (
        "multinomial",
        lambda run, what, pvals, n, like: multinomials(run, what, n, pvals, like),
    ),
    "ChoiceFromUniform": ("choice", lambda run, what, p, _, like: picks(run, what, p, like)),
    "LT": ("binomial", coins),
}


class Theano(Compiled):
    """Theano 1.0.5's streams."""

    name = "theano"
    called = "Theano"

    def install(self, patches: Patches) -> None:
        """Handle the op that draws, calls of functions, and seeds of Theano's own."""
        compiled = self.module.compile
        maker = compiled.function_module.FunctionMaker
        self.install_functions(
            patches, compiled.function_module.Function, compiled.sharedvalue.SharedVariable
        )
        # A property comes before what is kept in an object.
        exec_fn = property(self._find_handler, _keep_drawing)
        patches.attribute(self.module.tensor.raw_random.RandomFunction, "exec_fn", exec_fn)
        streams = self.module.tensor.shared_randomstreams.RandomStreams
        patches.attribute(streams, "gen", self._handle_gen(streams.gen))
        patches.attribute(streams, "seed", self._handle_seed(streams.seed))
        for name in ("__init__", "create"):  # what locks the folder of compiled code has a name
            patches.attribute(maker, name, by_itself(vars(maker)[name]))

    def unseen_draws(self, maker: Symbolic) -> Iterator[str]:
        """See the base class."""
        yield from _unseen_draws(maker.fgraph)

    def _find_handler(self, op: Symbolic) -> Callable[..., Any]:
        """What an op draws by."""
        real: Callable[..., Any] = op.__dict__["exec_fn"]
        if current_run() is None:
            return real
        return functools.wraps(real)(functools.partial(self._draw, op, real))

    def _draw(self, op: Symbolic, real: Any, state: np.random.RandomState, *arguments: Any) -> Any:
        run, name = current_run(), _name(op)
        assert run is not None
        draw = STATES.get(name, refuse(_no_outcomes(name)))
        return self.answer_draw(run, name.removesuffix("_helper"), draw, real, state, *arguments)

    def _handle_gen(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """A handler of what makes a new stream, whose seed is drawn by another."""

        def gen(run: Run, streams: Any, *args: Any, **kwargs: Any) -> Any:
            if run.is_sampling:
                return by_itself(real)(streams, *args, **kwargs)
            shared = SharedVariables.of(run, self.called)
            shared.note_found(streams.gen_seedgen)
            made = by_itself(real)(streams, *args, **kwargs)
            shared.keep(made.rng, made.rng.container.storage, made=True)
            return made

        return handle_in_runs(real, gen)

    def _handle_seed(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """A handler of what seeds all streams anew."""

        def seed(run: Run, streams: Any, *args: Any, **kwargs: Any) -> None:
            if run.is_sampling:
                by_itself(real)(streams, *args, **kwargs)
                return
            shared = SharedVariables.of(run, self.called)
            for state, _ in streams.state_updates:
                shared.keep(state, state.container.storage)
            by_itself(real)(streams, *args, **kwargs)
            for state, _ in streams.state_updates:
                shared.note_found(state.container.storage[0])

        return handle_in_runs(real, seed)


def enumerable_function(
    inputs: Any, outputs: Any = None, mode: Any = None, **kwargs: Any
) -> Symbolic:
    """``theano.function``, of a graph whose ``MRG_RandomStreams`` can be enumerated.

    Its ``multinomial``, ``binomial`` (``uniform(size) < p``) and ``choice`` ask the run that is
    under way, and draw as ever where there is none. What is given by ``givens`` is not drawn: noise
    that has no outcomes to count can be fixed so. A graph without ``MRG_RandomStreams`` needs no
    such care: compile it by ``theano.function``.

    Args:
        inputs, outputs, mode, kwargs: those of ``theano.function``.

    Raises:
        UnsupportedDraw: if the graph draws what cannot be enumerated.
    """
    theano = sys.modules["theano"]  # it is imported, or there would be no graph
    known = theano.compile.mode.get_mode(mode).register((_draws_rewrite(theano), EARLY))
    function = theano.function(inputs, outputs, known, **kwargs)
    for why in _unseen_draws(function.maker.fgraph):
        raise UnsupportedDraw(why)
    return function


# ------------------------------------------------------------------ graphs


@functools.cache
def _outcome_op(theano: Any) -> type:
    """The op that stands where uniform numbers become outcomes."""

    class OutcomeOp(theano.Op):
        """Asks the run that is under way, and does what it stands for where there is none.

        Its last input is the state from which the uniform numbers were drawn.
        """

        __props__ = ("drawn",)

        def __init__(self, drawn: Any) -> None:
            self.drawn = drawn

        def make_node(self, *inputs: Symbolic) -> Symbolic:
            (found,) = self.drawn.make_node(*inputs[:-1]).outputs
            return theano.Apply(self, list(inputs), [found.type()])

        def do_constant_folding(self, _: Symbolic) -> bool:
            return False  # it is a draw, also from a state that never moves

        def perform(self, node: Symbolic, inputs: list[Any], outputs: list[Any]) -> None:
            outputs[0][0] = _compare(self.drawn, node, inputs, outputs)

    return OutcomeOp


def _compare(op: Symbolic, node: Symbolic, inputs: list[Any], outputs: list[Any]) -> np.ndarray:
    """What an op makes of uniform numbers, or the outcomes that the run has for it."""
    kind = _uniform_name(op)
    *arguments, state = inputs
    if kind == "LT":
        uniform, *arguments = arguments
        result = np.asarray(np.less(uniform, *arguments))
        if result.shape != np.shape(uniform):
            raise ValueError(
                f"uniform numbers of shape {np.shape(uniform)} are compared with probabilities of "
                f"shape {np.shape(arguments[0])}; draw as many as there are probabilities"
            )
    else:
        op.perform(node, arguments, outputs)
        result = np.asarray(outputs[0][0])
        probabilities, uniform, count = arguments
        arguments = [probabilities, count]
    run = current_run()
    if run is None:
        return result
    # Each row of a state draws a number in turn, so that two states that share one draw the same.
    rows = np.asarray(state)[: np.size(uniform)]
    name, draw = UNIFORMS[kind]
    keys = [row.tobytes() for row in rows]
    return SymbolicDraws.of(run, Theano.called).answer(keys, name, draw, arguments, result)


@functools.cache
def _draws_rewrite(theano: Any) -> Any:
    """The rewrite that puts it there."""

    @theano.gof.local_optimizer(None)
    def gradproof_draws(node: Symbolic) -> Any:
        return _replacement(theano, node)

    return theano.tensor.opt.in2out(gradproof_draws, name="gradproof_draws")


def _replacement(theano: Any, node: Symbolic) -> Any:
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
    if uniform is None:
        return False
    return _outcome_op(theano)(node.op).make_node(*put, uniform.owner.inputs[0]).outputs


def _uniform(theano: Any, variable: Symbolic) -> Symbolic:
    """The numbers of ``MRG_RandomStreams`` that ``u * (1 - 0) + 0`` is of, as it makes them."""
    tensor = theano.tensor
    scaled, low = _operands(variable, tensor.add)
    number, span = _operands(scaled, tensor.mul)
    high, lowest = _operands(_strip(span), tensor.sub)
    if (_constant(low), _constant(lowest), _constant(high)) != (0.0, 0.0, 1.0):
        return None
    return number if _is_mrg(number.owner) else None


def _operands(variable: Symbolic, op: Any) -> tuple[Symbolic, Symbolic]:
    owner = getattr(variable, "owner", None)
    if owner is None or owner.op != op or len(owner.inputs) != 2:
        return None, None
    return owner.inputs[0], owner.inputs[1]


def _strip(variable: Symbolic) -> Symbolic:
    """Without what changes nothing but type and shape."""
    while variable is not None and variable.owner and len(variable.owner.inputs) == 1:
        variable = variable.owner.inputs[0]
    return variable


def _constant(variable: Symbolic) -> float | None:
    data: Any = getattr(_strip(variable), "data", ())
    return float(data) if np.size(data) == 1 else None


def _unseen_draws(graph: Symbolic) -> Iterator[str]:
    """What draws in a compiled graph, and in graphs inside of it, and no handler sees."""
    for node in graph.apply_nodes:
        inner: Any = getattr(node.op, "fn", None)
        if hasattr(inner, "maker"):  # scan has a compiled function of its own
            yield from _unseen_draws(inner.maker.fgraph)
        if type(node.op).__name__ == "RandomFunction" and _name(node.op) not in STATES:
            yield _no_outcomes(_name(node.op))
        if _is_mrg(node):
            users = set(_users(node.outputs[1]))
            if users - {"OutcomeOp"}:
                yield (
                    "MRG_RandomStreams draw uniform numbers that "
                    f"{', '.join(sorted(users))} is given: compile what draws by multinomial, "
                    f"binomial or choice by {__name__}.{enumerable_function.__name__}; anything "
                    "else has no outcomes to count"
                )


def _users(variable: Symbolic) -> Iterator[str]:
    """What a variable of a compiled graph is given to, by name."""
    for user, _ in variable.clients:
        name = user if isinstance(user, str) else type(user.op).__name__
        if name == "Rebroadcast":  # it knows that an axis has length one, and changes nothing
            yield from _users(user.outputs[0])
        else:
            yield name if name in ("OutcomeOp", "output") else str(user.op)


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


def _no_outcomes(name: str) -> str:
    return (
        f"RandomStreams draw by {name}, which has no outcomes to count; keep its numbers "
        "fixed: give them by givens="
    )


def _keep_drawing(op: Symbolic, value: Any) -> None:
    op.__dict__["exec_fn"] = value
