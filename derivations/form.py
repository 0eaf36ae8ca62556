# ruff: noqa: RUF001  # Greek letters in a formula are meant
"""Claim baseline.form: what the best B is as a function of the sentence, and what a form can reach.

How much a form does reach on real sentences is a measurement; what it should be measured by, and
what no form can exceed, is derived here.
"""

from __future__ import annotations

import sympy as sp

from .derivation import PROVED, Counterexample, Derivation, Proof, Step
from .expressions import K, L, k, mean, q, total
from .gradients import BEYOND, H_IS, LOG_Q, VALID, H
from .oracle import Oracle

b, best, rho, constant, average = sp.symbols("B b rho c A", real=True)
R, c = (sp.Function(name, real=True)(k) for name in "Rc")
S = sp.Function("S", positive=True)(k)

i, j, features, sentences = sp.symbols("i j I J", integer=True, positive=True)
a2_j = sp.Function("a2", positive=True)(j)
a0_j, a1_j, best_j, B_j, fitted_j = (
    sp.Function(name, real=True)(j) for name in ("a0", "a1", "b", "B", "F")
)
f_ij = sp.Function("f", real=True)(i, j)
step_i, normal_i = (sp.Function(name, real=True)(i) for name in "vN")


def over(term: sp.Expr) -> sp.Expr:
    """The sum of a term over the sentences."""
    return total(term, j, sentences)


def _from_the_mean() -> Proof:
    return Proof(
        title="how far the best B is from E[R]",
        start=mean(R * S + c) / mean(S) - rho,
        steps=(
            Step((mean((R - rho) * S) + mean(c)) / mean(S), "linearity of the mean", "ρ = E[R]"),
        ),
        conclusion="that is (Cov(R, |s|²) + E[s·d])/E[|s|²]: the best B is E[R] where |s|² is the "
        "same at all labels, or not correlated with R, and nothing is pathwise",
    )


def _from_the_loss() -> Proof:
    return Proof(
        title="and how far E[R] is from E[L]",
        start=mean(L + LOG_Q + 1),
        steps=(
            Step(mean(L) + mean(LOG_Q) + mean(sp.S.One), "linearity of the mean"),
            Step(mean(L) + mean(LOG_Q) + 1, "normalisation"),
            Step(mean(L) + total(q * LOG_Q) + 1, "mean"),
            Step(mean(L) + 1 - H, "definition", "H = -Σ q log q", H_IS),
        ),
        conclusion="a B that has learnt the loss is off by 1 - H: nearly right for an undecided q "
        "over 3 labels, too low by 1 for a decided one, too high by log K - 1 for many labels",
    )


_one, _two, _u = sp.symbols("q1 q2 u", positive=True)
_R1, _R2 = sp.symbols("R1 R2", real=True)


def _twoK() -> Proof:
    weights = [each * (_u / each) ** 2 for each in (_one, _two)]
    return Proof(
        title="two labels: each R is weighed with the other label's probability",
        start=(weights[0] * _R1 + weights[1] * _R2) / sp.Add(*weights),
        steps=(
            Step(
                _two * _R1 + _one * _R2,
                "assumption",
                "q₁ + q₂ = 1; the scores are u/q₁ and -u/q₂, as their mean is zero",
                {_two: 1 - _one},
            ),
        ),
        conclusion="the very opposite of E[R] = q₁ R₁ + q₂ R₂, where q is decided",
    )


def _what_to_fit() -> Proof:
    target = R + c / S
    slope, bend = mean(R * S + c), mean(S)
    return Proof(
        title="what to fit: R + s·d/|s|² at the drawn label, weighed with |s|²",
        start=mean(S * (target - b) ** 2),
        steps=(
            Step(
                mean(S * target**2) - 2 * b * slope + b**2 * bend,
                "linearity of the mean",
            ),
            Step(
                mean(S * target**2) - slope**2 / bend + bend * (b - best) ** 2,
                "definition",
                "b is the best B",
                {best: slope / bend},
            ),
        ),
        conclusion="only the last term knows B, and it is the excess variance: least squares with "
        "these weights looks for the best B; for the classifier's parameters, without a pathwise "
        "part, it is R weighed with |s|²",
    )


def _what_is_fitted() -> Proof:
    return Proof(
        title="plain least squares looks for E[R]",
        start=mean((R - b) ** 2),
        steps=(
            Step(
                mean(R**2) - 2 * b * mean(R) + mean(b**2),
                "linearity of the mean",
            ),
            Step(mean(R**2) - 2 * b * mean(R) + b**2, "normalisation"),
            Step(
                mean(R**2) - rho**2 + (b - rho) ** 2,
                "definition",
                "ρ = E[R]",
                {rho: mean(R)},
            ),
        ),
    )


def _excess() -> Proof:
    at = a0_j - 2 * a1_j * B_j + a2_j * B_j**2
    least = a0_j - 2 * a1_j * best_j + a2_j * best_j**2
    return Proof(
        title="the variance that a form B leaves above the best, over all sentences",
        start=over(at) - over(least),
        steps=(
            Step(over(at - least), "linearity of the sum"),
            Step(
                over(a2_j * (B_j - best_j) ** 2),
                "definition",
                "b_j = a₁_j/a₂_j, the best B of sentence j",
                {best_j: a1_j / a2_j},
            ),
        ),
        conclusion="a weighted least squares problem, in b and with weights a₂ = E[|s|²]",
    )


