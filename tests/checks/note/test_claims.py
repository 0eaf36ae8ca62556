"""Every row of the registry, in every framework that is here: the verdict is the one on record."""

import functools

import numpy as np
import pytest

from gradproof.checks.note.registry import CHECKS
from gradproof.checks.note.run_check import run_check
from gradproof.checks.note.study import Study
from gradproof.estimators import backends
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.subject import Subject
from gradproof.reference_models.batch import make_batch
from gradproof.reference_models.registry import make_model

#: Each framework but the reference has a mark of its name.
MARKS = {"torch": [pytest.mark.torch], "theano": [pytest.mark.theano]}
ROWS = [
    pytest.param(backend, name, id=f"{name}-{backend}", marks=MARKS.get(backend, []))
    for backend in backends.BACKENDS
    for name, check in CHECKS.items()
    if backend in check.backends
]

#: Cases that Hypothesis draws beside the typical one; compiling each takes Theano a second.
EXAMPLES = {"autograd": 10, "torch": 10, "theano": 4}

bench = functools.cache(lambda backend: Bench(backends.load(backend)))


def sequence_study(backend, name, seed):
    """A sequence model on three sentences of random tokens, one of them labelled."""
    rng = np.random.default_rng(seed)
    model = make_model(name, 3, 12)
    mask = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]])
    tokens = rng.integers(4, 12, mask.shape) * mask
    noise = model.noise(rng, *mask.shape)
    batch = make_batch(tokens, mask, np.array([2, -1, -1]), noise, classes=3)
    return Study(bench(backend), Subject(model, model.initial(rng), batch, name, seed % 1000))


@pytest.mark.parametrize(("backend", "name"), ROWS)
def test_the_verdict_is_the_one_on_record(backend, name, pytestconfig):
    """On drawn cases, new on every run; on a sequence model where a row has no cases."""
    check = CHECKS[name]
    seed = int(pytestconfig.option.hypothesis_seed)
    studies = []
    if check.cases is None:
        studies = [sequence_study(backend, model, seed) for model in check.models]
    found = run_check(check, bench(backend), studies, examples=EXAMPLES[backend], seed=seed)
    assert found.backend == backend
    assert found.as_expected, f"seed {seed}: {found.explain()}\n{found.counterexample}"
    assert not found.crash
    assert found.comparisons > 0
    assert bool(found.counterexample) == (check.expected == "refuted" and check.cases is not None)
