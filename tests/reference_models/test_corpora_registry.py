"""Corpora by name or path."""

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from faker.providers import person

from gradproof.reference_models.corpora import (
    Corpus,
    CorpusError,
    CorpusMissing,
    available,
    last_names,
    load,
    registry,
    reuters,
)

NAMES = ["names-8", "names-61", "r8", "r52"]


def has_all_locales():
    """Whether this faker knows the locales of names-61, to which the latest came in faker 40."""
    known = {module.name for module in pkgutil.iter_modules(person.__path__)}
    return set(last_names.SIXTY_ONE) <= known


def test_available_lists_each_corpus():
    """A row has a name, one line on it, a licence, and whether it is there."""
    rows = available()
    assert [row.name for row in rows] == NAMES
    assert [row.licence for row in rows] == [last_names.LICENCE] * 2 + [reuters.LICENCE] * 2
    for row in rows:
        assert row.description
        assert "\n" not in row.description
        assert row.installed is registry.CORPORA[row.name].installed()


@pytest.mark.parametrize("name", NAMES)
def test_listing_agrees_with_loading(name):
    """What is listed as installed loads under that name and licence; what is not, does not."""
    (row,) = (row for row in available() if row.name == name)
    if name == "names-61" and not has_all_locales():
        with pytest.raises(CorpusError, match=r"has no locale .*pip install --upgrade faker"):
            load(name)
    elif row.installed:
        corpus = load(name)
        assert (corpus.name, corpus.licence) == (name, row.licence)
    else:
        with pytest.raises(CorpusMissing):
            load(name)


def test_a_new_row_is_loadable(monkeypatch):
    """To add a corpus is to add a row."""
    corpus = Corpus("tiny", ("a", "b"), (0, 1), ("x", "y"), "word", "none", "a test")
    row = registry.CorpusEntry("two letters", "none", lambda: corpus, lambda: True)
    monkeypatch.setitem(registry.CORPORA, "tiny", row)
    assert load("tiny") is corpus
    assert available()[-1] == registry.CorpusListing("tiny", "two letters", "none", True)


def test_a_path_is_a_table(tmp_path):
    """Columns and unit go to the file's reader, and have its defaults."""
    path = tmp_path / "own.csv"
    path.write_text("text,label,name\na,x,b\nc,y,d\n", encoding="utf-8")
    corpus = load(path)
    assert (corpus.texts, corpus.unit) == (("a", "c"), "word")
    assert load(str(path)) == corpus
    chosen = load(path, text="name", label="text", unit="character")
    assert (chosen.texts, chosen.label_names, chosen.unit) == (("b", "d"), ("a", "c"), "character")


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("names8", "did you mean 'names-8'?"),
        ("NAMES-8", "did you mean 'names-8'?"),
        ("names-16", "did you mean 'names-61'?"),
        ("newsgroups", "pick one of them."),
        ("", "pick one of them."),
        (Path("r9"), "did you mean 'r8'?"),
    ],
)
def test_unknown_name(name, suggestion):
    """The known ones are listed, and the nearest suggested."""
    with pytest.raises(CorpusError) as caught:
        load(name)
    expected = "['names-8', 'names-61', 'r8', 'r52'] or a file that ends in .csv, .tsv, .jsonl"
    assert str(caught.value) == (
        f"corpus {str(name)!r} is unknown, expected one of {expected}; {suggestion}"
    )


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none.csv", "there is no file none.csv"),
        ("folder/names-8", "folder/names-8 ends in '', expected one of"),
        ("./data.txt", "data.txt ends in '.txt', expected one of"),
    ],
)
def test_what_looks_like_a_path_is_taken_for_one(path, message):
    """A folder or a known suffix makes it a path, and the error is about the file."""
    with pytest.raises(CorpusError, match=message):
        load(path)


def test_a_file_of_another_kind(tmp_path, monkeypatch):
    """A file that exists is a path whatever it ends in."""
    monkeypatch.chdir(tmp_path)
    Path("corpus.txt").write_text("a\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"corpus\.txt ends in '\.txt', expected one of"):
        load("corpus.txt")


@pytest.mark.parametrize("choice", [{"text": "t"}, {"label": "l"}, {"unit": "word"}])
def test_columns_are_for_files(choice):
    """A choice that would have no effect is refused."""
    with pytest.raises(CorpusError) as caught:
        load("names-8", **choice)
    assert str(caught.value) == (
        f"{choice} given for corpus 'names-8', expected none, for it has its own; "
        "leave them out, they are for files."
    )


def test_a_unit_that_is_none_is_refused(tmp_path):
    """An empty unit is not the default."""
    path = tmp_path / "own.csv"
    path.write_text("text,label\na,x\nb,y\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="unit is '', expected 'character' or 'word'"):
        load(path, unit="")


def test_importing_and_listing_import_no_faker():
    """faker takes 0.1 s to import, which only its own corpora are to pay."""
    program = (
        "import sys; from gradproof.reference_models import corpora; corpora.available(); "
        "assert not {'faker', 'orangecontrib.text'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
