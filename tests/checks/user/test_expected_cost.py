"""Gradients of enumerated objectives: right estimators are not refuted, wrong ones do not hold."""

import numpy as np
import pytest

from gradproof.checks.user import expected_cost, witnesses
from gradproof.checks.user.estimator import check_estimator
from gradproof.checks.user.expected_cost import NotDifferentiable, gradient_of_mean
from gradproof.estimators.backends import load


@pytest.fixture(name="torch")
def _torch():
    return load("torch").torch


def policy(torch, logits):
    """Of which one of as many labels is drawn as there are logits."""
    return torch.distributions.Categorical(logits=logits)


def costs(torch, like):
    """Of four labels."""
    return torch.tensor([1.0, 3.0, 2.0, 5.0], dtype=like.dtype)


def score(torch, logits, also=0.0):
    """A right surrogate of the cost of a label, and of whatever is added to it."""
    q = policy(torch, logits)
    label = q.sample()
    return costs(torch, logits)[label] * q.log_prob(label) + also


def four(torch, kind="float64"):
    """Logits."""
    return torch.tensor([0.3, -0.2, 0.5, 0.1], dtype=getattr(torch, kind), requires_grad=True)


# ------------------------------------------------------------------ memory that is shared

OLD = {
    "detached": lambda logits: logits.detach(),
    "data": lambda logits: logits.data,
    "of NumPy": lambda logits: logits.detach().numpy(),
}


@pytest.mark.torch
@pytest.mark.parametrize("how", OLD)
@pytest.mark.parametrize("kept", ["closure", "input"])
def test_what_shares_memory_with_a_parameter_stays(torch, how, kept):
    """The constant that it is to whoever differentiates."""
    logits = four(torch)
    old = OLD[how](logits)

    def near(logits, old):  # cross entropy to the old policy
        target = torch.softmax(torch.as_tensor(old), 0)
        return -(target * torch.log_softmax(logits, 0)).sum()

    def objective(logits, given=old):
        return costs(torch, logits)[policy(torch, logits).sample()] + near(logits, given)

    def right(logits, given=old):
        return score(torch, logits, near(logits, given))

    def wrong(logits, given=old):  # the entropy's gradient goes by way of the target, too
        return score(torch, logits, near(logits, logits))

    inputs = [logits] if kept == "closure" else [logits, old]
    pointer, before = logits.data_ptr(), logits.detach().clone()
    assert check_estimator(right, inputs, objective=objective).verdict == "holds"
    assert check_estimator(wrong, inputs, objective=objective).verdict == "refuted"
    assert logits.data_ptr() == pointer
    assert torch.equal(logits.detach(), before)


@pytest.mark.torch
def test_two_parameters_over_the_same_memory_move_on_their_own(torch):
    """As they do for automatic differentiation."""
    memory = four(torch).detach()
    one, other = memory.detach().requires_grad_(), memory.detach().requires_grad_()

    def objective(one, other):
        return costs(torch, one)[policy(torch, 2.0 * one + other).sample()]

    right = lambda one, other: score(torch, 2.0 * one + other)  # noqa: E731
    wrong = lambda one, other: score(torch, 2.0 * one + other.detach())  # noqa: E731
    assert check_estimator(right, [one, other], objective=objective).verdict == "holds"
    assert check_estimator(wrong, [one, other], objective=objective).verdict == "refuted"


def test_arrays_that_share_memory_with_an_input_are_refused():
    """They cannot be moved elsewhere."""
    x = np.array([0.3, -0.2])
    never = lambda *_: pytest.fail("it was run")  # noqa: E731
    with pytest.raises(NotDifferentiable, match="x shares its memory with another input"):
        gradient_of_mean(never, [x, x[:1]], {"x": x})
    found = gradient_of_mean(lambda x, y: float(x @ y), [x, x.copy()], {"x": x})
    # By differences of a value of 0.13, over steps of some hundredths: a few roundings.
    assert found.gradient["x"] == pytest.approx(x, abs=2e-13)


# ------------------------------------------------------------------ made before it is called

MADE = {"sum": lambda x: x + 0.5, "exponential": lambda x: x.exp(), "view": lambda x: x[:]}


@pytest.mark.torch
@pytest.mark.parametrize("make", MADE.values(), ids=MADE)
def test_what_was_made_before_is_named(torch, make):
    """It does not move, and PyTorch knows that it should; and its graph can be used afterwards."""
    logits = four(torch)
    made = make(logits)

    def objective(logits):
        return costs(torch, logits)[policy(torch, made).sample()]

    with pytest.raises(NotDifferentiable, match="something that was made from gradient before it"):
        check_estimator(lambda _: score(torch, made), [logits], objective=objective)
    made.sum().backward()


