"""What exact moments cost, as ratios to one enumerated gradient of U taken in the same run.

    python benchmarks/moments.py FOLDER            # all of it, some five minutes
    python benchmarks/moments.py FOLDER --quick    # K = 10 alone, under a minute
    python benchmarks/moments.py FOLDER --keep-memory    # without page faults

Writes FOLDER/scaling.json and draws FOLDER/cost.svg; `gradproof plot cost` draws it again. Times
are of the processor, on one thread. The floor and every way are timed in turns, so that a machine
that slows down slows all of them, and the shortest time of each counts. What is extrapolated is
marked with ~. tests/test_benchmarks.py holds RECORD, with a wide margin.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import dataclasses
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from gradproof.checks.json_records import to_json
from gradproof.checks.variance.records import Scaling
from gradproof.estimators.backends import load
from gradproof.estimators.backends.torch_backend import TorchOps
from gradproof.estimators.baselines import BASELINES
from gradproof.estimators.engine import entry_moments, moments_table
from gradproof.estimators.engine.floor import gradient
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.builds import surrogate
from gradproof.estimators.note.forms import FORMS
from gradproof.estimators.note.subject import Subject
from gradproof.reference_models.batch import Batch, make_batch
from gradproof.reference_models.model import Parameters, one_hot
from gradproof.reference_models.ops import Array, Ops
from gradproof.reference_models.seqdgm import SeqDGM
from gradproof.reports.cost import draw

torch = load("torch").torch  # type: ignore[attr-defined]

#: Labels, and sentences: fewer where a run would take an hour. All ways are proportional to them
#: but a sampled step, which for four sentences takes twice as long as its share of one for 32.
SIZES = {10: 32, 50: 16, 200: 4, 1000: 2}

#: What each way should cost at most, in enumerated gradients.
GOALS = {"total": 1.15, "per parameter": 1.4, "in PyTorch": 4.0, "mixed": 4.0, "general": 3.0}

#: What :func:`ratios` gave when the figures of docs/note.md were last written, rounded up.
RECORD = {"total": 1.3, "per parameter": 1.6, "general": 7.0}

#: Ways that have a column of their own in the record.
COLUMNS = ("enumerated", "total", "per parameter", "sampled")

#: Pairs of a sentence and a label that slow ways are timed on: their cost is proportional to both.
SOME = 32

#: Draws that a user takes for a variance by Monte Carlo.
DRAWS = 10_000


class OneOfItsOwn(SeqDGM):
    """A model that does with one parameter what its gradient does not factor for."""

    def loss(self, ops: Ops, parameters: Parameters, batch: Batch, labels: Array) -> Array:
        """L, of a copy of that parameter."""
        name = "theta.latent"
        return super().loss(ops, {**parameters, name: 1.0 * parameters[name]}, batch, labels)


class InPyTorch(SeqDGM):
    """A model that calls PyTorch itself, and not the namespace it is given."""

    def log_q(self, ops: Ops, parameters: Parameters, batch: Batch) -> Array:
        """Log q(y|x)."""
        return super().log_q(TorchOps(torch), parameters, batch)

    def loss(self, ops: Ops, parameters: Parameters, batch: Batch, labels: Array) -> Array:
        """L."""
        return super().loss(TorchOps(torch), parameters, batch, labels)


def subject(classes: int, n: int) -> Subject:
    """A SeqDGM of about 4 10^5 parameters on N random sentences of 20 tokens."""
    rng = np.random.default_rng(0)  # times depend on sizes alone
    model = SeqDGM(classes, 2000, width=64, hidden=64, latent=32)
    tokens = rng.integers(4, 2000, (n, 20))
    batch = make_batch(tokens, np.ones((n, 20)), None, model.noise(rng, n, 20), classes=classes)
    parameters = {name: 0.3 * value for name, value in model.initial(rng).items()}
    return Subject(model, parameters, batch)


def ways(whole: Subject) -> dict[str, Callable[[], object]]:
    """The floor, and what is compared with it, on a whole batch."""
    return {
        "enumerated": lambda: gradient(torch, whole),
        "total": lambda: moments_table(whole, path="structured"),
        "per parameter": lambda: entry_moments(whole),
    }


def sampled(whole: Subject) -> Callable[[], object]:
    """One step with one label drawn for each sentence: a pass through the surrogate."""
    rng = np.random.default_rng(1)
    bench = Bench(load("torch"))
    baseline = BASELINES["constant"]
    build = surrogate(FORMS["one-pass"], baseline, whole)
    inputs = whole.inputs(one_hot(rng.integers(whole.model.classes, size=whole.batch.n),
                                  whole.model.classes))  # fmt: skip
    inputs |= baseline.initial(rng, 64)
    return lambda: bench.gradient(build, whole, inputs)


def loop(one: Subject, labels: int) -> Callable[[], object]:
    """The way of most users: a backward pass for each label, its square added up."""
    step = sampled(one)

    def run() -> None:
        sums: dict[str, np.ndarray] = {}
        for _ in range(labels):
            for name, value in step().items():  # type: ignore[attr-defined]
                sums[name] = sums.get(name, 0.0) + value**2

    return run


def timed(run: Callable[[], object]) -> float:
    """Seconds of the processor, of one call."""
    started = time.process_time()
    run()
    return time.process_time() - started


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one thread: a thread that waits takes processor time too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def ratios(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The least cost of each way in enumerated gradients, each taken in the same round.

    What else the machine does at the time raises some of them, and seldom all.
    """
    least = {name: np.inf for name in runs if name != "enumerated"}
    for run in runs.values():
        run()  # what PyTorch sets up on a first call
    for _ in range(rounds):
        seconds = {name: timed(run) for name, run in runs.items()}
        for name, ratio in least.items():
            least[name] = min(ratio, seconds[name] / seconds["enumerated"])
    return least


