"""What a verification found: evidence on every claim, and what shows it."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

from ..evidence import HOLDS, REFUTED, UNDECIDED, Evidence
from ..published_records import VERIFY, to_record
from ..report import Report
from ..section import Headline, Section, SectionTable
from .evidence_sections import evidence_section, evidence_table

#: The verdict on all of it together, which is none on any claim.
AS_RECORDED, NOT_AS_RECORDED = "as recorded", "not as recorded"


@dataclasses.dataclass(frozen=True, repr=False)
class Verification(Report):
    """What a verification found.

    ``data`` is the corpus by name, ``source`` where its texts were read from and ``fingerprint``
    their checksum: who has a text of the same checksum can repeat it with ``seed``. ``missing`` has
    the message for each framework that was not asked for by name and is not there; ``not_run`` the
    reason for each check that is about models or frameworks that were left out. ``cut`` says how
    many texts were longer than they may be, ``fewer`` that the corpus has fewer sentences than were
    asked for; each is empty if there is nothing to say.
    """

    evidence: tuple[Evidence, ...]
    data: str
    source: str
    fingerprint: str
    seed: int
    missing: dict[str, str]
    not_run: dict[str, str]
    cut: str = ""
    fewer: str = ""

    condition_words: ClassVar[str] = "report.as_expected"

    @property
    def as_expected(self) -> bool:
        """Whether there is evidence, and every verdict is the recorded expectation."""
        return bool(self.evidence) and all(found.as_expected for found in self.evidence)

    def to_json(self) -> str:
        """The whole record."""
        evidence = [found.as_dict() for found in self.evidence]
        fields: dict[str, Any] = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(self)
        }
        return to_record(VERIFY, fields | {"as_expected": self.as_expected, "evidence": evidence})

    def headline(self) -> Headline:
        """How many verdicts are as recorded."""
        expected = sum(found.as_expected for found in self.evidence)
        verdict = AS_RECORDED if self.as_expected else NOT_AS_RECORDED
        worst = f"{expected} of {len(self.evidence)} verdicts are as recorded"
        return Headline("Claims of the note", verdict, worst)

    def section(self) -> Section:
        """What a page shows of it."""
        facts = {
            "data": self.data,
            "read from": self.source,
            "checksum": self.fingerprint,
            "seed": str(self.seed),
            "numbers compared": f"{sum(found.comparisons for found in self.evidence):,}",
            **{verdict: str(self._count(verdict)) for verdict in (HOLDS, REFUTED, UNDECIDED)},
        }
        left_out = tuple(self.not_run.items()) + tuple(self.missing.items())
        return Section(
            *self.headline(),
            paragraphs=tuple(text for text in (self.cut, self.fewer) if text),
            facts=tuple(facts.items()),
            tables=(
                evidence_table(self.evidence),
                SectionTable("Not run", ("what", "why"), left_out),
            ),
        )

    def sections(self) -> tuple[Section, ...]:
        """The whole, then each verdict that is not the recorded one, then what is refuted."""
        surprises = [found for found in self.evidence if not found.as_expected]
        refuted = [
            found for found in self.evidence if found.as_expected and found.verdict == REFUTED
        ]
        return (self.section(), *map(evidence_section, [*surprises, *refuted]))

    def _count(self, verdict: str) -> int:
        return sum(found.verdict == verdict for found in self.evidence)
