"""The gradient of one parameter at every sentence and label, in factors: not formed, yet measured.

A layer's gradient is a sum over tokens j of outer products row_j (x) column_j. Inner products of
two such sums need only those of their factors: sum_jj' (row_j . row_j')(column_j . column_j').

Reference:
    Goodfellow (2015), Efficient per-example gradient computations.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .tape import NotAnOuterProduct, ParameterUse

#: A tensor of PyTorch.
Tensor = Any


#: Rows that are computed alike differ by this share of the largest at most: products of matrices
#: sum in another order in their last rows, and a thousand roundings are more than layers add up to.
SAME = 1024 * 2.0**-52


@dataclasses.dataclass(frozen=True)
class OuterProducts:
    """sum_j row_j (x) column_j, with ``rows`` (N, M or 1, J, R) and ``columns`` (N, M or 1, J, C).

    At least one of the two differs by label. A vector has no ``columns``: they are 1, and C is 1.
    """

    rows: Tensor
    columns: Tensor | None

    def shape(self) -> tuple[int, int, int, int]:
        """N, M, R and C."""
        n, m, _, height = self.rows.shape
        if self.columns is None:
            return n, m, height, 1
        return n, max(m, self.columns.shape[1]), height, self.columns.shape[-1]

    def is_zero(self, some: slice, *, turned: bool) -> bool:
        """Whether some rows, or columns, are zero for sure: those of labels that are not there."""
        wide = self.rows if turned or self.columns is None else self.columns
        return wide.shape[2] == 1 and not bool(wide[..., some].any())

    def add_to(self, total: Tensor, some: slice, *, turned: bool, first: bool) -> None:
        """Add some rows to a total (N, M, C, R'), if turned, or some columns to (N, M, R, C').

        Args:
            first: what was in the total does not count.
        """
        n, m = total.shape[:2]
        if self.columns is None:
            summed = self.rows.sum(2).unsqueeze(2 if turned else 3)[..., some]
            total.copy_(summed if first else total + summed)
            return
        narrow, wide = (self.columns, self.rows) if turned else (self.rows, self.columns)
        narrow, wide = (each.expand(n, m, -1, -1) for each in (narrow, wide[..., some]))
        pairs = [each.reshape(n * m, *each.shape[2:]) for each in (narrow, wide)]
        # With a factor 0 what was there does not count, not even if it was NaN.
        flat = total.view(n * m, *total.shape[2:])
        flat.baddbmm_(pairs[0].mT, pairs[1], beta=0 if first else 1)


@dataclasses.dataclass(frozen=True)
class LookupGradient:
    """Gradient rows of a table: row ``where`` (N, U), each once, is ``columns`` (N, M, U, C)."""

    where: Tensor
    columns: Tensor


@dataclasses.dataclass(frozen=True)
class FactoredGradient:
    """One parameter's gradient at N sentences and M labels."""

    outers: tuple[OuterProducts, ...]
    lookup: LookupGradient | None

    def own_row(self) -> Tensor | None:
        """The row (N, M) that all of a label's gradient is in, where there is one."""
        if self.lookup is not None or len(self.outers) != 1 or self.outers[0].columns is None:
            return None
        rows = self.outers[0].rows
        if rows.shape[2] != 1 or rows.shape[3] == 1:
            return None
        there = rows[:, :, 0] != 0.0
        if not bool((there.sum(2) == 1).all()):
            return None
        return there.long().argmax(2).expand(-1, self.outers[0].shape()[1])

    def row(self) -> Tensor:
        """That row, (N, M, C)."""
        rows, columns = self.outers[0].rows, self.outers[0].columns
        assert columns is not None, "own_row() says so"
        return rows.sum(3) * columns[:, :, 0]

    def inner(self, other: FactoredGradient) -> Tensor:
        """The inner product at each sentence and label, (N, M)."""
        total = 0.0
        for first in self.outers:
            for second in other.outers:
                total = total + _outer_inner(first, second)
        for lookup, outers in ((self.lookup, other.outers), (other.lookup, self.outers)):
            if lookup is not None:
                total = total + sum(_mixed_inner(lookup, outer) for outer in outers)
        if self.lookup is not None and other.lookup is not None:
            total = total + (self.lookup.columns * other.lookup.columns).sum((-1, -2))
        return total

    def weigh(self, weight: Tensor) -> LabelMean:
        """The sum over labels with weights (N, M)."""
        dense = None
        for outer in self.outers:
            found = _outer_sum(outer, weight)
            dense = found if dense is None else dense + found
        if self.lookup is None:
            return LabelMean(dense, None, None)
        return LabelMean(dense, self.lookup.where, _weigh(self.lookup.columns, weight).sum(1))


