"""What pytest says at the end: what was checked, how, what failed, and statistics if asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .checks.user.error_words import error_words
from .recorded_checks import NOT_REFUTED

Record = Mapping[str, Any]


def summary(records: Sequence[Record], seed: int, alpha: float, tests: int) -> Iterator[str]:
    """What was checked, how, and what failed, in the order of the tests' names.

    Args:
        alpha: of the session.
        tests: among which it is shared.
    """
    done = [check for check in records if "error" not in check]
    if enumerated := [check for check in done if check["method"] in ("enumerated", "additive")]:
        paths = sum(check["paths"] for check in enumerated)
        along = sum(bool(check.get("along")) for check in enumerated)
        only = f", {along} of them along one random direction only" if along else ""
        yield f"enumerated: {len(enumerated)} checks, {paths:,} paths{only}"
    if integrated := [check for check in done if check["method"] == "integrated"]:
        paths = sum(check["paths"] for check in integrated)
        yield f"integrated: {len(integrated)} checks, {paths:,} paths; errors are estimated"
    if sampled := [check for check in done if check["method"] in ("sampled", "heaviest", "quasi")]:
        conditions = dict.fromkeys(check["condition"] for check in sampled if check["condition"])
        spent = math.fsum(check["alpha"] for check in sampled)
        yield (
            f"sampled: {len(sampled)} checks, which would have seen a bias of "
            f"{max(check['detectable'] for check in sampled):.1e}; probability of a false alarm in "
            f"any of them at most {spent:.1e}"
            f"{', if ' if conditions else ''}{' and '.join(conditions)}; seed {seed}"
        )
        if spent > alpha:
            count = len({check["test"] for check in sampled})
            yield (
                f"that is more than --gradproof-alpha={alpha:g}, which is shared among "
                f"--gradproof-tests={tests}: {count} tests sampled; state as many, or give marks "
                "and calls a smaller alpha"
            )
    bad = [check for check in records if check.get("verdict") not in ("holds", NOT_REFUTED)]
    if expected := sum(not check["failed"] for check in bad):
        yield f"biased or not to be checked, as their tests expect: {expected}"
    failed = [check for check in bad if check["failed"]]
    for (test, name, _), checks in _together(failed):
        times = f" ({len(checks)} times; this is the last)" if len(checks) > 1 else ""
        yield f"{test}: {name}: {_trouble(checks[-1])}{times}"


def statistics(records: Sequence[Record]) -> Iterator[str]:
    """A line for each check of each test: verdicts, paths, draws, seconds, and the worst entry."""
    for (test, name, check), checks in _together(records):
        done = [record for record in checks if "error" not in record]
        verdicts = [record.get("verdict", "not checked") for record in checks]
        counts = {verdict: verdicts.count(verdict) for verdict in dict.fromkeys(verdicts)}
        parts = [", ".join(f"{verdict} {count}" for verdict, count in counts.items())]
        for what in ("paths", "draws"):
            if most := max((record[what] for record in done), default=0):
                parts.append(f"{what} {most:,}")
        parts.append(f"{sum(record['seconds'] for record in done):.2f} s")
        if compared := [record for record in done if record["method"] != "sampled"]:
            worst = max(compared, key=_share)
            parts.append(f"worst {worst['worst']}, {_share(worst):.1e} of its bound")
        if sampled := [record for record in done if record["method"] != "enumerated"]:
            seen = max(record["detectable"] for record in sampled)
            parts.append(f"bias seen from {seen:.1e}")
        yield f"{test}: {check} {name}: {'; '.join(parts)}"


def _together(records: Sequence[Record]) -> list[tuple[tuple[str, str, str], list[Record]]]:
    """Records of one check of one test, such as all examples of Hypothesis, by test and name."""
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        key = record["test"], record["name"], record.get("check", "")
        groups.setdefault(key, []).append(record)
    return sorted(groups.items())


def _share(record: Record) -> float:
    off, bound = record["off"], record["bound"]
    if off == 0.0:
        return 0.0
    return float(off / bound) if bound > 0.0 else math.inf


def _trouble(found: Record) -> str:
    if "error" in found:
        return f"not checked, {found['error'].splitlines()[0]}"
    why = error_words(found["method"])
    along = f" {found['along']}" if found.get("along") else ""
    condition = f", if {found['condition']}" if found["condition"] else ""
    return (
        f"{found['verdict']}{along}{condition}, {found['worst']} is off by {found['off']:.1e}, "
        f"at most {found['bound']:.1e} is {why}"
    )
