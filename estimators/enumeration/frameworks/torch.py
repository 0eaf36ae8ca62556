"""PyTorch's discrete draws.

``torch.distributions`` draw by ``torch.multinomial`` and ``torch.bernoulli``, so that their
Categorical, OneHotCategorical, Multinomial and Bernoulli are enumerated with these.
"""

from __future__ import annotations

import contextlib
import functools
import math
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np

from ..block import BlockRun, NotBatchable
from ..generators import GeneratorAccess, draw_from, handle_reader, handle_setter
from ..outcomes import (
    EPS,
    Coin,
    Uniform,
    binomial,
    draw_weighted_without_replacement,
    draw_without_replacement,
    weighted_rows,
)
from ..patches import Patches
from ..run import Run, UnsupportedDraw
from ..torch_modes import not_hidden
from .framework import GeneratorFramework, handle, handle_in_runs, refuse, unsupported_message
from .torch_compile import COMPILER, run_as_written, tell_script
from .torch_counts import CountDraws
from .torch_dropout import dropping_functions, may_drop, native_dropout
from .torch_gamma import GAMMA, GammaDraws
from .torch_imports import LateImports
from .torch_integrated import handle_numbers
from .torch_lazy_draws import LazyDraws
from .torch_logs import has_lost_graph, log_coins, log_weights
from .torch_randint import RandintLike, whole_numbers
from .torch_row_draws import RowDraws
from .torch_row_tensors import ROWS
from .torch_transforms import Transforms, drops_nothing

#: A tensor of PyTorch.
Tensor = Any

#: Functions of ``torch`` and methods of a tensor whose draws are enumerated, by :class:`_Draws`.
#: Those of numbers without an end are by :class:`.torch_counts.CountDraws`.
FUNCTIONS = ("multinomial", "bernoulli", "binomial", "randint", "randint_like", "randperm")
METHODS = ("multinomial", "bernoulli", "bernoulli_", "random_")

#: Functions of ``torch`` that draw what has no outcomes to count, or too many kinds of them.
UNCOUNTED: tuple[str, ...] = ()
#: The same of a tensor.
UNCOUNTED_IN_PLACE: tuple[str, ...] = ()

#: Those whose numbers are decided when they are compared, by :class:`.torch_lazy_draws.LazyDraws`.
LAZY = ("rand", "rand_like", "randn", "randn_like", "normal")
LAZY_IN_PLACE = ("uniform_", "exponential_", "normal_", "cauchy_", "log_normal_")

#: Within these modules PyTorch draws seeds of generators, which are no draws of an estimator: what
#: is drawn by such a generator is.
SEEDING = "torch.utils.data."
#: Seeds that are handed out there begin here, where nobody else's are.
FIRST_SEED = 1 << 62

#: Under this name a watched run remembers how many answers are under way, one within another.
ANSWERS = "torch answers"


