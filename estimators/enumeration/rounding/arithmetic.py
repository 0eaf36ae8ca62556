"""The arithmetic of every framework that is in use, moved at once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np

from .jax_arithmetic import moved_jax
from .numpy_arithmetic import moved_numpy
from .perturbation import Perturbation
from .torch_arithmetic import moved_torch
from .ulps import Steps

# Switches of frameworks are for the whole process, and must be put back in order.
_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def perturbation(rng: np.random.Generator | Steps) -> Iterator[Perturbation]:
    """Until left, floating-point results in this thread move by a unit in the last place or two.

    Of PyTorch and JAX every operation is seen, forwards and backwards; of NumPy those on what is
    observed (``observed``). Draws, integers and copies stay, no generator but the one that is given
    draws for it, and a second thread that wants the same waits.

    Args:
        rng: A generator of our own, or steps that go on being drawn from one, which is cheaper for
            many short runs.

    Yields:
        What is moved, as it is counted.
    """
    moved = Perturbation(rng if isinstance(rng, Steps) else Steps(rng))
    with _ONE_AT_A_TIME, ExitStack() as stack:
        if "torch" in sys.modules:
            stack.enter_context(moved_torch(moved))
        if "jax" in sys.modules:
            stack.enter_context(moved_jax(moved))
        stack.enter_context(moved_numpy(moved))
        yield moved
