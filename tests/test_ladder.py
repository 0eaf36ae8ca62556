"""Imports go down one ladder; this reads every source file and says where one does not.

reference_models, derivations -> estimators -> checks -> reports -> gradproof
"""

import ast
import graphlib
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
FACE = Path("src", "gradproof")
BACKENDS = "gradproof.estimators.backends"

#: Where else frameworks are imported: to handle their draws, to move their roundings, to enumerate
#: the completions of language models, and by the estimators of the benchmark's catalogue, which are
#: written as anybody would write them.
HANDLERS = (
    "gradproof.checks.benchmark.bugs",
    "gradproof.estimators.enumeration.frameworks",
    "gradproof.estimators.enumeration.rounding",
    "gradproof.estimators.policies",
)

#: What runs anyone's estimator, and knows nothing of the note, its models and baselines.
ENUMERATION = "gradproof.estimators.enumeration"

#: The completions, goals and losses of language models, which know it alone.
POLICIES = "gradproof.estimators.policies"

#: What all rooms know: it knows nothing itself.
GROUND = "gradproof.errors"

#: A report shows and draws itself when somebody asks it to, and only then: the files that ask
#: upwards, in functions, and what each asks.
SHOWING = {
    "gradproof.checks.report": (
        "gradproof.reports.html",
        "gradproof.reports.markdown",
        "gradproof.reports.series_figure",
        "gradproof.reports.table_text",
    ),
    "gradproof.checks.user.plotted_report": ("gradproof.reports.report_figure",),
}

#: What a report is, and what it shows of itself as data.
REPORT = (
    "gradproof.checks.report",
    "gradproof.checks.section",
    "gradproof.checks.published_records",
)

#: What serves whoever has an estimator of their own, and all that each may know of the rest.
OF_ANYONE = {
    ENUMERATION: ("gradproof.estimators.workers",),
    POLICIES: (ENUMERATION,),
    "gradproof.checks.sequential": ("gradproof.checks.evidence", "gradproof.checks.no_truth_value"),
    "gradproof.checks.user": (
        "gradproof.checks.evidence",
        "gradproof.checks.sequential",
        *REPORT,
        ENUMERATION,
        POLICIES,
    ),
    "gradproof.checks.benchmark": (
        "gradproof.checks.evidence",
        "gradproof.checks.sequential",
        "gradproof.checks.user",
        "gradproof.estimators.workers",
        ENUMERATION,
    ),
    "gradproof.cli.check": (
        "gradproof.checks.evidence",
        "gradproof.checks.published_records",
        "gradproof.checks.sequential",
        "gradproof.checks.user",
        "gradproof.cli",
        "gradproof.reports.paper_sizes",
        ENUMERATION,
    ),
    "gradproof.cli.check_run": (
        "gradproof.checks.evidence",
        "gradproof.checks.published_records",
        "gradproof.checks.sequential",
        "gradproof.checks.user",
        "gradproof.cli",
        "gradproof.estimators.user_code",
        "gradproof.estimators.workers",
        "gradproof.reports.paper_sizes",
        "gradproof.reports.report_figure",
        ENUMERATION,
    ),
}

#: A command's module has its options, which help shows. What it does is in a module beside it,
#: named so after it, and is imported when the command is run.
RUN = "_run"

FRAMEWORKS = frozenset({"jax", "pytensor", "theano", "torch"})
DRAWING = frozenset({"matplotlib", "tueplots"})  # a third of the time that a command takes to start
SHARING = frozenset(
    {"cloudpickle", "joblib"}
)  # as long as NumPy, and most checks are made in one process
NETS = "scipy.stats"  # two thirds of the time that everything else takes, and few checks need it

# Each room, and what it may know of besides itself. The face may know of everything.
LADDER = {
    "reference_models": (),
    "derivations": (),
    "estimators": ("gradproof.reference_models", "gradproof.derivations"),
    "checks": ("gradproof.reference_models", "gradproof.derivations", "gradproof.estimators"),
    "reports": (
        "gradproof.checks.evidence",
        "gradproof.checks.variance.records",
        "gradproof.checks.benchmark.results",
        "gradproof.checks.section",
        "gradproof.checks.versions",
        "gradproof.checks.user.estimate_law",
        "gradproof.checks.user.plotted_report",
    ),
}


