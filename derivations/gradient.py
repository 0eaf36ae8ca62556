"""Claims gradient.e, gradient.w and gradient.phi_theta: what one draw estimates.

All three follow from the product rule under the sum over the labels. The sum has K terms and K
stays a letter: nothing is proved for a few numbers of labels only.

Reference:
    Williams (1992), Simple statistical gradient-following algorithms for connectionist
    reinforcement learning. Glynn (1990), Likelihood ratio gradient estimation for stochastic
    systems. Schulman et al. (2015), Gradient estimation using stochastic computation graphs.
"""

from __future__ import annotations

from collections.abc import Callable

import sympy as sp

from .kernel.derivation import PROVED, REFUTED, Counterexample, Derivation, Proof, Step, derives
from .kernel.expressions import (
    ENTROPY,
    UNLABELLED,
    D,
    L,
    coin,
    d,
    e,
    mean,
    phi,
    q,
    s,
    theta,
    total,
    w,
)
from .kernel.notation import text
from .kernel.oracle import Oracle

# Functions of the parameters, so that no rule takes them for constants.
U = sp.Function("U", real=True)(w, e, phi, theta)
H = sp.Function("H", real=True)(w, e)
U_IS = {U: UNLABELLED}
H_IS = {H: ENTROPY}

LOG_Q = sp.log(q)

#: What every estimate of this family needs.
VALID = (
    "K is finite and does not depend on the parameters",
    "every label has q_k > 0, or drops out with its term: q log q → 0 as q → 0",
    "log q_k and L_k are differentiable; the noise in L is held fixed",
)

BEYOND = (
    "Countably many labels: the derivative goes under the sum if the sum of the derivatives "
    "converges uniformly near the parameters (dominated convergence). Continuous y: sums become "
    "integrals with the same proviso, and the support of q must not move with the parameters."
)

#: A coin whose first side has probability t, no loss, t = 1/3: the smallest q that shows dH.
_COIN_SLOPE = sp.diff(-coin * sp.log(coin) - (1 - coin) * sp.log(1 - coin), coin)


def _sum_to_mean(by: sp.Symbol) -> tuple[Step, ...]:
    """From dU/dv to a mean over one draw, for a group that reaches both q and L."""
    score = D(LOG_Q, by)
    inner = L + LOG_Q
    return (
        Step(D(UNLABELLED, by), "definition", "U, written out", U_IS),
        Step(total(D(q * inner, by)), "linearity of the derivative", "K terms, whatever K is"),
        Step(total(D(q, by) * inner + q * D(inner, by)), "product rule"),
        Step(
            total(q * score * inner + q * D(inner, by)), "log-derivative", "this makes a mean of it"
        ),
        Step(
            total(q * score * inner + q * (D(L, by) + score)),
            "linearity of the derivative",
            "the last term is the score once more: the + 1",
        ),
        Step(mean(score * (inner + 1) + D(L, by)), "mean", "each term has a factor q_k"),
    )


def entropy_slope(by: sp.Symbol) -> Proof:
    """E[(log q + 1) s] = -dH, for every K and without Σ q = 1."""
    score = D(LOG_Q, by)
    return Proof(
        title="(log q + 1) times the score has the mean -∂H",
        start=mean((LOG_Q + 1) * score),
        steps=(
            Step(total(q * (LOG_Q + 1) * score), "mean"),
            Step(
                total(LOG_Q * D(q, by) + q * score),
                "log-derivative",
                "of the first term only; Σ_k q_k = 1 is not needed",
            ),
            Step(total(D(q * LOG_Q, by)), "product rule", "read from right to left"),
            Step(-D(ENTROPY, by), "linearity of the derivative"),
            Step(-D(H, by), "definition", "H = -Σ q log q", H_IS),
        ),
    )


