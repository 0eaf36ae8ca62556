"""SeqDGM and SeqDGM-A, written out sentence by sentence, label by label and token by token."""

import dataclasses
import functools

import autograd
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from gradproof.estimators.backends.autograd_backend import AutogradOps
from gradproof.estimators.note.builds import all_labels, build, exact_objective
from gradproof.estimators.note.subject import Subject
from gradproof.estimators.note.value_bounds import count_roundings, unit_roundoff
from gradproof.reference_models import lstm, sequence
from gradproof.reference_models.batch import BOS, make_batch
from gradproof.reference_models.model import GROUPS, every_label, group_of
from gradproof.reference_models.seqdgm import SeqDGM
from gradproof.reference_models.seqdgm_a import SeqDGMA

OPS = AutogradOps()
KINDS = {
    "seqdgm": SeqDGM,
    "seqdgm-a": SeqDGMA,
    "separate": functools.partial(SeqDGMA, shared_encoder=False),
}

each_model = pytest.mark.parametrize("kind", KINDS)
seeds = st.integers(0, 2**32 - 1)


@dataclasses.dataclass(frozen=True)
class Case:
    """Sizes and a seed, which say all of a subject but its model."""

    n: int
    t: int
    k: int
    hidden: int
    seed: int

    def subject(self, kind, **changes):
        """A model of the kind with random parameters, on random sentences of random lengths."""
        rng = np.random.default_rng(self.seed)
        sizes = {"width": 2, "hidden": self.hidden, "latent": 2, "dropout": 0.5} | changes
        model = KINDS[kind](self.k, 7, **sizes)
        tokens = rng.integers(0, 7, (self.n, self.t))
        mask = np.arange(self.t) < rng.integers(1, self.t + 1, (self.n, 1))
        noise = model.noise(rng, self.n, self.t)
        return Subject(model, model.initial(rng), make_batch(tokens, mask, noise=noise))


cases = st.builds(
    Case, st.integers(1, 3), st.integers(1, 4), st.integers(2, 4), st.integers(1, 3), seeds
)
pairs = cases.map(lambda case: dataclasses.replace(case, n=2))


def with_batch(subject, **arrays):
    """The subject with some arrays of its batch replaced, noise by ``noise_`` and its name."""
    named = {name.replace("noise_", "noise."): array for name, array in arrays.items()}
    return subject.replace(batch=subject.batch.with_arrays(subject.batch.arrays() | named))


def all_values(subject):
    """log q (N, K) and L (K, N) by one pass over all labels."""
    inputs = subject.inputs(every_label(subject.batch.n, subject.model.classes))
    return build(all_labels, subject)(OPS, subject.parameters, inputs)


def bound(subject, largest=None):
    """What the roundings of two such passes, through numbers up to ``largest``, come to."""
    if largest is None:
        largest = max(np.abs(values).max() for values in all_values(subject).values())
    inputs = subject.inputs(every_label(subject.batch.n, subject.model.classes))
    roundings = count_roundings(build(all_labels, subject), subject.parameters, inputs).operations
    return 2 * roundings * unit_roundoff(subject.dtype) * (1.0 + largest)


def assert_close(subject, found, expected):
    """Values of a subject, by name or in an array, agree within its roundings."""
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=bound(subject))


# What follows is the model once more, for one sentence without padding and one label, in vectors.


def hand_states(parameters, name, rows, condition=0.0):
    """The states of an LSTM after each of some rows, one list entry a row."""
    into, across, bias = (parameters[f"{name}.{part}"] for part in ("input", "recurrent", "bias"))
    state = cell = np.zeros(len(across))
    states = []
    for row in rows:
        enter, forget, leave, candidate = np.split(
            row @ into + state @ across + bias + condition, 4
        )
        cell = special.expit(forget) * cell + special.expit(enter) * np.tanh(candidate)
        state = special.expit(leave) * np.tanh(cell)
        states.append(state)
    return states


def hand_affine(parameters, name, x):
    """The affine layer ``name``."""
    return x @ parameters[f"{name}.weight"] + parameters[f"{name}.bias"]


