"""Frameworks that differentiate wrongly, or hold the wrong things constant, are refuted."""

import dataclasses
import re

import numpy as np
import pytest

from gradproof.checks.evidence import HOLDS, REFUTED, UNDECIDED
from gradproof.checks.note.registry import CHECKS
from gradproof.estimators.baselines.constant import Constant

from .plant import TYPICAL, held_checks, kinds_of

# ------------------------------------------------------------------ gradients

# In the lists below a check stands by its id, or all checks of a claim by the claim's.

#: Checks whose two sides both come from the framework under test, as their claims ask (with padding
#: against without, one run against another): an error that is the same on both sides is not theirs
#: to see.
SELF_CONSISTENT = (
    "batch.plus_one/constant",
    "gradient.e/printed-excess",  # in part: the 2 dH on top are the framework's own
    "invariants/deterministic",
    "invariants/padding",
    "renormalised/batch",
    "renormalised/live",
)
#: Checks of values and of names, and of a gradient of nothing, a wrong factor of which is nothing
#: (its own planted bugs are in test_estimators.py), or of the reference (in test_objectives.py).
NO_GRADIENT = (
    "baseline.reconstruction/no-gradient",
    "cost.labels",
    "forward",
    "invariants/derived",
    "invariants/noise",
    "kl.closed_form/derived-coupled",
    "kl.closed_form/in-loss",
    "kl.closed_form/seqdgm_a-h",
    "objective.c/value",
    "objective.u/derived",
    "objective.u/entropy-corrected",
    "objective.u/expectation",
    "objective.u/slopes",
    "partition.seqdgm",
    "partition.seqdgm_a",
)
#: What is left compares gradients with an oracle from outside the framework.
ORACLE = held_checks(*SELF_CONSISTENT, *NO_GRADIENT)


def scaled(factor):
    """Every gradient times a factor."""
    return lambda found: {name: factor * value for name, value in found.items()}


def in_largest(change):
    """The largest entry of each gradient changed: an error in one coordinate."""

    def changed(found):
        found = {name: np.array(value) for name, value in found.items()}
        for value in found.values():
            place = np.unravel_index(np.abs(value).argmax(), value.shape)
            value[place] = change(value[place])
        return found

    return changed


#: name: what becomes of the gradients, and the note that goes with it.
CORRUPTIONS = {
    "one part in a hundred": (scaled(1.01), ""),
    "one part in a thousand": (scaled(1.001), ""),
    "one part in a million": (scaled(1.0 + 1e-6), ""),
    "another sign": (scaled(-1.0), ""),
    "twice": (scaled(2.0), ""),
    "3 % in one coordinate": (in_largest(lambda entry: 1.03 * entry), ""),
    "a NaN": (in_largest(lambda entry: np.nan), r"is NaN in \d+ entries"),
    "an infinity": (in_largest(lambda entry: np.inf), ""),
    "another shape": (
        lambda found: {name: value[None] for name, value in found.items()},
        r"has shape \(1, .*\), expected \(",
    ),
    "single precision": (
        lambda found: {name: value.astype(np.float32) for name, value in found.items()},
        "",
    ),
}


#: Checks of variances over all parameters together: nothing in them is called by a parameter.
TOTALS = ("baseline.variance/derived-interval", "baseline.form/derived")
#: What a variance, even in the gradient and squared, cannot tell or cannot finish with.
SQUARED = ("another sign", "a NaN", "an infinity")
#: Corruptions that a check cannot see, or cannot finish with, and why.
UNSEEN = {
    "baseline.variance": SQUARED,
    # Sums over parameters have one shape, and are as wide as what they are made of. What cancels in
    # a difference of two of them leaves less than six digits for one draw of parameters in hundred.
    **dict.fromkeys(
        TOTALS, (*SQUARED, "another shape", "single precision", "one part in a million")
    ),
    "higher_order": ("another shape",),
    # It reads one number off a gradient: where there is no number it cannot finish.
    "kl.closed_form/gaussian": ("another shape",),
}


@pytest.mark.parametrize(
    ("check", "corruption"),
    [
        (check, corruption)
        for check in ORACLE
        for corruption in CORRUPTIONS
        if corruption not in UNSEEN.get(check, UNSEEN.get(CHECKS[check].claim, ()))
    ],
)
def test_wrong_gradients_are_refuted(scene, check, corruption):
    """No check against an oracle passes a gradient that is wrong in any of these ways."""
    change, note = CORRUPTIONS[corruption]
    scene.framework(gradient=change)
    with np.errstate(invalid="ignore"):  # the variance of an infinite estimate is NaN
        found = scene.run(check, kinds_of(check)[0])
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()
    assert re.search(note, found.note), found.note
    assert found.worst.endswith(tuple(found.subjects)), found.worst


