"""``gradproof check``: from a file to a verdict, and what is said of what cannot be checked."""

import contextlib
import json
import math
import os
import re
import sys

import pytest
from click.testing import CliRunner

from gradproof.cli import main
from gradproof.estimators.enumeration.enumeration import REPEATS

# Three outcomes with these probabilities and costs; the estimand is q (c - E[c]) = (-1/2, 0, 1/2).
FILE = """
import itertools
import numpy as np

rng = np.random.default_rng()
q = np.array([0.5, 0.25, 0.25])
c = np.array([1.0, 2.0, 4.0])
inputs = (np.log(q),)
exact = q * (c - q @ c)
pair = {"a": exact, "b": np.zeros(2)}
calls = itertools.count()
parameter = object()


def softmax(theta):
    odds = np.exp(theta)
    return odds / odds.sum()

def score(k): return c[k] * (np.eye(3)[k] - q)
def right(theta): return score(rng.choice(3, p=q))
def cost(theta): return c[rng.choice(3, p=softmax(theta))]
def doubled(theta): return 2.0 * score(rng.choice(3, p=q))
def some(theta): return {"a": score(rng.choice(3, p=q)), "b": None}
def still(theta): return exact
def not_a_number(theta):
    k = rng.choice(3, p=q)
    return score(k) * (np.nan if k == 1 else 1.0)
def uneven(theta):
    k = rng.choice(3, p=q)
    if k == 2:
        return score(k) * (2.0 if rng.random() < 0.5 else 0.0)
    return score(k)
def raises(theta):
    k = rng.choice(3, p=q)
    if k == 2:
        raise KeyError("two")
    return score(k)
def leaves(theta):
    k = rng.choice(3, p=q)
    if k == 1:
        raise SystemExit(3)
    return score(k)
def continuous(theta): return score(0) * rng.normal()
def keeps(theta): return score(rng.choice(3, p=q)) * next(calls)
def forget():
    global calls
    calls = itertools.count(1)
def mutates(theta):
    theta += 1.0
    return score(rng.choice(3, p=q))
def text(theta): return "hello"
def nothing(theta): rng.choice(3, p=q)
def short(theta): return np.ones(2)
def other(theta): return {"z": score(rng.choice(3, p=q)), "y": 0.0}
def needs(theta, more): return score(0)
def bad_call(theta): return score(rng.choice(3, p=q - 0.3))
def infinite(theta): return c[rng.choice(3, p=q)] * np.inf
def broken(theta): return 1.0 / 0.0
def stopped(theta): raise KeyboardInterrupt
class Right:
    def __call__(self, theta): return score(rng.choice(3, p=q))
"""

TORCH = """
import torch

layer = torch.nn.Linear(2, 3).double()
wrt = layer
x = torch.tensor([1.0, -2.0], dtype=torch.float64)
costs = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)


def surrogate():
    logits = layer(x)
    q = torch.distributions.Categorical(logits=logits)
    k = q.sample()
    return costs[k] * q.log_prob(k)

def backward(): surrogate().backward()

def exact():
    value = torch.softmax(layer(x), 0) @ costs
    return dict(zip(["weight", "bias"], torch.autograd.grad(value, layer.parameters())))
"""


def run(*arguments):
    """The command with these arguments."""
    return CliRunner().invoke(main, ["check", *map(str, arguments)])


@pytest.fixture
def mine(tmp_path):
    """A file with estimators of the same gradient, right and wrong."""
    path = tmp_path / "mine.py"
    path.write_text(FILE, encoding="utf-8")
    return path


def test_the_template_passes(tmp_path):
    """What --new writes is unbiased, and is not overwritten."""
    path = tmp_path / "mine.py"
    written = run("--new", path)
    assert written.exit_code == 0
    assert f"gradproof check {path}:reinforce" in written.output
    again = run("--new", path)
    assert again.exit_code == 2
    assert "exists already" in again.output
    found = run(f"{path}:reinforce")
    assert found.exit_code == 0, found.output
    assert "reinforce: unbiased" in found.output
    assert "From the file, too: objective, inputs." in found.output


