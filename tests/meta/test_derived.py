"""Derived formulas, and what frameworks make of them: a slip on either side is refuted.

The formula is SymPy's, its arguments come from complex steps, and what is compared with it from a
framework: each of the three is wrong here in turn.
"""

import dataclasses
import re

import autograd.numpy as anp
import numpy as np
import pytest
import sympy as sp
from autograd.extend import defvjp, primitive
from autograd.tracer import getval, isbox

from gradproof.checks.evidence import HOLDS, REFUTED, UNDECIDED
from gradproof.checks.note import study as studies
from gradproof.checks.note.cases import TabularCase
from gradproof.checks.note.claims import constant_theano
from gradproof.checks.note.registry import CHECKS
from gradproof.checks.note.run_check import run_check
from gradproof.checks.note.study import Study
from gradproof.derivations.kernel.expressions import normal_form, q, s
from gradproof.derivations.kernel.oracle import Oracle
from gradproof.derivations.registry import derivation
from gradproof.estimators.baselines.affine import Affine
from gradproof.estimators.baselines.batch_mean import BatchMean, LeaveOneOut, RunningMean
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.forms import FORMS

from .plant import held_checks, kinds_of

#: The rows that compare with a derivation's formula.
DERIVED = [check for check in held_checks() if CHECKS[check].variant == "derived"]


def claim_of(check):
    """The claim of a check by its id."""
    return CHECKS[check].claim


def with_oracle(scene, claim, oracle):
    """Another formula at the end of a derivation, wherever it is read."""
    scene.monkeypatch.setitem(vars(derivation(claim)), "oracle", oracle)


# ------------------------------------------------------------------ the formula


def terms_of(formula):
    """The terms of a formula, those inside its sums one by one."""
    for term in sp.Add.make_args(normal_form(formula)):
        if isinstance(term, sp.Sum):
            inside = sp.Add.make_args(sp.expand(term.function, log=False))
            yield from (sp.Sum(part, *term.limits) for part in inside)
        else:
            yield term


def slips(oracle):
    """The oracle with one term dropped or of the other sign, with that term."""
    terms = list(terms_of(oracle.formula))
    counts = {index: oracle.counts[index] for index in oracle.indices}
    for place, term in enumerate(terms):
        others = sp.Add(*terms[:place], *terms[place + 1 :])
        # Where there is one term, what would be left has another shape, and any numbers would do.
        for wrong in [others - term, *([others] if len(terms) > 1 else [])]:
            yield term, Oracle(wrong, oracle.arguments, oracle.indices, counts)


def is_mean_score(term):
    """The mean of the score alone is zero, so that a slip in it is none."""
    return isinstance(term, sp.Sum) and term.function == q * s


# A table of 0 and 1 has no terms; test_derived_values.py has other tables.
@pytest.mark.parametrize("check", [name for name in DERIVED if "partition." not in name])
def test_a_formula_with_a_slip_in_it_is_refuted(scene, check):
    """Each term of each formula, dropped or of the other sign, is missed; a mean score is not."""
    claim, kind = claim_of(check), kinds_of(check)[0]
    made = list(slips(derivation(claim).oracle))
    assert made
    for term, wrong in made:
        with_oracle(scene, claim, wrong)
        found = scene.run(check, kind)
        assert not found.crash, (term, found.explain())
        expected = HOLDS if is_mean_score(term) else REFUTED
        assert found.verdict == expected, (term, found.explain())
        assert found.worst.endswith(found.subjects[0])
        assert not found.note


@pytest.mark.parametrize("check", DERIVED)
def test_a_formula_off_by_a_millionth_is_refuted(scene, check):
    """The bound is no wider than a formula's digits."""
    claim, right = claim_of(check), derivation(claim_of(check)).oracle
    counts = {index: right.counts[index] for index in right.indices}
    wrong = Oracle(
        right.formula * (1 + sp.Rational(1, 10**6)), right.arguments, right.indices, counts
    )
    with_oracle(scene, claim, wrong)
    assert scene.run(check, kinds_of(check)[0]).verdict == REFUTED


