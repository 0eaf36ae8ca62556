"""NumPyro 0.22.0, with a guide that draws a label: TraceGraph_ELBO is right, others are not."""

import pytest

SECTION = "NumPyro"
NEEDS = ("jax", "numpyro")

pytestmark = pytest.mark.libraries


def test_rows(row, check, as_printed):
    """Each verdict and share of the table.

    Holds: TraceGraph_ELBO. Refuted: Trace_ELBO (mean zero; documented as being for
    reparameterised draws) and RenyiELBO (the opposite sign), neither of which says so when run.
    """
    as_printed(row, check(row.call))


def test_trace_elbo_has_mean_zero_and_noise(check):
    """What is left of the gradient is the score alone: its mean is 0, its variance is not."""
    found = check("check(Trace_ELBO())")
    (mean,) = found.mean.values()
    assert abs(mean).max() < 1e-12  # some hundred roundings
    assert found.total_variance > 0.5
