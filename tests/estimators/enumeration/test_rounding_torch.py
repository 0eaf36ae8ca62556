"""PyTorch's arithmetic moved: every result both ways, nothing else, and all is as before."""

import math
import sys

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradproof.estimators.enumeration.rounding import (
    FACTOR,
    RUNS,
    Steps,
    largest_deviation,
    measured,
    perturbation,
)

pytestmark = [
    pytest.mark.torch,
    # PyTorch's own functional transformations compile something when they are first used.
    pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def torch():
    """The framework, or a test less."""
    return pytest.importorskip("torch")


def arrays(tensors):
    """Gradients as double precision; an unused one is zero."""
    return [t.detach().double().numpy() for t in tensors]


def runs_of(function, runs=RUNS):
    """What a function returns when its arithmetic is moved, several times."""
    steps, found = Steps(np.random.default_rng()), []
    for _ in range(runs):
        with perturbation(steps):
            found.append(function())
    return found


def spreads(function):
    """What each result of a function spreads over, and what it is."""
    base = function()
    found = runs_of(function)
    return base, [
        largest_deviation([values[i] for values in found], value) for i, value in enumerate(base)
    ]


def switches(torch):
    """What is switched while arithmetic is moved."""
    return (
        torch._C._get_mkldnn_enabled(),
        torch._C._get_cudnn_enabled(),
        torch.backends.mha.get_fastpath_enabled(),
        torch.backends.cuda.flash_sdp_enabled(),
        torch.backends.cuda.mem_efficient_sdp_enabled(),
        torch.backends.cuda.math_sdp_enabled(),
        torch.distributions.Distribution._validate_args,
        torch._C._len_torch_dispatch_stack(),
        dict(vars(torch.Tensor)),
        {name: getattr(np, name) for name in ("array", "zeros")},
        math.exp,
    )


# ------------------------------------------------------------------ what moves, and what does not


def test_results_move_forward_and_backward_and_are_counted(torch):
    """By a few units in the last place, in each run otherwise; outside of it nothing does."""
    x = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)

    def gradient():
        return torch.autograd.grad(x.exp().log1p().prod(), x)[0]

    base = gradient()
    with perturbation(np.random.default_rng()) as moved:
        others = torch.stack([gradient() for _ in range(12)])
    assert moved.operations["torch"] >= 12 * 5
    assert moved.count == moved.operations["torch"]
    assert not moved.unseen
    assert (others != base).any(0).all()  # one alone stays in one run of ten
    off = ((others - base) / base).abs() / torch.finfo(torch.float64).eps
    assert (off < 100).all()
    assert torch.equal(gradient(), base)


@pytest.mark.parametrize("form", ["float64", "float32", "bfloat16", "float16"])
def test_each_format_moves_by_its_own_units(torch, form):
    """One rounding, one or two units."""
    kind = getattr(torch, form)
    x = torch.full((200,), 1.2, dtype=kind)
    base = x * 1.1
    with perturbation(np.random.default_rng()) as moved:
        other = x * 1.1
    unit = torch.finfo(kind).eps
    assert set(((other - base).double() / unit).round().int().abs().tolist()) == {1, 2}
    assert moved.formats == {form}
    assert moved.underflow == torch.finfo(kind).smallest_normal * unit


def test_draws_integers_choices_and_the_state_of_generators_stay(torch):
    """Seeded alike, the same comes out."""

    def draws():
        torch.manual_seed(5)
        normal, coin = torch.randn(4), torch.bernoulli(torch.full((20,), 0.5))
        picks = torch.multinomial(torch.tensor([0.2, 0.8]), 5, replacement=True)
        gamma = torch.distributions.Gamma(torch.ones(2), torch.ones(2)).concentration.clone()
        order = normal.sort().values[[0, 2]].clamp(-1, 1).relu()
        return [normal, coin, picks, gamma, order, normal.argmax(), torch.get_rng_state()]

    base = draws()
    with perturbation(np.random.default_rng()):
        other = draws()
    assert all(torch.equal(a, b) for a, b in zip(base, other, strict=True))


