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
    call = function if hasattr(function, "__code__") else type(function).__call__
    # The last class is object, which has none.
    classes = () if call is function else type(function).__mro__[:-1]
    cells = getattr(call, "__closure__", None) or ()
    values = itertools.chain(
        getattr(function, "__dict__", {}).values(),
        *(vars(each).values() for each in classes),
        getattr(call, "__globals__", {}).values(),
        map(_content, cells),
    )
    kinds = generator_types()
    return [value for value in values if isinstance(value, kinds) and is_generator(value)]


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # an empty cell: the name was not bound yet
        return None


def generator_types() -> tuple[type, ...]:
    """The types that draw random numbers from a state of their own."""
    torch = sys.modules.get("torch")
    of_torch = () if torch is None else (torch.Generator,)
    return (np.random.Generator, np.random.RandomState, random.Random, *of_torch)


def is_generator(value: Any) -> bool:
    """Whether a value draws random numbers from a state of its own."""
    # The system's has no state that could be set.
    return isinstance(value, generator_types()) and not isinstance(value, random.SystemRandom)


@contextlib.contextmanager
def kept(function: Any) -> Iterator[None]:
    """All generators that :func:`seeded` sets for a function are put back afterwards.

    To copy a state takes longer than most baselines do, so it is done once around many calls.
    """
    own = generators_of(function)
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002 - it is theirs
    states = [_read(generator) for generator in own]
    torch = sys.modules.get("torch")
    torch_state = torch.default_generator.get_state() if torch is not None else None
    try:
        yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002 - put back
        random.setstate(python_state)
        if torch is not None and torch_state is not None:
            torch.default_generator.set_state(torch_state)
        for generator, state in zip(own, states, strict=True):
            _write(generator, state)


@contextlib.contextmanager
def seeded(function: Any, seed: int) -> Iterator[None]:
    """Everything that is drawn inside follows from a seed.

    The global generators of NumPy, Python and PyTorch are set, and stay so, see :func:`kept`; those
    that the function can reach, too; and those that it makes without a seed follow from this one.
    What reads the clock or the operating system does not.
    """
    former = getattr(bit_generator, ENTROPY)
    setattr(bit_generator, ENTROPY, random.Random(seed).getrandbits)
    np.random.seed(seed)  # noqa: NPY002 - a user's baseline may draw from it
    random.seed(seed)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.default_generator.manual_seed(seed)
    for place, generator in enumerate(generators_of(function), start=1):
        _reseed(generator, seed + 7919 * place)  # a prime: no two draw the same numbers
    try:
        yield
    finally:
        setattr(bit_generator, ENTROPY, former)


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
