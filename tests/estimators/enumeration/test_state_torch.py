"""What an estimator in PyTorch keeps: named after each run, and put back."""

import time

import numpy as np
import pytest

from gradproof.estimators.enumeration.state import Snapshot

pytestmark = pytest.mark.torch


@pytest.fixture
def torch():
    """The framework, or a test less."""
    return pytest.importorskip("torch")


def equal(first, second):
    """Whether two results are the same."""
    return repr(first) == repr(second)


# ------------------------------------------------------------------ what estimators keep


def buffers(torch):
    """Running statistics."""
    norm, x = torch.nn.BatchNorm1d(2), torch.arange(6.0).reshape(3, 2)

    def estimate():
        norm(x)
        return norm.running_mean.tolist(), int(norm.num_batches_tracked)

    names = ("running_mean", "running_var", "num_batches_tracked")
    return estimate, tuple(f"norm.{name}" for name in names)


def training_mode(torch):
    """A module that is left in another mode."""
    net = torch.nn.Sequential(torch.nn.Dropout())

    def estimate():
        before = net.training
        net.train(not before) if before else net[0].train(False)
        net.calls = getattr(net, "calls", 0) + 1
        return before, net.calls

    return estimate, ("net.training", "net.0.training", "net.calls")


def momentum(torch):
    """An optimizer that had stepped before."""
    weight = torch.nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)

    def estimate():
        optimizer.zero_grad()
        weight.square().sum().backward()
        optimizer.step()
        return weight.tolist()

    estimate()
    kept = "optimizer.state[...]['momentum_buffer']"
    return estimate, ("closure variable weight", "weight.grad", kept)


def adam(torch, **how):
    """One that has not stepped yet, and a schedule that changes its rate."""
    net = torch.nn.Linear(2, 1)
    optimizer = torch.optim.Adam(net.parameters(), **how)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)

    def estimate():
        optimizer.zero_grad()
        net(torch.ones(2)).square().sum().backward()
        optimizer.step()
        schedule.step()
        return net.weight.tolist(), optimizer.param_groups[0]["lr"]

    names = [f"net.{leaf}{what}" for leaf in ("weight", "bias") for what in ("", ".grad")]
    own = ("_opt_called", "state", "param_groups[0]['lr']")
    steps = ("last_epoch", "_step_count", "_last_lr")
    names += [f"optimizer.{name}" for name in own] + [f"schedule.{name}" for name in steps]
    return estimate, tuple(names)


def adam_fused(torch):
    """One whose steps PyTorch does not count as changes."""
    return adam(torch, fused=True)


def gradients_elsewhere(torch):
    """Gradients of a baseline, one of which is there before."""
    base = torch.nn.Linear(2, 1)
    base.weight.grad = torch.full((1, 2), 7.0)
    kept = base.weight.grad

    def estimate():
        base(torch.ones(2)).sum().backward()
        return base.weight.grad.tolist(), base.bias.grad.tolist(), base.weight.grad is kept

    return estimate, ("closure variable kept", "base.bias.grad")


def past_the_count(torch):
    """What is written where PyTorch does not see it."""
    data, other = torch.zeros(3, requires_grad=True), torch.zeros(2, 2).T
    seen, half = torch.zeros(3), torch.zeros(3, dtype=torch.bfloat16)
    array, pairs = seen.numpy(), torch.zeros(2, dtype=torch.complex128)

    def estimate():
        data.data.add_(1.0)
        other.data[0] += 1.0
        array[1] += 1.0
        half.data += 1.0
        pairs.data += 1j
        return [each.tolist() for each in (data, other, seen, half, pairs)]

    names = ("data", "other", "seen", "half", "array", "pairs")
    return estimate, tuple(f"closure variable {name}" for name in names)


def other_memory(torch):
    """A tensor that is given other memory, another shape, another type of use."""
    data, grown, lost, used = (torch.zeros(2) for _ in range(4))

    def estimate():
        data.data = torch.arange(1.0 + data.numel())
        grown.resize_(grown.numel() + 100).fill_(1.0)
        lost.untyped_storage().resize_(0)
        lost.data = torch.zeros(lost.numel() + 1)
        used.requires_grad_(not used.requires_grad)
        result = data.tolist(), grown.shape, used.requires_grad
        used.requires_grad_(True)
        return result

    return estimate, tuple(f"closure variable {name}" for name in ("data", "grown", "lost", "used"))


