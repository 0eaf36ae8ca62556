"""fast=True: slopes along one random direction, and what they cannot see; goals by parameter."""

import math

import numpy as np
import pytest

from gradproof import check_estimator
from gradproof.checks.user.random_direction import HIDDEN, Direction, Projection
from gradproof.estimators.backends import load
from gradproof.session_summary import summary

COSTS = np.array([1.0, 3.0, 2.0, 0.5])


def shares(logits):
    """Their softmax."""
    powers = np.exp(logits)
    return powers / powers.sum()


def cost(logits):
    """Of a label that is drawn."""
    return COSTS[np.random.choice(4, p=shares(logits))]  # noqa: NPY002


def estimate(logits):
    """The score-function estimator."""
    y = np.random.choice(4, p=shares(logits))  # noqa: NPY002
    return COSTS[y] * (np.eye(4)[y] - shares(logits))


def logits():
    """At which it is checked."""
    return np.array([0.3, -0.2, 0.5, 0.1])


def test_a_right_estimator_holds_along_a_direction_and_says_so():
    """With the seed that draws it again."""
    found = check_estimator(estimate, [logits()], objective=cost, fast=True)
    assert found.verdict == "holds"
    said = found.explain()
    assert "unbiased along one random direction (seed=" in said
    assert "a bias that is orthogonal to it, or nearly so, is not seen" in said
    seed = int(said.split("seed=")[1].split(")")[0])
    assert seed == found.seed
    again = check_estimator(estimate, [logits()], objective=cost, fast=True, seed=seed)
    assert again.exact == found.exact
    assert f"seed={seed}" in found.snippet
    assert found.headline().worst.startswith(found.along)
    assert ("compared", found.along) in found.section().facts
    record = {"method": "enumerated", "paths": 4, "along": found.along, "verdict": "holds"}
    (line,) = summary([record], 0, 0.0, 1)
    assert line.endswith("1 of them along one random direction only")


@pytest.mark.parametrize("wrong", [0.99, -1.0, 0.0])
def test_a_wrong_factor_is_refuted_along_any_direction(wrong):
    """It moves every slope by its share."""
    found = check_estimator(
        lambda logits: wrong * estimate(logits), [logits()], objective=cost, fast=True
    )
    assert found.verdict == "refuted"
    assert "refuted along one random direction" in found.explain()


def test_a_bias_that_is_orthogonal_is_not_seen_and_that_is_said():
    """Planted: orthogonal to the direction of a seed. Each entry shows it, as does another seed."""
    theta, seed = logits(), int(np.random.default_rng().integers(2**32))
    (way,) = Direction.draw({"gradient": theta}, seed).entries.values()
    bias = np.array([way[1], -way[0], way[3], -way[2]])

    def wrong(logits):
        return estimate(logits) + bias

    blind = check_estimator(wrong, [theta], objective=cost, fast=True, seed=seed)
    assert blind.verdict == "holds"
    assert "is not seen" in blind.explain()
    assert check_estimator(wrong, [theta], objective=cost, fast=True).verdict == "refuted"
    assert check_estimator(wrong, [theta], objective=cost).verdict == "refuted"


def test_biases_are_hidden_as_rarely_as_is_said():
    """In one entry or all, from the directions of many seeds."""
    rng = np.random.default_rng()
    bound, size, count = 1e-3, 6, 20_000
    hidden = math.sqrt(2.0 / math.pi) * 2.0 * bound / HIDDEN
    for bias in (np.eye(size)[0], rng.normal(size=size)):
        bias = bias * hidden / np.sqrt((bias**2).mean())
        ways = [Direction.draw({"x": bias}, seed).entries["x"] for seed in range(count)]
        missed = np.mean([abs(way @ bias) <= 2.0 * bound for way in ways])
        # One in a hundred; six standard deviations of so many are 0.4 in a hundred.
        assert missed <= HIDDEN + 6.0 * math.sqrt(HIDDEN / count)


