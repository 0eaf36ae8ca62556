"""The forms of the single-sample surrogate, one row each.

Most are of the score-function estimator, also known as the likelihood-ratio estimator or REINFORCE.
Every form is a cost per sentence whose derivative at the drawn label is the estimate of the
gradient of U(x) = E_q[L + log q]. CL and CQ are the forward values of L and log q at the drawn
label, behind a stop-gradient; B is the baseline.

Reference:
    Williams (1992), Simple statistical gradient-following algorithms for connectionist
    reinforcement learning (REINFORCE). Glynn (1990), Likelihood ratio gradient estimation for
    stochastic systems. Schulman et al. (2015), Gradient estimation using stochastic computation
    graphs. Foerster et al. (2018), DiCE: the infinitely differentiable Monte Carlo estimator
    (magic-box).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gradproof.reference_models.objective import entropy
from gradproof.reference_models.ops import Array, Ops


class FormTerms(NamedTuple):
    """What a form is made of.

    Shape:
        ``log_q`` (N, K); ``log_q_at_draw``, log q(y_j|x_j), ``loss``, L(x_j, y_j), ``baseline``
        and ``lengths``, |x_j| in tokens, (N,).
    """

    log_q: Array
    log_q_at_draw: Array
    loss: Array
    baseline: Array
    lengths: Array


class Form(NamedTuple):
    """A surrogate with a name and the formula that a reader knows it by."""

    name: str
    formula: str
    cost: Callable[[Ops, FormTerms], Array]


def _one_pass(ops: Ops, terms: FormTerms) -> Array:
    weight = (
        ops.stop_gradient(terms.loss)
        + ops.stop_gradient(terms.log_q_at_draw)
        + 1.0
        - terms.baseline
    )
    return weight * terms.log_q_at_draw + terms.loss


def _analytic_entropy(ops: Ops, terms: FormTerms) -> Array:
    weight = ops.stop_gradient(terms.loss) - terms.baseline
    return weight * terms.log_q_at_draw - entropy(ops, terms.log_q) + terms.loss


def _reward_per_token(ops: Ops, terms: FormTerms) -> Array:
    weight = ops.stop_gradient(terms.loss) / terms.lengths - terms.baseline
    return weight * terms.log_q_at_draw - entropy(ops, terms.log_q) + terms.loss


def _no_entropy(ops: Ops, terms: FormTerms) -> Array:
    return (ops.stop_gradient(terms.loss) - terms.baseline) * terms.log_q_at_draw + terms.loss


def _printed_entropy(ops: Ops, terms: FormTerms) -> Array:
    weight = ops.stop_gradient(terms.loss) - terms.baseline
    return weight * terms.log_q_at_draw + entropy(ops, terms.log_q) + terms.loss


def _not_held(ops: Ops, terms: FormTerms) -> Array:
    weight = terms.loss + terms.log_q_at_draw + 1.0 - terms.baseline
    return weight * terms.log_q_at_draw + terms.loss


def _score_line(ops: Ops, terms: FormTerms) -> Array:
    weight = (
        ops.stop_gradient(terms.loss)
        + ops.stop_gradient(terms.log_q_at_draw)
        + 1.0
        - terms.baseline
    )
    return weight * terms.log_q_at_draw


def _pathwise(ops: Ops, terms: FormTerms) -> Array:
    return terms.loss


def _plus_one(ops: Ops, terms: FormTerms) -> Array:
    return (ops.stop_gradient(terms.log_q_at_draw) + 1.0) * terms.log_q_at_draw


def _score(ops: Ops, terms: FormTerms) -> Array:
    return terms.log_q_at_draw


def _score_of_loss(ops: Ops, terms: FormTerms) -> Array:
    return (ops.stop_gradient(terms.loss) - terms.baseline) * terms.log_q_at_draw


def _magic_box(ops: Ops, terms: FormTerms) -> Array:
    box = ops.exp(terms.log_q_at_draw - ops.stop_gradient(terms.log_q_at_draw))
    return box * (terms.loss + terms.log_q_at_draw)


#: Claims gradient.e, .w, .phi_theta, batch.one_pass and constant.theano rest on the first row.
FORMS = {
    form.name: form
    for form in (
        Form("one-pass", "(CL + CQ + 1 - B) log q + L", _one_pass),
        Form("analytic-entropy", "(CL - B) log q - H + L", _analytic_entropy),
        # Two of the code that the note's authors released in 2016: claims released.*
        Form("reward-per-token", "(CL / |x| - B) log q - H + L", _reward_per_token),
        Form("no-entropy", "(CL - B) log q + L", _no_entropy),
        Form("printed-entropy", "(CL - B) log q + H + L", _printed_entropy),
        Form("not-held", "(L + log q + 1 - B) log q + L, nothing detached", _not_held),
        Form("score-line", "(CL + CQ + 1 - B) log q", _score_line),
        Form("pathwise", "L", _pathwise),
        Form("plus-one", "(CQ + 1) log q", _plus_one),
        Form("score", "log q", _score),
        Form("score-of-loss", "(CL - B) log q", _score_of_loss),
        Form("magic-box", "exp(log q - CQ) (L + log q)", _magic_box),
    )
}
