# ruff: noqa: RUF001  # Greek letters in a formula are meant
"""Claims objective.u, objective.c, labelled and baseline.reconstruction: the costs themselves.

Reference:
    Kingma et al. (2014), Semi-supervised learning with deep generative models.
"""

from __future__ import annotations

import sympy as sp

from .gradient import BEYOND, H_IS, LOG_Q, U_IS, VALID, H, U
from .kernel.derivation import PROVED, REFUTED, Counterexample, Derivation, Proof, Step, derives
from .kernel.expressions import (
    UNLABELLED,
    B,
    D,
    E,
    L,
    StopGradient,
    coin,
    d,
    e,
    k,
    lam,
    mean,
    phi,
    q,
    s,
    theta,
    total,
    w,
)
from .kernel.notation import text
from .kernel.oracle import Oracle

C = sp.Function("C", real=True)(e, w, phi, theta)
alpha = sp.Symbol("alpha", real=True)

_COIN_ENTROPY = -coin * sp.log(coin) - (1 - coin) * sp.log(1 - coin)


@derives("objective.u")
def objective_u() -> Derivation:
    """U is a mean, and its second part is minus the entropy."""
    whole = Proof(
        title="U is the mean of L + log q over one draw",
        start=U,
        steps=(
            Step(UNLABELLED, "definition", "the sum over the labels", U_IS),
            Step(mean(L + LOG_Q), "mean"),
        ),
    )
    second = Proof(
        title="the mean of log q is minus the entropy",
        start=mean(LOG_Q),
        steps=(
            Step(total(q * LOG_Q), "mean"),
            Step(-H, "definition", "H = -Σ q log q, Shannon's; it is never negative", H_IS),
        ),
    )
    return Derivation(
        claim="objective.u",
        verdict=REFUTED,
        finding="U is E[L + log q] = E[L] - H: the second term is minus Shannon's entropy, so U is "
        "lower where the classifier is undecided",
        valid=("every label has q_k > 0, or drops out with its term: q log q → 0 as q → 0",),
        parts=(
            whole,
            second,
            Proof(
                title="U is the mean loss less the entropy",
                start=U,
                steps=(
                    Step(whole.result, "shown above", given=whole.shown),
                    Step(mean(L) + mean(LOG_Q), "linearity of the mean"),
                    Step(mean(L) - H, "shown above", given=second.shown),
                ),
            ),
            Counterexample(
                title="E[log q] is the entropy",
                setting="a fair coin: log q is -log 2 whichever side comes up, and H = log 2. "
                "Claimed is H for E[log q]",
                claimed=_COIN_ENTROPY,
                actual=-_COIN_ENTROPY,
                at={coin: sp.Rational(1, 2)},
                conclusion="the two agree only where H = 0, which is where one label is certain",
            ),
        ),
        oracle=Oracle(UNLABELLED, {"q": q, "log_q": LOG_Q, "loss": L}),
        infinite_labels=(
            "Countably many labels: both sums must converge, and H may be infinite. Continuous y: "
            "sums become integrals, and -E[log q] is the differential entropy, which may have "
            "either sign."
        ),
        reference="Kingma, Mohamed, Rezende and Welling (2014), Semi-supervised learning with deep "
        "generative models, whose bound is E[-L] + H",
    )


def _batch_gradient(by: sp.Symbol) -> Proof:
    """dC for any numbers of sentences, labelled ones (i) and unlabelled ones (j)."""
    score, inner = D(_LOG_Q_J, by), _L_J + _LOG_Q_J
    labelled_slope = D(_L_I, by) - alpha * D(_LOG_G, by)
    unlabelled = total(q_j * score * inner + q_j * D(inner, by), k)

    return Proof(
        title="the gradient of C is the average of the sentences' own",
        start=D(C, by),
        steps=(
            Step(
                D(_average(_L_I - alpha * _LOG_G, total(q_j * inner)), by),
                "definition",
                "an average over all sentences, a sum over each kind",
                {C: _C},
            ),
            Step(
                _average(D(_L_I, by) - D(alpha * _LOG_G, by), total(D(q_j * inner, by))),
                "linearity of the derivative",
                "whatever the numbers of sentences and labels are",
            ),
            Step(
                _average(
                    labelled_slope - _LOG_G * D(alpha, by),
                    total(D(q_j, by) * inner + q_j * D(inner, by)),
                ),
                "product rule",
            ),
            Step(
                _average(labelled_slope, total(D(q_j, by) * inner + q_j * D(inner, by))),
                "independence",
                "α is a number",
            ),
            Step(
                _average(labelled_slope, unlabelled),
                "log-derivative",
                "of the sums over k alone: a given label is not drawn, and needs no mean",
            ),
            Step(
                _average(labelled_slope, total(q_j * score * inner + q_j * (D(_L_J, by) + score))),
                "linearity of the derivative",
            ),
            Step(
                _average(labelled_slope, E(score * (inner + 1) + D(_L_J, by), q_j, k)),
                "mean",
                "one drawn label a sentence; only unlabelled ones have any",
            ),
        ),
        conclusion="labelled sentences add ∂L - α ∂log q, unlabelled ones what one draw estimates",
    )