def hand_tokens(parameters, tokens, keep, condition):
    """log p of each token, by an explicit log-softmax over the vocabulary and its entry."""
    table = parameters["e.embedding"]
    previous = [table[token] * seen for token, seen in zip([BOS, *tokens], keep, strict=False)]
    return [
        special.log_softmax(parameters["theta.output"] @ state + parameters["theta.output_bias"])[x]
        for state, x in zip(
            hand_states(parameters, "theta.lstm", previous[: len(tokens)], condition),
            tokens,
            strict=True,
        )
    ]


def hand_sentence(parameters, tokens, noise, label):
    """log q (K,), the terms of L at a label, and the draws, of one sentence."""
    rows = [parameters["e.embedding"][token] for token in tokens]
    own = "w.lstm.bias" in parameters
    encoder = "w.lstm" if own else "e.lstm"
    logits = hand_affine(parameters, "w.logits", hand_states(parameters, encoder, rows)[-1])
    to_phi, to_theta = parameters["phi.label"][label], parameters["theta.label"][label]
    draws = {}
    if "eps_a" in noise:
        state = hand_states(parameters, "e.lstm", rows)[-1]
        center = hand_affine(parameters, "e.mean", state)
        spread = np.exp(hand_affine(parameters, "e.log_variance", state) / 2)
        a = draws["a"] = center + spread * noise["eps_a"]
        logits = logits + a @ parameters["w.auxiliary"]
        to_phi = to_phi + a @ parameters["phi.auxiliary"]
        to_theta = to_theta + a @ parameters["theta.auxiliary"]
    if own:
        state = hand_states(parameters, "phi.lstm", rows, to_phi)[-1]
    else:
        state = np.tanh(hand_affine(parameters, "phi.hidden", state) + to_phi)
    mean = hand_affine(parameters, "phi.mean", state)
    sigma = np.exp(hand_affine(parameters, "phi.log_variance", state) / 2)
    h = draws["h"] = mean + sigma * noise["eps_h"]
    to_theta = to_theta + h @ parameters["theta.latent"]
    terms = [-x for x in hand_tokens(parameters, tokens, noise["keep"], to_theta)]
    # log q - log p is quadratic in h, and three nodes integrate it without error.
    for node, weight in zip(*np.polynomial.hermite_e.hermegauss(3), strict=True):
        at, share = mean + sigma * node, weight / np.sqrt(2 * np.pi)
        terms += [*share * stats.norm.logpdf(at, mean, sigma), *-share * stats.norm.logpdf(at)]
    if "eps_a" in noise:
        terms += [*stats.norm.logpdf(a, center, spread)]
        back = hand_affine(parameters, "theta.a_mean", h) + parameters["theta.a_label"][label]
        width = np.exp(hand_affine(parameters, "theta.a_log_variance", h) / 2)
        terms += [*-stats.norm.logpdf(a, back, width)]
    return special.log_softmax(logits), [*terms, np.log(len(logits))], draws


@each_model
@given(case=cases)
def test_values_are_those_written_out(kind, case):
    """log q, L, h and a are those of the formulas, log K and every other term among them."""
    subject = case.subject(kind)
    batch, k = subject.batch, case.k
    found = all_values(subject)
    draws = subject.model.latents(OPS, subject.parameters, batch, every_label(case.n, k))
    assert found["log_q"].shape == (case.n, k)
    assert found["loss"].shape == (k, case.n)
    for n, label in np.ndindex(case.n, k):
        tokens = batch.tokens[n, : int(batch.mask[n].sum())]
        noise = {name: array[n] for name, array in batch.noise.items()}
        log_q, terms, expected = hand_sentence(subject.parameters, tokens, noise, label)
        slack = bound(subject, largest=np.abs(terms).sum() + np.abs(log_q).max())
        np.testing.assert_allclose(found["log_q"][n], log_q, rtol=0.0, atol=slack)
        np.testing.assert_allclose(found["loss"][label, n], np.sum(terms), rtol=0.0, atol=slack)
        assert draws.keys() == expected.keys()
        for name, value in expected.items():
            row = draws[name][label if name == "h" else 0, n]
            np.testing.assert_allclose(row, value, rtol=0.0, atol=slack, err_msg=name)


