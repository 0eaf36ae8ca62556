"""What a framework must offer: values, gradients, and which parameters reach a value.

An imperative framework runs ``build`` at each call; a symbolic one runs it once, on variables of
the shapes given, and compiles. Both are called the same way afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from gradproof.errors import GradproofError
from gradproof.reference_models.ops import Array, Ops

#: NumPy arrays by name: parameters, inputs, gradients.
Arrays = Mapping[str, np.ndarray]

#: Builds a value from framework arrays: ``build(ops, parameters, inputs)``.
Build = Callable[[Ops, Mapping[str, Array], Mapping[str, Array]], Any]

#: Which parameters to differentiate by.
Names = tuple[str, ...]

#: A build made ready: ``function(parameters, inputs)`` gives NumPy arrays by name.
Function = Callable[[Arrays, Arrays], dict[str, np.ndarray]]


class Backend(Protocol):
    """One framework."""

    @property
    def name(self) -> str:
        """The framework's name."""

    def evaluate(self, build: Build, parameters: Arrays, inputs: Arrays) -> Function:
        """Ready a ``build`` that returns arrays by name."""

    def differentiate(
        self, build: Build, parameters: Arrays, inputs: Arrays, wrt: Names
    ) -> Function:
        """Ready the gradient of a ``build`` that returns a scalar, by the parameters ``wrt``.

        Exactly one differentiation of the scalar, however many parameters there are. A parameter
        that is in no part of the computation gets zeros; one that is in it, and cut off by holding
        what it enters, gets what the framework says of it (zeros, or an error).
        """

    def differentiate_twice(
        self, build: Build, parameters: Arrays, inputs: Arrays, wrt: Names
    ) -> Function:
        """Ready the second derivative of a scalar ``build`` by ``wrt``, along a direction.

        The gradient of the inner product of the gradient with the inputs ``along.<name>``, each of
        its parameter's shape. Stop-gradients stay so, both times.
        """

    def reach(self, build: Build, parameters: Arrays, inputs: Arrays) -> frozenset[str]:
        """The parameters that the values of a ``build`` depend on, read off its computation.

        A path through a stop-gradient does not count.
        """


class BackendMissing(GradproofError, ImportError):
    """A framework that is not installed, or not usable as it is installed."""