class Import(NamedTuple):
    """One imported name: who asks, for what (dotted, with the attribute), where, and how deep."""

    importer: str  # "" outside the package
    target: str
    place: str
    in_function: bool


# ------------------------------------------------------------------ reading


def python_files(root: Path) -> list[Path]:
    """Every source file below a root, without builds and environments."""
    found = []
    for here, folders, names in os.walk(root):
        if "pyvenv.cfg" in names:
            folders.clear()
            continue
        built = {"build", "dist"} if Path(here) == root else set()
        folders[:] = sorted(f for f in folders if f[0] != "." and f not in built)
        found += [Path(here, name) for name in sorted(names) if name.endswith(".py")]
    return found


def package_modules(root: Path) -> dict[Path, str]:
    """The package's files and the names they are installed under; an empty room is an error."""
    modules = {}
    files = python_files(root)
    for prefix, folder in [("", FACE), *((room, Path(room)) for room in LADDER)]:
        inside = [path for path in files if path.is_relative_to(root / folder)]
        if not inside:
            raise FileNotFoundError(f"{folder} holds no Python file, so nothing would be checked")
        for path in inside:
            inner = path.relative_to(root / folder).with_suffix("").parts
            parts = ("gradproof", prefix, *inner)
            modules[path] = ".".join(part for part in parts if part and part != "__init__")
    return modules


def absolute(node: ast.ImportFrom, importer: str, is_package: bool) -> str:
    """What an import statement imports from, with the leading dots resolved."""
    if not node.level:
        return node.module or ""
    base = importer.split(".")
    up = node.level - is_package
    # Beyond the top there is nothing to name; the dots stay, and no rule allows them.
    head = base[: len(base) - up] if up < len(base) else ["." * node.level]
    return ".".join([*head, *filter(None, [node.module])])


def names_imported(node: ast.AST, importer: str, is_package: bool) -> list[str]:
    """The dotted names that one node imports; [] when it is no import."""
    match node:
        case ast.Import():
            return [alias.name for alias in node.names]
        case ast.ImportFrom():
            base = absolute(node, importer, is_package)
            return [f"{base}.{alias.name}" for alias in node.names]
        case ast.Call(
            func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(name)), *_],
        ):
            return [name]
    return []


def imports_of(path: Path, importer: str, root: Path) -> Iterator[Import]:
    """All imports of one file, wherever they stand."""
    is_package = path.name == "__init__.py"
    functions = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

    def walk(node: ast.AST, in_function: bool) -> Iterator[Import]:
        for name in names_imported(node, importer, is_package):
            place = f"{path.relative_to(root).as_posix()}:{node.lineno}"
            yield Import(importer, name, place, in_function)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, in_function or isinstance(node, functions))

    return walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path)), False)


def all_imports(root: Path) -> list[Import]:
    """All imports below a root, of the package and of what stands around it."""
    modules = package_modules(root)
    files = python_files(root)
    return [found for path in files for found in imports_of(path, modules.get(path, ""), root)]


# ------------------------------------------------------------------ judging


def below(name: str, *tops: str) -> bool:
    """Whether a dotted name is one of these or stands inside one."""
    return any(name == top or name.startswith(f"{top}.") for top in tops)


def copy_from_root(found: Import) -> str | None:
    """A room imported by its folder's name is a second copy of it, with other classes."""
    top = found.target.partition(".")[0]
    if top in LADDER:
        return f"imports the folder {top}, a second copy of every class; import gradproof.{top}"
    if below(found.target, "src.gradproof"):
        return "imports the folder src/gradproof, a second copy of every class; import gradproof"
    return None


def framework(found: Import) -> str | None:
    """A framework is imported by its adapter only, and by that only when it is called."""
    top = found.target.partition(".")[0]
    if top not in FRAMEWORKS:
        return None
    if found.importer and not below(found.importer, BACKENDS, *HANDLERS):
        return f"imports {top}, which only {BACKENDS} may; add what is needed to an adapter there"
    if not found.in_function:
        return (
            f"imports {top} when the file loads, which fails where {top} is missing; "
            "import it in the function that needs it"
        )
    return None


