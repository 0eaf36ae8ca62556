"""What a derivation is: a claim, its proofs and counterexamples, and what they end with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import sympy as sp

from ..claims import CLAIMS
from .notation import text
from .oracle import Oracle
from .proof import PROVED, REFUTED, Counterexample, Proof, Step, StepFails
from .well_formed import first_slip

#: What a module that derives something needs is here, in one place.
__all__ = [
    "PROVED",
    "REFUTED",
    "Counterexample",
    "Derivation",
    "Proof",
    "Step",
    "StepFails",
    "derives",
]


@dataclasses.dataclass(frozen=True)
class Derivation:
    """A claim, and what programs found about it.

    Args:
        claim: an id of :data:`gradproof.derivations.claims.CLAIMS`.
        verdict: of the claim as printed: proved, or refuted.
        finding: what holds, in a sentence; of a refuted claim the corrected statement.
        symbols: what the letters stand for, beyond those that every derivation shares.
        valid: what is assumed.
        parts: proofs and counterexamples.
        oracle: the formula at the end, as a function of arrays.
        further: more formulas that were derived on the way, by name.
        infinite_labels: what changes where y is countable or continuous.
        reference: where the result is from, if it is not ours.
    """

    claim: str
    verdict: str
    finding: str
    parts: tuple[Proof | Counterexample, ...]
    oracle: Oracle
    valid: tuple[str, ...] = ()
    symbols: Mapping[str, str] = dataclasses.field(default_factory=dict)
    further: Mapping[str, Oracle] = dataclasses.field(default_factory=dict)
    infinite_labels: str = ""
    reference: str = ""

    @property
    def steps(self) -> int:
        """How many steps its proofs have."""
        return sum(len(part.steps) for part in self.parts if isinstance(part, Proof))

    def check(self) -> None:
        """Run every part.

        Raises:
            StepFails: naming the claim, the part and the step.
            ValueError: if the claim is unknown, there are no parts, or a verdict has nothing that
                bears it out.
        """
        if self.claim not in CLAIMS:
            raise ValueError(f"no claim is called {self.claim!r}; give it a row in CLAIMS")
        if not self.parts:
            raise ValueError(f"{self.claim}: a derivation without parts proves nothing")
        if self.verdict not in {part.verdict for part in self.parts}:
            raise ValueError(
                f"{self.claim}: the verdict is {self.verdict}, and no part of it bears that out"
            )
        proofs = [part for part in self.parts if isinstance(part, Proof)]
        slip = first_slip(proofs)
        if slip:
            raise StepFails(f"{self.claim}, {slip}")
        definitions = {left: right for proof in proofs for left, right in proof.given.items()}
        shown: dict[sp.Expr, sp.Expr] = {}
        for part in self.parts:
            if isinstance(part, Proof):
                self._check_use(part, shown)
            part.check(self.claim, definitions)
            shown |= part.shown if isinstance(part, Proof) else {}

    def _check_use(self, part: Proof, shown: Mapping[sp.Expr, sp.Expr]) -> None:
        for number, step in enumerate(part.steps, start=1):
            unknown = [node for node in step.given.items() if node not in shown.items()]
            if step.rule == "shown above" and unknown:
                left, right = map(text, unknown[0])
                raise StepFails(
                    f"{self.claim}, {part.title!r}, step {number} ({step.rule}): that {left} is "
                    f"{right} is not shown in an earlier part"
                )


#: Makes a derivation: so that naming the claims builds none of them.
Maker = Callable[[], Derivation]


def derives(claim: str) -> Callable[[Maker], Maker]:
    """Marks what makes the derivation of a claim: the registry finds it by this mark."""

    def mark(make: Maker) -> Maker:
        make.claim = claim  # type: ignore[attr-defined]  # a function may have it
        return make

    return mark
