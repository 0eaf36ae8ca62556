"""Surrogates with held constants: what frozen differences see, and what has to be said to them."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from autograd import grad
from autograd import numpy as anp
from autograd.tracer import getval
from hypothesis import given, settings
from hypothesis import strategies as st

from gradproof.checks.evidence import HOLDS, REFUTED, UNDECIDED
from gradproof.checks.user.expected_cost import NotDifferentiable
from gradproof.checks.user.surrogate import check_surrogate
from gradproof.checks.user.surrogate_runs import InputChanged
from gradproof.estimators.backends import load
from gradproof.estimators.enumeration.run import NotReproducible, TooManyPaths
from gradproof.estimators.enumeration.stops import UnsupportedStopGradient


class Toy:
    """A policy of three outcomes, theta, and a cost that depends on theta and on phi."""

    def __init__(self, torch, theta=(0.3, -0.2, 0.5), dtype=None):
        kind = dtype or torch.double
        self.torch = torch
        self.theta = torch.tensor(theta, dtype=kind, requires_grad=True)
        self.phi = torch.tensor([1.0, 2.0, 0.7], dtype=kind, requires_grad=True)
        self.wrt = {"theta": self.theta, "phi": self.phi}

    def draw(self):
        """An outcome, and its log probability."""
        y = self.torch.distributions.Categorical(logits=self.theta).sample()
        return y, self.torch.log_softmax(self.theta, 0)[y]

    def cost(self, y):
        """Such as L + log q."""
        return self.torch.sin(self.phi[y]) + self.torch.log_softmax(self.theta, 0)[y]

    def objective(self):
        """The cost of one draw."""
        return self.cost(self.draw()[0])

    def right(self):
        """Score part and pathwise part."""
        y, log_q = self.draw()
        cost = self.cost(y)
        return (cost.detach() - 0.1) * log_q + cost

    def score_only(self):
        """The score part alone, as it should be."""
        y, log_q = self.draw()
        return (self.cost(y).detach() - 0.1) * log_q

    def undetached(self):
        """The score part alone, with the detach forgotten."""
        y, log_q = self.draw()
        return (self.cost(y) - 0.1) * log_q

    def magic_box(self):
        """Right at every order."""
        y, log_q = self.draw()
        return self.torch.exp(log_q - log_q.detach()) * self.cost(y)


@pytest.fixture(name="torch")
def _torch():
    return load("torch").torch


@pytest.fixture(name="toy")
def _toy(torch):
    return Toy(torch)


# ------------------------------------------------------------------ what it sees


@pytest.mark.torch
@pytest.mark.parametrize("form", ["right", "score_only", "magic_box"])
def test_right_surrogates_hold_and_gradcheck_fails_them(toy, form):
    """gradcheck moves what is held; its verdict and its words stand beside ours."""
    found = check_surrogate(getattr(toy, form), wrt=toy.wrt)
    assert found.verdict == HOLDS
    assert found.right
    assert found.paths == 3
    assert found.gradcheck.passed is False
    assert "Jacobian mismatch for output 0" in found.gradcheck.words
    said = found.explain()
    assert f"{form}: holds, on 3 paths; stop-gradients: Tensor.detach at test_surrogate.py:" in said
    assert "torch.autograd.gradcheck fails: Jacobian mismatch" in said


@pytest.mark.torch
@given(theta=st.lists(st.floats(-3.0, 3.0), min_size=3, max_size=3))
@settings(max_examples=10)
def test_right_surrogates_hold_anywhere(theta):
    """At any parameters; there is nothing random in the verdict."""
    toy = Toy(load("torch").torch, theta)
    assert check_surrogate(toy.right, wrt=toy.wrt).verdict == HOLDS


@pytest.mark.torch
def test_a_missing_detach_alone_is_not_seen(toy):
    """It is another surrogate, of which the automatic derivative is right; gradcheck says so too.

    The record says what was held and what is reached, which is where it shows.
    """
    found = check_surrogate(toy.undetached, wrt=toy.wrt)
    assert found.verdict == HOLDS
    assert found.gradcheck.passed
    assert found.stops == ()
    assert "stop-gradients: nothing" in found.explain()
    assert "The gradient reaches theta, phi." in found.explain()
    assert found.explain().endswith("torch.autograd.gradcheck passes.")


@pytest.mark.torch
def test_a_missing_detach_is_seen_by_what_it_reaches(toy):
    """Where the term has parameters of its own."""
    found = check_surrogate(toy.undetached, wrt=toy.wrt, reaches=["theta"])
    assert found.verdict == REFUTED
    assert "the gradient reaches also phi" in found.explain()
    assert check_surrogate(toy.score_only, wrt=toy.wrt, reaches=["theta"]).verdict == HOLDS


@pytest.mark.torch
def test_a_missing_detach_is_seen_by_declaring_the_term(toy):
    """Where it shares them; the detached one holds under the same declaration."""
    held = [(toy, "cost")]
    found = check_surrogate(toy.undetached, wrt={"theta": toy.theta}, held=held)
    assert found.verdict == REFUTED
    assert found.worst.what == "theta"
    assert "theta[" in found.explain()
    assert "stop-gradients: cost at test_surrogate.py:" in found.explain()
    right = check_surrogate(toy.score_only, wrt={"theta": toy.theta}, held=held)
    assert right.verdict == HOLDS


@pytest.mark.torch
def test_a_missing_detach_is_seen_by_the_mean(toy):
    """Of the derivative, against that of the enumerated mean of the cost."""
    found = check_surrogate(toy.undetached, wrt=toy.wrt, objective=toy.objective)
    assert found.verdict == REFUTED
    assert found.worst.what.startswith("mean of ")
    right = check_surrogate(toy.right, wrt=toy.wrt, objective=toy.objective)
    assert right.verdict == HOLDS
    assert {one.what for one in right.comparisons} == {
        "theta",
        "phi",
        "mean of theta",
        "mean of phi",
    }


@pytest.mark.torch
def test_what_is_held_too_much_is_seen_by_what_it_reaches(torch, toy):
    """A log probability that is stopped leaves nothing to learn from."""

    def over():
        y, log_q = toy.draw()
        return toy.cost(y).detach() * log_q.detach()

    found = check_surrogate(over, wrt=toy.wrt)
    assert found.verdict == HOLDS
    assert found.reached == ()
    assert "reaches nothing" in found.explain()
    assert found.gradcheck.passed is False
    found = check_surrogate(over, wrt=toy.wrt, reaches=["theta"])
    assert found.verdict == REFUTED
    assert "the gradient does not reach theta" in found.explain()


def leaky(torch, factor):
    """A stop of one's own, through which so much of the gradient passes."""

    class Leaky(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, slope):
            return factor * slope

    return Leaky.apply