@dataclasses.dataclass(frozen=True)
class LabelMean:
    """A weighted sum over labels: ``dense`` (N, R, C) and rows ``where`` (N, U) of it apart."""

    dense: Tensor | None
    where: Tensor
    columns: Tensor | None

    def __add__(self, other: LabelMean) -> LabelMean:
        """The sum of two, whose rows apart are the same ones."""
        where = self.where if self.where is not None else other.where
        return LabelMean(_sum(self.dense, other.dense), where, _sum(self.columns, other.columns))

    def square(self) -> Tensor:
        """The squared norm at each sentence, (N,)."""
        total = 0.0
        if self.dense is not None:
            total = total + self.dense.norm(dim=(1, 2)).square()
        if self.columns is None:
            return total
        total = total + self.columns.norm(dim=(1, 2)).square()
        if self.dense is not None:
            total = total + 2.0 * (_rows(self.dense, self.where) * self.columns).sum((-1, -2))
        return total

    def add_to(self, gradient: Tensor) -> None:
        """Add the sum over sentences to a parameter's gradient."""
        if self.dense is not None:
            gradient += self.dense.sum(0).reshape(gradient.shape)
        if self.columns is not None:
            rows = self.columns.reshape(-1, *gradient.shape[1:])
            gradient.index_add_(0, self.where.reshape(-1), rows)


#: Gradients at every sentence and label of a block, by parameter.
Gradients = Mapping[str, FactoredGradient]


class LabelGradients(NamedTuple):
    """N sentences at M labels: log q and L (N, M), and the gradients of both by parameter."""

    log_q: Tensor
    loss: Tensor
    score: Gradients
    pathwise: Gradients


def collect(
    torch: Any,
    shape: tuple[int, int],
    derivatives: Sequence[tuple[ParameterUse, Tensor]],
    places: LookupRows | None,
) -> FactoredGradient:
    """The gradient of the parameter that all these uses are of.

    Args:
        shape: (N, M).
        derivatives: uses, and the derivative of each one's value, (N, M, ...) or (N M, ...).
        places: where the rows of its lookups go.
    """
    parts: dict[tuple[Any, ...], list[tuple[Tensor, Tensor | None]]] = {}
    looked: list[tuple[Tensor, Tensor]] = []
    for use, derivative in derivatives:
        outgoing = derivative.reshape(*shape, -1, use.width)
        if use.kind == "take":
            looked.append((use.rows, outgoing))
        elif use.kind == "add":
            parts.setdefault(("add",), []).append((outgoing.sum(2, keepdim=True), None))
        else:
            incoming = _layer_input(use.rows, outgoing)
            pair = (outgoing, incoming) if use.turned else (incoming, outgoing)
            parts.setdefault(("dot", use.turned, incoming.shape[1]), []).append(pair)
    outers = tuple(_join(torch, pairs) for pairs in parts.values())
    return FactoredGradient(
        outers, places.gather(looked) if places is not None and looked else None
    )


def _layer_input(x: Tensor, outgoing: Tensor) -> Tensor:
    """A layer's input as (N, M, J, D), or (N, 1, J, D) where it is the same for every label."""
    n, m, j, _ = outgoing.shape
    rows = x.reshape(n, -1, j, x.shape[-1])
    if rows.shape[1] != m:
        return rows
    first = rows[:, :1]
    same = (rows - first).abs().amax() <= SAME * first.abs().amax()
    return first if bool(same) else rows


