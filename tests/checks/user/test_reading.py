"""How what an estimator returns, or leaves, is read: never guessed, and said where it helps."""

import numpy as np
import pytest

from gradproof import check_estimator
from gradproof.checks.evidence import HOLDS, REFUTED, NothingCompared
from gradproof.estimators.enumeration.gradients import NotAGradient

from .policy import COST, THETA, exact, softmax


def estimator(factor=1.0, shift=0.0):
    """A score-function estimator, and what is made of it."""
    rng = np.random.default_rng()

    def estimate(theta):
        p = softmax(theta)
        y = rng.choice(3, p=p)
        return factor * COST[y] * (np.eye(3)[y] - p) + shift

    return estimate


@pytest.mark.parametrize("factor", [0.5, 2.0, -1.0])
def test_a_factor_is_told(factor):
    """The mean of all parameters is so many times the gradient."""
    estimate = estimator(factor)
    known = {"a": exact(THETA), "b": 3.0 * exact(THETA)}
    found = check_estimator(
        lambda x: {"a": (g := estimate(x)), "b": 3.0 * g}, (THETA,), exact=known
    )
    assert found.verdict == REFUTED
    times = "minus" if factor == -1.0 else f"{factor:.4f} times"
    assert f"The mean is {times} the gradient in every entry." in found.explain()


@pytest.mark.parametrize(
    ("estimate", "known"),
    [
        (estimator(1.0, 0.1), exact(THETA)),
        (estimator(np.array([2.0, 2.0, 1.0])), exact(THETA)),
        (estimator(), exact(THETA)),
        (lambda x: np.array([2.0]), np.array([1.0])),  # of one entry it says nothing
        (lambda x: np.full(2, np.inf), np.ones(2)),
    ],
    ids=["shifted", "two of three", "right", "one entry", "infinite"],
)
def test_no_factor_is_told_where_there_is_none(estimate, known):
    """It would be said of something else."""
    assert "times the gradient" not in check_estimator(estimate, (THETA,), exact=known).explain()


def test_factors_that_are_special():
    """Nothing at all is said as such; what is hardly off has its digits."""
    gone = check_estimator(lambda x: np.zeros(3), (THETA,), exact=exact)
    assert "The mean is zero in every entry." in gone.explain()
    close = check_estimator(estimator(1.00002), (THETA,), exact=exact)
    assert "The mean is 1.00002 times the gradient" in close.explain()


def test_a_parameter_without_entries_decides_nothing():
    """The others do; without others there is nothing to compare, and that is said."""
    estimate = estimator()
    known = {"empty": np.zeros((0, 3)), "w": exact(THETA)}
    for factor, verdict in ((1.0, HOLDS), (2.0, REFUTED)):
        found = check_estimator(
            lambda x, factor=factor: {"w": factor * estimate(x), "empty": np.zeros((0, 3))},
            (THETA,),
            exact=known,
        )
        assert found.verdict == verdict
        assert found.worst.parameter == "w"
    zero = check_estimator(
        lambda: {"empty": np.zeros(0), "w": np.zeros(2)},
        exact={"empty": np.zeros(0), "w": np.zeros(2)},
    )
    assert zero.verdict == "undecided"  # nor is there anything to be seen
    with pytest.raises(NothingCompared, match=r"no exact gradient has an entry \(empty has shape"):
        check_estimator(dict, exact={"empty": np.zeros((0, 3))})


def test_gradients_in_a_list_are_taken_in_order():
    """If there are as many as parameters, of their shapes; else the names are asked for."""
    estimate = estimator()
    known = {"w": np.stack([exact(THETA)] * 2), "b": exact(THETA)}

    def pair(x):
        g = estimate(x)
        return [np.stack([g, g]), g]

    assert check_estimator(pair, (THETA,), exact=known).unbiased
    with pytest.raises(ValueError, match=r"0, 1, which .* return dict\(zip\(names, grads\)\)"):
        check_estimator(lambda x: pair(x)[::-1], (THETA,), exact=known)
    with pytest.raises(ValueError, match=r"return dict\(zip\(names, grads\)\)"):
        check_estimator(lambda x: (*pair(x), estimate(x)), (THETA,), exact=known)
    # A mapping says what is what.
    with pytest.raises(ValueError, match="the exact gradient lacks"):
        check_estimator(lambda x: dict(enumerate(pair(x))), (THETA,), exact=known)


def test_two_of_one_name_are_an_error():
    """In what is returned, and in what it is compared with."""
    both = {"enc": {"w": exact(THETA)}, "enc.w": 2.0 * exact(THETA)}
    estimate = estimator()
    with pytest.raises(ValueError, match=r"two gradients are called 'enc\.w'"):
        check_estimator(estimate, (THETA,), exact=both)
    with pytest.raises(ValueError, match=r"\[1\] and \['1'\]; rename one"):
        check_estimator(
            lambda x: {1: estimate(x), "1": estimate(x)}, (THETA,), exact={"1": exact(THETA)}
        )


