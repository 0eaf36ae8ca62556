"""Whether the sentences of a batch are apart, so that their variances add up.

Half of a batch must have the values and gradients that it has in the whole: log q and L of each
sentence, and the gradient of a weighted sum of them. A batch is halved by each binary digit of the
sentences' numbers, so that any two sentences are in different halves once at least.

What goes unseen: a coupling that needs more sentences than are looked at, or, where there are many
ways to label them, one that needs particular labels, of one sentence or of several.
"""

from __future__ import annotations

import functools
import itertools
import weakref
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from gradproof.reference_models.batch import Batch
from gradproof.reference_models.model import Model, one_hot
from gradproof.reference_models.objective import finite
from gradproof.reference_models.ops import Array, Ops

from ..backends import Backend
from ..backends.autograd_backend import AutogradBackend
from .builds import Named, all_labels, build
from .subject import Subject

#: Of more sentences than this, half as many from either end are looked at: what follows must stay
#: dearer, which is a run for each sentence and label.
MOST_SENTENCES = 8

#: Up to so many sentences, over all ways to label a batch, all ways are looked at: two of 8 labels.
MOST_JOINT = 128

#: Else each sentence has every label, up to so many pairs of a sentence and a label; else two.
MOST_PAIRS = 64

#: Sums in another order differ by some thousand roundings, 1e-13 of what is added up; a coupling of
#: less than this share of it moves no variance by more than its square root's rounding.
SHARE = 1e-8

#: ... and what cancels on the way, numbers up to 1000 say, may leave this behind.
LEFT_BEHIND = 1e-10

#: Subjects that were found apart, while they live, by their identity.
_APART: weakref.WeakValueDictionary[int, Subject] = weakref.WeakValueDictionary()


class _Seen(NamedTuple):
    """Values (N, ...) by name, and the gradient of their weighted sum by parameter."""

    values: Mapping[str, np.ndarray]
    gradient: Mapping[str, np.ndarray]


def check_independent(subject: Subject, backend: Backend | None = None) -> None:
    """Make sure that no sentence enters another's log q or L, by value or by gradient.

    Args:
        backend: the framework that the model is run in; None: autograd.

    Raises:
        ValueError: if one does; the message says what moved, and which sentences were left out.
    """
    if subject.batch.n < 2 or _APART.get(id(subject)) is subject:
        return
    whole = _wide(subject)
    n, k = whole.batch.n, whole.model.classes
    see = functools.partial(_see, backend or AutogradBackend())
    labels, rng = _labellings(n, k), np.random.default_rng(0)
    # Any weights will do: gradients that differ have the same weighted sum with probability zero.
    weights = rng.standard_normal((n, k)), rng.standard_normal((len(labels), n))
    with np.errstate(all="ignore"):  # what is no number is somebody else's to name
        together = see(whole, labels, weights)
        for digit in range((n - 1).bit_length()):
            odd = (np.arange(n) >> digit) % 2 == 1
            halves = [np.flatnonzero(odd == one) for one in (False, True)]
            apart = [
                see(
                    whole.replace(batch=whole.batch.rows(rows.tolist())),
                    labels[:, rows],
                    (weights[0][rows], weights[1][:, rows]),
                )
                for rows in halves
            ]
            _compare(together, apart, halves)
    _APART[id(subject)] = subject


def _wide(subject: Subject) -> Subject:
    """In double precision, and with no more sentences than are looked at."""
    wide = {name: np.asarray(value, np.float64) for name, value in subject.parameters.items()}
    n, some = subject.batch.n, MOST_SENTENCES // 2
    ends = range(n) if n <= MOST_SENTENCES else [*range(some), *range(n - some, n)]
    return subject.replace(parameters=wide, batch=subject.batch.rows(list(ends)))


def _labellings(n: int, k: int) -> np.ndarray:
    """One-hot labels (M, N, K): all ways; or one label for all, and others for neighbours."""
    if n * k**n <= MOST_JOINT:
        every = itertools.product(range(k), repeat=n)
        return np.stack([one_hot(np.array(way), k) for way in every])
    ways = []
    for label in range(k):
        ways += [np.full(n, label), (np.arange(n) + label) % k]
    return np.stack([one_hot(way, k) for way in (ways if 2 * k * n <= MOST_PAIRS else ways[:2])])


def _see(
    backend: Backend, subject: Subject, labels: np.ndarray, weights: tuple[np.ndarray, np.ndarray]
) -> _Seen:
    inputs = subject.inputs(labels)
    given = inputs | {"weight.log_q": weights[0], "weight.loss": weights[1]}
    parameters, names = subject.parameters, tuple(subject.parameters)
    values, cost = build(all_labels, subject), build(_weighted_sum, subject)
    found = backend.evaluate(values, parameters, inputs)(parameters, inputs)
    gradient = backend.differentiate(cost, parameters, given, names)(parameters, given)
    return _Seen({"log q": found["log_q"], "L": found["loss"].T}, gradient)


def _weighted_sum(ops: Ops, model: Model, parameters: Named, batch: Batch, inputs: Named) -> Array:
    values = all_labels(ops, model, parameters, batch, inputs)
    return ops.sum(inputs["weight.log_q"] * finite(ops, values["log_q"])) + ops.sum(
        inputs["weight.loss"] * values["loss"]
    )


def _compare(together: _Seen, apart: list[_Seen], halves: list[np.ndarray]) -> None:
    for what, whole in together.values.items():
        for half, rows, absent in zip(apart, halves, reversed(halves), strict=True):
            error = _differences(half.values[what], whole[rows])
            if error.max() > _allowed(whole):
                worst = rows[np.argmax(error.max(axis=1))]
                raise _coupled(f"{what} of sentence {worst}", error.max(), absent)
    if not all(np.isfinite(value).all() for value in together.values.values() if value.size):
        return
    for name, whole in together.gradient.items():
        parts = [half.gradient[name] for half in apart]
        error = _differences(parts[0] + parts[1], whole)
        if error.size and error.max() > _allowed(np.abs(parts[0]) + np.abs(parts[1])):
            raise _coupled(f"the gradient of log q and L by {name!r}", error.max(), halves[1])


def _differences(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How far apart two arrays are; nothing where both are no number, or the same infinity."""
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    return np.where(same, 0.0, np.nan_to_num(np.abs(one - other), nan=np.inf))


def _allowed(size: np.ndarray) -> float:
    return SHARE * float(np.abs(size[np.isfinite(size)]).max(initial=0.0)) + LEFT_BEHIND


def _coupled(what: str, error: float, absent: np.ndarray) -> ValueError:
    some = ", ".join(map(str, absent[:4])) + (", ..." if len(absent) > 4 else "")
    return ValueError(
        f"sentences enter each other's cost: {what} is off by {error:.3g} if the sentences {some} "
        "are left out of the batch, expected the same as with them; variances do not add up then, "
        "so enumerate such a model jointly, or take batch statistics that are held fixed"
    )
