"""Claim renormalised: the released scheme with two labels, its gradient, and the right weights.

What the scheme estimates is in :mod:`gradproof.derivations.without_replacement`.

Reference:
    Kool, van Hoof and Welling (2020), Estimating gradients for discrete random variables by
    sampling without replacement.
"""

from __future__ import annotations

import sympy as sp

from .gradient import zero_score
from .kernel.derivation import REFUTED, Derivation, Proof, Step, derives
from .kernel.expressions import D, K, e, k, mean, q, s, total, w
from .kernel.oracle import Oracle
from .without_replacement import (
    DELTA,
    MEAN,
    PAIR,
    RENORMALISED,
    SCORE,
    SCORE_M,
    WEIGHT,
    biased_mean,
    biased_score,
    draws_add_up,
    f,
    f_m,
    m,
    mean_of_pairs,
    mean_over_pairs,
    q_m,
    slope,
    split_by_draw,
    sum_over_pairs,
    three_labels,
    two_labels,
)

inclusion = sp.Function("π", positive=True)(k)


def _derivative() -> Proof:
    below = q + q_m
    above = q * f + q_m * f_m
    own = (q * D(f, e) + q_m * D(f_m, e)) / below
    return Proof(
        title="the derivative of the renormalised estimator, its weights live",
        start=D(RENORMALISED, e),
        steps=(
            Step(D(above, e) / below + above * D(1 / below, e), "product rule"),
            Step(D(above, e) / below - above * D(below, e) / below**2, "chain rule"),
            Step(
                (D(q * f, e) + D(q_m * f_m, e)) / below - above * (D(q, e) + D(q_m, e)) / below**2,
                "linearity of the derivative",
            ),
            Step(
                (f * D(q, e) + f_m * D(q_m, e)) / below
                - above * (D(q, e) + D(q_m, e)) / below**2
                + own,
                "product rule",
            ),
            Step(
                (f * q * SCORE + f_m * q_m * SCORE_M) / below
                - above * (q * SCORE + q_m * SCORE_M) / below**2
                + own,
                "log-derivative",
            ),
            Step(q * q_m / below**2 * DELTA + own, "algebra", "over one denominator"),
        ),
        conclusion="the second part is the renormalised estimator of the mean of ∂f, with the bias "
        "found above; the first is the score part",
    )


_average = sp.Function("A", real=True)(k, m, e, w)


def _held_weights() -> Proof:
    part = (q * (f - _average) * SCORE + q_m * (f_m - _average) * SCORE_M) / (q + q_m)
    return Proof(
        title="the same from weights held constant and their mean as the baseline",
        start=part,
        steps=(
            Step(
                q * q_m / (q + q_m) ** 2 * DELTA,
                "definition",
                "A_k,m is the renormalised mean of f over the two labels",
                {_average: RENORMALISED},
            ),
        ),
        conclusion="so it makes no difference whether the weights are differentiated, or held "
        "constant with the score term written out and that baseline subtracted",
    )


def _symmetric_mean(title: str, term: sp.Expr, result: sp.Expr, conclusion: str = "") -> Proof:
    """A mean over the two draws, made symmetric in them."""
    half = sp.Rational(1, 2)
    one = q * q_m / (1 - q) * term
    swapped = one.xreplace({k: m, m: k})
    return Proof(
        title=title,
        start=mean_over_pairs(term),
        steps=(
            Step(
                half * sum_over_pairs(one) + half * sum_over_pairs(swapped),
                "order of sums",
                "half of it with k and m exchanged; at m = k the term is zero",
            ),
            Step(result, "linearity of the sum"),
        ),
        conclusion=conclusion,
    )