def grows_a_graph(torch):
    """A total that is not detached: it becomes a result of what was added to it."""
    weight, total = torch.ones(2, requires_grad=True), torch.zeros(())

    def estimate():
        total.add_(weight.sum())
        return total.item(), total.is_leaf

    return estimate, ("closure variable total",)


def log_probabilities(torch):
    """Tensors that are collected in a module."""
    policy = torch.nn.Linear(2, 2)
    policy.saved, policy.rewards = [], []

    def estimate():
        policy.saved.append(policy(torch.ones(2)).log_softmax(0)[0])
        policy.rewards += [1.0]
        return len(policy.saved), len(policy.rewards)

    return estimate, ("policy.saved", "policy.rewards")


def replaced(torch):
    """A parameter, a buffer and a tensor that give way to others."""
    net, last = torch.nn.Linear(1, 1), torch.zeros(1)
    net.register_buffer("count", torch.zeros(1))

    def estimate():
        nonlocal last
        net.bias = torch.nn.Parameter(net.bias.detach() + 1.0)
        net.count = net.count + 1.0
        last = last + 1.0
        return net.bias.item(), net.count.item(), last.item()

    return estimate, ("net.bias", "net.count", "closure variable last")


def generators(torch):
    """A generator that is drawn from."""
    generator = torch.Generator().manual_seed(1)

    def estimate():
        return torch.rand(1, generator=generator).item()

    return estimate, ("closure variable generator",)


def attribute_of_tensor(torch):
    """What is noted at a parameter."""
    weight = torch.nn.Parameter(torch.zeros(1))

    def estimate():
        weight.steps = getattr(weight, "steps", 0) + 1
        return weight.steps

    return estimate, ("weight.steps",)


