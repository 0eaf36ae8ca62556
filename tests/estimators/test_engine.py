"""The fast engine agrees with the slow witness, which forms every gradient, to rounding."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradproof.checks.note.cases import tabular_cases, typical_tabular
from gradproof.checks.note.text import TextOptions, prepare_text, text_subject
from gradproof.estimators.backends import load
from gradproof.estimators.backends.torch_backend import TorchOps
from gradproof.estimators.engine import (
    NotAnOuterProduct,
    accumulate,
    blocks,
    entry_moments,
    moments_table,
)
from gradproof.estimators.engine.accumulate import structured_plan, table
from gradproof.estimators.engine.entries import entries
from gradproof.estimators.engine.general import GeneralBlock, _names_reached
from gradproof.estimators.engine.structured import StructuredBlock
from gradproof.estimators.engine.tape import ParameterHandle, Tape
from gradproof.estimators.note.exact import reference
from gradproof.estimators.note.label_table import ANALYTIC, ONE_PASS, of_reference
from gradproof.estimators.note.parabola import quadratics
from gradproof.estimators.note.value_bounds import PASSES
from gradproof.reference_models.model import group_of
from gradproof.reference_models.tabular import TabularModel, mean_embedding

pytestmark = pytest.mark.torch


@pytest.fixture(name="torch")
def _torch():
    return load("torch").torch


def allowed(known, size):
    """What rounding can do to a sum of products of two gradients whose magnitudes add to a size."""
    u = np.finfo(np.float64).eps / 2.0
    return 2.0 * u * PASSES * known.forward.operations * (2.0 + known.forward_q.largest) * size


def magnitudes(known, table):
    """The largest that each group's inner products are made of: products of norms, summed."""
    weight = np.abs(table.returns()) + 1.0 + np.abs(table.loss)
    return {
        group: float(((weight * np.sqrt(s) + np.sqrt(table.pathwise[group])) ** 2).sum() + 1e-300)
        for group, s in table.score.items()
    }


def assert_same(found, known):
    """Every part of a table, against that of the reference."""
    expected = of_reference(known)
    size = magnitudes(known, expected)
    compared = 0
    for group in expected.score:
        bound = allowed(known, size[group])
        for part in ("score", "cross", "pathwise"):
            error = np.abs(getattr(found, part)[group] - getattr(expected, part)[group])
            drawn = known.probability > 0.0  # what is never drawn has no gradient there, or any
            assert error[drawn].max() <= bound, (part, group)
            compared += error.size
        for form in (ONE_PASS, ANALYTIC):
            error = np.abs(found.mean[form][group] - expected.mean[form][group])
            assert error.max() <= bound, (form, group)
    for name, value in known.gradient.items():
        assert np.abs(found.gradient[name] - value).max() <= known.bound(name), name
    assert compared
    drawn = known.probability > 0.0
    assert np.abs(found.loss - known.loss).max() <= known.value_bound()
    assert np.abs(found.log_q[drawn] - known.log_q[drawn]).max() <= known.value_bound()


@given(case=tabular_cases(), path=st.sampled_from(["structured", "general"]))
@settings(max_examples=40)
def test_the_table_is_that_of_the_slow_witness(case, path):
    """On drawn models: tiny and large logits, labels of probability zero, padding, N = 1, K = 2."""
    subject = dataclasses.replace(case, dtype="float64").subject()
    assert_same(moments_table(subject, path=path), reference(subject))


@given(
    case=tabular_cases(supports=False),
    shift=st.floats(-5.0, 5.0),
    path=st.sampled_from(["structured", "general"]),
)
@settings(max_examples=30)
def test_the_variance_of_each_entry_is_that_of_the_slow_witness(case, shift, path):
    """As a parabola, at a baseline of the user's, and with the best one of each entry."""
    subject = dataclasses.replace(case, dtype="float64").subject()
    known = reference(subject)
    expected, n = quadratics(known), subject.batch.n
    own = expected.centre + shift * np.arange(1, n + 1)
    found = entry_moments(subject, {"own": own}, path=path)
    for name, value in found.value.items():
        s, d = known.score[name], known.pathwise[name]
        weight = np.abs(known.loss) + 1.0 + np.abs(np.nan_to_num(known.log_q, neginf=0.0))
        weight = weight + np.abs(own)[:, None]
        size = float(((weight * np.abs(s).max((-1, -2) if s.ndim == 4 else -1)
                       + np.abs(d).max((-1, -2) if d.ndim == 4 else -1)) ** 2).sum())  # fmt: skip
        bound = allowed(known, size)
        curvature = expected.curvature[name].sum(axis=0)
        shifted = value - 2.0 * shift * found.slope[name] + shift**2 * found.curvature[name]
        pairs = {
            "value": (value, expected.variance(expected.centre)[name]),
            "curvature": (found.curvature[name], curvature),
            "shifted": (shifted, expected.variance(expected.centre + shift)[name]),
            "own": (found.at["own"][name], expected.variance(own)[name]),
        }
        for what, (one, other) in pairs.items():
            assert np.abs(one - other).max() <= bound * (1.0 + shift**2), (what, name)
        assert (found.least[name] <= value + bound).all(), name


