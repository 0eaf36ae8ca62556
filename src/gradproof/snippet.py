"""Lines that repeat a check by hand, as far as what it was given can be written down.

The plugin imports this in every session, so it imports nothing; arrays are known by their types.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from types import MethodType, TracebackType
from typing import Any

#: Entries of an array that are written out.
MOST_ENTRIES = 64

#: What cannot be written down, and what to do about it.
UNKNOWN = "..."
ADVICE = "# What is ... was made in the test: paste this there, and name it.\n"


def lines(
    file: str,
    names: Mapping[str, Any],
    estimate: Any,
    inputs: Sequence[Any],
    options: Mapping[str, Any],
    draws: Sequence[Any] = (),
    *,
    check: str = "check_estimator",
) -> str:
    """Python that checks an estimator again, or runs it with the draws at which it failed.

    Args:
        file: of the test.
        names: in it, with what they name.
        draws: the outcomes that were taken, by number; none: check it.
        check: the function of the package that checks it.
    """
    function = _expression(estimate, names)
    if function == UNKNOWN:
        function = getattr(estimate, "__name__", UNKNOWN).replace("<lambda>", UNKNOWN)
    given = ", ".join(_expression(each, names) for each in inputs)
    named = "".join(f", {key}={_expression(value, names)}" for key, value in options.items())
    if draws:
        head = "from gradproof.estimators.enumeration.enumeration import run_at\n"
        code = f"run_at({function}, [{given}], outcomes={list(draws)!r})"
    else:
        head = f"from gradproof import {check}\n"
        code = f"print({check}({function}, [{given}]{named}).explain())"
    if "test[" in code:
        head = f"import runpy\n{head}test = runpy.run_path({file!r})\n"
    for call, line in (("np.", "import numpy as np\n"), ("torch.tensor(", "import torch\n")):
        head = line + head if call in code else head
    return (ADVICE if UNKNOWN in code else "") + head + code


def _expression(value: Any, names: Mapping[str, Any]) -> str:
    """An expression of this value, or ``...``."""
    if value is None or isinstance(value, bool | int | str):
        return repr(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else f"float('{value}')"
    for name, each in names.items():
        if each is value:
            return f"test[{name!r}]"
    if isinstance(value, MethodType) and (owner := _expression(value.__self__, names)) != UNKNOWN:
        return f"{owner}.{value.__name__}"
    kind = type(value)
    if kind in (list, tuple):
        inner = ", ".join(_expression(each, names) for each in value)
        return f"[{inner}]" if kind is list else f"({inner},)"
    if kind is dict:
        pairs = (
            f"{_expression(key, names)}: {_expression(each, names)}" for key, each in value.items()
        )
        return f"{{{', '.join(pairs)}}}"
    return _array(value)


def _array(value: Any) -> str:
    where = f"{type(value).__module__}.{type(value).__name__}"
    if where == "numpy.ndarray" and value.size <= MOST_ENTRIES and value.dtype.kind in "fiub":
        numbers = repr(value.tolist())
        made = f"np.array({numbers}, {value.dtype.name!r})"
    elif where == "torch.Tensor" and value.numel() <= MOST_ENTRIES and value.is_leaf:
        numbers = repr(value.detach().tolist())
        grad = ", requires_grad=True" if value.requires_grad else ""
        made = f"torch.tensor({numbers}, dtype={value.dtype}{grad})"
    else:
        return UNKNOWN
    return UNKNOWN if "n" in numbers.replace("True", "") else made  # nan and inf are no names


def draws_before(error: BaseException) -> tuple[Any, ...]:
    """The draws of the run of an estimator that raised this; none if it was no such run."""
    found: tuple[Any, ...] = ()
    of_estimator = False
    for trace in _traces(error.__traceback__):
        frame = trace.tb_frame
        module = frame.f_globals.get("__name__")
        if module == "gradproof.estimators.enumeration.handling" and "run" in frame.f_locals:
            found = tuple(choice.taken for choice in frame.f_locals["run"].choices)
        of_estimator |= module == "gradproof.checks.user.estimator"
    return found if of_estimator else ()


def _traces(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next
