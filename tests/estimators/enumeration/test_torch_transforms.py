"""PyTorch's draws under torch.func: what comes out is what PyTorch itself could draw there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.expectation import ObjectiveGradient
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.run import (
    SampledRun,
    TooManyPaths,
    UnsupportedDraw,
    paths,
)

pytestmark = [
    pytest.mark.torch,
    # PyTorch scripts derivatives of its own when it is first asked for a jvp.
    pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning"),
]

#: Sums of a few products of the same factors, in whatever order: some roundings.
ROUNDING = 1e-14

#: Of three outcomes, and of two rows of them; in binary, so that what is drawn has no rounding.
WEIGHTS = [0.25, 0.625, 0.125]
ROWS = [[0.25, 0.625, 0.125], [0.5, 0.0, 0.5]]


@pytest.fixture
def torch():
    """The framework, or a test less."""
    return pytest.importorskip("torch")


def distribution(code, watched=False, most=10_000):
    """The probability of each value that code can return, as its text."""
    found = {}
    with Handling(code) as handling:
        perform = handling.perform_watched if watched else handling.perform
        for path in paths(code, perform, most=most):
            value = path.value
            key = repr(value.tolist() if hasattr(value, "tolist") else value)
            found[key] = found.get(key, 0.0) + path.probability
    return found


def same(first, second):
    """Whether two distributions are the same."""
    return first == pytest.approx(second, abs=ROUNDING)


def mean(code):
    """The mean of a number that code returns."""
    with Handling(code) as handling:
        return sum(path.probability * path.value for path in paths(code, handling.perform))


@pytest.fixture(params=[False, True], ids=["unwatched", "watched"])
def watched(request):
    """Whether operations are watched that draw; a mode of PyTorch's does that."""
    return request.param


# ------------------------------------------------------------------ rows


def test_rows_draw_each_for_itself(torch, watched):
    """The probabilities are not mapped, and each row has an outcome of its own."""
    weights = torch.tensor(WEIGHTS)

    def draw(_):
        return torch.multinomial(weights, 1)[0]

    def rows():
        return torch.func.vmap(draw, randomness="different")(torch.zeros(2))

    assert same(
        distribution(rows, watched),
        distribution(lambda: torch.multinomial(weights, 2, replacement=True)),
    )


def test_rows_share_a_draw_where_they_are_to(torch, watched):
    """One outcome for all of them."""
    weights = torch.tensor(WEIGHTS)

    def draw(_):
        return torch.multinomial(weights, 1)[0]

    def rows():
        return torch.func.vmap(draw, randomness="same")(torch.zeros(3))

    assert same(
        distribution(rows, watched), {repr([i] * 3): each for i, each in enumerate(WEIGHTS)}
    )


def multinomial(torch, row):
    """Of a vector of weights, without and with one twice."""
    return torch.stack([torch.multinomial(row, 2), torch.multinomial(row, 2, replacement=True)])


def multinomial_of_rows(torch, row):
    """Of a matrix of weights."""
    return torch.multinomial(torch.stack([row, 1.0 - row]), 1)


def bernoulli(torch, row):
    """Of a tensor of probabilities."""
    return torch.bernoulli(row)


def bernoulli_of_one(torch, row):
    """Of one probability, in the shape of a tensor."""
    return torch.bernoulli(row[:2], 0.25)


def bernoulli_in_place(torch, row):
    """Of one probability, into a tensor."""
    return row[:2].clone().bernoulli_(0.25)


def bernoulli_in_place_of_rows(torch, row):
    """Of a tensor of probabilities, into another."""
    return torch.zeros_like(row).bernoulli_(row)


def binomial(torch, row):
    """How many of three."""
    return torch.binomial(torch.full_like(row[:2], 3.0), row[:2])


def randint(torch, row):
    """Whole numbers, from a bound on."""
    return torch.randint(1, 3, (2,), dtype=torch.int32)


def randint_of_a_generator(torch, row):
    """The same, of a generator of its own."""
    return torch.randint(3, (1,), generator=torch.Generator().manual_seed(3))


def randint_like(torch, row):
    """In the shape of another tensor."""
    return torch.randint_like(row[:2], 3)


def random_in_place(torch, row):
    """Whole numbers, into a tensor."""
    return torch.stack([row[:1].clone().random_(2), row[:1].clone().random_(1, 3)])


def randperm(torch, row):
    """An order."""
    return torch.randperm(3)