def _captured() -> Proof:
    return Proof(
        title="what B takes away, of the Σ_j a₂_j (b_j)² that can be taken away",
        start=over(2 * a2_j * best_j * B_j - a2_j * B_j**2),
        steps=(
            Step(over(a2_j * best_j**2 - a2_j * (B_j - best_j) ** 2), "algebra"),
            Step(over(a2_j * best_j**2) - over(a2_j * (B_j - best_j) ** 2), "linearity of the sum"),
        ),
        conclusion="so the share captured is 1 - Σ a₂ (B - b)²/Σ a₂ b²: a weighted R², counted "
        "from no baseline; it is negative where B does harm",
    )


def _pythagoras() -> Proof:
    left, moved = over(a2_j * (fitted_j - best_j) ** 2), over(a2_j * (B_j - fitted_j) ** 2)
    residual = a2_j * (fitted_j - best_j)
    change = total(step_i * f_ij, i, features)
    crossed = over(residual * (B_j - fitted_j))
    return Proof(
        title="what a form F + Σ v_i f_i leaves, from what F leaves",
        start=over(a2_j * (B_j - best_j) ** 2),
        steps=(
            Step(left + moved + 2 * crossed, "linearity of the sum"),
            Step(
                left + moved + 2 * over(residual * change),
                "definition",
                "B_j = F_j + Σ_i v_i f_i,j, with features f_i",
                {B_j: fitted_j + change},
            ),
            Step(
                left + moved + 2 * total(step_i * over(residual * f_ij), i, features),
                "order of sums",
            ),
            Step(
                left + moved + 2 * total(step_i * normal_i, i, features),
                "definition",
                "N_i = Σ_j a₂_j (F_j - b_j) f_i,j",
                {normal_i: over(residual * f_ij)},
            ),
        ),
        conclusion="F is the best combination of the features if and only if N_i = 0 for each: the "
        "normal equations. Then F is the projection of b on the features, any other combination "
        "leaves more, by Σ a₂ (B - F)², and F captures the share Σ a₂ F²/Σ a₂ b²; one more feature "
        "never captures less",
    )


def _best_constant() -> Proof:
    weighed = over(a2_j * best_j)
    return Proof(
        title="what one constant for all sentences leaves",
        start=over(a2_j * (constant - best_j) ** 2),
        steps=(
            Step(
                over(a2_j * best_j**2) - 2 * constant * weighed + constant**2 * over(a2_j),
                "linearity of the sum",
            ),
            Step(
                over(a2_j * best_j**2)
                - weighed**2 / over(a2_j)
                + over(a2_j) * (constant - average) ** 2,
                "definition",
                "A is the mean of b weighed with a₂",
                {average: weighed / over(a2_j)},
            ),
        ),
        conclusion="at its best, c = A, the weighted variance of b: all that a form may still gain "
        "over a constant",
    )


def _loss_is_no_baseline() -> Counterexample:
    spread = (1 / K) * (1 - 1 / K)
    return Counterexample(
        title="E[L] is a good baseline",
        setting="K = 8 equally likely labels, L = log 8 - 1 at each, the derivative by the first "
        "logit: R is 0, without a baseline there is no variance, and B = E[L] makes some",
        claimed=sp.S.Zero,
        actual=spread * (sp.log(K) - 1) ** 2,
        at={K: sp.Integer(8)},
    )


def form() -> Derivation:
    """The best B, and what a form of it is worth."""
    return Derivation(
        claim="baseline.form",
        verdict=PROVED,
        finding="the best B of a sentence is E[R |s|² + s·d]/E[|s|²], not E[R], which is itself "
        "E[L] + 1 - H; an affine form reaches at best its projection on the features with weights "
        "E[|s|²], and captures 1 - Σ a₂ (B - b)²/Σ a₂ b² of the variance that a baseline can take "
        "away; fitting R + s·d/|s|² with weights |s|² at drawn labels looks for just that",
        valid=(*VALID, "B depends on the sentence and λ alone, and carries no gradient", "|s| > 0"),
        letters={
            "R_k": "L_k + log q_k + 1; ρ is its mean",
            "S_k, c_k": "|s_k|² and s_k·d_k, over the parameters of a group",
            "B, b": "a baseline's value for the sentence, and the best one",
            "j": "a sentence, 1..J; B_j, b_j, a₂_j = E[|s|²] and so on are those of sentence j",
            "f_i,j": "feature i of sentence j; v_i what its coefficient is changed by",
            "F_j": "a combination of the features; N_i tells how far it is from the best",
        },
        parts=(
            _from_the_mean(),
            _from_the_loss(),
            _loss_is_no_baseline(),
            _twoK(),
            _what_is_fitted(),
            _what_to_fit(),
            _excess(),
            _captured(),
            _best_constant(),
            _pythagoras(),
        ),
        oracle=Oracle(
            1 - over(a2_j * (B_j - best_j) ** 2) / over(a2_j * best_j**2), ARGUMENTS, index=j
        ),
        beyond=BEYOND,
        reference="Best baseline of a state: Greensmith, Bartlett and Baxter, 2004",
    )


#: Per sentence: E[|s|²], the best B, and the B in question.
ARGUMENTS = {"a2": a2_j, "best": best_j, "baseline": B_j}
EXCESS = Oracle(over(a2_j * (B_j - best_j) ** 2), ARGUMENTS, index=j)
