"""The costs: what is planted is found, and the formulas are sums that NumPy finds as well."""

import numpy as np
import pytest

from gradproof.derivations.gradient import LOG_Q, H, U
from gradproof.derivations.kernel.derivation import PROVED, REFUTED
from gradproof.derivations.kernel.expressions import B, D, L, e, lam, mean, q, total
from gradproof.derivations.objective import N_l, N_u, alpha
from gradproof.derivations.registry import derivation

CLAIMS = {
    "objective.u": REFUTED,
    "objective.c": PROVED,
    "labelled": PROVED,
    "baseline.reconstruction": PROVED,
}
#: Roundings of sums of a few dozen terms of order one.
CLOSE = {"rtol": 1e-14, "atol": 1e-14}


@pytest.mark.parametrize("claim", CLAIMS)
def test_the_verdict(claim):
    """Each is checked, with the verdict that is known."""
    assert derivation(claim).verdict == CLAIMS[claim]


def test_the_entropy_with_a_plus_is_found(planted):
    """E[log q] is not +H."""
    planted("objective.u", "the mean of log q is minus the entropy", 1, after=H)


def test_a_dropped_entropy_is_found(planted):
    """U is not the mean loss alone."""
    planted("objective.u", "U is the mean loss less the entropy", 2, after=mean(L))


def test_the_mean_by_another_name_is_found(planted):
    """A sum over labels is a mean by definition, not by linearity."""
    title = "U is the mean of L + log q over one draw"
    planted("objective.u", title, 1, rule="linearity of the mean")


def test_a_division_by_the_unlabelled_alone_is_found(planted):
    """C is an average over sentences of both kinds."""
    title = "the gradient of C is the average of the sentences' own"
    after = derivation("objective.c").parts[0].result
    planted("objective.c", title, -1, after=after * (N_l + N_u) / N_u)


def test_draws_without_normalisation_are_not_added_up(planted):
    """That draws add up in the mean is more than linearity: probabilities sum to 1."""
    title = "draws for different sentences add up in the mean"
    planted("objective.c", title, 0, rule="linearity of the mean")


def test_a_score_term_at_a_given_label_is_found(planted):
    """The labelled part has none."""
    title = "its gradient by e has no mean in it, so nothing to estimate"
    after = D(L, e) - alpha * D(LOG_Q, e) + L * D(LOG_Q, e)
    planted("labelled", title, -1, after=after)


def test_a_plus_before_the_weight_is_found(planted):
    """The labelled part has -α log q."""
    title = "its gradient by e has no mean in it, so nothing to estimate"
    planted("labelled", title, -1, after=D(L, e) + alpha * D(LOG_Q, e))


def test_a_baseline_needs_normalisation(planted):
    """Without Σ q = 1 the baseline does not come out of the sum."""
    title = "with L + B it does not move, if the baseline reads λ alone"
    planted("baseline.reconstruction", title, 1, rule="linearity of the sum")
    planted("baseline.reconstruction", title, 1, after=D(total(q * (L + LOG_Q)) - B, e))


def test_a_live_baseline_is_not_dropped(planted):
    """∂B/∂e stays."""
    title = "with L + Bₑ in place of L, ∂U moves by exactly ∂Bₑ"
    planted("baseline.reconstruction", title, -1, after=D(U, e))


def test_a_held_baseline_is_not_independent_of_the_embeddings(planted):
    """It reads them; that it is held is why it has no gradient."""
    title = "nor does it with L + ⊥Bₑ: the baseline is held constant"
    planted("baseline.reconstruction", title, 3, rule="independence")


def test_the_gradient_by_lambda_is_no_more_than_the_baseline_s(planted):
    """A factor is found."""
    title = "the gradient by λ is ∂B/∂λ and nothing else"
    planted("baseline.reconstruction", title, -1, after=2 * D(B, lam))


