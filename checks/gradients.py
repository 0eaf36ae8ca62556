"""Runs an estimator that is somebody's own, and reads the gradient that it leaves."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gradproof.estimators.replay import NotAGradient, array_of, copied, named

#: How what an estimator returns may be read.
READ = ("gradient", "surrogate")


class Mutates(ValueError):
    """An estimator that changes what it was given: its next run is another one."""


class Runner:
    """One estimate at a time.

    Args:
        estimate: draws, and returns gradients; or returns nothing and leaves them in ``.grad``; or
            returns a surrogate, a tensor of one number that is differentiated here.
        inputs: what it is called with.
        wrt: whose gradients are read, if it does not return them: a module, a tensor, or a mapping
            or sequence of tensors. None: the tensors and modules of the inputs that need gradients.
        reset: called before each run, to forget what the last one left.
        returns: ``gradient`` or ``surrogate``, for a tensor of one number that could be either.
    """

    def __init__(
        self,
        estimate: Callable[..., Any],
        inputs: Sequence[Any] = (),
        *,
        wrt: Any = None,
        reset: Callable[[], object] | None = None,
        returns: str | None = None,
    ) -> None:
        if not isinstance(inputs, list | tuple):
            raise TypeError(
                f"inputs is {inputs!r:.60}, expected a list or tuple of what the estimator is "
                "called with"
            )
        if returns not in (None, *READ):
            raise ValueError(f"returns is {returns!r}, expected one of {', '.join(READ)}")
        self._returns = returns
        if not callable(estimate):
            raise TypeError(f"estimate = {estimate!r:.60}, expected something to call")
        self._estimate, self._inputs, self._reset = estimate, list(inputs), reset
        self._leaves = dict(_leaves(self._inputs if wrt is None else wrt, ""))
        if wrt is not None and not self._leaves:
            raise TypeError(
                f"wrt is {wrt!r:.60}, expected a module, a tensor that requires a gradient, or a "
                "mapping or sequence of such tensors"
            )

    @property
    def leaves(self) -> Mapping[str, Any]:
        """Tensors whose gradients are read, by name."""
        return self._leaves

    def __call__(self) -> dict[str, np.ndarray]:
        """What one run returns or leaves, in copies by name.

        Raises:
            Mutates: if an input is another one afterwards.
            NotAGradient: if there is no gradient to be read.
        """
        if self._reset is not None:
            self._reset()
        given = {name: leaf.grad for name, leaf in self._leaves.items()}
        for leaf in self._leaves.values():
            leaf.grad = None
        try:
            return self._run()
        finally:  # what the user had there is no concern of ours
            for name, leaf in self._leaves.items():
                leaf.grad = given[name]

    def _run(self) -> dict[str, np.ndarray]:
        # Each once: parameters are often among the inputs.
        kept = {
            id(each): each for each in (*_arrays(self._inputs), *self._leaves.values())
        }.values()
        before = [np.array(array_of(array)) for array in kept]
        found = self._estimate(*self._inputs)
        for old, new in zip(before, kept, strict=True):
            if not np.array_equal(old, array_of(new), equal_nan=True):
                raise Mutates(
                    "the estimator changes an input that it is given, or a parameter; let it work "
                    "on a copy, or put it back with reset="
                )
        return copied(self._gradient(found))

    def _gradient(self, found: Any) -> Any:
        left = {name: leaf.grad for name, leaf in self._leaves.items()}
        if (
            _is_number(found)
            and self._returns is None
            and any(value is not None for value in left.values())
        ):
            return left  # after backward() the loss may be returned too
        if _is_surrogate(found) and self._returns != "gradient":
            self._check_one_way(found)
            if not self._leaves:
                raise NotAGradient(
                    "the estimator returns a surrogate, a tensor of one number, and there is "
                    "nothing to differentiate it by: pass wrt=, or tensors that require gradients"
                )
            torch: Any = sys.modules["torch"]  # it is imported, or there would be no tensor
            leaves = list(self._leaves.values())
            values = torch.autograd.grad(found, leaves, allow_unused=True)
            return dict(zip(self._leaves, values, strict=True))
        if found is not None:
            return found
        if all(value is None for value in left.values()):
            raise NotAGradient(
                "the estimator returns nothing and leaves no gradient: let it return its gradients "
                "or a surrogate, or call backward() and pass wrt= (a module or tensors)"
            )
        return left

    def _check_one_way(self, found: Any) -> None:
        """A tensor of one number is a surrogate, or the gradient of a parameter of one number."""
        shapes = {tuple(leaf.shape) for leaf in self._leaves.values()}
        if self._returns is None and shapes == {tuple(found.shape)}:
            raise NotAGradient(
                "the estimator returns a tensor of one number that has a graph, and there is one "
                "parameter of that shape: pass returns='surrogate' or returns='gradient'"
            )


def complete(value: Any, like: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Gradients by the names of others; what is not there is zero.

    Raises:
        ValueError: for a name or a shape that the others do not have.
    """
    found = named(value)
    if len(found) == len(like) == 1:  # whatever the two are called
        found = {next(iter(like)): next(iter(found.values()))}
    unknown = sorted(set(found) - set(like))
    if unknown:
        raise ValueError(
            f"the estimator returns {', '.join(unknown)}, which the exact gradient lacks; it has "
            f"{', '.join(like)}"
        )
    for name, array in found.items():
        if array.shape != like[name].shape:
            loss = "; is it the loss? return its tensor, or nothing after backward()"
            raise ValueError(
                f"{name} has shape {array.shape}, and its exact gradient {like[name].shape}"
                f"{'' if array.shape else loss}"
            )
    return {name: found.get(name, np.zeros_like(array)) for name, array in like.items()}


def float_arrays(inputs: Sequence[Any]) -> dict[str, np.ndarray]:
    """Arrays of real numbers among the inputs, by place; ``gradient`` if there is one alone."""
    found = {
        str(place): each
        for place, each in enumerate(inputs)
        if isinstance(each, np.ndarray) and each.dtype.kind == "f"
    }
    return {"gradient": next(iter(found.values()))} if len(found) == 1 else found


def flat(gradient: Mapping[str, np.ndarray]) -> np.ndarray:
    """All entries of all parameters in a row."""
    return np.concatenate([np.ravel(value) for value in gradient.values()])


def _is_number(found: Any) -> bool:
    return isinstance(found, int | float) or (
        getattr(found, "shape", None) is not None and int(np.prod(tuple(found.shape))) == 1
    )


def _is_surrogate(found: Any) -> bool:
    return getattr(found, "requires_grad", False) and found.numel() == 1


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Tensors of PyTorch that need gradients, by name."""
    if hasattr(value, "named_parameters"):
        for key, leaf in value.named_parameters():
            if leaf.requires_grad:
                yield f"{name}.{key}" if name else key, leaf
    elif getattr(value, "requires_grad", False) and getattr(value, "is_leaf", False):
        yield name or "gradient", value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _leaves(each, f"{name}.{key}" if name else str(key))
    elif isinstance(value, tuple | list):
        alone = len(value) == 1
        for place, each in enumerate(value):
            inner = str(place) if not name else f"{name}.{place}"
            yield from _leaves(each, name if alone else inner)


def _arrays(value: Any) -> Iterator[Any]:
    """Every array and tensor of the inputs."""
    if hasattr(value, "named_parameters"):
        yield from value.parameters()
    elif isinstance(value, np.ndarray) or hasattr(value, "detach"):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _arrays(each)
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _arrays(each)