@pytest.mark.parametrize("kind", ["seqdgm", "seqdgm-a"])
@pytest.mark.parametrize("check", ["gradient.phi_theta/batch-form", "constant.theano/held"])
@pytest.mark.parametrize("corruption", ["one part in a million", "3 % in one coordinate"])
def test_small_errors_show_on_sequence_models_too(scene, check, kind, corruption):
    """The bound is not wider than the signal on an LSTM with its thousand of roundings either."""
    scene.framework(gradient=CORRUPTIONS[corruption][0])
    assert scene.run(check, kind).verdict == REFUTED


#: The groups that a claim is about, or one check of it, where those are not all of them.
GROUPS = {
    "gradient.e": ("e",),
    "gradient.w": ("w",),
    "gradient.phi_theta": ("phi", "theta"),
    "gradient.phi_theta/batch-form": (),
    "batch.plus_one": ("e", "w"),
    "baseline.variance/derived-plus-one": ("e", "w"),
}


def groups_of(check):
    """Those of the check, else of its claim; none named: all."""
    return GROUPS.get(check, GROUPS.get(CHECKS[check].claim, ()))


@pytest.mark.parametrize("check", held_checks(*NO_GRADIENT, *TOTALS))
def test_every_parameter_is_compared(scene, check):
    """Of the groups that a claim is about none is passed over, whatever its place in the list."""
    kinds = [kind for kind in kinds_of(check) if not check.startswith("kl.")]
    for kind in kinds:
        study = scene.study(CHECKS[check], kind)
        # Where several baselines are looked at, each is named before the parameter.
        compared = {
            comparison.what.rpartition(": ")[2] for comparison in CHECKS[check].compare(study)
        }
        assert set(study.names(*groups_of(check))) <= compared


def test_each_list_names_what_there_is():
    """A name in a list that is no check, and no claim with checks, would sort nothing."""
    known = set(CHECKS) | {check.claim for check in CHECKS.values()}
    assert {*SELF_CONSISTENT, *NO_GRADIENT, *TOTALS, *UNSEEN, *GROUPS} <= known
    assert len(ORACLE) > 20


@pytest.mark.parametrize("check", [check for check in ORACLE if check not in TOTALS])
def test_a_parameter_left_out_is_refuted_by_its_name(scene, check):
    """A gradient of zeros for one parameter is refuted, and the evidence names the parameter."""
    kind = kinds_of(check)[0]
    study = scene.study(CHECKS[check], kind)
    compared = {comparison.what for comparison in CHECKS[check].compare(study)}
    names = sorted(compared & set(study.subject.parameters))
    if check in GROUPS:
        names = [name for name in names if name in study.names(*GROUPS[check])]
    inner = scene.backend
    if check.startswith("kl.closed_form/"):  # it calls the derivatives by names of its own
        names = ["phi.mean", "phi.log_variance"]
    assert names
    for name in names:
        scene.backend = inner
        scene.framework(
            gradient=lambda found, name=name: {
                key: 0.0 * value if key == name else value for key, value in found.items()
            }
        )
        found = scene.run(check, kind)
        assert found.verdict == REFUTED, (name, found.explain())
        # Where several baselines are looked at, the first of them is named before the parameter.
        worst = found.worst.rpartition(" of ")[0].rpartition(": ")[2]
        assert worst.split(" ")[0].removeprefix("dKL/d") in name, found.worst


@pytest.mark.parametrize("check", ["invariants/padding"])
def test_zeros_on_both_sides_do_not_hold(scene, check):
    """Where both sides come from the framework, all-zero gradients are equal and prove nothing."""
    scene.framework(gradient=scaled(0.0))
    found = scene.run(check)
    assert found.verdict == UNDECIDED, found.explain()
    assert not found.crash
    assert found.error == 0.0
    assert found.resolution == float("inf")


@pytest.mark.parametrize("check", ORACLE)
def test_zeros_everywhere_are_refuted(scene, check):
    """No tolerance is so wide that a gradient of zeros passes."""
    scene.framework(gradient=scaled(0.0))
    assert scene.run(check, kinds_of(check)[0]).verdict == REFUTED


# ------------------------------------------------------------------ holding constant


def held_after(name):
    """A function of the namespace whose result is held constant, as it must not be."""
    return {
        name: lambda ops, *args, **kwargs: ops.stop_gradient(getattr(ops, name)(*args, **kwargs))
    }


def nothing_held(ops, x):
    """A ``hold`` that only passes on."""
    return x


