"""A smaller problem, where one has too many paths: how many draws could be enumerated."""

from __future__ import annotations

from collections.abc import Sequence


def suggest_fewer_draws(outcomes: Sequence[int], most: int) -> str:
    """What to do about too many paths, after a comma; says how many draws fit.

    Args:
        outcomes: how many possible ones each draw of one path has.
        most: paths that may be run.
    """
    paths, fit, within = 1, 0, 1
    for count in outcomes:
        paths *= max(1, count)
        if paths <= most:
            fit, within = fit + 1, paths
    if not fit or fit == len(outcomes):
        return "draw less at once (a smaller batch, fewer outcomes)"
    draws = "draw has" if fit == 1 else f"{fit:,} draws have"
    return (
        f"draw less at once (a run makes {len(outcomes):,} draws, whose outcomes make some "
        f"{_rough(paths)} paths; its first {draws} {within:,}: check that many examples, steps or "
        "samples, where a bias of the code shows as well)"
    )


def _rough(count: int) -> str:
    """A count, rounded where it is long; it may be too large for a float."""
    if count < 10**7:
        return f"{count:,}"
    digits = str(count)
    return f"{digits[0]}.{digits[1]}e+{len(digits) - 1:02d}"
