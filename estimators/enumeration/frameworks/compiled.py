"""Frameworks whose functions are compiled, and keep what they draw from in shared variables.

While a run is under way their states move as they do without one, since it is by its state that a
draw is known. When the run ends, each shared variable that was updated or set holds what it held
before, as it was.
"""

from __future__ import annotations

import contextlib
import copy
import weakref
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from ..generators import BITS, GeneratorAccess, Streams, bits_of, identity
from ..patches import Patches
from ..run import Run, SampledRun, UnsupportedDraw, outside_runs
from .framework import Framework, handle_in_runs, refuse
from .symbolic import Draw, SymbolicDraws

#: A variable, a node, an op or a compiled function of a framework; or None, where there is none.
Symbolic = Any

#: States that are objects of NumPy. Others are arrays.
GENERATORS = (np.random.Generator, np.random.RandomState)

#: States that are put back by who notes them, and only compared by generators.Seeds.
COMPARED = GeneratorAccess("a state", bytes, bytes, lambda *_: None, lambda *_: None)


def key_of(state: Any) -> bytes:
    """Equal for states from which the same numbers are drawn."""
    return state.tobytes() if isinstance(state, np.ndarray) else BITS.key(BITS.read(bits_of(state)))


class _SharedVariable(NamedTuple):
    """What a shared variable held. ``copied`` is its content, or the state of a generator."""

    name: str
    storage: list[Any]
    value: Any
    copied: Any

    @classmethod
    def of(cls, name: str, storage: list[Any]) -> _SharedVariable:
        value = storage[0]
        if isinstance(value, GENERATORS):
            return cls(name, storage, value, BITS.read(bits_of(value)))
        copied = value.copy() if isinstance(value, np.ndarray) else copy.deepcopy(value)
        return cls(name, storage, value, copied)

    def is_changed(self) -> bool:
        """Whether it holds another number or array by now."""
        now, numbers = self.storage[0], np.ndarray | np.number | float | int
        if not (isinstance(now, numbers) and isinstance(self.copied, numbers)):
            return False  # a state, or nobody knows
        return not np.array_equal(now, self.copied, equal_nan=np.asarray(now).dtype.kind in "fc")

    def put_back(self) -> None:
        self.storage[0] = self.value
        if isinstance(self.value, GENERATORS):
            BITS.write(bits_of(self.value), self.copied)
        elif not isinstance(self.value, np.ndarray):
            self.storage[0] = self.copied
        elif self.value.flags.writeable:
            np.copyto(self.value, self.copied)  # an update may have been made in place

    def key(self) -> bytes:
        """Of a state."""
        is_array = isinstance(self.value, np.ndarray)
        return self.copied.tobytes() if is_array else BITS.key(self.copied)

    def first_key(self) -> bytes:
        """By which a draw from it is known; from an array it is one of a row."""
        is_array = isinstance(self.value, np.ndarray)
        return self.copied[:1].tobytes() if is_array else BITS.key(self.copied)


