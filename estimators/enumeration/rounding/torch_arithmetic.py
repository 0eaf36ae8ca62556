"""PyTorch's arithmetic, moved: every floating-point result of every operation, both ways.

Below automatic differentiation PyTorch has one place where every operation passes, a dispatch mode.
There each is treated by its kind (``torch_rules``):

- exact: copies, choices, constants, draws. Nothing is moved.
- elementwise: the result is moved, by one or two units in the last place of its own format.
- fused: it is computed in single steps (``torch_steps``), and each of them is moved.
- a sum: terms, partial sums and result are moved.
- anything else: what is given and what comes out are moved, as by a backward stable algorithm.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..torch_modes import not_hidden
from . import partial_sums
from .perturbation import Perturbation
from .torch_rules import (
    GRAIN_OF_INTERPOLATION,
    INTERPOLATIONS,
    WHOLE,
    base_name,
    kind,
)
from .torch_scattered import ScatteredSum
from .torch_steps import steps_of
from .torch_switches import observe_numbers, switch_off_fused_layers
from .ulps import FORMATS, ONE_AT_ZERO, all_whole, move_bits, unrounded_places


@contextmanager
def moved_torch(perturbation: Perturbation) -> Iterator[None]:
    """Move PyTorch's results, in this thread, until left.

    Meanwhile nothing computes a whole layer in one step: not oneDNN, cuDNN, fused attention, the
    fast path of transformers or compiled code. And PyTorch's distributions do not validate their
    parameters, since moved probabilities do not add up to 1 as closely as they want it.
    """
    torch = sys.modules["torch"]
    compiles = "torch._dynamo" in sys.modules
    with ExitStack() as stack:
        switch_off_fused_layers(torch, stack)
        if compiles and hasattr(torch.compiler, "set_stance"):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        observe_numbers(torch, stack)
        stack.enter_context(_mode_type(compiles)(_TorchArithmetic(torch, perturbation)))
        yield


@cache
def _mode_type(compiles: bool) -> Callable[[_TorchArithmetic], Any]:
    from torch.utils._python_dispatch import TorchDispatchMode

    class MovedArithmetic(TorchDispatchMode):
        """Hands every operation to the arithmetic."""

        supports_higher_order_operators = True

        def __init__(self, arithmetic: _TorchArithmetic) -> None:
            super().__init__()
            self.arithmetic = arithmetic
            arithmetic.mode = self

        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            others = [kind for kind in types if kind not in self.arithmetic.plain]
            if any(kind.__module__.startswith("torch._subclasses") for kind in others):
                return func(*args, **(kwargs or {}))  # it has no numbers
            if others:
                return NotImplemented  # it wraps tensors, and hands its operations on to these
            return self.arithmetic.run(func, args, kwargs or {})

    return MovedArithmetic if compiles else not_hidden(MovedArithmetic)


class _TorchArithmetic:
    """Runs every operation by the rule for its kind: one method each, named as the kind is."""

    def __init__(self, torch: Any, perturbation: Perturbation) -> None:
        self.torch = torch
        self.perturbation = perturbation
        self.steps = perturbation.steps
        self.mode: Any = None
        self.plain = {torch.Tensor, torch.nn.Parameter, getattr(torch.nn, "Buffer", None)}
        self.forms = {getattr(torch, name): (name, form) for name, form in FORMATS.items()}
        self.integers = {
            getattr(torch, name): getattr(torch, np.dtype(form.integer).name)
            for name, form in FORMATS.items()
        }
        key = torch._C.DispatchKey
        self.autocast = torch._C.DispatchKeySet(key.AutocastCPU)
        self.autocast |= torch._C.DispatchKeySet(key.AutocastCUDA)

    def run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The operation's result, moved."""
        meta = any(getattr(value, "is_meta", False) for value in args)  # which has no numbers
        return getattr(self, "exact" if meta else kind(func))(func, args, kwargs)

    # Kinds

    def exact(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Nothing is moved."""
        return func(*args, **kwargs)

    def unseen(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Nothing can be moved, and that is said."""
        self.perturbation.unseen.add(str(func))
        return func(*args, **kwargs)

    def composite(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What is made of other operations is left to these."""
        with self.mode:
            return func.decompose(*args, **kwargs)

    def elementwise(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result is moved, unless it is known to be exact."""
        name = base_name(func)
        whole = name in WHOLE and self.whole(args)
        still = args[0] == 0 if name in ONE_AT_ZERO else None
        if name in ("add", "sub", "mul", "div") and not kwargs:
            places = unrounded_places(name, *map(self.numbers, args[:2]))
            still = None if places is None else self.torch.from_numpy(places)
        result = func(*args, **kwargs)
        if whole and self.whole((result,)):
            return result
        if still is None or not still.any() or not isinstance(result, self.torch.Tensor):
            self.move_results(func, result, args, kwargs)
            return result
        before = result.detach().clone()
        self.move_results(func, result, args, kwargs)
        still = still.to(result.device)
        result.copy_(self.torch.where(still, before, result.detach()))
        return result

    def cast(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result is moved where it has fewer digits than what was given."""
        source = args[1] if func._schema.is_mutable else args[0]
        result = func(*args, **kwargs)
        if result.dtype in self.forms and self.digits(result) < self.digits(source):
            self.move(result)
        return result

    def in_steps(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Each step of a fused operation is moved."""
        if not args[0].numel():
            return func(*args, **kwargs)
        # Autocast has had its say, and must not change the formats of the steps as well.
        with self.torch._C._ExcludeDispatchKeyGuard(self.autocast), self.mode:
            result = steps_of(self.torch)[func](*args, **kwargs)
        if result is NotImplemented:
            return self.rounded_in_every_way(func, args, kwargs)
        return result

    def rounded_in_every_way(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What is given is moved, and what comes out."""
        written = {id(target) for target in self.targets(func, args, kwargs)}
        grain = GRAIN_OF_INTERPOLATION if base_name(func).startswith(INTERPOLATIONS) else 1

        def move_inputs(value: Any) -> Any:
            if isinstance(value, (list, tuple)):
                return type(value)([move_inputs(item) for item in value])
            if isinstance(value, self.torch.Tensor) and id(value) not in written:
                return self.moved_copy(value, grain)
            return value

        given = {name: move_inputs(value) for name, value in kwargs.items()}
        result = func(*[move_inputs(value) for value in args], **given)
        self.move_results(func, result, args, kwargs)
        return result

    def sum(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Terms, partial sums and result are moved.

        Terms that are not negative add up to no less than the largest of them, as they do when the
        sum is rounded.
        """
        terms = args[0]
        if not self.plainly_real(terms):
            return self.rounded_in_every_way(func, args, kwargs)
        whole = self.whole((terms,))
        result = func(*args, **kwargs)
        if result.numel() == terms.numel() or (whole and self.whole((result,))):
            return result  # one term each, or whole numbers
        moved = self.moved_copy(terms)
        result = func(moved, *args[1:], **kwargs)
        axes = tuple(args[1]) if len(args) > 1 and args[1] else tuple(range(terms.ndim))
        drift = partial_sums.drift_of_sum(self.wide(moved), axes, self.steps, pairwise=True)
        self.add(result, drift)
        self.move(result)
        values = self.wide(terms)
        if values.size and values.min() >= 0.0:
            # Not below it, and not always there either, as if there had been no rounding.
            least = self.torch.from_numpy(np.asarray(values.max(axis=axes))).to(result)
            least = least.reshape(result.shape)
            above = least * (1.0 + self.torch.finfo(result.dtype).eps)
            result.copy_(self.torch.where(result < least, above, result))
        return result

    def product(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Both factors, partial sums and result are moved."""
        left, right = args[:2]
        if not (self.plainly_real(left) and self.plainly_real(right)):
            return self.rounded_in_every_way(func, args, kwargs)
        if self.whole(args):
            result = func(*args, **kwargs)
            if self.whole((result,)):
                return result
        grain = self.grain(left)
        left, right = self.moved_copy(left, grain), self.moved_copy(right, grain)
        result = func(left, right, *args[2:], **kwargs)
        first, second = self.wide(left), self.wide(right)
        if right.ndim == 1:  # mv and dot
            first, second = first.reshape(-1, left.shape[-1]), second[:, None]
        self.add(result, partial_sums.drift_of_product(first, second, self.steps))
        self.move(result)
        return result

    def cumulative_sum(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Terms are moved, and each sum, which those after it take over."""
        terms, axis = args[:2]
        if not self.plainly_real(terms) or not terms.ndim:
            return self.rounded_in_every_way(func, args, kwargs)
        whole = self.whole((terms,))
        result = func(*args, **kwargs)
        if whole and self.whole((result,)):
            return result
        result = func(self.moved_copy(terms), *args[1:], **kwargs)
        drift = partial_sums.drift_of_cumulative_sum(self.wide(result), axis, self.steps)
        self.add(result, drift)
        self.move(result)
        return result

    def convolution_backward(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What is given is moved, what comes out, and partial sums over a batch."""
        results = self.rounded_in_every_way(func, args, kwargs)
        gradient, inputs, *settings, wanted = args
        batch = gradient.shape[0]
        if batch < partial_sums.FEWEST or gradient.dtype not in self.forms:
            return results
        blocks = math.isqrt(batch)
        pairs = zip(gradient.tensor_split(blocks), inputs.tensor_split(blocks), strict=True)
        parts = [func(*pair, *settings, [False, *wanted[1:]]) for pair in pairs]
        for place in (1, 2):  # weight and bias
            if wanted[place]:
                running = np.cumsum([self.wide(part[place]) for part in parts], axis=0)
                drift = partial_sums.drift_of_cumulative_sum(running, 0, self.steps)
                self.add(results[place], drift[-1])
        return results

    def scattered_sum(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What is given is moved, what comes out, and partial sums where something is added."""
        form = ScatteredSum.of(base_name(func), args)
        before = form.target.detach().clone() if form and form.target is not None else None
        result = self.rounded_in_every_way(func, args, kwargs)
        if form is None or not self.plainly_real(result):
            return result
        blocks = min(math.isqrt(form.count), max(2, partial_sums.ROOM // max(1, result.numel())))
        nothing = self.torch.zeros_like(result)
        running = self.wide(nothing if before is None else before).copy()
        drift = np.zeros_like(running)
        # Terms are added where they are stored, in that format.
        grain = 1 << (np.finfo(running.dtype).nmant + 1 - self.digits(result))
        for part in form.parts(blocks)[:-1]:
            added = self.wide(part(nothing))
            running += added
            drift += partial_sums.differences(running, self.steps, grain) * (added != 0.0)
        self.add(result, drift)
        return result

    # What rules are made of

    def targets(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """The arguments that the operation writes to."""
        if not func._schema.is_mutable:
            return []
        found: list[Any] = []
        for place, argument in enumerate(func._schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                value = args[place] if place < len(args) else kwargs.get(argument.name)
                found.extend(value if isinstance(value, (list, tuple)) else [value])
        return [value for value in found if isinstance(value, self.torch.Tensor)]

    def move_results(
        self, func: Any, result: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Move what an operation returned and what it wrote to, each once."""
        found = self.targets(func, args, kwargs)
        # What was given and comes back unwritten is not a result.
        known = {id(value) for value in (*args, *found)}
        for value in result if isinstance(result, (list, tuple)) else (result,):
            for item in value if isinstance(value, (list, tuple)) else (value,):
                if isinstance(item, self.torch.Tensor) and id(item) not in known:
                    found.append(item)
        for item in found:
            self.move(item)

    def move(self, value: Any, grain: int = 1) -> None:
        """Move a tensor in place."""
        torch = self.torch
        if type(value) not in self.plain or not value.numel():
            return
        if value.layout is not torch.strided:
            value = value._values() if value.layout is torch.sparse_coo else value.values()
        if value.is_complex():
            value = torch.view_as_real(value.resolve_conj())
        if value.dtype not in self.forms or value.is_neg() or value._is_zerotensor():
            return
        name, form = self.forms[value.dtype]
        self.perturbation.record("torch", name)
        bits = value.detach().view(self.integers[value.dtype])
        if value.device.type == "cpu":
            move_bits(bits.numpy(), form, self.steps, grain)
        else:
            there = bits.cpu()
            move_bits(there.numpy(), form, self.steps, grain)
            bits.copy_(there)

    def moved_copy(self, value: Any, grain: int = 1) -> Any:
        """A moved copy of a tensor; itself where it holds no floating-point numbers."""
        if not (value.is_floating_point() or value.is_complex()) or type(value) not in self.plain:
            return value
        copy = value.detach().clone()
        self.move(copy, grain)
        return copy

    def wide(self, value: Any) -> npt.NDArray[Any]:
        """The numbers in the precision in which they are added."""
        value = value.detach()
        if value.dtype != self.torch.float64:
            value = value.to(self.torch.float32)
        return value.cpu().numpy()

    def numbers(self, value: Any) -> Any:
        """As NumPy has them; a number remains one."""
        if not isinstance(value, self.torch.Tensor):
            return value
        if value.dtype in self.forms and value.layout is self.torch.strided:
            return self.wide(value)
        return math.nan  # of complex, sparse or whole numbers nothing is said

    def add(self, result: Any, drift: npt.NDArray[Any] | None) -> None:
        """Add what partial sums do to a result, in place."""
        if drift is not None:
            there = self.torch.from_numpy(np.asarray(drift)).to(result.device)
            result.detach().add_(there.reshape(result.shape))

    def plainly_real(self, value: Any) -> bool:
        """Whether it is a dense tensor of real floating-point numbers."""
        return value.dtype in self.forms and value.layout is self.torch.strided

    def digits(self, value: Any) -> int:
        """Of the significand of real floating-point numbers, and 0 for others."""
        form = self.forms.get(getattr(value, "dtype", None))  # a Python number has no type
        return form[1].digits if form else 0

    def whole(self, values: Any) -> bool:
        """Whether all tensors and numbers are integers that stand for themselves."""
        for value in values:
            if isinstance(value, self.torch.Tensor):
                if value.dtype.is_complex or value.dtype.is_floating_point:
                    if not self.plainly_real(value):
                        return False
                    if not all_whole(self.wide(value), self.digits(value)):
                        return False
            elif isinstance(value, float) and not value.is_integer():
                return False
        return True

    def grain(self, value: Any) -> int:
        """How many units of single precision a product of matrices rounds its factors to."""
        if value.dtype != self.torch.float32:
            return 1
        # Of 23 binary digits 10 are kept, or 7. A processor without such units is more precise.
        precision = self.torch.get_float32_matmul_precision()
        return {"highest": 1, "high": 1 << 13, "medium": 1 << 16}[precision]
