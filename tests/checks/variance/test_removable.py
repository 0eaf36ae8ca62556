"""How much of the removable variance a form removes: the records, against brute force."""

import dataclasses
import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradproof.checks.variance.removable import (
    FITS,
    baseline_variances,
    helped_share,
    sentence_features,
    stage,
    variances_by_form,
    witness,
)
from gradproof.derivations.baseline_form import form
from gradproof.estimators.backends import load
from gradproof.estimators.backends.autograd_backend import AutogradOps
from gradproof.estimators.baselines import BASELINES
from gradproof.estimators.baselines.fit import fit
from gradproof.estimators.baselines.learned import LearnedBaseline
from gradproof.estimators.note import estimate_moments
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.exact import reference
from gradproof.estimators.note.forms import FORMS
from gradproof.estimators.note.label_table import ANALYTIC, ONE_PASS
from gradproof.estimators.note.parabola import quadratics
from gradproof.estimators.note.subject import Subject
from gradproof.reference_models.batch import make_batch
from gradproof.reference_models.model import group_of
from gradproof.reference_models.tabular import TabularModel

seeds = st.integers(0, 2**32 - 1)
BENCH = Bench(load("autograd"))
NAMES = ["none", *(name for name, ways in FITS for _ in ways)]
NAMES += ["expected-return", "best", "best-per-group"]


def subjects(seed, train=6, held_out=4):
    """Sentences of one tabular model to fit on, and others to measure on."""
    rng = np.random.default_rng(seed)
    model = TabularModel(3, 6, 2)
    parameters = model.initial(rng)

    def some(n):
        mask = np.arange(4) < rng.integers(1, 5, (n, 1))
        tokens = rng.integers(0, 6, mask.shape) * mask
        return Subject(model, parameters, make_batch(tokens, mask, noise=model.noise(rng, n, 4)))

    return some(train), some(held_out)


@functools.lru_cache(maxsize=32)
def rows_of(seed, form=ONE_PASS):
    """The variances on sentences that were not fitted on, and the subjects."""
    train, held_out = subjects(seed)
    given_tables = [
        part for of in (train, held_out) for part in (witness(of), sentence_features(of))
    ]
    rows = baseline_variances(*given_tables, rng=np.random.default_rng(seed), form=form)
    return rows, train, held_out


@given(seed=seeds)
@settings(max_examples=10)
def test_every_baseline_has_its_rows(seed):
    """In the order of the table, none and best among them; their shares are 0 and 1."""
    rows, _, _ = rows_of(seed)
    assert [row.baseline for row in rows] == NAMES
    assert len({(row.baseline, row.fit) for row in rows}) == len(rows)
    share = {row.baseline: row.share for row in rows}
    assert share["none"] == 0.0
    assert share["best"] == 1.0
    assert all(set(row.variances) == {"e", "w", "phi", "theta"} for row in rows)


@given(seed=seeds)
@settings(max_examples=10)
def test_nothing_of_one_number_beats_the_best(seed):
    """Each row leaves what the best leaves, or more; a number for each group leaves less."""
    rows, _, _ = rows_of(seed)
    total = {row.baseline: row.total for row in rows}
    slack = 1e-12 * total["none"]  # rounding of what is added up
    assert all(row.total >= total["best"] - slack for row in rows[:-1])
    assert total["best-per-group"] <= total["best"] + slack


@given(seed=seeds)
@settings(max_examples=10)
def test_shares_are_those_of_the_derivation(seed):
    """The derived formula, from best baselines and curvatures, is another way to each share."""
    rows, train, held_out = rows_of(seed)
    parabola = witness(held_out).quadratics()
    weight, best = sum(parabola.curvature.values()), parabola.best()
    rng = np.random.default_rng(seed)
    size = float((weight * best**2).sum())
    assert size > 0.0
    compared = 0
    for row in rows:
        if row.baseline not in dict(FITS):
            continue
        b = value(row.baseline, row.fit, train, held_out, rng, ONE_PASS)
        expected = form().oracle(a2=weight, best=best, baseline=b)
        # Sums of some dozen terms, of which the largest are those at B and at 0.
        bound = 1e-11 * (1.0 + float((weight * (b**2 + parabola.centre**2)).sum()) / size)
        assert abs(row.share - float(expected)) <= bound * (1.0 + rows[0].total / size)
        compared += 1
    assert compared == sum(len(ways) for _, ways in FITS)


