"""What is Theano's own: graphs that are cut, flags, compilers, a generator in the graph."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from gradproof.estimators.backends import load

pytestmark = pytest.mark.theano


def run_python(program, tmp_path, **environment):
    """Run a program in an interpreter of its own, and read the JSON that it prints last.

    Without the flags that this process was given or has set; None takes a variable away.
    """
    changes = {"HOME": str(tmp_path), "THEANO_FLAGS": None, **environment}
    known = {name: value for name, value in os.environ.items() if name not in changes}
    known |= {name: value for name, value in changes.items() if value is not None}
    done = subprocess.run(
        [sys.executable, "-c", program], env=known, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_holding_what_a_parameter_needs_is_an_error():
    """A parameter that holding cuts off from the cost is an error, and no silent zero."""

    def cut(ops, p, _):
        return ops.sum(ops.stop_gradient(ops.square(p["y"])) * p["x"])

    parameters = {"x": np.ones(2), "y": np.ones(2)}
    backend = load("theano")
    with pytest.raises(backend.theano.gradient.DisconnectedInputError):
        backend.differentiate(cut, parameters, {}, ("x", "y"))
    found = backend.differentiate(cut, parameters, {}, ("x",))(parameters, {})
    np.testing.assert_array_equal(found["x"], np.ones(2))


def second_derivative(states, entire):
    """d/dw of the sum of d/dw of a squared cost, in Theano.

    Args:
        states: the states of a recurrence, from x (T, N), the first state and w (N,).
        entire: the cost is the sum of all states, and not of the last.
    """
    theano = load("theano").theano
    w, x = theano.tensor.vector("w"), theano.tensor.matrix("x")
    found = states(theano, x, theano.tensor.zeros_like(w), w)
    cost = sum(state.sum() for state in (found if entire else found[-1:])) ** 2
    slope = theano.grad(theano.grad(cost, w).sum(), w)
    rng = np.random.default_rng()
    return lambda at, of: theano.function([w, x], slope)(at, of), rng


def recurrence(theano, x, state, w):
    """Four steps of tanh(w h + x), written out."""
    states = []
    for step in range(4):
        state = theano.tensor.tanh(w * state + x[step])
        states.append(state)
    return states


def scanned(theano, x, state, w):
    """The same by scan."""
    states, _ = theano.scan(
        lambda x, state, w: theano.tensor.tanh(w * state + x),
        sequences=[x],
        outputs_info=[state],
        non_sequences=[w],
        strict=True,
    )
    return [states[step] for step in range(4)]


@pytest.mark.parametrize("entire", [False, True])
def test_theano_differentiates_a_scan_twice_only_by_its_last_state(entire):
    """Why second derivatives here have their steps written out: the fault is Theano's."""
    right, rng = second_derivative(recurrence, entire)
    by_scan, _ = second_derivative(scanned, entire)
    w, x = rng.uniform(0.2, 1.0, 2), rng.uniform(0.2, 1.0, (4, 2))
    # Rounding of some dozens of operations on numbers of size one.
    same = np.allclose(by_scan(w, x), right(w, x), rtol=1e-10, atol=1e-10)
    assert same != entire


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_number_has_the_precision_of_the_parameters(dtype):
    """A number that float32 does not hold makes float64 of nothing; the setting is put back."""
    backend = load("theano")
    numbers = backend.theano.scalar.autocast_float
    before = numbers.dtypes
    x = np.ones(2, dtype)
    values = backend.evaluate(lambda ops, p, _: {"y": p["x"] + 0.1}, {"x": x}, {})
    assert values({"x": x}, {})["y"].dtype.name == dtype
    np.testing.assert_array_equal(values({"x": x}, {})["y"], x + x.dtype.type(0.1))
    assert numbers.dtypes == before


GRADIENT = """
import json, numpy as np
from gradproof.estimators.backends import load
backend = load("theano")
parameters = {"x": np.array([[0.5, -1.0], [2.0, 0.25]])}
def build(ops, p, i):
    rows = ops.take(p["x"], i["r"])
    return ops.sum(ops.logsumexp(ops.dot(rows, p["x"]), axis=-1)) + ops.sum(ops.sigmoid(p["x"]))
inputs = {"r": np.array([1, 0, 1])}
found = backend.differentiate(build, parameters, inputs, ("x",))(parameters, inputs)
expected = load("autograd").differentiate(build, parameters, inputs, ("x",))(parameters, inputs)
import theano
print(json.dumps([
    theano.config.cxx, theano.config.mode, theano.config.floatX,
    float(np.abs(found["x"] - expected["x"]).max()),
]))
"""

#: Twenty roundings of numbers up to 20; the gradient has fewer, of smaller ones.
CLOSE = 20 * 20 * np.finfo(float).eps


def test_no_compiler_is_needed(tmp_path):
    """Where there is no C compiler Theano still differentiates, with the flags that are set."""
    (tmp_path / "bin").mkdir()
    cxx, mode, _, error = run_python(GRADIENT, tmp_path, PATH=str(tmp_path / "bin"))
    assert (cxx, mode) == ("", "FAST_COMPILE")
    assert error <= CLOSE


