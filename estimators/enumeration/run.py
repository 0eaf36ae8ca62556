"""Code that is run once for every outcome of its draws, as a model checker runs its choices.

Each draw takes its outcome from the :class:`Run` that is under way. A run takes the outcomes of
its prefix first, then the first possible one of each further draw; the next run differs in the last
draw that has another outcome. So every path is run once, in whatever order and number it draws.

Reference:
    Godefroid (1997), Model checking for programming languages using VeriSoft.
"""

from __future__ import annotations

import collections
import contextlib
import contextvars
import math
import os
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from gradproof.errors import GradproofError

from .counts import BEYOND_COUNT, Count, count_ways
from .exchange import Exchange
from .integration.quadrature import Quadrature
from .limits import MOST_PATHS
from .outcomes import EPS, OutcomeDistribution, Uniform
from .smaller_problem import suggest_fewer_draws
from .tree_size import share_behind, time_of_all
from .whole_numbers import whole_from

T = TypeVar("T")


class NotEnumerable(GradproofError, RuntimeError):
    """Code that cannot be enumerated: its paths cannot be run one by one."""


class TooManyPaths(NotEnumerable):
    """There are too many paths to enumerate: more than ``paths`` allows."""


class UnsupportedDraw(NotEnumerable):
    """An unsupported draw: continuous, without outcomes to count, or seen by no handler.

    The run that it is raised in notes it: code that catches all errors draws all the same.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        run = current_run()
        if run is not None:
            run.refused.append(self)


class NotReproducible(NotEnumerable):
    """Nondeterministic code: the same outcomes of its draws gave another result.

    Something is drawn that no handler sees, or is kept from one run to the next.
    """


#: What an error says that is kept from run to run.
KEPT = (
    "something is drawn that no handler sees, or kept from one run to the next where it cannot be "
    "put back; let the estimator start afresh each time, or pass reset="
)


#: What to do about a draw of too many outcomes, beside what always helps.
SEED = "a number that only seeds a generator need not be drawn: keep a generator"
RARER = "choose parameters for which large numbers are rarer"


class Choice(NamedTuple):
    """One draw: its outcomes, and the one that was taken.

    ``key`` identifies a draw that may be made in any order, as one by a key of JAX; None: draws are
    told apart by their order.
    """

    outcomes: OutcomeDistribution
    taken: int
    key: Hashable = None

    @property
    def probability(self) -> float:
        """Of the outcome that was taken."""
        return self.outcomes.probability(self.taken)

    def __str__(self) -> str:
        return f"{self.outcomes.what} -> {self.taken}"


class Path(NamedTuple, Generic[T]):
    """One run: its draws in order, and what it returned."""

    choices: tuple[Choice, ...]
    value: T

    @property
    def probability(self) -> float:
        """Of these outcomes; 0 where it is too small for a number."""
        product = math.prod([outcomes.probability(taken) for outcomes, taken, _ in self.choices])
        return product if product > 0.0 else math.exp(self.log_probability)

    @property
    def log_probability(self) -> float:
        """Its natural logarithm, which is a number however many draws there are."""
        return math.fsum(math.log(choice.probability) for choice in self.choices)

    @property
    def precision(self) -> float:
        """The coarsest of its probabilities, as the step from 1 to the next number."""
        return max([choice.outcomes.precision for choice in self.choices], default=EPS)

    @property
    def behind(self) -> float:
        """The share of all paths that was run up to this one, about."""
        return share_behind(
            [
                (outcomes.rank(taken), outcomes.possible)
                if outcomes.is_cut
                else (taken, outcomes.count)
                for outcomes, taken, _ in self.choices
            ]
        )

    def __str__(self) -> str:
        return describe_choices(self.choices)


class Run:
    """Gives each draw of one run its outcome.

    Args:
        prefix: draws of which the outcome is given, in order.
        most: paths that may be run in all; a path that shows that there are more ends at once.
    """

    #: Whether outcomes are drawn at random, so that what cannot be enumerated draws as ever.
    is_sampling = False

    #: By what continuous numbers are integrated; None: those that are used are refused.
    quadrature: Quadrature | None = None

    def __init__(self, prefix: Sequence[Choice] = (), most: int = MOST_PATHS) -> None:
        self._keyed = {key: place for place, (_, _, key) in enumerate(prefix) if key is not None}
        self._ordered: Sequence[int] = range(len(prefix))
        if self._keyed:
            self._ordered = [place for place in self._ordered if prefix[place].key is None]
        self._prefix, self._place = prefix, 0
        #: The draws of the prefix as they were made, and those beyond it.
        self._made: list[Choice | None] = [None] * len(prefix)
        self._most = most
        #: Paths that go out from the draws so far; 0: nobody has counted them yet.
        self._paths = 0
        self._copy = _copies
        self.choices: list[Choice] = []
        self.refused: list[NotEnumerable] = []
        #: Logarithms of the probabilities that were taken, with what they are differentiated by;
        #: None where nobody wants to differentiate. See :meth:`note_graph`.
        self.graph: list[Any] | None = None
        #: Answers draws of one call whose order does not matter; None: it may matter.
        self.exchange: Exchange | None = None
        self._in_graph = 0
        #: What frameworks remember while the run is under way, by a name of theirs.
        self.memory: dict[str, Any] = {}
        #: What is to be called when it ends, the last first; all of it, whatever is raised.
        self.at_end = contextlib.ExitStack()
        #: Whether it has ended; a thread that it started may go on.
        self.over = False

    def choose(self, outcomes: OutcomeDistribution, key: Hashable = None) -> int:
        """The outcome of a draw.

        Args:
            key: of a draw that may be made in any order.

        Raises:
            NotReproducible: if it is another draw than in the run that is repeated up to here.
            TooManyPaths: if there are more than may be run, as far as is known by then.
            UnsupportedDraw: if a copy of this process draws.
        """
        if self._copy != _copies:
            raise UnsupportedDraw(
                f"{outcomes.what} draws in another process, where no handler sees it; draw in the "
                "process of the check (DataLoader: num_workers=0)"
            )
        if key is not None:
            place = self._keyed.pop(key, -1)
        elif self._place < len(self._ordered):
            place = self._ordered[self._place]
            self._place += 1
        else:
            place = -1
        if place < 0:  # beyond the prefix
            if isinstance(outcomes, Count):
                outcomes = outcomes.after(self.choices)
            choice = Choice(outcomes, self._choose_freely(outcomes), key)
            self.choices.append(choice)
            self._made.append(choice)
            self._count()
        else:
            choice = self._repeat_draw(outcomes, self._prefix[place])
            self.choices.append(choice)
            self._made[place] = choice
        return choice.taken

    def choose_each(self, many: Sequence[OutcomeDistribution]) -> list[int]:
        """The outcomes of several draws that are all made, whatever comes out; see :meth:`choose`.

        Raises:
            TooManyPaths: likewise, and at once where there are too many ways for them to come out.
        """
        if self.exchange is not None:
            return self.exchange.choose(self.choose, many)
        start, count = self._place, len(many)
        if count > 1 and start == len(self._ordered) and self._copy == _copies:
            self._count_together(many)
        prefix = self._prefix[start : start + count]
        # The usual case: the same draws as in the run before, all but the last of them.
        if count > 1 and not self._keyed and self._copy == _copies and len(prefix) > 1:
            repeated = 0
            for outcomes, choice in zip(many, prefix, strict=False):
                if outcomes is not choice.outcomes:
                    break
                repeated += 1
            self._made[start : start + repeated] = prefix[:repeated]
            self.choices += prefix[:repeated]
            self._place += repeated
            taken = [choice.taken for choice in prefix[:repeated]]
            return taken + [self.choose(outcomes) for outcomes in many[repeated:]]
        return [self.choose(outcomes) for outcomes in many]

    def choose_alike(self, outcomes: OutcomeDistribution) -> int:
        """The outcome of a draw, one for all that is under way; see :meth:`choose`."""
        return self.choose(outcomes)

    def recall(self, name: str, make: Callable[[], T]) -> T:
        """What is remembered under a name while the run is under way; made when first asked for."""
        if name not in self.memory:
            self.memory[name] = make()
        remembered: T = self.memory[name]
        return remembered

    def next_in_prefix(self) -> OutcomeDistribution | None:
        """Of the next draw, if it was made in an earlier run and draws have an order.

        Whoever finds that the distribution is to be the same need not form it once more.
        """
        if self._place == len(self._ordered):
            return None
        return self._prefix[self._ordered[self._place]].outcomes

    def ordered_choices(self) -> tuple[Choice, ...]:
        """All draws, those of the prefix first: the next path differs in the last of these.

        Draws that have a key may be made in any order, and must keep the one they were found in.
        """
        return tuple([choice for choice in self._made if choice is not None])

    def note_graph(self, log_probability: Any, draws: int) -> None:
        """Keep the logarithm of the probability of draws, such as can be differentiated."""
        if self.graph is not None:
            self.graph.append(log_probability)
            self._in_graph += draws

    @property
    def whole_graph(self) -> bool:
        """Whether all draws are in the graph but those whose probabilities no parameter moves."""
        return self._in_graph >= sum(
            not isinstance(choice.outcomes, Uniform) for choice in self.choices
        )

    def finish(self) -> None:
        """The code has returned.

        Raises:
            NotReproducible: if draws of the prefix were not made.
        """
        left = [*self._ordered[self._place :], *self._keyed.values()]
        if left:
            raise NotReproducible(
                f"nondeterministic: a run ended after {len(self.choices)} draws, and after the "
                f"same outcomes it went on with {self._prefix[left[0]].outcomes.what}: {KEPT}"
            )

    def _choose_freely(self, outcomes: OutcomeDistribution) -> int:
        """The outcome of a draw beyond the prefix."""
        if outcomes.possible > self._most:
            self._stop(
                f"{outcomes.what} draws one of {_many(outcomes)} outcomes, so that there are "
                f"more than {self._most:,} paths; draw from fewer, allow more paths (paths=), or "
                f"sample; {RARER if outcomes.is_cut else SEED}"
            )
        first = outcomes.next_possible(-1)
        assert first is not None  # a distribution has an outcome
        return first

    def _repeat_draw(self, outcomes: OutcomeDistribution, given: Choice) -> Choice:
        """A draw of the prefix: with the outcomes of before, which know more of themselves."""
        before = given.outcomes
        if outcomes is not before and not outcomes.is_same(before):
            raise NotReproducible(
                f"nondeterministic: draw {len(self.choices) + 1} was {given.outcomes}, and after "
                f"the same outcomes it is {outcomes}: {KEPT}"
            )
        return given

    def _count(self) -> None:
        """Count a draw beyond the prefix; those of the prefix were counted when they were first."""
        # Each outcome that was not taken is where at least one other path begins.
        since = self.choices[-1:] if self._paths else self.choices
        self._paths = (self._paths or 1) + sum([each.outcomes.possible - 1 for each in since])
        if self._paths > self._most:
            self._stop(
                f"one path has made {len(self.choices):,} draws, from which at least "
                f"{self._paths:,} paths go out, more than {self._most:,}; code that draws until "
                "something comes out has paths without end: allow more of them (paths=), or "
                f"{_fewer(self.choices, self._most)}"
            )

    def _count_together(self, many: Sequence[OutcomeDistribution]) -> None:
        """Count the ways in which draws of one call may come out."""
        sizes = [outcomes.possible for outcomes in many]
        # Powers of a few sizes: a product of a million numbers, one by one, takes half a minute.
        ways = math.prod(size**count for size, count in collections.Counter(sizes).items())
        cut = all(outcomes.is_cut for outcomes in many)
        if ways > self._most and cut:
            ways = int(count_ways(many, self.choices, self._most))
        if ways > self._most >= max(sizes):  # one draw of too many outcomes says more of itself
            shown = f"{ways:,}" if ways < 10**12 else f"10^{int(math.log10(ways))}"
            shown = f"at least {shown}" if cut else shown
            self._stop(
                f"{many[0].what} makes {len(many):,} draws in one call, which may come out in "
                f"{shown} ways, so that there are more than {self._most:,} paths; allow more of "
                "them (paths=), or draw less at once (a smaller batch, fewer outcomes)"
            )

    def stop(self, why: str) -> None:
        """There are too many paths, as whoever draws knows.

        Raises:
            TooManyPaths: always.
        """
        self._stop(why)

    def _stop(self, why: str) -> None:
        error = TooManyPaths(why)
        self.refused.append(error)
        raise error


class RepeatedRun(Run):
    """Takes the same outcomes as another run, whatever their probabilities have become.

    At moved parameters, or with rounding moved, probabilities are others; so each draw must only be
    by the same function, of as many outcomes, and there must be no more draws.
    """

    def _choose_freely(self, outcomes: OutcomeDistribution) -> int:
        raise NotReproducible(
            f"draw {len(self.choices) + 1} did not exist, and in a run with other parameters it is "
            f"{outcomes.what} of {outcomes.count} outcomes: what is drawn next depends on more "
            "than the earlier draws; let it depend on them alone"
        )

    def _repeat_draw(self, outcomes: OutcomeDistribution, given: Choice) -> Choice:
        was = given.outcomes
        if not outcomes.is_like(was):
            raise NotReproducible(
                f"draw {len(self.choices) + 1} was {was.what} of {was.count} outcomes, and in a "
                f"run with other parameters it is {outcomes.what} of {outcomes.count} outcomes: "
                "what is drawn next depends on more than the earlier draws; let it depend on them "
                "alone"
            )
        return Choice(outcomes, given.taken, given.key)


class LaterRun(RepeatedRun):
    """The same from another state, in which keys are others: draws are known by their order."""

    def __init__(self, choices: Sequence[Choice]) -> None:
        super().__init__([Choice(outcomes, taken) for outcomes, taken, _ in choices])

    def choose(self, outcomes: OutcomeDistribution, key: Hashable = None) -> int:
        """See the base class."""
        return super().choose(outcomes)


class NumberedRun(Run):
    """Takes outcomes by their numbers, in order; and the first possible ones after these."""

    def __init__(self, numbers: Sequence[int]) -> None:
        super().__init__(most=2**63)
        self._numbers = list(numbers)

    def _choose_freely(self, outcomes: OutcomeDistribution) -> int:
        if len(self.choices) >= len(self._numbers):
            return super()._choose_freely(outcomes)
        number = self._numbers[len(self.choices)]
        if not 0 <= number < outcomes.count or outcomes.probability(number) == 0.0:
            raise ValueError(
                f"outcome {number} is given for draw {len(self.choices) + 1}, {outcomes}, which "
                f"has {outcomes.count} outcomes, from 0; give one that has a probability"
            )
        return number

    def _count(self) -> None:
        pass  # nothing is enumerated

    def _count_together(self, many: Sequence[OutcomeDistribution]) -> None:
        pass  # likewise


class MiddleRun(Run):
    """Takes the outcome in the middle of each draw's: the first may be what ends an episode."""

    def _choose_freely(self, outcomes: OutcomeDistribution) -> int:
        super()._choose_freely(outcomes)  # there may be too many of them
        return outcomes.quantile(0.5)


