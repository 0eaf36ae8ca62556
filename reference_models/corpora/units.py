"""The two units that a text is cut into: characters and words."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal, get_args

from .errors import CorpusError

Unit = Literal["character", "word"]
UNITS: tuple[Unit, ...] = get_args(Unit)

# A punctuation mark is a token of its own. The set is spelled out, and not "neither
# letter nor space", because the vowel signs of Indic scripts are no letters to `re`.
# Separators of lines and a narrow space lie among the marks, and are white space.
_MARKS = r"!-/:-@\[-`{-~¡«»¿\u2010-\u2027\u202a-\u202e\u2030-\u205e\u3001-\u303f"
_WORD = re.compile(rf"[{_MARKS}]|[^\s{_MARKS}]+")
_GLUE: dict[Unit, str] = {"character": "", "word": " "}


def check_unit(unit: str) -> None:
    """Refuses what is not a unit.

    Raises:
        CorpusError: `unit` is neither 'character' nor 'word'.
    """
    if unit not in UNITS:
        expected = " or ".join(map(repr, UNITS))
        raise CorpusError(f"unit is {unit!r}, expected {expected}; pass one of the two.")


def tokenise(text: str, unit: Unit) -> list[str]:
    """Cuts a text into lower-case tokens.

    Args:
        text: Any text; it is lower-cased and brought to Unicode form NFC first.
        unit: 'character' gives code points, white space among them; 'word' gives runs
            without white space, each punctuation mark apart.

    Raises:
        CorpusError: `unit` is not a unit.
    """
    check_unit(unit)
    text = unicodedata.normalize("NFC", text.lower())
    return list(text) if unit == "character" else _WORD.findall(text)


def join(tokens: Sequence[str], unit: Unit) -> str:
    """Writes tokens as one text that `tokenise` cuts into the same tokens again.

    Raises:
        CorpusError: `unit` is not a unit.
    """
    check_unit(unit)
    return _GLUE[unit].join(tokens)