def test_one_direction_is_compared_with_fast(mine):
    """And said, with the seed that draws it again."""
    found = run(f"{mine}:right", "--objective", "cost", "--fast", "--seed", "7")
    assert found.exit_code == 0, found.output
    assert "unbiased along one random direction (seed=7)" in found.output
    assert run(f"{mine}:doubled", "--objective", "cost", "--fast").exit_code == 1


def test_a_template_is_not_written_where_it_could_not_be_run(tmp_path):
    """Only a name that ends in .py can be; what is to be typed next is quoted if it must be."""
    refused = run("--new", tmp_path / "mine.txt")
    assert refused.exit_code == 2
    assert "would not be a Python file; its name must end in .py" in refused.stderr
    assert not list(tmp_path.iterdir())
    spaced = run("--new", tmp_path / "my own.py")
    assert f"gradproof check '{tmp_path / 'my own.py'}:reinforce'" in spaced.output


def test_the_template_passes_with_what_it_has_in_comments(tmp_path):
    """Its exact gradient agrees, and is used instead of the objective."""
    path = tmp_path / "mine.py"
    run("--new", path)
    text = path.read_text(encoding="utf-8")
    commented = "# def exact(logits):\n#     probabilities = softmax(logits)\n#     return"
    assert commented in text
    path.write_text(text.replace(commented, commented.replace("# ", "").replace("#", "")), "utf-8")
    found = run(f"{path}:reinforce")
    assert found.exit_code == 0, found.output
    assert "From the file, too: exact, inputs." in found.output


def test_a_table_and_a_record(mine, tmp_path):
    """The numbers of the worst entry are shown, and all are written."""
    record = tmp_path / "found.json"
    found = run(f"{mine}:right", "--json", record)
    assert found.exit_code == 0, found.output
    for word in ("parameter", "mean", "exact", "error", "bound", "standard deviation", "gradient["):
        assert word in found.output
    written = json.loads(record.read_text(encoding="utf-8"))
    assert written["unbiased"]
    assert written["paths"] == 3
    assert written["exact"]["gradient"] == [-0.5, 0.0, 0.5]
    # E[(c_k (1[k=0] - q_0))^2] - mean^2, by hand.
    first = 0.5 * 0.25 + 0.25 * 1.0 + 0.25 * 4.0 - 0.25
    assert math.isclose(written["variance"]["gradient"][0], first, rel_tol=1e-12)  # few roundings


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["right", "--objective", "cost"], "From the file, too: objective"),
        (["Right"], "Right: unbiased, by 3 paths"),
        (["uneven"], "by 4 paths of at most 2 draws"),
        (["still"], "Nothing was drawn"),
        (["keeps", "--reset", "forget"], "keeps: unbiased"),
        (["some", "--exact", "exact_of_a"], "some: unbiased"),
        (["some", "--exact", "pair"], "some: unbiased"),
        (["mutates"], "Each run changes inputs[0]"),
    ],
    ids=["objective", "class", "uneven", "still", "reset", "some", "none expected", "mutates"],
)
def test_unbiased_ones(mine, arguments, words):
    """Exit status 0, also where draws come and go, or a parameter has no gradient."""
    with mine.open("a", encoding="utf-8") as file:
        file.write('\nexact_of_a = {"a": exact}\n')
    found = run(f"{mine}:{arguments[0]}", *arguments[1:])
    assert found.exit_code == 0, found.output
    assert words.replace("objective", "cost") in found.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["doubled"], ["doubled: refuted", "1.000000e+00", "5.000000e-01"]),
        (["not_a_number"], ["gradient is NaN where Generator.choice -> 1 (probability 0.25)"]),
        (["some", "--exact", "shifted_pair"], ["some: refuted", "b got no gradient on any path"]),
        (["still", "--exact", "shifted"], ["still: refuted"]),
    ],
    ids=["doubled", "nan", "no gradient", "drawless"],
)
def test_biased_ones(mine, arguments, words):
    """Exit status 1, with the place, the size, and the path if there is one to name."""
    with mine.open("a", encoding="utf-8") as file:
        file.write('\nshifted = exact + 0.1\nshifted_pair = {"a": exact, "b": np.ones(2)}\n')
    found = run(f"{mine}:{arguments[0]}", *arguments[1:])
    assert found.exit_code == 1, found.output
    for each in words:
        assert each in found.output


