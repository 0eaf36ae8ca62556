"""Estimators and baselines that are wrong are refuted; those that only look so are not."""

import dataclasses
import re

import numpy as np
import pytest

from gradproof.checks.evidence import HOLDS, REFUTED, UNDECIDED
from gradproof.checks.note.registry import CHECKS
from gradproof.estimators.baselines import BASELINES
from gradproof.estimators.baselines.affine import Affine
from gradproof.estimators.baselines.batch_mean import BatchMean, LeaveOneOut, RunningMean
from gradproof.estimators.baselines.constant import Constant
from gradproof.estimators.baselines.per_token import PerToken
from gradproof.estimators.note.forms import FORMS
from gradproof.reference_models.objective import entropy

from .plant import TYPICAL, kinds_of

# ------------------------------------------------------------------ forms


def weight(ops, terms):
    """CL + CQ + 1 - B, as it should be."""
    return (
        ops.stop_gradient(terms.loss)
        + ops.stop_gradient(terms.log_q_at_draw)
        + 1.0
        - terms.baseline
    )


def right(ops, terms):
    """The one-pass cost, as it should be."""
    return weight(ops, terms) * terms.log_q_at_draw + terms.loss


def only_first_label(ops, terms):
    """Nothing for any draw but the first label."""
    return ops.where(terms.log_q_at_draw == terms.log_q[:, 0], right(ops, terms), 0.0)


def weight_live_in_q(ops, terms):
    """Only CQ is left live."""
    return (
        ops.stop_gradient(terms.loss) + terms.log_q_at_draw + 1.0
    ) * terms.log_q_at_draw + terms.loss


def weight_live_in_l(ops, terms):
    """Only CL is left live."""
    return (
        terms.loss + ops.stop_gradient(terms.log_q_at_draw) + 1.0
    ) * terms.log_q_at_draw + terms.loss


#: name: the cost in place of the one-pass row's, and the groups in which it is wrong.
ONE_PASS = {
    "score without f": (lambda ops, terms: terms.log_q_at_draw + terms.loss, "e|w"),
    "pathwise term missing": (
        lambda ops, terms: weight(ops, terms) * terms.log_q_at_draw,
        "e|phi|theta",
    ),
    "score term missing": (lambda ops, terms: terms.loss, "e|w"),
    "L in the weight live": (weight_live_in_l, "e|phi|theta"),
    "log q in the weight live": (weight_live_in_q, "e|w"),
    "nothing held": (FORMS["not-held"].cost, "e|w|phi|theta"),
    "everything held": (lambda ops, terms: ops.stop_gradient(right(ops, terms)), "e|w|phi|theta"),
    "L held throughout": (
        lambda ops, terms: weight(ops, terms) * terms.log_q_at_draw + ops.stop_gradient(terms.loss),
        "e|phi|theta",
    ),
    "the surrogate's sign": (lambda ops, terms: -right(ops, terms), "e|w|phi|theta"),
    "the score part's sign": (
        lambda ops, terms: terms.loss - weight(ops, terms) * terms.log_q_at_draw,
        "e|w",
    ),
    "the pathwise part's sign": (
        lambda ops, terms: weight(ops, terms) * terms.log_q_at_draw - terms.loss,
        "e|phi|theta",
    ),
    "L - log q in the weight": (
        lambda ops, terms: (
            (ops.stop_gradient(terms.loss) - ops.stop_gradient(terms.log_q_at_draw))
            * terms.log_q_at_draw
            + terms.loss
        ),
        "e|w",
    ),
    "log q left out of the weight": (
        lambda ops, terms: (ops.stop_gradient(terms.loss) + 1.0) * terms.log_q_at_draw + terms.loss,
        "e|w",
    ),
    "L left out of the weight": (
        lambda ops, terms: (
            (ops.stop_gradient(terms.log_q_at_draw) + 1.0) * terms.log_q_at_draw + terms.loss
        ),
        "e|w",
    ),
    "q in place of log q": (
        lambda ops, terms: weight(ops, terms) * ops.exp(terms.log_q_at_draw) + terms.loss,
        "e|w",
    ),
    "1 % in all": (lambda ops, terms: 1.01 * right(ops, terms), "e|w|phi|theta"),
    "3 % in the score part": (
        lambda ops, terms: 1.03 * weight(ops, terms) * terms.log_q_at_draw + terms.loss,
        "e|w",
    ),
    "1e-6 in all": (lambda ops, terms: (1.0 + 1e-6) * right(ops, terms), "e|w|phi|theta"),
    "zero for all labels but one": (only_first_label, "e|w|phi|theta"),
    # The gradient of log q_0 by the classifier's bias sums to zero over the labels.
    "a bias that cancels over coordinates": (
        lambda ops, terms: right(ops, terms) + 1e-3 * terms.log_q[:, 0],
        "e|w",
    ),
    "entropy counted twice": (
        lambda ops, terms: right(ops, terms) - entropy(ops, terms.log_q),
        "e|w",
    ),
}

