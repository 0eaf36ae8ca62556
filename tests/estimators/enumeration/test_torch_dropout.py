"""PyTorch's dropout is enumerated: each entry or channel is a coin, and the rest is PyTorch's."""

import itertools

import numpy as np
import pytest

from gradproof import check_estimator
from gradproof.checks.evidence import HOLDS, REFUTED
from gradproof.estimators.enumeration import block_moments
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.run import UnsupportedDraw, paths

torch = pytest.importorskip("torch")
functional, nn = torch.nn.functional, torch.nn
pytestmark = pytest.mark.torch

#: Products of a few probabilities, and a mask that is scaled: some roundings.
ROUNDING = 1e-14

#: Standard deviations of a share of samples: once in 10^9 it is farther off, and these are 200.
DEVIATIONS, SAMPLES = 6.0, 4000

X = torch.tensor([[[1.0, -2.0], [3.0, 0.5]]], dtype=torch.float64)  # (N, C, L)

#: What drops, and how many coins it throws for X.
DROPPING = {
    "dropout": (lambda x: functional.dropout(x, 0.3), 4),
    "in place": (lambda x: functional.dropout(x.clone(), 0.3, inplace=True), 4),
    "torch.dropout": (lambda x: torch.dropout(x, 0.3, True), 4),
    "torch.dropout_": (lambda x: torch.dropout_(x.clone(), 0.3, True), 4),
    "module": (lambda x: nn.Dropout(0.25)(x), 4),
    "module in place": (lambda x: nn.Dropout(0.25, inplace=True)(x.clone()), 4),
    "dropout1d": (lambda x: functional.dropout1d(x, 0.3), 2),
    "dropout2d": (lambda x: functional.dropout2d(x[..., None], 0.3), 2),
    "dropout3d": (lambda x: functional.dropout3d(x[..., None, None], 0.3), 2),
    "module of channels": (lambda x: nn.Dropout1d(0.3)(x), 2),
    "alpha": (lambda x: functional.alpha_dropout(x, 0.3, training=True), 4),
    "alpha in place": (lambda x: functional.alpha_dropout(x.clone(), 0.3, True, True), 4),
    "module of alpha": (lambda x: nn.AlphaDropout(0.3)(x), 4),
    "feature alpha": (lambda x: functional.feature_alpha_dropout(x, 0.3, training=True), 2),
    "module of feature alpha": (lambda x: nn.FeatureAlphaDropout(0.3)(x), 2),
    "native": (lambda x: torch.native_dropout(x, 0.3, True)[0], 4),
    "in single precision": (lambda x: functional.dropout(x.float(), 0.3), 4),
}


def law(code, watched=True):
    """The probability of each value, to twelve digits."""
    found = {}
    with Handling(code) as handling:
        perform = handling.perform_watched if watched else handling.perform
        for path in paths(code, perform):
            key = rounded(path.value)
            found[key] = found.get(key, 0.0) + path.probability
    return found


def rounded(value):
    """A tensor as a tuple, without its last digits."""
    return tuple(float(f"{each:.6g}") + 0.0 for each in value.detach().reshape(-1).tolist())


@pytest.mark.parametrize("name", DROPPING)
def test_the_law_is_that_of_pytorch(name):
    """Every value that PyTorch itself draws, as often; as many coins as there are entries."""
    drop, coins = DROPPING[name]
    found = law(lambda: drop(X))
    assert len(found) == 2**coins
    assert sum(found.values()) == pytest.approx(1.0, abs=ROUNDING)
    torch.manual_seed(0)
    drawn = [rounded(drop(X)) for _ in range(SAMPLES)]
    assert set(drawn) <= set(found)
    for value, probability in found.items():
        deviation = np.sqrt(probability * (1.0 - probability) / SAMPLES)
        assert abs(drawn.count(value) / SAMPLES - probability) <= DEVIATIONS * deviation
    real = drop(X)
    with Handling(drop) as handling:
        path = next(iter(paths(lambda: drop(X), handling.perform)))
    assert (path.value.shape, path.value.dtype) == (real.shape, real.dtype)