def keep_memory() -> None:
    """Have the C library keep what is freed, whatever its size, for the rest of the process.

    Otherwise it gives large arrays back, and the kernel clears every page of the next one. A
    library must not set that for a whole process; here it shows what these page faults cost.

    Raises:
        OSError: where the C library is not glibc.
    """
    trim_threshold, mmap_threshold = -1, -3  # as malloc.h numbers them
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    # 1 GiB is far above any array here, and 2^31 - 1 is the largest that can be said.
    if mallopt is None or not (
        mallopt(mmap_threshold, 2**30) and mallopt(trim_threshold, 2**31 - 1)
    ):
        raise OSError("no mallopt in this C library, or one that refuses: expected that of glibc")


@dataclasses.dataclass(frozen=True)
class Row:
    """Seconds of the floor, and of each way, at one K; extrapolated ones are named apart."""

    classes: int
    n: int
    parameters: int
    seconds: dict[str, float]
    extrapolated: frozenset[str]
    baseline_seconds: float
    baseline_error: float
    variances: dict[str, float]


def measure(classes: int, n: int, rounds: int) -> Row:
    """Everything at one K."""
    whole = subject(classes, n)
    some = min(n, max(1, SOME // classes))
    made = whole.model
    odd, functional = (
        whole.replace(model=kind(made.classes, 2000, width=64, hidden=64, latent=32))
        for kind in (OneOfItsOwn, InPyTorch)  # of the sizes of subject()
    )
    few = whole.replace(batch=whole.batch.rows(slice(0, some)))
    small = min(classes, SOME)
    one = whole.replace(batch=whole.batch.rows([0]))
    every = ways(whole) | {
        "in PyTorch": lambda: moments_table(functional),
        "mixed": lambda: moments_table(odd),
        "sampled": sampled(whole),
    }
    slow = {
        "general": (lambda: moments_table(few, path="general"), n / some),
        "loop": (loop(one, small), n * classes / small),
    }
    seconds = {name: timed(run) for name, run in every.items()}
    for _ in range(rounds):
        for name, run in every.items():
            seconds[name] = min(seconds[name], timed(run))
        for name, (run, times) in slow.items():
            seconds[name] = min(seconds.get(name, np.inf), times * timed(run))
    seconds["Monte Carlo"] = DRAWS * seconds["sampled"]
    own = np.linspace(1.0, 100.0, n)
    quadratics = moments_table(whole).quadratics()
    total = quadratics.summed()
    again = sum(value.sum() for value in entry_moments(whole, {"own": own}).at["own"].values())
    return Row(
        classes,
        n,
        sum(value.size for value in whole.parameters.values()),
        seconds,
        frozenset({*slow, "Monte Carlo"}),
        min(timed(lambda: [total(own) for _ in range(1000)]) for _ in range(5)) / 1000,
        abs(total(own) - again) / again,
        {
            "no baseline": quadratics.total(0.0),
            "E[R|x]": quadratics.total(quadratics.centre),
            "best B of each sentence": quadratics.total(quadratics.best()),
        },
    )


def peak(way: str, classes: int, n: int) -> float:
    """Megabytes that a way needs at its peak beyond what was there, in a process of its own."""
    command = [sys.executable, __file__, "-", "--peak", way, str(classes), str(n)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def print_peak(way: str, classes: int, n: int) -> None:
    """What :func:`peak` asks of a process."""
    run = ways(subject(classes, n))[way]
    ways(subject(2, 2))[way]()  # what PyTorch keeps for itself from its first call on
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = _kilobytes("VmRSS")
    run()
    sys.stdout.write(f"{(_kilobytes('VmHWM') - before) / 1024.0}\n")


def _kilobytes(field: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0])


def report(row: Row, peaks: dict[str, float]) -> str:
    """The table of one K."""
    floor = row.seconds["enumerated"]
    lines = [
        f"K = {row.classes}, N = {row.n}, {row.parameters:,} parameters: one enumerated gradient "
        f"F = {floor:.3f} s, {peaks['enumerated']:.0f} MB"
    ]
    for name, seconds in row.seconds.items():
        if name == "enumerated":
            continue
        mark = "~" if name in row.extrapolated else " "
        goal = f"  goal {GOALS[name]:.2f}" if name in GOALS else ""
        memory = f"  {peaks[name]:.0f} MB" if name in peaks else ""
        lines.append(f"  {name:<14}{mark}{seconds / floor:>10.4g} F{goal}{memory}")
    lines.append(
        f"  a new baseline {row.baseline_seconds * 1e6:.1f} microseconds (goal 10), equal to a "
        f"rerun to {row.baseline_error:.1e} (goal 1e-12)"
    )
    return "\n".join(lines)


def scaling(rows: list[Row]) -> Scaling:
    """The record that the figure is drawn from; sampled steps are for as many sentences."""
    n = max(row.n for row in rows)

    def column(name: str) -> np.ndarray:
        return np.array([row.seconds[name] * n / row.n for row in rows])

    return Scaling(
        model="SeqDGM",
        machine=f"{platform.machine()}, processor time of one thread, PyTorch {torch.__version__}",
        sentences=n,
        parameters=rows[0].parameters,
        classes=np.array([row.classes for row in rows]),
        enumerated=column("enumerated"),
        total=column("total"),
        per_parameter=column("per parameter"),
        sampled=column("sampled"),
        variances={
            name: np.array([row.variances[name] * n / row.n for row in rows])
            for name in rows[0].variances
        },
        others={name: column(name) for name in rows[0].seconds if name not in COLUMNS},
        extrapolated=tuple(sorted(rows[0].extrapolated)),
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the record and the figure go")
    parser.add_argument("--quick", action="store_true", help="K = 10 alone")
    parser.add_argument("--rounds", type=int, default=3, help="times that each way is run")
    parser.add_argument("--keep-memory", action="store_true", help="time without page faults")
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peak:
        print_peak(given.peak[0], int(given.peak[1]), int(given.peak[2]))
        return
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.keep_memory:
        keep_memory()
    rows = []
    with one_thread():
        for classes, n in SIZES.items():
            if given.quick and classes > min(SIZES):
                break
            rows.append(measure(classes, n, given.rounds))
            peaks = {way: peak(way, classes, n) for way in ("enumerated", "total", "per parameter")}
            sys.stdout.write(report(rows[-1], peaks) + "\n\n")
            sys.stdout.flush()
        record = scaling(rows)
    (given.folder / "scaling.json").write_text(to_json(record), encoding="utf-8")
    figure = Figure(figsize=(7.0, 2.8), layout="constrained")
    draw(figure.subplots(1, 2), record)
    figure.savefig(given.folder / "cost.svg")
    sys.stdout.write(f"wrote {given.folder / 'scaling.json'} and {given.folder / 'cost.svg'}\n")


if __name__ == "__main__":
    main()