i, j, m = sp.symbols("i j m", integer=True, positive=True)
N_l, N_u = sp.symbols("N_l N_u", integer=True, positive=True)
_L_I = sp.Function("L", real=True)(i, phi, theta, e)
#: The probability of a labelled sentence's own label.
_G = sp.Function("g", positive=True)(i, e, w)
_LOG_G = sp.log(_G)
q_j = q.func(k, j, e, w)
_LOG_Q_J = sp.log(q_j)
_L_J = sp.Function("L", real=True)(k, j, phi, theta, e)


def _average(labelled: sp.Expr, unlabelled: sp.Expr) -> sp.Expr:
    """The average over both kinds of sentences."""
    return (total(labelled, i, N_l) + total(unlabelled, j, N_u)) / (N_l + N_u)


_C = _average(_L_I - alpha * _LOG_G, total(q_j * (_L_J + _LOG_Q_J)))
#: What two sentences add at the labels drawn for them, and the second's probabilities.
_f, _g = sp.Function("f", real=True)(k), sp.Function("f", real=True)(m)
_r = sp.Function("r", positive=True)(m)


_score, _pathwise = (sp.Function(name, real=True) for name in "sd")
_UNLABELLED_ARGUMENTS = {"q": q_j, "log_q": _LOG_Q_J, "loss": _L_J, "alpha": alpha}


def _oracle(labelled: sp.Expr, unlabelled: sp.Expr, arguments: dict[str, sp.Expr]) -> Oracle:
    """An average over both kinds of sentences, their axis first and the labels' after it."""
    return Oracle(
        _average(labelled, total(unlabelled)),
        arguments | _UNLABELLED_ARGUMENTS,
        index=(i, j, k),
        counts={i: N_l, j: N_u},
    )


#: What each sentence adds, the mean of that over all of a kind, and a place in a minibatch.
_c_l, _c_u = sp.Function("a", real=True)(i), sp.Function("b", real=True)(j)
_mean_l, _mean_u = sp.symbols("A Z", real=True)
n_l, n_u, t = sp.symbols("n_l n_u t", integer=True, positive=True)


def _minibatch(
    title: str, weights: tuple[sp.Expr, sp.Expr], after: sp.Expr, conclusion: str
) -> Proof:
    """The mean of a step that weighs its labelled and its unlabelled sentences."""
    known, unknown = weights
    return Proof(
        title=title,
        start=known * total(_mean_l, t, n_l) + unknown * total(_mean_u, t, n_u),
        steps=(
            Step(known * n_l * _mean_l + unknown * n_u * _mean_u, "counting"),
            Step(
                after,
                "definition",
                "in each place of a minibatch every sentence of its kind is as likely as any other",
                {_mean_l: total(_c_l, i, N_l) / N_l, _mean_u: total(_c_u, j, N_u) / N_u},
            ),
        ),
        conclusion=conclusion,
    )


