"""A small decision process, and the law of its episodes by NumPy, trajectory by trajectory."""

import numpy as np

#: After each of three states and two actions; the last state ends an episode.
TRANSITIONS = np.array(
    [
        [[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]],
        [[0.1, 0.2, 0.7], [0.45, 0.35, 0.2]],
        [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]],
    ]
)
REWARDS = np.array([[[1.3, -0.4, 0.7], [0.2, 2.2, -1.1]], [[-0.6, 0.9, 1.7], [0.5, -1.4, 3.0]]])
REWARDS = np.concatenate([REWARDS, np.full((1, 2, 3), 99.0)])  # of the end: must not count
START = np.array([0.65, 0.35, 0.0])
ENDS = (2,)
HORIZON, DISCOUNT = 3, 0.8

LOGITS = np.array([[0.3, -0.5], [-0.2, 0.6], [0.9, 0.1]])
REFERENCE = np.array([[-0.4, 0.2], [0.7, 0.1], [0.0, 0.5]])

#: Logits of each step.
BY_STEP = np.stack([LOGITS, LOGITS[:, ::-1], LOGITS + REFERENCE])


def log_softmax(logits):
    """Of real or complex logits."""
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def trajectories(steps=HORIZON):
    """All of them: the probability of what the environment draws, and (state, action, reward)s."""

    def go_on(state, left):
        if not left or state in ENDS:
            yield 1.0, ()
            return
        for action in range(2):
            for after in range(3):
                likely = TRANSITIONS[state, action, after]
                reward = REWARDS[state, action, after]
                for rest, further in go_on(after, left - 1):
                    yield likely * rest, ((state, action, reward), *further)

    for state in range(3):
        for likely, steps_of in go_on(state, steps):
            yield START[state] * likely, steps_of


def mean_over(logits, value, weigh=None):
    """The mean of a function of an episode, by a policy of logits (T, S, A), or complex ones.

    Args:
        value: of the steps and the policy's log-probabilities.
        weigh: the logits that episodes are drawn by; None: the same.
    """
    log_p = log_softmax(logits)
    drawn = log_p if weigh is None else log_softmax(weigh)
    total = 0.0
    for likely, steps in trajectories():
        by_policy = sum(drawn[t, s, a] for t, (s, a, _) in enumerate(steps))
        total = total + likely * np.exp(by_policy) * value(steps, log_p)
    return total


def complex_steps(value, logits):
    """The gradient of a function of the logits, by complex steps: nothing cancels."""
    step, gradient = 1e-30, np.zeros_like(logits)  # its square is no number beside 1
    for place in np.ndindex(gradient.shape):
        moved = logits.astype(complex)
        moved[place] += 1j * step
        gradient[place] = value(moved).imag / step
    return gradient
