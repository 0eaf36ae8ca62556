"""The logits of the next token after prefixes, read from whatever a model returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

#: A tensor of PyTorch.
Tensor = Any

#: Called with prefixes of equal length, (B, L).
Model = Callable[[Tensor], Any]


def next_logits(model: Model, prefixes: Tensor) -> Tensor:
    """The logits of the token after each prefix, in double precision, with their graph.

    Args:
        model: returns logits at each place, or of the next token alone; or an object or a mapping
            that has them as ``logits``.

    Shape:
        ``prefixes`` (B, L); the model's logits (B, L, V), of which the last place is read, or
        (B, V); the result (B, V).

    Raises:
        TypeError: for what is no tensor.
        ValueError: for another shape, and for logits that no distribution has.
    """
    import torch

    try:
        returned = model(prefixes.to(_device(model)))
    except Exception as error:
        error.add_note(
            f"The model raised it for prefixes of shape {tuple(prefixes.shape)} (prompts and what "
            f"was completed), with tokens from {int(prefixes.min())} to {int(prefixes.max())}."
        )
        raise
    logits = returned["logits"] if isinstance(returned, Mapping) else returned
    logits = getattr(logits, "logits", logits)
    if not isinstance(logits, torch.Tensor) or not logits.is_floating_point():
        raise TypeError(
            f"the model returns {type(logits).__name__}, expected a tensor of logits, or an object "
            "that has one as .logits"
        )
    batch, length = prefixes.shape
    if logits.dim() == 3 and tuple(logits.shape[:2]) == (batch, length):
        logits = logits[:, -1]
    if logits.dim() != 2 or len(logits) != batch:
        raise ValueError(
            f"the model returns logits of shape {tuple(logits.shape)} for {batch} prefixes of "
            f"{length} tokens, expected ({batch}, {length}, V), one row for each place, or "
            f"({batch}, V), of the next token"
        )
    logits = logits.cpu().double()
    _check_numbers(logits.detach(), prefixes)
    return logits


def _device(model: Model) -> Any:
    """Where a module's parameters are; a function takes tokens to where it wants them."""
    parameters = getattr(model, "parameters", None)
    first = next(iter(parameters()), None) if callable(parameters) else None
    return "cpu" if first is None else first.device


def _check_numbers(logits: Tensor, prefixes: Tensor) -> None:
    import torch

    bad = torch.isnan(logits) | (logits == torch.inf)
    if bool(bad.any()):
        row, token = (int(each) for each in bad.nonzero()[0])
        raise ValueError(
            f"the logit of token {token} after {prefixes[row].tolist()} is "
            f"{float(logits[row, token])}, expected a number, or -inf for a token that cannot come"
        )
    none = (logits == -torch.inf).all(dim=1)
    if bool(none.any()):
        row = int(none.nonzero()[0, 0])
        raise ValueError(
            f"all logits after {prefixes[row].tolist()} are -inf, so that no token can come; "
            "leave one of them a number"
        )


def refuse_probabilities(logits: Tensor, prefixes: Tensor) -> None:
    """Whether what is called logits is, for certain, not the probabilities of tokens.

    Shape: ``logits`` (B, V), ``prefixes`` (B, L).

    Raises:
        ValueError: for positive numbers that add up to 1 but for their rounding, in every row.
    """
    values = logits.detach()
    step = float(np.finfo(np.float32).eps)  # a model may be in single precision
    off = (values.sum(dim=1) - 1.0).abs()
    likely = values.shape[1] > 1 and bool((values > 0.0).all())
    if likely and bool((off <= values.shape[1] * step).all()):
        row = values[0].tolist()
        shown = ", ".join(f"{each:.3g}" for each in row[:4]) + (", ..." if len(row) > 4 else "")
        raise ValueError(
            f"the model's logits after {prefixes[0].tolist()} are ({shown}), and add up to 1 as "
            "probabilities do, as after every prefix that was tried; return logits, or logarithms "
            "of probabilities"
        )
