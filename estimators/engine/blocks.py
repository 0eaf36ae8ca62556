"""How a batch is cut up, so that memory depends neither on the sentences nor on the labels."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

#: Pairs of a sentence and a label that are run together: enough for a product of matrices to be
#: fast, few enough for its results to stay near the processor.
PAIRS = 64


def sentences(n: int, classes: int, pairs: int = PAIRS) -> list[slice]:
    """N sentences in slices of about equal length, all labels of which make at most ``pairs``.

    One sentence may make more.
    """
    return [slice(start, stop) for start, stop in _even_parts(n, max(1, pairs // classes))]


def chunks(classes: int, pairs: int = PAIRS) -> list[Sequence[int]]:
    """All labels in runs of about equal length, at most ``pairs``."""
    return [range(start, stop) for start, stop in _even_parts(classes, pairs)]


def _even_parts(count: int, most: int) -> Iterator[tuple[int, int]]:
    parts = -(-count // most)
    return itertools.pairwise(count * place // parts for place in range(parts + 1))