def test_a_record_of_what_is_not_finite(mine, tmp_path):
    """It is JSON, which has no NaN."""
    record = tmp_path / "found.json"
    assert run(f"{mine}:not_a_number", "--json", record).exit_code == 1

    def refuse(name):
        raise AssertionError(name)

    written = json.loads(record.read_text(encoding="utf-8"), parse_constant=refuse)
    assert written["mean"]["gradient"] == ["nan", "nan", "nan"]


UNCHECKABLE = [
    (["raises"], "raised KeyError: 'two'; draws so far: Generator.choice -> 2"),
    (["leaves"], "raised SystemExit: 3"),
    (["bad_call"], "raised ValueError: Probabilities do not sum to 1"),
    (["continuous"], "Generator.normal() is used other than compared"),
    (["keeps"], "pass --reset"),
    (["text"], "the gradient is 'hello' of type str"),
    (["nothing"], "pass --wrt (a module or tensors)"),
    (["short"], "gradient has shape (2,), and its exact gradient (3,)"),
    (["other"], "returns y, z, which the exact gradient lacks"),
    (["needs"], "needs(theta, more) cannot be called with 1 input"),
    (["right", "--paths", "2"], "allow more paths (--paths)"),
    (["right", "--objective", "infinite"], "expected one finite number"),
    (["right", "--exact", "exact", "--objective", "cost"], "give one of --exact and"),
    (["right", "--exact", "broken"], "raised ZeroDivisionError: "),
    (["right", "--inputs", "broken"], "broken() missing 1 required positional argument"),
    (["right", "--fast"], "--fast goes with --objective"),
    (["right", "--exact", "none"], "has no 'none', which --exact names"),
    (["right", "--wrt", "parameter"], "expected a module, a tensor"),
    (["none"], "has no 'none'; it has"),
    (["exact"], "expected a function or a class"),
    ([""], "which function of "),
]


@pytest.mark.parametrize(
    ("arguments", "words"), UNCHECKABLE, ids=[" ".join(row[0]) or "no name" for row in UNCHECKABLE]
)
def test_what_cannot_be_checked_is_an_error(mine, arguments, words):
    """Exit status 2 and one message, which names the file and the cause."""
    found = run(f"{mine}:{arguments[0]}", *arguments[1:])
    assert found.exit_code == 2, found.output
    assert words in found.stderr
    (line,) = found.stderr.splitlines()
    assert line.startswith("gradproof: ")
    assert "mine.py" in line or "give" in line


def test_a_file_without_a_name_is_asked_which(tmp_path):
    """What it imports is not what one checks."""
    path = tmp_path / "two.py"
    path.write_text(
        "from math import sqrt\nfrom functools import partial\ndef one(): ...\ndef other(): ...\n",
        encoding="utf-8",
    )
    for target in (path, f"{path}:"):
        found = run(str(target))
        assert found.exit_code == 2
        assert f"which function of {path}? It has one, other; check {path}:NAME" in found.stderr
    assert "it has one, other\n" in run(f"{path}:third").stderr
    assert "is not FILE.py:NAME, e.g. mine.py:reinforce" in run("two").stderr


def test_a_raised_error_names_its_line(mine):
    """The line of the file, and the traceback for who asks."""
    line = FILE.splitlines().index('        raise KeyError("two")') + 1
    assert f"{mine}:{line}: raised KeyError" in run(f"{mine}:raises").stderr
    assert "Traceback (most recent call last)" in run(f"{mine}:raises", "--traceback").stderr