#: Checks that rest on the one-pass form and see every group, and the subjects to run them on.
ROWS = [
    (name, check, kind)
    for name in ONE_PASS
    for check, kinds in (
        ("gradient.phi_theta/batch-form", kinds_of("gradient.phi_theta/batch-form")),
        ("baseline.unbiased/constant", [TYPICAL]),
    )
    for kind in kinds
]


@pytest.mark.parametrize(("name", "check", "kind"), ROWS)
def test_wrong_forms_are_refuted(scene, name, check, kind):
    """Each slip in the surrogate is refuted, on tables and on LSTMs, in the groups it is in."""
    cost, groups = ONE_PASS[name]
    scene.form("one-pass", cost)
    found = scene.run(check, kind)
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()
    assert re.match(rf"({groups})\.\S+ of ", found.worst), found.worst


@pytest.mark.parametrize("name", [name for name, (_, groups) in ONE_PASS.items() if "e" in groups])
def test_wrong_forms_are_refuted_in_the_line_for_e(scene, name):
    """Differentiated by e alone, as a line of the note does, each slip that reaches e shows."""
    scene.form("one-pass", ONE_PASS[name][0])
    found = scene.run("gradient.e/batch-form")
    assert found.verdict == REFUTED, found.explain()
    assert found.worst.startswith("e.embedding of ")


@pytest.mark.torch
@pytest.mark.parametrize("name", ONE_PASS)
def test_wrong_forms_are_refuted_in_torch(scene_of, name):
    """... and so it is where PyTorch differentiates."""
    scene = scene_of("torch")
    scene.form("one-pass", ONE_PASS[name][0])
    found = scene.run("gradient.phi_theta/batch-form")
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()


@pytest.mark.theano
@pytest.mark.parametrize(
    "name", ["score without f", "log q in the weight live", "1 % in all", "3 % in the score part"]
)
def test_wrong_forms_are_refuted_in_theano(scene_of, name):
    """... and where Theano does."""
    scene = scene_of("theano")
    scene.form("one-pass", ONE_PASS[name][0])
    found = scene.run("gradient.phi_theta/batch-form")
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()


@pytest.mark.theano
def test_a_cut_off_parameter_is_no_verdict_in_theano(scene_of):
    """Theano refuses to differentiate by a parameter that holding cut off: no verdict."""
    scene = scene_of("theano")
    scene.form("one-pass", ONE_PASS["pathwise term missing"][0])
    found = scene.run("gradient.phi_theta/batch-form")
    assert found.verdict == UNDECIDED
    assert found.crash.startswith("DisconnectedInputError")


