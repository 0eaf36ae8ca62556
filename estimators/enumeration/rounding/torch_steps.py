"""Fused kernels of PyTorch, spelt out in single steps that round where the kernel rounds.

Only what PyTorch's own table of decompositions lacks, or spells out in operations that hide their
rounding. Half precision is computed in single precision, as the kernels do it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from .name_rows import names

#: Fused kernels that PyTorch itself spells out in single steps, rounding where the kernel does.
SPELT_OUT_BY_TORCH = names(
    """
    _batch_norm_no_update.default _batch_norm_with_update.default _fused_rms_norm.default
    _fused_rms_norm_backward.default _native_batch_norm_legit.default
    _native_batch_norm_legit.no_stats _native_batch_norm_legit_functional.default
    _native_batch_norm_legit_no_training.default _weight_norm_interface.default addmm.default
    addmv.default baddbmm.default batch_norm_backward.default binary_cross_entropy.default
    binary_cross_entropy_backward.default binary_cross_entropy_with_logits.default
    elu_backward.default gelu_backward.default glu_backward.default hardswish_backward.default
    huber_loss_backward.default log_sigmoid_backward.default logit_backward.default
    mish_backward.default mse_loss.default mse_loss_backward.default native_batch_norm.default
    native_batch_norm_backward.default native_group_norm_backward.default
    native_layer_norm_backward.default nll_loss_backward.default nll_loss_forward.default
    sigmoid_backward.default silu.default silu_backward.default smooth_l1_loss.default
    smooth_l1_loss_backward.default soft_margin_loss.default softplus_backward.default
    tanh_backward.default
    """
)


@cache
def steps_of(torch: Any) -> dict[Any, Callable[..., Any]]:
    """By operation (an ``OpOverload``), a function of the same arguments that computes it."""
    aten = torch.ops.aten
    table = torch._decomp.decomposition_table
    steps = {}
    for name in SPELT_OUT_BY_TORCH:
        packet, overload = name.split(".")
        operation = getattr(getattr(aten, packet, None), overload, None)
        if operation in table:  # each version of PyTorch has a few more than the one before
            steps[operation] = table[operation]
    own = _Steps(torch)
    steps |= {
        aten._softmax.default: own.softmax,
        aten._softmax_backward_data.default: own.softmax_backward,
        aten._log_softmax.default: own.log_softmax,
        aten._log_softmax_backward_data.default: own.log_softmax_backward,
        aten.logsumexp.default: own.logsumexp,
        aten.mean.default: own.mean,
        aten.mean.dim: own.mean,
        aten.var.correction: lambda *a, **k: own.var_mean(*a, **k)[0],
        aten.var_mean.correction: own.var_mean,
        aten.std.correction: lambda *a, **k: own.var_mean(*a, **k)[0].sqrt(),
        aten.linalg_vector_norm.default: own.vector_norm,
        aten.gelu.default: own.gelu,
        aten.native_layer_norm.default: own.layer_norm,
        aten.native_group_norm.default: own.group_norm,
    }
    return steps


class _Steps:
    """The functions, with the names and the order of arguments that PyTorch gives them."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch

    def wide(self, x: Any) -> Any:
        """In the precision in which kernels compute."""
        torch = self.torch
        return x.to(torch.float32) if x.dtype in (torch.float16, torch.bfloat16) else x

    def softmax(self, x: Any, dim: int, half_to_float: bool) -> Any:
        """``_softmax``."""
        wide = self.wide(x)
        powers = (wide - wide.amax(dim, True)).exp()
        result = powers / powers.sum(dim, True)
        return result if half_to_float else result.to(x.dtype)

    def softmax_backward(self, grad: Any, output: Any, dim: int, input_dtype: Any) -> Any:
        """``_softmax_backward_data``."""
        grad, output = self.wide(grad), self.wide(output)
        return ((grad - (grad * output).sum(dim, True)) * output).to(input_dtype)

    def log_softmax(self, x: Any, dim: int, half_to_float: bool) -> Any:
        """``_log_softmax``."""
        wide = self.wide(x)
        shifted = wide - wide.amax(dim, True)
        result = shifted - shifted.exp().sum(dim, True).log()
        return result if half_to_float else result.to(x.dtype)

    def log_softmax_backward(self, grad: Any, output: Any, dim: int, input_dtype: Any) -> Any:
        """``_log_softmax_backward_data``."""
        grad, output = self.wide(grad), self.wide(output)
        return (grad - output.exp() * grad.sum(dim, True)).to(input_dtype)

    def logsumexp(self, x: Any, dim: Sequence[int], keepdim: bool = False) -> Any:
        """``logsumexp``."""
        if not x.is_floating_point():
            x = x.to(self.torch.get_default_dtype())
        wide = self.wide(x)
        largest = wide.amax(dim, True)
        largest = largest.masked_fill(largest.isinf(), 0.0)
        total = (wide - largest).exp().sum(dim, True).log() + largest
        return (total if keepdim else total.squeeze(_axes(x, dim))).to(x.dtype)

    def mean(
        self, x: Any, dim: Sequence[int] | None = None, keepdim: bool = False, *, dtype: Any = None
    ) -> Any:
        """``mean``."""
        wide = self.wide(x if dtype is None else x.to(dtype))
        axes = _axes(x, dim)
        count = math.prod(x.shape[axis] for axis in axes)
        return (wide.sum(axes, keepdim) / count).to(dtype or x.dtype)

    def var_mean(
        self,
        x: Any,
        dim: Sequence[int] | None = None,
        *,
        correction: float | None = None,
        keepdim: bool = False,
    ) -> tuple[Any, Any]:
        """``var_mean``."""
        wide, axes = self.wide(x), _axes(x, dim)
        count = math.prod(x.shape[axis] for axis in axes)
        mean = wide.sum(axes, True) / count
        apart = wide - mean
        freedom = max(0, count - (1 if correction is None else correction))
        variance = (apart * apart).sum(axes, keepdim) / freedom
        mean = mean if keepdim else mean.squeeze(axes)
        return variance.to(x.dtype), mean.to(x.dtype)

    def vector_norm(
        self,
        x: Any,
        ord: float = 2,
        dim: Sequence[int] | None = None,
        keepdim: bool = False,
        *,
        dtype: Any = None,
    ) -> Any:
        """``linalg_vector_norm``; None where it is neither the sum of sizes nor of squares."""
        if ord not in (1, 2) or x.is_complex():
            return NotImplemented
        wide, axes = self.wide(x if dtype is None else x.to(dtype)), _axes(x, dim)
        if ord == 1:
            return wide.abs().sum(axes, keepdim).to(dtype or x.dtype)
        return (wide * wide).sum(axes, keepdim).sqrt().to(dtype or x.dtype)

    def gelu(self, x: Any, *, approximate: str = "none") -> Any:
        """``gelu``."""
        wide = self.wide(x)
        if approximate == "tanh":
            cubed = wide * wide * wide
            inner = ((wide + cubed * 0.044715) * math.sqrt(2 / math.pi)).tanh()
        else:
            inner = (wide * math.sqrt(0.5)).erf()
        return (wide * 0.5 * (inner + 1)).to(x.dtype)

    def layer_norm(
        self, x: Any, shape: Sequence[int], weight: Any, bias: Any, eps: float
    ) -> tuple[Any, Any, Any]:
        """``native_layer_norm``."""
        wide = self.wide(x)
        axes = list(range(x.ndim - len(shape), x.ndim))
        result, mean, scale = self.normalise(wide, axes, eps)
        if weight is not None:
            result = result * weight
        if bias is not None:
            result = result + bias
        kept = x.dtype if x.device.type == "cpu" else wide.dtype
        return result.to(x.dtype), mean.to(kept), scale.to(kept)

    def group_norm(
        self, x: Any, weight: Any, bias: Any, n: int, c: int, hxw: int, group: int, eps: float
    ) -> tuple[Any, Any, Any]:
        """``native_group_norm``."""
        wide = self.wide(x).reshape(n, group, c // group * hxw)
        result, mean, scale = self.normalise(wide, [2], eps)
        result = result.reshape(n, c, hxw)
        if weight is not None:
            result = result * weight.reshape(1, c, 1)
        if bias is not None:
            result = result + bias.reshape(1, c, 1)
        kept = x.dtype if x.device.type == "cpu" else wide.dtype
        return (
            result.to(x.dtype).reshape(x.shape),
            mean.reshape(n, group).to(kept),
            scale.reshape(n, group).to(kept),
        )

    def normalise(self, x: Any, axes: list[int], eps: float) -> tuple[Any, Any, Any]:
        """``x`` less its mean over its deviation, the mean, and 1 over the deviation."""
        variance, mean = self.var_mean(x, axes, correction=0, keepdim=True)
        scale = (variance + eps).rsqrt()
        return (x - mean) * scale, mean, scale


def _axes(x: Any, dim: int | Sequence[int] | None) -> list[int]:
    if dim is None or (not isinstance(dim, int) and not len(dim)):
        return list(range(x.ndim))
    return [axis % x.ndim if x.ndim else 0 for axis in ([dim] if isinstance(dim, int) else dim)]
