"""A user's baseline against the derivation: may it be used, and does it help."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradproof.estimators.backends.autograd_backend import AutogradOps
from gradproof.estimators.baselines.custom import (
    BaselineError,
    CustomBaseline,
    copied,
    in_torch,
    like,
)
from gradproof.estimators.baselines.protocol import BaselineBatch, plain
from gradproof.estimators.note import estimate_moments
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.forms import FORMS
from gradproof.estimators.note.parabola import Quadratics, quadratics
from gradproof.estimators.note.subject import Subject
from gradproof.estimators.user_code import blame
from gradproof.reference_models.model import group_of
from gradproof.reference_models.ops import Array, Ops
from gradproof.reference_models.tabular import mean_embedding

from ..evidence import HOLDS, Comparison, Evidence, compare
from .check import ROUNDING, Check
from .claims.every_baseline import leaks
from .run_check import run_check
from .study import Study

Named = Mapping[str, Array]

#: Sentences that draws are enumerated on jointly: a baseline of a batch needs two to show itself.
SENTENCES = 2

#: Joint draws that are run; where there are more, the first sentence is enumerated alone.
MOST_JOINT = 256

#: Steps that a baseline which learns is taken through before its mean is looked at again.
STEPS = 5

#: The share of a variance that is rounding: far below any gain that one would care for.
ROUNDS = 1e-9

#: Added to B where its mean must not change by it.
SHIFT = 3.0

#: What to do about a verdict that is not ``holds``, by variant.
ADVICE = {
    "own-draw": "leave the sentence's own loss out of B, or use what was learned before this step",
    "own-gradient": "detach what B reads: the embeddings are the model's, and so are the losses",
    "own-mean": "the gradient is biased from the first step on; mend what is named above",
    "own-mean-alone": "a sentence alone has no others to average: give 0 there, and mend what is "
    "named above",
    "own-mean-shifted": "a constant changes no mean; mend what is named above",
    "own-draw-later": "leave the sentence's own loss out of B when it has learned, too",
    "own-gradient-later": "detach what B reads: what it learned weighs it, and so it leaks",
    "own-mean-later": "the gradient is biased once B has learned; mend what is named above",
}

#: The moments of the estimate with a baseline.
Enumerated = Callable[[CustomBaseline], estimate_moments.EstimateMoments]


@dataclasses.dataclass(frozen=True)
class Variances:
    """What a baseline does to the variance of one group's gradient, exactly.

    ``none``, ``own`` and ``best`` are the variances without a baseline, with it, and with the one
    number for each sentence that is best for all groups together.
    """

    group: str
    none: float
    own: float
    best: float


@dataclasses.dataclass(frozen=True)
class BaselineReport:
    """Verdicts on a baseline, and what it does to the variance.

    Shape:
        ``values`` and ``best`` (N,): B at one draw, and the baseline at which the variance is
        least. It helps sentence n where B lies between 0 and twice the best. A baseline that
        learns is looked at after its steps, ``learned``.
    """

    name: str
    evidence: tuple[Evidence, ...]
    variances: tuple[Variances, ...]
    values: np.ndarray
    best: np.ndarray
    parabola: Quadratics
    learned: bool

    @property
    def usable(self) -> bool:
        """Whether the estimate keeps its mean with it."""
        return bool(self.evidence) and all(found.verdict == HOLDS for found in self.evidence)

    @property
    def helps(self) -> bool:
        """Whether all variances together are smaller with it, by more than they round."""
        none = sum(each.none for each in self.variances)
        return none - sum(each.own for each in self.variances) > ROUNDS * none


def examine(
    function: Callable[[BaselineBatch], Any],
    subject: Subject,
    bench: Bench,
    *,
    name: str,
    torch: bool,
    seed: int,
    progress: Callable[[int, int, str], None] | None = None,
) -> BaselineReport:
    """Verdicts on a baseline, by enumeration.

    Args:
        function: takes :class:`BaselineBatch`, gives B (N,); may have ``update(x, losses)`` and
            ``fit(x, returns)``, called after a step. It is copied, and comes back as it was.
        subject: the first two sentences are enumerated jointly.
        torch: whether it computes on tensors.

    Raises:
        BaselineError: if it does not return a finite number for each sentence, or not the same at
            each call; or whatever it raises itself.
    """
    joint = subject.model.classes**SENTENCES <= MOST_JOINT
    study = Study(bench, subject).first(SENTENCES if joint else 1)
    fresh = CustomBaseline(copied(function, name), name, torch=torch)
    before = repeated(fresh, study)  # raises what a user can mend, before any run
    later = learned(fresh, study)
    if later is not None:
        _check_same(before, at_labels(study, fresh, study.draw()), name, "once a copy had learned")
        repeated(later, study)
    enumerated = functools.cache(lambda own: study.moments_with(FORMS["one-pass"], own, {}))
    rows = _rows(fresh, later, enumerated)
    evidence = []
    for number, check in enumerate(rows):
        if progress:
            progress(number, len(rows), check.id)
        evidence.append(run_check(check, bench, [study], examples=0, seed=seed))
    parabola = quadratics(study.reference)
    used = later or fresh
    return BaselineReport(
        name=name,
        evidence=tuple(evidence),
        variances=_variances(enumerated(used), parabola),
        values=at_labels(study, used, study.draw()),
        best=parabola.best(),
        parabola=parabola,
        learned=later is not None,
    )


def _rows(
    fresh: CustomBaseline, later: CustomBaseline | None, enumerated: Enumerated
) -> list[Check]:
    def row(variant: str, statement: str, look: Any, reason: str = ROUNDING) -> Check:
        return Check("baseline.unbiased", variant, statement, HOLDS, look, bound_reason=reason)

    shifted = dataclasses.replace(fresh, shift=SHIFT)
    rows = [
        row("own-draw", "B of a sentence does not depend on its own draw", _of_draw(fresh)),
        row("own-gradient", "no gradient enters B", _held(fresh), "nothing: it must be zero"),
        row("own-mean", "the mean is that without it", _mean(fresh, enumerated)),
        row("own-mean-alone", "... with one sentence", _alone(fresh)),
        row("own-mean-shifted", f"... with {SHIFT:g} added to B", _mean(shifted, enumerated)),
    ]
    if later is not None:
        after = f"after {STEPS} steps of learning"
        rows += [
            row("own-draw-later", f"nor does it {after}", _of_draw(later)),
            row("own-gradient-later", f"nor {after}", _held(later), "nothing: it must be zero"),
            row("own-mean-later", f"the mean is that without it {after}", _mean(later, enumerated)),
        ]
    return rows


def repeated(own: CustomBaseline, study: Study) -> np.ndarray:
    """B of each sentence at one draw, after a look at another draw as before it.

    Raises:
        BaselineError: if it is not: what B is at a draw could not be known by calling it.
    """
    labels = study.draw()
    before = at_labels(study, own, labels)
    at_labels(study, own, (labels + 1) % study.subject.model.classes)
    _check_same(before, at_labels(study, own, labels), own.name, "at a second call")
    return before


def _check_same(before: np.ndarray, after: np.ndarray, name: str, when: str) -> None:
    if not np.array_equal(before, after):
        place = int(np.argmax(before != after))
        raise BaselineError(
            f"baseline {name!r} gave {before[place]:.6g} for sentence {place}, and "
            f"{after[place]:.6g} {when}, expected the same for the same sentences and losses: it "
            "draws at random, or keeps state in a global or a class; keep what it learns in "
            "attributes of an object, change them in update or fit, and draw nothing in a call"
        )


def learned(own: CustomBaseline, study: Study) -> CustomBaseline | None:
    """The baseline after some steps on draws of its own; None if it does not learn.

    Raises:
        BaselineError: if it raises anything.
    """
    function, rng = copied(own.function, own.name), study.rng()
    update, fit = getattr(function, "update", None), getattr(function, "fit", None)
    if update is None and fit is None:
        return None
    known = study.reference
    rows = np.arange(study.subject.batch.n)
    for _ in range(STEPS):
        labels = np.array([rng.choice(len(q), p=q / q.sum()) for q in known.probability])
        x = sentences(study, known.loss[rows, labels])
        if own.torch:
            x = in_torch(x)
        returns = x.losses + like(known.log_q[rows, labels] + 1.0, x.losses)
        for name, learn, given in (("update", update, x.losses), ("fit", fit, returns)):
            if learn is not None:
                with blame(function, f"{name} of baseline {own.name!r}", BaselineError):
                    learn(x, given)
    return dataclasses.replace(own, function=function)


def sentences(study: Study, losses: np.ndarray) -> BaselineBatch:
    """What a baseline reads, as arrays."""
    batch = study.subject.batch
    tokens, mask = plain(batch.tokens), plain(batch.mask)
    mean = mean_embedding(AutogradOps(), study.subject.parameters, batch)
    return BaselineBatch(tokens, mask, mask.sum(axis=1), mean, losses)


def at_labels(study: Study, own: CustomBaseline, labels: np.ndarray) -> np.ndarray:
    """B of each sentence, (N,), where these labels are drawn."""
    losses = study.reference.loss[np.arange(len(labels)), labels]
    x = sentences(study, losses)
    if not own.torch:
        return own.of(x)

    def called(ops: Ops, parameters: Named, inputs: Named) -> Named:
        given = dataclasses.replace(x, embedded=inputs["embedded"], losses=inputs["losses"])
        return {"B": like(own.called(given), inputs["losses"])}

    arrays = {"embedded": x.embedded, "losses": losses}
    return study.bench.backend.evaluate(called, {}, arrays)({}, arrays)["B"].astype(np.float64)


def _of_draw(own: CustomBaseline) -> Callable[[Study], list[Comparison]]:
    def look(study: Study) -> list[Comparison]:
        n, k = study.subject.batch.n, study.subject.model.classes
        found = np.empty((*[k] * n, n))
        for labels in itertools.product(range(k), repeat=n):
            found[labels] = at_labels(study, own, np.array(labels))
        compared = []
        for row in range(n):
            spread = np.ptp(found[..., row], axis=row)
            loss = study.reference.loss
            # Leaving a loss out of a sum takes the sum and one difference: n + 2 roundings of it,
            # and what B makes of it, a multiple or a square, makes as much of them.
            largest = float(max(np.abs(loss).max(), np.abs(found).max()))
            bound = study.reference.unit * (n + 2) * n * largest
            signal = float(np.ptp(loss[row]))
            what = f"B of sentence {row}, over its own draws"
            compared.append(compare(what, spread, 0.0 * spread, bound, study.name, signal=signal))
        return compared

    return look


def _held(own: CustomBaseline) -> Callable[[Study], list[Comparison]]:
    return lambda study: leaks(study, own)


def _mean(own: CustomBaseline, enumerated: Enumerated) -> Callable[[Study], list[Comparison]]:
    def look(study: Study) -> list[Comparison]:
        largest = np.abs(at_labels(study, own, study.draw())).max()
        extra = float(largest + abs(own.shift) + np.abs(study.reference.loss).max())
        return study.compare_gradient(
            dict(enumerated(own).mean), dict(study.reference.gradient), study.names(), extra=extra
        )

    return look


def _alone(own: CustomBaseline) -> Callable[[Study], list[Comparison]]:
    def look(study: Study) -> list[Comparison]:
        one = study.first(1)
        return _mean(own, lambda own: one.moments_with(FORMS["one-pass"], own, {}))(one)

    return look


def _variances(
    found: estimate_moments.EstimateMoments, parabola: Quadratics
) -> tuple[Variances, ...]:
    grouped = parabola.grouped(group_of)
    none, best = grouped.variance(0.0), grouped.variance(parabola.best())
    own: dict[str, float] = dict.fromkeys(grouped.names(), 0.0)
    for name, value in found.variance.items():
        own[group_of(name)] += float(value.sum())
    return tuple(
        Variances(group, float(none[group]), own[group], float(best[group]))
        for group in grouped.names()
    )
