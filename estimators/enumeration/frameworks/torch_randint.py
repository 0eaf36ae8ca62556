"""What is asked of PyTorch's ``randint`` and ``randint_like``, whoever answers."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..run import Run


class WholeNumbers(NamedTuple):
    """Numbers from ``low`` to below ``high``, in a shape; ``made`` says of what type, and where."""

    low: int
    high: int
    size: tuple[int, ...]
    made: dict[str, Any]


def whole_numbers(args: tuple[Any, ...], kwargs: dict[str, Any]) -> WholeNumbers:
    """Those that are asked for: (high, size) or (low, high, size)."""
    given, named = [*args], dict(kwargs)
    size = tuple(named.pop("size") if "size" in named else given.pop())
    bounds = [*given, *(named.pop(name) for name in ("low", "high") if name in named)]
    low, high = map(int, bounds if len(bounds) == 2 else (0, *bounds))
    return WholeNumbers(low, high, size, {k: v for k, v in named.items() if v is not None})


class RandintLike:
    """Answers ``randint_like`` by the answer to ``randint``."""

    def randint(self, run: Any, *args: Any, **kwargs: Any) -> Any:
        """Whole numbers, each as likely."""
        raise NotImplementedError

    def randint_like(self, run: Run, input: Any, *args: Any, **kwargs: Any) -> Any:
        """The same, in the shape and type of another tensor."""
        like = {"dtype": input.dtype, "device": input.device}
        given = {key: value for key, value in kwargs.items() if value is not None}
        return self.randint(run, *args, size=tuple(input.shape), **{**like, **given})