def drawing(found: Import) -> str | None:
    """What draws is imported when something is drawn: most commands draw nothing."""
    top = found.target.partition(".")[0]
    if not found.importer or found.in_function or top not in DRAWING:
        return None
    return (
        f"imports {top} when the file loads, which every command waits for; "
        "import it in the function that draws"
    )


def sharing(found: Import) -> str | None:
    """What shares work out is imported when somebody asks for several processes."""
    top = found.target.partition(".")[0]
    if not found.importer or found.in_function or top not in SHARING:
        return None
    return (
        f"imports {top} when the file loads, which every check waits for; "
        "import it in the function that shares work out"
    )


def shows(found: Import) -> bool:
    """Whether a report asks to be shown, which it does in a function that somebody calls."""
    return found.in_function and found.target in SHOWING.get(found.importer, ())


def runs(found: Import) -> bool:
    """Whether a command imports what it does, in its function."""
    commands = below(found.importer, "gradproof.cli")
    return commands and found.in_function and found.target == found.importer + RUN


def at_once(found: Import) -> str | None:
    """What a command does is imported when it is run: its help waits for none of it."""
    if found.in_function or not below(found.target, f"{found.importer}{RUN}"):
        return None
    return (
        f"imports {found.target} when the file loads, which help waits for; import it in the "
        "function that is run"
    )


def local(found: Import) -> str | None:
    """An import inside a function hides a dependency from the reader, and often a cycle."""
    top = found.target.partition(".")[0]
    if not (found.importer and found.in_function) or shows(found) or runs(found):
        return None
    if top in FRAMEWORKS | DRAWING | SHARING or below(found.target, NETS):
        return None
    return f"imports {found.target} inside a function; move it to the top of the file"


def upwards(found: Import) -> str | None:
    """A room knows the rooms below it only."""
    if found.importer and found.target.startswith("."):
        return f"imports {found.target}, which climbs out of gradproof; count the dots"
    room = ".".join(found.importer.split(".")[:2])
    allowed = LADDER.get(room.removeprefix("gradproof."))
    if allowed is None or not below(found.target, "gradproof") or shows(found):
        return None
    if below(found.target, room, GROUND, *allowed):
        return None
    return (
        f"imports {found.target}, but {room} may know only {', '.join(allowed) or 'itself'}; "
        "move what both need down the ladder, or take it as an argument"
    )


def of_the_note(found: Import) -> str | None:
    """Whoever enumerates anyone's estimator knows itself only."""
    if not below(found.target, "gradproof") or shows(found):
        return None
    for home, allowed in OF_ANYONE.items():
        if below(found.importer, home) and not below(found.target, home, GROUND, *allowed):
            return (
                f"imports {found.target}, but {home} knows nothing of the rest; take it as an "
                "argument"
            )
    return None


def ground(found: Import) -> str | None:
    """What all rooms know, knows none."""
    if found.importer == GROUND and below(found.target, "gradproof"):
        return f"imports {found.target}, but all of gradproof imports {GROUND}"
    return None


RULES = (
    *(ground, copy_from_root, framework, drawing, sharing),
    *(at_once, local, upwards, of_the_note),
)


def cycle(imports: list[Import], modules: set[str]) -> list[str]:
    """The first import cycle, one line an edge; [] when there is none."""
    edges: dict[str, dict[str, str]] = {name: {} for name in modules}
    for found in imports:
        if shows(found) or runs(found):
            continue  # it is when somebody asks, long after both were loaded
        # `from package import name` asks for a module of that name, or else for the package itself.
        for target in (found.target, found.target.rpartition(".")[0]):
            if target in modules and found.importer in modules:
                edges[found.importer].setdefault(target, found.place)
                break
    try:
        graphlib.TopologicalSorter(edges).prepare()
    except graphlib.CycleError as error:
        ring = error.args[1][::-1]  # each is imported by the next; turned round, each imports it
        return [
            f"{edges[a][b]}: {a} imports {b}, which closes a cycle; "
            "move what both need into a third module"
            for a, b in pairwise(ring)
        ]
    return []


