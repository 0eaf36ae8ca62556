"""Real text to estimate on: corpora by name or from a file, split and numbered.

corpus = load("names-8")
prepared = prepare(
    corpus, length=12, vocabulary_size=None, labelled=200, held_out=1000, seed=0
)
tokens, mask, labels = prepared.rows(prepared.split.labelled[:32])
"""

from ..batch import BOS, EOS, PAD, UNK
from .corpus import Corpus
from .errors import CorpusError, CorpusMissing
from .origin import difference
from .prepared import PreparedCorpus, prepare
from .registry import CorpusListing, available, load
from .split import Split, split
from .text_table import is_table, load_table
from .units import Unit
from .vocabulary import Vocabulary

__all__ = [
    "BOS",
    "EOS",
    "PAD",
    "UNK",
    "Corpus",
    "CorpusError",
    "CorpusListing",
    "CorpusMissing",
    "PreparedCorpus",
    "Split",
    "Unit",
    "Vocabulary",
    "available",
    "difference",
    "is_table",
    "load",
    "load_table",
    "prepare",
    "split",
]