def test_numbers_that_count_stay_whole(torch):
    """What is an integer without rounding is one with it."""
    with perturbation(np.random.default_rng()) as moved:
        labels = torch.nn.functional.one_hot(torch.tensor([1, 2, 2]), 4).float()
        counts = labels.sum(0) * 3 + 1
        total = labels @ torch.arange(4.0)
    assert counts.tolist() == [1.0, 4.0, 7.0, 1.0]
    assert total.tolist() == [1.0, 2.0, 2.0]
    assert moved.count == 0


def test_writing_in_place_moves_what_is_written_to(torch):
    """And views of it, and what is given as ``out``."""
    x = torch.full((6,), 1.3, dtype=torch.float64)
    view, out = x[:3], torch.empty(6, dtype=torch.float64)
    with perturbation(np.random.default_rng()):
        x.mul_(1.7)
        torch.add(x, 0.1, out=out)
    assert not (x == torch.full((6,), 1.3, dtype=torch.float64) * 1.7).any()
    assert torch.equal(view, x[:3])
    assert not (out == x + 0.1).any()


@given(st.lists(st.floats(-60, 60), min_size=2, max_size=5), st.integers(0, 2**32))
@settings(max_examples=30)
def test_probabilities_remain_between_zero_and_one(logits, seed):
    """However they are computed: no logarithm of a negative number comes from moving."""
    torch = pytest.importorskip("torch")
    x = torch.tensor(logits, dtype=torch.float32)
    with perturbation(np.random.default_rng(seed)):
        powers = (x - x.max()).exp()
        ways = [x.softmax(0), powers / powers.sum(), x.log_softmax(0).exp(), x.sigmoid()]
        ways += [1 - way for way in ways]
        logs = [way.log() for way in ways]
    for way, log in zip(ways, logs, strict=True):
        assert ((way >= 0) & (way <= 1)).all()
        assert (log <= 0).all()


def test_denormal_results_move_too(torch):
    """By whole units, which are all the same there."""
    x = torch.full((50,), 1e-320, dtype=torch.float64)
    with perturbation(np.random.default_rng()):
        off = ((x * 0.5).numpy() - 5e-321) / 5e-324
    assert set(np.abs(np.round(off)).astype(int).tolist()) <= {1, 2, 3}
    assert (off != 0).any()


# ------------------------------------------------------------------ all is as before


def test_everything_is_as_before_also_after_an_error(torch):
    """Switches, methods, NumPy's functions."""
    before = switches(torch)
    with perturbation(np.random.default_rng()):
        assert switches(torch) != before
    assert switches(torch) == before
    with pytest.raises(ZeroDivisionError), perturbation(np.random.default_rng()):
        raise ZeroDivisionError
    assert switches(torch) == before


def test_the_compiler_is_not_loaded_for_it():
    """It takes longer to load than all else."""
    if "torch._dynamo" in sys.modules:
        pytest.skip("something else has loaded it")
    torch = pytest.importorskip("torch")
    with perturbation(np.random.default_rng()):
        torch.ones(3).exp()
    assert "torch._dynamo" not in sys.modules


def test_transformations_and_recomputation_are_moved(torch):
    """Under vmap, forward mode, second derivatives and checkpoints."""
    x = torch.tensor([[0.3, -0.2, 0.5], [1.0, 2.0, 0.1]], dtype=torch.float64)

    def loss(row):
        return row.softmax(0).square().sum()

    def recomputed():
        leaf = x.clone().requires_grad_()
        inner = torch.utils.checkpoint.checkpoint(loss, leaf[0], use_reentrant=False)
        return torch.autograd.grad(inner, leaf)[0][0]

    ways = [
        lambda: torch.func.vmap(torch.func.grad(loss))(x),
        lambda: torch.func.jvp(loss, (x[0],), (torch.ones_like(x[0]) * x[1],))[1],
        lambda: torch.func.hessian(loss)(x[0]),
        recomputed,
    ]
    for way in ways:
        base = way()
        with perturbation(np.random.default_rng()) as moved:
            others = torch.stack([way() for _ in range(12)])  # one alone stays in one run of some
        assert moved.count > 12 * 3
        assert (others != base).any()
        base = base.expand_as(others)
        assert torch.allclose(others, base, rtol=1e-10, atol=1e-13)  # some hundred units


