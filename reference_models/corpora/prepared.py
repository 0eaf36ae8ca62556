"""A corpus made ready for a model: split, numbered, and served by the row."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..batch import EOS
from .corpus import Corpus
from .errors import CorpusError
from .split import Split, split
from .vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class PreparedCorpus:
    """All N rows of a corpus as arrays, and which of them may be used for what.

    Attributes:
        corpus: The corpus.
        vocabulary: Built on the labelled and unlabelled texts only.
        tokens: Token numbers, int64, (N, T), read-only.
        mask: 1 where a token is, float64, (N, T), read-only.
        labels: Classes, of the unlabelled rows too, int64, (N,), read-only.
        split: The labelled, unlabelled and held-out rows.
    """

    corpus: Corpus
    vocabulary: Vocabulary
    tokens: npt.NDArray[np.int64]
    mask: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]
    split: Split

    def rows(
        self, indices: Sequence[int] | npt.NDArray[np.integer]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Copies some rows, trimmed to the longest of them.

        Args:
            indices: n rows, in any order, each as often as wanted.

        Returns:
            tokens: int64, (n, t), where t <= T.
            mask: float64, (n, t).
            labels: int64, (n,).

        Raises:
            CorpusError: There are no indices, or one is no row of the corpus.
        """
        chosen = np.asarray(indices)
        self._check(chosen)
        mask = self.mask[chosen]
        longest = int(mask.sum(axis=1).max())
        tokens = self.tokens[chosen, :longest]
        return tokens, mask[:, :longest].copy(), self.labels[chosen]

    def describe_cut(self, indices: Sequence[int] | npt.NDArray[np.integer]) -> str:
        """How many texts of some rows were cut, as a sentence; empty if none was.

        Raises:
            CorpusError: There are no indices, or one is no row of the corpus.
        """
        chosen = np.asarray(indices)
        self._check(chosen)
        # Each text ends in EOS, and one that is cut lacks it.
        cut = int((self.tokens[chosen] != EOS).all(axis=1).sum())
        if not cut:
            return ""
        length = self.tokens.shape[1]
        has, its, was = ("has", "its", "was") if cut == 1 else ("have", "their", "were")
        return (
            f"{cut:,} of {len(chosen):,} texts {has} more than {length} token{'s' * (length > 1)}, "
            f"{its} end marker counted, and {was} cut; a greater length cuts fewer"
        )

    def _check(self, chosen: npt.NDArray[np.integer]) -> None:
        if chosen.ndim != 1 or chosen.size == 0:
            raise CorpusError(
                f"indices have shape {chosen.shape}, expected (n,) with n of at least 1; "
                "pass a list of rows, such as a part of the split that is not empty."
            )
        if not np.issubdtype(chosen.dtype, np.integer):
            raise CorpusError(
                f"indices are of type {chosen.dtype}, expected whole numbers; pass the "
                "numbers of rows, for a mask those of np.flatnonzero."
            )
        strays = chosen[(chosen < 0) | (chosen >= len(self.corpus))]
        if strays.size:
            raise CorpusError(
                f"row {strays[0]} is not in corpus {self.corpus.name!r}, expected 0 to "
                f"{len(self.corpus) - 1}; take rows from its split."
            )


def prepare(
    corpus: Corpus,
    *,
    length: int,
    vocabulary_size: int | None,
    labelled: int,
    held_out: int,
    seed: int,
) -> PreparedCorpus:
    """Splits a corpus, builds a vocabulary without the held-out texts, encodes all rows.

    Args:
        corpus: The corpus.
        length: The most token numbers in a row, EOS among them (`Vocabulary.encode`).
        vocabulary_size: The most tokens, the four specials among them; None for all.
        labelled: How many distinct texts to label (`split`).
        held_out: How many distinct texts to hold out.
        seed: Which of the random splits.

    Raises:
        CorpusError: A number is out of its range; the message says which.
    """
    parts = split(corpus, labelled=labelled, held_out=held_out, seed=seed)
    visible = np.sort(np.concatenate([parts.labelled, parts.unlabelled]))
    vocabulary = Vocabulary.build(
        (corpus.texts[row] for row in visible), corpus.unit, vocabulary_size
    )
    tokens, mask = vocabulary.encode(corpus.texts, length)
    labels = np.array(corpus.labels, dtype=np.int64)
    for array in (tokens, mask, labels):
        array.setflags(write=False)
    return PreparedCorpus(corpus, vocabulary, tokens, mask, labels, parts)
