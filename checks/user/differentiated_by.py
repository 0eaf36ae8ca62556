"""What an objective's mean is differentiated by: tensors or arrays that gradients are for.

Tensors that require gradients say so themselves. Arrays do not: a batch of data is one as well as a
parameter. What the estimator returns tells, by names, shapes and places, or ``wrt=`` does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import Estimator, leaves_of
from gradproof.estimators.enumeration.expectation import NotDifferentiable
from gradproof.estimators.enumeration.gradients import NotAGradient, array_of, loss_hint
from gradproof.estimators.enumeration.input_arrays import (
    InputArray,
    MovableInputs,
    argument_names,
    input_arrays,
)
from gradproof.estimators.enumeration.run import TooManyPaths, UnsupportedDraw

from .listing import list_names

#: Chosen arrays by the names that the estimator has for their gradients.
Chosen = dict[str, InputArray]


@dataclasses.dataclass(frozen=True)
class Parameters:
    """What an objective is differentiated by.

    ``leaves`` are moved by differences, by name; ``movable`` are inputs for each run in which they
    are, None where leaves stand in the inputs themselves. ``note`` says what was left out.
    """

    leaves: Mapping[str, Any]
    movable: MovableInputs | None = None
    note: str = ""

    def check_not_kept(self, code: Callable[..., Any], what: str = "the objective") -> None:
        """Whether some code has nothing but its arguments to know the parameters by.

        Raises:
            NotDifferentiable: if it keeps one that is moved as a copy, and would not move with it.
        """
        kept = () if self.movable is None else self.movable.kept_in(code)
        if kept:
            raise NotDifferentiable(
                f"{what} is given {', '.join(kept)}, and keeps it as well (a closure, a "
                "global name, a default, self): what it keeps does not move in finite differences. "
                "Let it use its argument only; of what is meant to be a constant keep a copy "
                "(jnp.array(x))"
            )


@dataclasses.dataclass(frozen=True)
class _Returned:
    """Names and shapes of what an estimator returns; None for what it does not reach."""

    shapes: Mapping[str, tuple[int, ...] | None]
    in_order: bool

    def fits(self, chosen: Chosen) -> bool:
        """Whether these are the gradients of some arrays, by names and shapes."""
        others = self.shapes.keys() - chosen.keys()  # such as functions in a module
        return (
            chosen.keys() <= self.shapes.keys()
            and all(self.shapes[name] is None for name in others)
            and all(self.shapes[name] in (None, one.shape) for name, one in chosen.items())
        )

    def __str__(self) -> str:
        return ", ".join(
            name if shape is None else f"{name} {shape}" for name, shape in self.shapes.items()
        )


def differentiated_by(estimator: Estimator) -> Parameters:
    """The parameters of an estimator: its tensors, or arrays among its inputs.

    Raises:
        NotDifferentiable: if what it returns does not tell which.
        Whatever it raises itself: it may be run once.
    """
    if estimator.leaves:
        return Parameters(_named_as_returned(estimator))
    arrays = input_arrays(estimator.function, estimator.inputs)
    if estimator.wrt is not None:
        chosen = _chosen_by_wrt(arrays, estimator.wrt_arrays)
    elif len(arrays) == 1:
        chosen = {arrays[0].name: arrays[0]}
    else:
        chosen = _chosen_by_return(arrays, _first_returned(estimator)) if arrays else {}
    left = [each.name_by_argument for each in arrays if each not in chosen.values()]
    note = ""
    if left and estimator.wrt is None:
        note = (
            f"{list_names(left)} {'is an input' if len(left) == 1 else 'are inputs'} that no "
            "gradient is returned for: not compared."
        )
    movable = MovableInputs(estimator.inputs, chosen)
    return Parameters(movable.leaves, movable if movable.has_copies else None, note)


def _chosen_by_wrt(arrays: Sequence[InputArray], wanted: Mapping[str, Any]) -> Chosen:
    chosen: Chosen = {}
    for name, array in wanted.items():
        places = [each for each in arrays if each.array is array]
        if len(places) != 1:
            many = "is not among the inputs" if not places else "is more than one of the inputs"
            raise NotDifferentiable(
                f"wrt= has {name}, which {many}: pass the very array that stands in inputs, once "
                "(a copy of it elsewhere, as jnp.array(x))"
            )
        chosen[name] = places[0]
    return chosen


def _chosen_by_return(arrays: Sequence[InputArray], returned: _Returned) -> Chosen:
    """The arrays whose gradients were returned.

    Raises:
        NotDifferentiable: if these may be several or none.
    """
    candidates = _candidates(arrays, returned)
    different = {
        tuple(sorted((name, id(one)) for name, one in each.items())): each for each in candidates
    }
    if len(different) == 1:
        return next(iter(different.values()))
    by_place = {each.name_by_place: each for each in arrays}
    if not different and returned.shapes.keys() <= by_place.keys():
        return by_place  # of other shapes, or not all of them: that is said where they are compared
    inputs = ", ".join(f"{each.name_by_argument} {each.shape}" for each in arrays)
    what = "may belong to more than one of them" if different else "have the names of none of them"
    loss = "" if different else loss_hint(returned.shapes)
    remedy = loss or (
        "; return a dict by the names of the arguments, or pass wrt= (an array or a collection of "
        "them, as in inputs)"
    )
    raise NotDifferentiable(
        f"objective= does not know what to differentiate by: the arrays among the inputs are "
        f"{inputs}, and the gradients that are returned ({returned}) {what}{remedy}"
    )


def _candidates(arrays: Sequence[InputArray], returned: _Returned) -> list[Chosen]:
    """Ways to read what was returned: as of all arrays, of the first inputs, of one, by name."""
    places = sorted({each.place for each in arrays})
    ways: list[Chosen] = []
    for last in places:  # as argnums=(0, 1) would have it
        ways.append({each.name_by_place: each for each in arrays if each.place <= last})
    for place in places:
        ways.append({each.name: each for each in arrays if each.place == place})
    named = {name.partition(".")[0] for name in returned.shapes}
    ways.append({each.name_by_argument: each for each in arrays if each.argument in named})
    if returned.in_order and len(returned.shapes) == len(arrays):
        ways.append(dict(zip(returned.shapes, arrays, strict=True)))
    return [way for way in ways if way and returned.fits(way)]


def _named_as_returned(estimator: Estimator) -> Mapping[str, Any]:
    """The tensors, by the names of arguments if gradients are returned by these.

    Raises:
        NotDifferentiable: if gradients have names that are neither theirs nor the arguments'.
    """
    leaves = estimator.leaves
    names = argument_names(estimator.function, len(estimator.inputs))
    by_argument = {
        id(leaf): name
        for argument, value in zip(names, estimator.inputs, strict=True)
        if argument
        for name, _, leaf in leaves_of(value, argument)
    }
    if len(leaves) == 1 or not by_argument.keys() >= {id(leaf) for leaf in leaves.values()}:
        return leaves
    try:
        returned = _first_returned(estimator)
    except NotAGradient:
        return leaves  # which is said where it is read
    renamed = {by_argument[id(leaf)]: leaf for leaf in leaves.values()}
    if returned.in_order or returned.shapes.keys() <= leaves.keys():
        return leaves
    if returned.shapes.keys() == renamed.keys():
        return renamed
    missing = [name for name in renamed if name not in returned.shapes]
    hint = f"; it lacks {list_names(missing)}" if returned.shapes.keys() < renamed.keys() else ""
    alone = ""
    if () in returned.shapes.values():  # such as (loss, {"kl": 0.1})
        alone = "; if one of them is a surrogate, return it alone, without metrics"
    raise NotDifferentiable(
        f"the estimator returns gradients of {returned}, and the tensors among its inputs that "
        f"require gradients are {list_names(renamed)}{hint}: return a gradient for each by the "
        f"name of its argument, or pass wrt= with those that are meant{alone}"
    )


def _first_returned(estimator: Estimator) -> _Returned:
    """What one run returns."""
    try:
        with Enumeration(estimator) as enumeration:
            found = _read(next(enumeration.paths()).value)
            enumeration.restore_state()
            return found
    except (UnsupportedDraw, TooManyPaths):
        with estimator.restoring_state():
            return _read(estimator())


def _read(value: Mapping[str, Any]) -> _Returned:
    shapes = {
        name: None if array is None else tuple(array_of(array).shape)
        for name, array in value.items()
    }
    return _Returned(shapes, bool(getattr(value, "in_order", False)))