@pytest.mark.parametrize("path", ["structured", "general"])
@pytest.mark.parametrize("model", ["seqdgm", "seqdgm-a"])
def test_the_sequence_models_agree_on_real_text(model, path):
    """Embeddings that are shared, and an output that is looked up and multiplied with."""
    subject = _text(model)
    assert_same(moments_table(subject, path=path), reference(subject))


@pytest.mark.parametrize("model", ["seqdgm", "seqdgm-a"])
@pytest.mark.parametrize("pairs", [2, 3, 5, 64, 10_000])
def test_how_a_batch_is_cut_up_changes_nothing(model, pairs, torch):
    """Some labels at a time or all of them, one sentence or several."""
    subject = _text(model)
    known = reference(subject)
    assert_same(table(torch, subject, structured_plan(subject, pairs)), known)
    whole, cut = (entries(torch, subject, structured_plan(subject, each)) for each in (64, pairs))
    for name, value in whole.least.items():
        # Twice the same sums, in another order: some thousand roundings of what is added up.
        bound = 1e4 * np.finfo(np.float64).eps * (np.abs(whole.value[name]).max() + 1.0)
        assert np.abs(cut.least[name] - value).max() <= bound, name


def test_the_parts_of_a_batch_are_all_of_it():
    """Every sentence and every label once."""
    for n, k, pairs in ((1, 2, 64), (7, 3, 10), (5, 200, 64), (3, 1000, 64), (4, 4, 4)):
        rows = [r for s in blocks.sentences(n, k, pairs) for r in range(n)[s]]
        labels = [label for chunk in blocks.chunks(k, pairs) for label in chunk]
        assert rows == list(range(n))
        assert labels == list(range(k))
        assert max(map(len, blocks.chunks(k, pairs))) <= pairs


class Scaled(TabularModel):
    """A model that multiplies by a parameter, entry by entry: a way that has no factors."""

    def loss(self, ops, parameters, batch, labels):
        """The loss, with a term in which phi's table is squared."""
        return super().loss(ops, parameters, batch, labels) + ops.sum(
            ops.square(parameters["phi.table"])
        )


def _with(kind, seed):
    """A typical case, with another model of the same sizes."""
    subject = typical_tabular(np.random.default_rng(seed), supports=False).subject()
    made = subject.model
    return subject.replace(model=kind(made.classes, made.vocabulary, made.width))


def test_what_has_no_factors_is_formed_and_the_rest_is_not(torch):
    """One parameter is noticed, named to who asked for layers, and computed all the same."""
    subject = _with(Scaled, 3)
    with pytest.raises(
        NotAnOuterProduct, match=r"parameter 'phi.table' is .*, which has no factors"
    ):
        moments_table(subject, path="structured")
    way = accumulate.structured_where_possible(torch, subject)
    assert way.kind.keywords == {"plain": frozenset({"phi.table"})}
    assert_same(moments_table(subject), reference(subject))
    expected, found = quadratics(reference(subject)), entry_moments(subject)
    for name, value in expected.least().items():
        # Twice the same sums, in another order: some thousand roundings of what is added up.
        bound = 1e4 * np.finfo(np.float64).eps * (1.0 + np.abs(expected.value[name]).sum())
        assert np.abs(found.least[name] - value).max() <= bound, name


class Opaque(TabularModel):
    """A model that does with every parameter what has no factors."""

    def log_q(self, ops, parameters, batch):
        """The same, of parameters that were multiplied by one."""
        return super().log_q(ops, {k: 1.0 * v for k, v in parameters.items()}, batch)

    def loss(self, ops, parameters, batch, labels):
        """The same, of parameters that were multiplied by one."""
        return super().loss(ops, {k: 1.0 * v for k, v in parameters.items()}, batch, labels)