class Torch(GeneratorFramework):
    """PyTorch's functions and methods."""

    name = "torch"

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self._kind = _kind(module)
        self._modes: list[contextlib.AbstractContextManager[object]] = []

    def install(self, patches: Patches) -> None:
        """Handle functions of ``torch`` and methods of a tensor."""
        torch, draws = self.module, _Draws(self.module, self._kind)
        self.drawn_outside_runs.clear()
        functions, methods = (
            {name: getattr(draws, name) for name in names} for names in (FUNCTIONS, METHODS)
        )
        counts = CountDraws(torch, draws.begin, draws.step)
        functions, methods = {**functions, **counts.functions}, {**methods, **counts.methods}
        patches.each_attribute("sample", counts.samples(self._count_answers, self._note_elsewhere))
        below = {"native_dropout": native_dropout(torch, draws.bernoulli)}
        transforms = Transforms(torch, {**functions, **methods, **below})
        lazy = LazyDraws(torch, draws.begin)
        gamma = GammaDraws(torch)
        in_rows = RowDraws(torch, draws.begin, draws.step)
        places: list[tuple[Any, str, Any, Any]] = []
        for owner, answers, names, later, where in (
            (torch, functions, UNCOUNTED, (*LAZY, *GAMMA), "torch"),
            (torch.Tensor, methods, UNCOUNTED_IN_PLACE, LAZY_IN_PLACE, "Tensor"),
        ):
            for name in (*answers, *names, *later):
                real = getattr(owner, name)
                answer = answers.get(name)
                if name in later:
                    draw = getattr(gamma if name in GAMMA else lazy, name)
                    answer = transforms.answer_lazily(draw, of_rows=name not in GAMMA)
                elif answer is None:
                    answer = refuse(unsupported_message(f"{where}.{name}"))
                else:
                    answer = transforms.answer(real, answer)
                    answer = _answer_rows(answer, getattr(in_rows, name, None), name)
                handler = handle(real, self._count_answers(answer), self._note_elsewhere)
                if name == "random_":
                    seed = handle(real, self._count_answers(draws.seed), self._note_elsewhere)
                    handler = _handle_random(handler, seed)
                patches.attribute(owner, name, handler)
                places.append((owner, name, real, handler))
                if owner is torch:
                    self._handlers.append((real, handler))
        places += self._handle_dropout(patches, transforms, in_rows)
        # The one place where PyTorch itself has imported such a function by its name.
        patches.attribute(torch.utils.data.dataset, "randperm", torch.randperm)
        handle_numbers(torch, patches)
        tell_script(torch, self._handlers, patches)
        run_as_written(patches)
        then = {COMPILER: lambda: run_as_written(patches)}
        LateImports("torch", places, then).install(patches)
        self._handle_generators(patches)
        patches.attribute(torch.autograd, "backward", _handle_backward(torch.autograd.backward))

    def _handle_generators(self, patches: Patches) -> None:
        """Handle what sets and reads the states of generators."""
        generator = type(self.module.default_generator)
        for name in ("manual_seed", "seed", "set_state", "graphsafe_set_state", "set_offset"):
            real = vars(generator).get(name)
            if real is not None:  # older versions have fewer
                patches.method(
                    generator, name, handle_setter(real, self._kind, self.drawn_outside_runs)
                )
        for name in ("get_state", "graphsafe_get_state", "clone_state", "__reduce__"):
            real = vars(generator).get(name)
            if real is not None:
                patches.method(generator, name, handle_reader(real, self._kind))

    def _handle_dropout(
        self, patches: Patches, transforms: Transforms, in_rows: RowDraws
    ) -> list[tuple[Any, str, Any, Any]]:
        """Handle functions that drop; where each is looked up, its name, itself, its handler."""
        places = []
        for owner, name, real, answer in dropping_functions(
            self.module, transforms, in_rows.bernoulli
        ):
            handler = handle(real, self._count_answers(answer), self._note_dropping)
            patches.attribute(owner, name, handler)
            places.append((owner, name, real, handler))
            self._handlers.append((real, handler))
        return places

    def _note_elsewhere(self, *_: Any, generator: Any = None, **__: Any) -> None:
        self.note_drawn_outside(generator or self.module.default_generator)

    def _note_dropping(self, *args: Any, **kwargs: Any) -> None:
        if may_drop(args, kwargs):
            self._note_elsewhere()

    def _count_answers(self, answer: Callable[..., Any]) -> Callable[..., Any]:
        """An answer, in which nothing that draws is looked for."""

        def count_answer(run: Run, *args: Any, **kwargs: Any) -> Any:
            if ANSWERS not in run.memory:  # nobody looks
                return answer(run, *args, **kwargs)
            run.memory[ANSWERS] += 1
            try:
                return answer(run, *args, **kwargs)
            finally:
                run.memory[ANSWERS] -= 1

        return count_answer

    def begin(self) -> None:
        """Watch the generator that PyTorch has of its own."""
        self._watched.add(self.module.default_generator, self._kind)

    def start(self, run: Run, watched: bool) -> None:
        """Look for operations that draw."""
        if watched and not run.is_sampling:
            run.memory[ANSWERS] = 0
            mode = _draw_watcher(self.module)(run)
            mode.__enter__()
            self._modes.append(mode)

    def finish(self, run: Run, watched: bool) -> None:
        """No longer."""
        if watched and not run.is_sampling:
            self._modes.pop().__exit__(None, None, None)
        super().finish(run, watched)