def differentiate_surrogate(
    weight: sp.Expr,
    score_of: sp.Expr,
    path: sp.Expr,
    by: sp.Symbol = e,
    around: Callable[[sp.Expr], sp.Expr] = lambda line: line,
) -> tuple[Step, ...]:
    """The first three steps from ∂(weight · score_of + path); what is held constant comes after.

    Args:
        around: what stands around each line, such as the sum over a batch.
    """
    slopes = sp.Add(*[D(part, by) for part in sp.Add.make_args(weight)])
    score_part, path_part = weight * D(score_of, by), D(path, by)
    return (
        Step(around(D(weight * score_of, by) + path_part), "linearity of the derivative"),
        Step(around(score_part + score_of * D(weight, by) + path_part), "product rule"),
        Step(around(score_part + score_of * slopes + path_part), "linearity of the derivative"),
    )


def zero_score(by: sp.Symbol) -> Proof:
    """E[s] = 0: the one place where Σ q = 1 carries the argument."""
    return Proof(
        title="the score has mean zero",
        start=mean(D(LOG_Q, by)),
        steps=(
            Step(total(q * D(LOG_Q, by)), "mean"),
            Step(total(D(q, by)), "log-derivative"),
            Step(D(total(q), by), "linearity of the derivative"),
            Step(D(sp.S.One, by), "normalisation", "here, and only here, is Σ_k q_k = 1 needed"),
            Step(sp.S.Zero, "independence", "1 is the same for all parameters"),
        ),
    )


def _corrected_line(by: sp.Symbol, estimate: sp.Expr, batch_form: Proof, entropy: Proof) -> Proof:
    """The line for a group with the entropy's sign put right."""
    score = D(LOG_Q, by)
    rest = estimate + D(H, by)
    return Proof(
        title=f"the corrected line is unbiased for ∂U/∂{by}",
        start=D(U, by),
        steps=(
            Step(batch_form.result, "shown above", given=batch_form.shown),
            Step(mean(rest) + mean((LOG_Q + 1) * score), "linearity of the mean"),
            Step(mean(rest) - D(H, by), "shown above", given=entropy.shown),
            Step(mean(estimate), "normalisation", "∂H is the same for every label drawn"),
        ),
        conclusion="the entropy enters with a minus: E[log q] is -H",
    )


def _excess(printed: sp.Expr, corrected: Proof, by: sp.Symbol, gap: sp.Expr) -> Proof:
    """How far the mean of a printed line is from the gradient."""
    return Proof(
        title=f"the printed line is off by {text(gap)}",
        start=mean(printed) - D(U, by),
        steps=(
            Step(mean(printed) - corrected.result, "shown above", given=corrected.shown),
            Step(mean(printed - corrected.result.args[0]), "linearity of the mean"),
            Step(gap, "normalisation"),
        ),
    )


def corrected_e() -> tuple[Proof, Proof, Proof]:
    """The batch form for e, the entropy's slope, and from both that L ∂log q - ∂H + ∂L is right."""
    batch_form = Proof("the batch form is unbiased for ∂U/∂e", D(U, e), _sum_to_mean(e))
    entropy = entropy_slope(e)
    estimate = L * D(LOG_Q, e) - D(H, e) + D(L, e)
    return batch_form, entropy, _corrected_line(e, estimate, batch_form, entropy)


