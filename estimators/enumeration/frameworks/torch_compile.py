"""Code of PyTorch's that is compiled or recorded: what it draws goes past Python's functions.

What ``torch.compile`` compiled is run as it was written while a run is under way, in the thread of
the run. It is not compiled anew afterwards. What records a function while it runs (``jit.trace``,
``make_fx``, ``export``) would keep an outcome as a constant, and is refused.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

from ..patches import Patches
from ..run import Run, UnsupportedDraw, current_run
from .framework import handle_in_runs

#: The module that knows of compiled code; it is imported when something is compiled, if not before.
COMPILER = "torch._dynamo.eval_frame"

#: Under this name a run remembers that something ran that is compiled elsewhere.
COMPILED = "torch compiled"


class _Stance:
    """How compiled code is called: as it was written in a run, and else as somebody said before."""

    def __init__(self, usual: Any) -> None:
        self._usual = usual

    @property
    def stance(self) -> Any:
        """See ``torch.compiler.set_stance``, of which this is asked at each call."""
        return self._usual.stance if current_run() is None else "force_eager"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._usual, name)


def run_as_written(patches: Patches) -> None:
    """Compiled code is run as it was written while a run is under way; if there can be any yet."""
    dynamo: Any = sys.modules.get(COMPILER)
    if dynamo is None:
        return
    names: tuple[str, ...] = ("set_eval_frame", "_maybe_set_eval_frame")
    if hasattr(dynamo, "_stance"):  # since PyTorch 2.6
        patches.attribute(dynamo, "_stance", _Stance(dynamo._stance))
        names = ("_callback_from_stance",)
    for name in names:
        if hasattr(dynamo, name):
            patches.attribute(dynamo, name, _pass_on(getattr(dynamo, name)))


def _pass_on(real: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function that is told what compiles the frames to come, and in a run is told of nothing."""

    def answer(run: Run, callback: Any) -> Any:
        if callback is not None:
            run.memory[COMPILED] = True
        return real(None)

    return handle_in_runs(real, answer)


def tell_script(torch: Any, handlers: Iterable[tuple[Any, Any]], patches: Patches) -> None:
    """TorchScript takes a handler for the function that it stands for, and draws unseen.

    It would try to compile the handler otherwise, and fail in words of its own.
    """
    table = torch.jit._builtins._get_builtin_table()
    known = {id(handler): table[id(real)] for real, handler in handlers if id(real) in table}

    def put(there: bool) -> None:
        if there:
            table.update(known)
        else:
            for key in known:
                table.pop(key, None)

    patches.call(put, True, False)


def refuse_recording(torch: Any) -> Callable[[], None]:
    """Raises :class:`UnsupportedDraw` where PyTorch records what it runs."""
    jit, fx = torch._C._is_tracing, torch.fx._symbolic_trace
    modes, mode = torch._C._len_torch_dispatch_stack, torch._C._get_dispatch_stack_at

    def refuse() -> None:
        # PyTorch's own modes have a key, and come first.
        recorded = modes() and getattr(mode(0), "_mode_key", None) is not None
        if recorded or jit() or fx._is_fx_tracing_flag:
            raise UnsupportedDraw(
                "something is drawn by code that PyTorch records (torch.jit.trace, torch.fx, "
                "torch.export): an outcome would be a constant of what is recorded; check the "
                "function that is recorded"
            )

    return refuse