class SharedVariables:
    """The shared variables that a run came upon; each is known by the list that holds its value."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._kept: dict[int, _SharedVariable] = {}
        self._moved_to: set[bytes] = set()
        self._held: set[bytes] = set()
        self._still: dict[int, object] = {}

    @staticmethod
    def of(run: Run, framework: str) -> SharedVariables:
        """Those of a framework, by its name in messages."""
        return run.recall(f"shared variables of {framework}", lambda: SharedVariables(run))

    def keep(self, variable: Symbolic, storage: list[Any], *, made: bool = False) -> None:
        """Remember what is held, to be put back when the run ends.

        A run that samples draws as ever, and moves states on.

        Args:
            storage: where the variable has its value.
            made: whether it was made in this run, so that its state says nothing.
        """
        if id(storage) in self._kept:
            return
        state = is_state(variable)
        if state and self._run.is_sampling:
            return
        self._release(storage[0])
        self._kept[id(storage)] = _SharedVariable.of("" if state else str(variable), storage)
        if not state:
            return
        if isinstance(storage[0], GENERATORS):
            self._held.add(key_of(storage[0]))
        if not made:
            self.note_found(storage[0])

    def _release(self, state: Any) -> None:
        """What NumPy drew from a generator shows in its state, which moves by itself now."""
        if isinstance(state, GENERATORS):
            streams, bits = Streams.of(self._run), bits_of(state)
            streams.catch_up(bits, BITS)
            streams.let_move(bits)

    def changed_names(self) -> Iterator[str]:
        """The names of those that hold something else than before, and are no states."""
        return (kept.name for kept in self._kept.values() if kept.name and kept.is_changed())

    def note_moved(self, state: Any) -> None:
        """A draw left this state; wherever it is found again, it came from no seed."""
        self._moved_to.add(key_of(state))

    def note_found(self, state: Any) -> None:
        """Note a state that is to be drawn from, for whether it is made anew in each run."""
        if isinstance(state, np.ndarray):
            self._note(state, state.tobytes(), state.tobytes(), COMPARED)
        elif isinstance(state, GENERATORS) and key_of(state) not in self._moved_to:
            bits = bits_of(state)
            self._note(bits, BITS.read(bits), key_of(state), BITS)

    def note_argument(self, state: Any) -> None:
        """The same of an argument, which may be a copy of what a shared variable held."""
        self._release(state)
        if key_of(state) not in self._held:
            self.note_found(state)

    def note_drawn(self, storage: list[Any]) -> None:
        """Something was drawn from a state that is held; note whether it has moved by now.

        One that never moves is as one that is made from the same seed in each run.
        """
        kept = self._kept[id(storage)]
        if not isinstance(kept.value, (np.ndarray, *GENERATORS)):
            return  # as another compiler keeps it
        made, before = self._still.setdefault(id(storage), object()), kept.key()
        streams = Streams.of(self._run)
        if key_of(storage[0]) != before:
            streams.drawn.pop(id(made), None)
        elif kept.first_key() in streams.keys:
            self._note(made, before, before, COMPARED)

    def _note(self, owner: Any, state: Any, key: bytes, kind: GeneratorAccess) -> None:
        streams = Streams.of(self._run)
        streams.moved.setdefault(identity(owner), (owner, state, kind))
        streams.let_move(owner)
        streams.drawn.setdefault(identity(owner), (owner, key))

    def put_back(self) -> None:
        """All hold what they held."""
        for kept in self._kept.values():
            kept.put_back()


class DrawPlan(NamedTuple):
    """What a compiled function draws from and changes, by the places of its inputs.

    ``refused`` says what it draws that no handler can answer; ``kept`` are shared variables, and
    whether each is a state; ``given`` says whether it takes states as arguments.
    """

    refused: tuple[str, ...]
    kept: tuple[tuple[int, bool], ...]
    given: bool


#: By what made a function, so that its graph is looked through once.
_PLANS: weakref.WeakKeyDictionary[Any, DrawPlan] = weakref.WeakKeyDictionary()


class Compiled(Framework):
    """A framework of this kind. One that derives from it says what draws, and by which name."""

    #: Its name in messages.
    called = ""

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        #: Shared variables that runs left with another number or array, by name.
        self.changed: dict[str, None] = {}
        self._stays: list[SharedVariables] | None = None

    def unseen_draws(self, maker: Symbolic) -> Iterator[str]:
        """What a function draws that no handler can answer, in sentences."""
        raise NotImplementedError

    def install_functions(self, patches: Patches, function: type, variable: type) -> None:
        """Handle calls of compiled functions, and what reads and sets shared variables.

        Args:
            function: the class of compiled functions.
            variable: the class of shared variables.
        """
        patches.attribute(function, "__call__", self._call(vars(function)["__call__"]))
        for kind in (variable, *subclasses_of(variable)):
            for name in ("set_value", "get_value", "zero"):
                if name in vars(kind):
                    patches.attribute(kind, name, self._access(vars(kind)[name]))

    def finish(self, run: Run, watched: bool) -> None:
        """Put shared variables back."""
        shared = SharedVariables.of(run, self.called)
        self.changed.update(dict.fromkeys(shared.changed_names()))
        if self._stays is None:
            shared.put_back()
        else:
            self._stays.append(shared)

    @contextlib.contextmanager
    def state_after(self, run_once: Callable[[], object]) -> Iterator[None]:
        """What shared variables hold is that after a run, until this is left.

        Args:
            run_once: performs one run.
        """
        stays: list[SharedVariables] = []
        self._stays = stays
        try:
            run_once()
            self._stays = None
            yield
        finally:
            self._stays = None
            for shared in stays:
                shared.put_back()

    def answer_draw(
        self,
        run: Run,
        name: str,
        draw: Draw,
        real: Callable[..., Any],
        state: Any,
        *parameters: Any,
    ) -> np.ndarray:
        """A draw from a state of NumPy: the framework's own moves it, and has the shape.

        Args:
            name: what it draws, for messages.
            draw: asks the run for its outcomes.
            real: draws as ever, given the state and the rest.
        """
        key = key_of(state)
        with outside_runs():
            like = np.asarray(real(state, *parameters))
        SharedVariables.of(run, self.called).note_moved(state)
        return SymbolicDraws.of(run, self.called).answer([key], name, draw, parameters[:-1], like)

    def _call(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(run: Run, function: Symbolic, /, *args: Any, **kwargs: Any) -> Any:
            plan = _PLANS.get(function.maker)
            if plan is None:
                plan = _PLANS[function.maker] = self._plan(function.maker)
            if not any(plan):
                return real(function, *args, **kwargs)
            self._prepare_call(run, plan, function, (*args, *kwargs.values()))
            # Whatever it copies moves by itself.
            with Streams.of(run).without_following():
                found = real(function, *args, **kwargs)
            if not run.is_sampling:
                for place, state in plan.kept:
                    if state:
                        SharedVariables.of(run, self.called).note_drawn(
                            function.input_storage[place].storage
                        )
            return found

        return handle_in_runs(real, call)

    def _plan(self, maker: Symbolic) -> DrawPlan:
        inputs = [
            (place, each.update is not None, is_state(each.variable), bool(each.implicit))
            for place, each in enumerate(maker.expanded_inputs)
        ]
        return DrawPlan(
            tuple(dict.fromkeys(self.unseen_draws(maker))),
            tuple(
                (place, state)
                for place, updated, state, held in inputs
                if updated or (state and held)
            ),
            any(state and not held for _, _, state, held in inputs),
        )

    def _prepare_call(
        self, run: Run, plan: DrawPlan, function: Symbolic, arguments: tuple[Any, ...]
    ) -> None:
        """Refuse what a function draws, or remember what it is about to change."""
        for why in plan.refused:
            if not isinstance(run, SampledRun):
                raise UnsupportedDraw(why)
            run.observe(refuse(why))
        shared = SharedVariables.of(run, self.called)
        for place, _ in plan.kept:
            variable = function.maker.expanded_inputs[place].variable
            shared.keep(variable, function.input_storage[place].storage)
        if plan.given and not run.is_sampling:
            for argument in arguments:
                if isinstance(argument, GENERATORS):
                    shared.note_argument(argument)

    def _access(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """A handler of a method of shared variables, after which they may hold something else."""
        copies = real.__name__ == "get_value"

        def access(run: Run, variable: Symbolic, /, *args: Any, **kwargs: Any) -> Any:
            state, copied = is_state(variable), copies and not (args or kwargs)
            if copied and not state:
                return real(variable)
            shared = SharedVariables.of(run, self.called)
            shared.keep(variable, variable.container.storage)
            found = real(variable, *args, **kwargs)
            if state and not copies and not run.is_sampling:
                shared.note_found(variable.container.storage[0])
            return found

        return handle_in_runs(real, access)


def is_state(variable: Symbolic) -> bool:
    """Whether a variable is a state that is drawn from: a generator, or marked as such."""
    kinds = {kind.__name__ for kind in type(variable.type).__mro__}
    return bool({"RandomStateType", "RandomType"} & kinds) or bool(
        getattr(variable.tag, "is_rng", False)
    )


def subclasses_of(kind: type) -> Iterator[type]:
    """The classes that derive from a class."""
    derived: list[type] = kind.__subclasses__()
    for each in derived:
        yield each
        yield from subclasses_of(each)
