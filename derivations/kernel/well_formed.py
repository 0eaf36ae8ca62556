"""What a definition may say, and what a mean may be over: letters must hide nothing.

A step by definition replaces a letter by what it stands for. Were anything allowed there, a false
equality could be called a definition; and a letter that hides an index or a parameter would be
taken for a constant by the rules that look for them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping

import sympy as sp
from sympy.core.function import AppliedUndef

from .expressions import D, E, e, equal_by_algebra, free_letters, lam, phi, theta, w
from .notation import text
from .proof import Proof
from .rules import RULES

#: What a proof may not give another meaning.
PARAMETERS = {e, w, phi, theta, lam}


def first_slip(proofs: Iterable[Proof]) -> str:
    """What is wrong with the letters of these proofs, or nothing."""
    proofs = list(proofs)
    slips = itertools.chain(_definitions(proofs), _means(proofs), _slopes(proofs))
    return next(slips, "")


def lines_of(proof: Proof) -> Iterator[sp.Expr]:
    """Each line of a proof, its first among them."""
    yield proof.start
    yield from (step.after for step in proof.steps)


def _each_definition(proofs: Iterable[Proof]) -> Iterator[tuple[str, sp.Expr, sp.Expr]]:
    for proof in proofs:
        for number, step in enumerate(proof.steps, start=1):
            if step.rule == "definition":
                for left, right in step.given.items():
                    yield f"{proof.title!r}, step {number} (definition)", left, right


def _letter(left: sp.Expr) -> sp.Expr | type | None:
    """The letter or function that is defined; the log of one defines it as well."""
    inner = left.args[0] if isinstance(left, sp.log) else left
    if isinstance(inner, AppliedUndef):
        return inner.func
    return inner if isinstance(left, sp.Symbol) else None


def _letters_in(expression: sp.Expr) -> set[sp.Expr | type]:
    return {
        node.func if isinstance(node, AppliedUndef) else node
        for node in expression.atoms(AppliedUndef, sp.Symbol)
    }


def _indices(proofs: Iterable[Proof]) -> set[sp.Symbol]:
    """The letters that some sum or mean runs over."""
    lines = [line for proof in proofs for line in lines_of(proof)]
    return {node.args[2] for line in lines for node in line.atoms(E)} | {
        index for line in lines for node in line.atoms(sp.Sum) for index in node.bound_symbols
    }


def _definitions(proofs: list[Proof]) -> Iterator[str]:
    indices = _indices(proofs)
    first_meaning: dict[sp.Expr | type, tuple[sp.Expr, sp.Expr]] = {}
    needs: dict[sp.Expr | type, set[sp.Expr | type]] = {}
    for where, left, right in _each_definition(proofs):
        letter = _letter(left)
        if letter is None or letter in indices | PARAMETERS:
            yield f"{where}: {text(left)} is no letter that a definition may give a meaning"
            continue
        hidden = (free_letters(right) & indices) - free_letters(left)
        if hidden:
            yield f"{where}: {text(left)} hides the index {text(min(hidden, key=str))}"
        earlier, meaning = first_meaning.setdefault(letter, (left, right))
        if not _agree(earlier, meaning, left, right):
            yield f"{where}: {text(left)} was defined before, as something else"
        needs.setdefault(letter, set()).update(_letters_in(_drop_recursion(left, right)))
    for letter in needs:
        if letter in _reach(letter, needs):
            name = letter.__name__ if isinstance(letter, type) else text(letter)
            yield f"definition of {name}: it is defined by itself"


def _drop_recursion(left: sp.Expr, right: sp.Expr) -> sp.Expr:
    """What a definition reads beside itself at the place before: a recursion ends at 0."""
    before = {
        left.xreplace({index: index - 1}): sp.S.Zero
        for index in free_letters(left)
        if index.is_integer and isinstance(left, AppliedUndef)
    }
    return right.xreplace(before)


def _agree(one: sp.Expr, says: sp.Expr, other: sp.Expr, also: sp.Expr) -> bool:
    """Whether two definitions of a letter are one, but for the names of its arguments."""
    if one == other:
        return equal_by_algebra(says, also)
    if not isinstance(one, AppliedUndef) or len(one.args) != len(other.args):
        return False
    places = [sp.Dummy(integer=part.is_integer, positive=part.is_positive) for part in one.args]
    bare = []
    for node, value in ((one, says), (other, also)):
        names = dict(zip(node.args, places, strict=True))
        bare.append(RULES["order of sums"].rewrite(value.xreplace(names), {}))
    return equal_by_algebra(*bare)


def _reach(
    letter: sp.Expr | type, needs: Mapping[sp.Expr | type, set[sp.Expr | type]]
) -> set[sp.Expr | type]:
    reached, todo = set[sp.Expr | type](), list(needs[letter])
    while todo:
        now = todo.pop()
        if now not in reached:
            reached.add(now)
            todo += needs.get(now, ())
    return reached


def _means(proofs: Iterable[Proof]) -> Iterator[str]:
    """A mean is over a draw that its probability is about, and no definition gives that a value."""
    defined = {
        _letter(left) for _, left, _ in _each_definition(proofs) if not isinstance(left, sp.log)
    }
    for proof in proofs:
        for node in {node for line in lines_of(proof) for node in line.atoms(E)}:
            _, probability, index = node.args
            fine = isinstance(probability, AppliedUndef) and probability.is_positive
            if not fine or index not in probability.args or probability.func in defined:
                yield f"{proof.title!r}: {text(probability)} is no probability of a draw {index}"


def _slopes(proofs: list[Proof]) -> Iterator[str]:
    """Under a derivative a letter shows what it depends on, or independence would drop it."""
    hiding = [
        (left, (free_letters(right) & PARAMETERS) - free_letters(left))
        for _, left, right in _each_definition(proofs)
    ]
    for proof in proofs:
        for node in {node for line in lines_of(proof) for node in line.atoms(D)}:
            inside, by = _letters_in(node.args[0]), node.args[1]
            for left, hidden in hiding:
                if by in hidden and _letter(left) in inside:
                    yield f"{proof.title!r}: {text(left)} hides that it depends on {text(by)}"
