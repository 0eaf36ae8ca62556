# ruff: noqa: RUF001  # Greek letters in a formula are meant
"""Claim baseline.variance: what a baseline does to the variance, exactly.

The variance of one coordinate of the estimate is a parabola in B. Where its lowest point is, and on
which side of it B = 0 lies, decides everything.

Reference:
    Weaver and Tao (2001), The optimal reward baseline for gradient-based reinforcement learning.
    Greensmith, Bartlett and Baxter (2004), Variance reduction techniques for gradient estimates in
    reinforcement learning.
"""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp

from .gradient import BEYOND, LOG_Q, VALID, zero_score
from .kernel.derivation import REFUTED, Counterexample, Derivation, Proof, Step, derives
from .kernel.expressions import D, L, d, e, k, mean, q, s, total
from .kernel.oracle import Oracle
from .several_labels import SAMPLES, leave_one_out_parts

#: B as a number: of this sentence and λ alone. And the gradient that is estimated.
b, G = sp.symbols("B G", real=True)
R = sp.Function("R", real=True)(k)
a0, a1, best = sp.symbols("a0 a1 b", real=True)
a2 = sp.Symbol("a2", positive=True)
PARABOLA = a0 - 2 * a1 * b + a2 * b**2
BEST_IS = {best: a1 / a2}

i, n_parts = sp.symbols("i I", integer=True, positive=True)
a0_i, a1_i, best_i = (sp.Function(name, real=True)(i) for name in ("a0", "a1", "b"))
a2_i = sp.Function("a2", positive=True)(i)
s_i, d_i = (sp.Function(name, real=True)(k, i) for name in "sd")


def score_is_zero(zero: Proof) -> Proof:
    """E[s] = 0, with s as a letter."""
    return Proof(
        title="the same with the score as a letter",
        start=mean(s),
        steps=(
            Step(zero.start, "definition", "s = ∂log q", {s: D(LOG_Q, e)}),
            Step(sp.S.Zero, "shown above", given=zero.shown),
        ),
    )


def _same_mean(zero: Proof) -> Proof:
    return Proof(
        title="the mean does not depend on B",
        start=mean((R - b) * s + d),
        steps=(
            Step(mean(R * s + d) - b * mean(s), "linearity of the mean"),
            Step(mean(R * s + d), "shown above", given=zero.shown),
            Step(G, "definition", "G is the gradient", {G: mean(R * s + d)}),
        ),
    )


def _parabola(unbiased: Proof) -> Proof:
    at_zero, slope, bend = mean((R * s + d) ** 2), mean(R * s**2 + s * d), mean(s**2)
    spread = at_zero - 2 * b * slope + b**2 * bend
    return Proof(
        title="the variance of one coordinate is a parabola in B",
        start=mean(((R - b) * s + d - G) ** 2),
        steps=(
            Step(spread - 2 * G * unbiased.start + mean(G**2), "linearity of the mean"),
            Step(spread - 2 * G * unbiased.start + G**2, "normalisation", "E[G²] = G²"),
            Step(spread - G**2, "shown above", given=unbiased.shown),
            Step(
                PARABOLA,
                "definition",
                "a₂ = E[s²], a₁ = E[R s² + s d], and a₀ the variance at B = 0",
                {a0: at_zero - G**2, a1: slope, a2: bend},
            ),
        ),
        conclusion="the pathwise part d enters a₁, so that the best B is not a matter of R alone",
    )


def _sum_over_coordinates() -> Proof:
    one, two = R * s_i**2 + s_i * d_i, s_i**2
    at_zero = total(a0_i, i, n_parts)
    return Proof(
        title="summed over coordinates, it is one again",
        start=total(a0_i - 2 * a1_i * b + a2_i * b**2, i, n_parts),
        steps=(
            Step(
                at_zero - 2 * b * total(a1_i, i, n_parts) + b**2 * total(a2_i, i, n_parts),
                "linearity of the sum",
            ),
            Step(
                at_zero
                - 2 * b * total(mean(one), i, n_parts)
                + b**2 * total(mean(two), i, n_parts),
                "definition",
                "the a₁ and a₂ of each coordinate",
                {a1_i: mean(one), a2_i: mean(two)},
            ),
            Step(
                at_zero
                - 2 * b * mean(total(one, i, n_parts))
                + b**2 * mean(total(two, i, n_parts)),
                "linearity of the mean",
            ),
        ),
        conclusion="with a₂ = E[|s|²] and a₁ = E[R |s|² + s·d] all that follows holds for the "
        "summed variance of a group, or of all parameters",
    )


