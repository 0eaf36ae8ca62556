"""Sums of PyTorch's into places that are given by an index, taken in parts."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from .partial_sums import FEWEST


@dataclass
class ScatteredSum:
    """A sum into places of a target, or of zeros where there is none.

    ``count`` terms are added; ``piece(zeros, places=)`` is what some of them make of zeros.
    """

    target: Any
    count: int
    piece: Callable[..., Any]

    def parts(self, blocks: int) -> list[Callable[[Any], Any]]:
        """So many functions of zeros that each add a part of the terms."""
        cuts = np.linspace(0, self.count, blocks + 1).astype(int).tolist()
        return [partial(self.piece, places=slice(*cut)) for cut in pairwise(cuts)]

    @staticmethod
    def of(name: str, args: tuple[Any, ...]) -> ScatteredSum | None:
        """Such a sum, by an operation's name and arguments; None for few terms or other forms."""
        torch = sys.modules["torch"]
        aten = torch.ops.aten
        form = None
        if name == "embedding_dense_backward" and not args[4]:
            gradient, indices = args[0].flatten(0, args[1].ndim - 1), args[1].flatten()

            def embed(zeros: Any, places: slice) -> Any:
                return aten.embedding_dense_backward(gradient[places], indices[places], *args[2:])

            form = ScatteredSum(None, len(indices), embed)
        elif name in ("index_add", "scatter_add"):
            target, dim, index, source = args[:4]
            operation = getattr(aten, name)
            along = dim if name == "scatter_add" else 0

            def add_terms(zeros: Any, places: slice) -> Any:
                start, count = places.start, places.stop - places.start
                part = source.narrow(dim, start, count)
                return operation(zeros, dim, index.narrow(along, start, count), part, *args[4:])

            if index.ndim and source.ndim:
                form = ScatteredSum(target, index.shape[along], add_terms)
        elif name in ("index_put", "_index_put_impl") and len(args) > 3 and args[3]:
            target, indices, values = args[:3]

            def put(zeros: Any, places: slice) -> Any:
                return aten.index_put(zeros, [indices[0][places]], values[places], True)

            single = len(indices) == 1 and indices[0] is not None and indices[0].ndim == 1
            if single and values.ndim and len(values) == len(indices[0]):
                form = ScatteredSum(target, len(values), put)
        return form if form and form.count >= FEWEST else None
