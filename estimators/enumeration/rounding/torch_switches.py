"""What of PyTorch is switched while its arithmetic is moved, and put back by a stack."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from ..patches import Patches
from .observed import ACTIVE, observed


def observe_numbers(torch: Any, stack: ExitStack) -> None:
    """Numbers that are taken out of tensors are moved as those of NumPy's are."""
    patches = stack.enter_context(Patches())
    for name in ("item", "tolist"):
        original = getattr(torch.Tensor, name)

        def take(self: Any, original: Any = original) -> Any:
            numbers = original(self)
            return numbers if ACTIVE.get() is None else observed(numbers)

        patches.attribute(torch.Tensor, name, take)


def switch_off_fused_layers(torch: Any, stack: ExitStack) -> None:
    """Let nothing compute a whole layer in one step, and distributions take moved parameters."""
    cuda, distribution = torch.backends.cuda, torch.distributions.Distribution

    def switch(get: Callable[[], bool], put: Callable[[bool], Any], to: bool = False) -> None:
        if get() is not to:
            put(to)
            stack.callback(put, not to)

    switch(torch._C._get_mkldnn_enabled, torch._C._set_mkldnn_enabled)
    switch(torch._C._get_cudnn_enabled, torch._C._set_cudnn_enabled)
    switch(torch.backends.mha.get_fastpath_enabled, torch.backends.mha.set_fastpath_enabled)
    switch(cuda.math_sdp_enabled, cuda.enable_math_sdp, True)
    switch(cuda.flash_sdp_enabled, cuda.enable_flash_sdp)
    switch(cuda.mem_efficient_sdp_enabled, cuda.enable_mem_efficient_sdp)
    if hasattr(cuda, "cudnn_sdp_enabled"):
        switch(cuda.cudnn_sdp_enabled, cuda.enable_cudnn_sdp)
    switch(lambda: distribution._validate_args, distribution.set_default_validate_args)
