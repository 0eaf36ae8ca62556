"""Generators that a run draws from: none may draw the same numbers twice.

A handler answers a draw and leaves the generator as it is; how many draws were answered since is
counted, so that each has a place of its own in the generator's stream. Where somebody looks at the
state, or sets it, the generator is first moved on by as many. So whatever it was copied from, set
back to, spawned or seeded with, shows: where something is drawn from a place that was drawn from
before, the two draws are the same numbers, and no draws of their own. At the end of the run every
generator must be where that leaves it, and is put back where it was before.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import random
from collections.abc import Callable, Hashable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .run import Run, UnsupportedDraw, current_run


class GeneratorAccess(NamedTuple):
    """How the state of one kind of generator is read, written, and moved on.

    ``read`` returns what ``write`` takes; ``key`` makes of it what can be compared.
    """

    name: str
    read: Callable[[Any], Any]
    key: Callable[[Any], bytes]
    write: Callable[[Any, Any], object]
    move: Callable[[Any], object]


def identity(generator: Any) -> int:
    """What a generator is known by: PyTorch hands out new objects of Python for one of its own."""
    own = getattr(generator, "_cdata", None)
    return id(generator) if own is None else int(own)


class Stream:
    """A generator that a run draws from: a state that it was in, and the draws answered since."""

    __slots__ = ("answered", "generator", "key", "kind", "state")

    def __init__(self, generator: Any, kind: GeneratorAccess, state: Any, key: bytes) -> None:
        self.generator, self.kind, self.state, self.key = generator, kind, state, key
        self.answered = 0

    @classmethod
    def of(cls, generator: Any, kind: GeneratorAccess) -> Stream:
        """The state that it is in now."""
        state = kind.read(generator)
        return cls(generator, kind, state, kind.key(state))

    def begin_again(self) -> None:
        """The state is that of now."""
        self.state = self.kind.read(self.generator)
        self.key, self.answered = self.kind.key(self.state), 0

    def has_strayed(self) -> bool:
        """Whether its generator is in another state: no handler moved it."""
        return self.kind.key(self.kind.read(self.generator)) != self.key


class Streams:
    """The generators that one run draws from.

    Args:
        last_streams: where an earlier run left some, by identity, which need not be read again.
        is_shared: whether somebody else draws from a generator, by its identity, and may.
    """

    def __init__(
        self,
        last_streams: dict[int, Stream] | None = None,
        is_shared: Callable[[int], bool] = lambda _: False,
    ) -> None:
        self._last_streams, self._is_shared = last_streams or {}, is_shared
        #: What was drawn from: a state's key, or that with the number of draws since.
        self.keys: set[Hashable] = set()
        #: Those that were set or moved, by identity, with the state that each was found in.
        self.moved: dict[int, tuple[Any, Any, GeneratorAccess]] = {}
        #: Those that drew, with the state that each first drew from.
        self.drawn: dict[int, tuple[Any, bytes]] = {}
        #: Which of them were set before they drew, by identity; which were set, or move by
        #: themselves.
        self.placed: set[int] = set()
        self._set: set[int] = set()
        self._free: set[int] = set()
        #: Those that only handlers answer for.
        self._streams: dict[int, Stream] = {}
        #: Streams as they were before they were looked at or set, with the draws until then.
        self._parts: list[tuple[Stream, int]] = []
        #: How many states were begun from, by kind; whether each draw has the key of its own state.
        self._begun: dict[str, int] = {}
        self._exact = False
        self._stray, self._unfollowed = "", 0

    @staticmethod
    def of(run: Run) -> Streams:
        """Those of a run."""
        return run.recall("streams", Streams)

    def draw(self, generator: Any, kind: GeneratorAccess, what: str) -> None:
        """Note a draw.

        Raises:
            UnsupportedDraw: if its place in the stream was drawn from before.
        """
        generator_id = identity(generator)
        stream = self._streams.get(generator_id) or self._begin(generator_id, generator, kind)
        if self._exact and stream.answered:
            self.catch_up(generator, kind)
        if not stream.answered:
            self.drawn.setdefault(generator_id, (generator, stream.key))
            begun = self._begun[kind.name] = self._begun.get(kind.name, 0) + 1
            if begun == 2:  # the one may lead to the other
                self.name_by_states()
        key = (stream.key, stream.answered) if stream.answered else stream.key
        if key in self.keys:
            raise UnsupportedDraw(
                f"{what} draws from a state that was drawn from before in the same run: a "
                "generator was copied, set back, or made twice from one seed, and draws the same "
                "numbers again, which is no draw of its own; draw once and keep what was drawn, or "
                "give each its own stream (spawn(), other seeds)"
            )
        self.keys.add(key)
        stream.answered += 1

    def _begin(self, generator_id: int, generator: Any, kind: GeneratorAccess) -> Stream:
        last = self._last_streams.get(generator_id)
        unmoved = generator_id not in self.moved and generator_id not in self._free
        if last is not None and unmoved and not self._is_shared(generator_id):
            stream = Stream(generator, kind, last.state, last.key)
        else:
            stream = Stream.of(generator, kind)
        self._streams[generator_id] = stream
        return stream

    def name_by_states(self) -> None:
        """Each draw is known by its state itself from now on, and so are those before.

        As long as a run draws from one state and those that follow, their numbers do.
        """
        if self._exact:
            return
        self._exact = True
        parts = [*self._parts, *((each, each.answered) for each in self._streams.values())]
        for stream, answered in parts:
            kind, generator = stream.kind, stream.generator
            now = kind.read(generator)
            kind.write(generator, stream.state)
            for _ in range(answered - 1):
                kind.move(generator)
                self.keys.add(kind.key(kind.read(generator)))
            kind.write(generator, now)

    def catch_up(self, generator: Any, kind: GeneratorAccess) -> None:
        """A generator moves by what was answered: somebody is about to look at its state."""
        generator_id = identity(generator)
        stream = self._streams.get(generator_id)
        if stream is None:
            if self._unfollowed or generator_id in self._free:
                return
            # From here on it is known whether something moves it.
            stream = self._begin(generator_id, generator, kind)
        self._see_stray(generator_id, stream)
        if stream.answered:
            if not self._exact:
                before = Stream(generator, kind, stream.state, stream.key)
                self._parts.append((before, stream.answered))
            self.moved.setdefault(generator_id, (generator, stream.state, stream.kind))
            for _ in range(stream.answered):
                stream.kind.move(generator)
            stream.begin_again()

    @contextlib.contextmanager
    def without_following(self) -> Iterator[None]:
        """Generators that are looked at or set, and did not draw, are not followed meanwhile."""
        self._unfollowed += 1
        try:
            yield
        finally:
            self._unfollowed -= 1

    def _see_stray(self, generator_id: int, stream: Stream) -> None:
        """Remember whether a generator is not where handled draws left it, before that is lost."""
        if not self._is_shared(generator_id) and stream.has_strayed():
            self._stray = stream.kind.name
            self.moved.setdefault(generator_id, (stream.generator, stream.state, stream.kind))

    def note(self, generator: Any, kind: GeneratorAccess) -> None:
        """Remember the state of a generator that is about to be set."""
        generator_id = identity(generator)
        self.catch_up(generator, kind)
        if generator_id not in self.moved:
            self.keep(generator, kind)
            if generator_id not in self.drawn:
                self.placed.add(generator_id)
        self._set.add(generator_id)

    def keep(self, generator: Any, kind: GeneratorAccess) -> None:
        """Put a generator back in its state of now when the run ends."""
        generator_id = identity(generator)
        self.moved.setdefault(generator_id, (generator, kind.read(generator), kind))
        self._set.add(generator_id)

    def set(self, generator: Any) -> None:
        """Note that a generator was set; see :meth:`note`, which comes before."""
        stream = self._streams.get(identity(generator))
        if stream is not None:
            stream.begin_again()

    def let_move(self, generator: Any) -> None:
        """Note that something moves a generator by itself, as it must."""
        self._streams.pop(identity(generator), None)
        self._free.add(identity(generator))

    def end(self) -> str:
        """Every generator is where it was again, at the end of a run.

        One that somebody else draws from is not set back for having been looked at.

        Returns:
            What kind of generator was not where handled draws left it; empty if all were.
        """
        for generator_id, stream in self._streams.items():
            self._see_stray(generator_id, stream)
        stray = self._stray
        for generator_id, (generator, state, kind) in list(self.moved.items()):
            if generator_id in self._set or not self._is_shared(generator_id):
                kind.write(generator, state)
        return stray

    def unmoved_streams(self) -> dict[int, Stream]:
        """Where generators are that were not set; to be asked after :meth:`end`."""
        return {
            generator_id: stream
            for generator_id, stream in self._streams.items()
            if generator_id not in self.moved
        }


def draw_from(run: Run, generator: Any, kind: GeneratorAccess, what: str) -> None:
    """Note that a run draws from a generator; a run that samples draws.

    Raises:
        UnsupportedDraw: if it draws the same numbers again.
    """
    if not run.is_sampling:
        Streams.of(run).draw(generator, kind, what)


def handle_setter(
    real: Callable[..., Any],
    kind: GeneratorAccess,
    drawn_outside_runs: set[int],
    of: Callable[[Any], Any] | None = None,
) -> Callable[..., Any]:
    """A handler for what sets the state of a generator, its first argument, which it puts back.

    Args:
        drawn_outside_runs: takes generators that are set where no run is under way.
        of: what is drawn from, of the argument; None: the argument itself.
    """

    @functools.wraps(real, assigned=("__name__", "__doc__"), updated=())
    def setter(generator: Any, *args: Any, **kwargs: Any) -> Any:
        run, found = current_run(), generator if of is None else of(generator)
        if run is None:
            drawn_outside_runs.add(identity(found))
        elif not run.is_sampling:
            streams = Streams.of(run)
            streams.note(found, kind)
            result = real(generator, *args, **kwargs)
            streams.set(found)
            return result
        return real(generator, *args, **kwargs)

    return setter


def handle_reader(real: Callable[..., Any], kind: GeneratorAccess) -> Callable[..., Any]:
    """A handler for what looks at the state of a generator, its first argument, or copies it."""

    @functools.wraps(real, assigned=("__name__", "__doc__"), updated=())
    def reader(generator: Any, *args: Any, **kwargs: Any) -> Any:
        run = current_run()
        if run is not None and not run.is_sampling:
            Streams.of(run).catch_up(generator, kind)
        return real(generator, *args, **kwargs)

    return reader


class Seeds:
    """Whether generators come from a fixed seed in each run, over a whole enumeration.

    In truth such an estimator draws the same each time. It is enumerated as if it drew anew, and
    that is said.
    """

    def __init__(self) -> None:
        self._first: dict[bytes, Any] = {}
        self.seeded = False

    def look(self, streams: Streams) -> None:
        """Compare the states in which a run found its generators with those of earlier runs."""
        for generator_id, (generator, key) in streams.drawn.items():
            before = self._first.setdefault(key, generator)
            # Another generator in the same state was made anew, from the same seed.
            self.seeded = self.seeded or before is not generator
            if generator_id in streams.placed:
                _, found, kind = streams.moved[generator_id]
                self.seeded = self.seeded or kind.key(found) != key


class WatchedGenerators:
    """Generators that are held to move only by draws which a handler sees."""

    def __init__(self) -> None:
        self._before: list[tuple[Any, Any, GeneratorAccess]] = []

    def add(self, generator: Any, kind: GeneratorAccess) -> None:
        """Keep an eye on one."""
        self._before.append((generator, kind.read(generator), kind))

    def has(self, generator_id: int) -> bool:
        """Whether this is one of them, by its identity."""
        return any(identity(generator) == generator_id for generator, _, _ in self._before)

    def check(self, drawn_outside_runs: set[int]) -> None:
        """All are where they were, but those that somebody else drew from meanwhile.

        Raises:
            UnsupportedDraw: if not. They are put back all the same.
        """
        moved = self.put_back(drawn_outside_runs)
        if moved:
            raise UnsupportedDraw(unseen_draw_message(moved[0]))

    def put_back(self, drawn_outside_runs: set[int]) -> list[str]:
        """The same without an error: the kinds of those that were not where they were."""
        moved = []
        for generator, state, kind in self._before:
            if identity(generator) in drawn_outside_runs:
                continue
            if kind.key(kind.read(generator)) != kind.key(state):
                kind.write(generator, state)
                moved.append(kind.name)
        return moved


def unseen_draw_message(name: str) -> str:
    """What is said of a generator that moved by itself."""
    return (
        f"{name} moved: something was drawn from it that no handler sees (an unsupported draw), "
        "such as by operations that draw inside (rrelu, say), by compiled code, by a method of "
        "it that was looked up before and is kept where it cannot be found, or by another thread; "
        "switch it off, or draw by a function that is enumerated"
    )


# ------------------------------------------------------------------ NumPy

#: Before a handler stands for it.
_random_raw = vars(np.random.BitGenerator)["random_raw"]


def bits_of(generator: Any) -> Any:
    """The bit generator that a Generator or a RandomState draws from."""
    found = getattr(generator, "bit_generator", None)
    return generator._bit_generator if found is None else found


def _spans(bits: Any) -> tuple[tuple[int, int], ...]:
    """Where in memory the state of a bit generator is, and how many bytes; () if that is not known.

    To read or write it as NumPy's mapping takes ten to thirty times as long.
    """
    kind, address = type(bits), bits.ctypes.state_address
    if kind is np.random.MT19937:
        return ((address, _TWISTER_BYTES),)
    if kind in (np.random.PCG64, np.random.PCG64DXSM):
        # A pointer to two numbers of 128 bits, whether there is half a number left, and which.
        return (ctypes.c_void_p.from_address(address).value or 0, 32), (address + 8, 8)
    return ()


#: Of the Mersenne Twister: 624 words and a place among them.
_TWISTER_BYTES = 4 * 624 + 4


#: What NumPy's generators draw from.
BIT_GENERATORS = (
    np.random.MT19937,
    np.random.PCG64,
    np.random.PCG64DXSM,
    np.random.Philox,
    np.random.SFC64,
)

#: How the state of a bit generator is read and set, past what stands for it in a run.
_states = {kind: vars(kind)["state"] for kind in BIT_GENERATORS}


def state_of_bits(bits: Any) -> Any:
    """NumPy's mapping."""
    known = _state_descriptor(type(bits))
    return bits.state if known is None else known.__get__(bits)


