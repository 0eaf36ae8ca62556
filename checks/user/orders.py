"""Whether the order of draws matters, where somebody says that it does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.exchange import ORDERS, Exchange
from gradproof.estimators.enumeration.gradients import GradientLayout
from gradproof.estimators.enumeration.rounding import ROUNDINGS
from gradproof.estimators.enumeration.run import NotEnumerable, Path

from ..evidence import entry
from .strategy import ALL


class NotExchangeable(NotEnumerable):
    """Draws whose order matters: in another order the same outcomes gave another gradient."""


def check_exchangeable(given: Mapping[str, Any]) -> None:
    """Whether it is said that order does not matter, and goes with the other arguments of a check.

    Raises:
        TypeError: if not.
    """
    if not isinstance(given["exchangeable"], bool):
        raise TypeError(f"exchangeable = {given['exchangeable']!r:.60}, expected True or False")
    if not given["exchangeable"]:
        return
    refused = {
        "batch=True": given["batch"] is True,
        "jobs=": given["jobs"] != 1,
        "strategy='heaviest'": given["strategy"] != ALL,
    }
    for name, is_given in refused.items():
        if is_given:
            raise TypeError(f"{name} does not go with exchangeable=True: leave one of them out")


def check_orders(
    enumeration: Enumeration, exchange: Exchange, like: Mapping[str, np.ndarray], precision: float
) -> str:
    """What was seen of orders: each path gives the same gradient in another one, but for rounding.

    Args:
        exchange: that of the enumeration.
        like: arrays of the names and shapes of gradients.
        precision: of these, as the step from 1 to the next number.

    Raises:
        NotExchangeable: if a path does not.
        NotEnumerable: as an enumeration does.
    """
    layout, count = GradientLayout(like), 0
    for path in enumeration.paths():
        row = layout.row(path.value)
        count += 1
        # Sums in another order round otherwise.
        size = float(np.abs(row[np.isfinite(row)]).max(initial=0.0))
        allowed = ROUNDINGS * max(precision, path.precision) * size
        for order in range(1, ORDERS):
            enumeration.restore_state()
            other = _run_in_order(enumeration, exchange, order, layout, path)
            with np.errstate(invalid="ignore"):
                same = (
                    (np.abs(row - other) <= allowed)
                    | (row == other)
                    | (np.isnan(row) & np.isnan(other))
                )
            if not same.all():
                place = int(np.argmin(same))
                raise NotExchangeable(
                    f"the order of draws matters: {entry(*layout.entry(place))} is "
                    f"{row[place]:.6e} where {path}, and {other[place]:.6e} where the same "
                    "outcomes come in another order; leave exchangeable=True out"
                )
    if not exchange.draws:
        return (
            "exchangeable=True changed nothing: no call makes several draws by the same "
            "probabilities."
        )
    return (
        f"Draws of one call by the same probabilities, {exchange.draws:,} at most, were enumerated "
        "by how often each outcome comes, since exchangeable=True says that their order does not "
        f"matter; each of {count:,} paths was run in {ORDERS} orders, which came to the same."
    )


def _run_in_order(
    enumeration: Enumeration,
    exchange: Exchange,
    order: int,
    layout: GradientLayout,
    path: Path[Any],
) -> np.ndarray:
    """The gradients of a path in another order, (P,)."""
    exchange.order = order
    try:
        return layout.row(enumeration.run_once(path.choices).value)
    finally:
        exchange.order = 0
