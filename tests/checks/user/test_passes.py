"""Forward and backward passes of one estimate: what is counted, and what cannot be."""

import types

import numpy as np
import pytest

from gradproof import CountedFunction, NotCountable, NothingCompared, compare_estimators
from gradproof.checks.user.passes import Passes, expected_passes

rng = np.random.default_rng()
Q = np.array([0.5, 0.25, 0.25])


@CountedFunction
def cost(k):
    """Of an outcome."""
    return (1.0, 3.0, 2.0)[k]


def score(k):
    """By logits."""
    return np.eye(3)[k] - Q


def one(theta):
    """One evaluation."""
    k = rng.choice(3, p=Q)
    return cost(k) * score(k)


def loo(theta):
    """Two, and a third and a fourth one where both draws are the same."""
    k, other = rng.choice(3, p=Q), rng.choice(3, p=Q)
    more = cost(k) - cost(other) if k == other else 0.0
    return (cost(k) - cost(other) + more) * (score(k) - score(other)) / 2


EXACT = Q * (np.array([1.0, 3.0, 2.0]) - Q @ [1.0, 3.0, 2.0])
THETA = np.log(Q)


def test_a_number_that_varies_is_its_mean_over_all_paths():
    """Weighted by their probabilities: 2 + 2 P(both are the same)."""
    assert expected_passes(one, [THETA], {}) == Passes(1.0, 0.0)
    passes = expected_passes(loo, [THETA], {})
    assert passes.forward == pytest.approx(2.0 + 2.0 * float(Q @ Q), rel=1e-14, abs=0.0)  # rounding
    assert passes.backward == 0.0


def test_the_table_has_passes_for_costs():
    """In its header too, and in what is written to JSON; rows are sorted by them."""
    found = compare_estimators({"loo": loo, "one": one}, [THETA], exact=EXACT, costs="passes")
    table = found.table()
    assert table.columns[6:9] == ("forward", "backward", "variance x passes")
    assert found["one"].cost == found["one"].passes.total == 1.0
    row = found["loo"]
    assert row.variance_at_cost == row.variance * row.passes.total
    record = {each["name"]: each for each in found.as_dict()["estimators"]}
    assert (record["one"]["forward"], record["one"]["backward"]) == (1.0, 0.0)
    assert found.as_dict()["unit"] == "passes"
    assert "A forward pass is an evaluation of what CountedFunction marks" in found.explain()
    assert {len(cells) for cells in table.rows} == {len(table.columns)}


def test_numbers_of_ones_own_have_no_passes():
    """The header is that of costs then."""
    found = compare_estimators({"one": one}, [THETA], exact=EXACT, costs={"one": 3})
    assert found.table().columns[6:8] == ("cost", "variance x cost")
    assert found["one"].passes is None
    assert found.as_dict()["estimators"][0]["forward"] is None


def test_a_call_may_be_several_evaluations():
    """Of a batch of samples, or a fixed number."""
    costs = CountedFunction(lambda k: np.array([1.0, 3.0, 2.0])[k], evaluations=len)
    twice = CountedFunction(lambda k: (1.0, 3.0, 2.0)[k], evaluations=2)

    def batch(theta):
        k = rng.choice(3, size=2, p=Q)
        return sum(c * score(each) for c, each in zip(costs(k), k, strict=True)) / 2

    def slow(theta):
        k = rng.choice(3, p=Q)
        return twice(k) * score(k)

    assert expected_passes(batch, [THETA], {}) == Passes(2.0, 0.0)
    assert expected_passes(slow, [THETA], {}) == Passes(2.0, 0.0)


def test_nothing_is_counted_and_nothing_changes_elsewhere():
    """A marked function is the function: its name, its value; a check sees no state in it."""
    assert cost(1) == 3.0
    assert cost.__name__ == "cost"
    found = compare_estimators({"one": one}, [THETA], exact=EXACT, costs="passes")
    assert found["one"].report.changed == ()


def test_an_estimator_that_marks_nothing_has_a_row_that_says_so():
    """It has no cost of 1 that nobody counted."""

    def bare(theta):
        k = rng.choice(3, p=Q)
        return (1.0, 3.0, 2.0)[k] * score(k)

    found = compare_estimators({"one": one, "bare": bare}, [THETA], exact=EXACT, costs="passes")
    assert found["bare"].verdict == "not checked"
    assert "no evaluation was counted: mark the objective" in found["bare"].why
    with pytest.raises(NothingCompared, match="no evaluation was counted"):
        compare_estimators({"bare": bare}, [THETA], exact=EXACT, costs="passes")


def test_what_cannot_be_counted_says_so():
    """Several results, and what is JAX's; and other words for costs."""
    pair = CountedFunction(lambda k: (1.0, 2.0))

    def two_results(theta):
        return pair(rng.choice(3, p=Q))[0] * np.ones(3)

    with pytest.raises(NotCountable, match="returns a tuple, expected one array"):
        expected_passes(two_results, [THETA], {})
    kind = types.new_class(
        "Array", (float,), exec_body=lambda body: body.update(__module__="jaxlib")
    )
    compiled = CountedFunction(lambda k: kind(1.0))

    def of_jax(theta):
        return compiled(rng.choice(3, p=Q)) * np.ones(3)

    with pytest.raises(NotCountable, match="is evaluated by JAX"):
        expected_passes(of_jax, [THETA], {})
    with pytest.raises(ValueError, match="costs = 'calls', expected \"passes\""):
        compare_estimators({"one": one}, [THETA], exact=EXACT, costs="calls")
    with pytest.raises(TypeError, match="expected a function to be counted"):
        CountedFunction(3)