def value(name, by, train, held_out, rng, form_name):
    """B of each held-out sentence, fitted anew; fits draw from one generator in their order."""
    x = sentence_features(train)
    lam = fit(BASELINES[name], x, witness(train), by, rng, form_name)
    found = BASELINES[name].value_of(AutogradOps(), lam, sentence_features(held_out))
    return np.broadcast_to(found, (held_out.batch.n,))


@given(seed=seeds)
@settings(max_examples=10)
def test_sentences_that_are_helped_are_those_of_less_variance(seed):
    """The interval says what each sentence's own variance says; none helps none, the best all."""
    rows, train, held_out = rows_of(seed)
    parabola, rng = witness(held_out).quadratics(), np.random.default_rng(seed)

    def by_sentence(b):
        shift = b - parabola.centre
        return sum(
            parabola.value[group] - 2.0 * shift * parabola.slope[group] + shift**2 * curvature
            for group, curvature in parabola.curvature.items()
        )

    compared = 0
    for row in rows:
        if row.baseline not in dict(FITS):
            continue
        b = value(row.baseline, row.fit, train, held_out, rng, ONE_PASS)
        assert row.helped == np.mean(by_sentence(b) < by_sentence(0.0))
        compared += 1
    assert compared == sum(len(ways) for _, ways in FITS)
    share = {row.baseline: row.helped for row in rows}
    assert (share["none"], share["best"], share["best-per-group"]) == (0.0, 1.0, None)


def test_the_interval_is_open_and_may_lie_below_zero():
    """At its ends nothing is gained, and where no baseline matters none helps."""
    best = np.array([1.0, 1.0, 1.0, -1.0, -1.0, 0.0])
    assert helped_share(best, np.array([0.0, 2.0, 3.0, 1.0, -2.0, 1.0])) == 0.0
    assert helped_share(best, np.array([0.1, 1.9, 1.0, -1.0, -1.9, 1.0])) == 5.0 / 6.0
    assert helped_share(best, 1.0) == 0.5


@pytest.mark.parametrize("form_name", [ONE_PASS, ANALYTIC])
@given(seed=seeds)
@settings(max_examples=5)
def test_variances_are_those_of_the_estimators_own_code(form_name, seed):
    """Run on every label with the fitted lambda, an estimate has the variance of its row."""
    rows, train, held_out = rows_of(seed, form_name)
    known, rng = reference(held_out), np.random.default_rng(seed)
    table, x = witness(train), sentence_features(train)
    compared = 0
    for row in rows:
        if row.baseline == "expected-return" and form_name == ANALYTIC:
            continue  # the surrogate's is E[R], and this form's returns are L alone
        if row.baseline not in BASELINES:
            continue
        baseline, lam = BASELINES[row.baseline], {}
        if row.baseline in dict(FITS):
            lam = fit(baseline, x, table, row.fit, rng, form_name)
        found = estimate_moments.per_example(
            BENCH, FORMS[form_name], baseline, held_out, lam, known.log_q
        )
        largest = max(np.abs(found.largest[name]) for name in known.score)
        for group, variance in row.variances.items():
            names = [name for name in found.variance if group_of(name) == group]
            rerun = sum(float(found.variance[name].sum()) for name in names)
            # Entries of a few dozen, each at most the largest estimate squared; R at its largest
            # cancels in the table. Sums of these are rounded some thousand times.
            bound = 1e-12 * (64.0 * largest**2 + rows[0].total)
            assert abs(rerun - variance) <= bound
            compared += 1
    assert compared >= 4 * (1 + sum(len(ways) for _, ways in FITS))


