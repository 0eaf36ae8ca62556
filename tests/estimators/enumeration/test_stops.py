"""What comes out of a stop at one point is handed out at others, and nothing else is."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from gradproof.estimators.backends import load
from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.outcomes import Coin, table
from gradproof.estimators.enumeration.run import (
    Choice,
    NotEnumerable,
    NotReproducible,
    RepeatedRun,
    UnsupportedDraw,
    paths,
    repeat,
)
from gradproof.estimators.enumeration.stops import UnsupportedStopGradient, holding

pytestmark = [
    pytest.mark.torch,
    # Of stops that PyTorch would rather see spelt out; that they are used is the point here.
    pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad"),
    pytest.mark.filterwarnings("ignore:To copy construct from a tensor"),
]

AT, MOVED = 1.75, 2.5  # dyadic, so that products are exact


@pytest.fixture(name="torch")
def _torch():
    return load("torch").torch


@pytest.fixture(name="x")
def _x(torch):
    return torch.tensor(AT, dtype=torch.double, requires_grad=True)


def move(x, to=MOVED):
    """Another point, in place."""
    x.data.fill_(to)


def no_grad(torch, compute):
    """What is computed without gradients."""
    with torch.no_grad():
        return compute()


def written(torch, x):
    """A buffer that is filled without gradients."""
    with torch.no_grad():
        buffer = torch.zeros(2, dtype=torch.double)
        buffer[0] = x
        buffer += x
    return buffer[1]


def inferred(torch, x):
    """What is computed in inference mode, as a number."""
    with torch.inference_mode():
        return (x * 1.0).item()


PASSED = {
    "detach": lambda torch, x: x.detach(),
    "torch.detach": lambda torch, x: torch.detach(x),
    "detach_": lambda torch, x: (x * 1.0).detach_(),
    "torch.detach_": lambda torch, x: torch.detach_(x * 1.0),
    "data": lambda torch, x: x.data,
    "item": lambda torch, x: x.item(),
    "float": lambda torch, x: float(x),
    "complex": lambda torch, x: complex(x).real,
    "int": lambda torch, x: int(x * 4.0) / 4.0,
    "tolist": lambda torch, x: x.reshape(1).tolist()[0],
    "numpy": lambda torch, x: float(x.numpy(force=True)),
    "tensor": lambda torch, x: torch.tensor(x),
    "tensor of a list": lambda torch, x: torch.tensor([x, x], dtype=torch.double)[1],
    "new_tensor": lambda torch, x: x.new_tensor(x),
    "a product under no_grad": lambda torch, x: no_grad(torch, lambda: x * 1.0),
    "a view under no_grad": lambda torch, x: no_grad(torch, lambda: x.view(1))[0],
    "a view of no leaf under no_grad": lambda torch, x: (
        lambda y: no_grad(torch, lambda: y.view(1))
    )(x * 1.0)[0],
    "a list under no_grad": lambda torch, x: no_grad(torch, lambda: torch.stack([x, x]))[0],
    "a buffer under no_grad": written,
    "inference mode": inferred,
    "a gradient": lambda torch, x: torch.autograd.grad(0.5 * x * x, x)[0],
    "a stop inside another": lambda torch, x: no_grad(torch, lambda: x.detach() * 1.0),
}


@pytest.mark.parametrize("passed", PASSED.values(), ids=PASSED)
def test_a_stop_keeps_its_value_and_its_factor_moves(torch, x, passed):
    """At a moved point the stopped factor is that of theta0: the slope is what autograd says."""

    def product():
        return passed(torch, x) * x

    with holding() as kept:
        value = product()
    (slope,) = torch.autograd.grad(value, x)
    assert kept.stops
    assert float(slope) == AT
    move(x)
    with holding(kept.stops) as told:
        moved = product()
    assert float(moved.detach()) == AT * MOVED
    assert [str(stop) for stop in told.stops] == [str(stop) for stop in kept.stops]


NO_STOPS = {
    "of what needs no gradient": lambda torch, x: torch.ones(1).detach().sum() * x,
    "handed through": lambda torch, x: no_grad(torch, x.contiguous),
    "a shape": lambda torch, x: x.expand(no_grad(torch, x.size)),
}


@pytest.mark.parametrize("passed", NO_STOPS.values(), ids=NO_STOPS)
def test_what_is_no_stop_moves(torch, x, passed):
    """What is a constant anyway is not kept, nor what keeps its gradient."""
    with holding() as kept:
        passed(torch, x)
    assert not kept.stops
    move(x)
    with holding(kept.stops):
        found = passed(torch, x)
    assert float(found.detach()) == MOVED


def test_a_stop_is_named_with_its_line(x):
    """Messages say what was detached, and where in whose file."""
    with holding() as kept:
        x.detach()
    (stop,) = kept.stops
    assert str(stop).startswith("Tensor.detach at test_stops.py:")


def test_what_is_handed_out_is_a_copy(x):
    """Code that writes to what a stop gave it does not spoil the record for the next run."""

    def run():
        return x.detach()

    with holding() as kept:
        run()
    for _ in range(2):
        with holding(kept.stops):
            given = run()
        assert float(given) == AT
        given += 1.0


# ------------------------------------------------------------------ patches


def state(torch):
    """What PyTorch's stops are."""
    names = ("detach", "detach_", "item", "tolist", "numpy", "__float__")
    own = {name: name in vars(torch.Tensor) for name in (*names, "data")}
    return own, [getattr(torch.Tensor, name) for name in names], torch.detach, torch.tensor


