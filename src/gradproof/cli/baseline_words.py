"""What ``gradproof baseline`` says of a report, in lines and a table."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from gradproof.checks.evidence import COARSEST, HOLDS, REFUTED, UNDECIDED, Evidence
from gradproof.checks.note.baseline_report import ADVICE, MEANS, ROUNDS, BaselineReport
from gradproof.checks.note.baseline_states import EACH

#: A share of a sentence's own loss that is rounding: some units in the last place.
NOTHING = 1e-14

#: What a search by examples cannot show.
NOT_SEARCHED = (
    "Not searched: a leak at single losses or in a narrow range of them, at other numbers of "
    "sentences, at updates in between, after other histories, or in one of thousands of calls, if "
    "B draws random numbers"
)

#: A variance that is this many times as large is said to be raised so many fold, not by so many %.
FOLD = 2.0


def meanings(finding: BaselineReport) -> list[str]:
    """For each row of the table, what was looked at."""
    width = max(len(found.variant) for found in finding.evidence)
    return [f"{found.variant:{width}}  {found.statement}" for found in finding.evidence]


def troubles(finding: BaselineReport) -> list[str]:
    """For each verdict that is not as it should be: where, by how much, and what to do."""
    lines = []
    for found in finding.evidence:
        if found.verdict == HOLDS:
            continue
        if found.verdict == UNDECIDED:
            lines.append(f"{found.variant}, undecided: {_undecided(finding, found)}")
            continue
        what = found.note or f"{found.worst} is off by {found.error:.3g}"
        advice = [f"{ADVICE[found.variant]}."]
        if found.variant.startswith("own-draw"):
            advice = [*contents(finding), *advice]
        lines.append("\n  ".join([f"{found.variant}, refuted: {what}.", *advice]))
    return lines


def _undecided(finding: BaselineReport, found: Evidence) -> str:
    if found.crash:
        return f"{found.crash}.\n  {ADVICE[found.variant]}."
    if found.variant in MEANS and finding.looked.cases and _too_large(finding):
        largest = float(abs(finding.values).max())
        enough = largest * COARSEST / found.resolution
        return (
            f"B is {largest:.3g}, too large to resolve: rounding of R - B would hide an error of "
            f"{COARSEST:.0%} in {len(found.unresolved)} of the parameters.\n  This says nothing of "
            f"a bias; below about {enough:.1g} it could be seen, and so large a B helps nowhere."
        )
    ratio = found.error / found.bound if found.bound else 0.0
    if ratio > 1.0:
        return (
            f"{found.worst} is off by {found.error:.3g}, {ratio:.1f} times what rounding explains: "
            "too little to tell.\n  It follows from what is refuted above, or try another --seed."
        )
    if found.variant in MEANS and finding.looked.rounded and _hides_entries(found):
        return (
            f"rounding of B, which loses digits, would hide an error of {COARSEST:.0%} in "
            f"{len(found.unresolved)} of the parameters.\n  This says nothing of a bias; keep more "
            "digits, in double precision say, and it could be seen."
        )
    reason = found.unresolved[0] if found.unresolved else found.worst
    if finding.looked.rounded and reason.startswith("B of sentence"):
        return (
            "rounding of B, which loses digits, would hide that it follows its own loss "
            f"by {COARSEST:.0%}.\n  This says nothing of a leak; keep more digits, in double "
            "precision say, and it could be seen."
        )
    for subject in found.subjects:
        reason = reason.partition(f" of {subject}")[0]
    return f"{reason}.\n  {ADVICE[found.variant]}."


def _hides_entries(found: Evidence) -> bool:
    """Whether it is entries of the gradient that are open, and not the mean as a whole."""
    return any(not each.startswith("the mean") for each in found.unresolved)


def _too_large(finding: BaselineReport) -> bool:
    """Whether all that is open is what rounding hides in the mean, by the size of B."""
    size = float(abs(finding.best).max())
    return float(abs(finding.values).max()) > 1e4 * max(size, 1.0)  # up to there means resolve


def contents(finding: BaselineReport) -> list[str]:
    """What B contains of its own loss, and which attributes a call changes."""
    shares = {
        n: share for n, share in finding.shares.items() if share is None or abs(share) > NOTHING
    }
    lines = []
    parts = {n: share for n, share in shares.items() if share is not None}
    if parts and len(parts) == len(shares) == len(finding.shares):
        one = parts[min(parts)] * min(parts)
        if all(abs(share * n - one) <= 1e-3 * abs(one) for n, share in parts.items()):
            part = "1/N" if abs(one - 1.0) < 1e-3 else f"{one:.3g}/N"  # three digits are printed
            lines.append(
                f"Of N sentences it contains {part} of its own loss: the score term keeps 1 - "
                f"{part} of it."
            )
        elif max(parts.values()) - min(parts.values()) <= 1e-3 * max(map(abs, parts.values())):
            lines.append(
                f"It contains {parts[min(parts)]:.3g} of its own loss: the score term keeps 1 - "
                f"{parts[min(parts)]:.3g} of it."
            )
    if not lines and parts:
        each = ", ".join(f"{share:.3g} of {n}" for n, share in parts.items())
        lines.append(f"Of its own loss it contains, by the number of sentences: {each}.")
    if finding.changed:
        names = ", ".join(finding.changed)
        lines.append(
            f"The call itself changes {names}: that is an update before B is subtracted. Move it "
            "into update(x, losses), which is called after the step."
        )
    return lines


def variance_table(finding: BaselineReport) -> Table:
    """Variances by group: without a baseline, with it, and with the best one."""
    table = Table()
    for column in ("group", "none", finding.name, "best", "of the removable"):
        table.add_column(column, justify="left" if column == "group" else "right")
    rows = {each.group: (each.none, each.own, each.best) for each in finding.variances}
    none, own, best = map(sum, zip(*rows.values(), strict=True))
    for group, (*numbers,) in (rows | {"all": (none, own, best)}).items():
        table.add_row(Text(group), *(f"{number:.4g}" for number in numbers), _share(*numbers))
    return table


def _share(none: float, own: float, best: float) -> str:
    # Without labels in it a group has no part that a baseline could remove; rounding remains.
    if none - best <= ROUNDS * none:
        return "-"
    share = (none - own) / (none - best)
    if share < -1.0:  # a share of what could be removed says little of what was added
        return f"raised {fold(own / none)}"
    return f"{100.0 * share:.1f} %"


def fold(factor: float) -> str:
    """So many fold, or by so many per cent where that is less than twice."""
    if factor < FOLD:
        return f"by {100.0 * (factor - 1.0):.3g} %"
    if factor < 1e3:
        return f"{factor:.3g}-fold"
    return f"{factor:,.0f}-fold" if factor < 1e9 else f"{factor:.3g}-fold"


def places(finding: BaselineReport) -> list[str]:
    """Where B lies in the interval in which a baseline helps, sentence by sentence."""
    lines = []
    rows = zip(finding.values, finding.best, finding.factors, strict=True)
    for row, (value, best, factor) in enumerate(rows):
        low, high = sorted((0.0, 2.0 * float(best)))
        does = "helps" if low < value < high else f"raises the variance {fold(factor)}"
        if value == 0.0:
            does = "changes nothing"
        lines.append(
            f"sentence {row}: B = {value:.4g} {does}; it helps between {low:.4g} and {high:.4g}, "
            f"most at {best:.4g}"
        )
    return lines


def noise_words(finding: BaselineReport) -> list[str]:
    """What random numbers of its own cost, if it draws any."""
    if not finding.noise.any():
        return []
    added = sum(each.noise for each in finding.variances)
    none = sum(each.none for each in finding.variances)
    deviations = ", ".join(f"{each:.3g}" for each in finding.noise)
    return [
        f"B draws random numbers of its own, of standard deviation {deviations} (by sentence, "
        f"estimated): they do not depend on the label, bias nothing, and add {added:.4g} to the "
        f"variance, {100.0 * added / none:.3g} % of that without a baseline"
        if finding.verdict != REFUTED
        else f"B draws random numbers of its own, of standard deviation {deviations} (by sentence)"
    ]


def looked_at(finding: BaselineReport) -> str:
    """What the search has looked at, in one paragraph."""
    looked = finding.looked
    kinds = ", ".join(f"{kind} {count}" for kind, count in looked.cases.items())
    states = "fresh"
    if looked.updates:
        states += f", after 1 to {looked.updates:,} updates"
        if looked.updates > EACH:
            states += f" (each of the first {EACH}, then now and then)"
        states += ", on usual and unusual losses"
    if any("resumed" in state for state in looked.states):
        states += ", stored and read again"
    numbers = ", ".join(map(str, looked.sentences))
    text = (
        f"Looked at {sum(looked.cases.values()):,} batches in which one sentence's loss takes "
        f"other values, from {looked.losses[0]:.3g} to {looked.losses[1]:.3g}, by kind of losses: "
        f"{kinds}; of {numbers} sentences, of 1 to {looked.longest:,} tokens; {states}"
    )
    if looked.smallest < COARSEST:
        text += f". A leak of {looked.smallest:.1g} of a sentence's own loss would be seen"
    if looked.rounded:
        text += (
            f". B loses digits: rounding moves it by up to {looked.rounded:.1g} of the largest "
            "loss, and a leak that comes at once and is no larger would not be seen"
        )
    if looked.limits:
        text += f". Not looked at where it fails beyond the text: {looked.limits[0]}"
        if len(looked.limits) > 1:
            text += f", and {len(looked.limits) - 1} more such places"
    return f"{text}. {NOT_SEARCHED}"


def effect(finding: BaselineReport) -> str:
    """What B does to the variance of all groups together, and where a constant helps."""
    return _effect(finding) + after(finding)


def after(finding: BaselineReport) -> str:
    """After how many steps of learning its variance was looked at, if it learns."""
    return f", after {finding.learned:,} steps of learning" if finding.learned else ""


def _effect(finding: BaselineReport) -> str:
    factor = finding.factor
    low, high = finding.helps_between
    if finding.helps:
        return f"lowers the variance by {100.0 * (1.0 - factor):.3g} %"
    if abs(factor - 1.0) <= ROUNDS or factor != factor:
        return "leaves the variance as it is"
    between = f"a constant helps only between {low:.3g} and {high:.3g}"
    return f"raises the variance {fold(factor)}; {between}"


def summary(finding: BaselineReport) -> str:
    """One line: may it be used, does it help, and what is wrong."""
    wrong = [each.variant for each in finding.evidence if each.verdict == REFUTED]
    open_ = [each.variant for each in finding.evidence if each.verdict == UNDECIDED]
    if finding.usable:
        return f"{finding.name} may be used: the mean stays, and it {effect(finding)}"
    if wrong:
        return f"{finding.name} may not be used: {', '.join(wrong)}"
    return (
        f"{finding.name} is undecided ({', '.join(open_)}): nothing was refuted, and it "
        f"{effect(finding)}"
    )
