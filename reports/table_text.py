"""A table of estimators in Markdown, and in LaTeX for a paper."""

from __future__ import annotations

import re

from gradproof.checks.section import SectionTable

#: What LaTeX reads as something else, and how it is written.
LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip

#: A number with an exponent, as Python writes it.
POWER = re.compile(r"^(-?[\d.]+)e([+-]\d+)$")

#: Columns of words; the others are of numbers, on the right.
WORDS = 2


def markdown(table: SectionTable) -> str:
    """As Markdown: names on the left, numbers on the right."""
    count = len(table.columns)
    rules = ["---"] * min(WORDS, count) + ["---:"] * max(count - WORDS, 0)
    rows = [table.columns, tuple(rules), *(tuple(map(_in_markdown, row)) for row in table.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def latex(table: SectionTable) -> str:
    """As LaTeX, with the rules of the package booktabs."""
    count = len(table.columns)
    lines = [
        rf"\begin{{tabular}}{{{'l' * min(WORDS, count)}{'r' * max(count - WORDS, 0)}}}",
        r"\toprule",
        f"{' & '.join(map(_in_latex, table.columns))} \\\\",
        r"\midrule",
        *(f"{' & '.join(map(_in_latex, row))} \\\\" for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _in_markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]|<>])", r"\\\1", text)


def _in_latex(text: str) -> str:
    power = POWER.match(text)
    if power:
        return rf"${power[1]} \cdot 10^{{{int(power[2])}}}$"
    if text.startswith("-") and text[1:].replace(".", "").isdigit():
        return f"${text}$"
    return "".join(LATEX.get(letter, letter) for letter in text)
