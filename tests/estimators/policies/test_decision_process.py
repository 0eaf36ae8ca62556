"""Decision processes: goals and values against all trajectories in NumPy, and what is refused."""

import numpy as np
import pytest

from .decisions import (
    BY_STEP,
    DISCOUNT,
    ENDS,
    HORIZON,
    LOGITS,
    REFERENCE,
    REWARDS,
    START,
    TRANSITIONS,
    complex_steps,
    log_softmax,
    mean_over,
    trajectories,
)

pytestmark = pytest.mark.torch

#: Sums of some hundred terms of size 1 to 10, each with a few roundings.
CLOSE = {"rtol": 0.0, "atol": 1e-12}


@pytest.fixture
def theta(torch):
    """The logits of a policy that is the same at each step."""
    return torch.tensor(LOGITS, requires_grad=True)


def process(logits, **changes):
    """The process with a policy of these logits."""
    from gradproof import policies

    options = {
        "transitions": TRANSITIONS,
        "rewards": REWARDS,
        "start": START,
        "terminal": ENDS,
        "horizon": HORIZON,
        "discount": DISCOUNT,
        "logits": logits,
    }
    return policies.tabular(**(options | changes))


def expected(steps, log_p):
    """The discounted return."""
    return sum(DISCOUNT**t * reward for t, (_, _, reward) in enumerate(steps))


def penalty(discount, log_q):
    """The discounted sum of log-ratios."""
    other = log_softmax(log_q)

    def value(steps, log_p):
        return sum(
            discount**t * (log_p[t, s, a] - other[s, a]) for t, (s, a, _) in enumerate(steps)
        )

    return value


def rows_of(discount, log_q):
    """The discounted sum of each state's divergence from other logits."""
    other = log_softmax(log_q)

    def value(steps, log_p):
        rows = (np.exp(log_p) * (log_p - other)).sum(axis=-1)
        return sum(discount**t * rows[t, s] for t, (s, _, _) in enumerate(steps))

    return value


UNIFORM = np.zeros_like(LOGITS)


def entropy(discount):
    """The discounted sum of surprise."""
    one = penalty(discount, UNIFORM)
    return lambda steps, log_p: (
        sum(discount**t for t in range(len(steps))) * np.log(2.0) - one(steps, log_p)
    )


def entropy_of_rows(discount):
    """The discounted sum of each state's entropy."""
    one = rows_of(discount, UNIFORM)
    return lambda steps, log_p: (
        sum(discount**t for t in range(len(steps))) * np.log(2.0) - one(steps, log_p)
    )


#: Goals by what makes them, what they are the mean of, and whether episodes are drawn by parameters
#: that are held.
GOALS = {
    "expected": (lambda p, q: p.expected(), expected, False),
    "kl": (lambda p, q: p.kl(q), penalty(DISCOUNT, REFERENCE), False),
    "kl-undiscounted": (lambda p, q: p.kl(q, discount=1.0), penalty(1.0, REFERENCE), False),
    "kl-of-actions": (lambda p, q: p.kl_of_actions(q), rows_of(DISCOUNT, REFERENCE), True),
    "entropy": (lambda p, q: p.entropy(), entropy(DISCOUNT), False),
    "entropy-of-actions": (
        lambda p, q: p.entropy_of_actions(discount=1.0),
        entropy_of_rows(1.0),
        True,
    ),
}


@pytest.mark.parametrize("by_step", [False, True])
@pytest.mark.parametrize("name", GOALS)
def test_a_goal_is_what_all_trajectories_give(name, by_step, torch):
    """Its value and its gradient, by a policy of each step too."""
    make, value, held = GOALS[name]
    logits = BY_STEP if by_step else LOGITS
    leaf = torch.tensor(logits, requires_grad=True)
    goal = make(process(leaf), torch.tensor(REFERENCE))

    def at(moved):
        rows = np.broadcast_to(moved, BY_STEP.shape)
        return mean_over(rows, value, np.broadcast_to(logits, BY_STEP.shape) if held else None)

    gradient = complex_steps(at, logits)
    assert np.abs(gradient).max() > 0.01  # there is something to be compared
    np.testing.assert_allclose(goal.value(), at(logits), **CLOSE)
    np.testing.assert_allclose(goal.as_reward()["gradient"], gradient, **CLOSE)
    np.testing.assert_allclose(goal.as_loss()["gradient"], -gradient, **CLOSE)


