"""What comparisons of baselines and training runs are known by: written, read and drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np


@dataclasses.dataclass(frozen=True)
class BaselineVariance:
    """The exact variance of the gradient with one baseline.

    ``variances`` by parameter group, each summed over its parameters and the sentences. ``share``
    of the removable variance that is removed: 1 for the best B of each sentence, 0 for none,
    negative where it does harm; NaN where no baseline could remove any. ``fit`` is how lambda was
    found. ``helped``, the share of the sentences whose variance B lowers, which are those where it
    lies strictly between 0 and 2 E[R |s|^2 + s.d] / E[|s|^2]; None where B is not one number for
    each sentence.
    """

    baseline: str
    fit: str
    variances: Mapping[str, float]
    share: float
    helped: float | None = None

    @property
    def total(self) -> float:
        """All groups together."""
        return sum(self.variances.values())


@dataclasses.dataclass(frozen=True)
class Stage:
    """Every baseline at one set of parameters, fitted on some sentences and measured on others.

    ``step`` is how far the parameters were trained; ``sentences`` how many were measured on,
    ``classes`` is K. The rows ``none`` and ``best`` (one B for each sentence, the best there is)
    are always among ``rows``: what the latter leaves, no baseline of a sentence removes.
    ``analytic`` has the same rows where the entropy is differentiated instead of being part of the
    score term. They are of the same gradient, so variances may be compared across; each share is of
    what baselines can remove from its own form.
    """

    model: str
    data: str
    step: int
    sentences: int
    classes: int
    rows: tuple[BaselineVariance, ...]
    analytic: tuple[BaselineVariance, ...] = ()


@dataclasses.dataclass(frozen=True)
class Training:
    """A training run: losses, accuracies, and the variance at chosen steps.

    ``data`` is the corpus by name, ``source`` where its texts were read from, with the version if a
    package brought them, and ``fingerprint`` the checksum of the texts.

    Shape: ``steps``, ``seconds`` (of the run so far), ``loss`` (C of the batch, or its estimate)
    and ``accuracy`` (on held-out sentences) have one entry for each time it was looked at.
    """

    model: str
    data: str
    source: str
    fingerprint: str
    estimator: str
    baseline: str
    seed: int
    steps: np.ndarray
    seconds: np.ndarray
    loss: np.ndarray
    accuracy: np.ndarray
    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        """Refuse columns of several lengths.

        Raises:
            ValueError: if there are.
        """
        columns = ("steps", "seconds", "loss", "accuracy")
        lengths = {name: len(getattr(self, name)) for name in columns}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns of a training record have lengths {lengths}, expected one")


@dataclasses.dataclass(frozen=True)
class Scaling:
    """What a gradient costs, and how much it varies, as the number of labels K grows.

    Everything was timed on one machine, in one run, on ``sentences`` sentences, with a model of
    about ``parameters`` parameters; ``machine`` says in a few words what it was timed on.

    Shape:
        (M,), one entry for each K in ``classes``; NaN where nothing was measured. In seconds:
        ``enumerated``, one gradient of U with every label; ``total``, the variance for any
        baseline; ``per_parameter``, the variance of each parameter; ``sampled``, one step with one
        label drawn for each sentence; ``others``, by name, what else was timed, of which
        ``extrapolated`` was timed on a part. ``variances`` by baseline, summed over all parameters
        and sentences.
    """

    model: str
    machine: str
    sentences: int
    parameters: int
    classes: np.ndarray
    enumerated: np.ndarray
    total: np.ndarray
    per_parameter: np.ndarray
    sampled: np.ndarray
    variances: Mapping[str, np.ndarray]
    others: Mapping[str, np.ndarray]
    extrapolated: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse columns that have not one number for each K.

        Raises:
            ValueError: if there are, or K is no whole number.
        """
        if self.classes.dtype.kind != "i" or not self.classes.size:
            raise ValueError(f"classes of a Scaling are {self.classes}, expected numbers of labels")
        names = ("enumerated", "total", "per_parameter", "sampled")
        columns = {name: getattr(self, name) for name in names}
        columns |= {**self.variances, **self.others}
        for name, column in columns.items():
            if column.shape != self.classes.shape:
                raise ValueError(
                    f"{name} of a Scaling has shape {column.shape}, expected one number for each "
                    f"of {self.classes.size} K"
                )


