"""Moments of a model whose parameters enter in layers, from two backward passes and no gradient.

One backward pass of the unweighted sum of L stops at what comes out of each layer; what is left of
the gradient of each sentence and label factors (:mod:`.gradient`). The same for log q.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from gradproof.reference_models.batch import Batch, from_arrays
from gradproof.reference_models.model import Model
from gradproof.reference_models.objective import at_label

from ..backends.torch_backend import TorchOps
from .gradient import Gradient, Places, collect
from .tape import Handle, Tape, Use

#: A tensor of PyTorch.
Tensor = Any

#: Gradients at every sentence and label of a block, by parameter.
Gradients = Mapping[str, Gradient]

#: Places where parameters enter, and the derivative of what came out.
Derived = list[tuple[Use, Tensor]]


class Block:
    """Some sentences of a batch, and their gradients by labels, a chunk of labels at a time.

    Each sentence is run once for each label: what is the same for all of them is computed again,
    but its derivative is then there for each.

    Args:
        torch: the framework.
        parameters: tensors by name.
        batch: of tensors.
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
        with torch.no_grad():
            self.log_q = model.log_q(TorchOps(torch), parameters, batch)

    def at(self, labels: Sequence[int]) -> tuple[Tensor, Gradients, Gradients]:
        """L (N, M) at these labels, and the gradients of log q and of L."""
        shape = self._batch.n, len(labels)
        score, pathwise, loss = self._run(labels)
        places = _places(self._torch, shape[0], [use for use, _ in [*score, *pathwise]])
        return (
            loss.reshape(shape),
            self._gradients(score, shape, places),
            self._gradients(pathwise, shape, places),
        )

    def _run(self, labels: Sequence[int]) -> tuple[Derived, Derived, Tensor]:
        """What log q and L at these labels depend on, and L (1, N M)."""
        m, model = len(labels), self._model
        batch = repeated(self._batch, m)
        draw = self.log_q.new_zeros(self._batch.n, m, model.classes)
        draw[:, range(m), labels] = 1.0
        draw = draw.reshape(batch.n, -1)
        # A label that is never drawn has log q of minus infinity, and no gradient.
        drawable = (self.log_q[:, labels] > -float("inf")).reshape(-1)

        def log_q(tape: Tape, handles: Mapping[str, Handle]) -> Tensor:
            chosen = at_label(tape, model.log_q(tape, handles, batch), draw)
            return self._torch.where(drawable, chosen, 0.0)

        def loss(tape: Tape, handles: Mapping[str, Handle]) -> Tensor:
            return model.loss(tape, handles, batch, draw.unsqueeze(0))

        score, _ = self._derived(log_q, batch.n)
        pathwise, value = self._derived(loss, batch.n)
        return score, pathwise, value

    def _derived(
        self, function: Callable[[Tape, Mapping[str, Handle]], Tensor], rows: int
    ) -> tuple[Derived, Tensor]:
        tape = Tape(self._torch, rows)
        value = function(tape, tape.handles(self._parameters, self._plain))
        if not tape.values:
            return [], value
        found = self._torch.autograd.grad(value.sum(), tape.values, allow_unused=True)
        tape.values.clear()  # and with them all that was kept for the way back
        pairs = zip(tape.uses, found, strict=True)
        return [(use, each) for use, each in pairs if each is not None], value.detach()

    def _gradients(
        self, derived: Derived, shape: tuple[int, int], places: Mapping[str, Places]
    ) -> dict[str, Gradient]:
        by_name: dict[str, Derived] = {}
        for use, each in derived:
            by_name.setdefault(use.name, []).append((use, each))
        return {
            name: collect(self._torch, shape, of, places.get(name)) for name, of in by_name.items()
        }


def repeated(batch: Batch, times: int) -> Batch:
    """Each sentence so many times, one copy after the other."""
    arrays = {name: array.repeat_interleave(times, 0) for name, array in batch.arrays().items()}
    return from_arrays(batch.n * times, batch.t, arrays)


def _places(torch: Any, n: int, uses: Sequence[Use]) -> dict[str, Places]:
    looked: dict[str, list[Tensor]] = {}
    for use in uses:
        if use.kind == "take":
            looked.setdefault(use.name, []).append(use.rows)
    return {name: Places(torch, name, n, rows) for name, rows in looked.items()}