def _best_baseline() -> Proof:
    return Proof(
        title="the best B is a₁/a₂",
        start=PARABOLA,
        steps=(
            Step(
                a0 - a1**2 / a2 + a2 * (b - best) ** 2,
                "definition",
                "b = a₁/a₂, and the square is completed",
                BEST_IS,
            ),
        ),
        conclusion="a₂ > 0 unless no score moves, so b is the only lowest point, and what any "
        "other B adds is a₂ (B - b)²",
    )


def _interval() -> Proof:
    return Proof(
        title="when B is better than none",
        start=PARABOLA - PARABOLA.subs(b, 0),
        steps=(Step(a2 * b * (b - 2 * best), "definition", "b = a₁/a₂", BEST_IS),),
        conclusion="this is negative if and only if B lies strictly between 0 and 2 b; at both "
        "ends the variance is that at B = 0, and outside it is higher",
    )


def _baseline_per_part() -> Proof:
    common = a0_i - 2 * a1_i * b + a2_i * b**2
    own = a0_i - 2 * a1_i * best_i + a2_i * best_i**2
    return Proof(
        title="what one common B costs against one for each part",
        start=total(common, i, n_parts) - total(own, i, n_parts),
        steps=(
            Step(total(common - own, i, n_parts), "linearity of the sum"),
            Step(
                total(a2_i * (b - best_i) ** 2, i, n_parts),
                "definition",
                "b_i = a₁_i/a₂_i, the best B of part i",
                {best_i: a1_i / a2_i},
            ),
        ),
        conclusion="a sum of squares: with parameters as the parts of a group, and with groups as "
        "the parts of all, best per parameter ≤ best per group ≤ best for all, and equal only "
        "where the best B are equal",
    )


z, rest = (sp.Function(name, real=True)(k) for name in "zu")
mean_z, mean_rest = sp.symbols("mu nu", real=True)


def _plus_one() -> Proof:
    return Proof(
        title="the variance of the (CQ + 1) form, less that of the analytic -∂H",
        start=mean((z + rest - mean_z - mean_rest) ** 2) - mean((rest - mean_rest) ** 2),
        steps=(
            Step(
                mean((z - mean_z) ** 2) + 2 * mean((z - mean_z) * (rest - mean_rest)),
                "linearity of the mean",
            ),
        ),
        conclusion="Var(z) + 2 Cov(z, u): the analytic form is quieter unless z and u are "
        "correlated so negatively that 2 Cov(z, u) < -Var(z); u contains the baseline, so B can "
        "turn the answer",
    )


def variance_of_table(probabilities: Sequence[sp.Expr], estimates: Sequence[sp.Expr]) -> sp.Expr:
    """The variance of estimates that take these values with these probabilities, exactly."""
    pairs = list(zip(probabilities, estimates, strict=True))
    first = sp.Add(*[probability * value for probability, value in pairs])
    return sp.Add(*[probability * value**2 for probability, value in pairs]) - first**2


_HALF = (sp.Rational(1, 2),) * 2
_c, _at = sp.symbols("c B", real=True)


def _harmful_baseline() -> Counterexample:
    return Counterexample(
        title="any baseline makes the gradient more stable",
        setting="two equally likely labels of scores 1 and -1, R = 1 at both, no pathwise part: "
        "the variance at B is (1 - B)², 1 without a baseline; B = 3 lies outside (0, 2)",
        claimed=variance_of_table(_HALF, (sp.S.One, -sp.S.One)),
        actual=variance_of_table(_HALF, (1 - _at, _at - 1)),
        at={_at: sp.Integer(3)},
        conclusion="claimed is the most that the variance should be",
    )


def _forms() -> tuple[Counterexample, ...]:
    plus = 1 - sp.log(2)
    form = variance_of_table(_HALF, (_c + plus, -_c - plus))
    analytic = variance_of_table(_HALF, (_c, -_c))
    setting = "two equally likely labels of scores 1 and -1, so that ∂H = 0, no pathwise part, and "
    return (
        Counterexample(
            title="the (CQ + 1) form is as quiet as the analytic one",
            setting=setting + "L = 0: the analytic form has no variance at all",
            claimed=analytic,
            actual=form,
            at={_c: sp.S.Zero},
        ),
        Counterexample(
            title="the analytic form is as quiet as the (CQ + 1) one",
            setting=setting + "L = log 2 - 1 at both: now the (CQ + 1) form has none",
            claimed=form,
            actual=analytic,
            at={_c: -plus},
        ),
    )


