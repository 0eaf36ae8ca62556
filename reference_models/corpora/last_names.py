"""Last names by locale, from the lists that faker ships: characters, K = 8 or 61.

No version is pinned: a corpus says which one it was read from, and its fingerprint is a checksum of
the lists, so that whatever was made with other lists can be told.
"""

import importlib
import importlib.util
import unicodedata
from collections.abc import Mapping, Sequence

from .corpus import Corpus
from .errors import CorpusError, CorpusMissing

LICENCE = "MIT (faker)"
SMALLEST_LIST = 100
_INSTALL = "pip install 'gradproof[note]'"
_UPGRADE = "pip install --upgrade faker"
_PACKAGE = "faker"
_PROVIDERS = f"{_PACKAGE}.providers.person"

# Eight languages that sound unlike each other (German, Spanish, Finnish, French, Croatian, Italian,
# Dutch, Zulu), with 400 to 1164 names each. All are in Latin letters: in a script of its own, any
# one character gives a class away; as "O " and "Mac " would Irish, which is left out for that.
# Measured: trigram naive Bayes is right on 0.81 of unseen names (0.80 without accents), the largest
# class is 0.18 of the rows, and one name in 90 is in more than one class.
EIGHT = ("de_AT", "es_ES", "fi_FI", "fr_FR", "hr_HR", "it_IT", "nl_NL", "zu_ZA")

# Every locale with 100 or more distinct names in lists called last_names*, written out
# so that K stays 61 whatever another faker adds. Left out: es_CA and fr_QC, which hold
# the very names of es_ES and fr_CA, and pl_PL, whose lists have other names. The last to be
# added was mk_MK, between faker 40.20 and 40.25; with an older one the message asks for a newer.
# fmt: off
SIXTY_ONE = (  # one a line they would fill a page
    "ar_AA", "ar_DZ", "az_AZ", "bg_BG", "cs_CZ", "de_AT", "de_CH", "de_DE", "de_LU", "el_GR",
    "en", "en_GB", "en_IE", "en_IN", "en_KE", "en_NZ", "en_PK", "en_US", "es_AR", "es_CL",
    "es_CO", "es_ES", "es_MX", "et_EE", "fa_IR", "fi_FI", "fr_BE", "fr_CA", "fr_CH", "fr_DZ",
    "fr_FR", "ga_IE", "he_IL", "hi_IN", "hr_HR", "hu_HU", "hy_AM", "id_ID", "is_IS", "it_IT",
    "ka_GE", "lv_LV", "mk_MK", "ne_NP", "nl_BE", "nl_NL", "no_NO", "or_IN", "pt_BR", "ru_RU",
    "sk_SK", "sl_SI", "sv_SE", "ta_IN", "th_TH", "tw_GH", "uk_UA", "uz_UZ", "zh_CN", "zh_TW",
    "zu_ZA",
)
# fmt: on


def load_names(name: str, locales: Sequence[str]) -> Corpus:
    """Reads the last names of some locales; the class of a name is its locale.

    A name that several locales have is a row in each.

    Args:
        name: What the corpus is to be called.
        locales: Two or more locales as faker spells them.

    Raises:
        CorpusMissing: faker is not installed.
        CorpusError: A locale is unknown to this faker or has under 100 names in it.
    """
    lists = [last_names(locale) for locale in locales]
    return Corpus(
        name=name,
        texts=tuple(text for names in lists for text in names),
        labels=tuple(k for k, names in enumerate(lists) for _ in names),
        label_names=tuple(locales),
        unit="character",
        licence=LICENCE,
        source=f"faker {_version()}, last names by locale",
    )


def last_names(locale: str) -> tuple[str, ...]:
    """The distinct last names of one locale, in the order in which faker lists them.

    Raises:
        CorpusMissing: faker is not installed.
        CorpusError: This faker does not know the locale, or has under 100 names in it.
    """
    names = tuple(dict.fromkeys(_listed(locale)))
    if len(names) < SMALLEST_LIST:
        raise CorpusError(
            f"faker {_version()} has {len(names)} last names for {locale!r}, expected "
            f"{SMALLEST_LIST} or more; pick another locale, or take a newer faker: `{_UPGRADE}`."
        )
    return names


def installed() -> bool:
    """Whether faker can be imported, found out without importing it."""
    return importlib.util.find_spec("faker") is not None


def _version() -> str:
    """That of the faker which the lists come from, as it says itself."""
    return importlib.import_module(_PACKAGE).VERSION


def _listed(locale: str) -> list[str]:
    """All names in the lists called last_names*, some of them more than once."""
    shared, own = _providers(locale)
    lists: list[Mapping[str, float] | Sequence[str]] = [
        getattr(own, attribute)
        for attribute in sorted(dir(own))
        if attribute.startswith("last_names")
        # A locale without a list of its own inherits one with a single placeholder.
        and getattr(own, attribute) is not getattr(shared, attribute, None)
    ]
    # A list is a sequence, or a mapping from names to how frequent they are.
    return [unicodedata.normalize("NFC", name).strip() for names in lists for name in names]


def _providers(locale: str) -> tuple[type, type]:
    """The provider that all locales inherit from and the one of this locale."""
    # Imported when called for: that takes 0.1 s, which no other corpus need pay.
    try:
        shared = importlib.import_module(_PROVIDERS)
    except ImportError as error:
        raise CorpusMissing(
            f"the names of {locale!r} come with faker, which cannot be imported ({error}); run "
            f"`{_INSTALL}`."
        ) from error
    try:
        own = importlib.import_module(f"{_PROVIDERS}.{locale}")
    except ImportError as error:
        raise CorpusError(
            f"faker {_version()} has no locale {locale!r}, expected one such as {EIGHT[0]!r}; "
            f"check its spelling, or take a newer faker: `{_UPGRADE}`."
        ) from error
    return shared.Provider, own.Provider
