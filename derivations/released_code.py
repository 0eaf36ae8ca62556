"""Claims released.*: what the code that the note's authors released gives, where it is not ∂U.

The two labels without replacement of that code: :mod:`gradproof.derivations.renormalised`.

Reference:
    The training scripts that the note's authors released in 2016, with Theano and Lasagne.
"""

from __future__ import annotations

import sympy as sp

from .gradient import BEYOND, LOG_Q, VALID, H, U, corrected_e, zero_score
from .kernel.derivation import REFUTED, Counterexample, Derivation, Proof, Step, derives
from .kernel.expressions import (
    SCORE,
    B,
    D,
    L,
    coin,
    d,
    e,
    k,
    mean,
    phi,
    q,
    s,
    theta,
    total,
)
from .kernel.oracle import Oracle

#: What a loss is multiplied with in the score term: 1/|x|.
c = sp.Symbol("c", positive=True)
LOSS_PART = mean(L * SCORE)

#: L at the second draw of a, and what each draw gives: a is the m-th of its values, or the n-th.
AGAIN = sp.Function("M", real=True)(k, phi, theta, e)
m, n = sp.symbols("m n", integer=True, positive=True)
r = sp.Function("r", positive=True)(m)
_q_m = sp.Function("q", positive=True)(k, m)
_L_m = sp.Function("L", real=True)(k, m)
_L_n, _r_n = _L_m.xreplace({m: n}), r.xreplace({m: n})

_SHARED = ("a baseline B reads the sentence and λ alone, and is held constant",)


def _gap(title: str, estimate: sp.Expr, parts: tuple[Proof, Proof], *ending: Step) -> Proof:
    """How far the mean of an estimate is from ∂U; ``ending`` begins after its first step."""
    _, corrected = parts
    return Proof(
        title=title,
        start=mean(estimate) - D(U, e),
        steps=(
            Step(mean(estimate) - corrected.result, "shown above", given=corrected.shown),
            *ending,
        ),
    )


@derives("released.reward")
def reward() -> Derivation:
    """The loss per token in the score term, and a baseline for it."""
    batch_form, entropy, corrected = corrected_e()
    zero = zero_score(e)
    return Derivation(
        claim="released.reward",
        verdict=REFUTED,
        finding="with L/|x| in place of L the mean keeps 1/|x| of the score part E[L ∂log q] and "
        "is off by the rest, (1/|x| - 1) E[L ∂log q], whatever B(x; λ) is subtracted: sentences "
        "of one token alone are right. A running mean of L is as many times too large for L/|x| "
        "as a sentence has tokens",
        valid=(*VALID, *_SHARED),
        symbols={"c": "1/|x|, what the loss is multiplied with in the score term"},
        parts=(
            zero,
            Proof(
                title="a factor c of the loss is left of the score part, with any B(x; λ)",
                start=mean((c * L - B) * SCORE),
                steps=(
                    Step(c * LOSS_PART - B * mean(SCORE), "linearity of the mean"),
                    Step(c * LOSS_PART, "shown above", given=zero.shown),
                ),
                conclusion="so no baseline mends it, and none is needed to spoil it",
            ),
            batch_form,
            entropy,
            corrected,
            _gap(
                "the whole estimate is off by (c - 1) E[L ∂log q]",
                (c * L - B) * SCORE - D(H, e) + D(L, e),
                (zero, corrected),
                Step((c - 1) * LOSS_PART - B * mean(SCORE), "linearity of the mean"),
                Step((c - 1) * LOSS_PART, "shown above", given=zero.shown),
            ),
            Counterexample(
                title="L/|x| keeps the mean",
                setting="two labels of probabilities t and 1 - t, losses 1 and 0, a sentence of "
                "two tokens, t = 1/3: E[L ∂log q/∂t] is t · 1/t = 1, and with L/2 it is 1/2",
                claimed=coin * sp.diff(sp.log(coin), coin) / 2,
                actual=coin * sp.diff(sp.log(coin), coin),
                at={coin: sp.Rational(1, 3)},
            ),
        ),
        oracle=Oracle(
            total(q * ((c * L + LOG_Q + 1) * s + d)),
            {"q": q, "log_q": LOG_Q, "loss": L, "score": s, "pathwise": d, "per_token": c},
        ),
        infinite_labels=BEYOND,
    )