FUNCTIONS = (
    multinomial,
    multinomial_of_rows,
    bernoulli,
    bernoulli_of_one,
    bernoulli_in_place,
    bernoulli_in_place_of_rows,
    binomial,
    randint,
    randint_of_a_generator,
    randint_like,
    random_in_place,
    randperm,
)


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda each: each.__name__)
def test_mapped_rows_draw_as_in_a_loop(torch, watched, function):
    """Each function that is handled, once for each row."""
    rows = torch.tensor([[0.25, 0.625, 0.125], [0.5, 0.25, 0.25]])

    def loop():
        return torch.stack([function(torch, row) for row in rows])

    def mapped():
        return torch.func.vmap(lambda row: function(torch, row), randomness="different")(rows)

    if function is randint_of_a_generator:  # in a loop it would be made twice from one seed
        numbers = range(3)
        expected = {repr([[i], [j]]): 1 / 9 for i in numbers for j in numbers}
    else:
        expected = distribution(loop)
    assert same(distribution(mapped, watched), expected)


def is_refused_of_rows(function):
    """Whether PyTorch has no draw that is the same for rows of other probabilities."""
    return function in {
        multinomial,
        multinomial_of_rows,
        bernoulli,
        bernoulli_of_one,
        bernoulli_in_place_of_rows,
        binomial,
    }


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda each: each.__name__)
def test_shared_draws_are_those_of_one_row(torch, watched, function):
    """As one row draws; where its probabilities are mapped PyTorch refuses, and so do we."""
    rows = torch.tensor([WEIGHTS, WEIGHTS])

    def mapped():
        return torch.func.vmap(lambda row: function(torch, row), randomness="same")(rows)

    if is_refused_of_rows(function):
        with pytest.raises(RuntimeError, match="same randomness with a batched tensor"):
            distribution(mapped, watched)
        return
    one = distribution(lambda: torch.stack([function(torch, rows[0])] * 2))
    assert same(distribution(mapped, watched), one)


def test_what_pytorch_refuses_is_refused_in_its_words(torch, watched):
    """No word on randomness; in place where there are no rows."""
    row = torch.tensor(WEIGHTS)
    with pytest.raises(RuntimeError, match="randomness error mode"):
        distribution(lambda: torch.func.vmap(torch.bernoulli)(torch.stack([row, row])), watched)
    vmap = torch.func.vmap(lambda _: torch.zeros(2).bernoulli_(), randomness="different")
    with pytest.raises(RuntimeError, match="inplace randomness on an unbatched tensor"):
        distribution(lambda: vmap(torch.zeros(2)), watched)


def test_what_has_no_outcomes_is_refused_in_ours(torch, watched):
    """A normal number stays one under a transform."""
    vmap = torch.func.vmap(lambda row: row + torch.randn(2), randomness="different")
    with pytest.raises(UnsupportedDraw, match=r"drawn within torch\.func\.vmap"):
        distribution(lambda: vmap(torch.zeros(2, 2)), watched)


@given(
    outer=st.sampled_from(["same", "different"]),
    inner=st.sampled_from(["same", "different"]),
    mapped=st.sampled_from([(), (0,), (1,), (0, 1)]),
)
def test_maps_within_maps(outer, inner, mapped):
    """Rows of rows, of which the probabilities are mapped by none, one or both of the maps."""
    torch = pytest.importorskip("torch")
    vmap = torch.func.vmap
    grid = torch.tensor([[[0.25, 0.75], [0.5, 0.5]], [[0.125, 0.875], [0.75, 0.25]]])
    for axis in {0, 1} - set(mapped):
        grid = grid.narrow(axis, 0, 1)
    dims = [0 if axis in mapped else None for axis in (0, 1)]

    def draw(row, _):
        return torch.multinomial(row, 1)[0]

    def maps():
        rows = vmap(draw, in_dims=(dims[1], 0), randomness=inner)
        return vmap(rows, in_dims=(dims[0], 0), randomness=outer)(grid.squeeze(), torch.zeros(2, 2))

    def loops():
        places, drawn = grid.expand(2, 2, 2), {}
        for i in range(1 if outer == "same" else 2):
            for j in range(1 if inner == "same" else 2):
                drawn[i, j] = int(torch.multinomial(places[i, j], 1))
        last = max(drawn)
        return [[drawn[min(i, last[0]), min(j, last[1])] for j in range(2)] for i in range(2)]

    if (outer == "same" and 0 in mapped) or (inner == "same" and 1 in mapped):
        with pytest.raises(RuntimeError, match="same randomness with a batched tensor"):
            distribution(maps)
    else:
        assert same(distribution(maps), distribution(loops))


