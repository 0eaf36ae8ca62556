"""Claim constant.theano: what differentiating a surrogate with stop-gradients gives.

``consider_constant=[CL, CQ]`` matches nodes of the graph. A node that is named is a stop-gradient
wherever it occurs, so what a trap does is read off by holding the wrong thing.
"""

from __future__ import annotations

import sympy as sp

from .gradient import LOG_Q, differentiate_surrogate
from .kernel.derivation import PROVED, Counterexample, Derivation, Proof, Step, derives
from .kernel.expressions import SCORE, B, D, L, StopGradient, coin, d, e, phi, s, total
from .kernel.oracle import Oracle

PATHWISE = D(L, e)
WEIGHT = StopGradient(L) + StopGradient(LOG_Q) + 1 - B
BARE = L + LOG_Q + 1 - B

#: 1 for the label drawn, 0 for all others.
drawn = sp.Function("y", real=True)(sp.Symbol("k", integer=True, positive=True))


def _right_surrogate() -> Proof:
    return Proof(
        title="CL and CQ are nodes of their own: by e it is the estimate of gradient.e",
        start=D(WEIGHT * LOG_Q + L, e),
        steps=(
            *differentiate_surrogate(WEIGHT, LOG_Q, L),
            Step(WEIGHT * SCORE + LOG_Q * (D(-B, e) + D(sp.S.One, e)) + PATHWISE, "held constant"),
            Step(WEIGHT * SCORE + PATHWISE, "independence", "neither 1 nor B(x; λ) depends on e"),
            Step(BARE * SCORE + PATHWISE, "value of a held constant"),
        ),
    )


def _right_for_phi() -> Proof:
    return Proof(
        title="the same cost gives φ its pathwise part and nothing else, and θ likewise",
        start=D(WEIGHT * LOG_Q + L, phi),
        steps=(
            *differentiate_surrogate(WEIGHT, LOG_Q, L, phi),
            Step(
                WEIGHT * D(LOG_Q, phi) + LOG_Q * (D(sp.S.One, phi) + D(-B, phi)) + D(L, phi),
                "held constant",
            ),
            Step(D(L, phi), "independence", "q(y|x) does not depend on φ"),
        ),
    )


def _loss_itself() -> Proof:
    return Proof(
        title="CL is the node L itself: the pathwise part is lost, and φ and θ have no gradient",
        start=D(WEIGHT * LOG_Q + StopGradient(L), e),
        steps=(
            *differentiate_surrogate(WEIGHT, LOG_Q, StopGradient(L)),
            Step(WEIGHT * SCORE + LOG_Q * (D(-B, e) + D(sp.S.One, e)), "held constant"),
            Step(WEIGHT * SCORE, "independence"),
            Step(BARE * SCORE, "value of a held constant"),
        ),
        conclusion="by φ and θ no term is left, since L occurs held only: Theano says "
        "DisconnectedInputError, or returns zeros if told to ignore it; a raw output of a scan, "
        "named where it is both CL and L, is of this kind",
    )


def _log_q_itself() -> Proof:
    held = StopGradient(LOG_Q)
    return Proof(
        title="CQ is the node log q itself: the score part is lost",
        start=D(WEIGHT * held + L, e),
        steps=(
            *differentiate_surrogate(WEIGHT, held, L),
            Step(held * (D(-B, e) + D(sp.S.One, e)) + PATHWISE, "held constant"),
            Step(PATHWISE, "independence"),
        ),
    )


def _nothing_held() -> Proof:
    return Proof(
        title="copies are named that the cost does not use: nothing is held",
        start=D(BARE * LOG_Q + L, e),
        steps=(
            *differentiate_surrogate(BARE, LOG_Q, L),
            Step(BARE * SCORE + LOG_Q * (PATHWISE + SCORE) + PATHWISE, "independence"),
        ),
        conclusion="the excess is log q (∂L + ∂log q), and its mean is not zero; a raw output of a "
        "scan, named where L is another output of the same scan, is of this kind: it is not held "
        "at all, and of the excess only log q ∂L is left where CQ is a copy",
    )


_COIN = coin * sp.log(coin) * sp.diff(sp.log(coin), coin) + (1 - coin) * sp.log(1 - coin) * sp.diff(
    sp.log(1 - coin), coin
)


@derives("constant.theano")
def constant_theano() -> Derivation:
    """Stop-gradients, and four ways to detach the wrong thing."""
    return Derivation(
        claim="constant.theano",
        verdict=PROVED,
        finding="with CL and CQ nodes of their own, one differentiation of (CL + CQ + 1 - B) log q "
        "+ L gives (L + log q + 1 - B) ∂log q + ∂L; naming L or log q themselves, or copies that "
        "the cost does not use, gives something else",
        valid=(
            "CL and CQ are copies of L and log q that occur in the cost, and L and log q occur "
            "beside them",
            "the label drawn is held constant as well: as a function of log q it has no derivative",
            "B depends on x and λ, or is held constant",
        ),
        symbols={
            "CL, CQ": "the nodes ⊥L_k and ⊥log q_k, named in consider_constant",
            "B": "B(x; λ), the baseline",
        },
        parts=(
            _right_surrogate(),
            _right_for_phi(),
            _loss_itself(),
            _log_q_itself(),
            _nothing_held(),
            Counterexample(
                title="with nothing held the mean is right all the same",
                setting="two labels of probabilities t and 1 - t, no loss, t = 1/3: the excess "
                "log q ∂log q has the mean log t - log(1 - t), and should have the mean 0",
                claimed=_COIN,
                actual=sp.S.Zero,
                at={coin: sp.Rational(1, 3)},
            ),
        ),
        oracle=Oracle(
            total(drawn * (BARE * s + d)),
            {"drawn": drawn, "log_q": LOG_Q, "loss": L, "score": s, "pathwise": d, "baseline": B},
        ),
        infinite_labels="Nothing is summed here: it holds for any kind of y.",
        reference="Schulman, Heess, Weber and Abbeel (2015), Gradient Estimation Using Stochastic "
        "Computation Graphs",
    )
