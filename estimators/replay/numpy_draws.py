"""NumPy's discrete draws, asked of a walker, and those of a generator that is passed around."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .named import array_of
from .patch import patched
from .still import Still
from .walk import EPS, Continuous, Walker

#: NumPy's own class, which may be replaced where people look it up.
Generator = np.random.Generator

#: How far chances may be from summing to 1: the square root of the precision, as NumPy has it.
SUM = 1.5e-8

#: What the draws of a generator are called that a run makes from a seed.
SEEDED = "seeded"

#: What is said if a generator moved all the same.
MOVED = (
    "a generator of NumPy or of Python's random moved: something was drawn that cannot be "
    "intercepted, such as random.random(), or a function that was imported by its own name"
)


class Uniform:
    """A number between 0 and 1 of which only comparisons are known.

    Each comparison is a draw of its own, given all earlier ones: ``u < p`` is true with the share
    of what is left below p. Whatever needs the number itself is refused.
    """

    def __init__(self, walker: Walker, what: str) -> None:
        self._walker, self._what = walker, what
        self._low, self._high = 0.0, 1.0

    def _below(self, bound: Any) -> Any:
        if hasattr(bound, "detach"):  # a tensor of PyTorch; what comes out is one too
            found = self._below(array_of(bound))
            return bound.detach().new_tensor(found).bool()
        if np.ndim(bound):
            # From the largest on: what is decided there leaves less to be decided below.
            flat = np.asarray(bound).reshape(-1)
            found = np.empty(flat.shape, bool)
            for place in np.argsort(-flat):
                found[place] = self._below(flat[place])
            return found.reshape(np.shape(bound))
        # As of a number of NumPy, or of Python: they add up in different ways.
        kind = np.bool_ if isinstance(bound, np.generic | np.ndarray) else bool
        edge, step = float(bound), _precision(bound)
        if edge >= self._high or edge <= self._low:
            return kind(edge >= self._high)
        share = (edge - self._low) / (self._high - self._low)
        below = self._walker.choose((1.0 - share, share), self._what, step) == 1
        self._low, self._high = (self._low, edge) if below else (edge, self._high)
        return kind(below)

    def __lt__(self, bound: Any) -> Any:
        return self._below(bound)

    __le__ = __lt__  # a single number has no chance

    def __gt__(self, bound: Any) -> Any:
        found = self._below(bound)
        return not found if isinstance(found, bool) else ~found

    __ge__ = __gt__


class Uniforms:
    """An array of such numbers, compared entry by entry."""

    def __init__(self, walker: Walker, what: str, shape: Sequence[int]) -> None:
        self._entries = np.empty(shape, object)
        self._what = what
        for place in np.ndindex(*shape):
            self._entries[place] = Uniform(walker, what)
        self.shape = self._entries.shape

    def __getitem__(self, place: Any) -> Any:
        found = self._entries[place]
        if isinstance(found, Uniform):
            return found
        made = Uniforms.__new__(Uniforms)
        made._entries, made._what, made.shape = found, self._what, found.shape
        return made

    def __len__(self) -> int:
        return len(self._entries)

    def _compared(self, bound: Any, how: Callable[[Uniform, Any], Any]) -> np.ndarray:
        both: Any = np.broadcast_arrays(self._entries, np.asarray(bound))
        entries, bounds = both
        found = np.empty(entries.shape, bool)
        for place in np.ndindex(*entries.shape):
            found[place] = how(entries[place], bounds[place])
        return found

    def __lt__(self, bound: Any) -> np.ndarray:
        return self._compared(bound, Uniform.__lt__)

    __le__ = __lt__

    def __gt__(self, bound: Any) -> np.ndarray:
        return self._compared(bound, Uniform.__gt__)

    __ge__ = __gt__


def _refuse(uniform: Uniform | Uniforms, *_: Any, **__: Any) -> Any:
    raise Continuous(
        f"{uniform._what}() is used other than compared with <, <=, > or >=: it has no outcomes to "
        "count"
    )


def _compared(
    uniform: Uniform | Uniforms, function: Any, method: str, *inputs: Any, **_: Any
) -> Any:
    """What NumPy asks of a number in one of its functions: comparisons are known."""
    how = {"less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge"}
    turned = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}
    name = how.get(function.__name__)
    if name is None or method != "__call__":
        return _refuse(uniform)
    first, second = inputs
    if first is uniform:
        return getattr(uniform, f"__{name}__")(second)
    return getattr(uniform, f"__{turned[name]}__")(first)


#: Python's operations on a number that need it itself.
_REFUSED = (
    "array", "float", "int", "bool", "eq", "ne", "hash", "neg", "pow", "add", "radd", "sub", "rsub",
    "mul", "rmul", "truediv", "rtruediv", "floordiv", "mod", "abs", "round", "array_function",
)  # fmt: skip

for _kind in (Uniform, Uniforms):
    setattr(_kind, "__array_ufunc__", _compared)  # noqa: B010 - as those below
    for _operation in _REFUSED:
        setattr(_kind, f"__{_operation}__", _refuse)


class _Discrete:
    """The draws that a generator of NumPy has outcomes for; :class:`Walked` has them all."""

    _walker: Walker
    _what: str

    def choice(
        self,
        a: Any,
        size: Any = None,
        replace: bool = True,
        p: Any = None,
        axis: int = 0,
        shuffle: bool = True,
    ) -> Any:
        """Entries of an array, or numbers below ``a``."""
        values = np.arange(a) if np.ndim(a) == 0 else np.asarray(a)
        count = values.shape[axis]
        draws = 1 if size is None else int(np.prod(size))
        if p is None and not replace and not shuffle:
            raise Continuous(f"{self._what}choice(shuffle=False) has an order of NumPy's own")
        step = EPS if p is None else _precision(p)
        left = np.full(count, 1.0 / count) if p is None else np.array(p, np.float64)
        if abs(left.sum() - 1.0) > max(SUM, step**0.5):
            raise ValueError("Probabilities do not sum to 1")  # as NumPy does
        if not replace and draws > np.count_nonzero(left):
            raise ValueError("Cannot take a larger sample than population")  # as NumPy does
        if left.shape != (count,):
            raise ValueError("a and p must have same size")  # as NumPy does
        drawn: list[int] = []
        for _ in range(draws):
            drawn.append(self._walker.choose(left / left.sum(), f"{self._what}choice", step))
            if not replace:
                left[drawn[-1]] = 0.0
        places = drawn[0] if size is None else np.reshape(drawn, size)
        return values.take(places, axis=axis)

    def integers(
        self,
        low: Any,
        high: Any = None,
        size: Any = None,
        dtype: Any = np.int64,
        endpoint: bool = False,
    ) -> Any:
        """Whole numbers, each as likely."""
        if np.ndim(low) or np.ndim(high):
            raise Continuous(f"{self._what}integers with arrays as bounds is not walked through")
        first, last = (0, low) if high is None else (low, high)
        count = int(last) - int(first) + bool(endpoint)
        if count < 1:
            raise ValueError("low >= high")  # as NumPy does
        each = np.full(count, 1.0 / count)
        drawn = [
            int(first) + self._walker.choose(each, f"{self._what}integers")
            for _ in range(1 if size is None else int(np.prod(size)))
        ]
        return np.asarray(drawn[0] if size is None else np.reshape(drawn, size), dtype)[()]

    def random(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        """Numbers between 0 and 1, to be compared."""
        if out is not None:
            raise Continuous(f"{self._what}random(out=...) needs the numbers themselves")
        if size is None:
            return Uniform(self._walker, f"{self._what}random")
        shape = (size,) if np.ndim(size) == 0 else tuple(size)
        return Uniforms(self._walker, f"{self._what}random", shape)

    def binomial(self, n: Any, p: Any, size: Any = None) -> Any:
        """Of one trial each: zeros and ones. Of more, how many come out."""
        shape = np.broadcast_shapes(np.shape(n), np.shape(p)) if size is None else size
        trials, chances = np.broadcast_to(n, shape), np.broadcast_to(p, shape)
        found = np.empty(np.shape(trials), np.int64)
        for place in np.ndindex(*found.shape):
            known = binomial_chances(int(trials[place]), float(chances[place]))
            found[place] = self._walker.choose(known, f"{self._what}binomial", _precision(p))
        return found[()]

    def multinomial(self, n: int, pvals: Any, size: Any = None) -> Any:
        """Of one trial each: a one where it came out."""
        chances, step = np.array(pvals, np.float64), _precision(pvals)
        if np.ndim(n) or chances.ndim != 1:
            raise Continuous(f"{self._what}multinomial with arrays of trials is not walked through")
        chances[-1] = max(0.0, 1.0 - chances[:-1].sum())  # NumPy gives the last what is left
        rows = []
        for _ in range(1 if size is None else int(np.prod(size))):
            row = np.zeros(len(chances), np.int64)
            for _ in range(int(n)):
                row[self._walker.choose(chances, f"{self._what}multinomial", step)] += 1
            rows.append(row)
        return rows[0] if size is None else np.reshape(rows, (*np.atleast_1d(size), len(chances)))

    def permutation(self, x: Any, axis: int = 0) -> Any:
        """The same in any order."""
        values = np.arange(x) if np.ndim(x) == 0 else np.asarray(x)
        return values.take(self._order(values.shape[axis]), axis=axis)

    def shuffle(self, x: Any, axis: int = 0) -> None:
        """The same in any order, in place."""
        if isinstance(x, np.ndarray):
            x[...] = x.take(self._order(x.shape[axis]), axis=axis)
        else:
            x[:] = [x[place] for place in self._order(len(x))]

    def _order(self, count: int) -> list[int]:
        left = list(range(count))
        what = f"{self._what}permutation"
        return [
            left.pop(self._walker.choose(np.full(len(left), 1.0 / len(left)), what))
            for _ in range(count)
        ]


class Walked(_Discrete, Generator):  # type: ignore[misc]  # overloads of NumPy
    """A generator of NumPy whose draws ask a walker.

    A copy draws what it was copied from does, so that only one of the two may draw.
    """

    def __init__(self, walker: Walker, what: str = "Generator.") -> None:
        Generator.__init__(self, np.random.PCG64(0))
        self._asked, self._what = walker, what
        self._copied: list[list[object]] = []

    @property
    def _walker(self) -> Walker:  # type: ignore[override]  # asked for at each draw
        for drawing in self._copied:
            if not drawing:
                drawing.append(self)
            elif drawing[0] is not self:
                self._asked.rewind("a generator and its copy: both draw the same")
        return self._asked

    def spawn(self, n_children: int) -> list[np.random.Generator]:
        """Generators that ask the same walker."""
        return [Walked(self._asked, self._what) for _ in range(n_children)]

    def __copy__(self) -> Walked:
        copy, drawing = Walked(self._asked, self._what), list[object]()
        copy._copied = [*self._copied, drawing]
        self._copied.append(drawing)
        return copy

    def __deepcopy__(self, _: object) -> Walked:
        return self.__copy__()

    def __reduce__(self) -> Any:
        raise Continuous("a generator is written down, and what is read from that is not seen")

    def __getattribute__(self, name: str) -> Any:
        # Public methods that are still NumPy's own draw what has no outcomes to count.
        if (
            not name.startswith("_")
            and name != "spawn"
            and not hasattr(_Discrete, name)
            and hasattr(Generator, name)
        ):
            raise Continuous(f"Generator.{name} draws what has no outcomes to count")
        return super().__getattribute__(name)


@contextlib.contextmanager
def numpy_draws(walker: Walker) -> Iterator[None]:
    """Draws of NumPy's own generator, and of new ones, ask the walker until this is left.

    Raises:
        Continuous: if something is drawn that cannot be walked through.
    """
    legacy, made = Walked(walker, "numpy.random."), _Made(walker)
    replacements: dict[str, Any] = {
        name: getattr(legacy, name)
        for name in ("choice", "binomial", "multinomial", "permutation", "shuffle", "random")
    }
    replacements |= {
        "randint": legacy.integers,
        "random_sample": legacy.random,
        "rand": lambda *shape: legacy.random(shape or None),
        "default_rng": made.of,
        "RandomState": _stands_for(np.random.RandomState, _refused("RandomState")),
        "Generator": _stands_for(Generator, made.of),
    }
    kept = {
        *replacements,
        "seed",
        "get_state",
        "set_state",
        "get_bit_generator",
        "set_bit_generator",
    }
    replacements |= {
        name: _refused(name)
        for name in np.random.__all__
        if name not in kept and name[0].islower() and callable(getattr(np.random, name))
    }
    still = Still(walker, _states, _same, MOVED)
    replacements |= {
        name: still.setting(getattr(np.random, name), f"numpy.random.{name}")
        for name in ("seed", "set_state")
    }
    python = {
        name: still.setting(getattr(random, name), f"random.{name}")
        for name in ("seed", "setstate")
    }
    with patched(np.random, replacements), patched(random, python):
        yield
    still.check()


class _Made:
    """Generators that are made in a run. Two from one seed draw the same."""

    def __init__(self, walker: Walker) -> None:
        self._walker = walker
        self._seeds: set[str] = set()

    def of(self, seed: Any = None) -> Generator:
        """One from a seed, a sequence of seeds, or what has a state."""
        if isinstance(seed, Generator):
            return seed
        known = _seed(seed)
        if known is not None:
            if known in self._seeds:
                raise Continuous(
                    f"two generators of NumPy are made from {seed!r:.60} in one run: they draw the "
                    "same, and not numbers of their own; make one, or spawn() them"
                )
            self._seeds.add(known)
        whole = isinstance(seed, int) or np.asarray(seed).dtype.kind in "iu"
        return Walked(self._walker, f"{SEEDED} Generator." if whole else "Generator.")


def _seed(seed: Any) -> str | None:
    """What tells one seed from another; None if there is none."""
    if isinstance(seed, np.random.SeedSequence):
        return repr((seed.entropy, seed.spawn_key))
    if isinstance(seed, np.random.BitGenerator):
        return repr(seed.state)
    return None if seed is None else repr(np.asarray(seed).tolist())


def _stands_for(real: type, made: Callable[..., Any]) -> type:
    """Stands for a class: calls make something else, and all that is of the class is of this."""

    class Kind(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, real)

        def __subclasscheck__(cls, subclass: type) -> bool:
            return issubclass(subclass, real)

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            return made(*args, **kwargs)

        def __or__(cls, other: Any) -> Any:
            return real | other

        def __ror__(cls, other: Any) -> Any:
            return other | real

    return Kind(real.__name__, (), {})


def _refused(name: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise Continuous(f"numpy.random.{name} is not walked through")

    return refuse


def _states() -> tuple[Any, Any]:
    return random.getstate(), np.random.get_state(legacy=False)  # noqa: NPY002 - it is watched


def _same(first: tuple[Any, Any], second: tuple[Any, Any]) -> bool:
    (python, numpy), (now, then) = first, second
    keys = numpy["state"]["key"], then["state"]["key"]
    return (
        python == now
        and np.array_equal(*keys)
        and numpy["state"]["pos"] == then["state"]["pos"]
        and numpy["has_gauss"] == then["has_gauss"]
    )


def _precision(chances: Any) -> float:
    """The step from 1 to the next number, of what chances are given in."""
    kind = np.asarray(chances).dtype
    return float(np.finfo(kind).eps) if kind.kind == "f" else EPS


def binomial_chances(trials: int, chance: float) -> np.ndarray:
    """Chances of each count, by adding one trial after the other."""
    known = np.ones(1)
    for _ in range(trials):
        known = np.append(known * (1.0 - chance), 0.0) + np.append(0.0, known * chance)
    return known
