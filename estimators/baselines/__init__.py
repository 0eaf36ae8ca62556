"""Baselines, one idea a file and one row each."""

from __future__ import annotations

from .affine import Affine
from .batch_mean import BatchMean, LeaveOneOut, RunningMean
from .constant import Constant, Zero
from .expected import ExpectedReturn
from .linear import EMBEDDING, LENGTH
from .mean_loss import MeanLoss
from .mlp import MLP
from .per_token import PerToken
from .protocol import Baseline

__all__ = ["BASELINES", "Baseline"]

#: By name. ``live`` and ``batch-mean`` and ``running-mean-first`` are wrong on purpose: they are
#: common, and a check must refute them.
BASELINES: dict[str, Baseline] = {
    baseline.name: baseline
    for baseline in (
        Zero(),
        Constant(),
        PerToken(),
        MeanLoss(),
        Affine("affine-length", features=(LENGTH,)),
        Affine(),
        Affine("affine-both", features=(LENGTH, EMBEDDING)),
        MLP(),
        ExpectedReturn(),
        Affine("live", held=False),
        BatchMean(),
        LeaveOneOut(),
        RunningMean(),
        RunningMean("running-mean-first", update_first=True),
    )
}
