"""Drawn numbers that become nodes of rules, once code needs more of them than comparisons.

A number is integrated over what it is known to lie between by then.
"""

from __future__ import annotations

import numpy as np

from .integration.laws import is_light, law_of_chain, without_last_affine
from .lazy_numbers import UNLIKELY, LazyNumbers
from .monotone import back, clipped_at, forward, is_same_chain, without_clips
from .run import UnsupportedDraw


def integrate(numbers: LazyNumbers) -> None:
    """Numbers become nodes of rules, which suit the functions of them that are needed.

    Raises:
        UnsupportedDraw: for one that was compared with others, whose law is not known then.
    """
    drawn, places = numbers.drawn, numbers.places.reshape(-1)
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
            quadrature.has_functions |= bool(chain)
            if not quadrature.by_function or not is_light(law_of_chain(chain)):
                chain = ()
        # Where a function of it is clipped, or begins to be, it has a kink: those are pieces.
        for edge in clipped_at(alone.chain).tolist():
            low, high = (float(end[0]) for end in drawn.between(alone.places))
            if UNLIKELY < (edge - low) / (high - low) < 1.0 - UNLIKELY:
                drawn.decide(place, edge, precision)
        low, high = (float(end[0]) for end in drawn.between(alone.places))
        law = law_of_chain(chain)
        drawn.nodes[place] = (quadrature.take(drawn.run, what, law, precision, low, high), chain)


def values_of(numbers: LazyNumbers) -> np.ndarray:
    """Numbers by the nodes that they became, or become.

    Shape: as of the numbers.

    Raises:
        UnsupportedDraw: as :func:`integrate`.
    """
    integrate(numbers)
    found = np.empty(numbers.places.size)
    for at, place in enumerate(numbers.places.reshape(-1).tolist()):
        chain = numbers.rearrange(np.array([at])).chain
        value, law = numbers.drawn.nodes[place]
        if is_same_chain(chain[: len(law)], law):  # the node is of the number itself
            found[at] = forward(chain[len(law) :], [value])[0]
        else:
            found[at] = forward(chain, back(law, [value], True)[0])[0]
    return found.reshape(numbers.shape)