def test_control_flow_that_hides_its_inside_is_named(torch):
    """Nothing is said to be measured."""
    cond = pytest.importorskip("torch._higher_order_ops.cond").cond
    x = torch.tensor([0.3, 0.2])
    with perturbation(np.random.default_rng()) as moved:
        cond(x.sum() > 0, lambda x: x.sin(), lambda x: x.cos(), (x,))
    assert moved.unseen == {"cond"}


def test_numbers_taken_out_of_tensors_are_moved_on(torch):
    """Costs are often Python's own numbers."""
    with perturbation(np.random.default_rng()) as moved:
        cost = torch.tensor(1.7, dtype=torch.float64).item() * 1.1
    assert moved.operations["numpy"] == 1
    assert cost != 1.7 * 1.1
    assert type(torch.tensor(1.7).item()) is float


def test_other_kinds_of_tensors_do_no_harm(torch):
    """Sparse ones are moved; those without numbers are not."""
    with perturbation(np.random.default_rng()) as moved:
        torch.sparse.mm(torch.eye(4).mul(1.3).to_sparse(), torch.full((4, 2), 1.7))
        seen = moved.count
        torch.ones(3, device="meta").softmax(0)
        torch.zeros(0, 3).softmax(1).sum()
        torch.tensor([1e308, math.inf, math.nan], dtype=torch.float64) * 1.5
        (torch.complex(torch.tensor(1.2), torch.tensor(0.4)) * 1.7).abs()
    assert seen > 1
    assert moved.count > seen


# ------------------------------------------------------------------ what cancels inside


def softmax_truth(logits, costs):
    """The gradient of the mean cost in 60 digits."""
    with mpmath.workdps(60):
        powers = [mpmath.e ** mpmath.mpf(v) for v in logits]
        shares = [power / sum(powers) for power in powers]
        mean = sum(p * mpmath.mpf(c) for p, c in zip(shares, costs, strict=True))
        return [p * (mpmath.mpf(c) - mean) for p, c in zip(shares, costs, strict=True)]


WAYS = {
    "log_softmax": lambda torch, x: (lambda lp: (lp, lp.exp()))(x.log_softmax(0)),
    "logsumexp": lambda torch, x: (lambda lp: (lp, lp.exp()))(x - x.logsumexp(0)),
    "cross entropy": lambda torch, x: (
        -torch.nn.functional.cross_entropy(
            x.expand(len(x), -1), torch.arange(len(x)), reduction="none"
        ),
        x.softmax(0),
    ),
    "by hand": lambda torch, x: (lambda e: ((e / e.sum()).log(), e / e.sum()))((x - x.max()).exp()),
}


@pytest.mark.parametrize("way", sorted(WAYS))
@given(st.floats(0, 80), st.floats(-1, 1), st.integers(0, 2**32))
@settings(max_examples=15)
def test_a_peaked_softmax_is_explained_and_no_more_than_that(way, gap, other, seed):
    """REINFORCE by loop over all outcomes against 60 digits: off by the rounding of 1 - p."""
    torch = pytest.importorskip("torch")
    x = torch.tensor([other, gap, 0.5], dtype=torch.float64, requires_grad=True)
    costs = [1.0, 3.0, 2.0]

    def weighed(y):
        log, shares = WAYS[way](torch, x)
        gradient = torch.autograd.grad(costs[y] * log[y], x)[0]
        return {"x": shares[y].item() * gradient.numpy()}

    mean, bound = np.zeros(3), np.zeros(3)
    for y in range(3):
        base = weighed(y)
        found = measured(lambda y=y: weighed(y), base, np.random.default_rng([seed, y]))
        assert found.measured
        mean += base["x"]
        bound += FACTOR * found.largest["x"] + found.underflow
    error = [
        abs(float(mpmath.mpf(m) - t))
        for m, t in zip(mean, softmax_truth(x.tolist(), costs), strict=True)
    ]
    assert (error <= bound).all()
    # 1,000 units in the last place of what cancels: costs, and logits where these are subtracted
    assert bound.max() < 1_000 * np.spacing(3.0) * max(1.0, gap)


