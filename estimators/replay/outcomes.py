"""What symbolic frameworks draw, outcome by outcome, in the shape that they draw it in.

Each kind asks for its outcomes one after the other; ``like`` is what the framework itself drew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .numpy_draws import binomial_chances
from .walk import EPS, Continuous, Walker

#: Asks the walker: chances of each outcome, and what draws.
Choose = Callable[[Any, str], int]


def binomials(choose: Choose, n: Any, p: Any, like: np.ndarray) -> np.ndarray:
    """How many of n come out; zeros and ones where n is one."""
    trials, chances = np.broadcast_to(n, like.shape), np.broadcast_to(p, like.shape)
    width = np.result_type(chances.dtype, np.float32)  # as exact as what is given
    found = np.empty_like(like)
    for place in np.ndindex(*like.shape):
        known = binomial_chances(int(trials[place]), float(chances[place]))
        found[place] = choose(known.astype(width), "binomial")
    return found


def multinomials(choose: Choose, n: Any, pvals: Any, like: np.ndarray) -> np.ndarray:
    """So many of each row, one after the other: counts; one-hot where n is one.

    By the chances as they are given: Theano takes 5e-5 off them, for the last outcome, where they
    sum to more than one by a rounding.
    """
    trials, chances = np.broadcast_to(n, like.shape[:-1]), np.broadcast_to(pvals, like.shape)
    found = np.zeros_like(like)
    for place in np.ndindex(*like.shape[:-1]):
        for _ in range(int(trials[place])):
            found[place][choose(chances[place], "multinomial")] += 1
    return found


def integers(choose: Choose, low: Any, high: Any, like: np.ndarray) -> np.ndarray:
    """Whole numbers from the lowest to the highest, each as likely."""
    lows, highs = np.broadcast_to(low, like.shape), np.broadcast_to(high, like.shape)
    found = np.empty_like(like)
    for place in np.ndindex(*like.shape):
        count = int(highs[place]) - int(lows[place]) + 1  # of any width
        found[place] = int(lows[place]) + choose(np.full(count, 1.0 / count), "random_integers")
    return found


def choices(choose: Choose, a: Any, replace: Any, p: Any, like: np.ndarray) -> np.ndarray:
    """Entries of a vector, or numbers below ``a``."""
    values = np.arange(a) if np.ndim(a) == 0 else np.asarray(a)
    left = np.array(p) if np.size(p) else np.full(len(values), 1.0 / len(values))
    places = row(choose, left, like.size, bool(replace), "choice")
    return values[places].reshape(like.shape)


def permutations(choose: Choose, n: Any, like: np.ndarray) -> np.ndarray:
    """The first n numbers, in any order, in the last axis."""
    each = np.full(int(n), 1.0 / int(n))
    rows = [row(choose, each, int(n), False, "permutation") for _ in range(like.size // int(n))]
    return np.reshape(rows, like.shape)


def chosen(choose: Choose, p: Any, like: np.ndarray) -> np.ndarray:
    """Of each row of chances as many outcomes as there are columns, none of them twice."""
    rows = [row(choose, each, like.shape[1], False, "choice") for each in p]
    return np.array(rows, like.dtype)


def row(choose: Choose, chances: np.ndarray, count: int, replace: bool, what: str) -> list[int]:
    """Places that come out one after the other."""
    left, drawn = chances.copy(), []
    for _ in range(count):
        drawn.append(choose(left / left.sum(), what))
        if not replace:
            left[drawn[-1]] = 0.0
    return drawn


def below(choose: Choose, p: Any, like: np.ndarray) -> np.ndarray:
    """Whether a uniform number is below each chance."""
    one = np.clip(np.broadcast_to(p, like.shape), 0.0, 1.0)  # as it comes out with any other
    found = np.empty_like(like)
    for place in np.ndindex(*like.shape):
        found[place] = choose(np.stack([1 - one[place], one[place]]), "binomial") == 1
    return found


#: A kind of draw: given what asks, the parameters, and what the framework drew.
Kind = Callable[..., np.ndarray]


class Draws:
    """The draws of one run; each is known by the state, or the uniform numbers, that it uses.

    A state that draws the same again, as one does that is not updated, gives the same again. One
    that draws anything else is refused: the two hang on each other in a way that nobody knows.

    Args:
        framework: its name, for messages.
    """

    def __init__(self, walker: Walker, framework: str) -> None:
        self.walker, self._framework = walker, framework
        self._seen: dict[bytes, tuple[Any, np.ndarray]] = {}

    def ask(
        self, key: bytes, name: str, kind: Kind, given: tuple[Any, ...], like: np.ndarray
    ) -> np.ndarray:
        """Outcomes in the shape of others; the same of the same key."""
        if not like.size:
            return like
        arrays = [np.asarray(each) for each in given]
        asked = (name, like.shape, *((each.shape, each.tobytes()) for each in arrays))
        before, found = self._seen.get(key, (asked, None))
        if before != asked:
            raise Continuous(
                f"{self._framework} draws by {name} from a state that {before[0]} drew from: the "
                "two hang on each other in a way that nobody knows; let each have a state of its "
                "own, and let it be updated"
            )
        if found is None:
            found = kind(self._choose, *given, like)
            self._seen[key] = asked, found
        return found.copy()

    def _choose(self, chances: Any, what: str) -> int:
        known = np.asarray(chances)
        step = float(np.finfo(known.dtype).eps) if known.dtype.kind == "f" else EPS
        return self.walker.choose(
            known.astype(np.float64), f"{self._framework.lower()} {what}", step
        )
