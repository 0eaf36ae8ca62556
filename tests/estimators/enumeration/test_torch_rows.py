"""PyTorch code that is run for many paths at a time comes to what it comes to path by path."""

import contextlib
import functools
import re
import warnings
from typing import NamedTuple

import numpy as np
import pytest

from gradproof import check_estimator
from gradproof.checks.user import way_of_running
from gradproof.estimators.enumeration import block, block_moments, path_blocks
from gradproof.estimators.enumeration.block import NotBatchable

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

#: Blocks where they can be, and paths one by one; and what the gradient of four logits is not.
WAYS, EXACT = ("auto", False), np.zeros(4)

COSTS = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)

#: Of three labels together, each combination another.
JOINT = (COSTS[:, None, None] * COSTS[:, None] + COSTS).exp()


@pytest.fixture(autouse=True)
def few_paths_too(monkeypatch):
    """Small problems are run in blocks, so that the tests can be quick."""
    monkeypatch.setattr(block_moments, "FEWEST_PATHS", 1)


@pytest.fixture
def any_way(monkeypatch):
    """Rows may go as many ways as they like, though it is no faster."""
    monkeypatch.setattr(block, "FEWEST", 0)
    monkeypatch.setattr(path_blocks, "FEWEST_RUNS", 1000)


def logits(count=4, rows=None):
    """Some parameters."""
    shape = (count,) if rows is None else (rows, count)
    return (
        torch.linspace(-1.0, 1.0, int(np.prod(shape)), dtype=torch.float64)
        .reshape(shape)
        .requires_grad_()
    )


def categorical(given):
    """The policy."""
    return torch.distributions.Categorical(logits=given)


def surrogate(given):
    """The usual one, indexed by what was drawn."""
    q = categorical(given)
    y = q.sample()
    return COSTS[y] * q.log_prob(y)


def leave_one_out(given):
    """Three samples, each with the others as its baseline."""
    q = categorical(given)
    y = q.sample((3,))
    cost = COSTS[y]
    baseline = (cost.sum() - cost) / 2
    return ((cost - baseline).detach() * q.log_prob(y)).mean()


def returned(given):
    """A gradient that is returned."""
    value = surrogate(given)
    return torch.autograd.grad(value, given)[0]


def left(given):
    """A gradient that is left in .grad, by two calls of backward, and clipped."""
    surrogate(given).backward()
    (0.5 * surrogate(given)).backward()
    torch.nn.utils.clip_grad_norm_([given], 1.0)


def by_hand(given):
    """The score written out."""
    with torch.no_grad():
        q = given.softmax(0)
        y = torch.multinomial(q, 1)[0]
        return COSTS[y] * (torch.nn.functional.one_hot(y, 4) - q)


def without_replacement(given):
    """Three of four, in order."""
    q = given.softmax(0)
    y = torch.multinomial(q.detach(), 3)
    left_over = 1.0 - q[y[0]]
    return COSTS[y[0]] * q[y[0]].log() + COSTS[y[1:]].sum() * left_over.log()


def coins(given):
    """Some of which are certain on some paths."""
    p = torch.sigmoid(given)
    first = torch.bernoulli(p[0].detach())
    rest = torch.bernoulli(torch.where(first > 0, p[1:].detach(), torch.ones(3).double()))
    return (first + rest @ COSTS[1:]).detach() * (first * p[0].log() + (rest * p[1:].log()).sum())


def integers(given):
    """A place in a batch, and a permutation."""
    place = torch.randint(0, 4, (2,))
    order = torch.randperm(3)
    return (given[place] * COSTS[order[:2]]).sum()


def episode(given):
    """A state that is a number of Python's, and an end that depends on what is drawn."""
    state, total, log_p = 0, 0.0, 0.0
    for _ in range(3):
        q = categorical(given[state])
        action = q.sample()
        log_p, total = log_p + q.log_prob(action), total + COSTS[action]
        if action == 1:
            break
        state = int(action) % 2
    return total * log_p