@given(seed=seeds)
@settings(max_examples=5)
def test_two_forms_of_the_score_term_are_compared(seed):
    """Both by the same rows; phi and theta have no score term, and are the same in both."""
    train, held_out = subjects(seed)
    tables = [part for of in (train, held_out) for part in (witness(of), sentence_features(of))]
    found = variances_by_form(*tables, rng=np.random.default_rng(seed))
    assert list(found) == [ONE_PASS, ANALYTIC]
    for one, other in zip(*found.values(), strict=True):
        assert (one.baseline, one.fit) == (other.baseline, other.fit)
        for group in ("phi", "theta"):
            # The variance of the pathwise part alone, in two sums.
            assert one.variances[group] == pytest.approx(other.variances[group], rel=1e-9)
    # log q + 1 is not constant over the labels, so the form without it has another variance.
    assert found[ONE_PASS][0].variances["w"] != found[ANALYTIC][0].variances["w"]


def test_every_baseline_that_learns_is_fitted():
    """A new one is a row of the comparison too; the released code's own is another claim's."""
    learned = {
        name for name, of in BASELINES.items() if isinstance(of, LearnedBaseline) and of.held
    }
    assert set(dict(FITS)) == learned - {"mean-loss"}


def test_where_nothing_can_be_removed_there_is_no_share():
    """With no score anywhere each baseline is as good as none, and a share would be 0/0."""
    _, held_out = subjects(0)
    table, x = witness(held_out), sentence_features(held_out)
    zeros = {group: np.zeros_like(value) for group, value in table.score.items()}
    still = dataclasses.replace(table, score=zeros, cross=zeros)
    rows = baseline_variances(still, x, still, x, rng=np.random.default_rng(0))
    assert len(rows) == len(NAMES)
    assert all(math.isnan(row.share) for row in rows)


# ------------------------------------------------------------------ stages


def test_a_stage_is_what_was_measured():
    """Names, sizes and rows; the best of each entry, where it is given, is one row more."""
    train, held_out = subjects(1)
    least = quadratics(reference(held_out)).least()
    per_parameter = dict.fromkeys(("e", "w", "phi", "theta"), 0.0)
    for name, entries in least.items():
        per_parameter[group_of(name)] += float(entries.sum())
    found = stage(
        train,
        held_out,
        data="drawn",
        step=7,
        rng=np.random.default_rng(1),
        per_parameter=per_parameter,
    )
    assert (found.model, found.data, found.step) == ("tabular", "drawn", 7)
    assert (found.sentences, found.classes) == (4, 3)
    assert [row.baseline for row in found.rows] == [*NAMES, "best-per-parameter"]
    assert found.rows[-1].total <= found.rows[-2].total * (1.0 + 1e-12)  # rounding of the two sums
    again = stage(train, held_out, data="drawn", step=7, rng=np.random.default_rng(1))
    assert again.rows == found.rows[:-1]
    assert again.analytic == found.analytic
    assert [row.baseline for row in found.analytic] == NAMES
    assert found.analytic[0].variances != found.rows[0].variances


def test_other_parameters_are_an_error():
    """Fitted at one stage of training and measured at another, a share would mean nothing."""
    train, held_out = subjects(2)
    moved = held_out.replace(
        parameters={**held_out.parameters, "w.bias": held_out.parameters["w.bias"] + 1.0}
    )
    with pytest.raises(ValueError, match=r"parameter 'w\.bias' is not the same where baselines"):
        stage(train, moved, data="drawn", step=0, rng=np.random.default_rng(0))


def test_other_models_are_an_error():
    """The two subjects are of one model."""
    train, _ = subjects(3)
    model = dataclasses.replace(train.model, batch_statistics=True)
    with pytest.raises(ValueError, match="take the same model for both"):
        stage(train, train.replace(model=model), data="", step=0, rng=np.random.default_rng(0))


def test_tables_and_features_of_other_sentences_are_an_error():
    """Features of four sentences do not go with a table of six, on either side."""
    train, held_out = subjects(4)
    tables = witness(train), witness(held_out)
    x = sentence_features(train), sentence_features(held_out)
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"lengths has shape \(4,\), expected \(6,\)"):
        baseline_variances(tables[0], x[1], tables[1], x[1], rng=rng)
    with pytest.raises(ValueError, match=r"lengths has shape \(6,\), expected \(4,\)"):
        baseline_variances(tables[0], x[0], tables[1], x[0], rng=rng)
    with pytest.raises(ValueError, match="form = 'score', expected 'one-pass' or"):
        baseline_variances(tables[0], x[0], tables[1], x[1], rng=rng, form="score")
