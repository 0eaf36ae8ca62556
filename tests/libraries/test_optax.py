"""optax 0.2.6, the last with control variates: the estimator is right, its baseline is not."""

import pytest

SECTION = "optax"
NEEDS = ("jax", "optax")

pytestmark = [
    pytest.mark.libraries,
    # All of optax.monte_carlo was deprecated before it was removed.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


def test_rows(row, check, as_printed):
    """Each verdict and share of the table.

    Holds: score_function_jacobians. Refuted: control_variates_jacobians with moving_avg_baseline,
    whose state takes in the samples before it is subtracted from their costs.
    """
    as_printed(row, check(row.call))


def test_first_step(check):
    """With the defaults and one sample the first step is 0 on every path, not in the mean only."""
    found = check("check()")
    assert not found.mean["gradient"].any()
    assert found.total_variance == 0.0


@pytest.mark.parametrize(("decay", "samples"), [(0.9, 1), (0.9, 2), (0.5, 1)])
def test_share_without_the_early_rules(check, decay, samples):
    """The mean is 1 - (1-d)/N of the gradient, from the first step on."""
    found = check(
        f"check(samples={samples}, decay={decay}, zero_debias=False, "
        "use_decay_early_training_heuristic=False)"
    )
    share = 1.0 - (1.0 - decay) / samples
    mean, exact = found.mean["gradient"], found.exact["gradient"]
    assert mean == pytest.approx(share * exact, rel=1e-12)  # some hundred roundings