def _score_part(zero: Proof) -> Proof:
    product = total(q * f) * total(q * SCORE)
    return Proof(
        title="the true score part, pair by pair",
        start=sp.Rational(1, 2) * sum_over_pairs(q * q_m * DELTA),
        steps=(
            Step(
                sp.Rational(1, 2)
                * (
                    total(q * f * SCORE) * total(q_m, m, K)
                    + total(q) * total(q_m * f_m * SCORE_M, m, K)
                    - total(q * f) * total(q_m * SCORE_M, m, K)
                    - total(q * SCORE) * total(q_m * f_m, m, K)
                ),
                "linearity of the sum",
            ),
            Step(
                sp.Rational(1, 2)
                * (total(q * f * SCORE) * total(q) + total(q) * total(q * f * SCORE))
                - product,
                "order of sums",
                "m is renamed k",
            ),
            Step(total(q * f * SCORE) - product, "normalisation"),
            Step(total(q * f * SCORE) - total(q * f) * mean(SCORE), "mean"),
            Step(total(q * f * SCORE), "shown above", "the score has mean zero", zero.shown),
        ),
    )


_a, _b = sp.symbols("a b", positive=True)
KEPT = _a * _b * (1 / (1 - _a) + 1 / (1 - _b)) / (_a + _b) ** 2


def _shrinkage() -> tuple[Proof, ...]:
    equal = {_a: 1 / K, _b: 1 / K}
    lost = (1 - _a - _b) * ((_a - _b) ** 2 + _a * _b * (2 - _a - _b))
    return (
        Proof(
            title="what each pair of labels of probabilities a and b loses of its share",
            start=1 - KEPT,
            steps=(
                Step(
                    lost / ((1 - _a) * (1 - _b) * (_a + _b) ** 2),
                    "algebra",
                    "1 less the factor found above",
                ),
            ),
            conclusion="no factor is negative: every pair is shrunk, unless a + b = 1, that is, "
            "unless there are no other labels",
        ),
        Proof(
            title="the mean weight c where all K labels are equally likely",
            start=K * (_a * _b * (1 / (1 - _a) + 1 / (1 - _b)) / (_a + _b)).xreplace(equal)
            - 1 / K / (1 - 1 / K),
            steps=(
                Step(
                    sp.S.One,
                    "algebra",
                    "the sum over m in c_k has K equal terms; q_k/(1 - q_k) off",
                ),
            ),
            conclusion="a mean is right there, and only the score part is not",
        ),
        Proof(
            title="what a pair keeps where all K labels are equally likely",
            start=KEPT.xreplace(equal),
            steps=(Step(K / (2 * (K - 1)), "algebra"),),
            conclusion="3/4 of the score part for 3 labels, 2/3 for 4, and towards 1/2 for many",
        ),
    )


def _correct_weights() -> Proof:
    first, second = (1 - q_m) * f / (2 - q - q_m), (1 - q) * f_m / (2 - q - q_m)
    diagonal = total(q**2 / (1 - q) * f)
    return Proof(
        title="the weights (1 - q_m)/(2 - q_k - q_m) and (1 - q_k)/(2 - q_k - q_m) are right",
        start=mean_over_pairs(first + second),
        steps=(
            *split_by_draw(first, second, diagonal),
            Step(
                total(q / (1 - q) * f * total(q_m, m, K)) - diagonal,
                "linearity of the sum",
                "(1 - q_m)/(1 - q_k) + 1 = (2 - q_k - q_m)/(1 - q_k)",
            ),
            Step(total(q / (1 - q) * f) - diagonal, "normalisation"),
            Step(MEAN, "linearity of the sum"),
        ),
        conclusion="they too add up to one; each is the probability that its label came first, "
        "given the two",
    )


def _inclusion_weights() -> Proof:
    inclusion_m = inclusion.xreplace({k: m})
    first, second = q * f / inclusion, q_m * f_m / inclusion_m
    twice = total(q**2 / (1 - q) * 2 * first)
    of_k = total(PAIR, m, K) - 2 * q**2 / (1 - q)
    return Proof(
        title="so are the weights q_k/π_k, π_k the probability that k is one of the two",
        start=mean_over_pairs(first + second),
        steps=(
            *split_by_draw(first, second, twice),
            Step(total(first * of_k), "linearity of the sum"),
            Step(
                MEAN,
                "definition",
                "π_k sums the probabilities of all pairs with k",
                {inclusion: of_k, inclusion_m: of_k.xreplace({k: m, m: k})},
            ),
        ),
        conclusion="these do not add up to one: a constant f is estimated with noise",
    )