def test_axes_and_chunks(torch, watched):
    """Rows along another axis; and rows that are mapped a few at a time."""
    columns = torch.tensor(ROWS).T

    def draw(row):
        return torch.multinomial(row, 1)[0]

    expected = distribution(lambda: torch.multinomial(columns.T, 1)[:, 0])
    for how in ({"in_dims": 1}, {"in_dims": 1, "chunk_size": 1}):
        vmap = torch.func.vmap(draw, randomness="different", **how)
        assert same(distribution(lambda vmap=vmap: vmap(columns), watched), expected)


# ------------------------------------------------------------------ derivatives


def test_derivatives_of_what_draws(torch, watched):
    """A bit has no derivative, whatever its probability has: grad, vjp, jvp, jacrev, jacfwd."""
    func, x = torch.func, torch.tensor([0.25, 0.75], dtype=torch.float64)

    def cost(x):
        return (torch.bernoulli(x) * x**2).sum()

    def vector(x):
        return torch.bernoulli(x) * x**2

    ways = (
        lambda: func.grad(cost)(x),
        lambda: func.vjp(cost, x)[1](torch.ones((), dtype=torch.float64))[0],
        lambda: func.jacrev(vector)(x).diagonal(),
        lambda: func.jacfwd(vector, randomness="same")(x).diagonal(),
        lambda: func.jvp(vector, (x,), (torch.ones_like(x),))[1],
        lambda: func.functionalize(func.grad(cost))(x),
    )
    expected = distribution(lambda: 2.0 * x * torch.bernoulli(x))
    for way in ways:
        assert same(distribution(way, watched), expected)


def test_second_derivatives(torch, watched):
    """A hessian maps a jacobian, and is told what that means for rows."""
    func, x = torch.func, torch.tensor([0.25, 0.75], dtype=torch.float64)

    def cost(x):
        return (torch.bernoulli(x) * x**2).sum()

    found = distribution(
        lambda: func.jacfwd(func.jacrev(cost), randomness="same")(x).diagonal(), watched
    )
    assert same(found, distribution(lambda: 2.0 * torch.bernoulli(x)))
    with pytest.raises(RuntimeError, match="randomness error mode"):
        distribution(lambda: func.hessian(cost)(x), watched)


def test_gradients_of_each_sample(torch, watched):
    """vmap of grad over a functional module that draws: as one sample after the other."""
    module = torch.nn.Linear(2, 3).double()
    values = {name: each.detach().clone() for name, each in module.named_parameters()}
    samples = torch.tensor([[0.5, -1.0], [1.0, 0.25]], dtype=torch.float64)

    def cost(values, sample):
        logits = torch.func.functional_call(module, values, (sample,))
        taken = torch.multinomial(logits.softmax(-1).detach(), 1)
        return (taken + 1.0).sum() * logits.log_softmax(-1).gather(-1, taken).sum()

    def mapped():
        slope = torch.func.grad(cost)
        found = torch.func.vmap(slope, in_dims=(None, 0), randomness="different")(values, samples)
        return found["bias"]

    def loop():
        return torch.stack([torch.func.grad(cost)(values, each)["bias"] for each in samples])

    assert len(distribution(mapped, watched)) == len(distribution(loop))
    for moment in (1, 2):
        found, expected = (
            mean(lambda each=each, moment=moment: each().numpy() ** moment)
            for each in (mapped, loop)
        )
        assert found == pytest.approx(expected, abs=ROUNDING * np.abs(expected).max())


# ------------------------------------------------------------------ verdicts


def test_a_right_baseline_is_right_and_a_wrong_one_is_not(torch):
    """Leave-one-out over two rows, by a map; and one that only counts rows that are equal."""
    logits = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
    costs = torch.tensor([1.0, 3.0, 2.0], dtype=torch.float64)

    def draw():
        def one(_):
            return torch.multinomial(logits.softmax(0).detach(), 1)[0]

        return torch.func.vmap(one, randomness="different")(torch.zeros(2))

    def gradient(surrogate):
        return torch.autograd.grad(surrogate, logits)[0].numpy()

    def leave_one_out():
        taken = draw()
        other = costs[taken].flip(0)
        return gradient(((costs[taken] - other) * logits.log_softmax(0)[taken]).mean())

    def wrong():
        taken = draw()
        weight = costs[taken] * (taken[0] == taken[1])
        return gradient((weight * logits.log_softmax(0)[taken]).mean())

    exact = torch.autograd.grad(logits.softmax(0) @ costs, logits)[0].numpy()
    assert mean(leave_one_out) == pytest.approx(exact, abs=ROUNDING)
    assert np.abs(mean(wrong) - exact).max() > 0.5 * np.abs(exact).max()  # by four fifths


