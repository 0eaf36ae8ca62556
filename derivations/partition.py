# ruff: noqa: RUF001  # Greek letters in a formula are meant
"""Claims partition.seqdgm, partition.seqdgm_a and invariants: what reaches what.

A model is written as functions of functions, of which nothing is known but their arguments. What
reaches log q and L is then read off by the chain rule and by independence. One letter stands for
each group of parameters, one for each variable; with more components there are more such terms.

Reference:
    Kingma et al. (2014), Semi-supervised learning with deep generative models. Maaløe et al.
    (2016), Auxiliary deep generative models.
"""

from __future__ import annotations

import dataclasses

import sympy as sp

from .gradient import LOG_Q
from .kernel.derivation import PROVED, Counterexample, Derivation, Proof, Step, derives
from .kernel.expressions import (
    D,
    L,
    Partial,
    StopGradient,
    coin,
    e,
    k,
    mean,
    phi,
    q,
    theta,
    total,
    w,
)
from .kernel.notation import text
from .kernel.oracle import Oracle

GROUPS = (e, w, phi, theta)


def _function(name: str, *arguments: sp.Expr) -> sp.Expr:
    return sp.Function(name, real=True)(*arguments)


def _paths(term: sp.Expr, by: sp.Symbol, *, every: bool = False) -> sp.Expr:
    """∂ of a function of functions: a term for each argument that a parameter is in, or every."""
    return sp.Add(
        *[
            Partial(term, part) * (D(part, by) if part != by else 1)
            for part in term.args
            if by in part.free_symbols or (every and not part.is_integer)
        ]
    )


def _reach(letter: sp.Expr, is_made_of: sp.Expr, by: sp.Symbol, named: str) -> Proof:
    """How, or that not, a group reaches log q or L."""
    wholes = sp.Add.make_args(is_made_of)
    written = Step(D(is_made_of, by), "definition", "what it is made of", {letter: is_made_of})
    slope = sp.Add(*[_paths(part, by) for part in wholes])
    if slope == 0:
        return Proof(
            title=f"{text(by)} does not reach {named}",
            start=D(letter, by),
            steps=(written, Step(sp.S.Zero, "independence", f"{text(by)} occurs nowhere in it")),
        )
    every = sp.Add(*[_paths(part, by, every=True) for part in wholes])
    steps = [
        written,
        Step(sp.Add(*[D(part, by) for part in wholes]), "linearity of the derivative"),
        Step(every, "chain rule", "a term for each argument"),
        Step(slope, "independence", f"arguments that {text(by)} is not in"),
    ]
    # A step that changes nothing is no step.
    lines = [D(letter, by), *(step.after for step in steps)]
    changing = (step for before, step in zip(lines, steps, strict=False) if step.after != before)
    return Proof(f"how {text(by)} reaches {named}", D(letter, by), tuple(changing))


def _partition(
    made_of: dict[str, tuple[sp.Expr, sp.Expr]], groups: tuple[sp.Symbol, ...]
) -> tuple[list[Proof], Oracle]:
    """Which group reaches log q and L: proofs, and a table of 0 and 1 read off their results."""
    proofs = {
        (by, named): _reach(letter, is_made_of, by, named)
        for named, (letter, is_made_of) in made_of.items()
        for by in groups
    }
    table = sp.Matrix([[int(proofs[by, at].result != 0) for at in made_of] for by in groups])
    return list(proofs.values()), Oracle(table.as_immutable(), {}, index=())


def _missing_terms(proofs: list[Proof]) -> list[Proof]:
    """Which part of the estimate each group does without, since ∂log q or ∂L is zero."""
    without = []
    for proof in (proof for proof in proofs if proof.result == 0):
        letter, by = proof.start.args
        score_part, pathwise = (L + LOG_Q + 1) * D(LOG_Q, by), D(L, by)
        part, lost = (pathwise, "score") if letter == LOG_Q else (score_part, "pathwise")
        estimate = f"the estimate that gradient.e derives, by {text(by)}"
        step = Step(mean(part), "shown above", estimate, proof.shown)
        title = f"so {text(by)} has no {lost} term"
        without.append(Proof(title, mean(score_part + pathwise), (step,)))
    return without


