"""Environments of Gymnasium: each way of using one, against dynamic programming over its table."""

import copy

import numpy as np
import pytest

from gradproof import UnsupportedDraw, check_estimator
from gradproof.checks.evidence import HOLDS, REFUTED

pytestmark = pytest.mark.libraries

DISCOUNT, HORIZON = 0.9, 2
MAP = ["SF", "HG"]
LOGITS = np.array(
    [[0.3, -0.2, 0.5, 0.1], [0.2, 0.0, -0.4, 0.6], [0.0, 0.1, 0.2, 0.3], [-0.1, 0.4, 0.0, 0.2]]
)


@pytest.fixture
def gymnasium(library):
    """Gymnasium, or nothing is tested."""
    return library("gymnasium")


@pytest.fixture
def make(gymnasium):
    """Makes a lake on which one slips."""
    return lambda: gymnasium.make("FrozenLake-v1", desc=MAP, is_slippery=True)


def softmax(logits):
    """Probabilities of actions, (A,)."""
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def value_and_gradient(table, state, steps):
    """The expected discounted return, and its gradient by all logits: by dynamic programming."""
    gradient = np.zeros_like(LOGITS)
    if steps == 0:
        return 0.0, gradient
    policy, total = softmax(LOGITS[state]), 0.0
    for action, outcomes in table[state].items():
        for probability, after, reward, over in outcomes:
            rest, slope = (0.0, 0.0) if over else value_and_gradient(table, after, steps - 1)
            worth = probability * (reward + DISCOUNT * rest)
            total += policy[action] * worth
            gradient += policy[action] * probability * DISCOUNT * slope
            gradient[state] += policy[action] * worth * (np.eye(len(policy))[action] - policy)
    return total, gradient


def reinforce(environment, rng, *, seed=None, late=0, discount=DISCOUNT):
    """A gradient from one episode of some steps.

    Args:
        late: steps by which the rewards to go begin too late.
    """
    state, _ = environment.reset(seed=seed)
    scores, rewards = [], []
    for _ in range(HORIZON):
        policy = softmax(LOGITS[state])
        action = int(rng.choice(len(policy), p=policy))
        score = np.zeros_like(LOGITS)
        score[state] = np.eye(len(policy))[action] - policy
        state, reward, terminated, truncated, _ = environment.step(action)
        scores.append(score)
        rewards.append(float(reward))
        if terminated or truncated:
            break
    worth = discount ** np.arange(len(rewards)) * np.array(rewards)
    return sum(worth[step + late :].sum() * score for step, score in enumerate(scores))


def exact_of(environment):
    """The gradient of the expected discounted return."""
    return value_and_gradient(environment.unwrapped.P, 0, HORIZON)[1]


def test_the_gradient_of_the_table_is_a_gradient(make):
    """An oracle is checked too: by differences of its value."""
    table, step = make().unwrapped.P, 1e-6  # the root of the root of a rounding, about
    exact = value_and_gradient(table, 0, HORIZON)[1]
    for place in np.ndindex(*LOGITS.shape):
        moved = []
        for sign in (1.0, -1.0):
            LOGITS[place] += sign * step
            moved.append(value_and_gradient(table, 0, HORIZON)[0])
            LOGITS[place] -= sign * step
        # Differences of numbers of size 1 are off by a rounding of them over the step.
        assert (moved[0] - moved[1]) / (2.0 * step) == pytest.approx(exact[place], abs=1e-9)


