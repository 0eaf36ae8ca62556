"""The state that an estimator is given in: a snapshot, what changed since, and putting it back."""

from .optimizer_steps import StepGradients, gradients_before_step
from .snapshot import Snapshot

__all__ = ["Snapshot", "StepGradients", "gradients_before_step"]
