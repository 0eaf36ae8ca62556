"""Claim invariants: nothing but the parameters varies, and padding moves nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from gradproof.derivations.registry import derivation
from gradproof.estimators.baselines import BASELINES
from gradproof.estimators.note.builds import all_labels, build, surrogate
from gradproof.estimators.note.forms import FORMS
from gradproof.estimators.note.subject import Subject
from gradproof.estimators.note.value_bounds import count_roundings, unit_roundoff
from gradproof.reference_models import lstm, sequence
from gradproof.reference_models.batch import BOS, Batch
from gradproof.reference_models.model import Model, one_hot
from gradproof.reference_models.ops import Array, Ops

from ...evidence import HOLDS, Comparison, compare, compare_sets
from ..check import checks_of, on_tabular_cases
from ..study import Study
from .formulas import derived_row
from .partition import COUNTED, with_noise

Named = Mapping[str, Array]

#: Columns of padding to add: more than one, so that the last state is not next to a token.
COLUMNS = 2


def estimate(study: Study, subject: Subject) -> dict[str, np.ndarray]:
    """The one-pass estimate of a subject at the study's drawn labels."""
    baseline = BASELINES["affine-embedding"]
    draw = one_hot(study.draw(), subject.model.classes)
    inputs = subject.inputs(draw) | study.baseline_inputs(baseline)
    return study.bench.gradient(surrogate(FORMS["one-pass"], baseline, subject), subject, inputs)


def deterministic(study: Study) -> list[Comparison]:
    """The same values and the same gradient twice, to the last bit.

    A framework that compiles draws what a model hides once, while it builds: there it is the
    forward values that differ.
    """
    once, again = (study.values(all_labels) | estimate(study, study.subject) for _ in range(2))
    drawable = study.reference.probability > 0.0
    once["log_q"], again["log_q"] = once["log_q"][drawable], again["log_q"][drawable]
    return [compare(name, again[name], once[name], 0.0, study.name) for name in once]


def noise_used(study: Study) -> list[Comparison]:
    """Each entry of each noise array, at its sentence, moves a value of that sentence."""
    rng = study.rng()
    subject = with_nothing_dropped(study.subject, rng)
    before = study.values(all_labels, subject)
    expected, moving = set(), set()
    for name, needed in where_noise_counts(subject, rng).items():
        places = [tuple(map(int, place)) for place in np.argwhere(needed)]
        used = {place for place in places if moves(study, subject, before, name, place, rng)}
        # An array of which nothing is used goes by its name alone.
        expected |= {f"{name}{list(place)}" for place in places} if used else {name}
        moving |= {f"{name}{list(place)}" for place in used}
    return [compare_sets("noise that moves log q or L", moving, expected, study.name)]


def with_nothing_dropped(subject: Subject, rng: np.random.Generator) -> Subject:
    """The subject with noise in general position: what one layer drops, no other one can move."""
    for name, noise in subject.batch.noise.items():
        subject = with_noise(subject, name, noise + rng.uniform(0.1, 0.2, noise.shape))
    return subject


