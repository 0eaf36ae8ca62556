"""Subjects from real text: a sequence model on a few sentences of a corpus."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from gradproof.estimators.note.subject import Subject
from gradproof.reference_models.batch import UNLABELLED, make_batch
from gradproof.reference_models.corpora import CorpusError, PreparedCorpus, Unit, load, prepare
from gradproof.reference_models.corpora.units import tokenise
from gradproof.reference_models.corpora.vocabulary import SPECIALS
from gradproof.reference_models.registry import make_model


@dataclasses.dataclass(frozen=True)
class TextOptions:
    """How much text a verification takes.

    Enumeration runs the estimator once for each sentence and label.

    Args:
        length: tokens that a sentence is cut to, its end marker among them. No name of the built-in
            corpora is as long as the default.
        vocabulary_size: tokens that the model knows; the rest are unknown ones.
        labelled: sentences of the batch with their label.
        unlabelled: sentences of the batch without.
        text: column of the text, for a file of one's own (None: ``text``).
        label: column of the label, likewise (None: ``label``).
        unit: ``word`` or ``character``, likewise (None: ``word``).

    Raises:
        ValueError: for a number that is not whole or too small. One that is larger than the text
            takes all of it.
    """

    length: int = 48
    vocabulary_size: int = 200
    labelled: int = 1
    unlabelled: int = 2
    text: str | None = None
    label: str | None = None
    unit: Unit | None = None

    def __post_init__(self) -> None:
        check_whole("length", self.length, 1)
        check_whole("vocabulary_size", self.vocabulary_size, len(SPECIALS) + 1)
        check_whole("labelled", self.labelled, 0)
        check_whole("unlabelled", self.unlabelled, 0)
        if self.labelled + self.unlabelled == 0:
            raise ValueError("labelled = 0 and unlabelled = 0, expected a sentence of either kind")


def of_texts(texts: int, **further: Any) -> TextOptions:
    """Options for so many sentences in all, one in four of them with its label.

    Args:
        further: the other fields of :class:`TextOptions`.
    """
    labelled = -(-texts // 4)
    return TextOptions(labelled=labelled, unlabelled=texts - labelled, **further)


def check_whole(name: str, value: object, least: int) -> None:
    """Make sure that a count is one.

    Raises:
        ValueError: if it is no whole number of at least ``least``.
    """
    if not isinstance(value, int | np.integer) or value < least:
        raise ValueError(f"{name} = {value!r}, expected a whole number, {least} or more")


def prepare_text(data: str, options: TextOptions, seed: int) -> PreparedCorpus:
    """A corpus by name or path, split and numbered.

    Raises:
        CorpusError: if it cannot be had, read or split; the message says why.
    """
    corpus = load(data, text=options.text, label=options.label, unit=options.unit)
    # One is held out; however many are asked for, there are no more than the others.
    most = len({tuple(tokenise(text, corpus.unit)) for text in corpus.texts}) - 1
    return prepare(
        corpus,
        length=options.length,
        vocabulary_size=options.vocabulary_size,
        labelled=max(corpus.classes, min(options.labelled, most)),
        held_out=1,
        seed=seed,
    )


def rows_of(prepared: PreparedCorpus, options: TextOptions, rng: np.random.Generator) -> np.ndarray:
    """Rows of a corpus to verify on, labelled ones first.

    Raises:
        CorpusError: if there is no sentence of the kind that is needed.
    """
    parts = prepared.split.labelled, prepared.split.unlabelled
    rows = np.concatenate(
        [
            rng.choice(part, size=min(count, len(part)), replace=False)
            for part, count in zip(parts, (options.labelled, options.unlabelled), strict=True)
        ]
    )
    if not rows.size:
        raise CorpusError(
            f"corpus {prepared.corpus.name!r} has no text left without a label: "
            f"{prepared.corpus.classes} are labelled, one of each class, and one is held out; add "
            "texts, or take labelled sentences too"
        )
    return rows


def describe_fewer(options: TextOptions, rows: np.ndarray) -> str:
    """How many sentences a batch has, if that is fewer than were asked for; else nothing."""
    asked = options.labelled + options.unlabelled
    if len(rows) == asked:
        return ""
    return (
        f"the batch has {len(rows):,} of the {asked:,} sentences that were asked for: there are no "
        "more, since one text is held out, and only so many have their label"
    )


def text_subject(model: str, prepared: PreparedCorpus, options: TextOptions, seed: int) -> Subject:
    """A model with random parameters on sentences drawn from a corpus.

    Raises:
        CorpusError: if there is no sentence of the kind that is needed.
    """
    rng = np.random.default_rng(seed)
    rows = rows_of(prepared, options, rng)
    tokens, mask, labels = prepared.rows(rows)
    labels = np.where(np.isin(rows, prepared.split.labelled), labels, UNLABELLED)
    classes = prepared.corpus.classes
    made = make_model(model, classes, len(prepared.vocabulary))
    batch = make_batch(tokens, mask, labels, made.noise(rng, *tokens.shape), classes=classes)
    name = f"{model} on {prepared.corpus.name}"
    return Subject(made, made.initial(rng), batch, name=name, seed=seed)