def set_state_of_bits(bits: Any, state: Any) -> None:
    """Set it by NumPy's mapping."""
    known = _state_descriptor(type(bits))
    if known is None:
        bits.state = state
    else:
        known.__set__(bits, state)


def _state_descriptor(kind: type) -> Any:
    return next((_states[each] for each in kind.__mro__ if each in _states), None)


def _read_bits(bits: Any) -> Any:
    spans = _spans(bits) if type(bits) in _known_kinds() else ()
    if not spans:
        return state_of_bits(bits)
    # Two kinds may have the same numbers in their states, and draw others by these.
    return type(bits).__name__.encode() + b"".join([ctypes.string_at(*span) for span in spans])


def _write_bits(bits: Any, state: Any) -> None:
    if not isinstance(state, bytes):
        set_state_of_bits(bits, state)
        return
    start = len(type(bits).__name__)
    for address, size in _spans(bits):
        ctypes.memmove(address, state[start : start + size], size)
        start += size


@functools.cache
def _known_kinds() -> frozenset[type]:
    """The bit generators whose memory is laid out as supposed, which is tried."""
    return frozenset(
        kind
        for kind in (np.random.MT19937, np.random.PCG64, np.random.PCG64DXSM)
        if _is_laid_out(kind)
    )


def _is_laid_out(kind: Any) -> bool:
    first, other = kind(1), kind(2)
    np.random.Generator(first).bit_generator.random_raw(3)
    for bits in (first, other):
        bits.state = {**bits.state, **({} if kind is np.random.MT19937 else {"has_uint32": 1})}
    saved = kind.__name__.encode() + b"".join([ctypes.string_at(*span) for span in _spans(first)])
    _write_bits(other, saved)
    return repr(other.state) == repr(first.state)


def _key_of_bits(state: Any) -> bytes:
    return state if isinstance(state, bytes) else repr(state).encode()


#: A bit generator of NumPy, which Generators and RandomStates may share.
BITS = GeneratorAccess("a generator of NumPy", _read_bits, _key_of_bits, _write_bits, _random_raw)


# ------------------------------------------------------------------ Python

_python_random = random.Random.__mro__[1].random  # type: ignore[attr-defined]  # in C, never replaced


def _key_of_python(state: Any) -> bytes:
    return repr((hash(state[1]), state[1][-1], state[2])).encode()


#: ``random.Random``.
PYTHON = GeneratorAccess(
    "a generator of Python's random",
    random.Random.getstate,
    _key_of_python,
    random.Random.setstate,
    _python_random,
)
