"""Small subjects as plain values: what Hypothesis draws, shrinks and prints."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from hypothesis import strategies as st

from gradproof.estimators.note.subject import Subject
from gradproof.reference_models.batch import make_batch
from gradproof.reference_models.model import check_parameters
from gradproof.reference_models.tabular import TabularModel

Table = tuple[tuple[float, ...], ...]


class Case(Protocol):
    """A drawn value that makes a subject, and whose ``repr`` can be pasted."""

    def subject(self) -> Any:
        """What a check runs on."""


@dataclasses.dataclass(frozen=True)
class TabularCase:
    """A tabular model with its parameters and batch, as nested tuples.

    Shape:
        tokens: a tuple of ids for each of N sentences, of any lengths from 1; labels (N,), -1 where
        unknown; embedding (V, D); weight, phi and theta (K, D); bias (K,); noise (N, D).
    """

    tokens: tuple[tuple[int, ...], ...]
    labels: tuple[int, ...]
    embedding: Table
    weight: Table
    bias: tuple[float, ...]
    phi: Table
    theta: Table
    noise: Table
    support: tuple[bool, ...] | None = None
    batch_statistics: bool = False
    dtype: str = "float64"
    seed: int = 0

    def subject(self) -> Subject:
        """The subject that the numbers describe.

        Raises:
            ValueError: if they describe none; the message names the value.
        """
        self._check_tokens()
        parameters = {
            name: _array(name, value, self.dtype, axes)
            for name, value, axes in (
                ("e.embedding", self.embedding, 2),
                ("w.weight", self.weight, 2),
                ("w.bias", self.bias, 1),
                ("phi.table", self.phi, 2),
                ("theta.table", self.theta, 2),
            )
        }
        vocabulary, width = parameters["e.embedding"].shape
        model = TabularModel(
            classes=len(self.bias),
            vocabulary=vocabulary,
            width=width,
            support=self.support,
            batch_statistics=self.batch_statistics,
        )
        length = max(map(len, self.tokens))
        tokens = np.array([[*row, *[0] * (length - len(row))] for row in self.tokens])
        mask = np.array([[1] * len(row) + [0] * (length - len(row)) for row in self.tokens])
        batch = make_batch(
            tokens,
            mask,
            np.array(self.labels),
            {"eps_h": _array("noise", self.noise, "float64", 2)},
            classes=model.classes,
            vocabulary=vocabulary,
        )
        return Subject(model, parameters, batch, name="tabular", seed=self.seed)

    def _check_tokens(self) -> None:
        rows: object = self.tokens  # what a user typed may be anything
        nested = isinstance(rows, tuple | list) and all(
            isinstance(row, tuple | list) and row for row in rows
        )
        if not (rows and nested):
            raise ValueError(
                f"tokens are {rows!r}, expected a tuple of one sentence or more, each of them a "
                "tuple of one token or more"
            )


def _array(name: str, value: object, dtype: str, axes: int) -> np.ndarray:
    """Numbers as an array of so many axes."""
    if dtype not in ("float64", "float32"):
        raise ValueError(f"dtype is {dtype!r}, expected 'float64' or 'float32'")
    expected = "a row of numbers" if axes == 1 else "rows of numbers, all of one length"
    try:
        # Beyond what float32 holds is infinity, which is told of where parameters are checked.
        with np.errstate(over="ignore"):
            array = np.array(value, dtype)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is {value!r}, expected {expected}") from error
    if array.ndim != axes or not array.size:
        raise ValueError(f"{name} is {value!r}, expected {expected}, and one at least")
    return array


#: Numbers that shrink to 0 and print short; eighths, so that they are exact in both dtypes.
ENTRIES = st.integers(-16, 16).map(lambda eighths: eighths / 8)

#: Logits as far out as float32 still resolves, and down to where they vanish beside the others.
LOGITS = st.one_of(ENTRIES, st.sampled_from([30.0, -30.0, 80.0, -80.0, 2.0**-20, 2.0**-40]))


def tables(rows: int, columns: int) -> st.SearchStrategy[Table]:
    """Tables (rows, columns) of :data:`ENTRIES`."""
    row = st.tuples(*[ENTRIES] * columns)
    return st.tuples(*[row] * rows)


@st.composite
def tabular_cases(
    draw: Callable[..., Any],
    *,
    sentences: tuple[int, int] = (1, 2),
    classes: tuple[int, int] = (2, 3),
    labelled: bool = False,
    batch_statistics: bool = False,
    supports: bool = True,
) -> TabularCase:
    """Tabular cases over K, N, T, D, dtype, support, parameters and noise.

    V is K, so that e and w have a table of the same shape (claim ``gradient.w`` as printed adds
    them).

    Args:
        sentences: least and greatest N; with K = 2, one sentence more.
        classes: least and greatest K.
        labelled: give some sentences a label.
        batch_statistics: couple the examples.
        supports: let labels have probability zero.
    """
    k = draw(st.integers(*classes))
    # What holds for N = 2 alone (1/N is 1 - 1/N there) needs a third sentence to show. With two
    # labels it adds few joint draws: 2^3, below the 3^2 of two sentences.
    n = draw(st.integers(sentences[0], sentences[1] + (k == 2)))
    width = draw(st.integers(1, 2))
    token_rows = st.lists(st.integers(0, k - 1), min_size=1, max_size=3).map(tuple)
    label = st.integers(-1, k - 1) if labelled else st.just(-1)
    support = None
    if supports and k > 2 and draw(st.booleans()):
        support = (True, *draw(st.tuples(*[st.booleans()] * (k - 2))), True)
    return TabularCase(
        tokens=draw(st.tuples(*[token_rows] * n)),
        labels=draw(st.tuples(*[label] * n)),
        embedding=draw(tables(k, width)),
        weight=draw(tables(k, width)),
        bias=draw(st.tuples(*[LOGITS] * k)),
        phi=draw(tables(k, width)),
        theta=draw(tables(k, width)),
        noise=draw(tables(n, width)),
        support=support,
        batch_statistics=batch_statistics,
        dtype=draw(st.sampled_from(["float64", "float32"])),
        seed=draw(st.integers(0, 3)),
    )


def typical_tabular(
    rng: np.random.Generator,
    *,
    sentences: tuple[int, int] = (1, 2),
    classes: tuple[int, int] = (2, 3),
    labelled: bool = False,
    batch_statistics: bool = False,
    supports: bool = True,
) -> TabularCase:
    """A case in general position, the largest that :func:`tabular_cases` draws.

    Hypothesis likes zeros, at which many gradients vanish and a wrong one looks right. Here none
    vanishes, so that a check which holds on this case has seen every parameter.
    """
    n, k, width = sentences[1], classes[1], 2

    def table(rows: int) -> Table:
        return tuple(tuple(map(float, row)) for row in rng.standard_normal((rows, width)))

    return TabularCase(
        # Every token is in the last sentence, so that every row of the embedding has a gradient.
        tokens=(*[tuple(map(int, rng.integers(0, k, size=2)))] * (n - 1), tuple(range(k))),
        labels=(*[0] * (n - 1), -1) if labelled else (-1,) * n,
        embedding=table(k),
        weight=table(k),
        bias=tuple(map(float, rng.standard_normal(k))),
        phi=table(k),
        theta=table(k),
        noise=table(n),
        batch_statistics=batch_statistics,
        seed=int(rng.integers(1000)),
    )


@dataclasses.dataclass(frozen=True)
class GaussianCase:
    """One latent variable: q(h) = N(mean, exp(log_variance)) against N(0, 1)."""

    mean: float
    log_variance: float
    dtype: str = "float64"

    def subject(self) -> GaussianSubject:
        """The case as parameters that a bench takes."""
        values = {"phi.mean": self.mean, "phi.log_variance": self.log_variance}
        arrays = {name: _array(name, [value], self.dtype, 1) for name, value in values.items()}
        return GaussianSubject(arrays, self)


@dataclasses.dataclass(frozen=True)
class CoupledCase:
    """SeqDGM-A with one a and one h, all Gaussian.

    q(a|x) = N(a_mean, exp(a_log_variance)), q(h|x,a,y) = N(slope a, exp(h_log_variance)),
    p(a|y,h) = N(back h, exp(p_log_variance)), p(h) = N(0, 1).
    """

    a_mean: float
    a_log_variance: float
    slope: float
    h_log_variance: float
    back: float
    p_log_variance: float

    def subject(self) -> GaussianSubject:
        """The case as parameters that a bench takes."""
        values = {f"phi.{name}": value for name, value in dataclasses.asdict(self).items()}
        arrays = {name: _array(name, [value], "float64", 1) for name, value in values.items()}
        return GaussianSubject(arrays, self)


@dataclasses.dataclass(frozen=True)
class GaussianSubject:
    """Parameters (1,) by name, with the case they come from.

    Raises:
        ValueError: if a parameter is not finite.
    """

    parameters: dict[str, np.ndarray]
    case: Any
    seed: int = 0

    def __post_init__(self) -> None:
        check_parameters(self.parameters)

    def describe(self) -> str:
        """The case."""
        return repr(self.case)


#: Log variances from e^-4 to e^2: beyond, quadrature and not the closed form loses digits.
LOG_VARIANCES = st.integers(-16, 8).map(lambda quarters: quarters / 4)


def typical_gaussian(rng: np.random.Generator) -> GaussianCase:
    """A Gaussian in general position."""
    mean, log_variance = map(float, rng.standard_normal(2))
    return GaussianCase(mean, log_variance)


def typical_coupled(rng: np.random.Generator) -> CoupledCase:
    """Coupled Gaussians in general position."""
    return CoupledCase(*map(float, rng.standard_normal(6)))


gaussian_cases = st.builds(
    GaussianCase, ENTRIES, LOG_VARIANCES, st.sampled_from(["float64", "float32"])
)
coupled_cases = st.builds(
    CoupledCase, ENTRIES, LOG_VARIANCES, ENTRIES, LOG_VARIANCES, ENTRIES, LOG_VARIANCES
)
