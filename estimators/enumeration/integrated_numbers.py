"""Drawn numbers that become nodes of rules, once code needs more of them than comparisons.

A number is integrated over what it is known to lie between by then.
"""

from __future__ import annotations

import numpy as np

from .block import BlockRun
from .integration.laws import ContinuousLaw, is_light, law_of_chain, without_last_affine
from .lazy_numbers import UNLIKELY, LazyNumbers
from .monotone import back, clipped_at, forward, is_same_chain, without_clips
from .of_rows import is_of_rows
from .run import Run, UnsupportedDraw


def integrate(numbers: LazyNumbers) -> None:
    """Numbers become nodes of rules, which suit the functions of them that are needed.

    Raises:
        UnsupportedDraw: for one that was compared with others, whose law is not known then.
    """
    drawn, places = numbers.drawn, numbers.places.reshape(-1)
    if places.size and drawn.nodes.keys() >= set(places.tolist()):
        return
    quadrature = drawn.run.quadrature
    assert quadrature is not None  # whoever needs the numbers has asked
    if places.size:
        drawn.check_under_way(numbers.places)
    for at, place in enumerate(places.tolist()):
        if place in drawn.nodes:
            continue
        alone = numbers.rearrange(np.array([at]))
        what, precision, chain = drawn.draw_of(place)
        if drawn.were_ordered(alone.places):
            raise UnsupportedDraw(
                f"{what}() is used after it was compared with others, and the law that it has then "
                "is not known; use its numbers first, and compare them afterwards"
            )
        if not chain:
            chain = without_last_affine(without_clips(alone.chain))
            if is_of_rows(chain):
                drawn.refuse_rows("a number is used by what is another function of it on each path")
            quadrature.has_functions |= bool(chain)
            if not quadrature.by_function or not is_light(law_of_chain(chain)):
                chain = ()
        # Where a function of it is clipped, or begins to be, it has a kink: those are pieces.
        edges = clipped_at(alone.chain)
        if edges.size and is_of_rows(alone.chain):
            drawn.refuse_rows("a number has a kink in another place on each path")
        for edge in edges.tolist():
            low, high = (float(end[0]) for end in drawn.between(alone.places))
            if UNLIKELY < (edge - low) / (high - low) < 1.0 - UNLIKELY:
                drawn.decide(place, edge, precision)
        low, high = (float(end[0]) for end in drawn.between(alone.places))
        law = law_of_chain(chain)
        drawn.settle(place, _take(drawn.run, what, law, precision, (low, high)), chain)


def _take(
    run: Run, what: str, law: ContinuousLaw, precision: float, between: tuple[float, float]
) -> float | np.ndarray:
    """The node of a number, or those of all rows, (P,).

    Args:
        between: shares of its law.
    """
    assert run.quadrature is not None  # it was asked
    if not isinstance(run, BlockRun):
        return run.quadrature.take(run, what, law, precision, *between)
    return run.quadrature.take_rows(run, what, law, precision, *between)


def values_of(numbers: LazyNumbers) -> np.ndarray:
    """Numbers by the nodes that they became, or become.

    Shape: as of the numbers.

    Raises:
        UnsupportedDraw: as :func:`integrate`.
    """
    if numbers.drawn.has_rows:
        numbers.drawn.refuse_rows("its numbers are used for one path at a time")
    return _values(numbers, 1).reshape(numbers.shape)


def values_of_rows(numbers: LazyNumbers) -> np.ndarray:
    """The same in a run of many rows, of each of them.

    Shape: (P, *shape), that of the numbers.

    Raises:
        UnsupportedDraw: as :func:`integrate`.
        NotBatchable: for numbers by other functions in each row.
    """
    run = numbers.drawn.run
    assert isinstance(run, BlockRun)  # it was asked
    if is_of_rows(numbers.chain):
        numbers.drawn.refuse_rows("a number is made of others without its framework")
    return _values(numbers, run.size).T.reshape(run.size, *numbers.shape)


def _values(numbers: LazyNumbers, rows: int) -> np.ndarray:
    """Of all entries in each row, (N, P)."""
    integrate(numbers)
    found = np.empty((numbers.places.size, rows))
    for at, place in enumerate(numbers.places.reshape(-1).tolist()):
        chain = numbers.rearrange(np.array([at])).chain
        nodes, law = numbers.drawn.nodes[place]
        value = np.atleast_1d(nodes)
        if is_same_chain(chain[: len(law)], law):  # the node is of the number itself
            found[at] = forward(chain[len(law) :], value)
        else:
            found[at] = forward(chain, back(law, value, True)[0])
    return found