def _reparameterised_draw(
    draw: sp.Expr, centre: sp.Expr, spread: sp.Expr, by: sp.Symbol, noise: str
) -> Proof:
    """A reparameterised draw, differentiated through its mean and spread."""
    eps = sp.Symbol(noise, real=True)
    return Proof(
        title=f"the path through the draw {text(draw)}, its noise held constant",
        start=D(draw, by),
        steps=(
            Step(
                D(centre + StopGradient(eps) * spread, by),
                "definition",
                "the reparameterised draw",
                {draw: centre + StopGradient(eps) * spread},
            ),
            Step(D(centre, by) + D(StopGradient(eps) * spread, by), "linearity of the derivative"),
            Step(D(centre, by) + StopGradient(eps) * D(spread, by), "held factor"),
        ),
    )


#: What the embeddings make of the tokens, in every part of a model.
_X = _function("x", e)
_SYMBOLS = {
    "e, w, φ, θ": "one parameter of each group, or all of them with a term for each",
    "x": "the embedded sentence, a function of e",
    "g_k": "log q(k|x), as the classifier computes it: a function of x and w",
    "h_k": "the draw of h: mean μ_k, spread σ_k, noise ε, functions of x and φ",
    "R_k": "-log p(x|h, k), a function of h_k, θ and x, read again for the token before each",
    "V": "the divergence of q(h|..) from N(0, I), a function of μ_k and σ_k; log p(k) is a "
    "constant and left out",
}


@derives("partition.seqdgm")
def partition_seqdgm() -> Derivation:
    """SeqDGM: what the classifier shares with the rest."""
    centre, spread = _function("mu", k, _X, phi), _function("sigma", k, _X, phi)
    h = _function("h", k, _X, phi)
    classifier = _function("g", k, _X, w)
    loss = _function("R", k, _X, h, theta) + _function("V", centre, spread)
    proofs, table = _partition({"log q": (LOG_Q, classifier), "L": (L, loss)}, GROUPS)
    return Derivation(
        claim="partition.seqdgm",
        verdict=PROVED,
        finding="e reaches log q and L; w reaches log q alone; φ and θ reach L alone: so w has no "
        "pathwise term, φ and θ no score term, and e both",
        valid=(
            "the classifier reads the sentence through the embeddings and nothing of φ or θ",
            "inference and generation read nothing of the classifier",
        ),
        symbols=_SYMBOLS,
        parts=(
            *proofs,
            _reparameterised_draw(h, centre, spread, phi, "epsilon"),
            *_missing_terms(proofs),
        ),
        oracle=table,
        infinite_labels=(
            "Nothing here depends on what y is: only on which functions have which arguments."
        ),
        reference="Kingma, Mohamed, Rezende and Welling (2014), Semi-supervised learning with deep "
        "generative models (M1+M2)",
    )


#: Parameters of the encoder, and of q(a|x) given its state, which claims about SeqDGM-A count to e.
u, v = sp.symbols("u v", real=True)
i, n, m, t, N, T = sp.symbols("i n m t N T", integer=True, positive=True)