#: name, row of the forms, cost, check, where the error must be.
OTHER_FORMS = [
    (
        "divided by N",
        "one-pass",
        lambda ops, terms: right(ops, terms) / len(terms.loss),
        "batch.one_pass/sum",
        r"^\w+\.",
    ),
    (
        "a batch mean in the cost",
        "one-pass",
        lambda ops, terms: right(ops, terms) - ops.sum(terms.loss) / 2.0 * terms.log_q_at_draw,
        "batch.one_pass/sum",
        r"^(e|w|phi|theta)\.",
    ),
    (
        "the batch's L taken away, held",
        "one-pass",
        lambda ops, terms: (
            right(ops, terms) - ops.stop_gradient(ops.sum(terms.loss)) * terms.log_q_at_draw
        ),
        "batch.one_pass/sum",
        r"^(e|w)\.",
    ),
    (
        "+ H for - H",
        "analytic-entropy",
        FORMS["printed-entropy"].cost,
        "gradient.e/corrected",
        r"^e\.",
    ),
    (
        "+ H for - H, for w",
        "analytic-entropy",
        FORMS["printed-entropy"].cost,
        "gradient.w/corrected",
        r"^w\.",
    ),
    (
        "log q at the draw for - H",
        "analytic-entropy",
        lambda ops, terms: (ops.stop_gradient(terms.loss) + 1.0) * terms.log_q_at_draw + terms.loss,
        "gradient.w/corrected",
        r"^w\.",
    ),
    (
        "H held",
        "analytic-entropy",
        lambda ops, terms: (
            ops.stop_gradient(terms.loss) * terms.log_q_at_draw
            - ops.stop_gradient(entropy(ops, terms.log_q))
            + terms.loss
        ),
        "gradient.e/corrected",
        r"^e\.",
    ),
    ("L left out", "score-line", FORMS["plus-one"].cost, "gradient.w/batch-form", r"^w\."),
    (
        "1 % in the line for w",
        "score-line",
        lambda ops, terms: 1.01 * weight(ops, terms) * terms.log_q_at_draw,
        "gradient.w/batch-form",
        r"^w\.",
    ),
    (
        "L held",
        "pathwise",
        lambda ops, terms: ops.stop_gradient(terms.loss),
        "gradient.phi_theta/printed",
        r"^(phi|theta)\.",
    ),
    (
        "1 % in the pathwise part",
        "pathwise",
        lambda ops, terms: 1.01 * terms.loss,
        "gradient.phi_theta/printed",
        r"^(phi|theta)\.",
    ),
    (
        "CQ live",
        "plus-one",
        lambda ops, terms: (terms.log_q_at_draw + 1.0) * terms.log_q_at_draw,
        "batch.plus_one/mean",
        r"^(e|w)\.",
    ),
    (
        "CQ missing",
        "plus-one",
        lambda ops, terms: 2.0 * terms.log_q_at_draw,
        "batch.plus_one/mean",
        r"^(e|w)\.",
    ),
    (
        "another sign",
        "plus-one",
        lambda ops, terms: (1.0 - ops.stop_gradient(terms.log_q_at_draw)) * terms.log_q_at_draw,
        "batch.plus_one/mean",
        r"^(e|w)\.",
    ),
    (
        "q in place of log q",
        "score",
        lambda ops, terms: ops.exp(terms.log_q_at_draw),
        "batch.plus_one/constant",
        r"^(e|w)\.",
    ),
    (
        "one label's log q added",
        "score",
        lambda ops, terms: terms.log_q_at_draw + 1e-6 * terms.log_q[:, 0],
        "batch.plus_one/constant",
        r"^(e|w)\.",
    ),
    (
        "CQ live",
        "one-pass",
        weight_live_in_q,
        "objective.c/sampled",
        r"^(e|w)\.",
    ),
    (
        "score without f",
        "one-pass",
        ONE_PASS["score without f"][0],
        "objective.c/sampled",
        r"^(e|w)\.",
    ),
    (
        "1 % in all",
        "one-pass",
        lambda ops, terms: 1.01 * right(ops, terms),
        "objective.c/sampled",
        r"^\w+\.",
    ),
]


@pytest.mark.parametrize(
    ("row", "cost", "check", "where"),
    [bug[1:] for bug in OTHER_FORMS],
    ids=[f"{name}-{check}" for name, _, _, check, _ in OTHER_FORMS],
)
def test_wrong_rows_are_refuted(scene, row, cost, check, where):
    """Each form that a claim rests on can be refuted in that claim's own check."""
    assert scene.run(check).verdict == HOLDS
    scene.form(row, cost)
    found = scene.run(check)
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()
    assert re.search(where, found.worst), found.worst


HARMLESS = {
    "no 1 in the weight": lambda ops, terms: (
        (ops.stop_gradient(terms.loss) + ops.stop_gradient(terms.log_q_at_draw) - terms.baseline)
        * terms.log_q_at_draw
        + terms.loss
    ),
    "B added": lambda ops, terms: (
        (ops.stop_gradient(terms.loss) + ops.stop_gradient(terms.log_q_at_draw) + terms.baseline)
        * terms.log_q_at_draw
        + terms.loss
    ),
    "- H in place of CQ + 1": FORMS["analytic-entropy"].cost,
    "a held term added": lambda ops, terms: right(ops, terms) + ops.stop_gradient(terms.loss),
}