class Prototypes(TabularModel):
    """A model that looks up a row for each label: an axis that may be as long as the batch."""

    def loss(self, ops, parameters, batch, labels):
        """The loss, with theta's table read by way of the labels' numbers."""
        table = ops.take(parameters["theta.table"], np.arange(self.classes))
        return super().loss(ops, parameters, batch, labels) + ops.sum(
            ops.square(ops.dot(labels, table)), axis=-1
        )


class Reused(TabularModel):
    """A model that goes on with a product after something was added to it."""

    def log_q(self, ops, parameters, batch):
        """The same, and a part of it that lacks the bias."""
        features = mean_embedding(ops, parameters, batch)
        product = ops.dot(features, ops.transpose(parameters["w.weight"]))
        logits = product + ops.expand_dims(parameters["w.bias"], 0)
        return ops.log_softmax(logits + 0.5 * ops.tanh(product))


class Turned(TabularModel):
    """A model that looks up columns of a matrix, and multiplies with a vector."""

    def loss(self, ops, parameters, batch, labels):
        """The loss, and what is read in two ways that have no factors here."""
        column = ops.take(ops.transpose(parameters["phi.table"]), 0 * batch.tokens[:, :1])
        more = ops.expand_dims(ops.sum(ops.square(column[:, 0]), axis=-1), 0)
        return super().loss(ops, parameters, batch, labels) + more


class Numbers(TabularModel):
    """A model with a parameter that is one number, and one that is a vector of one."""

    def initial(self, rng):
        """The same, and the two."""
        more = {"theta.scale": np.array(rng.standard_normal()), "phi.shift": rng.standard_normal(1)}
        return super().initial(rng) | more

    def loss(self, ops, parameters, batch, labels):
        """The loss, moved and scaled."""
        loss = super().loss(ops, parameters, batch, labels)
        return ops.square(loss + parameters["phi.shift"]) * parameters["theta.scale"]


class Leading(TabularModel):
    """A model that looks rows up with an axis of one before that of the sentences."""

    def loss(self, ops, parameters, batch, labels):
        """The loss, and the size of the first tokens' rows."""
        rows = ops.take(parameters["e.embedding"], ops.expand_dims(batch.tokens, 0))
        more = ops.sum(ops.square(rows[:, :, 0]), axis=-1)
        return super().loss(ops, parameters, batch, labels) + more


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("kind", [Numbers, Leading])
def test_shapes_that_no_layer_of_ours_has(kind, n):
    """Parameters of one entry, and rows looked up for one more axis: table and entries alike."""
    made = typical_tabular(np.random.default_rng(9), supports=False).subject()
    model = kind(made.model.classes, made.model.vocabulary, made.model.width)
    parameters = model.initial(np.random.default_rng(9))
    batch = made.batch.rows(slice(0, n))
    subject = dataclasses.replace(made, model=model, parameters=parameters, batch=batch)
    known = reference(subject)
    assert_same(moments_table(subject), known)
    expected, found = quadratics(known), entry_moments(subject)
    for name, value in expected.least().items():
        # Twice the same sums, in another order: some thousand roundings of what is added up.
        bound = 1e4 * np.finfo(np.float64).eps * (1.0 + np.abs(expected.value[name]).sum())
        assert found.least[name].shape == value.shape
        assert np.abs(found.least[name] - value).max() <= bound, name


@pytest.mark.parametrize(
    ("kind", "plain"),
    [(Prototypes, {"theta.table"}), (Reused, set()), (Turned, {"phi.table"})],
)
@pytest.mark.parametrize("n", [1, 2])
def test_a_use_that_only_looks_like_a_layer_is_none(kind, plain, n, torch):
    """Whatever is used otherwise than by sentences is noticed, also where its sizes are theirs."""
    subject = _with(kind, 7)
    subject = subject.replace(batch=subject.batch.rows(slice(0, n)))
    way = accumulate.structured_where_possible(torch, subject)
    assert getattr(way.kind, "keywords", {"plain": set()})["plain"] == plain
    for pairs in (subject.model.classes, 64):
        run = way._replace(chunks=blocks.chunks(subject.model.classes, pairs))
        assert_same(table(torch, subject, run), reference(subject))