def violations(root: Path) -> list[str]:
    """Every breach under a root, as `file:line: what is wrong; what to do`."""
    imports = all_imports(root)
    broken = [(found.place, rule(found)) for found in imports for rule in RULES]
    said = [f"{place}: {message}" for place, message in broken if message]
    return said + cycle(imports, set(package_modules(root).values()))


# ------------------------------------------------------------------ the repository


def test_imports_go_down_the_ladder():
    """No file of the repository breaks a rule."""
    said = violations(ROOT)
    assert not said, "\n".join(said)


# ------------------------------------------------------------------ the checker itself

PLANTED = {
    "model knows estimator": (
        {"reference_models/a.py": "import gradproof.estimators\n"},
        "reference_models/a.py:1: imports gradproof.estimators, but gradproof.reference_models may "
        "know only itself; move what both need down the ladder, or take it as an argument",
    ),
    "derivation knows model": (
        {"derivations/a.py": "from gradproof.reference_models import x\n"},
        "derivations/a.py:1: imports gradproof.reference_models.x, but gradproof.derivations may",
    ),
    "ground that knows a room": (
        {"src/gradproof/errors.py": "from .checks import x\n"},
        "src/gradproof/errors.py:1: imports gradproof.checks.x, but all of gradproof imports "
        "gradproof.errors",
    ),
    "relative upwards": (
        {"estimators/backends/a.py": "\nfrom ...checks import evidence\n"},
        "estimators/backends/a.py:2: imports gradproof.checks.evidence, but gradproof.estimators "
        "may know only gradproof.reference_models, gradproof.derivations; ",
    ),
    "relative upwards from a package": (
        {"estimators/backends/__init__.py": "from ...reports import x\n"},
        "estimators/backends/__init__.py:1: imports gradproof.reports.x, but gradproof.estimators",
    ),
    "the face, by name": (
        {"checks/a.py": "from gradproof import cli\n"},
        "checks/a.py:1: imports gradproof.cli, but gradproof.checks may know only",
    ),
    "the face, whole": (
        {"checks/a.py": "import gradproof\n"},
        "checks/a.py:1: imports gradproof, but gradproof.checks may know only",
    ),
    "report computes": (
        {"reports/a.py": "from gradproof.checks import evidence, evidence_of_more\n"},
        "reports/a.py:1: imports gradproof.checks.evidence_of_more, but gradproof.reports may know "
        "only gradproof.checks.evidence, gradproof.checks.variance.records, "
        "gradproof.checks.benchmark.results, gradproof.checks.section, gradproof.checks.versions, "
        "gradproof.checks.user.estimate_law, gradproof.checks.user.plotted_report; ",
    ),
    "a report that asks upwards when it loads": (
        {"checks/report.py": "from gradproof.reports import html\n"},
        "checks/report.py:1: imports gradproof.reports.html, but gradproof.checks may know only",
    ),
    "a report that asks for another page": (
        {"checks/report.py": "def f():\n    from gradproof.reports import x\n"},
        "checks/report.py:2: imports gradproof.reports.x inside a function; ",
    ),
    "a check that shows itself": (
        {"checks/a.py": "def f():\n    from gradproof.reports import html\n"},
        "checks/a.py:2: imports gradproof.reports.html inside a function; ",
    ),
    "under a type checker's condition": (
        {"derivations/a.py": "import typing\nif typing.TYPE_CHECKING: import gradproof.checks\n"},
        "derivations/a.py:2: imports gradproof.checks, but gradproof.derivations may know only",
    ),
    "dots beyond the top": (
        {"src/gradproof/a.py": "from ..x import y\n"},
        "src/gradproof/a.py:1: imports ...x.y, which climbs out of gradproof; count the dots",
    ),
    "folder, from a test": (
        {"tests/a.py": "def f():\n    from checks import b\n"},
        "tests/a.py:2: imports the folder checks, a second copy of every class; "
        "import gradproof.checks",
    ),
    "folder, by a function": (
        {"tests/a.py": "import importlib\nimportlib.import_module('estimators.a')\n"},
        "tests/a.py:2: imports the folder estimators, a second copy of every class; ",
    ),
    "folder of the face": (
        {"tests/a.py": "from src.gradproof import cli\n"},
        "tests/a.py:1: imports the folder src/gradproof, a second copy of every class; ",
    ),
    "framework outside the backends": (
        {"checks/a.py": "def f():\n    import torch\n"},
        "checks/a.py:2: imports torch, which only gradproof.estimators.backends may; "
        "add what is needed to an adapter there",
    ),
    "enumeration that knows a model": (
        {"estimators/enumeration/a.py": "from gradproof.reference_models import x\n"},
        "estimators/enumeration/a.py:1: imports gradproof.reference_models.x, but "
        "gradproof.estimators.enumeration knows nothing of the rest; take it as an argument",
    ),
    "enumeration that knows a backend": (
        {"estimators/enumeration/a.py": "from .. import backends\n"},
        "estimators/enumeration/a.py:1: imports gradproof.estimators.backends, but "
        "gradproof.estimators.enumeration knows nothing of the rest; take it as an argument",
    ),
    "a check of anyone's that knows the note": (
        {"checks/user/a.py": "from ..note import x\n"},
        "checks/user/a.py:1: imports gradproof.checks.note.x, but gradproof.checks.user knows "
        "nothing of the rest; take it as an argument",
    ),
    "a benchmark that loads a backend": (
        {"checks/benchmark/a.py": "from gradproof.estimators import backends\n"},
        "checks/benchmark/a.py:1: imports gradproof.estimators.backends, but "
        "gradproof.checks.benchmark knows nothing of the rest; take it as an argument",
    ),
    "a test of means that knows an estimator": (
        {"checks/sequential/a.py": "from gradproof.estimators.enumeration import x\n"},
        "checks/sequential/a.py:1: imports gradproof.estimators.enumeration.x, but "
        "gradproof.checks.sequential knows nothing of the rest; take it as an argument",
    ),
    "framework at the top of a backend": (
        {"estimators/backends/a.py": "try:\n    from theano import tensor\nfinally: ...\n"},
        "estimators/backends/a.py:2: imports theano when the file loads, which fails where theano "
        "is missing; import it in the function that needs it",
    ),
    "framework at the top of a test": (
        {"tests/a.py": "import jax.numpy\n"},
        "tests/a.py:1: imports jax when the file loads, which fails where jax is missing; ",
    ),
    "in a folder named like a build": (
        {"checks/build/a.py": "import gradproof.reports\n"},
        "checks/build/a.py:1: imports gradproof.reports, but gradproof.checks may know only",
    ),
    "drawing at the top of a file": (
        {"reports/a.py": "from matplotlib.figure import Figure\n"},
        "reports/a.py:1: imports matplotlib when the file loads, which every command waits for; "
        "import it in the function that draws",
    ),
    "what a command does, with its options": (
        {"src/gradproof/cli/a.py": "from . import a_run\n"},
        "src/gradproof/cli/a.py:1: imports gradproof.cli.a_run when the file loads, which help "
        "waits for; import it in the function that is run",
    ),
    "what another command does": (
        {"src/gradproof/cli/a.py": "def f():\n    from . import b_run\n"},
        "src/gradproof/cli/a.py:2: imports gradproof.cli.b_run inside a function; ",
    ),
    "sharing at the top of a file": (
        {"estimators/a.py": "from joblib import Parallel\n"},
        "estimators/a.py:1: imports joblib when the file loads, which every check waits for; "
        "import it in the function that shares work out",
    ),
    "inside a function": (
        {"estimators/a.py": "def f():\n    from . import backends\n"},
        "estimators/a.py:2: imports gradproof.estimators.backends inside a function; "
        "move it to the top of the file",
    ),
    "inside a function, by a function": (
        {"estimators/a.py": "def f():\n    return __import__('json')\n"},
        "estimators/a.py:2: imports json inside a function; move it to the top of the file",
    ),
    "cycle": (
        {
            "checks/a.py": "from . import b\n",
            "checks/b.py": "from .c import x\n",
            "checks/c.py": "\nfrom gradproof.checks.a import y\n",
        },
        "checks/c.py:2: gradproof.checks.c imports gradproof.checks.a, which closes a cycle; "
        "move what both need into a third module",
    ),
    "cycle through a package": (
        {"checks/__init__.py": "from .a import x\n", "checks/a.py": "from . import X\n"},
        "checks/a.py:1: gradproof.checks.a imports gradproof.checks, which closes a cycle; ",
    ),
}

