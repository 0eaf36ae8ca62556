"""Claims partition.seqdgm and partition.seqdgm_a, read off the computation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from gradproof.derivations.registry import derivation
from gradproof.estimators.note.builds import build
from gradproof.estimators.note.subject import Subject
from gradproof.reference_models.batch import Batch
from gradproof.reference_models.model import GROUPS, Model, every_label, group_of
from gradproof.reference_models.ops import Array, Ops

from ...evidence import HOLDS, REFUTED, Comparison, compare, compare_sets
from ..check import checks_of
from ..study import Study

Named = Mapping[str, Array]

COUNTED = "a count of names, which must be 0"

#: Passes whose roundings add up where a or h is held in place: two for its mean and spread, before
#: and after, and the two that are compared, each twice over for what they multiply.
SEVERAL_PASSES = 16


def log_q_alone(ops: Ops, model: Model, parameters: Named, batch: Batch, inputs: Named) -> Named:
    """log q."""
    return {"log_q": model.log_q(ops, parameters, batch)}


def loss_alone(ops: Ops, model: Model, parameters: Named, batch: Batch, inputs: Named) -> Named:
    """L."""
    return {"loss": model.loss(ops, parameters, batch, inputs["draw"])}


def latent_h(ops: Ops, model: Model, parameters: Named, batch: Batch, inputs: Named) -> Named:
    """The sampled h."""
    return {"h": model.latents(ops, parameters, batch, inputs["draw"])["h"]}


def latent_a(ops: Ops, model: Model, parameters: Named, batch: Batch, inputs: Named) -> Named:
    """The sampled a."""
    return {"a": model.latents(ops, parameters, batch, inputs["draw"])["a"]}


def reached(study: Study, compute: object) -> frozenset[str]:
    """The parameters that a value of the model depends on."""
    subject = study.subject
    inputs = subject.inputs(every_label(subject.batch.n, subject.model.classes))
    return study.bench.reach(build(compute, subject), subject, inputs)  # type: ignore[arg-type]


def groups_read_off(study: Study) -> dict[str, set[str]]:
    """The four groups by what reaches what: nothing declared is used.

    e reaches both log q and L, w log q alone; phi reaches L through h, theta L past it.
    """
    log_q, loss = reached(study, log_q_alone), reached(study, loss_alone)
    before_h = reached(study, latent_h)
    return {
        "e": set(log_q & loss),
        "w": set(log_q - loss),
        "phi": set((loss - log_q) & before_h),
        "theta": set(loss - log_q - before_h),
    }


def partition(study: Study) -> list[Comparison]:
    """Groups read off the computation against the groups that the names declare."""
    read_off = groups_read_off(study)
    declared = {
        group: {name for name in study.subject.parameters if group_of(name) == group}
        for group in GROUPS
    }
    return [
        compare_sets(f"group {group}", read_off[group], declared[group], study.name)
        for group in GROUPS
    ] + moves(study)


def moves(study: Study) -> list[Comparison]:
    """A second witness, in numbers: what reaches log q or L has a derivative that is not zero."""
    scores, paths = (
        {name for name, slopes in of_parameters.items() if np.abs(slopes).max() > 0.0}
        for of_parameters in (study.reference.score, study.reference.pathwise)
    )
    return [
        compare_sets("score", scores, reached(study, log_q_alone), study.name),
        compare_sets("pathwise", paths, reached(study, loss_alone), study.name),
    ]


def only_embeddings_shared(study: Study) -> list[Comparison]:
    """The shared parameters are the word embeddings and nothing else."""
    shared = groups_read_off(study)["e"]
    return [compare_sets("shared", shared, {"e.embedding"}, study.name)]


def shared_up_to_a(study: Study) -> list[Comparison]:
    """The shared parameters are those that the sample of a depends on."""
    shared = groups_read_off(study)["e"]
    return [compare_sets("shared", shared, reached(study, latent_a), study.name)]


def one_sample_of_a(study: Study) -> list[Comparison]:
    """One a, of one noise, is all that log q and L have of q(a|x).

    A second draw of a for L would show as noise that moves L alone; another a made of the same
    noise as values that move while a stands still. The layers of an LSTM have noise of their own,
    which goes where the parameters of that LSTM do: the shared encoder's to both.
    """
    moving = {"log q": noise_that_moves(study, "log_q"), "L": noise_that_moves(study, "loss")}
    noise = set(study.subject.batch.noise)
    others = {"eps_h", "keep"} & noise
    layers = {name: layer_group(name) for name in noise if layer_group(name)}
    by_log_q, by_loss = (
        {name for name, group in layers.items() if group in groups}
        for groups in (("e", "w"), ("e", "phi", "theta"))
    )
    return [
        compare_sets("noise of log q", moving["log q"], {"eps_a"} | by_log_q, study.name),
        compare_sets("noise of L", moving["L"], {"eps_a"} | others | by_loss, study.name),
        *same_a_same_values(study),
    ]


def layer_group(name: str) -> str:
    """The group of the LSTM that a noise array is around; empty for other noise."""
    kind, *rest = name.split(".")
    return rest[0] if rest and kind in ("dropout", "norm") else ""


def same_a_same_values(study: Study) -> list[Comparison]:
    """Move q(a|x), and its noise so that a stays: log q stays, and L but for log q(a|x) itself."""
    moved, rng = dict(study.subject.parameters), study.rng()
    for name in study.names("e"):
        # Not the embeddings, nor the encoder where it is shared: these are also read without a.
        if name.startswith(("e.mean.", "e.log_variance.")):
            moved[name] = moved[name] + 0.1 * rng.standard_normal(moved[name].shape)
    held = hold_latent(
        lambda subject: study.values(everything, subject)["a"][0],
        study.subject,
        study.subject.replace(parameters=moved),
        "eps_a",
    )
    before, after = (study.values(everything, subject) for subject in held.subjects)
    density_before, density_after = (
        -np.sum(0.5 * noise**2 + np.log(spread), axis=-1)
        for noise, (_, spread) in zip(held.noise, held.moments, strict=True)
    )
    bound = SEVERAL_PASSES * study.reference.value_bound()
    return [
        compare("log q at one a", after["log_q"], before["log_q"], bound, study.name),
        compare(
            "L - log q(a|x) at one a",
            after["loss"] - density_after,
            before["loss"] - density_before,
            bound,
            study.name,
        ),
    ]


class HeldLatent(NamedTuple):
    """Two subjects whose latent has one value, by its noise, mean and spread in each, (N, Z)."""

    subjects: tuple[Subject, Subject]
    noise: tuple[np.ndarray, np.ndarray]
    moments: tuple[tuple[np.ndarray, np.ndarray], ...]


def hold_latent(
    latent: Callable[[Subject], np.ndarray], before: Subject, after: Subject, name: str
) -> HeldLatent:
    """Two subjects, the second with the noise by which its latent is the first's.

    Args:
        latent: its value (N, Z) in a subject; it is affine in its noise.
        name: of the noise array that it is drawn with.
    """
    noise = before.batch.noise[name]
    moments = []
    for subject in (before, after):
        at_zero, at_one = (
            latent(with_noise(subject, name, np.full(noise.shape, size))) for size in (0.0, 1.0)
        )
        moments.append((at_zero, at_one - at_zero))
    (mean, spread), (mean_after, spread_after) = moments
    moved = (mean + spread * noise - mean_after) / spread_after
    return HeldLatent((before, with_noise(after, name, moved)), (noise, moved), tuple(moments))


def everything(ops: Ops, model: Model, parameters: Named, batch: Batch, inputs: Named) -> Named:
    """a, log q and L."""
    return {
        **latent_a(ops, model, parameters, batch, inputs),
        **log_q_alone(ops, model, parameters, batch, inputs),
        **loss_alone(ops, model, parameters, batch, inputs),
    }


def with_noise(subject: Subject, name: str, noise: np.ndarray) -> Subject:
    """The subject with another noise array of that name."""
    arrays = subject.batch.arrays() | {f"noise.{name}": noise}
    return subject.replace(batch=subject.batch.with_arrays(arrays))


def noise_that_moves(study: Study, which: str) -> set[str]:
    """The noise arrays on which log q, or L, depends."""
    subject = study.subject
    labels = every_label(subject.batch.n, subject.model.classes)
    compute = build(log_q_alone if which == "log_q" else loss_alone, subject)
    inputs = subject.inputs(labels)
    before = study.bench.values(compute, subject, inputs)[which]
    moved = set()
    for name in subject.batch.noise:
        # 1 - x moves every entry but 1/2, and maps 0 and 1 to each other.
        changed = inputs | {f"noise.{name}": 1.0 - inputs[f"noise.{name}"]}
        if (study.bench.values(compute, subject, changed)[which] != before).any():
            moved.add(name)
    return moved


#: Rows of the table for SeqDGM-A.
GROUPS_WITH_A = ("e", "u", "v", "w", "phi", "theta")


def with_a(name: str) -> str:
    """The group of a parameter, with those in e apart: embeddings e, encoder u, and v, of a."""
    if group_of(name) != "e" or name == "e.embedding":
        return group_of(name)
    return "v" if name.startswith(("e.mean.", "e.log_variance.")) else "u"


def reach_table(
    study: Study, claim: str, groups: tuple[str, ...], of: Callable[[str], str]
) -> list[Comparison]:
    """The share of each group's parameters that reach log q, and L: all of them or none."""
    by_log_q, by_loss = reached(study, log_q_alone), reached(study, loss_alone)
    expected = derivation(claim).oracle()
    comparisons = []
    for group, row in zip(groups, expected, strict=True):
        names = [name for name in study.names() if of(name) == group]
        shares = [np.mean([name in reach for name in names]) for reach in (by_log_q, by_loss)]
        comparisons.append(compare(f"what {group} reaches", shares, row, 0.0, study.name))
    return comparisons