@given(case=cases, m=st.integers(1, 3))
def test_reconstruction_is_the_likelihood_of_each_token(case, m):
    """-log p(x|condition) sums over a sentence's tokens what a softmax over V says of each."""
    subject = case.subject("seqdgm")
    batch, parameters = subject.batch, subject.parameters
    condition = np.random.default_rng(case.seed).standard_normal((m, case.n, 4 * case.hidden))
    found = sequence.reconstruction(OPS, parameters, batch, condition, size=case.hidden)
    assert found.shape == (m, case.n)
    for label, n in np.ndindex(m, case.n):
        tokens = batch.tokens[n, : int(batch.mask[n].sum())]
        terms = hand_tokens(parameters, tokens, batch.noise["keep"][n], condition[label, n])
        slack = bound(subject, largest=-np.sum(terms))
        np.testing.assert_allclose(found[label, n], -np.sum(terms), rtol=0.0, atol=slack)


@each_model
@given(case=cases)
def test_q_is_normalised(kind, case):
    """Probabilities sum to one over the labels."""
    subject = case.subject(kind)
    total = np.exp(all_values(subject)["log_q"]).sum(axis=1)
    assert_close(subject, total, np.ones(case.n))


@each_model
@given(case=cases)
def test_one_pass_over_all_labels_is_a_pass_for_each(kind, case):
    """Row k of the losses, and of the latents, is what a pass with label k alone gives."""
    subject = case.subject(kind)
    model, batch, parameters = subject.model, subject.batch, subject.parameters
    labels = every_label(case.n, case.k)
    whole = all_values(subject)["loss"]
    latents = model.latents(OPS, parameters, batch, labels)["h"]
    assert latents.shape == (case.k, case.n, model.latent)
    for k, label in enumerate(labels):
        alone = model.loss(OPS, parameters, batch, label[None])
        assert alone.shape == (1, case.n)
        assert_close(subject, alone[0], whole[k])
        assert_close(
            subject, model.latents(OPS, parameters, batch, label[None])["h"][0], latents[k]
        )


@each_model
@given(seed=seeds)
def test_many_labels(kind, seed):
    """K = 200 labels go through in one pass; each loss is the one of its label alone."""
    subject = Case(2, 2, 200, 2, seed).subject(kind)
    values = all_values(subject)
    assert values["loss"].shape == (200, 2)
    assert_close(subject, np.exp(values["log_q"]).sum(axis=1), np.ones(2))
    last = np.broadcast_to(np.eye(200)[199], (1, 2, 200))
    alone = subject.model.loss(OPS, subject.parameters, subject.batch, last)[0]
    assert_close(subject, alone, values["loss"][199])


@each_model
@given(case=cases, token=st.integers(0, 6))
def test_padding_is_not_read(kind, case, token):
    """What stands under the mask changes no value to the last bit, more of it only by rounding."""
    subject = case.subject(kind)
    batch, values = subject.batch, all_values(subject)
    keep = batch.noise["keep"]
    filled = with_batch(
        subject,
        tokens=np.where(batch.mask > 0, batch.tokens, token),
        noise_keep=np.where(batch.mask > 0, keep, 1 - keep),
    )
    for name, value in all_values(filled).items():
        np.testing.assert_array_equal(value, values[name], err_msg=name)
    wider = ((0, 0), (0, 2))
    longer = subject.replace(
        batch=make_batch(
            np.pad(batch.tokens, wider, constant_values=token),
            np.pad(batch.mask, wider),
            noise=batch.noise | {"keep": np.pad(keep, wider)},
        )
    )
    for name, value in all_values(longer).items():
        assert_close(longer, value, values[name])


@each_model
@given(case=pairs)
def test_sentences_are_apart(kind, case):
    """A sentence's values are the same alone as in a batch."""
    subject = case.subject(kind)
    whole = all_values(subject)
    for n in range(2):
        alone = all_values(subject.example(n))
        assert_close(subject, alone["log_q"][0], whole["log_q"][n])
        assert_close(subject, alone["loss"][:, 0], whole["loss"][:, n])


@each_model
@given(case=cases)
def test_known_labels_are_not_read(kind, case):
    """log q and L take the label from their argument; what the batch knows is for the objective."""
    subject = case.subject(kind)
    known = with_batch(subject, labels=np.ones(case.n, dtype=int))
    for name, value in all_values(known).items():
        np.testing.assert_array_equal(value, all_values(subject)[name], err_msg=name)