def test_slopes_are_in_the_precision_of_the_gradients():
    """Lest single precision passes for double."""
    direction = Direction.draw({"a": np.zeros(3), "b": np.zeros(2)}, 1)
    project = Projection(direction, {"": ("a", "b")})
    for kind in (np.float32, np.float64):
        found = project({"a": np.ones(3, kind), "b": np.ones(2, kind)})
        assert found["slope"].dtype == kind
    total = sum(way.sum() for way in direction.entries.values())
    assert found["slope"] == pytest.approx(total, rel=1e-12)  # five roundings
    with pytest.raises(ValueError, match="b has shape"):
        project({"a": np.ones(3), "b": np.ones(3)})


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"exact": np.zeros(4), "fast": True}, "fast=True goes with objective="),
        ({"objective": cost, "fast": 3}, "fast = 3, expected True or False"),
        ({"objective": cost, "exact_error": 0.0}, "exact_error= goes with exact= only"),
    ],
)
def test_options_that_do_not_go_together(options, match):
    """Each says which."""
    with pytest.raises(TypeError, match=match):
        check_estimator(estimate, [logits()], **options)


def test_too_many_entries_offer_a_direction():
    """Which takes as many runs for a thousand entries as for four."""
    theta = np.zeros((600, 1000)) + 0.1

    def bernoulli(theta):
        return float(np.random.random() < shares(theta[0, :2])[0])  # noqa: NPY002

    def score(theta):
        q = shares(theta[0, :2])
        one = np.random.random() < q[0]  # noqa: NPY002
        gradient = np.zeros_like(theta)
        gradient[0, :2] = one * (np.array([one, not one]) - q)
        return gradient

    with pytest.raises(ValueError, match=r"pass fast=True \(the slope along one random"):
        check_estimator(score, [theta], objective=bernoulli)


# ------------------------------------------------------------------ sampled, along a direction


def test_samples_are_compared_along_a_direction():
    """Where the estimator draws what cannot be enumerated, and its objective does not."""
    rng = np.random.default_rng()

    def noisy(logits):
        return estimate(logits) + rng.uniform(-1.0, 1.0) * np.ones(4)

    def wrong(logits):
        return 3.0 * noisy(logits)

    # At zero, where slopes along directions have about one size.
    options = {"objective": cost, "fast": True, "draws": 30_000}
    right = check_estimator(noisy, [logits()], **options)
    assert right.verdict in ("holds", "undecided")
    assert "along one random direction (seed=" in right.explain()
    # Of 40 directions 5 lay across the bias, and said nothing; once four in a row did.
    verdicts = (check_estimator(wrong, [logits()], **options).verdict for _ in range(16))
    assert "refuted" in verdicts


# ------------------------------------------------------------------ goals by parameter


@pytest.fixture(name="torch")
def _torch():
    return load("torch").torch


def actor_critic(torch, detach):
    """Both parts as one module, their step, and the goal of each."""
    nn = torch.nn
    both = nn.ModuleDict({"actor": nn.Linear(2, 3), "critic": nn.Linear(2, 1)}).double()
    state = torch.tensor([0.4, -1.3], dtype=torch.float64)
    rewards = torch.tensor([1.0, 3.0, 2.0], dtype=torch.float64)

    def episode():
        policy = torch.distributions.Categorical(logits=both["actor"](state))
        action = policy.sample()
        return policy.log_prob(action), rewards[action], both["critic"](state)[0]

    def step():
        both.zero_grad()
        log_prob, reward, value = episode()
        advantage = reward - (value.detach() if detach else value)
        (-log_prob * advantage + (reward - value) ** 2).backward()

    goals = {"actor": lambda: -episode()[1], "critic": lambda: _squared(*episode()[1:])}
    return both, step, goals


def _squared(reward, value):
    return (reward - value) ** 2