def test_a_long_run_tells_of_each_run(mine, monkeypatch):
    """Three paths, and runs that are made again; the file's own reset is still called."""
    told = []
    telling = contextlib.nullcontext(lambda *what: told.append(what))
    monkeypatch.setattr("gradproof.cli.check_run.progress", lambda: telling)
    assert run(f"{mine}:keeps", "--reset", "forget").exit_code == 0
    assert [done for done, _, _ in told] == list(range(1, 3 + REPEATS + 1))
    assert {what for _, _, what in told} == {"runs"}
    assert told[-1][1] == 3 + REPEATS


def test_an_interruption_has_its_status(mine):
    """As with every command."""
    assert run(f"{mine}:stopped").exit_code == 130


def test_what_is_no_file_is_an_error(tmp_path):
    """Neither there, nor runnable, nor saying what the gradient should be."""
    broken = tmp_path / "broken.py"
    broken.write_text("1 / 0\n", encoding="utf-8")
    bare = tmp_path / "bare.py"
    bare.write_text("def f(): return 1.0\n", encoding="utf-8")
    for target, words in (
        (f"{tmp_path}/none.py:x", "`gradproof check --new"),
        (f"{broken}:x", "raised ZeroDivisionError"),
        (f"{bare}:f", "does not say what the gradient should be"),
    ):
        found = run(target)
        assert found.exit_code == 2
        assert words in found.stderr
    assert "give either FILE.py:NAME or --new FILE.py" in run().stderr


@pytest.mark.torch
@pytest.mark.parametrize("name", ["surrogate", "backward"])
def test_modules_of_torch(tmp_path, name):
    """A surrogate is differentiated, what backward() leaves is read; a module is not called."""
    path = tmp_path / "net.py"
    path.write_text(TORCH, encoding="utf-8")
    found = run(f"{path}:{name}")
    assert found.exit_code == 0, found.output
    assert "weight[" in found.output
    assert "bias[" in found.output


def test_what_cannot_be_enumerated_is_sampled_if_that_is_asked_for(mine):
    """With --draws; without, the message says so."""
    found = run(f"{mine}:continuous")
    assert found.exit_code == 2
    assert "pass --draws to sample it instead" in found.stderr
    found = run(f"{mine}:continuous", "--draws", "50", "--seed", "1")
    assert found.exit_code == 2
    assert "draws is 50, and" in found.stderr
    found = run(f"{mine}:continuous", "--draws", "25000", "--seed", "1")
    assert found.exit_code in (0, 1)
    assert "It was sampled, for Generator.normal() is used other than compared" in found.output


def test_the_heaviest_paths_are_enumerated_if_that_is_asked_for(mine):
    """The rest is drawn from; what is missing, or does not go with it, is named by its option."""
    heaviest = ("--strategy", "heaviest", "--paths", "2", "--seed", "1")
    found = run(f"{mine}:right", *heaviest)
    assert found.exit_code == 2
    assert "--strategy heaviest runs --paths at most, and draws from the rest: pass" in found.stderr
    found = run(f"{mine}:right", *heaviest, "--draws", "3000", "--jobs", "2")
    assert found.exit_code == 2
    assert "--jobs does not go with --strategy heaviest" in found.stderr
    found = run(f"{mine}:right", *heaviest, "--draws", "6000")
    assert found.exit_code == 0, found.output
    assert "2 paths were enumerated, the most probable first, of probability 0.75" in found.output
    found = run(f"{mine}:doubled", *heaviest, "--draws", "6000")
    assert found.exit_code == 1
    assert "refuted, if no outcome rarer than" in found.output


def test_continuous_numbers_are_those_of_random_nets_if_that_is_asked_for(mine):
    """What is missing, or does not go with it, is named by its option."""
    found = run(f"{mine}:continuous", "--strategy", "quasi")
    assert found.exit_code == 2
    assert "--strategy quasi takes means over random nets of points: pass --draws" in found.stderr
    found = run(f"{mine}:continuous", "--strategy", "quasi", "--draws", "300", "--paths", "4900")
    assert found.exit_code == 1, found.output  # its mean is zero
    assert "scrambled Sobol nets of 16 points" in " ".join(found.output.split())


