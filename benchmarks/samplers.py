"""What gradproof can say of each sampler of each library: the record behind the page of draws.

    python benchmarks/samplers.py                       # of all libraries that are installed
    python benchmarks/samplers.py --only torch random   # of some, the others are kept as they are

Writes docs/records/samplers.json, from which docs/draws_page.py makes the page. Each sampler is
tried in three ways: an estimator that returns what it draws is run on every path; one that compares
it is; and its mean is integrated. Whatever gets an answer is compared with draws of the real one.
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import importlib.util
import math
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from sampler_rows import (
    jax_distributions,
    jax_random,
    numpy_random,
    pyro_distributions,
    torch_distributions,
    torch_functions,
)
from sampler_rows.record import Answer, SamplerTable
from sampler_rows.row import Library, Row

from gradproof import NotEnumerable, check_estimator
from gradproof.checks.evidence import REFUTED
from gradproof.checks.json_records import from_json, to_json
from gradproof.checks.user.estimator_report import EstimatorReport
from gradproof.estimators.enumeration.enumeration import Enumeration
from gradproof.estimators.enumeration.estimator import UserFunction

RECORD = Path(__file__).resolve().parents[1] / "docs" / "records" / "samplers.json"

LIBRARIES: tuple[Library, ...] = (
    torch_distributions.LIBRARY,
    torch_functions.LIBRARY,
    *numpy_random.LIBRARIES,
    jax_random.LIBRARY,
    pyro_distributions.LIBRARY,
    *jax_distributions.LIBRARIES,
)

#: The packages whose versions the record has.
PACKAGES = (*("numpy", "torch", "jax", "pyro-ppl", "numpyro", "distrax"),)

#: Draws of the real sampler, and how many standard deviations a frequency may be off: with some
#: 2,000 comparisons one is beyond 5 of them in a thousandth of the records.
DRAWS, FAR = 2000, 5.0

#: Paths that an answer may take: laws that are enumerated have fewer; what is integrated takes as
#: many at most, and is compared within the error that is left.
PATHS = 300

#: An outcome as rare as makes fewer draws is counted with the others that are rare.
FEW = 10.0

HOW = "python benchmarks/samplers.py --only"


#: Makes draws of the real sampler, when they are needed. (N, *shape)
Real = Callable[[], np.ndarray]


class WrongLaw(AssertionError):
    """What was enumerated or integrated is not what the real sampler draws."""


def answer_of(library: Library, row: Row, *, draws: int = DRAWS, paths: int = PATHS) -> Answer:
    """What can be said of one sampler.

    Args:
        draws: of the real one, to compare with; 0: nothing is compared.
        paths: to integrate by.

    Raises:
        WrongLaw: if something else is said than what the real one draws.
    """
    real = functools.cache(lambda: real_draws(library, row, draws)) if draws else None
    try:
        mass = law_of(library, row)
    except NotEnumerable as error:
        reason = shorten(error)
    else:
        check_law(row, mass, real)
        return Answer(library.name, row.name, "enumerated", "", True)
    comparisons = answers_comparisons(library, row, real)
    how = "refused" if integrated(library, row, real, paths) is None else "integrated"
    return Answer(library.name, row.name, how, reason, comparisons)


def array(value: Any) -> np.ndarray:
    """What was drawn, as numbers."""
    return np.asarray(value.detach() if hasattr(value, "detach") else value, np.float64)


def real_draws(library: Library, row: Row, count: int) -> np.ndarray:
    """By the library itself, (count, *shape); by keys in one call, which takes seconds else."""
    source = library.source(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of singular samples, by PyTorch, and the like
        if isinstance(source, jax_random.Keys):
            return source.draw_many(row.draw, count)
        return np.stack([array(row.draw(source)) for _ in range(count)])


def one_draw(library: Library, row: Row) -> Callable[[], Any]:
    """Draws once, in whatever run is under way."""
    source = library.source(0)
    if isinstance(source, jax_random.Keys):
        source = source.next()
    return functools.partial(row.draw, source)


def key_of(value: Any) -> tuple[float, ...]:
    """An outcome; numbers in single precision are apart by their last places."""
    return tuple(float(f"{number:.6g}") for number in array(value).reshape(-1))


def law_of(library: Library, row: Row) -> Counter[tuple[float, ...]]:
    """The probability of each outcome, over all paths of code that returns what it draws."""
    mass: Counter[tuple[float, ...]] = Counter()
    draw = one_draw(library, row)
    # Read inside of the run: after it a number that was never decided is none.
    with Enumeration(UserFunction(lambda: key_of(draw()), ()), most=PATHS) as enumeration:
        for path in enumeration.paths():
            mass[path.value] += path.probability
    return mass


def check_law(row: Row, mass: Counter[tuple[float, ...]], real: Real | None) -> None:
    """Compare a law with frequencies, and its mean with a formula.

    Raises:
        WrongLaw: if they are not the same.
    """
    total = math.fsum(mass.values())
    if abs(total - 1.0) > 1e-9:  # what is cut of a law without an end is far below
        raise WrongLaw(f"{row.name}: the outcomes have a probability of {total}")
    if row.mean is not None:
        mean = sum(np.array(outcome) * p for outcome, p in mass.items())
        # Outcomes are kept in six digits: each is off by 5e-6 of its size at most.
        if np.abs(mean - np.ravel(row.mean)).max() > 1e-5 * max(1.0, np.abs(mean).max()):
            raise WrongLaw(f"{row.name}: the mean is {mean}, by a formula {row.mean}")
    if real is None:
        return
    seen, count = Counter(map(key_of, real())), len(real())
    if unknown := seen.keys() - mass.keys():
        raise WrongLaw(f"{row.name}: {min(unknown)} is drawn, and has no path")
    rare = {outcome for outcome, p in mass.items() if count * p < FEW}
    groups = [({outcome}, str(outcome)) for outcome in mass.keys() - rare] + [(rare, "rare ones")]
    for group, name in groups:
        check_frequency(
            f"{row.name}: {name}",
            sum(mass[outcome] for outcome in group),
            sum(seen[outcome] for outcome in group) / count,
            count,
        )


def check_frequency(what: str, p: float, frequency: float, count: int) -> None:
    """Raises: WrongLaw if a frequency is not that of a probability."""
    limit = FAR * math.sqrt(p * max(0.0, 1.0 - p) / count) + FAR / count  # some, where p is tiny
    if abs(frequency - p) > limit:
        raise WrongLaw(f"{what}: the probability is {p:.5f}, and the frequency {frequency:.5f}")


def answers_comparisons(library: Library, row: Row, real: Real | None) -> bool:
    """Whether code that only compares the first number with another one can be enumerated.

    Raises:
        WrongLaw: if the probability is not the frequency.
    """
    threshold = float(array(one_draw(library, row)()).flat[0])  # some number of the right size
    draw = one_draw(library, row)

    def compare() -> Any:
        drawn = draw()
        return (drawn.reshape(-1)[0] if np.ndim(drawn) else drawn) < threshold

    try:
        with Enumeration(UserFunction(compare, ()), most=PATHS) as enumeration:
            below = sum(path.probability for path in enumeration.paths() if bool(path.value))
    except NotEnumerable:
        return False
    if real is not None:
        firsts = real().reshape(len(real()), -1)[:, 0]
        frequency = float((firsts < threshold).mean())
        check_frequency(f"{row.name} < {threshold:.5g}", below, frequency, len(firsts))
    return True


def integrated(library: Library, row: Row, real: Real | None, paths: int) -> EstimatorReport | None:
    """The report on what is drawn, as an estimator of its own mean; None if that is refused.

    Of a number whose mean is not known, or is infinite, its hyperbolic tangent.

    Raises:
        WrongLaw: if the mean is not that of a formula, or of draws.
    """
    draw = one_draw(library, row)

    def estimate() -> dict[str, Any]:
        drawn = draw()
        if row.mean is not None:
            return {"x": drawn}
        return {"x": drawn.tanh() if hasattr(drawn, "tanh") else np.tanh(drawn)}

    exact = np.asarray(array(draw()) * 0.0 if row.mean is None else row.mean, np.float64)
    try:
        report = check_estimator(estimate, [], exact={"x": exact}, integrate=1e-6, paths=paths)
    except NotEnumerable:
        return None
    if row.mean is not None and report.verdict == REFUTED:
        raise WrongLaw(f"{row.name}: {report.explain()}")
    if real is not None:
        samples = real()
        drawn = samples if row.mean is not None else np.tanh(samples)
        error = np.abs(drawn.mean(axis=0) - report.mean["x"])
        limit = FAR * drawn.std(axis=0) / math.sqrt(len(drawn)) + report.bounds["x"] + 1e-9
        if (error > limit).any():
            raise WrongLaw(
                f"{row.name}: the mean is {report.mean['x']}, "
                f"and that of draws {drawn.mean(axis=0)}"
            )
    return report


def shorten(error: Exception) -> str:
    """The reason of a refusal, without what to do about it."""
    said = str(error).partition(": its outcomes cannot")[0].partition("; ")[0]
    return re.sub(r" 0x[0-9a-f]+", "", said)


def is_installed(library: Library) -> bool:
    """Whether all it needs can be imported."""
    return all(importlib.util.find_spec(name.partition(".")[0]) for name in library.packages)


def versions() -> dict[str, str]:
    """Of the packages that are installed."""
    known = {}
    for name in PACKAGES:
        try:
            known[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return known


def table_of(libraries: Sequence[Library], before: SamplerTable | None) -> SamplerTable:
    """The record: of these libraries anew, of others as it was."""
    names = {library.name for library in libraries}
    answers = [
        answer for answer in (before.answers if before else ()) if answer.library not in names
    ]
    for library in libraries:
        for row in library.rows():
            answers.append(answer_of(library, row))
            say(f"{library.name} {row.name}: {answers[-1].value} {answers[-1].reason}")
    order = [library.name for library in LIBRARIES]
    answers.sort(key=lambda answer: order.index(answer.library))
    kept = dict(before.versions) if before else {}
    return SamplerTable(versions={**kept, **versions()}, answers=tuple(answers))


def say(line: str) -> None:
    """A line, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [library.name for library in LIBRARIES]
    parser.add_argument("--record", type=Path, default=RECORD)
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="LIBRARY")
    given = parser.parse_args()
    before = None
    if given.record.is_file():
        before = from_json(SamplerTable, given.record.read_text(encoding="utf-8"))
    chosen = [
        library for library in LIBRARIES if library.name in given.only and is_installed(library)
    ]
    table = table_of(chosen, before)
    given.record.write_text(to_json(table) + "\n", encoding="utf-8")
    say(f"wrote {given.record}, {len(table.answers)} samplers")


if __name__ == "__main__":
    main()
