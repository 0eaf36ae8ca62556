# ruff: noqa: RUF001  # Greek letters in a formula are meant
"""Several draws for one sentence: their mean, and each as the baseline of the others.

After n draws there are four sums; one more draw changes their mean products in a way that can be
written down for any n. From no draw on, that is an induction.

Reference:
    Kool, van Hoof and Welling (2019), Buy 4 REINFORCE samples, get a baseline for free! Mnih and
    Rezende (2016), Variational inference for Monte Carlo objectives (VIMCO).
"""

from __future__ import annotations

import sympy as sp

from .kernel.derivation import Proof, Step
from .kernel.expressions import d, k, mean, s, total
from .kernel.notation import text

m, n, t, i = sp.symbols("m n t i", integer=True, positive=True)
G, rho = sp.symbols("G rho", real=True)
R, x, r = (sp.Function(name, real=True)(k) for name in "Rxr")
#: What the earlier draws add up to, and the probability of those draws.
p = sp.Function("p", positive=True)(m)
X, P, Q, T, B = (sp.Function(name, real=True)(m) for name in "XPQTB")
V, sigma2, C, W = sp.symbols("V sigma^2 C W", real=True)
a2 = sp.Symbol("a2", positive=True)
#: The mean of X², of T² and of X T after n draws.
after_X, after_T, after_XT = sp.symbols("h_X h_T h_XT", real=True)
R_t, s_t, d_t, r_t, x_t = (sp.Function(name, real=True)(t) for name in "Rsdrx")
R_i, r_i = R_t.xreplace({t: i}), r_t.xreplace({t: i})

#: The legend of these parts.
SAMPLES = {
    "m": "the other draws, or all earlier ones, with probability p_m; B_m is a baseline made of "
    "them, such as their mean R",
    "r_k, x_k": "R_k - ρ with ρ = E[R], and (R_k - ρ) s_k + d_k - G",
    "X, P, Q": "the sums of x, r and s over the earlier draws",
    "T": "the sum of r_i s_t over all pairs of different earlier draws i and t",
    "n": "the number of draws; i and t are two of them, from part 16 on",
    "V, W": "E[x²], and σ² a₂ + C² with σ² = E[r²] and C = E[r s]",
    "h": "h_X, h_T and h_XT are what E[X²], E[T²] and E[X T] are after n draws",
}


def _mean_over_past(term: sp.Expr) -> sp.Expr:
    """The mean over all earlier draws."""
    return mean(term, p, m)


def _baseline_of_others(zero: Proof) -> Proof:
    return Proof(
        title="a baseline made of the other draws keeps the mean",
        start=_mean_over_past(mean((R - B) * s + d)),
        steps=(
            Step(
                _mean_over_past(mean(R * s + d) - B * mean(s)),
                "linearity of the mean",
                "the other draws are independent of this one",
            ),
            Step(_mean_over_past(mean(R * s + d)), "shown above", given=zero.shown),
            Step(mean(R * s + d), "normalisation", "Σ_m p_m = 1"),
        ),
        conclusion="so each of n draws is unbiased, and with them their mean, for every n ≥ 2",
    )


def _zero_means(zero: Proof) -> tuple[Proof, Proof]:
    return (
        Proof(
            title="R less its mean has mean zero",
            start=mean(r),
            steps=(
                Step(mean(R - rho), "definition", "r = R - ρ", {r: R - rho}),
                Step(mean(R) - rho, "normalisation"),
                Step(sp.S.Zero, "definition", "ρ = E[R]", {rho: mean(R)}),
            ),
        ),
        Proof(
            title="and so has the estimate with ρ as its baseline, less the gradient",
            start=mean(x),
            steps=(
                Step(
                    mean((R - rho) * s + d - G),
                    "definition",
                    "x = (R - ρ) s + d - G",
                    {x: (R - rho) * s + d - G},
                ),
                Step(mean((R - rho) * s + d) - G, "normalisation"),
                Step(mean(R * s + d) - rho * mean(s) - G, "linearity of the mean"),
                Step(mean(R * s + d) - G, "shown above", given=zero.shown),
                Step(sp.S.Zero, "definition", "G is the gradient", {G: mean(R * s + d)}),
            ),
        ),
    )


def _grows(
    one: sp.Expr, a: sp.Expr, two: sp.Expr, b: sp.Expr, zeros: dict[sp.Expr, sp.Expr]
) -> Proof:
    """How the mean product of two sums grows by one more draw."""
    cross = one * mean(b) + two * mean(a)
    return Proof(
        title=f"one more draw adds E[{text(a * b)}] to E[{text(one * two)}]",
        start=_mean_over_past(mean((one + a) * (two + b))),
        steps=(
            Step(_mean_over_past(mean(one * two) + cross + mean(a * b)), "linearity of the mean"),
            Step(_mean_over_past(one * two + cross) + mean(a * b), "normalisation"),
            Step(_mean_over_past(one * two) + mean(a * b), "shown above", given=zeros),
        ),
    )


def _pair_sum_grows(zeros: dict[sp.Expr, sp.Expr]) -> Proof:
    products = P**2 * mean(s**2) + Q**2 * mean(r**2) + 2 * P * Q * mean(r * s)
    return Proof(
        title="what it adds to E[T²]",
        start=_mean_over_past(mean((T + P * s + Q * r) ** 2)),
        steps=(
            Step(
                _mean_over_past(mean(T**2) + 2 * T * P * mean(s) + 2 * T * Q * mean(r) + products),
                "linearity of the mean",
            ),
            Step(_mean_over_past(mean(T**2) + products), "shown above", given=zeros),
            Step(_mean_over_past(T**2 + products), "normalisation"),
            Step(
                _mean_over_past(T**2)
                + mean(s**2) * _mean_over_past(P**2)
                + mean(r**2) * _mean_over_past(Q**2)
                + 2 * mean(r * s) * _mean_over_past(P * Q),
                "linearity of the mean",
            ),
        ),
        conclusion="T pairs every draw with every other: the new one with all before, both ways",
    )


