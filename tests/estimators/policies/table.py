"""A table of logits by the token before, and the law of its completions by NumPy alone."""

import itertools

import numpy as np

#: Logits of the next token (columns) by the last (rows); 0 ends a completion, and begins each.
LOGITS = np.array([[0.3, -0.2, 0.5], [0.1, 0.4, -0.6], [-0.5, 0.2, 0.3]])
REFERENCE = np.array([[0.9, 0.1, -0.4], [-0.3, 0.8, 0.2], [0.5, -0.7, 0.6]])
END, LONGEST = 0, 3


class Table:
    """Everything that a table's completions have, by enumeration in NumPy, complex numbers too."""

    logits, reference = LOGITS, REFERENCE
    end, longest = END, LONGEST

    def completions(self):
        """All of them, as tuples."""
        found = []
        for length in range(1, self.longest + 1):
            for row in itertools.product(range(3), repeat=length):
                ended = row[-1] == self.end or length == self.longest
                if ended and self.end not in row[:-1]:
                    found.append(row)
        return found

    def log_p(self, logits, row):
        """The logarithm of the probability of each token."""
        log_q = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return np.array([log_q[a, b] for a, b in zip((0, *row), row, strict=False)])

    def reward(self, row):
        """Of tokens, places and length."""
        return sum((place + 1.3) * token for place, token in enumerate(row)) - 0.7 * len(row) ** 2

    def gradient(self, value):
        """The gradient of a function of the logits, by complex steps: nothing cancels."""
        step, found = 1e-30, np.zeros_like(self.logits)  # its square is no number beside 1
        for place in np.ndindex(found.shape):
            moved = self.logits.astype(complex)
            moved[place] += 1j * step
            found[place] = value(moved).imag / step
        return found
