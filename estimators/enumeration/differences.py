"""Derivatives of a value by arrays and tensors, by differences.

Leaves are moved, and put back whatever happens: arrays of NumPy in place, tensors in memory of
their own, so that what shares memory with one (a ``detach()`` of it, say) stays where it is, the
constant that it is to automatic differentiation. Each derivative is one along a line;
:mod:`.slopes` says how far it can be relied on.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from gradproof.errors import GradproofError

from .lines import Line, RoundingNoise, Value
from .outcomes import EPS
from .roughness import POINTS, measure
from .slopes import GAP, KINDS, SMOOTH, UNRESOLVED, Slope, resolve

#: A place in an array.
Place = tuple[int, ...]

#: What a function of arrays returns: its value as they are, and what is added up without signs.
Function = Callable[[], tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class Slopes:
    """The derivatives of a value by each entry of an array, or of each by each of two.

    ``kind`` has the words of :class:`Slope`; ``left`` and ``right`` are numbers at kinks only.
    ``reasons`` says, by place, why entries are not resolved.

    Shape: of the array, or of the one followed by that of the other.
    """

    value: np.ndarray
    error: np.ndarray
    kind: np.ndarray
    left: np.ndarray
    right: np.ndarray
    reasons: dict[Place, str]

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> Slopes:
        """Of this shape, to be filled by :meth:`put`."""
        value, error, left, right = (np.full(shape, np.nan) for _ in range(4))
        kind = np.full(shape, SMOOTH, dtype=f"U{len(UNRESOLVED)}")
        return cls(value, error, kind, left, right, {})

    def put(self, place: Place, slope: Slope) -> None:
        """Keep one."""
        for part in ("value", "error", "kind", "left", "right"):
            getattr(self, part)[place] = getattr(slope, part)
        if slope.reason:
            self.reasons[place] = slope.reason


def gradient(
    function: Function,
    leaves: Mapping[str, Any],
    *,
    eps: float = 0.0,
    names: Collection[str] | None = None,
    noise: RoundingNoise | None = None,
) -> dict[str, Slopes]:
    """The derivatives of a value by each entry of arrays or tensors, by name.

    Args:
        function: returns its value for the arrays as they are when it is called, and what is added
            up in it without signs; called :func:`cost` times, and more where that is not enough.
        leaves: NumPy arrays and PyTorch tensors in single or double precision, moved and put back
            bit for bit, whatever happens.
        eps: of the coarsest arithmetic within, if it is coarser than that of the leaves.
        names: of those to differentiate by; default: all.
        noise: of the values, from :func:`rounding_of`; default: measured.

    Raises:
        NotMovable: for a leaf that cannot be written to, or is too coarse.
        ValueError: if the value is not finite where they are.
        Whatever ``function`` raises; away from there, but for what says that it has no value.
    """
    found = derivatives(function, leaves, eps=eps, names=names, noise=noise)
    return {name: slopes for (name,), slopes in found.items()}


def derivatives(
    function: Function,
    leaves: Mapping[str, Any],
    *,
    order: int = 1,
    eps: float = 0.0,
    names: Collection[str] | None = None,
    noise: RoundingNoise | None = None,
) -> dict[tuple[str, ...], Slopes]:
    """The first derivatives, and for ``order`` 2 the second too, by the names that they are by.

    A mixed derivative is a fourth of the difference of second derivatives along two diagonals:
    all are derivatives along lines, and their errors are found in the same way.

    Args and errors: as :func:`gradient`.
    """
    chosen = [name for name in leaves if names is None or name in names]
    with _MovedLeaves(function, leaves, eps) as moved:
        noise = moved.noise() if noise is None else noise
        pairs = list(itertools.combinations_with_replacement(chosen, 2)) if order > 1 else []
        keys: list[tuple[str, ...]] = [*((name,) for name in chosen), *pairs]
        tables = {
            key: Slopes.empty(tuple(n for name in key for n in moved.shape(name))) for key in keys
        }
        for name in chosen:
            rungs: list[int] = []
            for place in np.ndindex(moved.shape(name)):
                line = moved.line([(name, place, 1.0)])
                # Where entries before it were found; of three, for a kink may be near one of them.
                highest = max(rungs[-3:]) + GAP if rungs else None
                slope = resolve(line, noise, highest=highest)
                tables[name,].put(place, slope)
                rungs.append(slope.rung)
                if pairs:
                    tables[name, name].put(2 * place, resolve(line, noise, 2, highest))
        for pair in pairs:
            _mix(moved, noise, pair, tables[pair])
    return tables


def slope_along(
    function: Function,
    leaves: Mapping[str, Any],
    towards: Mapping[str, np.ndarray],
    *,
    eps: float = 0.0,
    noise: RoundingNoise | None = None,
) -> Slope:
    """The derivative of a value along one direction of all leaves together: a witness.

    It is the sum of the direction's entries times the gradient's.

    Args:
        towards: by name, of the leaves' shapes, such as :func:`direction` gives; those that are not
            named stay where they are.

    Other arguments and errors: as :func:`gradient`.
    """
    with _MovedLeaves(function, leaves, eps) as moved:
        line = moved.line_towards(towards)
        return resolve(line, moved.noise() if noise is None else noise)


def rounding_of(
    function: Function, leaves: Mapping[str, Any], *, eps: float = 0.0
) -> RoundingNoise:
    """The rounding of a value, with all leaves moved together; arguments as :func:`gradient`."""
    with _MovedLeaves(function, leaves, eps) as moved:
        return moved.noise()


def direction(leaves: Mapping[str, Any], number: int = 0) -> dict[str, np.ndarray]:
    """A direction in which each entry moves as much as every other for its size, there or back.

    Signs are those of a hash of where an entry is: nothing is drawn, so that no handler of draws
    sees it, and no pattern of errors cancels.

    Args:
        number: another direction for each.
    """
    towards, start = {}, 0
    total = sum(int(np.prod(np.shape(leaf))) for leaf in leaves.values())
    for name, leaf in leaves.items():
        before = _entries(leaf)
        keys = np.arange(start, start + before.size, dtype=np.uint64)
        signs = np.where(_hash(keys, number) >> np.uint64(63), 1.0, -1.0).reshape(before.shape)
        # Powers of two, so that moving rounds as little as can be.
        share = 2.0 ** -round(0.5 * math.log2(max(total, 1)))
        towards[name] = signs * _scales(before, _eps(leaf)) * share
        start += before.size
    return towards


def cost(leaves: Mapping[str, Any], order: int = 1) -> int:
    """How many values derivatives take at least; where there are kinks, several times as many."""
    entries = sum(int(np.prod(np.shape(leaf))) for leaf in leaves.values())
    # The point itself, rounding, three rungs for each entry, and for each diagonal of a pair.
    first = 1 + (len(POINTS) - 1) + 6 * entries
    return first + (6 * entries * (entries - 1) if order > 1 else 0)


class NotMovable(GradproofError, ValueError):
    """A parameter that cannot be moved, as finite differences require."""


def _mix(moved: _MovedLeaves, noise: RoundingNoise, names: tuple[str, str], table: Slopes) -> None:
    """The second derivatives by entries of two leaves, or by two of one."""
    one, other = names
    for place in np.ndindex(moved.shape(one)):
        for beside in np.ndindex(moved.shape(other)):
            if one == other and beside <= place:
                continue  # the diagonal is there already, and the rest is symmetric
            slope = _mixed_slope(moved, noise, (one, place), (other, beside))
            table.put((*place, *beside), slope)
            if one == other:
                table.put((*beside, *place), slope)


def _mixed_slope(
    moved: _MovedLeaves, noise: RoundingNoise, one: tuple[str, Place], other: tuple[str, Place]
) -> Slope:
    lengths = moved.scale(*one), moved.scale(*other)
    diagonals = [
        resolve(moved.line([(*one, lengths[0]), (*other, sign * lengths[1])]), noise, order=2)
        for sign in (1.0, -1.0)
    ]
    rise, fall = diagonals
    area = 4.0 * lengths[0] * lengths[1]
    worse = max(diagonals, key=lambda slope: (KINDS.index(slope.kind), slope.error))
    return Slope(
        value=(rise.value - fall.value) / area,
        error=(rise.error + fall.error) / area,
        kind=worse.kind,
        step=worse.step,
        runs=rise.runs + fall.runs,
        reason=worse.reason,
    )


class _MovedLeaves:
    """Leaves that are moved, and put back at the end, whatever happens."""

    def __init__(self, function: Function, leaves: Mapping[str, Any], eps: float) -> None:
        self._function = function
        # One that has two names is moved once: by way of both, its derivative is that of all of it.
        once: dict[int, MovableLeaf] = {}
        for name, leaf in leaves.items():
            if id(leaf) not in once:
                once[id(leaf)] = MovableLeaf(name, leaf)
        self._leaves = {name: once[id(leaf)] for name, leaf in leaves.items()}
        self._eps = max([eps, *(leaf.eps for leaf in self._leaves.values())], default=EPS)
        self._here: Value | None = None

    def __enter__(self) -> _MovedLeaves:
        return self

    def __exit__(self, *_: object) -> None:
        for leaf in self._leaves.values():
            leaf.restore()

    def shape(self, name: str) -> tuple[int, ...]:
        """Of a leaf."""
        return self._leaves[name].before.shape

    def scale(self, name: str, place: Place) -> float:
        """A length that an entry may vary on, as a power of two."""
        leaf = self._leaves[name]
        return float(_scales(leaf.before[place], leaf.eps))

    def noise(self) -> RoundingNoise:
        """Of values near here, in whatever direction."""
        leaves = {name: leaf.data for name, leaf in self._leaves.items()}
        return measure(self.line_towards(direction(leaves)))

    def line(self, entries: Sequence[tuple[str, Place, float]]) -> Line:
        """Through here, each of these entries moving by its factor times t."""
        moves = [(self._leaves[name], place, factor) for name, place, factor in entries]

        def move(t: float) -> None:
            for leaf, place, factor in moves:
                leaf.put(place, float(leaf.before[place]) + factor * t)
                leaf.leave()

        def put_back() -> None:
            for leaf, place, _ in moves:
                leaf.restore(place)

        if len(entries) > 1:
            return self._line_by(move, put_back)
        ((name, place, _),) = entries
        leaf = self._leaves[name]
        return self._line_by(
            move, put_back, self.scale(name, place), lambda step: leaf.rounded_step(place, step)
        )

    def line_towards(self, towards: Mapping[str, np.ndarray]) -> Line:
        """Through here, in this direction."""
        moving: dict[MovableLeaf, np.ndarray] = {}
        for name, way in towards.items():
            leaf = self._leaves[name]
            moving[leaf] = moving[leaf] + way if leaf in moving else way

        def move(t: float) -> None:
            for leaf, way in moving.items():
                leaf.put_all(leaf.before + t * way)
                leaf.leave()

        return self._line_by(move, lambda: self.__exit__())

    def _line_by(
        self,
        move: Callable[[float], None],
        put_back: Callable[[], None],
        scale: float = 1.0,
        rounded: Callable[[float], float] = float,
    ) -> Line:
        def phi(t: float) -> tuple[float, float]:
            try:
                move(t)
                return self._function()
            finally:
                put_back()

        line = Line(phi, scale=scale, eps=self._eps, rounded=rounded, here=self._here)
        self._here = line.here
        return line


class MovableLeaf:
    """An array or tensor, and what was in it.

    Raises:
        NotMovable: as :func:`gradient`.
    """

    def __init__(self, name: str, leaf: Any) -> None:
        self.name, self._leaf = name, leaf
        self._tensor = _is_tensor(leaf)
        # Where it is at home: the same memory, whatever the leaf is given in its place.
        self._home = _movable_data(name, leaf)
        self.data = self._home.clone() if self._tensor else self._home
        self.before = _entries(leaf).astype(np.float64)
        self._saved = self.data.clone() if self._tensor else self.data.copy()
        self.eps = _eps(leaf)
        self._type = np.float32 if self.eps > EPS else np.float64

    def rounded_step(self, place: Place, step: float) -> float:
        """By how much an entry moves if it is to move by a step."""
        before = float(self.before[place])
        return float(self._type(before + step)) - before

    def put(self, place: Place, value: float) -> None:
        """Write to an entry."""
        self.data[place] = value

    def put_all(self, values: np.ndarray) -> None:
        """Write to all."""
        if self._tensor:
            torch = sys.modules["torch"]
            self.data.copy_(torch.as_tensor(values))
        else:
            self.data[...] = values

    def leave(self) -> None:
        """Stand where entries are written to; another tensor over the memory of this one stays."""
        if self._tensor:
            self._leaf.data = self.data

    def restore(self, place: Place | None = None) -> None:
        """Put back what was there, in one place or all."""
        if self._tensor:
            self._leaf.data = self._home
        if place is not None:
            self.data[place] = self._saved[place]
        elif self._tensor:
            self.data.copy_(self._saved)
        else:
            self.data[...] = self._saved


def _is_tensor(leaf: object) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(leaf, torch.Tensor)


def _movable_data(name: str, leaf: Any) -> Any:
    """The numbers of a leaf, over the same memory and without a graph."""
    if _is_tensor(leaf):
        if str(leaf.layout) != "torch.strided":
            raise NotMovable(f"{name} is a tensor of layout {leaf.layout}: pass a dense one")
        strides, shape = leaf.stride(), tuple(leaf.shape)
        data = leaf.data  # past automatic differentiation, which refuses to have leaves written to
    elif isinstance(leaf, np.ndarray):
        strides, shape, data = leaf.strides, leaf.shape, leaf
    else:
        raise NotMovable(
            f"{name} is a {type(leaf).__name__}, which cannot be moved in place for finite "
            "differences: pass a NumPy array or a tensor of PyTorch"
        )
    kind = str(leaf.dtype).removeprefix("torch.")
    if kind not in ("float32", "float64"):
        coarse = ", too coarse for differences" if kind in ("float16", "bfloat16") else ""
        raise NotMovable(f"{name} is in {kind}{coarse}: use float64, or float32")
    if isinstance(leaf, np.ndarray) and not leaf.flags.writeable:
        raise NotMovable(
            f"{name} cannot be moved for finite differences: it is read-only; pass a copy"
        )
    if math.prod(shape) and any(
        step == 0 and many > 1 for step, many in zip(strides, shape, strict=True)
    ):
        raise NotMovable(f"entries of {name} share their memory: pass a copy")
    return data


def _entries(leaf: Any) -> np.ndarray:
    """What is in a leaf; it may share its memory."""
    return np.asarray(leaf.detach().cpu().numpy() if _is_tensor(leaf) else leaf)


def _eps(leaf: Any) -> float:
    return float(np.finfo(np.float32).eps) if str(leaf.dtype).endswith("float32") else EPS


def _scales(entries: np.ndarray, eps: float) -> np.ndarray:
    """Lengths that a value may vary on with each entry: between 1 and its own size, powers of two.

    Half the digits of an entry are not lost in it.
    """
    sizes = np.abs(np.nan_to_num(entries))
    lengths = np.maximum(1.0, np.maximum(sizes**0.5, sizes * eps**0.5))
    found: np.ndarray = 2.0 ** np.rint(np.log2(lengths))
    return found


def _hash(keys: np.ndarray, number: int) -> np.ndarray:
    """64 bits that look random (Steele, Lea and Flood 2014, SplitMix64)."""
    with np.errstate(over="ignore"):
        mixed = (keys + np.uint64(1 + number * 2**32)) * np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        found: np.ndarray = mixed ^ (mixed >> np.uint64(31))
    return found
