"""How well two processes share an enumeration: the time of one, over twice the time of two.

    python benchmarks/workers.py

Prints a line for each framework: seconds by the clock with one process and with two, which were
started before, the best of some rounds in turns; their ratio over two, which is the efficiency; and
seconds of processors that both took, of which the clock knows nothing where others use the machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gradproof import check_estimator

#: Outcomes of a draw, draws, and rounds.
K, N, ROUNDS = 12, 4, 5

COSTS, LOGITS = np.linspace(0.5, 4.0, K), np.linspace(-1.0, 1.0, K)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities."""
    odds = np.exp(logits - logits.max())
    return odds / odds.sum()


EXACT = softmax(LOGITS) * (COSTS - softmax(LOGITS) @ COSTS)


def in_numpy() -> tuple[Callable[..., Any], list[Any]]:
    """Leave-one-out in NumPy."""
    rng = np.random.default_rng()

    def leave_one_out(logits: np.ndarray) -> np.ndarray:
        q = softmax(logits)
        taken = rng.choice(K, size=N, p=q)
        cost = COSTS[taken]
        others = (cost.sum() - cost) / (N - 1)
        return ((cost - others)[:, None] * (np.eye(K)[taken] - q)).mean(axis=0)

    return leave_one_out, [LOGITS]


def in_torch() -> tuple[Callable[..., Any], list[Any]]:
    """The same as a surrogate in PyTorch."""
    torch = __import__("torch")
    costs = torch.from_numpy(COSTS)

    def leave_one_out(logits: Any) -> Any:
        q = torch.distributions.Categorical(logits=logits)
        taken = q.sample((N,))
        cost = costs[taken]
        others = (cost.sum() - cost) / (N - 1)
        return ((cost - others) * q.log_prob(taken)).mean()

    return leave_one_out, [torch.tensor(LOGITS, requires_grad=True)]


def processors() -> float:
    """Seconds that this process and those that it started have used."""
    ticks = 0
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def measure(make: Callable[[], tuple[Callable[..., Any], list[Any]]]) -> str:
    """The line of one framework."""
    estimate, inputs = make()
    best = {1: (np.inf, np.inf), 2: (np.inf, np.inf)}
    for number in range(ROUNDS + 1):
        for jobs in (1, 2):
            used, started = processors(), time.perf_counter()
            report = check_estimator(estimate, inputs, exact=EXACT, paths=K**N, jobs=jobs)
            took = time.perf_counter() - started, processors() - used
            assert report.verdict == "holds"
            if number:  # the first starts processes, and imports
                best[jobs] = min(best[jobs][0], took[0]), min(best[jobs][1], took[1])
    (one, alone), (two, together) = best[1], best[2]
    return (
        f"{make.__name__.removeprefix('in_'):6} {report.paths:6,} paths: {one:.2f} s, by two "
        f"{two:.2f} s: efficiency {one / two / 2:.0%}; processors {alone:.2f} s, {together:.2f} s"
    )


if __name__ == "__main__":
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for each in (in_numpy, in_torch):
        print(measure(each))