def key_bias(torch, kind):
    """Attention: a key's bias adds the same to all scores of a query."""
    layer = torch.nn.MultiheadAttention(4, 2, batch_first=True).to(kind)
    x = torch.randn(1, 3, 4).to(kind)
    return lambda: layer(x, x, x, need_weights=False)[0].mean(1)[0], layer.in_proj_bias, slice(4, 8)


def normalised_bias(torch, kind):
    """Batch normalisation takes it away again."""
    net = torch.nn.Sequential(
        torch.nn.Linear(3, 5), torch.nn.BatchNorm1d(5), torch.nn.Tanh(), torch.nn.Linear(5, 4)
    ).to(kind)
    x = torch.randn(6, 3).to(kind)
    return lambda: net(x)[0], net[0].bias, slice(None)


def common_shift(torch, kind):
    """Softmax takes it away again."""
    shift, x = torch.zeros(1, dtype=kind, requires_grad=True), torch.randn(4).to(kind)
    return lambda: x + shift, shift, slice(None)


@pytest.mark.parametrize("make", [key_bias, normalised_bias, common_shift])
@pytest.mark.parametrize("form", ["float64", "float32", "bfloat16"])
def test_what_is_left_of_a_gradient_that_is_zero_is_explained(torch, make, form):
    """By the spread of what cancelled; its own size says nothing of it."""
    for _ in range(3):
        logits, parameter, part = make(torch, getattr(torch, form))

        def gradient(y, logits=logits, parameter=parameter, part=part):
            log = logits().log_softmax(0)
            weight = log[y].exp().item()
            return [weight * arrays(torch.autograd.grad(2.5 * log[y], parameter))[0][part]]

        mean, bound, size = 0.0, 0.0, 0.0
        for y in range(3):
            base, found = spreads(lambda y=y, gradient=gradient: gradient(y))
            mean, bound = mean + base[0], bound + FACTOR * found[0]
            size = max(size, float(np.abs(found[0]).max()))
        assert (np.abs(mean) <= bound).all()
        assert size < 100 * torch.finfo(getattr(torch, form)).eps


def test_right_leave_one_out_over_four_samples_is_explained(torch):
    """Weights and costs alike: what is left is rounding."""
    x = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    costs = torch.tensor([0.1, 0.7, 0.3, 0.9, 0.2], dtype=torch.float64)
    truth = np.array([float(v) for v in softmax_truth([0.0] * 5, costs.tolist())])
    mean, bound = np.zeros(5), np.zeros(5)
    for labels in np.ndindex(5, 5):

        def weighed(labels=labels):
            log = x.log_softmax(0)[list(labels)]
            drawn = costs[list(labels)]
            apart = drawn - drawn.flip(0)
            gradient = torch.autograd.grad((apart * log).sum() / 2, x)[0]
            return [log.sum().exp().item() * gradient.numpy()]

        base, found = spreads(weighed)
        mean, bound = mean + base[0], bound + FACTOR * found[0]
    assert (np.abs(mean - truth) <= bound).all()
    assert (bound < 1e-10 * np.abs(truth)).all()  # some million roundings, and no more


