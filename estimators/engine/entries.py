"""The variance of every single parameter entry, as a parabola of B, without a table of gradients.

Gradients are formed for some rows of a matrix at a time, squared, weighed and forgotten.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from gradproof.reference_models.model import Parameters

from ..note.subject import Subject
from .accumulate import BatchRun, GradientPlan, double_tensors, runs
from .factored_gradient import FactoredGradient, Tensor

#: Entries of gradients that are formed at a time: enough that what is done with them outweighs that
#: it is begun, and little beside a model's own memory.
FORMED = 1_600_000


@dataclasses.dataclass(frozen=True)
class Entries:
    """V(E[R] + b) = value - 2 b slope + b^2 curvature, by parameter and entry.

    Estimand: the variance of the batch's estimate (R - B) s + d over the labels drawn.
    Valid when: labels are drawn independently, and no sentence enters another's cost.
    Shape: ``centre`` (N,), E[R] of each sentence, to which the same b is added for all; the others
    are by name, of the parameters' shapes. ``least`` is the variance with the best B of each entry
    and sentence; ``at`` that with each baseline that was asked for.
    Reference: the derivation of claim ``baseline.variance``.
    """

    centre: np.ndarray
    value: Parameters
    slope: Parameters
    curvature: Parameters
    least: Parameters
    at: Mapping[str, Parameters]


def entries(
    torch: Any,
    subject: Subject,
    way: GradientPlan,
    baselines: Mapping[str, np.ndarray] | None = None,
) -> Entries:
    """Moments of each entry.

    Args:
        baselines: by name, B of each sentence, (N,), whose variances are wanted too.

    Raises:
        NotAnOuterProduct: if the way is for layers, and a parameter enters in another one.
        ValueError: for a baseline that is not a finite number for each sentence, or if a sentence
            enters another's cost.
    """
    n = subject.batch.n
    wanted = {name: _check_baseline(name, value, n) for name, value in (baselines or {}).items()}
    parameters = double_tensors(torch, subject.parameters)
    sums = {name: _EntrySums(value, list(wanted)) for name, value in parameters.items()}
    centre = np.empty(n)
    for rows, block in runs(torch, subject, parameters, way):
        chosen = {name: torch.tensor(value[rows]) for name, value in wanted.items()}
        centre[rows] = _add_block(block, sums, chosen, way.chunks)
    parts = ("value", "slope", "curvature", "least")
    found = {part: {name: of.array(part) for name, of in sums.items()} for part in parts}
    at = {name: {key: of.array(name) for key, of in sums.items()} for name in wanted}
    return Entries(centre, **found, at=at)


def _check_baseline(name: str, value: np.ndarray, n: int) -> np.ndarray:
    value = np.asarray(value, np.float64)
    if value.shape != (n,) or not np.isfinite(value).all():
        raise ValueError(
            f"baseline {name!r} has shape {value.shape} and values {value!r:.60}, expected {n} "
            "finite numbers, one for each sentence"
        )
    return value


class _EntrySums:
    """What is known of one parameter's entries, as it grows."""

    def __init__(self, parameter: Tensor, wanted: list[str]) -> None:
        self._shape = parameter.shape
        height = len(parameter) if parameter.ndim else 1  # a number is a matrix of one entry
        self._of = {
            part: parameter.new_zeros(height, parameter.numel() // height)
            for part in ("value", "slope", "curvature", "least", *wanted)
        }

    def array(self, part: str) -> np.ndarray:
        """A sum, of the parameter's shape."""
        return self._of[part].reshape(self._shape).numpy()

    def add(self, part: str, where: Tensor | None, amount: Tensor) -> None:
        """Add (R, C), or (N, U, C) to the rows ``where`` (N, U)."""
        if where is None:
            # A gradient that was formed whole is a vector, whatever its parameter's shape.
            self._of[part] += amount.reshape(self._of[part].shape)
        else:
            self._of[part].index_add_(0, where.reshape(-1), amount.reshape(-1, amount.shape[-1]))


def _add_block(
    block: BatchRun,
    sums: Mapping[str, _EntrySums],
    chosen: Mapping[str, Tensor],
    chunks: Sequence[Sequence[int]],
) -> np.ndarray:
    """Add all labels of some sentences; E[R] of each, (N,)."""
    parts: dict[str, _Part] = {}
    # E[R] is known after the last chunk only: until then the first one's mean stands for it.
    start, centre = _add_chunk(block, parts, chunks[0], None)
    for labels in chunks[1:]:
        centre = centre + _add_chunk(block, parts, labels, start)[1]
    for name, part in parts.items():
        part.finish(sums[name], centre - start, {key: b - centre for key, b in chosen.items()})
    return centre.numpy()


def _add_chunk(
    block: BatchRun, parts: dict[str, _Part], labels: Sequence[int], start: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Add some labels; the centre that was taken, and the part of E[R] that is theirs, (N,)."""
    log_q, loss, score, pathwise = block.gradients_at(labels)
    q = log_q.exp()
    returns = loss + log_q.nan_to_num(neginf=0.0) + 1.0
    weighed = (q * returns).sum(1)
    if start is None:
        total = q.sum(1)
        start = weighed / total.masked_fill(total == 0.0, 1.0)  # all may have probability 0
    rest = returns - start[:, None]
    for name in {**score, **pathwise}:
        part = parts.setdefault(name, _Part(score.get(name), pathwise.get(name)))
        part.add(score.get(name), pathwise.get(name), q, rest)
    return start, weighed


class _Part:
    """Sums over the labels of some sentences, for one parameter.

    Its entries lie as they are multiplied fastest: the longer side of the matrix last. Rows that
    are looked up, and nothing else, are kept as (U, C).
    """

    def __init__(self, score: FactoredGradient | None, pathwise: FactoredGradient | None) -> None:
        gradients = [of for of in (score, pathwise) if of is not None]
        self._scored = score is not None
        looked = all(not of.outers for of in gradients)
        self._where: Any = gradients[0].lookup.where if looked and gradients[0].lookup else None
        # Made when the first labels come.
        self._second: Any = None
        self._mean: Any = None
        self._slope: Any = None
        self._curvature: Any = None
        if self._where is None:
            outer = next(outer for of in gradients for outer in of.outers)
            height, width = outer.shape()[2:]
            self._longer, self._shorter = max(height, width), min(height, width)
            self._turned = height > width

    def add(
        self,
        score: FactoredGradient | None,
        pathwise: FactoredGradient | None,
        q: Tensor,
        rest: Tensor,
    ) -> None:
        """Add a chunk of labels, q and R - c (N, M)."""
        own = None if self._where is not None else _own_rows(score, pathwise)
        if own is not None:
            self._add_rows(own, score, pathwise, q, rest)
            return
        common = None if self._where is not None else _common_vector(score, pathwise)
        for some, s, d in self._form_gradients(score, pathwise, common):
            g: Any = d
            if s is not None:
                g = rest[:, :, None, None] * s
                g = g if d is None else g.add_(d)
                self._slope[..., some] += self._spread(_sum_labels(q, s * g), common, 2)
                curvature = _sum_labels(q, s.square_())
                self._curvature[..., some] += self._spread(curvature, common, 2)
            self._mean[..., some] += self._spread(_sum_labels(q, g), common, 1)
            self._second[..., some] += self._sum_over(q, g.square_(), common)

    def _add_rows(
        self,
        own: Tensor,
        score: FactoredGradient | None,
        pathwise: FactoredGradient | None,
        q: Tensor,
        rest: Tensor,
    ) -> None:
        """Add a chunk of labels at which the gradient is one row of the matrix, row ``own`` (N, M).

        So it is with a layer whose input is the label: all other rows would be formed, and be zero.
        """
        s, d = (None if of is None else of.row() for of in (score, pathwise))
        n, m = own.shape
        if self._mean is None:
            outer = next(of for of in (score, pathwise) if of is not None).outers[0]
            self._begin(outer.rows.new_empty(n, self._shorter, self._longer))

        def add(total: Tensor, amount: Tensor) -> None:
            of_row = total.mT if self._turned else total
            sentence = own.new_zeros(n, 1) if len(total) == 1 else own.new_tensor(range(n))[:, None]
            of_row.index_put_((sentence.expand(n, m), own), q[:, :, None] * amount, accumulate=True)

        g: Any = d
        if s is not None:
            g = rest[:, :, None] * s
            g = g if d is None else g + d
            add(self._slope, s * g)
            add(self._curvature, s.square())
        add(self._mean, g)
        add(self._second, g.square())

    def _sum_over(self, q: Tensor, g: Tensor, common: Tensor | None) -> Tensor:
        # What does not move with the centre need not be known of each sentence.
        if self._scored or self._where is not None:
            return self._spread(_sum_labels(q, g), common, 2)
        if common is not None:
            return self._spread(_sum_labels(q, g), common, 2).sum(0, keepdim=True)
        return (q.reshape(1, -1) @ g.reshape(q.numel(), -1)).reshape(1, *g.shape[2:])

    def _spread(self, amount: Tensor, common: Tensor | None, power: int) -> Tensor:
        """Sums (N, 1, C) over columns, of gradients that are all outer products with one vector."""
        if common is None:
            return amount
        vector = common**power
        return amount.mT * vector[:, None] if self._turned else vector[:, :, None] * amount

    def _form_gradients(
        self,
        score: FactoredGradient | None,
        pathwise: FactoredGradient | None,
        common: Tensor | None,
    ) -> Iterator[tuple[slice, Tensor | None, Tensor | None]]:
        """Gradients (N, M, ., .), for some of what lies last at a time; they may be overwritten."""
        gradients = (score, pathwise)
        if self._where is not None:
            whole: list[Any] = [
                of.lookup.columns.clone() if of and of.lookup else None for of in gradients
            ]
            if self._mean is None:
                self._begin(next(of for of in whole if of is not None)[:, 0])
            yield slice(None), whole[0], whole[1]
            return
        outer = next(outer for of in gradients if of is not None for outer in of.outers)
        n, m = outer.shape()[:2]
        step = min(max(1, FORMED // (n * m * self._shorter)), self._longer)
        if self._mean is None:
            self._begin(outer.rows.new_empty(n, self._shorter, self._longer))
        if common is not None:
            columns: list[Any] = [None if of is None else of.outers[0].columns for of in gradients]
            first, second = (None if each is None else each.clone() for each in columns)
            yield slice(None), first, second
            return
        # Fresh memory for each of them would take longer than what is done with it.
        room = [outer.rows.new_empty(n * m * self._shorter * step) for _ in gradients]
        for start in range(0, self._longer, step):
            some = slice(start, min(start + step, self._longer))
            if all(_is_zero(of, some, turned=self._turned) for of in gradients):
                continue
            size = n, m, self._shorter, some.stop - some.start
            places = [vector[: prod(size)].view(size) for vector in room]
            formed = [
                None if of is None else _form_some(of, some, place, turned=self._turned)
                for of, place in zip(gradients, places, strict=True)
            ]
            yield some, formed[0], formed[1]

    def _begin(self, like: Tensor) -> None:
        self._mean = like.new_zeros(like.shape)
        alone = self._scored or self._where is not None
        self._second = like.new_zeros(like.shape if alone else (1, *like.shape[1:]))
        if self._scored:
            self._slope, self._curvature = (like.new_zeros(like.shape) for _ in range(2))

    def finish(self, sums: _EntrySums, moved: Tensor, shifts: Mapping[str, Tensor]) -> None:
        """Take off the squared means, and move the centre to where it is (by (N,))."""

        def add(part: str, amount: Tensor) -> None:
            if self._where is None:
                amount = amount.sum(0).T if self._turned else amount.sum(0)
            sums.add(part, self._where, amount)

        if not self._scored:
            squares = self._mean.square_()
            alone = squares if self._where is not None else squares.sum(0, keepdim=True)
            value = self._second - alone
            for part in ("value", "least", *shifts):
                add(part, value)
            return
        move = moved[:, None, None]
        value = self._second - self._mean.square_()
        value = value + move**2 * self._curvature - 2.0 * move * self._slope
        slope = self._slope - move * self._curvature
        add("value", value)
        add("slope", slope)
        add("curvature", self._curvature)
        # An entry that no score reaches has no best baseline, and loses nothing.
        reached = self._curvature.masked_fill(self._curvature == 0.0, 1.0)
        add("least", value - slope.square() / reached)
        for name, shift in shifts.items():
            by = shift[:, None, None]
            add(name, value + by**2 * self._curvature - 2.0 * by * slope)


def _common_vector(
    score: FactoredGradient | None, pathwise: FactoredGradient | None
) -> Tensor | None:
    """The vector (N, R) that all gradients are outer products with, where there is one.

    So it is with a layer whose input is the same for every label: the classifier's last one, with a
    column for each label, is the largest of them.
    """
    vectors: list[Tensor] = []
    for of in (score, pathwise):
        if of is None:
            continue
        if of.lookup is not None or len(of.outers) != 1 or of.outers[0].columns is None:
            return None
        rows = of.outers[0].rows
        if rows.shape[1:3] != (1, 1) or of.outers[0].columns.shape[2] != 1:
            return None
        vectors.append(rows[:, 0, 0])
    return vectors[0] if all(bool((each == vectors[0]).all()) for each in vectors) else None


def _own_rows(score: FactoredGradient | None, pathwise: FactoredGradient | None) -> Tensor | None:
    """The row (N, M) of the matrix that all of a label's gradient is in, where there is one."""
    found = [of.own_row() for of in (score, pathwise) if of is not None]
    first = found[0]
    if first is None or any(of is None or not bool((of == first).all()) for of in found):
        return None
    return first


def _is_zero(gradient: FactoredGradient | None, some: slice, *, turned: bool) -> bool:
    if gradient is None:
        return True
    zero = all(outer.is_zero(some, turned=turned) for outer in gradient.outers)
    return zero and gradient.lookup is None


def _form_some(gradient: FactoredGradient, some: slice, total: Tensor, *, turned: bool) -> Tensor:
    """Some rows of a gradient as (N, M, C, R'), if turned, or some columns as (N, M, R, C').

    Args:
        total: where it is put, of that shape.
    """
    if not gradient.outers:
        total.zero_()
    for place, outer in enumerate(gradient.outers):
        outer.add_to(total, some, turned=turned, first=place == 0)
    if gradient.lookup is not None:
        where, columns = gradient.lookup.where, gradient.lookup.columns.transpose(1, 2)
        rows = total.permute(0, 3, 1, 2) if turned else total.transpose(1, 2)
        if turned:
            n, place = ((where >= some.start) & (where < some.stop)).nonzero(as_tuple=True)
            to = where[n, place] - some.start
        else:
            n, place = (where >= 0).nonzero(as_tuple=True)
            to, columns = where[n, place], columns[..., some]
        # Accumulated: what fills `where` up is all row 0, and adds nothing to it.
        rows.index_put_((n, to), columns[n, place], accumulate=True)
    return total


def _sum_labels(q: Tensor, formed: Tensor) -> Tensor:
    """sum_m q formed, (N, M, A, B) -> (N, A, B)."""
    n, m, a, b = formed.shape
    return (q.unsqueeze(1) @ formed.reshape(n, m, a * b)).reshape(n, a, b)