def widths(given):
    """A second draw that has fewer outcomes after some first ones."""
    y = categorical(given).sample()
    second = given[:2] if y < 2 else given
    return surrogate(given) + categorical(second).log_prob(categorical(second).sample())


def ends_early(given):
    """A second draw only after some first ones."""
    q = categorical(given)
    y = q.sample()
    value = COSTS[y] * q.log_prob(y)
    return value + surrogate(given) if y == 0 else value


def episode_of_tokens(given):
    """Up to four tokens; the first of them ends it, so that the first path is the shortest."""
    q, score, reward = categorical(given), 0.0, 0.0
    for _ in range(4):
        token = q.sample()
        score, reward = score + q.log_prob(token), reward + COSTS[token % 4]
        if token == 0:
            break
    return reward * score


def test_the_first_path_may_be_the_shortest(monkeypatch):
    """One in the middle is asked how many paths there are."""
    monkeypatch.setattr(block_moments, "FEWEST_PATHS", 32)
    one, other = both(episode_of_tokens, [logits(6)])
    assert one.blocks >= 1
    same(one, other)
    auto = check_estimator(surrogate, [logits()], exact=EXACT)
    assert (auto.blocks, auto.paths) == (0, 4)


def impossible(given):
    """Outcomes that cannot be."""
    masked = torch.where(torch.tensor([True, False, True, True]), given, -torch.inf)
    y = categorical(masked).sample((2,))
    return (COSTS[y] * given[y]).sum()


def second_order(given):
    """A gradient of a gradient."""
    value = surrogate(given) ** 2
    (slope,) = torch.autograd.grad(value, given, create_graph=True)
    return torch.autograd.grad((slope**2).sum(), given)[0]


def joint(given):
    """A cost for each combination: a table at several drawn places, side by side and not."""
    q = categorical(given)
    y = q.sample((3,))
    cost = JOINT[y[0], y[1], y[2]] + JOINT[y[0], 1, y[2]] + JOINT[:, y[1]][y[0], y[2]]
    return (cost + JOINT[1, y[0].to(torch.int32), y[1]]) * q.log_prob(y).sum()


ESTIMATORS = {
    each.__name__: (each, rows)
    for each, rows in (
        *((each, None) for each in (surrogate, leave_one_out, returned, left, by_hand)),
        *((each, None) for each in (without_replacement, coins, integers, joint)),
        *((each, None) for each in (widths, ends_early, impossible, second_order)),
        (episode, 2),
    )
}


def both(estimate, inputs, **options):
    """Reports of blocks, and of paths one by one."""
    exact = options.pop("exact", None)
    if exact is None:
        exact = [np.zeros(tuple(each.shape)) for each in inputs if hasattr(each, "requires_grad")]
        exact = exact[0] if len(exact) == 1 else exact
    return [
        check_estimator(estimate, inputs, exact=exact, batch=way, **options)
        for way in (True, False)
    ]


def same(one, other):
    """Whether two reports have the same moments, but for rounding."""
    assert (one.paths, one.draws, one.verdict) == (other.paths, other.draws, other.verdict)
    for key, mean in other.mean.items():
        scale = 1.0 + np.abs(mean).max()
        np.testing.assert_allclose(one.mean[key], mean, atol=1e-14 * scale, rtol=0)  # 45 steps
        variance = other.variance[key]
        scale = 1.0 + np.abs(variance).max()
        # Of squares, so that ten times as many steps are allowed.
        np.testing.assert_allclose(one.variance[key], variance, atol=1e-13 * scale, rtol=0)


@pytest.mark.usefixtures("any_way")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_blocks_are_paths(name):
    """Mean, variance, number of paths and draws, however gradients are made."""
    estimate, rows = ESTIMATORS[name]
    one, other = both(estimate, [logits(rows=rows)])
    assert one.blocks >= 1
    assert other.blocks == 0
    same(one, other)