class Failing(Oracle):
    """A formula that cannot be computed."""

    def __init__(self, oracle):
        vars(self).update(vars(oracle))

    def __call__(self, **values):
        """An error, whatever the values."""
        raise FloatingPointError("planted")


@pytest.mark.parametrize("check", [*DERIVED, "higher_order/magic-box", "higher_order/held"])
def test_a_formula_that_fails_is_a_crash(scene, check):
    """An error inside a formula is neither a refutation nor a reason to go on without it."""
    claim = claim_of(check)
    with_oracle(scene, claim, Failing(derivation(claim).oracle))
    found = scene.run(check, kinds_of(check)[0])
    assert found.verdict == UNDECIDED
    assert found.crash == "FloatingPointError: planted"
    assert not found.counterexample


@pytest.mark.parametrize("check", DERIVED)
def test_a_formula_of_other_arguments_is_a_crash(scene, check):
    """A formula that asks for what nobody has says so."""
    claim = claim_of(check)
    z = sp.Function("z", real=True)(sp.Symbol("k", integer=True, positive=True))
    with_oracle(scene, claim, Oracle(sp.Sum(z, (z.args[0], 1, 2)), {"unheard_of": z}))
    found = scene.run(check, kinds_of(check)[0])
    assert found.verdict == UNDECIDED
    assert re.match(r"(KeyError|TypeError): .*(unheard_of|takes)", found.crash), found.crash


# ------------------------------------------------------------------ what it is fed with


def in_table(table, change):
    """Tables by complex steps, one of them wrong."""

    def wrong(subject):
        found = studies_tables(subject)
        value = getattr(found, table)
        if isinstance(value, np.ndarray):
            return dataclasses.replace(found, **{table: change(value)})
        changed = {name: change(array) for name, array in value.items()}
        return dataclasses.replace(found, **{table: changed})

    return wrong


studies_tables = studies.tables

#: Rows that read the table: of the argument's name, or to make others of.
READ = {
    table: [
        check
        for check in (
            "gradient.e/derived",
            "gradient.w/derived",
            "gradient.phi_theta/derived",
            "baseline.unbiased/derived",
            "constant.theano/derived",
            "batch.one_pass/derived",
            "batch.plus_one/derived",
            "higher_order/derived",
        )
        if check.split("/")[0] not in without
    ]
    for table, without in {
        "log_q": (),
        "loss": ("gradient.phi_theta", "batch.plus_one"),
        "score": ("gradient.phi_theta",),
        "pathwise": ("gradient.w", "batch.plus_one"),
    }.items()
}
CHANGES = {
    "one part in a million": lambda table: (1.0 + 1e-6) * table,
    # Each label has another's place: were the order reversed, the middle one would keep its own.
    "labels in another order": lambda table: np.roll(table, 1, axis=0),
}


@pytest.mark.parametrize(
    ("table", "change", "check"),
    [
        (table, change, check)
        for table, checks in READ.items()
        for change in CHANGES
        for check in checks
    ],
)
def test_wrong_values_in_the_formula_are_refuted(scene, table, change, check):
    """What the formula is fed with is not believed: a wrong table of it shows."""
    scene.replace(studies, "tables", in_table(table, CHANGES[change]))
    found = scene.run(check)
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()


@pytest.mark.parametrize("check", DERIVED)
def test_a_label_of_probability_zero_is_no_counterexample(scene, check):
    """Complex steps and log 0 give no number: a formula that reads it crashes, none refutes."""
    table = ((0.5, 1.0), (1.0, -0.5), (-1.0, 0.25))
    case = TabularCase(
        ((0, 1, 2),), (-1,), table, table, (0.0, 0.5, 1.0), table, table, ((1.0, 0.5),)
    )
    case = dataclasses.replace(case, support=(True, False, True))
    bench = Bench(scene.backend)
    found = run_check(CHECKS[check], bench, [Study(bench, case.subject())], examples=0, seed=0)
    assert (found.verdict, bool(found.crash)) in {(HOLDS, False), (UNDECIDED, True)}


# ------------------------------------------------------------------ the framework's side


#: The one-pass cost as it is.
RIGHT = FORMS["one-pass"].cost


