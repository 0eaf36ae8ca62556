"""The variance against a constant baseline, as a figure for a paper."""

from __future__ import annotations

from typing import Any

from gradproof.checks.evidence import Curve

#: Told apart by the colour-blind, and in grey by their dashes (Okabe and Ito, 2008).
STYLES = {
    "all": ("#000000", "-", "all parameters"),
    "e": ("#0072B2", "--", "e, shared"),
    "w": ("#D55E00", "-.", "w, classifier"),
    "phi": ("#009E73", ":", "φ, inference"),
    "theta": ("#CC79A7", (0, (1, 3)), "θ, generation"),
}


def draw(axes: Any, curve: Curve, *, own: float | None = None, title: str = "") -> Any:
    """Draw a curve with its best baseline, the interval in which one helps, and the floor.

    Args:
        axes: of matplotlib; returned.
        own: the mean of a baseline that is looked at, to be marked.
    """
    low, high = sorted((0.0, curve.limit))
    axes.axvspan(low, high, color="0.92", zorder=0, label="a baseline helps")
    for name, values in curve.variances.items():
        colour, dashes, label = STYLES.get(name, ("0.4", "-", name))
        width = 2.0 if name == "all" else 1.2
        # A group that no label reaches does not depend on B, and 0 has no place on a log axis.
        if values.min() > 0.0:
            axes.plot(
                curve.baselines, values, color=colour, linestyle=dashes, label=label, lw=width
            )
    axes.axhline(curve.per_sentence, color="0.4", lw=0.8, label="best B of each sentence")
    axes.plot(
        [curve.best], [curve.least], "o", color="black", label=f"best constant, {curve.best:.3g}"
    )
    if own is not None:
        axes.axvline(own, color="#E69F00", lw=1.5, label=f"yours, {own:.3g} on average")
    axes.set_yscale("log")
    axes.set_xlabel("constant baseline B, in nats")
    axes.set_ylabel("variance of the gradient, summed")
    axes.set_title(title)
    axes.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    return axes
