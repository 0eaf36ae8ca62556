"""Calls a user's estimator, reads its gradient, and puts back what it moved."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from .block import NotBatchable, RowsCode
from .frameworks.jax_rows import JaxRows
from .frameworks.torch_rows import TorchRows, read_gradients
from .generators import unseen_draw_message
from .gradients import (
    LeafGradients,
    NotAGradient,
    ReturnedGradients,
    array_of,
    arrays_by_name,
    by_name,
    precision,
)
from .input_arrays import wrt_arrays
from .needed_numbers import with_numbers
from .outcomes import EPS
from .run import NotReproducible, Path, UnsupportedDraw, current_run, outside_runs
from .state import Snapshot, StepGradients, gradients_before_step

#: How what an estimator returns may be read.
READ = ("gradient", "surrogate", "grad")

#: What is to be said of what is returned with a graph, and is not one number.
GRAPH = (
    "what it returns is a tensor of several numbers that has a graph, and is read as a gradient; "
    "if it is a surrogate for each sample, return its mean or sum"
)


class Listener(Protocol):
    """Is told of runs as they are made."""

    def run(self) -> None:
        """A run is about to be made."""

    def path(self, path: Path[Any]) -> None:
        """A path was run, the next in its enumeration."""

    def several(self, paths: int, behind: float) -> None:
        """So many paths were run, elsewhere or at once; this share of all is behind now, about."""

    def sample(self, draws: int) -> None:
        """From now on so many runs are samples, at most."""


class UserFunction:
    """A user's function, called with its inputs, each time from the state that it was given in.

    Args:
        function: is called with ``inputs``.
        reset: called before each run, to forget what the last one left.
        beside: what else the function may move, such as parameters.

    Raises:
        TypeError: for inputs that are no list or tuple, or what cannot be called.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        inputs: Sequence[Any] = (),
        *,
        reset: Callable[[], object] | None = None,
        beside: Sequence[Any] = (),
        called: str = "estimate",
    ) -> None:
        if not isinstance(inputs, list | tuple):
            raise TypeError(
                f"inputs is {' '.join(repr(inputs).split()):.60}, expected a list or tuple of what "
                "the estimator is called with; put a single input in a list"
            )
        if not callable(function):
            raise TypeError(
                f"{called} = {function!r:.60}, expected something to call{_hint(called, function)}"
            )
        if reset is not None and not callable(reset):
            raise TypeError(f"reset = {reset!r:.60}, expected something to call")
        self.function, self.inputs, self._reset = function, list(inputs), reset
        #: What is called in its place, and comes to the same; None: it is called itself.
        self.program: Callable[..., Any] | None = None
        self._called = called
        self._beside = list(beside)
        #: Makes the arguments of the next run; None: they are the inputs.
        self.arguments: Callable[[], Sequence[Any]] | None = None
        self._state: Snapshot | None = None
        self._runs = 0
        #: What a run left changed, and was put back, in order of appearance.
        self.changed: dict[str, None] = {}
        #: Whether somebody else draws from a generator, by its identity; None while draws are not
        #: handled, and move generators.
        self.is_shared: Callable[[int], bool] | None = None
        #: Is told of each run.
        self.listener: Listener | None = None
        #: The coarsest precision of what was returned, as the step from 1 to the next number.
        self.precision = EPS
        #: Whether a run looks at the precision of what is returned; None: the first ones do, and
        #: others ever more rarely.
        self.reads_precision: bool | None = None

    @property
    def leaves(self) -> Mapping[str, Any]:
        """Tensors that gradients are by, by name; none that are known of."""
        return {}

    def replace_reset(self, reset: Callable[[], object] | None) -> None:
        """Call this before each run from now on."""
        self._reset = reset

    @property
    def roots(self) -> tuple[Any, ...]:
        """What draws, or keeps what draws."""
        return self.function, self._reset, self.inputs, self._beside

    def __getstate__(self) -> dict[str, Any]:
        """What is sent to another process: none of what belongs to an enumeration of this one."""
        return {**vars(self), "_state": None, "is_shared": None, "listener": None}

    @property
    def observations(self) -> dict[str, Any]:
        """What was seen in runs, by attribute; of several processes the largest counts."""
        return {}

    def observe(self, observations: Mapping[str, Any]) -> None:
        """Add what was seen in runs of another process."""
        for name, value in observations.items():
            setattr(self, name, max(getattr(self, name), value))

    @contextlib.contextmanager
    def restoring_state(self, *, generators: bool = True) -> Iterator[None]:
        """The state is that of now, for each run and at the end, until this is left.

        Args:
            generators: whether generators are put back too.
        """
        if self._state is not None:  # within another
            yield
            return
        self._state, self._runs = self._state_now(generators), 0
        try:
            yield
            self._restore_state(thorough=True)
        finally:
            self._state.restore()
            self._state = None

    def tensors(self) -> list[Any]:
        """All tensors of PyTorch that it reaches, as far as they can be read."""
        return self._state_now(False).tensors()

    def _state_now(self, generators: bool) -> Snapshot:
        # Gradients that are there already belong to nobody's run, and those of a run are no state.
        return Snapshot(
            self.function,
            self._reset,
            generators=generators,
            leaves=self.leaves,
            inputs=self.inputs,
            wrt=self._beside,
        )

    def rows(self, first: Path[Any]) -> RowsCode:
        """The same for all rows of a block at once; asked for while a run of rows is under way.

        Args:
            first: a path that was run by itself.

        Raises:
            NotBatchable: if it can only be run for one path at a time.
        """
        raise NotBatchable("it is run for one path at a time")

    def __call__(self) -> Any:
        """What one run returns. The state is put back by :meth:`restore_state`."""
        if self.listener is not None:
            with outside_runs():  # whoever is told of runs is no part of them
                self.listener.run()
        if self._reset is not None:
            self._reset()
        arguments = self.inputs if self.arguments is None else self.arguments()
        run = current_run()
        if run is not None and run.quadrature is not None:
            run.quadrature.begin(run)
        try:
            return (self.program or self.function)(*arguments)
        except TypeError as error:
            if not takes(self.function, arguments):
                error.add_note(
                    f"gradproof calls {self._called}= with everything in inputs, in order, and "
                    f"with nothing else: here {len(arguments)} in all"
                )
            raise

    def restore_state(self) -> None:
        """Put back what the last run moved.

        Raises:
            NotReproducible: if something changed that was not seen to change at first.
        """
        self._runs += 1
        # What costs much to compare is compared while runs are few, and then ever more rarely;
        # whatever stays changed is seen at the end.
        self._restore_state(thorough=self._runs <= 8 or not self._runs & (self._runs - 1))

    def _restore_state(self, thorough: bool) -> None:
        if self._state is None:
            return
        found = self._state.restore_state()
        late = self._state.restore_state(thorough=True) if thorough else ()
        self.changed.update(dict.fromkeys((*found, *late)))
        if self.is_shared is None:
            return
        for generator, name in self._state.moved_generators.items():
            # Whatever a handler draws is put back by whoever handles draws.
            if not self.is_shared(generator):
                raise UnsupportedDraw(unseen_draw_message(name))
        if late and self._runs > 8:
            raise NotReproducible(
                f"state leaked between runs: {', '.join(late[:4])} changed in some run, which was "
                "not seen at once, so that runs after it began in another state; pass reset= to "
                "set it back, or keep it smaller"
            )

    def inputs_now(self) -> list[np.ndarray]:
        """Copies of the arrays and tensors that it is given, and of those beside."""
        return [np.array(array_of(each)) for each in arrays_in((self.inputs, self._beside))]

    def same_inputs(self, before: Sequence[np.ndarray]) -> bool:
        """Whether they are the same now."""
        now = self.inputs_now()
        return len(now) == len(before) and all(
            np.array_equal(old, new, equal_nan=old.dtype.kind in "fc")
            for old, new in zip(before, now, strict=True)
        )

    @contextlib.contextmanager
    def from_here(self) -> Iterator[None]:
        """The state is that of now instead, until this is left; then it is that of before again."""
        before, changed, runs = self._state, dict(self.changed), self._runs
        self._state, self._runs = self._state_now(True), 0
        try:
            yield
            self._restore_state(thorough=True)
        finally:
            self._state.restore()
            self._state, self._runs = before, runs
            if before is not None:
                before.restore()
            self.changed = changed


