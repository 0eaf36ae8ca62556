"""What one run of code in JAX drew, by key: the same key draws the same again."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np

from ..integration.laws import law_of_chain
from ..monotone import Chain, Known, forward
from ..outcomes import OutcomeDistribution
from ..run import Run, UnsupportedDraw
from .jax_samplers import ContinuousNumbers, Sampler


class _KeyedDraw(NamedTuple):
    """What was drawn by a key."""

    sampler: Sampler
    known: tuple[np.ndarray, ...]
    #: Outcomes; of numbers that are not decided the place of each.
    found: np.ndarray
    is_undecided: bool = False


class KeyedDraws:
    """What one run drew, by key."""

    def __init__(self) -> None:
        self._made: dict[Hashable, _KeyedDraw] = {}

    def draw(
        self,
        run: Run,
        sampler: Sampler,
        generator: str,
        data: np.ndarray,
        arguments: Sequence[np.ndarray],
    ) -> np.ndarray:
        """What a sampler draws by each of some keys.

        Args:
            generator: that the keys are of; the same numbers are another key of another one.
            data: (*keys, words).
            given: arguments, with axes for the keys in front.

        Raises:
            UnsupportedDraw: if a key drew anything else before. What the two draws are to each
                other nobody knows. If it drew the same, it draws the same outcome again.
        """
        rows = data.shape[:-1]
        if not rows:
            return self._one(run, sampler, (generator, data.tobytes()), arguments, of_rows=False)
        found = np.empty((*rows, *sampler.shape), sampler.dtype)
        for row in np.ndindex(*rows):
            key = generator, data[row].tobytes()
            found[row] = self._one(
                run, sampler, key, [each[row] for each in arguments], of_rows=True
            )
        return found

    def places(
        self,
        sampler: ContinuousNumbers,
        generator: str,
        data: np.ndarray,
        draw: Callable[[int], np.ndarray],
    ) -> np.ndarray:
        """The place of each number that a sampler draws by some keys, none of which is decided.

        Args:
            draw: so many new ones, for a key that did not draw before.

        Raises:
            UnsupportedDraw: as :meth:`draw`.
        """
        rows = data.shape[:-1]
        found = np.empty((*rows, *sampler.shape), np.int64)
        for row in np.ndindex(*rows):
            key = generator, data[row].tobytes()
            made = self._made.get(key)
            if made is None:
                new = draw(math.prod(sampler.shape)).reshape(sampler.shape)
                made = self._made[key] = _KeyedDraw(sampler, (), new, is_undecided=True)
            elif made.sampler != sampler:
                raise UnsupportedDraw(_reuse_message(sampler, made.sampler, bool(rows)))
            found[row] = made.found
        return found

    def _one(
        self,
        run: Run,
        sampler: Sampler,
        key: Hashable,
        arguments: Sequence[np.ndarray],
        of_rows: bool,
    ) -> np.ndarray:
        parameters = sampler.parameters(*arguments)
        made = None if run.is_sampling else self._made.get(key)
        # Compiled code needs the value of what is not decided, which is refused as it is drawn.
        if made is None or (made.is_undecided and made.sampler == sampler):
            found = np.asarray(sampler.draw(_RunAnswers(run, key), *parameters), sampler.dtype)
            made = _KeyedDraw(sampler, parameters, found.reshape(sampler.shape))
            self._made[key] = made
        elif made.sampler != sampler or not sampler.is_same(made.known, parameters):
            raise UnsupportedDraw(_reuse_message(sampler, made.sampler, of_rows))
        return made.found


def _reuse_message(sampler: Sampler, before: Sampler, of_rows: bool) -> str:
    if sampler != before:
        return (
            f"{sampler.what} draws with a key that {before.what} drew with: the two depend on "
            "each other in an unknown way; split the key"
        )
    if of_rows:
        return (
            f"{sampler.what} draws with one key for all rows of a vmap, and with other "
            "probabilities in each: the rows depend on each other in an unknown way; split "
            "the key, and map over the keys too"
        )
    return (
        f"{sampler.what} draws with a key that it drew with before, and with other probabilities: "
        "the two draws depend on each other in an unknown way; split the key"
    )


class _RunAnswers:
    """Asks a run for the outcomes of one call, each under the key and its place."""

    __slots__ = ("_key", "_place", "_run")

    def __init__(self, run: Run, key: Hashable) -> None:
        self._run, self._key, self._place = run, key, 0

    def __call__(self, outcomes: OutcomeDistribution) -> int:
        self._place += 1
        return self._run.choose(outcomes, (self._key, self._place))

    def take(self, what: str, law: Chain, step: float, why: str) -> float:
        """A continuous number.

        Args:
            law: the function of a uniform number that it is.
            why: it is refused, where it is not integrated.
        """
        self._place += 1
        quadrature = self._run.quadrature
        if quadrature is None:
            raise UnsupportedDraw(why)
        known = tuple(link for link in law[:1] if isinstance(link, Known))
        key = self._key, self._place
        value = quadrature.take(self._run, what, law_of_chain(known), step, key=key)
        return float(forward(law[len(known) :], value))
