"""Whether a record of training was made with the texts that its corpus has here."""

from __future__ import annotations

from gradproof.reference_models.corpora import (
    CorpusError,
    CorpusMissing,
    available,
    difference,
    is_table,
    load,
)

from .records import Training

#: What to do about a record of other texts, but to bring those back.
ANEW = "make the record anew with `gradproof train`"


def other_texts(record: Training, what: str) -> str | None:
    """What to say of a record that was made with other texts than its corpus has here.

    A file of one's own is not looked for: a record does not know where it is now, nor its columns.

    Args:
        what: where the record is, for the sentence.

    Returns:
        One sentence without its full stop; None if the texts are the same, or are not here.
    """
    known = {row.name for row in available()}
    if record.data not in known or is_table(record.source):
        return None
    try:
        corpus = load(record.data)
    except CorpusMissing:
        return None
    except CorpusError as error:
        return (
            f"{what} was made with {record.source} (checksum {record.fingerprint}), which cannot "
            f"be compared with what is here: {error}"
        )
    return difference(what, record.source, record.fingerprint, corpus, ANEW)