def takes(function: Callable[..., Any], arguments: Sequence[Any]) -> bool:
    """Whether a function can be called with these; True where its signature is not known."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*arguments)
    except TypeError:
        return False
    return True


def _hint(called: str, function: Any) -> str:
    """What to do about what cannot be called, by what it is called."""
    if called == "objective":
        return ": a function of the inputs that draws, and returns a cost; numbers go to exact="
    if isinstance(function, Mapping | list | tuple):
        return ": one estimator at a time; compare_estimators takes a dict of several"
    return ""


def _with_numbers(returned: Any) -> Any:
    """What is returned, with plain numbers for those that are integrated and not needed before."""
    run = current_run()
    if run is None or run.quadrature is None:
        return returned
    return with_numbers(returned, "as what is returned")


class Estimator(UserFunction):
    """One estimate at a time.

    Args:
        function: draws, and returns gradients; or returns nothing and leaves them in ``.grad``; or
            returns a surrogate, a tensor of one number that is differentiated here.
        inputs: what it is called with.
        wrt: whose gradients are read, if it does not return them: a module, a tensor, or a mapping
            or sequence of tensors. None: the tensors and modules of the inputs that need gradients.
            Arrays among the inputs are what the gradients that it returns are by.
        reset: called before each run, to forget what the last one left.
        returns: ``gradient``, ``surrogate`` or ``grad`` (what it leaves in ``.grad``), where that
            is not clear by itself.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        inputs: Sequence[Any] = (),
        *,
        wrt: Any = None,
        reset: Callable[[], object] | None = None,
        returns: str | None = None,
    ) -> None:
        super().__init__(function, inputs, reset=reset, beside=() if wrt is None else (wrt,))
        if returns not in (None, *READ):
            raise ValueError(f"returns is {returns!r}, expected one of {', '.join(READ)}")
        self._returns = returns
        self._leaves = by_name(leaves_of(self.inputs if wrt is None else wrt), "parameters")
        #: What gradients are said to be by; and the arrays in it, where it has no tensors.
        self.wrt = wrt
        self.wrt_arrays = {} if wrt is None or self._leaves else wrt_arrays(wrt)
        if wrt is not None and not (self._leaves or self.wrt_arrays):
            read_once = (
                "; what is read only once, as module.parameters() is, cannot be: pass the module "
                "itself, or a list"
            )
            raise TypeError(
                f"wrt is {wrt!r:.60}, expected a module, a tensor that requires a gradient, or a "
                "mapping or sequence of such tensors; or arrays of real numbers among the inputs"
                f"{read_once if isinstance(wrt, Iterator) else ''}"
            )
        #: Makes of gradients what is compared, such as their slopes along a direction.
        self.project: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
        #: Steps that an optimizer took in a run, at most.
        self.steps = 0
        #: Whether some run returned a tensor of several numbers that has a graph.
        self.has_graph = False
        #: Whether some run left its gradients in ``.grad``, where others stood at first.
        self.cleared = False
        #: How what was returned last was read: one of READ; empty before the first run.
        self.read_as = ""
        self._stood = any(_has_gradient(leaf) for leaf in self._leaves.values())
        self._before: StepGradients | None = None

    def __getstate__(self) -> dict[str, Any]:
        """See the base class."""
        return {**super().__getstate__(), "_before": None}

    @property
    def observations(self) -> dict[str, Any]:
        """See the base class."""
        names = "steps", "precision", "has_graph", "cleared", "largest_entry"
        return {name: getattr(self, name) for name in names}

    @property
    def largest_entry(self) -> float:
        """The largest entry of any gradient so far, where slopes are made of them."""
        return float(getattr(self.project, "size", 0.0))

    @largest_entry.setter
    def largest_entry(self, value: float) -> None:
        if self.project is not None:
            self.project.size = value  # type: ignore[attr-defined]

    @property
    def resets(self) -> bool:
        """Whether each run is said to start afresh."""
        return self._reset is not None

    @property
    def leaves(self) -> Mapping[str, Any]:
        """Tensors whose gradients are read, by name."""
        return self._leaves

    @contextlib.contextmanager
    def restoring_state(self, *, generators: bool = True) -> Iterator[None]:
        """See the base class; and gradients are taken down before optimizers step."""
        with (
            super().restoring_state(generators=generators),
            gradients_before_step(self._leaves) as steps,
        ):
            self._before = steps
            try:
                yield
            finally:
                self._before = None

    def rows(self, first: Path[Any]) -> RowsCode:
        """See the base class."""
        if self.project is not None or self.steps or self.read_as not in READ:
            raise NotBatchable("its gradients are read from one path at a time")
        has_keys = any(choice.key is not None for choice in first.choices)
        run = current_run()
        if has_keys and run is not None and run.quadrature is not None:
            raise NotBatchable("numbers that are drawn by keys are integrated one path at a time")
        call = super().__call__

        def code() -> Any:
            return _with_numbers(call())

        if has_keys and self.read_as == "gradient":
            return JaxRows(code, first.choices)  # nobody else's draws have keys
        read = functools.partial(read_gradients, self._leaves, self.read_as)
        return TorchRows(code, self._leaves, read)

    def __call__(self) -> dict[str, Any]:
        """What one run returns or leaves: arrays by name, None for what was not reached.

        They may share memory with what the estimator keeps, and are good until it is run again.

        Raises:
            NotAGradient: if there is no gradient to be read.
        """
        for leaf in self._leaves.values():
            leaf.grad = None
        if self._before is not None:
            self._before.start()
        returned = _with_numbers(self._gradient(super().__call__()))
        reads = self.reads_precision
        if reads is None:
            reads = self._runs < 16 or not self._runs & (self._runs - 1)  # it hardly changes
        if reads:
            self.precision = max(self.precision, precision(returned))
        gradients = self._by_name(returned)
        return gradients if self.project is None else self.project(gradients)

    def _by_name(self, returned: Any) -> dict[str, Any]:
        arrays = arrays_by_name(returned)
        graph = getattr(returned, "requires_grad", False) and not _is_number(returned)
        graph = graph and self._returns is None
        if not graph and not getattr(arrays, "in_order", False):
            return arrays
        value = ReturnedGradients(arrays)
        value.in_order, value.leaves = getattr(arrays, "in_order", False), tuple(self._leaves)
        if graph:
            self.has_graph, value.hint = True, f"; {GRAPH}"
        return value

    def _gradient(self, returned: Any) -> Any:
        """What is to be read, as it is."""
        if self._before is None:
            left = {name: leaf.grad for name, leaf in self._leaves.items()}
        else:
            left = self._before.read()
            self.steps = max(self.steps, self._before.steps)
        filled = any(value is not None for value in left.values())
        if self._returns == "grad" or (
            self._returns is None and filled and self._is_left(returned, left)
        ):
            self.read_as = "grad"
            return self._read_left(left)
        if _is_surrogate(returned) and self._returns != "gradient":
            self.read_as = "surrogate"
            self._check_one_way(returned)
            return self._differentiate(returned)
        if self._returns == "surrogate":
            _refuse_surrogate(returned)
        self.read_as = "gradient" if returned is not None else "grad"
        return self._read_left(left) if returned is None else returned

    def _is_left(self, returned: Any, left: Mapping[str, Any]) -> bool:
        """Whether the gradient is what stands in ``.grad``, where something does.

        Raises:
            NotAGradient: if it may be that, or what is returned.
        """
        if returned is None or not _is_number(returned):
            if returned is not None:
                _check_returned(returned, left)
            return returned is None
        if not _is_surrogate(returned):
            _check_number(returned, left)
            return True  # after backward() the loss may be returned too, as a number
        run = current_run()
        done = [] if run is None else run.memory.get("backward", [])
        if any(returned is each for each in done):
            return True  # the loss that was differentiated
        raise NotAGradient(
            "the estimator returns a tensor of one number that has a graph, and leaves gradients "
            "in .grad as well, by backward() of something else: pass returns='surrogate' if what "
            "it returns is to be differentiated, or returns='grad' if the gradients are those in "
            ".grad"
        )

    def _read_left(self, left: Mapping[str, Any]) -> Mapping[str, Any]:
        if all(value is None for value in left.values()):
            raise NotAGradient(
                "the estimator returns nothing and leaves no gradient: let it return its gradients "
                "or a surrogate, or call backward() and pass wrt= (a module or tensors)"
            )
        self.cleared = self.cleared or self._stood
        return LeafGradients(left)

    def _differentiate(self, surrogate: Any) -> dict[str, Any]:
        if not self._leaves:
            raise NotAGradient(
                "the estimator returns a surrogate, a tensor of one number, and there is nothing "
                "to differentiate it by: pass wrt=, or tensors that require gradients"
            )
        frozen = [name for name, leaf in self._leaves.items() if not leaf.requires_grad]
        if frozen:
            raise NotAGradient(
                f"{', '.join(frozen[:4])} required a gradient when the check began, and does not "
                "when the estimator returns its surrogate (requires_grad_(False) was called on "
                "it): call that before the check, or pass wrt= without it"
            )
        torch: Any = sys.modules["torch"]  # it is imported, or there would be no tensor
        leaves = list(self._leaves.values())
        values = torch.autograd.grad(surrogate, leaves, allow_unused=True)
        return LeafGradients(zip(self._leaves, values, strict=True))

    def _check_one_way(self, returned: Any) -> None:
        """A tensor of one number is a surrogate, or the gradient of a parameter of one number."""
        shapes = {tuple(leaf.shape) for leaf in self._leaves.values()}
        if self._returns is None and shapes == {tuple(returned.shape)}:
            raise NotAGradient(
                "the estimator returns a tensor of one number that has a graph, and there is one "
                "parameter of that shape: pass returns='surrogate' or returns='gradient'"
            )