def weight(ops, terms):
    """CL + CQ + 1 - B, as it should be."""
    return (
        ops.stop_gradient(terms.loss)
        + ops.stop_gradient(terms.log_q_at_draw)
        + 1.0
        - terms.baseline
    )


def without_score(ops, terms):
    """L alone."""
    return terms.loss


def without_pathwise(ops, terms):
    """The score part alone."""
    return weight(ops, terms) * terms.log_q_at_draw


def q_live(ops, terms):
    """CQ is not held."""
    held = ops.stop_gradient(terms.loss) + 1.0 - terms.baseline
    return (held + terms.log_q_at_draw) * terms.log_q_at_draw + terms.loss


def loss_live(ops, terms):
    """CL is not held."""
    held = ops.stop_gradient(terms.log_q_at_draw) + 1.0 - terms.baseline
    return (held + terms.loss) * terms.log_q_at_draw + terms.loss


def without_baseline(ops, terms):
    """Nothing is subtracted."""
    return (weight(ops, terms) + terms.baseline) * terms.log_q_at_draw + terms.loss


def box(ops, terms):
    """The magic box, q over q held."""
    return ops.exp(terms.log_q_at_draw - ops.stop_gradient(terms.log_q_at_draw))


def of_form(name, cost):
    """Plants another cost in a row of the forms."""
    return lambda scene: scene.form(name, cost)


def of_baseline(baseline):
    """Plants another baseline in the row of the batch mean."""
    return lambda scene: scene.baseline("batch-mean", baseline)


class OfAllButOne(BatchMean):
    """All losses, the own one too, divided by N - 1 in place of N."""

    def value(self, seen):
        """One share too much for each."""
        return seen.ops.zeros_like(seen.loss) + seen.ops.sum(seen.loss) / (seen.batch.n - 1)