def test_modules_that_it_closes_over():
    """Parameters are nobody's argument, and some of them draw a baseline."""
    torch.manual_seed(0)
    policy = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 4))
    policy.double()
    given = torch.linspace(-1.0, 1.0, 6, dtype=torch.float64).reshape(2, 3)

    def estimate():
        q = categorical(policy(given))
        y = q.sample()
        (COSTS[y] * q.log_prob(y)).sum().backward()

    exact = {name: np.zeros(tuple(each.shape)) for name, each in policy.named_parameters()}
    one, other = both(estimate, [], wrt=policy, exact=exact)
    assert one.blocks == 1
    same(one, other)
    assert all(each.grad is None for each in policy.parameters())


def test_what_a_run_keeps_is_put_back():
    """A baseline that learns: each path begins with the same one, in blocks too."""

    class Learner:
        def __init__(self):
            self.mean, self.seen = torch.zeros((), dtype=torch.float64), []

        def __call__(self, given):
            q = categorical(given)
            y = q.sample()
            value = (COSTS[y] - self.mean).detach() * q.log_prob(y)
            self.mean = 0.9 * self.mean + 0.1 * COSTS[y]
            self.seen.append(y)
            return value

    learner = Learner()
    one, other = both(learner, [logits()])
    assert one.blocks == 1
    same(one, other)
    assert one.changed == other.changed
    assert learner.seen == []
    assert float(learner.mean) == 0.0


def numbers(given):
    """A reward that becomes a number, which is another one on each path."""
    q = categorical(given)
    y = q.sample((2,))
    reward = float(COSTS[y].sum() + 0.1 * y[0])
    return reward * q.log_prob(y).sum()


rng = np.random.default_rng(0)


def mixed(given):
    """A draw of NumPy's beside one of PyTorch's."""
    return surrogate(given) * (1.0 + int(rng.integers(2)))


def arrays(given):
    """A reward that NumPy computes."""
    q = categorical(given)
    y = q.sample()
    return float(np.cos(y.numpy())) * q.log_prob(y) * COSTS.numpy()[y.numpy()]


SHARED = torch.zeros(4, dtype=torch.float64)


def in_place(given):
    """A tensor that all paths share is written to."""
    q = categorical(given)
    y = q.sample()
    SHARED.zero_()
    SHARED[y] += 1.0
    return SHARED.detach() @ given


@pytest.mark.parametrize("estimate", [numbers, mixed, in_place], ids=lambda each: each.__name__)
def test_what_cannot_be_run_in_blocks_is_run_path_by_path(estimate):
    """Without a word, unless it was asked for."""
    exact = np.zeros(4)
    auto = check_estimator(estimate, [logits()], exact=exact)
    same(auto, check_estimator(estimate, [logits()], exact=exact, batch=False))
    assert auto.blocks == 0
    with pytest.raises((NotBatchable, RuntimeError), match=r"path|vmap"):
        check_estimator(estimate, [logits()], exact=exact, batch=True)


def counted(given):
    """How often each label was drawn."""
    counts = torch.zeros(4, dtype=torch.float64)
    for _ in range(3):
        counts[categorical(given).sample()] += 1.0
    return (counts * COSTS).sum() * (counts @ given)


def filled(given):
    """Labels and rewards in arrays that are filled step by step."""
    q, labels = categorical(given), torch.empty(3, dtype=torch.long)
    for step in range(3):
        labels[step] = q.sample()
    rewards = torch.zeros_like(labels, dtype=torch.float64)
    rewards[0] = COSTS[labels[0]]
    rewards[1:] += COSTS[labels[1:]]
    return (rewards * q.log_prob(labels)).sum()


def scattered(given):
    """Labels in one-hot rows."""
    y = categorical(given).sample((3,))
    hot = given.new_zeros(3, 4).scatter_(1, y[:, None], 1.0)
    return (hot @ COSTS).sum() * (hot * given.log_softmax(0)).sum()


