"""What training asks of PyTorch beside gradients: values of the same pass, and its own Adam."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

from . import load
from .backend import Arrays, Build
from .torch_backend import TorchBackend

#: Adam's two running means for each parameter, and their names in PyTorch.
MOMENTS = {"mean": "exp_avg", "square": "exp_avg_sq"}


class TorchTraining(TorchBackend):
    """PyTorch, for one step of training at a time. It keeps nothing from one call to the next."""

    def gradient_and_values(
        self, build: Build, parameters: Arrays, inputs: Arrays
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The gradient of the scalar ``cost`` of a build, and all that it gives beside, by name."""
        leaves = self._tensors(parameters, traced=True)
        values = build(self._ops, leaves, self._tensors(inputs))
        gradients = {
            name: np.zeros_like(parameters[name]) if found is None else found.numpy()
            for name, found in self._gradients(values.pop("cost"), leaves).items()
        }
        return gradients, {name: value.numpy() for name, value in values.items()}

    def adam(
        self,
        parameters: Arrays,
        gradients: Arrays,
        moments: Arrays,
        *,
        taken: int,
        learning_rate: float,
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """One step of :class:`torch.optim.Adam`.

        Args:
            moments: ``mean.<name>`` and ``square.<name>`` for each parameter; none: zeros.
            taken: steps taken before this one.

        Returns:
            The parameters and the moments after the step.

        Reference:
            Kingma and Ba (2015), Adam: a method for stochastic optimization.
        """
        leaves = self._tensors(parameters, traced=True)
        optimiser = self._torch.optim.Adam(leaves.values(), lr=learning_rate)
        for name, leaf in leaves.items():
            leaf.grad = self._torch.tensor(gradients[name])
            optimiser.state[leaf] = {"step": self._torch.tensor(float(taken))} | {
                theirs: self._torch.tensor(moments[f"{ours}.{name}"])
                if moments
                else self._torch.zeros_like(leaf, requires_grad=False)
                for ours, theirs in MOMENTS.items()
            }
        optimiser.step()
        after = {
            f"{ours}.{name}": optimiser.state[leaf][theirs].numpy()
            for ours, theirs in MOMENTS.items()
            for name, leaf in leaves.items()
        }
        return {name: leaf.detach().numpy() for name, leaf in leaves.items()}, after


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """PyTorch on some threads of the processor, and afterwards on as many as before.

    Raises:
        ValueError: if there is none.
        BackendMissing: if PyTorch is not installed.
    """
    if count < 1:
        raise ValueError(f"threads = {count}, expected 1 or more")
    load("torch")
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def torch_training() -> TorchTraining:
    """PyTorch for training.

    Raises:
        BackendMissing: if it is not installed; the message holds the command that installs it.
    """
    load("torch")
    import torch

    return TorchTraining(torch)
