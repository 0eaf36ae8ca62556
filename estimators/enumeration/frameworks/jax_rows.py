"""JAX code that is run once for many rows: traced once, and compiled for all of them.

What is traced has draws as steps, which is how JAX knows them here. It is mapped over outcomes that
are given to it, and returns what each draw would have asked with, of which the probabilities follow
afterwards. Nothing of it is Python's any more: what depends on a drawn value in Python cannot be
traced, and is run path by path.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..block import BlockRun, NotBatchable
from ..gradients import ReturnedGradients, RowValues, items_of
from ..patches import Patches
from ..run import Choice, current_run
from .jax_primitive import Array
from .jax_replay import Replay
from .jax_row_samplers import row_sampler

#: Rows of a block, at most: each takes two paths by themselves, which cost as much as some 10,000.
MOST_ROWS = 2**16

#: Rows that are run at once, at most, and numbers that the largest array of theirs may have, two
#: megabytes: what does not fit into a processor's cache takes several times as long.
AT_ONCE, NUMBERS = 4096, 2**18

#: Rows are filled up to the next power of this, so that there are few programs to be compiled.
GROWTH = 16

#: To compile a step takes as long as so many paths of compiled code (5 ms, where a path takes 0.3:
#: 3 to 9 and 0.25 to 0.5, on JAX 0.10). Where it is not compiled, a path takes as long as one of
#: compiled code for every so many steps, and for a loop as so many, since JAX traces it each time.
COMPILING, STEPS, LOOP = 17.0, 2.0, 100.0

#: JAX's errors where Python needs the value of an array that is traced.
NO_VALUE = (
    "ConcretizationTypeError", "NonConcreteBooleanIndexError", "TracerArrayConversionError",
    "TracerBoolConversionError", "TracerIntegerConversionError", "UnexpectedTracerError",
)  # fmt: skip


class KeyDraws(NamedTuple):
    """What one key draws: its columns in a row of outcomes, and where.

    ``place`` is of the key among those of its site, ``others`` are the sites and places where the
    same is drawn again.
    """

    columns: slice
    site: int
    place: tuple[int, ...]
    others: list[tuple[int, tuple[int, ...]]]


class JaxRows:
    """An estimator in JAX, for many rows at once.

    Args:
        code: is called without arguments, once, while a run is under way.
        choices: the draws of a path that was run by itself.

    Raises:
        NotBatchable: if it can only be run path by path.
        Whatever it raises where it is traced.
    """

    def __init__(self, code: Callable[[], Any], choices: Sequence[Choice]) -> None:
        self._jax: Any = sys.modules["jax"]
        self._choices = choices
        self._gradients = ReturnedGradients()
        self._traced: list[str] = []
        self._replay = Replay(self._jax, self._trace(code))
        self._samplers = [row_sampler(site.sampler) for site in self._replay.sites]
        if not self._samplers:
            raise NotBatchable("it draws nothing that JAX traces")
        self._compiled = self._jax.jit(self._map)
        self._draws: list[KeyDraws] = []
        #: What each site asks with on a path: words of keys, and arguments.
        self._words: list[np.ndarray] = []
        self._arguments: list[list[np.ndarray]] = []

    @property
    def most_rows(self) -> int:
        """Of a block."""
        return MOST_ROWS

    @property
    def fewest_paths(self) -> int:
        """From which on compiling takes less time than paths one by one, about."""
        path = 1.0 + self._replay.steps / STEPS + LOOP * self._replay.loops
        return math.ceil(COMPILING * self._replay.all_steps / path)

    def _trace(self, code: Callable[[], Any]) -> Any:
        """The steps of code, which come to those of its gradients that are traced."""

        def arrays() -> list[Array]:
            returned = code()
            items = list(items_of(returned))
            found = self._gradients
            found.in_order = type(returned) in (list, tuple)
            outputs = []
            for name, _, leaf in items:
                name = name or "gradient"
                if name in found:
                    raise NotBatchable("two gradients have one name")
                found[name] = leaf
                if isinstance(leaf, self._jax.core.Tracer):
                    self._traced.append(name)
                    outputs.append(leaf)
            return outputs

        return self._jax.make_jaxpr(arrays)()

    def _map(
        self, constants: Sequence[Array], outcomes: Sequence[Array]
    ) -> tuple[list[Array], list[Array], list[list[Array]]]:
        """Results and arguments, a row each, and words. What all rows share has one row."""
        words: list[Array] = []
        shared: list[list[Array | None]] = []

        def once(outcomes: Sequence[Array]) -> tuple[list[Array], list[list[Array]]]:
            results, asked = self._replay(constants, outcomes)
            rows_of = type(outcomes[0])  # what follows from none of them is none that is mapped
            for each in asked:
                if isinstance(each.words, rows_of):
                    raise NotBatchable("its keys depend on what is drawn")
                words.append(each.words)
                shared.append([None if isinstance(one, rows_of) else one for one in each.arguments])
            own = [[one for one in each.arguments if isinstance(one, rows_of)] for each in asked]
            return results, own

        results, own = self._jax.vmap(once)(outcomes)
        arguments = []
        for known, rows in zip(shared, own, strict=True):
            left = iter(rows)
            arguments.append(
                [next(left) if one is None else self._jax.numpy.asarray(one)[None] for one in known]
            )
        return results, words, arguments

    def __call__(self, run: BlockRun) -> ReturnedGradients:
        """Gradients in all rows of a run: a :class:`RowValues` by name, or None.

        Raises:
            NotBatchable, OtherRows: as :class:`..block.BlockRun`.
            Whatever JAX raises of what it cannot map.
        """
        if not self._draws:
            self._find_draws(run.size)
        numbers = np.zeros((run.size, len(self._choices)), np.int64)
        known = run.rows.numbers[:, : len(self._choices)]
        numbers[:, : known.shape[1]] = known
        results, _, arguments = self._call(self._outcomes(numbers), run.size)
        for each in self._draws:
            self._take(run, each, arguments)
        found = ReturnedGradients(self._gradients)
        found.in_order = self._gradients.in_order
        for name, leaf in self._gradients.items():
            if leaf is not None and name not in self._traced:
                one = np.asarray(leaf, np.float64)
                found[name] = RowValues(np.broadcast_to(one, (run.size, *one.shape)))
        for name, values in zip(self._traced, results, strict=True):
            found[name] = RowValues(values.astype(np.float64))
        return found

    # -------------------------------------------------------------- outcomes

    def _outcomes(self, numbers: np.ndarray) -> list[np.ndarray]:
        """What is drawn at each site, of numbers of outcomes (P, D)."""
        found = [
            np.zeros((len(numbers), *site.shape), site.sampler.dtype) for site in self._replay.sites
        ]
        for draws in self._draws:
            for site, place in ((draws.site, draws.place), *draws.others):
                known = [each[place] for each in self._arguments[draws.site]]
                values = self._samplers[draws.site].values(numbers[:, draws.columns], known)
                found[site][_in_all_rows(place)] = values
        return found

    def _take(
        self, run: BlockRun, draws: KeyDraws, arguments: Sequence[Sequence[np.ndarray]]
    ) -> None:
        """Take what a key draws, with the probabilities that follow from arguments."""
        known = _at(arguments[draws.site], draws.place)
        rows = self._samplers[draws.site]
        sampler, before = rows.sampler, self._arguments[draws.site]
        if rows.by_arguments and any(
            (now != one[draws.place]).any() for now, one in zip(known, before, strict=True)
        ):
            raise NotBatchable(f"what {sampler.what} is called with depends on what is drawn")
        rows.take(run, known)
        for site, place in draws.others:
            again = sampler.parameters(*_at(arguments[site], place))
            if not sampler.is_same(sampler.parameters(*known), again):
                raise NotBatchable(f"{sampler.what} draws by one key with several probabilities")

    # -------------------------------------------------------------- calls

    def _call(
        self, outcomes: Sequence[np.ndarray], size: int
    ) -> tuple[list[np.ndarray], list[np.ndarray], list[list[np.ndarray]]]:
        """Results and arguments, a row each, and words, of outcomes in so many rows."""
        # Two at least: what has one row is shared.
        most = max(2, min(AT_ONCE, NUMBERS // max(1, self._replay.largest)))
        filled = min(most, GROWTH ** math.ceil(math.log(max(size, 2), GROWTH)))
        parts = []
        for start in range(0, size, filled):
            rows = [each[start : start + filled] for each in outcomes]
            more = filled - len(rows[0])
            full = [np.concatenate([each, np.repeat(each[:1], more, axis=0)]) for each in rows]
            parts.append(self._jax.device_get(self._compiled(self._replay.constants, full)))
        (_, words, _) = parts[0]
        join = functools.partial(_join, size=size)
        return (
            [join(each) for each in zip(*[results for results, _, _ in parts], strict=True)],
            words,
            [
                [join(one) for one in zip(*each, strict=True)]
                for each in zip(*[arguments for _, _, arguments in parts], strict=True)
            ],
        )

    def _find_draws(self, size: int) -> None:
        """Which site draws by which key, as a path by itself does, and the columns of each.

        Raises:
            NotBatchable: if it makes other draws than that.
        """
        columns = _columns(self._choices)
        _, words, arguments = self._call(self._outcomes(np.zeros((size, 0), np.int64)), size)
        self._words = words
        self._arguments = [[one[0] for one in each] for each in arguments]
        found: dict[Hashable, KeyDraws] = {}
        for site, place, key in self._keys():
            before = found.get(key)
            if before is not None:
                if self._sampler(site) != self._sampler(before.site):
                    raise NotBatchable("two samplers draw by one key")
                before.others.append((site, place))
            elif key not in columns:
                raise NotBatchable("it makes draws that its first path does not make")
            elif columns[key].stop - columns[key].start != self._samplers[site].draws:
                raise NotBatchable("it makes more or fewer draws by a key than its first path")
            else:
                found[key] = KeyDraws(columns[key], site, place, [])
        if found.keys() != columns.keys():
            raise NotBatchable("it does not make all draws of its first path where it is traced")
        self._draws = [found[key] for key in columns]

    def _sampler(self, site: int) -> Any:
        return self._replay.sites[site].sampler

    def _keys(self) -> Iterator[tuple[int, tuple[Any, ...], Hashable]]:
        """Each key that draws: its site, its place there, and itself."""
        for number, (site, words) in enumerate(zip(self._replay.sites, self._words, strict=True)):
            for place in np.ndindex(*site.axes):
                yield number, place, (site.generator, words[place].tobytes())


def note_what_needs_values(jax: Any, patches: Patches) -> None:
    """Have a run of rows given up where Python needs a value, also if code catches the error.

    It may do something else then than on a path by itself, and only on some paths.
    """
    for name in NO_VALUE:
        kind = getattr(jax.errors, name, None)
        if kind is not None:
            patches.attribute(kind, "__init__", _noting(kind.__init__, name))
    real = jax.core.Tracer.__repr__

    @functools.wraps(real)
    def text(tracer: Any) -> str:
        caller = str(sys._getframe(1).f_globals.get("__name__", ""))
        if not caller.startswith("jax."):  # which writes messages ahead
            _note("its text")
        return str(real(tracer))

    patches.attribute(jax.core.Tracer, "__repr__", text)


def _note(what: str) -> None:
    run = current_run()
    if isinstance(run, BlockRun) and not run.refused:
        NotBatchable(  # which the run notes
            f"Python needs the value of an array that JAX traces ({what}): what it does may depend "
            "on what is drawn"
        )


def _noting(real: Callable[..., Any], what: str) -> Callable[..., Any]:
    @functools.wraps(real)
    def noting(*args: Any, **kwargs: Any) -> Any:
        _note(what)
        return real(*args, **kwargs)

    return noting


def _columns(choices: Sequence[Choice]) -> dict[Hashable, slice]:
    """Which of the draws of a path are by which key, in the order in which they were made.

    Raises:
        NotBatchable: for a draw that has no key, which JAX did not make.
    """
    found: dict[Hashable, slice] = {}
    for place, choice in enumerate(choices):
        if not isinstance(choice.key, tuple):
            raise NotBatchable(f"{choice.outcomes.what} draws for one path at a time")
        key = choice.key[0]  # and which draw it is by that key
        start = found[key].start if key in found else place
        found[key] = slice(start, place + 1)
    return found


def _join(parts: Sequence[np.ndarray], size: int) -> np.ndarray:
    """One array of rows, (size, *shape); one row if all share it."""
    if len(parts[0]) == 1:
        return parts[0]
    return np.concatenate(parts)[:size] if len(parts) > 1 else parts[0][:size]


def _at(arguments: Sequence[np.ndarray], place: tuple[int, ...]) -> list[np.ndarray]:
    """Those of one key, in all rows; one row if all share it."""
    return [each[_in_all_rows(place)] for each in arguments]


def _in_all_rows(place: tuple[int, ...]) -> Any:
    return (slice(None), *place)
