"""A corpus: labelled sentences, and where they come from."""

import hashlib
import json
from dataclasses import dataclass

from .errors import CorpusError
from .units import Unit, check_unit


@dataclass(frozen=True)
class Corpus:
    """N labelled texts in K classes.

    Attributes:
        name: What errors and reports call it.
        texts: The N texts, none of them blank.
        labels: One class per text, counted from 0.
        label_names: The K names of the classes, K >= 2; each class has a text.
        unit: What a text is cut into, 'character' or 'word'.
        licence: The terms under which the texts may be used.
        source: Where the texts were read from.

    Raises:
        CorpusError: Any of the above does not hold; the message names the value.
    """

    name: str
    texts: tuple[str, ...]
    labels: tuple[int, ...]
    label_names: tuple[str, ...]
    unit: Unit
    licence: str
    source: str

    def __post_init__(self) -> None:
        check_unit(self.unit)
        self._check_rows()
        self._check_classes()

    def __len__(self) -> int:
        """The number of rows, N."""
        return len(self.texts)

    @property
    def classes(self) -> int:
        """The number of classes, K."""
        return len(self.label_names)

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change when any text, label or unit does."""
        content = [self.texts, self.labels, self.label_names, self.unit]
        written = json.dumps(content, separators=(",", ":")).encode()
        return hashlib.sha256(written).hexdigest()[:16]

    def _check_rows(self) -> None:
        if not self.texts:
            raise self._error("has no texts, expected one for each class at least", "add some")
        if len(self.texts) != len(self.labels):
            raise self._error(
                f"has {len(self.texts)} texts and {len(self.labels)} labels, expected "
                "as many of one as of the other",
                "give each text one label",
            )
        for row, text in enumerate(self.texts):
            if not text.strip():
                raise self._error(
                    f"has an empty text in row {row}: {text!r}, expected something "
                    "beside white space",
                    "fill the row or leave it out",
                )

    def _check_classes(self) -> None:
        names = self.label_names
        if len(names) < 2:
            raise self._error(
                f"has the classes {list(names)}, expected 2 or more: with one there is nothing "
                "to infer",
                "add texts of another class, or pick another column for the label",
            )
        if len(set(names)) < len(names):
            raise self._error(
                f"names two classes alike among {list(names)}, expected distinct names",
                "rename one or merge the two",
            )
        allowed = range(len(names))
        for row, label in enumerate(self.labels):
            if label not in allowed:
                raise self._error(
                    f"has label {label!r} in row {row}, expected 0 to {len(names) - 1}",
                    "number the classes as label_names lists them",
                )
        idle = sorted(set(allowed) - set(self.labels))
        if idle:
            raise self._error(
                f"has no text of class {names[idle[0]]!r} (label {idle[0]}), expected one at least",
                "add one or drop the class",
            )

    def _error(self, found: str, advice: str) -> CorpusError:
        return CorpusError(f"corpus {self.name!r} ({self.source}) {found}; {advice}.")
