"""Forward values agree across frameworks, before any gradient is compared."""

from __future__ import annotations

from gradproof.estimators.note.builds import all_labels

from ...evidence import HOLDS, Comparison, compare
from ..check import Check, on_tabular_cases
from ..study import Study

#: Where the bounds of forward values come from.
VALUE_ROUNDING = "rounding: u R (1 + M), M the largest intermediate magnitude"


def forward(study: Study) -> list[Comparison]:
    """log q and L of every label against the NumPy reference, float64."""
    values, exact = study.values(all_labels), study.reference
    bound = exact.value_bound()
    # Minus infinity less itself is NaN; a label of probability zero is compared as a place instead.
    drawable = exact.probability > 0.0
    return [
        compare("log q", values["log_q"][drawable], exact.log_q[drawable], bound, study.name),
        compare("L", values["loss"].T[drawable], exact.loss[drawable], bound, study.name),
        compare(
            "labels of probability zero",
            values["log_q"] == -float("inf"),
            exact.log_q == -float("inf"),
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
