"""Numbers for an expression, by a way that knows none of the rules.

Each unknown function becomes a polynomial with coefficients of its own, probabilities a softmax of
one, sums are written out, derivatives are SymPy's. If beginning and end of a proof differ here, a
rule is wrong, whatever the steps say.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import mpmath  # type: ignore[import-untyped]
import sympy as sp
from sympy.core.function import AppliedUndef

from .expressions import D, E, Partial, StopGradient, apply_until_still

#: Labels, and other things that are counted, in the witness's case.
COUNT = 3
DIGITS = 30
#: An integral's steps from one number to the next, and how many there are on either side of 0.
STEPS, REACH = 16, 24 * 16


def evaluate_at_point(expression: sp.Expr, definitions: Mapping[sp.Expr, sp.Expr]) -> sp.Expr:
    """The expression as a number.

    Args:
        given: what letters stand for; what is left gets a value of its own.
    """
    held: dict[sp.Expr, sp.Expr] = {}
    probabilities = {node.args[1].func for node in expression.atoms(E)}
    written_out = apply_until_still(expression, lambda now: now.xreplace(dict(definitions)))
    number = _write_out(written_out, held, probabilities)
    # What is held may hold something itself.
    number = apply_until_still(number, lambda now: now.xreplace(held))
    point = {letter: _number(letter.name) for letter in number.free_symbols}
    return sp.N(number.xreplace(point).replace(sp.Integral, _integrate), DIGITS)


def _integrate(integrand: sp.Expr, limits: sp.Tuple) -> sp.Float:
    """An integral over all numbers, by the trapezoidal rule.

    What falls off like a Gaussian it has to more than ``DIGITS`` digits: the error is of the order
    exp(-2 (pi spread / step)^2), and letters, so spreads, are at least 1/4.
    """
    variable, *ends = limits
    if ends != [-sp.oo, sp.oo]:
        raise ValueError(f"the witness integrates over all numbers only, not over {limits}")
    with mpmath.workdps(DIGITS + 10):
        height = sp.lambdify(variable, integrand, "mpmath")
        heights = [height(mpmath.mpf(place) / STEPS) for place in range(-REACH, REACH + 1)]
        return sp.Float(mpmath.fsum(heights) / STEPS, DIGITS + 10)


def _put_place(node: sp.Expr, index: sp.Symbol, place: int) -> sp.Expr:
    """The term of a sum at one place; an inner sum may use the index again, for itself."""
    if node == index:
        return sp.Integer(place)
    inner = isinstance(node, sp.Sum) and index in node.bound_symbols
    if inner or (isinstance(node, E) and node.args[2] == index) or not node.args:
        return node
    return node.func(*[_put_place(part, index, place) for part in node.args])


def _write_out(node: sp.Expr, held: dict[sp.Expr, sp.Expr], probabilities: set[type]) -> sp.Expr:
    if isinstance(node, E):
        term, probability, index = node.args
        most = sp.Symbol(index.name.upper(), integer=True, positive=True)
        return _write_out(sp.Sum(probability * term, (index, 1, most)), held, probabilities)
    if isinstance(node, sp.Sum):
        (index, _, most), *further = node.limits
        inner = sp.Sum(node.function, *further) if further else node.function
        count = int(_write_out(most, held, probabilities))
        return sp.Add(
            *[
                _write_out(_put_place(inner, index, place), held, probabilities)
                for place in range(1, count + 1)
            ]
        )
    if isinstance(node, D):
        term, by = node.args
        return sp.diff(_write_out(term, held, probabilities), by)
    if isinstance(node, Partial):
        function, argument = node.args
        place = sp.Dummy(real=True)
        # Of the arguments themselves alone: what stands inside another argument is held.
        parts = [place if part == argument else part for part in function.args]
        slope = sp.diff(_write_out(function.func(*parts), held, probabilities), place)
        return slope.xreplace({place: _write_out(argument, held, probabilities)})
    if isinstance(node, StopGradient):
        letter = sp.Dummy(real=True)
        held[letter] = _write_out(node.args[0], held, probabilities)
        return letter
    if isinstance(node, AppliedUndef):
        arguments = [_write_out(part, held, probabilities) for part in node.args]
        if node.func.__name__ == "q" or node.func in probabilities:
            first, *further = arguments
            weights = [
                sp.exp(_polynomial(node.func, place, further)) for place in range(1, COUNT + 1)
            ]
            return weights[int(first) - 1] / sp.Add(*weights)
        return _polynomial(node.func, 0, arguments)
    if isinstance(node, sp.Symbol) and node.is_integer:
        return sp.Integer(COUNT)
    if not node.args:
        return node
    return node.func(*[_write_out(part, held, probabilities) for part in node.args])


def _number(name: str) -> sp.Rational:
    """A rational between 1/4 and 5/4 that the name determines; no two names are likely to share."""
    return sp.Rational(zlib.crc32(name.encode()) % 997 + 250, 997)


def _polynomial(function: type, place: int, arguments: list[sp.Expr]) -> sp.Expr:
    name = f"{function.__name__}{place}"
    value: sp.Expr = _number(name)
    for position, argument in enumerate(arguments):
        one, two = (_number(f"{name}.{position}.{power}") for power in (1, 2))
        value += one * argument + two * argument**2 / 3
        if position:
            value += _number(f"{name}.{position}.x") * argument * arguments[0]
    return value