def arrays_in(value: Any) -> Iterator[Any]:
    """Every array and tensor in collections and modules."""
    if hasattr(value, "named_parameters"):
        yield from value.parameters()
    elif isinstance(value, np.ndarray) or hasattr(value, "detach"):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from arrays_in(each)
    elif isinstance(value, tuple | list):
        for each in value:
            yield from arrays_in(each)


def float_arrays(inputs: Sequence[Any]) -> dict[str, np.ndarray]:
    """Arrays of real numbers among the inputs, by place; ``gradient`` if there is one alone."""
    found = {
        str(place): each
        for place, each in enumerate(inputs)
        if isinstance(each, np.ndarray) and each.dtype.kind == "f"
    }
    return {"gradient": next(iter(found.values()))} if len(found) == 1 else found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) or (
        getattr(value, "shape", None) is not None and int(np.prod(tuple(value.shape))) == 1
    )


def _is_surrogate(value: Any) -> bool:
    return getattr(value, "requires_grad", False) and value.numel() == 1


def _check_returned(returned: Any, left: Mapping[str, Any]) -> None:
    """What is returned beside gradients in ``.grad`` is these, or it must be said what is meant.

    Raises:
        NotAGradient: if it is something else of their shapes.
    """
    try:
        arrays = list(arrays_by_name(returned).values())
    except (NotAGradient, ValueError):
        return  # which is said where it is read
    stood = [None if each is None else array_of(each) for each in left.values()]
    known = [each for each in stood if each is not None]
    for array in arrays:
        alike = [each for each in known if array is not None and each.shape == array.shape]
        if alike and not any(np.array_equal(array, each, equal_nan=True) for each in alike):
            raise NotAGradient(
                "the estimator returns an array of the shape of a parameter, and leaves other "
                "gradients in .grad: pass returns='gradient' if what it returns is the gradient, "
                "or returns='grad' if the gradients are those in .grad"
            )