#: name: replaced functions, the subject, where the error is, the checks that must see it.
HOLDING = {
    "hold does nothing": (
        {"stop_gradient": nothing_held},
        TYPICAL,
        r"^(e|w|phi|theta)\.",
        (
            "gradient.e/corrected",
            "gradient.e/batch-form",
            # Not gradient.w/corrected: L depends on no w, so that CL need not be held for w.
            "gradient.w/batch-form",
            "gradient.phi_theta/batch-form",
            "constant.theano/held",
            "batch.plus_one/mean",
            "baseline.reconstruction/held",
            "baseline.unbiased/constant",
            "baseline.unbiased/affine-embedding",
            "baseline.unbiased/leave-one-out",
            "baseline.unbiased/running-mean",
            "objective.c/sampled",
        ),
    ),
    "hold scales its value": (
        {"stop_gradient": lambda ops, x: ops.stop_gradient(1.0001 * x)},
        TYPICAL,
        r"^(e|w)\.",
        (
            "gradient.e/batch-form",
            "gradient.w/corrected",
            "gradient.phi_theta/batch-form",
            "constant.theano/held",
            "batch.plus_one/mean",
            "objective.c/sampled",
        ),
    ),
    "log q is held everywhere": (
        held_after("log_softmax"),
        TYPICAL,
        r"^(e|w)\.|along a direction",
        (
            "gradient.e/corrected",
            "gradient.e/batch-form",
            "gradient.w/batch-form",
            "gradient.phi_theta/batch-form",
            "constant.theano/held",
            "baseline.unbiased/affine-embedding",
            "objective.u/derivative",
            "labelled/as-it-stands",
        ),
    ),
    "embeddings are held": (
        held_after("take"),
        TYPICAL,
        r"^e\.embedding of ",
        (
            "gradient.e/corrected",
            "gradient.e/batch-form",
            "gradient.phi_theta/batch-form",
            "constant.theano/held",
            "baseline.reconstruction/held",
            "baseline.unbiased/leave-one-out",
            "objective.u/derivative",
            "labelled/as-it-stands",
        ),
    ),
    "L is held": (
        held_after("square"),
        TYPICAL,
        r"^(e|phi|theta)\.",
        (
            "gradient.e/batch-form",
            "gradient.phi_theta/printed",
            "gradient.phi_theta/batch-form",
            "constant.theano/held",
            "baseline.unbiased/constant",
            "labelled/as-it-stands",
        ),
    ),
    # The value of log q is right, so that forward values agree; its gradient is that of a logit.
    "raw logits differentiated": (
        {"log_softmax": lambda ops, x: x + ops.stop_gradient(ops.log_softmax(x) - x)},
        TYPICAL,
        r"^(e|w)\.",
        (
            "gradient.e/batch-form",
            "gradient.w/batch-form",
            "gradient.phi_theta/batch-form",
            "batch.plus_one/constant",
            "baseline.unbiased/constant",
            "baseline.unbiased/affine-embedding",
            "constant.theano/held",
            "labelled/as-it-stands",
        ),
    ),
    "the state of an LSTM is held": (
        held_after("tanh"),
        "seqdgm",
        r"^(e|w|phi|theta)\.",
        ("gradient.phi_theta/printed", "gradient.e/batch-form", "gradient.w/batch-form"),
    ),
}
HELD = [(name, check) for name, row in HOLDING.items() for check in row[-1]]


@pytest.mark.parametrize(("name", "check"), HELD)
def test_holding_the_wrong_things_is_refuted(scene, name, check):
    """What a framework holds constant, and must not, or does not, and must, shows in a gradient."""
    functions, kind, where, _ = HOLDING[name]
    scene.framework(ops=functions)
    found = scene.run(check, kind)
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()
    assert re.search(where, found.worst), found.worst


def test_raw_logits_agree_in_their_values(scene):
    """Forward values cannot see them: the gradient checks must."""
    scene.framework(ops=HOLDING["raw logits differentiated"][0])
    assert scene.run("forward/values").verdict == HOLDS


@dataclasses.dataclass(frozen=True)
class At(Constant):
    """A constant baseline of a given value."""

    given: float = 0.0

    def initial(self, rng, width):
        """The value."""
        return {"lambda.bias": np.array(self.given)}


def test_raw_logits_are_unbiased_at_one_baseline(scene):
    """Where B is the weight's own mean they are exactly unbiased: one baseline is not enough.

    A logit's gradient is the score plus a part that is the same for every label, which a weight of
    mean zero takes away.
    """
    study = scene.study(CHECKS["baseline.unbiased/constant"], TYPICAL).first(1)
    known = study.reference
    mean = (known.probability * (known.loss + known.log_q + 1.0)).sum()
    scene.framework(ops=HOLDING["raw logits differentiated"][0])

    def at(shift):
        scene.baseline("constant", At(given=mean + shift))
        check = CHECKS["baseline.unbiased/constant"]
        return scene.run(dataclasses.replace(check, compare=lambda s: check.compare(s.first(1))))

    assert at(0.0).verdict == HOLDS, at(0.0).explain()
    assert at(0.1).verdict == REFUTED


