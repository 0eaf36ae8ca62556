"""Derived formulas of what models are made of: what reaches what, padding, divergences.

As in :mod:`.derived` no automatic differentiation is on the formula's side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from gradproof.derivations.registry import derivation
from gradproof.estimators.note.builds import build
from gradproof.estimators.note.value_bounds import count_roundings, unit_roundoff
from gradproof.reference_models import gaussian, lstm, sequence
from gradproof.reference_models.batch import BOS, Batch
from gradproof.reference_models.model import GROUPS, Model, group_of
from gradproof.reference_models.ops import Array, Ops

from ...evidence import HOLDS, Comparison, compare
from ..cases import (
    CoupledCase,
    coupled_cases,
    gaussian_cases,
    typical_coupled,
    typical_gaussian,
)
from ..check import Check, drawn
from ..study import Study
from .invariants import pad
from .kl import (
    NODES,
    OPERATIONS,
    grid,
    kl_a_given_h,
    kl_h,
    kl_h_given_a,
    square_sum,
)
from .partition import COUNTED, log_q_alone, loss_alone, reached

Named = Mapping[str, Array]

CLOSED = "64 roundings of the largest term, 12 times over where 12 nodes are averaged"

# ------------------------------------------------------------------ what reaches what


#: Rows of the table for SeqDGM-A.
GROUPS_WITH_A = ("e", "v", "w", "phi", "theta")


def with_a(name: str) -> str:
    """The group of a parameter, v for those of q(a|x), which stand in e beside the embeddings."""
    return "v" if group_of(name) == "e" and name != "e.embedding" else group_of(name)


def reach_table(
    study: Study, claim: str, groups: tuple[str, ...], of: Callable[[str], str]
) -> list[Comparison]:
    """The share of each group's parameters that reach log q, and L: all of them or none."""
    by_log_q, by_loss = reached(study, log_q_alone), reached(study, loss_alone)
    expected = derivation(claim).oracle()
    comparisons = []
    for group, row in zip(groups, expected, strict=True):
        names = [name for name in study.names() if of(name) == group]
        found = [np.mean([name in reach for name in names]) for reach in (by_log_q, by_loss)]
        comparisons.append(compare(f"what {group} reaches", found, row, 0.0, study.name))
    return comparisons


# ------------------------------------------------------------------ padding

#: H of the LSTM that steps through padding.
HIDDEN = 2

CELLS = "rounding of values: u R (1 + M), of the LSTM and what is read off it"


def masked_values(ops: Ops, model: Model, parameters: Named, batch: Batch, inputs: Named) -> Named:
    """States (T, 1, N, H) after each token, and what the tokens cost in all, (1, N)."""
    states = lstm.run(
        ops,
        inputs,
        "theta.lstm",
        inputs["previous"],
        batch.mask,
        t=batch.t,
        size=HIDDEN,
        condition=inputs["condition"],
    )
    cost = sequence.reconstruction(ops, inputs, batch, inputs["condition"], size=HIDDEN)
    return {"states": ops.stack(states, axis=0), "cost": cost}


def decoder(study: Study, batch: Batch) -> dict[str, np.ndarray]:
    """A drawn decoder for a batch's tokens, with its input at every step."""
    rng, vocabulary = study.rng(), max(study.subject.model.classes, BOS + 1)
    made = sequence.decoder_initial(rng, width=2, hidden=HIDDEN, vocabulary=vocabulary)
    made["e.embedding"] = rng.standard_normal((vocabulary, 2))
    made["condition"] = rng.standard_normal((1, batch.n, 4 * HIDDEN))
    made["noise.keep"] = sequence.keep_noise(rng, batch.n, batch.t, 0.25)
    before = np.concatenate([np.full((batch.n, 1), BOS), batch.tokens[:, :-1]], axis=1)
    made["previous"] = made["e.embedding"][before] * made["noise.keep"][..., None]
    return {name: value.astype(study.subject.dtype) for name, value in made.items()}