def _second_draw() -> tuple[Proof, Counterexample]:
    """What is lost if L gets another draw of a than the classifier."""
    probability = sp.Function("r", positive=True)(n)
    probability_m = probability.xreplace({n: m})
    q_n, loss_n, loss_m = q.func(k, n), _function("L", k, n), _function("L", k, m)
    one = mean(total(q_n * loss_n), probability, n)
    two = mean(mean(total(q_n * loss_m), probability_m, m), probability, n)
    mean_product = mean(q_n * loss_n, probability, n)
    product = mean(q_n, probability, n) * mean(loss_m, probability_m, m)
    noise = (1, -1)
    same = sum(sp.Rational(1, 2) * (1 + coin * one) / 2 * coin * one for one in noise)
    apart = sum(
        sp.Rational(1, 4) * (1 + coin * one) / 2 * coin * two for one in noise for two in noise
    )
    return (
        Proof(
            title="what is lost where a is drawn again for L",
            start=one - two,
            steps=(
                Step(
                    total(mean_product) - total(product),
                    "linearity of the mean",
                    "q at draw n of a, L at draw m",
                ),
                Step(total(mean_product - product), "linearity of the sum"),
            ),
            conclusion="that is Σ_k Cov(q_k, L_k) over the draws of a, and its gradient is missing "
            "from the estimate's mean",
        ),
        Counterexample(
            title="drawing a again for L gives the same gradient",
            setting="a = e or -e, equally likely; two labels, q_1 = (1 + a)/2, L_1 = a, L_2 = 0, "
            "at e = 1/2: E[q_1 L_1] = e²/2 has the gradient e, and E[q_1] E[L_1] = 0 has none; "
            "the term in log q is the same in both",
            claimed=sp.diff(sp.expand(apart), coin),
            actual=sp.diff(sp.expand(same), coin),
            at={coin: sp.Rational(1, 2)},
        ),
    )


_SYMBOLS_A = {
    "u": "the parameters of the encoder, which are counted to e elsewhere; s is its state, a "
    "function of x and u, and g_k, h_k, μ_k and σ_k read it where they read x in SeqDGM",
    "l_k, M_k": "log q_k and L_k where classifier and inference read x with an LSTM of their own "
    "each, whose parameters are in w and φ, and q(a|x) alone reads s",
    "v": "the parameters of q(a|x) given s, which are counted to e likewise",
    "a": "the draw of a: mean c, spread b, noise δ, functions of s and v; g_k, h_k, μ_k, σ_k and "
    "R_k read it as well",
    "A": "log q(a|x), a function of a, b and c; P_k is -log p(a|k, h), of a, h_k and θ",
    "n, m": "two draws of a, of probabilities r_n and r_m, where it has finitely many values; "
    "q_k,n and L_k,m are q_k and L_k there",
}


#: What the encoder makes of the sentence.
_S = _function("s", _X, u)


def _seqdgm_a(read: sp.Expr) -> dict[str, tuple[sp.Expr, sp.Expr]]:
    """What log q and L are made of; classifier and inference read s, or x with an LSTM each."""
    a_mean, a_spread, a = (_function(name, _S, v) for name in ("c", "b", "a"))
    centre, spread, h = (_function(name, k, read, a, phi) for name in ("mu", "sigma", "h"))
    loss = (
        _function("R", k, _X, a, h, theta)
        + _function("A", a, a_mean, a_spread)
        + _function("P", k, a, h, theta)
        + _function("V", centre, spread)
    )
    return {"log q": (LOG_Q, _function("g", k, read, a, w)), "L": (L, loss)}


#: log q and L again, where classifier and inference have an LSTM of their own each.
_APART = {"log q": _function("l", k), "L": _function("M", k)}


def _with_encoders_apart(shared: Oracle, groups: tuple[sp.Symbol, ...]) -> list[Proof]:
    """How u reaches log q and L where q(a|x) alone reads it; all else is as where it is shared."""
    made_of = {name: (_APART[name], of) for name, (_, of) in _seqdgm_a(_X).items()}
    proofs, table = _partition(made_of, groups)
    assert table.formula == shared.formula, "the table is that of one encoder for all"
    return [
        dataclasses.replace(proof, title=f"{proof.title}, if q(a|x) alone reads its encoder")
        for proof in proofs
        if proof.start.args[1] == u
    ]