@derives("released.entropy")
def no_entropy() -> Derivation:
    """The entropy's weight is 0."""
    batch_form, entropy, corrected = corrected_e()
    zero = zero_score(e)
    inner = L * SCORE + D(L, e)
    return Derivation(
        claim="released.entropy",
        verdict=REFUTED,
        finding="without -∂H the mean is ∂E[L], and off by ∂H: what is descended has no entropy "
        "in it, and nothing keeps q from one label",
        valid=(*VALID, *_SHARED),
        parts=(
            batch_form,
            entropy,
            corrected,
            zero,
            _gap(
                "(L - B) ∂log q + ∂L is off by ∂H",
                (L - B) * SCORE + D(L, e),
                (zero, corrected),
                Step(mean(D(H, e)) - B * mean(SCORE), "linearity of the mean"),
                Step(mean(D(H, e)), "shown above", given=zero.shown),
                Step(D(H, e), "normalisation", "∂H is the same for every label drawn"),
            ),
            Proof(
                title="what is left is the gradient of E[L]",
                start=D(total(q * L), e),
                steps=(
                    Step(total(D(q * L, e)), "linearity of the derivative"),
                    Step(total(D(q, e) * L + q * D(L, e)), "product rule"),
                    Step(total(q * SCORE * L + q * D(L, e)), "log-derivative"),
                    Step(mean(inner), "mean"),
                ),
            ),
            Counterexample(
                title="without the entropy's gradient the mean is ∂U",
                setting="two labels of probabilities t and 1 - t, no loss, the parameter e is t "
                "itself, at t = 1/3: without -∂H nothing is left, and ∂U/∂t = -log((1 - t)/t)",
                claimed=sp.S.Zero,
                actual=sp.log(coin) - sp.log(1 - coin),
                at={coin: sp.Rational(1, 3)},
            ),
        ),
        oracle=Oracle(total(q * (L * s + d)), {"q": q, "loss": L, "score": s, "pathwise": d}),
        infinite_labels=BEYOND,
    )


def _two_draws() -> Proof:
    """What the objective loses where a is drawn anew, in the mean over both draws."""
    shared = mean(total(_q_m * _L_m), r, m)
    apart = mean(mean(total(_q_m * _L_n), _r_n, n), r, m)
    return Proof(
        title="in the mean over a, that difference is a covariance of q and L for each label",
        start=shared - apart,
        steps=(
            Step(
                total(mean(_q_m * _L_m, r, m)) - total(mean(_q_m, r, m) * mean(_L_n, _r_n, n)),
                "linearity of the mean",
                "the two draws of a are independent of each other",
            ),
        ),
        conclusion="it is zero where q or L does not depend on a: what a tells the classifier and "
        "the decoder alike is lost",
    )


@derives("released.redrawn")
def redrawn() -> Derivation:
    """Another a for L than for q(y|a, x)."""
    score, inner = SCORE, AGAIN + LOG_Q
    return Derivation(
        claim="released.redrawn",
        verdict=REFUTED,
        finding="with M_k, L at another draw of a, the mean is the gradient of Σ_k q_k (M_k + log "
        "q_k), and not of U, from which that differs by Σ_k q_k (L_k - M_k): in the mean over a, "
        "by the covariance of q_k and L_k, summed over the labels",
        valid=(*VALID, "the second draw of a is independent of the first"),
        symbols={
            "M_k": "L_k at the second draw of a; q_k and L_k are at the first",
            "m, n": "the values of a at the first draw and the second, with probabilities r_m, r_n",
        },
        parts=(
            Proof(
                title="the estimate is unbiased for the gradient of Σ q (M + log q)",
                start=D(total(q * inner), e),
                steps=(
                    Step(total(D(q * inner, e)), "linearity of the derivative"),
                    Step(total(D(q, e) * inner + q * D(inner, e)), "product rule"),
                    Step(total(q * score * inner + q * D(inner, e)), "log-derivative"),
                    Step(
                        total(q * score * inner + q * (D(AGAIN, e) + score)),
                        "linearity of the derivative",
                    ),
                    Step(mean(score * (inner + 1) + D(AGAIN, e)), "mean"),
                ),
            ),
            Proof(
                title="U less that is Σ q (L - M)",
                start=total(q * (L + LOG_Q)) - total(q * inner),
                steps=(Step(total(q * (L - AGAIN)), "linearity of the sum"),),
            ),
            _two_draws(),
            Counterexample(
                title="L may be taken at another draw of a",
                setting="a is one of two values, equally likely; the first label has probability t "
                "at the one and 1 - t at the other, and loss 1 at the one and 0 at the other; the "
                "second label has no loss. E[L] is t/2, and with two draws of a it is 1/4: the "
                "derivative by t is 1/2 and 0",
                claimed=sp.diff((coin + 1 - coin) / 2 * sp.Rational(1, 2), coin),
                actual=sp.diff(coin / 2, coin),
                at={coin: sp.Rational(1, 3)},
            ),
        ),
        oracle=Oracle(
            total(q * ((AGAIN + LOG_Q + 1) * s + d)),
            {"q": q, "log_q": LOG_Q, "loss": AGAIN, "score": s, "pathwise": d},
        ),
        infinite_labels=BEYOND,
        reference="The auxiliary variable: Maaløe, Sønderby, Sønderby and Winther (2016), "
        "Auxiliary deep generative models",
    )