ALL = r"^(e|w|phi|theta)\."
#: check, what is wrong, how to plant it, where the error must be.
SLIPS = [
    ("gradient.e/derived", "no score part", of_form("one-pass", without_score), r"^e\."),
    ("gradient.e/derived", "no pathwise part", of_form("one-pass", without_pathwise), r"^e\."),
    ("gradient.e/derived", "CQ live", of_form("one-pass", q_live), r"^e\."),
    ("gradient.e/derived", "CL live", of_form("one-pass", loss_live), r"^e\."),
    ("gradient.w/derived", "L left out", of_form("score-line", FORMS["plus-one"].cost), r"^w\."),
    (
        "gradient.w/derived",
        "log q left out",
        of_form("score-line", FORMS["score-of-loss"].cost),
        r"^w\.",
    ),
    (
        "gradient.w/derived",
        "CQ live",
        of_form("score-line", lambda ops, terms: q_live(ops, terms) - terms.loss),
        r"^w\.",
    ),
    (
        "gradient.phi_theta/derived",
        "another sign",
        of_form("pathwise", lambda ops, terms: -terms.loss),
        r"^(phi|theta)\.",
    ),
    (
        "gradient.phi_theta/derived",
        "L held",
        of_form("pathwise", lambda ops, terms: ops.stop_gradient(terms.loss)),
        r"^(phi|theta)\.",
    ),
    (
        "gradient.phi_theta/derived",
        "nothing held",
        of_form("pathwise", FORMS["not-held"].cost),
        r"^(phi|theta)\.",
    ),
    ("baseline.unbiased/derived", "no own share", of_baseline(LeaveOneOut()), r"^[ew]\."),
    ("baseline.unbiased/derived", "1/(N - 1)", of_baseline(OfAllButOne()), r"^[ew]\."),
    (
        "baseline.unbiased/derived",
        "a share of (1 - d)/N",
        of_baseline(RunningMean(update_first=True)),
        r"^[ew]\.",
    ),
    ("baseline.unbiased/derived", "live", of_baseline(BatchMean(held=False)), ALL),
    (
        "constant.theano/derived",
        "B live",
        lambda scene: scene.replace(constant_theano, "BASELINE", Affine(held=False)),
        r"^e\.embedding of ",
    ),
    ("constant.theano/derived", "no B", of_form("one-pass", without_baseline), r"^[ew]\."),
    ("constant.theano/derived", "CQ live", of_form("one-pass", q_live), r"^[ew]\."),
    ("constant.theano/derived", "CL live", of_form("one-pass", loss_live), ALL),
    (
        "batch.one_pass/derived",
        "divided by N",
        of_form("one-pass", lambda ops, terms: RIGHT(ops, terms) / len(terms.loss)),
        ALL,
    ),
    (
        "batch.one_pass/derived",
        "the batch's L in the weight",
        of_form(
            "one-pass",
            lambda ops, terms: (
                RIGHT(ops, terms) - ops.stop_gradient(ops.sum(terms.loss)) * terms.log_q_at_draw
            ),
        ),
        r"^[ew]\.",
    ),
    ("batch.one_pass/derived", "no score part", of_form("one-pass", without_score), r"^[ew]\."),
    ("batch.plus_one/derived", "CQ missing", of_form("plus-one", FORMS["score"].cost), r"^[ew]\."),
    (
        "batch.plus_one/derived",
        "CQ live",
        of_form("plus-one", lambda ops, terms: (terms.log_q_at_draw + 1.0) * terms.log_q_at_draw),
        r"^[ew]\.",
    ),
    (
        "batch.plus_one/derived",
        "another sign",
        of_form(
            "plus-one",
            lambda ops, terms: (
                -(ops.stop_gradient(terms.log_q_at_draw) + 1.0) * terms.log_q_at_draw
            ),
        ),
        r"^[ew]\.",
    ),
    (
        "higher_order/derived",
        "nothing lacks",
        of_form("one-pass", FORMS["magic-box"].cost),
        ALL,
    ),
    ("higher_order/derived", "nothing held", of_form("one-pass", FORMS["not-held"].cost), ALL),
    ("higher_order/derived", "CL live", of_form("one-pass", loss_live), ALL),
    ("higher_order/derived", "no score part", of_form("one-pass", without_score), ALL),
    (
        "higher_order/magic-box",
        "the held surrogate",
        of_form("magic-box", FORMS["one-pass"].cost),
        ALL,
    ),
    (
        "higher_order/magic-box",
        "CQ live, so that the box is one",
        of_form("magic-box", lambda ops, terms: terms.loss + terms.log_q_at_draw),
        ALL,
    ),
    (
        "higher_order/magic-box",
        "the cost in the box held",
        of_form(
            "magic-box",
            lambda ops, terms: (
                box(ops, terms) * ops.stop_gradient(terms.loss + terms.log_q_at_draw)
                + terms.loss
                + terms.log_q_at_draw
            ),
        ),
        ALL,
    ),
    (
        "higher_order/magic-box",
        "log q not in the box",
        of_form(
            "magic-box",
            lambda ops, terms: (
                box(ops, terms) * terms.loss
                + (ops.stop_gradient(terms.log_q_at_draw) + 1.0) * terms.log_q_at_draw
            ),
        ),
        ALL,
    ),
]


@pytest.mark.parametrize(
    ("check", "plant", "where"),
    [(check, plant, where) for check, _, plant, where in SLIPS],
    ids=[f"{check}-{name}" for check, name, _, _ in SLIPS],
)
def test_a_wrong_estimator_is_not_what_is_derived(scene, check, plant, where):
    """Each slip in a surrogate or a baseline is refuted, in a parameter that it is in."""
    before = scene.run(check)
    assert before.verdict == HOLDS, before.explain()
    plant(scene)
    found = scene.run(check)
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()
    assert re.search(where, found.worst), found.worst


def test_each_row_has_two_slips_or_more():
    """The rows that were there when these were planted; those of another kind have their own."""
    planted = [check for check, *_ in SLIPS]
    assert all(planted.count(check) >= 2 for check in planted)
    assert {"higher_order/derived", "higher_order/magic-box"} < set(planted) <= set(CHECKS)


@pytest.mark.torch
@pytest.mark.parametrize(
    ("check", "plant"),
    [(check, plant) for check, _, plant, _ in SLIPS if check.startswith("higher_order")],
    ids=[f"{check}-{name}" for check, name, *_ in SLIPS if check.startswith("higher_order")],
)
def test_wrong_second_derivatives_are_refuted_in_torch(scene_of, check, plant):
    """... and so it is where PyTorch differentiates, and differentiates again."""
    scene = scene_of("torch")
    plant(scene)
    found = scene.run(check)
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()