@derives("objective.c")
def objective_c() -> Derivation:
    """C, for any numbers of labelled and unlabelled sentences."""
    return Derivation(
        claim="objective.c",
        verdict=PROVED,
        finding="∂C is the average of ∂L - α ∂log q over labelled sentences and of ∂U over "
        "unlabelled ones, and drawing one label for each unlabelled sentence gives an "
        "estimate with that mean; so does a minibatch of n_l and n_u sentences with the weights "
        "N_l/n_l and N_u/n_u, and none that weighs both kinds alike, unless n_l/N_l is n_u/N_u",
        valid=(*VALID, "α and the numbers of sentences do not depend on the parameters"),
        symbols={
            "C": "the average over all sentences, written out in part 1",
            "i, j": "a labelled sentence, of Nₗ; an unlabelled one, of Nᵤ",
            "g_i": "q(y_i|x_i; w, e), the probability of the label that sentence i has",
            "L_i": "L(x_i, y_i; φ, θ, e), its loss at that label",
            "q_k,j": "q(k|x_j; w, e) of unlabelled sentence j; L_k,j its loss at label k",
            "α": "the weight of the classifier's own loss",
            "n_l, n_u": "the labelled and unlabelled sentences of a minibatch; t is a place in it",
            "a_i, b_j": "what labelled sentence i and unlabelled sentence j add",
            "A, Z": "the mean of what a place of either kind adds",
            "f_k, f_m": "what two sentences add at the labels k and m drawn for them, with "
            "probabilities q_k and r_m",
        },
        parts=(
            _batch_gradient(e),
            Proof(
                title="draws for different sentences add up in the mean",
                start=mean(mean(_f + _g, _r, m)),
                steps=(
                    Step(mean(_f + mean(_g, _r, m)), "normalisation", "Σ_m r_m = 1"),
                    Step(mean(_f) + mean(_g, _r, m), "normalisation", "Σ_k q_k = 1"),
                ),
                conclusion="a third sentence is added to the sum of two in the same way, so this "
                "holds for any number of them",
            ),
            _minibatch(
                "with weights N_l/n_l and N_u/n_u the mean of a minibatch is that of all sentences",
                (N_l / n_l / (N_l + N_u), N_u / n_u / (N_l + N_u)),
                _average(_c_l, _c_u),
                "a_i and b_j may be a sentence's cost, its gradient, or an estimate of it whose "
                "draws are independent of the minibatch: so a step is unbiased for ∂C, with the "
                "sentences drawn with replacement or without",
            ),
            _minibatch(
                "with 1/(n_l + n_u) for either kind it is another number",
                (1 / (n_l + n_u), 1 / (n_l + n_u)),
                (n_l / N_l * total(_c_l, i, N_l) + n_u / N_u * total(_c_u, j, N_u)) / (n_l + n_u),
                "a labelled sentence counts (n_l/N_l)/(n_u/N_u) times what it does in C: the two "
                "agree where as large a share of either kind is taken",
            ),
        ),
        oracle=_oracle(
            _pathwise(i) - alpha * _score(i),
            q_j * ((_L_J + _LOG_Q_J + 1) * _score(k, j) + _pathwise(k, j)),
            {
                "labelled_pathwise": _pathwise(i),
                "labelled_score": _score(i),
                "score": _score(k, j),
                "pathwise": _pathwise(k, j),
            },
        ),
        further={
            "cost": _oracle(
                _L_I - alpha * _LOG_G,
                q_j * (_L_J + _LOG_Q_J),
                {"labelled_loss": _L_I, "labelled_log_q": _LOG_G},
            )
        },
        infinite_labels=BEYOND,
        reference="Kingma, Mohamed, Rezende and Welling (2014), Semi-supervised learning with deep "
        "generative models, whose cost it is but for the average",
    )


def _gradient_at_label(by: sp.Symbol, after: sp.Expr, why: str) -> Proof:
    score = D(LOG_Q, by)
    return Proof(
        title=f"its gradient by {text(by)} has no mean in it, so nothing to estimate",
        start=D(L - alpha * LOG_Q, by),
        steps=(
            Step(D(L, by) - D(alpha * LOG_Q, by), "linearity of the derivative"),
            Step(D(L, by) - alpha * score - LOG_Q * D(alpha, by), "product rule"),
            Step(after, "independence", why),
        ),
    )


@derives("labelled")
def labelled() -> Derivation:
    """The labelled part: differentiated as it stands."""
    score = D(LOG_Q, e)
    shared = _gradient_at_label(e, D(L, e) - alpha * score, "α is a number")
    with_score = D(L, e) - alpha * score + L * score
    return Derivation(
        claim="labelled",
        verdict=PROVED,
        finding="at a given label the gradient of L - α log q is ∂L - α ∂log q and no more; a "
        "score term L ∂log q on top makes it wrong by just that term",
        valid=(
            "the label is given: it is not drawn from q, and does not depend on the parameters",
        ),
        symbols={
            "k": "the label that the sentence has; nothing is summed over",
            "α": "the weight of the classifier's own loss",
        },
        parts=(
            shared,
            _gradient_at_label(w, -alpha * D(LOG_Q, w), "L does not depend on w; α is a number"),
            *(
                _gradient_at_label(by, D(L, by), f"log q_k does not depend on {text(by)}")
                for by in (phi, theta)
            ),
            Proof(
                title="a score term would be off by its value at the label",
                start=with_score - D(L - alpha * LOG_Q, e),
                steps=(
                    Step(
                        L * score, "shown above", "what the first part says cancels", shared.shown
                    ),
                ),
                conclusion="for a drawn label the term stands for how q moves; a given label does "
                "not move",
            ),
            Counterexample(
                title="a score term is needed, as for a drawn label",
                setting="two labels of probabilities t and 1 - t, the first is given, L = 1 "
                "whatever t, α = 1, t = 1/3: ∂(L - log t) = -1/t = -3, and the score term L ∂log t "
                "= 3 cancels it, so that the classifier would not learn",
                claimed=-1 / coin + 1 / coin,
                actual=sp.diff(1 - sp.log(coin), coin),
                at={coin: sp.Rational(1, 3)},
            ),
        ),
        oracle=Oracle(d - alpha * s, {"pathwise": d, "score": s, "alpha": alpha}, index=_NO_INDEX),
        infinite_labels="The same for any y: nothing is summed or integrated.",
    )


