"""PyTorch's draws of numbers: Poisson, geometric, negative binomial, and counts of several trials.

Three distributions draw them by what is no draw of these numbers (uniform numbers, a Poisson number
at a rate of a gamma distribution, places in order), so that their ``sample`` is answered itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..block import BlockRun, NotBatchable
from ..counts import draw_counts, geometric, negative_binomial, poisson
from ..outcomes import OutcomeDistribution
from ..run import Run
from .framework import handle
from .torch_logs import has_lost_graph
from .torch_transforms import Answer

#: A tensor of PyTorch.
Tensor = Any

#: Distributions whose method ``sample`` is answered, by the name of the answer.
SAMPLES = {
    "Geometric": "sample_geometric",
    "NegativeBinomial": "sample_negative_binomial",
    "Multinomial": "sample_multinomial",
}


class CountDraws:
    """What answers for PyTorch's functions; their arguments are theirs, after the run.

    Args:
        begin: notes that a generator draws.
        step: the precision of what parameters are given in.
    """

    def __init__(
        self, torch: Any, begin: Callable[..., None], step: Callable[[Tensor], float]
    ) -> None:
        self._torch, self._begin, self._step = torch, begin, step
        #: Functions of ``torch``, and methods of a tensor, whose answers these are.
        self.functions: dict[str, Answer] = {"poisson": self.poisson}
        self.methods: dict[str, Answer] = {"geometric_": self.geometric_}

    def samples(self, wrap: Callable[[Answer], Answer], note: Answer) -> list[tuple[Any, Any]]:
        """Distributions whose samples are answered, each with the handler of ``sample``.

        Args:
            wrap: an answer, as it is to be called.
            note: is called where no run is under way.
        """
        inside = self._torch._C._functorch.peek_interpreter_stack
        found = []
        for name, method in SAMPLES.items():
            kind = getattr(self._torch.distributions, name)
            real, of_path = kind.sample, getattr(self, method)

            def answer(
                run: Run,
                law: Any,
                sample_shape: Any = (),
                real: Answer = real,
                of_path: Answer = of_path,
                name: str = name,
            ) -> Tensor:
                if inside() is not None:
                    if isinstance(run, BlockRun):
                        raise NotBatchable(f"{name} draws for one path at a time")
                    return real(law, sample_shape)  # numbers cannot be read within torch.func
                return of_path(run, law, law._extended_shape(sample_shape))

            found.append((kind, handle(real, wrap(answer), note)))
        return found

    def poisson(self, run: Run, input: Tensor, generator: Any = None) -> Tensor:
        """Numbers of events at these rates."""
        self._begin(run, generator, "torch.poisson")
        check_rates(input)
        rates, step = self._numbers(input), self._step(input)
        laws = [poisson("torch.poisson", rate, step) if rate else None for rate in rates]
        counts = self._choose(run, laws, input)
        if run.graph is not None:
            note_poisson(run, input, counts, sum(law is not None for law in laws))
        if input.requires_grad and self._torch.is_grad_enabled():
            return counts + 0.0 * input  # PyTorch differentiates it too, to zero
        return counts

    def geometric_(self, run: Run, tensor: Tensor, p: float, *, generator: Any = None) -> Tensor:
        """Numbers of trials up to the first success, in place."""
        self._begin(run, generator, "Tensor.geometric_")
        if not 0.0 < p < 1.0:
            raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
        law = geometric("Tensor.geometric_", float(p))
        counts = 1 + self._choose(run, [law] * tensor.numel(), tensor)
        return tensor if run.is_sampling else tensor.copy_(counts)

    def sample_geometric(self, run: Run, law: Any, shape: Any) -> Tensor:
        """Numbers of failures before the first success."""
        what, ones = "torch.distributions.Geometric", law.probs.expand(shape)
        self._begin(run, None, what)
        step = self._step(ones)
        laws = [geometric(what, one, step) if one != 1.0 else None for one in self._numbers(ones)]
        counts = self._choose(run, laws, ones)
        if run.graph is not None and all(laws):
            self._note(run, ones, counts * (1.0 - ones).log() + ones.log(), len(laws))
        return counts

    def sample_negative_binomial(self, run: Run, law: Any, shape: Any) -> Tensor:
        """Numbers of successes before so many failures, as PyTorch has it."""
        what, again = "torch.distributions.NegativeBinomial", law.probs.expand(shape)
        self._begin(run, None, what)
        step, totals = self._step(again), law.total_count.expand(shape)
        pairs = zip(self._numbers(totals), self._numbers(again), strict=True)
        laws = [
            negative_binomial(what, total, 1.0 - p, step) if total and p else None
            for total, p in pairs
        ]
        counts = self._choose(run, laws, again)
        if run.graph is not None and all(laws):
            log = totals * (1.0 - again).log() + counts * again.log()
            log = log + (counts + totals).lgamma() - totals.lgamma()
            self._note(run, law._param, log, len(laws))
        return counts

    def sample_multinomial(self, run: Run, law: Any, shape: Any) -> Tensor:
        """How often each place comes out; ways that differ in their order alone are one."""
        what, probs = "torch.distributions.Multinomial", law.probs.expand(shape)
        self._begin(run, None, what)
        rows = np.reshape(self._numbers(probs), (-1, probs.shape[-1]))
        step, before = self._step(probs), len(run.choices)
        drawn = [draw_counts(run.choose, what, law.total_count, row, step) for row in rows]
        counts = self._tensor(drawn, probs)
        if run.graph is not None:
            possible = probs > 0.0
            log = self._torch.where(possible, counts * probs.log(), self._torch.zeros_like(probs))
            self._note(run, probs, log, len(run.choices) - before)
        return counts

    def _numbers(self, given: Tensor) -> list[float]:
        # By an array: numbers that leave PyTorch one by one count as lost to the user's arithmetic.
        plain = np.asarray(given.detach().double().cpu().numpy())
        return [float(each) for each in plain.reshape(-1)]

    def _choose(self, run: Run, laws: Sequence[OutcomeDistribution | None], like: Tensor) -> Tensor:
        """An outcome of each law, none where it is certain to be zero, in a tensor like another."""
        drawn = iter(run.choose_each([law for law in laws if law is not None]))
        return self._tensor([0 if law is None else next(drawn) for law in laws], like)

    def _tensor(self, drawn: Any, like: Tensor) -> Tensor:
        plain = self._torch.tensor(drawn, dtype=like.dtype, device=like.device)
        return plain.reshape(like.shape)

    def _note(self, run: Run, given: Tensor, log: Tensor, draws: int) -> None:
        run.note_graph(log.sum(), 0 if has_lost_graph(given, log) else draws)


def check_rates(rates: Tensor) -> None:
    """As PyTorch does.

    Raises:
        RuntimeError, NotImplementedError: for rates that are none.
    """
    if not rates.is_floating_point():
        raise NotImplementedError(f"poisson of {rates.dtype} is not implemented by PyTorch")
    if not bool((rates.detach() >= 0.0).all()):
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")


def log_poisson(rates: Tensor, counts: Tensor) -> Tensor:
    """Logarithms of the probabilities of numbers of events; 0 where the rate is."""
    certain = rates == 0.0
    known = rates.masked_fill(certain, 1.0)
    return (counts * known.log() - known - (counts + 1.0).lgamma()).masked_fill(certain, 0.0)


def note_poisson(run: Run, rates: Tensor, counts: Tensor, draws: int) -> None:
    """Keep the logarithm of what came out. At a rate of zero it has no derivative that is known."""
    if draws < math.prod(rates.shape) and rates.requires_grad:
        draws = -1  # never whole
    log = log_poisson(rates, counts).sum()
    run.note_graph(log, 0 if has_lost_graph(rates, log) else draws)