@pytest.mark.parametrize("name", DROPPING)
def test_nothing_is_drawn_where_nothing_is_dropped_or_all(name):
    """In a model that is being tested, and with the probabilities 0 and 1."""
    for p, training in ((0.0, True), (1.0, True), (0.3, False)):
        for drop in (functional.dropout, functional.alpha_dropout, functional.dropout1d):

            def code(drop=drop, p=p, training=training):
                return drop(X, p, training)

            assert len(law(code)) == 1


def test_a_probability_that_is_none_is_pytorchs_error():
    """As without an enumeration."""
    for p in (-0.1, 1.5):
        with pytest.raises(ValueError, match="dropout probability has to be between 0 and 1"):
            law(lambda p=p: functional.dropout(X, p))


# ------------------------------------------------------------------ in layers


def test_attention_drops_its_weights():
    """By hand, over all masks of two weights."""
    query, key = torch.ones(1, 1, dtype=torch.float64), X[0, :, :1]

    def code():
        return functional.scaled_dot_product_attention(query, key, key, dropout_p=0.5)

    weights = (query @ key.T).softmax(-1)
    expected = {}
    for mask in itertools.product([0.0, 2.0], repeat=2):
        value = rounded((weights * torch.tensor(mask, dtype=torch.float64)) @ key)
        expected[value] = expected.get(value, 0.0) + 0.25
    assert law(code) == pytest.approx(expected, abs=ROUNDING)


