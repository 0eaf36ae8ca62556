"""Continuous draws of PyTorch, whose numbers are not decided before they are compared."""

from __future__ import annotations

import contextlib
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ..drawn_numbers import DrawnNumbers, NumbersNeeded
from ..lazy_numbers import LazyNumbers
from ..monotone import CAUCHY, NORMAL, Factor, Known, Shift, spread
from ..run import Run, UnsupportedDraw
from .torch_integrated import real_of
from .torch_integrated_rows import below_rows
from .torch_lazy import become_lazy, lazy_like
from .torch_lazy_answers import answer

#: A tensor of PyTorch.
Tensor = Any


class LazyDraws:
    """What answers for PyTorch's functions that draw continuous numbers, after the run.

    Args:
        begin: notes that a generator draws.
    """

    def __init__(self, torch: Any, begin: Callable[..., None]) -> None:
        self._torch, self._begin = torch, begin

    def rand(
        self, run: Run, *size: Any, generator: Any = None, out: Any = None, **made: Any
    ) -> Any:
        """Uniform between 0 and 1."""
        return self._draw(run, "torch.rand", (), size, generator, out, made)

    def randn(
        self, run: Run, *size: Any, generator: Any = None, out: Any = None, **made: Any
    ) -> Any:
        """Standard normal."""
        return self._draw(run, "torch.randn", (NORMAL,), size, generator, out, made)

    def rand_like(self, run: Run, input: Tensor, **made: Any) -> Any:
        """Uniform, in the shape and type of another tensor."""
        return self._like(run, "torch.rand_like", (), input, made)

    def randn_like(self, run: Run, input: Tensor, **made: Any) -> Any:
        """Standard normal, likewise."""
        return self._like(run, "torch.randn_like", (NORMAL,), input, made)

    def normal(
        self,
        run: Run,
        mean: Any,
        std: Any = 1.0,
        size: Any = None,
        *,
        generator: Any = None,
        out: Any = None,
        **made: Any,
    ) -> Any:
        """Normal, with a mean and a standard deviation each."""
        torch = self._torch
        given = [each.detach() for each in (mean, std) if isinstance(each, torch.Tensor)]
        shape = torch.broadcast_shapes(*(each.shape for each in given)) if given else tuple(size)
        if given:
            made = {"dtype": given[0].dtype, "device": given[0].device}
        if (torch.as_tensor(std) < 0.0).any():
            raise RuntimeError(f"normal expects all elements of std >= 0.0, got std={std}")
        drawn = self._draw(run, "torch.normal", (NORMAL,), (shape,), generator, out, made)
        # Of torch.normal, PyTorch's derivative by mean and standard deviation is zero.
        std, mean = (
            each.detach() if isinstance(each, torch.Tensor) else each for each in (std, mean)
        )
        return drawn * std + mean

    def uniform_(
        self, run: Run, tensor: Tensor, *ends: Any, generator: Any = None, **named: Any
    ) -> Any:
        """Uniform between two numbers, in place."""
        given = {**named, **dict(zip(("from", "to"), ends, strict=False))}
        low, high = given.get("from", 0.0), given.get("to", 1.0)
        if low > high:
            raise RuntimeError(f"uniform_ expects from <= to, got from={low} > to={high}")
        if low == high:
            return tensor.fill_(low)
        chain: Any = (Factor(np.array(high - low)), Shift(np.array(low)))
        chain = () if (low, high) == (0.0, 1.0) else chain
        return self._in_place(run, "Tensor.uniform_", chain, tensor, generator)

    def exponential_(
        self, run: Run, tensor: Tensor, lambd: float = 1.0, *, generator: Any = None
    ) -> Any:
        """Exponential, in place."""
        if not 0.0 < lambd < math.inf:
            raise RuntimeError(f"exponential_ expects a finite lambd > 0.0, got lambd={lambd}")
        # So that large numbers, which are rare, are those of a small uniform one.
        chain = (Known("log"), Factor(np.array(-1.0 / lambd)))
        return self._in_place(run, "Tensor.exponential_", chain, tensor, generator)

    def normal_(
        self,
        run: Run,
        tensor: Tensor,
        mean: float = 0.0,
        std: float = 1.0,
        *,
        generator: Any = None,
    ) -> Any:
        """Normal, in place."""
        if not std >= 0.0:
            raise RuntimeError(f"normal_ expects std >= 0.0, got std={std}")
        if std == 0.0:
            return tensor.fill_(mean)
        chain = (NORMAL, Factor(np.array(std)), Shift(np.array(mean)))
        return self._in_place(run, "Tensor.normal_", chain, tensor, generator)

    def cauchy_(
        self,
        run: Run,
        tensor: Tensor,
        median: float = 0.0,
        sigma: float = 1.0,
        *,
        generator: Any = None,
    ) -> Any:
        """Cauchy's, in place."""
        if not sigma > 0.0:
            raise RuntimeError(f"cauchy_ expects sigma > 0.0, got sigma={sigma}")
        chain = (CAUCHY, Factor(np.array(sigma)), Shift(np.array(median)))
        return self._in_place(run, "Tensor.cauchy_", chain, tensor, generator)

    def log_normal_(
        self,
        run: Run,
        tensor: Tensor,
        mean: float = 1.0,
        std: float = 2.0,
        *,
        generator: Any = None,
    ) -> Any:
        """Log-normal, in place."""
        if not std > 0.0:
            raise RuntimeError(f"log_normal_ expects std > 0.0, got std={std}")
        chain = (NORMAL, Factor(np.array(std)), Shift(np.array(mean)), Known("exp"))
        return self._in_place(run, "Tensor.log_normal_", chain, tensor, generator)

    def _draw(
        self, run: Run, what: str, chain: Any, size: Any, generator: Any, out: Any, made: Any
    ) -> Tensor:
        shape = made.pop("size", size)
        shape = (
            shape
            if any(hasattr(each, "__index__") for each in shape)
            else sum(map(tuple, shape), ())
        )
        shape = tuple(operator.index(each) for each in shape)
        if out is not None:
            raise UnsupportedDraw(f"{what}(out=) draws into a tensor that was there; leave out=")
        kept = {key: made[key] for key in ("dtype", "device") if made.get(key) is not None}
        return self._new(run, what, chain, shape, generator, kept)

    def _like(self, run: Run, what: str, chain: Any, input: Tensor, made: Any) -> Tensor:
        given = {"dtype": input.dtype, "device": input.device}
        given |= {key: made[key] for key in ("dtype", "device") if made.get(key) is not None}
        return self._new(run, what, chain, input.shape, made.get("generator"), given)

    def _new(
        self, run: Run, what: str, chain: Any, shape: Any, generator: Any, kind: dict[str, Any]
    ) -> Tensor:
        with below_rows(self._torch, run):
            like = self._torch.zeros((), **kind)
            numbers = self._begun(run, what, chain, shape, generator, like)
            return lazy_like(self._torch, numbers, like, answer)

    def _in_place(self, run: Run, what: str, chain: Any, tensor: Tensor, generator: Any) -> Tensor:
        with below_rows(self._torch, run):
            numbers = self._begun(run, what, chain, tensor.shape, generator, tensor)
        try:
            become_lazy(self._torch, tensor, numbers, answer, what)
        except NumbersNeeded as needed:  # others have its memory, and see the numbers
            needed.take_back()
            with self._torch.no_grad():
                tensor.copy_(
                    real_of(self._torch, lazy_like(self._torch, numbers, tensor, answer).origin)
                )
        return tensor

    def _begun(
        self, run: Run, what: str, chain: Any, size: Any, generator: Any, like: Tensor
    ) -> LazyNumbers:
        if run.is_sampling:
            raise UnsupportedDraw(f"{what} draws numbers whose use is not known")
        if not like.is_floating_point():
            raise UnsupportedDraw(f"{what}() draws numbers of {like.dtype}")
        for each in chain:
            if isinstance(each, Factor | Shift) and not np.isfinite(each.by).all():
                raise UnsupportedDraw(f"{what}() draws by {each.by}, expected finite numbers")
        with getattr(self._torch._C, "_DisableFuncTorch", contextlib.nullcontext)():
            self._begin(run, generator, what)
        drawn, shape = DrawnNumbers.of(run), tuple(size)
        precision = float(self._torch.finfo(like.dtype).eps)
        law = tuple(link for link in chain[:1] if isinstance(link, Known))
        places = drawn.draw(what, math.prod(shape), precision, law).reshape(shape)
        return LazyNumbers(drawn, places, spread(chain, shape))