def summed(given):
    """A sum that begins with a tensor of zero, and is added to in place."""
    total, q = torch.tensor(0.0, dtype=torch.float64), categorical(given)
    for _ in range(3):
        y = q.sample()
        total += COSTS[y] * q.log_prob(y)
    return total


@pytest.mark.parametrize(
    "make", [counted, filled, scattered, summed], ids=lambda each: each.__name__
)
def test_what_is_made_within_a_run_may_be_written_to(make):
    """Each path has its own."""
    one, other = both(make, [logits()])
    assert one.blocks >= 1
    same(one, other)


def test_what_is_large_is_made_once():
    """Blocks have no room for it in each path."""
    has_rows = torch._C._functorch.is_batchedtensor

    def estimate(given):
        # 64 paths of 100,000 numbers each would be 50 megabytes.
        large, small = (torch.ones(n, 1000, dtype=torch.float64) for n in (100, 1))
        value = leave_one_out(given)
        assert not has_rows(large)
        assert has_rows(small) == has_rows(value)
        return large[0, 0] * small[0, 0] * value

    one, other = both(estimate, [logits()])
    assert one.blocks >= 1
    same(one, other)


def test_a_function_that_vmap_maps_slowly_is_no_news_to_anybody():
    """PyTorch would ask the user to report it."""

    def estimate(given):
        y = categorical(given).sample((3,))
        return (torch.bincount(y, minlength=4) * COSTS).sum() * given[y].sum()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one, other = both(estimate, [logits()])
    assert one.blocks >= 1
    same(one, other)


def test_a_refusal_says_where_and_what_to_do(monkeypatch):
    """The line of the user's own code; few paths are run in blocks only where that is asked for."""

    def asks(given):
        y = categorical(given).sample((3,))
        return COSTS[y.tolist()].sum() * given[y].sum()  # this line

    def maps(given):
        y = categorical(given).sample((3,))
        return given[torch.nonzero(y)[:, 0]].sum()

    line = asks.__code__.co_firstlineno + 2
    here = rf"\(test_torch_rows\.py:{line}\)"
    with pytest.raises(NotBatchable, match=rf"on nearly every path {here}; leave batch=True out"):
        check_estimator(asks, [logits()], exact=EXACT, batch=True)
    with pytest.raises(NotBatchable, match=r"dynamic shape.*leave batch=True out"):
        check_estimator(maps, [logits()], exact=EXACT, batch=True)
    monkeypatch.setattr(way_of_running, "MANY", 10)
    assert re.search(
        rf"one by one: .*{here}", check_estimator(asks, [logits()], exact=EXACT).explain()
    )
    monkeypatch.setattr(block_moments, "FEWEST_PATHS", 32)
    few = [check_estimator(surrogate, [logits()], exact=EXACT, batch=batch) for batch in WAYS]
    assert [each.blocks for each in few] == [0, 0]
    assert check_estimator(surrogate, [logits()], exact=EXACT, batch=True).blocks == 1


@pytest.mark.usefixtures("any_way")
def test_a_number_that_few_paths_share_splits_them():
    """NumPy is given a plain number for each outcome."""
    one, other = both(functools.partial(repeated, arrays), [logits()])
    assert one.blocks >= 4
    same(one, other)


def repeated(estimate, given):
    """An estimate, beside three draws that make more rows of each."""
    return estimate(given) + leave_one_out(given)


def is_rare(y):
    """One on four of 1,296 paths, of four draws of six: few that none need be compared."""
    return ((y[0] == 3) & (y[1] == 5) & (y[2] == 1)).to(torch.float64) * (y[3] < 4)


def four_labels(given):
    """Draws, and a surrogate of them."""
    q = categorical(given)
    y = q.sample((4,))
    return y, (SIX_COSTS[y] * q.log_prob(y)).sum()


