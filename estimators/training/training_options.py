"""What a training run is: everything that its result depends on, as one value."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from gradproof.estimators.baselines import BASELINES, Baseline
from gradproof.reference_models import layers
from gradproof.reference_models.corpora import PreparedCorpus, Unit, load, prepare
from gradproof.reference_models.model import Model
from gradproof.reference_models.registry import make_model

from .unlabelled import ESTIMATORS, SAMPLED, Unlabelled

#: The forms whose mean is the gradient of U; the others are parts of it, or wrong on purpose.
TRAINABLE_FORMS = ("one-pass", "analytic-entropy")

#: How a step weighs its sentences: so that its mean is the gradient of C, or all of them alike, as
#: the code that the note's authors released does.
OF_C, OF_BATCH = "c", "batch"
WEIGHTS = (OF_C, OF_BATCH)

#: What is taken if neither is said.
FORM, BASELINE = "one-pass", "per-token"

#: Stages of a run by name.
STAGES = ("initial", "middle", "end")

#: Of the distinct texts of a corpus, at most this part is labelled, and as many are held out.
LARGEST_SHARE = 0.2

#: Labelled texts for each class, and texts held out in all, by default.
LABELLED_EACH, HELD_OUT = 50, 1000


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
    """A run, but for how long it goes on. Equal options give equal parameters at each step.

    Args:
        model: ``seqdgm`` or ``seqdgm-a``.
        data: a corpus by name, or a file, with ``text``, ``label`` and ``unit`` as
            :func:`~gradproof.reference_models.corpora.load` takes them.
        width: D, of the embeddings. ``hidden``: H, of each LSTM. ``latent``: Z, of h.
        auxiliary: A, of a, in ``seqdgm-a``.
        dropout: probability that the decoder does not see the previous token.
        input_dropout: probability that an entry of an LSTM's input is dropped. ``output_dropout``:
            ... and of the states that are read of it.
        batch_norm: of these states: ``none``; ``fixed``, by statistics that are drawn for each
            batch, as its noise is.
        kl_weight: what the divergence terms of L are multiplied with. ``label_prior``: whether L
            has -log p(y). ``entropy_weight``: of log q in U.
        shared_encoder: of ``seqdgm-a``: one LSTM reads the sentence for q(a|x), q(y|a,x) and
            q(h|x,a,y), and not one for each.
        length: tokens that a sentence is cut to. ``vocabulary``: tokens that the model knows.
        labelled: texts whose label may be seen; None: 50 for each class, or a fifth of them all.
        held_out: texts that accuracy is measured on; None: 1000, or a fifth of them all.
        estimator: of U, a row of :data:`~.unlabelled.ESTIMATORS`.
        form: of the surrogate, where the estimator is ``sampled``; None: one-pass. ``baseline``:
            likewise, a row of BASELINES; None: per-token.
        alpha: the weight of -log q of the known label.
        batch: sentences without a label in each step. ``labelled_batch``: with one.
        weights: of the sentences in a step: ``c``, each kind by N/n, so that a step is an unbiased
            estimate of C; ``batch``, all alike.
        learning_rate: Adam's.
        seed: of split, initial parameters, batches, noise, draws and lambda.

    Raises:
        ValueError: for what cannot be trained with; the message says why.
    """

    model: str = "seqdgm"
    data: str = "names-8"
    text: str | None = None
    label: str | None = None
    unit: Unit | None = None
    width: int = 16
    hidden: int = 32
    latent: int = 8
    auxiliary: int = 8
    dropout: float = 0.25
    input_dropout: float = 0.0
    output_dropout: float = 0.0
    batch_norm: str = layers.NONE
    kl_weight: float = 1.0
    label_prior: bool = True
    entropy_weight: float = 1.0
    shared_encoder: bool = True
    length: int = 12
    vocabulary: int = 1000
    labelled: int | None = None
    held_out: int | None = None
    estimator: str = SAMPLED
    form: str | None = None
    baseline: str | None = None
    alpha: float = 30.0
    batch: int = 128
    labelled_batch: int = 32
    weights: str = OF_C
    learning_rate: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("width", "hidden", "latent", "auxiliary", "batch", "labelled_batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}, expected 1 or more")
        _check_one_of("estimator", self.estimator, tuple(ESTIMATORS))
        self._check_surrogate()
        _check_one_of("weights", self.weights, WEIGHTS)
        if not 0.0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate = {self.learning_rate}, expected a positive number")
        for name in ("alpha", "entropy_weight"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} = {getattr(self, name)}, expected 0 or a positive number")
        self._check_batch_norm()
        if not 0.0 <= self.dropout <= 1.0:
            raise ValueError(f"dropout = {self.dropout}, expected a probability, 0 to 1")

    def _check_batch_norm(self) -> None:
        if self.batch_norm == layers.LIVE:
            raise ValueError(
                f"batch_norm = {self.batch_norm!r} couples the sentences: what each costs depends "
                "on the labels drawn for the others, and the estimate is biased (claim "
                f"batch.one_pass). Take {layers.FIXED} or {layers.NONE}"
            )
        _check_one_of("batch_norm", self.batch_norm, (layers.NONE, layers.FIXED))

    def check_measurable(self, advice: str) -> None:
        """Make sure that exact variances are those of the gradient that a run follows.

        Args:
            advice: what to do if not.

        Raises:
            ValueError: if the entropy has another weight than 1: they are of U with weight 1.
        """
        if self.entropy_weight != 1.0:
            raise ValueError(
                f"entropy_weight = {self.entropy_weight:g}, and exact variances are computed of U "
                f"with weight 1 alone; {advice}"
            )

    def _check_surrogate(self) -> None:
        if self.estimator == SAMPLED:
            _check_one_of("form", self.row.form or "", TRAINABLE_FORMS)
            check_baseline(self.row.baseline or "")
            return
        for name in ("form", "baseline"):
            if getattr(self, name) is not None:
                own = getattr(self.row, name) or "none"
                raise ValueError(
                    f"{name} = {getattr(self, name)!r} with estimator {self.estimator!r}, whose "
                    f"{name} is {own}: leave it out, or take estimator {SAMPLED!r}"
                )

    @property
    def row(self) -> Unlabelled:
        """The estimator, with the form and the baseline that it has in this run."""
        row = ESTIMATORS[self.estimator]
        if self.estimator != SAMPLED:
            return row
        return row._replace(form=self.form or FORM, baseline=self.baseline or BASELINE)

    def as_dict(self) -> dict[str, Any]:
        """Every option by name, of types that JSON has."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How long a run goes on, and where it is looked at; no step depends on it.

    Args:
        steps: in all.
        every: steps from one look, and checkpoint, to the next.
        stages: where the variance is to be measured: steps, or ``initial``, ``middle``, ``end``.
        sentences: how many baselines are then fitted on, and how many they are measured on.

    Raises:
        ValueError: for a number below 1, or a stage that is none.
    """

    steps: int = 1000
    every: int = 100
    stages: tuple[str, ...] = STAGES
    sentences: int = 32  # more than the numbers that the largest linear baseline has to fit

    def __post_init__(self) -> None:
        for name in ("steps", "every", "sentences"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}, expected 1 or more")
        for stage in self.stages:
            if not (stage in STAGES or (stage.isdecimal() and int(stage) <= self.steps)):
                raise ValueError(
                    f"stage {stage!r} is none of {', '.join(STAGES)} and no step from 0 to "
                    f"{self.steps}"
                )

    def measured_steps(self) -> tuple[int, ...]:
        """The steps of the stages, ascending."""
        named = dict(zip(STAGES, (0, self.steps // 2, self.steps), strict=True))
        steps = {named[stage] if stage in named else int(stage) for stage in self.stages}
        return tuple(sorted(steps))

    def looks(self) -> frozenset[int]:
        """The steps after which the run is looked at; the first and the last are among them."""
        return frozenset({*range(0, self.steps, self.every), self.steps, *self.measured_steps()})


#: What options were before they could be chosen: a checkpoint without them was trained so.
FORMER: dict[str, Any] = {
    "input_dropout": 0.0,
    "output_dropout": 0.0,
    "batch_norm": layers.NONE,
    "kl_weight": 1.0,
    "label_prior": True,
    "entropy_weight": 1.0,
    "shared_encoder": False,
}


def options_from(record: Mapping[str, Any]) -> TrainingOptions:
    """The inverse of :meth:`TrainingOptions.as_dict`, of former versions' records too.

    Raises:
        ValueError: if an option is missing or unknown.
    """
    record = FORMER | dict(record)
    names = {field.name for field in dataclasses.fields(TrainingOptions)}
    if set(record) != names:
        raise ValueError(
            f"options {sorted(names ^ set(record))} are missing or unknown; these are options of "
            "another version of gradproof"
        )
    return TrainingOptions(**record)


def _check_one_of(name: str, value: str, expected: tuple[str, ...]) -> None:
    if value not in expected:
        raise ValueError(f"{name} = {value!r}, expected {' or '.join(expected)}")


def trainable() -> list[str]:
    """The names of the baselines that a model may be trained with."""
    return [name for name in BASELINES if not _bias(name)]


def check_baseline(name: str) -> Baseline:
    """The baseline of a name, if a model may be trained with it.

    Raises:
        ValueError: for an unknown name, and for a row that biases the gradient, which is there for
            checks to refute.
    """
    if name not in BASELINES:
        raise ValueError(f"no baseline is called {name!r}; known: {', '.join(trainable())}")
    if bias := _bias(name):
        raise ValueError(
            f"baseline {name!r} {bias}; it is wrong on purpose, for checks to refute. "
            f"Take one of {', '.join(trainable())}"
        )
    return BASELINES[name]


def _bias(name: str) -> str:
    """Why a baseline biases the gradient; nothing if it does not."""
    baseline = BASELINES[name]
    if not baseline.held:
        return "reads the shared embeddings live, so that its own gradient would enter e"
    # Those of the batch say what they leave of the score.
    kept_share = getattr(baseline, "kept_share", None)
    if kept_share is not None and kept_share(2) < 1.0:
        return (
            "contains the loss that it is subtracted from, and biases the gradient (of two "
            f"sentences it keeps {kept_share(2):g} of the score part)"
        )
    return ""


@dataclasses.dataclass(frozen=True, eq=False)
class TrainingTask:
    """Options, and what they name: the text, the model and the baseline."""

    options: TrainingOptions
    prepared: PreparedCorpus
    model: Model
    baseline: Baseline


def make_task(options: TrainingOptions) -> TrainingTask:
    """Read the text and make the model.

    Raises:
        ValueError: for an unknown model, or a size that it does not have.
        CorpusError: if the text cannot be had or split, or none is left without a label.
    """
    prepared = prepare_training(options)
    default: Any = make_model(options.model, prepared.corpus.classes, len(prepared.vocabulary))
    sizes = {
        field.name: getattr(options, field.name)
        for field in dataclasses.fields(default)
        if hasattr(options, field.name) and field.name != "vocabulary"  # there it is a count
    }
    model: Model = dataclasses.replace(default, **sizes)
    return TrainingTask(options, prepared, model, BASELINES[options.row.baseline or "none"])


def prepare_training(options: TrainingOptions) -> PreparedCorpus:
    """The text of a run, split and numbered.

    Raises:
        CorpusError: if it cannot be had or split.
        ValueError: if no text is left without a label.
    """
    corpus = load(options.data, text=options.text, label=options.label, unit=options.unit)
    texts = len(set(corpus.texts))
    most = max(int(LARGEST_SHARE * texts), 1)
    labelled, held_out = options.labelled, options.held_out
    if labelled is None:
        labelled = max(min(LABELLED_EACH * corpus.classes, most), corpus.classes)
    prepared = prepare(
        corpus,
        length=options.length,
        vocabulary_size=options.vocabulary,
        labelled=labelled,
        held_out=min(HELD_OUT, most) if held_out is None else held_out,
        seed=options.seed,
    )
    for part, advice in (("unlabelled", "label fewer"), ("held_out", "hold out 1 or more")):
        if not len(getattr(prepared.split, part)):
            raise ValueError(
                f"corpus {corpus.name!r} of {texts} texts has none {part.replace('_', ' ')}, "
                f"expected 1 or more; {advice}, or add texts"
            )
    return prepared
