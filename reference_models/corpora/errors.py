"""What goes wrong with a corpus."""

from __future__ import annotations

from gradproof.errors import GradproofError


class CorpusError(GradproofError, ValueError):
    """A corpus, or a request made of one, cannot be used as it stands."""


class CorpusMissing(CorpusError):
    """A known corpus whose data is not installed here; the message has the command."""