def test_everything_is_put_back(torch, x):
    """After a run PyTorch is as it was, with no mode left on."""
    before = state(torch)
    with holding():
        assert state(torch) != before
    assert state(torch) == before
    assert torch.overrides._get_current_function_mode_stack() == []


def test_everything_is_put_back_after_an_error(torch, x):
    """Whatever a surrogate raises comes out, and the patches are gone."""
    before = state(torch)
    owner = SimpleNamespace(cost=abs)
    with pytest.raises(ZeroDivisionError), holding(declared=[(owner, "cost")]):
        owner.cost(1 / 0)
    assert state(torch) == before
    assert owner.cost is abs
    assert torch.overrides._get_current_function_mode_stack() == []


def test_one_may_be_inside_another(torch, x):
    """Both keep the stop, and the inner one undoes its own patches only."""
    before = state(torch)
    with holding() as outer:
        between = state(torch)
        with holding() as inner:
            x.detach()
        assert state(torch) == between
        x.item()
    assert [stop.what for stop in inner.stops] == ["Tensor.detach"]
    assert [stop.what for stop in outer.stops][-1] == "Tensor.item"
    assert state(torch) == before


# ------------------------------------------------------------------ unsupported stop-gradients


def test_another_stop_is_an_error(x):
    """A run that passes other stops than the first is no function that could be differenced."""
    with holding() as kept:
        x.detach()
    message = r"stop-gradient 1 was Tensor\.detach at .*, and .* it is Tensor\.item"
    with pytest.raises(NotReproducible, match=message), holding(kept.stops):
        x.item()


def test_one_more_stop_is_an_error(x):
    """So is one that passes more of them."""
    with holding() as kept:
        pass
    message = r"stop-gradient 1 was none, and .* it is Tensor\.item at"
    with pytest.raises(NotReproducible, match=message), holding(kept.stops):
        x.item()


def test_one_stop_less_is_an_error(x):
    """Or fewer."""
    with holding() as kept:
        x.detach()
    message = r"called 0 stop-gradients, and before it went on with Tensor\.detach"
    with pytest.raises(NotReproducible, match=message), holding(kept.stops):
        pass


def test_writing_to_what_a_stop_shares_is_an_error(x):
    """A copy that is handed out would not pass the writing on to what it shares memory with."""
    y = x * 1.0
    message = r"Tensor\.detach at test_stops\.py:\d+ was written to"
    with pytest.raises(UnsupportedStopGradient, match=message), holding():
        y.detach().add_(1.0)


def test_a_buffer_like_a_parameter_may_be_filled(torch, x):
    """Under no_grad: each writing is kept, of what moves and of what does not."""

    def run():
        with torch.no_grad():
            buffer = torch.zeros_like(x.reshape(1))
            buffer[0] = 3.0
            buffer += x
        return buffer.sum() * x

    with holding() as kept:
        run()
    move(x)
    with holding(kept.stops):
        moved = run()
    assert float(moved.detach()) == (3.0 + AT) * MOVED


def test_nothing_is_held_inside_a_custom_function(torch, x):
    """It runs without gradients, and is no stop: its backward pass is its derivative."""

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.detach() * x

        @staticmethod
        def backward(ctx, slope):
            return slope

    with holding() as kept:
        Square.apply(x)
    assert not kept.stops


@pytest.mark.parametrize("transform", ["grad", "vmap"])
def test_stops_inside_a_transform_are_an_error(torch, transform):
    """There a tensor has no value that could be kept; to go on would let it move in silence."""
    points = torch.ones(2, dtype=torch.double, requires_grad=True)
    inside = getattr(torch.func, transform)(lambda x: (x.detach() * x).sum())
    with (
        pytest.raises(UnsupportedStopGradient, match="nothing inside a transform such as vmap"),
        holding(),
    ):
        inside(points)


# ------------------------------------------------------------------ declared