def test_the_discount_dropped_is_the_sum_of_scores_and_what_follows(theta):
    """Over all trajectories; the number is that of the return, and the gradient is another."""
    log_p = log_softmax(LOGITS)
    gradient = np.zeros_like(LOGITS)
    for likely, steps in trajectories():
        by_policy = likely * np.exp(sum(log_p[s, a] for s, a, _ in steps))
        for t, (s, a, _) in enumerate(steps):
            follows = sum(DISCOUNT**k * reward for k, (_, _, reward) in enumerate(steps[t:]))
            score = -np.exp(log_p[s])
            score[a] += 1.0
            gradient[s] += by_policy * follows * score
    one = process(theta)
    np.testing.assert_allclose(one.discount_dropped().as_reward()["gradient"], gradient, **CLOSE)
    np.testing.assert_allclose(one.discount_dropped().value(), one.expected().value(), **CLOSE)
    apart = gradient - one.expected().as_reward()["gradient"]
    assert np.abs(apart).max() > 0.01  # it is some 0.1


def test_without_a_horizon_it_is_the_limit_of_long_ones(theta, torch):
    """Also undiscounted, where each episode ends; values too."""
    long = 400  # the share that goes on from one step to the next is below 0.9
    for discount in (DISCOUNT, 1.0):
        forever, cut = (process(theta, horizon=h, discount=discount) for h in (None, long))
        for make in (
            lambda p: p.expected(),
            lambda p: p.discount_dropped(),
            lambda p: p.kl(torch.tensor(REFERENCE)),
            lambda p: p.entropy_of_actions(),
        ):
            one, other = make(forever), make(cut)
            np.testing.assert_allclose(one.value(), other.value(), **CLOSE)
            np.testing.assert_allclose(
                one.as_reward()["gradient"], other.as_reward()["gradient"], **CLOSE
            )
        values, first = forever.values(), cut.values()
        np.testing.assert_allclose(values.states, first.states[0], **CLOSE)
        np.testing.assert_allclose(values.actions, first.actions[0], **CLOSE)
        np.testing.assert_allclose(values.advantages, first.advantages[0], **CLOSE)


def test_values_are_means_of_what_follows(theta):
    """By recursion in NumPy; nothing follows the end, or the last step."""
    p = np.exp(log_softmax(LOGITS))

    def follows(t, s):
        if t == HORIZON or s in ENDS:
            return 0.0
        return p[s] @ [acted(t, s, a) for a in range(2)]

    def acted(t, s, a):
        after = [REWARDS[s, a, n] + DISCOUNT * follows(t + 1, n) for n in range(3)]
        return TRANSITIONS[s, a] @ after

    values = process(theta).values()
    for t, s in np.ndindex(HORIZON + 1, 3):
        np.testing.assert_allclose(values.states[t, s], follows(t, s), **CLOSE)
    for t, s, a in np.ndindex(HORIZON, 2, 2):
        np.testing.assert_allclose(values.actions[t, s, a], acted(t, s, a), **CLOSE)
        off = values.advantages[t, s, a] - (acted(t, s, a) - follows(t, s))
        np.testing.assert_allclose(off, 0.0, **CLOSE)


def test_probabilities_are_divided_by_their_sum(torch):
    """With its derivative, as PyTorch's distributions divide them."""
    numbers = np.array([[0.8, 0.4], [0.3, 0.9], [1.0, 1.0]])
    given = torch.tensor(numbers, requires_grad=True)
    goal = process(None, probabilities=given).expected()

    def at(moved):
        return mean_over(np.broadcast_to(np.log(moved), BY_STEP.shape), expected)

    np.testing.assert_allclose(goal.value(), at(numbers), **CLOSE)
    np.testing.assert_allclose(goal.as_reward()["gradient"], complex_steps(at, numbers), **CLOSE)


def test_an_action_that_cannot_come_adds_nothing(torch):
    """Neither to a divergence nor to its gradient, by logits or by probabilities."""
    leaf = torch.tensor([[0.4, 0.7], [0.2, -0.3], [0.1, 0.2]], dtype=torch.float64)
    leaf.requires_grad_()
    never = torch.tensor([[True, False], [False, False], [False, False]])
    reference = torch.tensor(REFERENCE).masked_fill(never, -torch.inf)
    by_logits = process(lambda: leaf.masked_fill(never, -torch.inf), parameters=leaf)
    by_numbers = process(
        None,
        probabilities=lambda: leaf.exp().masked_fill(never, 0.0),
        parameters=leaf,
    )
    for make in (lambda p: p.expected() - 0.3 * p.kl(reference), lambda p: p.entropy()):
        one, other = make(by_logits), make(by_numbers)
        assert np.isfinite(one.value())
        np.testing.assert_allclose(one.value(), other.value(), **CLOSE)
        gradient = one.as_reward()["gradient"]
        assert np.isfinite(gradient).all()
        np.testing.assert_allclose(gradient, other.as_reward()["gradient"], **CLOSE)


