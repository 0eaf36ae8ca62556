"""Storchastic 0.3.7: its score function is right, and one of its two baselines is not."""

import numpy as np
import pytest

SECTION = "Storchastic"
NEEDS = ("torch", "storch")

pytestmark = [
    pytest.mark.libraries,
    pytest.mark.filterwarnings("ignore"),  # its last release is of 2022
]


def test_rows(row, check, as_printed):
    """Each verdict and share of the table.

    Holds: ScoreFunction alone, and with BatchAverageBaseline (leave-one-out). Refuted:
    MovingAverageBaseline, which takes in the costs that it is then subtracted from.
    """
    as_printed(row, check(row.call))


@pytest.mark.parametrize(("decay", "samples"), [(0.95, 1), (0.95, 4), (0.8, 2), (0.0, 2)])
def test_share_of_the_moving_average(check, decay, samples):
    """The mean is 1 - (1-d)/N of the gradient: (1-d)/N of each cost is taken from itself."""
    found = check(f"check('moving_average', samples={samples}, exponential_decay={decay})")
    # The decay is kept in single precision.
    share = 1.0 - (1.0 - float(np.float32(decay))) / samples
    mean, exact = found.mean["gradient"], found.exact["gradient"]
    assert mean == pytest.approx(share * exact, rel=1e-12)  # some hundred roundings


def test_leave_one_out_lowers_the_variance(check):
    """From 1.864 to 1.110 with two samples, without a bias."""
    alone, with_others = check("check(samples=2)"), check("check('batch_average', samples=2)")
    assert alone.total_variance == pytest.approx(1.864, abs=5e-4)  # as printed
    assert with_others.total_variance == pytest.approx(1.110, abs=5e-4)


def test_weights_in_single_precision(check):
    """A third of three samples is 1/3 in single precision: 3e-8 too much, and nothing else."""
    found = check("check(samples=3)")
    mean, exact = found.mean["gradient"], found.exact["gradient"]
    share = 3.0 * float(np.float32(1 / 3))
    assert mean == pytest.approx(share * exact, rel=1e-12)  # some hundred roundings
    assert found.verdict == "refuted"
