"""Whole numbers of NumPy and PyTorch are options like those of Python, in all of the public API."""

import numpy as np
import pytest

import gradproof
from gradproof import policies
from gradproof.estimators.enumeration.whole_numbers import whole_from, whole_number

COSTS = np.array([1.0, 3.0, 2.0])
rng = np.random.default_rng()


def probabilities(x):
    """Softmax."""
    p = np.exp(x - x.max())
    return p / p.sum()


def reinforce(x, labels=1):
    """The score-function estimator, of the mean of some labels."""
    p = probabilities(x)
    drawn = rng.choice(3, size=labels, p=p)
    return np.mean([COSTS[y] * (np.eye(3)[y] - p) for y in drawn], axis=0)


def noisy(x):
    """The same and a normal number, which has to be sampled."""
    return reinforce(x) + 0.01 * rng.standard_normal(3)


def exact(x):
    """In closed form."""
    p = probabilities(x)
    return p * (COSTS - p @ COSTS)


X = np.array([0.3, -0.2, 0.5])


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8, np.array])
def test_counts_of_a_check_may_be_numpys(kind):
    """paths, seed and jobs; the report is the same as of Python's."""
    options = {"paths": kind(100), "jobs": kind(1), "seed": kind(3)}
    report = gradproof.check_estimator(reinforce, [X], exact=exact, **options)
    assert (report.verdict, report.paths) == ("holds", 3)
    too_many = {"match": "more than 2 paths|paths"}
    with pytest.raises(gradproof.TooManyPaths, **too_many):
        gradproof.check_estimator(reinforce, [X], exact=exact, paths=kind(2))


@pytest.mark.parametrize("strategy", ["all", "heaviest"])
def test_draws_and_seed_may_be_numpys(strategy):
    """The samples are those of the same seed of Python's."""
    estimate = noisy if strategy == "all" else lambda x: reinforce(x, 9)
    reports = [
        gradproof.check_estimator(
            estimate,
            [X],
            exact=exact,
            draws=kind(25_000),
            seed=kind(3),
            paths=kind(200),
            strategy=strategy,
        )
        for kind in (int, np.int64)
    ]
    assert reports[0].verdict == reports[1].verdict
    assert reports[0].draws == reports[1].draws
    assert "seed=3" in reports[1].snippet
    assert "np.int64" not in reports[1].snippet


def test_numbers_in_a_snippet_are_pythons():
    """NumPy's are written as what they are."""
    report = gradproof.check_estimator(
        reinforce, [X], exact=exact, precision=np.float64(1e-12), paths=np.int64(50)
    )
    assert "precision=1e-12" in report.snippet
    assert "np.float64" not in report.snippet


@pytest.mark.torch
def test_options_of_policies_may_be_numpys_or_tensors():
    """group, longest, top_k, eos, prompts, count and horizon."""
    torch = pytest.importorskip("torch")
    table = torch.tensor([[0.2, -0.1, 0.3]], dtype=torch.float64, requires_grad=True)

    def model(prefixes):
        return table.expand(prefixes.shape[0], prefixes.shape[1], 3)

    def made(kind):
        return policies.autoregressive(
            model,
            prompts=[[kind(0), kind(1)]],
            eos=kind(2),
            longest=kind(2),
            top_k=kind(3),
            parameters=table,
        )

    def loss(log_probs, mask, rewards, tokens):
        return -((log_probs * mask).sum(1) * rewards).mean()

    reports = []
    for kind in (int, np.int64, torch.tensor):
        policy = made(kind)
        goal = policy.expected(lambda prompt, completion: float(len(completion)))
        reports.append(policies.check_loss(policy, loss, goal, group=kind(2)))
        assert len(policy.prompts) == 1
        assert policy.sample(kind(4)).tokens.shape[0] == 4
    assert [each.verdict for each in reports] == ["holds"] * 3
    assert len({each.paths for each in reports}) == 1


@pytest.mark.torch
def test_a_horizon_may_be_numpys():
    """Of a decision process."""
    torch = pytest.importorskip("torch")
    logits = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
    tables = np.full((2, 2, 2), 0.5), np.array([[0.0, 1.0], [2.0, 0.0]])
    both = [
        policies.tabular(*tables, start=0, logits=logits, horizon=kind(3), discount=0.9)
        for kind in (int, np.int64)
    ]
    assert both[0].horizon == both[1].horizon == 3
    assert type(both[1].horizon) is int


@pytest.mark.parametrize("value", [True, np.True_, 2.0, np.float64(3.0), "2", None, np.arange(2)])
def test_what_is_no_whole_number_is_refused(value):
    """True is none, nor is a number with a fraction that happens to be 0."""
    assert whole_number(value) is None
    with pytest.raises(ValueError, match="said so"):
        whole_from(value, 1, "said so")


def test_a_number_that_is_too_small_is_refused():
    """As Python's are."""
    with pytest.raises(ValueError, match="paths is"):
        gradproof.check_estimator(reinforce, [X], exact=exact, paths=np.int64(0))