CASES = [
    buffers,
    training_mode,
    momentum,
    adam,
    adam_fused,
    gradients_elsewhere,
    past_the_count,
    other_memory,
    grows_a_graph,
    log_probabilities,
    replaced,
    generators,
    attribute_of_tensor,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_what_changes_is_named_and_put_back(torch, case):
    """Every run begins in the state of the first, and without that the second would not.

    What changed is named before it is put back, and nothing else is.
    """
    estimate, names = case(torch)
    state = Snapshot(estimate)
    assert state.unseen == state.incomplete == ()
    assert state.changes() == ()
    first = estimate()
    unrestored = estimate()
    assert not equal(unrestored, first), "the case keeps nothing"
    assert set(state.changes()) == set(names)
    assert set(state.restore_state(thorough=case is generators)) == set(names)
    for _ in range(3):
        assert state.changes() == ()
        assert equal(estimate(), first)
        assert state.restore_state() == ()  # they were named before
    assert set(state.changed) == set(names)
    assert state.unrestorable == ()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_what_is_left_is_what_was(torch, case):
    """One call at the end is enough to put everything back, whatever was done until then."""
    estimate, names = case(torch)
    state = Snapshot(estimate)
    first = estimate()
    for _ in range(4):
        estimate()
    state.restore()
    assert state.changes() == ()
    assert set(state.changed) == set(names)
    assert equal(estimate(), first)


def test_gradients_that_are_the_estimate(torch):
    """Those of the leaves are no change, and are put back; those of others are."""
    net, base = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    net.weight.grad = kept = torch.ones(1, 2)

    def estimate():
        net.weight.grad = None
        (net(torch.ones(2)) * base(torch.ones(2))).sum().backward()

    state = Snapshot(estimate, leaves=dict(net.named_parameters()))
    for names in [("base.weight.grad", "base.bias.grad"), ()]:
        estimate()
        assert state.restore_state() == names
        assert net.weight.grad is kept
        assert net.bias.grad is base.bias.grad is None
    assert state.unrestorable == ()


def test_leaves_are_put_back_by_their_names(torch):
    """A leaf that nothing else reaches is looked at, and called as it was given."""
    leaf = torch.zeros(2, requires_grad=True)
    state = Snapshot(lambda: 1, leaves={"logits": leaf})
    leaf.data += 1.0
    assert state.restore_state() == ("logits",)
    assert leaf.tolist() == [0.0, 0.0]


def test_graphs_survive(torch):
    """Putting back does not disturb a graph that was there before: backward() works still."""
    weight = torch.ones(2, requires_grad=True)
    square = weight.square().sum()
    state = Snapshot(lambda: weight)
    weight.data += 1.0
    state.restore_state()
    square.backward()
    assert weight.grad.tolist() == [2.0, 2.0]


def test_written_and_put_back(torch):
    """What is moved and moved back, as differences do, is not said to have changed."""
    weight = torch.zeros(3)
    state = Snapshot(lambda: weight)
    for _ in range(3):
        weight += 1.0
        weight -= 1.0
        assert state.restore_state() == ()
    weight += 1.0
    assert state.restore_state() == ("closure variable weight",)
    assert not weight.any()


def test_classes_of_tensors(torch):
    """A class of tensors that is one's own is not asked, and its numbers are put back."""

    class Loud(torch.Tensor):
        @classmethod
        def __torch_function__(cls, *_):
            raise AssertionError("nobody is to be asked")

    loud = torch.zeros(2).as_subclass(Loud)
    with torch._C.DisableTorchFunction():
        view = loud.numpy()
    state = Snapshot(lambda: loud)
    assert state.unseen == ()
    view += 1.0
    assert state.restore_state() == ("closure variable loud",)
    assert view.tolist() == [0.0, 0.0]


def test_odd_tensors(torch):
    """Those whose numbers do not lie in memory are said to be unseen; the rest are looked at."""
    sparse, meta = torch.eye(2).to_sparse(), torch.zeros(2, device="meta")
    empty, base = torch.zeros(0, 3), torch.zeros(1)
    broad = base.expand(5)
    turned = torch.zeros(2, dtype=torch.complex64).conj()
    with torch.inference_mode():
        inferred = torch.zeros(2)

    def estimate():
        return sparse, meta, empty, broad, turned, inferred

    state = Snapshot(estimate)
    assert set(state.unseen) == {"closure variable sparse", "closure variable meta"}
    assert state.restore_state(thorough=True) == ()
    base += 1.0
    turned.data.add_(1.0)
    with torch.inference_mode():
        inferred += 1.0
    assert set(state.restore_state(thorough=True)) == {
        f"closure variable {name}" for name in ("broad", "turned", "inferred")
    }
    assert [bool(each.any()) for each in (broad, turned, inferred)] == [False] * 3
    assert state.unrestorable == ()


def test_large_tensor(torch):
    """Of a million numbers, what PyTorch counts or most of them tell at once, else thoroughly."""
    for write, quickly in [
        (lambda tensor: tensor[7, 7].add_(1.0), True),
        (lambda tensor: tensor.data.add_(1.0), True),
        (lambda tensor: tensor.data[7, 7].add_(1.0), False),
    ]:
        large = torch.zeros(1000, 1000)
        state = Snapshot(lambda large=large: large)
        write(large)
        assert state.restore_state() == (("default argument large",) if quickly else ())
        assert bool(large.any()) is not quickly
        assert state.restore_state(thorough=True) == (
            () if quickly else ("default argument large",)
        )
        assert not large.any()


def test_memory_stays_as_it_was(torch):
    """A tensor that was looked at can still be resized, and its count of changes is its own."""
    weight = torch.zeros(2)
    before = weight._version
    Snapshot(lambda: weight).restore_state(thorough=True)
    assert weight._version == before
    weight.resize_(10**6)


def test_settling_costs_little(torch):
    """The time does not grow with the number of entries.

    A hundred times the entries may take twice as long at the very most: in truth it is as long, and
    a comparison of all would take a hundred times as long.
    """

    def seconds(size):
        net = torch.nn.Sequential(*[torch.nn.Linear(size, size) for _ in range(4)])
        state = Snapshot(lambda: net)
        times = []
        for _ in range(200):
            start = time.perf_counter()
            state.restore_state()
            times.append(time.perf_counter() - start)
        return min(times)

    assert seconds(500) < 2 * seconds(50)


def test_reinforce(torch):
    """The usual class of a policy: its gradient is the same for the same outcome, ever again."""
    rng = np.random.default_rng()
    policy, moving = torch.nn.Linear(3, 2), [0.0]
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.1)

    def episode(action):
        cost = float(action + 1)
        log_probability = policy(torch.ones(3)).log_softmax(0)[action]
        optimizer.zero_grad()
        ((cost - moving[0]) * log_probability).backward()
        optimizer.step()
        moving[0] = 0.9 * moving[0] + 0.1 * cost
        return policy.weight.grad.clone()

    state = Snapshot(episode, leaves=dict(policy.named_parameters()))
    first = {}
    for action in rng.integers(0, 2, 20):
        found = episode(int(action))
        state.restore_state()
        torch.testing.assert_close(found, first.setdefault(action, found), rtol=0.0, atol=0.0)
    assert {"moving[0]", "policy.weight", "policy.bias", "optimizer.state"} == set(state.changed)
