"""Parts a corpus into labelled, unlabelled and held-out rows, by text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .corpus import Corpus
from .errors import CorpusError
from .units import tokenise


@dataclass(frozen=True, eq=False)
class Split:
    """Three disjoint parts of a corpus's rows that together are all of them.

    Attributes:
        labelled: Rows whose class may be seen, int64, ascending, read-only.
        unlabelled: Rows whose text alone may be seen, likewise; there may be none.
        held_out: Rows of which nothing may be seen, likewise; there may be none.
    """

    labelled: npt.NDArray[np.int64]
    unlabelled: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.int64]


def split(corpus: Corpus, *, labelled: int, held_out: int, seed: int) -> Split:
    """Parts a corpus at random so that no text is in two parts.

    What is counted and dealt are distinct texts, told apart as a vocabulary tells them
    (`tokenise`); all rows of a text go where it goes, so a part has at least as many rows
    as texts. The labelled part first takes a text of each class that it lacks, in
    random order, and then any; the held-out part takes any of the others. A class of
    which there is one text is thus labelled and never held out.

    Args:
        corpus: What to part.
        labelled: How many distinct texts to label, at least one for each class.
        held_out: How many distinct texts to hold out.
        seed: Which of the random splits; the same seed gives the same split.

    Returns:
        The split; what is neither labelled nor held out is unlabelled.

    Raises:
        CorpusError: A number is not whole or too small, or there are fewer texts.
    """
    rows_of = _rows_by_text(corpus)
    _check_sizes(corpus, len(rows_of), labelled, held_out)
    _check_whole("seed", seed, 0, "which split to make")
    order = np.random.default_rng(seed).permutation(len(rows_of)).tolist()
    classes = [{corpus.labels[row] for row in rows} for rows in rows_of]
    first = list(_one_of_each(classes, order))
    dealt = list(dict.fromkeys([*first, *order]))
    border = labelled + held_out
    return Split(
        labelled=_rows(rows_of, dealt[:labelled]),
        unlabelled=_rows(rows_of, dealt[border:]),
        held_out=_rows(rows_of, dealt[labelled:border]),
    )


def _rows_by_text(corpus: Corpus) -> list[list[int]]:
    """The rows of each distinct text, texts in the order of their first rows."""
    rows: dict[tuple[str, ...], list[int]] = {}
    for row, text in enumerate(corpus.texts):
        rows.setdefault(tuple(tokenise(text, corpus.unit)), []).append(row)
    return list(rows.values())


def _one_of_each(classes: Sequence[set[int]], order: Sequence[int]) -> Iterator[int]:
    """Yields the texts that bring a class which those before them lack."""
    seen: set[int] = set()
    for text in order:
        if not classes[text] <= seen:
            seen |= classes[text]
            yield text


def _rows(rows_of: Sequence[list[int]], texts: Sequence[int]) -> npt.NDArray[np.int64]:
    rows = np.sort(np.array([r for text in texts for r in rows_of[text]], dtype=np.int64))
    rows.setflags(write=False)
    return rows


def _check_sizes(corpus: Corpus, texts: int, labelled: int, held_out: int) -> None:
    _check_whole("labelled", labelled, corpus.classes, "one text for each class")
    _check_whole("held_out", held_out, 0, "a number of distinct texts")
    if labelled + held_out > texts:
        raise CorpusError(
            f"corpus {corpus.name!r} has {texts} distinct texts, expected at least "
            f"{labelled + held_out}: labelled + held_out is {labelled} + {held_out}; add texts, or "
            "lower one of them."
        )


def _check_whole(argument: str, value: float, least: int, meaning: str) -> None:
    if not isinstance(value, (int, np.integer)) or value < least:
        raise CorpusError(
            f"{argument} is {value!r}, expected a whole number of at least {least} "
            f"({meaning}); change it."
        )
