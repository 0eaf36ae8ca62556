"""PyTorch's loaders and samplers of data: each order once, and nothing of theirs is moved."""

import math

import pytest

from gradproof.estimators.enumeration.handling import Handling
from gradproof.estimators.enumeration.run import UnsupportedDraw, paths

pytestmark = pytest.mark.torch

#: Sums of a few products of the same factors, in whatever order: some roundings.
ROUNDING = 1e-14


@pytest.fixture
def data():
    """PyTorch's package for data, or a test less."""
    return pytest.importorskip("torch").utils.data


@pytest.fixture(params=[False, True], ids=["unwatched", "watched"])
def watched(request):
    """Whether operations are watched that draw."""
    return request.param


def distribution(code, watched=False):
    """The probability of each value that code can return, as its text."""
    found = {}
    with Handling(code) as handling:
        for path in paths(code, handling.perform_watched if watched else handling.perform):
            key = repr(path.value)
            found[key] = found.get(key, 0.0) + path.probability
    return found


def is_uniform(found, count):
    """Whether there are so many values, all as likely."""
    return len(found) == count and list(found.values()) == pytest.approx(
        [1 / count] * count, abs=ROUNDING
    )


def rows(loader):
    """What an epoch is made of."""
    return [batch.tolist() for batch in loader]


def test_a_loader_gives_every_order(data, watched):
    """Shuffled, in batches: n! orders, for which it seeds a generator of its own."""
    found = distribution(
        lambda: rows(data.DataLoader(range(4), batch_size=2, shuffle=True)), watched
    )
    assert is_uniform(found, math.factorial(4))


def test_each_epoch_has_an_order_of_its_own(data, watched):
    """Twice in one run: by one loader, and by a new one each time."""
    loader = data.DataLoader(range(3), shuffle=True)

    def new():
        return [rows(data.DataLoader(range(3), shuffle=True)) for _ in range(2)]

    for code in (lambda: [rows(loader), rows(loader)], new):
        assert is_uniform(distribution(code, watched), math.factorial(3) ** 2)


def test_a_loader_with_a_generator(data, watched):
    """It may be anybody's; it is where it was afterwards."""
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    loader = data.DataLoader(range(3), shuffle=True, generator=generator)
    found = distribution(lambda: [rows(loader), rows(loader)], watched)
    assert is_uniform(found, math.factorial(3) ** 2)
    assert torch.equal(generator.get_state(), before)


def test_an_epoch_that_is_broken_off(data, watched):
    """What is not read was drawn all the same."""
    loader = data.DataLoader(range(3), shuffle=True)
    assert is_uniform(distribution(lambda: next(iter(loader)).tolist(), watched), 3)


def test_a_loader_that_shuffles_nothing_draws_nothing(data, watched):
    """It draws a seed for workers, which it has none of."""
    torch = pytest.importorskip("torch")
    before = torch.get_rng_state()

    def code():
        return rows(data.DataLoader(range(2))), int(torch.randint(2, ()))

    assert is_uniform(distribution(code, watched), 2)
    assert torch.equal(torch.get_rng_state(), before)


def test_orders_that_are_the_same_are_not_taken_for_two(data, watched):
    """A seed that is set before each epoch makes it the same epoch."""
    torch = pytest.importorskip("torch")

    def code():
        found = []
        for _ in range(2):
            torch.manual_seed(0)
            found.append(rows(data.DataLoader(range(3), shuffle=True)))
        return found

    with pytest.raises(UnsupportedDraw, match="drawn from before"):
        distribution(code, watched)


def test_loaders_draw_as_ever_outside_of_runs(data):
    """While handlers are on, and in another thread as well, orders differ."""
    with Handling():
        orders = {repr(rows(data.DataLoader(range(8), shuffle=True))) for _ in range(4)}
    assert len(orders) > 1  # all the same once in 8! ** 3 times


def test_samplers(data, watched):
    """By weight with and without one twice, of a subset, with one twice, more than there are."""
    by_weight = data.WeightedRandomSampler([0.25, 0.25, 0.5], 2)
    found = distribution(lambda: list(by_weight), watched)
    weights = [0.25, 0.25, 0.5]
    assert found == pytest.approx(
        {repr([i, j]): weights[i] * weights[j] for i in range(3) for j in range(3)}, abs=ROUNDING
    )
    apart = data.WeightedRandomSampler([0.25, 0.25, 0.5], 2, replacement=False)
    assert distribution(lambda: list(apart), watched) == pytest.approx(
        {
            repr([i, j]): weights[i] * weights[j] / (1.0 - weights[i])
            for i in range(3)
            for j in range(3)
            if i != j
        },
        abs=ROUNDING,
    )
    for sampler, count in (
        (data.SubsetRandomSampler([5, 6, 7]), 6),
        (data.RandomSampler(range(2), replacement=True, num_samples=3), 8),
        (data.RandomSampler(range(3), num_samples=4), 6 * 3),
    ):
        found = distribution(lambda sampler=sampler: list(sampler), watched)
        assert is_uniform(found, count)


def test_a_split_at_random(data, watched):
    """Which of four go into which half, and in what order."""
    found = distribution(
        lambda: [list(part.indices) for part in data.random_split(range(4), [2, 2])], watched
    )
    assert is_uniform(found, math.factorial(4))
