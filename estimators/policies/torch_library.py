"""What a policy needs of PyTorch, whose parameters belong to the model."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from ..enumeration.estimator import UserFunction, leaves_of
from ..enumeration.frameworks.torch_doubled import doubled, lifted_arithmetic
from ..enumeration.gradients import array_of, by_name
from .completions import Completions
from .model_library import CompletionPolicy, Loss, check_loss_value

#: A tensor.
Tensor = Any


class TorchLibrary:
    """PyTorch; see the protocol for what each returns."""

    name, array, returns, lifts = "PyTorch", "a tensor", "surrogate", True

    def call(self, model: Any, parameters: Any, prefixes: Any) -> Any:
        """See the protocol."""
        import torch

        del parameters  # they are the model's own
        return model(torch.as_tensor(prefixes, dtype=torch.int64).to(_device(model)))

    def is_floating(self, value: Any) -> bool:
        """See the protocol."""
        import torch

        return isinstance(value, torch.Tensor) and value.is_floating_point()

    def double(self, array: Tensor) -> Tensor:
        """See the protocol."""
        return array.cpu().double()

    def held(self, array: Tensor) -> np.ndarray:
        """See the protocol."""
        try:
            return array_of(array)
        except RuntimeError:  # under torch.func.grad a tensor has no memory, and yet its numbers
            return np.array(array.detach().tolist())

    def numpy(self, held: Any) -> Any:
        """See the protocol."""
        return np

    def constant(self, array: np.ndarray) -> Tensor:
        """See the protocol."""
        import torch

        return torch.from_numpy(np.array(array))

    def added_up(self, rows: Tensor, places: Tensor, count: int) -> Tensor:
        """See the protocol."""
        return rows.new_zeros(count, rows.shape[1]).index_add_(0, places, rows)

    def where(self, condition: Any, array: Tensor, other: float) -> Tensor:
        """See the protocol."""
        return array.masked_fill(~self.constant(condition), other)

    def exp(self, array: Tensor) -> Tensor:
        """See the protocol."""
        return array.exp()

    def log_softmax(self, array: Tensor) -> Tensor:
        """See the protocol."""
        return array.log_softmax(-1)

    def concatenate(self, arrays: list[Tensor]) -> Tensor:
        """See the protocol."""
        import torch

        return torch.cat(arrays)

    def without_graph(self) -> AbstractContextManager[Any]:
        """See the protocol."""
        import torch

        no_grad: AbstractContextManager[Any] = torch.no_grad()
        return no_grad

    def exact_gradient(
        self, total: Callable[[Any], Tensor], parameters: Any
    ) -> dict[str, np.ndarray]:
        """See the protocol."""
        import torch

        single = any(leaf.dtype is torch.float32 for leaf in parameters.values())
        code = UserFunction(lambda: self.gradient(total, parameters))
        finer = doubled(code) if single else lifted_arithmetic()
        # What cannot be run in double precision is run as it is, and raises what it raises. What a
        # model keeps from its first call, such as a mask, is not kept in double precision.
        with contextlib.suppress(Exception), code.restoring_state(), finer:
            return code.function()
        return self.gradient(total, parameters)

    def gradient(self, total: Callable[[Any], Tensor], parameters: Any) -> dict[str, np.ndarray]:
        """See the protocol."""
        import torch

        value = total(parameters)
        if not value.requires_grad:
            raise ValueError(
                "no parameter moves the goal: the policy's logits have no graph; is there a "
                "detach() or no_grad() in it, or are parameters= those of another model?"
            )
        leaves = list(parameters.values())
        gradients = torch.autograd.grad(value, leaves, allow_unused=True)
        return {
            name: array_of(torch.zeros_like(leaf) if each is None else each)
            for (name, leaf), each in zip(parameters.items(), gradients, strict=True)
        }

    def scores(self, policy: CompletionPolicy, prefixes: list[np.ndarray]) -> dict[str, np.ndarray]:
        """See the protocol; one token after the other."""
        import torch

        leaves, rows = policy.parameters, []
        for each in prefixes:
            for value in policy.next_log_probs(each).flatten():
                found: tuple[Tensor | None, ...] = (None,) * len(leaves)
                if value.isfinite():
                    found = torch.autograd.grad(
                        value, list(leaves.values()), retain_graph=True, allow_unused=True
                    )
                rows.append(found)
        return {
            name: np.stack(
                [np.zeros(leaf.shape) if row[n] is None else array_of(row[n]) for row in rows]
            ).astype(np.float64)
            for n, (name, leaf) in enumerate(leaves.items())
        }

    def count(self, parameters: Any) -> int:
        """See the protocol."""
        return sum(leaf.numel() for leaf in parameters.values())

    def derivative(self, loss: Loss, *given: Tensor) -> Tensor:
        """See the protocol."""
        import torch

        leaf = given[0].clone().requires_grad_()
        value = loss(leaf, *given[1:])
        check_loss_value(self, value)
        if not value.requires_grad:
            return torch.zeros_like(leaf)
        (found,) = torch.autograd.grad(value.sum(), leaf, allow_unused=True)
        return torch.zeros_like(leaf) if found is None else found

    def derivatives(self, loss: Loss, *given: Tensor) -> Tensor:
        """See the protocol."""
        import torch

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of operations that are mapped in a loop
            return torch.func.vmap(torch.func.grad(loss))(*given)

    def reaches(self, loss: Loss, parameters: Any, *given: Tensor) -> bool:
        """See the protocol."""
        import torch

        value = loss(given[0].clone().requires_grad_(), *given[1:])
        check_loss_value(self, value)
        if not value.requires_grad:
            return False
        leaves = list(parameters.values())
        found = torch.autograd.grad(value.sum(), leaves, allow_unused=True)
        return any(each is not None for each in found)

    def parameters(self, model: Any, parameters: Any) -> dict[str, Tensor]:
        """See the protocol."""
        owner = model if parameters is None else parameters
        if parameters is None and not hasattr(model, "named_parameters"):
            raise TypeError(
                f"the model is {model!r:.60}, which names no parameters: pass parameters=, the "
                "tensors that gradients are by, or the pytree of JAX's arrays that is the model's "
                "first argument"
            )
        leaves = by_name(leaves_of(owner), "parameters")
        if not leaves:
            raise TypeError(
                "there is no parameter that requires a gradient; call requires_grad_() on one, or "
                "pass parameters="
            )
        return leaves

    def moved(self, policy: CompletionPolicy, parameters: Any) -> Any:
        """See the protocol: there is no such thing."""
        raise TypeError(
            "at() is of policies of JAX, whose models are functions of their parameters: the "
            "parameters of PyTorch's are its own, and are followed where they are moved"
        )

    def as_model(self, reference: Any) -> Any:
        """See the protocol."""
        return reference

    def sample(self, policy: CompletionPolicy, count: int, prompt: int, key: Any) -> Completions:
        """See the protocol; by ``torch.multinomial``."""
        import torch

        if key is not None:
            raise TypeError(
                f"key = {key!r:.60}, and the policy is of PyTorch, which draws by its generator: "
                "leave key= out"
            )
        start = torch.tensor(policy.prompts[prompt], dtype=torch.int64)
        rows: list[list[int]] = [[] for _ in range(count)]
        with torch.no_grad():
            for _ in range(policy.longest):
                alive = [row for row in rows if not row or row[-1] not in policy.ends]
                if not alive:
                    break
                drawn = torch.tensor(alive, dtype=torch.int64).view(len(alive), -1)
                prefixes = torch.cat([start.expand(len(alive), -1), drawn], dim=1)
                tokens = torch.multinomial(policy.next_log_probs(prefixes).exp(), 1)
                for row, token in zip(alive, tokens.flatten().tolist(), strict=True):
                    row.append(token)
        return policy.read(rows, prompt)

    def log_probs(self, policy: CompletionPolicy, completions: Completions) -> Tensor:
        """See the protocol."""
        import torch

        prompt = torch.tensor(policy.prompts[completions.prompt], dtype=torch.int64)
        tokens, mask = completions.tokens, completions.mask
        columns = []
        for step in range(policy.longest):
            alive = mask[:, step].nonzero().flatten()
            column = torch.zeros(len(tokens), dtype=torch.float64)
            if len(alive):
                prefixes = torch.cat([prompt.expand(len(alive), -1), tokens[alive, :step]], dim=1)
                rows = policy.next_log_probs(prefixes)
                chosen = rows.gather(1, tokens[alive, step, None]).squeeze(1)
                column = column.index_put((alive,), chosen)
            columns.append(column)
        return torch.stack(columns, dim=1)


def _device(model: Any) -> Any:
    """Where a module's parameters are; a function takes tokens to where it wants them."""
    parameters = getattr(model, "parameters", None)
    first = next(iter(parameters()), None) if callable(parameters) else None
    return "cpu" if first is None else first.device