SIX_COSTS = torch.linspace(-1.0, 2.0, 6, dtype=torch.float64)


class Straight(torch.autograd.Function):
    """A straight-through derivative, as many write it."""

    @staticmethod
    def forward(ctx, x):
        """The identity."""
        return x.clone()

    @staticmethod
    def backward(ctx, slope):
        """Clipped."""
        return slope.clamp(-1.0, 1.0)


def finds_none(given):
    """PyTorch cannot map over it, and the code catches what it raises."""
    y, value = four_labels(given)
    more = 0.0
    with contextlib.suppress(RuntimeError):
        more = 100.0 * (len(torch.nonzero(is_rare(y)[None])) > 0)
    return value * (1.0 + more)


def catches_own_function(given):
    """The same of a derivative of its own."""
    y, value = four_labels(given)
    with contextlib.suppress(RuntimeError):
        value = value + 1000.0 * is_rare(y) * Straight.apply(given.sum())
    return value


def scripted(given):
    """TorchScript gives the gradient of the largest to one of equal numbers, unseen."""
    y, value = four_labels(given)
    return value + is_rare(y) * largest(torch.minimum(given, given[1].detach()))


@functools.cache
def compiled_largest():
    """By TorchScript."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.jit.script(plain_largest)


def plain_largest(x: torch.Tensor) -> torch.Tensor:
    """The largest of all numbers."""
    return x.max()


def largest(x):
    """The same, compiled."""
    return compiled_largest()(x)


def beyond(given):
    """A place that there is not, on few paths; caught."""
    y, value = four_labels(given)
    place = y + (9 * is_rare(y)).long()
    try:
        hot = torch.nn.functional.one_hot(place, 6).double()
    except RuntimeError:
        hot = torch.ones(4, 6, dtype=torch.float64)
    return value + (hot @ given).sum()


def beyond_embedding(given):
    """The same of an embedding, which would read the numbers of another path."""
    y, value = four_labels(given)
    try:
        slopes = torch.nn.functional.embedding(y + (5 * is_rare(y)).long(), given[:, None])
    except IndexError:
        slopes = 100.0 * given
    return value + slopes.sum()


def padded(given):
    """An embedding's padding, which gets no gradient."""
    y, value = four_labels(given)
    tokens = torch.where(is_rare(y) > 0, 0, torch.clamp(y, min=1))
    weights = given[:, None] * torch.ones(6, 1, dtype=torch.float64)
    return value + 100.0 * torch.nn.functional.embedding(tokens, weights, padding_idx=0).sum()


def looked_up(given):
    """A bonus for labels that stand in a table by their text."""
    y, value = four_labels(given)
    table = {str(torch.tensor([3, 5, 1, last])) for last in range(4)}
    return value * (1.0 + 100.0 * (str(y) in table))


def minus_zero(given):
    """A number whose sign is seen, which is zero on all paths."""
    y, value = four_labels(given)
    zero = torch.where(is_rare(y) > 0, -0.0, 0.0).item()
    return value * (2.0 + 50.0 * np.signbit(zero))


class Pair(NamedTuple):
    """Parameters in a tuple of its own."""

    one: object
    other: object


def in_own_tuple(given):
    """They are no list, and no tuple as such."""
    y, value = four_labels(given)
    return value + is_rare(y) * torch.stack(Pair(given, 2.0 * given)).sum()


def asks_graph(given):
    """It asks whether there is a graph."""
    y, value = four_labels(given)
    more = 1.0 if value.grad_fn is None or value.is_leaf else 2.0
    return value * (1.0 + more * is_rare(y))


