"""The catalogue of bugs, as a table and a page for each bug, from the benchmark's rows."""

from __future__ import annotations

import ast
import functools
import inspect
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from gradproof.checks.benchmark.bugs import ROWS, BenchmarkRow
from gradproof.checks.benchmark.fixes import FIXES
from gradproof.checks.benchmark.results import BenchmarkResult, RowResult
from gradproof.checks.evidence import DIFFERS, PROPORTIONAL, ZERO
from gradproof.checks.json_records import from_json

RECORD = Path(__file__).with_name("benchmark.json")

#: Where a bug shows.
SEEN_BY = {
    "mean": "the exact mean",
    "variance": "the exact variance",
    "sampler": "draws by the framework's own generator",
    "reach": "which parameters the gradient reaches",
    "state": "what a run leaves changed",
    "identity": "an identity that its parts must satisfy",
}


#: How frameworks are written.
FRAMEWORKS = {"torch": "PyTorch", "numpy": "NumPy"}


def pages() -> dict[str, str]:
    """Every page by its path: the table, and a page for each bug."""
    result = from_json(BenchmarkResult, RECORD.read_text(encoding="utf-8"))
    results = {row.key: row for row in result.rows}
    bugs: dict[str, list[BenchmarkRow]] = {}
    for row in ROWS.values():
        if not row.right:
            bugs.setdefault(row.id, []).append(row)
    says = {method.id: method.statement for method in result.methods}
    written = {
        f"bugs/{id}.md": _page(rows, [results[row.key] for row in rows], says)
        for id, rows in bugs.items()
    }
    return {"bugs/index.md": _table(bugs, results), **written}


def _table(bugs: dict[str, list[BenchmarkRow]], results: dict[str, RowResult]) -> str:
    lines = [
        "---\nhide: [toc]\n---\n",
        "# Catalogue of bugs",
        "",
        f"{len(bugs)} ways in which gradient estimators differ from the gradient. Each was seen in "
        "a library, an issue or a paper, or is made again and again. Each has a page with its "
        "code, how far off the mean is, which tests notice, and how to mend it. "
        "[The benchmark](../benchmark.md) has the whole matrix.",
        "",
        f"{sum(rows[0].is_intended for rows in bugs.values())} of them differ from the gradient "
        "on purpose, for less variance or another aim, and their pages say so.",
        "",
        '<input class="filter" type="search" placeholder="Filter: baseline, detach, PPO, Pyro …" '
        'aria-label="Filter the bugs">',
        '<span class="filter-count" role="status"></span>',
        "",
        "| bug | what is wrong | off by | topic | seen in |",
        "|---|---|---:|---|---|",
    ]
    for id, rows in bugs.items():
        one = rows[0]
        off = _off([results[row.key] for row in rows])
        cells = (f"[{id}]({id}.md)", one.statement, off, _topic(one), one.source)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _page(rows: Sequence[BenchmarkRow], results: Sequence[RowResult], says: dict[str, str]) -> str:
    one = rows[0]
    module = _module(one.id)
    lines = [
        "[All bugs](index.md)",
        "",
        f"# {one.id}",
        "",
        one.statement,
        "",
        "## What it looks like",
        "",
        _about_code(one, module, rows),
        "",
        "```python",
        code_of(one.id),
        "```",
        "",
        "## How far off it is",
        "",
        f"{_off_sentence(results)} {_direction_sentence(one)}It shows in {SEEN_BY[one.sees]}.",
        "",
        f"| way of testing | {' | '.join(row.framework for row in rows)} | what it does |",
        f"|---|{'---|' * len(rows)}---|",
    ]
    for method, statement in says.items():
        cells = " | ".join(_noticed(result, method) for result in results)
        lines.append(f"| {method} | {cells} | {statement} |")
    lines += [
        "",
        "## How to have the gradient instead" if one.is_intended else "## How to mend it",
        "",
        FIXES[one.id],
        "",
        "## Try it",
        "",
        "```sh",
        *(f"gradproof benchmark --only {row.key}" for row in rows),
        "```",
        "",
        f"Seen in: {one.source}.",
    ]
    return "\n".join(lines) + "\n"