def test_a_start_is_a_state_or_their_probabilities(theta):
    """A mean over starts is the mean of their goals."""
    alone = [process(theta, start=state).expected() for state in (0, 1)]
    both = process(theta).expected()
    mean = sum(START[state] * goal.value() for state, goal in enumerate(alone))
    np.testing.assert_allclose(both.value(), mean, **CLOSE)


def test_rewards_by_state_and_action_are_means(theta):
    """Over the state after."""
    means = (TRANSITIONS * REWARDS).sum(axis=2)
    one, other = process(theta).expected(), process(theta, rewards=means).expected()
    np.testing.assert_allclose(one.as_reward()["gradient"], other.as_reward()["gradient"], **CLOSE)


def test_a_module_names_its_parameters(torch):
    """A network of observations; what is asked for later is by the parameters of then."""
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 2).double()
    observations = torch.tensor([[1.0, 0.2], [-0.4, 0.7], [0.0, 0.0]], dtype=torch.float64)
    one = process(lambda: model(observations), parameters=model)
    before = one.expected().value()
    assert set(one.expected().as_loss()) == {"weight", "bias"}
    with torch.no_grad():
        model.weight[0].add_(1.0)
    assert abs(one.expected().value() - before) > 0.01  # it is some 0.3
    assert repr(one).startswith("<decision process of 3 states and 2 actions, up to 3 steps")


def loop(theta, kind, values):
    """The gradient of an episode that is drawn as anybody would draw it."""
    import torch

    law, rewards = torch.tensor(TRANSITIONS), torch.tensor(REWARDS)

    def draw(p):
        return int(torch.distributions.Categorical(p).sample())

    state, scores, states, earned = draw(torch.tensor(START)), [], [], []
    while state not in ENDS and len(scores) < HORIZON:
        policy = torch.distributions.Categorical(logits=theta[state])
        action = policy.sample()
        after = draw(law[state, action])
        scores.append(policy.log_prob(action))
        states.append((state, action, after))
        earned.append(rewards[state, action, after])
        state = after
    total = 0.0
    for t, score in enumerate(scores):
        here, action, after = states[t]
        weight = sum(DISCOUNT**k * reward for k, reward in enumerate(earned[t:]))
        if kind == "critic":
            weight = earned[t] + DISCOUNT * values.states[t + 1, after] - values.states[t, here]
        if kind == "late":
            weight = earned[t] + DISCOUNT * values.states[t, after] - values.states[t, here]
        if kind == "all-actions":
            score = (
                torch.distributions.Categorical(logits=theta[here]).probs
                @ (values.actions[t, here])
            )
            weight = 1.0
        total = total + (1.0 if kind == "dropped" else DISCOUNT**t) * weight * score
    return total


@pytest.mark.parametrize(
    ("kind", "goal", "verdict"),
    [
        ("to-go", "expected", "holds"),
        ("critic", "expected", "holds"),
        ("all-actions", "expected", "holds"),
        ("dropped", "discount_dropped", "holds"),
        ("dropped", "expected", "refuted"),
        ("to-go", "discount_dropped", "refuted"),
        ("late", "expected", "refuted"),
    ],
)
def test_a_loop_of_episodes_is_checked_against_a_goal(kind, goal, verdict, theta):
    """Right ones hold for their own goal, and are refuted for the other."""
    from gradproof import check_estimator

    one = process(theta)
    exact = getattr(one, goal)().as_reward()
    values = one.values()
    report = check_estimator(lambda theta: loop(theta, kind, values), [theta], exact=exact)
    assert report.verdict == verdict, report.explain()


def soft(p):
    """Sums of rows that are off by what single precision leaves."""
    return np.asarray(p, np.float32).astype(np.float64)


