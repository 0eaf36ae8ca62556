"""The letters of the derivations: derivatives, stop-gradients and means that wait for a rule.

SymPy carries some of these out by itself (a derivative by a variable that does not occur is zero
at once), and then there would be no step left to justify. These stand still.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sympy as sp


class D(sp.Function):
    """``D(f, v)``: the derivative of f by v, not carried out."""

    nargs = 2


class Partial(sp.Function):
    """``Partial(f, a)``: the derivative of f by its argument a, its other arguments held."""

    nargs = 2


class StopGradient(sp.Function):
    """``StopGradient(f)``: the value of f, without a derivative (detach, consider_constant)."""

    nargs = 1


class E(sp.Function):
    """``E(f, p, k)``: the mean of f, which depends on a draw k of probability p."""

    nargs = 3


k = sp.Symbol("k", integer=True, positive=True)
K = sp.Symbol("K", integer=True, positive=True)
e, w, phi, theta, lam = sp.symbols("e w phi theta lambda", real=True)

_q, _L, _B, _s, _d = (sp.Function(name, real=True) for name in "qLBsd")

#: Probability and loss of label k, as functions of the parameters that reach them.
q = sp.Function("q", positive=True)(k, e, w)
L = _L(k, phi, theta, e)
#: The baseline of a sentence: of the sentence and lambda alone.
B = _B(lam)
#: Score and pathwise gradient of label k by one parameter; the label's place is all that is said.
s, d = _s(k), _d(k)


def free_letters(expression: sp.Expr) -> set[sp.Symbol]:
    """The letters that an expression depends on: indices of its sums and means are not among them.

    SymPy knows that of sums; of our means it does not.
    """
    if isinstance(expression, E):
        term, probability, index = expression.args
        return (free_letters(term) | free_letters(probability)) - {index}
    if isinstance(expression, (sp.Sum, sp.Integral)):
        ends = {
            letter
            for limit in expression.limits
            for end in limit[1:]
            for letter in end.free_symbols
        }
        return (free_letters(expression.function) - set(expression.bound_symbols)) | ends
    if isinstance(expression, sp.Symbol):
        return {expression}
    return set().union(*map(free_letters, expression.args))


def total(term: sp.Expr, index: sp.Symbol = k, most: sp.Expr = K) -> sp.Expr:
    """The sum of a term over all labels, or over another index."""
    return sp.Sum(term, (index, 1, most))


def mean(term: sp.Expr, probability: sp.Expr = q, index: sp.Symbol = k) -> sp.Expr:
    """The mean of a term over a draw, not written out yet."""
    return E(term, probability, index)


#: The score of the shared parameters, not carried out.
SCORE = D(sp.log(q), e)

#: Probability of a coin's first side: two labels are enough for most counterexamples.
coin = sp.Symbol("t", positive=True)

#: Entropy, and the loss of an unlabelled sentence, written out.
ENTROPY = -total(q * sp.log(q))
UNLABELLED = total(q * (L + sp.log(q)))


#: Rewriting takes a step for each level of an expression, and none of ours has so many.
_PATIENCE = 200


def apply_until_still(expression: sp.Expr, change: Callable[[Any], Any]) -> sp.Expr:
    """An expression after a change was applied again and again, until it changed nothing.

    Raises:
        ValueError: if the change goes round in a circle.
    """
    for _ in range(_PATIENCE):
        changed = change(expression)
        if changed == expression:
            return expression
        expression = changed
    raise ValueError(
        f"rewriting goes round in a circle, at {expression}; see that no definition leads back to "
        "its own letter"
    )


def normal_form(expression: sp.Expr) -> sp.Expr:
    """Products multiplied out, also inside sums; no sum is split and no derivative carried out."""
    expanded = sp.expand(sp.sympify(expression), basic=False, log=False, power_base=False)
    return expanded.replace(
        sp.Sum, lambda term, *limits: sp.Sum(_fraction(term), *limits) if term != 0 else term
    )


def _fraction(term: sp.Expr) -> sp.Expr:
    """A term with sums below the line as one fraction in lowest terms."""
    below = any(part.exp.is_negative and part.base.is_Add for part in term.atoms(sp.Pow))
    if not below:
        return term
    letters: dict[sp.Expr, sp.Symbol] = {}
    fraction = sp.cancel(sp.together(_replace_by_letters(term, _OPAQUE, letters)))
    return fraction.xreplace({letter: node for node, letter in letters.items()})


_OPAQUE = (sp.Sum, sp.Integral, D, E, StopGradient, Partial)


def _replace_by_letters(
    node: sp.Expr, kinds: tuple[type, ...], letters: dict[sp.Expr, sp.Symbol]
) -> sp.Expr:
    """An expression in which all of some kinds are letters, the same for the same."""
    # A logarithm of a number stays; an integral without free letters is a letter all the same.
    if isinstance(node, kinds) and not (isinstance(node, sp.log) and node.is_number):
        return letters.setdefault(node, sp.Dummy(real=True))
    return (
        node.func(*[_replace_by_letters(part, kinds, letters) for part in node.args])
        if node.args
        else node
    )


def equal_by_algebra(one: sp.Expr, other: sp.Expr) -> bool:
    """Whether two expressions are equal by algebra alone.

    Sums, integrals, means and derivatives are letters here: that a sum may be split is a rule, and
    is not used unless it is named.
    """
    difference = normal_form(normal_form(one) - normal_form(other))
    if difference == 0:
        return True
    letters: dict[sp.Expr, sp.Symbol] = {}

    left = sp.expand_log(_replace_by_letters(difference, _OPAQUE, letters))
    # No rational function connects these with each other, nor with what they are functions of.
    fraction = _replace_by_letters(left, (sp.core.function.AppliedUndef, sp.log), letters)
    if fraction.is_rational_function():
        return bool(sp.expand(sp.fraction(sp.together(fraction))[0]) == 0)
    return bool(sp.simplify(left) == 0)