@pytest.mark.torch
@pytest.mark.parametrize(("factor", "verdict"), [(0.0, HOLDS), (0.01, REFUTED), (1.0, REFUTED)])
def test_a_stop_that_is_ignored_is_seen(torch, toy, factor, verdict):
    """If it is declared: differences hold what it returns, and the backward pass does not."""
    own = SimpleNamespace(stop=leaky(torch, factor))

    def surrogate():
        y, log_q = toy.draw()
        return own.stop(toy.cost(y)) * log_q

    found = check_surrogate(surrogate, wrt=toy.wrt, held=[(own, "stop")])
    assert found.verdict == verdict


@pytest.mark.torch
@pytest.mark.parametrize("factor", [1.01, 1.0 + 1e-6, -1.0])
def test_a_wrong_backward_pass_is_seen(torch, toy, factor):
    """What gradcheck is for, and cannot say of a surrogate that holds something."""
    wrong = leaky(torch, factor)

    def surrogate():
        y, log_q = toy.draw()
        return toy.cost(y).detach() * wrong(log_q)

    found = check_surrogate(surrogate, wrt=toy.wrt, reaches=["theta"])
    assert found.verdict == REFUTED
    assert found.gradcheck.passed is False


@pytest.mark.torch
def test_no_grad_blocks_item_and_data_are_held(torch, toy):
    """Whatever a surrogate stops with."""

    def surrogate():
        y, log_q = toy.draw()
        with torch.no_grad():
            cost = toy.cost(y) * 2.0
        return (cost - toy.phi.data.sum() - toy.theta[0].item()) * log_q

    found = check_surrogate(surrogate, wrt=toy.wrt, reaches=["theta"])
    assert found.verdict == HOLDS
    assert {"Tensor.data", "Tensor.item", "log_softmax without gradients"} < {
        stop.what for stop in found.stops
    }


