"""Adds up a table, block by block."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from gradproof.reference_models.batch import Batch
from gradproof.reference_models.model import Model, group_of

from ..backends.torch_backend import TorchBackend
from ..note.exact import check_finite
from ..note.independence import check_independent
from ..note.label_table import ANALYTIC, ONE_PASS, LabelTable
from ..note.subject import Subject
from . import blocks
from .factored_gradient import FactoredGradient, LabelGradients, LabelMean, Tensor
from .general import GeneralBlock
from .mixed import MixedBlock, find_factorless
from .structured import StructuredBlock

#: Entries of gradients that the general way holds at a time: some 60 MB.
MOST_ENTRIES = 8_000_000


class _TableSums:
    """What a table is made of, as it grows."""

    def __init__(self, subject: Subject, parameters: Mapping[str, Tensor]) -> None:
        n, k = subject.batch.n, subject.model.classes
        groups = dict.fromkeys(map(group_of, parameters))
        self.log_q, self.loss = np.empty((n, k)), np.empty((n, k))
        self.score, self.cross, self.pathwise = (
            {group: np.zeros((n, k)) for group in groups} for _ in range(3)
        )
        self.mean = {form: {g: np.zeros(n) for g in groups} for form in (ONE_PASS, ANALYTIC)}
        self.gradient = {name: value.new_zeros(value.shape) for name, value in parameters.items()}

    def add_labels(self, rows: slice, labels: Sequence[int], found: LabelGradients) -> None:
        """Inner products of a chunk of labels."""
        place = (rows, slice(labels[0], labels[-1] + 1))
        self.log_q[place], self.loss[place] = found.log_q, found.loss
        for sums, first, second in (
            (self.score, found.score, found.score),
            (self.cross, found.score, found.pathwise),
            (self.pathwise, found.pathwise, found.pathwise),
        ):
            for name in first.keys() & second.keys():
                sums[group_of(name)][place] += first[name].inner(second[name]).numpy()

    def add_means(
        self,
        rows: slice,
        score: Mapping[str, Mapping[str, LabelMean]],
        pathwise: Mapping[str, LabelMean],
    ) -> None:
        """Norms of the means of whole sentences, and the batch's gradient.

        Args:
            score: by form and parameter, E[R s]; ``pathwise``: by parameter, E[d].
        """
        for name, mean in pathwise.items():
            if name not in score[ONE_PASS]:
                square = mean.square().numpy()
                for of in self.mean.values():
                    of[group_of(name)][rows] += square
                mean.add_to(self.gradient[name])
        for form, by_name in score.items():
            for name, mean in by_name.items():
                whole = mean + pathwise[name] if name in pathwise else mean
                self.mean[form][group_of(name)][rows] += whole.square().numpy()
                if form == ONE_PASS:
                    whole.add_to(self.gradient[name])

    def table(self) -> LabelTable:
        """What was added up."""
        gradient = {name: value.numpy() for name, value in self.gradient.items()}
        return LabelTable(
            self.log_q, self.loss, self.score, self.cross, self.pathwise, self.mean, gradient
        )


class BatchRun(Protocol):
    """Some sentences at work."""

    def gradients_at(self, labels: Sequence[int]) -> LabelGradients:
        """Log q, L and their gradients at these labels."""


#: Makes a run from the framework, a model, its parameters and sentences.
Kind = Callable[[Any, Model, Mapping[str, Tensor], Batch], BatchRun]


class GradientPlan(NamedTuple):
    """How a batch is run: what makes the gradients, of which sentences and labels at a time."""

    kind: Kind
    slices: list[slice]
    chunks: list[Sequence[int]]


def structured_plan(subject: Subject, pairs: int = blocks.PAIRS) -> GradientPlan:
    """For a model whose parameters enter in layers; another is :class:`NotAnOuterProduct`."""
    return _plan_for(StructuredBlock, subject, pairs)


def general_plan(subject: Subject, entries: int = MOST_ENTRIES) -> GradientPlan:
    """For any model that runs in PyTorch: every gradient is formed.

    Args:
        entries: of gradients that are held at a time; at least those of two labels are.
    """
    return _plan_for(GeneralBlock, subject, _pairs(subject, subject.parameters, entries))


def structured_where_possible(
    torch: Any, subject: Subject, *, layered: bool = False
) -> GradientPlan:
    """By layers for all parameters that enter in them; the gradients of others are formed.

    Args:
        layered: there must be no others.

    Raises:
        NotAnOuterProduct: if there must be no others, and there is one.
    """
    parameters = double_tensors(torch, subject.parameters)
    one = tensors(torch, subject.batch.rows([0]))
    plain = find_factorless(torch, subject.model, parameters, one)
    if layered and plain:
        raise next(iter(plain.values()))
    if not plain:
        return structured_plan(subject)
    if len(plain) == len(parameters):
        return general_plan(subject)
    pairs = min(blocks.PAIRS, _pairs(subject, plain, MOST_ENTRIES))
    return _plan_for(functools.partial(MixedBlock, plain=frozenset(plain)), subject, pairs)


def _pairs(subject: Subject, formed: Iterable[str], entries: int) -> int:
    """Sentences and labels at a time of which the gradients by some parameters may be held."""
    return max(2, entries // sum(np.size(subject.parameters[name]) for name in formed))


def _plan_for(kind: Kind, subject: Subject, pairs: int) -> GradientPlan:
    n, classes = subject.batch.n, subject.model.classes
    return GradientPlan(kind, blocks.sentences(n, classes, pairs), blocks.chunks(classes, pairs))


def runs(
    torch: Any, subject: Subject, parameters: Mapping[str, Tensor], way: GradientPlan
) -> Iterator[tuple[slice, BatchRun]]:
    """Some sentences of a batch after the other, ready to be run.

    Raises:
        ValueError: if a sentence enters another's cost.
    """
    check_independent(subject, TorchBackend(torch))
    for rows in way.slices:
        batch = tensors(torch, subject.batch.rows(rows))
        yield rows, way.kind(torch, subject.model, parameters, batch)


def table(torch: Any, subject: Subject, way: GradientPlan) -> LabelTable:
    """The table of a subject.

    Raises:
        NotAnOuterProduct: if the way is for layers, and a parameter enters in another one.
        ValueError: where log q or L is no number, or if a sentence enters another's cost.
    """
    parameters = double_tensors(torch, subject.parameters)
    sums = _TableSums(subject, parameters)
    for rows, block in runs(torch, subject, parameters, way):
        _add_block(sums, rows, block, way.chunks)
    check_finite(sums.log_q, sums.loss, subject)
    return sums.table()


def _add_block(
    sums: _TableSums, rows: slice, block: BatchRun, chunks: Sequence[Sequence[int]]
) -> None:
    """Add all labels of some sentences."""
    means = _GradientMeans({}, {ONE_PASS: {}, ANALYTIC: {}})
    for labels in chunks:
        _add_chunk(sums, rows, means, block, labels)
    sums.add_means(rows, means.score, means.pathwise)


class _GradientMeans(NamedTuple):
    """E[d] by parameter, and E[R s] by form and parameter, of some sentences."""

    pathwise: dict[str, LabelMean]
    score: dict[str, dict[str, LabelMean]]


def _add_chunk(
    sums: _TableSums, rows: slice, means: _GradientMeans, block: BatchRun, labels: Sequence[int]
) -> None:
    # In a function of its own, so that nothing of one chunk is there when the next one is run.
    found = block.gradients_at(labels)
    sums.add_labels(rows, labels, found)
    q, own = found.log_q.exp(), found.log_q.nan_to_num(neginf=0.0) + 1.0
    _add(means.pathwise, found.pathwise, q)
    _add(means.score[ONE_PASS], found.score, q * (found.loss + own))
    _add(means.score[ANALYTIC], found.score, q * found.loss)


def double_tensors(torch: Any, parameters: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Parameters as tensors of their own, in double precision."""
    return {name: torch.tensor(value).double() for name, value in parameters.items()}


def tensors(torch: Any, batch: Batch) -> Batch:
    """A batch of tensors, in double precision."""
    arrays = {
        name: torch.tensor(array) if array.dtype.kind in "iu" else torch.tensor(array).double()
        for name, array in batch.arrays().items()
    }
    return batch.with_arrays(arrays)


def _add(
    sums: dict[str, LabelMean], gradients: Mapping[str, FactoredGradient], weight: Tensor
) -> None:
    for name, gradient in gradients.items():
        mean = gradient.weigh(weight)
        sums[name] = sums[name] + mean if name in sums else mean
