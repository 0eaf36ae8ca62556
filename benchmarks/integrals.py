"""What integrating an estimator costs beside calling it: CPU seconds a path, one thread.

    python benchmarks/integrals.py [NAME ...] [--rounds R] [--json FILE]

Each row is one estimator of benchmarks/enumeration.py's kind, whose continuous numbers are used.
The floor is the bare code in the same run: the same function called in a loop, its surrogate
differentiated, its gradient turned into an array. A check runs it on each node of its rules and
each outcome of its discrete draws, one by one ("alone") and many at a time ("blocks"). All three
are of the best of R interleaved rounds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from enumeration import bare

from gradproof import check_estimator
from gradproof.checks.json_records import to_json


class Integral(NamedTuple):
    """An estimator, its inputs, the exact gradient, and how it is checked.

    Up to ``few`` paths it is run one by one, too.
    """

    estimate: Callable[..., Any]
    inputs: list[Any]
    exact: Any
    integrate: float
    paths: int = 10_000
    few: int = 10_000


def _tensor(*values: float) -> Any:
    import torch

    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def _gradient_of(objective: Callable[[Any], Any], at: Any) -> Any:
    import torch

    return torch.autograd.grad(objective(at), at)[0]


def _cost(bits: Any) -> Any:
    """Of bits, whose mean is a polynomial in their probabilities."""
    return ((bits - 0.45) ** 2).sum() + bits.prod()


def _mean_cost(logits: Any) -> Any:
    """(b - c)² is b (1 - 2 c) + c² of a bit."""
    p = logits.sigmoid()
    return (p * (1.0 - 2.0 * 0.45)).sum() + p.prod()


def rebar(*logits: float, integrate: float = 1e-3, paths: int = 10_000) -> Integral:
    """Tucker et al. (2017), of so many bits: two numbers each."""
    import torch

    def estimate(logits: Any) -> Any:
        p = torch.sigmoid(logits)
        u, v = torch.rand(len(p), dtype=torch.float64), torch.rand(len(p), dtype=torch.float64)
        z = logits + torch.logit(u)
        b = (z > 0).double()
        v = torch.where(b > 0, v * p + 1.0 - p, v * (1.0 - p))
        soft, again = (torch.sigmoid(each / 0.5) for each in (z, logits + torch.logit(v)))
        score = torch.distributions.Bernoulli(logits=logits).log_prob(b).sum()
        return (_cost(b) - _cost(again)).detach() * score + _cost(soft) - _cost(again)

    at = _tensor(*logits)
    return Integral(estimate, [at], _gradient_of(_mean_cost, at), integrate, paths)


def policy(count: int, integrate: float = 1e-6, paths: int = 10_000) -> Integral:
    """REINFORCE on a normal policy of so many numbers."""
    import torch

    at = _tensor(*(0.1 * (place + 1) for place in range(count)))

    def estimate(mean: Any) -> Any:
        q = torch.distributions.Normal(mean, 0.5)
        a = q.sample()
        return ((a**2).sum() + torch.exp(0.5 * a.sum())).detach() * q.log_prob(a).sum()

    def value(mean: Any) -> Any:
        return (mean**2).sum() + torch.exp(0.5 * mean.sum() + 0.5 * count * 0.25**2)

    return Integral(estimate, [at], _gradient_of(value, at), integrate, paths)


def normal() -> Integral:
    """The score function of one normal number."""
    import torch

    def estimate(mean: Any) -> Any:
        q = torch.distributions.Normal(mean, 1.0)
        z = q.sample()
        return ((z**2).detach() * q.log_prob(z)).sum()

    at = _tensor(0.4)
    return Integral(estimate, [at], 2.0 * at.detach(), 1e-6)


#: By name, what makes each row.
ROWS: dict[str, Callable[[], Integral]] = {
    "normal": normal,
    "rebar": lambda: rebar(0.3),
    "rebar-2": lambda: rebar(0.3, -0.4, paths=200_000),
    "policy-3": lambda: policy(3),
    "policy-4": lambda: policy(4, paths=100_000),
}


def seconds(integral: Integral, *, blocks: bool) -> tuple[float, Any]:
    """CPU seconds of a check, and its report."""
    started = time.process_time()
    report = check_estimator(
        integral.estimate,
        integral.inputs,
        exact=integral.exact,
        integrate=integral.integrate,
        paths=integral.paths,
        batch="auto" if blocks else False,
    )
    return time.process_time() - started, report


def measure(name: str, rounds: int) -> dict[str, Any]:
    """One row: seconds a path, and ratios to the bare code."""
    integral = ROWS[name]()
    floor, times = [], {"blocks": [], "alone": []}  # type: ignore[var-annotated]
    spent, report = seconds(integral, blocks=True)  # what is imported once is nobody's
    ways = ("blocks", "alone") if report.paths <= integral.few else ("blocks",)
    for _ in range(rounds):
        floor.append(bare(integral))  # type: ignore[arg-type]
        for way in ways:
            spent, found = seconds(integral, blocks=way == "blocks")
            assert (found.verdict, found.paths) == (report.verdict, report.paths)
            times[way].append(spent / found.paths)
    row = {"name": name, "verdict": report.verdict, "paths": report.paths, "bare": min(floor)}
    for way in ways:
        row[way] = min(times[way]) / min(floor)
    return row


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", choices=[[], *ROWS], default=[])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = []
    print(f"{'':10} {'verdict':10} {'paths':>7} {'bare, ms':>9} {'alone':>7} {'blocks':>7}")
    for name in given.names or ROWS:
        row = measure(name, given.rounds)
        rows.append(row)
        alone = f"{row['alone']:7.2f}" if "alone" in row else f"{'':7}"
        print(
            f"{name:10} {row['verdict']:10} {row['paths']:7,} {1e3 * row['bare']:9.3f} {alone} "
            f"{row['blocks']:7.3f}",
            flush=True,
        )
    if given.json is not None:
        given.json.write_text(to_json(rows) + "\n")


if __name__ == "__main__":
    main()
