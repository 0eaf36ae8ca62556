"""Claim baseline.form: how much of the removable variance each form of baseline removes.

Lambda is fitted on some sentences, and the variance is measured on others, exactly: a table of all
labels has the variance under every baseline in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from gradproof.estimators.backends.autograd_backend import AutogradOps
from gradproof.estimators.baselines import BASELINES
from gradproof.estimators.baselines.fit import (
    RUNNING_MEAN,
    SQUARED_ERROR,
    VARIANCE,
    check_features,
    fit,
)
from gradproof.estimators.baselines.learned import LearnedBaseline
from gradproof.estimators.baselines.protocol import Features, features_of
from gradproof.estimators.note.exact import reference
from gradproof.estimators.note.label_table import ANALYTIC, ONE_PASS, LabelTable, of_reference
from gradproof.estimators.note.parabola import Quadratics
from gradproof.estimators.note.subject import Subject

from .records import BaselineVariance, Stage

#: Baselines that are fitted, and by what.
FITS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("constant", (RUNNING_MEAN, SQUARED_ERROR, VARIANCE)),
    ("per-token", (RUNNING_MEAN, SQUARED_ERROR, VARIANCE)),
    ("affine-length", (SQUARED_ERROR, VARIANCE)),
    ("affine-embedding", (SQUARED_ERROR, VARIANCE)),
    ("affine-both", (SQUARED_ERROR, VARIANCE)),
    ("mlp", (SQUARED_ERROR, VARIANCE)),
)

#: What stands for the fit where there is no lambda, and where B comes from the table itself.
NO_FIT, EXACT = "none", "exact"

#: A baseline, how it was fitted, the variance that it leaves by group, and the share of sentences
#: that it helps.
Row = tuple[str, str, Mapping[str, np.ndarray] | Mapping[str, float], float | None]

#: A baseline, how it was fitted, and B: a number for each sentence (N,), or one for all.
Value = tuple[str, str, np.ndarray | float]

#: The share of a variance that is rounding: far below any that one would care to remove.
ROUNDS = 1e-12


def baseline_variances(
    train: LabelTable,
    train_features: Features,
    held_out: LabelTable,
    held_out_features: Features,
    *,
    rng: np.random.Generator,
    form: str = ONE_PASS,
    per_parameter: Mapping[str, float] | None = None,
) -> tuple[BaselineVariance, ...]:
    """Every baseline by every fit, fitted on some sentences and measured on others.

    Args:
        rng: where fits begin that are not linear.
        form: of the score term, :data:`ONE_PASS` or :data:`ANALYTIC`.
        per_parameter: the variance that the best B of each parameter entry leaves, by group, where
            it is known: a table has inner products alone, and no entries.

    Raises:
        ValueError: if features and tables are not of the same sentences or not finite, or a form
            is neither of the two.
    """
    parabola = held_out.quadratics(form)
    check_features(held_out_features, len(parabola.centre))
    values = [
        *fitted_values(train, train_features, held_out_features, rng=rng, form=form),
        *exact_values(parabola),
    ]
    rows = [_row(parabola, *value) for value in values]
    # No B of one number: each group's part of the score term has one of its own.
    rows.append(("best-per-group", EXACT, parabola.least(), None))
    if per_parameter is not None:
        rows.append(("best-per-parameter", EXACT, dict(per_parameter), None))
    return _with_shares(rows)


def fitted_values(
    train: LabelTable,
    train_features: Features,
    held_out_features: Features,
    *,
    rng: np.random.Generator,
    form: str = ONE_PASS,
) -> list[Value]:
    """Every baseline that is fitted, by every fit, and none: B of the held-out sentences.

    Args:
        rng, form: as in :func:`baseline_variances`.
    """
    values: list[Value] = [("none", NO_FIT, 0.0)]
    for name, ways in FITS:
        baseline = BASELINES[name]
        if not isinstance(baseline, LearnedBaseline):
            raise TypeError(f"baseline {name!r} does not learn; take it out of FITS")
        for by in ways:
            lam = fit(baseline, train_features, train, by, rng, form)
            values.append((name, by, baseline.value_of(AutogradOps(), lam, held_out_features)))
    return values


def exact_values(parabola: Quadratics) -> list[Value]:
    """What only the table of the same sentences knows: their mean returns, and the best B."""
    return [("expected-return", EXACT, parabola.centre), ("best", EXACT, parabola.best())]


def variances_by_form(
    train: LabelTable,
    train_features: Features,
    held_out: LabelTable,
    held_out_features: Features,
    *,
    rng: np.random.Generator,
    per_parameter: Mapping[str, float] | None = None,
) -> dict[str, tuple[BaselineVariance, ...]]:
    """The same with (log q + 1) in the score term, and with the entropy differentiated.

    The variances of the two are of the same gradient, and may be compared; each share is of what
    baselines can remove from that form (claim ``batch.plus_one``).

    Args:
        per_parameter: as in :func:`baseline_variances`, of the form :data:`ONE_PASS`.
    """
    given = (train, train_features, held_out, held_out_features)
    return {
        ONE_PASS: baseline_variances(*given, rng=rng, per_parameter=per_parameter),
        ANALYTIC: baseline_variances(*given, rng=rng, form=ANALYTIC),
    }


def stage(
    train: Subject,
    held_out: Subject,
    *,
    data: str,
    step: int,
    rng: np.random.Generator,
    table: Callable[[Subject], LabelTable] | None = None,
    per_parameter: Mapping[str, float] | None = None,
) -> Stage:
    """Every baseline at the parameters that two subjects share.

    Args:
        train: a model on the sentences that baselines are fitted on.
        held_out: the same model at the same parameters on those that they are measured on.
        data: what the sentences are of.
        step: how far the parameters were trained.
        table: what makes a table; None: the slow witness.
        per_parameter: as in :func:`baseline_variances`.

    Raises:
        ValueError: if the two subjects are not the same model at the same parameters.
    """
    check_same(train, held_out)
    make = table or witness
    by_form = variances_by_form(
        make(train),
        sentence_features(train),
        make(held_out),
        sentence_features(held_out),
        rng=rng,
        per_parameter=per_parameter,
    )
    return Stage(
        model=held_out.model.name,
        data=data,
        step=step,
        sentences=held_out.batch.n,
        classes=held_out.model.classes,
        rows=by_form[ONE_PASS],
        analytic=by_form[ANALYTIC],
    )


def witness(subject: Subject) -> LabelTable:
    """The table from every score and pathwise gradient, by autograd."""
    return of_reference(reference(subject))


def sentence_features(subject: Subject) -> Features:
    """Lengths and mean embeddings, in float64."""
    wide = {name: np.asarray(value, np.float64) for name, value in subject.parameters.items()}
    found = features_of(AutogradOps(), wide, subject.batch)
    return Features(np.asarray(found.lengths, np.float64), found.embedded)


def helped_share(best: np.ndarray, baseline: np.ndarray | float) -> float:
    """The share of sentences in whose interval B lies: strictly between 0 and twice the best.

    Shape: ``best`` (N,); ``baseline`` (N,), or one number for all.
    """
    return float(np.mean(baseline * (baseline - 2.0 * best) < 0.0))


def check_same(train: Subject, held_out: Subject) -> None:
    """Whether two subjects are the same model at the same parameters.

    Raises:
        ValueError: if not.
    """
    if train.model != held_out.model:
        raise ValueError(
            f"fitted on model {train.model.name!r} and measured on {held_out.model.name!r}, or on "
            "one of other sizes; take the same model for both"
        )
    for name, value in train.parameters.items():
        if not np.array_equal(value, held_out.parameters[name]):
            raise ValueError(
                f"parameter {name!r} is not the same where baselines are fitted and where they are "
                "measured; take both subjects from one stage of training"
            )


def _row(parabola: Quadratics, name: str, by: str, value: np.ndarray | float) -> Row:
    return name, by, parabola.variance(value), helped_share(parabola.best(), value)


def _with_shares(rows: list[Row]) -> tuple[BaselineVariance, ...]:
    totals = {name: float(sum(map(float, of.values()))) for name, _, of, _ in rows}
    none, removable = totals["none"], totals["none"] - totals["best"]
    matters = removable > ROUNDS * none
    return tuple(
        BaselineVariance(
            name,
            by,
            {group: float(value) for group, value in of.items()},
            (none - sum(map(float, of.values()))) / removable if matters else math.nan,
            helps,
        )
        for name, by, of, helps in rows
    )
