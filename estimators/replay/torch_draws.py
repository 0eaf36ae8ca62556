"""PyTorch's discrete draws, asked of a walker.

``torch.distributions`` draw by ``torch.multinomial`` and ``torch.bernoulli``, so that their
Categorical, OneHotCategorical, Multinomial and Bernoulli are walked through with these.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .patch import patched
from .still import Still
from .walk import EPS, Continuous, Walker

#: A tensor of PyTorch.
Tensor = Any

#: Functions of ``torch``, and methods of a tensor, that draw what has no outcomes to count, or too
#: many kinds of them.
CONTINUOUS = ("rand", "rand_like", "randn", "randn_like", "normal", "poisson", "binomial")
#: Those that set the state of PyTorch's generator.
SETS = ("set_rng_state", "manual_seed", "seed")
IN_PLACE = ("normal_", "uniform_", "exponential_", "geometric_", "cauchy_", "log_normal_")


#: Whatever draws in compiled code, dropout among it, moves a generator.
MOVED = (
    "PyTorch's generator moved: something was drawn that cannot be intercepted, such as dropout, "
    "or a function that was imported by its own name (from torch import ...)"
)


@contextlib.contextmanager
def torch_draws(torch: Any, walker: Walker) -> Iterator[None]:
    """Draws of PyTorch ask the walker until this is left.

    Raises:
        Continuous: if something is drawn that cannot be walked through.
    """
    draws = _Draws(torch, walker)
    functions = {
        "multinomial": draws.multinomial,
        "bernoulli": draws.bernoulli,
        "randint": draws.randint,
        "randperm": draws.randperm,
    } | {name: _refused(f"torch.{name}") for name in CONTINUOUS}
    methods = {
        "multinomial": _method(draws.multinomial),
        "bernoulli": _method(draws.bernoulli),
        "bernoulli_": _method(draws.bernoulli_),
        "random_": _method(draws.random_),
    } | {name: _refused(f"Tensor.{name}") for name in IN_PLACE}
    still = Still(walker, lambda: _states(torch), functools.partial(_same, torch), MOVED)
    sets = {name: still.setting(getattr(torch, name), f"torch.{name}") for name in SETS}
    with (
        patched(torch, functions | sets),
        patched(torch.random, sets),
        patched(torch.Tensor, methods),
    ):
        yield
    still.check()


def _same(torch: Any, before: list[Tensor], after: list[Tensor]) -> bool:
    return all(torch.equal(old, new) for old, new in zip(before, after, strict=True))


def _states(torch: Any) -> list[Tensor]:
    cuda = torch.cuda.is_available() and torch.cuda.is_initialized()
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if cuda else [])]


def _refused(what: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise Continuous(f"{what} draws what has no outcomes to count")

    return refuse


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is looked up on a tensor, and given it."""
    return lambda tensor, *args, **kwargs: function(tensor, *args, **kwargs)


