"""Environments of Gymnasium draw by generators of NumPy; those in other processes are refused."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

from ..patches import Patches
from ..run import UnsupportedDraw, current_run
from .framework import Framework, handle, refuse

#: Says why a vector of environments is refused. A seed makes constants of their draws, so that
#: nothing differs from run to run and would tell.
ELSEWHERE = (
    "AsyncVectorEnv.{}() runs environments in other processes, whose draws are not seen; make the "
    "vector of environments in this process (gymnasium.vector.SyncVectorEnv, or "
    'vectorization_mode="sync")'
)

#: The same where they are sampled, which is right as long as they draw anew.
SEEDED = (
    "AsyncVectorEnv.reset_async() is given a seed in each sample, and environments in other "
    "processes draw the same each time; seed them once, before the check"
)


class Gymnasium(Framework):
    """Environments that draw where no handler is."""

    name = "gymnasium"
    each_run = False

    def install(self, patches: Patches) -> None:
        """Refuse what hands actions to other processes."""
        module: Any = sys.modules.get("gymnasium.vector")
        kind = getattr(module, "AsyncVectorEnv", None)
        for name in ("reset_async", "step_async", "call_async"):
            real = getattr(kind, name, None)
            if real is not None:
                handler = handle(real, refuse(ELSEWHERE.format(name)))
                patches.attribute(kind, name, _refuse_seed(handler))


def _refuse_seed(handler: Callable[..., Any]) -> Callable[..., Any]:
    """The same, but that no seed may be set in samples."""

    @functools.wraps(handler)
    def function(*args: Any, **kwargs: Any) -> Any:
        run = current_run()
        if run is not None and run.is_sampling and kwargs.get("seed") is not None:
            raise UnsupportedDraw(SEEDED)
        return handler(*args, **kwargs)

    return function
