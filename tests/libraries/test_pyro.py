"""Pyro 1.9.2, with a guide that draws a label: the ELBOs are right, RenyiELBO is not."""

import pytest

SECTION = "Pyro"
NEEDS = ("torch", "pyro")

pytestmark = pytest.mark.libraries


def test_rows(row, check, as_printed):
    """Each verdict and share of the table.

    Holds: Trace_ELBO, and TraceGraph_ELBO with and without its decaying-average baseline, at the
    first step and later. Refuted: RenyiELBO, whose gradient is not that of its loss.
    """
    as_printed(row, check(row.call))


def test_the_decaying_average_lowers_the_variance(check):
    """From 4.105 to 2.744 at the third step, without a bias: the average is that of the past."""
    found = [
        check(f"check(TraceGraph_ELBO(), DECAYING, steps={steps})").total_variance
        for steps in (1, 3)
    ]
    assert found == pytest.approx([4.105, 2.744], abs=5e-4)  # as printed


def test_a_guide_under_iwae_learns_nothing(check):
    """RenyiELBO(alpha=0) leaves 0 in a guide that draws labels, on every path."""
    found = check("check(RenyiELBO(alpha=0, num_particles=2))")
    assert not found.mean["logits"].any()
    assert found.total_variance == 0.0
    assert abs(found.exact["logits"]).max() > 0.1