@pytest.fixture
def ways(make, gymnasium):
    """Estimators by how they come by their environment."""
    rng = np.random.default_rng(1)  # of another seed than the environments'
    lake, seeded = make(), make()
    seeded.reset(seed=0)
    limited = gymnasium.make("FrozenLake-v1", desc=MAP, is_slippery=True, max_episode_steps=HORIZON)
    counted = gymnasium.wrappers.RecordEpisodeStatistics(make())
    vector = gymnasium.vector.SyncVectorEnv([make])

    class First:
        """The first environment of a vector, as one that stands alone."""

        def reset(self, seed=None):
            states, _ = vector.reset(seed=seed)
            return int(states[0]), {}

        def step(self, action):
            states, *others, _ = vector.step(np.array([action]))
            return int(states[0]), *(each[0] for each in others), {}

    return {
        "made outside": lambda: reinforce(lake, rng),
        "made inside": lambda: reinforce(make(), rng),
        "seeded before": lambda: reinforce(seeded, rng),
        "seeded in each run": lambda: reinforce(lake, rng, seed=0),
        "a copy": lambda: reinforce(copy.deepcopy(seeded), rng),
        "with a limit of steps": lambda: reinforce(limited, rng),
        "with statistics": lambda: reinforce(counted, rng),
        "in a vector": lambda: reinforce(First(), rng),
        "unwrapped": lambda: reinforce(lake.unwrapped, rng),
    }