@each_model
@given(case=pairs, data=st.data())
def test_word_dropout_reaches_the_decoder_of_its_sentence_alone(kind, case, data):
    """Dropping one token leaves log q, the latents and the other sentence to the last bit."""
    subject = case.subject(kind)
    sentence = data.draw(st.integers(0, 1))
    place = data.draw(st.integers(0, int(subject.batch.mask[sentence].sum()) - 1))
    keep = subject.batch.noise["keep"].copy()
    keep[sentence, place] = 1 - keep[sentence, place]
    other = with_batch(subject, noise_keep=keep)
    before, after = all_values(subject), all_values(other)
    np.testing.assert_array_equal(after["log_q"], before["log_q"])
    np.testing.assert_array_equal(after["loss"][:, 1 - sentence], before["loss"][:, 1 - sentence])
    assert (after["loss"][:, sentence] != before["loss"][:, sentence]).any()
    labels = every_label(2, case.k)
    for name, draw in subject.model.latents(OPS, subject.parameters, subject.batch, labels).items():
        again = other.model.latents(OPS, other.parameters, other.batch, labels)[name]
        np.testing.assert_array_equal(again, draw, err_msg=name)


@given(case=cases)
def test_the_decoder_sees_the_previous_tokens_that_are_kept(case):
    """The likelihood depends on the embeddings of those, and of no other token: not on x itself."""
    subject = case.subject("seqdgm")
    batch, parameters = subject.batch, dict(subject.parameters)
    condition = np.zeros((1, case.n, 4 * case.hidden))

    def likelihood(table):
        known = parameters | {"e.embedding": table}
        return OPS.sum(sequence.reconstruction(OPS, known, batch, condition, size=case.hidden))

    gradient = autograd.grad(likelihood)(parameters["e.embedding"])
    previous = np.concatenate([np.full((case.n, 1), BOS), batch.tokens[:, :-1]], axis=1)
    seen = set(previous[(batch.noise["keep"] * batch.mask) > 0].tolist())
    assert set(np.flatnonzero(np.abs(gradient).max(axis=1)).tolist()) == seen


@given(seed=seeds, dropout=st.sampled_from([0.0, 0.25, 1.0]))
def test_dropout_is_the_share_that_is_removed(seed, dropout):
    """Word dropout is 0 or 1, and removes the share that it is told to."""
    keep = sequence.keep_noise(np.random.default_rng(seed), 50, 200, dropout)
    assert set(np.unique(keep)) <= {0.0, 1.0}
    # Six standard errors of a share in 10 000 draws: missed once in 5e8 runs, zero at 0 and at 1.
    assert abs((1 - keep).mean() - dropout) <= 6 * np.sqrt(dropout * (1 - dropout) / keep.size)


@given(case=cases, shift=st.floats(-1, 1))
def test_one_draw_of_a_feeds_classifier_and_loss(case, shift):
    """Noise and mean of a matter through a alone, but for log q(a|x), in log q and in L alike.

    Moving the mean of a by some amount and the noise back by as much leaves a where it was.
    """
    subject = case.subject("seqdgm-a")
    a = subject.model.latents(OPS, subject.parameters, subject.batch, every_label(case.n, case.k))[
        "a"
    ]
    assert a.shape == (1, case.n, subject.model.auxiliary)
    sigma = np.stack([spread_of_a(subject, n) for n in range(case.n)])
    parameters = subject.parameters | {"e.mean.bias": subject.parameters["e.mean.bias"] + shift}
    eps = subject.batch.noise["eps_a"]
    moved = with_batch(subject.replace(parameters=parameters), noise_eps_a=eps - shift / sigma)
    before, after = all_values(subject), all_values(moved)
    change = stats.norm.logpdf(eps - shift / sigma) - stats.norm.logpdf(eps)
    # a itself comes back only to its rounding, relative to the parts it is put together from.
    parts = np.abs(shift) + np.abs(a).max() + (sigma * np.abs(eps)).max() + np.abs(change).max()
    largest = (1 + parts) * (1 + np.abs(before["loss"]).max() + np.abs(before["log_q"]).max())
    slack = bound(subject, largest=largest / min(1.0, sigma.min()))
    np.testing.assert_allclose(after["log_q"], before["log_q"], rtol=0.0, atol=slack)
    expected = before["loss"] + change.sum(axis=1)
    np.testing.assert_allclose(after["loss"], expected, rtol=0.0, atol=slack)


