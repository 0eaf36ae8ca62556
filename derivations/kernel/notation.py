"""Formulas as people write them: Unicode for a terminal, LaTeX for a paper."""

from __future__ import annotations

import unicodedata

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.printing.latex import LatexPrinter
from sympy.printing.precedence import PRECEDENCE
from sympy.printing.pretty.pretty_symbology import pretty_symbol
from sympy.printing.str import StrPrinter

from .expressions import D, E, Partial, StopGradient

_SUPERSCRIPTS = str.maketrans("-0123456789n", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹ⁿ")

#: Indices are written below a function's name; its other arguments are said once, in the legend.
_INDICES = tuple("ijklmnt")


def _subscripts(node: AppliedUndef) -> list[sp.Expr]:
    return [
        part
        for part in node.args
        if part.is_number
        or all(letter.name[0] in _INDICES and letter.is_integer for letter in part.free_symbols)
    ]


#: The root of 2 π, which SymPy does not leave whole.
_ROOT = sp.Symbol("√(2 π)", positive=True)

#: What needs no brackets after a function's name.
_NAMES = (sp.Symbol, AppliedUndef)


_SIGNS = (sp.Sum, sp.Integral)


def _reading_order(factor: sp.Expr) -> tuple[int, str]:
    """Numbers first, then letters, then brackets; last what reads on: logs, derivatives, sums."""
    base = factor if isinstance(factor, sp.exp) else factor.as_base_exp()[0]
    held = isinstance(base, StopGradient) and isinstance(base.args[0], sp.log)
    functions = held or isinstance(base, (sp.log, sp.exp))
    kinds = (
        base.is_Rational,
        base.is_number and not (base.is_Add or functions or isinstance(base, _SIGNS)),
        isinstance(base, _NAMES),
        not (functions or base.is_Add or isinstance(base, (D, E, Partial, *_SIGNS))),
        base.is_Add,
        functions,
        isinstance(base, (D, Partial)),
    )
    return kinds.index(True) if True in kinds else len(kinds), str(factor)


class _Text(StrPrinter):
    def _loose(self, node: sp.Expr) -> str:
        """A factor: in brackets if it is a sum."""
        return self.parenthesize(node, PRECEDENCE["Mul"], strict=True)

    def _as_ordered_terms(self, expr: sp.Add, order: str | None = None) -> list[sp.Expr]:
        """What is added before what is subtracted."""
        terms = super()._as_ordered_terms(expr, order=order)
        return sorted(terms, key=lambda term: bool(term.could_extract_minus_sign()))

    def _print_Symbol(self, node: sp.Symbol) -> str:
        return pretty_symbol(node.name)

    def _print_AppliedUndef(self, node: AppliedUndef) -> str:
        name, below = pretty_symbol(node.func.__name__), _subscripts(node)
        places = [f"({self._print(part)})" if part.is_Add else self._print(part) for part in below]
        return f"{name}_{','.join(places)}" if below else name

    def _print_log(self, node: sp.log) -> str:
        inner = self._print(node.args[0])
        simple = isinstance(node.args[0], (*_NAMES, sp.Integer))
        return f"log {inner}" if simple else f"log({inner})"

    def _print_Pi(self, node: sp.Expr) -> str:
        return "π"

    def _print_exp(self, node: sp.exp) -> str:
        return f"exp({self._print(node.args[0])})"

    def _sign(self, index: sp.Symbol, first: sp.Expr, last: sp.Expr) -> str:
        # How far it goes is said where that is not just a letter.
        below = self._print(index)
        return f"Σ_{below}" if last.is_Symbol else f"Σ_({below}≤{self._print(last)})"

    def _print_Sum(self, node: sp.Sum) -> str:
        signs = " ".join(self._sign(*limit) for limit in reversed(node.limits))
        return f"{signs} {self._loose(node.function)}"

    def _print_Integral(self, node: sp.Integral) -> str:
        return f"∫ {self._loose(node.function)} d{self._print(node.limits[0][0])}"

    def _print_D(self, node: D) -> str:
        term, by = node.args
        inner = self._print(term)
        if not isinstance(term, (*_NAMES, sp.log, StopGradient)):
            inner = f"[{inner}]"
        return f"∂{inner}/∂{self._print(by)}"

    _print_Partial = _print_D

    def _print_StopGradient(self, node: StopGradient) -> str:
        inner = self._print(node.args[0])
        simple = not (node.args[0].is_Add or node.args[0].is_Mul)
        return f"⊥{inner}" if simple else f"⊥({inner})"

    def _print_E(self, node: E) -> str:
        return f"E_{self._print(node.args[2])}[{self._print(node.args[0])}]"

    def _print_Mul(self, node: sp.Mul) -> str:
        number, rest = node.as_coeff_Mul()
        sign, number = ("-", -number) if number.is_negative else ("", number)
        factors = sp.Mul.make_args(rest)
        if number.q == 2 and {sp.sqrt(2), 1 / sp.sqrt(sp.pi)} <= set(factors):
            # SymPy takes roots of products apart: this is one over the root of 2 π.
            number *= 2
            roots = (sp.sqrt(2), 1 / sp.sqrt(sp.pi))
            factors = (*(part for part in factors if part not in roots), 1 / _ROOT)
        under = [1 / part for part in factors if part.is_Pow and part.exp.is_negative]
        over = [part for part in factors if not (part.is_Pow and part.exp.is_negative)]
        if number.is_Rational:
            under += [sp.Integer(number.q)] if number.q != 1 else []
            number = sp.Integer(number.p)
        if number != 1 or not over:
            over = [number, *over]
        over = sorted(over, key=_reading_order)
        above = sign + " ".join(
            # A sum swallows what follows it, so it is bracketed unless nothing does.
            self._factor(part, last=part is over[-1] and not under)
            for part in over
        )
        if not under:
            return above
        below = " ".join(map(self._factor, sorted(under, key=_reading_order)))
        return f"{above}/{below}" if len(under) == 1 else f"{above}/({below})"

    def _factor(self, part: sp.Expr, *, last: bool = False) -> str:
        inner = self._loose(part)
        return f"({inner})" if isinstance(part, _SIGNS) and not last else inner

    def _print_Pow(self, node: sp.Pow, rational: bool = False) -> str:
        base, power = node.args
        if power == sp.Rational(1, 2):
            return f"√{self.parenthesize(base, PRECEDENCE['Atom'], strict=True)}"
        if power.is_negative:
            return f"1/{self.parenthesize(1 / node, PRECEDENCE['Pow'])}"
        below = isinstance(base, (AppliedUndef, sp.Function, sp.Sum))
        written = self.parenthesize(base, PRECEDENCE["Pow"], strict=False)
        if below and not written.startswith("("):
            written = f"({written})"
        raised = self._print(power)
        if set(raised) <= set("-0123456789n"):
            return written + raised.translate(_SUPERSCRIPTS)
        return f"{written}^{raised}"


class _Latex(LatexPrinter):
    def _print_Symbol(self, node: sp.Symbol, style: str = "plain") -> str:
        # A Greek letter that was given as itself is printed by its name, as all others are.
        name = unicodedata.name(node.name, "") if len(node.name) == 1 else ""
        if name.startswith("GREEK SMALL LETTER "):
            node = sp.Symbol(name.rsplit(" ", 1)[1].lower())
        return str(super()._print_Symbol(node, style))

    def _print_AppliedUndef(self, node: AppliedUndef, exp: object = None) -> str:
        below = _subscripts(node)
        name = self._print(sp.Symbol(node.func.__name__))
        places = ",".join(map(self._print, below))
        if below and name.endswith("}") and "_{" in name:  # LaTeX takes one subscript: a_{2,i}
            written = f"{name[:-1]},{places}}}"
        else:
            written = f"{name}_{{{places}}}" if below else name
        return written if exp is None else rf"\left({written}\right)^{{{exp}}}"

    def _print_log(self, node: sp.log, exp: object = None) -> str:
        inner = self._print(node.args[0])
        simple = isinstance(node.args[0], _NAMES)
        written = rf"\log {inner}" if simple else rf"\log\left({inner}\right)"
        return written if exp is None else rf"\left({written}\right)^{{{exp}}}"

    def _sign(self, index: sp.Symbol, first: sp.Expr, last: sp.Expr) -> str:
        below = self._print(index)
        return rf"\sum_{{{below}" + ("}" if last.is_Symbol else rf" \le {self._print(last)}}}")

    def _print_Sum(self, node: sp.Sum) -> str:
        signs = "".join(self._sign(*limit) for limit in reversed(node.limits))
        return f"{signs} {self.parenthesize(node.function, PRECEDENCE['Mul'], strict=True)}"

    def _print_D(self, node: D, exp: object = None) -> str:
        term, by = node.args
        inner = self._print(term)
        if not isinstance(term, (*_NAMES, sp.log, StopGradient)):
            inner = rf"\left[{inner}\right]"
        written = rf"\frac{{\partial}}{{\partial {self._print(by)}}} {inner}"
        return written if exp is None else rf"\left({written}\right)^{{{exp}}}"

    _print_Partial = _print_D

    def _print_StopGradient(self, node: StopGradient, exp: object = None) -> str:
        written = rf"\bot\left({self._print(node.args[0])}\right)"
        return written if exp is None else f"{written}^{{{exp}}}"

    def _print_E(self, node: E, exp: object = None) -> str:
        written = (
            rf"\mathrm{{E}}_{{{self._print(node.args[2])}}}\left[{self._print(node.args[0])}\right]"
        )
        return written if exp is None else rf"{written}^{{{exp}}}"


def text(expression: sp.Expr) -> str:
    """An expression in one line of Unicode."""
    return str(_Text().doprint(sp.sympify(expression)))


def latex(expression: sp.Expr) -> str:
    """An expression in LaTeX, without dollars."""
    return str(_Latex().doprint(sp.sympify(expression)))
