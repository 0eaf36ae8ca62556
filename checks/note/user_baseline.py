"""A user's baseline against the derivation: may it be used, and does it help."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradproof.estimators.baselines import outside
from gradproof.estimators.baselines.custom import BaselineError, CustomBaseline, copied
from gradproof.estimators.baselines.noise import kept
from gradproof.estimators.baselines.protocol import BaselineBatch
from gradproof.estimators.note import estimate_moments
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.forms import FORMS
from gradproof.estimators.note.parabola import Quadratics, quadratics
from gradproof.estimators.note.subject import Subject
from gradproof.reference_models.model import group_of
from gradproof.reference_models.ops import Array

from ..evidence import GAP, HOLDS, Comparison, compare
from . import own_rounding
from .baseline_report import BaselineReport, Variances
from .baseline_search import REPEATS, SEEDS, BaselineSearch
from .baseline_states import UPDATES, changed_in_call, learned, learns, sentences, states
from .baseline_values import (
    NotTheSame,
    at_labels,
    at_losses,
    check_same,
    draws_noise,
    noise_of,
    repeated,
)
from .check import ROUNDING, Check
from .claims.every_baseline import leaks
from .loss_cases import LossCase, LossSource, loss_cases
from .run_check import run_check
from .study import Study

Named = Mapping[str, Array]

#: Sentences that draws are enumerated on jointly: a baseline of a batch needs two to show itself.
SENTENCES = 2

#: Joint draws that are run; where there are more, the first sentence is enumerated alone.
MOST_JOINT = 256

#: Steps that a baseline which learns is taken through before its mean is looked at again.
STEPS = 5

#: Cases that Hypothesis draws for each row, beside those of every kind.
EXAMPLES = 200

#: Added to B where its mean must not change by it.
SHIFT = 3.0

#: The moments of the estimate with a baseline.
Enumerated = Callable[..., estimate_moments.EstimateMoments]

#: The classifier's parameters, in whose gradient the score and so B is a factor of all.
CLASSIFIER = ("w",)


def examine(
    function: Callable[[BaselineBatch], Any],
    subject: Subject,
    bench: Bench,
    *,
    name: str,
    torch: bool,
    seed: int,
    steps: int = STEPS,
    updates: int = UPDATES,
    repeats: int = REPEATS,
    examples: int = EXAMPLES,
    progress: Callable[[int, int, str], None] | None = None,
) -> BaselineReport:
    """Verdicts on a baseline, by enumeration on text, and by a search where there is none.

    Args:
        function: takes :class:`BaselineBatch`, gives B (N,); may have ``update(x, losses)`` and
            ``fit(x, returns)``, called after a step. It is copied, and comes back as it was.
        subject: the first two sentences are enumerated jointly.
        torch: whether it computes on tensors.
        steps: of learning after which its mean and its variance are looked at.
        updates: after how many, at most, B is searched for what it must not read.
        repeats: cases of each kind, number of sentences and length that are searched.
        examples: cases that Hypothesis draws for each row, beside those.

    Raises:
        BaselineError: if it does not return a finite number for each sentence, or not the same at
            each call; or whatever it raises itself.
    """
    with (
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
        kept(function),
        outside.kept_outside(function),
    ):
        # Of losses that no model has, a mean of nothing say: what comes out is looked at.
        warnings.simplefilter("ignore")
        return _examine(
            CustomBaseline(copied(function, name), name, torch=torch),
            Study(bench, subject),
            _Effort(seed, steps, updates, repeats, examples),
            progress or (lambda *_: None),
        )


@dataclasses.dataclass(frozen=True)
class _Effort:
    """How much is searched, and from which seed."""

    seed: int
    steps: int
    updates: int
    repeats: int
    examples: int


def _examine(
    fresh: CustomBaseline,
    whole: Study,
    effort: _Effort,
    progress: Callable[[int, int, str], None],
) -> BaselineReport:
    joint = whole.subject.model.classes**SENTENCES <= MOST_JOINT
    study, name = whole.first(SENTENCES if joint else 1), fresh.name
    kept_outside = outside.taken(fresh.function)
    before = repeated(fresh, study)  # raises what a user can mend, before any run
    # A memory outside that is filled once looks the same ever after: each call is to be the first.
    fresh = dataclasses.replace(fresh, outside=outside.changed(fresh.function, kept_outside))
    before = at_labels(study, fresh, study.draw()) if fresh.outside else before
    later = learned(fresh, study, effort.steps) if learns(fresh, study) else None
    if later is not None:
        check_same(before, at_labels(study, fresh, study.draw()), name, "once a copy had learned")
        try:
            repeated(later, study)
        except NotTheSame:
            raise
        except BaselineError:
            later = None  # the search finds after which update it gives no number
    progress(0, 1, "updates")
    search = BaselineSearch(
        states(fresh, whole, effort.updates), _source(whole), effort.seed, effort.repeats
    )
    enumerated = functools.cache(
        lambda own, groups=(): study.moments_with(FORMS["one-pass"], own, {}, groups)
    )
    rows = _rows(fresh, later, enumerated, search, effort.steps)
    evidence = []
    for number, check in enumerate(rows):
        progress(number, len(rows), check.id)
        found = run_check(check, study.bench, [study], examples=effort.examples, seed=effort.seed)
        if found.counterexample:  # shrunk: the last that was looked at
            found = dataclasses.replace(found, note=search.last.note, snippet="")
        evidence.append(found)
    used = later or fresh
    noise = noise_of(study, used)
    if noise.any():  # else it is the same one, whose draws were enumerated before
        used = dataclasses.replace(used, calls=SEEDS)
    parabola = quadratics(study.reference)
    return BaselineReport(
        name=name,
        evidence=tuple(evidence),
        variances=_variances(enumerated(used), parabola, noise),
        values=at_labels(study, used, study.draw()),
        best=parabola.best(),
        parabola=parabola,
        learned=effort.steps if later is not None else 0,
        noise=noise,
        shares={} if noise.any() else search.shares(),
        changed=tuple(changed_in_call(fresh, study)),
        looked=search.looked(effort.updates if learns(fresh, study) else 0),
    )


def _source(study: Study) -> LossSource:
    x = sentences(study, study.reference.loss[:, 0])
    drawable = study.reference.probability > 0.0
    table = np.where(drawable, study.reference.loss, study.reference.loss.max())
    vocabulary = len(study.subject.parameters["e.embedding"])
    return LossSource(table, x, vocabulary)


def _rows(
    fresh: CustomBaseline,
    later: CustomBaseline | None,
    enumerated: Enumerated,
    search: BaselineSearch,
    steps: int,
) -> list[Check]:
    def row(
        variant: str, statement: str, look: Any, reason: str = ROUNDING, rows: tuple[int, ...] = ()
    ) -> Check:
        cases = loss_cases(rows) if rows else None
        return Check(
            "baseline.unbiased", variant, statement, HOLDS, look, cases=cases, bound_reason=reason
        )

    zero = "nothing: it must be zero"
    shifted = dataclasses.replace(fresh, shift=SHIFT)
    early, after = search.rows(later=False), search.rows(later=True)
    everywhere = (*early, *after)
    of_fresh, of_later = search.draws_of(later=False), search.draws_of(later=True)
    rows = [
        row("own-number", "B is a finite number", search.numbers_of(), zero, everywhere),
        row(
            "own-draw",
            "B of a sentence does not depend on its own draw",
            _on_text_and(of_fresh, _of_draw(fresh)),
            rows=early,
        ),
        row(
            "own-gradient",
            "no gradient enters B",
            _on_text_and(search.gradients_of(later=False), lambda study: leaks(study, fresh)),
            zero,
        ),
        row("own-mean", "the mean of the gradient is that without B", _mean(fresh, enumerated)),
        row("own-mean-alone", "... on one sentence alone", _alone(fresh)),
        row(
            "own-mean-shifted",
            f"... with {SHIFT:g} added to B",
            _mean(shifted, enumerated, CLASSIFIER),
        ),
    ]
    if later is not None:
        learned_ = f"after {steps} steps of learning"
        rows += [
            row(
                "own-draw-later",
                f"B does not depend on its own draw {learned_}, or after others",
                _on_text_and(of_later, _of_draw(later)),
                rows=after,
            ),
            row(
                "own-gradient-later",
                f"no gradient enters B {learned_}, or after others",
                _on_text_and(search.gradients_of(later=True), lambda study: leaks(study, later)),
                zero,
            ),
            row(
                "own-mean-later",
                f"the mean of the gradient is that without B, {learned_}",
                _mean(later, enumerated),
            ),
        ]
    return rows


def _on_text_and(
    of_case: Callable[[Study], list[Comparison]], on_text: Callable[[Study], list[Comparison]]
) -> Callable[[Study], list[Comparison]]:
    """Look at the text itself and at cases of every kind; at a case that is drawn, alone."""

    def look(study: Study) -> list[Comparison]:
        if isinstance(study.subject, LossCase):
            return of_case(study)
        seen = on_text(study)
        # Where the text shows it no more is needed, and there it has the parameters' names.
        refuted = any(one.ratio > GAP for one in seen)
        return seen if refuted else [*seen, *of_case(study)]

    return look


def _over_draws(study: Study, own: CustomBaseline) -> tuple[np.ndarray, float, float]:
    """What B of each sentence moves by over its own draws, what rounding explains, and the largest.

    Shape: (K^(N-1), N), (), ().
    """
    n, k = study.subject.batch.n, study.subject.model.classes
    found = np.empty((*[k] * n, n))
    for labels in itertools.product(range(k), repeat=n):
        found[labels] = at_labels(study, own, np.array(labels))
    spreads = np.stack([np.ptp(found[..., row], axis=row).reshape(-1) for row in range(n)], axis=-1)
    # Leaving a loss out of a sum takes the sum and one difference: n + 2 roundings of it,
    # and what B makes of it, a multiple or a square, makes as much of them.
    largest = float(max(np.abs(study.reference.loss).max(), np.abs(found).max()))
    bound = study.reference.unit * (n + 2) * n * largest
    worst = np.unravel_index(int(spreads.argmax()), spreads.shape)
    if spreads.max() > bound:
        bound += _rounded(study, own, found, int(worst[-1]), largest)
    return spreads, bound, float(np.abs(found).max())


def _rounded(
    study: Study, own: CustomBaseline, found: np.ndarray, row: int, largest: float
) -> float:
    """What rounding may move B of a sentence by over its own draws, where it moves most."""
    n = study.subject.batch.n
    spreads = np.ptp(found[..., row], axis=row, keepdims=True)
    labels = np.array(np.unravel_index(int(spreads.argmax()), spreads.shape))
    over = found[tuple(slice(None) if each == row else labels[each] for each in range(n))][:, row]
    losses = study.reference.loss[np.arange(n), labels]

    def b(all_losses: np.ndarray) -> float:
        return float(at_losses(study, own, all_losses)[row])

    def of_loss(loss: float) -> float:
        return b(np.where(np.arange(n) == row, loss, losses))

    ends = [float(study.reference.loss[row, pick]) for pick in (over.argmin(), over.argmax())]
    others = np.delete(losses, row)
    units = [own_rounding.unit_of(b, losses, each) for each in range(n) if each != row]
    return own_rounding.allow(
        of_loss,
        (ends[0], ends[1]),
        largest,
        max([study.reference.unit, *units]),
        usual=not len(others) or own_rounding.of_one_size(np.array([*others, *ends])),
    ).bound


def _of_draw(own: CustomBaseline) -> Callable[[Study], list[Comparison]]:
    def look(study: Study) -> list[Comparison]:
        if draws_noise(study, own):
            return []  # the search looks at the mean over it
        spreads, bound, _ = _over_draws(study, own)
        return [
            compare(
                f"B of sentence {row}, over its own draws",
                spread,
                0.0 * spread,
                bound,
                study.name,
                signal=float(np.ptp(study.reference.loss[row])),
            )
            for row, spread in enumerate(spreads.T)
        ]

    return look


def _mean(
    own: CustomBaseline, enumerated: Enumerated, groups: tuple[str, ...] = ()
) -> Callable[[Study], list[Comparison]]:
    def look(study: Study) -> list[Comparison]:
        spreads, bound, largest = _over_draws(study, own)
        if spreads.max() > GAP * bound and draws_noise(study, own):
            what = "the mean, where the random numbers that B draws depend on the draw"
            return [Comparison(what, 1, 0.0, 0.0, 0.0, study.name)]
        extra = largest + abs(own.shift) + float(np.abs(study.reference.loss).max())
        return study.compare_gradient(
            dict(enumerated(own, groups).mean),
            dict(study.reference.gradient),
            study.names(*groups),
            extra=extra,
            # In single precision B moves by its rounding, and the mean by that times the score.
            moved=min(float(spreads.max()), bound),
        )

    return look


def _alone(own: CustomBaseline) -> Callable[[Study], list[Comparison]]:
    def look(study: Study) -> list[Comparison]:
        one = study.first(1)
        try:
            at_labels(one, own, one.draw())
        except BaselineError as error:  # own-number says so; there is no mean to compare
            what = f"the mean with one sentence alone: {error}"
            return [Comparison(what, 1, 0.0, 0.0, 1.0, one.name, coarsest=np.inf, unseen=(what,))]
        return _mean(own, lambda own, groups: one.moments_with(FORMS["one-pass"], own, {}, groups))(
            one
        )

    return look


def _variances(
    found: estimate_moments.EstimateMoments, parabola: Quadratics, noise: np.ndarray
) -> tuple[Variances, ...]:
    grouped = parabola.grouped(group_of)
    none, best = grouped.variance(0.0), grouped.variance(parabola.best())
    own: dict[str, float] = dict.fromkeys(grouped.names(), 0.0)
    for name, value in found.variance.items():
        own[group_of(name)] += float(value.sum())
    # Noise that is independent of the label adds its square times |s|^2, whose mean is curvature.
    added = {name: float(of @ noise**2) for name, of in grouped.curvature.items()}
    return tuple(
        Variances(name, float(none[name]), own[name] + added[name], float(best[name]), added[name])
        for name in grouped.names()
    )
