"""Rules, one by one, on expressions that they must change and that they must leave alone."""

import pytest
import sympy as sp

from gradproof.derivations.kernel.expressions import D, StopGradient, e, k, q, w
from gradproof.derivations.kernel.rules import RULES

f = sp.Function("f", real=True)(k, e)
u = sp.Symbol("u", real=True)

#: By rule: what it makes of an expression; the same where it has no business there.
CASES = {
    "independence": [
        (D(f, u), sp.S.Zero),
        (D(f, w), sp.S.Zero),
        (D(f, e), D(f, e)),
        (D(q, e), D(q, e)),
        (D(q, w), D(q, w)),
        (D(sp.log(q), w), D(sp.log(q), w)),
        (D(q, u), sp.S.Zero),
    ],
    "held constant": [
        (D(StopGradient(q), e), sp.S.Zero),
        (D(q, e), D(q, e)),
        (D(StopGradient(q) * q, e), D(StopGradient(q) * q, e)),
    ],
    "log-derivative": [
        (D(q, e), q * D(sp.log(q), e)),
        (D(f, e), D(f, e)),
    ],
    "product rule": [
        (D(f * q, e), f * D(q, e) + q * D(f, e)),
        (D(f, e), D(f, e)),
    ],
}


@pytest.mark.parametrize(
    ("rule", "given", "expected"),
    [
        pytest.param(rule, *pair, id=f"{rule}: {pair[0]}")
        for rule, pairs in CASES.items()
        for pair in pairs
    ],
)
def test_a_rule_does_what_it_says_and_no_more(rule, given, expected):
    """Written out by hand."""
    found = RULES[rule].rewrite(given, {})
    assert sp.expand(found - expected) == 0