@derives("baseline.variance")
def variance() -> Derivation:
    """When a baseline lowers the variance, by how much, and what more draws do."""
    zero = zero_score(e)
    letter = score_is_zero(zero)
    unbiased = _same_mean(letter)
    return Derivation(
        claim="baseline.variance",
        verdict=REFUTED,
        finding="a baseline lowers the variance if and only if B lies strictly between 0 and 2 b, "
        "where b = E[R |s|² + s·d]/E[|s|²], R = L + log q + 1, s = ∂log q and d = ∂L: it changes "
        "it by E[|s|²] B (B - 2 b). The mean of n independent draws has 1/n of the variance; if "
        "the draws serve each other as baselines, it has V/n + (Var(R) E[s²] + E[R s]²)/(n (n - "
        "1)) by each parameter, where V is the variance with the baseline E[R]",
        valid=(*VALID, "B does not depend on the label drawn and carries no gradient", "E[s²] > 0"),
        symbols={
            "R_k": "L_k + log q_k + 1, what the score is weighed with; without the 1, or without "
            "log q, where the entropy enters another way",
            "s_k, d_k": "∂log q_k and ∂L_k by one parameter; s_k,i and d_k,i by parameter i of I",
            "B": "the baseline's value for the sentence",
            "G": "the gradient ∂U, E[R s + d], by one parameter",
            "a₂, a₁, b": "E[s²], E[R s² + s d], and the best B, a₁/a₂; a₀ is the variance at B = 0",
            "a_i, b_i": "the same of part i: of one parameter of a group, or of one group of all",
            "z_k": "(log q_k + 1) s_k; its mean, μ, is -∂H",
            "u_k": "(L_k - B) s_k + d_k; its mean is ν",
            **SAMPLES,
        },
        parts=(
            zero,
            letter,
            unbiased,
            _parabola(unbiased),
            _sum_over_coordinates(),
            _best_baseline(),
            _interval(),
            _harmful_baseline(),
            _baseline_per_part(),
            _plus_one(),
            *_forms(),
            *leave_one_out_parts(letter),
        ),
        oracle=Oracle(VARIANCE, {**ARGUMENTS, "baseline": b}),
        infinite_labels=BEYOND + " The moments E[s²] and E[R² s²] must be finite.",
        reference="Best constant baseline: Weaver and Tao, 2001; Greensmith, Bartlett and Baxter, "
        "2004. Other draws as baseline: Mnih and Rezende, 2016; Kool, van Hoof and Welling, 2019.",
    )


_RETURN = L + LOG_Q + 1
#: What the oracles take; the label is the first axis of each.
ARGUMENTS = {"q": q, "log_q": LOG_Q, "loss": L, "score": s, "pathwise": d}
VARIANCE = total(q * ((_RETURN - b) * s + d) ** 2) - total(q * ((_RETURN - b) * s + d)) ** 2
#: The moments of each coordinate: sum them over a group before dividing, for the group's best B.
A1 = Oracle(total(q * (_RETURN * s**2 + s * d)), ARGUMENTS)
A2 = Oracle(total(q * s**2), {"q": q, "score": s})
#: The variance of the (CQ + 1) form less that of the analytic one.
_Z, _U = (LOG_Q + 1) * s, (L - b) * s + d
PLUS_ONE = Oracle(
    total(q * (_Z + _U) ** 2) - total(q * (_Z + _U)) ** 2 - total(q * _U**2) + total(q * _U) ** 2,
    {**ARGUMENTS, "baseline": b},
)
_n = sp.Symbol("n", real=True)
_MEAN_R = total(q * _RETURN)
#: The variance of n draws of which each has the mean R of the others as its baseline.
LEAVE_ONE_OUT = Oracle(
    VARIANCE.subs(b, _MEAN_R) / _n
    + ((total(q * _RETURN**2) - _MEAN_R**2) * total(q * s**2) + total(q * _RETURN * s) ** 2)
    / (_n * (_n - 1)),
    {**ARGUMENTS, "draws": _n},
)
