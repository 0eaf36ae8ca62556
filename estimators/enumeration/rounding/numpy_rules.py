"""What NumPy's functions do to the numbers that they are given: by name, a row each.

What has no row here is treated as one that rounds in every way that it can.
"""

from __future__ import annotations

from .name_rows import names

#: Ufuncs that compare and count: what they are given must not be moved either.
COMPARISONS = names(
    """
    equal greater greater_equal isfinite isinf isnan isnat less less_equal logical_and logical_not
    logical_or logical_xor not_equal signbit
    """
)

#: Ufuncs that round nothing.
EXACT_UFUNCS = names(
    """
    absolute ceil conjugate copysign fabs floor floor_divide fmax fmin fmod frexp heaviside ldexp
    maximum minimum modf negative nextafter positive remainder rint sign spacing trunc
    """
)

#: Ufuncs with one rounding of an exact result, or nearly so.
ELEMENTWISE = names(
    """
    add arccos arccosh arcsin arcsinh arctan arctan2 arctanh cbrt cos cosh deg2rad degrees divide
    exp exp2 expit expm1 float_power hypot log log10 log1p log2 log_expit multiply power rad2deg
    radians reciprocal sin sinh sqrt square subtract tan tanh true_divide
    """
)

#: Without rounding where whole numbers go in and come out.
WHOLE = names("add matmul multiply square subtract")

#: The ufuncs that ``ulps.unrounded`` knows, by its names for them.
SHORT = {"add": "add", "subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div"}

#: Functions that copy, choose or make numbers, and round none.
EXACT_FUNCTIONS = names(
    """
    all allclose amax amin any append apply_along_axis argmax argmin argpartition argsort
    argwhere around array2string array_equal array_equiv array_repr array_split array_str
    astype atleast_1d atleast_2d atleast_3d block broadcast_arrays broadcast_to can_cast choose
    clip column_stack common_type compress concatenate copy copyto count_nonzero delete diag
    diag_indices_from diagflat diagonal digitize dsplit dstack empty_like expand_dims extract
    fill_diagonal fix flatnonzero flip fliplr flipud full_like hsplit hstack imag insert
    iscomplex iscomplexobj isclose isneginf isposinf isreal isrealobj lexsort max may_share_memory
    meshgrid min moveaxis nan_to_num nanargmax nanargmin nanmax nanmin ndim nonzero ones_like pad
    partition permute_dims place ptp put put_along_axis putmask ravel real real_if_close repeat
    require reshape resize result_type roll rollaxis rot90 round round_ row_stack save savetxt
    savez searchsorted select shape shares_memory size sort sort_complex split squeeze stack
    swapaxes take take_along_axis tile transpose tril tril_indices_from trim_zeros triu
    triu_indices_from union1d unique unstack vsplit vstack where zeros_like
    """
)

#: Functions that call the methods and ufuncs of what they are given, which take care of it.
MADE_OF_OTHERS = names("average cumprod cumsum mean prod std sum trace var")
