"""What PyTorch's operations do to the numbers that they are given: by name, a row each.

What has no row here and no tag of PyTorch's own is taken to round in every way that it can.
"""

from __future__ import annotations

import sys
from functools import cache
from typing import Any, Literal

from .name_rows import names
from .torch_steps import steps_of

#: These copy, choose, compare or make numbers, and round none. Views are known by their schemas.
EXACT = names(
    """
    _assert_async _assert_scalar _chunk_cat _conj_copy _conj_physical _copy_from _cummax_helper
    _cummin_helper _efficientzerotensor _foreach_abs _foreach_ceil _foreach_clamp_max
    _foreach_clamp_min _foreach_clone _foreach_floor _foreach_max _foreach_maximum _foreach_minimum
    _foreach_neg _foreach_round _foreach_sign _foreach_trunc _foreach_zero _functional_assert_async
    _is_all_true _is_any_true _lazy_clone _local_scalar_dense _pin_memory _reshape_copy
    _resize_output _stack _unique _unique2 _unsafe_index _unsafe_masked_index abs
    adaptive_max_pool2d adaptive_max_pool3d all allclose amax amin aminmax any arange argmax argmin
    as_strided_copy as_strided_scatter bincount block_diag bucketize cat ceil channel_shuffle clamp
    clamp_max clamp_min clone complex conj_physical constant_pad_nd copysign count_nonzero cummax
    cummin diag_embed diagonal_backward diagonal_copy diagonal_scatter embedding empty empty_like
    empty_permuted empty_strided equal expand_copy eye fill flip floor floor_divide fmax fmin fmod
    frac frexp full full_like gather hardshrink hardshrink_backward hardtanh hardtanh_backward
    heaviside histc im2col index index_copy index_fill index_select is_nonzero is_same_size isclose
    isin isnan kthvalue lift lift_fresh lift_fresh_copy linspace logspace masked_fill
    masked_scatter masked_scatter_backward masked_select max max_pool2d_with_indices
    max_pool3d_with_indices max_unpool2d max_unpool3d maximum median min minimum mode nan_to_num
    nanmedian narrow_copy neg new_empty new_empty_strided new_full new_ones new_zeros nextafter
    nonzero nonzero_static ones ones_like permute_copy pixel_shuffle pixel_unshuffle put range
    reflection_pad1d reflection_pad2d reflection_pad3d relu repeat repeat_interleave
    replication_pad1d replication_pad2d replication_pad3d resize resize_as roll rot90 round
    scalar_tensor scatter searchsorted select_backward select_copy select_scatter set sgn sign
    slice_backward slice_copy slice_scatter sort split_copy split_with_sizes_copy squeeze_copy
    stack t_copy take threshold threshold_backward topk transpose_copy tril tril_indices triu
    triu_indices trunc unbind_copy unfold_copy unique_consecutive unique_dim unique_dim_consecutive
    unsafe_split unsafe_split_with_sizes unsqueeze_copy upsample_nearest1d upsample_nearest2d
    upsample_nearest3d value_selecting_reduction_backward view_as_complex_copy view_as_real_copy
    view_copy where zero zeros zeros_like
    """
)

#: Elementwise, but terms cancel inside, or kernels are as accurate as what they are given.
SENSITIVE = names(
    """
    _foreach_addcdiv _foreach_addcmul _foreach_lerp addcdiv addcmul digamma erfinv hypot igamma
    igammac lerp lgamma logaddexp logaddexp2 logit mvlgamma polygamma sinc special_airy_ai
    special_bessel_j0 special_bessel_j1 special_bessel_y0 special_bessel_y1 special_erfcx
    special_log_ndtr special_ndtri special_xlog1py special_zeta
    """
)

#: Seeded as if they drew something, since they can; what they return is computed all the same.
COMPUTED = (
    "_scaled_dot_product",
    "_flash_attention",
    "_efficient_attention",
    "_cudnn_attention",
    "_cudnn_rnn",
    "miopen_rnn",
)

#: Interpolations compute weights from positions inside, in the precision of their numbers: what a
#: unit of a position does to a weight, some units of the numbers do.
INTERPOLATIONS = ("upsample_", "_upsample_", "grid_sampler_")

#: How many: without it errors reached 16 times the spread (bicubic, single precision), with it 2.3.
GRAIN_OF_INTERPOLATION = 8

#: Whole numbers come out of these without rounding when whole numbers go in.
WHOLE = names("add bmm cumsum dot mm mul mv rsub square sub sum")

Kind = Literal[
    "exact", "composite", "cast", "sum", "product", "cumulative_sum", "convolution_backward",
    "scattered_sum", "in_steps", "elementwise", "rounded_in_every_way", "unseen",
]  # fmt: skip

#: Sums, whose partial sums are moved as well.
SUMS: dict[str, Kind] = {
    "sum": "sum", "mm": "product", "bmm": "product", "mv": "product", "dot": "product",
    "cumsum": "cumulative_sum", "convolution_backward": "convolution_backward",
    "embedding_dense_backward": "scattered_sum", "index_add": "scattered_sum",
    "index_put": "scattered_sum", "_index_put_impl": "scattered_sum",
    "scatter_add": "scattered_sum",
}  # fmt: skip


def base_name(func: Any) -> str:
    """An operation's name, the same for the one in place."""
    name = func._schema.name.partition("::")[2]
    return name[:-1] if name.endswith("_") and not name.endswith("__") else name


@cache
def kind(func: Any) -> Kind:
    """Of which kind an operation (an ``OpOverload``) is."""
    torch = sys.modules["torch"]
    if not isinstance(func, torch._ops.OpOverload):
        return "unseen"  # control flow that runs functions of its own
    if func.namespace.startswith("prim"):
        return "rounded_in_every_way" if func.namespace == "prims" else "exact"
    key = torch._C.DispatchKey.CompositeImplicitAutograd
    if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), key):
        return "composite"
    schema, name = func._schema, base_name(func)
    draws = torch.Tag.nondeterministic_seeded in func.tags
    views = any(a.alias_info and not a.alias_info.is_write for a in schema.arguments)
    if views or (draws and not name.startswith(COMPUTED)):
        return "exact"
    if func.namespace != "aten":
        return "rounded_in_every_way"
    if name in EXACT:
        return "exact"
    if name in ("copy", "_to_copy"):
        return "cast"
    if name in SUMS and (SUMS[name] == "scattered_sum" or not schema.is_mutable):
        return SUMS[name]
    if not schema.is_mutable and func in steps_of(torch):
        return "in_steps"
    if torch.Tag.pointwise in func.tags and name not in SENSITIVE:
        return "elementwise"
    return "rounded_in_every_way"
