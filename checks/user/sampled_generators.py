"""Generators that samples draw from: seeded for one check, and watched, lest samples repeat."""

from __future__ import annotations

import contextlib
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from gradproof.estimators.enumeration.generators import BITS, PYTHON, bits_of
from gradproof.estimators.enumeration.run import SampledRun

#: Samples in which generators are looked at; and where one state is drawn from in so large a share
#: of them, and in so many, it comes from one seed. By accident it does if a seed is itself drawn
#: from fewer than four.
WATCHED, SHARE, LEAST = 64, 1 / 4, 8


class GeneratorStates:
    """The states of generators that samples drew from, and how many samples drew from each.

    Of a generator that is drawn from by itself the state of its first draw counts. Of those that
    frameworks have of their own it is the state at any draw, if the sample brought it there and
    moved it on: what a sample sets for a while, and sets back, is a generator of its own.
    """

    def __init__(self) -> None:
        self.samples = 0
        self._counts: Counter[tuple[str, bytes]] = Counter()
        self._seen: set[tuple[str, bytes]] = set()
        self._first: dict[int, Any] = {}
        self._began: list[tuple[str, bytes]] = []
        self._last: list[tuple[str, bytes]] = []

    def begin(self) -> None:
        """A sample begins."""
        self._seen, self._first = set(), {}
        self._began = self._last = _shared_states()

    def draw(self, arguments: Mapping[str, Any]) -> None:
        """Something is about to be drawn.

        Args:
            arguments: what a handler passes on to what answers for the draw, by name.
        """
        self._look_at_shared()
        words, kind = arguments.get("data"), arguments.get("generator")
        if isinstance(words, np.ndarray) and isinstance(kind, str) and kind != "none":
            self._seen.add(("a key of JAX", words.tobytes()))  # "none": which key is not known
        for value in (*arguments.get("args", ()), *arguments.get("kwargs", {}).values()):
            if id(value) not in self._first:
                state = _state_of(value)
                if state is not None:
                    self._first[id(value)] = value  # kept, so that no other has its identity
                    self._seen.add(state)

    def end(self) -> None:
        """The sample has ended."""
        self._look_at_shared()
        self._counts.update(self._seen)
        self._first = {}
        self.samples += 1

    def repeated_kind(self) -> str:
        """What kind of generator was in one state in too many samples; empty if none was."""
        most = max(LEAST, SHARE * self.samples)
        return next((what for (what, _), count in self._counts.items() if count >= most), "")

    def _look_at_shared(self) -> None:
        now = _shared_states()
        for began, last, state in zip(self._began, self._last, now, strict=False):
            if last not in (began, state):
                self._seen.add(last)
        self._last = now


def _state_of(value: Any) -> tuple[str, bytes] | None:
    """What kind of generator something is, and its state; None: it is none."""
    if isinstance(value, np.random.Generator | np.random.RandomState | np.random.BitGenerator):
        bits = bits_of(value) if not isinstance(value, np.random.BitGenerator) else value
        return BITS.name, BITS.key(BITS.read(bits))
    if isinstance(value, random.Random) and not isinstance(value, random.SystemRandom):
        return PYTHON.name, PYTHON.key(PYTHON.read(value))
    torch: Any = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Generator):
        with contextlib.suppress(Exception):  # while functions are transformed, or compiled
            return "a generator of PyTorch", bytes(value.get_state().cpu().numpy())
    return None


def _shared_states() -> list[tuple[str, bytes]]:
    """Those of the generators that frameworks have of their own."""
    torch: Any = sys.modules.get("torch")
    shared = [random._inst, np.random.mtrand._rand]
    shared += [] if torch is None else [torch.default_generator]
    return [_state_of(each) or ("", b"") for each in shared]


class GeneratorWatch(SampledRun):
    """A sample's run that looks at the generators it draws from, too."""

    def __init__(self, drawn_from: GeneratorStates) -> None:
        super().__init__()
        self._drawn_from = drawn_from

    def observe(self, draw: Callable[[], object]) -> None:
        """As the base class; handlers keep what a draw was called with around ``draw``."""
        code = getattr(draw, "__code__", None)
        if code is not None:
            cells = zip(code.co_freevars, draw.__closure__ or (), strict=True)
            self._drawn_from.draw({name: cell.cell_contents for name, cell in cells})
        super().observe(draw)


@contextlib.contextmanager
def seed_generators(seed: int | None) -> Iterator[None]:
    """The generators that frameworks have of their own, from a seed, and as before afterwards.

    Each from a seed of its own: PyTorch's, NumPy's and Python's are one kind of generator, and
    would draw the same numbers from the same seed.
    """
    if seed is None:
        yield
        return
    torch: Any = sys.modules.get("torch")
    before = random.getstate(), np.random.get_state()  # noqa: NPY002 - it is put back
    for_python, for_numpy, for_torch = np.random.SeedSequence(seed).spawn(3)
    with contextlib.ExitStack() as stack:
        stack.callback(random.setstate, before[0])
        stack.callback(np.random.set_state, before[1])
        if torch is not None:
            stack.callback(torch.set_rng_state, torch.get_rng_state())
            if torch.cuda.is_available() and torch.cuda.is_initialized():
                stack.callback(torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all())
            torch.manual_seed(int(for_torch.generate_state(1, np.uint64)[0]))
        random.seed(for_python.generate_state(8).tobytes())
        np.random.seed(for_numpy.generate_state(8))  # noqa: NPY002 - people draw from it
        yield