def objectives(torch, x):
    """Pairs of an objective with transforms, and the same without."""
    vmap, func = torch.func.vmap, torch.func
    costs = torch.tensor([1.0, 3.0, 2.0], dtype=torch.float64)

    def rows():
        def one(_):
            return torch.multinomial(x.softmax(0).detach(), 1)[0]

        return costs[vmap(one, randomness="different")(torch.zeros(2))].prod() * x.sum()

    def rows_plainly():
        return costs[torch.multinomial(x.softmax(0), 2, replacement=True)].prod() * x.sum()

    def slope():
        inner = func.grad(lambda y: (torch.bernoulli(y.sigmoid()) * y**2).sum())
        return (inner(x) ** 2).sum()

    def slope_plainly():
        return ((2.0 * torch.bernoulli(x.sigmoid()) * x) ** 2).sum()

    def in_place():
        bits = vmap(lambda y: torch.zeros_like(y).bernoulli_(y), randomness="different")
        return (bits(x.sigmoid()) * costs).sum() ** 2

    def in_place_plainly():
        return (torch.bernoulli(x.sigmoid()) * costs).sum() ** 2

    return (rows, rows_plainly), (slope, slope_plainly), (in_place, in_place_plainly)


@pytest.mark.parametrize("which", range(3))
def test_objectives_are_differentiated_through_transforms(torch, which):
    """The gradient of the mean reaches the probabilities that are drawn by under a transform."""
    x = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
    found = []
    for objective in objectives(torch, x)[which]:
        code = ObjectiveGradient(objective, [], {"x": x})
        with Enumeration(code) as enumeration:
            found.append(enumeration.moments({"x": x.detach().numpy()}).mean())
    assert found[0] == pytest.approx(found[1], rel=ROUNDING, abs=0.0)


# ------------------------------------------------------------------ all is as before


def test_nothing_is_left_after_an_error_under_a_transform(torch, watched):
    """Too many paths within a map: the error is ours, and PyTorch is under no transform."""
    rows = torch.full((2, 20), 0.5)
    vmap = torch.func.vmap(torch.bernoulli, randomness="different")
    before = torch.get_rng_state()
    with pytest.raises(TooManyPaths):
        distribution(lambda: vmap(rows), watched, most=1000)
    assert torch._C._functorch.peek_interpreter_stack() is None
    assert torch._C._len_torch_dispatch_stack() == 0
    assert torch.equal(torch.get_rng_state(), before)
    assert len({tuple(vmap(rows)[0].tolist()) for _ in range(20)}) > 1  # it draws again


def test_a_mode_that_sees_all_functions_calls_a_handler_twice(torch, watched):
    """A default device makes PyTorch look methods up again; there is one draw all the same."""
    weights = torch.tensor([0.25, 0.75])

    def rows():
        with torch.device("cpu"):
            return torch.func.vmap(
                lambda x: weights.multinomial(1)[0] + x.clone().random_(2), randomness="different"
            )(torch.zeros(1))

    assert same(distribution(rows, watched), {"[0.0]": 0.125, "[1.0]": 0.5, "[2.0]": 0.375})


def test_samples_are_drawn_by_pytorch(torch):
    """A run that samples sees how rare outcomes are, and lets PyTorch draw."""
    weights, generator, seen = torch.tensor([0.25, 0.75]), torch.Generator(), set()
    generator.seed()

    def draw(_):
        return torch.multinomial(weights, 1, generator=generator)[0]

    def rows():
        return torch.func.vmap(draw, randomness="different")(torch.zeros(2))

    with Handling() as handling:
        for _ in range(300):  # the rarest comes out once in 16: missed once in 10 ** 8 times
            run = SampledRun()
            seen.add(tuple(handling.perform(rows, run).tolist()))
    assert len(seen) == 4
    assert run.rarest == 0.25
    assert not run.unknown