@derives("partition.seqdgm_a")
def partition_seqdgm_a() -> Derivation:
    """SeqDGM-A: the sample of a and all before it are shared."""
    a_mean, a_spread, a = (_function(name, _S, v) for name in ("c", "b", "a"))
    groups = (e, u, v, w, phi, theta)
    proofs, table = _partition(_seqdgm_a(_S), groups)
    return Derivation(
        claim="partition.seqdgm_a",
        verdict=PROVED,
        finding="the embeddings, the encoder and the parameters of q(a|x) reach log q and L, the "
        "last of them through one draw of a, so they have a score and a pathwise term, whether "
        "classifier and inference read the same encoder or one of their own; if a is drawn again "
        "for L, the gradient is another",
        valid=(
            "log q(y|a, x) and L get the same draw of a",
            "the classifier reads nothing of φ or θ, inference and generation nothing of w",
        ),
        symbols=_SYMBOLS | _SYMBOLS_A,
        parts=(
            *proofs,
            *_with_encoders_apart(table, groups),
            _reparameterised_draw(a, a_mean, a_spread, v, "delta"),
            Counterexample(
                title="the classifier shares the embeddings alone with the rest, as in SeqDGM",
                setting="a = v, q_1 = 1/(1 + exp(-a)) and L_1 = a at v = 0: if v did not reach "
                "both, ∂log q_1/∂v or ∂L_1/∂v would be 0, and so would their product",
                claimed=sp.S.Zero,
                actual=sp.diff(-sp.log(1 + sp.exp(-v)), v) * sp.diff(v, v),
                at={v: sp.S.Zero},
            ),
            *_second_draw(),
        ),
        oracle=table,
        infinite_labels=(
            "Nothing here depends on what y is. With a continuous a the mean over its draws is an "
            "integral, and covariances are lost in the same way."
        ),
        reference="Maaløe, Sønderby, Sønderby and Winther (2016), Auxiliary deep generative models",
    )


#: Tokens, mask and label; noise. A state, its update, an embedded token, a mask, a token's cost.
_DATA, _NOISE = (
    StopGradient(sp.Symbol("c", real=True)),
    StopGradient(sp.Symbol("epsilon", real=True)),
)
_MASK = _function("m", n)


def _state(place: sp.Expr) -> sp.Expr:
    return _function("s", place, e)


_UPDATE = _function("f", _state(n - 1), _function("x", n, e))
_NEXT = {_state(n): _MASK * _UPDATE + (1 - _MASK) * _state(n - 1)}
_PADDED = {_MASK: sp.S.Zero}


def _total_derivatives() -> tuple[Proof, ...]:
    """Total derivatives with data and noise among the arguments; and nothing left to draw."""
    x = _function("x", _DATA, e)
    h = _function("h", x, _NOISE, phi)
    classifier, loss = _function("g", k, x, w), _function("R", k, x, h, theta)
    of_x = Partial(x, _DATA) * D(_DATA, e) + Partial(x, e)
    probability = sp.Function("r", positive=True)(i)
    return (
        Proof(
            title="the total derivative of log q by e has no term but the one through e",
            start=D(classifier, e),
            steps=(
                Step(
                    Partial(classifier, x) * of_x + Partial(classifier, w) * D(w, e), "chain rule"
                ),
                Step(
                    Partial(classifier, x) * Partial(x, e) + Partial(classifier, w) * D(w, e),
                    "held constant",
                    "tokens, mask and label do not move",
                ),
                Step(Partial(classifier, x) * Partial(x, e), "independence"),
            ),
        ),
        Proof(
            title="nor has that of L by φ any term but the one through φ",
            start=D(loss, phi),
            steps=(
                Step(_total(loss, x, h), "chain rule"),
                Step(
                    _total(loss, x, h).xreplace(
                        {D(_DATA, phi): sp.S.Zero, D(_NOISE, phi): sp.S.Zero}
                    ),
                    "held constant",
                    "nor does the noise",
                ),
                Step(Partial(loss, h) * Partial(h, phi), "independence"),
            ),
        ),
        Proof(
            title="and nothing is left to draw: over any draw i the variance is 0",
            start=mean((L - mean(L, probability, i)) ** 2, probability, i),
            steps=(Step(sp.S.Zero, "normalisation", "L, its noise given, does not depend on i"),),
        ),
    )


def _total(loss: sp.Expr, x: sp.Expr, h: sp.Expr) -> sp.Expr:
    """∂L/∂φ with a term for all that L is made of, data and noise among it."""
    of_x = Partial(x, _DATA) * D(_DATA, phi) + Partial(x, e) * D(e, phi)
    of_h = Partial(h, x) * of_x + Partial(h, _NOISE) * D(_NOISE, phi) + Partial(h, phi)
    return Partial(loss, x) * of_x + Partial(loss, h) * of_h + Partial(loss, theta) * D(theta, phi)


