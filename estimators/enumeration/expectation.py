"""The mean of an objective over the outcomes of what it draws, and the gradient of that mean."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gradproof.errors import GradproofError

from .block import NotBatchable, RowsCode
from .compared_paths import ComparedPaths
from .enumeration import Enumeration
from .estimator import Listener, UserFunction, arrays_in
from .frameworks.jax_compiled import CompiledFunction
from .frameworks.torch_rows import TorchRows
from .gradients import GradientLayout, array_of, precision
from .left_out import LeftOut, edge_of
from .limits import MOST_PATHS
from .moments import CompensatedSum
from .outcomes import EPS
from .released import number, without_stops
from .run import KEPT, NotReproducible, Path, UnsupportedDraw, current_run, run_path

#: Roundings of its size that a mean may differ by where it is compiled, which orders sums anew.
SAME = 1000.0


class NotDifferentiable(GradproofError, ValueError):
    """An expected cost that has no derivative, or none that can be found."""


@dataclasses.dataclass(frozen=True)
class EnumeratedMean:
    """An enumerated mean: its value, what is added up in it without signs, over how many paths.

    What is left out of it counts as so much that it is a rounding of that.
    """

    value: float
    size: float
    paths: int


class ObjectiveCost(UserFunction):
    """What an objective returns, and how large that is: one number each."""

    def __call__(self) -> dict[str, np.float64]:
        """Both by name.

        Raises:
            NotDifferentiable: if it is not one finite number.
        """
        returned = super().__call__()
        value = np.float64(one_number(returned, "the objective"))
        self.precision = max(self.precision, precision(returned))
        return {"value": value, "size": abs(value)}

    @property
    def moves_by_copies(self) -> bool:
        """Whether each parameter is a copy, which arguments are made of and nothing else has."""
        given = {id(each) for each in arrays_in(self.inputs)}
        return self.arguments is not None and not any(
            id(leaf) in given for leaf in arrays_in(self._beside)
        )

    def rows(self, first: Path[Any]) -> RowsCode:
        """See the base class."""

        def read(rows: Any, returned: Any) -> dict[str, Any]:
            value = rows.one_number(returned)
            return {"value": value, "size": value.abs()}

        return TorchRows(super().__call__, {}, read)


class Expectation:
    """The mean of what an objective returns.

    Estimand: sum over paths of p(path) f(path), with the inputs as they are when it is called.

    Args:
        objective: draws, and returns a number; called with ``inputs``.
        beside: what else it may move, such as parameters.
        paths: that may be run at most.
        reset: called before each run.
        listener: is told of each run.
        arguments: makes what it is called with in each run; None: it is called with ``inputs``.
        batch: whether paths are run many at a time, where they can be.
    """

    def __init__(
        self,
        objective: Callable[..., Any],
        inputs: Sequence[Any],
        *,
        beside: Sequence[Any] = (),
        paths: int = MOST_PATHS,
        reset: Callable[[], object] | None = None,
        listener: Listener | None = None,
        arguments: Callable[[], Sequence[Any]] | None = None,
        batch: bool = True,
    ) -> None:
        self._code = ObjectiveCost(
            objective, inputs, reset=reset, beside=beside, called="objective"
        )
        self._code.arguments = arguments
        self._code.listener = listener
        self._most = paths
        # What was compared once need not be again, where parameters were moved a little.
        self._compared = ComparedPaths()
        #: Whether paths are run many at a time, as far as is known.
        self.in_blocks = batch
        self.runs = 0

    def __call__(self) -> EnumeratedMean:
        """Enumerate it, with the inputs as they are now.

        Raises:
            NotDifferentiable: if it is not one finite number.
            NotEnumerable: for an unsupported draw, or too many paths.
        """
        with Enumeration(self._code, self._most) as enumeration:
            mean = (self.in_blocks and self._together(enumeration)) or _one_by_one(enumeration)
        self.runs += mean.paths
        return mean

    def _together(self, enumeration: Enumeration) -> EnumeratedMean | None:
        """The mean of paths that are run many at a time; None if they cannot be."""
        layout = GradientLayout(LAYOUT)
        first = enumeration.run_once([])
        moments = enumeration.together(first, layout, self._compared)
        if moments is None:
            enumeration.restore_state()
            self.in_blocks = False  # nor can they with other parameters
            return None
        moments.check_mass()
        mean = layout.split(moments.mean())
        missing = float(layout.split(moments.left_out())["value"])
        size = float(mean["size"]) + missing / EPS
        return EnumeratedMean(float(mean["value"]), size, moments.count)

    def repeated_mean(self) -> EnumeratedMean:
        """Enumerate it twice, and once more look for draws that no handler sees.

        From then on JAX runs it compiled, if it can.

        Raises:
            NotReproducible: if it comes to something else.
            UnsupportedDraw: for what is drawn unseen on the first path, by its name.
        """
        try:
            mean = self()
        except (NotReproducible, UnsupportedDraw):
            self._name_unseen()  # which may be the reason
            raise
        self._watch()
        if self() != mean:
            raise NotReproducible(
                "nondeterministic: the mean of the objective is another one when it is enumerated "
                f"again: {KEPT}"
            )
        self._compile_jax(mean)
        return mean

    def _name_unseen(self) -> None:
        """Run the first path watched, which names what is drawn unseen in it."""
        with Enumeration(self._code, self._most) as enumeration:
            run_path(self._code, enumeration.handling.perform_watched, ())
            enumeration.restore_state()

    def _watch(self) -> None:
        """Run the first path twice, the second time watched."""
        with Enumeration(self._code, self._most) as enumeration:
            first = next(enumeration.paths())
            enumeration.restore_state()
            enumeration.repeat_watched(first.choices)
            enumeration.restore_state()
        self.runs += 2

    def _compile_jax(self, mean: EnumeratedMean) -> None:
        """Have JAX compile the objective from now on, where its mean stays the same.

        Only where all that moves are copies among its arguments: an array that is moved where it
        stands may be kept by the code too, and would be a constant of the program. Code that needs
        numbers in Python, or draws by NumPy, stays as it is.

        Args:
            mean: as it is without that.
        """
        code = self._code
        if not code.moves_by_copies or "jax" not in sys.modules:
            return
        code.program = CompiledFunction(code.function)
        try:
            compiled = self()
        except Exception:  # noqa: BLE001 - it runs as it is, and not where it is traced
            code.program = None
            return
        rounding = SAME * code.precision * mean.size
        if compiled.paths != mean.paths or abs(compiled.value - mean.value) > rounding:
            code.program = None

    @property
    def changed(self) -> Mapping[str, None]:
        """What a run left changed, and was put back."""
        return self._code.changed


#: What a run of an objective comes to.
LAYOUT = {"value": np.zeros(()), "size": np.zeros(())}


def _one_by_one(enumeration: Enumeration) -> EnumeratedMean:
    total, size, count, largest, left_out = CompensatedSum(), 0.0, 0, 0.0, LeftOut(1)
    for path in enumeration.paths():
        weight, one = path.probability, float(path.value["size"])
        total.add(weight * path.value["value"])
        size += weight * one
        largest = max(largest, one)
        edge = edge_of(path.choices, weight)
        left_out.probability += edge.probability
        if edge.is_far:
            left_out.add(np.array([weight]), np.array([[one]]))
        count += 1
    missing = float(left_out.bound(np.array([size]), largest)[0])
    return EnumeratedMean(float(total.value), float(size) + missing / EPS, count)


class GraphLost(NotDifferentiable):
    """An objective whose draws or cost the framework cannot differentiate."""


class ObjectiveGradient(UserFunction):
    """One path's part of the gradient of the mean of an objective, by PyTorch's differentiation.

    Estimand: d/dtheta sum over paths of p(theta) f(theta).
    Estimator: f d log p + d f on each path, of which the weighted sum is taken.
    Valid when: PyTorch computes both f and the probabilities of what is drawn, from the parameters
    on. What it stops or takes out of the graph by ``detach``, ``no_grad`` or ``data`` is put back
    into it; what becomes a number of Python or NumPy is lost, and has to be found by a witness.

    Args:
        leaves: tensors that are differentiated by, by name.
        look: whether to look for what was made from the leaves before, and is used.
    """

    def __init__(
        self,
        objective: Callable[..., Any],
        inputs: Sequence[Any],
        leaves: Mapping[str, Any],
        *,
        reset: Callable[[], object] | None = None,
        look: bool = False,
    ) -> None:
        super().__init__(objective, inputs, reset=reset, beside=(dict(leaves),), called="objective")
        self._leaves, self._look = leaves, look
        #: Names of leaves that something was made from before, which is used; if one looks for it.
        self.made_before: dict[str, None] = {}

    def __call__(self) -> dict[str, Any]:
        """Arrays by name; None for what is not reached.

        Raises:
            GraphLost: if something was drawn by probabilities that are not PyTorch's.
        """
        torch: Any = sys.modules["torch"]  # or there would be no tensors
        run = current_run()
        assert run is not None  # it is run path by path
        run.graph = []
        with without_stops() as start:
            cost = super().__call__()
            value = one_number(cost, "the objective")
            if not run.whole_graph:
                raise GraphLost("something is drawn by probabilities that PyTorch does not compute")
            terms = [value * log for log in run.graph if log.requires_grad]
            if getattr(cost, "requires_grad", False):
                terms.append(cost.reshape(()))
            leaves = list(self._leaves.values())
            if not terms:
                return dict.fromkeys(self._leaves)
            total = sum(terms)
            if self._look:
                self.made_before.update(leaves_made_before(total.grad_fn, start, self._leaves))
            # Part of the graph may be somebody's own, who goes on using it.
            slopes = torch.autograd.grad(total, leaves, allow_unused=True, retain_graph=True)
        return {
            name: None if slope is None else array_of(slope)
            for name, slope in zip(self._leaves, slopes, strict=True)
        }

    def rows(self, first: Path[Any]) -> RowsCode:
        """See the base class."""
        if self._look:
            raise NotBatchable("its graph is looked at path by path")
        return TorchRows(
            super().__call__, self._leaves, self._read_rows, without_stops, with_graph=True
        )

    def _read_rows(self, rows: Any, cost: Any) -> dict[str, Any]:
        """The same as :meth:`__call__`, in all rows."""
        run = rows.run
        if not run.whole_graph:
            raise GraphLost("something is drawn by probabilities that PyTorch does not compute")
        own = rows.rows(rows.one_number(cost))
        value = rows.torch.from_numpy(rows.numbers(cost)).to(own).reshape(run.size)
        assert run.graph is not None  # it was begun
        terms = [value * log for log in run.graph if log.requires_grad]
        terms += [own] if own.requires_grad else []
        if not terms:
            return dict.fromkeys(self._leaves)
        total = rows.of_rows(sum(terms))
        return dict(zip(self._leaves, rows.gradients(total, [*self._leaves.values()]), strict=True))


def leaves_made_before(root: Any, start: float, leaves: Mapping[str, Any]) -> dict[str, None]:
    """Names of the leaves that are reached by nodes of a graph that were there before."""
    by_id = {id(leaf): name for name, leaf in leaves.items()}
    names: dict[str, None] = {}
    seen: set[tuple[Any, bool]] = set()
    waiting = [(root, False)]
    while waiting:
        node, old = waiting.pop()
        if node is None or (node, old) in seen:
            continue
        seen.add((node, old))
        if hasattr(node, "variable"):  # where gradients are added up, of a leaf
            name = by_id.get(id(node.variable))
            if old and name is not None:
                names[name] = None
            continue
        old = old or number(node) < start
        waiting += [(each, old) for each, _ in node.next_functions]
    return names


def one_number(value: Any, what: str) -> float:
    """What ``what`` returned, as a number.

    Raises:
        NotDifferentiable: if it is not one finite number.
    """
    found = array_of(value)
    if found.size != 1 or found.dtype.kind not in "fiub" or not np.isfinite(found).all():
        several = f" (it has shape {found.shape}: return its mean or its sum)"
        hint = several if found.size > 1 else ""
        raise NotDifferentiable(f"{what} returned {value!r:.60}, expected one finite number{hint}")
    return float(found.reshape(()))