#: One factor of a product is made without gradients.
WITHOUT_GRADIENTS = """
def product(x: Tensor) -> Tensor:
    with torch.no_grad():
        twice = x * 2.0
    return twice * x
"""


def scaled(torch, stopped):
    """A module whose input needs no gradient, as its weight does; one product may be stopped."""

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(3, dtype=torch.double))

        def forward(self, x):
            product = self.weight * x
            return ((product.detach() if stopped else product) * self.weight).sum()

    return Module()


@pytest.mark.parametrize("stopped", [True, False], ids=["stopped", "plain"])
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_a_stop_in_torchscript_is_refused(torch, x, stopped):
    """Its value cannot be kept there; what has none is code like any other."""

    def function(x):
        return ((x.detach() if stopped else x) * x).sum()

    fixed = x.detach()
    module = torch.jit.trace(scaled(torch, stopped), (fixed,), check_trace=False)
    traced = torch.jit.trace(function, (x,), check_trace=False)
    for code, given in ((traced, x), (module, fixed)):
        if stopped:
            with (
                pytest.raises(UnsupportedStopGradient, match="TorchScript with aten::detach"),
                holding(),
            ):
                code(given)
        else:
            with holding() as kept:
                code(given)
            assert not kept.stops
        assert code(given).requires_grad  # as before


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_no_grad_in_torchscript_is_refused(torch, x):
    """What is computed there is a constant too."""
    scripted = torch.jit.CompilationUnit(WITHOUT_GRADIENTS).product
    with pytest.raises(UnsupportedStopGradient, match="TorchScript with prim::Enter"), holding():
        scripted(x)


def test_declared_terms_are_held_with_their_gradient_left_alone(torch, x):
    """On the first run a declared term is what it is; later it has the same value."""
    owner = SimpleNamespace(cost=lambda x: x * 2.0)

    def product():
        return owner.cost(x) * x

    with holding(declared=[(owner, "cost")]) as kept:
        value = product()
    (slope,) = torch.autograd.grad(value, x)
    assert float(slope) == 4.0 * AT
    move(x)
    with holding(kept.stops, [(owner, "cost")]):
        moved = product()
    assert float(moved.detach()) == 2.0 * AT * MOVED


def test_a_declared_term_may_be_stopped_too(x):
    """What is handed out requires a gradient as the term does, so that its stop is passed again."""
    owner = SimpleNamespace(cost=lambda x: x * 2.0)

    def product():
        return owner.cost(x).detach() * x

    with holding(declared=[(owner, "cost")]) as kept:
        product()
    move(x)
    with holding(kept.stops, [(owner, "cost")]):
        moved = product()
    assert [stop.what for stop in kept.stops] == ["cost", "Tensor.detach"]
    assert float(moved.detach()) == 2.0 * AT * MOVED


def test_stops_and_draws_inside_a_declared_term_are_its_own():
    """A declared term is called on every run, so that what it draws is asked for on every run."""
    torch = load("torch").torch
    probability = torch.tensor(0.25, dtype=torch.double, requires_grad=True)
    owner = SimpleNamespace(
        draw=lambda: torch.bernoulli(probability).detach() + probability.detach()
    )

    def run(told=None):
        with holding(told, [(owner, "draw")]) as kept:
            return owner.draw(), kept.stops

    with Handling(run) as handling:
        found = list(paths(run, handling.perform))
        assert [float(path.value[0].detach()) for path in found] == [0.25, 1.25]
        move(probability, 0.5)
        for path in found:
            (stop,) = path.value[1]
            assert stop.what == "draw"
            again = repeat(lambda path=path: run(path.value[1]), handling.perform, path.choices)
            assert torch.equal(again.value[0], path.value[0].detach())


class Model:
    """With a method of each kind."""

    def cost(self, x):
        """Depends on x."""
        return (np.array([x]), {"twice": 2 * x})

    @staticmethod
    def static(x):
        """Cannot be put back as it was."""
        return x


@pytest.mark.parametrize("owner", [Model, Model()], ids=["of a class", "of an object"])
def test_methods_can_be_declared(owner):
    """Of one object or of all; arrays, tuples and mappings are kept."""
    model = owner() if owner is Model else owner

    def run(x):
        return model.cost(x)

    with holding(declared=[(owner, "cost")]) as kept:
        run(1.0)
    with holding(kept.stops, [(owner, "cost")]):
        array, named = run(3.0)
    assert array == [1.0]
    assert named == {"twice": 2.0}
    assert model.cost(3.0)[0] == [3.0]


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("cost", "expected pairs of an object and a name"),
        ((Model, "price"), "held= names price of"),
        ((Model, "static"), "no static method"),
        ((1.5, "is_integer"), "held= names is_integer of 1.5"),
    ],
)
def test_what_cannot_be_declared_is_an_error(declared, message):
    """Each with what is expected instead."""
    with pytest.raises(TypeError, match=message), holding(declared=[declared]):
        pass