class KeyedNumbersRun(NumberedRun):
    """Takes outcomes by the keys of their draws, which may be made in any order.

    Args:
        numbers: of the outcomes.
        keys: of as many draws, which are all that there are.
    """

    def __init__(self, numbers: Sequence[int], keys: Sequence[Hashable]) -> None:
        super().__init__(())
        self._by_key = dict(zip(keys, numbers, strict=True))

    def choose(self, outcomes: OutcomeDistribution, key: Hashable = None) -> int:
        """See the base class.

        Raises:
            NotReproducible: for a draw that has another key.
        """
        if key not in self._by_key:
            raise NotReproducible(
                f"draw {len(self.choices) + 1} is {outcomes.what} with a key that no draw of "
                f"another path had: {KEPT}"
            )
        self._numbers.append(self._by_key.pop(key))  # which is looked up next
        return super().choose(outcomes, key)


class SampledRun(Run):
    """Lets everything draw as ever, and sees how rare outcomes can be.

    ``rarest`` is the least probability of any outcome that could have come out, of any one draw;
    ``unknown`` says of which draws that is not known.
    """

    is_sampling = True

    def __init__(self) -> None:
        super().__init__()
        self.rarest = 1.0
        self.unknown: dict[str, None] = {}

    def observe(self, draw: Callable[[], object]) -> None:
        """Look at a draw that is about to be made: what it asks for, not what it returns."""
        try:
            draw()
        except NotEnumerable as error:
            self.unknown[str(error)] = None
        finally:
            self.refused.clear()

    def _choose_freely(self, outcomes: OutcomeDistribution) -> int:
        if outcomes.is_cut:
            self.unknown[f"{outcomes.what} has outcomes without an end"] = None
        else:
            self.rarest = min(self.rarest, outcomes.rarest)
        return outcomes.quantile(0.5)

    def _count(self) -> None:
        pass  # nothing is enumerated

    def _count_together(self, many: Sequence[OutcomeDistribution]) -> None:
        pass  # likewise


