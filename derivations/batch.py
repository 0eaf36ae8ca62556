"""Claims batch.one_pass and batch.plus_one.

The batch's size N stays a letter. What couples sentences is singled out: for one sentence with
label k, m stands for the labels of all others.
"""

from __future__ import annotations

import sympy as sp

from .baseline_unbiased import m, r
from .gradient import BEYOND, LOG_Q, VALID, differentiate_surrogate, entropy_slope, zero_score
from .kernel.derivation import PROVED, Counterexample, Derivation, Proof, Step, derives
from .kernel.expressions import SCORE, D, L, StopGradient, coin, e, mean, phi, q, s, theta, total, w
from .kernel.oracle import Oracle

j = sp.Symbol("j", integer=True, positive=True)
J = sp.Symbol("J", integer=True, positive=True)
#: log q and L of sentence j at its drawn label, and the parts of its estimate as numbers.
log_q_j = sp.log(q.func(j, e, w))
L_j = sp.Function("L", real=True)(j, phi, theta, e)
weight_j, s_j, d_j = (sp.Function(name, real=True)(j) for name in ("c", "s", "d"))
#: The loss of the others, where it knows this sentence's label k, and where it does not.
rest_k = sp.Function("R", real=True)(sp.Symbol("k", integer=True, positive=True), m)
rest = sp.Function("R", real=True)(m)


def batch(term: sp.Expr) -> sp.Expr:
    """The sum of a term over the sentences."""
    return total(term, j, J)


def _sum_of_estimates() -> Proof:
    weight = StopGradient(L_j) + StopGradient(log_q_j) + 1
    return Proof(
        title="the derivative of the batch sum is the sum of the sentences' estimates",
        start=D(batch(weight * log_q_j + L_j), e),
        steps=(
            *differentiate_surrogate(weight, log_q_j, L_j, around=batch),
            Step(
                batch(weight * D(log_q_j, e) + log_q_j * D(sp.S.One, e) + D(L_j, e)),
                "held constant",
            ),
            Step(batch(weight * D(log_q_j, e) + D(L_j, e)), "independence"),
            Step(
                batch((L_j + log_q_j + 1) * D(log_q_j, e) + D(L_j, e)), "value of a held constant"
            ),
        ),
        conclusion="for w the term ∂L drops out and for φ and θ that with ∂log q, each by "
        "independence, so one pass serves all groups; nothing was assumed of the number of "
        "sentences",
    )


def _what_coupling_loses() -> Proof:
    own = L
    return Proof(
        title="if the others' loss R depends on this sentence's label, E[R ∂log q] is missing",
        start=mean(mean((own + rest_k) * SCORE), r, m) - mean(mean(own * SCORE), r, m),
        steps=(Step(mean(mean(rest_k * SCORE), r, m), "linearity of the mean"),),
        conclusion="the label of one sentence must be weighed with every loss that it moves; the "
        "batch sum weighs it with its own loss only",
    )


def _what_independence_gives(zero: Proof) -> Proof:
    return Proof(
        title="and if R does not depend on that label, nothing is missing",
        start=mean(mean(rest * SCORE), r, m),
        steps=(
            Step(mean(rest * mean(SCORE), r, m), "linearity of the mean"),
            Step(mean(sp.S.Zero, r, m), "shown above", given=zero.shown),
            Step(sp.S.Zero, "normalisation"),
        ),
    )


@derives("batch.one_pass")
def one_pass() -> Derivation:
    """One differentiation for the batch, and which coupling breaks it."""
    zero = zero_score(e)
    return Derivation(
        claim="batch.one_pass",
        verdict=PROVED,
        finding="the derivative of the batch sum is the sum of the sentences' estimates, for any "
        "number of sentences; it estimates the gradient as long as no sentence's loss depends on "
        "another's drawn label",
        valid=(*VALID, "L and log q of a sentence depend on its own label only"),
        symbols={
            "j": "a sentence, 1..J; q_j and L_j are q and L at the label drawn for it",
            "m": "the labels drawn for all other sentences, with probability r_m",
            "R": "the loss of all other sentences; R_k,m if it depends on this one's label k",
        },
        parts=(
            _sum_of_estimates(),
            zero,
            _what_coupling_loses(),
            _what_independence_gives(zero),
            Counterexample(
                title="one differentiation is right where another's loss reads this one's label",
                setting="two sentences; the label of the first has probabilities t and 1 - t, and "
                "it has no loss of its own; the second's loss is 1 where that label is the first "
                "and 0 where it is the second, t = 1/3: the expected loss is t, its derivative 1, "
                "and the batch sum's estimate 0, as no loss but its own weighs that score",
                claimed=sp.S.Zero,
                actual=sp.diff(coin, coin),
                at={coin: sp.Rational(1, 3)},
                conclusion="batch normalisation in a layer that knows the label does this",
            ),
        ),
        oracle=Oracle(
            total(weight_j * s_j + d_j, j, J),
            {"weight": weight_j, "score": s_j, "pathwise": d_j},
            index=j,
        ),
        infinite_labels=(
            "Nothing is summed over labels in the first part: it holds for any kind of y."
        ),
    )


@derives("batch.plus_one")
def plus_one() -> Derivation:
    """(CQ + 1) log q stands for the gradient of minus the entropy."""
    entropy, zero = entropy_slope(e), zero_score(e)
    held = StopGradient(LOG_Q) + 1
    surrogate = Proof(
        title="the derivative of (CQ + 1) log q has the mean -∂H",
        start=mean(D(held * LOG_Q, e)),
        steps=(
            Step(mean(held * SCORE + LOG_Q * D(held, e)), "product rule"),
            Step(
                mean(held * SCORE + LOG_Q * (D(StopGradient(LOG_Q), e) + D(sp.S.One, e))),
                "linearity of the derivative",
            ),
            Step(mean(held * SCORE + LOG_Q * D(sp.S.One, e)), "held constant"),
            Step(mean(held * SCORE), "independence"),
            Step(mean((LOG_Q + 1) * SCORE), "value of a held constant"),
            Step(entropy.result, "shown above", given=entropy.shown),
        ),
    )
    without = Proof(
        title="the 1 is a constant baseline: it can be left out",
        start=mean((LOG_Q + 1) * SCORE) - mean(LOG_Q * SCORE),
        steps=(
            Step(mean(SCORE), "linearity of the mean"),
            Step(sp.S.Zero, "shown above", given=zero.shown),
        ),
        conclusion="it changes the variance, not the mean: see baseline.variance",
    )
    return Derivation(
        claim="batch.plus_one",
        verdict=PROVED,
        finding="(CQ + 1) log q has a derivative with the mean -∂H, and so has CQ log q",
        valid=VALID,
        parts=(entropy, surrogate, zero, without),
        oracle=Oracle(total(q * (LOG_Q + 1) * s), {"q": q, "log_q": LOG_Q, "score": s}),
        infinite_labels=BEYOND,
    )
