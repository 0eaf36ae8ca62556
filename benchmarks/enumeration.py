"""What enumerating an estimator costs beside calling it: CPU seconds a path, one thread.

    python benchmarks/enumeration.py [torch] [numpy] [jax] [peers] [--rounds R] [--json FILE]
    python benchmarks/enumeration.py --figure FILE [--record FILE]    # peers alone, as a figure

Each row is one estimator with its number of paths. The floor is the bare code in the same run: the
same function called in a loop, its surrogate differentiated, its gradient turned into an array. A
check does all of that on every path, asks for outcomes, adds up moments, puts the state back, and
repeats some runs. In PyTorch and JAX paths are run many at a time as well, where they can be
("blocks").
The ratio is of the best of R interleaved rounds each, which is what a machine
that does something else meanwhile disturbs least.

Peers are other ways of finding the same gradient, in the same run (benchmarks/peers.py): PyTorch's
vmap by hand, enumeration by Pyro, NumPyro and Storchastic, and Monte Carlo. The figure draws their
time against the number of paths. With --record docs/records/enumeration.json, `python
benchmarks/answer.py` writes the table and the figure of docs/how-to/many-paths.md from it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import peers

from gradproof import check_estimator
from gradproof.checks.json_records import to_json
from gradproof.cli.console import check_writable
from gradproof.cli.figures import check_figure, save
from gradproof.reports.enumeration_cost import LAYOUT, draw

#: What a check of paths one by one may cost beside the bare code, by framework.
GOALS = {"torch": 1.5, "numpy": 3.0}

#: The same of paths that are run many at a time, where there are so many of them at least.
BLOCKS_GOAL, MANY = 0.02, 10_000

#: The same in JAX, where a call is compiled, and takes a sixth of the time.
JAX_BLOCKS_GOAL = 0.1

#: Frameworks in which they are.
WITH_BLOCKS = ("torch", "jax")

#: Paths up to which they are run one by one too, and memory is counted: more take minutes.
FEW = 10_000

#: JAX takes as much as 20 milliseconds for a path of code that it does not compile.
FEW_UNCOMPILED = 1000

#: Calls of the bare code that its time is taken from.
CALLS = 300

#: What the ways of benchmarks/peers.py are asked for by.
PEERS = "peers"


class Problem(NamedTuple):
    """An estimator, its inputs, the exact gradient, and how many paths it has.

    Up to ``few`` paths are run one by one too.
    """

    estimate: Callable[..., Any]
    inputs: Sequence[Any]
    exact: Any
    paths: int
    few: int = FEW


def softmax(logits: np.ndarray) -> np.ndarray:
    """In the last axis."""
    size = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(size / size.sum(axis=-1, keepdims=True))


def torch_labels(labels: int, sentences: int = 1) -> Problem:
    """A score-function surrogate on a table of logits: labels ** sentences paths."""
    import torch

    rng = np.random.default_rng(0)
    costs, logits = rng.normal(size=(2, sentences, labels))
    table, rows = torch.tensor(costs), torch.arange(sentences)
    leaf = torch.tensor(logits, requires_grad=True)

    def estimate(leaf: Any) -> Any:
        q = torch.distributions.Categorical(logits=leaf)
        y = q.sample()
        return (table[rows, y] * q.log_prob(y)).sum()

    q = softmax(logits)
    exact = q * (costs - (q * costs).sum(axis=-1, keepdims=True))
    return Problem(estimate, [leaf], exact, labels**sentences)


def torch_episode(steps: int) -> Problem:
    """REINFORCE on episodes of two actions."""
    import torch

    rng = np.random.default_rng(0)
    rewards = torch.tensor(rng.normal(size=(5, 2)))
    leaf = torch.tensor(rng.normal(size=(5, 2)), requires_grad=True)

    def estimate(leaf: Any) -> Any:
        state, total, log_p = 0, torch.zeros(()), torch.zeros(())
        for _ in range(steps):
            q = torch.distributions.Categorical(logits=leaf[state])
            action = q.sample()
            log_p, total = log_p + q.log_prob(action), total + rewards[state, action]
            state = (state + int(action) + 1) % 5
        return total.detach() * log_p

    log_q = torch.log_softmax(leaf, -1)

    def value(state: int, left: int) -> Any:
        if not left:
            return torch.zeros(())
        return sum(
            log_q[state, a].exp() * (rewards[state, a] + value((state + a + 1) % 5, left - 1))
            for a in range(2)
        )

    (exact,) = torch.autograd.grad(value(0, steps), leaf)
    return Problem(estimate, [leaf], exact, 2**steps)


def numpy_labels(labels: int) -> Problem:
    """The score function by hand."""
    rng, drawing = np.random.default_rng(0), np.random.default_rng(1)
    costs, logits = rng.normal(size=(2, labels))

    def estimate(logits: np.ndarray) -> np.ndarray:
        q = softmax(logits)
        y = drawing.choice(labels, p=q)
        score = -q
        score[y] += 1.0
        return np.asarray(costs[y] * score)

    q = softmax(logits)
    return Problem(estimate, [logits], q * (costs - q @ costs), labels)


def numpy_coins(coins: int) -> Problem:
    """Independent coins, drawn one by one: 2 ** coins paths."""
    rng, drawing = np.random.default_rng(0), np.random.default_rng(1)
    costs, logits = rng.normal(size=(2, coins))

    def estimate(logits: np.ndarray) -> np.ndarray:
        p = 1.0 / (1.0 + np.exp(-logits))
        y = np.array([drawing.random() < each for each in p])
        return np.asarray((costs @ y) * (y - p))

    p = 1.0 / (1.0 + np.exp(-logits))
    return Problem(estimate, [logits], costs * p * (1.0 - p), 2**coins)


def jax_labels(labels: int, sentences: int = 1, compiled: bool = True) -> Problem:
    """The gradient of a surrogate that draws by a key, jitted or not."""
    import jax

    jax.config.update("jax_enable_x64", True)
    rng = np.random.default_rng(0)
    costs, logits = rng.normal(size=(2, sentences, labels))
    table, key, rows = jax.numpy.asarray(costs), jax.random.key(0), np.arange(sentences)

    def surrogate(logits: Any) -> Any:
        y = jax.random.categorical(key, logits)
        return (table[rows, y] * jax.nn.log_softmax(logits)[rows, y]).sum()

    q = softmax(logits)
    exact = q * (costs - (q * costs).sum(axis=-1, keepdims=True))
    gradient = jax.grad(surrogate)
    estimate = jax.jit(gradient) if compiled else gradient
    few = FEW if compiled else FEW_UNCOMPILED
    return Problem(estimate, [jax.numpy.asarray(logits)], exact, labels**sentences, few)


#: By framework: what each row is called, and what makes it.
ROWS: dict[str, dict[str, Callable[[], Problem]]] = {
    "torch": {
        "1,000 labels": lambda: torch_labels(1000),
        "4 labels, 5 sentences": lambda: torch_labels(4, 5),
        "2 labels, 13 sentences": lambda: torch_labels(2, 13),
        "episodes of 10 actions": lambda: torch_episode(10),
        "10 labels, 5 sentences": lambda: torch_labels(10, 5),
        "2 labels, 20 sentences": lambda: torch_labels(2, 20),
    },
    "numpy": {
        "1,000 labels": lambda: numpy_labels(1000),
        "10 coins": lambda: numpy_coins(10),
        "16 coins": lambda: numpy_coins(16),
    },
    "jax": {
        "100 labels": lambda: jax_labels(100),
        "1,000 labels": lambda: jax_labels(1000),
        "4 labels, 5 sentences": lambda: jax_labels(4, 5),
        "10 labels, 5 sentences": lambda: jax_labels(10, 5),
        "10 labels, 6 sentences": lambda: jax_labels(10, 6),
        "100 labels, not compiled": lambda: jax_labels(100, compiled=False),
        "10 labels, 5 sentences, not": lambda: jax_labels(10, 5, compiled=False),
    },
}


def bare(problem: Problem, calls: int = CALLS) -> float:
    """CPU seconds of one call, as people call it."""
    torch: Any = sys.modules.get("torch")
    started = time.process_time()
    for _ in range(calls):
        found = problem.estimate(*problem.inputs)
        if torch is not None and isinstance(found, torch.Tensor) and found.requires_grad:
            (found,) = torch.autograd.grad(found, problem.inputs)
        np.asarray(found)
    return (time.process_time() - started) / calls


def checked(problem: Problem, batch: bool | str = "auto") -> float:
    """CPU seconds a path of a check.

    Args:
        batch: whether paths are run many at a time.

    Raises:
        RuntimeError: if it does not hold, or there are more or fewer paths.
    """
    started = time.process_time()
    found = check_estimator(
        problem.estimate,
        problem.inputs,
        exact=problem.exact,
        paths=problem.paths,
        batch=batch,
        progress=False,
    )
    seconds = time.process_time() - started
    if not found.unbiased or found.paths != problem.paths:
        raise RuntimeError(f"{found.paths} paths, expected {problem.paths}: {found.explain()}")
    return seconds / problem.paths


def median_ratio(problem: Problem, batch: bool | str, rounds: int = 5) -> float:
    """What a path of a check costs beside the bare code, the median of rounds.

    Both are timed in each round, so that a machine that slows down slows both.
    """
    return statistics.median(
        checked(problem, batch) / bare(problem, CALLS // rounds) for _ in range(rounds)
    )


def memory(problem: Problem) -> float:
    """Megabytes that a check of it has at most, as Python counts them."""
    tracemalloc.start()
    try:
        checked(problem)
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def measure(framework: str, name: str, rounds: int) -> list[dict[str, Any]]:
    """Rows of one estimator: paths one by one, and many at a time where they can be."""
    problem = ROWS[framework][name]()
    bare(problem, 3)  # what is loaded or compiled when it is first called
    small = problem.paths <= problem.few
    ways: dict[str, bool | str] = {"": False} if small or framework not in WITH_BLOCKS else {}
    if framework in WITH_BLOCKS:
        ways["blocks"] = "auto"
        if small:
            checked(problem)  # what is loaded for blocks
    times = [
        (bare(problem), *(checked(problem, way) for way in ways.values())) for _ in range(rounds)
    ]
    floor, *checks = (min(each) for each in zip(*times, strict=True))
    rows = []
    for way, check in zip(ways, checks, strict=True):
        goal = JAX_BLOCKS_GOAL if framework == "jax" else BLOCKS_GOAL
        many = goal if problem.paths >= MANY else None
        rows.append(
            {
                "framework": framework,
                "estimator": f"{name}, {way}" if way else name,
                "paths": problem.paths,
                "bare": floor,
                "check": check,
                "ratio": check / floor,
                "megabytes": memory(problem) if small else None,
                "goal": many if way else GOALS.get(framework),
            }
        )
    return rows


def print_rows(frameworks: Sequence[str], rounds: int) -> list[dict[str, Any]]:
    """The table of our own estimators, a row at a time; returned."""
    print(
        f"{'':38s}{'paths':>10s}{'bare us':>10s}{'check us':>10s}{'ratio':>8s}{'goal':>6s}"
        f"{'MB':>7s}"
    )
    rows = []
    for framework in frameworks:
        for row in (row for name in ROWS[framework] for row in measure(framework, name, rounds)):
            rows.append(row)
            goal = "" if row["goal"] is None else f"{row['goal']:g}"
            size = "" if row["megabytes"] is None else f"{row['megabytes']:.1f}"
            missed = " MISSED" if row["goal"] and row["ratio"] > row["goal"] else ""
            print(
                f"{framework + ': ' + row['estimator']:38s}{row['paths']:10,d}"
                f"{row['bare'] * 1e6:10.1f}{row['check'] * 1e6:10.1f}{row['ratio']:8.3f}"
                f"{goal:>6s}{size:>7s}{missed}",
                flush=True,
            )
    return rows


def compare_peers(rounds: int, figure: str | None, record: Path | None) -> None:
    """Print what each way takes at each number of paths, and draw it if asked to."""
    print(f"{'':26s}{'paths':>12s}{'a path':>15s}{'ratio':>12s}")
    cost = peers.measure(rounds, lambda line: print(line, flush=True))
    if record:
        record.write_text(to_json(cost) + "\n", encoding="utf-8")
    if figure:
        save(figure, LAYOUT, lambda axes: draw(axes, cost))


def main() -> None:
    """Print tables, and write the records and the figure if asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("frameworks", nargs="*", help=f"some of {', '.join((*ROWS, PEERS))}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="a record of our own estimators")
    parser.add_argument("--figure", help="of the peers: .svg, .pdf or .png; needs matplotlib")
    parser.add_argument("--record", type=Path, help="of the peers")
    given = parser.parse_args()
    drawn = given.figure or given.record
    chosen = given.frameworks or ([PEERS] if drawn else ["torch", "numpy", PEERS])
    unknown = sorted(set(chosen) - {*ROWS, PEERS})
    if unknown or given.rounds < 1:
        parser.error(f"frameworks are {', '.join((*ROWS, PEERS))}; --rounds is 1 or more")
    if drawn and PEERS not in chosen:
        parser.error(f"--figure and --record are of {PEERS}, which were not asked for")
    if given.json and set(chosen) == {PEERS}:
        parser.error(f"--json is of {', '.join(ROWS)}, and none was asked for; see --record")
    _check_files(given, parser)
    if {"torch", PEERS} & set(chosen):
        import torch

        torch.set_num_threads(1)
    ours = [each for each in chosen if each != PEERS]
    if ours:
        rows = print_rows(ours, given.rounds)
        if given.json:
            given.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    if PEERS in chosen:
        compare_peers(given.rounds, given.figure, given.record)


def _check_files(given: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Find out that a file cannot be written before minutes are spent."""
    try:
        for file in filter(None, (given.json, given.record)):
            check_writable(str(file))
        if given.figure:
            check_figure(given.figure)
            import matplotlib  # noqa: F401 - whether it is there
    except (OSError, ValueError, ImportError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