@pytest.mark.parametrize("name", HARMLESS)
@pytest.mark.parametrize(
    "check", ["baseline.unbiased/affine-embedding", "gradient.phi_theta/batch-form"]
)
def test_harmless_changes_hold(scene, name, check):
    """What changes no mean is not refuted: the sign of B, the 1, another way to the entropy."""
    scene.form("one-pass", HARMLESS[name])
    found = scene.run(check, *kinds_of(check))
    assert found.verdict == HOLDS, found.explain()


def test_a_bias_that_cancels_is_zero_in_the_sum(scene):
    """The bug planted above is what it says: summed over coordinates, nothing is wrong."""
    study = scene.study(CHECKS["gradient.w/batch-form"], TYPICAL)
    cost = ONE_PASS["a bias that cancels over coordinates"][0]
    scene.form("one-pass", cost)
    error = study.moments("one-pass").mean["w.bias"] - study.reference.gradient["w.bias"]
    bound = error.size * study.reference.bound("w.bias")
    assert abs(error.sum()) <= bound < np.abs(error).max()


# ------------------------------------------------------------------ baselines


@dataclasses.dataclass(frozen=True)
class OwnDraw(Constant):
    """Half of the sentence's own L at its own draw."""

    def value(self, seen):
        """No other sentence is in it, so that it is not coupled."""
        return 0.5 * seen.loss


@dataclasses.dataclass(frozen=True)
class DividedByN(LeaveOneOut):
    """The others' losses, divided by N in place of N - 1: too small a baseline, but one."""

    def value(self, seen):
        """No draw of its own is in it."""
        return (seen.ops.sum(seen.loss) - seen.loss) / seen.batch.n


@dataclasses.dataclass(frozen=True)
class AllDividedByLess(LeaveOneOut):
    """All losses, divided by N - 1: its own among them."""

    def value(self, seen):
        """As where the own loss is not taken away."""
        return seen.ops.zeros_like(seen.loss) + seen.ops.sum(seen.loss) / (seen.batch.n - 1)


@dataclasses.dataclass(frozen=True)
class ReadsItsDraw(PerToken):
    """A thousandth of the sentence's own L beside what it should be."""

    def value(self, seen):
        """It says that it reads lengths alone."""
        return super().value(seen) + 1e-3 * seen.loss


@dataclasses.dataclass(frozen=True)
class KeepsAll(BatchMean):
    """A batch mean that says it keeps all of the score part."""

    def kept_share(self, n):
        """Not so: 1 - 1/N."""
        return 1.0


#: name, row of the baselines, baseline, check, parameters in which it is wrong.
WRONG_BASELINES = [
    *(
        (f"{name} live", name, dataclasses.replace(BASELINES[name], held=False), check, where)
        for check, name, where in (
            ("baseline.reconstruction/no-gradient", "mlp", "mlp: gradient of B by e.embedding"),
            ("baseline.reconstruction/no-gradient", "affine-both", "affine-both: .* e.embedding"),
            ("baseline.reconstruction/no-gradient", "expected-return", "expected-return: "),
            ("baseline.reconstruction/no-gradient", "running-mean-first", "running-mean-first: "),
            ("baseline.unbiased/every-form", "mlp", "mlp: e.embedding"),
            ("baseline.unbiased/every-form", "expected-return", "expected-return: "),
        )
    ),
    (
        "its own draw, a little",
        "per-token",
        ReadsItsDraw(),
        "baseline.unbiased/every-form",
        r"per-token: [ew]\.",
    ),
    (
        "reads e live",
        "affine-embedding",
        Affine(held=False),
        "baseline.unbiased/affine-embedding",
        "e.embedding",
    ),
    (
        "reads e live",
        "affine-embedding",
        Affine(held=False),
        "baseline.reconstruction/held",
        "e.embedding",
    ),
    ("its own draw", "constant", OwnDraw(), "baseline.unbiased/constant", r"[ew]\."),
    ("its own draw, live", "constant", OwnDraw(held=False), "baseline.unbiased/constant", ""),
    ("its own loss", "leave-one-out", BatchMean(), "baseline.unbiased/leave-one-out", r"[ew]\."),
    (
        "all over N - 1",
        "leave-one-out",
        AllDividedByLess(),
        "baseline.unbiased/leave-one-out",
        r"[ew]\.",
    ),
    (
        "the others, live",
        "leave-one-out",
        LeaveOneOut(held=False),
        "baseline.unbiased/leave-one-out",
        r"(e|phi|theta)\.",
    ),
    (
        "updated first",
        "running-mean",
        RunningMean(update_first=True),
        "baseline.unbiased/running-mean",
        r"[ew]\.",
    ),
    (
        "updated first, slowly",
        "running-mean",
        RunningMean(update_first=True, decay=0.999),
        "baseline.unbiased/running-mean",
        r"[ew]\.",
    ),
    (
        "another share",
        "batch-mean",
        KeepsAll(),
        "baseline.unbiased/batch-mean-share",
        r"[ew]\.",
    ),
    (
        "another share",
        "running-mean-first",
        KeepsAll(),
        "baseline.unbiased/running-mean-first-share",
        r"[ew]\.",
    ),
]


