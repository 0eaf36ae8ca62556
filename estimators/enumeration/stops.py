"""Stop-gradients as constants: their values at one point are used again at others.

A stop-gradient (``detach``, ``stop_gradient``, ``item``, a block under ``no_grad``) has a value
that moves with the parameters and a derivative that is zero. A first run keeps the values, in
order; later runs at moved parameters get the same ones. So a surrogate becomes an ordinary
function, and its finite differences are what its automatic derivative should be.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import numpy as np

from .frameworks.jax import without_compiling
from .patches import Patches
from .run import NotEnumerable, NotReproducible

#: Methods of a tensor, and functions of ``torch``, whose results are constants by what they are.
METHODS = (
    *("detach", "detach_", "item", "tolist", "numpy", "new_tensor"),
    *("__float__", "__int__", "__complex__"),
)
FUNCTIONS = ("detach", "detach_", "tensor")

#: Where something is looked up, and its name: what it returns is to be a constant.
Declared = tuple[Any, str]


class UnsupportedStopGradient(NotEnumerable):
    """A stop-gradient (``detach``) whose value cannot be kept constant, or that is never called."""


@dataclasses.dataclass(frozen=True, eq=False)
class Stop:
    """One call of a stop-gradient: of which function, at which line, and what came out."""

    what: str
    where: str
    value: Any

    def __str__(self) -> str:
        return f"{self.what} at {self.where}"


class StopRecorder:
    """Keeps what comes out of stops; or, if it is given some, hands these out.

    Args:
        given: the stops of the run that is repeated. None: this is the first.
    """

    def __init__(self, given: Sequence[Stop] | None = None) -> None:
        self._given = given
        self.stops: list[Stop] = []
        self._lent: list[tuple[Stop, Any]] = []
        self._inside = False

    @property
    def inside(self) -> bool:
        """Whether a stop is being passed: what is called by it is no stop of its own."""
        return self._inside

    def __call__(
        self,
        what: str,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        *,
        stops: Callable[[Any], bool] = lambda _: True,
    ) -> Any:
        """What a function returns, or returned on the first run; it is called both times.

        Args:
            stops: whether this result is a constant to whatever differentiates.
        """
        where = "" if self._inside else _caller()
        if not where:
            return function(*args, **kwargs)
        self._inside = True
        try:
            found = function(*args, **kwargs)
            if not stops(found):
                return found
            if _in_place(function):
                return self._record_written(Stop(what, where, _copy(args[0], what)), found, args[0])
            return self._record_returned(Stop(what, where, _copy(found, what)), found)
        finally:
            self._inside = False

    def _record_returned(self, stop: Stop, found: Any) -> Any:
        self._add(stop)
        if self._given is None:
            self._lent.append((stop, found))
            return found
        return _copy(self.stops[-1].value, stop.what)

    def _record_written(self, stop: Stop, found: Any, target: Any) -> Any:
        self._add(stop)
        if self._given is None:
            self._lent = [pair for pair in self._lent if pair[1] is not target]
        else:
            with sys.modules["torch"].no_grad():
                target.copy_(self.stops[-1].value)
        return found

    def _add(self, stop: Stop) -> None:
        place = len(self.stops)
        if self._given is None:
            self.stops.append(stop)
            return
        given = self._given[place] if place < len(self._given) else None
        if given is None or (given.what, given.where) != (stop.what, stop.where):
            raise NotReproducible(
                f"stop-gradient {place + 1} was {given or 'none'}, and at moved parameters it is "
                f"{stop}: which of them are called depends on the parameters, or on what is kept "
                "between runs (nondeterministic); call the same ones in every run"
            )
        self.stops.append(given)

    def finish(self) -> None:
        """The run is over.

        Raises:
            NotReproducible: if stops were not passed that were given.
            UnsupportedStopGradient: if what came out of one was written to.
        """
        if self._given is not None and len(self.stops) < len(self._given):
            raise NotReproducible(
                f"a run at moved parameters called {len(self.stops)} stop-gradients, and before "
                f"it went on with {self._given[len(self.stops)]}: which of them are called depends "
                "on the parameters, or on what is kept between runs (nondeterministic); call the "
                "same ones in every run"
            )
        for stop, found in self._lent:
            if not _is_same(found, stop.value):
                raise UnsupportedStopGradient(
                    f"what came out of {stop} was written to afterwards, or what it shares memory "
                    "with: a value that is handed out again would not reach the others; let the "
                    "code work on a copy"
                )


@contextlib.contextmanager
def holding(
    recorded: Sequence[Stop] | None = None, declared: Sequence[Declared] = ()
) -> Iterator[StopRecorder]:
    """Stop-gradients keep their values, or return recorded ones, until this is left.

    Handled: PyTorch's ``detach``, ``detach_``, ``data``, ``item``, ``tolist``, ``numpy``,
    ``float()``, ``int()``, ``torch.tensor`` and ``new_tensor`` of what requires a gradient; what
    PyTorch computes from it under ``no_grad`` and in ``inference_mode``; ``torch.autograd.grad``
    without ``create_graph``; ``jax.lax.stop_gradient``; and what is declared. None is handled in a
    ``torch.autograd.Function``: its backward pass says what its derivative is.

    Not seen: a stop that is called under a name of its own (``from jax.lax import stop_gradient``),
    one in compiled code, one in the backward pass. What TorchScript made is refused if it has one.

    Args:
        declared: pairs of where something is looked up (a module, a class, an object) and its name;
            what it returns is a constant, whether or not it is to the framework.

    Raises:
        TypeError: for what cannot be declared.
        NotReproducible, UnsupportedStopGradient: as :class:`StopRecorder`; and if what is declared
            is never called.
    """
    keeper = StopRecorder(recorded)
    with contextlib.ExitStack() as stack:
        for name, stops in STOPS.items():
            if name in sys.modules:
                stack.enter_context(stops(sys.modules[name], keeper))
        called: set[int] = set()
        for place, (owner, name) in enumerate(_check_declared(declared)):
            around = _declared_stop(getattr(owner, name), name, keeper, called, place)
            stack.enter_context(Patches()).attribute(owner, name, around)
        yield keeper
    idle = [name for place, (_, name) in enumerate(declared) if place not in called]
    if idle:
        raise UnsupportedStopGradient(
            f"{', '.join(idle)} is declared as a stop-gradient (held=), and never called: nothing "
            "was detached; declare the object that it is looked up in when it is called"
        )
    keeper.finish()


def _declared_stop(
    function: Callable[..., Any], what: str, keeper: StopRecorder, called: set[int], place: int
) -> Callable[..., Any]:
    def call_stop(*args: Any, **kwargs: Any) -> Any:
        called.add(place)
        return keeper(what, function, args, kwargs)

    return call_stop


def _check_declared(declared: Sequence[Any]) -> Sequence[Declared]:
    for each in declared:
        if not (isinstance(each, tuple) and len(each) == 2 and isinstance(each[1], str)):
            raise TypeError(
                f"held= has {each!r:.60}, expected pairs of an object and a name, such as (model, "
                "'cost')"
            )
        owner, name = each
        bound = isinstance(_raw_attribute(owner, name), staticmethod | classmethod)
        if bound or not hasattr(owner, "__dict__") or not callable(getattr(owner, name, None)):
            raise TypeError(
                f"held= names {name} of {owner!r:.60}, expected a function or method looked up "
                "there (no static method, no class method)"
            )
    return declared


def _raw_attribute(owner: Any, name: str) -> Any:
    classes = getattr(owner, "__mro__", ())
    return next((vars(each)[name] for each in classes if name in vars(each)), None)


# ------------------------------------------------------------------ PyTorch


@contextlib.contextmanager
def torch_stops(torch: Any, keeper: StopRecorder) -> Iterator[None]:
    """PyTorch's stops go through the keeper until this is left."""
    tensor = torch.Tensor
    methods = {name: _handle_stop(torch, keeper, tensor, "Tensor", name) for name in METHODS}
    functions = {name: _handle_stop(torch, keeper, torch, "torch", name) for name in FUNCTIONS}
    data = tensor.data
    methods["data"] = property(
        lambda self: _stop(torch, keeper, "Tensor.data", data.__get__, (self,), {}), data.__set__
    )
    slope = torch.autograd.grad

    def grad(*args: Any, **kwargs: Any) -> Any:
        what = "torch.autograd.grad"  # without create_graph what it returns is a constant
        return keeper(what, slope, args, kwargs, stops=lambda found: not _is_live(torch, found))

    with Patches() as patches:
        patches.attributes(tensor, methods)
        patches.attributes(torch, functions)
        patches.attribute(torch.autograd, "grad", grad)
        for kind in (torch._C.ScriptFunction, torch._C.ScriptMethod):
            patches.attribute(kind, "__call__", _handle_script(torch, keeper, kind))
        with _mode(torch, keeper):
            yield


