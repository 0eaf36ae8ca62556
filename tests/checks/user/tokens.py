"""A policy that draws tokens, each by the one before, with its exact gradient by recursion.

Its estimators are such as have more paths than can be run: V tokens to the power of T.
"""

from itertools import pairwise

import numpy as np


def softmax(logits):
    """Probabilities, by row; of complex logits too."""
    odds = np.exp(logits - logits.real.max(-1, keepdims=True))
    return odds / odds.sum(-1, keepdims=True)


class Tokens:
    """A policy of T tokens of V, whose logits are normal numbers times a sharpness.

    ``rewards[a, b]`` is for a token b after a token a.
    """

    def __init__(self, rng, length=8, tokens=3, sharpness=3.0):
        self.length, self.tokens = length, tokens
        self.logits = sharpness * rng.standard_normal((tokens + 1, tokens))
        self.rewards = rng.random((tokens, tokens))
        self._rng = np.random.default_rng()

    def expected_reward(self, logits):
        """The mean of the sum of rewards, by the distribution of each token in turn."""
        probabilities = softmax(logits)
        law, total = probabilities[self.tokens], 0.0
        for _ in range(self.length - 1):
            total = total + (law[:, None] * probabilities[: self.tokens] * self.rewards).sum()
            law = law @ probabilities[: self.tokens]
        return total

    def exact(self):
        """Its gradient, by complex steps: without cancellation, and without any draw."""
        gradient = np.zeros_like(self.logits)
        for place in np.ndindex(gradient.shape):
            moved = self.logits.astype(complex)
            moved[place] += 1e-30j  # so small that its square is no number beside one
            gradient[place] = self.expected_reward(moved).imag / 1e-30
        return gradient

    def sample(self, logits):
        """Tokens that are drawn, and their score."""
        probabilities, score = softmax(logits), np.zeros_like(logits)
        tokens, last = [], self.tokens
        for _ in range(self.length):
            y = int(self._rng.choice(self.tokens, p=probabilities[last]))
            score[last] -= probabilities[last]
            score[last, y] += 1.0
            tokens.append(y)
            last = y
        return tokens, score

    def reward(self, tokens):
        """Of tokens in a row."""
        return float(sum(self.rewards[a, b] for a, b in pairwise(tokens)))

    def reinforce(self, logits, factor=1.0):
        """The score-function estimator, times a factor."""
        tokens, score = self.sample(logits)
        return factor * self.reward(tokens) * score
