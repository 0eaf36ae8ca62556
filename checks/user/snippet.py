"""Lines that repeat a check by hand, as far as what it was given can be written down.

The plugin imports this in every session, so it imports nothing; arrays are known by their types.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MethodType, TracebackType
from typing import Any

#: Entries of an array that are written out.
MOST_ENTRIES = 64

#: Values that are written out in one call, those in lists and dictionaries among them; how deep
#: these may be nested; and the longest text. A check does not wait for what it is given.
MOST_VALUES, DEEPEST, LONGEST = 256, 8, 200

#: What cannot be written down, and what to do about it.
UNKNOWN = "..."
ADVICE = "# What is ... cannot be written down: paste this where it was made, and name it.\n"

#: The check that takes a policy, a loss and a goal, in place of a function and its inputs.
OF_POLICIES = "check_loss"

#: Arguments of a check that change nothing of its verdict.
SILENT = ("jobs", "progress")


def lines(
    file: str,
    names: Mapping[str, Any],
    estimate: Any,
    inputs: Sequence[Any],
    options: Mapping[str, Any],
    draws: Sequence[Any] = (),
    check: str = "check_estimator",
) -> str:
    """Python that checks an estimator again, or runs it with the draws at which it failed.

    Args:
        file: that it is in; empty in a notebook, where names stand for themselves.
        names: in it, with what they name.
        draws: the outcomes that were taken, by number; none: check it.
        check: the public function that checks it; ``inputs`` of ``check_loss`` are its policy and
            its goal.
    """
    words = _Words(file, names)
    function = words.expression(estimate)
    if function == UNKNOWN:
        function = getattr(estimate, "__name__", UNKNOWN).replace("<lambda>", UNKNOWN)
    given = ", ".join(words.expression(each) for each in inputs)
    named = "".join(f", {key}={words.expression(value)}" for key, value in options.items())
    if draws:
        head = "from gradproof.estimators.enumeration.enumeration import run_at\n"
        code = f"run_at({function}, [{given}], outcomes={list(draws)!r})"
    else:
        head = f"from gradproof{'.policies' * (check == OF_POLICIES)} import {check}\n"
        arguments = f"{function}, [{given}]"
        if check == OF_POLICIES:
            policy, goal = map(words.expression, inputs)
            arguments = f"{policy}, {function}, {goal}"
        code = f"print({check}({arguments}{named}).explain())"
    if words.of_file:
        head = f"import runpy\n{head}test = runpy.run_path({file!r})\n"
    for call, line in (("np.", "import numpy as np\n"), ("torch.tensor(", "import torch\n")):
        head = line + head if call in code else head
    return (ADVICE if UNKNOWN in code else "") + head + code


def of_call(check: Callable[..., Any], given: Mapping[str, Any]) -> str:
    """Python that calls a check again, from what its parameters were.

    Args:
        given: by parameter. What is the default is left out, and so is what changes no verdict.
    """
    function, inputs, *others = inspect.signature(check).parameters.values()
    options = {
        each.name: given[each.name]
        for each in others
        if given[each.name] is not each.default and each.name not in SILENT
    }
    estimate = given[function.name]
    names = getattr(inspect.unwrap(estimate), "__globals__", {}) if callable(estimate) else {}
    file = names.get("__file__") or ""
    return lines(file, names, estimate, given[inputs.name], options, check=check.__name__)


class _Words:
    """Expressions of values, by the names that a file or a notebook has for them."""

    def __init__(self, file: str, names: Mapping[str, Any]) -> None:
        self.of_file = False
        self._file, self._left = file, MOST_VALUES
        # What a notebook keeps of its outputs begins with an underscore, and is asked last.
        self._names = sorted(names.items(), key=lambda pair: pair[0].startswith("_"))

    def expression(self, value: Any, depth: int = 0) -> str:
        """An expression of this value, or ``...``."""
        self._left -= 1
        long = isinstance(value, str) and len(value) > LONGEST
        if long or self._left < 0 or depth > DEEPEST:
            return UNKNOWN
        numpy = sys.modules.get("numpy")
        if numpy and isinstance(value, numpy.bool_ | numpy.integer | numpy.floating):
            value = value.item()
        if value is None or isinstance(value, bool | int | str):
            return repr(value)
        if isinstance(value, float):
            return repr(value) if math.isfinite(value) else f"float('{value}')"
        for name, each in self._names:
            if each is value:
                self.of_file |= bool(self._file)
                return f"test[{name!r}]" if self._file else name
        return self._made(value, depth + 1)

    def _made(self, value: Any, depth: int) -> str:
        if isinstance(value, MethodType):
            owner = self.expression(value.__self__, depth)
            return UNKNOWN if owner == UNKNOWN else f"{owner}.{value.__name__}"
        kind = type(value)
        if kind in (list, tuple, dict) and len(value) > self._left:
            return UNKNOWN
        if kind in (list, tuple):
            inner = ", ".join(self.expression(each, depth) for each in value)
            return f"[{inner}]" if kind is list else f"({inner},)" if value else "()"
        if kind is dict:
            pairs = (
                f"{self.expression(key, depth)}: {self.expression(each, depth)}"
                for key, each in value.items()
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
