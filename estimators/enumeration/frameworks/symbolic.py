"""What Theano and PyTensor draw, outcome by outcome, in the shape that they draw it in.

Each kind asks the run for its outcomes one after the other; ``like`` is what the framework itself
drew, which moved its state on and knows the shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..generators import Streams
from ..outcomes import Coin, Uniform, draw_without_replacement, precision_of, tables
from ..run import Run, SampledRun, UnsupportedDraw
from .numpy import draw_by_weight

#: A kind of draw: given the run, what draws, the parameters, and what the framework itself drew, it
#: returns outcomes in the shape and type of that.
Draw = Callable[..., np.ndarray]


def multinomials(run: Run, what: str, n: Any, pvals: Any, like: np.ndarray) -> np.ndarray:
    """So many of each row, one after the other: counts; one-hot where n is one.

    By the probabilities as they are given: Theano takes 5e-5 off them, for the last outcome, where
    they sum to more than one by a rounding.
    """
    trials = np.broadcast_to(n, like.shape[:-1])
    rows = np.broadcast_to(pvals, like.shape).reshape(-1, like.shape[-1])
    found = np.zeros_like(like)
    for place, outcomes in zip(np.ndindex(*trials.shape), tables(what, rows), strict=True):
        for _ in range(int(trials[place])):
            found[place][run.choose(outcomes)] += 1
    return found


def categories(run: Run, what: str, p: np.ndarray, like: np.ndarray) -> np.ndarray:
    """The number of the outcome that came out, for each row of probabilities."""
    rows = np.broadcast_to(p, (*like.shape, p.shape[-1])).reshape(-1, p.shape[-1])
    drawn = run.choose_each(list(tables(what, rows)))
    return np.array(drawn, like.dtype).reshape(like.shape)


def integers(
    run: Run, what: str, low: Any, high: Any, like: np.ndarray, *, last: bool = True
) -> np.ndarray:
    """Whole numbers from the lowest to the highest, each as likely.

    Args:
        last: whether the highest is one of them.
    """
    lows, highs = np.broadcast_to(low, like.shape), np.broadcast_to(high, like.shape)
    counts = [
        int(end) - int(first) + last for first, end in zip(lows.flat, highs.flat, strict=True)
    ]
    drawn = run.choose_each([Uniform(what, count) for count in counts])
    found = [int(first) + place for first, place in zip(lows.flat, drawn, strict=True)]
    return np.array(found, like.dtype).reshape(like.shape)


def choices(run: Run, what: str, a: Any, replace: Any, p: Any, like: np.ndarray) -> np.ndarray:
    """Entries of an array along its first axis, or numbers below ``a``.

    Args:
        p: of each; none of them stand for equal probabilities.
    """
    count = int(a) if np.ndim(a) == 0 else len(a)
    draws = like.size // math.prod(np.shape(a)[1:])
    if np.size(p):
        weights = np.asarray(p, np.float64)
        places = draw_by_weight(run, what, weights, draws, bool(replace), precision_of(p))
    elif replace:
        places = run.choose_each([Uniform(what, count)] * draws)
    else:
        places = draw_without_replacement(run.choose, what, count, draws)
    found = np.asarray(places, np.int64)
    return (found if np.ndim(a) == 0 else np.asarray(a)[found]).reshape(like.shape)


def orders(run: Run, what: str, n: Any, like: np.ndarray) -> np.ndarray:
    """The first n numbers, in any order, in the last axis."""
    count = int(n)
    rows = [
        draw_without_replacement(run.choose, what, count, count) for _ in range(like.size // count)
    ]
    return np.reshape(rows, like.shape)


def picks(run: Run, what: str, p: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Of each row of probabilities as many outcomes as there are columns, none of them twice."""
    step = precision_of(p)
    rows = [
        draw_by_weight(run, what, np.asarray(each, np.float64), like.shape[1], False, step)
        for each in p
    ]
    return np.array(rows, like.dtype)


def coins(run: Run, what: str, p: Any, like: np.ndarray) -> np.ndarray:
    """Whether a uniform number is below each probability."""
    one = np.clip(np.broadcast_to(p, like.shape), 0.0, 1.0)  # as it comes out with any other
    step = precision_of(p)
    drawn = run.choose_each([Coin(what, float(each), step) for each in one.flat])
    return np.array(drawn, like.dtype).reshape(like.shape)


class SymbolicDraws:
    """The draws of one run by one framework; each is known by the state that it uses.

    A state that draws the same again, as one does that is not updated, gives the same again. One
    that draws anything else is refused: the two depend on each other in an unknown way.

    Args:
        framework: its name, for messages.
    """

    def __init__(self, run: Run, framework: str) -> None:
        self._run, self._framework = run, framework
        self._seen: dict[bytes, tuple[tuple[Any, ...], np.ndarray]] = {}

    @staticmethod
    def of(run: Run, framework: str) -> SymbolicDraws:
        """Those of a framework."""
        return run.recall(f"draws of {framework}", lambda: SymbolicDraws(run, framework))

    def answer(
        self,
        keys: Sequence[bytes],
        name: str,
        draw: Draw,
        parameters: Sequence[Any],
        like: np.ndarray,
    ) -> np.ndarray:
        """Outcomes in the shape of others; the same of the same state.

        Args:
            keys: of the state, or of each of those that are used at once.
            like: what the framework itself drew; a run that samples gets that.

        Raises:
            UnsupportedDraw: for another draw from a state, and as ``draw`` does.
        """
        if not like.size:
            return like
        if isinstance(self._run, SampledRun):
            self._run.observe(lambda: self._ask_run(keys, name, draw, parameters, like))
            return like
        return self._ask_run(keys, name, draw, parameters, like).copy()

    def _ask_run(
        self,
        keys: Sequence[bytes],
        name: str,
        draw: Draw,
        parameters: Sequence[Any],
        like: np.ndarray,
    ) -> np.ndarray:
        arrays = [np.asarray(parameter) for parameter in parameters]
        asked = (name, like.shape, tuple(keys), *((a.shape, a.tobytes()) for a in arrays))
        # NumPy notes its own draws there: a generator may be shared with it.
        streams = Streams.of(self._run)
        streams.name_by_states()
        drawn_from = streams.keys
        for key in keys:
            before, outcomes = self._seen.get(key, (None, None))
            if before == asked and outcomes is not None:
                return outcomes
            if before is not None or key in drawn_from:
                other = before[0] if before else "NumPy"
                raise UnsupportedDraw(
                    f"{self._framework} draws by {name} from a state that {other} drew from: the "
                    "two depend on each other in an unknown way; let each have a state of "
                    "its own, and let it be updated"
                )
        outcomes = draw(self._run, f"{self._framework}'s {name}", *parameters, like)
        for key in keys:
            self._seen[key] = asked, outcomes
            drawn_from.add(key)
        return outcomes