def where_noise_counts(subject: Subject, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Each noise array, its axes but the first flattened, true where it may not be ignored.

    Where there is no token an array with an axis of time may be, and should (row ``padding``).
    """
    batch = subject.batch
    longer = subject.model.noise(rng, batch.n, batch.t + 1)
    counts = {}
    for name, array in batch.noise.items():
        needed = np.ones(array.shape, dtype=bool)
        if longer[name].shape != array.shape:
            needed.reshape(batch.n, batch.t, -1)[batch.mask == 0.0] = False
        counts[name] = needed.reshape(batch.n, -1)
    return counts


def moves(
    study: Study,
    subject: Subject,
    before: dict[str, np.ndarray],
    name: str,
    place: tuple[int, ...],
    rng: np.random.Generator,
) -> bool:
    """Whether moving one entry of a noise array moves log q or L of its sentence."""
    noise, row = subject.batch.noise[name], place[0]
    old = noise.reshape(len(noise), -1)[place]
    # A normal step moves what is continuous; noise that is only asked whether it is 1 needs the
    # other step, which alone could meet an L that is symmetric about 1/2.
    for new in (old + rng.standard_normal(), 1.0 - old):
        changed = np.array(noise, order="C")  # so that what is reshaped is a view
        changed.reshape(len(noise), -1)[place] = new
        after = study.values(all_labels, with_noise(subject, name, changed))
        if (after["log_q"][row] != before["log_q"][row]).any():
            return True
        if (after["loss"][:, row] != before["loss"][:, row]).any():
            return True
    return False


def padding(study: Study) -> list[Comparison]:
    """Two more columns of padding, with random tokens and noise in them."""
    padded = pad(study.subject, study.rng())
    before, after = study.values(all_labels), study.values(all_labels, padded)
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


#: H of the LSTM that steps through padding.
HIDDEN = 2


CELLS = "rounding of values: u R (1 + M), of the LSTM and what is read off it"


def masked_values(ops: Ops, model: Model, parameters: Named, batch: Batch, inputs: Named) -> Named:
    """States (1, N, T, H) after each token, and what the tokens cost in all, (1, N)."""
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
    return {"states": states, "cost": cost}


def decoder(study: Study, batch: Batch) -> dict[str, np.ndarray]:
    """A drawn decoder for a batch's tokens, with its input at every step."""
    rng, vocabulary = study.rng(), max(int(batch.tokens.max()), BOS) + 1
    arrays = sequence.decoder_initial(rng, width=2, hidden=HIDDEN, vocabulary=vocabulary)
    arrays["e.embedding"] = rng.standard_normal((vocabulary, 2))
    arrays["condition"] = rng.standard_normal((1, batch.n, 4 * HIDDEN))
    arrays["noise.keep"] = sequence.keep_noise(rng, batch.n, batch.t, 0.25)
    before = np.concatenate([np.full((batch.n, 1), BOS), batch.tokens[:, :-1]], axis=1)
    arrays["previous"] = arrays["e.embedding"][before] * arrays["noise.keep"][..., None]
    return {name: value.astype(study.subject.dtype) for name, value in arrays.items()}


def lstm_states(arrays: dict[str, np.ndarray], mask: np.ndarray) -> np.ndarray:
    """States (N, T, H): the update of an LSTM written out, what the mask makes of it derived."""
    masked = derivation("invariants").further["state"]
    kernel, recurrent, bias = (
        arrays[f"theta.lstm.{name}"] for name in ("input", "recurrent", "bias")
    )
    state = cell = np.zeros((len(mask), HIDDEN))
    states = []
    for step, keep in enumerate(mask.T[..., None]):
        gates = arrays["previous"][:, step] @ kernel + bias + arrays["condition"][0]
        enter, forget, leave, new = np.split(gates + state @ recurrent, 4, axis=1)
        updated = _logistic(forget) * cell + _logistic(enter) * np.tanh(new)
        output = _logistic(leave) * np.tanh(updated)
        state = masked(mask=keep, updated=output, before=state)
        cell = masked(mask=keep, updated=updated, before=cell)
        states.append(state)
    return np.stack(states, axis=1)


def _logistic(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))


def masked_steps(study: Study) -> list[Comparison]:
    """A decoder over padding with garbage in it: states, and what its tokens cost."""
    subject = pad(study.subject, study.rng())
    batch, arrays = subject.batch, decoder(study, subject.batch)
    inputs, whole = batch.arrays() | arrays, build(masked_values, subject)
    values = study.bench.values(whole, subject, inputs)
    wide = {name: value.astype(np.float64) for name, value in arrays.items()}
    states = lstm_states(wide, batch.mask.astype(np.float64))
    logits = states @ wide["theta.output"].T + wide["theta.output_bias"]
    target = np.take_along_axis(logits, batch.tokens[..., None], axis=-1)[..., 0]
    cost = np.log(np.exp(logits).sum(axis=-1)) - target
    expected = derivation("invariants").oracle(mask=batch.mask.T, value=cost.T)
    # All that is computed, the decoder being among the inputs, is counted as if of parameters.
    rounded = count_roundings(lambda ops, counted, _: whole(ops, {}, counted), inputs, {})
    bound = unit_roundoff(subject.dtype) * rounded.operations * (1.0 + rounded.largest)
    return [
        compare("states", values["states"][0], states, bound, study.name),
        compare("cost of the tokens", values["cost"][0], expected, bound, study.name),
    ]


_row = checks_of("invariants", **on_tabular_cases())

CHECKS = (
    _row(
        "deterministic",
        "two runs give the same bits",
        HOLDS,
        deterministic,
        bound_reason="the same computation twice: no error at all",
    ),
    _row(
        "noise",
        "all noise of the batch is used: each entry moves a value of its sentence",
        HOLDS,
        noise_used,
        bound_reason=COUNTED,
    ),
    _row(
        "padding",
        "more padding, with garbage in it, moves no value and no gradient",
        HOLDS,
        padding,
    ),
    derived_row(
        "invariants",
        "masked steps and the masked sum over tokens are the derived ones",
        masked_steps,
        CELLS,
    ),
)
