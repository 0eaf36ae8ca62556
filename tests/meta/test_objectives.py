"""Objectives, divergences and references that are wrong are refuted."""

import dataclasses
import re

import numpy as np
import pytest

from gradproof.checks.evidence import HOLDS, REFUTED, UNDECIDED
from gradproof.checks.note.cases import CoupledCase, TabularCase
from gradproof.checks.note.claims import batch_statistics, constant_theano
from gradproof.checks.note.claims import objective as objective_rows
from gradproof.checks.note.registry import CHECKS
from gradproof.checks.note.run_check import run_check
from gradproof.checks.note.verify import reproduce
from gradproof.estimators.baselines import BASELINES
from gradproof.estimators.note.exact import Reference
from gradproof.estimators.note.forms import FORMS
from gradproof.reference_models import gaussian, objective
from gradproof.reference_models.seqdgm import SeqDGM
from gradproof.reference_models.seqdgm_a import SeqDGMA

from .plant import TYPICAL, kinds_of

# ------------------------------------------------------------------ U, C and the labelled part


def u_plus_entropy(ops, log_q, losses, *_):
    """U with E[-log q] in place of E[log q]."""
    terms = ops.transpose(losses) - objective.finite(ops, log_q)
    return ops.sum(ops.exp(log_q) * terms, axis=-1)


def u_unweighted(ops, log_q, losses, *_):
    """U as a mean over labels, whatever their probability."""
    terms = ops.transpose(losses) + objective.finite(ops, log_q)
    return ops.sum(terms * ops.exp(0.0 * log_q) / 3.0, axis=-1)


def u_without_log_q(ops, log_q, losses, *_):
    """U with its second term left out."""
    return ops.sum(ops.exp(log_q) * ops.transpose(losses), axis=-1)


def u_off_by_a_millionth(ops, log_q, losses, *_):
    """U with each of its terms larger by a millionth: an error that does not cancel as U may."""
    terms = ops.transpose(losses) + objective.finite(ops, log_q)
    size = ops.where(terms > 0.0, terms, -terms)
    return ops.sum(ops.exp(log_q) * (terms + 1e-6 * size), axis=-1)


def costs(*, alpha_on_loss=False, sign=-1.0, divide_by_labelled=False, labelled_twice=False):
    """C, wrong in the ways that are asked for."""

    def cost(ops, log_q, losses, labels, alpha, n):
        known = ops.sum(labels, axis=1)
        loss = ops.sum(labels * ops.transpose(losses), axis=1)
        log_label = objective.at_label(ops, log_q, labels)
        if alpha_on_loss:
            supervised = alpha * loss + sign * log_label
        else:
            supervised = loss + sign * alpha * log_label
        unsupervised = 1.0 if labelled_twice else 1.0 - known
        total = known * supervised + unsupervised * objective.unlabelled(ops, log_q, losses)
        return ops.sum(total) / (ops.sum(known) if divide_by_labelled else n)

    return cost


#: name, function of the objective, what it is replaced by, check, where, subjects.
OBJECTIVES = [
    ("U + 2 H", "unlabelled", u_plus_entropy, "objective.u/expectation", r"^U of "),
    ("U + 2 H", "unlabelled", u_plus_entropy, "objective.u/entropy-corrected", r"^E_q\[log q\] of"),
    ("U + 2 H", "unlabelled", u_plus_entropy, "objective.c/value", r"^C of "),
    ("U + 2 H", "unlabelled", u_plus_entropy, "gradient.e/corrected", r"^e\."),
    ("U + 2 H", "unlabelled", u_plus_entropy, "objective.c/sampled", r"^(e|w)\."),
    ("labels unweighted", "unlabelled", u_unweighted, "objective.u/expectation", r"^U of "),
    ("labels unweighted", "unlabelled", u_unweighted, "objective.c/value", r"^C of "),
    ("no log q", "unlabelled", u_without_log_q, "objective.u/expectation", r"^U of "),
    ("no log q", "unlabelled", u_without_log_q, "objective.u/entropy-corrected", r"^E_q"),
    ("no log q", "unlabelled", u_without_log_q, "gradient.w/batch-form", r"^w\."),
    ("1e-6", "unlabelled", u_off_by_a_millionth, "objective.u/expectation", r"^U of "),
    ("1e-6", "unlabelled", u_off_by_a_millionth, "objective.c/value", r"^C of "),
    ("1e-6", "unlabelled", u_off_by_a_millionth, "gradient.phi_theta/printed", r"^(phi|theta)\."),
    ("alpha on L", "cost", costs(alpha_on_loss=True), "objective.c/value", r"^C of "),
    ("alpha on L", "cost", costs(alpha_on_loss=True), "objective.c/sampled", r"^\w+\."),
    ("+ alpha log q", "cost", costs(sign=1.0), "objective.c/value", r"^C of "),
    ("+ alpha log q", "cost", costs(sign=1.0), "objective.c/sampled", r"^(e|w)\."),
    ("over N_l alone", "cost", costs(divide_by_labelled=True), "objective.c/value", r"^C of "),
    ("over N_l alone", "cost", costs(divide_by_labelled=True), "objective.c/sampled", r"^\w+\."),
    ("U of labelled too", "cost", costs(labelled_twice=True), "objective.c/value", r"^C of "),
    ("U of labelled too", "cost", costs(labelled_twice=True), "objective.c/sampled", r"^\w+\."),
]


