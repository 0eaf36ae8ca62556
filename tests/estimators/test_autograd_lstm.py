"""An LSTM layer as one operation of autograd, beside the same written step by step."""

import autograd
import numpy as np
import pytest
from autograd import make_vjp
from autograd.core import VJPNode, primitive_vjps

from gradproof.checks.evidence import HOLDS, REFUTED
from gradproof.checks.note.registry import CHECKS
from gradproof.checks.note.run_check import run_check
from gradproof.checks.note.study import Study
from gradproof.estimators.backends import autograd_lstm, load
from gradproof.estimators.backends.autograd_backend import AutogradOps, LayerOps
from gradproof.estimators.note.bench import Bench
from gradproof.reference_models import lstm

from ..meta.plant import small

#: What a derivative can be wrong in: a gate, or the recurrent matrix.
PARTS = {"enter": 0, "forget": 1, "leave": 2, "candidate": 3, "recurrent": None}


def layer(ops, parameters):
    """States of a layer of two units over two sentences of three tokens."""
    inputs = np.arange(12.0).reshape(2, 3, 2) / 12.0
    mask = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]])
    return lstm.run(ops, parameters, "w.lstm", inputs, mask, t=3, size=2)


def test_a_layer_is_one_operation(monkeypatch):
    """What is saved is the tracing of every token's operations."""
    made, create = [], VJPNode.__init__

    def count(node, *arguments):
        made.append(node)
        create(node, *arguments)

    monkeypatch.setattr(VJPNode, "__init__", count)
    counts = {}
    for ops in (LayerOps(), AutogradOps()):
        made.clear()
        make_vjp(lambda parameters, ops=ops: layer(ops, parameters))(
            lstm.initial(np.random.default_rng(0), "w.lstm", 2, 2)
        )
        counts[type(ops)] = len(made)
    assert counts[LayerOps] < counts[AutogradOps] / 5


def test_a_step_of_other_ops_is_run_as_it_is(monkeypatch):
    """A model that changes what a step computes with gets its own step, not the layer."""

    def refuse(*_):
        raise AssertionError("the layer was run in the place of another step")

    monkeypatch.setattr("gradproof.estimators.backends.autograd_backend.lstm_states", refuse)
    ops, gates = LayerOps(), np.ones((1, 2, 3, 8))
    for step in (lstm.LSTMStep(AutogradOps(), 2), lambda *given: lstm.LSTMStep(ops, 2)(*given)):
        zeros = np.zeros((1, 2, 2))
        arguments = [gates, np.ones((1, 2, 3, 1))], [zeros, zeros], [np.ones((2, 8))]
        assert ops.scan(step, *arguments, axis=2, count=3).shape == (1, 2, 3, 2)


def test_a_mask_cannot_be_differentiated_by():
    """Its derivative would be zero in silence."""
    parameters = lstm.initial(np.random.default_rng(0), "w.lstm", 2, 2)

    def total(mask):
        inputs = np.ones((2, 3, 2))
        return lstm.run(LayerOps(), parameters, "w.lstm", inputs, mask, t=3, size=2).sum()

    with pytest.raises(NotImplementedError, match="not by a mask or by the state"):
        autograd.grad(total)(np.ones((2, 3)))


@pytest.mark.parametrize("part", PARTS)
def test_a_wrong_derivative_is_refuted(monkeypatch, pytestconfig, part):
    """By a millionth, in one gate or in the recurrent matrix, against complex steps."""
    rng = np.random.default_rng(int(pytestconfig.option.hypothesis_seed))
    subject, check = small("seqdgm", rng), CHECKS["objective.u/derivative"]

    def evidence():
        bench = Bench(load("autograd"))
        return run_check(check, bench, [Study(bench, subject)], examples=0, seed=0)

    assert evidence().verdict == HOLDS

    def wrong(argnums, ans, args, kwargs):
        pull = autograd_lstm._back(argnums, ans, args, kwargs)

        def pulled(slope):
            slopes = dict(zip(argnums, pull(slope), strict=True))
            if PARTS[part] is None:
                slopes[1] = slopes[1] * (1.0 + 1e-6)
            else:
                size, first = slopes[0].shape[-1] // 4, PARTS[part]
                slopes[0][..., first * size : (first + 1) * size] *= 1.0 + 1e-6
            return tuple(slopes[number] for number in argnums)

        return pulled

    monkeypatch.setitem(primitive_vjps, autograd_lstm.lstm_states, wrong)
    refuted = evidence()
    assert (refuted.verdict, refuted.crash) == (REFUTED, ""), refuted.explain()
