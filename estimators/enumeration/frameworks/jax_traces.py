"""Which code of JAX is used by a run: what was traced or compiled elsewhere would draw unseen.

JAX keeps traced code under the settings that it was traced under. One of these is set to a number
of ours while a run is under way: code is traced once for all runs of a thread, and code from
outside is not used in them, nor theirs outside. Code that asks for a draw finds the run by its
thread.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import hashlib
import importlib
import inspect
import itertools
import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from ..block import BlockRun
from ..patches import Patches
from ..run import Run, UnsupportedDraw, current_run

#: Sets a setting of JAX in this thread, until it is left.
Setting = Callable[[int], contextlib.AbstractContextManager[object]]

#: Numbers that stand for where code was traced. They go down, since the first of the settings below
#: means something by a number above zero only; and begin where nobody else's would.
_numbers = itertools.count(-1_000, -1)


class Home:
    """A thread in which runs are under way, one inside of the other."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.runs: list[Run] = []
        #: Another one for code that is to be traced anew: for paths by themselves, and for blocks.
        self.age = self.age_of_blocks = 0
        #: What is said to keep code of these runs apart from that of others.
        self.apart: tuple[Hashable, ...] = ()
        #: Whether code was compiled that asks for draws, and may do so later than it is called.
        self.compiled = False
        #: The sampler of JAX that is being called.
        self.sampler = ""

    def place(self, run: Run) -> tuple[Hashable, ...]:
        """Where code is traced in a run.

        Blocks have a place of their own, since paths go on by themselves where these fail. So have
        runs that integrate: what draws continuous numbers is compiled in these alone.
        """
        blocks = self.age_of_blocks if isinstance(run, BlockRun) else None
        return self.age, run.is_sampling, blocks, run.quadrature is None

    def leave(self, run: Run) -> None:
        """Use no more code that was traced in a run which failed."""
        if isinstance(run, BlockRun):
            self.age_of_blocks += run.given_up is None
        else:
            self.age += 1

    def run(self, what: str) -> Run:
        """The run that compiled code of this thread asks.

        Args:
            what: draws, for messages.

        Raises:
            UnsupportedDraw: if there is none, or if the code is called by another thread.
        """
        run = current_run()
        if run is None and self.runs and not self._is_called_elsewhere():
            run = self.runs[-1]
        if run is None:
            raise UnsupportedDraw(
                f"{what} was traced while an estimator was enumerated, and is called outside of "
                "it; trace it again"
            )
        return run

    def _is_called_elsewhere(self) -> bool:
        """Whether this is a thread of somebody's, rather than one of XLA's."""
        # One that Python did not start is known to it as a dummy.
        known = threading.current_thread()
        return known.ident == self.thread or not known.name.startswith("Dummy-")


class _Here(threading.local):
    def __init__(self) -> None:
        self.home = Home()


_here = _Here()


def home() -> Home:
    """That of this thread."""
    return _here.home


class Traces:
    """Keeps code apart that was traced in different places.

    Raises:
        UnsupportedDraw: if this version of JAX has no setting for it.
    """

    def __init__(self, jax: Any) -> None:
        self._setting = _setting(jax)
        self._known: dict[Hashable, int] = {}

    def of(self, *place: Hashable) -> contextlib.AbstractContextManager[object]:
        """Code that was traced in the same place is used until this is left, and no other."""
        number = self._known.get(place)
        if number is None:
            number = self._known[place] = next(_numbers)
        return self._setting(number)


def _setting(jax: Any) -> Setting:
    for find in (_version_of_profile, _context):
        with contextlib.suppress(ImportError, AttributeError, TypeError):
            setting = find(jax)
            if _keeps_apart(jax, setting):
                return setting
    raise UnsupportedDraw(
        f"JAX {jax.__version__} is imported, and might draw unseen: what it compiled before cannot "
        "be distinguished from what it compiles for an enumeration; update it, or run this where "
        "it is not imported"
    )


def _version_of_profile(jax: Any) -> Setting:
    """A setting that JAX has anyhow, and that means nothing where it is not above zero."""
    found: Setting = importlib.import_module("jax._src.config").jax_xla_profile_version
    return found


def _context(jax: Any) -> Setting:
    """One that JAX makes for this purpose. All that was compiled before is compiled once more."""
    found: Setting = jax.make_user_context(0)
    return found


def _keeps_apart(jax: Any, setting: Setting) -> bool:
    """Whether code is traced once with a setting and once without."""
    traced: list[None] = []

    def probe(number: Any) -> Any:
        traced.append(None)
        return number

    number = next(_numbers)
    with jax.disable_jit(False):
        compiled = jax.jit(probe)
        jax.eval_shape(compiled, 0.0)
        for _ in range(2):
            with setting(number):
                jax.eval_shape(compiled, 0.0)
        jax.eval_shape(compiled, 0.0)
    return len(traced) == 2


@functools.cache
def traces(jax: Any) -> Traces:
    """Of a JAX that is imported."""
    return Traces(jax)


# ------------------------------------------------------------------ machine code

#: Of the function of JAX that compiles a program.
ARGUMENTS = ("backend", "module", "executable_devices", "options", "host_callbacks")

#: Programs that are kept. A loop that is traced anew in each run has one or two, and few estimators
#: have more than some dozens.
MOST_PROGRAMS = 256

#: By the program and what it calls: machine code. A function that is written where it is passed, as
#: to jax.lax.scan, is another one in each run, and its program the same; nine tenths of the time
#: that it takes are spent on compiling.
_programs: collections.OrderedDict[Hashable, Any] = collections.OrderedDict()


def asks_by(module: Any, asked: Hashable) -> None:
    """Say what the last call that was compiled into a program asks; it is an object of its own."""
    called = getattr(module, "host_callbacks", None)
    if called:
        with contextlib.suppress(AttributeError):  # in an older JAX it is one of its own
            called[-1].asked = asked


def compile_once(jax: Any, patches: Patches) -> None:
    """Compile a program once that comes up in several runs, in a JAX where that can be done."""
    try:
        compiler = importlib.import_module("jax._src.compiler")
        real = compiler.backend_compile_and_load
    except (ImportError, AttributeError):
        return
    if tuple(inspect.signature(real).parameters) != ARGUMENTS:
        return

    @functools.wraps(real)
    def compile_program(
        backend: Any, module: Any, devices: Any, options: Any, callbacks: Sequence[Any]
    ) -> Any:
        if current_run() is None or backend.platform == "tpu":  # which numbers its calls
            return real(backend, module, devices, options, callbacks)
        asked = tuple(getattr(each, "asked", None) for each in callbacks)
        if None in asked:  # somebody's own, of which it is not known when it is the same
            return real(backend, module, devices, options, callbacks)
        where = backend, tuple(str(each) for each in devices)
        # Its text without the lines that it comes from, which a bytecode would have.
        program = hashlib.sha256(module.operation.get_asm().encode()).digest()
        key = (program, options.SerializeAsString(), *where, asked)
        found = _programs.pop(key, None)
        if found is None:
            found = real(backend, module, devices, options, callbacks)
        _programs[key] = found  # as the last that was used
        while len(_programs) > MOST_PROGRAMS:
            _programs.popitem(last=False)
        return found

    patches.attribute(compiler, "backend_compile_and_load", compile_program)