@pytest.mark.parametrize(
    ("name", "function", "check", "where"),
    [bug[1:] for bug in OBJECTIVES],
    ids=[f"{name}-{check}" for name, _, _, check, _ in OBJECTIVES],
)
def test_wrong_objectives_are_refuted(scene, name, function, check, where):
    """A slip in U or C shows in the check of its value, and in the gradients that rest on it."""
    scene.replace(objective, name, function)
    for kind in kinds_of(check):
        found = scene.run(check, kind)
        assert not found.crash, found.explain()
        assert found.verdict == REFUTED, found.explain()
        assert re.search(where, found.worst), found.worst


def labelled_with_score(ops, model, parameters, batch, labels, alpha):
    """The labelled part as if its label had been drawn: hold(L) log q on top."""
    loss = model.loss(ops, parameters, batch, ops.expand_dims(labels, 0))[0]
    log_label = objective.at_label(ops, model.log_q(ops, parameters, batch), labels)
    return loss + (ops.stop_gradient(loss) - alpha) * log_label


def labelled_without_alpha(ops, model, parameters, batch, labels, alpha):
    """The labelled part with -log q in full."""
    loss = model.loss(ops, parameters, batch, ops.expand_dims(labels, 0))[0]
    return loss - objective.at_label(ops, model.log_q(ops, parameters, batch), labels)


def labelled_off_by_a_millionth(ops, model, parameters, batch, labels, alpha):
    """The labelled part with L times 1 + 1e-6."""
    loss = model.loss(ops, parameters, batch, ops.expand_dims(labels, 0))[0]
    log_label = objective.at_label(ops, model.log_q(ops, parameters, batch), labels)
    return (1.0 + 1e-6) * loss - alpha * log_label


LABELLED = [labelled_with_score, labelled_without_alpha, labelled_off_by_a_millionth]


@pytest.mark.parametrize("function", LABELLED, ids=lambda function: function.__name__)
@pytest.mark.parametrize("kind", kinds_of("labelled/as-it-stands"))
def test_wrong_labelled_parts_are_refuted(scene, kind, function):
    """A score term where nothing was drawn, or another alpha, is refuted."""
    scene.replace(objective, "labelled", function)
    found = scene.run("labelled/as-it-stands", kind)
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()


def test_a_score_term_is_seen_where_there_is_one(scene):
    """The row on record as refuted holds, entry by entry, for a cost that does have the term."""
    scene.replace(objective, "labelled", labelled_with_score)
    check = CHECKS["labelled/score-term"]

    def entries(study):
        # A complex step cannot hold anything constant, and so cannot see the term.
        return [found for found in check.compare(study) if "direction" not in found.what]

    found = scene.run(dataclasses.replace(check, compare=entries))
    assert found.verdict == HOLDS, found.explain()


# ------------------------------------------------------------------ the reference


def scaled(field, factor=1.01):
    """The reference with one of its tables scaled."""

    def change(known):
        table = {name: factor * value for name, value in getattr(known, field).items()}
        return dataclasses.replace(known, **{field: table})

    return change


