"""Ways of finding one gradient side by side: checked, enumerated by others' tools, and sampled.

benchmarks/enumeration.py runs them. The subject is one that all of them can express: N labels that
are drawn independently, and a table with a cost for each combination. Every mean gradient is
compared with the exact one.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm

from gradproof import check_estimator
from gradproof.checks.evidence import NothingCompared
from gradproof.checks.variance.records import EnumerationCost, WayCost

#: Outcomes of each draw, and numbers of draws: a hundred paths to a million.
LABELS, DRAWS = 10, (2, 3, 4, 5, 6)

#: Draws of the bare estimator that people take for a mean.
SAMPLES = 10_000

#: Calls of the bare code that its time is taken from: every path calls the same code.
CALLS = 300

#: Seconds for which a way is repeated at the least: one call may take a fifth of a millisecond.
SHORTEST = 0.02

#: How often a right mean of samples may be called wrong, by the normal distribution. Each label is
#: drawn 150 times or more, so that sums are near it.
ALPHA = 1e-9

#: Roundings of one path's term: a softmax of ten, a product over six draws, a sum over a table.
ROUNDINGS = 100

#: Paths that the hand-written way holds the gradients of: more are slower, for want of cache.
CHUNK = 2**13


class Subject(NamedTuple):
    """Costs (K, ..., K), logits (N, K), and the exact gradient (N, K) of the mean cost."""

    costs: np.ndarray
    logits: np.ndarray
    exact: np.ndarray


class Found(NamedTuple):
    """A mean gradient (N, K), and its standard error if it was sampled."""

    mean: Any
    standard_error: Any = 0.0


class Way(NamedTuple):
    """What it is called, what it gives, whether it runs the code as it is, and what makes it."""

    name: str
    gives: str
    as_it_is: bool
    make: Callable[[Subject], Callable[[], Found]]
    needs: tuple[str, ...] = ()
    install: str = ""
    most: int = LABELS ** max(DRAWS)


def make_subject(draws: int) -> Subject:
    """Random costs, and logits such that no label is rare."""
    rng = np.random.default_rng(0)  # times depend on sizes alone
    costs = rng.normal(size=(LABELS,) * draws)
    logits = rng.uniform(-1.0, 1.0, size=(draws, LABELS))
    q = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    exact = []
    for place in range(draws):
        mean = np.moveaxis(costs, place, 0)  # of the costs, given the label at this place
        for other in reversed([*range(place), *range(place + 1, draws)]):
            mean = mean @ q[other]
        exact.append(q[place] * (mean - q[place] @ mean))
    return Subject(costs, logits, np.array(exact))


def estimator(subject: Subject) -> tuple[Callable[[Any], Any], Any]:
    """The usual surrogate as people write it, and its parameter."""
    import torch

    costs = torch.tensor(subject.costs)

    def estimate(logits: Any) -> Any:
        q = torch.distributions.Categorical(logits=logits)
        y = q.sample()
        return costs[tuple(y)] * q.log_prob(y).sum()

    return estimate, torch.tensor(subject.logits, requires_grad=True)


def bare_call(subject: Subject) -> Callable[[], np.ndarray]:
    """One call of the bare code: the surrogate, differentiated, as an array."""
    import torch

    estimate, leaf = estimator(subject)
    return lambda: np.asarray(torch.autograd.grad(estimate(leaf), leaf)[0])


def checked(batch: bool | str) -> Callable[[Subject], Callable[[], Found]]:
    """A check of the estimator, by path or in blocks."""

    def make(subject: Subject) -> Callable[[], Found]:
        estimate, leaf = estimator(subject)

        def run() -> Found:
            report = check_estimator(
                estimate,
                [leaf],
                exact=subject.exact,
                paths=subject.costs.size,
                batch=batch,
                progress=False,
            )
            if not report.unbiased or bool(report.blocks) != bool(batch):
                raise RuntimeError(f"batch={batch!r}: {report.blocks} blocks; {report.explain()}")
            return Found(report.mean["gradient"])

        return run

    return make


def by_hand(subject: Subject) -> Callable[[], Found]:
    """torch.func.vmap over all outcomes, written anew: weights, mean and variance."""
    import torch

    count = len(subject.logits)
    costs, logits = torch.tensor(subject.costs.ravel()), torch.tensor(subject.logits)
    strides = torch.tensor([LABELS**place for place in reversed(range(count))])
    outcomes = torch.cartesian_prod(*[torch.arange(LABELS)] * count).reshape(-1, count)

    def surrogate(logits: Any, y: Any) -> Any:
        log_q = torch.log_softmax(logits, -1).gather(1, y[:, None]).sum()
        return costs[(y * strides).sum(0, keepdim=True)][0] * log_q, log_q.detach()

    def run() -> Found:
        mean, square = torch.zeros_like(logits), torch.zeros_like(logits)
        for y in outcomes.split(CHUNK):
            each = torch.func.vmap(torch.func.grad(surrogate, has_aux=True), in_dims=(None, 0))
            gradients, log_q = each(logits, y)
            q = log_q.exp()
            mean += torch.tensordot(q, gradients, 1)
            square += torch.tensordot(q, gradients**2, 1)
        _variance = square - mean**2
        return Found(mean.numpy())

    return run


def by_pyro(subject: Subject) -> Callable[[], Found]:
    """A guide that draws the labels, and a model whose factor is the cost.

    The prior is the guide's own law, held constant: the divergence has gradient zero.
    """
    import pyro
    import torch
    from pyro.infer import TraceEnum_ELBO

    costs, leaf = torch.tensor(subject.costs), torch.tensor(subject.logits, requires_grad=True)

    def draw(logits: Any) -> list[Any]:
        laws = [pyro.distributions.Categorical(logits=row) for row in logits]
        return [
            pyro.sample(f"y{place}", law, infer={"enumerate": "parallel"})
            for place, law in enumerate(laws)
        ]

    def model(logits: Any) -> None:
        pyro.factor("cost", -costs[tuple(draw(logits.detach()))])

    def run() -> Found:
        loss = TraceEnum_ELBO(max_plate_nesting=0).differentiable_loss(model, draw, leaf)
        return Found(torch.autograd.grad(loss, leaf)[0].numpy())

    return run


def by_numpyro(subject: Subject) -> Callable[[], Found]:
    """The same in NumPyro, compiled; the time of compiling it is not counted."""
    # JAX reads it once; where it is imported already, its threads' time is counted too.
    os.environ.setdefault(
        "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    )
    import jax
    import numpyro
    from numpyro.infer import TraceEnum_ELBO

    def draw(logits: Any) -> list[Any]:
        laws = [numpyro.distributions.Categorical(logits=row) for row in logits]
        return [
            numpyro.sample(f"y{place}", law, infer={"enumerate": "parallel"})
            for place, law in enumerate(laws)
        ]

    def model(logits: Any) -> None:
        y = draw(jax.lax.stop_gradient(logits))
        numpyro.factor("cost", -jax.numpy.asarray(subject.costs)[tuple(y)])

    def loss(logits: Any) -> Any:
        return TraceEnum_ELBO().loss(jax.random.key(0), {}, model, draw, logits)

    gradient = jax.jit(jax.grad(loss))

    def run() -> Found:
        with jax.enable_x64(True):
            return Found(np.asarray(gradient(subject.logits)))

    return run


def by_storchastic(subject: Subject) -> Callable[[], Found]:
    """Its method Expect for each draw, and the cost added."""
    import storch
    import torch
    from storch.method import Expect

    costs = torch.tensor(subject.costs)

    def run() -> Found:
        leaf = torch.tensor(subject.logits, requires_grad=True)
        laws = [torch.distributions.Categorical(logits=row) for row in leaf]
        y = [Expect(f"y{place}")(law) for place, law in enumerate(laws)]
        look_up = storch.deterministic(lambda *y: costs[tuple(each.long() for each in y)])
        storch.add_cost(look_up(*y), "cost")
        storch.backward()
        return Found(leaf.grad.numpy())

    return run


def by_sampling(subject: Subject) -> Callable[[], Found]:
    """Monte Carlo of the bare code: a mean with a standard error, however many paths there are."""
    call = bare_call(subject)

    def run() -> Found:
        total, square = np.zeros_like(subject.logits), np.zeros_like(subject.logits)
        for _ in range(SAMPLES):
            gradient = call()
            total += gradient
            square += gradient**2
        mean = total / SAMPLES
        variance = (square / SAMPLES - mean**2) * SAMPLES / (SAMPLES - 1)
        return Found(mean, np.sqrt(variance / SAMPLES))

    return run


BARE = "bare loop"
EVERYTHING = "mean, variance, verdict"
GRADIENT = "exact gradient of the mean cost"

#: Ways in the order of the table. Paths one by one take minutes where there are more of them.
WAYS = (
    Way("gradproof, path by path", EVERYTHING, True, checked(False), most=10_000),
    Way("gradproof, blocks", EVERYTHING, True, checked("auto")),
    Way("torch.func.vmap by hand", "mean, variance", False, by_hand),
    Way("Pyro TraceEnum_ELBO", GRADIENT, False, by_pyro, ("pyro",), "pyro-ppl"),
    Way("NumPyro TraceEnum_ELBO", GRADIENT, False, by_numpyro, ("numpyro", "funsor"),
        "numpyro funsor"),
    Way("Storchastic Expect", GRADIENT, False, by_storchastic, ("storch",), "storchastic"),
    Way(f"Monte Carlo, {SAMPLES:,} draws", "a mean with a standard error, no verdict", True,
        by_sampling),
)  # fmt: skip


def missing(way: Way) -> str:
    """What installs a way that is not installed, as a line; empty where it is."""
    if all(find_spec(name) for name in way.needs):
        return ""
    return (
        f"{way.name} is left out: it is not installed; "
        f"pip install -c constraints/libraries.txt {way.install}"
    )


def compare(name: str, found: Found, subject: Subject) -> float:
    """The largest difference from the exact gradient, as a share of its largest entry.

    Raises:
        NothingCompared: if there is not one number to compare.
        RuntimeError: if a difference is more than rounding or sampling explains.
    """
    mean, exact = np.asarray(found.mean), subject.exact
    if not mean.size or not exact.size:
        raise NothingCompared(f"{name}: zero comparisons: its gradient has shape {mean.shape}")
    if mean.shape != exact.shape:
        raise RuntimeError(f"{name}: shape {mean.shape}, expected {exact.shape}")
    # Terms of all paths are summed one after the other, each at most the largest cost times q.
    rounding = (subject.costs.size + ROUNDINGS) * 2.0**-53 * np.abs(subject.costs).max()
    sampling = norm.isf(ALPHA / 2.0 / exact.size) * np.asarray(found.standard_error)
    beyond = np.abs(mean - exact) > rounding + sampling
    error = float(np.abs(mean - exact).max() / np.abs(exact).max())
    if beyond.any() or not np.isfinite(error):
        raise RuntimeError(
            f"{name}: its gradient differs from the exact one by {error:.1e} of the largest entry"
        )
    return error


def seconds_of(run: Callable[[], object]) -> float:
    """Processor seconds of one call, of as many as take :data:`SHORTEST` together."""
    calls, started = 0, time.process_time()
    while True:
        run()
        calls += 1
        spent = time.process_time() - started
        if spent >= SHORTEST:
            return spent / calls


def bare_seconds(call: Callable[[], object]) -> float:
    """Processor seconds of one call of the bare code."""
    started = time.process_time()
    for _ in range(CALLS):
        call()
    return (time.process_time() - started) / CALLS


def measure_size(
    draws: int, ways: Sequence[Way], rounds: int
) -> tuple[int, dict[str, tuple[float, float]]]:
    """The number of paths; seconds and error of each way, and of the bare loop.

    Ways are run in turns, and the shortest time of each counts.
    """
    subject = make_subject(draws)
    paths, call = subject.costs.size, bare_call(subject)
    runs = {way.name: way.make(subject) for way in ways if way.most >= paths}
    errors = {name: compare(name, run(), subject) for name, run in runs.items()}  # and is warm
    call()
    seconds = dict.fromkeys((BARE, *runs), np.inf)
    for _ in range(rounds):
        seconds[BARE] = min(seconds[BARE], paths * bare_seconds(call))
        for name, run in runs.items():
            seconds[name] = min(seconds[name], seconds_of(run))
    return paths, {name: (seconds[name], errors.get(name, np.nan)) for name in seconds}


def measure(rounds: int, tell: Callable[[str], object]) -> EnumerationCost:
    """All sizes, with the ways that are installed.

    Args:
        tell: is given each line of what is measured, or left out.
    """
    left_out = tuple(filter(None, map(missing, WAYS)))
    for line in left_out:
        tell(line)
    there = [way for way in WAYS if not missing(way)]
    sizes = {}
    for draws in DRAWS:
        paths, found = measure_size(draws, there, rounds)
        sizes[paths] = found
        for name, (seconds, _) in found.items():
            ratio = seconds / found[BARE][0]
            tell(f"{name:26s}{paths:12,d}{seconds / paths * 1e6:12.3f} us{ratio:12.4f}")
    return EnumerationCost(
        subject=f"{DRAWS[0]} to {DRAWS[-1]} draws of {LABELS} labels each, and a table of costs",
        machine=f"{platform.machine()}, processor time of one thread",
        ways=tuple(
            _way_cost(way, sizes)
            for way in (Way(BARE, "one gradient a call", True, by_sampling), *there)
        ),
        left_out=left_out,
    )


def _way_cost(way: Way, sizes: dict[int, dict[str, tuple[float, float]]]) -> WayCost:
    measured = {paths: found[way.name] for paths, found in sizes.items() if way.name in found}
    seconds, errors = zip(*measured.values(), strict=True)
    return WayCost(
        name=way.name,
        gives=way.gives,
        as_it_is=way.as_it_is,
        paths=np.array(list(measured)),
        seconds=np.array(seconds),
        error=np.array(errors),
    )