def test_draws_that_are_exchangeable_are_counted(mine):
    """Three labels of three come out in ten ways; an order that matters is an error."""
    with open(mine, "a", encoding="utf-8") as file:
        file.write(
            "def batch(theta): return sum(map(score, rng.choice(3, p=q, size=3))) / 3\n"
            "def first(theta): return score(rng.choice(3, p=q, size=3)[0])\n"
        )
    found = run(f"{mine}:batch", "--exchangeable")
    assert found.exit_code == 0, found.output
    assert "by 10 paths" in found.output
    found = run(f"{mine}:first", "--exchangeable")
    assert found.exit_code == 2
    assert "the order of draws matters" in found.stderr
    assert "leave --exchangeable out" in found.stderr


def test_a_batch_that_is_additive_is_changed_one_draw_at_a_time(mine):
    """Twelve labels of three have half a million paths; draws that interact are an error."""
    with open(mine, "a", encoding="utf-8") as file:
        file.write(
            "def batch(theta): return sum(map(score, rng.choice(3, p=q, size=12))) / 12\n"
            "def mixed(theta): return score(rng.choice(3, p=q, size=2).max())\n"
        )
    found = run(f"{mine}:batch", "--additive")
    assert found.exit_code == 0, found.output
    assert "by 25 paths" in found.output
    found = run(f"{mine}:mixed", "--additive")
    assert found.exit_code == 2
    assert "is no sum of terms of one draw each" in found.stderr
    assert "leave --additive out" in found.stderr


@pytest.mark.parametrize(
    ("suffix", "magic"), [(".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF")]
)
def test_a_figure_is_drawn(mine, tmp_path, suffix, magic):
    """Of a wrong one, with its guilty paths in words; the status stays, and records the same."""
    figure, record, plain = tmp_path / f"x{suffix}", tmp_path / "a.json", tmp_path / "b.json"
    drawn = run(f"{mine}:doubled", "--figure", figure, "--json", record)
    without = run(f"{mine}:doubled", "--json", plain)
    assert drawn.exit_code == without.exit_code == 1, drawn.output
    assert figure.read_bytes().startswith(magic)
    assert f"wrote {figure}\ngradient[" in drawn.output
    assert "when the draw is" in drawn.output
    one, other = (json.loads(path.read_text(encoding="utf-8")) for path in (record, plain))
    assert one.keys() == other.keys()
    assert "law" not in one
    assert "keep_paths=True" in one["snippet"]  # which is how the check was called
    own = {"seconds": 0, "snippet": ""}
    assert {**one, **own} == {**other, **own}


def test_a_figure_of_a_chosen_entry(mine, tmp_path):
    """At the size of a paper's column."""
    figure = tmp_path / "x.svg"
    arguments = ("--figure", figure, "--entry", "gradient[2]", "--preset", "column")
    result = run(f"{mine}:doubled", *arguments)
    assert result.exit_code == 1, result.output
    assert ">Guilty paths of gradient[2]</text>" in figure.read_text(encoding="utf-8")
    result = run(f"{mine}:doubled", "--figure", figure, "--entry", "gradient[7]")
    assert result.exit_code == 2
    assert "gradient has shape (3,)" in result.output


@pytest.mark.parametrize(
    ("file", "words"),
    [("x.gif", "must end in .pdf, .pgf, .png, .svg"), ("none/x.svg", "there is no folder")],
)
def test_a_figure_that_cannot_be_written_is_an_error(mine, file, words):
    """Before anything is run."""
    result = run(f"{mine}:stopped", "--figure", file)
    assert result.exit_code == 2, result.output
    assert words in result.output


#: Answers as matplotlib expects LaTeX to: each text is a point wide.
LATEX = r"""#!{python}
import sys
for line in sys.stdin:
    if "query_start" in line:
        print("*pgf_backend_query_start\n*", end="", flush=True)
    elif "typeout" in line:
        print("1.0pt,1.0pt,0.0pt\n\n*", end="", flush=True)
    elif "@@end" in line:
        break
"""


