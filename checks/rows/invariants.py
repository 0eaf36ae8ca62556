"""Claim invariants: nothing but the parameters varies, and padding moves nothing."""

from __future__ import annotations

import dataclasses

import numpy as np

from gradproof.estimators.baselines import BASELINES
from gradproof.estimators.builds import all_labels, build, surrogate
from gradproof.estimators.forms import FORMS
from gradproof.estimators.subject import Subject
from gradproof.reference_models.batch import Batch
from gradproof.reference_models.model import every_label, one_hot

from ..check import ROUNDING, Check, drawn
from ..evidence import HOLDS, Comparison, compare
from ..study import Study

#: Columns of padding to add: more than one, so that the last state is not next to a token.
COLUMNS = 2


def estimate(study: Study, subject: Subject) -> dict[str, np.ndarray]:
    """The one-pass estimate of a subject at the study's drawn labels."""
    baseline = BASELINES["affine"]
    draw = one_hot(study.draw(), subject.model.classes)
    inputs = subject.inputs(draw) | study.baseline_inputs(baseline)
    return study.bench.gradient(surrogate(FORMS["one-pass"], baseline, subject), subject, inputs)


def values(study: Study, subject: Subject) -> dict[str, np.ndarray]:
    """log q and L of a subject at every label."""
    inputs = subject.inputs(every_label(subject.batch.n, subject.model.classes))
    return study.bench.values(build(all_labels, subject), subject, inputs)


def deterministic(study: Study) -> list[Comparison]:
    """The same values and the same gradient twice, to the last bit."""
    once = values(study, study.subject) | estimate(study, study.subject)
    again = values(study, study.subject) | estimate(study, study.subject)
    drawable = study.reference.probability > 0.0
    once["log_q"], again["log_q"] = once["log_q"][drawable], again["log_q"][drawable]
    return [compare(name, again[name], once[name], 0.0, study.name) for name in once]


def padding(study: Study) -> list[Comparison]:
    """Two more columns of padding, with random tokens and noise in them."""
    padded = pad(study.subject, study.rng())
    before, after = values(study, study.subject), values(study, padded)
    drawable = study.reference.probability > 0.0
    bound = study.reference.value_bound()
    moved = [
        compare(what, after[key][pick], before[key][pick], bound, study.name)
        for what, key, pick in (("log q", "log_q", drawable), ("L", "loss", drawable.T))
    ]
    return moved + study.compare_gradient(
        estimate(study, padded), estimate(study, study.subject), study.names()
    )


def pad(subject: Subject, rng: np.random.Generator) -> Subject:
    """The subject with more padding on the right, and something other than zeros in it."""
    old, vocabulary = subject.batch, len(subject.parameters["e.embedding"])
    n, t = old.n, old.t + COLUMNS
    fresh = subject.model.noise(rng, n, t)
    noise = {}
    for name, array in old.noise.items():
        # Only noise with an axis of time changes its shape with T, and only it is extended.
        extended = fresh[name].shape != array.shape
        noise[name] = (
            np.concatenate([array, fresh[name][:, old.t :]], axis=1) if extended else array
        )
    tokens = np.concatenate([old.tokens, rng.integers(0, vocabulary, (n, COLUMNS))], axis=1)
    mask = np.concatenate([old.mask, np.zeros((n, COLUMNS))], axis=1)
    batch = Batch(n, t, tokens, mask, old.labels, noise)
    return dataclasses.replace(subject, batch=batch)


CHECKS = (
    Check(
        claim="invariants",
        variant="deterministic",
        statement="two runs give the same bits",
        expected=HOLDS,
        compare=deterministic,
        **drawn(),
        bound_reason="the same computation twice: no error at all",
    ),
    Check(
        claim="invariants",
        variant="padding",
        statement="more padding, with garbage in it, moves no value and no gradient",
        expected=HOLDS,
        compare=padding,
        **drawn(),
        bound_reason=ROUNDING,
    ),
)
