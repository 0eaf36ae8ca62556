"""The derivative of a function of one number by differences, with an error to be relied on.

A function is known by its values only, each of them rounded. Its natural length is unknown, and so
is the step: too long a step bends, or reaches over a kink; too short a one is lost in rounding.

*A ladder of steps.* The function is evaluated at both ends of steps that fall by factors of 4.
Three neighbouring rungs and the value at 0 are a *window* of seven values, fitted by 1, t, ..., t^5
and the absolute value of t: Richardson's extrapolation of central differences, and a column more.
Its coefficient is half the *bend*, by how much the slopes to the two sides differ.

*Two witnesses* are zero for whatever is smooth on the scale of a window: the bend, and what the
outermost rung changes in the slope. The second feels rounding 247 times less than the slope does.
A kink at any distance to one side moves the slope by less than the two, in units of their own
rounding, say. The search goes down the ladder until neither is larger than rounding makes it: not
until two estimates agree, which is what a kink between two steps can arrange.

*Rounding is measured*, not assumed: it is what a smooth curve leaves of values at nearby points.
These are spaced irregularly, for multiples of a power of two round alike and hide it. What is rough
at one spacing, and not at a smaller one, is the function's own; but if it jumps between points
however near, by a little, its inner arithmetic is coarse.

*What is said*: a slope, and what it may be off by; or that there is a kink, with the slopes to both
sides, if the bend is the same down to the finest step that rounding leaves (a kink that is nearer
than that cannot be told apart from one at the point); or that it is unknown, and why. Of 72,000
random functions, sums of waves, networks of rectified units and policies in either precision, two
were off by more than was said, by a quarter at most; of 100,000 networks in single precision, whose
many small kinks are hardest to tell from rounding, 20, by a factor of 4.4 at most.

References: L. F. Richardson 1911, "The approximate arithmetical solution by finite differences".
C. J. F. Ridders 1982, "Accurate computation of F'(x) and F'(x) F''(x)", whose choice of the step,
the one with the least disagreement, is not made here. J. J. Moré and S. M. Wild 2011, "Estimating
computational noise"; 2012, "Estimating derivatives of noisy simulations". B. Fornberg 1988,
"Generation of finite difference formulas on arbitrarily spaced grids".
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence

import numpy as np

from .lines import EVEN, TINY, Line, Phi, RoundingNoise, Value, first_rung
from .outcomes import EPS
from .roughness import measure

#: What a derivative is: to be relied on within its error; of a function that has a kink there; or
#: unknown.
SMOOTH, KINK, UNRESOLVED = KINDS = "smooth", "kink", "unresolved"

#: Standard deviations of rounding that a slope may be off by. Seven residuals show a third of it or
#: less once in 500 times: two are left then.
CERTAIN = 6.0

#: Standard deviations beyond which a witness speaks; what rounding does more often costs two values
#: more, and nothing else.
WITNESSED = 4.0

#: Rungs are powers of two; a ladder goes down by two of them at a time.
GAP = 2

#: A place between rungs that is no simple fraction of any: the golden ratio.
BETWEEN = 0.5 * (math.sqrt(5.0) + 1.0)

#: A slope known to a quarter of the part in a hundred that a verdict asks for is good enough.
FINE = 2.5e-3

#: Units in the last place that seven products and their sum are off by, at most.
SUMMED = 8.0 * EPS


@dataclasses.dataclass(frozen=True)
class Slope:
    """A derivative at a point.

    ``value`` is off by at most ``error`` if the ``kind`` is smooth. At a kink of the first
    derivative it is the mean of ``left`` and ``right``, the slopes to the two sides, and its error
    reaches both; second derivatives have no value there. ``step`` is the smallest that tells: a
    kink may be so far off. ``runs`` values were taken. ``reason`` is why it is unresolved.
    """

    value: float
    error: float
    kind: str
    left: float = math.nan
    right: float = math.nan
    step: float = 0.0
    runs: int = 0
    reason: str = ""
    rung: int = 0


@dataclasses.dataclass(frozen=True)
class Window:
    """What seven values say: two estimates, two witnesses, and their rounding.

    ``derivatives`` are the first and the second, ``noises`` what a standard deviation of rounding
    is of each; ``bend`` is the slope to the right less that to the left. ``misfit`` is the larger
    witness in standard deviations of its own. ``ends`` are the values of the inner rung, less that
    at the point.
    """

    rung: int
    step: float
    derivatives: tuple[float, float]
    noises: tuple[float, float]
    lost: tuple[float, float]
    bend: float
    bend_noise: float
    misfit: float
    ends: tuple[float, float]

    def error(self, order: int, witnessed: float = 0.0, finer: Window | None = None) -> float:
        """What a derivative may be off by.

        Args:
            witnessed: standard deviations that are rounding at least.
            finer: a window whose bend and derivative count too.
        """
        bend, apart = abs(self.bend), 0.0
        if finer is not None:
            bend = max(bend, abs(finer.bend))
            apart = abs(self.derivatives[order - 1] - finer.derivatives[order - 1])
        # A kink moves the slope by at most half the bend, a second derivative by twice that on the
        # inner rung.
        bent = 0.5 * bend if order == 1 else 2.0 * bend / self.step
        noise = max(CERTAIN, witnessed) * self.noises[order - 1]
        return noise + bent + apart + self.lost[order - 1]

    @property
    def fits(self) -> bool:
        """Whether no witness speaks."""
        return self.misfit <= WITNESSED


@functools.lru_cache(maxsize=256)
def _weights(nodes: tuple[float, ...]) -> np.ndarray:
    """Of seven values: the slope, the second derivative, the bend, and the slope less the inner."""
    longest = max(nodes)
    t = np.array(nodes) / longest  # within [-1, 1], or the powers are far apart
    powers = t[:, None] ** np.arange(7)
    kinked = np.linalg.inv(np.column_stack([powers[:, :6], np.abs(t)]))
    inner = np.append(np.linalg.inv(powers[:5, :5])[1], [0.0, 0.0])
    second = 2.0 * np.linalg.inv(powers)[2]
    rows = np.array([kinked[1], second, 2.0 * kinked[6], kinked[1] - inner])
    found: np.ndarray = rows / np.array([[1.0], [longest], [1.0], [1.0]]) / longest
    return found


@functools.lru_cache(maxsize=256)
def _weights_at(nodes: tuple[float, ...], at: float) -> np.ndarray:
    """Of seven values: what the curve through them has at another place."""
    longest = max(nodes)
    powers = (np.array([*nodes, at]) / longest)[:, None] ** np.arange(7)
    found: np.ndarray = np.linalg.solve(powers[:-1].T, powers[-1])
    return found


def window_on(line: Line, noise: RoundingNoise, inner: int, gap: int = GAP) -> Window | None:
    """The window whose shortest step is on this rung; None where a value is missing."""
    values = [line.here]
    for rung in (inner, inner + gap, inner + 2 * gap):
        for each in line.pair(rung):
            if each is None:
                return None
            values.append(each)
    step = line.scale * 2.0**inner
    weights = _weights(tuple(each.at / step for each in values))
    moved = np.array([each.value - line.here.value for each in values])
    rounding = np.array([noise.deviation_at(each.size) for each in values])
    with np.errstate(over="ignore", invalid="ignore"):  # such a window is none, below
        slope, second, bend, outer = (weights @ moved).tolist()
        lost = (SUMMED * (np.abs(weights) @ np.abs(moved))).tolist()
        # hypot neither overflows nor underflows where a sum of squares would.
        slope_noise, second_noise, bend_noise, outer_noise = (
            math.hypot(*row) for row in (weights * rounding).tolist()
        )
    # The outer rung's part is the difference of two slopes, each of them rounded.
    witnesses = abs(bend) / (bend_noise + lost[2]), abs(outer) / (outer_noise + 2.0 * lost[0])
    window = Window(
        rung=inner,
        step=step,
        derivatives=(slope / step, second / step**2),
        noises=(slope_noise / step, second_noise / step**2),
        lost=(lost[0] / step, lost[1] / step**2),
        bend=bend / step,
        bend_noise=max(bend_noise / step, TINY),
        misfit=max(witnesses),
        ends=(float(moved[1]), float(moved[2])),
    )
    finite = all(map(math.isfinite, (window.misfit, *window.derivatives)))
    return window if finite else None


def _foretells(line: Line, noise: RoundingNoise, window: Window) -> bool:
    """Whether the curve through a window has the function's value at a place of its own.

    All rungs are multiples of the shortest: a wave of which that is a whole number of lengths looks
    flat on each. This place is no such multiple.
    """
    rungs = [window.rung, window.rung + GAP, window.rung + 2 * GAP]
    known = [line.here, *(each for rung in rungs for each in line.pair(rung) if each)]
    other = line.value_at(BETWEEN * line.scale * 2.0 ** rungs[1])
    if other is None:
        return False
    weights = _weights_at(tuple(each.at / window.step for each in known), other.at / window.step)
    moved = np.array([each.value - line.here.value for each in known])
    off = abs(float(weights @ moved) - (other.value - line.here.value))
    # As it was measured, and no more where values are larger: beside a value of next to nothing the
    # function's own roughness would pass for rounding there.
    least = [max(noise.absolute, EVEN * line.eps * each.size) for each in (*known, other)]
    rounding = [*(weights * least[:-1]), least[-1]]
    lost = SUMMED * float(np.abs(weights) @ np.abs(moved))
    return off <= CERTAIN * math.hypot(*rounding) + lost


def derivative(
    phi: Phi,
    *,
    order: int = 1,
    scale: float = 1.0,
    eps: float = EPS,
    noise: RoundingNoise | None = None,
    rounded: Callable[[float], float] = float,
) -> Slope:
    """The first or second derivative at 0 of a function of one number.

    Args:
        phi: returns its value and what is added up in it without signs.
        scale: a length that it may vary on; others are found, from 1e-9 to 64 times it.
        eps: the precision of its arithmetic, as the step from 1 to the next number.
        noise: of its values; default: measured, by 11 more values where it is smooth.
        rounded: where a step leads.

    Raises:
        ValueError: if it has no value at 0.
        Whatever ``phi`` raises, but for a ValueError, an OverflowError or a FloatingPointError away
        from 0.
    """
    line = Line(phi, scale=scale, eps=eps, rounded=rounded)
    return resolve(line, measure(line) if noise is None else noise, order)


def resolve(line: Line, noise: RoundingNoise, order: int = 1, highest: int | None = None) -> Slope:
    """The same, of values on a line, searched from this rung downwards."""
    start = first_rung(noise.relative)
    if not noise.jumps:
        return _resolve(line, noise, order, start if highest is None else min(start, highest))
    near = _resolve(line, noise, order, start)
    if near.kind != SMOOTH or near.rung == start:  # no jump is met in this direction
        return near
    # Between jumps that are the function's own its slope is what is found near; if they are what
    # its arithmetic leaves of a slope, it is what is found over many of them.
    size = line.here.size
    coarse = RoundingNoise(noise.jumps, noise.jumps / size if size > 0.0 else 1.0, rough=True)
    far = _resolve(line, coarse, order, first_rung(coarse.relative))
    apart = abs(near.value - far.value)
    error = max(near.error, apart + far.error)
    if far.kind == SMOOTH and apart <= near.error + far.error:
        return dataclasses.replace(near, error=error, runs=line.runs)
    return dataclasses.replace(
        near,
        error=error,
        kind=UNRESOLVED,
        runs=line.runs,
        reason=f"values jump by some {noise.jumps:.1g} nearby: that are steps of its own, or its "
        f"inner arithmetic is coarser than a step of {line.eps:.1e} from 1",
    )


def _resolve(line: Line, noise: RoundingNoise, order: int, start: int) -> Slope:
    windows, finest = _descend(line, noise, start)
    if not windows:
        return Slope(
            math.nan, math.inf, UNRESOLVED, runs=line.runs, reason=_describe_refusals(line)
        )
    if finest is not None:
        return _slope_at_kink(line, windows[-1], finest, order)
    if not windows[-1].fits:
        return _rough_slope(line, noise, windows, order)
    finer = windows[-1] if len(windows) > 1 and windows[-2].fits else None
    best = windows[-1] if finer is None else windows[-2]
    chosen, error = best, best.error(order, finer=finer)
    for window in _coarser_windows(line, noise, windows, best, error, order):
        apart = abs(window.derivatives[order - 1] - chosen.derivatives[order - 1])
        wider = window.error(order, finer=finer)
        if not window.fits or apart > error + wider:
            break
        if wider < error:
            chosen, error = window, wider
        if error <= FINE * abs(chosen.derivatives[order - 1]):
            break
    value = chosen.derivatives[order - 1]
    return Slope(value, error, SMOOTH, step=chosen.step, runs=line.runs, rung=best.rung)


def _lowest_rung(eps: float) -> int:
    """Where a step is four units in the last place of what it is added to."""
    return math.floor(math.log2(eps)) + 2


def _descend(line: Line, noise: RoundingNoise, rung: int) -> tuple[list[Window], Window | None]:
    """Windows down to the first that fits; and the finest, if the bend is the same down to it.

    Of a rough function two have to fit, and foretell a value between their steps: several kinks may
    cancel in one, and be no larger than its rounding in all witnesses; waves may be as long as a
    step.
    """
    windows: list[Window] = []
    fitting, asked = 0, False
    while rung >= _lowest_rung(line.eps) and line.has(rung):
        window = window_on(line, noise, rung)
        if window is not None:
            windows.append(window)
            fits = window.fits and (not noise.rough or _foretells(line, noise, window))
            fitting = fitting + 1 if fits else 0
            if fitting == (2 if noise.rough else 1):
                break
            if not asked and _has_steady_bend(windows):
                asked = True
                finest = _finest_window(line, noise, window)
                if finest is not None and _have_same_bend(finest, window):
                    return windows, finest
        rung -= GAP
    return windows, None


def _has_steady_bend(windows: Sequence[Window]) -> bool:
    """Whether the bend is there on two windows, and clear enough to be looked for further down."""
    if len(windows) < 2:
        return False
    above, below = windows[-2:]
    clear = abs(below.bend) > 64.0 * CERTAIN * below.bend_noise  # so that 3 rungs down it is too
    return clear and abs(above.bend - below.bend) <= abs(below.bend) / 16.0


def _have_same_bend(one: Window, other: Window) -> bool:
    # Rounding is a 64th of the bend where the finest is taken; eight of its deviations.
    return abs(one.bend - other.bend) <= abs(other.bend) / 8.0


def _finest_window(line: Line, noise: RoundingNoise, window: Window) -> Window | None:
    """The window with the shortest steps on which rounding leaves the bend to be seen."""
    fall = math.floor(math.log2(abs(window.bend)) - math.log2(64.0 * window.bend_noise))
    lowest = max(window.rung - fall, _lowest_rung(line.eps))
    for rung in range(lowest, window.rung):
        if line.has(rung):
            return window_on(line, noise, rung)
    return None


def _coarser_windows(
    line: Line,
    noise: RoundingNoise,
    windows: Sequence[Window],
    best: Window,
    error: float,
    order: int,
) -> list[Window]:
    """Windows of longer steps that rounding matters less to, where it matters."""
    if error <= FINE * abs(best.derivatives[order - 1]):
        return []
    if best is not windows[0]:  # the outer steps of the next one are too long: more of those below
        rungs = [(best.rung + GAP, 1)]
    else:
        # Where 64 times the step moves nothing either, nothing can be seen in between.
        far = line.pair(best.rung + 5 * GAP)
        if all(each is None or _is_unmoved(each, line.here, noise) for each in far):
            return []
        rungs = [(best.rung + GAP * each, GAP) for each in (1, 2, 3)]
    return [window for window in (window_on(line, noise, *each) for each in rungs) if window]


def _is_unmoved(one: Value, other: Value, noise: RoundingNoise) -> bool:
    spread = math.hypot(noise.deviation_at(one.size), noise.deviation_at(other.size))
    return abs(one.value - other.value) <= CERTAIN * spread


def _slope_at_kink(line: Line, window: Window, finest: Window, order: int) -> Slope:
    slope, half = window.derivatives[0], 0.5 * window.bend
    value, error = (slope, window.error(1)) if order == 1 else (math.nan, math.inf)
    left, right = slope - half, slope + half
    return Slope(value, error, KINK, left, right, finest.step, line.runs, rung=window.rung)


def _rough_slope(line: Line, noise: RoundingNoise, windows: Sequence[Window], order: int) -> Slope:
    """Of a function that is rougher than its rounding on every step: all of that is noise then."""
    witnessed, error, best = 0.0, math.inf, windows[-1]
    for window in reversed(windows):
        witnessed = max(witnessed, window.misfit)
        if window.error(order, witnessed) < error:
            error, best = window.error(order, witnessed), window
    # A wave of which all rungs are whole lengths looks flat on the coarse ones.
    flat = noise.rough and not _foretells(line, noise, best)
    # What is left on the finest steps may be rounding that was not seen where it was measured.
    last = max(window.misfit for window in windows[-3:]) * noise.deviation_at(line.here.size)
    small = best is not windows[-1] and not flat and last <= line.eps**0.5 * line.here.size
    return Slope(
        best.derivatives[order - 1],
        error,
        SMOOTH if small else UNRESOLVED,
        step=windows[-1].step,
        runs=line.runs,
        reason="" if small else _why_rough(line, noise, windows),
        rung=best.rung,
    )


def _why_rough(line: Line, noise: RoundingNoise, windows: Sequence[Window]) -> str:
    last = windows[-1]
    floor = 2.0 * CERTAIN * noise.deviation_at(line.here.size)
    for side, name in enumerate(("right", "left")):
        jump = abs(last.ends[side])
        # Along a slope it would be four times as large on the rung above.
        before = abs(windows[-2].ends[side]) if len(windows) > 1 else math.inf
        if jump > floor and before < 2.0 * jump:
            return f"it jumps by {jump:.3g} within {last.step:.1e} to the {name}"
    return (
        f"no step down to {last.step:.1e} is short enough for its values to lie on a smooth curve"
    )


def _describe_refusals(line: Line) -> str:
    said = [f"to the {side}: {refusal}" for side, refusal in line.refusals.items()]
    return f"it has no values nearby; {'; '.join(said)}" if said else "no step is short enough"
