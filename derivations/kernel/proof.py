"""A proof and its steps, each justified by one rule that a program applies; a counterexample."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import sympy as sp

from gradproof.errors import GradproofError

from .expressions import equal_by_algebra, free_letters
from .notation import text
from .numeric_check import evaluate_at_point
from .rules import RULES

PROVED, REFUTED = "proved", "refuted"


class StepFails(GradproofError, ValueError):
    """A step of a derivation does not follow; the message names the step and its rule."""


@dataclasses.dataclass(frozen=True)
class Step:
    """One line of a proof.

    Args:
        after: what the line before becomes.
        rule: the name of the rule of :data:`.rules.RULES` that makes it so.
        because: what a reader wants to know beside the rule.
        given: equalities that the rule uses: definitions, or what is assumed.
    """

    after: sp.Expr
    rule: str
    because: str = ""
    given: Mapping[sp.Expr, sp.Expr] = dataclasses.field(default_factory=dict)

    def check(self, before: sp.Expr, where: str) -> None:
        """Check that the line follows from the one before by this rule and no other.

        Raises:
            StepFails: if the rule is unknown, does not lead there, or is not needed.
        """
        if self.rule not in RULES:
            raise StepFails(f"{where}: no rule is called {self.rule!r}; known: {', '.join(RULES)}")
        by_algebra = equal_by_algebra(before, self.after)
        if by_algebra and self.rule != "algebra":
            raise StepFails(
                f"{where}: {self.rule!r} is not the rule used, algebra alone leads from "
                f"{text(before)} to {text(self.after)}"
            )
        if by_algebra or self._follows(self.rule, before):
            return
        others = [name for name in RULES if name != self.rule and self._follows(name, before)]
        hint = f"; {others[0]!r} would lead there" if others else "; nor does any other rule"
        raise StepFails(
            f"{where}: {self.rule!r} does not lead from {text(before)} to {text(self.after)}{hint}"
        )

    def _follows(self, rule: str, before: sp.Expr) -> bool:
        rewrite = RULES[rule].rewrite
        return equal_by_algebra(rewrite(before, self.given), rewrite(self.after, self.given))


@dataclasses.dataclass(frozen=True)
class Proof:
    """Steps from one expression to another.

    Args:
        title: what is proved, in a few words.
        start: where it begins.
        steps: how it goes on; the last line is the result.
        conclusion: what the result says.
    """

    title: str
    start: sp.Expr
    steps: tuple[Step, ...]
    conclusion: str = ""

    verdict = PROVED

    @property
    def result(self) -> sp.Expr:
        """The last line."""
        return self.steps[-1].after

    @property
    def shown(self) -> dict[sp.Expr, sp.Expr]:
        """What a later part may use, by the rule ``shown above``."""
        return {self.start: self.result}

    @property
    def given(self) -> dict[sp.Expr, sp.Expr]:
        """What the letters stand for, as far as the steps say it."""
        steps = [step for step in self.steps if step.rule != "shown above"]
        return {left: right for step in steps for left, right in step.given.items()}

    def check(self, where: str, definitions: Mapping[sp.Expr, sp.Expr]) -> None:
        """Check each step, and that numbers agree at a point.

        Args:
            where: the claim, for messages.
            definitions: what letters stand for in the whole derivation.

        Raises:
            StepFails: naming the step that does not follow; or that beginning and end differ in
                numbers, which no step should let happen.
        """
        if not self.steps:
            raise StepFails(f"{where}, {self.title!r}: no steps, so nothing is proved")
        for place, step in enumerate(self.steps):
            self.check_step(place, where)
            if step.rule == "induction":
                self._check_induction(step, f"{where}, {self.title!r}, step {place + 1}")
        self._witness(where, definitions)

    def check_step(self, place: int, where: str) -> None:
        """Check one step alone.

        Args:
            place: which one, from 0.
            where: the claim, for messages.

        Raises:
            StepFails: if it does not follow from the line before.
        """
        before = self.steps[place - 1].after if place else self.start
        step = self.steps[place]
        step.check(before, f"{where}, {self.title!r}, step {place + 1} ({step.rule})")

    def _check_induction(self, step: Step, where: str) -> None:
        for n in free_letters(self.start):
            before = {n: n - 1}
            claim = {self.start.xreplace(before): self.result.xreplace(before)}
            first = {n: sp.S.Zero}
            if step.given == claim and self.start.xreplace(first) == self.result.xreplace(first):
                return
        raise StepFails(
            f"{where} ({step.rule}): what is used is not what this part shows, for one less"
        )

    def _witness(self, where: str, definitions: Mapping[sp.Expr, sp.Expr]) -> None:
        first, last = (evaluate_at_point(line, definitions) for line in (self.start, self.result))
        # Both are computed to 30 digits from rationals; 10^-20 leaves ten of them for cancelling.
        numbers = first.is_finite and last.is_finite
        if not numbers or abs(first - last) > sp.Float("1e-20") * (1 + abs(first)):
            raise StepFails(
                f"{where}, {self.title!r}: every step passes, but at a point the first line is "
                f"{sp.N(first, 8)} and the last {sp.N(last, 8)}; a rule is wrong"
            )


@dataclasses.dataclass(frozen=True)
class Counterexample:
    """The smallest case in which what was claimed is not so, in exact numbers.

    Args:
        title: what is refuted.
        setting: the case, in words.
        claimed: what one side of the claim is.
        actual: what it should be equal to.
        at: exact values for the letters in both.
        conclusion: what it says.
    """

    title: str
    setting: str
    claimed: sp.Expr
    actual: sp.Expr
    at: Mapping[sp.Symbol, sp.Expr]
    conclusion: str = ""

    verdict = REFUTED

    @property
    def values(self) -> tuple[sp.Expr, sp.Expr]:
        """Both sides as exact numbers."""
        first, second = (
            sp.simplify(side.xreplace(dict(self.at)).doit()) for side in (self.claimed, self.actual)
        )
        return first, second

    def check(self, where: str, definitions: Mapping[sp.Expr, sp.Expr]) -> None:
        """Check that the two sides are exact numbers, and different ones.

        Raises:
            StepFails: if they are equal, or not numbers.
        """
        claimed, actual = self.values
        for value in (claimed, actual):
            if not value.is_number or value.has(sp.Float):
                raise StepFails(
                    f"{where}, {self.title!r}: {value} is not an exact number; give every letter "
                    "an exact value"
                )
        if sp.simplify(claimed - actual) == 0:
            raise StepFails(
                f"{where}, {self.title!r}: both sides are {claimed}, so this refutes nothing"
            )
