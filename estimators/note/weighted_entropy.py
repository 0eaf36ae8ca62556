"""The single-sample surrogate of U with a weight on the entropy."""

from __future__ import annotations

import functools

from gradproof.reference_models.objective import entropy
from gradproof.reference_models.ops import Array, Ops
from gradproof.reference_models.sequence import check_weight

from .forms import FORMS, Form, FormTerms


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


@functools.cache
def reweighted(name: str, weight: float) -> Form:
    """A form of U as one of E_q[L + weight log q]; with weight 1 the form itself.

    Valid when: the form is of the gradient of U, or, like ``reward-per-token``, off by something
    that the entropy does not enter.

    Args:
        name: a row of FORMS. ``one-pass`` has log q in its score term, where the weight goes; to
            the others (1 - weight) H is added.

    Raises:
        ValueError: if the weight is negative, or no finite number.
    """
    form = FORMS[name]
    if weight == 1.0:
        return form
    if name == "one-pass":
        return weighted_entropy(weight)
    check_weight("entropy weight", weight)

    def cost(ops: Ops, terms: FormTerms) -> Array:
        return form.cost(ops, terms) + (1.0 - weight) * entropy(ops, terms.log_q)

    return Form(f"{name}-{weight:g}", f"{form.formula} + {1.0 - weight:g} H", cost)