def test_a_compiler_that_is_there_is_left_alone(tmp_path):
    """The flags that are set ask for no compiler even where there is one: it would take minutes."""
    cxx, mode, _, error = run_python(GRADIENT, tmp_path)
    assert (cxx, mode) == ("", "FAST_COMPILE")
    assert error <= CLOSE


def test_flags_of_the_user_stay(tmp_path):
    """Who sets THEANO_FLAGS gets those flags, and none of ours."""
    flags = "blas.ldflags=,cxx=,mode=FAST_RUN,floatX=float32"
    cxx, mode, width, error = run_python(GRADIENT, tmp_path, THEANO_FLAGS=flags)
    assert (cxx, mode, width) == ("", "FAST_RUN", "float32")
    assert error <= CLOSE  # the arrays are float64 all the same


LOAD = """
import json
from gradproof.estimators.backends import BackendMissing, load
try:
    load("theano")
    print(json.dumps(""))
except BackendMissing as error:
    print(json.dumps(str(error)))
"""

ADVICE = "unset THEANO_FLAGS, or put blas.ldflags=,cxx= in it"


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ("cxx=", "has no attribute 'blas_opt_info'"),  # Theano asks NumPy for a BLAS
        ("blas.ldflags=,cxx=/no/such/g++", "No such file or directory: '/no/such/g++'"),
        ("blas.ldflags=,cxx=,mode=FASTEST", "Expected one of those string"),
    ],
)
def test_flags_that_theano_fails_with_are_named(tmp_path, flags, reason):
    """With what went wrong, and with advice that mends it."""
    message = run_python(LOAD, tmp_path, THEANO_FLAGS=flags)
    assert f"THEANO_FLAGS={flags}: " in message
    assert reason in message
    assert ADVICE in message


@pytest.mark.parametrize("flags", [None, "blas.ldflags=,cxx=", "floatX=float32,blas.ldflags=,cxx="])
def test_the_advice_on_flags_is_right(tmp_path, flags):
    """Without flags, and with those that the advice names, Theano can be imported."""
    assert run_python(LOAD, tmp_path, THEANO_FLAGS=flags) == ""


def test_labels_are_drawn_from_q():
    """A label drawn in the graph is one-hot, and comes as often as q says."""
    q = np.array([0.5, 0.3, 0.15, 0.05])
    n = 4000
    log_q = np.log(np.tile(q, (n, 1)))

    def build(ops, p, _):
        return {"draw": ops.sample_one_hot(p["log_q"], 11)}

    backend = load("theano")
    function = backend.evaluate(build, {"log_q": log_q}, {})
    draw = function({"log_q": log_q}, {})["draw"]
    assert draw.shape == (n, 4)
    np.testing.assert_array_equal(np.sort(draw, axis=1), np.tile([0.0, 0.0, 0.0, 1.0], (n, 1)))
    # Six standard errors; the seed is fixed because Theano's generator is, so this cannot flicker.
    assert (np.abs(draw.mean(axis=0) - q) <= 6 * np.sqrt(q * (1 - q) / n)).all()
    assert (function({"log_q": log_q}, {})["draw"] != draw).any()


COMPILED = """
import json, numpy as np
from gradproof.estimators.backends import load
from gradproof.estimators.baselines import BASELINES
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.builds import surrogate
from gradproof.estimators.note.exact import reference
from gradproof.estimators.note.forms import FORMS
from gradproof.estimators.note.subject import Subject
from gradproof.reference_models.batch import make_batch
from gradproof.reference_models.seqdgm import SeqDGM

rng = np.random.default_rng(5)
model = SeqDGM(classes=2, vocabulary=5, width=2, hidden=2, latent=1)
batch = make_batch(np.array([[4, 3]]), np.ones((1, 2)), noise=model.noise(rng, 1, 2))
subject = Subject(model, model.initial(rng), batch)
known = reference(subject)
build = surrogate(FORMS["one-pass"], BASELINES["none"], subject)
inputs = subject.inputs(np.array([[0.0, 1.0]])) | {"lambda.bias": np.array(0.0)}
found = Bench(load("theano")).gradient(build, subject, inputs)
expected = Bench(load("autograd")).gradient(build, subject, inputs)
shares = [float(np.abs(found[n] - expected[n]).max() / known.bound(n)) for n in expected]
import theano
print(json.dumps([theano.config.cxx, theano.config.mode, shares]))
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++ to compile with")
def test_compiled_code_gives_the_same_gradient(tmp_path):
    """Theano's C code, which verification does without, agrees with autograd on SeqDGM."""
    flags = f"blas.ldflags=,base_compiledir={tmp_path / 'compiled'}"
    cxx, mode, shares = run_python(COMPILED, tmp_path, THEANO_FLAGS=flags)
    assert cxx != ""
    assert mode == "Mode"
    assert len(shares) > 10
    assert max(shares) <= 1.0
    assert list((tmp_path / "compiled").rglob("*.so"))