@pytest.mark.torch
class TestTorch:
    """What is read of PyTorch's tensors."""

    @pytest.fixture(name="torch", autouse=True)
    def _torch(self):
        self.torch = pytest.importorskip("torch")
        self.cost = self.torch.tensor(COST)
        return self.torch

    def theta(self):
        """A leaf."""
        return self.torch.tensor(THETA, requires_grad=True)

    def surrogate(self, theta, count=None):
        """One number, or one for each sample."""
        law = self.torch.distributions.Categorical(logits=theta)
        y = law.sample(() if count is None else (count,))
        return self.cost[y] * law.log_prob(y)

    def coin(self, theta):
        """A surrogate of one parameter of one number."""
        p = self.torch.sigmoid(theta)
        z = self.torch.bernoulli(p.detach())
        return (3.0 * z * (z * p.log() + (1 - z) * (1 - p).log())).sum()

    def model(self):
        """A module of two parameters, and what it is given."""
        torch = self.torch
        model = torch.nn.Linear(2, 3).double()
        x = torch.tensor([0.2, -0.5], dtype=torch.double)

        def objective():
            return self.cost[torch.distributions.Categorical(logits=model(x)).sample()]

        return model, x, objective

    @pytest.mark.parametrize("shape", [(), (1,)])
    def test_one_number_beside_a_gradient_of_one_number(self, shape):
        """It is the loss, or a gradient: that is asked, unless it is the same."""
        theta = self.torch.full(shape, 0.4, dtype=self.torch.double, requires_grad=True)
        p = self.torch.sigmoid(theta.detach())
        known = 3.0 * p * (1.0 - p)

        def left(make, returns=None):
            def estimate(theta):
                loss = self.coin(theta)
                loss.backward()
                return make(loss, theta)

            return check_estimator(estimate, [theta], exact=known, returns=returns).verdict

        for make in (
            lambda loss, theta: theta.grad * 1.5,
            lambda loss, theta: theta.grad.item() + 1.0,
            lambda loss, theta: loss.item(),
        ):
            with pytest.raises(NotAGradient, match=r"pass returns='grad' .* or returns='gradient'"):
                left(make)
            assert left(make, "grad") == HOLDS
        assert left(lambda loss, theta: theta.grad * 1.5, "gradient") == REFUTED
        assert left(lambda loss, theta: theta.grad) == HOLDS
        assert left(lambda loss, theta: loss) == HOLDS

    def test_the_loss_as_a_number_beside_other_gradients(self):
        """It can be none of these."""

        def estimate(theta):
            loss = self.surrogate(theta)
            loss.backward()
            return loss.item()

        assert check_estimator(estimate, [self.theta()], exact=exact(THETA)).verdict == HOLDS

    def test_two_leaves_of_one_name(self):
        """The later would stand for both."""
        leaves = {"enc": {"w": self.theta()}, "enc.w": self.theta()}

        def surrogate(d):
            return self.surrogate(d["enc"]["w"].detach() + d["enc.w"])

        with pytest.raises(
            ValueError, match=r"two parameters are called 'enc\.w': .*\['enc'\]\['w'\] and"
        ):
            check_estimator(surrogate, [leaves], exact=exact(2.0 * THETA))
        with pytest.raises(ValueError, match=r"two parameters are called '1'"):
            check_estimator(
                lambda: self.surrogate(leaves["enc.w"]),
                wrt={1: self.theta(), "1": leaves["enc.w"]},
                exact=exact(THETA),
            )

    def test_a_leaf_that_is_frozen_in_the_run(self):
        """It is said, in our words; and the leaf is as it was afterwards."""
        model, x, objective = self.model()

        def estimate():
            model.weight.requires_grad_(False)
            return self.surrogate(model(x))

        with pytest.raises(NotAGradient, match=r"weight required a gradient .*requires_grad_"):
            check_estimator(estimate, wrt=model, objective=objective)

    def test_a_surrogate_for_each_sample(self):
        """It is refused if it is called one; else what is read is said."""
        theta, known = self.theta(), exact(THETA)
        for count in (2, 3):
            with pytest.raises(NotAGradient, match=r"shape \(\d,\), .*one number: return its mean"):
                check_estimator(
                    lambda x, count=count: self.surrogate(x, count),
                    [theta],
                    exact=known,
                    returns="surrogate",
                )
        found = check_estimator(lambda x: self.surrogate(x, 3), [theta], exact=known)
        assert found.verdict == REFUTED
        assert "a surrogate for each sample, return its mean or sum" in found.explain()
        with pytest.raises(ValueError, match=r"shape \(2,\), .*a surrogate for each sample"):
            check_estimator(lambda x: self.surrogate(x, 2), [theta], exact=known)
        mean = check_estimator(
            lambda x: self.surrogate(x, 3).mean(), [theta], exact=known, returns="surrogate"
        )
        assert mean.verdict == HOLDS

    @pytest.mark.parametrize(
        ("make", "why"),
        [
            (lambda loss: loss.detach(), "has no graph"),
            (lambda loss: loss.item(), "has no graph"),
            (lambda loss: None, "returns None, and a surrogate is a tensor"),
        ],
        ids=["detached", "number", "nothing"],
    )
    def test_what_is_no_surrogate_though_it_is_said_to_be(self, make, why):
        """It is never read as something else."""
        with pytest.raises(NotAGradient, match=why):
            check_estimator(
                lambda x: make(self.surrogate(x)),
                [self.theta()],
                exact=exact(THETA),
                returns="surrogate",
            )

    def test_a_gradient_that_has_a_graph_is_one(self):
        """Nothing is said of it where it is right."""

        def estimate(theta):
            loss = self.surrogate(theta)
            return self.torch.autograd.grad(loss, theta, create_graph=True)[0]

        found = check_estimator(estimate, [self.theta()], exact=exact(THETA))
        assert found.verdict == HOLDS
        assert "has a graph" not in found.explain()

    def test_gradients_in_the_order_of_the_parameters(self):
        """As ``torch.autograd.grad`` returns them, whatever order the exact ones are in."""
        model, x, objective = self.model()

        def estimate():
            return self.torch.autograd.grad(self.surrogate(model(x)), list(model.parameters()))

        found = check_estimator(estimate, wrt=model, objective=objective)
        assert found.verdict == HOLDS
        turned = {key: found.exact[key] for key in ("bias", "weight")}
        assert check_estimator(estimate, wrt=model, exact=turned).verdict == HOLDS
        with pytest.raises(ValueError, match=r"return dict\(zip\(names, grads\)\)"):
            check_estimator(lambda: estimate()[:1], wrt=model, objective=objective)

    def test_a_hook_of_the_optimizers_own_changes_what_is_read(self):
        """What it clips is biased, as it is where the estimator clips by itself."""
        model, x, objective = self.model()
        optimizer = self.torch.optim.SGD(model.parameters(), lr=0.1)

        def estimate():
            optimizer.zero_grad()
            self.surrogate(model(x)).backward()
            optimizer.step()

        assert check_estimator(estimate, wrt=model, objective=objective).verdict == HOLDS
        clip = self.torch.nn.utils.clip_grad_norm_
        optimizer.register_step_pre_hook(lambda *_: (clip(model.parameters(), 0.5), None)[1])
        found = check_estimator(estimate, wrt=model, objective=objective)
        assert found.verdict == REFUTED
        assert found.changed == check_estimator(estimate, wrt=model, objective=objective).changed
        assert len(optimizer._optimizer_step_pre_hooks) == 1

    def test_an_empty_parameter_beside_others(self):
        """It has no gradient to be right or wrong."""
        theta, empty = self.theta(), self.torch.zeros(0, 3, requires_grad=True)

        def objective(theta, empty):
            law = self.torch.distributions.Categorical(logits=theta + empty.sum())
            return self.cost[law.sample()]

        def estimate(theta, empty):
            return self.surrogate(theta + empty.sum())

        assert check_estimator(estimate, [theta, empty], objective=objective).verdict == HOLDS

    @pytest.mark.parametrize(("stood", "told"), [(None, False), (0.0, False), (1.0, True)])
    def test_gradients_that_stood_there_before(self, stood, told):
        """They are cleared before each run, and that is said."""

        def estimate(theta):
            self.surrogate(theta).backward()

        theta = self.theta()
        if stood is not None:
            theta.grad = self.torch.full_like(theta, stood)
        found = check_estimator(estimate, [theta], exact=exact(THETA))
        assert found.verdict == HOLDS
        assert (".grad was cleared before each run; " in found.explain()) == told
        theta.grad = self.torch.ones_like(theta)
        returned = check_estimator(self.surrogate, [theta], exact=exact(THETA))
        assert ".grad was cleared" not in returned.explain()


@pytest.mark.torch
def test_an_array_beside_other_gradients_is_asked_about():
    """Rewards of a shape that happens to be the parameter's; what is said is read."""
    torch = pytest.importorskip("torch")
    logits = torch.zeros(4, dtype=torch.double, requires_grad=True)
    costs = torch.tensor([1.0, 3.0, 2.0, 5.0], dtype=torch.double)

    def step(logits):
        q = torch.distributions.Categorical(logits=logits)
        y = q.sample((1,))
        (costs[y] * q.log_prob(y)).sum().backward()
        return costs.clone()

    def gradients(logits):
        step(logits)
        return logits.grad.clone()

    exact = 0.25 * (costs - costs.mean())
    with pytest.raises(NotAGradient, match="returns='grad' if the gradients are those"):
        check_estimator(step, [logits], exact=exact)
    assert check_estimator(step, [logits], exact=exact, returns="grad").unbiased
    assert check_estimator(gradients, [logits], exact=exact).unbiased