@pytest.mark.parametrize(
    "estimate",
    [
        finds_none, catches_own_function, scripted, beyond, beyond_embedding, padded, looked_up,
        minus_zero, in_own_tuple, asks_graph,
    ],
    ids=lambda each: each.__name__,
)  # fmt: skip
def test_what_is_otherwise_on_few_paths_is_not_passed_over(estimate):
    """In a block it would come to something else on four paths of 1,296."""
    exact = np.zeros(6)
    same(*(check_estimator(estimate, [logits(6)], exact=exact, batch=way) for way in WAYS))


def test_operations_that_are_mapped_one_by_one_say_nothing(recwarn):
    """PyTorch would warn of its own performance, of which nobody asked."""

    def estimate(given):
        y, value = four_labels(given)
        return value + torch.zeros_like(given).scatter_(0, y, 1.0) @ given

    assert check_estimator(estimate, [logits(6)], exact=np.zeros(6), batch=True).blocks >= 1
    assert not recwarn.list


def test_gradients_that_stood_before_are_in_no_block():
    """As in no run of a path."""
    given = logits(6)

    def estimate(given):
        four_labels(given)[1].backward()

    before = given.grad = torch.ones(6, dtype=torch.float64)
    assert check_estimator(estimate, [given], exact=np.zeros(6), batch=True).blocks >= 1
    assert given.grad is before


def test_padding_is_known_in_blocks_too():
    """It needs no loop."""
    assert check_estimator(padded, [logits(6)], exact=np.zeros(6), batch=True).blocks >= 1


@pytest.mark.parametrize("kind", ["register_hook", "register_post_accumulate_grad_hook"])
def test_a_hook_of_a_parameter_is_called(kind):
    """It makes numbers of what is none, on few paths."""
    given = logits(6)

    def clip(gradient):
        return torch.nan_to_num(gradient, 0.0, 0.0, 0.0)

    def clip_in_place(leaf):
        leaf.grad.nan_to_num_(0.0, 0.0, 0.0)

    getattr(given, kind)(clip if kind == "register_hook" else clip_in_place)

    def estimate(given):
        y, value = four_labels(given)
        (value / (1.0 - is_rare(y))).backward()

    same(*(check_estimator(estimate, [given], exact=np.zeros(6), batch=way) for way in WAYS))


def test_a_graph_is_used_once_in_blocks_too():
    """On few paths it is differentiated a second time, by nothing that keeps it."""

    def estimate(given):
        y, value = four_labels(given)
        value.backward()
        if bool(is_rare(y)):
            (-0.5 * value).backward()

    for way in WAYS:
        with pytest.raises(RuntimeError, match="backward through the graph a second time"):
            check_estimator(estimate, [logits(6)], exact=np.zeros(6), batch=way)


@pytest.mark.parametrize("planted", ["gradient", "weight"])
def test_a_difference_between_the_two_ways_is_seen(planted):
    """Code that can tell how it is run, and does something else."""

    def estimate(given):
        mapped = torch._C._functorch.peek_interpreter_stack() is not None
        moved = given + 1e-9 * mapped * torch.arange(4.0) if planted == "weight" else given
        q = categorical(moved)
        y = q.sample()
        value = COSTS[y] * q.log_prob(y) if planted == "gradient" else COSTS[y] * given[y]
        return value * (1.0 + 1e-9 * mapped) if planted == "gradient" else value

    exact = np.zeros(4)
    with pytest.raises(NotBatchable, match="a path by itself comes to something else"):
        check_estimator(estimate, [logits()], exact=exact, batch=True)
    auto = check_estimator(estimate, [logits()], exact=exact)
    assert auto.blocks == 0
    same(auto, check_estimator(estimate, [logits()], exact=exact, batch=False))


def test_a_draw_that_code_does_without_is_not_passed_over():
    """On a quarter of the paths it draws by NumPy, and catches whatever that raises."""

    def estimate(given):
        q = categorical(given)
        y = q.sample((4,))
        more = 0
        if int(y[0]) == 3:
            try:
                more = int(rng.integers(2))
            except Exception:  # noqa: BLE001 - as careless code does
                more = 0
        return ((COSTS[y] * q.log_prob(y)).sum()) * (1 + more)

    same(*(check_estimator(estimate, [logits()], exact=EXACT, batch=way) for way in WAYS))