def _check_number(returned: Any, left: Mapping[str, Any]) -> None:
    """A number beside a gradient of one number in ``.grad``: the loss, or another gradient.

    Raises:
        NotAGradient: if it may be either, and these are not the same.
    """
    (alone, *others) = left.values()
    if others or int(np.prod(tuple(alone.shape))) != 1:
        return
    number, gradient = (array_of(each).reshape(()) for each in (returned, alone))
    if number == gradient or (number != number and gradient != gradient):
        return  # however it is read
    raise NotAGradient(
        "the estimator returns one number, and leaves another in .grad for the one parameter of "
        "one number: pass returns='grad' if the gradient is that in .grad (and the "
        "number the loss, say), or returns='gradient' if it is what it returns"
    )


def _refuse_surrogate(value: Any) -> None:
    """What is no surrogate.

    Raises:
        NotAGradient: always, saying why.
    """
    shape = getattr(value, "shape", None)
    if shape is not None and int(np.prod(tuple(shape))) != 1:
        why = f"a tensor of shape {tuple(shape)}, and a surrogate is one number: return its mean "
        why += "or sum"
    elif shape is not None or isinstance(value, int | float):
        array_of(value)  # a number that is not decided is refused by what drew it
        why = "a number that has no graph to be differentiated: is it detached?"
    else:
        why = f"{value!r:.60}, and a surrogate is a tensor of one number that has a graph"
    raise NotAGradient(f"returns='surrogate', and the estimator returns {why}")


def _has_gradient(leaf: Any) -> bool:
    """Whether a tensor has a gradient that is not zero."""
    return leaf.grad is not None and bool(array_of(leaf.grad).any())


def leaves_of(
    value: Any, name: str = "", keys: tuple[Any, ...] = ()
) -> Iterator[tuple[str, tuple[Any, ...], Any]]:
    """Tensors of PyTorch that need gradients, each with its name and the keys that lead to it."""
    if hasattr(value, "named_parameters"):
        for key, leaf in value.named_parameters():
            if leaf.requires_grad:
                yield f"{name}.{key}" if name else key, (*keys, key), leaf
    elif getattr(value, "requires_grad", False) and getattr(value, "is_leaf", False):
        yield name or "gradient", keys, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from leaves_of(each, f"{name}.{key}" if name else str(key), (*keys, key))
    elif isinstance(value, tuple | list):
        alone = len(value) == 1
        for place, each in enumerate(value):
            inner = str(place) if not name else f"{name}.{place}"
            yield from leaves_of(each, name if alone else inner, (*keys, place))
