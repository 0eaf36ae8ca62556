"""Claim baseline.unbiased: when L - B in the score term keeps the mean, and what is lost if not.

The labels of the other sentences are one letter m, with probabilities r_m of its own: what is shown
for it holds for any number of sentences, and for any number of labels.

Reference:
    Williams (1992), Simple statistical gradient-following algorithms for connectionist
    reinforcement learning. Mnih and Gregor (2014), Neural variational inference and learning in
    belief networks (NVIL). Kool, van Hoof and Welling (2019), Buy 4 REINFORCE samples, get a
    baseline for free!
"""

from __future__ import annotations

import sympy as sp

from .gradient import BEYOND, H_IS, LOG_Q, VALID, H, zero_score
from .kernel.derivation import PROVED, Counterexample, Derivation, Proof, Step, derives
from .kernel.expressions import SCORE, B, D, L, StopGradient, coin, d, e, lam, mean, q, s, total
from .kernel.oracle import Oracle

m = sp.Symbol("m", integer=True, positive=True)
#: Probability of the others' labels, what they add to B, and what they are of B in all.
r = sp.Function("r", positive=True)(m)
S = sp.Function("S", real=True)(m)
B_OTHERS = sp.Function("B", real=True)(m)
#: A baseline that reads the shared parameters live.
B_LIVE = sp.Function("B_e", real=True)(lam, e)
#: The share of a sentence's own loss in its baseline, the batch's size, and a running mean's decay.
c, N, decay, b = sp.symbols("c N d b", positive=True)
#: The score, and the part of the gradient that a baseline acts on.
LOSS_PART = mean(L * SCORE)


def _sentence_baseline(zero: Proof) -> Proof:
    return Proof(
        title="a baseline of the sentence and λ alone keeps the mean",
        start=mean((L - B) * SCORE),
        steps=(
            Step(LOSS_PART - B * mean(SCORE), "linearity of the mean", "B is the same for every k"),
            Step(LOSS_PART, "shown above", given=zero.shown),
        ),
    )


def _share_kept(
    title: str,
    baseline: sp.Expr,
    share: sp.Expr,
    zero: Proof,
    because: str = "",
    conclusion: str = "",
) -> Proof:
    """What a baseline keeps of the score part, read off its formula."""
    of_others = sp.expand(baseline - (1 - share) * L)
    return Proof(
        title=title,
        start=mean(mean((L - baseline) * SCORE), r, m),
        steps=(
            Step(
                mean(share * LOSS_PART - of_others * mean(SCORE), r, m),
                "linearity of the mean",
                because,
            ),
            Step(mean(share * LOSS_PART, r, m), "shown above", given=zero.shown),
            Step(share * LOSS_PART, "normalisation", "Σ_m r_m = 1"),
        ),
        conclusion=conclusion,
    )


#: Why the score has mean zero beside what others add to a baseline.
_OF_OTHERS = "what is of the others, S_m, is the same for every k"


def _live_baseline(zero: Proof) -> Proof:
    """A baseline that carries a gradient of its own, in the surrogate (CL - B) log q."""
    live = mean(D((StopGradient(L) - B_LIVE) * LOG_Q, e))
    weight = StopGradient(L) - B_LIVE
    return Proof(
        title="a baseline that carries a gradient, as the node Bₑ does, adds H ∂Bₑ",
        start=live,
        steps=(
            Step(mean(weight * SCORE + LOG_Q * D(weight, e)), "product rule"),
            Step(
                mean(weight * SCORE + LOG_Q * D(StopGradient(L), e) - LOG_Q * D(B_LIVE, e)),
                "linearity of the derivative",
            ),
            Step(mean(weight * SCORE - LOG_Q * D(B_LIVE, e)), "held constant"),
            Step(mean((L - B_LIVE) * SCORE - LOG_Q * D(B_LIVE, e)), "value of a held constant"),
            Step(
                LOSS_PART - B_LIVE * mean(SCORE) - mean(LOG_Q) * D(B_LIVE, e),
                "linearity of the mean",
            ),
            Step(LOSS_PART - mean(LOG_Q) * D(B_LIVE, e), "shown above", given=zero.shown),
            Step(LOSS_PART - total(q * LOG_Q) * D(B_LIVE, e), "mean"),
            Step(LOSS_PART + H * D(B_LIVE, e), "definition", "H = -Σ q log q", H_IS),
        ),
        conclusion="the mean is right only where ∂Bₑ = 0 or H = 0, so B must be held constant",
    )


#: E[L s] of a coin whose first side has probability t and loss 1.
_COIN = coin * sp.diff(sp.log(coin), coin)


@derives("baseline.unbiased")
def unbiased() -> Derivation:
    """What a baseline may depend on."""
    zero = zero_score(e)
    return Derivation(
        claim="baseline.unbiased",
        verdict=PROVED,
        finding="L - B keeps the mean for any B that does not depend on the sentence's own draw "
        "and carries no gradient. If B is the batch's mean loss, the sentence's own in it, 1 - 1/N "
        "of the score part is kept, and 1 - (1 - d)/N if it is a running mean updated first",
        valid=(*VALID, "labels of different sentences are drawn independently"),
        symbols={
            "m": "the labels drawn for all other sentences, with probability r_m",
            "S_m": "the sum of the other sentences' losses, or what else they add to B",
            "B": "B(x; λ), the baseline; B_m if it depends on the others' labels, Bₑ if it reads "
            "the embeddings live",
            "c": "the share of a sentence's own loss in its baseline",
            "d, b": "a running mean's decay, and its value before this batch",
            "N": "the number of sentences in the batch",
        },
        parts=(
            zero,
            _sentence_baseline(zero),
            _share_kept(
                "so does one that depends on the labels drawn for other sentences",
                B_OTHERS,
                sp.S.One,
                zero,
                "labels of different sentences are drawn independently",
                "leave-one-out baselines, and running means used before their update, are such",
            ),
            _share_kept(
                "a share c of the sentence's own loss in B takes away the share c of the score "
                "part",
                c * L + S,
                1 - c,
                zero,
            ),
            _share_kept(
                "the mean loss of the batch keeps 1 - 1/N",
                (L + S) / N,
                1 - 1 / N,
                zero,
                _OF_OTHERS,
                "with one sentence nothing is left",
            ),
            _share_kept(
                "a running mean that this batch has updated, d b + (1 - d) (L + S)/N, keeps "
                "1 - (1 - d)/N",
                decay * b + (1 - decay) * (L + S) / N,
                1 - (1 - decay) / N,
                zero,
                _OF_OTHERS,
                "and is the closer to right the slower it learns, which is why tests miss it",
            ),
            Counterexample(
                title="the mean loss of a batch keeps the mean, for a batch of one",
                setting="two labels of probabilities t and 1 - t, losses 1 and 0, t = 1/3: B is L, "
                "the score part is 0 for every draw, and E[L ∂log q/∂t] is t · 1/t = 1",
                claimed=0 * _COIN,
                actual=_COIN,
                at={coin: sp.Rational(1, 3)},
            ),
            _live_baseline(zero),
        ),
        oracle=Oracle(
            total(q * ((L + LOG_Q + 1 - c * L) * s + d)),
            {"q": q, "log_q": LOG_Q, "loss": L, "score": s, "pathwise": d, "own": c},
        ),
        infinite_labels=BEYOND,
    )