@pytest.mark.torch
def test_draws_that_were_made_before_need_no_paths(torch, toy):
    """One path, and tensors are found among the inputs."""

    def surrogate(theta, cost):
        return (cost * theta).detach().sum() * torch.log_softmax(theta, 0)[1]

    found = check_surrogate(surrogate, [toy.theta, torch.ones(3)])
    assert (found.verdict, found.paths, found.reached) == (HOLDS, 1, ("0",))


@pytest.mark.torch
def test_modules_are_moved_and_put_back(torch):
    """Parameters by their names, bit for bit."""
    model = torch.nn.Linear(2, 2).double()
    before = [each.clone() for each in model.parameters()]

    def surrogate():
        out = torch.log_softmax(model(torch.ones(2, dtype=torch.double)), 0)
        return out[0].detach() * out[1]

    found = check_surrogate(surrogate, wrt=model, reaches=["weight", "bias"])
    assert found.verdict == HOLDS
    assert all(map(torch.equal, before, model.parameters()))


@pytest.mark.torch
def test_single_precision_says_so(torch):
    """And gradcheck's warning is among its words; what should be zero cannot be seen to be."""
    toy = Toy(torch, dtype=torch.float32)
    found = check_surrogate(toy.right, wrt=toy.wrt)
    assert found.verdict == UNDECIDED
    assert "would not have been seen in" in found.explain()
    assert "It runs in single precision" in found.explain()
    assert "not a double precision floating point" in found.gradcheck.words


# ------------------------------------------------------------------ second order


@pytest.mark.torch
@pytest.mark.parametrize("form", ["right", "magic_box"])
def test_second_derivatives_are_those_of_the_held_surrogate(toy, form):
    """Of both: what is held is held in the second derivative too."""
    found = check_surrogate(getattr(toy, form), wrt=toy.wrt, order=2)
    assert found.verdict == HOLDS
    assert {one.what for one in found.comparisons} == {
        "theta",
        "phi",
        "second derivative by theta and theta",
        "second derivative by theta and phi",
        "second derivative by phi and phi",
    }


@pytest.mark.torch
@pytest.mark.parametrize(("form", "verdict"), [("right", REFUTED), ("magic_box", HOLDS)])
def test_only_magic_boxes_have_the_second_derivative_of_the_mean(toy, form, verdict):
    """Claim ``higher_order``: a score surrogate is right once, a magic box again and again."""
    found = check_surrogate(getattr(toy, form), wrt=toy.wrt, order=2, objective=toy.objective)
    assert found.verdict == verdict
    if verdict == REFUTED:
        assert found.worst.what == "mean of second derivative by theta and theta"


