"""How a batch is cut up, so that memory depends neither on the sentences nor on the labels."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

#: Pairs of a sentence and a label that are run together: enough for a product of matrices to be
#: fast, few enough for its results to stay near the processor.
PAIRS = 64


def sentences(n: int, classes: int, pairs: int = PAIRS) -> list[slice]:
    """Slices of N sentences, all labels of which make about ``pairs``."""
    size = max(1, pairs // classes)
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def chunks(classes: int, pairs: int = PAIRS) -> list[Sequence[int]]:
    """All labels in runs of about equal length, at most ``pairs``."""
    count = -(-classes // pairs)
    edges = [classes * place // count for place in range(count + 1)]
    return [range(start, stop) for start, stop in itertools.pairwise(edges)]