@pytest.mark.parametrize(
    "name",
    ["sorted batch", "products", "sums", "cumulative", "scattered", "embedding", "convolution"],
)
def test_long_sums_that_drift_are_explained(torch, name):
    """In single precision against double: partial sums are far larger than what is left."""
    signs = torch.cat([torch.ones(1_000), -torch.ones(1_000)])[:, None]
    x = torch.randn(2_000, 3) + signs
    places = torch.randint(0, 4, (2_000,))
    functions = {
        "sorted batch": ((3, 4), lambda w, x: torch.tanh(x @ w).sum()),
        "products": ((2_000, 1), lambda w, x: ((x.T @ w) ** 2).sum()),
        "sums": ((3,), lambda w, x: (x * w).sum(0).square().sum()),
        "cumulative": ((3,), lambda w, x: (x * w).cumsum(0).square().mean()),
        "scattered": (
            (3,),
            lambda w, x: x.new_zeros(4, 3).index_add(0, places, x * w).tanh().sum(),
        ),
        "embedding": (
            (4, 3),
            lambda w, x: (torch.nn.functional.embedding(places, w) * x).sum(),
        ),
        "convolution": (
            (2, 3, 2),
            lambda w, x: torch.nn.functional.conv1d(x.reshape(200, 3, 10), w).tanh().sum(),
        ),
    }
    shape, function = functions[name]
    start = torch.randn(shape)

    def gradient(kind):
        leaf = start.to(kind).requires_grad_()
        return arrays(torch.autograd.grad(function(leaf, x.to(kind)), leaf))

    base, found = spreads(lambda: gradient(torch.float32))
    error = np.abs(base[0] - gradient(torch.float64)[0])
    assert (error <= FACTOR * found[0]).all()


def test_a_bias_of_one_percent_is_seen_in_single_precision(torch):
    """The bound of a network of ordinary size is far below it."""
    net = torch.nn.Sequential(
        torch.nn.Linear(6, 16), torch.nn.LayerNorm(16), torch.nn.GELU(), torch.nn.Linear(16, 3)
    )
    x, costs = torch.randn(1, 6), torch.tensor([1.0, 3.0, 2.0])
    parameters = list(net.parameters())

    def weighed(y):
        log = net(x)[0].log_softmax(0)
        gradients = torch.autograd.grad(costs[y] * log[y], parameters)
        return [log[y].exp().item() * gradient for gradient in arrays(gradients)]

    mean, bound = 0.0, 0.0
    for y in range(3):
        base, found = spreads(lambda y=y: weighed(y))
        mean = mean + np.concatenate([value.ravel() for value in base])
        bound = bound + FACTOR * np.concatenate([value.ravel() for value in found])
    large = np.abs(mean) > 0.1 * np.abs(mean).max()
    assert large.sum() > 5
    assert (bound[large] < 0.01 * np.abs(mean[large])).all()  # the bias in the name


@pytest.mark.slow
def test_compiled_code_is_measured_as_it_was_written(torch):
    """Whether it was compiled before or not."""
    pytest.importorskip("torch._dynamo")
    x = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
    compiled = torch.compile(lambda x: x.softmax(0).square().sum(), backend="aot_eager")

    def gradient():
        return torch.autograd.grad(compiled(x), x)[0]

    for _ in range(2):
        with perturbation(np.random.default_rng()) as moved:
            other = gradient()
        assert moved.count > 5
        base = gradient()
        assert (other != base).any()
        assert torch.allclose(other, base, rtol=1e-12, atol=0.0)  # some thousand units


def test_numbers_that_a_transformation_makes_tensors_of_are_exact(torch):
    """A mapped quotient by a number, which makes a tensor of the number first."""
    values = torch.rand(5, 3, dtype=torch.float64)
    mapped = torch.func.vmap(torch.func.grad(lambda x: -x.sum() / x.numel()))
    base, (spread,) = spreads(lambda: arrays([mapped(values)]))
    assert 0.0 < spread.max() < 1e-15  # of a third, in a few roundings
    np.testing.assert_array_equal(base[0], np.full((5, 3), -1.0 / 3.0))