def coordinate(known):
    """The reference's gradient with its largest entry off by 3 %."""
    gradient = {name: np.array(value) for name, value in known.gradient.items()}
    table = gradient["w.bias"]
    table[np.abs(table).argmax()] *= 1.03
    return dataclasses.replace(known, gradient=gradient)


REFERENCES = [
    ("gradient", scaled("gradient"), "objective.u/derivative", r"along a direction|^\w+\."),
    ("gradient 1e-6", scaled("gradient", 1 + 1e-6), "objective.u/derivative", r"."),
    ("gradient", scaled("gradient"), "gradient.phi_theta/batch-form", r"^\w+\."),
    ("gradient", scaled("gradient"), "baseline.reconstruction/held", r"^\w+\."),
    ("one coordinate", coordinate, "objective.u/derivative", r"^w\.bias"),
    ("score", scaled("score"), "constant.theano/held", r"^(e|w)\."),
    ("score", scaled("score"), "labelled/as-it-stands", r"^(e|w)\.|along a direction"),
    ("score 1e-6", scaled("score", 1 + 1e-6), "constant.theano/held", r"^(e|w)\."),
    ("score", scaled("score"), "baseline.unbiased/batch-mean-share", r"^(e|w)\."),
    ("pathwise", scaled("pathwise"), "constant.theano/held", r"^(e|phi|theta)\."),
    ("pathwise", scaled("pathwise"), "labelled/as-it-stands", r"^(e|phi|theta)\.|along"),
]


@pytest.mark.parametrize(
    ("change", "check", "where"),
    [bug[1:] for bug in REFERENCES],
    ids=[f"{name}-{check}" for name, _, check, _ in REFERENCES],
)
def test_a_wrong_reference_is_refuted(scene, change, check, where):
    """The reference is not believed: every table of it is compared with something else."""
    scene.known(change)
    found = scene.run(check)
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()
    assert re.search(where, found.worst), found.worst


def test_the_complex_step_alone_finds_a_wrong_reference(scene):
    """Where framework and reference err alike, the derivative without differentiation disagrees."""
    scene.known(scaled("gradient"))
    scene.framework(gradient=lambda found: {k: 1.01 * v for k, v in found.items()})
    found = scene.run("objective.u/derivative")
    assert found.verdict == REFUTED, found.explain()
    assert "along a direction" in found.worst


def test_the_labelled_part_is_compared_with_a_complex_step_too(scene):
    """As above: scores, pathwise gradients and the framework's are off by the same factor."""
    scene.known(lambda known: scaled("pathwise")(scaled("score")(known)))
    scene.framework(gradient=lambda found: {k: 1.01 * v for k, v in found.items()})
    found = scene.run("labelled/as-it-stands")
    assert found.verdict == REFUTED, found.explain()
    assert found.worst.startswith("all, along a direction of ")


@pytest.mark.parametrize("kind", [TYPICAL, "seqdgm"])
@pytest.mark.parametrize(("part", "what"), [("score", "score by "), ("pathwise", "dL by ")])
def test_a_slope_of_the_reference_that_is_wrong_is_refuted(scene, kind, part, what):
    """In one entry of one label: formulas on text are fed with these."""

    def wrong(reference):
        table = dict(getattr(reference, part))
        table["e.embedding"] = table["e.embedding"].copy()
        place = np.unravel_index(np.abs(table["e.embedding"]).argmax(), table["e.embedding"].shape)
        table["e.embedding"][place] *= 1.0 + 1e-6
        return dataclasses.replace(reference, **{part: table})

    assert scene.run("objective.u/slopes", kind).verdict == HOLDS
    scene.known(wrong)
    found = scene.run("objective.u/slopes", kind)
    assert (found.verdict, found.crash) == (REFUTED, ""), found.explain()
    assert found.worst.startswith(f"{what}e.embedding")


@pytest.mark.parametrize("check", ["gradient.phi_theta/batch-form", "constant.theano/held"])
def test_a_bound_wider_than_the_signal_does_not_hold(scene, check):
    """A bound that would let anything pass is no evidence, however small the error is."""
    scene.replace(Reference, "bound", lambda known, name, extra=0.0, moved=0.0: 1e6)
    found = scene.run(check)
    assert found.verdict == UNDECIDED
    assert not found.crash
    assert found.error < found.bound
    assert found.resolution > 1e-2  # a hundredth of the signal would pass