#: For a formula that is about one label: its arguments are plain arrays that broadcast.
_NO_INDEX: tuple[sp.Symbol, ...] = ()

#: Log p(x|h,k), and what L has beside it.
_R, _V = (sp.Function(name, real=True)(k, phi, theta, e) for name in "RV")
#: A baseline that reads the embeddings as well as λ.
_B_E = sp.Function("B_e", real=True)(lam, e)
_dU, _dB = sp.symbols("dU dB", real=True)


def _shifted_gradient(
    title: str, shift: sp.Expr, by: sp.Symbol, *ending: Step, conclusion: str = ""
) -> Proof:
    """∂U with L + B in place of L, for a B that is the same at every label."""
    return Proof(
        title=title,
        start=D(total(q * (L + shift + LOG_Q)), by),
        steps=(
            Step(
                D(UNLABELLED + shift * total(q), by),
                "linearity of the sum",
                "the baseline is the same for every label",
            ),
            Step(D(UNLABELLED + shift, by), "normalisation"),
            Step(D(UNLABELLED, by) + D(shift, by), "linearity of the derivative"),
            *ending,
        ),
        conclusion=conclusion,
    )


_TO_U = Step(D(U, e), "definition", "U, read from right to left", U_IS)


_BASELINE_LETTERS = {
    "B": "the baseline of a sentence, which reads λ alone",
    "Bₑ": "one that also reads the embeddings e",
    "λ": "the baseline's own parameters",
    "R_k": "log p(x|h, k); V_k is what L has beside it",
}


_BASELINE_VALID = (
    "B does not depend on the label",
    "B reads the sentence and λ alone, or is held constant: else ∂B is added, as part 2 says",
    "K is finite, and Σ_k q_k = 1 for all values of the parameters",
)


@derives("baseline.reconstruction")
def reconstruction() -> Derivation:
    """A baseline that is taken off log p(x|..)."""
    by_name = Step(D(U, e) + D(_B_E, e), "definition", "U, read from right to left", U_IS)
    nothing = D(UNLABELLED, e)
    return Derivation(
        claim="baseline.reconstruction",
        verdict=PROVED,
        finding="B taken off log p(x|..) adds B to L and ∂B to every ∂U: that is nothing by e, w, "
        "φ and θ while B reads x and λ alone or is held constant, and ∂B/∂e where B reads the "
        "shared embeddings live",
        valid=_BASELINE_VALID,
        symbols=_BASELINE_LETTERS,
        parts=(
            Proof(
                title="to take B off log p(x|..) is to add it to L",
                start=_V - (_R - B),
                steps=(Step(L + B, "definition", "L = V - R", {L: _V - _R}),),
                conclusion="L has log p(x|..) with a minus, so it is L + B here and L - B where a "
                "baseline is taken off the factor of the score",
            ),
            _shifted_gradient(
                "with L + Bₑ in place of L, ∂U moves by exactly ∂Bₑ", _B_E, e, by_name
            ),
            _shifted_gradient(
                "with L + B it does not move, if the baseline reads λ alone",
                B,
                e,
                Step(nothing, "independence", "e does not occur in B"),
                _TO_U,
            ),
            _shifted_gradient(
                "nor does it with L + ⊥Bₑ: the baseline is held constant",
                StopGradient(_B_E),
                e,
                Step(nothing, "held constant"),
                _TO_U,
            ),
            _shifted_gradient(
                "the gradient by λ is ∂B/∂λ and nothing else",
                B,
                lam,
                Step(D(B, lam), "independence", "neither q nor L depends on λ"),
                conclusion="so λ cannot be learnt from U: its gradient pushes B down without end, "
                "whatever the loss",
            ),
            Counterexample(
                title="a baseline that reads the embeddings live changes no gradient",
                setting="two labels of probabilities t and 1 - t, no loss, the parameter e is t "
                "itself, at t = 1/3, and Bₑ is e: ∂U/∂t is log(t/(1 - t)), and with Bₑ it is off "
                "by ∂Bₑ/∂e = 1",
                claimed=sp.diff(-_COIN_ENTROPY + coin, coin),
                actual=sp.diff(-_COIN_ENTROPY, coin),
                at={coin: sp.Rational(1, 3)},
            ),
        ),
        oracle=Oracle(_dU + _dB, {"gradient": _dU, "baseline_gradient": _dB}, index=_NO_INDEX),
        infinite_labels=(
            "Countable and continuous y: the same, since only Σ q = 1 or ∫ q dy = 1 is used."
        ),
    )