def test_what_has_to_be_sampled_is_not_counted():
    """Its row says so, and what to pass."""

    def sampled(theta):
        k, z = rng.choice(3, p=Q), float(rng.normal())
        return (cost(k) + z) * score(k)

    options = {"draws": 400, "rarest": 0.2, "seed": 1}
    with pytest.raises(NotCountable, match=r"these cannot be run .*; pass costs="):
        expected_passes(sampled, [THETA], options)


def test_an_integrated_number_of_passes_may_not_vary():
    """One that does not is counted at few nodes; one that does is no smooth function of them."""

    def integrated(theta, varies):
        k, z = rng.choice(3, p=Q), float(rng.normal())
        more = cost(k) if varies and k else 0.0
        return (cost(k) + z + 0.0 * more) * score(k)

    options = {"integrate": 1e-3}
    fixed = expected_passes(lambda x: integrated(x, False), [THETA], options)
    assert fixed.total == pytest.approx(1.0, rel=1e-13, abs=0.0)  # rounding of a rule's weights
    with pytest.raises(NotCountable, match="not the same on all paths, and these were integrated"):
        expected_passes(lambda x: integrated(x, True), [THETA], options)


def torch_problem():
    """PyTorch, a marked cost, and a logit."""
    torch = pytest.importorskip("torch")

    @CountedFunction
    def f(b):
        return (b - 0.45) ** 2

    return torch, f, torch.tensor([0.3], dtype=torch.float64, requires_grad=True)


@pytest.mark.torch
def test_gradients_that_come_back_are_backward_passes():
    """Not those of log q; once for each result, however often it is used; also by backward()."""
    torch, f, logit = torch_problem()
    bernoulli = torch.distributions.Bernoulli

    def reinforce(x):
        q = bernoulli(logits=x)
        b = q.sample()
        return (f(b).detach() * q.log_prob(b)).sum()

    def straight_through(x):
        p = torch.sigmoid(x)
        return f(torch.bernoulli(p.detach()) + p - p.detach()).sum()

    def used_twice(x):
        q = bernoulli(logits=x)
        value = f(q.probs)
        return (value * q.sample() + value).sum()

    def by_backward(x):
        q = bernoulli(logits=x)
        b = q.sample()
        (f(b).detach() * q.log_prob(b) + f(q.probs)).sum().backward()

    counts = {
        reinforce: (1.0, 0.0), straight_through: (1.0, 1.0), used_twice: (1.0, 1.0),
        by_backward: (2.0, 1.0),
    }  # fmt: skip
    state = torch.random.get_rng_state()
    for estimate, (forward, backward) in counts.items():
        found = expected_passes(estimate, [logit], {})
        close = {"rel": 1e-14, "abs": 0.0}  # rounding of probabilities
        assert found.forward == pytest.approx(forward, **close), estimate.__name__
        assert found.backward == pytest.approx(backward, **close), estimate.__name__
    assert logit.grad is None
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.torch
def test_a_checkpoint_evaluates_twice():
    """PyTorch leaves the second evaluation before it returns."""
    torch = pytest.importorskip("torch")
    from torch.utils.checkpoint import checkpoint

    square = CountedFunction(lambda x: (x.sin() - 0.45) ** 2)
    theta = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)

    def estimate(theta):
        return checkpoint(square, theta.sigmoid(), use_reentrant=False).sum()

    assert expected_passes(estimate, [theta], {}) == Passes(2.0, 1.0)


@pytest.mark.torch
def test_a_result_that_is_an_argument_is_watched_as_a_result():
    """Gradients of the argument's other uses do not come back to it, and no hook stays."""
    torch = pytest.importorskip("torch")
    same = CountedFunction(lambda x: x)
    theta = torch.tensor([0.3], dtype=torch.float64, requires_grad=True)

    def held(theta):
        return (same(theta).detach() * theta).sum()

    def live(theta):
        value = same(theta)
        value = value * 2.0
        return value.sum()

    assert expected_passes(held, [theta], {}) == Passes(1.0, 0.0)
    assert expected_passes(live, [theta], {}) == Passes(1.0, 1.0)
    assert not theta._backward_hooks


@pytest.mark.torch
def test_what_is_hidden_by_transforms_is_refused():
    """A gradient within torch.func is not seen to come back."""
    torch, f, logit = torch_problem()

    def hidden(x):
        b = torch.bernoulli(torch.sigmoid(x.detach()))
        return {"input 0": torch.func.grad(lambda z: (f(z) * b).sum())(x.detach())}

    with pytest.raises(NotCountable, match=r"is evaluated within torch\.func"):
        expected_passes(hidden, [logit], {})


@pytest.mark.libraries
def test_evaluations_in_jax_are_refused():
    """Also under jit, which would call the function once for all runs."""
    jax = pytest.importorskip("jax")
    rewards = jax.numpy.array([1.0, 3.0, 2.0])
    reward = CountedFunction(lambda k: rewards[k])

    def reinforce(key, logits):
        k = jax.random.categorical(key, logits)
        return reward(k) * (jax.nn.one_hot(k, 3) - jax.nn.softmax(logits))

    logits = jax.numpy.log(jax.numpy.array(Q))
    for estimate in (reinforce, jax.jit(reinforce)):
        with pytest.raises(NotCountable, match="is evaluated by JAX, which compiles"):
            expected_passes(estimate, [jax.random.key(0), logits], {})
