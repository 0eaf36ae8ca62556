"""Claim cost.labels: what a step costs, by the number of labels.

The cost of one sentence in operations: c₀ for what is shared by all labels, c₁ for one label's part
of the softmax, c₂ for the loss at one label. The softmax needs all labels even for one draw.
"""

from __future__ import annotations

import sympy as sp

from .kernel.derivation import REFUTED, Counterexample, Derivation, Proof, Step, derives
from .kernel.expressions import K, k, total
from .kernel.oracle import Oracle

c_0, c_1, c_2 = sp.symbols("c_0 c_1 c_2", positive=True)
#: All labels; one drawn label; n drawn labels.
A, S, G = sp.symbols("A S G", positive=True)
n = sp.Symbol("n", positive=True, integer=True)
#: Variance between sentences, and of one sentence's estimate by its drawn label.
W, V = sp.symbols("W V", positive=True)

EVERY = c_0 + K * (c_1 + c_2)
ONE = c_0 + K * c_1 + c_2
SEVERAL = c_0 + K * c_1 + n * c_2
_KNOWN = {A: EVERY, S: ONE, G: SEVERAL}

#: What is paid whether or not a label is drawn.
_SHARED = c_0 + K * c_1


def _one_more() -> Proof:
    more = total(c_1, k, K + 1)
    return Proof(
        title="one label more costs a sampled step c₁",
        start=c_0 + more + c_2 - (c_0 + total(c_1) + c_2),
        steps=(Step((K + 1) * c_1 - K * c_1, "counting"), Step(c_1, "algebra", "whatever K is")),
        conclusion="it does not cost the same for any number of labels, but only the softmax grows",
    )


def _ratio() -> Proof:
    limit = (c_1 + c_2) / c_1
    return Proof(
        title="enumeration costs (c₁ + c₂)/c₁ times as much, when there are many labels",
        start=A / S,
        steps=(
            Step(EVERY / ONE, "definition", "what each costs", _KNOWN),
            Step(
                limit - c_2 * (c_0 + c_1 + c_2) / (c_1 * ONE),
                "algebra",
                "the last term falls as 1/K, and the ratio rises with K",
            ),
        ),
        conclusion="so drawing saves no more than that factor where the softmax costs something",
    )


def _without_softmax() -> Proof:
    return Proof(
        title="the ratio is K itself where all but the loss is negligible",
        start=A / S,
        steps=(
            Step(EVERY / ONE, "definition", "what each costs", _KNOWN),
            Step(K - (K - 1) * _SHARED / ONE, "algebra", "the last term vanishes with c₀ + K c₁"),
        ),
    )


def _break_even() -> tuple[Proof, ...]:
    """Against what the draw adds to the variance, at a fixed budget of operations."""
    best = (sp.sqrt(_SHARED * W) + sp.sqrt(c_2 * V)) ** 2
    return (
        Proof(
            title="to draw n labels is cheaper than to take all if and only if n < K",
            start=A - G,
            steps=(
                Step(EVERY - SEVERAL, "definition", "what each costs", _KNOWN),
                Step((K - n) * c_2, "algebra"),
            ),
        ),
        Proof(
            title="for a budget, one draw beats enumeration if and only if V/W < (K - 1) c₂/S",
            start=A * W - S * (W + V),
            steps=(
                Step(EVERY * W - ONE * (W + V), "definition", "what each costs", _KNOWN),
                Step((K - 1) * c_2 * W - ONE * V, "algebra"),
            ),
            conclusion="the number of sentences is the budget over the cost of one, so the "
            "variance of their average goes as the cost of one times the variance of one, which is "
            "W for all labels and V + W with one drawn: the draw wins where this is positive",
        ),
        Proof(
            title="the best number n of draws is √((c₀ + K c₁) V/(c₂ W))",
            start=G * (W + V / n),
            steps=(
                Step(SEVERAL * (W + V / n), "definition", given=_KNOWN),
                Step(
                    best + (sp.sqrt(n * c_2 * W) - sp.sqrt(_SHARED * V / n)) ** 2,
                    "algebra",
                    "of the squares only the one with n depends on n, and there it is 0",
                ),
            ),
            conclusion="where that number is K or more, enumerate; where it is 1 or less, draw one",
        ),
    )


_COSTS_OF_A_SENTENCE = (
    Proof(
        title="enumeration pays softmax and loss for every label",
        start=c_0 + total(c_1 + c_2),
        steps=(
            Step(EVERY, "counting"),
            Step(A, "definition", "what it costs with all labels", _KNOWN),
        ),
    ),
    Proof(
        title="one draw pays the softmax for every label, the loss for one",
        start=c_0 + total(c_1) + c_2,
        steps=(
            Step(ONE, "counting"),
            Step(S, "definition", "what it costs with one drawn", _KNOWN),
        ),
    ),
)

_SYMBOLS = {
    "K, n": "the number of labels, and of drawn labels",
    "c₀": "operations shared by all labels (the classifier's encoder)",
    "c₁": "of one label's part in the softmax",
    "c₂": "of the loss at one label",
    "A, S, G": "what a sentence costs with all labels, with one drawn, and with n drawn: c₀ + K "
    "c₁ + n c₂",
    "W, V": "variance of the gradient between sentences, and what one drawn label adds",
}


_VALID = (
    "operations are counted, not what a machine can do at once",
    "the loss at a label costs the same for every label, and shares nothing between labels",
    "log q(y|x) needs the softmax over all labels even where one label is drawn",
)


@derives("cost.labels")
def labels() -> Derivation:
    """Cost by the number of labels, with the softmax and without."""
    in_words = "c₀ = c₁ = c₂ = 1: a sampled step costs c₀ + K c₁ + c₂ = K + 2"
    return Derivation(
        claim="cost.labels",
        verdict=REFUTED,
        finding="a sampled step costs c₀ + K c₁ + c₂: it grows with K by the softmax alone, "
        "enumeration by softmax and loss; enumeration's cost over its own tends to (c₁ + c₂)/c₁ "
        "with many labels, and is K where all but the loss is negligible",
        valid=_VALID,
        symbols=_SYMBOLS,
        parts=(
            *_COSTS_OF_A_SENTENCE,
            _one_more(),
            _ratio(),
            _without_softmax(),
            *_break_even(),
            Counterexample(
                title="the same cost for any number of labels",
                setting=f"{in_words}, so 4 with two labels and 5 with three",
                claimed=ONE.subs(K, 2),
                actual=ONE.subs(K, 3),
                at={c_0: sp.S.One, c_1: sp.S.One, c_2: sp.S.One},
            ),
        ),
        oracle=Oracle(EVERY / ONE, _COSTS, index=()),
        further={
            "enumeration": Oracle(EVERY, _COSTS, index=()),
            "sampled": Oracle(SEVERAL, {**_COSTS, "draws": n}, index=()),
            "draws": Oracle(
                sp.sqrt(_SHARED * V / (c_2 * W)), {**_COSTS, "between": W, "by_label": V}, index=()
            ),
        },
        infinite_labels=(
            "Countably many labels: enumeration does not end, and a sampled step needs a q that "
            "can be drawn from and evaluated without its normaliser's sum. Continuous y: the same."
        ),
    )


_COSTS = {"labels": K, "shared": c_0, "softmax": c_1, "loss": c_2}
