"""What the arithmetic of all frameworks shares while it is moved."""

from __future__ import annotations

from dataclasses import dataclass, field

from .ulps import Steps

#: The least number above zero of each format: what it rounds to zero is off by half of it.
LEAST = {"float64": 2.0**-1074, "float32": 2.0**-149, "float16": 2.0**-24, "bfloat16": 2.0**-133}


@dataclass
class Perturbation:
    """Where random steps come from, and what was moved by them.

    ``operations`` counts the results that were moved, by framework; ``unseen`` names operations
    that nothing inside could be moved of, ``formats`` the formats of what was moved.
    """

    steps: Steps
    operations: dict[str, int] = field(default_factory=lambda: {"torch": 0, "jax": 0, "numpy": 0})
    unseen: set[str] = field(default_factory=set)
    formats: set[str] = field(default_factory=set)

    def record(self, framework: str, form: str) -> None:
        """Count one result."""
        self.operations[framework] += 1
        self.formats.add(form)

    @property
    def count(self) -> int:
        """Of all results that were moved."""
        return sum(self.operations.values())

    @property
    def underflow(self) -> float:
        """What a result may be off by that one of the formats has rounded to zero."""
        return max((LEAST.get(form, 0.0) for form in self.formats), default=0.0)