@pytest.mark.parametrize(
    ("row", "baseline", "check", "where"),
    [bug[1:] for bug in WRONG_BASELINES],
    ids=[f"{name}-{check}" for name, _, _, check, _ in WRONG_BASELINES],
)
def test_wrong_baselines_are_refuted(scene, row, baseline, check, where):
    """A baseline that contains its own draw, or lets a gradient through, is refuted."""
    scene.baseline(row, baseline)
    for kind in kinds_of(check):
        found = scene.run(check, kind)
        assert not found.crash, found.explain()
        assert found.verdict == REFUTED, found.explain()
        assert re.match(where, found.worst), found.worst


def test_leave_one_out_divided_by_the_deviation_is_refuted(scene):
    """Normalising by the batch's own deviation puts the own draw back into the weight."""

    def normalised(ops, terms):
        centred = ops.stop_gradient(terms.loss) - terms.baseline
        # The root of a sum of squares; one, so that no batch divides by zero.
        spread = ops.exp(0.5 * ops.log(1.0 + ops.sum(ops.square(centred))))
        return (
            centred / spread + ops.stop_gradient(terms.log_q_at_draw)
        ) * terms.log_q_at_draw + terms.loss

    scene.form("one-pass", normalised)
    found = scene.run("baseline.unbiased/leave-one-out")
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()


def test_leave_one_out_divided_by_n_holds(scene):
    """It is a worse baseline, and an unbiased one: the mean is all that the claim is about."""
    scene.baseline("leave-one-out", DividedByN())
    found = scene.run("baseline.unbiased/leave-one-out")
    assert found.verdict == HOLDS, found.explain()


# ------------------------------------------------------------------ rows that are refuted


#: Rows on record as refuted, and what makes each of them right.
CORRECTIONS = {
    "gradient.e/printed": lambda scene: scene.form(
        "printed-entropy", FORMS["analytic-entropy"].cost
    ),
    "gradient.w/printed-sign": lambda scene: scene.form(
        "printed-entropy", FORMS["analytic-entropy"].cost
    ),
    "baseline.reconstruction/live": lambda scene: scene.baseline("live", Affine("live")),
    "baseline.unbiased/live": lambda scene: scene.baseline("live", Affine("live")),
    "baseline.unbiased/batch-mean": lambda scene: scene.baseline("batch-mean", LeaveOneOut()),
    "baseline.unbiased/running-mean-first": lambda scene: scene.baseline(
        "running-mean-first", RunningMean()
    ),
}


@pytest.mark.parametrize("check", CORRECTIONS)
def test_what_is_refuted_holds_once_corrected(scene, check):
    """A row on record as refuted is refuted by its bug alone: corrected, it holds, and says so."""
    assert scene.run(check).verdict == REFUTED
    CORRECTIONS[check](scene)
    found = scene.run(check)
    assert found.verdict == HOLDS, found.explain()
    assert not found.as_expected
    assert "holds, expected refuted" in found.explain()