@dataclasses.dataclass(frozen=True)
class WayCost:
    """What one way of finding a gradient costs as the number of paths grows.

    ``gives`` says in words what it finds; ``as_it_is`` whether it runs the estimator's own code, or
    a model that was written for it.

    Shape: (M,): ``paths`` of the estimator; ``seconds`` of processor time for all of them;
    ``error``, the largest difference from the exact gradient, as a share of its largest entry, NaN
    for a way that gives no mean.
    """

    name: str
    gives: str
    as_it_is: bool
    paths: np.ndarray
    seconds: np.ndarray
    error: np.ndarray

    def __post_init__(self) -> None:
        """Refuse columns of several lengths.

        Raises:
            ValueError: if there are, or nothing was measured.
        """
        lengths = {name: len(getattr(self, name)) for name in ("paths", "seconds", "error")}
        if len(set(lengths.values())) > 1 or not self.paths.size:
            raise ValueError(f"columns of {self.name} have lengths {lengths}, expected one above 0")


@dataclasses.dataclass(frozen=True)
class EnumerationCost:
    """Ways of finding a gradient side by side, measured in one run.

    The first of ``ways`` is the bare code, called once for each path: what the others are compared
    with. ``subject`` says what they were measured on, ``machine`` what they ran on, ``left_out``
    what was not installed.
    """

    subject: str
    machine: str
    ways: tuple[WayCost, ...]
    left_out: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse a record with nothing to compare.

        Raises:
            ValueError: if there are fewer than two ways, or the first lacks a number of paths.
        """
        if len(self.ways) < 2:
            raise ValueError(f"an EnumerationCost has {len(self.ways)} ways, expected two or more")
        missing = set().union(*(way.paths.tolist() for way in self.ways))
        missing -= set(self.ways[0].paths.tolist())
        if missing:
            raise ValueError(f"{self.ways[0].name} was not measured at {sorted(missing)} paths")

    def ratios(self, way: WayCost) -> np.ndarray:
        """Its seconds over those of the bare code, at each number of paths it was measured at."""
        bare = dict(zip(self.ways[0].paths.tolist(), self.ways[0].seconds, strict=True))
        return way.seconds / np.array([bare[paths] for paths in way.paths.tolist()])


@dataclasses.dataclass(frozen=True)
class EstimatorStage:
    """The exact moments of an estimator of U's gradient at one point of its training.

    ``variance`` over the labels drawn, summed over parameters and sentences; ``without`` is that of
    one label with no baseline at the same parameters, and ``signal`` the squared norm of the
    gradient itself. ``cosine`` is between the estimator's mean and the gradient, 1 if it is
    unbiased, and ``cosine_w`` the same for the classifier's parameters alone.
    """

    step: int
    variance: float
    without: float
    signal: float
    cosine: float
    cosine_w: float


@dataclasses.dataclass(frozen=True)
class EstimatorRun:
    """Training with one estimator for some seconds.

    ``estimator`` and ``baseline`` as the command line has them; ``classes`` is K.

    Shape: ``steps``, ``seconds`` (of the steps alone, of one processor) and ``accuracy`` have one
    entry for each look.
    """

    data: str
    classes: int
    estimator: str
    baseline: str
    seed: int
    steps: np.ndarray
    seconds: np.ndarray
    accuracy: np.ndarray
    stages: tuple[EstimatorStage, ...]

    @property
    def seconds_per_step(self) -> float:
        """The mean over the run."""
        return float(self.seconds[-1] / self.steps[-1])


@dataclasses.dataclass(frozen=True)
class EstimatorTable:
    """Estimators side by side, on several corpora and seeds.

    ``options`` are those of all runs, ``budget`` the seconds after which a run makes no further
    step, ``most_steps`` the steps after which it makes none, ``sentences`` how many the moments are
    of, and ``machine`` what it was timed on.
    """

    machine: str
    options: Mapping[str, str]
    budget: float
    most_steps: int
    sentences: int
    runs: tuple[EstimatorRun, ...]

    def of(self, data: str, estimator: str, baseline: str) -> list[EstimatorRun]:
        """The runs of one row of the table, a seed each."""
        key = (data, estimator, baseline)
        return [run for run in self.runs if (run.data, run.estimator, run.baseline) == key]


@dataclasses.dataclass(frozen=True)
class RatioMap:
    """What a baseline does to the variance of each entry of each matrix of parameters.

    Shape: ``ratios`` by parameter, two-dimensional: the variance with the baseline over the one
    without. Below 1 where it helps; NaN where there is no variance without it.
    """

    subject: str
    baseline: str
    ratios: Mapping[str, np.ndarray]

    def lowered_share(self, name: str) -> float:
        """The share of a matrix's entries with a variance whose variance is lower; NaN if none."""
        varying = self.ratios[name][np.isfinite(self.ratios[name])]
        return float(np.mean(varying < 1.0)) if varying.size else float("nan")
