"""What is hard to see: two bugs that no check saw once, and one that none sees.

Whoever reads a verdict should know of the last: it is outside what enumeration can see, and needs
draws of the sampler's own.
"""

import dataclasses

import numpy as np
import pytest

from gradproof.checks.evidence import REFUTED
from gradproof.checks.note.registry import CHECKS
from gradproof.estimators.baselines.batch_mean import BatchMean
from gradproof.reference_models.seqdgm_a import SeqDGMA

from .plant import held_checks, kinds_of


class SameNoiseTwice(SeqDGMA):
    """L draws another a than the classifier, from the same noise read backwards."""

    def loss(self, ops, parameters, batch, labels):
        """With the noise reversed."""
        noise = {**batch.noise, "eps_a": batch.noise["eps_a"][:, ::-1]}
        return super().loss(ops, parameters, dataclasses.replace(batch, noise=noise), labels)


@dataclasses.dataclass(frozen=True)
class SecretlyCoupled(BatchMean):
    """A batch mean that says it couples nothing, so that it is enumerated a sentence at a time."""

    coupled: bool = False

    def value(self, seen):
        """Nothing for a sentence alone."""
        if seen.batch.n == 1:
            return seen.ops.zeros_like(seen.loss)
        return super().value(seen)


HARD = {
    "another a from the same noise": lambda scene: scene.model(SameNoiseTwice),
    "a coupled baseline that denies it": lambda scene: [
        scene.baseline(name, SecretlyCoupled(name)) for name in ("constant", "affine-embedding")
    ],
}
SUBJECTS = {"another a from the same noise": "seqdgm-a"}


@pytest.mark.parametrize("name", HARD)
def test_some_check_sees_it(scene, name):
    """One check at least should refute it."""
    HARD[name](scene)
    subject = SUBJECTS.get(name, "typical")
    checks = [check for check in held_checks() if subject in kinds_of(check)]
    found = [scene.run(check, subject) for check in checks if not check.startswith("kl.")]
    assert len(found) > 10
    assert any(one.verdict == REFUTED for one in found), [one.id for one in found if one.crash]


@pytest.mark.theano
@pytest.mark.xfail(
    reason="enumeration weighs draws by q, whoever draws them", raises=AssertionError
)
def test_some_check_sees_a_sampler_that_does_not_draw_from_q(scene_of):
    """A label drawn uniformly in place of from q."""
    scene = scene_of("theano")

    def uniform(ops, log_q, seed):
        return ops.sample_one_hot(0.0 * log_q + np.log(1.0 / 3.0), seed)

    scene.framework(ops={"sample_one_hot": uniform})
    assert CHECKS["constant.theano/label-held"].models
    assert scene.run("constant.theano/label-held", "seqdgm").verdict == REFUTED