ENDLESS = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]])
SLOW = np.array([[[1.0 - 1e-12, 1e-12]] * 2, [[0.0, 1.0]] * 2])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transitions": TRANSITIONS[:2]}, r"shape \(2, 2, 3\), expected \(S, A, S\)"),
        ({"transitions": 0.9 * TRANSITIONS}, "from state 0 by action 0 .* sum 0.9"),
        ({"transitions": soft(TRANSITIONS)}, "expected probabilities that add up to 1"),
        ({"rewards": REWARDS[:, :1]}, r"rewards have shape \(3, 1, 3\), expected \(3, 2\)"),
        ({"rewards": np.full((3, 2), np.nan)}, r"rewards have nan at \(0, 0\), expected finite"),
        ({"start": 3}, "start = 3, expected a state from 0 to 2"),
        ({"start": [0.5, 0.4, 0.0]}, "3 probabilities that add up to 1"),
        ({"start": 2}, "begins in a terminal state"),
        ({"terminal": [5]}, "terminal has 5, expected a state from 0 to 2"),
        ({"terminal": [0.5]}, "expected numbers of states"),
        ({"terminal": 2}, "terminal = 2, expected numbers of states"),
        ({"terminal": [False, False, True]}, "expected numbers of states"),
        ({"horizon": 0}, "horizon = 0, expected a whole number"),
        ({"discount": 1.5}, "discount = 1.5, expected a number from 0 to 1"),
    ],
)
def test_tables_that_do_not_fit_are_refused(changes, message, theta):
    """Each by its value, with what was expected."""
    with pytest.raises(ValueError, match=message):
        process(theta, **changes)


def test_a_policy_that_does_not_fit_is_refused(theta, torch):
    """By its shape, its numbers, or what it is computed of."""
    with pytest.raises(TypeError, match="either logits= or probabilities="):
        process(theta, probabilities=theta)
    with pytest.raises(TypeError, match="pass parameters="):
        process(lambda: theta)
    with pytest.raises(TypeError, match="the logits that are returned are 3"):
        process(lambda: 3, parameters=theta)
    with pytest.raises(ValueError, match=r"shape \(2, 3\), expected \(3, 2\).*\(3, 3, 2\)"):
        process(lambda: theta.T, parameters=theta)
    with pytest.raises(ValueError, match=r"of action 1 in state 0, expected a number"):
        process(lambda: theta / torch.tensor([1.0, 0.0]) * 0.0, parameters=theta).law()
    with pytest.raises(ValueError, match="no action can come in state 0"):
        process(lambda: theta - torch.inf, parameters=theta)
    with pytest.raises(ValueError, match=r"one of the probabilities is -0.5"):
        process(None, probabilities=theta)
    with pytest.raises(ValueError, match=r"call eval\(\) on the module"):
        process(lambda: torch.nn.functional.dropout(theta), parameters=theta)
    state = torch.random.get_rng_state()
    with pytest.raises(ValueError, match="drawn"):
        process(lambda: theta + 0.0 * torch.rand(3, 2), parameters=theta)
    assert torch.equal(state, torch.random.get_rng_state())
    with pytest.raises(ValueError, match="gives action 1 in state 0 no probability"):
        process(theta).kl(torch.tensor(REFERENCE) + torch.tensor([0.0, -torch.inf])).value()


def test_an_episode_without_an_end_is_refused_where_it_counts(theta, torch):
    """By the state that it cannot leave; and where an end is too far to be computed."""
    leaf = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
    small = {"rewards": np.ones((2, 2)), "start": 0, "horizon": None, "discount": 1.0}
    for terminal, transitions in (((), ENDLESS), ((1,), np.eye(2)[[[0, 0], [1, 1]]])):
        one = process(leaf, transitions=transitions, terminal=terminal, **small)
        with pytest.raises(ValueError, match="what follows in state 0 is infinite"):
            one.expected().value()
    one = process(leaf, transitions=ENDLESS, terminal=(1,), **small)
    np.testing.assert_allclose(one.expected().value(), 2.0, **CLOSE)  # half ends each time
    with pytest.raises(ValueError, match="cannot be computed to 1e-08"):
        process(leaf, transitions=SLOW, terminal=(1,), **small).values()
    endless = process(leaf, transitions=ENDLESS, terminal=(), **(small | {"discount": 0.5}))
    np.testing.assert_allclose(endless.expected().value(), 2.0, **CLOSE)
    with pytest.raises(ValueError, match=r"discount of 1 .* infinite"):
        endless.discount_dropped().value()  # states count for ever


def test_goals_of_a_process_are_no_goals_of_completions(theta):
    """Two policies' goals do not add up."""
    with pytest.raises(ValueError, match="two goals of different policies"):
        process(theta).expected() + process(theta).entropy()