@pytest.mark.parametrize("check", ["gradient.phi_theta/batch-form", "constant.theano/held"])
def test_a_bound_of_nothing_is_not_met(scene, check):
    """Without roundings allowed for, right estimators are refuted: the bound is in use."""
    scene.replace(Reference, "bound", lambda known, name, extra=0.0, moved=0.0: 0.0)
    assert scene.run(check, *kinds_of(check)).verdict == REFUTED


# ------------------------------------------------------------------ divergences


def kl(mean_sign=1.0, half=0.5, log_sign=-1.0, one=1.0, variance=False):
    """KL to N(0, I), wrong in the ways that are asked for."""

    def to_standard(ops, mean, log_variance):
        spread = ops.exp(log_variance) if not variance else log_variance
        inside = mean_sign * ops.square(mean) + spread - one + log_sign * log_variance
        return half * ops.sum(inside, axis=-1)

    return to_standard


def standard_deviation(ops, mean, log_variance):
    """The log variance read as a log standard deviation."""
    return kl()(ops, mean, 2.0 * log_variance)


DIVERGENCES = {
    "another sign": kl(mean_sign=-1.0, half=-0.5),
    "the other sign of the log": kl(log_sign=1.0),
    "no half": kl(half=1.0),
    "no one": kl(one=0.0),
    "log variance for variance": kl(variance=True),
    "standard deviation for variance": standard_deviation,
    "half of 1 + 1e-6": kl(half=0.5 * (1.0 + 1e-6)),
}


@pytest.mark.parametrize("name", DIVERGENCES)
@pytest.mark.parametrize(
    ("check", "where"),
    [
        ("kl.closed_form/gaussian", r"^(KL|dKL/dmean|dKL/dlog_variance) of GaussianCase\("),
        ("kl.closed_form/seqdgm_a-h", r"^E\[log q\(h\|a\) - log p\(h\)\] of CoupledCase\("),
    ],
)
def test_wrong_closed_forms_are_refuted(scene, name, check, where):
    """Each usual slip in the divergence of two Gaussians differs from the integral."""
    scene.replace(gaussian, "kl_to_standard", DIVERGENCES[name])
    found = scene.run(check)
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()
    assert re.search(where, found.worst), found.worst


# Without "no one", whose KL is off by a constant: neither a change nor a gradient can show that.
IN_LOSS = {name: wrong for name, wrong in DIVERGENCES.items() if name != "no one"} | {
    "weighted by 2": kl(half=1.0),
    "the sign flipped": kl(half=-0.5),
    "missing": kl(half=0.0),
    "weighted by 1 + 1e-6": kl(half=0.5 * (1.0 + 1e-6)),
}
CHANGE = r"^change of L at one h of seqdgm"


@pytest.mark.parametrize("kind", kinds_of("kl.closed_form/in-loss"))
@pytest.mark.parametrize("name", IN_LOSS)
def test_wrong_divergences_in_the_models_own_loss_are_refuted(scene, kind, name):
    """With h in its place, L must change by the divergence and by nothing else."""
    scene.replace(gaussian, "kl_to_standard", IN_LOSS[name])
    found = scene.run("kl.closed_form/in-loss", kind)
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()
    assert re.search(CHANGE, found.worst), found.worst


def sample_of_variance(ops, mean, log_variance, noise):
    """The draw spread by the variance, where the divergence is right."""
    return mean + ops.exp(log_variance) * noise


def test_a_draw_that_does_not_fit_its_divergence_is_refuted(scene):
    """The spread is read off h: a standard deviation confused there shows against the KL."""
    scene.replace(gaussian, "sample", sample_of_variance)
    found = scene.run("kl.closed_form/in-loss", "seqdgm")
    assert found.verdict == REFUTED, found.explain()
    assert re.search(CHANGE, found.worst), found.worst


