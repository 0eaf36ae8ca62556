"""Subjects from real text: a sequence model on a few sentences of a corpus."""

from __future__ import annotations

import dataclasses

import numpy as np

from gradproof.estimators.subject import Subject
from gradproof.reference_models.batch import UNLABELLED, make_batch
from gradproof.reference_models.corpora import Prepared, Unit, load, prepare
from gradproof.reference_models.registry import make_model


@dataclasses.dataclass(frozen=True)
class TextOptions:
    """How much text a verification takes.

    Enumeration runs the estimator once for each sentence and label, so a few short sentences are
    enough: a claim that fails, fails on each of them.

    Args:
        length: tokens that a sentence is cut to, its end marker among them.
        vocabulary_size: tokens that the model knows; the rest are unknown ones.
        labelled: sentences of the batch with their label.
        unlabelled: sentences of the batch without.
        text: column of the text, for a file of one's own (None: ``text``).
        label: column of the label, likewise (None: ``label``).
        unit: ``word`` or ``character``, likewise (None: ``word``).
    """

    length: int = 6
    vocabulary_size: int = 200
    labelled: int = 1
    unlabelled: int = 2
    text: str | None = None
    label: str | None = None
    unit: Unit | None = None


def prepare_text(data: str, options: TextOptions, seed: int) -> Prepared:
    """A corpus by name or path, split and numbered.

    Raises:
        CorpusError: if it cannot be had, read or split; the message says why.
    """
    corpus = load(data, text=options.text, label=options.label, unit=options.unit)
    classes = corpus.classes
    return prepare(
        corpus,
        length=options.length,
        vocabulary_size=options.vocabulary_size,
        labelled=classes,
        held_out=1,
        seed=seed,
    )


def text_subject(model: str, prepared: Prepared, options: TextOptions, seed: int) -> Subject:
    """A model with random parameters on sentences drawn from a corpus."""
    rng = np.random.default_rng(seed)
    parts = prepared.split.labelled, prepared.split.unlabelled
    rows = np.concatenate(
        [
            rng.choice(part, size=min(count, len(part)), replace=False)
            for part, count in zip(parts, (options.labelled, options.unlabelled), strict=True)
        ]
    )
    tokens, mask, labels = prepared.rows(rows)
    labels = np.where(np.isin(rows, prepared.split.labelled), labels, UNLABELLED)
    classes = prepared.corpus.classes
    made = make_model(model, classes, len(prepared.vocabulary))
    batch = make_batch(tokens, mask, labels, made.noise(rng, *tokens.shape), classes=classes)
    name = f"{model} on {prepared.corpus.name}"
    return Subject(made, made.initial(rng), batch, name=name, seed=seed)
