"""PyTorch's dropout: what it keeps or drops is a coin each, and all the rest is PyTorch's own.

Its functions draw below Python: on the processor all of them, attention and the layers of an LSTM
among them, by ``bernoulli_`` of a plain tensor. So PyTorch's own function is called, with a mode in
which that operation is answered. Operations that drop inside a kernel are refused by their names.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..block import BlockRun, NotBatchable
from ..run import Run
from .torch_transforms import Answer, Transforms

#: Functions of ``torch`` that drop, each entry or (``feature``) each channel by itself.
DROPPING = ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")
#: Functions of ``torch`` that may drop between layers, or return what was kept too.
DROPPING_INSIDE = ("native_dropout", "lstm", "gru", "rnn_tanh", "rnn_relu")
#: The same of ``torch.nn.functional``.
ATTENTION = "scaled_dot_product_attention"

#: What alpha dropout puts in the place of what is dropped, before it scales and shifts:
#: the limit of SELU (Klambauer et al. 2017, Self-normalizing neural networks), as PyTorch has it.
ALPHA = 1.7580993408473766


def dropping_functions(
    torch: Any, transforms: Transforms, bernoulli_of_rows: Answer
) -> list[tuple[Any, str, Any, Answer]]:
    """Where each is looked up, its name there, itself, and what answers for it.

    Args:
        bernoulli_of_rows: draws zeros and ones in a run of many rows.
    """
    functional, rows = torch.nn.functional, RowDropout(torch, bernoulli_of_rows)
    names = (*DROPPING, *(f"{name}_" for name in DROPPING), *DROPPING_INSIDE)
    # ``torch.nn`` looks them up in a module of its own.
    places = [(owner, name) for name in names for owner in (torch, torch._VF)]
    reals = {name: getattr(torch, name) for name in names}
    reals[ATTENTION] = getattr(functional, ATTENTION)
    found = []
    for owner, name in [*places, (functional, ATTENTION)]:
        # In place, a run that only looks at what is drawn leaves what is given as it is.
        look = reals[name.removesuffix("_")]
        of_path = _answer_path(transforms, reals[name], look)
        found.append((owner, name, reals[name], rows.answer(name, of_path, reals[name])))
    return found


def may_drop(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a call has a probability above zero: all else that it is given is no float."""
    return any(isinstance(each, float) and each > 0.0 for each in (*args, *kwargs.values()))


def _answer_path(transforms: Transforms, real: Answer, look: Answer) -> Answer:
    """What answers for a function in a run of one path."""
    inside, looking = transforms.answer_inside(real), transforms.answer_inside(look)

    def answer(run: Run, *args: Any, **kwargs: Any) -> Any:
        if not may_drop(args, kwargs):
            return real(*args, **kwargs)
        return (looking if run.is_sampling else inside)(run, *args, **kwargs)

    return answer


def native_dropout(torch: Any, bernoulli: Answer) -> Answer:
    """Answers the operation by which PyTorch drops on an accelerator: (what is kept, whether)."""

    def answer(run: Run, input: Any, p: float, train: bool | None = True) -> tuple[Any, Any]:
        if train is False or p == 0.0:
            return input.clone(), torch.ones_like(input, dtype=torch.bool)
        kept = bernoulli(run, torch.full_like(input, 1.0 - p, dtype=torch.double))
        scale = 0.0 if p == 1.0 else 1.0 / (1.0 - p)
        return input * kept.to(input.dtype) * scale, kept.bool()

    return answer


class RowDropout:
    """Dropout in a run of many rows.

    Args:
        bernoulli: draws zeros and ones there, by one probability.
    """

    def __init__(self, torch: Any, bernoulli: Callable[..., Any]) -> None:
        self._torch, self._bernoulli = torch, bernoulli

    def answer(self, name: str, of_path: Answer, real: Answer) -> Answer:
        """What answers for a function, also in such a run."""
        formula = getattr(self, f"_{name}", None)

        def answer(run: Run, *args: Any, **kwargs: Any) -> Any:
            if not isinstance(run, BlockRun):
                return of_path(run, *args, **kwargs)
            if not may_drop(args, kwargs):
                return real(*args, **kwargs)
            if formula is None:
                raise NotBatchable(f"{name} draws for one path at a time")
            return formula(run, *args, **kwargs)

        return answer

    def _dropout(
        self, run: BlockRun, input: Any, p: float, train: bool, of_channels: bool = False
    ) -> Any:
        if not train or p == 0.0:
            return input
        if p == 1.0:
            return input * 0.0
        return input * (self._kept(run, input, p, of_channels) / (1.0 - p))

    def _alpha_dropout(
        self, run: BlockRun, input: Any, p: float, train: bool, of_channels: bool = False
    ) -> Any:
        if not train or p == 0.0:
            return input
        if p == 1.0:
            return input * 0.0
        scale = (ALPHA**2 * p + 1.0) ** -0.5 * (1.0 - p) ** -0.5
        kept = self._kept(run, input, p, of_channels)
        return input * (kept * scale) + ((kept - 1.0) * (ALPHA * scale) + ALPHA * scale * p)

    def _kept(self, run: BlockRun, input: Any, p: float, of_channels: bool) -> Any:
        shape = tuple(input.shape)
        if of_channels:
            shape = (*shape[:2], *(1 for _ in shape[2:]))
        return self._bernoulli(run, self._torch.ones(shape, dtype=input.dtype), 1.0 - p)

    _feature_dropout = functools.partialmethod(_dropout, of_channels=True)
    _feature_alpha_dropout = functools.partialmethod(_alpha_dropout, of_channels=True)
