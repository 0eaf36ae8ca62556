"""A trainer with a mistake planted in it is refuted: that it holds without says something then."""

import sys
from pathlib import Path

import pytest

from gradproof import check_estimator, policies

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from llm_rows import installed, problem, trl_rows, verl_rows

pytestmark = [pytest.mark.trainers, pytest.mark.filterwarnings("ignore")]  # of what they import


@pytest.fixture
def rloo(installed_library):
    """The report on TRL's RLOOTrainer, changed by a function that is given it."""
    installed_library("trl")

    def report(change, kind="llama", dtype="float64"):
        model = trl_rows.tiny_model(kind, dtype=dtype)
        with trl_rows.trainer("RLOO", model, longest=1) as made:
            change(made)
            policy = policies.autoregressive(model, [[1]], eos=0, longest=1)
            exact = policy.expected(trl_rows.reward).as_loss()
            return check_estimator(trl_rows.loss_of(made), wrt=model, exact=exact)

    return report


def test_rewards_of_the_wrong_completion_are_found(rloo):
    """Each completion has the reward of the other one: what is left is minus the gradient."""

    def shifted(completion_ids, **_):
        found = [trl_rows.reward(tuple(tokens)) for tokens in completion_ids]
        return found[1:] + found[:1]

    def change(made):
        made.reward_funcs = [shifted]

    assert rloo(lambda made: None).verdict == "holds"
    report = rloo(change)
    assert report.verdict == "refuted"
    # Of two rewards the other one is the baseline, so that each sign is the wrong one.
    assert report.direction.verdict == "proportional"
    assert report.direction.factor == pytest.approx(-1.0, rel=1e-6, abs=0.0)  # single precision


def test_a_wrong_temperature_is_found(rloo):
    """It samples at another temperature than it is trained at."""

    def change(made):
        made.generation_config.temperature = 0.5

    assert rloo(change).verdict == "refuted"


def test_single_precision_is_decided_in_double_precision(rloo):
    """In small entries rounding may be as large as a bias there; a real one is seen anyway."""
    report = rloo(lambda made: None, kind="gpt2", dtype="float32")
    assert report.verdict == "holds", report.explain()
    assert "put into double precision for a while" in report.explain()

    def change(made):
        made.generation_config.temperature = 0.5

    assert rloo(change, kind="gpt2", dtype="float32").verdict == "refuted"


def test_a_loss_with_a_wrong_sign_is_found(installed_library):
    """verl's loss with the advantages of costs."""
    installed_library("verl")
    right = verl_rows.advantage("rloo")
    wrong = verl_rows.estimator(lambda *batch: -right(*batch), verl_rows.SUM)
    report = problem.check_loss(wrong, problem.EXPECTED)
    assert report.verdict == "refuted"
    assert report.direction.verdict == "proportional"
    assert report.direction.factor == pytest.approx(-1.0, rel=1e-9, abs=0.0)  # double precision


def test_what_is_emptied_is_put_back(installed_library):
    """The packages around the losses are not left half empty."""
    installed_library("verl")
    assert installed.verl().__name__ == "verl.trainer.ppo.core_algos"
    assert "verl" not in sys.modules
    assert "deepspeed" not in sys.modules
