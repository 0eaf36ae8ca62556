"""All draws that can be intercepted at once, of whatever frameworks are imported."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from .generators import Kept
from .jax_draws import jax_draws
from .numpy_draws import numpy_draws
from .pytensor_draws import pytensor_draws
from .theano_draws import theano_draws
from .torch_draws import torch_draws
from .walk import Walker

#: By a framework's module: what intercepts its draws, given the module and a walker.
DRAWS: dict[str, Callable[[Any, Walker], AbstractContextManager[object]]] = {
    "torch": torch_draws,
    "jax": jax_draws,
    "pytensor": pytensor_draws,
    "theano": theano_draws,
}


def intercepted(*functions: object) -> Callable[[Walker], AbstractContextManager[object]]:
    """For :func:`.walk.walk`: the draws of these functions.

    A framework that is not imported draws nothing, and is left alone.
    """
    kept = Kept(*functions)

    @contextlib.contextmanager
    def intercept(walker: Walker) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for name, draws in DRAWS.items():
                if name in sys.modules:
                    stack.enter_context(draws(sys.modules[name], walker))
            stack.enter_context(numpy_draws(walker))
            stack.enter_context(kept.walked(walker))
            yield

    return intercept