@derives("renormalised")
def renormalised() -> Derivation:
    """Two labels without replacement: what the renormalised weights estimate, and what is right."""
    zero = zero_score(e)
    ordered = (1 - q) * (1 - q_m) / (2 - q - q_m) * DELTA
    score_part = _score_part(zero)
    half = sp.Rational(1, 2)
    return Derivation(
        claim="renormalised",
        verdict=REFUTED,
        finding="with weights q_k/(q_k + q_m) for the labels k and m drawn, a mean is estimated "
        "with the bias Σ_k q_k (c_k - 1) f_k, where q_k c_k is what f_k counts on average, and "
        "every pair's share of the score part is shrunk, as soon as there are 3 labels: to "
        "K/(2 (K - 1)) of it for equal q. For a mean the weights (1 - q_m)/(2 - q_k - q_m) are "
        "right; for the score part (1 - q_k)(1 - q_m)/(2 - q_k - q_m) (f_k - f_m)(s_k - s_m) is, "
        "with s = ∂log q",
        valid=(
            "K is finite, at least 2, and every label has 0 < q_k < 1",
            "the second label is drawn from what the first leaves, with the probabilities scaled "
            "up to one",
            "f and log q are differentiable",
        ),
        symbols={
            "f_k": "what is averaged: L_k, or L_k + log q_k",
            "k, m": "the first and the second label drawn",
            "c_k": "the mean weight of f_k, relative to q_k: it should be 1",
            "π_k": "the probability that k is one of the two labels",
            "s_k": "∂log q_k/∂e, the score",
            "A_k,m": "the renormalised mean of f over the two labels",
            "Σ_k Σ_m": "over all k and all m; from a mean over two draws, which differ, a sum over "
            "k takes the terms m = k away",
        },
        parts=(
            draws_add_up(),
            mean_of_pairs(),
            two_labels(),
            three_labels(),
            biased_mean(),
            _derivative(),
            _held_weights(),
            zero,
            score_part,
            _symmetric_mean(
                "the mean of the renormalised score part, pair by pair",
                q * q_m / (q + q_m) ** 2 * DELTA,
                half * sum_over_pairs(q * q_m * DELTA * PAIR / (q + q_m) ** 2),
                "each pair's true share is multiplied by q_k q_m (1/(1 - q_k) + 1/(1 - q_m))/(q_k "
                "+ q_m)²",
            ),
            *_shrinkage(),
            biased_score(),
            _correct_weights(),
            _inclusion_weights(),
            _symmetric_mean(
                "(1 - q_k)(1 - q_m)/(2 - q_k - q_m) (f_k - f_m)(s_k - s_m) is right",
                ordered,
                score_part.start,
                "this is Σ_k q_k f_k s_k, shown above, with a baseline built in",
            ),
        ),
        oracle=Oracle(total(q * f * WEIGHT), {"q": q, "f": f}),
        infinite_labels=(
            "Countably many labels: nothing changes as long as Σ q_k |f_k| converges, and the "
            "score part goes to half of what it should be where all q_k are small and alike. "
            "Continuous y: two draws differ anyway, and the corrected weights become 1/2 each."
        ),
        reference="Corrected weights: Horvitz and Thompson, 1952 (by inclusion); Murthy, 1957, "
        "and Kool, van Hoof and Welling, 2020, Estimating Gradients for Discrete Random Variables "
        "by Sampling without Replacement (by the first draw given the set)",
    )


#: The mean of the gradient that the released code's unlabelled step takes, by one parameter.
GRADIENT = Oracle(
    sp.Rational(1, 2)
    * sum_over_pairs(q * q_m * (f - f_m) * (s - s.xreplace({k: m})) * PAIR / (q + q_m) ** 2)
    + total(q * slope * WEIGHT),
    {"q": q, "f": f, "score": s, "pathwise": slope},
)
