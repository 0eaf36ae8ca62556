"""The single-sample surrogate of U with a weight on the entropy."""

from __future__ import annotations

import functools

from gradproof.reference_models.ops import Array, Ops
from gradproof.reference_models.sequence import check_weight

from .forms import Form, FormTerms


@functools.cache  # equal weights are one form, which is then compiled once
def weighted_entropy(weight: float) -> Form:
    """The form of E_q[L + weight log q]; with weight 1 that of the note.

    Estimand: grad of sum_k q_k (L_k + weight log q_k).
    Estimator: (L + weight (log q + 1) - B) s + grad L at one label y ~ q(y|x).
    Valid when: B does not depend on y, and carries no gradient.

    Raises:
        ValueError: if the weight is negative, or no finite number.
    """
    check_weight("entropy weight", weight)

    def cost(ops: Ops, terms: FormTerms) -> Array:
        entropy = weight * (ops.stop_gradient(terms.log_q_at_draw) + 1.0)
        held = ops.stop_gradient(terms.loss) + entropy - terms.baseline
        return held * terms.log_q_at_draw + terms.loss

    return Form(f"entropy-{weight:g}", f"(CL + {weight:g} (CQ + 1) - B) log q + L", cost)
