"""Records that figures are drawn of: small, and with a number of its own in each place."""

import numpy as np
import pytest

from gradproof.checks.variance.records import BaselineVariance, Stage, Training

#: The share of the removable variance that each baseline removes; none and best are always there.
SHARES = {"none": 0.0, "constant": 0.5, "mlp": 0.8, "best": 1.0}


@pytest.fixture
def stage():
    """Makes a stage: a step and, by baseline, the share that is removed."""

    def make(step, shares=None, scale=1.0):
        rows = [
            BaselineVariance(
                name, "none", {"e": scale * (20.0 - index), "w": scale, "phi": 0.0}, share
            )
            for index, (name, share) in enumerate((shares or SHARES).items())
        ]
        return Stage("seqdgm", "names-8", step, 4, 8, tuple(rows))

    return make


@pytest.fixture
def training(stage):
    """A run that was looked at four times, and measured at three stages."""
    return Training(
        model="seqdgm",
        data="names-8",
        source="faker 1.0",
        fingerprint="0123456789abcdef",
        estimator="sampled",
        baseline="constant",
        seed=1,
        steps=np.array([0, 10, 20, 40]),
        seconds=np.array([0.0, 1.0, 2.0, 4.0]),
        loss=np.array([9.0, 8.0, 7.0, 6.5]),
        accuracy=np.array([0.1, 0.4, 0.5, 0.7]),
        stages=(stage(0, scale=100.0), stage(20, scale=10.0), stage(40)),
    )
