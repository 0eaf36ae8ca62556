"""Whether paths were run one by one, or many at a time."""

from __future__ import annotations

from gradproof.estimators.enumeration.enumeration import Enumeration

#: Paths from which on it counts.
MANY = 1000


def way_of_running(enumeration: Enumeration, paths: int) -> list[str]:
    """A note on how paths were run, where there are so many that it counts, or none."""
    if enumeration.blocks:
        return [
            f"Paths were run many at a time, in {enumeration.blocks:,} "
            f"block{'' if enumeration.blocks == 1 else 's'}, and "
            f"{enumeration.repeats} of them by themselves too, which came to the same."
        ]
    if paths < MANY or not enumeration.one_by_one:
        return []
    return [f"Paths were run one by one: {enumeration.one_by_one}."]