def spread_of_a(subject, n):
    """The deviation of q(a|x) for sentence n."""
    tokens = subject.batch.tokens[n, : int(subject.batch.mask[n].sum())]
    rows = [subject.parameters["e.embedding"][token] for token in tokens]
    state = hand_states(subject.parameters, "e.lstm", rows)[-1]
    return np.exp(hand_affine(subject.parameters, "e.log_variance", state) / 2)


@given(case=cases)
def test_a_reaches_classifier_and_loss(case):
    """Another draw of a changes both log q and L: neither goes by its mean."""
    subject = case.subject("seqdgm-a")
    other = with_batch(subject, noise_eps_a=subject.batch.noise["eps_a"] + 1.0)
    before, after = all_values(subject), all_values(other)
    assert (after["log_q"] != before["log_q"]).any(axis=1).all()
    assert (after["loss"] != before["loss"]).any(axis=0).all()


@each_model
@given(case=cases)
def test_the_prior_is_uniform_over_the_labels(kind, case):
    """Labels beyond those that there were cost log K' - log K more, and nothing else."""
    few = case.subject(kind)
    many = dataclasses.replace(few.model, classes=2 * case.k)
    tables = {
        name: np.concatenate([array, array], axis=axis)
        for name, array in few.parameters.items()
        for axis in [0 if name.endswith("label") else -1]
        if name.endswith("label") or name.startswith(("w.logits", "w.auxiliary"))
    }
    subject = few.replace(model=many, parameters=few.parameters | tables)
    expected = all_values(few)["loss"] + np.log(2.0)
    assert_close(subject, all_values(subject)["loss"][: case.k], expected)


@each_model
@given(case=cases)
def test_every_parameter_has_a_gradient_that_can_be_seen(kind, case):
    """No parameter is left out of U: a check on it would compare zeros with zeros."""
    # With a token to read that is kept, and more than one so that recurrent weights matter.
    case = dataclasses.replace(case, t=3)
    rng = np.random.default_rng(case.seed)
    subject = case.subject(kind, dropout=0.0)
    batch = make_batch(
        subject.batch.tokens, np.ones((case.n, 3)), noise=subject.model.noise(rng, case.n, 3)
    )
    subject = subject.replace(batch=batch)
    inputs = subject.inputs(every_label(case.n, case.k))
    whole = build(exact_objective, subject)
    gradient = autograd.grad(lambda parameters: whole(OPS, parameters, inputs))(
        dict(subject.parameters)
    )
    assert gradient.keys() == subject.parameters.keys()
    for name, array in gradient.items():
        assert np.isfinite(array).all(), name
        assert np.abs(array).max() > 0.0, name


@each_model
def test_groups_are_those_of_the_note(kind):
    """Each of the four groups has parameters, and no parameter is in another."""
    names = KINDS[kind](3, 7).initial(np.random.default_rng(0))
    assert {group_of(name) for name in names} == set(GROUPS)


@each_model
@given(case=cases)
def test_single_precision_stays_single(kind, case):
    """float32 parameters and constants give float32 values."""
    subject = case.subject(kind)
    parameters = {name: array.astype(np.float32) for name, array in subject.parameters.items()}
    values = all_values(subject.replace(parameters=parameters))
    assert {name: array.dtype.name for name, array in values.items()} == {
        "log_q": "float32",
        "loss": "float32",
    }


@given(seed=seeds, inputs=st.integers(1, 50))
def test_a_dense_layer_keeps_the_variance(seed, inputs):
    """Weights have variance 1 / inputs, so that a sum over the inputs has variance 1."""
    weights = lstm.dense(np.random.default_rng(seed), inputs, 10_000 // inputs)
    total = (weights**2).sum() * inputs
    # A sum of squares of normals is chi-squared: outside these quantiles once in 1e9 runs.
    low, high = stats.chi2.ppf([5e-10, 1 - 5e-10], weights.size)
    assert low <= total <= high