class MinusTwoKL(SeqDGM):
    """L takes the divergence off twice over, and h and every other term are right."""

    def loss(self, ops, parameters, batch, labels):
        """Three too few."""
        mean, log_variance = self._posterior(ops, parameters, batch, labels)
        own = super().loss(ops, parameters, batch, labels)
        return own - 3.0 * gaussian.kl_to_standard(ops, mean, log_variance)


class ReadsTheMean(SeqDGMA):
    """Beside h, L reads the mean that h was drawn around."""

    def loss(self, ops, parameters, batch, labels):
        """With a leak of it."""
        quiet = {**batch.noise, "eps_h": 0.0 * batch.noise["eps_h"]}
        latents = self.latents(ops, parameters, dataclasses.replace(batch, noise=quiet), labels)
        own = super().loss(ops, parameters, batch, labels)
        return own + 1e-3 * ops.sum(latents["h"], axis=-1)


class Squashed(SeqDGM):
    """h is not Gaussian: no noise puts the one draw where the other was."""

    def latents(self, ops, parameters, batch, labels):
        """Through a tanh."""
        found = super().latents(ops, parameters, batch, labels)
        return {"h": ops.tanh(found["h"])}


@pytest.mark.parametrize(
    ("model", "kind", "where"),
    [
        (MinusTwoKL, "seqdgm", CHANGE),
        (ReadsTheMean, "seqdgm-a", CHANGE),
        (Squashed, "seqdgm", r"^(h held in place|change of L at one h) of seqdgm"),
    ],
)
def test_models_whose_loss_is_not_the_divergence_are_refuted(scene, model, kind, where):
    """The oracle is an integral over what the model draws, whatever its loss calls."""
    scene.model(model)
    found = scene.run("kl.closed_form/in-loss", kind)
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()
    assert re.search(where, found.worst), found.worst


def test_a_divergence_that_cannot_be_computed_is_no_refutation(scene):
    """A crash inside the model's loss is told from a wrong one."""

    def crash(ops, mean, log_variance):
        raise RuntimeError("planted")

    check = CHECKS["kl.closed_form/in-loss"]
    study = scene.study(check, "seqdgm")
    scene.replace(gaussian, "kl_to_standard", crash)
    found = run_check(check, study.bench, [study], examples=0, seed=scene.seed)
    assert found.verdict == UNDECIDED
    assert found.crash == "RuntimeError: planted"


def test_a_wrong_closed_form_comes_with_its_case(scene):
    """Drawn cases shrink to one that can be pasted."""
    scene.replace(gaussian, "kl_to_standard", DIVERGENCES["no one"])
    found = scene.run("kl.closed_form/gaussian", examples=5)
    assert found.verdict == REFUTED
    # Nothing is simpler than a standard normal, and it is wrong there.
    assert "GaussianCase(mean=0.0, log_variance=0.0" in found.counterexample
    assert found.counterexample in found.snippet


def uncoupled(rng):
    """SeqDGM-A in which p(a|y,h) does not depend on h."""
    values = map(float, rng.standard_normal(5))
    return CoupledCase(**dict(zip(UNCOUPLED, values, strict=True)), back=0.0)


UNCOUPLED = ("a_mean", "a_log_variance", "slope", "h_log_variance", "p_log_variance")


def test_the_closed_form_for_a_holds_without_coupling(scene):
    """What refutes it is that p(a|y,h) couples a and h: where it does not, the form is right."""
    check = dataclasses.replace(CHECKS["kl.closed_form/seqdgm_a-a"], typical=uncoupled)
    found = scene.run(check)
    assert found.verdict == HOLDS, found.explain()


def without_the_shift(ops, mean, log_variance, other_mean, other_log_variance):
    """KL of two Gaussians, their means left out."""
    ratio = ops.exp(log_variance - other_log_variance)
    return 0.5 * ops.sum(ratio - 1.0 - log_variance + other_log_variance, axis=-1)


def test_without_coupling_a_wrong_closed_form_for_a_is_refuted(scene):
    """... and the same check then sees a slip in it."""
    scene.replace(gaussian, "kl_between", without_the_shift)
    check = dataclasses.replace(CHECKS["kl.closed_form/seqdgm_a-a"], typical=uncoupled)
    assert scene.run(check).verdict == REFUTED


# ------------------------------------------------------------------ rows that are refuted


