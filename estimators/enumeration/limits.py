"""How much is enumerated by default; commands show it in their help, which imports nothing else."""

from __future__ import annotations

#: Paths that are run at most, by default.
MOST_PATHS = 10_000