#: Nodes of TorchScript that hand on a value without its derivative; the last is of ``with``, as
#: of ``no_grad``.
SCRIPTED = ("aten::detach", "prim::data", "aten::item", "aten::Float", "prim::Enter")


def _handle_script(torch: Any, keeper: StopRecorder, kind: Any) -> Any:
    """A call of what TorchScript made, which passes its stops unseen."""
    function = kind.__call__

    def call(scripted: Any, *args: Any, **kwargs: Any) -> Any:
        # A method's module has parameters, which may need gradients too.
        method = kind is torch._C.ScriptMethod
        if not keeper.inside and (method or _is_live(torch, (args, kwargs))):
            graph = getattr(scripted, "inlined_graph", None) or scripted.graph
            passed = [name for name in SCRIPTED if f" {name}(" in str(graph.str())]
            if passed:
                raise UnsupportedStopGradient(
                    f"{getattr(scripted, 'name', 'a function')} was compiled by TorchScript with "
                    f"{', '.join(passed)} inside, a stop-gradient whose value cannot be kept "
                    "there: check the function that was compiled"
                )
        return function(scripted, *args, **kwargs)

    return call


def _handle_stop(torch: Any, keeper: StopRecorder, owner: Any, prefix: str, name: str) -> Any:
    function = getattr(owner, name)

    def stop_values(*args: Any, **kwargs: Any) -> Any:
        return _stop(torch, keeper, f"{prefix}.{name}", function, args, kwargs)

    stop_values.__name__ = name  # whatever is refused by its name
    return stop_values


