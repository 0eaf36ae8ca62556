"""Which paths are run where there are more than may be, and what goes with that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Which paths are run: all, the heaviest, or those of random nets of continuous numbers.
ALL, HEAVIEST, QUASI = "all", "heaviest", "quasi"

#: What else each needs.
DRAWS = {
    HEAVIEST: "runs paths= at most, and draws from the rest: pass draws=, how many (some "
    "thousands)",
    QUASI: "takes means over random nets of points: pass draws=, how many nets (some hundreds), "
    "and paths=, how many paths in all (some ten thousands)",
}


def check_strategy(given: Mapping[str, Any]) -> None:
    """Whether a strategy is one, and goes with the other arguments of a check.

    Raises:
        ValueError: if it is none.
        TypeError: for what does not go with it.
    """
    strategy = given["strategy"]
    if strategy not in (ALL, *DRAWS):
        raise ValueError(
            f"strategy = {strategy!r:.60}, expected {', '.join(map(repr, (ALL, *DRAWS)))}"
        )
    if strategy == ALL:
        return
    if not given["draws"]:
        raise TypeError(f"strategy={strategy!r} {DRAWS[strategy]}")
    refused = {
        "fast=True": (given["fast"], "it compares each entry"),
        "sd=": (given["sd"] is not None, "pass bounds= if they are known"),
        "batch=True": (given["batch"] is True, "paths are run one by one"),
        "jobs=": (given["jobs"] != 1, "which path is next depends on those before"),
        "integrate=": (
            strategy == QUASI and given["integrate"] is not None,
            "nets take the place of quadrature rules",
        ),
        "rarest=": (
            strategy == QUASI and given["rarest"] is not None,
            "no range is learnt",
        ),
    }
    for name, (is_given, why) in refused.items():
        if is_given:
            raise TypeError(
                f"{name} does not go with strategy={strategy!r} ({why}): leave one of them out"
            )
