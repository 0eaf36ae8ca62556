"""The estimand and its parts by enumeration, in NumPy and autograd, float64: the reference."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

import autograd.numpy as anp
import numpy as np
from autograd import make_vjp

from gradproof.reference_models.batch import Batch
from gradproof.reference_models.model import Model, every_label, one_hot
from gradproof.reference_models.ops import Array, Ops

from ..backends.autograd_backend import AutogradBackend, AutogradOps
from .builds import Named, all_labels, build, exact_objective, terms_at
from .complex_step import Tables
from .independence import check_independent
from .subject import Subject
from .value_bounds import PASSES, Roundings, count_roundings, unit_roundoff


@dataclasses.dataclass(frozen=True)
class Reference:
    """What is known exactly of a subject.

    Shape:
        ``log_q`` and ``loss`` (N, K); ``gradient``, of the batch sum of U, by parameter;
        ``score``, grad log q_k(x_n), and ``pathwise``, grad L(x_n, k), by parameter as
        (N, K, *parameter shape). ``forward`` and ``forward_q`` are what one forward pass does, in
        all and for log q alone; ``unit`` is the unit roundoff of the subject's dtype (the reference
        itself is float64). ``subject`` is what all of it is known of.
    """

    log_q: np.ndarray
    loss: np.ndarray
    gradient: Mapping[str, np.ndarray]
    score: Mapping[str, np.ndarray]
    pathwise: Mapping[str, np.ndarray]
    forward: Roundings
    forward_q: Roundings
    unit: float
    subject: Subject | None = None

    @property
    def probability(self) -> np.ndarray:
        """q, shape (N, K)."""
        return np.exp(self.log_q)

    def check_independent(self) -> None:
        """Make sure that variances add up over the sentences.

        Raises:
            ValueError: if a sentence enters another's cost.
        """
        if self.subject is not None:
            check_independent(self.subject)

    def bound(self, name: str, extra: float = 0.0, moved: float = 0.0) -> float:
        """Largest error that rounding can make in one entry of parameter ``name``'s estimate.

        u * 4R * (2 + M) * sum_n [ max(|L| + |log q| + 1 + |extra|) max|s| + max|d| ]: the weight
        of the score, the score s and the pathwise gradient d at their largest over the labels; M,
        the largest magnitude on the way to log q, because exp turns its error into a relative one
        of q. And u * R * sum_n [ max(|L| + |log q| + 1 + |extra|) S + D ], with S and D of
        :meth:`cancelled`: what may be left of terms that cancel.

        Args:
            extra: what else the weight of the score contains, |B| say.
            moved: what else the weight may be off by, which goes by the score alone.
        """
        log_q = np.where(np.isfinite(self.log_q), self.log_q, 0.0)
        weight = np.abs(self.loss) + np.abs(log_q) + 1.0 + abs(extra)
        weight = weight.max(axis=1)
        score, pathwise = _largest(self.score[name]), _largest(self.pathwise[name])
        size = float((weight * score + pathwise).sum())
        left = float((weight * self.cancelled(self.score) + self.cancelled(self.pathwise)).sum())
        rounding = self.unit * self.forward.operations
        grown = PASSES * (2.0 + self.forward_q.largest)
        return rounding * (grown * size + left) + moved * float(score.sum())

    def cancelled(self, table: Mapping[str, np.ndarray]) -> np.ndarray:
        """How large terms may be that cancel on the way to some parameter's gradient, (N,).

        The largest gradient of any parameter, times the largest parameter.

        Args:
            table: ``score`` or ``pathwise``.
        """
        of_all = np.max([_largest(array) for array in table.values()], axis=0)
        return np.asarray(self._largest_parameter * of_all)

    @functools.cached_property
    def _largest_parameter(self) -> float:
        """Its magnitude; at least 1."""
        parameters = {} if self.subject is None else self.subject.parameters
        return max([1.0, *(float(np.abs(each).max()) for each in parameters.values())])

    def tables(self) -> Tables:
        """What formulas ask for, by reverse mode: one backward pass a sentence and label."""
        label_first = {
            name: {key: np.swapaxes(array, 0, 1) for key, array in of.items()}
            for name, of in (("score", self.score), ("pathwise", self.pathwise))
        }
        return Tables(self.log_q.T, self.loss.T, **label_first)

    def value_bound(self) -> float:
        """Largest error that rounding can make in one value of log q or L: u R (1 + M)."""
        return self.unit * self.forward.operations * (1.0 + self.forward.largest)


def _largest(array: np.ndarray) -> np.ndarray:
    """The largest magnitude of each sentence, (N,)."""
    return np.asarray(np.abs(array).max(axis=tuple(range(1, array.ndim))))


# What overflows on the way to L and log q is found in them, and named; and autograd's derivative of
# tanh divides by the square of cosh, which overflows from 355 on, where the derivative is 0.
@np.errstate(all="ignore")
def reference(subject: Subject) -> Reference:
    """Enumerate a subject: one forward pass, 2 N K + 1 backward passes.

    Estimand:
        grad of sum_n U(x_n), U(x) = sum_k q_k (L_k + log q_k).

    Raises:
        ValueError: if L or log q is NaN, or L infinite, at some label; the message says where.
    """
    wide = {name: np.asarray(value, np.float64) for name, value in subject.parameters.items()}
    exact = subject.replace(parameters=wide)
    n, k = exact.batch.n, exact.model.classes
    inputs = exact.inputs(every_label(n, k))
    values = build(all_labels, exact)
    found = AutogradBackend().evaluate(values, wide, inputs)(wide, inputs)
    log_q, loss = found["log_q"], found["loss"].T
    check_finite(log_q, loss, subject)
    whole = build(exact_objective, exact)
    return Reference(
        log_q=log_q,
        loss=loss,
        gradient=AutogradBackend().differentiate(whole, wide, inputs, tuple(wide))(wide, inputs),
        score=jacobian(wide, lambda traced: values(AutogradOps(), traced, inputs)["log_q"], n, k),
        pathwise=jacobian(
            wide, lambda traced: anp.transpose(values(AutogradOps(), traced, inputs)["loss"]), n, k
        ),
        forward=count_roundings(whole, wide, inputs),
        forward_q=count_roundings(build(_log_q, exact), wide, inputs),
        unit=unit_roundoff(subject.dtype),
        subject=subject,
    )


def one_at_a_time(subject: Subject, labels: np.ndarray) -> dict[str, np.ndarray]:
    """The estimate sum_n [(L + log q + 1) s + d] at labels (N,), each sentence in its own batch.

    Score s and pathwise gradient d are differentiated apart, in float64: nothing is held constant,
    and no sentence is there to reach another one's.
    """
    wide = {name: np.asarray(value, np.float64) for name, value in subject.parameters.items()}
    exact = subject.replace(parameters=wide)
    total = {name: np.zeros_like(value) for name, value in wide.items()}
    for row, label in enumerate(labels):
        example, backend = exact.example(row), AutogradBackend()
        inputs = example.inputs(one_hot(np.array([label]), example.model.classes))
        values = backend.evaluate(build(_values_at_draw, example), wide, inputs)(wide, inputs)
        score, pathwise = (
            backend.differentiate(build(of, example), wide, inputs, tuple(wide))(wide, inputs)
            for of in (_log_q_at_draw, _loss_at_draw)
        )
        weight = float(values["loss"] + values["log_q"] + 1.0)
        for name in total:
            total[name] += weight * score[name] + pathwise[name]
    return total


def _log_q_at_draw(ops: Ops, model: Model, parameters: Named, batch: Batch, inputs: Named) -> Array:
    return ops.sum(terms_at(ops, model, parameters, batch, inputs["draw"]).log_q_at_draw)


def _loss_at_draw(ops: Ops, model: Model, parameters: Named, batch: Batch, inputs: Named) -> Array:
    return ops.sum(terms_at(ops, model, parameters, batch, inputs["draw"]).loss)


def _values_at_draw(
    ops: Ops, model: Model, parameters: Named, batch: Batch, inputs: Named
) -> Named:
    return {
        "log_q": _log_q_at_draw(ops, model, parameters, batch, inputs),
        "loss": _loss_at_draw(ops, model, parameters, batch, inputs),
    }


def _log_q(ops: Ops, model: Model, parameters: Named, batch: Batch, inputs: Named) -> Array:
    return model.log_q(ops, parameters, batch)


def jacobian(wide: dict[str, np.ndarray], table: Array, n: int, k: int) -> dict[str, np.ndarray]:
    """The gradient of each entry of a table (N, K), by parameter: one row a backward pass.

    Args:
        table: makes it of parameters that autograd traces.

    Shape:
        (N, K, *parameter shape).
    """
    pull, value = make_vjp(table)(wide)
    rows: dict[str, list[np.ndarray]] = {name: [] for name in wide}
    for place in np.ndindex(n, k):
        pick = np.zeros((n, k))
        # A label of probability zero is never drawn: its row is zero, whatever its gradient.
        pick[place] = float(np.isfinite(value[place]))
        for name, gradient in pull(pick).items():
            rows[name].append(gradient)
    return {
        name: np.reshape(gradients, (n, k, *np.shape(wide[name])))
        for name, gradients in rows.items()
    }


def check_finite(log_q: np.ndarray, loss: np.ndarray, subject: Subject) -> None:
    """Make sure that L and log q (N, K) are numbers of which moments can be made.

    Raises:
        ValueError: if log q is NaN or plus infinity, or L not finite; the message says where.
    """
    # Float32 overflows where float64, in which the reference is computed, does not.
    largest = float(np.finfo(subject.dtype).max)
    for what, bad in (
        ("log q", np.isnan(log_q) | (log_q == np.inf)),
        ("L", ~(np.abs(loss) < largest)),  # where q is zero too: zero times infinity is NaN
    ):
        places = np.argwhere(bad)
        if places.size:
            n, k = map(int, places[0])
            value = (log_q if what == "log q" else loss)[n, k]
            raise ValueError(
                f"{what} is {value} for sentence {n} and label {k} of {subject.describe()}; "
                f"expected a finite {subject.dtype} number. Scale the parameters down, or mend the "
                "model at that label"
            )