def _stop(
    torch: Any,
    keeper: StopRecorder,
    what: str,
    function: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> Any:
    # What needs no gradient is a constant already: it moves with nothing that is not held.
    if keeper.inside or not _is_live(torch, (args, kwargs)):
        return function(*args, **kwargs)
    return keeper(what, function, args, kwargs)


def _mode(torch: Any, keeper: StopRecorder) -> AbstractContextManager[object]:
    """What is computed where gradients are switched off."""

    class Mode(torch.overrides.TorchFunctionMode):
        def __torch_function__(  # the name is PyTorch's
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            given = kwargs or {}
            if keeper.inside or torch.is_grad_enabled():
                return func(*args, **given)
            if not (_in_place(func) or _is_live(torch, (args, given))):
                return func(*args, **given)
            what = f"{getattr(func, '__name__', func)} without gradients"
            return keeper(what, func, args, given, stops=lambda found: is_stop(func, args, found))

    def is_stop(function: Any, args: Sequence[Any], found: Any) -> bool:
        # What is handed through as it is keeps its gradient; a shape or a type has none. (A view
        # says that it requires one, and is a leaf of its own: nothing flows back from it.)
        if _in_place(function):
            return not getattr(args[0], "requires_grad", True)
        has_tensor = next(_tensors(torch, found), None) is not None
        return has_tensor and all(found is not each for each in args)

    mode: AbstractContextManager[object] = Mode()
    return mode


def _tensors(torch: Any, value: Any) -> Iterator[Any]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _tensors(torch, each)
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _tensors(torch, each)


def _is_live(torch: Any, value: Any) -> bool:
    """Whether a derivative could pass: some tensor requires a gradient."""
    return any(each.requires_grad or is_transformed(torch, each) for each in _tensors(torch, value))


def is_transformed(torch: Any, tensor: Any) -> bool:
    """Whether it belongs to ``torch.func.grad`` or ``vmap``: it has no value outside of them."""
    # PyTorch has no public name for it.
    return bool(torch._C._functorch.is_functorch_wrapped_tensor(tensor))


# ------------------------------------------------------------------ JAX


@contextlib.contextmanager
def jax_stops(jax: Any, keeper: StopRecorder) -> Iterator[None]:
    """JAX's stop goes through the keeper until this is left; its arrays cannot be written to.

    What is compiled has no values to keep: so nothing is, meanwhile.
    """
    function = jax.lax.stop_gradient

    def stop_gradient(x: Any) -> Any:
        return keeper("jax.lax.stop_gradient", function, (x,), {})

    uncompiled = without_compiling(jax) if hasattr(jax, "disable_jit") else contextlib.nullcontext()
    with uncompiled, Patches() as patches:
        patches.attribute(jax.lax, "stop_gradient", stop_gradient)
        yield


#: By a framework's module: what has its stops go through a keeper.
STOPS: dict[str, Callable[[Any, StopRecorder], AbstractContextManager[object]]] = {
    "torch": torch_stops,
    "jax": jax_stops,
}


# ------------------------------------------------------------------ values


def _in_place(function: Any) -> bool:
    name = getattr(function, "__name__", "")
    ends = name.endswith("_") and not name.endswith("__")
    return ends or name == "__setitem__" or (name[:3] == "__i" and name[3:] in _AUGMENTED)


#: What augmented assignments end in, after ``__i``.
_AUGMENTED = {f"{name}__" for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow")}


def _copy(value: Any, what: str) -> Any:
    """The same value, in memory of its own, that follows nothing."""
    if hasattr(value, "detach") and hasattr(value, "clone"):
        if is_transformed(sys.modules["torch"], value):
            _refuse_value(value, what)
        return value.detach().clone().requires_grad_(value.requires_grad)
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, tuple | list):
        inner = [_copy(each, what) for each in value]
        return value._make(inner) if hasattr(value, "_make") else type(value)(inner)
    if isinstance(value, Mapping):
        return {key: _copy(each, what) for key, each in value.items()}
    plain = value is None or isinstance(value, int | float | complex | str | np.generic)
    if plain or (hasattr(value, "__array__") and not type(value).__name__.endswith("Tracer")):
        return value
    return _refuse_value(value, what)


def _refuse_value(value: Any, what: str) -> NoReturn:
    raise UnsupportedStopGradient(
        f"{what} returned a {type(value).__name__}, expected arrays, tensors, numbers, or tuples, "
        "lists and mappings of them; nothing else can be kept, and nothing inside a transform such "
        "as vmap, grad or jit: pass a surrogate without it"
    )


def _is_same(found: Any, value: Any) -> bool:
    """Whether an array or tensor still has the values that it had."""
    if hasattr(found, "detach"):
        found, value = found.detach().cpu(), value.detach().cpu()
        return bool(((found == value) | ((found != found) & (value != value))).all())
    if isinstance(found, np.ndarray):
        return bool(np.array_equal(found, value, equal_nan=found.dtype.kind in "fc"))
    return True


def _caller() -> str:
    """The line that passes a stop, outside the framework.

    Empty inside a custom function of PyTorch, whose backward pass says what its derivative is,
    and in a handler, which only asks a run for an outcome.
    """
    line = ""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        drawing = name.startswith(f"{__package__}.") and name != __name__ and not line
        if drawing or (name == "torch.autograd.function" and frame.f_code.co_name == "apply"):
            return ""
        if not line and name != __name__ and name.partition(".")[0] not in STOPS:
            line = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        frame = frame.f_back
    return line