class _Draws:
    """What stands in for PyTorch's functions; their arguments are theirs."""

    def __init__(self, torch: Any, walker: Walker) -> None:
        self._torch, self._walker = torch, walker
        self._states: set[bytes] = set()

    def _move(self, generator: Any) -> None:
        """Draw from a generator of one's own as PyTorch would, to see where it draws the same."""
        if generator is None:
            return
        state = generator.get_state().numpy().tobytes()
        if state in self._states:
            self._walker.rewind("a torch.Generator was set to a state that was drawn from")
        self._states.add(state)
        where = generator.device
        self._torch.ops.aten.rand.generator([1], generator=generator, device=where)

    def multinomial(
        self,
        input: Tensor,
        num_samples: int = 1,
        replacement: bool = False,
        *,
        generator: Any = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """Of each row of chances, so many outcomes: one after the other."""
        self._move(generator)
        if input.dim() not in (1, 2):
            raise RuntimeError("prob_dist must be 1 or 2 dim")  # as PyTorch does
        step = self._step(input)
        rows = input.detach().double().cpu().numpy().reshape(-1, input.shape[-1])
        drawn = [self._row(row, num_samples, replacement, step) for row in rows]
        found = self._torch.tensor(drawn, dtype=self._torch.long, device=input.device)
        return _given(found.reshape(*input.shape[:-1], num_samples), out)

    def _step(self, chances: Tensor) -> float:
        """The precision of what chances are given in."""
        return float(self._torch.finfo(chances.dtype).eps) if chances.is_floating_point() else EPS

    def _row(self, chances: np.ndarray, count: int, replacement: bool, step: float) -> list[int]:
        left, drawn = chances.copy(), []
        for _ in range(count):
            total = left.sum()
            share = left / total if total > 0.0 else left
            drawn.append(self._walker.choose(share, "torch.multinomial", step))
            if not replacement:
                left[drawn[-1]] = 0.0
        return drawn

    def bernoulli(
        self,
        input: Tensor,
        p: float | None = None,
        *,
        generator: Any = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """Zeros and ones of these chances."""
        self._move(generator)
        chances = input if p is None else self._torch.full_like(input, p)
        return _given(self._zeros_and_ones(chances).to(input.dtype), out)

    def bernoulli_(self, tensor: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
        """The same, in place."""
        self._move(generator)
        plain = {} if isinstance(p, self._torch.Tensor) else {"dtype": self._torch.double}
        chances = self._torch.as_tensor(p, **plain).expand(tensor.shape)
        return tensor.copy_(self._zeros_and_ones(chances))

    def _zeros_and_ones(self, chances: Tensor) -> Tensor:
        flat = chances.detach().double().cpu().numpy().reshape(-1)
        step = self._step(chances)
        drawn = [self._walker.choose((1.0 - one, one), "torch.bernoulli", step) for one in flat]
        found = self._torch.tensor(drawn, dtype=self._torch.double, device=chances.device)
        return found.reshape(chances.shape)

    def randint(self, *args: Any, generator: Any = None, **kwargs: Any) -> Tensor:
        """Whole numbers, each as likely: (high, size) or (low, high, size)."""
        self._move(generator)
        given, out = [*args], kwargs.pop("out", None)
        size = tuple(kwargs.pop("size") if "size" in kwargs else given.pop())
        bounds = [*given, *(kwargs.pop(name) for name in ("low", "high") if name in kwargs)]
        low, high = map(int, bounds if len(bounds) == 2 else (0, *bounds))
        drawn = self._uniform(low, high, math.prod(size), "torch.randint")
        made = {"dtype": self._torch.long, **{k: v for k, v in kwargs.items() if v is not None}}
        return _given(self._torch.tensor(drawn, **made).reshape(size), out)

    def random_(self, tensor: Tensor, *bounds: int, generator: Any = None, **named: int) -> Tensor:
        """Whole numbers, each as likely, in place: (to) or (from, to)."""
        self._move(generator)
        bounds = (*bounds, *(named[name] for name in ("from", "to") if name in named))
        if not bounds:
            raise Continuous("Tensor.random_ without bounds has too many outcomes to count")
        low, high = bounds if len(bounds) == 2 else (0, *bounds)
        drawn = self._uniform(low, high, tensor.numel(), "Tensor.random_")
        return tensor.copy_(self._torch.tensor(drawn).reshape(tensor.shape))

    def _uniform(self, low: int, high: int, count: int, what: str) -> list[int]:
        if high <= low:
            raise RuntimeError(f"random_ expects 'from' to be less than 'to', got {low} and {high}")
        each = np.full(high - low, 1.0 / (high - low))
        return [low + self._walker.choose(each, what) for _ in range(count)]

    def randperm(
        self, n: int, *, generator: Any = None, out: Tensor | None = None, **kwargs: Any
    ) -> Tensor:
        """The first n numbers in any order."""
        self._move(generator)
        left = list(range(n))
        drawn = [
            left.pop(self._walker.choose(np.full(len(left), 1.0 / len(left)), "torch.randperm"))
            for _ in range(n)
        ]
        made = {"dtype": self._torch.long, **{k: v for k, v in kwargs.items() if v is not None}}
        return _given(self._torch.tensor(drawn, **made), out)


def _given(found: Tensor, out: Tensor | None) -> Tensor:
    return found if out is None else out.resize_(found.shape).copy_(found)
