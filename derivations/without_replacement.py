"""Two labels drawn without replacement, and a mean with their probabilities scaled up to one.

The first label k is drawn with probability q_k, the second, m, from what is left: q_m/(1 - q_k). A
sum over all m other than k is written as the sum over all m less its term m = k.

Reference:
    Kool, van Hoof and Welling (2020), Estimating gradients for discrete random variables by
    sampling without replacement.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import sympy as sp

from .gradient import LOG_Q
from .kernel.derivation import Counterexample, Proof, Step
from .kernel.expressions import D, K, e, k, q, total

m = sp.Symbol("m", integer=True, positive=True)
q_m = q.xreplace({k: m})
#: Any function of the label; the released code has L there.
f = sp.Function("f", real=True)(k, e)
f_m = f.xreplace({k: m})
#: Its own derivative, where only its label matters.
slope = sp.Function("d", real=True)(k)
weight = sp.Function("c", real=True)(k)
MEAN = total(q * f)
SCORE, SCORE_M = D(LOG_Q, e), D(sp.log(q_m), e)
DELTA = (f - f_m) * (SCORE - SCORE_M)
#: The probability of the two labels, in either order.
PAIR = q * q_m * (1 / (1 - q) + 1 / (1 - q_m))


def sum_over_pairs(term: sp.Expr) -> sp.Expr:
    """The sum over all k and all m."""
    return total(total(term, m, K))


def mean_over_pairs(term: sp.Expr) -> sp.Expr:
    """The mean over both draws of what they yield together."""
    diagonal = q**2 / (1 - q) * term.xreplace({m: k})
    return sum_over_pairs(q * q_m / (1 - q) * term) - (total(diagonal) if diagonal != 0 else 0)


def split_by_draw(first: sp.Expr, second: sp.Expr, diagonal: sp.Expr) -> tuple[Step, Step]:
    """The mean over pairs as a sum for each draw, then the second with k and m exchanged."""
    of_first, of_second = (q * q_m / (1 - q) * term for term in (first, second))
    exchanged = of_second.xreplace({k: m, m: k})
    return (
        Step(
            sum_over_pairs(of_first) + sum_over_pairs(of_second) - diagonal, "linearity of the sum"
        ),
        Step(
            sum_over_pairs(of_first) + sum_over_pairs(exchanged) - diagonal,
            "order of sums",
            "in the second k and m change names",
        ),
    )


RENORMALISED = (q * f + q_m * f_m) / (q + q_m)
#: What the mean weighs f_k with, where it should be 1.
WEIGHT = total(PAIR / (q + q_m), m, K) - q / (1 - q)


def draws_add_up() -> Proof:
    """That the draws are a distribution."""
    return Proof(
        title="the probabilities of the two draws add up to one",
        start=mean_over_pairs(sp.S.One),
        steps=(
            Step(
                total(q / (1 - q) * total(q_m, m, K)) - total(q**2 / (1 - q)),
                "linearity of the sum",
            ),
            Step(total(q / (1 - q)) - total(q**2 / (1 - q)), "normalisation", "Σ_m q_m = 1"),
            Step(total(q), "linearity of the sum", "(q - q²)/(1 - q) = q"),
            Step(sp.S.One, "normalisation"),
        ),
        conclusion="so Σ_k Σ_m q_k q_m/(1 - q_k) f less its terms m = k is the mean of any f of "
        "the two labels; the means below are written so",
    )


def mean_of_pairs() -> Proof:
    """What the renormalised estimator estimates."""
    first, second = q * f / (q + q_m), q_m * f_m / (q + q_m)
    return Proof(
        title="the mean of the renormalised estimator",
        start=mean_over_pairs(RENORMALISED),
        steps=(
            *split_by_draw(first, second, total(q**2 / (1 - q) * f)),
            Step(total(q * f * WEIGHT), "linearity of the sum", "what stands beside q_k f_k"),
            Step(
                total(q * weight * f),
                "definition",
                "c_k is the mean weight of f_k",
                {weight: WEIGHT},
            ),
        ),
        conclusion="it should be Σ_k q_k f_k, so the bias is Σ_k q_k (c_k - 1) f_k: nothing where "
        "f or q is the same at all labels, and elsewhere by chance only",
    )


def _pair_terms(
    probabilities: Sequence[sp.Expr], values: Callable[[int, int], sp.Expr]
) -> list[sp.Expr]:
    """The terms of the mean over the pairs of finitely many labels, exactly."""
    terms = []
    for one, two in itertools.combinations(range(len(probabilities)), 2):
        a, b = probabilities[one], probabilities[two]
        terms.append(a * b * (1 / (1 - a) + 1 / (1 - b)) * values(one, two))
    return terms


def renormalised_mean(probabilities: Sequence[sp.Expr], values: Sequence[sp.Expr]) -> sp.Expr:
    """The mean of the renormalised estimator by going through the pairs, in exact numbers.

    Args:
        probabilities: of the labels, adding up to one.
        values: of f, a label each.
    """

    def estimate(one: int, two: int) -> sp.Expr:
        a, b = probabilities[one], probabilities[two]
        return (a * values[one] + b * values[two]) / (a + b)

    return sp.Add(*_pair_terms(probabilities, estimate))


def renormalised_score(
    probabilities: Sequence[sp.Expr], values: Sequence[sp.Expr], scores: Sequence[sp.Expr]
) -> sp.Expr:
    """The mean of its score part, likewise.

    Args:
        probabilities: of the labels, adding up to one.
        values: of f, a label each.
        scores: ∂log q by one parameter, a label each.
    """

    def estimate(one: int, two: int) -> sp.Expr:
        a, b = probabilities[one], probabilities[two]
        share = a * b / (a + b) ** 2
        return share * (values[one] - values[two]) * (scores[one] - scores[two])

    return sp.Add(*_pair_terms(probabilities, estimate))


_q1, _q2, _q3 = sp.symbols("q1:4", positive=True)
_f = sp.symbols("f1:4", real=True)


def two_labels() -> Proof:
    """With two labels it is exact."""
    return Proof(
        title="two labels: exact, as both are always drawn",
        start=renormalised_mean((_q1, _q2), _f[:2]),
        steps=(Step(_q1 * _f[0] + _q2 * _f[1], "assumption", "q₂ = 1 - q₁", {_q2: 1 - _q1}),),
    )


def three_labels() -> Proof:
    """With three it is not, by this much."""
    three = (_q1, _q2, _q3)
    ratio = sp.Mul(*three) / sp.Mul(*[1 - probability for probability in three])
    gap = ratio * sp.Add(
        *[(3 * probability - 1) * value for probability, value in zip(three, _f, strict=True)]
    )
    exact = sp.Add(*[probability * value for probability, value in zip(three, _f, strict=True)])
    return Proof(
        title="three labels: the bias in closed form",
        start=renormalised_mean(three, _f) - exact,
        steps=(Step(gap, "assumption", "q₁ + q₂ + q₃ = 1", {_q3: 1 - _q1 - _q2}),),
        conclusion="labels likelier than 1/3 count too much, the others too little",
    )


def biased_mean() -> Counterexample:
    """The smallest case in which a mean is wrong."""
    three = tuple(sp.Rational(1, part) for part in (2, 4, 4))
    values = (sp.Symbol("f1"), sp.S.Zero, sp.S.Zero)
    return Counterexample(
        title="a mean, three labels",
        setting="q = (1/2, 1/4, 1/4) and f = (1, 0, 0): the mean is 1/2, and the renormalised "
        "estimator's is 5/9",
        claimed=renormalised_mean(three, values),
        actual=sp.Rational(1, 2) * values[0],
        at={values[0]: sp.S.One},
    )


def biased_score() -> Counterexample:
    """The smallest case in which a gradient is wrong though the mean is right."""
    third = sp.Rational(1, 3)
    values = (sp.Symbol("f1"), sp.S.Zero, sp.S.Zero)
    scores = (1 - third, -third, -third)
    exact = sp.Add(*[third * value * score for value, score in zip(values, scores, strict=True)])
    return Counterexample(
        title="a gradient, three equally likely labels",
        setting="q = (1/3, 1/3, 1/3), f = (1, 0, 0), the derivative by the first logit: the "
        "gradient is 2/9, and the renormalised estimator's mean 3/4 of it",
        claimed=renormalised_score((third,) * 3, values, scores),
        actual=exact,
        at={values[0]: sp.S.One},
    )
