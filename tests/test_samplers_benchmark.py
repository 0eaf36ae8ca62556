"""The record of samplers is up to date, and its program tells a wrong law from a right one."""

import importlib.util
import json
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from gradproof.checks.json_records import from_json

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"


def load(path):
    """A program, which is in no package."""
    spec = importlib.util.spec_from_file_location(f"program_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


samplers = load(BENCHMARKS / "samplers.py")
TABLE = from_json(samplers.SamplerTable, samplers.RECORD.read_text(encoding="utf-8"))
BY_NAME = {library.name: library for library in samplers.LIBRARIES}

#: Paths by which it is tried whether something is integrated: few, as the error is not asked for.
PATHS = 300


def mark_of(library):
    """The environment in which a library's rows are tried."""
    if not library.packages:
        return ()
    return pytest.mark.torch if library.packages == ("torch",) else pytest.mark.libraries


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=mark_of(one)) for name, one in BY_NAME.items()]
)
@pytest.mark.filterwarnings("ignore")  # of what libraries say when they are imported
def test_the_record_is_what_is_found(name):
    """Each sampler again; laws were compared with draws when the record was written."""
    library = BY_NAME[name]
    if not samplers.is_installed(library):
        pytest.skip(f"{name} is not installed here")
    recorded = {one.sampler: one for one in TABLE.answers if one.library == name}
    rows = {row.name: row for row in library.rows()}
    found = {
        sampler: samplers.answer_of(library, row, draws=0, paths=PATHS)
        for sampler, row in rows.items()
    }
    command = f'{samplers.HOW} "{name}"'
    differing = [key for key in rows if found[key] != recorded.get(key)]
    assert not differing, (
        f"docs/records/samplers.json is out of date: {[found[key] for key in differing]}; "
        f"write it anew: {command}"
    )
    # Another version of Python or of a package may have fewer.
    assert len(rows) >= len(recorded) - 2, command


def test_every_library_is_recorded():
    """With more than a handful of samplers each, and with each kind of answer."""
    counts = Counter(answer.library for answer in TABLE.answers)
    assert list(counts) == list(BY_NAME)
    assert min(counts.values()) >= 15
    assert {answer.value for answer in TABLE.answers} == {"enumerated", "integrated", "refused"}
    assert all(answer.reason for answer in TABLE.answers if answer.value != "enumerated")


ROW = samplers.Row("random", "coin", lambda r: float(r.random() < 0.3), 0.3)


def test_a_wrong_law_is_told():
    """By frequencies, by the mean, by what is missing, and by what is never drawn."""
    library = BY_NAME["random"]
    assert samplers.answer_of(library, ROW).value == "enumerated"
    real = lambda: samplers.real_draws(library, ROW, 2000)  # noqa: E731
    outcomes = {(0.0,): 0.64, (1.0,): 0.36}  # 0.3 by right: off by 5.6 standard deviations
    loose = samplers.Row(ROW.library, ROW.name, ROW.draw)
    with pytest.raises(samplers.WrongLaw, match=r"the probability is 0.\d+, and the frequency"):
        samplers.check_law(loose, Counter(outcomes), real)
    with pytest.raises(samplers.WrongLaw, match=r"the mean is .* by a formula 0\.3"):
        samplers.check_law(ROW, Counter(outcomes), None)
    with pytest.raises(samplers.WrongLaw, match="is drawn, and has no path"):
        samplers.check_law(loose, Counter({(0.0,): 1.0}), real)
    with pytest.raises(samplers.WrongLaw, match=r"have a probability of 0.7"):
        samplers.check_law(loose, Counter({(0.0,): 0.7}), real)


@pytest.mark.torch
def test_a_wrong_mean_of_an_integral_is_told():
    """By a formula, which is refuted, and by draws."""
    library = BY_NAME["torch"]
    (row,) = [row for row in library.rows() if row.name == "Tensor.exponential_"]
    real = lambda: samplers.real_draws(library, row, 2000)  # noqa: E731
    assert samplers.integrated(library, row, real, PATHS).verdict == "holds"
    other = samplers.Row(row.library, row.name, row.draw, [0.51])  # 0.5 by right
    with pytest.raises(samplers.WrongLaw, match="refuted"):
        samplers.integrated(library, other, None, PATHS)
    with pytest.raises(samplers.WrongLaw, match="and that of draws"):
        samplers.integrated(library, row, lambda: 1.2 * real(), PATHS)


def test_a_wrong_comparison_is_told():
    """A real sampler that is shifted by a little."""
    library = BY_NAME["random"]
    row = samplers.Row("random", "random", lambda r: r.random(), 0.5)
    real = lambda: samplers.real_draws(library, row, 2000)  # noqa: E731
    assert samplers.answers_comparisons(library, row, real)
    with pytest.raises(samplers.WrongLaw, match="the frequency"):
        samplers.answers_comparisons(library, row, lambda: real() - 0.1)


def test_the_page_has_every_sampler():
    """As a row, with the words for its answer."""
    (page,) = load(ROOT / "docs" / "draws_page.py").pages().values()
    rows = re.findall(r"^\| ([^|`]*) \| `([^`]*)` \| ([\w ]+) \| ([\w-]+) \|", page, flags=re.M)
    words = {"enumerated": "enumerated", "integrated": "integrated", "refused": "sampled only"}
    assert rows == [
        (
            one.library,
            one.sampler,
            words[one.value],
            "enumerated" if one.comparisons else "-",
        )
        for one in TABLE.answers
    ]


def test_a_record_of_some_libraries_keeps_the_others(monkeypatch, tmp_path):
    """`--only` writes theirs anew."""
    path = tmp_path / "record.json"
    written = json.loads(samplers.RECORD.read_text(encoding="utf-8"))
    for answer in written["answers"]:
        answer["reason"] = "as it was"
    path.write_text(json.dumps(written), encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["samplers", "--record", str(path), "--only", "random"])
    samplers.main()
    again = from_json(samplers.SamplerTable, path.read_text(encoding="utf-8"))
    assert [one.sampler for one in again.answers] == [one.sampler for one in TABLE.answers]
    for one in again.answers:
        assert (one.reason == "as it was") == (one.library != "random")
