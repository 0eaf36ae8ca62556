"""Random numbers that a user's baseline draws, so that a call can be repeated."""

from __future__ import annotations

import contextlib
import functools
import itertools
import random
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.random import bit_generator

#: Where NumPy takes the seed of a generator from that is made without one.
ENTROPY = "randbits"


def generators_of(function: Any) -> list[Any]:
    """The generators that a function can reach by a name.

    They are in its attributes, those of its class, its closure, and the globals of its module.
    """
    while isinstance(function, functools.partial):
        function = function.func
    call = function if hasattr(function, "__code__") else getattr(type(function), "__call__", None)
    call = getattr(call, "__func__", call)
    classes = () if call is function else type(function).__mro__
    cells = getattr(call, "__closure__", None) or ()
    values = itertools.chain(
        getattr(function, "__dict__", {}).values(),
        *(vars(each).values() for each in classes),
        getattr(call, "__globals__", {}).values(),
        map(_content, cells),
    )
    return [value for value in values if is_generator(value)]


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # an empty cell: the name was not bound yet
        return None


def is_generator(value: Any) -> bool:
    """Whether a value draws random numbers from a state of its own."""
    if isinstance(value, np.random.Generator | np.random.RandomState):
        return True
    if isinstance(value, random.Random):
        return not isinstance(value, random.SystemRandom)
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Generator)


@contextlib.contextmanager
def seeded(function: Any, seed: int) -> Iterator[None]:
    """Everything that is drawn inside follows from a seed; afterwards all is where it was.

    The global generators of NumPy, Python and PyTorch are set, those that the function can reach,
    and those that it makes without a seed. What reads the clock or the operating system is not.
    """
    own = generators_of(function)
    numpy_state, python_state = np.random.get_state(), random.getstate()
    states = [_read(generator) for generator in own]
    torch = sys.modules.get("torch")
    torch_state = torch.get_rng_state() if torch is not None else None
    entropy = random.Random(seed)
    kept = getattr(bit_generator, ENTROPY)
    setattr(bit_generator, ENTROPY, entropy.getrandbits)
    try:
        np.random.seed(seed)
        random.seed(seed)
        if torch is not None:
            torch.manual_seed(seed)
        for place, generator in enumerate(own):
            _reseed(generator, seed + 7919 * (place + 1))  # a prime: no two draw the same numbers
        yield
    finally:
        setattr(bit_generator, ENTROPY, kept)
        np.random.set_state(numpy_state)
        random.setstate(python_state)
        if torch is not None:
            torch.set_rng_state(torch_state)
        for generator, state in zip(own, states, strict=True):
            _write(generator, state)


def _bits(generator: Any) -> Any:
    """The bit generator of NumPy in a Generator, or in a RandomState."""
    return getattr(generator, "bit_generator", None) or getattr(generator, "_bit_generator", None)


def _read(generator: Any) -> Any:
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.RandomState):
        return generator.get_state(legacy=False)
    bits = _bits(generator)
    return generator.get_state() if bits is None else bits.state


def _write(generator: Any, state: Any) -> None:
    if isinstance(generator, random.Random):
        generator.setstate(state)
    elif isinstance(generator, np.random.RandomState) or _bits(generator) is None:
        generator.set_state(state)
    else:
        _bits(generator).state = state


def _reseed(generator: Any, seed: int) -> None:
    if isinstance(generator, random.Random):
        generator.seed(seed)
        return
    bits = _bits(generator)
    if bits is None:
        generator.manual_seed(seed)
    else:
        bits.state = type(bits)(seed).state
