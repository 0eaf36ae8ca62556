"""The tables of Gymnasium's environments, against the environments themselves."""

import importlib

import numpy as np
import pytest

pytestmark = pytest.mark.libraries


@pytest.fixture
def gymnasium(library):
    """The library, or a failure where it has to be there."""
    library("torch")
    return library("gymnasium")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("FrozenLakeEnv", {"desc": ["SF", "HG"]}),
        ("FrozenLakeEnv", {"map_name": "8x8", "is_slippery": False}),
        ("CliffWalkingEnv", {}),
        ("TaxiEnv", {}),
    ],
)
def test_tables_are_laws_and_end_where_the_environment_ends(gymnasium, name, options):
    """Rows add up to 1, and a step of the real environment ends in the states that end it."""
    from gradproof import policies

    env = getattr(importlib.import_module("gymnasium.envs.toy_text"), name)(**options)
    tables = policies.transitions_of(env)
    # Some three thirds, a rounding each.
    np.testing.assert_allclose(tables.transitions.sum(axis=2), 1.0, rtol=1e-15)
    np.testing.assert_allclose(tables.start.sum(), 1.0, rtol=1e-12)  # of 300 states in Taxi
    rng = np.random.default_rng(0)
    state, _ = env.reset(seed=0)
    ended = 0
    for _ in range(2_000):
        action = int(rng.integers(env.action_space.n))
        after, reward, terminated, truncated, _ = env.step(action)
        assert tables.transitions[state, action, after] > 0.0
        assert tables.rewards[state, action, after] == reward
        assert (after in tables.terminal) == terminated
        ended += terminated
        state = env.reset()[0] if terminated or truncated else after
    assert ended or name in ("CliffWalkingEnv", "TaxiEnv")  # by chance these hardly end


@pytest.mark.parametrize(("bug", "verdict"), [({}, "holds"), ({"late": 1}, "refuted")])
def test_a_loop_in_the_lake_is_checked_against_its_tables(gymnasium, bug, verdict):
    """Each score with the discounted rewards from its own step on, or from the next."""
    import torch

    from gradproof import check_estimator, policies

    lake = gymnasium.make("FrozenLake-v1", desc=["SF", "HG"], max_episode_steps=2)
    logits = torch.linspace(-0.5, 0.5, 16, dtype=torch.float64).reshape(4, 4).requires_grad_()
    process = policies.tabular(
        *policies.transitions_of(lake), horizon=2, discount=0.9, logits=logits
    )

    def reinforce(logits, late=0):
        state, _ = lake.reset()
        scores, rewards, over = [], [], False
        while not over:
            policy = torch.distributions.Categorical(logits=logits[state])
            action = policy.sample()
            state, reward, terminated, truncated, _ = lake.step(action.item())
            scores.append(policy.log_prob(action))
            rewards.append(0.9 ** len(rewards) * float(reward))
            over = terminated or truncated
        return sum(score * sum(rewards[t + late :]) for t, score in enumerate(scores))

    report = check_estimator(
        lambda logits: reinforce(logits, **bug), [logits], exact=process.expected().as_reward()
    )
    assert report.verdict == verdict, report.explain()


def test_what_has_no_tables_is_refused(gymnasium):
    """By its name; and a state that ends an episode only sometimes."""
    from gradproof import policies

    with pytest.raises(TypeError, match=r"CartPole.* has no unwrapped.P"):
        policies.transitions_of(gymnasium.make("CartPole-v1"))
    lake = gymnasium.make("FrozenLake-v1", desc=["SF", "HG"])
    lake.unwrapped.P[0][1] = [(1.0, 3, 1.0, False)]
    with pytest.raises(ValueError, match="state 3 ends an episode by some of the ways"):
        policies.transitions_of(lake)
