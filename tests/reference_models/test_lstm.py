"""The LSTM, one sentence, one token and one unit at a time."""

import dataclasses
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gradproof.estimators.backends.autograd_backend import AutogradOps
from gradproof.estimators.note.value_bounds import count_roundings, unit_roundoff
from gradproof.reference_models import lstm

OPS = AutogradOps()


@dataclasses.dataclass(frozen=True)
class Run:
    """Arguments of ``lstm.run``: M labels, N sentences of up to T tokens, D inputs, H units."""

    m: int
    n: int
    t: int
    d: int
    h: int
    seed: int
    conditioned: bool

    def arrays(self):
        """Parameters, inputs (N, T, D), mask (N, T) and condition (M, N, 4H), or None."""
        rng = np.random.default_rng(self.seed)
        parameters = lstm.initial(rng, "w.lstm", self.d, self.h)
        parameters["w.lstm.bias"] = parameters["w.lstm.bias"] + rng.standard_normal(4 * self.h)
        inputs = rng.standard_normal((self.n, self.t, self.d))
        mask = rng.random((self.n, self.t)) < 0.6  # with gaps: the cell shows only after one
        condition = rng.standard_normal((self.m, self.n, 4 * self.h))
        return parameters, inputs, mask.astype(float), condition if self.conditioned else None


sizes = st.integers(1, 3)
runs = st.builds(Run, sizes, sizes, st.integers(1, 4), sizes, sizes, st.integers(0, 2**32 - 1),
                 st.booleans())  # fmt: skip


def states_of(run, parameters, inputs, mask, condition):
    """All states, (M, N, T, H)."""
    return lstm.run(
        OPS, parameters, "w.lstm", inputs, mask, t=run.t, size=run.h, condition=condition
    )


def sigmoid(x):
    """The logistic function of a number."""
    return 1.0 / (1.0 + math.exp(-x))


def by_hand(run, parameters, inputs, mask, condition):
    """States (M, N, T, H) with the gates in the order input, forget, output, candidate.

    Also the largest sum of magnitudes in any gate, which is what a rounding is relative to.
    """
    into, across, bias = (parameters[f"w.lstm.{part}"] for part in ("input", "recurrent", "bias"))
    m, units = run.m if run.conditioned else 1, range(run.h)
    found, largest = np.zeros((m, run.n, run.t, run.h)), 1.0
    for label, sentence in np.ndindex(m, run.n):
        state, cell = [0.0 for _ in units], [0.0 for _ in units]
        for token in range(run.t):
            gates = []
            for column in range(4 * run.h):
                parts = [inputs[sentence, token, i] * into[i, column] for i in range(run.d)]
                parts += [state[i] * across[i, column] for i in units] + [bias[column]]
                if run.conditioned:
                    parts.append(condition[label, sentence, column])
                gates.append(math.fsum(parts))
                largest = max(largest, math.fsum(map(abs, parts)))
            if mask[sentence, token]:
                for i in units:
                    enter, forget, leave = (sigmoid(gates[gate * run.h + i]) for gate in range(3))
                    cell[i] = forget * cell[i] + enter * math.tanh(gates[3 * run.h + i])
                    state[i] = leave * math.tanh(cell[i])
            found[label, sentence, token] = state
    return found, largest


def bound(run, parameters, inputs, mask, condition, largest):
    """What the roundings of both sides come to."""

    def total(ops, parameters, inputs):
        return lstm.run(
            ops, parameters, "w.lstm", inputs, mask, t=run.t, size=run.h, condition=condition
        )

    return (
        2
        * unit_roundoff(np.float64)
        * count_roundings(total, parameters, inputs).operations
        * largest
    )


@given(run=runs)
def test_states_are_those_written_out(run):
    """Gates come in their order, each unit reads its own, and a masked token carries both on."""
    arrays = run.arrays()
    expected, largest = by_hand(run, *arrays)
    found = states_of(run, *arrays)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=bound(run, *arrays, largest))


@given(run=runs)
def test_a_masked_token_carries_the_state_over(run):
    """Where there is no token the state stays, to the last bit, whatever stands there."""
    parameters, inputs, mask, condition = run.arrays()
    found = states_of(run, parameters, inputs, mask, condition)
    before = np.concatenate([np.zeros_like(found[:, :, :1]), found[:, :, :-1]], axis=2)
    np.testing.assert_array_equal(found[:, mask == 0], before[:, mask == 0])
    other = np.where(mask[:, :, None] > 0, inputs, 7.0)
    np.testing.assert_array_equal(found, states_of(run, parameters, other, mask, condition))


@given(run=runs.filter(lambda run: run.t > 1))
def test_a_state_does_not_see_what_comes_later(run):
    """The states up to a token are those of the sentence that ends there."""
    parameters, inputs, mask, condition = run.arrays()
    whole = states_of(run, parameters, inputs, mask, condition)
    later = inputs.copy()
    later[:, -1] += 1.0
    np.testing.assert_array_equal(
        whole[:, :, :-1], states_of(run, parameters, later, mask, condition)[:, :, :-1]
    )


@given(seed=st.integers(0, 2**32 - 1))
def test_initial_parameters_open_the_forget_gate(seed):
    """Shapes are (D, 4H), (H, 4H) and (4H,), and only the forget gate begins at 1."""
    parameters = lstm.initial(np.random.default_rng(seed), "phi.lstm", 2, 3)
    assert {name: array.shape for name, array in parameters.items()} == {
        "phi.lstm.input": (2, 12),
        "phi.lstm.recurrent": (3, 12),
        "phi.lstm.bias": (12,),
    }
    np.testing.assert_array_equal(parameters["phi.lstm.bias"], np.repeat([0.0, 1.0, 0.0, 0.0], 3))