ALLOWED = {
    "down": {"checks/a.py": "from gradproof.estimators import x\nfrom ..derivations import y\n"},
    "own room": {"reports/a.py": "from . import b\nfrom gradproof.checks.evidence import E\n"},
    "a report that is shown": {
        "checks/report.py": "def f():\n    from gradproof.reports import html\n"
    },
    "ground": {"reference_models/a.py": "from gradproof.errors import GradproofError\n"},
    "a namesake": {"checks/a.py": "from .reports import x\n", "checks/reports.py": ""},
    "the face": {"src/gradproof/a.py": "from . import reports\nfrom .checks import x\n"},
    "framework where draws are handled": {
        "estimators/enumeration/frameworks/jax.py": "def f():\n    import jax\n"
    },
    "framework in a backend": {"estimators/backends/torch.py": "def f():\n    import torch.func\n"},
    "framework in a test": {"tests/a.py": "def test_f():\n    import torch\n"},
    "sharing in a function": {"estimators/a.py": "def f():\n    import joblib.parallel\n"},
    "drawing in a function": {"reports/a.py": "def f():\n    import matplotlib.colors\n"},
    "drawing at the top of a test": {"tests/a.py": "import matplotlib\n"},
    "builds and environments": {
        "build/lib/a.py": "import checks\n",
        ".tox/a.py": "import torch\n",
        "env/pyvenv.cfg": "",
        "env/a.py": "import jax\n",
    },
}


