"""PyTorch's discrete draws in a run of many rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..block import BlockRun, NotBatchable
from ..counts import poisson
from .torch_counts import log_poisson
from .torch_logs import has_lost_graph, log_coins, log_weights
from .torch_randint import RandintLike, whole_numbers
from .torch_row_tensors import ROWS, Tensor, TensorRows


class RowDraws(RandintLike):
    """What answers for PyTorch's functions that draw; their arguments are theirs, after the run.

    Args:
        begin: notes that a generator draws.
        step: the precision of what probabilities are given in.
    """

    def __init__(
        self, torch: Any, begin: Callable[..., None], step: Callable[[Tensor], float]
    ) -> None:
        self._torch, self._begin, self._step = torch, begin, step

    def multinomial(
        self,
        run: BlockRun,
        input: Tensor,
        num_samples: int = 1,
        replacement: bool = False,
        *,
        generator: Any = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """Of each row of weights, so many outcomes."""
        rows = _rows_of(run, out)
        self._begin(run, generator, "torch.multinomial")
        weights = rows.numbers(input)
        if weights.ndim not in (2, 3) or num_samples < 1:
            raise NotBatchable("multinomial refuses it")
        weights = weights.reshape(run.size, -1, weights.shape[-1])
        totals = weights.sum(axis=-1, keepdims=True)
        if not (weights.min() >= 0.0 and 0.0 < totals.min() <= totals.max() < np.inf):
            raise NotBatchable("some weights are no probabilities")
        step, count = self._step(input), weights.shape[1]
        if num_samples == 1 or replacement:
            tables = np.swapaxes(weights / totals, 0, 1)
            drawn = run.take([each for each in tables for _ in range(num_samples)], step)
        else:
            columns = []
            for place in range(count):
                left = weights[:, place].copy()
                for _ in range(num_samples):
                    total = left.sum(axis=1, keepdims=True)
                    if not total.min() > 0.0:
                        raise NotBatchable("it draws more than there is")
                    columns.append(run.take([left / total], step)[:, 0])
                    left[np.arange(run.size), columns[-1]] = 0.0
            drawn = np.stack(columns, axis=1)
        found = self._tensor(rows, drawn, (*input.shape[:-1], num_samples), input.device)
        if run.graph is not None:
            given = rows.rows(input).reshape(run.size, count, input.shape[-1])
            places = rows.rows(found).reshape(run.size, count, num_samples)
            self._note_log(run, given, log_weights(given, places, replacement), drawn.shape[1])
        return found

    def bernoulli(
        self,
        run: BlockRun,
        input: Tensor,
        p: float | None = None,
        *,
        generator: Any = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """Zeros and ones of these probabilities."""
        rows = _rows_of(run, out)
        self._begin(run, generator, "torch.bernoulli")
        given = input if p is None else self._torch.full(input.shape, p, dtype=self._torch.double)
        ones = rows.numbers(given).reshape(run.size, -1)
        if not (given.is_floating_point() and ((ones >= 0.0) & (ones <= 1.0)).all()):
            raise NotBatchable("bernoulli refuses it")
        certain = (ones == 0.0) | (ones == 1.0)
        if (certain != certain[:1]).any():  # one that is certain is no draw
            run.split(np.unique(certain, axis=0, return_inverse=True)[1].reshape(-1))
        drawn = (ones == 1.0).astype(np.int64)
        places = np.flatnonzero(~certain[0])
        tables = [np.stack([1.0 - ones[:, each], ones[:, each]], axis=1) for each in places]
        drawn[:, places] = run.take(tables, self._step(given))
        found = self._tensor(rows, drawn, input.shape, input.device).to(input.dtype)
        if run.graph is not None:
            below = rows.rows(given)
            log = log_coins(self._torch, below, rows.rows(found))
            self._note_log(run, below, log, len(places))
        if p is None and input.requires_grad and self._torch.is_grad_enabled():
            found = found + 0.0 * input  # PyTorch differentiates a coin too, to zero
        return found

    def poisson(self, run: BlockRun, input: Tensor, generator: Any = None) -> Tensor:
        """Numbers of events at these rates."""
        rows = _rows_of(run, None)
        self._begin(run, generator, "torch.poisson")
        rates, step = rows.numbers(input).reshape(run.size, -1), self._step(input)
        if not (input.is_floating_point() and (rates > 0.0).all()):
            raise NotBatchable("poisson refuses it, or some rates are zero")
        columns = []
        for column in rates.T:
            different, which = np.unique(column, return_inverse=True)
            laws = [poisson("torch.poisson", float(rate), step) for rate in different]
            columns.append(run.take_counts(laws, which.reshape(-1), step))
        drawn = np.stack(columns, axis=1) if columns else np.zeros((run.size, 0), np.int64)
        found = self._tensor(rows, drawn, input.shape, input.device).to(input.dtype)
        if run.graph is not None:
            below = rows.rows(input)
            self._note_log(run, below, log_poisson(below, rows.rows(found)), drawn.shape[1])
        if input.requires_grad and self._torch.is_grad_enabled():
            found = found + 0.0 * input  # PyTorch differentiates it too, to zero
        return found

    def randint(self, run: BlockRun, *args: Any, generator: Any = None, **kwargs: Any) -> Tensor:
        """Whole numbers, each as likely: (high, size) or (low, high, size)."""
        rows = _rows_of(run, kwargs.pop("out", None))
        self._begin(run, generator, "torch.randint")
        low, high, size, made = whole_numbers(args, kwargs)
        drawn = low + self._uniform(run, high - low, math.prod(size))
        dtype = made.get("dtype", self._torch.long)
        return self._tensor(rows, drawn, size, made.get("device")).to(dtype)

    def randperm(self, run: BlockRun, n: int, *, generator: Any = None, **kwargs: Any) -> Tensor:
        """The first n numbers in any order."""
        rows = _rows_of(run, kwargs.pop("out", None))
        self._begin(run, generator, "torch.randperm")
        numbers, each = np.tile(np.arange(n), (run.size, 1)), np.arange(run.size)
        for place in range(n):
            other = place + self._uniform(run, n - place, 1)[:, 0]
            numbers[each, other], numbers[:, place] = numbers[:, place], numbers[each, other].copy()
        dtype = kwargs.get("dtype") or self._torch.long
        return self._tensor(rows, numbers, (n,), kwargs.get("device")).to(dtype)

    def _uniform(self, run: BlockRun, outcomes: int, count: int) -> np.ndarray:
        if outcomes < 1:
            raise NotBatchable("it draws one of no outcomes")
        tables = [np.full((run.size, outcomes), 1.0 / outcomes)] * count
        return run.take(tables, are_fixed=True)

    def _note_log(self, run: BlockRun, given: Tensor, log: Tensor, draws: int) -> None:
        """Logarithms of probabilities, below vmap, of what each row has drawn."""
        total = log.reshape(run.size, -1).sum(1)
        run.note_graph(total, 0 if has_lost_graph(given, log) else draws)

    def _tensor(self, rows: TensorRows, drawn: np.ndarray, shape: Any, device: Any) -> Tensor:
        plain = self._torch.from_numpy(np.ascontiguousarray(drawn, dtype=np.int64))
        plain = plain.reshape(len(drawn), *shape)
        return rows.of_rows(plain if device is None else plain.to(device))


def _rows_of(run: BlockRun, out: Tensor | None) -> TensorRows:
    rows = run.memory.get(ROWS)
    if out is not None or not isinstance(rows, TensorRows):
        raise NotBatchable("it draws into a tensor that all paths share")
    return rows