def test_sentences_that_enter_each_others_cost_are_an_error():
    """Their variances do not add up, and nothing else is claimed of them."""
    subject = typical_tabular(np.random.default_rng(8), supports=False).subject()
    made = subject.model
    coupled = dataclasses.replace(made, batch_statistics=True)
    for path in ("auto", "general"):
        with pytest.raises(ValueError, match=r"sentences enter each other's cost: .* jointly"):
            moments_table(subject.replace(model=coupled), path=path)


class Functional(TabularModel):
    """A model that calls PyTorch itself, whatever namespace it is given."""

    def log_q(self, ops, parameters, batch):
        """The same, by PyTorch's own functions."""
        torch = pytest.importorskip("torch")
        features = mean_embedding(TorchOps(torch), parameters, batch)
        weight, bias = parameters["w.weight"], parameters["w.bias"]
        return torch.log_softmax(torch.nn.functional.linear(features, weight, bias), -1)

    def loss(self, ops, parameters, batch, labels):
        """The same, and the size of the rows that are looked up."""
        torch = pytest.importorskip("torch")
        rows = torch.nn.functional.embedding(batch.tokens, parameters["e.embedding"])
        own = super().loss(TorchOps(torch), parameters, batch, labels)
        return own + rows.square().sum((-1, -2))


def test_a_model_in_pytorchs_own_functions_has_its_layers_found(torch):
    """No namespace of ours is needed for products, additions and lookups to be seen."""
    subject = _with(Functional, 6)
    assert accumulate.structured_where_possible(torch, subject).kind is StructuredBlock
    # The witness, in autograd, cannot run it; forming every gradient can.
    found, known = (moments_table(subject, path=path) for path in ("structured", "general"))
    for part in ("score", "cross", "pathwise"):
        for group, value in getattr(known, part).items():
            bound = 1e4 * np.finfo(np.float64).eps * (1.0 + np.abs(value).max())
            assert np.abs(getattr(found, part)[group] - value).max() <= bound, (part, group)


def _embedding(torch, rows, table, **more):
    return torch.nn.functional.embedding(rows, table, **more)


@pytest.mark.parametrize(
    ("how", "use"),
    [
        ("given to embedding", lambda torch, x, h: _embedding(torch, x.long(), h, padding_idx=0)),
        ("given to embedding", lambda torch, x, h: _embedding(torch, x.long(), h, max_norm=1.0)),
        ("given to add", lambda torch, x, h: torch.add(x, h, alpha=2)),
        ("given to linear", lambda torch, x, h: torch.nn.functional.linear(h, x)),
        ("given to tanh", lambda torch, x, h: torch.tanh(h)),
        (r"asked for \[0\]", lambda torch, x, h: h[0]),
        (r"asked for \.sum", lambda torch, x, h: h.sum()),
    ],
    ids=["padding", "scaled rows", "twice", "as input", "tanh", "one row", "sum"],
)
def test_what_pytorch_does_otherwise_is_no_layer(how, use, torch):
    """Rows that get no gradient, or another one, are not taken for a lookup."""
    handle = ParameterHandle(Tape(torch, 3), "w", torch.ones(3, 3).double())
    with pytest.raises(NotAnOuterProduct, match=rf"parameter 'w' is {how}, which has no factors"):
        use(torch, torch.ones(3, 3).double(), handle)


def test_a_model_without_layers_takes_the_general_way(torch):
    """Every gradient is formed, and the numbers are the same."""
    subject = _with(Opaque, 5)
    assert accumulate.structured_where_possible(torch, subject).kind is GeneralBlock
    assert_same(moments_table(subject), reference(subject))


def test_the_parameters_that_a_value_was_computed_from(torch):
    """By way of others, of two uses, or the value itself; not what was held, or is not there."""
    a, b, c = (torch.ones(2, requires_grad=True) for _ in range(3))
    leaves = {"a": a, "b": b, "c": c}
    assert _names_reached((a.exp() * b).sum() + b.detach() * a[0], leaves) == ["a", "b"]
    assert _names_reached(c.detach() + b, leaves) == ["b"]
    assert _names_reached(c, leaves) == ["c"]
    assert _names_reached(torch.ones(2), leaves) == []


@pytest.mark.parametrize("wrong", [0.0, 1.01])
def test_a_wrong_product_of_whole_gradients_is_seen(wrong, monkeypatch):
    """Squared norms of gradients that are formed, against the witness."""
    from gradproof.estimators.engine import factored_gradient

    gram = factored_gradient._gram
    monkeypatch.setattr(factored_gradient, "_gram", lambda *both: wrong * gram(*both))
    subject = _with(Opaque, 5)
    with pytest.raises(AssertionError, match="score"):
        assert_same(moments_table(subject), reference(subject))