@pytest.mark.torch
def test_a_second_derivative_that_is_lost_is_seen(torch, toy):
    """A backward pass that holds what it uses: right once, and wrong the second time."""

    class Square(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.slope = 2.0 * x.detach()
            return x * x

        @staticmethod
        def backward(ctx, slope):
            return ctx.slope * slope

    def surrogate():
        return Square.apply(toy.theta).sum()

    wrt = {"theta": toy.theta}
    assert check_surrogate(surrogate, wrt=wrt).verdict == HOLDS
    found = check_surrogate(surrogate, wrt=wrt, order=2)
    assert found.verdict == REFUTED
    assert found.worst.what == "second derivative by theta and theta"
    assert found.worst.found == 0.0


# ------------------------------------------------------------------ other frameworks


def test_the_gradient_of_another_framework_can_be_given():
    """autograd's, with its stop declared; and the same with a stop that stops nothing."""
    theta = np.array([0.3, -0.2])

    def check(stop):
        own = SimpleNamespace(stop=stop)

        def surrogate(theta):
            return own.stop(anp.sin(theta[0])) * theta[1] + theta[0] ** 2

        return check_surrogate(surrogate, [theta], gradient=grad(surrogate), held=[(own, "stop")])

    right, wrong = check(getval), check(lambda x: x)
    assert right.verdict == HOLDS
    assert right.gradcheck.passed is None
    assert "gradcheck was not run" in right.explain()
    assert wrong.verdict == REFUTED
    assert wrong.worst.index == (0,)


def test_a_gradient_that_is_silently_zero_is_seen():
    """As Theano's is for a raw output of scan that is held (Theano issue 4620)."""
    terms = SimpleNamespace(cost=lambda theta: theta[0] * theta[1])

    def surrogate(theta):
        return terms.cost(theta) * theta[0]

    theta = np.array([2.0, 3.0])
    held = [(terms, "cost")]

    def check(gradient):
        return check_surrogate(
            surrogate, [theta], gradient=gradient, held=held, reaches=["gradient"]
        )

    assert check(lambda theta: np.array([6.0, 0.0])).verdict == HOLDS
    found = check(np.zeros_like)
    assert found.verdict == REFUTED
    assert "the gradient does not reach gradient" in found.explain()
    whole = check(lambda theta: np.array([12.0, 4.0]))
    assert whole.verdict == REFUTED
    assert whole.worst == dataclasses.replace(whole.worst, index=(0,), found=12.0)


@pytest.mark.theano
@pytest.mark.parametrize(("node", "verdict"), [("term", HOLDS), ("twin", REFUTED)])
def test_theano_holds_nodes_and_not_twins(node, verdict):
    """A node that the cost does not use is ignored in silence; a declared term shows it."""
    theano = load("theano").theano
    theta, constant = theano.tensor.dvector(), theano.tensor.dscalar()
    nodes = {name: theano.tensor.sin(theta[0]).copy() for name in ("term", "twin")}

    def value(term):
        return term * theta[1] + theta[0] ** 2

    compiled = theano.function([theta, constant], value(constant))
    terms = SimpleNamespace(cost=theano.function([theta], nodes["term"]))
    slope = theano.grad(value(nodes["term"]), theta, consider_constant=[nodes[node]])
    found = check_surrogate(
        lambda theta: compiled(theta, terms.cost(theta)),
        [np.array([0.3, 0.7])],
        gradient=theano.function([theta], slope),
        held=[(terms, "cost")],
    )
    assert found.verdict == verdict


# ------------------------------------------------------------------ what cannot be checked


@pytest.mark.torch
def test_the_record_is_frozen(toy):
    """Readers read it only."""
    found = check_surrogate(toy.right, wrt=toy.wrt)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.verdict = HOLDS


@pytest.mark.torch
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"order": 3}, ValueError, "order = 3, expected 1 or 2"),
        ({"order": 2, "gradient": abs}, ValueError, "order=2 differentiates by PyTorch"),
        ({"reaches": "theta"}, TypeError, r"expected names, such as \['theta'\]"),
        ({"reaches": ["psi"]}, ValueError, "reaches names psi; there are theta, phi"),
        ({"held": ["cost"]}, TypeError, "expected pairs of an object and a name"),
        (
            {"held": [(SimpleNamespace(cost=abs), "cost")]},
            UnsupportedStopGradient,
            "declared as a stop-gradient .*, and never",
        ),
        ({"paths": 2}, TooManyPaths, "more than 2 paths"),
        ({"wrt": 3.0}, TypeError, "wrt is 3.0"),
        ({"wrt": None}, NotDifferentiable, "nothing to differentiate by"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_options_are_errors(toy, options, error, message):
    """Each with what is expected instead."""
    with pytest.raises(error, match=message):
        check_surrogate(toy.right, **({"wrt": toy.wrt} | options))


@pytest.mark.torch
@pytest.mark.parametrize(
    ("returned", "shown"),
    [("vector", "tensor"), ("nan", r"tensor\(nan"), ("none", "None")],
)
def test_a_value_that_is_no_finite_number_is_an_error(toy, returned, shown):
    """There is nothing to difference."""
    values = {"vector": lambda: toy.theta, "nan": lambda: toy.theta.sum() * np.nan, "none": None}

    def surrogate():
        return values[returned] and values[returned]()

    message = f"the surrogate returned {shown}.*, expected one finite number"
    with pytest.raises(NotDifferentiable, match=message):
        check_surrogate(surrogate, wrt=toy.wrt)


@pytest.mark.torch
def test_a_surrogate_that_changes_its_parameters_is_an_error(torch, toy):
    """Its next run is another one."""

    def surrogate():
        with torch.no_grad():
            toy.theta.add_(1.0)
        return toy.theta.sum()

    with pytest.raises(InputChanged, match="the surrogate changes theta"):
        check_surrogate(surrogate, wrt=toy.wrt)


@pytest.mark.torch
def test_what_is_kept_from_run_to_run_is_an_error_unless_it_is_reset(torch, toy):
    """A running mean moves with every run."""
    seen = []

    def surrogate():
        seen.append(1.0)
        return len(seen) * toy.theta.sum()

    with pytest.raises(NotReproducible, match="the same draws and stop-gradients gave"):
        check_surrogate(surrogate, wrt=toy.wrt)
    assert check_surrogate(surrogate, wrt=toy.wrt, reset=seen.clear).verdict == HOLDS


@pytest.mark.torch
@pytest.mark.parametrize("held", [False, True], ids=["ours", "gradcheck"])
def test_parameters_are_put_back_after_an_error(torch, toy, held):
    """Even if the surrogate fails at moved parameters, in our runs or in those of gradcheck."""
    before = toy.theta.detach().clone()

    def surrogate():
        seen = toy.theta.detach() if held else toy.theta
        if not torch.equal(seen, before):
            raise ZeroDivisionError
        return toy.theta.sum()

    with pytest.raises(ZeroDivisionError):
        check_surrogate(surrogate, wrt=toy.wrt)
    assert torch.equal(before, toy.theta)


def _of_two_labels(torch, gap):
    """A surrogate whose cost is zero on one path, with one logit above the other."""
    logits = torch.tensor([0.0, gap], dtype=torch.double, requires_grad=True)

    def surrogate(logits):
        q = torch.distributions.Categorical(logits=logits)
        y = q.sample((2,))
        return y.sum() * q.log_prob(y).sum()

    return surrogate, logits


@pytest.mark.torch
@pytest.mark.parametrize("gap", [0.0, 2.0, 8.0])
def test_a_path_without_cost_leaves_nothing_to_be_seen(torch, gap):
    """Its value is zero whatever roundings do, and so is its derivative."""
    surrogate, logits = _of_two_labels(torch, gap)
    assert check_surrogate(surrogate, [logits]).verdict == HOLDS


@pytest.mark.torch
@pytest.mark.parametrize("gap", [16.0, 25.0, 30.0, 36.0, 40.0, 80.0, 700.0])
def test_a_value_that_rounding_swallows_refutes_nothing(torch, gap):
    """At a gap of 30 a value of 1e-13 comes out of numbers of 30: its steps are its rounding."""
    surrogate, logits = _of_two_labels(torch, gap)
    assert check_surrogate(surrogate, [logits]).verdict in (HOLDS, UNDECIDED)


@pytest.mark.torch
@pytest.mark.parametrize("slope", [1e-3, 1.0])
def test_a_derivative_of_what_stands_still_is_refuted(torch, slope):
    """A backward pass of one's own, of a value that is always zero."""

    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 0.0

        @staticmethod
        def backward(ctx, grad):
            return grad * slope

    x = torch.tensor([0.3, 0.7], dtype=torch.double, requires_grad=True)
    found = check_surrogate(lambda x: Wrong.apply(x).sum(), [x])
    assert found.verdict == REFUTED
    assert found.worst.found == slope


def test_a_value_that_is_zero_where_no_rounding_can_be_moved_tells_nothing():
    """As of compiled code: a gradient that is not zero is neither right nor wrong there."""
    x = np.array([0.3, 0.7])
    found = check_surrogate(lambda x: 0.0, [x], gradient=lambda x: np.array([1e-20, 0.0]))
    assert found.verdict == UNDECIDED
    assert "its value is zero nearby, and its roundings cannot be moved" in found.explain()
    none = check_surrogate(lambda x: 0.0, [x], gradient=lambda x: np.zeros(2))
    assert none.verdict == HOLDS
