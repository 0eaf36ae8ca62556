"""Which paths are run where there are more than may be, and what goes with that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: How many paths are run: all, or the heaviest.
ALL, HEAVIEST = "all", "heaviest"


def check_strategy(given: Mapping[str, Any]) -> None:
    """Whether a strategy is one, and goes with the other arguments of a check.

    Raises:
        ValueError: if it is none.
        TypeError: for what does not go with it.
    """
    strategy = given["strategy"]
    if strategy not in (ALL, HEAVIEST):
        raise ValueError(f"strategy = {strategy!r:.60}, expected 'all' or 'heaviest'")
    if strategy == ALL:
        return
    if not given["draws"]:
        raise TypeError(
            "strategy='heaviest' runs paths= at most, and draws from the rest: pass draws=, how "
            "many (some thousands)"
        )
    refused = {
        "fast=True": (given["fast"], "it compares each entry"),
        "sd=": (given["sd"] is not None, "pass bounds= if they are known"),
        "batch=True": (given["batch"] is True, "paths are run one by one"),
        "jobs=": (given["jobs"] != 1, "which path is next depends on those before"),
    }
    for name, (is_given, why) in refused.items():
        if is_given:
            raise TypeError(
                f"{name} does not go with strategy='heaviest' ({why}): leave one of them out"
            )
