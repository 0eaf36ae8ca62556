"""How much of a tree of paths is behind, and how long all of it would take."""

from __future__ import annotations

from collections.abc import Iterable

#: Seconds from which on a time is worth saying.
LONG = 5.0


def share_behind(draws: Iterable[tuple[int, int]]) -> float:
    """The share of all paths that was run up to this one, were the branches of the tree all alike.

    Exact if each path draws alike, and a guess if not.

    Args:
        draws: of the path, the outcome that was taken and how many there are.

    Reference: Knuth (1975), Estimating the efficiency of backtrack programs.
    """
    behind, share = 0.0, 1.0
    for taken, count in draws:
        behind += share * (taken / count)
        share /= count
    return behind + share


def time_of_all(seconds: float, behind: float) -> str:
    """What to say of how long all paths would take; nothing where that is short."""
    total = seconds / max(behind, 1e-300)  # so many draws that the share is no number
    return f" (all of them would take about {duration(total)})" if total >= LONG else ""


def duration(seconds: float) -> str:
    """As one says it: 40 s, 3 min, 2 h, 5 days, 3 years."""
    units = (("years", 31_557_600.0), ("days", 86_400.0), ("h", 3_600.0), ("min", 60.0))
    for unit, length in units:
        if seconds >= 2.0 * length:
            count = seconds / length
            return f"{count:,.0f} {unit}" if count < 1e6 else f"{count:.0e} {unit}"
    return f"{seconds:.0f} s"