#: How often this process was made as a copy of another, which had runs of its own under way. Read
#: at each draw: to ask the system for the process takes as long as all the rest.
_copies = 0


def _count_copy() -> None:
    global _copies
    _copies += 1


if hasattr(os, "register_at_fork"):  # where it is not, processes are not copied
    os.register_at_fork(after_in_child=_count_copy)


#: The run that is under way in this thread and context, if there is one.
_current: contextvars.ContextVar[Run | None] = contextvars.ContextVar("run", default=None)

#: What draws calls it each time; a context variable's own method is the fastest there is.
current_run = _current.get


@contextlib.contextmanager
def outside_runs() -> Iterator[None]:
    """No run is under way until this is left: what draws does so as ever."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)


def paths(
    code: Callable[[], T],
    perform: Callable[[Callable[[], T], Run], T],
    *,
    most: int = MOST_PATHS,
    start: Sequence[Choice] = (),
    made: int = 0,
    began: float | None = None,
    ends: Callable[[Sequence[Choice], Sequence[Choice]], bool] | None = None,
) -> Iterator[Path[T]]:
    """Every path of some code that has a probability at all.

    Args:
        perform: runs it while its draws ask a run.
        most: paths that may be run.
        start: the prefix of the first; the paths before it are left out.
        made: paths that were run before, and count; fewer than ``most``.
        began: when the first of those was, by ``time.perf_counter``.
        ends: whether these are all, from the draws of a path and the prefix of the next one.

    Raises:
        ValueError: for a number of paths that is none.
        TooManyPaths: if there are more.
        NotReproducible: if a run does not go on as before after the same outcomes.
    """
    most = whole_from(most, 1, f"paths is {most!r}, expected a whole number of at least 1")
    prefix = longest = start
    started = time.perf_counter() if began is None else began
    for _ in range(made, most):
        path = run_path(code, perform, prefix, most)
        yield path
        longest = max(longest, path.choices, key=len)
        following = next_prefix(path.choices)
        if following is None or (ends is not None and ends(path.choices, following)):
            return
        prefix = following
    known = began is not None or not made
    whole = time_of_all(time.perf_counter() - started, path.behind) if known else ""
    raise TooManyPaths(too_many_paths(most, longest, whole))


def too_many_paths(most: int, longest: Sequence[Choice], whole: str = "") -> str:
    """What is said where there are more paths than may be run.

    Args:
        longest: the draws of the longest path so far.
        whole: how long all would take.
    """
    return (
        f"{most:,} paths were run, and there are more{whole}; allow more of them (paths=), or "
        f"{_fewer(longest, most)}"
    )


def run_path(
    code: Callable[[], T],
    perform: Callable[[Callable[[], T], Run], T],
    prefix: Sequence[Choice],
    most: int = MOST_PATHS,
    kind: Callable[[Sequence[Choice], int], Run] = Run,
) -> Path[T]:
    """One path, of which the first outcomes are given.

    Args:
        kind: of run.

    Raises:
        UnsupportedDraw: for what was refused, also if the code went on.
        NotReproducible: if it ends before they are all drawn.
    """
    run = kind(prefix, most)
    value = perform(code, run)
    return Path(run.ordered_choices(), value)


def repeat(
    code: Callable[[], T], perform: Callable[[Callable[[], T], Run], T], choices: Sequence[Choice]
) -> Path[T]:
    """What code returns if its draws have these outcomes, whatever their probabilities are now.

    Raises:
        NotReproducible: if it does not ask for these draws and no others.
    """
    run = RepeatedRun(choices)
    value = perform(code, run)
    return Path(run.ordered_choices(), value)


def run_numbers(
    code: Callable[[], T],
    perform: Callable[[Callable[[], T], Run], T],
    numbers: Sequence[int],
    keys: Sequence[Hashable] = (),
) -> Path[T]:
    """One path, by the numbers of its outcomes.

    Args:
        keys: of all its draws, if they have any.

    Raises:
        ValueError: for the number of an outcome that there is not.
        NotReproducible: for a draw that has none of the keys.
    """
    run = KeyedNumbersRun(numbers, keys) if keys else NumberedRun(numbers)
    value = perform(code, run)
    return Path(run.ordered_choices(), value)


def _many(outcomes: OutcomeDistribution) -> str:
    return f"{outcomes.possible:,}" if outcomes.possible != BEYOND_COUNT else "a million or more"


def _fewer(choices: Sequence[Choice], most: int) -> str:
    return suggest_fewer_draws([each.outcomes.possible for each in choices], most)


def next_prefix(choices: Sequence[Choice]) -> list[Choice] | None:
    """The prefix of the path after this one; None after the last."""
    for place in reversed(range(len(choices))):
        outcomes, taken, key = choices[place]
        other = outcomes.next_possible(taken)
        if other is not None:
            return [*choices[:place], Choice(outcomes, other, key)]
    return None


def describe_choices(choices: Sequence[Choice]) -> str:
    """Draws and their outcomes in a line; the first and the last of many."""
    listed = [str(choice) for choice in choices]
    if len(listed) > 12:
        listed = [*listed[:6], f"{len(listed) - 12} more", *listed[-6:]]
    return ", ".join(listed) or "none"