@pytest.mark.theano
@pytest.mark.parametrize(
    ("check", "row", "cost"),
    [
        ("higher_order/derived", "one-pass", loss_live),
        ("higher_order/derived", "one-pass", FORMS["magic-box"].cost),
        ("higher_order/magic-box", "magic-box", RIGHT),
        ("gradient.e/derived", "one-pass", q_live),
        ("constant.theano/derived", "one-pass", loss_live),
        ("batch.plus_one/derived", "plus-one", FORMS["score"].cost),
    ],
)
def test_wrong_estimators_are_not_what_is_derived_in_theano(scene_of, check, row, cost):
    """... and where Theano does: its held nodes stay held in what it differentiates again."""
    scene = scene_of("theano")
    before = scene.run(check)
    assert before.verdict == HOLDS, before.explain()
    scene.form(row, cost)
    found = scene.run(check)
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()


# ------------------------------------------------------------------ second derivatives


def scaled_at(name, factor):
    """One parameter's derivative times a factor."""
    return lambda found: found | {name: factor * found[name]}


@pytest.mark.parametrize("factor", [0.0, -1.0, 1.001])
def test_second_derivatives_wrong_in_one_parameter_are_refuted_by_its_name(scene, factor):
    """Neither the exact second derivative nor what is lacking is the framework's own."""
    names = scene.study(CHECKS["higher_order/derived"], kinds_of("higher_order/derived")[0]).names()
    inner = scene.backend
    assert len(names) == 5
    for name in names:
        scene.backend = inner
        scene.framework(second=scaled_at(name, factor))
        found = scene.run("higher_order/derived")
        assert not found.crash, found.explain()
        assert found.verdict == REFUTED, (name, found.explain())
        assert found.worst.startswith(f"{name} of ")


@pytest.mark.parametrize("check", ["higher_order/derived", "higher_order/magic-box"])
@pytest.mark.parametrize(
    ("second", "words"),
    [
        (lambda found: {k: v for k, v in found.items() if k != "w.bias"}, "KeyError: 'w.bias'"),
        (lambda found: {k: v[None] for k, v in found.items()}, "ValueError: "),
    ],
    ids=["none for a parameter", "another shape"],
)
def test_second_derivatives_that_are_none_are_a_crash(scene, check, second, words):
    """What stands on both sides of a comparison and is no number refutes nothing."""
    scene.framework(second=second)
    found = scene.run(check)
    assert found.verdict == UNDECIDED
    assert words in found.crash, found.crash


def test_first_derivatives_have_no_part_in_it(scene):
    """The rows are about second derivatives: they hold where only the first are wrong."""
    scene.framework(gradient=lambda found: {k: 2.0 * v for k, v in found.items()}, second=dict)
    for check in ("higher_order/derived", "higher_order/magic-box"):
        assert scene.run(check).verdict == HOLDS
    assert scene.run("gradient.e/derived").verdict == REFUTED


def test_the_held_surrogate_holds_once_it_is_boxed(scene):
    """The row on record as refuted is refuted by holding alone: with the magic box it holds."""
    assert scene.run("higher_order/held").verdict == REFUTED
    scene.form("one-pass", FORMS["magic-box"].cost)
    found = scene.run("higher_order/held")
    assert found.verdict == HOLDS, found.explain()
    assert not found.as_expected


@pytest.mark.parametrize("check", ["higher_order/derived", "higher_order/magic-box"])
def test_a_second_derivative_that_a_framework_lacks_is_missed_in_autograd_too(scene, check):
    """It is not on both sides: tanh with a slope that is right, and has no slope of its own."""
    tanh = primitive(np.tanh)

    def by_x(ans, x):
        while isbox(x):
            x = getval(x)
        return lambda g: g / np.cosh(x) ** 2

    defvjp(tanh, by_x)
    scene.monkeypatch.setattr(anp, "tanh", tanh)
    assert scene.run("gradient.phi_theta/derived").verdict == HOLDS
    found = scene.run(check)
    assert found.verdict == REFUTED, found.explain()