class LookupRows:
    """The rows of a table that the sentences of a block look up, each once.

    Args:
        name: of the table.
        n: N.
        lookups: row numbers of every use, (N, ...) or (N M, ...).

    Raises:
        NotAnOuterProduct: if a sentence looks up other rows for other labels.
    """

    def __init__(self, torch: Any, name: str, n: int, lookups: Sequence[Tensor]) -> None:
        self._torch, self._name, self._n = torch, name, n
        looked = torch.cat([self._rows_by_sentence(rows) for rows in lookups], dim=1)
        found = [torch.unique(each) for each in looked]
        self.where = torch.zeros(n, max(map(len, found)), dtype=torch.long)
        self._known = torch.zeros_like(self.where, dtype=torch.bool)
        for row, values in enumerate(found):
            self.where[row, : len(values)] = values
            self._known[row, : len(values)] = True

    def gather(self, looked: Sequence[tuple[Tensor, Tensor]]) -> LookupGradient:
        """Sum what belongs to one row, over uses: row numbers, and (N, M, J, C)."""
        rows = self._torch.cat([self._rows_by_sentence(rows) for rows, _ in looked], dim=1)
        columns = self._torch.cat([each for _, each in looked], dim=2)
        pick = (self.where[:, :, None] == rows[:, None, :]) & self._known[:, :, None]
        n, m, j, c = columns.shape
        moved = columns.transpose(1, 2).reshape(n, j, m * c)
        summed = pick.to(columns.dtype) @ moved
        return LookupGradient(self.where, summed.reshape(n, -1, m, c).transpose(1, 2))

    def _rows_by_sentence(self, rows: Tensor) -> Tensor:
        """Row numbers as (N, J)."""
        if len(rows) == self._n:
            return rows.reshape(self._n, -1)
        by_label = rows.reshape(self._n, len(rows) // self._n, -1)
        if not bool((by_label == by_label[:, :1]).all()):
            raise NotAnOuterProduct(self._name, "looked up in other rows for other labels")
        return by_label[:, 0]


def _join(torch: Any, pairs: Sequence[tuple[Tensor, Tensor | None]]) -> OuterProducts:
    rows, columns = zip(*pairs, strict=True)
    if columns[0] is None:
        return OuterProducts(sum(rows), None)
    if len(pairs) == 1:
        return OuterProducts(rows[0], columns[0])
    return OuterProducts(torch.cat(rows, dim=2), torch.cat(columns, dim=2))


def _outer_inner(first: OuterProducts, second: OuterProducts) -> Tensor:
    product = _gram(first.rows, second.rows)
    if first.columns is not None and second.columns is not None:
        product = product * _gram(first.columns, second.columns)
    return product.sum((-1, -2))


def _gram(first: Tensor, second: Tensor) -> Tensor:
    """Inner products of vectors j and j': (N, M or 1, J, J')."""
    n, m, j, width = first.shape
    if second.shape[1] != m:
        if j == 1 and second.shape[2] == 1:
            return (first * second).sum(-1, keepdim=True)
        return first @ second.mT
    # One product of three axes: of four, PyTorch would copy what it transposes. Of single vectors,
    # which may be whole gradients, it takes half the time of entries multiplied and then summed.
    gram = first.reshape(n * m, j, width).bmm(second.reshape(n * m, -1, width).mT)
    return gram.reshape(n, m, j, -1)


def _mixed_inner(lookup: LookupGradient, outer: OuterProducts) -> Tensor:
    n, m, j, _ = outer.rows.shape
    picked = outer.rows.gather(3, lookup.where[:, None, None, :].expand(n, m, j, -1))
    if outer.columns is None:
        return (picked * lookup.columns.mT).sum((-1, -2))
    return (picked * (outer.columns @ lookup.columns.mT)).sum((-1, -2))


def _outer_sum(outer: OuterProducts, weight: Tensor) -> Tensor:
    rows, columns = outer.rows, outer.columns
    m = weight.shape[1]
    if columns is None:
        return (weight.unsqueeze(1) @ rows[:, :, 0]).mT  # a vector: there is one of its rows
    if rows.shape[1] != m:
        return rows[:, 0].mT @ _weigh(columns, weight).sum(1)
    if columns.shape[1] != m:
        return _weigh(rows, weight).sum(1).mT @ columns[:, 0]
    # Weighted where it is narrow, and multiplied narrow times wide: a third less time.
    if rows.shape[-1] > columns.shape[-1]:
        return _product(_weigh(columns, weight), rows).mT
    return _product(_weigh(rows, weight), columns)


def _product(first: Tensor, second: Tensor) -> Tensor:
    """(N, M, J, R) and (N, M, J, C), summed over labels and tokens: (N, R, C)."""
    n = len(first)
    return first.reshape(n, -1, first.shape[-1]).mT @ second.reshape(n, -1, second.shape[-1])


def _weigh(tensor: Tensor, weight: Tensor) -> Tensor:
    return tensor * weight[:, :, None, None]


def _rows(dense: Tensor, where: Tensor) -> Tensor:
    return dense.gather(1, where[:, :, None].expand(-1, -1, dense.shape[2]))


def _sum(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    if first is None or second is None:
        return second if first is None else first
    return first + second
