"""Forward values agree across frameworks, before any gradient is compared."""

from __future__ import annotations

from gradproof.estimators.note.builds import all_labels, build
from gradproof.reference_models.model import every_label

from ...evidence import HOLDS, Comparison, compare
from ..check import Check, on_tabular_cases
from ..study import Study

#: Where the bounds of forward values come from.
VALUE_ROUNDING = "rounding: u R (1 + M), M the largest intermediate magnitude"


def forward(study: Study) -> list[Comparison]:
    """log q and L of every label against the NumPy reference, float64."""
    subject, known = study.subject, study.reference
    inputs = subject.inputs(every_label(subject.batch.n, subject.model.classes))
    found = study.bench.values(build(all_labels, subject), subject, inputs)
    bound = known.value_bound()
    # Minus infinity less itself is NaN; a label of probability zero is compared as a place instead.
    drawable = known.probability > 0.0
    return [
        compare("log q", found["log_q"][drawable], known.log_q[drawable], bound, study.name),
        compare("L", found["loss"].T[drawable], known.loss[drawable], bound, study.name),
        compare(
            "labels of probability zero",
            found["log_q"] == -float("inf"),
            known.log_q == -float("inf"),
            0.0,
            study.name,
            signal=1.0,
        ),
    ]


CHECKS = (
    Check(
        "forward",
        "values",
        "log q and L of every label, against NumPy",
        HOLDS,
        forward,
        **on_tabular_cases(),
        bound_reason=VALUE_ROUNDING,
    ),
)
