"""Whether what was made with some texts is held against those same texts."""

from .corpus import Corpus


def difference(what: str, source: str, fingerprint: str, corpus: Corpus, anew: str) -> str | None:
    """What to say where a record was made with other texts than a corpus has here.

    A source of another name, such as another version of a package, is no difference where the
    texts, their labels and their order are the same.

    Args:
        what: Where the record is, for the sentence.
        source: Where its texts were read from (`Corpus.source`).
        fingerprint: Their checksum (`Corpus.fingerprint`).
        corpus: What is here.
        anew: What to do instead of bringing those texts back.

    Returns:
        One sentence without its full stop; None if the texts are the same.
    """
    if fingerprint == corpus.fingerprint:
        return None
    # Of one source with two contents no version can be asked for: a file, or a list, was edited.
    back = "bring those texts back" if source == corpus.source else "install that version"
    return (
        f"{what} was made with other texts than {corpus.name!r} has here: with {source} (checksum "
        f"{fingerprint}), and here it is {corpus.source} (checksum {corpus.fingerprint}); {back}, "
        f"or {anew}"
    )
