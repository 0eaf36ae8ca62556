"""Gradients that are taken down before an optimizer steps."""

import threading

import pytest

from gradproof.estimators.enumeration.state import gradients_before_step

pytestmark = pytest.mark.torch


@pytest.fixture
def torch():
    """The framework, or a test less."""
    return pytest.importorskip("torch")


@pytest.fixture
def weight(torch):
    """A leaf."""
    return torch.ones(2, requires_grad=True)


@pytest.mark.parametrize("to_none", [True, False])
@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
def test_the_gradient_of_the_step(torch, weight, name, to_none):
    """It is what stood there before the step, whatever becomes of .grad after it, in every run."""
    optimizer = getattr(torch.optim, name)([weight], lr=0.1)
    with gradients_before_step({"weight": weight}) as steps:
        for factor in (1.0, 2.0):
            steps.start()
            (factor * weight.sum()).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=to_none)
            assert steps.read()["weight"].tolist() == [factor, factor]
            assert steps.steps == 1
    steps.start()
    weight.sum().backward()
    optimizer.step()
    assert steps.steps == 0, "the hook outlives what it is for"


def test_no_step(weight):
    """Without one it is what stands there at the end, or nothing."""
    with gradients_before_step({"weight": weight}) as steps:
        steps.start()
        assert steps.read() == {"weight": None}
        steps.start()
        weight.sum().backward()
        assert steps.read()["weight"] is weight.grad
        assert steps.steps == 0


def test_optimizer_of_something_else(torch, weight):
    """A baseline's own step, before the policy has a gradient, is not the estimator's."""
    base = torch.ones(1, requires_grad=True)
    own, other = torch.optim.SGD([weight], lr=0.1), torch.optim.SGD([base], lr=0.1)
    both = torch.optim.SGD([weight, base], lr=0.1)
    with gradients_before_step({"weight": weight}) as steps:
        steps.start()
        base.sum().backward()
        other.step()
        both.step()  # of the baseline alone: the weight has no gradient yet
        weight.sum().backward()
        own.step()
        own.zero_grad()
        assert steps.read()["weight"].tolist() == [1.0, 1.0]
        assert steps.steps == 1


def test_several_steps(torch, weight):
    """The first gradient is taken, and steps are counted."""
    optimizer = torch.optim.SGD([weight], lr=0.1)
    with gradients_before_step({"weight": weight}) as steps:
        steps.start()
        for factor in (1.0, 3.0):
            optimizer.zero_grad()
            (factor * weight.sum()).backward()
            optimizer.step()
        assert steps.read()["weight"].tolist() == [1.0, 1.0]
        assert steps.steps == 2


@pytest.mark.parametrize("closure", [True, False])
def test_hooks_of_the_optimizers_own(torch, weight, closure):
    """What they make of the gradient is what the step takes; ours is off again, and so is any."""
    optimizer = torch.optim.SGD([weight], lr=0.1)
    seen = []

    def halve(*_):
        seen.append(None)
        if weight.grad is not None:
            weight.grad *= 0.5

    optimizer.register_step_pre_hook(halve)
    before = dict(optimizer._optimizer_step_pre_hooks)
    with gradients_before_step({"weight": weight}) as steps:
        for _ in range(2):
            steps.start()
            for _ in range(2):
                optimizer.zero_grad()
                weight.sum().backward()
                if closure:
                    optimizer.step(lambda: weight.sum())
                else:
                    optimizer.step()
            assert steps.read()["weight"].tolist() == [0.5, 0.5]
            assert steps.steps == 2
            assert dict(optimizer._optimizer_step_pre_hooks) == before
        steps.start()
        optimizer.step()
    assert dict(optimizer._optimizer_step_pre_hooks) == before
    assert len(seen) == 5


@pytest.mark.parametrize("by_keyword", [True, False])
def test_closure(torch, weight, by_keyword):
    """A gradient that is computed within the step is taken after its first evaluation."""
    optimizer = torch.optim.LBFGS([weight], lr=0.1, max_iter=3)

    def closure():
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    with gradients_before_step({"weight": weight}) as steps:
        steps.start()
        optimizer.step(closure=closure) if by_keyword else optimizer.step(closure)
        assert steps.read()["weight"].tolist() == [2.0, 2.0]
        assert steps.steps == 1


def test_other_threads(torch, weight):
    """A step in another thread is no part of the run."""
    weight.sum().backward()
    optimizer = torch.optim.SGD([weight], lr=0.1)
    with gradients_before_step({"weight": weight}) as steps:
        steps.start()
        thread = threading.Thread(target=optimizer.step)
        thread.start()
        thread.join()
        assert steps.read()["weight"] is weight.grad
        assert steps.steps == 0


def test_nothing_to_watch():
    """Without leaves there is nothing to be taken down."""
    with gradients_before_step({}) as steps:
        steps.start()
        assert steps.read() == {}
        assert steps.steps == 0
