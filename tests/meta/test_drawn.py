"""Bugs that show in special cases only: Hypothesis must draw one, and shrink it to its smallest."""

import dataclasses

import numpy as np
import pytest

from gradproof.checks.evidence import REFUTED
from gradproof.checks.note import cases
from gradproof.checks.note.registry import CHECKS
from gradproof.checks.note.run_check import run_check
from gradproof.checks.note.study import Study
from gradproof.estimators.baselines.batch_mean import BatchMean, LeaveOneOut
from gradproof.estimators.note.bench import Bench
from gradproof.reference_models.tabular import TabularModel

from .plant import held_checks


def only_where(condition, factor=1.01):
    """Gradients scaled where a condition on them is true."""

    def change(found):
        wrong = condition(found)
        return {name: value * factor if wrong else value for name, value in found.items()}

    return change


def floored(ops, x):
    """A log-softmax by way of the probabilities: the small ones underflow."""
    total = ops.exp(ops.logsumexp(x, axis=-1))
    return ops.log(ops.exp(x) / ops.expand_dims(total, -1))


def finite(ops, x):
    """Labels of probability zero get a small one."""
    return ops.where(x > -np.inf, ops.log_softmax(x), -700.0)


#: name, what is planted, check, and what is in the counterexample.
SPECIAL = {
    "two labels": (
        {"gradient": only_where(lambda found: len(found["w.bias"]) == 2)},
        "constant.theano/held",
        "bias=(0.0, 0.0)",
    ),
    "float32": (
        # Bounds in float32 are parts in a thousand: 1 % would be in the gap.
        {"gradient": only_where(lambda found: found["w.bias"].dtype == np.float32, factor=-1.0)},
        "gradient.phi_theta/batch-form",
        "dtype='float32'",
    ),
    "one column": (
        {"gradient": only_where(lambda found: found["w.weight"].shape[1] == 1)},
        "baseline.unbiased/constant",
        "embedding=((0.0,), (0.0,))",
    ),
    "labels of probability zero": (
        {"ops": {"log_softmax": finite}},
        "forward/values",
        "support=(True, False, True)",
    ),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_special_cases_are_drawn(scene, name):
    """The counterexample has what the bug needs, and zeros for the rest."""
    planted, check, part = SPECIAL[name]
    scene.framework(**planted)
    # Two runs of 300 drew no label of probability zero in their first hundred cases.
    found = run_check(CHECKS[check], Bench(scene.backend), [], examples=1000, seed=scene.seed)
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()
    assert part in found.counterexample, found.counterexample
    assert found.counterexample in found.snippet


@pytest.mark.parametrize("bias", [(80.0, -80.0), (-80.0, 30.0)])
def test_probabilities_that_underflow_are_refuted(scene, bias):
    """Logits as far out as those drawn, at which log(softmax) is minus infinity in float32."""
    scene.framework(ops={"log_softmax": floored})
    table = ((0.0,), (0.0,))
    case = cases.TabularCase(((0,),), (-1,), table, table, bias, table, table, ((0.0,),))
    case = dataclasses.replace(case, dtype="float32")
    bench = Bench(scene.backend)
    studies = [Study(bench, case.subject())]
    with np.errstate(divide="ignore", under="ignore"):  # log 0
        found = run_check(CHECKS["forward/values"], bench, studies, examples=0, seed=0)
    assert found.verdict == REFUTED, found.explain()
    assert found.error == np.inf


class WrongForTwoSentences(TabularModel):
    """L of the second sentence is L of the first."""

    def loss(self, ops, parameters, batch, labels):
        """The first column again."""
        own = super().loss(ops, parameters, batch, labels)
        return own if batch.n == 1 else 0.0 * own + own[:, :1]


@pytest.mark.parametrize("check", ["batch.one_pass/sum", "objective.u/expectation"])
def test_a_bug_of_batches_needs_two_sentences(scene, check):
    """Alone each sentence is right: the smallest case that refutes has two."""
    scene.replace(cases, "TabularModel", WrongForTwoSentences)
    found = run_check(CHECKS[check], Bench(scene.backend), [], examples=30, seed=scene.seed)
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()
    assert "labels=(-1, -1)" in found.counterexample


class ThirdSentenceLeaks(TabularModel):
    """Where there are three sentences, each has a thousandth of all in it."""

    def loss(self, ops, parameters, batch, labels):
        """Squared, so that it is not linear in the sentences."""
        own = super().loss(ops, parameters, batch, labels)
        all_of_them = ops.square(ops.sum(own, axis=1, keepdims=True))
        return own if batch.n < 3 else own + 1e-3 * all_of_them


class OwnDrawInThree(LeaveOneOut):
    """Leaves the sentence's own loss out where there are two, and not where there are three."""

    def value(self, seen):
        """The mean of all."""
        if seen.batch.n < 3:
            return super().value(seen)
        return seen.ops.zeros_like(seen.loss) + seen.ops.sum(seen.loss) / seen.batch.n


class HalfIsKept(BatchMean):
    """The share that a batch mean keeps, as it is for one sentence and for two."""

    def kept_share(self, n):
        """1 - 1/N there."""
        return 0.5 * (n - 1)


ONE_PASS = "batch.one_pass/sum"


@pytest.mark.parametrize(
    ("plant", "check"),
    [
        (lambda scene: scene.replace(cases, "TabularModel", ThirdSentenceLeaks), ONE_PASS),
        (
            lambda scene: scene.baseline("leave-one-out", OwnDrawInThree()),
            "baseline.unbiased/leave-one-out",
        ),
        (
            lambda scene: scene.baseline("batch-mean", HalfIsKept()),
            "baseline.unbiased/batch-mean-share",
        ),
    ],
    ids=["a leak", "leave-one-out", "the share kept"],
)
def test_a_bug_of_three_sentences_is_met(scene, plant, check):
    """What is right for two sentences can be wrong for three: these are drawn, with two labels."""
    plant(scene)
    # One run in twenty or so draws no three sentences in its first hundred cases.
    found = run_check(CHECKS[check], Bench(scene.backend), [], examples=1000, seed=scene.seed)
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()
    assert "labels=(-1, -1, -1)" in found.counterexample


def test_checks_that_hold_draw_cases():
    """All but those about what a sequence model shares, and the latent variables that it has."""
    without = {name for name in held_checks() if CHECKS[name].cases is None}
    others = {name for name in without if not name.startswith("partition.")}
    assert others == {
        "kl.closed_form/in-loss",
        "released.redrawn/corrected",
        "released.redrawn/derived",
    }
