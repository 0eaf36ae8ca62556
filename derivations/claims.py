"""The claims, by identifier: the spine that derivations, checks and reports share."""

from __future__ import annotations

from typing import NamedTuple


class Claim(NamedTuple):
    """One claim of the note, in our words.

    ``section`` is where the note makes it; "-" where we need it and the note does not say it.
    """

    id: str
    section: str
    statement: str


CLAIMS = {
    claim.id: claim
    for claim in (
        Claim("forward", "-", "Every framework computes the same log q and L before any gradient"),
        Claim(
            "partition.seqdgm",
            "1b",
            "In SeqDGM the classifier shares only the word embeddings e with the rest",
        ),
        Claim(
            "partition.seqdgm_a",
            "1b",
            "In SeqDGM-A it shares everything up to and with the sample of a",
        ),
        Claim(
            "invariants",
            "1a",
            "Given tokens, mask, labels and noise all is deterministic, and padding moves nothing",
        ),
        Claim("kl.closed_form", "2", "The generalised KL term of L has a closed form"),
        Claim(
            "baseline.reconstruction",
            "2",
            "Subtracting B(x; lambda) from log p(x|..) changes no gradient",
        ),
        Claim("objective.u", "2", "U is E_q[L + log q], and E_q[log q] is the entropy"),
        Claim(
            "objective.c",
            "2",
            "C averages L - alpha log q over labelled and U over unlabelled sentences",
        ),
        Claim("gradient.e", "3", "dU/de is estimated by L ds/de + dH/de + dL/de at one draw"),
        Claim("gradient.w", "3", "dU/dw is estimated by L ds/dw + dH/de at one draw"),
        Claim("gradient.phi_theta", "3", "dU/d(phi, theta) is estimated by dL at one draw"),
        Claim("baseline.unbiased", "3", "L - B in place of L in the score term keeps the mean"),
        Claim("baseline.variance", "3", "... and makes the gradient more stable"),
        Claim("baseline.form", "3", "Which functional form B should have (an open question)"),
        Claim(
            "constant.theano",
            "3",
            "consider_constant=[CL, CQ] stops the gradient there and nowhere else",
        ),
        Claim("batch.one_pass", "3", "One differentiation of the batch sum gives all estimates"),
        Claim("batch.plus_one", "3", "(CQ + 1) log q stands for the gradient of E_q[log q]"),
        Claim("cost.labels", "3", "A sampled step costs the same for any number of labels"),
        Claim("labelled", "4", "The labelled part needs no score term"),
        Claim(
            "renormalised",
            "-",
            "Two labels drawn without replacement, weighted by q scaled up to one, estimate a mean",
        ),
        Claim(
            "released.reward",
            "-",
            "L/|x| may stand for L in the score term, less a running mean of L",
        ),
        Claim("released.entropy", "-", "The gradient of the entropy may be left out of U's"),
        Claim(
            "released.redrawn",
            "-",
            "L may be taken at another draw of a than q(y|a, x) was taken at",
        ),
        Claim(
            "higher_order",
            "-",
            "The surrogate's second derivative estimates that of U, as its first does",
        ),
    )
}
