"""A vocabulary: numbers for tokens, tokens for numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..batch import EOS, PAD, UNK
from .errors import CorpusError
from .units import Unit, check_unit, join, tokenise

# In the order of PAD, UNK, BOS, EOS, as `batch` numbers them. No text holds one of these: they are
# longer than a character, and as words `tokenise` takes off the brackets.
SPECIALS = ("<pad>", "<unk>", "<bos>", "<eos>")


@dataclass(frozen=True)
class Vocabulary:
    """V distinct tokens; the number of a token is its place.

    Attributes:
        tokens: The V tokens, first the four specials <pad>, <unk>, <bos>, <eos>.
        unit: What texts are cut into.

    Raises:
        CorpusError: The specials are not in front, or a token occurs twice.
    """

    tokens: tuple[str, ...]
    unit: Unit
    _numbers: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_unit(self.unit)
        if self.tokens[: len(SPECIALS)] != SPECIALS:
            raise CorpusError(
                f"a vocabulary begins with {self.tokens[: len(SPECIALS)]}, expected "
                f"{SPECIALS}; put these in front, or call Vocabulary.build."
            )
        numbers = {token: number for number, token in enumerate(self.tokens)}
        if len(numbers) < len(self.tokens):
            twice = Counter(self.tokens).most_common(1)[0]
            raise CorpusError(
                f"a vocabulary holds {twice[0]!r} {twice[1]} times, expected each token "
                "once; leave the others out."
            )
        object.__setattr__(self, "_numbers", numbers)

    @classmethod
    def build(cls, texts: Iterable[str], unit: Unit, size: int | None = None) -> Vocabulary:
        """Numbers the tokens of some texts, the most frequent first.

        Tokens that are as frequent as each other stand in the order of their code
        points, so that the same texts in any order give the same vocabulary.

        Args:
            texts: The texts that may be looked at, so none that is held out.
            unit: What they are cut into.
            size: The most tokens to keep, the four specials among them; None keeps all.

        Raises:
            CorpusError: `size` leaves no room beside the specials.
        """
        if size is not None and size <= len(SPECIALS):
            raise CorpusError(
                f"the vocabulary's size is {size}, expected more than {len(SPECIALS)}, "
                f"which {', '.join(SPECIALS)} take; raise it."
            )
        counts = Counter(token for text in texts for token in tokenise(text, unit))
        ordered = sorted(counts, key=lambda token: (-counts[token], token))
        return cls((*SPECIALS, *ordered)[:size], unit)

    def __len__(self) -> int:
        """The number of tokens, V, the specials among them."""
        return len(self.tokens)

    def encode(
        self, texts: Sequence[str], length: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Writes texts as rows of token numbers.

        A row is the numbers of the text's tokens, UNK for those not in the vocabulary,
        and EOS; cut to `length`, so that a text that is cut has no EOS; then PAD.

        Args:
            texts: N texts.
            length: The most numbers in a row.

        Returns:
            tokens: int64, (N, T), where T <= length is that of the longest row.
            mask: float64, (N, T), 1 where a token or EOS is and 0 where PAD is.

        Raises:
            CorpusError: There are no texts, or `length` is under 1.
        """
        if not texts:
            raise CorpusError("there are 0 texts to encode, expected 1 or more; add some.")
        if length < 1:
            raise CorpusError(f"length is {length}, expected 1 or more; raise it.")
        rows = [self._row(text)[:length] for text in texts]
        shape = len(rows), max(map(len, rows))
        tokens = np.full(shape, PAD, dtype=np.int64)
        mask = np.zeros(shape)
        for n, row in enumerate(rows):
            tokens[n, : len(row)] = row
            mask[n, : len(row)] = 1.0
        return tokens, mask

    def decode(self, row: Iterable[int]) -> str:
        """Writes a row of token numbers as a text, up to the first EOS or PAD.

        Args:
            row: Numbers as `encode` makes them, (T,).

        Raises:
            CorpusError: A number is not in the vocabulary.
        """
        tokens = []
        for number in row:
            if not 0 <= number < len(self):
                raise CorpusError(
                    f"token number {number} is not in the vocabulary, expected 0 to "
                    f"{len(self) - 1}; decode with the vocabulary that encoded it."
                )
            if number in (EOS, PAD):
                break
            tokens.append(self.tokens[number])
        return join(tokens, self.unit)

    def _row(self, text: str) -> list[int]:
        tokens = tokenise(text, self.unit)
        return [*(self._numbers.get(token, UNK) for token in tokens), EOS]
