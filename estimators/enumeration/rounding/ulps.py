"""Random steps of one or two units in the last place: what moves a floating-point result.

A number is moved by adding a small integer to the bits of its magnitude, which is exact for every
binary format: the step is a unit in the last place of the number itself, in every binade and among
the denormals.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..run import outside_runs

#: The steps, all equally probable, in units in the last place. A rounding moves a result by half a
#: unit at most, so that each of these is at least twice what it stands for. None is zero, or a
#: single rounding would go unmeasured in some runs; and there are two sizes, because steps of ±1
#: alone cancel in half of the runs where two equal roundings are subtracted, and all of eight runs
#: would see nothing in 1 of 256 cases, instead of in 1 of 65,536.
STEPS = (-2, -1, 1, 2)

#: Steps that are drawn at once: one call of the generator costs as much as a thousand of them.
POOL = 1 << 12


class Format(NamedTuple):
    """A binary format of sign and magnitude.

    ``one`` and ``infinity`` are the bits of 1 and of infinity, ``magnitude`` all but the sign's,
    ``digits`` the number of the significand's, with the one that is not stored.
    """

    integer: type[np.signedinteger[Any]]
    unsigned: type[np.unsignedinteger[Any]]
    one: int
    infinity: int
    magnitude: int
    digits: int


#: By the names that NumPy, PyTorch and JAX have for them.
FORMATS = {
    "float64": Format(np.int64, np.uint64, 0x3FF << 52, 0x7FF << 52, (1 << 63) - 1, 53),
    "float32": Format(np.int32, np.uint32, 0x7F << 23, 0xFF << 23, (1 << 31) - 1, 24),
    "float16": Format(np.int16, np.uint16, 0xF << 10, 0x1F << 10, (1 << 15) - 1, 11),
    "bfloat16": Format(np.int16, np.uint16, 0x7F << 7, 0xFF << 7, (1 << 15) - 1, 8),
}


#: Functions that are 1 exactly where the argument is 0, by the names that all frameworks have.
ONE_AT_ZERO = frozenset({"cos", "cosh", "exp", "exp2"})


def digits_of(value: Any) -> int:
    """Of the significand of an array of floating-point numbers, and 0 for anything else."""
    name = getattr(getattr(value, "dtype", None), "name", "")
    return FORMATS[name].digits if name in FORMATS else 0


class Steps:
    """A supply of random steps.

    Args:
        rng: A generator of our own: what is measured must not draw from it.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._pool = np.empty(0, np.int8)
        self._used = 0

    def take(self, count: int) -> npt.NDArray[np.int8]:
        """That many steps, none of them twice."""
        if self._used + count > len(self._pool):
            with outside_runs():  # draws of our own are nobody's outcomes
                drawn = self._rng.integers(0, 4, max(count, POOL), dtype=np.int8)
            drawn -= 2
            drawn += drawn >= 0  # -2, -1, 1 or 2
            self._pool, self._used = drawn, 0
        self._used += count
        return self._pool[self._used - count : self._used]


def move_bits(bits: npt.NDArray[Any], form: Format, steps: Steps, grain: int = 1) -> None:
    """Move every number in place, given as the integers that its bits are.

    Zero, infinity and NaN stay, and so do numbers of one or two denormal units. A magnitude of at
    most 1 stays at most 1, as it does when it is rounded, so that probabilities remain such.

    Args:
        bits: Of any shape and of type ``form.integer``; they are written to.
        form: What they encode.
        grain: What one step is worth in units in the last place, more than 1 where arithmetic is
            coarser than what it is stored in.
    """
    if bits.ndim == 0:
        bits = bits.reshape(1)
    step: npt.NDArray[Any] = steps.take(bits.size).reshape(bits.shape)
    if grain > 1:
        step = step.astype(form.integer) * form.integer(grain)
    reach = max(STEPS) * grain
    magnitude = bits & form.magnitude
    at_most_one = (form.one - magnitude).view(form.unsigned) < reach
    if at_most_one.any():
        step = np.where(at_most_one, -np.abs(step), step)
    magnitude -= reach + 1  # what was below wraps round, and is beyond every limit
    movable = magnitude.view(form.unsigned) < form.infinity - 2 * reach - 1
    bits += step * movable


def move(values: npt.NDArray[Any], steps: Steps, grain: int = 1) -> None:
    """Move every number of an array in place; integers, booleans and objects stay.

    Args:
        values: Of any shape, real or complex; they are written to.
        grain: As in ``move_bits``.
    """
    if values.size == 0:
        return
    if values.dtype.kind == "c":
        move(values.real, steps, grain)
        move(values.imag, steps, grain)
    elif (form := FORMATS.get(values.dtype.name)) is not None:
        move_bits(values.view(form.integer), form, steps, grain)
    elif values.dtype.kind == "f":  # long double, whose bits no integer holds
        unit = np.finfo(values.dtype).eps * grain
        values += values * (steps.take(values.size).reshape(values.shape) * unit)


def moved_copy(values: npt.NDArray[Any], steps: Steps, grain: int = 1) -> npt.NDArray[Any]:
    """A copy of which every number is moved; see ``move``."""
    copy = np.array(values)
    move(copy, steps, grain)
    return copy


def raise_above(values: Any, least: npt.NDArray[Any], eps: float) -> Any:
    """Values, but a unit in the last place above ``least`` where they are below it.

    Moving must not take a sum below the largest of its terms, where rounding does not take it; nor
    must it end there always, as if there had been no rounding.
    """
    return np.where(values < least, least * (1.0 + eps), values).astype(values.dtype)


def all_whole(values: npt.NDArray[Any], digits: int) -> bool:
    """Whether all are integers that so many binary digits hold.

    Sums and products of such numbers that are such numbers again were not rounded, and are not
    moved: counts, one-hot vectors and labels stay what they are.
    """
    if values.size == 0 or values.dtype.kind in "iub":
        return True
    if values.dtype.kind == "c":
        return False
    if not float(values.flat[0]).is_integer():
        return False  # the usual case, told by one number
    return bool(((np.rint(values) == values) & (np.abs(values) <= 2.0**digits)).all())


def unrounded_places(name: str, left: Any, right: Any) -> npt.NDArray[np.bool_] | None:
    """Where a sum, product or quotient is one of its arguments, but for its sign: None for nowhere.

    Masks and repetitions are made so, and code compares what comes out to what went in.

    Args:
        name: ``add``, ``sub``, ``mul`` or ``div``; of others nothing is known.
        left: Numbers of any shape.
        right: Numbers of any shape that goes with the other one's.
    """
    if name in ("add", "sub"):
        places = np.equal(left, 0) | np.equal(right, 0)
    elif name == "mul":
        places = np.equal(np.abs(left), 1) | np.equal(np.abs(right), 1)
    elif name == "div":
        places = np.equal(np.abs(right), 1)
    else:
        return None
    return np.asarray(places) if places.any() else None