@derives("gradient.e")
def gradient_e() -> Derivation:
    """The line for the shared parameters: score part, entropy and pathwise part."""
    score = D(LOG_Q, e)
    batch_form, entropy, corrected = corrected_e()
    return Derivation(
        claim="gradient.e",
        verdict=REFUTED,
        finding="∂U/∂e is the mean of L ∂log q - ∂H + ∂L, and of (L + log q + 1) ∂log q + ∂L; "
        "with +∂H as printed it is off by 2 ∂H",
        valid=VALID,
        parts=(
            batch_form,
            entropy,
            corrected,
            _excess(L * score + D(H, e) + D(L, e), corrected, e, 2 * D(H, e)),
            Counterexample(
                title="the printed line, with +∂H, is unbiased for ∂U/∂e",
                setting="two labels of probabilities t and 1 - t, no loss, the parameter e is t "
                "itself, at t = 1/3: the mean of the printed line is ∂H/∂t = log((1 - t)/t), and "
                "∂U/∂t = -∂H/∂t",
                claimed=_COIN_SLOPE,
                actual=-_COIN_SLOPE,
                at={coin: sp.Rational(1, 3)},
            ),
        ),
        oracle=Oracle(
            total(q * ((L + LOG_Q + 1) * s + d)),
            {"q": q, "log_q": LOG_Q, "loss": L, "score": s, "pathwise": d},
        ),
        infinite_labels=BEYOND,
    )


@derives("gradient.w")
def gradient_w() -> Derivation:
    """The line for the classifier's own parameters: no pathwise part."""
    score = D(LOG_Q, w)
    estimate = (L + LOG_Q + 1) * score
    batch_form = Proof(
        "the batch form is unbiased for ∂U/∂w",
        D(U, w),
        (*_sum_to_mean(w), Step(mean(estimate), "independence", "L_k does not depend on w")),
    )
    entropy = entropy_slope(w)
    corrected = _corrected_line(w, L * score - D(H, w), batch_form, entropy)
    printed = L * score + D(H, e)
    return Derivation(
        claim="gradient.w",
        verdict=REFUTED,
        finding="∂U/∂w is the mean of L ∂log q/∂w - ∂H/∂w; where that has -∂H/∂w, +∂H/∂e is "
        "printed, which is no derivative by w at all",
        valid=VALID,
        parts=(
            batch_form,
            entropy,
            corrected,
            _excess(printed, corrected, w, D(H, e) + D(H, w)),
            Counterexample(
                title="the printed line, with +∂H/∂e, is unbiased for ∂U/∂w",
                setting="two labels of probabilities t and 1 - t, no loss, the parameter w is t "
                "itself, at t = 1/3, and nothing depends on e: the printed line is 0, and ∂U/∂w = "
                "-∂H/∂t = -log((1 - t)/t)",
                claimed=sp.S.Zero,
                actual=-_COIN_SLOPE,
                at={coin: sp.Rational(1, 3)},
            ),
        ),
        oracle=Oracle(
            total(q * (L + LOG_Q + 1) * s), {"q": q, "log_q": LOG_Q, "loss": L, "score": s}
        ),
        infinite_labels=BEYOND,
    )


@derives("gradient.phi_theta")
def gradient_phi_theta() -> Derivation:
    """The line for inference and generation: no score part, since q(y|x) does not know them."""
    return Derivation(
        claim="gradient.phi_theta",
        verdict=PROVED,
        finding="∂U/∂φ is the mean of ∂L/∂φ at one draw, and ∂U/∂θ of ∂L/∂θ",
        valid=VALID,
        parts=tuple(_pathwise(by) for by in (phi, theta)),
        oracle=Oracle(total(q * d), {"q": q, "pathwise": d}),
        infinite_labels=BEYOND,
    )


def _pathwise(by: sp.Symbol) -> Proof:
    return Proof(
        title=f"∂L is unbiased for ∂U/∂{text(by)}",
        start=D(U, by),
        steps=(
            Step(D(UNLABELLED, by), "definition", "U, written out", U_IS),
            Step(total(D(q * (L + LOG_Q), by)), "linearity of the derivative"),
            Step(total(q * D(L + LOG_Q, by) + (L + LOG_Q) * D(q, by)), "product rule"),
            Step(
                total(q * D(L, by) + q * D(LOG_Q, by) + (L + LOG_Q) * D(q, by)),
                "linearity of the derivative",
            ),
            Step(total(q * D(L, by)), "independence", f"q_k does not depend on {text(by)}"),
            Step(mean(D(L, by)), "mean"),
        ),
    )
