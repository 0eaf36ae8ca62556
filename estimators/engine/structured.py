"""Moments of a model whose parameters enter in layers, from two backward passes and no gradient.

One backward pass of the unweighted sum of L stops at what comes out of each layer; what is left of
the gradient of each sentence and label factors (:mod:`.gradient`). The same for log q.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from gradproof.reference_models.batch import Batch, from_arrays
from gradproof.reference_models.model import Model

from .factored_gradient import (
    FactoredGradient,
    LabelGradients,
    LookupRows,
    Tensor,
    collect,
)
from .tape import ParameterHandle, ParameterUse, Tape

#: Places where parameters enter, and the derivative of what came out.
Derived = list[tuple[ParameterUse, Tensor]]


class _Cost(NamedTuple):
    """A cost of so many rows, each a sentence and a label, as it is run on a tape."""

    rows: int
    of: Callable[[Tape, Mapping[str, ParameterHandle]], Tensor]


class StructuredBlock:
    """Some sentences of a batch, and their gradients by labels, a chunk of labels at a time.

    Each sentence is run once for each label: what is the same for all of them is computed again,
    but its derivative is then there for each.

    Args:
        plain: parameters of which no gradient is wanted.
    """

    def __init__(
        self,
        torch: Any,
        model: Model,
        parameters: Mapping[str, Tensor],
        batch: Batch,
        plain: Collection[str] = (),
    ) -> None:
        self._torch, self._model, self._parameters, self._batch = torch, model, parameters, batch
        self._plain = plain

    def gradients_at(self, labels: Sequence[int]) -> LabelGradients:
        """Log q, L and their gradients at these labels."""
        shape = self._batch.n, len(labels)
        (score, log_q), (pathwise, loss) = map(self._derive, self._costs(labels))
        places = _places(self._torch, shape[0], [use for use, _ in [*score, *pathwise]])
        return LabelGradients(
            log_q.reshape(shape),
            loss.reshape(shape),
            self._gradients(score, shape, places),
            self._gradients(pathwise, shape, places),
        )

    def check(self, labels: Sequence[int]) -> None:
        """Run without a way back.

        Raises:
            NotAnOuterProduct: if a parameter enters in another way than in layers.
        """
        uses: list[ParameterUse] = []
        with self._torch.no_grad():
            for cost in self._costs(labels):
                uses += self._record(cost)[0].uses
        _places(self._torch, self._batch.n, uses)

    def _costs(self, labels: Sequence[int]) -> tuple[_Cost, _Cost]:
        """Log q and L at these labels, of a tape: (N M,) and (1, N M)."""
        torch, model = self._torch, self._model
        batch = repeat_sentences(self._batch, len(labels))
        draw = torch.eye(model.classes, dtype=torch.float64)[list(labels)].repeat(self._batch.n, 1)

        def log_q(tape: Tape, handles: Mapping[str, ParameterHandle]) -> Tensor:
            # One of them is taken, and none multiplied: a label that is never drawn has log q of
            # minus infinity, and no gradient.
            return model.log_q(tape, handles, batch)[draw > 0.0]

        def loss(tape: Tape, handles: Mapping[str, ParameterHandle]) -> Tensor:
            return model.loss(tape, handles, batch, draw.unsqueeze(0))

        return _Cost(batch.n, log_q), _Cost(batch.n, loss)

    def _record(self, cost: _Cost) -> tuple[Tape, Tensor]:
        tape = Tape(self._torch, cost.rows)
        return tape, cost.of(tape, tape.handles(self._parameters, self._plain))

    def _derive(self, cost: _Cost) -> tuple[Derived, Tensor]:
        tape, value = self._record(cost)
        drawable = value[value > -float("inf")]
        return tape.derivatives(drawable.sum()), value.detach()

    def _gradients(
        self, derived: Derived, shape: tuple[int, int], places: Mapping[str, LookupRows]
    ) -> dict[str, FactoredGradient]:
        by_name: dict[str, Derived] = {}
        for use, each in derived:
            by_name.setdefault(use.name, []).append((use, each))
        return {
            name: collect(self._torch, shape, of, places.get(name)) for name, of in by_name.items()
        }


def repeat_sentences(batch: Batch, times: int) -> Batch:
    """Each sentence so many times, one copy after the other."""
    arrays = {name: array.repeat_interleave(times, 0) for name, array in batch.arrays().items()}
    return from_arrays(batch.n * times, batch.t, arrays)


def _places(torch: Any, n: int, uses: Sequence[ParameterUse]) -> dict[str, LookupRows]:
    looked: dict[str, list[Tensor]] = {}
    for use in uses:
        if use.kind == "take":
            looked.setdefault(use.name, []).append(use.rows)
    return {name: LookupRows(torch, name, n, rows) for name, rows in looked.items()}