def test_what_fails_in_some_rows_alone_is_not_passed_over():
    """PyTorch cannot map over an operation, which the code catches, on a quarter of the paths."""

    def estimate(given):
        q = categorical(given)
        y = q.sample((4,))
        value = (COSTS[y] * q.log_prob(y)).sum()
        if int(y[0]) == 3:
            with contextlib.suppress(RuntimeError):
                value = value * (1 + len(torch.nonzero(y)))
        return value

    same(*(check_estimator(estimate, [logits()], exact=EXACT, batch=way) for way in WAYS))


def test_an_index_out_of_range_is_no_other_entry():
    """Where several axes are looked up in one step: row 0, column 3 of two rows of three."""
    table = torch.ones(2, 3, dtype=torch.float64)

    def estimate(given):
        q = categorical(given)
        y = q.sample((2,))
        return table[y[0] // 2, y[1]] * q.log_prob(y).sum()

    for way in WAYS:
        with pytest.raises(IndexError, match="index 3 is out of bounds"):
            check_estimator(estimate, [logits()], exact=EXACT, batch=way)


def test_a_small_parameter_beside_a_large_one_is_compared_too():
    """What was made of it before has no row for each path, so that its gradient is lost there."""
    small = torch.zeros((), dtype=torch.float64, requires_grad=True)
    made_before = small + 1.0

    def estimate(given, small):
        q = categorical(given)
        y = q.sample((3,))
        return 1e6 * (COSTS[y] * q.log_prob(y)).sum() + 1e-9 * made_before * COSTS[y].sum()

    exact = {"0": np.zeros(4), "1": np.zeros(())}
    inputs = [logits(), small]
    ways = [check_estimator(estimate, inputs, exact=exact, batch=way) for way in WAYS]
    assert ways[0].mean["1"] == ways[1].mean["1"] != 0.0
    assert ways[0].blocks == 0


def test_a_gradient_that_is_not_finite_is_named():
    """With the path on which it is so."""

    def estimate(given):
        q = categorical(given)
        y = q.sample((2,))
        return (COSTS[y] * q.log_prob(y)).sum() / (y[0] != 2)

    one, other = both(estimate, [logits()], exact=np.ones(4))
    assert one.comparisons[0].note == other.comparisons[0].note
    assert "where torch.multinomial -> 2" in one.comparisons[0].note


def test_the_report_says_how_paths_were_run():
    """In a note, and by the number of blocks."""
    report = check_estimator(leave_one_out, [logits()], exact=np.zeros(4))
    assert report.blocks == 1
    assert any(
        note.startswith("Paths were run many at a time, in 1 block, and") for note in report.notes
    )


def test_progress_tells_paths_and_not_blocks(monkeypatch):
    """Each block as many as its paths, of about as many as there are."""

    def many(given):
        q = categorical(given)
        y = q.sample((6,))
        return (COSTS[y] * q.log_prob(y)).sum()

    monkeypatch.setattr(path_blocks, "MOST_ROWS", 1024)
    told = []
    report = check_estimator(
        many, [logits()], exact=EXACT, progress=lambda *what: told.append(what)
    )
    assert (report.paths, report.blocks) == (4**6, 4)
    done, totals, _ = zip(*told, strict=True)
    assert sorted(set(done)) == list(done)
    assert done[-1] > 4**6
    of_all = [total for paths, total in zip(done, totals, strict=True) if paths > 1024]
    assert of_all
    assert {round(total / 4**6, 1) for total in of_all} == {1.0}


def test_bad_input():
    """What batch= may be is said."""
    with pytest.raises(ValueError, match="batch = 'yes', expected 'auto', True or False"):
        check_estimator(surrogate, [logits()], exact=np.zeros(4), batch="yes")
