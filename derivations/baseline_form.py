# ruff: noqa: RUF001  # Greek letters in a formula are meant
"""Claim baseline.form: what the best B is as a function of the sentence, and what a form can reach.

How much a form does reach on real sentences is a measurement; what it should be measured by, and
what no form can exceed, is derived here.

Reference:
    Greensmith, Bartlett and Baxter (2004), Variance reduction techniques for gradient estimates in
    reinforcement learning. Mnih and Gregor (2014), Neural variational inference and learning in
    belief networks (NVIL).
"""

from __future__ import annotations

import sympy as sp

from .gradient import BEYOND, H_IS, LOG_Q, VALID, H
from .kernel.derivation import PROVED, Counterexample, Derivation, Proof, Step, derives
from .kernel.expressions import K, L, k, mean, q, total
from .kernel.oracle import Oracle

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


def sentence_sum(term: sp.Expr) -> sp.Expr:
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
        conclusion="so a B that has learnt the loss, E[L], is E[R] + H - 1: near E[R] for an "
        "undecided q over 3 labels, where H = log 3, below it by 1 for a decided q, and above it "
        "by log K - 1 for an undecided one over many labels",
    )


_one, _two, _u = sp.symbols("q1 q2 u", positive=True)
_R1, _R2 = sp.symbols("R1 R2", real=True)


def _two_labels() -> Proof:
    weights = [label * (_u / label) ** 2 for label in (_one, _two)]
    return Proof(
        title="two labels, nothing pathwise: in the best B each R has the other label's "
        "probability",
        start=(weights[0] * _R1 + weights[1] * _R2) / sp.Add(*weights),
        steps=(
            Step(
                _two * _R1 + _one * _R2,
                "assumption",
                "q₁ + q₂ = 1, so that with u = ∂q₁ the scores are u/q₁ and -u/q₂",
                {_two: 1 - _one},
            ),
        ),
        conclusion="E[R] is q₁ R₁ + q₂ R₂: where q is decided, the one is near the R of the "
        "unlikely label and the other near that of the likely one",
    )


def _what_to_fit() -> Proof:
    target = R + c / S
    slope, bend = mean(R * S + c), mean(S)
    return Proof(
        title="what to fit: R + s·d/|s|² at the drawn label, weighed with |s|²",
        start=mean(S * (target - b) ** 2),
        steps=(
            Step(mean(S * target**2) - 2 * b * slope + b**2 * bend, "linearity of the mean"),
            Step(
                mean(S * target**2) - slope**2 / bend + bend * (b - best) ** 2,
                "definition",
                "b is the best B",
                {best: slope / bend},
            ),
        ),
        conclusion="of these terms only (B - b)² E[|s|²] depends on B, and it is the variance "
        "above the least: least squares with these weights looks for the best B. For the "
        "classifier's parameters, which have no pathwise part, R is to be fitted, weighed with "
        "|s|²",
    )


def _what_is_fitted() -> Proof:
    return Proof(
        title="plain least squares looks for E[R]",
        start=mean((R - b) ** 2),
        steps=(
            Step(mean(R**2) - 2 * b * mean(R) + mean(b**2), "linearity of the mean"),
            Step(mean(R**2) - 2 * b * mean(R) + b**2, "normalisation"),
            Step(mean(R**2) - rho**2 + (b - rho) ** 2, "definition", "ρ = E[R]", {rho: mean(R)}),
        ),
    )


def _excess() -> Proof:
    at = a0_j - 2 * a1_j * B_j + a2_j * B_j**2
    least = a0_j - 2 * a1_j * best_j + a2_j * best_j**2
    return Proof(
        title="the variance that a form B leaves above the best, over all sentences",
        start=sentence_sum(at) - sentence_sum(least),
        steps=(
            Step(sentence_sum(at - least), "linearity of the sum"),
            Step(
                sentence_sum(a2_j * (B_j - best_j) ** 2),
                "definition",
                "b_j = a₁_j/a₂_j, the best B of sentence j",
                {best_j: a1_j / a2_j},
            ),
        ),
        conclusion="a weighted least squares problem, in b and with weights a₂ = E[|s|²]",
    )


def _captured_share() -> Proof:
    return Proof(
        title="what B takes off the variance at B = 0, 2 a₁ B - a₂ B² a sentence with a₁ = a₂ b",
        start=sentence_sum(2 * a2_j * best_j * B_j - a2_j * B_j**2),
        steps=(
            Step(sentence_sum(a2_j * best_j**2 - a2_j * (B_j - best_j) ** 2), "algebra"),
            Step(
                sentence_sum(a2_j * best_j**2) - sentence_sum(a2_j * (B_j - best_j) ** 2),
                "linearity of the sum",
            ),
        ),
        conclusion="Σ a₂ b² is what the best B takes off, so the share captured is 1 - Σ a₂ (B - "
        "b)²/Σ a₂ b²: like the R² of a weighted regression, but counted from no baseline; it is "
        "negative where B does harm",
    )


