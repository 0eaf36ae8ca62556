"""What a drawn number is known to lie between, and how a comparison narrows it down.

A cell is a pair, in a list or in a row of an array, of what the uniform number lies between: at
first 0 and 0, where 0 stands for 1 above, so that cells are zeros before they are written to. The
upper end is negative where the number was compared with others, of which no cell can tell.
"""

from __future__ import annotations

from typing import Any, NoReturn

from .outcomes import Coin
from .run import Run, UnsupportedDraw


def decide(run: Run, what: str, cell: Any, edge: float, step: float) -> bool:
    """Whether a number is below an edge, which is drawn if it is not known.

    Args:
        what: drew it.
        step: from 1 to the next number, of the edge.

    Raises:
        UnsupportedDraw: for a number that was compared with others, and one of a run that is over.
    """
    low, high = cell
    high = high or 1.0
    if low < edge < high:
        check_under_way(run, what)
        below = run.choose_alike(Coin(what, float((edge - low) / (high - low)), step)) == 1
        cell[1 if below else 0] = edge
        return below
    if high < 0.0:
        refuse(what, "it is compared again after it was compared with others")
    return bool(edge >= high)  # which a NaN is not


def note_order(cell: Any) -> None:
    """A number was compared with others: what it lies between says no longer all of it."""
    if cell[1] >= 0.0:
        cell[1] = -(cell[1] or 1.0)


#: Classes of such numbers in NumPy and Python, as the errors of code in C name them.
#: JAX names what it asked them for.
NAMES = ("LazyArray", "UniformNumber", "UniformNumbers", "UniformEntry", "__jax_array__")

#: The last draw of such numbers, in what a run remembers.
LAST = "last draw of a continuous number"


def refuse_if_named(run: Run, error: Exception) -> None:
    """An error of code in C, such as PyTorch's, that takes no such numbers, is a refusal of them.

    So is one that says that numbers which are integrated are not to be written to.

    Raises:
        UnsupportedDraw: if the error names one.
    """
    if LAST in run.memory and run.quadrature is not None and "read-only" in str(error):
        refuse_writing(run.memory[LAST])
    if LAST in run.memory and any(name in str(error) for name in NAMES):
        refuse(run.memory[LAST], f"by what says {type(error).__name__}: {error!s:.80}")


def check_under_way(run: Run, what: str) -> None:
    """Raises: UnsupportedDraw for numbers that are kept from a run that has ended."""
    if run.over:
        raise UnsupportedDraw(
            f"{what}() was drawn in one run and is compared after it has ended: "
            "its outcomes are not those of a draw there; draw it anew in each run"
        )


def refuse(what: str, how: str) -> NoReturn:
    """Code needs more of a number than comparisons.

    Raises:
        UnsupportedDraw: always.
    """
    raise UnsupportedDraw(
        f"{what}() is used other than compared ({how}): its outcomes cannot be enumerated; "
        "compare it with a probability, draw from finitely many outcomes, by choice, "
        "multinomial, binomial or bernoulli, or integrate it (integrate=1e-6)"
    )


def refuse_writing(what: str) -> NoReturn:
    """Code writes to an array of drawn numbers that are integrated.

    Raises:
        UnsupportedDraw: always.
    """
    raise UnsupportedDraw(
        f"{what}() is written to in place, which what else is made of its numbers would not see; "
        "write to a copy, np.array(x), or make a new one, x = x + 1"
    )