def plant(root: Path, sources: dict[str, str]) -> None:
    """Write the smallest tree that has every room, and these sources in it."""
    rooms = {f"{folder}/__init__.py": "" for folder in [FACE.as_posix(), *LADDER]}
    packages = {f"estimators/{name}/__init__.py": "" for name in ("backends", "enumeration")}
    packages |= {f"checks/{name}/__init__.py": "" for name in ("note", "sequential", "user")}
    packages |= {"estimators/enumeration/frameworks/__init__.py": ""}
    for name, text in (rooms | packages | sources).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(("sources", "message"), PLANTED.values(), ids=PLANTED)
def test_planted_breach_is_reported(tmp_path, sources, message):
    """Each rule finds a breach of it and says where it is and what to do."""
    plant(tmp_path, sources)
    said = violations(tmp_path)
    assert any(line.startswith(message) for line in said), said


@pytest.mark.parametrize("sources", ALLOWED.values(), ids=ALLOWED)
def test_what_is_allowed_is_not_reported(tmp_path, sources):
    """No rule finds fault with an import that goes down the ladder."""
    plant(tmp_path, sources)
    assert violations(tmp_path) == []


def test_every_rule_has_a_planted_breach(tmp_path):
    """A rule without one could be dead, and nobody would know."""
    heard = set()
    for number, (sources, _) in enumerate(PLANTED.values()):
        root = tmp_path / str(number)
        plant(root, sources)
        heard |= {rule for found in all_imports(root) for rule in RULES if rule(found)}
    assert heard == set(RULES)


@pytest.mark.parametrize("room", [FACE.as_posix(), *LADDER])
def test_an_empty_room_is_an_error(tmp_path, room):
    """Nothing to read must not pass for nothing to complain of."""
    plant(tmp_path, {})
    (tmp_path / room / "__init__.py").unlink()
    for path in (tmp_path / room).rglob("*.py"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match=f"{room} holds no Python file"):
        violations(tmp_path)
