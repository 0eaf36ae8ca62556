"""Claim higher_order: derivatives of a surrogate beyond the first.

Stop-gradients make the first derivative right and all others wrong. DiCE's magic box
exp(log q - ⊥log q) = q/⊥q makes every one right: differentiated, it gives itself times something.

Reference:
    Foerster et al. (2018), DiCE: the infinitely differentiable Monte Carlo estimator.
"""

from __future__ import annotations

import sympy as sp

from .gradient import BEYOND, LOG_Q, VALID
from .kernel.derivation import REFUTED, Counterexample, Derivation, Proof, Step, derives
from .kernel.expressions import SCORE, D, StopGradient, coin, e, k, mean, q, total, w
from .kernel.oracle import Oracle

#: Any cost of the label, L + log q among them, and its pathwise gradients by two parameters.
f = sp.Function("f", real=True)(k, e, w)
s_u, s_v, f_u, f_v = (sp.Function(name, real=True)(k) for name in ("s_u", "s_v", "f_u", "f_v"))
BOX = q / StopGradient(q)


def _box_again() -> Proof:
    return Proof(
        title="the derivative of a boxed cost is a boxed cost",
        start=D(BOX * f, e),
        steps=(
            Step(D(q * f, e) / StopGradient(q), "held factor"),
            Step((q * D(f, e) + f * D(q, e)) / StopGradient(q), "product rule"),
            Step((q * D(f, e) + f * q * SCORE) / StopGradient(q), "log-derivative"),
            Step(BOX * (f * SCORE + D(f, e)), "algebra"),
        ),
        conclusion="the new cost is f' = f ∂log q + ∂f; f was any function of the label and the "
        "parameters, so the same holds for f', and so on, at every order",
    )


def _mean_again() -> Proof:
    return Proof(
        title="its mean is the derivative of the mean",
        start=mean(BOX * (f * SCORE + D(f, e))),
        steps=(
            Step(total(q * BOX * (f * SCORE + D(f, e))), "mean"),
            Step(
                total(q * (f * SCORE + D(f, e))), "value of a held constant", "the box has value 1"
            ),
            Step(total(f * D(q, e) + q * D(f, e)), "log-derivative"),
            Step(total(D(q * f, e)), "product rule"),
            Step(D(total(q * f), e), "linearity of the derivative"),
        ),
        conclusion="with the part above, by induction: the n-th derivative of q/⊥q f has the mean "
        "∂ⁿE[f], for every n",
    )


def _second_at_once() -> Proof:
    return Proof(
        title="two derivatives at once, as a second way to the same",
        start=mean(D(D(BOX * f, e), w)),
        steps=(
            Step(total(q * D(D(BOX * f, e), w)), "mean"),
            Step(total(BOX * D(D(q * f, e), w)), "held factor"),
            Step(total(D(D(q * f, e), w)), "value of a held constant"),
            Step(D(D(total(q * f), e), w), "linearity of the derivative"),
        ),
    )


def _held_second() -> Proof:
    inner = StopGradient(f) * SCORE + D(f, e)
    return Proof(
        title="the surrogate with f held, differentiated twice",
        start=mean(D(D(StopGradient(f) * LOG_Q + f, e), w)),
        steps=(
            Step(
                mean(D(D(StopGradient(f) * LOG_Q, e) + D(f, e), w)), "linearity of the derivative"
            ),
            Step(mean(D(inner, w)), "held factor"),
            Step(
                mean(D(StopGradient(f) * SCORE, w) + D(D(f, e), w)), "linearity of the derivative"
            ),
            Step(mean(StopGradient(f) * D(SCORE, w) + D(D(f, e), w)), "held factor"),
            Step(mean(f * D(SCORE, w) + D(D(f, e), w)), "value of a held constant"),
        ),
    )


#: What the detached surrogate's second derivative lacks.
GAP = f * SCORE * D(LOG_Q, w) + SCORE * D(f, w) + D(LOG_Q, w) * D(f, e)


def _right_second() -> Proof:
    other_score = D(LOG_Q, w)
    first = q * (f * SCORE + D(f, e))
    return Proof(
        title="what it should be",
        start=D(D(total(q * f), e), w),
        steps=(
            Step(total(D(D(q * f, e), w)), "linearity of the derivative"),
            Step(total(D(f * D(q, e) + q * D(f, e), w)), "product rule", "the inner one first"),
            Step(total(D(first, w)), "log-derivative"),
            Step(
                total((f * SCORE + D(f, e)) * D(q, w) + q * D(f * SCORE + D(f, e), w)),
                "product rule",
            ),
            Step(
                total((f * SCORE + D(f, e)) * q * other_score + q * D(f * SCORE + D(f, e), w)),
                "log-derivative",
            ),
            Step(
                total(
                    (f * SCORE + D(f, e)) * q * other_score + q * (D(f * SCORE, w) + D(D(f, e), w))
                ),
                "linearity of the derivative",
            ),
            Step(
                total(
                    (f * SCORE + D(f, e)) * q * other_score
                    + q * (f * D(SCORE, w) + SCORE * D(f, w) + D(D(f, e), w))
                ),
                "product rule",
            ),
            Step(mean(f * D(SCORE, w) + D(D(f, e), w) + GAP), "mean"),
            Step(mean(f * D(SCORE, w) + D(D(f, e), w)) + mean(GAP), "linearity of the mean"),
        ),
        conclusion="the last mean is what the surrogate with f held lacks: f times both scores, "
        "and each score times the other derivative of f",
    )


@derives("higher_order")
def higher_order() -> Derivation:
    """Hessians and beyond: detached costs are wrong, the magic box is right."""
    return Derivation(
        claim="higher_order",
        verdict=REFUTED,
        finding="the second derivative, ∂ and ∂' by two parameters, of the surrogate ⊥f log q + f "
        "lacks E[f ∂log q ∂'log q + ∂log q ∂'f + ∂'log q ∂f], where f = L + log q; that of "
        "(q/⊥q) f is right, and so is every higher one",
        valid=(*VALID, "f, log q are as often differentiable as is asked for"),
        symbols={
            "f_k": "any cost that depends on the label and the parameters: L + log q for U",
            "q/⊥q": "the magic box, exp(log q - ⊥log q), of value 1",
        },
        parts=(
            _box_again(),
            _mean_again(),
            _second_at_once(),
            _held_second(),
            _right_second(),
            Counterexample(
                title="the surrogate with f held is right when differentiated twice",
                setting="two labels of probabilities t and 1 - t, costs 1 and 0, t = 1/3: E[f] = t "
                "has the second derivative 0; the surrogate's has the mean t · (-1/t²)",
                claimed=coin * sp.diff(sp.log(coin), coin, 2),
                actual=sp.diff(coin, coin, 2),
                at={coin: sp.Rational(1, 3)},
            ),
        ),
        oracle=Oracle(
            total(q * (f * s_u * s_v + s_u * f_v + s_v * f_u)),
            {"q": q, "cost": f, "score_u": s_u, "score_v": s_v, "slope_u": f_u, "slope_v": f_v},
        ),
        infinite_labels=BEYOND,
        reference="Foerster, Farquhar, Al-Shedivat, Rocktäschel, Xing and Whiteson (2018), DiCE: "
        "The Infinitely Differentiable Monte Carlo Estimator",
    )