# ------------------------------------------------------------------ reach


@pytest.mark.parametrize(
    ("reached", "note"),
    [
        (lambda names: names - {"w.logits.bias"}, "lacks w.logits.bias"),
        (lambda names: names | {"theta.label"}, "has also theta.label"),
        (lambda names: frozenset(), "pathwise has also e.embedding, "),
    ],
    ids=["one is missed", "one too many", "none"],
)
def test_a_framework_that_reaches_wrongly_is_refuted(scene, reached, note):
    """What reaches what is read off the framework's graph, and compared with numbers."""
    scene.framework(reached=reached)
    found = scene.run("partition.seqdgm/groups", "seqdgm")
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()
    assert note in found.note, found.note


# ------------------------------------------------------------------ values and state


def shifted(by):
    """Every value off by a little."""
    return lambda found: {name: value + by for name, value in found.items()}


@pytest.mark.parametrize("kind", kinds_of("forward/values"))
def test_forward_values_off_by_a_millionth_are_refuted(scene, kind):
    """A framework that computes another log q or L is told so before any gradient."""
    scene.framework(values=shifted(1e-6))
    found = scene.run("forward/values", kind)
    assert found.verdict == REFUTED, found.explain()
    assert re.search(r"^(log q|L) of ", found.worst)
    assert found.error == pytest.approx(1e-6, rel=1e-3)  # rounding of log q and L is 1e-15


@pytest.mark.parametrize(
    ("change", "where", "note"),
    [
        (lambda loss: np.where(np.arange(loss.size).reshape(loss.shape), loss, np.nan), "L", "NaN"),
        (lambda loss: loss.astype(np.float32), "L", ""),
        (lambda loss: loss[::-1], "L", ""),
    ],
    ids=["a NaN", "single precision", "labels in another order"],
)
def test_wrong_losses_are_refuted(scene, change, where, note):
    """One entry, one precision, one order: forward values see each."""
    scene.framework(values=lambda found: found | {"loss": change(found["loss"])})
    found = scene.run("forward/values")
    assert found.verdict == REFUTED, found.explain()
    assert found.worst.startswith(f"{where} of ")
    assert note in found.note


def test_a_zero_probability_in_the_wrong_place_is_refuted(scene):
    """Labels that cannot be drawn are compared as places, since their log q is no number."""

    def moved(found):
        log_q = np.array(found["log_q"])
        log_q[0, 0] = -np.inf
        return found | {"log_q": log_q}

    scene.framework(values=moved)
    found = scene.run("forward/values")
    assert found.verdict == REFUTED
    assert found.worst.startswith(("labels of probability zero", "log q"))


@dataclasses.dataclass
class Stateful:
    """A framework that remembers what it should not.

    Args:
        adds: the gradients of earlier calls are added, as where nobody calls ``zero_grad``.
    """

    inner: object
    adds: bool

    @property
    def name(self):
        """As the framework's own."""
        return self.inner.name

    @property
    def evaluate(self):
        """As it is."""
        return self.inner.evaluate

    def differentiate(self, build, parameters, inputs, wrt):
        """The first call's gradients again, or the sum of all so far."""
        function = self.inner.differentiate(build, parameters, inputs, wrt)
        seen = []

        def call(parameters, inputs):
            found = function(parameters, inputs)
            seen.append(found)
            if not self.adds:
                return seen[0]
            return {name: sum(once[name] for once in seen) for name in found}

        return call


@pytest.mark.parametrize(
    ("adds", "check"),
    [
        (True, "invariants/deterministic"),
        (True, "gradient.e/batch-form"),
        (False, "gradient.e/batch-form"),
        (False, "batch.plus_one/constant"),
        (False, "objective.c/sampled"),
    ],
)
def test_a_framework_with_a_memory_is_refuted(scene, adds, check):
    """Gradients that add up over calls, and inputs baked into a compiled function, both show."""
    scene.backend = Stateful(scene.backend, adds)
    found = scene.run(check)
    assert found.verdict == REFUTED, found.explain()


@pytest.mark.torch
@pytest.mark.parametrize(
    "check", ["gradient.phi_theta/batch-form", "constant.theano/held", "batch.plus_one/mean"]
)
def test_undetached_weights_are_refuted_in_torch(scene_of, check):
    """The commonest slip in PyTorch: the weight of the score is not detached."""
    scene = scene_of("torch")
    assert scene.run(check).verdict == HOLDS
    scene.framework(ops={"stop_gradient": nothing_held})
    found = scene.run(check)
    assert found.backend == "torch"
    assert found.verdict == REFUTED, found.explain()