def _about_code(row: BenchmarkRow, module: ModuleType, rows: Sequence[BenchmarkRow]) -> str:
    """Where the code is from, and what its letters are."""
    letters = (
        " `f` is the cost of each drawn label, and `x` the features of the sentence."
        if "lambda f, x:" in code_of(row.id)
        else ""
    )
    frameworks = " and ".join(FRAMEWORKS.get(each.framework, each.framework) for each in rows)
    return (
        f"This is its row in `{_path(module)}`, with the functions of that file that it uses."
        f"{letters} The toy problem's helpers make an estimator of it for {frameworks}."
    )


def _noticed(result: RowResult, method: str) -> str:
    said = result.answers[method]
    if said is None:
        return "does not apply"
    if said.wrong in (0.0, 1.0):
        return "caught" if said.wrong else "missed"
    return f"caught in {said.wrong:.0%} of runs"


def _off(results: Sequence[RowResult]) -> str:
    """The largest bias of a bug in any framework, in per cent; 0 where it is not of the mean."""
    biases = [result.bias for result in results if result.bias is not None]
    if not biases:
        return "-"
    if results[0].sees != "mean":
        return "0"
    return f"{max(biases):.1%}" if max(biases) >= 0.001 else f"{100.0 * max(biases):.1g}%"


def _off_sentence(results: Sequence[RowResult]) -> str:
    off = _off(results)
    if off == "-":
        return "There is no mean over all paths to compare."
    if off == "0":
        return "The mean is right."
    return f"The mean is off by {off} of the gradient's largest entry, on the toy problem."


def _direction_sentence(row: BenchmarkRow) -> str:
    """Where the mean points, as far as the row says it; a sentence and a space, or nothing."""
    times = "" if row.factor is None else f"{row.factor:.4g}"
    where = {
        PROPORTIONAL: f"The mean is {times} times the gradient in every entry. ",
        ZERO: "The mean is zero. ",
        DIFFERS: "The mean is no multiple of the gradient. ",
    }
    return "" if row.direction is None else where[row.direction]


def _topic(row: BenchmarkRow) -> str:
    return _module(row.id).__name__.rpartition(".")[2].replace("_", " ").replace("rl", "RL")


def _path(module: ModuleType) -> str:
    return f"checks/benchmark/bugs/{module.__name__.rpartition('.')[2]}.py"


@functools.cache
def _calls() -> dict[str, tuple[ModuleType, ast.Call]]:
    """Where each bug stands in the sources: its module, and the call that makes its rows."""
    found = {}
    package = "gradproof.checks.benchmark.bugs."
    for name, module in sorted(sys.modules.items()):
        if not name.startswith(package):
            continue
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "wrong"
                and isinstance(node.args[0], ast.Constant)
            ):
                found[node.args[0].value] = (module, node)
    return found


def _module(id: str) -> ModuleType:
    return _calls()[id][0]


def code_of(id: str) -> str:
    """What makes a bug's estimators, with the functions and classes of its file that this names."""
    module, call = _calls()[id]
    source = inspect.getsource(module)
    makes = (
        call.args[3]
        if len(call.args) > 3
        else next(keyword.value for keyword in call.keywords if keyword.arg == "makes")
    )
    local = {
        node.name: node
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }
    named, waiting = {}, [makes]
    while waiting:
        for node in ast.walk(waiting.pop()):
            if isinstance(node, ast.Name) and node.id in local and node.id not in named:
                named[node.id] = local[node.id]
                waiting.append(local[node.id])
    parts = [_segment(source, node) for node in local.values() if node.name in named]
    return "\n\n\n".join([*parts, _segment(source, makes)])


def _segment(source: str, node: ast.AST) -> str:
    """The lines of a node, without the indentation of its first."""
    return textwrap.dedent(" " * node.col_offset + str(ast.get_source_segment(source, node)))
