"""The rules that a step may name, one row each.

A rule rewrites every place that it applies to and leaves all others alone. A step holds if the rule
makes the same of what stands before and after it; the rest is algebra, which is a rule as well.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import sympy as sp
from sympy.core.function import AppliedUndef

from .expressions import D, E, K, Partial, StopGradient, apply_until_still, k, normal_form, q

#: Equalities that a step may use beside its rule: a definition, or what is assumed.
Equalities = Mapping[sp.Expr, sp.Expr]
Rewrite = Callable[[sp.Expr, Equalities], sp.Expr]


class Rule(NamedTuple):
    """A rule with a name and what it says, and the program that applies it."""

    name: str
    says: str
    rewrite: Rewrite


def _rewrite_all(kind: type, change: Callable[..., sp.Expr]) -> Rewrite:
    return lambda expression, equalities: apply_until_still(
        expression, lambda now: now.replace(lambda node: isinstance(node, kind), change)
    )


def _factors(term: sp.Expr) -> tuple[sp.Expr, ...]:
    return sp.Mul.make_args(term)


def _split_factors(
    term: sp.Expr, belongs: Callable[[sp.Expr], bool]
) -> tuple[list[sp.Expr], list[sp.Expr]]:
    """The factors of which something is so, and the others."""
    chosen = [part for part in _factors(term) if belongs(part)]
    return chosen, [part for part in _factors(term) if part not in chosen]


def _split_derivative(node: D) -> sp.Expr:
    term, by = node.args
    term = sp.expand_mul(term)
    if term.is_Add:
        return sp.Add(*[D(part, by) for part in term.args])
    if isinstance(term, sp.Sum):
        return sp.Sum(D(term.function, by), *term.limits)
    numbers, rest = _split_factors(term, lambda part: part.is_number or part.is_rational)
    return sp.Mul(*numbers) * D(sp.Mul(*rest), by) if numbers and rest else node


def _product(node: D) -> sp.Expr:
    term, by = node.args
    factors = _factors(term)
    if len(factors) < 2:
        return node
    return sp.Add(
        *[
            sp.Mul(*factors[:place], D(factor, by), *factors[place + 1 :])
            for place, factor in enumerate(factors)
        ]
    )


def _chain(node: D) -> sp.Expr:
    term, by = node.args
    if isinstance(term, (sp.log, sp.exp)):
        inner, inside = term.args[0], sp.Dummy()
        return sp.diff(term.func(inside), inside).subs(inside, inner) * D(inner, by)
    if term.is_Pow and term.exp.is_number:
        return term.exp * term.base ** (term.exp - 1) * D(term.base, by)
    if term == by:
        return sp.S.One
    if isinstance(term, AppliedUndef):
        # An index counts and is not differentiated by; an argument given twice counts once.
        parts = [part for part in dict.fromkeys(term.args) if not part.is_integer]
        if not all(part.is_Symbol for part in parts):
            return sp.Add(*[Partial(term, part) * D(part, by) for part in parts])
    return node


def _log_derivative(node: D) -> sp.Expr:
    term, by = node.args
    return term * D(sp.log(term), by) if term.func == q.func else node


def _independence(node: D) -> sp.Expr:
    term, by = node.args
    return sp.S.Zero if by not in term.free_symbols else node


def _held_slope(node: D) -> sp.Expr:
    return sp.S.Zero if isinstance(node.args[0], StopGradient) else node


def _is_held(part: sp.Expr, by: sp.Expr) -> bool:
    # A power of a held constant is as constant as itself, if its exponent is.
    base, power = part.as_base_exp()
    return isinstance(base, StopGradient) and by not in power.free_symbols


def _held_factor(node: D) -> sp.Expr:
    term, by = node.args
    held, rest = _split_factors(term, lambda part: _is_held(part, by))
    return sp.Mul(*held) * D(sp.Mul(*rest), by) if held and rest else node


def _split_sum(node: sp.Sum | sp.Integral) -> sp.Expr:
    term, limits = sp.expand_mul(node.function), node.limits
    if term.is_Add:
        return sp.Add(*[node.func(part, *limits) for part in term.args])
    index = limits[0][0]
    fixed, rest = _split_factors(term, lambda part: index not in part.free_symbols)
    if not (fixed and rest):
        return node
    # Of a sum over sums only the inner one is left behind.
    split = sp.Mul(*fixed) * node.func(sp.Mul(*rest), limits[0])
    return node.func(split, *limits[1:]) if limits[1:] else split


def _flatten(node: sp.Sum) -> sp.Sum:
    """A sum over a product with sums in it, as one sum over several indices."""
    factors = _factors(node.function)
    for place, part in enumerate(factors):
        if not isinstance(part, sp.Sum):
            continue
        rest = sp.Mul(*factors[:place], *factors[place + 1 :])
        inner, outer = set(part.bound_symbols), set(node.bound_symbols)
        ranges = {letter for limit in part.limits for letter in limit[2].free_symbols}
        if not inner & (outer | rest.free_symbols) and not outer & ranges:
            return _flatten(sp.Sum(rest * part.function, *part.limits, *node.limits))
    return node


def _gather(node: sp.Expr) -> sp.Expr:
    """Sums over the same indices as one, with all that stands beside them inside."""
    if not node.args or isinstance(node, (D, E, StopGradient, Partial)):
        return node
    if not isinstance(node, (sp.Add, sp.Mul, sp.Sum)):
        return node.func(*map(_gather, node.args))
    unsummed, bodies = [], dict[tuple[sp.Tuple, ...], sp.Expr]()
    for term in sp.Add.make_args(sp.expand_mul(node)):
        sums, without = _split_factors(term, lambda part: isinstance(part, sp.Sum))
        rest = sp.Mul(*without)
        bound = [index for part in sums for index in part.bound_symbols]
        if not sums or len(set(bound)) < len(bound) or rest.free_symbols & set(bound):
            unsummed.append(term)
            continue
        flat = _flatten(sp.Sum(sp.Mul(rest, sums[0].function, *sums[1:]), *sums[0].limits))
        limits = tuple(sorted(flat.limits, key=str))
        bodies[limits] = bodies.get(limits, sp.S.Zero) + flat.function
    return sp.Add(
        *unsummed, *[normal_form(sp.Sum(body, *limits)) for limits, body in bodies.items()]
    )


def _linear(expression: sp.Expr, equalities: Equalities) -> sp.Expr:
    """Sums split as far as they go, then gathered: the same for all ways of writing it."""
    return _gather(_rewrite_all(sp.Sum, _split_sum)(expression, equalities))


def _sort_sums(node: sp.Expr, equalities: Equalities) -> sp.Expr:
    """Sums over sums as one, the indices in an order and with names that depend on neither."""
    if not isinstance(node, sp.Sum):
        return (
            node.func(*[_sort_sums(part, equalities) for part in node.args]) if node.args else node
        )
    flat = _flatten(node)
    limits = sorted(flat.limits, key=lambda limit: str(limit[1:]))
    plain = [
        (sp.Symbol(f"{most}_{place}", integer=True, positive=True), least, most)
        for place, (_, least, most) in enumerate(limits)
    ]
    renamed = []
    for names in itertools.permutations(limits):
        if [name[1:] for name in names] == [limit[1:] for limit in plain]:
            named = {old[0]: new[0] for old, new in zip(names, plain, strict=True)}
            renamed.append(normal_form(_sort_sums(flat.function, equalities).xreplace(named)))
    return sp.Sum(min(renamed, key=sp.default_sort_key), *plain)


def _count(node: sp.Sum) -> sp.Expr:
    (index, first, last), *others = node.limits
    if others or index in node.function.free_symbols:
        return node
    return node.function * (last - first + 1)


def _split_mean(node: E) -> sp.Expr:
    term, probability, index = node.args
    term = sp.expand(term, basic=False, log=False, power_base=False)
    if term.is_Add:
        return sp.Add(*[E(part, probability, index) for part in term.args])
    if isinstance(term, sp.Sum) and index not in term.bound_symbols:
        return sp.Sum(E(term.function, probability, index), *term.limits)
    fixed = [part for part in _factors(term) if index not in part.free_symbols]
    if len(fixed) == len(_factors(term)):
        # That the mean of a constant is the constant is normalisation, not linearity.
        fixed = [part for part in fixed if part.is_number and term != part]
    rest = sp.Mul(*[part for part in _factors(term) if part not in fixed])
    return sp.Mul(*fixed) * E(rest, probability, index) if fixed else node


def _normalise(expression: sp.Expr, equalities: Equalities) -> sp.Expr:
    def of_sum(node: sp.Sum) -> sp.Expr:
        (index, least, most), *others = node.limits
        every = least == 1 and most == K and not others
        term = sp.expand_mul(node.function)
        for part in _factors(term):
            rest = term / part
            # Σ_m q_m is 1 as well, where m runs over all labels; Σ_m q_k is not.
            if every and part == q.xreplace({k: index}) and index not in rest.free_symbols:
                return rest
        return node

    def of_mean(node: E) -> sp.Expr:
        term, probability, index = node.args
        parts = sp.Add.make_args(sp.expand_mul(term))
        fixed = [part for part in parts if index not in part.free_symbols]
        rest = sp.Add(*[part for part in parts if part not in fixed])
        return sp.Add(*fixed, E(rest, probability, index) if rest != 0 else rest) if fixed else node

    def rewrite(now: sp.Expr) -> sp.Expr:
        return now.replace(sp.Sum, lambda *args: of_sum(sp.Sum(*args))).replace(
            E, lambda *args: of_mean(E(*args))
        )

    return apply_until_still(expression, rewrite)


def _mean(node: E) -> sp.Expr:
    term, probability, index = node.args
    most = K if index == k else sp.Symbol(index.name.upper(), integer=True, positive=True)
    return sp.Sum(probability * term, (index, 1, most))


def _substitute(expression: sp.Expr, equalities: Equalities) -> sp.Expr:
    return apply_until_still(expression, lambda now: now.xreplace(dict(equalities)))


def _substitute_shown(expression: sp.Expr, equalities: Equalities) -> sp.Expr:
    """What was shown; of held constants it was shown as values, so not below a derivative."""
    slopes = {
        left: right
        for left, right in equalities.items()
        if not (left.has(StopGradient) or right.has(StopGradient))
    }

    def change(node: sp.Expr) -> sp.Expr:
        if isinstance(node, (D, Partial)) and node not in equalities:
            return node.xreplace(slopes)
        if node in equalities or not node.args:
            return equalities.get(node, node)
        return node.func(*map(change, node.args))

    return apply_until_still(expression, change)


def _integrate(expression: sp.Expr, equalities: Equalities) -> sp.Expr:
    return expression.replace(sp.Integral, lambda *args: sp.simplify(sp.integrate(*args)))


def _held_value(expression: sp.Expr, equalities: Equalities) -> sp.Expr:
    if isinstance(expression, (D, Partial)):
        # Below a derivative a held constant and its value are different things.
        return expression
    if isinstance(expression, StopGradient):
        return _held_value(expression.args[0], equalities)
    if not expression.args:
        return expression
    return expression.func(*[_held_value(part, equalities) for part in expression.args])


RULES = {
    rule.name: rule
    for rule in (
        Rule("algebra", "sums and products of numbers", lambda expression, equalities: expression),
        Rule("definition", "what a letter stands for", _substitute),
        Rule("assumption", "what is assumed, and stands under Valid when", _substitute),
        Rule(
            "induction", "what is to be shown of n, for n - 1; at 0 both sides are one", _substitute
        ),
        Rule("shown above", "an earlier part of this derivation", _substitute_shown),
        Rule("mean", "E[f] = Σ_k q_k f_k", _rewrite_all(E, _mean)),
        Rule("linearity of the mean", "E[f + c g] = E[f] + c E[g]", _rewrite_all(E, _split_mean)),
        Rule(
            "linearity of the sum",
            "Σ (f + c g) = Σ f + c Σ g, of several indices in any order",
            _linear,
        ),
        Rule(
            "order of sums",
            "Σ_k Σ_m f_k,m = Σ_m Σ_k f_k,m, and an index may have any name",
            _sort_sums,
        ),
        Rule(
            "linearity of the derivative",
            "∂(f + c g) = ∂f + c ∂g, under a sum over the labels as well",
            _rewrite_all(D, _split_derivative),
        ),
        Rule("product rule", "∂(f g) = f ∂g + g ∂f", _rewrite_all(D, _product)),
        Rule(
            "chain rule",
            "∂g(f) = g'(f) ∂f, a term for each argument; ∂v/∂v = 1",
            _rewrite_all(D, _chain),
        ),
        Rule("log-derivative", "∂q = q ∂log q", _rewrite_all(D, _log_derivative)),
        Rule(
            "independence",
            "∂f/∂v = 0 where f does not depend on v",
            _rewrite_all(D, _independence),
        ),
        Rule("normalisation", "Σ_k q_k = 1, so that E[c] = c", _normalise),
        Rule("held constant", "no derivative enters ⊥f", _rewrite_all(D, _held_slope)),
        Rule(
            "held factor",
            "a held constant passes through a derivative of any order",
            _rewrite_all(D, _held_factor),
        ),
        Rule("value of a held constant", "⊥f has the value of f", _held_value),
        Rule("counting", "Σ_k c = K c", _rewrite_all(sp.Sum, _count)),
        Rule(
            "linearity of the integral",
            "∫ (f + c g) = ∫ f + c ∫ g",
            _rewrite_all(sp.Integral, _split_sum),
        ),
        Rule("integral", "the integral is carried out", _integrate),
    )
}