@dataclasses.dataclass(frozen=True)
class Steered(TabularModel):
    """A model that looks at its labels' values to decide what to do: it cannot be vectorised."""

    def loss(self, ops, parameters, batch, labels):
        """The loss, by way of a Python number."""
        value = super().loss(ops, parameters, batch, labels)
        return value + 0.0 * float(labels.sum())


def test_what_cannot_be_vectorised_is_run_label_by_label():
    """The general way then takes longer, and gives the same."""
    subject = _with(Steered, 4)
    assert_same(moments_table(subject, path="general"), reference(subject))


def test_bad_input_gets_a_clear_error():
    """A path that is none, and baselines that are not one finite number for each sentence."""
    subject = _text("seqdgm")
    with pytest.raises(ValueError, match="path = 'fast', expected 'auto', 'structured'"):
        moments_table(subject, path="fast")
    for value in (np.zeros(7), np.full(subject.batch.n, np.nan)):
        with pytest.raises(ValueError, match=r"baseline 'b' has shape .* finite numbers, one for"):
            entry_moments(subject, {"b": value})


def test_a_loss_that_is_no_number_is_named():
    """The same words as of the reference."""
    subject = _text("seqdgm")
    wild = {
        k: v * (1e200 if k == "theta.output_bias" else 1.0) for k, v in subject.parameters.items()
    }
    wild["phi.log_variance.bias"] = wild["phi.log_variance.bias"] + 1e3
    with pytest.raises(
        ValueError, match=r"for sentence 0 and label 0 of .*Scale the parameters down"
    ):
        moments_table(subject.replace(parameters=wild))


@pytest.mark.parametrize("part", ["outer", "lookup", "mean"])
def test_a_planted_error_is_seen(part, monkeypatch):
    """The comparison with the witness fails where a factor, a row or a mean is wrong."""
    from gradproof.estimators.engine import factored_gradient

    wrong = {
        "outer": ("_outer_inner", lambda first, second: 1.01 * factored_gradient._gram(
            first.rows, second.rows).sum((-1, -2))),
        "lookup": ("_rows", lambda dense, where: 0.0 * dense[:, : where.shape[1]]),
        "mean": ("_weigh", lambda tensor, weight: tensor * weight[:, :1, None, None]),
    }[part]  # fmt: skip
    monkeypatch.setattr(factored_gradient, *wrong)
    subject = _text("seqdgm")
    with pytest.raises(AssertionError):
        assert_same(moments_table(subject, path="structured"), reference(subject))


def test_the_groups_are_those_of_the_parameters():
    """Each group that a parameter names has its column, whether or not a score reaches it."""
    subject = _text("seqdgm-a")
    found = moments_table(subject)
    assert set(found.score) == {group_of(name) for name in subject.parameters}
    assert not found.score["theta"].any()
    assert not found.pathwise["w"].any()


def _text(model):
    options = TextOptions(labelled=0, unlabelled=3)
    return text_subject(model, prepare_text("names-8", options, 5), options, 5)


class Tied(TabularModel):
    """A model whose shared table is looked up by log q, and multiplied with by L."""

    def loss(self, ops, parameters, batch, labels):
        """The loss, with the first tokens' rows against the whole table."""
        rows = ops.take(parameters["e.embedding"], batch.tokens)[:, 0]
        scores = ops.dot(rows, ops.transpose(parameters["e.embedding"]))
        more = ops.expand_dims(ops.sum(ops.square(scores), axis=-1), 0)
        return super().loss(ops, parameters, batch, labels) + more


def test_a_table_that_is_looked_up_and_multiplied_with():
    """One parameter, three ways in: each pair of them has inner products of its own."""
    subject = _with(Tied, 6)
    known = reference(subject)
    assert_same(moments_table(subject, path="structured"), known)
    expected, found = quadratics(known), entry_moments(subject)
    for name, value in expected.variance(expected.centre).items():
        # Relative to the largest: some hundred roundings of what is added up and cancels.
        bound = 1e4 * np.finfo(np.float64).eps * (1.0 + np.abs(known.pathwise[name]).max() ** 2)
        assert np.abs(found.value[name] - value).max() <= bound * known.pathwise[name].size, name
