"""No tolerance without its reason: this reads every test and names the line that has none.

A reason is a comment on the line or right above it, or the constant that the tolerance is.
"""

import ast
import io
import textwrap
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent

TOLERANCES = frozenset({"rtol", "atol", "rel", "abs", "rel_tol", "abs_tol"})

#: What a call has to say, or it is a tolerance that nobody chose: one of each group.
CHOSEN = {
    "approx": [{"rel", "abs"}],
    "assert_allclose": [{"rtol"}],
    "allclose": [{"rtol"}, {"atol"}],
    "isclose": [{"rtol", "rel_tol", "abs_tol"}],
}


def commented(source: str) -> set[int]:
    """The lines that a comment stands on."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0] for token in tokens if token.type == tokenize.COMMENT}


def is_literal(value: ast.expr) -> bool:
    """Whether a number is written in it, other than zero, which allows nothing."""
    return any(
        isinstance(part, ast.Constant) and isinstance(part.value, int | float) and part.value != 0
        for part in ast.walk(value)
    )


def bare(call: ast.Call) -> Iterator[tuple[int, str]]:
    """Line and word of each tolerance in a call that only a reason could make one of."""
    for keyword in call.keywords:
        if keyword.arg in TOLERANCES and is_literal(keyword.value):
            yield keyword.value.lineno, f"{keyword.arg}="
    name = getattr(call.func, "attr", getattr(call.func, "id", None))
    given = {keyword.arg for keyword in call.keywords}
    if None not in given and any(not given & group for group in CHOSEN.get(name, ())):
        yield call.lineno, f"{name} by default"


def unexplained(source: str, path: str) -> list[str]:
    """File, line and word of each tolerance that has no reason."""
    reasons = commented(source)
    found = {
        (line, word)
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call)
        for line, word in bare(call)
        if not {line, line - 1} & reasons
    }
    return [f"{path}:{line}: {word}" for line, word in sorted(found)]


def test_every_tolerance_has_its_reason() -> None:
    """In all files of tests; and there are some, so that nothing is not what was read."""
    files = sorted(TESTS.rglob("*.py"))
    assert len(files) > 50
    found = []
    for file in files:
        found += unexplained(file.read_text(encoding="utf-8"), str(file.relative_to(TESTS)))
    assert not found, (
        "without a reason on the line or above it:\n"
        + "\n".join(found)
        + "\nCompare exactly, derive the bound, or give it a name and the reason there."
    )


BAD = """
    def test_it():
        assert found == pytest.approx(1.0, rel=1e-9)

        np.testing.assert_allclose(
            found,
            expected,
            atol=2.0 * size,
            rtol=0.0,
        )
        assert math.isclose(found, 1.0, rel_tol=1e-9)
        assert found == pytest.approx(1.0)
        np.testing.assert_allclose(found, expected, atol=ROUNDING)
        assert torch.allclose(found, expected, rtol=ROUNDING)
"""

GOOD = """
    #: A few roundings.
    ROUNDING = 1e-14

    def test_it():
        assert found == pytest.approx(1.0, rel=ROUNDING, abs=0.0)
        assert found == pytest.approx(1.0, rel=1e-9)  # a sum in another order
        # Three roundings of the largest.
        np.testing.assert_allclose(found, expected, rtol=0.0, atol=6.7e-16 * size)
        np.testing.assert_allclose(found, expected, **CLOSE)
        assert torch.allclose(found, expected, rtol=ROUNDING, atol=0.0)
        assert abs(found) == number(rel_of=3.0)
"""


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            BAD,
            ["3: rel=", "8: atol=", "11: rel_tol=", "12: approx by default",
             "13: assert_allclose by default", "14: allclose by default"],
        ),
        (GOOD, []),
    ],
    ids=["bad", "good"],
)  # fmt: skip
def test_what_is_planted_is_found(source: str, expected: list[str]) -> None:
    """Each of the bad lines by its number, and none of the good ones."""
    found = unexplained(textwrap.dedent(source), "planted.py")
    assert found == [f"planted.py:{line}" for line in expected]