@pytest.mark.torch
@pytest.mark.parametrize("fast", [False, True], ids=["entries", "direction"])
def test_parts_of_a_module_have_goals_of_their_own(torch, fast):
    """A critic that the policy's loss moves is refuted, and its actor is not."""
    both, step, goals = actor_critic(torch, detach=True)
    assert check_estimator(step, objective=goals, wrt=both, fast=fast).verdict == "holds"
    both, step, goals = actor_critic(torch, detach=False)
    found = check_estimator(step, objective=goals, wrt=both, fast=fast)
    assert found.verdict == "refuted"
    wrong = [one.what for one in found.comparisons if one.ratio > 1.0]
    assert wrong == (["slope by critic"] if fast else ["critic.weight", "critic.bias"])
    swapped = {"actor": goals["critic"], "critic": goals["actor"]}
    assert check_estimator(step, objective=swapped, wrt=both, fast=fast).verdict == "refuted"


@pytest.mark.torch
@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda goals: {"actor": goals["actor"]}, "no goal for critic.weight, critic.bias: add"),
        (lambda goals: {**goals, "critc": goals["actor"]}, "'critc', which is no parameter"),
        (lambda goals: {**goals, "actor.bias": goals["actor"]}, "two goals for actor.bias"),
        (
            lambda goals: {**goals, "critic": 1.0},
            "objective of 'critic' = 1.0, expected a function",
        ),
        (lambda goals: {}, "objective is {}"),
    ],
    ids=["missing", "unknown", "twice", "number", "empty"],
)
def test_goals_that_do_not_fit(torch, change, match):
    """Each parameter has one."""
    both, step, goals = actor_critic(torch, detach=True)
    with pytest.raises((TypeError, ValueError), match=match):
        check_estimator(step, objective=change(goals), wrt=both)


@pytest.mark.torch
def test_tensors_are_matched_by_the_names_of_arguments(torch):
    """A dict by these names; what is missing is named."""
    theta, phi = (torch.tensor(row, dtype=torch.float64, requires_grad=True)
                  for row in ([0.3, -0.2, 0.5], [0.7, 1.5, -0.4]))  # fmt: skip
    costs = torch.tensor([1.0, 3.0, 2.0], dtype=torch.float64)

    def policy(theta, phi):
        return torch.distributions.Categorical(logits=theta * phi)

    def named(theta, phi):
        y = policy(theta, phi).sample()
        by_theta, by_phi = torch.autograd.grad(
            costs[y] * policy(theta, phi).log_prob(y), [theta, phi]
        )
        return {"phi": by_phi, "theta": by_theta}

    def objective(theta, phi):
        return costs[policy(theta, phi).sample()]

    inputs = [theta, phi]
    found = check_estimator(named, inputs, objective=objective)
    assert found.verdict == "holds"
    assert set(found.mean) == {"theta", "phi"}

    def half(theta, phi):
        return {
            key: 0.5 * value if key == "phi" else value for key, value in named(theta, phi).items()
        }

    assert check_estimator(half, inputs, objective=objective).verdict == "refuted"
    with pytest.raises(ValueError, match=r"gradients of theta \(3,\), .*; it lacks phi"):
        check_estimator(
            lambda theta, phi: {"theta": named(theta, phi)["theta"]}, inputs, objective=objective
        )


@pytest.mark.torch
def test_what_was_made_before_is_found_along_a_direction_too(torch):
    """It does not move, and a right estimator would be refuted."""
    theta = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
    costs = torch.tensor([1.0, 3.0, 2.0], dtype=torch.float64)
    made = 1.0 * theta

    def policy(logits):
        return torch.distributions.Categorical(logits=logits)

    def right(theta):
        y = policy(theta).sample()
        return costs[y] * policy(theta).log_prob(y)

    with pytest.raises(ValueError, match=r"made from .* before it is called"):
        check_estimator(right, [theta], objective=lambda _: costs[policy(made).sample()], fast=True)
    found = check_estimator(  # what the graph lacks is seen by differences
        right,
        [theta],
        objective=lambda theta: costs[policy(theta.detach()).sample()].item(),
        fast=True,
    )
    assert found.verdict == "holds"
