"""What tests of derivations share: an error, planted in one step."""

import dataclasses

import pytest

from gradproof.derivations.kernel.derivation import Proof, StepFails
from gradproof.derivations.registry import derivation


@pytest.fixture
def planted():
    """Change one step of one part, and require a message that names the part, step and rule."""

    def check(claim, title, number, **changes):
        found = derivation(claim)
        proofs = [part for part in found.parts if isinstance(part, Proof)]
        (part,) = [proof for proof in proofs if proof.title == title]
        steps = list(part.steps)
        # From the end as well: the last step is the one with the number -1.
        steps[number] = dataclasses.replace(steps[number], **changes)
        where = range(1, len(steps) + 1)[number]
        given = {left: right for proof in proofs for left, right in proof.given.items()}
        broken = dataclasses.replace(part, steps=tuple(steps))
        with pytest.raises(StepFails) as caught:
            broken.check(claim, given)
        message = str(caught.value)
        assert claim in message
        assert repr(title) in message
        assert f"step {where} ({steps[number].rule})" in message

    return check
