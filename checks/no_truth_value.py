"""What is no answer to an ``if``: it would be true whatever the verdict is."""

from __future__ import annotations

from typing import ClassVar, NoReturn


class NoTruthValue:
    """A result that is neither true nor false, and says what to ask instead."""

    #: What to ask in an ``if``.
    condition_words: ClassVar[str] = "report.verdict == 'holds'"

    def __bool__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} is neither true nor false, whatever its verdict; ask "
            f"{self.condition_words}"
        )
