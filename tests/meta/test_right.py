"""The scene itself is right: without a bug, every check finds in it what is on record."""

import pytest

from gradproof.checks.evidence import HOLDS

from .plant import held_checks, kinds_of

PLACES = [(check, kind) for check in held_checks() for kind in kinds_of(check)]


@pytest.mark.parametrize(("check", "kind"), PLACES)
def test_without_a_bug_it_holds(scene, check, kind):
    """What refutes a planted bug is the bug: the same check on the same subject holds without."""
    found = scene.run(check, kind)
    assert not found.crash, found.explain()
    assert found.verdict == HOLDS, found.explain()
    assert found.comparisons > 0