def _mixed_grows(zeros: dict[sp.Expr, sp.Expr]) -> Proof:
    products = P * mean(x * s) + Q * mean(x * r)
    return Proof(
        title="what it adds to E[X T]",
        start=_mean_over_past(mean((X + x) * (T + P * s + Q * r))),
        steps=(
            Step(
                _mean_over_past(
                    mean(X * T) + X * P * mean(s) + X * Q * mean(r) + T * mean(x) + products
                ),
                "linearity of the mean",
            ),
            Step(_mean_over_past(mean(X * T) + products), "shown above", given=zeros),
            Step(_mean_over_past(X * T + products), "normalisation"),
            Step(
                _mean_over_past(X * T)
                + mean(x * s) * _mean_over_past(P)
                + mean(x * r) * _mean_over_past(Q),
                "linearity of the mean",
            ),
        ),
        conclusion="P and Q are sums of draws of mean zero, so nothing is added: E[X T] = 0 for "
        "every n",
    )


def _pattern() -> Proof:
    return Proof(
        title="part 21 after n draws, where E[P²] = n σ², E[Q²] = n a₂, E[P Q] = n C and E[T²] = "
        "n (n - 1) W",
        start=n * (n - 1) * W + a2 * (n * sigma2) + sigma2 * (n * a2) + 2 * C * (n * C),
        steps=(
            Step(
                (n + 1) * n * W,
                "definition",
                "W = σ² a₂ + C², with σ² = E[r²], a₂ = E[s²], C = E[r s]",
                {W: sigma2 * a2 + C**2},
            ),
        ),
        conclusion="E[T²] is the same with n + 1 for n, and 0 for no draw: so by induction it is "
        "n (n - 1) W for every n. What was put in for P and Q follows likewise from parts 18 to "
        "20, which add the same at each draw, and so does E[X²] = n V from part 17; V = E[x²] is "
        "the variance with the baseline E[R]",
    )


def _as_sums() -> Proof:
    others = total(R_i, i, n) - R_t
    zero_sum = total(r_i, i, n) + total(rho, i, n) - r_t - rho
    pair_sum = total(total(r_i * s_t, i, n), t, n) - total(r_t * s_t, t, n)
    return Proof(
        title="the estimate from n draws, each with the others' mean R as its baseline",
        start=total((R_t - others / (n - 1)) * s_t + d_t, t, n) / n - G,
        steps=(
            Step(
                total(
                    (r_t + rho - (total(r_i + rho, i, n) - r_t - rho) / (n - 1)) * s_t
                    + x_t
                    + G
                    - r_t * s_t,
                    t,
                    n,
                )
                / n
                - G,
                "definition",
                "of r and x: R_t = r_t + ρ, and d_t = x_t + G - r_t s_t",
                {r_t: R_t - rho, r_i: R_i - rho, x_t: (R_t - rho) * s_t + d_t - G},
            ),
            Step(
                total((r_t + rho - zero_sum / (n - 1)) * s_t + x_t + G - r_t * s_t, t, n) / n - G,
                "linearity of the sum",
            ),
            Step(
                total(x_t - (total(r_i, i, n) - r_t) / (n - 1) * s_t + G, t, n) / n - G,
                "counting",
                "Σ_i ρ = n ρ: the mean of R falls out",
            ),
            Step(
                (total(x_t, t, n) + total(G, t, n)) / n - pair_sum / (n * (n - 1)) - G,
                "linearity of the sum",
            ),
            Step(total(x_t, t, n) / n - pair_sum / (n * (n - 1)), "counting"),
        ),
        conclusion="X is Σ_t x_t, and T is Σ_t Σ_i r_i s_t without the terms i = t",
    )


def _spread() -> tuple[Proof, Proof]:
    weight = n * (n - 1)
    return (
        Proof(
            title="the variance of part 16, from the sums after n draws",
            start=_mean_over_past((X / n - T / weight) ** 2),
            steps=(
                Step(
                    _mean_over_past(X**2) / n**2
                    - 2 * _mean_over_past(X * T) / (n * weight)
                    + _mean_over_past(T**2) / weight**2,
                    "linearity of the mean",
                ),
            ),
        ),
        Proof(
            title="and with what their means are after n draws",
            start=after_X / n**2 - 2 * after_XT / (n * weight) + after_T / weight**2,
            steps=(
                Step(
                    V / n + W / weight,
                    "definition",
                    "h_X = n V, h_XT = 0 and h_T = n (n - 1) W, by parts 17, 22 and 23",
                    {after_X: n * V, after_XT: sp.S.Zero, after_T: weight * W},
                ),
            ),
            conclusion="with ρ known, T is left out and V/n remains; so it is for n draws with any "
            "other fixed B, and its own V. The second term is the price of not knowing E[R]",
        ),
    )


def leave_one_out_parts(zero: Proof) -> tuple[Proof, ...]:
    """The mean of n draws, and n draws that serve each other as baselines.

    Args:
        zero: that the score has mean zero.
    """
    zero_r, zero_x = _zero_means(zero)
    zeros = zero.shown | zero_r.shown | zero_x.shown
    return (
        _baseline_of_others(zero),
        zero_r,
        zero_x,
        _as_sums(),
        *(
            _grows(*sums, zeros)
            for sums in ((X, x, X, x), (P, r, P, r), (Q, s, Q, s), (P, r, Q, s))
        ),
        _pair_sum_grows(zeros),
        _mixed_grows(zeros),
        _pattern(),
        *_spread(),
    )