@pytest.mark.torch
def test_what_was_made_before_and_is_detached_is_a_constant(torch):
    """As old probabilities are in an objective of ratios."""
    logits = four(torch)
    before = torch.log_softmax(logits, 0)

    def objective(logits):
        old = before.detach()
        label = int(torch.multinomial(old.exp(), 1))
        return costs(torch, logits)[label] * (torch.log_softmax(logits, 0) - old)[label].exp()

    def wrong(logits):
        return 1.01 * objective(logits)

    assert check_estimator(objective, [logits], objective=objective).verdict == "holds"
    assert check_estimator(wrong, [logits], objective=objective).verdict == "refuted"
    found = gradient_of_mean(objective, [logits], {"gradient": logits})
    assert "by PyTorch's differentiation" in found.how


@pytest.mark.torch
def test_the_graph_of_somebody_else_is_not_freed(torch):
    """Which an objective may use, of tensors that are no parameters of it."""
    logits = four(torch)
    other = torch.tensor([0.2, 0.4], dtype=torch.float64, requires_grad=True)
    shared = other.exp()

    def objective(logits):
        return costs(torch, logits)[policy(torch, logits).sample()] * shared.prod()

    found = gradient_of_mean(objective, [logits], {"gradient": logits})
    assert "by PyTorch's differentiation" in found.how
    shared.sum().backward()


# ------------------------------------------------------------------ what a witness cannot see


def doubtful(torch, factor):
    """A square whose backward is off by a factor."""

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            return factor * 2.0 * ctx.saved_tensors[0] * g

    return Square.apply


def of_squares(torch, size, square, labels=4, each=1):
    """A problem whose last parameter enters by its square, in ``size`` times a cost."""

    def logits(x):
        return x[:-1].reshape(labels, each).sum(1)

    def also(x):
        return size * torch.arange(1.0, labels + 1.0, dtype=x.dtype)

    def objective(x):
        label = policy(torch, logits(x)).sample()
        return label + 1.0 + also(x)[label] * square(x[-1])

    def surrogate(square):
        def estimator(x):
            q = policy(torch, logits(x))
            label = q.sample()
            part = also(x)[label] * square(x[-1])
            return (label + 1.0 + part).detach() * q.log_prob(label) + part

        return estimator

    return objective, surrogate


#: By how much smaller an entry's slope is than the others, in which precision.
SMALL = [
    ("float32", 1.0),
    ("float32", 1e-2),
    ("float32", 1e-4),
    ("float64", 1e-3),
    ("float64", 1e-8),
    ("float64", 1e-11),
]


@pytest.mark.torch
@pytest.mark.parametrize("each", [1, 8])
@pytest.mark.parametrize(("kind", "size"), SMALL)
@pytest.mark.parametrize("fault", ["lost", "off by 2 %"])
def test_a_small_entry_that_is_wrong_does_not_hold(torch, monkeypatch, fault, kind, size, each):
    """Nor is the right estimator refuted, whichever gradient it is held against."""
    if each > 1:  # along directions: there is no room for a witness of every entry
        monkeypatch.setattr(witnesses, "WITNESS_RUNS", 500)
    numbers = torch.linspace(-0.4, 0.6, 4 * each, dtype=getattr(torch, kind)) / each
    x = torch.cat([numbers, torch.tensor([0.7], dtype=numbers.dtype)]).requires_grad_()
    square = (lambda x: x.item() ** 2) if fault == "lost" else doubtful(torch, 0.98)
    objective, surrogate = of_squares(torch, size, square, each=each)
    missing = lambda x: x.detach() ** 2 + 0.0 * x  # noqa: E731
    wrong = surrogate(missing if fault == "lost" else square)
    assert check_estimator(wrong, [x], objective=objective).verdict != "holds"
    right = surrogate(lambda x: x * x)
    assert check_estimator(right, [x], objective=objective).verdict != "refuted"


@pytest.mark.torch
@pytest.mark.parametrize("runs", [500, 5_000])
@pytest.mark.parametrize("size", [1.0, 1e-3, 1e-6])
def test_a_small_entry_that_is_right_holds_in_double_precision(torch, monkeypatch, runs, size):
    """By either kind of witness."""
    monkeypatch.setattr(witnesses, "WITNESS_RUNS", runs)
    numbers = torch.linspace(-0.4, 0.6, 32, dtype=torch.float64) / 8.0
    x = torch.cat([numbers, torch.tensor([0.7], dtype=torch.float64)]).requires_grad_()
    objective, surrogate = of_squares(torch, size, lambda x: x * x, each=8)
    assert check_estimator(surrogate(lambda x: x * x), [x], objective=objective).verdict == "holds"