def _pythagoras() -> Proof:
    remaining, moved = (
        sentence_sum(a2_j * (fitted_j - best_j) ** 2),
        sentence_sum(a2_j * (B_j - fitted_j) ** 2),
    )
    residual = a2_j * (fitted_j - best_j)
    change = total(step_i * f_ij, i, features)
    crossed = sentence_sum(residual * (B_j - fitted_j))
    return Proof(
        title="what a form B = F + Σ v_i f_i leaves, from what F leaves",
        start=sentence_sum(a2_j * (B_j - best_j) ** 2),
        steps=(
            Step(remaining + moved + 2 * crossed, "linearity of the sum"),
            Step(
                remaining + moved + 2 * sentence_sum(residual * change),
                "definition",
                "B_j = F_j + Σ_i v_i f_i,j, with features f_i",
                {B_j: fitted_j + change},
            ),
            Step(
                remaining + moved + 2 * total(step_i * sentence_sum(residual * f_ij), i, features),
                "order of sums",
            ),
            Step(
                remaining + moved + 2 * total(step_i * normal_i, i, features),
                "definition",
                "N_i = Σ_j a₂_j (F_j - b_j) f_i,j",
                {normal_i: sentence_sum(residual * f_ij)},
            ),
        ),
        conclusion="F is the best combination of the features if and only if N_i = 0 for each: the "
        "normal equations. Then F is the projection of b on the features, any other combination "
        "leaves more, by Σ a₂ (B - F)², and F captures the share Σ a₂ F²/Σ a₂ b²; one more feature "
        "never captures less",
    )


def _best_constant() -> Proof:
    weighed = sentence_sum(a2_j * best_j)
    return Proof(
        title="what one constant c for all sentences leaves",
        start=sentence_sum(a2_j * (constant - best_j) ** 2),
        steps=(
            Step(
                sentence_sum(a2_j * best_j**2)
                - 2 * constant * weighed
                + constant**2 * sentence_sum(a2_j),
                "linearity of the sum",
            ),
            Step(
                sentence_sum(a2_j * best_j**2)
                - weighed**2 / sentence_sum(a2_j)
                + sentence_sum(a2_j) * (constant - average) ** 2,
                "definition",
                "A is the mean of b weighed with a₂",
                {average: weighed / sentence_sum(a2_j)},
            ),
        ),
        conclusion="at its best, c = A, the weighted variance of b: all that a form may still gain "
        "over a constant",
    )


def _loss_is_no_baseline() -> Counterexample:
    spread = (1 / K) * (1 - 1 / K)
    return Counterexample(
        title="B = E[L] is no worse than none",
        setting="K = 8 equally likely labels, L = log 8 - 1 at each, the derivative by the first "
        "logit, so s is 7/8 at the first and -1/8 elsewhere: R is 0, without a baseline there is "
        "no variance, and B = E[L] makes B² E[s²], with E[s²] = 7/64",
        claimed=sp.S.Zero,
        actual=spread * (sp.log(K) - 1) ** 2,
        at={K: sp.Integer(8)},
    )


@derives("baseline.form")
def form() -> Derivation:
    """The best B, and what a form of it is worth."""
    return Derivation(
        claim="baseline.form",
        verdict=PROVED,
        finding="the best B of a sentence is b = E[R |s|² + s·d]/E[|s|²] with R = L + log q + 1, "
        "not E[R], which is E[L] + 1 - H. Of the variance that baselines can take away, B captures "
        "the share 1 - Σ a₂ (B - b)²/Σ a₂ b², where a₂ = E[|s|²]; an affine form captures most as "
        "the projection of b on its features, weighed with a₂, and least squares on R + s·d/|s|² "
        "at drawn labels, weighed with |s|², looks for just that",
        valid=(*VALID, "B depends on the sentence and λ alone, and carries no gradient", "|s| > 0"),
        symbols={
            "R_k": "L_k + log q_k + 1; ρ is its mean",
            "S_k, c_k": "|s_k|² and s_k·d_k, over the parameters of a group, with s = ∂log q and "
            "d = ∂L",
            "B, b": "a baseline's value for the sentence, and the best one, E[R S + c]/E[S], which "
            "baseline.variance derives",
            "a₀, a₁, a₂": "the variance at B = 0, E[R S + c] and E[S]: the variance is a₀ - 2 a₁ B "
            "+ a₂ B²",
            "j": "a sentence, 1..J; B_j, b_j, a₂_j = E[|s|²] and so on are those of sentence j",
            "f_i,j": "feature i of sentence j; v_i what its coefficient is changed by",
            "F_j": "a combination of the features; N_i tells how far it is from the best",
        },
        parts=(
            _from_the_mean(),
            _from_the_loss(),
            _loss_is_no_baseline(),
            _two_labels(),
            _what_is_fitted(),
            _what_to_fit(),
            _excess(),
            _captured_share(),
            _best_constant(),
            _pythagoras(),
        ),
        oracle=Oracle(
            1 - sentence_sum(a2_j * (B_j - best_j) ** 2) / sentence_sum(a2_j * best_j**2),
            ARGUMENTS,
            index=j,
        ),
        infinite_labels=BEYOND,
        reference="Best baseline of a state: Greensmith, Bartlett and Baxter, 2004",
    )


#: Per sentence: E[|s|²], the best B, and the B in question.
ARGUMENTS = {"a2": a2_j, "best": best_j, "baseline": B_j}
EXCESS = Oracle(sentence_sum(a2_j * (B_j - best_j) ** 2), ARGUMENTS, index=j)
