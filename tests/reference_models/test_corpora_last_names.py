"""The lists of names that faker ships, in any version: a corpus of them, and its checksum."""

import pkgutil
import sys
import types
import unicodedata
from collections import Counter

import faker
import pytest
from faker.providers import person

from gradproof.extras import EXTRAS
from gradproof.reference_models.corpora import CorpusError, CorpusMissing, last_names, load

#: Two lists of a made-up faker.
ANNA, BRUNO = ([f"{name}{each}" for each in range(100)] for name in ("Anna", "Bruno"))

KNOWN = {module.name for module in pkgutil.iter_modules(person.__path__)}

each_corpus = pytest.mark.parametrize(
    ("name", "locales"),
    [
        ("names-8", last_names.EIGHT),
        pytest.param(
            "names-61",
            last_names.SIXTY_ONE,
            marks=pytest.mark.skipif(
                not set(last_names.SIXTY_ONE) <= KNOWN,
                reason=f"faker {faker.VERSION} lacks locales that names-61 has",
            ),
        ),
    ],
)


@pytest.fixture
def plant(monkeypatch):
    """Gives faker a locale with these lists, in place of its own if it has one."""

    def planted(locale, **lists):
        module = types.ModuleType(f"faker.providers.person.{locale}")
        module.Provider = type("Provider", (person.Provider,), lists)
        monkeypatch.setitem(sys.modules, module.__name__, module)

    return planted


@pytest.fixture
def two(plant):
    """Makes a corpus of two locales that have these names."""

    def made(first=ANNA, second=BRUNO, locales=("aa_AA", "bb_BB")):
        for locale, listed in zip(locales, (first, second), strict=True):
            plant(locale, last_names=listed)
        return last_names.load_names("two", locales)

    return made


@each_corpus
def test_a_corpus_has_the_lists_of_its_locales(name, locales):
    """Every name once, in the order of faker, under the locale that it is listed in."""
    corpus = load(name)
    assert corpus.label_names == locales
    assert corpus.classes == int(name.removeprefix("names-"))
    for label, locale in enumerate(locales):
        rows = zip(corpus.texts, corpus.labels, strict=True)
        assert tuple(text for text, own in rows if own == label) == last_names.last_names(locale)
    assert len(corpus.fingerprint) == 16
    assert corpus.unit == "character"
    assert corpus.licence == "MIT (faker)"
    assert corpus.source == f"faker {faker.VERSION}, last names by locale"


def test_loading_twice_gives_the_same_corpus():
    """Nothing depends on the order of a set or on what was loaded before."""
    assert load("names-8") == load("names-8")


@each_corpus
def test_no_class_is_rare_and_none_rules(name, locales):
    """Each class has 100 names or more, and the largest no more than a quarter of all."""
    counts = Counter(load(name).labels)
    assert len(counts) == len(locales)
    assert min(counts.values()) >= 100
    assert max(counts.values()) <= 0.25 * counts.total()


@each_corpus
def test_no_two_classes_have_the_same_names(name, locales):
    """Why es_CA and fr_QC, copies of other locales in faker, are left out."""
    assert len(set(map(last_names.last_names, locales))) == len(locales) == len(set(locales))


def test_eight_share_a_script():
    """All letters are Latin, for a script of its own would give a class away."""
    letters = {letter for text in load("names-8").texts for letter in text if letter.isalpha()}
    assert {unicodedata.name(letter).split()[0] for letter in letters} == {"LATIN"}


def test_names_are_of_all_lists_and_each_is_there_once(two, plant):
    """Lists by sex and with frequencies among them; what is no list of last names is not."""
    plant(
        "aa_AA",
        last_names=("Zoe", "Ade\u0301", *ANNA),
        last_names_female={"Zoe": 0.5, " Eva ": 0.5},
        first_names=("Carl",),
    )
    assert last_names.last_names("aa_AA") == ("Zoe", "Ad\u00e9", *ANNA, "Eva")


# ------------------------------------------------------------------ versions and checksums


def test_another_version_with_the_same_lists_has_the_same_checksum(two, monkeypatch):
    """The source says which version it was."""
    monkeypatch.setattr(faker, "VERSION", "98.0.0")
    old = two()
    monkeypatch.setattr(faker, "VERSION", "99.0.0")
    assert two().fingerprint == old.fingerprint
    assert old.source == "faker 98.0.0, last names by locale"
    assert two().source == "faker 99.0.0, last names by locale"


@pytest.mark.parametrize(
    "changes",
    [
        {"first": ["Anja0", *ANNA[1:]]},
        {"first": [*ANNA, "Anna100"]},
        {"first": [*ANNA[1::-1], *ANNA[2:]]},
        {"first": BRUNO, "second": ANNA},
        {"first": [*ANNA, BRUNO[0]], "second": [*BRUNO[1:], "Bruno100"]},
        {"locales": ("aa_AA", "cc_CC")},
        {"locales": ("bb_BB", "aa_AA")},
    ],
    ids=["a name", "a name more", "the order", "who has which", "a border", "a locale", "locales"],
)
def test_the_checksum_is_of_names_order_and_locales(two, changes):
    """Whichever of them is another, it is another."""
    assert two(**changes).fingerprint != two().fingerprint


def test_one_name_of_the_real_lists_that_changes_is_seen(plant):
    """One letter in some thousand names."""
    before = load("names-8").fingerprint
    first, *others = last_names.last_names("zu_ZA")
    plant("zu_ZA", last_names=(first, *others))
    assert load("names-8").fingerprint == before
    plant("zu_ZA", last_names=(f"{first}a", *others))
    assert load("names-8").fingerprint != before


# ------------------------------------------------------------------ what cannot be loaded


def test_a_locale_without_enough_names(two):
    """The message counts them, and says what to do."""
    with pytest.raises(
        CorpusError, match=r"has 99 last names for 'aa_AA', expected 100 .*--upgrade faker`\.$"
    ):
        two(first=[*ANNA[:99], ANNA[0]])


def test_a_placeholder_is_no_name(plant):
    """A locale with no last_names of its own inherits a list of one."""
    plant("aa_AA", unisex_last_names=ANNA)
    assert person.Provider.last_names
    with pytest.raises(CorpusError, match=r"faker .* has 0 last names for 'aa_AA'"):
        last_names.last_names("aa_AA")


def test_an_unknown_locale():
    """The message gives one that is known, for an older faker has fewer."""
    with pytest.raises(
        CorpusError,
        match=rf"faker {faker.VERSION} has no locale 'xx_XX', expected one such as 'de_AT'; check "
        r".* take a newer faker: `pip install --upgrade faker`\.$",
    ):
        last_names.last_names("xx_XX")


def test_faker_missing(monkeypatch):
    """Without faker the error is the command that brings it, with no version in it."""
    monkeypatch.setitem(sys.modules, "faker.providers.person", None)
    with pytest.raises(
        CorpusMissing,
        match=r"'de_AT' come with faker, .*; run `pip install 'gradproof\[note\]'`\.$",
    ):
        load("names-8")
    assert EXTRAS["faker"] == "note"


@pytest.mark.parametrize("found", [None, object()])
def test_installed(monkeypatch, found):
    """faker is looked for and not imported."""
    monkeypatch.setattr(last_names.importlib.util, "find_spec", lambda module: found)
    assert last_names.installed() is (found is not None)
