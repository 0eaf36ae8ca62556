"""A derivative without differentiation: the imaginary part of a complex step."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import autograd
import autograd.numpy as anp
import numpy as np

from gradproof.reference_models.model import every_label
from gradproof.reference_models.ops import Array

from ..backends import Arrays, Build
from ..backends.autograd_backend import AutogradOps
from .builds import all_labels, build
from .subject import Subject

#: Its square is below the smallest double, so that the step leaves no truncation error at all.
STEP = 1e-200


def derivative(cost: Build, parameters: Arrays, inputs: Arrays, direction: Arrays) -> float:
    """Directional derivative of a scalar, to rounding and independent of reverse mode.

    Valid when: the cost is analytic in its parameters (no absolute value, no comparison of them
    but to find a largest entry), holds nothing constant, and every label has a positive
    probability.

    Reference:
        Squire and Trapp (1998), Using Complex Variables to Estimate Derivatives of Real Functions.
    """
    stepped = _step(parameters, direction)
    return float(np.imag(cost(AutogradOps(), stepped, inputs)) / STEP)


def directional(
    values: Build, parameters: Arrays, inputs: Arrays, direction: Arrays
) -> dict[str, np.ndarray]:
    """Directional derivatives of arrays, by name, in one run.

    Valid when: as :func:`derivative`.
    """
    stepped = values(AutogradOps(), _step(parameters, direction), inputs)
    return {name: np.imag(value) / STEP for name, value in stepped.items()}


def second_derivative(
    cost: Build, parameters: Arrays, inputs: Arrays, direction: Arrays
) -> dict[str, np.ndarray]:
    """Derivative of a scalar's gradient along a direction, by parameter: a step of a reverse pass.

    The gradient is autograd's, at complex parameters. No derivative is differentiated, so nothing
    rests on what a framework makes of the derivative of a derivative.

    Valid when: as :func:`derivative`.
    """

    def real_part(stepped: Arrays) -> Array:
        # What autograd calls the gradient of this, at complex numbers, is the complex derivative.
        return anp.real(cost(AutogradOps(), stepped, inputs))

    gradient = autograd.grad(real_part)(_step(parameters, direction))
    return {name: np.imag(value) / STEP for name, value in gradient.items()}


@dataclasses.dataclass(frozen=True)
class Tables:
    """What a derivation's formula asks for, of every sentence and label.

    Shape:
        ``log_q`` and ``loss`` (K, N), the label first; ``score`` and ``pathwise``, by parameter,
        (K, N, *parameter shape).
    """

    log_q: np.ndarray
    loss: np.ndarray
    score: Mapping[str, np.ndarray]
    pathwise: Mapping[str, np.ndarray]


def tables(subject: Subject) -> Tables:
    """Values, scores and pathwise gradients, with no differentiation: one run a parameter entry.

    Valid when: as :func:`derivative`; and the parameters are few.
    """
    inputs = subject.inputs(every_label(subject.batch.n, subject.model.classes))
    values = build(all_labels, subject)
    still = {name: np.zeros(np.shape(array)) for name, array in subject.parameters.items()}
    whole_values = values(AutogradOps(), _step(subject.parameters, still), inputs)
    score: dict[str, np.ndarray] = {}
    pathwise: dict[str, np.ndarray] = {}
    for name, array in still.items():
        slopes: dict[str, list[np.ndarray]] = {"log_q": [], "loss": []}
        for place in np.ndindex(array.shape):
            along = array.copy()
            along[place] = 1.0
            stepped = _step(subject.parameters, still | {name: along})
            for key, value in values(AutogradOps(), stepped, inputs).items():
                slopes[key].append(np.imag(value) / STEP)
        shape = (*np.shape(whole_values["loss"]), *array.shape)
        score[name] = np.stack([slope.T for slope in slopes["log_q"]], axis=-1).reshape(shape)
        pathwise[name] = np.stack(slopes["loss"], axis=-1).reshape(shape)
    return Tables(np.real(whole_values["log_q"]).T, np.real(whole_values["loss"]), score, pathwise)


def _step(parameters: Arrays, direction: Arrays) -> dict[str, np.ndarray]:
    return {
        # In single precision the step would vanish.
        name: np.asarray(value, np.float64) + 1j * STEP * np.asarray(direction[name], np.float64)
        for name, value in parameters.items()
    }
