"""Moments from a sentence's rows are those of the code that training differentiates."""

import numpy as np
import pytest

from gradproof.checks.variance.draw_moments import draw_weights, exact_weights
from gradproof.checks.variance.estimator_run import cosine
from gradproof.estimators.backends import load
from gradproof.estimators.baselines.constant import Constant
from gradproof.estimators.engine.label_jacobian import label_jacobian
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.builds import surrogate
from gradproof.estimators.note.exact import reference
from gradproof.estimators.note.forms import FORMS
from gradproof.estimators.note.pairs import PairBuild, pair_inputs, renormalised
from gradproof.estimators.note.subject import Subject
from gradproof.estimators.training.training_options import TrainingOptions
from gradproof.estimators.training.unlabelled import ENUMERATION, ESTIMATORS, TWO_LABELS
from gradproof.reference_models.batch import make_batch
from gradproof.reference_models.model import one_hot
from gradproof.reference_models.seqdgm import SeqDGM

pytestmark = pytest.mark.torch

#: B of the sentence, and what rounding leaves of some thousand operations in double precision.
B, ROUNDS = 3.0, 1e-10


@pytest.fixture(name="subject")
def _subject(pytestconfig):
    rng = np.random.default_rng(int(pytestconfig.option.hypothesis_seed))
    model = SeqDGM(3, 9, width=3, hidden=4, latent=2)
    batch = make_batch(rng.integers(4, 9, (1, 4)), np.ones((1, 4)), None, model.noise(rng, 1, 4))
    return Subject(model, model.initial(rng), batch)


def estimates(row, subject, q):
    """Probability and gradient at each draw, by the code that is trained with."""
    bench, k = Bench(load("autograd")), subject.model.classes
    if row.name == ENUMERATION:
        yield 1.0, reference(subject).gradient
    elif row.name == TWO_LABELS:
        build = PairBuild(renormalised, subject.model, 1, 4, with_entropy=True)
        for first in range(k):
            for second in set(range(k)) - {first}:
                drawn = pair_inputs(np.array([[first]]), np.array([[second]]), k)
                inputs = subject.batch.arrays() | drawn
                chance = q[first] * q[second] / (1.0 - q[first])
                yield chance, bench.gradient(build, subject, inputs)
    else:
        build = surrogate(FORMS[row.form], Constant(), subject)
        for label in range(k):
            inputs = subject.inputs(one_hot(np.array([label]), k)) | {"lambda.bias": np.array(B)}
            yield q[label], bench.gradient(build, subject, inputs)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_moments_are_those_of_the_estimators_own_code(subject, name):
    """Mean and variance, draw by draw, of each row that training has."""
    row = TrainingOptions(estimator=name).row
    jacobian = label_jacobian(subject)
    drawn = draw_weights(row, jacobian.log_q, jacobian.loss, baseline=B, length=4.0)
    chances, gradients = zip(*estimates(row, subject, np.exp(jacobian.log_q)), strict=True)
    flat = np.array(
        [np.concatenate([one[key].ravel() for key in jacobian.sizes]) for one in gradients]
    )
    mean = np.array(chances) @ flat
    variance = float(np.array(chances) @ ((flat - mean) ** 2).sum(axis=1))
    scale = np.abs(flat).max()
    assert np.abs(drawn.mean() @ jacobian.rows - mean).max() <= ROUNDS * scale
    found = drawn.variance(jacobian.rows @ jacobian.rows.T)
    assert abs(found - variance) <= ROUNDS * scale**2 * flat.shape[1]
    assert (variance > 0.0) == (name != ENUMERATION)
    exact = exact_weights(jacobian.log_q, jacobian.loss) @ jacobian.rows
    biased = name in ("s1-normalised", TWO_LABELS)
    assert (np.abs(mean - exact).max() > 1e-6 * scale) == biased  # far above rounding


def test_a_label_that_is_all_but_sure_has_digits_left():
    """The second label's probability is of the others alone, where 1 - q has none."""
    log_q = np.array([0.0, -60.0, -61.0])
    drawn = draw_weights(ESTIMATORS[TWO_LABELS], log_q, np.arange(3.0), baseline=0.0, length=1.0)
    assert drawn.probability.sum() == pytest.approx(1.0)  # of some roundings
    assert np.isfinite(drawn.weights).all()


def test_a_form_that_is_not_trained_with_is_an_error():
    """Named, with those that are."""
    row = ESTIMATORS["s1"]._replace(form="pathwise")
    with pytest.raises(ValueError, match="form = 'pathwise', expected one of one-pass"):
        draw_weights(row, np.log(np.ones(2) / 2), np.ones(2), baseline=0.0, length=1.0)


def test_a_batch_has_no_rows_of_its_own(subject):
    """One sentence at a time."""
    with pytest.raises(ValueError, match="a batch of 2 sentences, expected 1"):
        label_jacobian(subject.replace(batch=subject.batch.rows([0, 0])))


def test_the_cosine_of_nothing_is_nothing():
    """NaN, and no error."""
    assert np.isnan(cosine(np.zeros(2), np.ones(2)))
    assert cosine(np.ones(2), -np.ones(2)) == pytest.approx(-1.0)  # of some roundings
