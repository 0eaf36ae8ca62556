"""The corpora that are known by name; to add one, add a row to `CORPORA`."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from . import last_names, reuters
from .corpus import Corpus
from .errors import CorpusError
from .text_table import SUFFIXES, load_table
from .units import Unit


@dataclass(frozen=True)
class CorpusEntry:
    """One known corpus.

    Attributes:
        description: One line on what it holds.
        licence: The terms under which its texts may be used.
        load: Reads it.
        installed: Tells, without reading it, whether its data is there.
    """

    description: str
    licence: str
    load: Callable[[], Corpus]
    installed: Callable[[], bool]


@dataclass(frozen=True)
class CorpusListing:
    """What is known of a corpus without reading it."""

    name: str
    description: str
    licence: str
    installed: bool


CORPORA = {
    "names-8": CorpusEntry(
        "last names by locale, 8 Latin-script locales, characters",
        last_names.LICENCE,
        partial(last_names.load_names, "names-8", last_names.EIGHT),
        last_names.installed,
    ),
    "names-61": CorpusEntry(
        "last names by locale, 61 locales, characters",
        last_names.LICENCE,
        partial(last_names.load_names, "names-61", last_names.SIXTY_ONE),
        last_names.installed,
    ),
    "r8": CorpusEntry(
        "Reuters-21578 news stories by topic, 8 topics, words",
        reuters.LICENCE,
        partial(reuters.load_reuters, "r8"),
        partial(reuters.installed, "r8"),
    ),
    "r52": CorpusEntry(
        "Reuters-21578 news stories by topic, 52 topics, words",
        reuters.LICENCE,
        partial(reuters.load_reuters, "r52"),
        partial(reuters.installed, "r52"),
    ),
}


def load(
    name_or_path: str | Path,
    *,
    text: str | None = None,
    label: str | None = None,
    unit: Unit | None = None,
) -> Corpus:
    """Reads a known corpus by its name, or a user's own from a file.

    Args:
        name_or_path: A name in `available()`, or a .csv, .tsv or .jsonl file.
        text: The file's column of texts, by default 'text'.
        label: The file's column of labels, by default 'label'.
        unit: What the file's texts are cut into, by default 'word'.

    Raises:
        CorpusMissing: The corpus is known and its data not installed.
        CorpusError: The name is unknown, the file cannot be used (`load_table`), or a
            column or unit was given for a known corpus, which has its own.
    """
    columns = {"text": text, "label": label, "unit": unit}
    columns = {argument: value for argument, value in columns.items() if value is not None}
    entry = CORPORA.get(str(name_or_path))
    if entry is None:
        _check_path(name_or_path)
        return load_table(
            name_or_path,
            text="text" if text is None else text,
            label="label" if label is None else label,
            unit="word" if unit is None else unit,
        )
    if columns:
        raise CorpusError(
            f"{columns} given for corpus {name_or_path!r}, expected none, for it has its "
            "own; leave them out, they are for files."
        )
    return entry.load()


def available() -> tuple[CorpusListing, ...]:
    """All known corpora, installed or not, without reading any."""
    return tuple(
        CorpusListing(name, entry.description, entry.licence, entry.installed())
        for name, entry in CORPORA.items()
    )


def _check_path(name_or_path: str | Path) -> None:
    """Tells an unknown name from a path: a path has a folder or a known suffix, or is a file."""
    path = Path(name_or_path)
    if path.suffix.lower() in SUFFIXES or path.name != str(name_or_path) or path.is_file():
        return
    close = difflib.get_close_matches(str(name_or_path).lower(), CORPORA, n=1, cutoff=0.5)
    suggestion = f"did you mean {close[0]!r}?" if close else "pick one of them."
    raise CorpusError(
        f"corpus {str(name_or_path)!r} is unknown, expected one of {list(CORPORA)} or a "
        f"file that ends in {', '.join(SUFFIXES)}; {suggestion}"
    )
