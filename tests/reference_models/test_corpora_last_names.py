"""The lists of names that faker ships: which, how many, and what if they are not there."""

import importlib
import pkgutil
import sys
import unicodedata
from collections import Counter

import pytest
from faker.providers import person

from gradproof.reference_models.corpora import CorpusError, CorpusMissing, last_names, load


@pytest.mark.parametrize(
    ("name", "classes", "rows", "texts", "fingerprint"),
    [
        ("names-8", 8, 6645, 6564, "fe04e63d18d97d90"),
        ("names-61", 61, 33309, 29496, "1266f23c905e5b84"),
    ],
)
def test_sizes(name, classes, rows, texts, fingerprint):
    """What the pinned faker ships, so that another cannot pass for it."""
    corpus = load(name)
    assert (corpus.classes, len(corpus), len(set(corpus.texts))) == (classes, rows, texts)
    assert corpus.fingerprint == fingerprint
    assert corpus.unit == "character"
    assert corpus.licence == "MIT (faker)"
    assert corpus.source == "faker 40.54.0, last names by locale"


def test_loading_twice_gives_the_same_corpus():
    """Nothing depends on the order of a set or on what was loaded before."""
    assert load("names-8") == load("names-8")


@pytest.mark.parametrize(("name", "largest"), [("names-8", 0.18), ("names-61", 0.08)])
def test_no_class_is_rare_and_none_rules(name, largest):
    """Each class has 100 names or more and the largest is far from all."""
    counts = Counter(load(name).labels)
    assert min(counts.values()) >= 100
    assert max(counts.values()) <= largest * counts.total()


def test_eight_share_a_script():
    """All letters are Latin, for a script of its own would give a class away."""
    letters = {letter for text in load("names-8").texts for letter in text if letter.isalpha()}
    assert {unicodedata.name(letter).split()[0] for letter in letters} == {"LATIN"}


def test_sixty_one_is_every_locale_with_enough_names():
    """All locales that faker has names for, less two copies; the Polish lists have other names."""
    lists = {}
    for locale in (module.name for module in pkgutil.iter_modules(person.__path__)):
        try:
            lists[locale] = last_names.last_names(locale)
        except CorpusError:
            continue
    copies = {"es_CA": "es_ES", "fr_QC": "fr_CA"}
    for copy, original in copies.items():
        assert lists[copy] == lists[original]
    assert tuple(sorted(lists.keys() - copies.keys())) == last_names.SIXTY_ONE
    polish = importlib.import_module("faker.providers.person.pl_PL").Provider
    assert "pl_PL" not in lists
    assert len(polish.unisex_last_names) > 100


def test_a_locale_without_enough_names():
    """Danish has 91; the message says so."""
    with pytest.raises(CorpusError, match=r"faker has 91 last names for 'da_DK', expected 100 or "):
        last_names.load_names("two", ["da_DK", "de_AT"])


def test_a_placeholder_is_no_name():
    """Polish has no last_names of its own and inherits a list of one."""
    with pytest.raises(CorpusError, match="faker has 0 last names for 'pl_PL'"):
        last_names.last_names("pl_PL")


def test_an_unknown_locale():
    """The message gives one that is known."""
    with pytest.raises(CorpusError, match="no locale 'xx_XX', expected one such as 'de_AT'; check"):
        last_names.last_names("xx_XX")


def test_faker_missing(monkeypatch):
    """Without faker the error is the command that brings it."""
    monkeypatch.setitem(sys.modules, "faker.providers.person", None)
    with pytest.raises(
        CorpusMissing, match=r"'de_AT' come with faker, .*; run `pip install faker==40.54.0`\.$"
    ):
        load("names-8")


@pytest.mark.parametrize("found", [None, object()])
def test_installed(monkeypatch, found):
    """faker is looked for and not imported."""
    monkeypatch.setattr(last_names.importlib.util, "find_spec", lambda module: found)
    assert last_names.installed() is (found is not None)