@functools.cache
def _kind(torch: Any) -> GeneratorAccess:
    """How PyTorch's generators are read and moved."""
    kind, rand = type(torch.default_generator), torch._C._VariableFunctions.rand
    read, write, unwatched = kind.get_state, kind.set_state, torch._C._DisableTorchDispatch
    untransformed = getattr(torch._C, "_DisableFuncTorch", contextlib.nullcontext)

    def move(generator: Any) -> None:
        # By a function that no handler stands for: methods of a tensor are looked up anew by
        # PyTorch where a mode is active that sees all functions. And no mode that sees operations
        # is told of it, nor vmap.
        with unwatched(), untransformed():
            rand(1, generator=generator, device=generator.device)

    def key(state: Any) -> bytes:
        # The seed, the place and the first words of 624, and what is kept for normal numbers: two
        # states that are equal in these are one, and all five thousand bytes take longer.
        numbers = state.numpy()
        return bytes(numbers[:256].tobytes() + numbers[-64:].tobytes())

    return GeneratorAccess("a generator of PyTorch", read, key, write, move)


@functools.cache
def _draw_watcher(torch: Any) -> Callable[[Run], contextlib.AbstractContextManager[object]]:
    """A mode that sees every operation, and refuses those that draw unless a handler makes them."""
    drawing = torch.Tag.nondeterministic_seeded

    class DrawWatcher(torch.utils._python_dispatch.TorchDispatchMode):
        # Conditionals and loops of PyTorch, whose operations are seen inside.
        supports_higher_order_operators = True

        def __init__(self, run: Run) -> None:
            super().__init__()
            self._run = run

        def __torch_dispatch__(  # the name is PyTorch's
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            given = kwargs or {}
            if drawing in getattr(func, "tags", ()) and not self._run.memory[ANSWERS]:
                _refuse_operation(func, args, given)
            return func(*args, **given)

    return not_hidden(DrawWatcher)


def _refuse_operation(func: Any, args: Any, kwargs: Any) -> None:
    name = str(func).removesuffix(".default")
    if drops_nothing(func, args, kwargs):
        return
    what = "dropout, by " if "dropout" in name or _in_dropout() else ""
    raise UnsupportedDraw(
        f"PyTorch drew by {what}{name}, which no handler sees: only its Python functions "
        "multinomial, bernoulli, binomial, randint, randperm, dropout, and what is built on these, "
        "are enumerated; switch it off, draw by one of them, or pass it a fixed draw"
    )


def _in_dropout() -> bool:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if "dropout" in frame.f_code.co_name:
            return True
        frame = frame.f_back
    return False


def _handle_backward(real: Callable[..., Any]) -> Callable[..., Any]:
    """``backward``, which notes in the run what it was asked for."""

    def backward(run: Run, tensors: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(run, BlockRun):
            return _backward_of_rows(run, tensors, *args, **kwargs)
        roots = [tensors] if hasattr(tensors, "backward") else list(tensors)
        run.recall("backward", list).extend(roots)
        return real(tensors, *args, **kwargs)

    return handle_in_runs(real, backward)


def _backward_of_rows(
    run: BlockRun,
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: Any = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    if create_graph or grad_variables is not None or ROWS not in run.memory:
        raise NotBatchable("it differentiates in a way that is not known for rows")
    run.memory[ROWS].backward(tensors, grad_tensors, inputs, retain_graph)


def _answer_rows(
    answer: Callable[..., Any], of_rows: Callable[..., Any] | None, name: str
) -> Callable[..., Any]:
    """An answer that is another one for a run of many rows."""

    def answer_rows(run: Run, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(run, BlockRun):
            return answer(run, *args, **kwargs)
        if of_rows is None:
            raise NotBatchable(f"{name} draws for one path at a time")
        return of_rows(run, *args, **kwargs)

    return answer_rows


def _handle_random(handler: Callable[..., Any], seed: Callable[..., Any]) -> Callable[..., Any]:
    """A handler of ``random_``, or of the seeds that PyTorch draws by it."""

    def random_(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        caller = str(sys._getframe(1).f_globals.get("__name__"))
        if not args and caller.startswith(SEEDING):
            return seed(tensor, *args, **kwargs)
        return handler(tensor, *args, **kwargs)

    return random_


class _Draws(RandintLike):
    """What answers for PyTorch's functions; their arguments are theirs, after the run."""

    def __init__(self, torch: Any, kind: GeneratorAccess) -> None:
        self._torch, self._kind = torch, kind
        #: What is asked for at each draw, by the type.
        self._steps: dict[Any, float] = {}

    def begin(self, run: Run, generator: Any, what: str) -> None:
        """Note that a generator draws, PyTorch's own if none is given."""
        draw_from(run, generator or self._torch.default_generator, self._kind, what)

    def multinomial(
        self,
        run: Run,
        input: Tensor,
        num_samples: int = 1,
        replacement: bool = False,
        *,
        generator: Any = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """Of each row of weights, so many outcomes: one after the other."""
        what = "torch.multinomial"
        self.begin(run, generator, what)
        if input.dim() not in (1, 2):
            raise RuntimeError("prob_dist must be 1 or 2 dim")  # as PyTorch does
        if num_samples < 1:
            raise RuntimeError("cannot sample n_sample <= 0 samples")  # as PyTorch does
        step = self.step(input)
        rows = self._doubles(input).reshape(-1, input.shape[-1])
        if num_samples == 1 or replacement:
            tables = weighted_rows(what, rows, step, run.next_in_prefix())
            if num_samples > 1:
                tables = [each for each in tables for _ in range(num_samples)]
            drawn = run.choose_each(tables)
        else:
            drawn = [
                place
                for row in rows
                for place in self._draw_apart(run, what, row, num_samples, step)
            ]
        places = np.array(drawn, np.int64).reshape(*input.shape[:-1], num_samples)
        found = self._torch.from_numpy(places)
        found = found if input.is_cpu else found.to(input.device)
        if run.graph is not None:
            given = input.reshape(-1, input.shape[-1])
            log = log_weights(given, found.reshape(-1, num_samples), replacement).sum()
            run.note_graph(log, 0 if has_lost_graph(given, log) else len(rows) * num_samples)
        return _write_out(found, out)

    def step(self, given: Tensor) -> float:
        """The precision of what probabilities are given in."""
        step = self._steps.get(given.dtype)
        if step is None:
            finite = given.is_floating_point()
            step = float(self._torch.finfo(given.dtype).eps) if finite else EPS
            self._steps[given.dtype] = step
        return step

    def _doubles(self, given: Tensor) -> np.ndarray:
        """The numbers themselves, in double precision; perhaps in the same memory."""
        plain = given.detach()
        if plain.dtype is not self._torch.double or plain.device.type != "cpu":
            plain = plain.double().cpu()
        return np.asarray(plain.numpy())

    def _draw_apart(
        self, run: Run, what: str, weights: np.ndarray, count: int, step: float
    ) -> list[int]:
        """Outcomes of one row, none of them twice."""
        if count > np.count_nonzero(weights):
            raise UnsupportedDraw(
                f"{what} draws {count} of {np.count_nonzero(weights)} outcomes that have a "
                "probability, without replacement: what PyTorch gives for the others is no draw; "
                "draw at most as many"
            )
        return draw_weighted_without_replacement(run.choose, what, weights, count, step)

    def bernoulli(
        self,
        run: Run,
        input: Tensor,
        p: float | None = None,
        *,
        generator: Any = None,
        out: Tensor | None = None,
    ) -> Tensor:
        """Zeros and ones of these probabilities."""
        self.begin(run, generator, "torch.bernoulli")
        probabilities = input if p is None else self._torch.full_like(input, p)
        found = self._zeros_and_ones(run, probabilities).to(input.dtype)
        if p is None and out is None and input.requires_grad and self._torch.is_grad_enabled():
            found = found + 0.0 * input  # PyTorch differentiates a coin too, to zero
        return _write_out(found, out)

    def bernoulli_(
        self, run: Run, tensor: Tensor, p: Any = 0.5, *, generator: Any = None
    ) -> Tensor:
        """The same, in place."""
        self.begin(run, generator, "torch.bernoulli")
        plain = {} if isinstance(p, self._torch.Tensor) else {"dtype": self._torch.double}
        probabilities = self._torch.as_tensor(p, **plain).expand(tensor.shape)
        found = self._zeros_and_ones(run, probabilities)
        return tensor if run.is_sampling else tensor.copy_(found)

    def _zeros_and_ones(self, run: Run, ones: Tensor) -> Tensor:
        """Coins, by the probabilities of ones."""
        if not ones.is_floating_point():
            raise NotImplementedError(f"bernoulli of {ones.dtype} is not implemented by PyTorch")
        flat = self._doubles(ones).reshape(-1)
        step = self.step(ones)
        # Each that is certain is no draw; most may be.
        drawn = (flat == 1.0).astype(np.float64)
        open_places = np.flatnonzero((flat != 0.0) & (flat != 1.0)).tolist()
        coins = [Coin("torch.bernoulli", float(flat[place]), step) for place in open_places]
        drawn[open_places] = run.choose_each(coins)
        outcomes = self._torch.from_numpy(drawn).to(ones.device).reshape(ones.shape)
        if run.graph is not None:
            log = log_coins(self._torch, ones, outcomes).sum()
            run.note_graph(log, 0 if has_lost_graph(ones, log) else len(open_places))
        return outcomes

    def binomial(self, run: Run, count: Tensor, prob: Tensor, generator: Any = None) -> Tensor:
        """How many of so many trials come out."""
        self.begin(run, generator, "torch.binomial")
        trials, ones = self._torch.broadcast_tensors(count, prob)
        step = self.step(prob)
        pairs = zip(*(self._doubles(each).reshape(-1) for each in (trials, ones)), strict=True)
        laws = [binomial("torch.binomial", int(n), float(p), step) for n, p in pairs]
        drawn = run.choose_each(laws)
        counts = self._torch.tensor(drawn, dtype=prob.dtype, device=prob.device)
        return counts.reshape(ones.shape)

    def randint(self, run: Run, *args: Any, generator: Any = None, **kwargs: Any) -> Tensor:
        """Whole numbers, each as likely: (high, size) or (low, high, size)."""
        self.begin(run, generator, "torch.randint")
        out = kwargs.pop("out", None)
        low, high, size, made = whole_numbers(args, kwargs)
        drawn = self._uniform(run, low, high, math.prod(size), "torch.randint")
        made = {"dtype": self._torch.long, **made}
        return _write_out(self._torch.tensor(drawn, **made).reshape(size), out)

    def random_(
        self, run: Run, tensor: Tensor, *bounds: int, generator: Any = None, **named: int
    ) -> Tensor:
        """Whole numbers, each as likely, in place: (to) or (from, to)."""
        self.begin(run, generator, "Tensor.random_")
        bounds = (*bounds, *(named[name] for name in ("from", "to") if named.get(name) is not None))
        if not bounds:
            raise UnsupportedDraw(
                "Tensor.random_ without bounds has too many outcomes to enumerate; pass bounds"
            )
        low, high = bounds if len(bounds) == 2 else (0, *bounds)
        drawn = self._uniform(run, low, high, tensor.numel(), "Tensor.random_")
        if run.is_sampling:  # it is only looked at
            return tensor
        return tensor.copy_(self._torch.tensor(drawn).reshape(tensor.shape))

    def seed(self, run: Run, tensor: Tensor, *, generator: Any = None) -> Tensor:
        """A number that PyTorch seeds a generator with: another each time, the same in each run."""
        self.begin(run, generator, "a loader of data")
        run.memory["torch seeds"] = number = run.memory.get("torch seeds", FIRST_SEED) + 1
        return tensor.fill_(number)

    def _uniform(self, run: Run, low: int, high: int, count: int, what: str) -> list[int]:
        if high <= low:
            raise RuntimeError(f"random_ expects 'from' to be less than 'to', got {low} and {high}")
        outcomes = Uniform(what, high - low)
        return [low + drawn for drawn in run.choose_each([outcomes] * count)]

    def randperm(
        self,
        run: Run,
        n: int,
        *,
        generator: Any = None,
        out: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """The first n numbers in any order."""
        self.begin(run, generator, "torch.randperm")
        drawn = draw_without_replacement(run.choose, "torch.randperm", n, n)
        made = {"dtype": self._torch.long, **{k: v for k, v in kwargs.items() if v is not None}}
        return _write_out(self._torch.tensor(drawn, **made), out)


def _write_out(found: Tensor, out: Tensor | None) -> Tensor:
    return found if out is None else out.resize_(found.shape).copy_(found)