WAYS = [
    "made outside", "made inside", "seeded before", "seeded in each run", "a copy",
    "with a limit of steps", "with statistics", "in a vector", "unwrapped",
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_each_way_of_having_an_environment_holds(way, ways, make):
    """Its draws and the policy's are enumerated, from the state that it was given in."""
    assert sorted(ways) == sorted(WAYS)
    found = check_estimator(ways[way], exact=exact_of(make()))
    assert found.verdict == HOLDS, found.explain()
    # An action of four goes one of three ways; 3 of these 12 end in the hole.
    assert found.paths == 9 * 12 + 3
    seeded = way in ("seeded in each run", "a copy")
    assert any("from a seed in each run" in note for note in found.notes) == seeded


@pytest.mark.parametrize("bug", [{"late": 1}, {"discount": 1.0}])
def test_a_wrong_twin_is_refuted(bug, make):
    """Rewards to go that begin a step late, and rewards that are not discounted."""
    lake, rng = make(), np.random.default_rng(0)
    found = check_estimator(lambda: reinforce(lake, rng, **bug), exact=exact_of(lake))
    assert found.verdict == REFUTED


def test_random_actions_of_a_space_are_draws(make):
    """``action_space.sample()``: an off-policy estimator, weighted by importance."""
    lake = make()
    policy = softmax(LOGITS[0])
    table = lake.unwrapped.P[0]
    worth = np.array([sum(p * after for p, after, *_ in table[action]) for action in range(4)])

    def estimate():
        lake.reset()
        action = int(lake.action_space.sample())
        after, *_ = lake.step(action)
        return 4.0 * policy[action] * after * (np.eye(4)[action] - policy)

    exact = policy * (worth - policy @ worth)
    assert check_estimator(estimate, exact=exact).verdict == HOLDS
    assert check_estimator(lambda: estimate() / 4.0, exact=exact).verdict == REFUTED


def test_an_environment_is_left_as_it_was(make):
    """Its state, its generator, and the steps that were counted."""
    lake, rng = make(), np.random.default_rng(0)
    lake.reset(seed=3)
    lake.step(1)
    own = lake.unwrapped
    before = own.s, own.lastaction, lake._elapsed_steps, own.np_random.bit_generator.state
    check_estimator(lambda: reinforce(lake, rng), exact=exact_of(lake))
    now = own.s, own.lastaction, lake._elapsed_steps, own.np_random.bit_generator.state
    assert now == before


def test_two_environments_of_one_seed_are_refused(make):
    """They draw the same numbers: what one does tells what the other will do."""
    one, other, rng = make(), make(), np.random.default_rng(1)

    def estimate():
        return reinforce(one, rng, seed=0) + reinforce(other, rng, seed=0)

    with pytest.raises(UnsupportedDraw, match="made twice from one seed"):
        check_estimator(estimate, exact=2.0 * exact_of(one))


def test_a_policy_with_the_seed_of_its_environment_is_refused(make):
    """Both draw the same numbers, since Gymnasium makes its generator as default_rng() does."""
    lake, rng = make(), np.random.default_rng(0)
    with pytest.raises(UnsupportedDraw, match="made twice from one seed"):
        check_estimator(lambda: reinforce(lake, rng, seed=0), exact=exact_of(lake))


def test_a_start_that_is_any_real_number_is_refused_and_a_few_are_not(gymnasium):
    """CartPole as it is, and from two states."""
    rng = np.random.default_rng(0)
    starts = np.array([[0.0, 0.0, 0.05, 0.0], [0.0, 0.0, -0.2, -2.0]])
    kind = type(gymnasium.make("CartPole-v1").unwrapped)

    class FewStarts(kind):
        def reset(self, *, seed=None, options=None):
            gymnasium.Env.reset(self, seed=seed)
            self.state = starts[self.np_random.integers(len(starts))]
            self.steps_beyond_terminated = None
            return np.array(self.state, np.float32), {}

    p = softmax(np.array([0.4, -0.3]))

    def estimate(environment):
        environment.reset()
        action = int(rng.choice(2, p=p))
        state, _, over, *_ = environment.step(action)
        return (np.eye(2)[action] - p) * (float(state[3]) + float(over))

    def exact(environment):
        worth = np.zeros(2)
        for start in starts:
            for action in range(2):
                environment.reset()
                environment.state = start
                state, _, over, *_ = environment.step(action)
                worth[action] += (float(state[3]) + float(over)) / len(starts)
        return p * (worth - p @ worth)

    few = FewStarts()
    found = check_estimator(lambda: estimate(few), exact=exact(few))
    assert (found.verdict, found.paths) == (HOLDS, 4)
    with pytest.raises(UnsupportedDraw, match=r"Generator.uniform\(\) is used other than compared"):
        check_estimator(lambda: estimate(kind()), exact=exact(few))
    begin = (
        r"\(CartPoleEnv.reset\(\) draws it: override it in a subclass, and begin in one of a few"
    )
    with pytest.raises(UnsupportedDraw, match=begin):
        check_estimator(lambda: estimate(kind()), exact=exact(few))
    with pytest.raises(UnsupportedDraw, match=begin):
        check_estimator(
            lambda theta: estimate(kind()),
            [np.zeros(2)],
            objective=lambda theta: float(kind().reset()[0][0]),
        )


def test_noise_of_a_step_is_named(gymnasium):
    """As the start is."""

    class Noisy(gymnasium.Env):
        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return 0, {}

        def step(self, action):
            return 0, float(self.np_random.normal()), True, False, {}

    noisy = Noisy()

    def estimate():
        noisy.reset()
        return np.array([noisy.step(0)[1]])

    with pytest.raises(UnsupportedDraw, match=r"Noisy.step\(\) draws it: .* draw one of a few"):
        check_estimator(estimate, exact=np.zeros(1))


def test_environments_in_other_processes_are_refused(gymnasium, make):
    """With a seed in each run their draws would be constants, and nothing would tell."""
    # Not by a fork, against which JAX warns where it is imported.
    vector = gymnasium.vector.AsyncVectorEnv([make], context="spawn")
    rng, exact = np.random.default_rng(0), np.zeros(4)
    p = softmax(LOGITS[0])

    def estimate(seed):
        vector.reset(seed=seed)
        action = int(rng.choice(4, p=p))
        states, *_ = vector.step(np.array([action]))
        return (np.eye(4)[action] - p) * float(states[0])

    try:
        for seed in (None, 0):
            with pytest.raises(UnsupportedDraw, match="other processes, whose draws are not seen"):
                check_estimator(lambda seed=seed: estimate(seed), exact=exact)
        with pytest.raises(UnsupportedDraw, match="is given a seed in each sample"):
            check_estimator(lambda: estimate(0), exact=exact, draws=20_000)
        assert estimate(0).shape == (4,)  # outside of a check it is as it was
    finally:
        vector.close()
