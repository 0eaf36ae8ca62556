# ruff: noqa: RUF001  # Greek letters in a formula are meant
"""A derivation as something to read: plain text, Markdown, LaTeX."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence

from ..claims import CLAIMS
from .derivation import Counterexample, Derivation, Proof, Step
from .notation import latex, text
from .rules import RULES
from .well_formed import lines_of

WIDTH = 100

#: What every derivation writes the same way.
LETTERS = {
    "e, w, φ, θ": "parameters: e the embeddings, w the classifier's, φ inference's, θ generation's",
    "q_k": "q(y = k|x; w, e), the probability of label k of the sentence x",
    "L_k": "L(x, k; φ, θ, e), the sentence's loss at label k",
    "H": "-Σ_k q_k log q_k, Shannon's entropy",
    "U": "Σ_k q_k (L_k + log q_k), the loss of an unlabelled sentence",
    "E_k[f]": "Σ_k q_k f_k, the mean over one draw of k = 1..K; over other draws likewise",
    "∂f/∂v": "the derivative by one parameter v of the group named",
    "⊥f": "the value of f, held constant: no derivative enters it",
}


#: What shows that a letter is there, where it is not the letter as it is explained.
_MARKS = {"e, w, φ, θ": "q_", "E_k[f]": "E_", "∂f/∂v": "∂", "⊥f": "⊥"}


def _wrap(words: str, indent: str, first: str = "") -> str:
    return textwrap.fill(
        words, WIDTH, initial_indent=indent + first, subsequent_indent=indent + " " * len(first)
    )


def _legend(derivation: Derivation) -> Mapping[str, str]:
    formulas = " ".join(text(line) for line in _lines(derivation))
    shared = {
        letter: says for letter, says in LETTERS.items() if _MARKS.get(letter, letter) in formulas
    }
    return {**shared, **derivation.symbols}


def _lines(derivation: Derivation) -> Iterable[object]:
    for part in derivation.parts:
        yield from lines_of(part) if isinstance(part, Proof) else (part.claimed, part.actual)


def as_text(derivation: Derivation) -> str:
    """Text with Unicode mathematics, at most 100 columns but for long formulas."""
    claim = CLAIMS[derivation.claim]
    lines = [
        f"{claim.id}: {derivation.verdict}",
        "",
        _wrap(claim.statement + ".", "", "Claim    "),
        _wrap(derivation.finding + ".", "", "Finding  "),
    ]
    legend = _legend(derivation)
    wide = max(8, *map(len, legend))
    lines += [""] + [_wrap(says, "  ", f"{letter:{wide}} ") for letter, says in legend.items()]
    for number, part in enumerate(derivation.parts, start=1):
        lines += ["", f"{number}. {_sentence(part.title)}.  [{part.verdict}]", ""]
        lines += _proof(derivation, part) if isinstance(part, Proof) else _counterexample(part)
        if part.conclusion:
            lines += ["", _wrap(f"{part.conclusion}.", "   ", "→ ")]
    valid = (*derivation.valid, *_assumptions(derivation))
    if valid:
        lines += ["", "Valid when"] + [_wrap(when, "  ", "- ") for when in valid]
    if derivation.infinite_labels:
        lines += ["", "Beyond finitely many labels", _wrap(derivation.infinite_labels, "  ")]
    if derivation.reference:
        lines += ["", _wrap(derivation.reference, "", "Reference  ")]
    return "\n".join(lines) + "\n"


def _sentence(words: str) -> str:
    """Words with a capital at the front, unless they begin with a symbol: φ is not Φ."""
    first = words.split(maxsplit=1)[0]
    symbol = len(first) == 1 and first != "a"  # "a" is the article; no title begins with the draw a
    return words if symbol else words[0].upper() + words[1:]


def _proof(derivation: Derivation, part: Proof) -> list[str]:
    lines = [f"     {text(part.start)}"]
    for step in part.steps:
        why = _why(derivation, step)
        lines += [f"   = {text(step.after)}", _wrap(why, "         ", "| ")]
    return lines


def _why(derivation: Derivation, step: Step) -> str:
    """The rule, the parts that it refers to, and what a reader wants to know beside it."""
    used = step.given.items() if step.rule == "shown above" else ()
    parts = [
        number
        for number, part in enumerate(derivation.parts, start=1)
        if isinstance(part, Proof) and any(pair in used for pair in part.shown.items())
    ]
    where = f" ({_parts(parts)})" if parts else ""
    return step.rule + where + (f": {step.because}" if step.because else "")


def _parts(numbers: Sequence[int]) -> str:
    *others, last = map(str, numbers)
    return f"parts {', '.join(others)} and {last}" if others else f"part {last}"


def _assumptions(derivation: Derivation) -> list[str]:
    """What steps assume, so that nothing is assumed that is not said at the end."""
    assumptions: dict[str, list[int]] = {}
    for number, part in enumerate(derivation.parts, start=1):
        for step in part.steps if isinstance(part, Proof) else ():
            if step.rule == "assumption":
                for left, right in step.given.items():
                    assumptions.setdefault(f"{text(left)} = {text(right)}", []).append(number)
    return [f"in {_parts(numbers)}: {what}" for what, numbers in assumptions.items()]


def _counterexample(part: Counterexample) -> list[str]:
    claimed, actual = part.values
    return [
        _wrap(f"{part.setting}.", "   "),
        f"     claimed  {text(claimed)}",
        f"     actual   {text(actual)}",
    ]


def as_markdown(derivation: Derivation) -> str:
    """Markdown with LaTeX between dollars, as GitHub and most sites show it."""
    claim = CLAIMS[derivation.claim]
    lines = [
        f"## {claim.id}: {derivation.verdict}",
        "",
        f"**Claim.** {claim.statement}.",
        "",
        f"**Finding.** {derivation.finding}.",
        "",
        *[f"- {letter}: {says}" for letter, says in _legend(derivation).items()],
    ]
    for number, part in enumerate(derivation.parts, start=1):
        lines += ["", f"### {number}. {_sentence(part.title)} ({part.verdict})", ""]
        if isinstance(part, Proof):
            lines += ["| | | |", "|---|---|---|", f"| | ${latex(part.start)}$ | |"]
            lines += [
                f"| = | ${latex(step.after)}$ | {_cell(_why(derivation, step))} |"
                for step in part.steps
            ]
        else:
            claimed, actual = part.values
            lines += [
                f"{part.setting}.",
                "",
                f"Claimed ${latex(claimed)}$, actual ${latex(actual)}$.",
            ]
        if part.conclusion:
            lines += ["", f"→ {part.conclusion}."]
    valid = (*derivation.valid, *_assumptions(derivation))
    if valid:
        lines += ["", "**Valid when** " + "; ".join(valid) + "."]
    if derivation.infinite_labels:
        lines += ["", f"**Beyond finitely many labels.** {derivation.infinite_labels}"]
    if derivation.reference:
        lines += ["", f"**Reference.** {derivation.reference}"]
    return "\n".join(lines) + "\n"


def _cell(words: str) -> str:
    # A bar would end the cell of a Markdown table.
    return words.replace("|", r"\|")


def as_latex(derivation: Derivation) -> str:
    """A section for a LaTeX document that loads amsmath."""
    claim = CLAIMS[derivation.claim]
    lines = [
        rf"\section{{\texttt{{{_escape(claim.id)}}}: {derivation.verdict}}}",
        rf"\textbf{{Claim.}} {_escape(claim.statement)}.",
        "",
        rf"\textbf{{Finding.}} {_escape(derivation.finding)}.",
    ]
    for part in derivation.parts:
        lines += [rf"\paragraph{{{_escape(part.title)} ({part.verdict})}}"]
        if isinstance(part, Proof):
            lines += [r"\begin{align*}", rf"  & {latex(part.start)} \\"]
            lines += [
                rf"  ={{}} & {latex(step.after)} && \text{{{_escape(step.rule)}}} \\"
                for step in part.steps
            ]
            lines += [r"\end{align*}"]
        else:
            claimed, actual = part.values
            lines += [
                f"{_escape(part.setting)}. Claimed ${latex(claimed)}$, actual ${latex(actual)}$."
            ]
        if part.conclusion:
            lines += [f"{_escape(part.conclusion)}."]
    return "\n".join(lines) + "\n"


def latex_document(derivations: Iterable[Derivation]) -> str:
    """A document that any LaTeX engine reads."""
    head = [
        r"\documentclass{article}",
        r"\usepackage{amsmath}",
        r"\allowdisplaybreaks",
        r"\begin{document}",
    ]
    body = [as_latex(derivation) for derivation in derivations]
    return "\n".join([*head, "", *body, r"\end{document}"]) + "\n"


def page(derivations: Iterable[Derivation]) -> str:
    """Some derivations in Markdown."""
    return "\n".join(map(as_markdown, derivations))


#: Mathematics in words, for engines that do not read Unicode.
_SYMBOLS = {
    "Σ": r"\sum",
    "∂": r"\partial ",
    "⊥": r"\bot ",
    "≤": r"\le ",
    "≥": r"\ge ",
    "≠": r"\ne ",
    "→": r"\to ",
    "∞": r"\infty ",
    "∫": r"\int ",
    "√": r"\surd ",
    "·": r"\cdot ",
    "²": "^2",
    "³": "^3",
    "⁻": "^-",
    "¹": "^1",
    "ⁿ": "^n",
    "₀": "_0",
    "₁": "_1",
    "₂": "_2",
    "ₐ": "_a",
    "ₑ": "_e",
    "α": r"\alpha ",
    "δ": r"\delta ",
    "ε": r"\varepsilon ",
    "θ": r"\theta ",
    "λ": r"\lambda ",
    "μ": r"\mu ",
    "π": r"\pi ",
    "ν": r"\nu ",
    "ρ": r"\rho ",
    "σ": r"\sigma ",
    "τ": r"\tau ",
    "φ": r"\varphi ",
}


#: Letters that mean something to LaTeX, and how it writes them.
_QUOTED = {letter: "\\" + letter for letter in "_&%#${}"} | {
    "\\": r"\textbackslash{}",
    "^": r"\^{}",
    "~": r"\~{}",
}


def _escape(words: str) -> str:
    """Words for LaTeX: its special characters quoted, Unicode mathematics as commands."""
    commands = {letter: f"${command.strip()}$" for letter, command in _SYMBOLS.items()}
    return "".join((_QUOTED | commands).get(letter, letter) for letter in words)


def ledger(derivations: Iterable[Derivation]) -> str:
    """The page of all claims with their verdicts, for the documentation."""
    derivations = list(derivations)
    lines = [
        "# The ledger",
        "",
        "Written by `gradproof derive --markdown docs/ledger.md`; do not edit. Every step below "
        "was checked by the program that wrote it.",
        "",
        "| claim | verdict | finding |",
        "|---|---|---|",
    ]
    lines += [
        f"| [{one.claim}](#{_anchor(one)}) | {one.verdict} | {_cell(one.finding)} |"
        for one in derivations
    ]
    lines += ["", "Rules that a step may name:", "", "| rule | says |", "|---|---|"]
    lines += [f"| {rule.name} | {rule.says} |" for rule in RULES.values()]
    return "\n".join(lines) + "\n\n" + page(derivations)


def _anchor(derivation: Derivation) -> str:
    heading = f"{derivation.claim}: {derivation.verdict}".lower()
    return "".join(
        letter for letter in heading.replace(" ", "-") if letter.isalnum() or letter in "-_"
    )
