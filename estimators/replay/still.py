"""States of generators that frameworks have of their own: only what sets them may move them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .walk import Continuous, Walker


class Still:
    """States that are watched while draws ask a walker, and so do not move.

    Args:
        states: reads them.
        same: whether two readings are the same.
        moved: what is said if they are not.
    """

    def __init__(
        self,
        walker: Walker,
        states: Callable[[], Any],
        same: Callable[[Any, Any], bool],
        moved: str,
    ) -> None:
        self._walker, self._states, self._same, self._moved = walker, states, same, moved
        self._first = self._last = states()

    def setting(self, real: Callable[..., Any], what: str) -> Callable[..., Any]:
        """Stands for what sets a state, after which the same may be drawn again."""

        def set_state(*args: Any, **kwargs: Any) -> Any:
            self._check(self._last)  # or what was drawn would hide behind the new state
            found = real(*args, **kwargs)
            self._last = self._states()
            self._walker.rewind(what)
            return found

        return set_state

    def check(self) -> None:
        """At the end they are as they were.

        Raises:
            Continuous: if not.
        """
        self._check(self._first)

    def _check(self, before: Any) -> None:
        if not self._same(before, self._states()):
            raise Continuous(self._moved)