@pytest.mark.skipif(os.name == "nt", reason="a script is no program there")
def test_a_pgf_figure_is_drawn(mine, tmp_path, monkeypatch):
    """Text, to be set by the paper's own LaTeX."""
    latex = tmp_path / "xelatex"
    latex.write_text(LATEX.format(python=sys.executable), encoding="utf-8")
    latex.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    figure = tmp_path / "x.pgf"
    result = run(f"{mine}:doubled", "--figure", figure)
    assert result.exit_code == 1, result.output
    drawn = figure.read_text(encoding="utf-8")
    assert drawn.startswith("%% Creator: Matplotlib, PGF backend")
    assert "Guilty paths of gradient" in drawn


def test_pgf_wants_latex(mine, tmp_path, monkeypatch):
    """Without it the message says which program is missing, and no estimator is run."""
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run(f"{mine}:stopped", "--figure", tmp_path / "x.pgf")
    assert result.exit_code == 2, result.output
    assert "there is no 'xelatex' here; install it" in result.output


MANY = """
import numpy as np

rng = np.random.default_rng()
q = np.array([0.5, 0.25, 0.25])
c = np.array([1.0, 2.0, 4.0])
exact = q * (c - q @ c)

def one(k): return c[k] * (np.eye(3)[k] - q)
def mean(): return np.mean([one(k) for k in rng.choice(3, size=6, p=q)], axis=0)
def late():
    found = rng.choice(3, size=6, p=q)
    if (found == 2).all():
        raise KeyError("all two")
    return np.mean([one(k) for k in found], axis=0)
"""


def test_several_processes_print_the_same(tmp_path):
    """Though no process can import the file by its name; also an error of the user's code."""
    path = tmp_path / "many.py"
    path.write_text(MANY, encoding="utf-8")

    def timeless(name, *options):
        output = run(f"{path}:{name}", *options).output
        return re.sub(r"in [\d.]+ ?s|:\d+: |; in a worker: .*|; --traceback.*", "", output)

    alone, shared = timeless("mean"), timeless("mean", "--jobs", "2")
    assert "729" in alone
    assert alone == shared
    refused = run(f"{path}:late", "--jobs", "2")
    assert refused.exit_code == 2
    assert "raised KeyError: 'all two'" in refused.stderr
    assert "in a worker: process" in refused.stderr


BOTH_SAMPLED = """
import numpy as np

rng = np.random.default_rng()
inputs = (np.array([0.5, -1.0]),)

def objective(theta): return float(((theta + rng.standard_normal(2)) ** 2).sum())
def minus(theta):
    if (abs(theta) > 2.0).any():
        raise ArithmeticError("outside")
    return -2.0 * (theta + rng.standard_normal(2))
def uniform(theta): return 2.2 * (theta + rng.uniform(-1.0, 1.0, 2))
def exact(theta): return 2.0 * theta
"""


def test_an_objective_is_sampled_too(tmp_path, monkeypatch):
    """Along directions, which is said; and a place where the estimator fails is named."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "both.py").write_text(BOTH_SAMPLED, encoding="utf-8")
    command = ["both.py:minus", "--objective", "objective", "--draws", "2500", "--rarest", "0.02"]
    found = run(*command)
    assert found.exit_code == 1
    assert "refuted along 2 random directions, averaged over segments" in found.stdout
    found = run(*command, "--half-length", "3")
    assert found.exit_code == 2
    assert "pass --half-length below 3" in found.stderr


def test_what_is_known_of_the_spread_is_an_option(tmp_path, monkeypatch):
    """Then nothing is learnt."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "both.py").write_text(BOTH_SAMPLED, encoding="utf-8")
    command = ["both.py:uniform", "--exact", "exact", "--draws", "4000"]
    for known in (["--bounds", "-6", "6"], ["--sd", "1.28"]):
        found = run(*command, *known)
        assert found.exit_code == 1, found.output
        assert "refuted" in found.stdout
    found = run(*command, "--bounds", "-2.5", "2.5")
    assert "beyond the range" in found.stderr
