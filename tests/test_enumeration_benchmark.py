"""Enumeration costs what it did, with a wide margin; others' ways are compared and left out."""

import dataclasses
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from gradproof import check_estimator
from gradproof.checks.evidence import NothingCompared
from gradproof.checks.json_records import from_json
from gradproof.checks.variance.records import EnumerationCost

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"

#: What a path may cost at most, in calls of the bare code. In blocks of 2^13 paths it costs a
#: thirtieth to a tenth, where each path alone costs one and a half to two.
BLOCKS, LOOP = 1 / 5, 5.0


@pytest.fixture(name="enumeration")
def _enumeration(monkeypatch):
    """The script as a module, and one thread: one that waits takes processor time too."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield importlib.import_module("enumeration")
    torch.set_num_threads(threads)
    for name in ("enumeration", "peers"):
        sys.modules.pop(name)


@pytest.fixture(name="peers")
def _peers(enumeration, monkeypatch):
    """Ways side by side on 81 paths, of labels that are drawn a hundred times or more."""
    peers = enumeration.peers
    for name, value in (("LABELS", 3), ("DRAWS", (4,)), ("SAMPLES", 2000), ("CALLS", 20)):
        monkeypatch.setattr(peers, name, value)
    return peers


def ratio(enumeration, draws, batch, rounds=5):
    """The cost of a path of that many draws of two labels, after one check that loads things."""
    enumeration.checked(enumeration.torch_labels(2, 6), batch)
    return enumeration.median_ratio(enumeration.torch_labels(2, draws), batch, rounds)


# ------------------------------------------------------------------ regressions


def test_blocks_are_much_faster_than_the_bare_loop(enumeration):
    """8,192 paths, many at a time."""
    assert ratio(enumeration, 13, "auto") < BLOCKS


def test_paths_one_by_one_cost_little_more_than_the_bare_loop(enumeration):
    """512 paths."""
    assert ratio(enumeration, 9, False) < LOOP


def test_paths_that_are_no_longer_run_in_blocks_are_seen(enumeration):
    """The first check above catches the regression that it is there for."""
    assert ratio(enumeration, 7, False, rounds=1) > BLOCKS


def test_paths_that_are_run_several_times_are_seen(enumeration, monkeypatch):
    """And so does the second: each path is run six times."""

    def six_times(*args, **options):
        return [check_estimator(*args, **options) for _ in range(6)][-1]

    monkeypatch.setattr(enumeration, "check_estimator", six_times)
    assert ratio(enumeration, 7, False, rounds=1) > LOOP


# ------------------------------------------------------------------ others' ways


def test_a_run_writes_the_record_and_the_figure(enumeration, peers, monkeypatch, tmp_path, capsys):
    """One number of paths, one round: every way that is installed has a time and an error."""
    figure, record = tmp_path / "x.svg", tmp_path / "x.json"
    arguments = ["--figure", str(figure), "--record", str(record), "--rounds", "1"]
    monkeypatch.setattr("sys.argv", ["enumeration.py", *arguments])
    enumeration.main()
    cost = from_json(EnumerationCost, record.read_text(encoding="utf-8"))
    names = [way.name for way in cost.ways]
    assert names[:4] == [
        peers.BARE, "gradproof, path by path", "gradproof, blocks", "torch.func.vmap by hand"
    ]  # fmt: skip
    assert len(names) + len(cost.left_out) == len(peers.WAYS) + 1
    for way in cost.ways[1:]:
        assert (way.paths.tolist(), way.seconds[0] > 0) == ([81], True)
        sampled = way.name.startswith("Monte Carlo")
        assert way.error[0] < (1.0 if sampled else 1e-12), way.name  # some hundred roundings
    assert ">gradproof, blocks</text>" in figure.read_text(encoding="utf-8")
    printed = capsys.readouterr().out
    assert all(line in printed for line in cost.left_out)


def test_the_exact_gradient_is_that_of_differences(peers):
    """Central differences of the mean cost, summed over all combinations."""
    subject = peers.make_subject(3)

    def mean_cost(logits):
        q = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return np.einsum("ijk,i,j,k", subject.costs, *q)

    step = 1e-5  # roundings of 1e-11 and a third derivative of 1e-10
    found = np.zeros_like(subject.logits)
    for place in np.ndindex(found.shape):
        moved = np.zeros_like(found)
        moved[place] = step
        there, back = mean_cost(subject.logits + moved), mean_cost(subject.logits - moved)
        found[place] = (there - back) / (2.0 * step)
    np.testing.assert_allclose(found, subject.exact, rtol=0.0, atol=1e-9)  # ten times both


def test_a_gradient_that_is_another_is_an_error(peers):
    """A millionth too much in one entry; a sampled one may be off by its standard error."""
    subject = peers.make_subject(2)
    wrong = subject.exact.copy()
    wrong[0, 0] += 1e-6
    with pytest.raises(RuntimeError, match="theirs: its gradient differs from the exact one"):
        peers.compare("theirs", peers.Found(wrong), subject)
    sampled = peers.Found(wrong, np.full(wrong.shape, 1e-6))
    assert 0.0 < peers.compare("theirs", sampled, subject) < 1e-4  # a millionth of a tenth or so
    with pytest.raises(RuntimeError, match=r"shape \(3,\), expected \(2, 3\)"):
        peers.compare("theirs", peers.Found(np.zeros(3)), subject)
    with pytest.raises(RuntimeError, match="differs from the exact one by nan"):
        peers.compare("theirs", peers.Found(np.full((2, 3), np.nan)), subject)


def test_zero_comparisons_are_an_error(peers):
    """An empty gradient is no match."""
    with pytest.raises(NothingCompared, match="theirs: zero comparisons"):
        peers.compare("theirs", peers.Found(np.zeros((0, 3))), peers.make_subject(2))


def test_what_is_not_installed_is_left_out_with_a_line(peers, monkeypatch):
    """It says what installs it, and the record keeps it."""
    by_hand = peers.WAYS[2]
    absent = by_hand._replace(name="theirs", needs=("no_such_module",), install="theirs-1")
    monkeypatch.setattr(peers, "WAYS", (by_hand, absent))
    told = []
    cost = peers.measure(1, told.append)
    assert [way.name for way in cost.ways] == [peers.BARE, by_hand.name]
    assert cost.left_out == (told[0],)
    assert "theirs is left out: it is not installed" in told[0]
    assert told[0].endswith("pip install -c constraints/libraries.txt theirs-1")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pytorch"], "frameworks are torch, numpy, jax, peers"),
        (["--rounds", "0"], "--rounds is 1 or more"),
        (["numpy", "--figure", "x.svg"], "--figure and --record are of peers"),
        (["peers", "--json", "x.json"], "--json is of torch, numpy, jax"),
        (["--figure", "x.gif"], "must end in .pdf, .pgf, .png, .svg"),
        (["--record", "none/x.json"], "there is no folder"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_run(
    enumeration, monkeypatch, tmp_path, capsys, arguments, words
):
    """With what was expected."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["enumeration.py", *arguments])
    with pytest.raises(SystemExit):
        enumeration.main()
    assert words in capsys.readouterr().err


def test_a_record_of_nothing_is_refused(peers, monkeypatch):
    """Ratios need the bare code at the same paths."""
    monkeypatch.setattr(peers, "WAYS", peers.WAYS[2:3])
    cost = peers.measure(1, lambda line: None)
    with pytest.raises(ValueError, match="has 1 ways, expected two or more"):
        dataclasses.replace(cost, ways=cost.ways[:1])
    other = dataclasses.replace(cost.ways[1], paths=np.array([82]))
    with pytest.raises(ValueError, match=r"bare loop was not measured at \[82\] paths"):
        dataclasses.replace(cost, ways=(cost.ways[0], other))
    with pytest.raises(ValueError, match="columns of bare loop have lengths"):
        dataclasses.replace(cost.ways[0], paths=np.array([81, 243]))
