"""Arrays and tensors that stand somewhere else for a while, along a direction."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .differences import MovableLeaf


class MovedLeaves:
    """Leaves that can be moved, and are put back bit for bit, whatever happens.

    Args:
        leaves: NumPy arrays and PyTorch tensors in single or double precision, by name. A tensor
            is moved in memory of its own: what shares memory with it stays where it is.

    Raises:
        NotMovable: for a leaf that cannot be written to, or is too coarse.
    """

    def __init__(self, leaves: Mapping[str, Any]) -> None:
        # One that has two names moves by way of both.
        once = {id(leaf): MovableLeaf(name, leaf) for name, leaf in leaves.items()}
        self._leaves = {name: once[id(leaf)] for name, leaf in leaves.items()}

    @contextlib.contextmanager
    def moved(self, towards: Mapping[str, np.ndarray], step: float) -> Iterator[None]:
        """They stand where a step leads in a direction, until this is left.

        Args:
            towards: by name, of the leaves' shapes; those that are not named stay.
        """
        moving: dict[MovableLeaf, np.ndarray] = {}
        for name, way in towards.items():
            leaf = self._leaves[name]
            moving[leaf] = moving[leaf] + way if leaf in moving else way
        try:
            for leaf, way in moving.items() if step else ():
                leaf.put_all(leaf.before + step * way)
                leaf.leave()
            yield
        finally:
            for leaf in moving:
                leaf.restore()

    def entry_at(
        self, towards: Mapping[str, np.ndarray], step: float
    ) -> tuple[str, tuple[int, ...], float]:
        """The entry that a step moves farthest: its leaf's name, its place, and its value there."""
        name = max(towards, key=lambda key: np.abs(towards[key]).max(initial=0.0))
        place = np.unravel_index(int(np.abs(towards[name]).argmax()), towards[name].shape)
        there = self._leaves[name].before[place] + step * towards[name][place]
        return name, tuple(int(each) for each in place), float(there)
