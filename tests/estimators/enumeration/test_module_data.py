"""Data of the user's modules is in a worker what it is here."""

import sys

import numpy as np
import pytest

from gradproof import check_estimator
from gradproof.estimators.enumeration import enumeration, subtrees
from gradproof.estimators.enumeration.module_data import (
    MOST_BYTES,
    module_data,
    module_data_placed,
)
from gradproof.estimators.workers import share_out

SOURCE = """
import numpy as np

BONUS, SETTINGS, COSTS = 0.0, {"bonus": 0.0}, np.linspace(-1.0, 2.0, 6)
ALIAS, LARGE, rng = SETTINGS, list(range(1_000_000)), np.random.default_rng()


class Reward:
    bonus = 0.0


def divided(rare):
    try:
        return float(np.float64(rare) / 0.0)
    except FloatingPointError:
        return 7.0


KINDS = {
    "name": lambda rare: rare * BONUS,
    "dict": lambda rare: rare * ALIAS["bonus"],
    "array": lambda rare: rare * COSTS[0],
    "class": lambda rare: rare * Reward.bonus,
    "errors": lambda rare: divided(rare) if rare else 0.0,
}


def estimate(logits, kind):
    q = np.exp(logits) / np.exp(logits).sum()
    taken = [int(rng.choice(4, p=q)) for _ in range(4)]
    cost = float(np.sum(taken)) + KINDS[kind](taken == [2, 1, 3, 2])
    return cost * sum(np.eye(4)[each] - q for each in taken)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """One of the user's, that can be imported, also by workers that were there before."""
    assert sorted(share_out(2, abs, [(1,), (2,)])) == [1, 2]
    (tmp_path / "users_rewards.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    import users_rewards

    yield users_rewards
    del sys.modules["users_rewards"]


def change(module, kind, monkeypatch):
    """As a script does."""
    monkeypatch.setattr(module, "BONUS", 100.0)
    module.SETTINGS["bonus"] = module.COSTS[0] = module.Reward.bonus = 100.0
    if kind == "errors":
        np.seterr(all="raise")


@pytest.mark.parametrize("kind", ["name", "dict", "array", "class", "errors"])
def test_what_was_changed_is_changed_in_a_worker_too(kind, module, monkeypatch):
    """It counts on one path of 256, which is not among those that are compared."""
    monkeypatch.setattr(enumeration, "HEAD", 16)
    monkeypatch.setattr(subtrees, "PIECE", 8)
    before = np.geterr()
    change(module, kind, monkeypatch)
    try:
        one, other = (
            check_estimator(
                module.estimate,
                [np.array([0.3, -0.2, 0.5, 0.0]), kind],
                exact=np.zeros(4),
                jobs=jobs,
            )
            for jobs in (1, 2)
        )
    finally:
        np.seterr(**before)
    np.testing.assert_array_equal(one.mean["gradient"], other.mean["gradient"])


def test_a_worker_s_modules_are_as_before_afterwards(module):
    """What others hold too is written to, and holds what it did in the end."""
    data = dict(module_data([module])["users_rewards"])
    assert ("LARGE",) not in data
    assert len(module.LARGE) * 2 > MOST_BYTES
    data["BONUS",], data["new",] = 5.0, 3
    data["SETTINGS",] = data["ALIAS",] = {"other": 1.0}
    data["Reward", "bonus"], data["COSTS",] = 2.0, np.ones(6)
    before, costs, settings = dict(vars(module)), module.COSTS.copy(), module.SETTINGS
    with module_data_placed({"users_rewards": data, "not_imported": {("x",): 1}}):
        assert (module.BONUS, module.Reward.bonus, module.new) == (5.0, 2.0, 3)
        assert module.ALIAS is module.SETTINGS is settings
        assert settings == {"other": 1.0}
        assert module.COSTS is before["COSTS"]
        assert module.COSTS.sum() == 6.0
    assert vars(module) == before
    assert settings == {"bonus": 0.0}
    assert module.Reward.bonus == 0.0
    np.testing.assert_array_equal(module.COSTS, costs)
