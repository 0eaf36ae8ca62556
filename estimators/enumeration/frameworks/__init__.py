"""The frameworks whose draws are handled: one class each, named here."""

from .framework import Framework
from .gymnasium import Gymnasium
from .jax import Jax
from .numpy import Numpy
from .pytensor import PyTensor
from .stdlib import Stdlib
from .theano import Theano
from .torch import Torch

#: By the module whose presence says that a framework may draw. The first is the last to finish a
#: run: JAX raises there what went wrong in compiled code.
FRAMEWORKS: dict[str, type[Framework]] = {
    kind.name: kind for kind in (Jax, Torch, Numpy, Stdlib, Theano, PyTensor, Gymnasium)
}

__all__ = ["FRAMEWORKS", "Framework"]
