"""How U of a sentence without a label is estimated in training: one row each."""

from __future__ import annotations

from typing import NamedTuple

#: One label drawn, with a form and a baseline of one's own; all labels, one after the other.
SAMPLED, ENUMERATION = "sampled", "enumeration"

#: Two labels drawn without replacement.
TWO_LABELS = "s2"


class Unlabelled(NamedTuple):
    """An estimator of U's gradient by name.

    ``form`` and ``baseline`` are rows of FORMS and BASELINES; None where there is none, or where it
    is the option of that name.
    """

    name: str
    says: str
    form: str | None = None
    baseline: str | None = None


#: By name. S1 and S2 are as the note's authors released them in 2016, the entropy's weight 1.
ESTIMATORS = {
    row.name: row
    for row in (
        Unlabelled(SAMPLED, "one label, with --form and --baseline"),
        Unlabelled("s1", "the released S1, b |x| as baseline", "analytic-entropy", "per-token"),
        Unlabelled(
            "s1-normalised",
            "the default of the released script, biased: L/|x| less a mean L",
            "reward-per-token",
            "mean-loss",
        ),
        Unlabelled(TWO_LABELS, "the released S2, biased for K > 2: two labels, renormalised"),
        Unlabelled("no-baseline", "one label and B = 0", "analytic-entropy", "none"),
        Unlabelled(ENUMERATION, "every label"),
    )
}
