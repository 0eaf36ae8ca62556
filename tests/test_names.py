"""One name, one meaning: no two classes, and no two modules, are called alike without a reason."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("checks", "derivations", "estimators", "reference_models", "reports", "src/gradproof/cli")

#: Stems that several modules have, and why that is one meaning.
SHARED = {
    "baseline": "the claims about baselines, and the command that checks one",
    "baselines": "what there is of them, the bugs in them, and the figure that compares them",
    "batch": "sentences together, and the claims about their gradient",
    "benchmark": "the benchmark, and the command that runs it",
    "check": "what a check is, and the command that runs one",
    "claims": "the claims, their checks, and the command that lists them",
    "detection": "what is detected, and its tables",
    "enumeration": "a package, and its class",
    "estimator": "who calls an estimator, and who checks one",
    "note": "what is of the note, in two rooms",
    "objective": "the objective, and the claims about it",
    "ratios": "ratios of variances, and their figure",
    "registry": "what there is of a kind, in the room of that kind",
    "training": "training, its record, and its figure",
    "variance": "variances, and their figure",
    "verify": "the verification, and the command that runs it",
}


def modules(root):
    """The files of each stem, those of packages among them; and those of each class."""
    stems, classes = defaultdict(list), defaultdict(list)
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            stem = path.parent.name if path.name == "__init__.py" else path.stem
            stems[stem].append(path.relative_to(root).as_posix())
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    classes[node.name].append(path.relative_to(root).as_posix())
    return stems, classes


def is_of_one_claim(paths):
    """Whether they are a claim's derivation and its checks."""
    homes = sorted(Path(path).parent.as_posix() for path in paths)
    return homes == ["checks/note/claims", "derivations"]


def said(root):
    """What is called alike without a reason, and reasons that nothing needs."""
    stems, classes = modules(root)
    several = {stem: paths for stem, paths in stems.items() if len(paths) > 1}
    unknown = [
        f"{', '.join(paths)}: two modules are called {stem}"
        for stem, paths in several.items()
        if stem not in SHARED and not is_of_one_claim(paths)
    ]
    twice = [
        f"{', '.join(paths)}: two classes are called {name}"
        for name, paths in classes.items()
        if len(paths) > 1
    ]
    idle = [f"no two modules are called {stem} any more" for stem in SHARED if stem not in several]
    return unknown + twice + idle


def test_no_name_means_two_things():
    """Whoever searches for one finds what is meant."""
    assert not said(ROOT)


@pytest.mark.parametrize(
    ("sources", "words"),
    [
        ({"checks/a.py": "", "reports/a.py": ""}, "two modules are called a"),
        ({"checks/a/__init__.py": "", "reports/a.py": ""}, "two modules are called a"),
        (
            {"checks/a.py": "class A: ...", "reports/b.py": "def f():\n    class A: ..."},
            "two classes are called A",
        ),
    ],
)
def test_what_is_called_alike_is_named(tmp_path, sources, words):
    """The finder can fail."""
    for name, text in sources.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert any(words in each for each in said(tmp_path))