def test_the_entropy_as_printed_holds_for_another_sign(scene):
    """Refuted by its sign alone: with E[-log q] for E[log q], the printed row holds."""
    scene.replace(objective, "unlabelled", u_plus_entropy)
    assert scene.run("objective.u/entropy-printed").verdict == HOLDS


def test_not_held_holds_once_it_is_held(scene):
    """The row refuted for holding nothing is the held row's comparison with another form."""
    check = CHECKS["constant.theano/not-held"]
    assert scene.run(check).verdict == REFUTED
    held = dataclasses.replace(
        check, compare=lambda study: constant_theano.at_one_draw(study, FORMS["one-pass"])
    )
    assert scene.run(held).verdict == HOLDS


def test_without_batch_statistics_one_pass_holds(scene):
    """The row refuted for coupled sentences holds on the same case without the coupling."""
    check = CHECKS["batch.one_pass/batch-statistics"]
    assert scene.run(check).verdict == REFUTED

    def uncoupled(rng):
        return dataclasses.replace(check.typical(rng), batch_statistics=False)

    assert scene.run(dataclasses.replace(check, typical=uncoupled)).verdict == HOLDS


@pytest.mark.parametrize("kind", [TYPICAL, "seqdgm"])
def test_what_batch_statistics_lose_is_the_others_loss(scene, kind, monkeypatch):
    """One pass is off, by E[R s] and nothing else: not without it, with half, or the own loss."""
    row, lacks = "batch.one_pass/batch-statistics", "batch.one_pass/batch-statistics-lacks"
    assert scene.run(row, kind).verdict == REFUTED
    assert scene.run(lacks, kind).verdict == HOLDS
    right = batch_statistics.lacking_part

    def half(study, draws):
        return {name: 0.5 * part for name, part in right(study, draws).items()}

    def own(study, draws):
        others = draws.loss.sum(axis=1, keepdims=True) - draws.loss
        return right(study, dataclasses.replace(draws, loss=others))  # of two: the sentence's own

    for wrong in (half, own):
        monkeypatch.setattr(batch_statistics, "lacking_part", wrong)
        found = scene.run(lacks, kind)
        assert not found.crash, found.explain()
        assert found.verdict == REFUTED, found.explain()


def test_text_without_batch_statistics_is_not_refuted(scene, monkeypatch):
    """It is the normalisation that couples sentences, not that draws are enumerated jointly."""
    monkeypatch.setattr(batch_statistics, "with_statistics", lambda study: study)
    assert scene.run("batch.one_pass/batch-statistics", "seqdgm").verdict == HOLDS


def test_what_cancels_in_a_normalised_layer_is_rounding():
    """The gradient by e is zero in each draw, and its rounding is that of what cancels."""
    zeros = ((0.0,), (0.0,))
    case = TabularCase(
        tokens=((0,),) * 3,
        labels=(-1,) * 3,
        embedding=zeros,
        weight=zeros,
        bias=(0.0, 0.0),
        phi=zeros,
        theta=zeros,
        noise=((0.0,), (0.0,), (0.125,)),
        batch_statistics=True,
    )
    for row in ("batch-statistics", "batch-statistics-lacks"):
        assert reproduce(f"batch.one_pass/{row}", case).verdict != REFUTED


def test_the_printed_line_for_w_is_refuted_by_numbers_and_by_shapes(scene):
    """On tables the sum exists and is wrong; on an LSTM it does not exist, and the note says so."""
    found = scene.run("gradient.w/printed")
    assert found.verdict == REFUTED
    assert np.isfinite(found.error)
    found = scene.run("gradient.w/printed", "seqdgm")
    assert found.verdict == REFUTED
    assert re.search(r"dH/de has shape \(9, 3\) and the estimate for w\.\S+ has", found.note)
    assert found.note.endswith("they cannot be added")


def test_names_of_what_is_planted_exist():
    """Bugs are planted by name: each name here is one that the checks read."""
    assert {"unlabelled", "cost", "labelled"} <= set(vars(objective))
    assert objective_rows.objective is objective
    assert {"kl_to_standard", "kl_between"} <= set(vars(gaussian))
    assert "none" in BASELINES
    assert TYPICAL not in ("seqdgm", "seqdgm-a")