_seqdgm = checks_of(
    "partition.seqdgm", models=("seqdgm",), limits="it is about this model", bound_reason=COUNTED
)
_seqdgm_a = checks_of(
    "partition.seqdgm_a",
    models=("seqdgm-a",),
    limits="it is about this model",
    bound_reason=COUNTED,
)

CHECKS = (
    _seqdgm("groups", "e, w, phi and theta are what the computation says", HOLDS, partition),
    _seqdgm(
        "embeddings",
        "the classifier shares the embeddings with the rest, and nothing else",
        HOLDS,
        only_embeddings_shared,
    ),
    _seqdgm_a("groups", "e, w, phi and theta are what the computation says", HOLDS, partition),
    _seqdgm_a(
        "up-to-a", "the classifier shares what comes before the sample of a", HOLDS, shared_up_to_a
    ),
    _seqdgm_a(
        "embeddings",
        "the classifier shares the embeddings alone, as in SeqDGM",
        REFUTED,
        only_embeddings_shared,
    ),
    _seqdgm_a(
        "one-sample",
        "one sample of a feeds both q(y|a,x) and L",
        HOLDS,
        one_sample_of_a,
        bound_reason=f"{COUNTED}; rounding of values: u 16R (1 + M)",
    ),
    _seqdgm(
        "derived",
        "which group reaches log q and L is the derived table",
        HOLDS,
        lambda study: reach_table(study, "partition.seqdgm", GROUPS, group_of),
    ),
    _seqdgm_a(
        "derived",
        "... with the encoder, and what makes a of its state, in rows of their own",
        HOLDS,
        lambda study: reach_table(study, "partition.seqdgm_a", GROUPS_WITH_A, with_a),
    ),
)