def test_a_declared_term_that_is_not_called_is_an_error():
    """Naming a twin of the term, which the surrogate does not use, would hold nothing."""
    declared = [(SimpleNamespace(cost=abs), "cost")]
    message = "cost is declared as a stop-gradient \\(held=\\), and never called"
    with pytest.raises(UnsupportedStopGradient, match=message), holding(declared=declared):
        pass


def test_what_cannot_be_kept_is_an_error():
    """A thing that nobody can copy may follow the parameters in silence."""
    owner = SimpleNamespace(term=Model)
    message = "term returned a Model, expected arrays, tensors"
    with pytest.raises(UnsupportedStopGradient, match=message), holding(declared=[(owner, "term")]):
        owner.term()


# ------------------------------------------------------------------ draws


def chosen(run, *draws):
    """Outcomes of draws by name and probabilities."""
    return [run.choose(table(what, known)) for what, *known in draws]


def test_repeated_draws_take_the_same_outcomes_by_other_probabilities():
    """By place and what draws, whatever the probabilities have become."""
    given = [Choice(Coin("coin", 0.5), 1), Choice(table("die", [0.2, 0.3, 0.5]), 0)]
    run = RepeatedRun(given)
    assert chosen(run, ("coin", 0.9, 0.1), ("die", 0.1, 0.1, 0.8)) == [1, 0]
    assert [choice.taken for choice in run.choices] == [1, 0]
    assert run.choices[0].probability == 0.1  # of now


@pytest.mark.parametrize(
    ("draws", "message"),
    [
        ([("die", 0.5, 0.5)], "draw 1 was coin of 2 outcomes, .* it is die of 2 outcomes"),
        ([("coin", 0.5, 0.3, 0.2)], "draw 1 was coin of 2 outcomes, .* it is coin of 3 outcomes"),
        ([("coin", 0.5, 0.5)] * 2, "draw 2 did not exist, .* it is coin"),
    ],
    ids=["another", "more outcomes", "one more"],
)
def test_repeated_draws_must_be_the_same(draws, message):
    """As in any run, but for the probabilities."""
    with pytest.raises(NotReproducible, match=message):
        chosen(RepeatedRun([Choice(Coin("coin", 0.5), 1)]), *draws)


def test_a_repeated_run_must_draw_all(torch):
    """A run that ends early is another one."""
    words = "ended after 0 draws, and after the same outcomes it went on with coin"
    with pytest.raises(NotReproducible, match=words), Handling() as handling:
        repeat(lambda: None, handling.perform, [Choice(Coin("coin", 0.5), 1)])


def test_the_stops_of_draws_are_not_kept(torch):
    """What reads a draw's probabilities is no stop of the surrogate's."""
    logits = torch.zeros(2, dtype=torch.double, requires_grad=True)

    def run(told=None):
        with holding(told) as kept:
            y = torch.distributions.Categorical(logits=logits).sample()
            return torch.log_softmax(logits, 0)[y], kept.stops

    with Handling(run) as handling:
        found = list(paths(run, handling.perform))
    assert [path.value[1] for path in found] == [[], []]


# ------------------------------------------------------------------ JAX, as far as a stub goes


def test_jax_stop_gradient_is_held(monkeypatch):
    """Looked up where JAX keeps it."""
    stub = SimpleNamespace(lax=SimpleNamespace(stop_gradient=lambda x: x))
    before = stub.lax.stop_gradient
    monkeypatch.setitem(sys.modules, "jax", stub)

    def run(x):
        return stub.lax.stop_gradient(np.array([x]))

    with holding() as kept:
        run(1.0)
    with holding(kept.stops):
        assert run(2.0) == [1.0]
    assert stub.lax.stop_gradient is before


def test_jax_tracers_are_refused(monkeypatch):
    """What is traced has no value to keep."""
    tracer = type("JVPTracer", (), {"__array__": None})()
    stub = SimpleNamespace(lax=SimpleNamespace(stop_gradient=lambda x: x))
    monkeypatch.setitem(sys.modules, "jax", stub)
    message = r"stop_gradient returned a JVPTracer, .* inside a transform"
    with pytest.raises(UnsupportedStopGradient, match=message), holding():
        stub.lax.stop_gradient(tracer)


def test_a_refusal_that_is_caught_is_one_at_moved_parameters_too():
    """A path is repeated at other parameters by what follows a path: no refusal is forgotten."""

    def run():
        try:
            return np.sin(np.random.default_rng().normal())
        except NotEnumerable:
            return 0.0

    with pytest.raises(UnsupportedDraw, match=r"Generator\.normal"), Handling(run) as handling:
        repeat(run, handling.perform, [])
