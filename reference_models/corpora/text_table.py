"""A user's own corpus: one CSV, TSV or JSONL file with a text and a label column."""

import csv
import io
import json
import reprlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from .corpus import Corpus
from .errors import CorpusError
from .units import Unit

LICENCE = "not stated: the user's own file"


class LabelledText(NamedTuple):
    """One labelled text and the line of its file on which it begins, from 1."""

    line: int
    text: str
    label: str


def load_table(
    path: str | Path, text: str = "text", label: str = "label", unit: Unit = "word"
) -> Corpus:
    """Reads a corpus from a UTF-8 file.

    CSV and TSV files have a header; cells may be quoted, and a quoted cell may hold
    line breaks. A JSONL file has one object a line. Lines with nothing on them are
    passed over. The classes are the distinct labels in sorted order.

    Args:
        path: A file that ends in .csv, .tsv or .jsonl.
        text: The column (or key) of the texts.
        label: The column (or key) of the labels: text; in JSONL also whole numbers or
            booleans.
        unit: What a text is cut into.

    Raises:
        CorpusError: The file is missing, of another kind, cannot be read as what it
            is, lacks a column, has an empty cell or fewer than two classes.
    """
    path = Path(path)
    read = _reader(path)
    content = _content(path)
    if not content.strip():
        raise CorpusError(
            f"{path} is empty, expected texts in {text!r} and labels in {label!r}; check the path, "
            "or fill the file."
        )
    records = list(read(content, path, text, label))
    return corpus_of(records, path.stem, unit, LICENCE, str(path))


def corpus_of(
    records: Sequence[LabelledText], name: str, unit: Unit, licence: str, source: str
) -> Corpus:
    """Numbers the labels in sorted order and makes a corpus of the records.

    Raises:
        CorpusError: There are no records or fewer than two classes.
    """
    label_names = tuple(sorted({record.label for record in records}))
    number = {label: k for k, label in enumerate(label_names)}
    return Corpus(
        name=name,
        texts=tuple(record.text for record in records),
        labels=tuple(number[record.label] for record in records),
        label_names=label_names,
        unit=unit,
        licence=licence,
        source=source,
    )


def read_tab(path: Path, text: str, label: str) -> list[LabelledText]:
    """Reads an Orange .tab file: cells apart by tabs under three header lines.

    The first header line names the columns; the types and roles below it are not used.

    Raises:
        CorpusError: As `load_table`.
    """
    return list(_delimited(_content(path), path, text, label, "\t", header_lines=3))


def _csv(content: str, path: Path, text: str, label: str) -> Iterator[LabelledText]:
    return _delimited(content, path, text, label, ",")


def _tsv(content: str, path: Path, text: str, label: str) -> Iterator[LabelledText]:
    return _delimited(content, path, text, label, "\t")


def _delimited(
    content: str, path: Path, text: str, label: str, delimiter: str, header_lines: int = 1
) -> Iterator[LabelledText]:
    rows = _rows(content, path, delimiter)
    line, header = next(rows, (1, []))
    columns = [cell.strip() for cell in header]
    _check_columns(columns, (text, label), f"{path}, line {line}")
    at_text, at_label = columns.index(text), columns.index(label)
    for line, row in rows:
        if line <= header_lines:
            continue
        if len(row) != len(columns):
            raise CorpusError(
                f"{path}, line {line} has {len(row)} cells, expected {len(columns)} "
                f"as in the header {columns}; quote cells that hold {delimiter!r}."
            )
        yield _record(path, line, (text, row[at_text]), (label, row[at_label]))


def _rows(content: str, path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yields each row that is not blank with the line on which it begins."""
    # strict: a quote that is never closed would otherwise swallow the rest unseen.
    cells = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for row in cells:
            if any(cell.strip() for cell in row):
                yield line, row
            line = cells.line_num + 1
    except csv.Error as error:
        raise CorpusError(
            f"{path}, line {line} cannot be read: {error}; expected cells apart by "
            f"{delimiter!r}, quoted as a spreadsheet does; close or double the quotes."
        ) from error


def _jsonl(content: str, path: Path, text: str, label: str) -> Iterator[LabelledText]:
    for line, written in enumerate(content.split("\n"), start=1):
        if not written.strip():
            continue
        entry = _object(written, f"{path}, line {line}")
        _check_columns(list(entry), (text, label), f"{path}, line {line}")
        yield _record(path, line, (text, entry[text]), (label, entry[label]))


def _object(written: str, where: str) -> dict[str, object]:
    try:
        entry = json.loads(written)
    except json.JSONDecodeError as error:
        raise CorpusError(
            f"{where} is not JSON: {error.msg} at column {error.colno}; expected one "
            "object a line; mend the line."
        ) from error
    except RecursionError:
        raise CorpusError(
            f"{where} is nested too deep to be read, expected one object of a text and a label a "
            "line; mend the line."
        ) from None
    except ValueError:  # of all that is JSON, Python refuses this
        raise CorpusError(
            f"{where} holds a number of more digits than can be read, expected at most "
            f"{sys.get_int_max_str_digits()}; write it as text, in quotes."
        ) from None
    if not isinstance(entry, dict):
        raise CorpusError(
            f"{where} holds {reprlib.repr(entry)}, expected an object with a text and a label; "
            "mend the line."
        )
    return entry


def _record(
    path: Path, line: int, text: tuple[str, object], label: tuple[str, object]
) -> LabelledText:
    """Checks the two cells, each given as its column's name and its value."""
    where = f"{path}, line {line}"
    column, value = label
    if isinstance(value, int):
        label = column, str(value)
    return LabelledText(line, _cell(where, *text), _cell(where, *label))


def _cell(where: str, column: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise CorpusError(
            f"{where} has {reprlib.repr(value)} in column {column!r}, expected text; fill the cell "
            "or leave the line out."
        )
    return value.strip()


def _check_columns(found: list[str], wanted: Sequence[str], where: str) -> None:
    for column in wanted:
        if found.count(column) != 1:
            raise CorpusError(
                f"{where} has {found.count(column)} columns named {column!r}, expected "
                f"1; the columns are {found}; give the names of the two by text= and label=, on "
                "the command line by --text-column and --label-column."
            )


def _content(path: Path) -> str:
    if not path.is_file():
        raise CorpusError(f"there is no file {path}; expected a table; check the path.")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # error.object, not raw: its positions leave out a byte order mark.
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start]
        raise CorpusError(
            f"{path}, line {line} has the byte {byte:#04x}, which is not "
            "UTF-8; expected UTF-8 throughout; save the file in that encoding."
        ) from error


def _reader(path: Path) -> Callable[[str, Path, str, str], Iterator[LabelledText]]:
    try:
        return _READERS[path.suffix.lower()]
    except KeyError:
        raise CorpusError(
            f"{path} ends in {path.suffix!r}, expected one of {list(_READERS)}; convert "
            "the file or rename it."
        ) from None


_READERS = {".csv": _csv, ".tsv": _tsv, ".jsonl": _jsonl}
SUFFIXES: tuple[str, ...] = tuple(_READERS)


def is_table(source: str) -> bool:
    """Whether a corpus of this source was read from a user's own file."""
    return Path(source).suffix.lower() in SUFFIXES