@pytest.mark.torch
def test_a_parameter_that_nothing_depends_on_holds(torch, monkeypatch):
    """It is in a direction of its own, which does not move the mean."""
    monkeypatch.setattr(witnesses, "WITNESS_RUNS", 100)
    logits, idle = four(torch), torch.ones(50, dtype=torch.float64, requires_grad=True)

    def objective(logits, idle):
        return costs(torch, logits)[policy(torch, logits).sample()] + 0.0 * idle.sum()

    def right(logits, idle):
        return score(torch, logits, 0.0 * idle.sum())

    def wrong(logits, idle):
        return score(torch, logits, 1e-3 * idle.sum())

    assert check_estimator(right, [logits, idle], objective=objective).verdict == "holds"
    assert check_estimator(wrong, [logits, idle], objective=objective).verdict == "refuted"


@pytest.mark.torch
def test_only_what_a_witness_contradicts_is_differenced(torch, monkeypatch):
    """A parameter that is lost to the graph, beside one that is too large for differences."""
    weight = torch.zeros(100, 4, dtype=torch.float64, requires_grad=True)
    shift = torch.tensor([0.3, -0.2], dtype=torch.float64, requires_grad=True)
    features = torch.linspace(-1.0, 1.0, 100, dtype=torch.float64)
    monkeypatch.setattr(expected_cost, "MOST_RUNS", 500)

    def objective(weight, shift):
        cost = costs(torch, weight)[policy(torch, features @ weight).sample()]
        return cost + np.tanh(shift.detach().numpy()).sum()

    def right(weight, shift):
        return score(torch, features @ weight, torch.tanh(shift).sum())

    def wrong(weight, shift):
        return score(torch, features @ weight, 1.01 * torch.tanh(shift).sum())

    inputs = [weight, shift]
    held = check_estimator(right, inputs, objective=objective)
    assert held.verdict == "holds"
    assert check_estimator(wrong, inputs, objective=objective).verdict == "refuted"
    found = gradient_of_mean(objective, inputs, {"weight": weight, "shift": shift})
    assert "shift by differences" in found.how
    said = "The gradient of the objective by 1 is by differences, which PyTorch's contradicts"
    assert said in held.explain()


# ------------------------------------------------------------------ slopes that are not told


@pytest.mark.torch
@pytest.mark.parametrize("runs", [0, 5_000])
def test_an_entry_at_an_edge_is_named(torch, monkeypatch, runs):
    """A probability of zero, of which PyTorch's gradient may be anything; by either witness."""
    monkeypatch.setattr(witnesses, "WITNESS_RUNS", runs)
    p = torch.tensor([0.5, 0.0], dtype=torch.float64, requires_grad=True)

    def objective(p):
        return torch.bernoulli(p[0]) + 4.0 * torch.bernoulli(p[1])

    said = "by gradient.* is not known: it has no values nearby; to the (left|right): Value"
    with pytest.raises(NotDifferentiable, match=said):
        check_estimator(lambda p: p[0], [p], objective=objective)


@pytest.mark.torch
def test_an_objective_that_asserts_has_no_value_there(torch):
    """Where differences look, and it was not called by whoever wrote it."""
    p = torch.tensor([0.125, 0.375, 0.25, 0.25], dtype=torch.float64, requires_grad=True)

    def objective(p):
        assert float(p.detach().sum()) == 1.0
        return costs(torch, p)[torch.multinomial(p, 1)[0]]

    with pytest.raises(NotDifferentiable, match="AssertionError"):
        gradient_of_mean(objective, [p], {"gradient": p})

    def broken(p):
        raise AssertionError("always")

    with pytest.raises(AssertionError, match="always"):
        gradient_of_mean(broken, [p], {"gradient": p})


@pytest.mark.torch
def test_noise_in_an_objective_is_refused(torch):
    """Drawn where nobody counts its outcomes."""

    def objective(x):
        return (torch.nn.functional.rrelu(-x, training=True) ** 2).sum()

    with pytest.raises(RuntimeError, match="rrelu"):
        gradient_of_mean(objective, [four(torch)], {"gradient": four(torch)})