LAYERS = {
    "LSTM": lambda: nn.LSTM(2, 2, 2, dropout=0.5),
    "GRU": lambda: nn.GRU(2, 2, 2, dropout=0.5),
    "RNN": lambda: nn.RNN(2, 2, 2, dropout=0.5),
    "encoder layer": lambda: nn.TransformerEncoderLayer(2, 1, 2, dropout=0.5),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_that_drop_inside(name):
    """Whatever they draw is in the enumerated law, as often."""
    torch.manual_seed(1)
    layer = LAYERS[name]().double()
    call = lambda: layer(X[0, :1])  # noqa: E731 - one sequence of one token
    first = lambda: call()[0] if name in ("LSTM", "GRU", "RNN") else call()  # noqa: E731
    found = law(first)
    drawn = [rounded(first()) for _ in range(SAMPLES)]
    assert set(drawn) <= set(found)
    for value, probability in found.items():
        deviation = np.sqrt(probability * (1.0 - probability) / SAMPLES)
        assert abs(drawn.count(value) / SAMPLES - probability) <= DEVIATIONS * deviation
    layer.eval()
    assert len(law(first)) == 1


def test_attention_of_several_heads():
    """Its module drops by the function, or by attention."""
    torch.manual_seed(1)
    layer = nn.MultiheadAttention(2, 2, dropout=0.5).double()
    for need in (True, False):
        call = lambda need=need: layer(*[X[0]] * 3, need_weights=need)[0]  # noqa: E731
        found = law(call)
        assert 1 < len(found) <= 2**8  # two heads of two by two weights
        assert {rounded(call()) for _ in range(50)} <= set(found)


# ------------------------------------------------------------------ estimators


@pytest.fixture
def problem():
    """A mask over a weighted sum, squared: its mean has a closed form."""
    weight = torch.tensor([0.4, -0.7, 1.2, 0.1, 0.3, -0.5], dtype=torch.float64)
    weight = weight.requires_grad_()
    p, inputs = 0.3, torch.tensor([1.0, 2.0, -1.0, 0.5, 1.5, -2.0], dtype=torch.float64)
    # E (sum m_i w_i x_i / (1 - p))^2 = (w . x)^2 + p / (1 - p) sum (w_i x_i)^2
    exact = 2.0 * inputs * (weight @ inputs) + 2.0 * p / (1.0 - p) * inputs**2 * weight
    return weight, inputs, p, exact.detach()


@pytest.mark.parametrize("batch", [True, False], ids=["in blocks", "one by one"])
def test_the_mean_is_the_closed_form(problem, batch, monkeypatch):
    """Differentiated by the framework, in blocks and path by path."""
    monkeypatch.setattr(block_moments, "FEWEST_PATHS", 1)
    weight, inputs, p, exact = problem

    def estimate(weight):
        return (functional.dropout(weight * inputs, p) @ torch.ones_like(inputs)) ** 2

    def unscaled(weight):
        return (1.0 - p) * estimate(weight)

    report = check_estimator(estimate, [weight], exact=exact, batch=batch)
    assert (report.verdict, report.paths) == (HOLDS, 2**6)
    assert bool(report.blocks) == batch
    assert check_estimator(unscaled, [weight], exact=exact, batch=batch).verdict == REFUTED


def test_an_objective_that_drops(problem):
    """Its mean is over the masks too; without them it is another function."""
    weight, inputs, p, _ = problem

    def cost(weight, p=p):
        return (functional.dropout(weight * inputs, p) @ torch.ones_like(inputs)) ** 2

    assert check_estimator(cost, [weight], objective=cost).verdict == HOLDS
    without = lambda weight: cost(weight, 0.0)  # noqa: E731
    assert check_estimator(without, [weight], objective=cost).verdict == REFUTED


@pytest.mark.parametrize("name", ["dropout", "dropout1d", "alpha_dropout", "feature_alpha_dropout"])
def test_blocks_drop_as_paths_do(name, monkeypatch):
    """Each formula for many rows, against PyTorch's own function."""
    monkeypatch.setattr(block_moments, "FEWEST_PATHS", 1)
    weight = X.clone().requires_grad_()

    def estimate(weight):
        return (getattr(functional, name)(weight, 0.3, training=True) ** 2 * X).sum()

    means = []
    for batch in (True, False):
        report = check_estimator(estimate, [weight], exact=torch.zeros_like(X), batch=batch)
        assert bool(report.blocks) == batch
        means.append(report.mean["gradient"])
    np.testing.assert_allclose(*means, rtol=ROUNDING, atol=ROUNDING)


def test_dropout_under_transforms():
    """Each row a mask of its own, or all one, as PyTorch is asked for."""
    rows = torch.ones(2, 2, dtype=torch.float64)

    def mapped(randomness):
        return law(
            lambda: torch.func.vmap(lambda x: functional.dropout(x, 0.5), randomness=randomness)(
                rows
            )
        )

    assert len(mapped("different")) == 2**4
    assert len(mapped("same")) == 2**2
    with pytest.raises(RuntimeError, match="randomness"):
        mapped("error")
    gradient = torch.func.grad(lambda x: (functional.dropout(x, 0.5) ** 2).sum())
    assert law(lambda: gradient(rows[0])) == dict.fromkeys(
        itertools.product([0.0, 8.0], repeat=2), 0.25
    )


def test_sampled_dropout_leaves_inputs_as_they_are(problem):
    """Where draws are only looked at, nothing is dropped in place a second time."""
    weight, inputs, p, exact = problem

    def estimate(weight):
        dropped = functional.dropout(weight * inputs, p, inplace=True)
        return (dropped @ torch.ones_like(inputs)) ** 2

    report = check_estimator(estimate, [weight], exact=exact, draws=20_000, seed=1, paths=1)
    assert report.verdict != REFUTED


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_what_torchscript_drops_is_refused():
    """It draws below Python's functions."""
    scripted = torch.jit.script(nn.Dropout(0.5))
    with pytest.raises(UnsupportedDraw, match=r"PyTorch drew by .*bernoulli_"):
        law(lambda: scripted(X))
