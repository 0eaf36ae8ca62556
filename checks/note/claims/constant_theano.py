"""Claim constant.theano: what holding CL and CQ constant does, and the ways to get it wrong.

The oracle is the derived batch gradient sum_j [(L + log q + 1 - B) s + d], put together from the
reference's scores s and pathwise gradients d: no mechanism for holding anything is in it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradproof.estimators.baselines import BASELINES
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.builds import surrogate, terms_at
from gradproof.estimators.note.forms import FORMS, Form, FormTerms
from gradproof.reference_models.batch import from_arrays
from gradproof.reference_models.model import Model, one_hot
from gradproof.reference_models.ops import Array

from ...evidence import HOLDS, REFUTED, Comparison
from ..check import SEQUENCE_MODELS, Check, on_tabular_cases
from ..study import Study
from .formulas import derived_row, formula_sum

Named = Mapping[str, Array]

#: Errors by which Theano says that a gradient does not exist as asked. They refute a form; any
#: other error is a crash of the check.
REFUSALS = ("DisconnectedInputError", "NullTypeGradError")

BASELINE = BASELINES["affine-embedding"]


#: By what each sentence's pathwise part d is multiplied, from log q at the labels drawn, (N,).
Multiple = Callable[[np.ndarray], np.ndarray]


def once(log_q: np.ndarray) -> np.ndarray:
    """d itself: what the derived estimate has."""
    return np.ones_like(log_q)


def derived(
    study: Study, labels: np.ndarray, baseline: np.ndarray, multiple: Multiple = once
) -> dict[str, np.ndarray]:
    """sum_j [(L + log q + 1 - B) s + d] at labels (N,), by parameter.

    Args:
        multiple: of d, where a trap makes something else of it.
    """
    known, rows = study.reference, np.arange(study.subject.batch.n)
    log_q = known.log_q[rows, labels]
    weight = known.loss[rows, labels] + log_q + 1.0 - baseline
    return {
        name: np.tensordot(weight, known.score[name][rows, labels], axes=1)
        + np.tensordot(multiple(log_q), known.pathwise[name][rows, labels], axes=1)
        for name in study.names()
    }


def at_one_draw(
    study: Study, form: Form, groups: tuple[str, ...] = (), multiple: Multiple = once
) -> list[Comparison]:
    """The gradient of a surrogate at one draw against the derived one.

    Args:
        groups: differentiate by these alone; none: by all at once.
        multiple: as for :func:`derived`.
    """
    subject, labels, names = study.subject, study.draw(), tuple(study.names(*groups))
    draw = one_hot(labels, subject.model.classes)
    inputs = subject.inputs(draw) | study.baseline_inputs(BASELINE)
    value = study.baseline_values(BASELINE)
    try:
        found = study.bench.gradient(surrogate(form, BASELINE, subject), subject, inputs, names)
    except Exception as error:  # noqa: BLE001 - refusal() raises all but two kinds again
        return [refusal(study, error)]
    expected = derived(study, labels, value, multiple)
    return study.compare_gradient(found, expected, list(names), extra=float(np.abs(value).max()))


def refusal(study: Study, error: Exception) -> Comparison:
    """The comparison that an error of the framework stands for; other errors are raised again."""
    kind = type(error).__name__
    if kind not in REFUSALS:
        raise error
    note = f"Theano refuses to differentiate: {kind}"
    return Comparison("gradient", 1, math.inf, 0.0, 1.0, study.name, note)


def _cost(terms: FormTerms, weight_loss: Array, weight_log_q: Array, loss: Array) -> Array:
    return (weight_loss + weight_log_q + 1.0 - terms.baseline) * terms.log_q_at_draw + loss


def _cl_is_l(ops: Any, terms: FormTerms) -> Array:
    ops.held.append(terms.loss)
    return _cost(terms, terms.loss, ops.stop_gradient(terms.log_q_at_draw), terms.loss)


def _cq_is_log_q(ops: Any, terms: FormTerms) -> Array:
    ops.held.append(terms.log_q_at_draw)
    return _cost(terms, ops.stop_gradient(terms.loss), terms.log_q_at_draw, terms.loss)


def _unused_twin(ops: Any, terms: FormTerms) -> Array:
    ops.stop_gradient(terms.loss)
    ops.stop_gradient(terms.log_q_at_draw)
    return _cost(terms, terms.loss, terms.log_q_at_draw, terms.loss)


def _scanned_twice(ops: Any, terms: FormTerms) -> tuple[Array, Array]:
    (first, second), _ = ops.theano.scan(
        lambda loss: [1.0 * loss, 1.0 * loss], sequences=[terms.loss]
    )
    return first, second


def _raw_scan(ops: Any, terms: FormTerms) -> Array:
    constant, loss = _scanned_twice(ops, terms)
    ops.held.append(constant)
    return _cost(terms, constant, ops.stop_gradient(terms.log_q_at_draw), loss)


def _as_if_not_named(log_q: np.ndarray) -> np.ndarray:
    """d of L, and once more log q times it, for CL is differentiated as well."""
    return 1.0 + log_q


def _raw_scan_shared(ops: Any, terms: FormTerms) -> Array:
    loss, _ = _scanned_twice(ops, terms)
    ops.held.append(loss)
    return _cost(terms, loss, ops.stop_gradient(terms.log_q_at_draw), loss)


def _copied_scan(ops: Any, terms: FormTerms) -> Array:
    constant, loss = _scanned_twice(ops, terms)
    return _cost(terms, ops.stop_gradient(constant), ops.stop_gradient(terms.log_q_at_draw), loss)


@dataclasses.dataclass(frozen=True)
class SampledInGraph:
    """The one-pass surrogate whose label Theano draws itself, from log q, in the same graph.

    Args:
        held: hold the drawn label constant.
        returns_draw: give the label drawn in place of the cost; the same seed draws the same.
    """

    model: Model
    n: int
    t: int
    held: bool
    returns_draw: bool = False
    seed: int = 1

    def __call__(self, ops: Any, parameters: Named, inputs: Named) -> Any:
        """Run on symbolic variables."""
        batch = from_arrays(self.n, self.t, inputs)
        log_q = self.model.log_q(ops, parameters, batch)
        draw = ops.sample_one_hot(log_q, self.seed)
        if self.held:
            draw = ops.stop_gradient(draw)
        if self.returns_draw:
            return {"draw": draw}
        terms = terms_at(ops, self.model, parameters, batch, draw)
        return ops.sum(FORMS["one-pass"].cost(ops, terms))


def sampled_label(study: Study, *, held: bool) -> list[Comparison]:
    """A label that Theano draws in the graph, held constant or not.

    Functions are compiled anew, so that the two draw the same label from the same seed.
    """
    subject, backend = study.subject, study.bench.backend
    inputs = subject.batch.arrays()
    sampled = SampledInGraph(subject.model, subject.batch.n, subject.batch.t, held)
    drawing = dataclasses.replace(sampled, held=True, returns_draw=True)
    draw = backend.evaluate(drawing, subject.parameters, inputs)(subject.parameters, inputs)["draw"]
    try:
        gradient = backend.differentiate(
            sampled, subject.parameters, inputs, tuple(subject.parameters)
        )
    except Exception as error:  # noqa: BLE001 - refusal() raises all but two kinds again
        return [refusal(study, error)]
    found = gradient(subject.parameters, inputs)
    expected = derived(study, draw.argmax(axis=1), np.zeros(subject.batch.n))
    return study.compare_gradient(found, expected, study.names())


def _trap(
    variant: str,
    statement: str,
    expected: str,
    cost: Any,
    groups: tuple[str, ...] = (),
    multiple: Multiple = once,
    **where: Any,
) -> Check:
    form = Form(variant, statement, cost)
    return Check(
        claim="constant.theano",
        variant=variant,
        statement=statement,
        expected=expected,
        compare=lambda study: at_one_draw(study, form, groups, multiple),
        **on_tabular_cases(supports=False),
        **where,
    )


#: The traps are Theano's, and the same on every graph: one sequence model shows them.
THEANO: dict[str, Any] = {
    "backends": ("theano",),
    "models": ("seqdgm",),
    "limits": "one model: the graph of the other would show the same",
}


def at_a_draw(study: Study) -> list[Comparison]:
    """One differentiation with CL, CQ and B held, at one draw."""
    labels, value, names = study.draw(), study.baseline_values(BASELINE), study.names()
    drawn = one_hot(labels, study.subject.model.classes).T
    expected = formula_sum("constant.theano", study, names, drawn=drawn, baseline=value)
    extra = float(np.abs(value).max())
    return study.compare_gradient(
        study.one_pass_gradient(labels, BASELINE), expected, names, extra=extra
    )


#: Tokens up to which an unrolled graph is built: its size, and recursion, grow with the text.
UNROLLED = 12


def unrolled(study: Study) -> list[Comparison]:
    """One differentiation of a graph with scan, against that of one with as many steps written out.

    Each names its own copies in ``consider_constant``.
    """
    study = Study(study.bench, study.subject.first_tokens(UNROLLED))
    witness = Study(Bench(study.bench.backend.unrolled()), study.subject)  # type: ignore[attr-defined]
    expected = witness.one_pass_gradient(study.draw(), BASELINE)
    extra = float(np.abs(study.baseline_values(BASELINE)).max())
    found = study.one_pass_gradient(study.draw(), BASELINE)
    return study.compare_gradient(found, expected, study.names(), extra=extra)


CHECKS = (
    _trap("held", "CL and CQ held as values of their own", HOLDS, FORMS["one-pass"].cost),
    _trap("not-held", "nothing held constant", REFUTED, FORMS["not-held"].cost),
    _trap("cl-is-l", "consider_constant=[L, CQ], L itself", REFUTED, _cl_is_l, **THEANO),
    _trap("cl-is-l-e", "... differentiated by e alone", REFUTED, _cl_is_l, ("e",), **THEANO),
    _trap("cq-is-log-q", "consider_constant=[CL, log q]", REFUTED, _cq_is_log_q, **THEANO),
    _trap(
        "cq-is-log-q-e", "... differentiated by e alone", REFUTED, _cq_is_log_q, ("e",), **THEANO
    ),
    _trap(
        "unused-twin", "copies named that the cost does not use", REFUTED, _unused_twin, **THEANO
    ),
    _trap(
        "raw-scan",
        "CL one output of a scan, L another; CL named raw is as if nothing were named",
        HOLDS,
        _raw_scan,
        multiple=_as_if_not_named,
        **THEANO,
    ),
    _trap(
        "raw-scan-shared",
        "CL and L one output of a scan; named raw, dL is lost (by e and w alone)",
        HOLDS,
        _raw_scan_shared,
        ("e", "w"),
        multiple=np.zeros_like,
        **THEANO,
    ),
    _trap("copied-scan", "CL a copy of that output", HOLDS, _copied_scan, **THEANO),
    Check(
        claim="constant.theano",
        variant="label-not-held",
        statement="a label drawn in the graph, not held",
        expected=REFUTED,
        compare=lambda study: sampled_label(study, held=False),
        **THEANO,
    ),
    Check(
        claim="constant.theano",
        variant="label-held",
        statement="a label drawn in the graph, in consider_constant",
        expected=HOLDS,
        compare=lambda study: sampled_label(study, held=True),
        **THEANO,
    ),
    Check(
        claim="constant.theano",
        variant="unrolled",
        statement="theano.scan, against the same steps written out (12 tokens at most)",
        expected=HOLDS,
        compare=unrolled,
        models=SEQUENCE_MODELS,
        backends=("theano",),
    ),
    derived_row("constant.theano", "one differentiation gives the derived estimate", at_a_draw),
)
