"""Error rates of sequential tests by default; help shows them, without importing a test."""

from __future__ import annotations

#: Probability of a false alarm, of a whole test, by default.
ALPHA = 1e-6

#: Probability to see the smallest bias that a report names, by default.
POWER = 0.9