def _padded_state() -> tuple[Proof, Proof]:
    """The induction over columns of padding, for the state and for its derivative."""
    before, first = _state(n - 1), _state(sp.S.Zero)
    hypothesis = "the n - 1 columns before have moved nothing"
    by_induction = "so by induction it is so for any number of columns"
    masked = _MASK * D(_UPDATE, e) + (1 - _MASK) * D(before, e)
    return (
        Proof(
            title="padding leaves the state where it was",
            start=_state(n),
            steps=(
                Step(_NEXT[_state(n)], "definition", "a masked step, at column n", _NEXT),
                Step(before, "assumption", "column n is padding: m_n = 0", _PADDED),
                Step(first, "induction", hypothesis, {before: first}),
            ),
            conclusion=by_induction,
        ),
        Proof(
            title="and its derivative",
            start=D(_state(n), e),
            steps=(
                Step(D(_NEXT[_state(n)], e), "definition", given=_NEXT),
                Step(
                    D(_MASK * _UPDATE, e) + D(before, e) - D(_MASK * before, e),
                    "linearity of the derivative",
                ),
                Step(masked + (_UPDATE - before) * D(_MASK, e), "product rule"),
                Step(masked, "independence", "the mask does not depend on e"),
                Step(D(before, e), "assumption", "column n is padding: m_n = 0", _PADDED),
                Step(D(first, e), "induction", hypothesis, {D(before, e): D(first, e)}),
            ),
            conclusion=by_induction + "; the embedding of a token in padding gets no gradient, "
            "since all that depends on it has the factor m_n",
        ),
    )


def _padded_sum() -> tuple[Proof, Proof]:
    """The sum of the tokens' costs, with and without N columns of padding."""
    cost = total(_function("m", t) * _function("l", t, e), t, T)
    padding = total(_MASK * _function("l", n, e), n, N)
    value = Proof(
        title="padding adds nothing to a masked sum",
        start=cost + padding,
        steps=(Step(cost, "assumption", "m_n = 0 in all N columns of padding", _PADDED),),
    )
    slope = Proof(
        title="and nothing to its derivative",
        start=D(cost + padding, e),
        steps=(Step(D(cost, e), "shown above", given=value.shown),),
    )
    return value, slope


@derives("invariants")
def invariants() -> Derivation:
    """Nothing but the parameters varies, and padding moves nothing."""
    mask, cost = _function("m", t), _function("l", t)
    updated, before, place = sp.symbols("u s m", real=True)
    return Derivation(
        claim="invariants",
        verdict=PROVED,
        finding="given tokens, mask, label and noise, log q and L are functions of the parameters "
        "alone, and columns of padding move neither a value nor a derivative",
        valid=(
            "padding is on the right, the mask is 0 there and does not depend on the parameters",
            "what reads the sentence reads the last state or a masked sum, and nothing else in it "
            "runs over columns",
        ),
        symbols={
            "c, ε": "tokens, mask and label; the noise of h and of word dropout",
            "x, h": "the embedded sentence, of c and e; the draw of h, of x, ε and φ",
            "g_k": "log q_k, a function of x and w; R_k is L_k, a function of x, h and θ",
            "i": "any draw that is left once the noise is given",
            "n": "a column of padding, of N; t is a column of the sentence, of T",
            "s_n": "the state after n columns of padding, s_0 after the sentence",
            "m_n": "the mask; f is the update of the state by a token",
            "l_t": "a token's cost",
        },
        parts=(*_total_derivatives(), *_padded_state(), *_padded_sum()),
        oracle=Oracle(total(mask * cost, t, T), {"mask": mask, "value": cost}, index=t),
        further={
            "state": Oracle(
                place * updated + (1 - place) * before,
                {"mask": place, "updated": updated, "before": before},
                index=(),
            )
        },
        infinite_labels="Nothing here depends on what y is.",
    )