def stepped(given: dict[str, np.ndarray], mask: np.ndarray) -> np.ndarray:
    """States (T, N, H): the update of an LSTM written out, what the mask makes of it derived."""
    masked = derivation("invariants").further["state"]
    kernel, recurrent, bias = (
        given[f"theta.lstm.{name}"] for name in ("input", "recurrent", "bias")
    )
    state = cell = np.zeros((len(mask), HIDDEN))
    states = []
    for step, keep in enumerate(mask.T[..., None]):
        gates = given["previous"][:, step] @ kernel + bias + given["condition"][0]
        enter, forget, leave, new = np.split(gates + state @ recurrent, 4, axis=1)
        updated = _logistic(forget) * cell + _logistic(enter) * np.tanh(new)
        seen = _logistic(leave) * np.tanh(updated)
        state = masked(mask=keep, updated=seen, before=state)
        cell = masked(mask=keep, updated=updated, before=cell)
        states.append(state)
    return np.array(states)


def _logistic(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def masked_steps(study: Study) -> list[Comparison]:
    """A decoder over padding with garbage in it: states, and what its tokens cost."""
    subject = pad(study.subject, study.rng())
    batch, given = subject.batch, decoder(study, subject.batch)
    inputs, whole = batch.arrays() | given, build(masked_values, subject)
    found = study.bench.values(whole, subject, inputs)
    wide = {name: value.astype(np.float64) for name, value in given.items()}
    states = stepped(wide, batch.mask.astype(np.float64))
    logits = states @ wide["theta.output"].T + wide["theta.output_bias"]
    target = np.take_along_axis(logits, batch.tokens.T[..., None], axis=-1)[..., 0]
    cost = np.log(np.exp(logits).sum(axis=-1)) - target
    expected = derivation("invariants").oracle(mask=batch.mask.T, value=cost)
    # All that is computed, the decoder being among the inputs, is counted as if of parameters.
    rounded = count_roundings(lambda ops, counted, _: whole(ops, {}, counted), inputs, {})
    bound = unit_roundoff(subject.dtype) * rounded.operations * (1.0 + rounded.largest)
    return [
        compare("states", found["states"][:, 0], states, bound, study.name),
        compare("cost of the tokens", found["cost"][0], expected, bound, study.name),
    ]


# ------------------------------------------------------------------ divergences


def kl_values(ops: Ops, parameters: Named, inputs: Named) -> Named:
    """KL from N(0, 1), and from another Gaussian, each (1,)."""
    mean, log_variance = (
        ops.expand_dims(parameters[f"phi.{name}"], 0) for name in ("mean", "log_variance")
    )
    return {
        "KL": gaussian.kl_to_standard(ops, mean, log_variance),
        "between": gaussian.kl_between(
            ops, mean, log_variance, inputs["other_mean"], inputs["other_log_variance"]
        ),
    }


def divergence(study: Study) -> list[Comparison]:
    """Both closed forms, and the derivatives of the first, against what is derived."""
    subject, derived = study.subject, derivation("kl.closed_form")
    dtype = subject.parameters["phi.mean"].dtype  # of a Gaussian, which is no subject of a model
    other = {
        name: study.rng().standard_normal((1, 1)).astype(dtype)
        for name in ("other_mean", "other_log_variance")
    }
    values = study.bench.values(kl_values, subject, other)
    gradient = study.bench.gradient(kl_h, subject, {})
    known = {
        name: subject.parameters[f"phi.{name}"].astype(np.float64)
        for name in ("mean", "log_variance")
    }
    wide = {name: value[0].astype(np.float64) for name, value in other.items()}
    mean, log_variance = known["mean"][0], known["log_variance"][0]
    size = 1.0 + mean**2 + np.exp(log_variance) + abs(log_variance)
    shift, other_log = abs(mean) + abs(wide["other_mean"][0]), wide["other_log_variance"][0]
    wide_size = size + (np.exp(log_variance) + shift**2) * np.exp(-other_log) + abs(other_log)
    standard, between = (
        float(OPERATIONS * unit_roundoff(dtype) * each) for each in (size, wide_size)
    )
    further = derived.further
    by_log_variance = further["by_log_variance"](log_variance=known["log_variance"])
    return [
        compare("KL", values["KL"], derived.oracle(**known), standard, study.name),
        compare(
            "dKL/dmean",
            gradient["phi.mean"],
            further["by_mean"](mean=known["mean"]),
            standard,
            study.name,
        ),
        compare(
            "dKL/dlog_variance",
            gradient["phi.log_variance"],
            by_log_variance,
            standard,
            study.name,
        ),
        compare(
            "KL to another", values["between"], further["between"](**known, **wide), between,
            study.name,
        ),
    ]  # fmt: skip


def log_ratio(ops: Ops, parameters: Named, inputs: Named) -> Named:
    """log q(a|x) - log p(a|y,h) at each a and h of ``inputs`` (M, 1): (M,)."""
    mean, log_variance, back, p_log_variance = (
        ops.expand_dims(parameters[f"phi.{name}"], 0)
        for name in ("a_mean", "a_log_variance", "back", "p_log_variance")
    )
    zeros = ops.zeros_like(inputs["a"])
    return {
        "ratio": gaussian.log_density(ops, inputs["a"], mean + zeros, log_variance + zeros)
        - gaussian.log_density(ops, inputs["a"], back * inputs["h"], p_log_variance + zeros)
    }


def coupled(study: Study) -> list[Comparison]:
    """Averages over a and h, of what a framework has at each, against what is derived."""
    case: CoupledCase = study.subject.case  # type: ignore[attr-defined]
    a, h, weights = grid(case)
    at = {"a": a.reshape(-1, 1), "h": h.reshape(-1, 1)}
    found = {
        name: float((weights.ravel() * study.bench.values(of, study.subject, given)[key]).sum())
        for name, of, key, given in (
            ("auxiliary", log_ratio, "ratio", at),
            ("auxiliary_at_h", kl_a_given_h, "KL", {"h": at["h"]}),
            ("latent", kl_h_given_a, "KL", {"a": at["a"]}),
        )
    }
    found["coupling"] = found["auxiliary"] - found["auxiliary_at_h"]
    of_a = square_sum(a, case.a_mean, case.a_log_variance)
    of_a += square_sum(a, case.back * h, case.p_log_variance)
    # In closed form the mean of a stands for a, and its variance beside: both are large where
    # p(a|..) is narrow.
    of_a += square_sum(np.full_like(h, case.a_mean), case.back * h, case.p_log_variance)
    of_a += np.exp(case.a_log_variance - case.p_log_variance)
    of_h = square_sum(h, case.slope * a, case.h_log_variance) + square_sum(h, 0.0, 0.0)
    of_h += np.exp(case.h_log_variance)
    sizes = dict.fromkeys(found, float((weights * of_a).sum()))
    sizes["latent"] = float((weights * of_h).sum())
    unit = unit_roundoff(np.dtype(np.float64))
    comparisons = []
    for name, value in found.items():
        oracle = derivation("kl.closed_form").further[name]
        expected = oracle(**{key: getattr(case, key) for key in oracle.arguments})
        bound = OPERATIONS * NODES * unit * sizes[name]
        comparisons.append(compare(name, value, expected, bound, study.name))
    return comparisons


CHECKS = (
    Check(
        claim="partition.seqdgm",
        variant="derived",
        statement="which group reaches log q and L is the derived table",
        expected=HOLDS,
        compare=lambda study: reach_table(study, "partition.seqdgm", GROUPS, group_of),
        models=("seqdgm",),
        bound_reason=COUNTED,
    ),
    Check(
        claim="partition.seqdgm_a",
        variant="derived",
        statement="... with the parameters of q(a|x) in a row of their own",
        expected=HOLDS,
        compare=lambda study: reach_table(study, "partition.seqdgm_a", GROUPS_WITH_A, with_a),
        models=("seqdgm-a",),
        bound_reason=COUNTED,
    ),
    Check(
        claim="invariants",
        variant="derived",
        statement="masked steps and the masked sum over tokens are the derived ones",
        expected=HOLDS,
        compare=masked_steps,
        **drawn(supports=False),
        models=(),
        bound_reason=CELLS,
    ),
    Check(
        claim="kl.closed_form",
        variant="derived",
        statement="KL to N(0, I), its derivatives, and KL to another Gaussian are as derived",
        expected=HOLDS,
        compare=divergence,
        cases=gaussian_cases,
        typical=typical_gaussian,
        models=(),
        bound_reason=CLOSED,
    ),
    Check(
        claim="kl.closed_form",
        variant="derived-coupled",
        statement="SeqDGM-A: averages over a and h, and what couples the two, are as derived",
        expected=HOLDS,
        compare=coupled,
        cases=coupled_cases,
        typical=typical_coupled,
        models=(),
        bound_reason=CLOSED,
    ),
)