def sentences(rng, n, labels, shape=()):
    """Tables of n sentences: q, L, scores and pathwise gradients."""
    q = rng.dirichlet(np.ones(labels), size=n).reshape(n, labels)
    return q, rng.standard_normal((n, labels)), *rng.standard_normal((2, n, labels, *shape))


@pytest.mark.parametrize("labels", [1, 2, 5])
def test_u_by_enumeration(labels):
    """The oracle is the sum over labels, for a batch after the labels' axis."""
    rng = np.random.default_rng(labels)
    q, loss, _, _ = sentences(rng, 4, labels)
    found = derivation("objective.u").oracle(q=q.T, log_q=np.log(q).T, loss=loss.T)
    np.testing.assert_allclose(found, np.sum(q * (loss + np.log(q)), axis=1), **CLOSE)


@pytest.mark.parametrize(("given", "drawn"), [(0, 3), (2, 0), (3, 2)])
def test_c_by_enumeration(given, drawn):
    """C and its gradient, with no labelled or no unlabelled sentences as well."""
    rng, weight, shape = np.random.default_rng(given), 0.7, (2, 3)
    q, loss, score, pathwise = sentences(rng, drawn, 4, shape)
    own_q, own_loss = rng.uniform(0.1, 0.9, given), rng.standard_normal(given)
    own_score, own_pathwise = rng.standard_normal((2, given, *shape))
    unlabelled = {"q": q, "log_q": np.log(q), "loss": loss, "alpha": weight}
    found = derivation("objective.c")
    value = found.further["cost"](
        labelled_loss=own_loss, labelled_log_q=np.log(own_q), **unlabelled
    )
    whole = np.sum(own_loss - weight * np.log(own_q)) + np.sum(q * (loss + np.log(q)))
    np.testing.assert_allclose(value, whole / (given + drawn), **CLOSE)
    gradient = found.oracle(
        labelled_score=own_score,
        labelled_pathwise=own_pathwise,
        score=score,
        pathwise=pathwise,
        **unlabelled,
    )
    factor = q * (loss + np.log(q) + 1)
    parts = np.einsum("nk,nk...->...", factor, score) + np.einsum("nk,nk...->...", q, pathwise)
    own = (own_pathwise - weight * own_score).sum(axis=0)
    np.testing.assert_allclose(gradient, (parts + own) / (given + drawn), **CLOSE)


def test_c_names_the_index_whose_lengths_differ():
    """Four labels of q and three of L."""
    q = np.full((2, 4), 0.25)
    with pytest.raises(ValueError, match=r"one index, k.*'q': 4.*'loss': 3"):
        derivation("objective.c").further["cost"](
            labelled_loss=np.zeros(1),
            labelled_log_q=np.zeros(1),
            q=q,
            log_q=np.log(q),
            loss=np.zeros((2, 3)),
            alpha=1.0,
        )


def test_the_labelled_gradient_by_a_difference():
    """Of L - α log q at a given label, with q a softmax of two parameters."""
    logits, label, weight, step = np.array([0.3, -0.8, 0.1]), 1, 0.7, 1e-6
    slope = np.array([0.5, -2.0, 1.5])  # of a loss that is linear in the logits

    def cost(at):
        return slope @ at - weight * (at[label] - np.log(np.exp(at).sum()))

    score = np.eye(3)[label] - np.exp(logits) / np.exp(logits).sum()
    found = derivation("labelled").oracle(pathwise=slope, score=score, alpha=weight)
    moved = [cost(logits + step * row) - cost(logits - step * row) for row in np.eye(3)]
    # Central differences: step^2 of truncation, and a few roundings over the step, 2e-10 each.
    np.testing.assert_allclose(found, np.array(moved) / (2 * step), rtol=0.0, atol=2e-9)


def test_the_shifted_gradient():
    """∂U and ∂B, added up, by parameter."""
    gradient, shift = np.arange(6.0).reshape(2, 3), np.ones((2, 3))
    found = derivation("baseline.reconstruction").oracle(gradient=gradient, baseline_gradient=shift)
    np.testing.assert_array_equal(found, gradient + 1.0)
