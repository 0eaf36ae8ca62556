"""What labels cost: planted errors, and the formulas by counting."""

import numpy as np
import pytest

from gradproof.derivations.cost_labels import ONE, c_1, c_2
from gradproof.derivations.kernel.derivation import REFUTED
from gradproof.derivations.kernel.expressions import K
from gradproof.derivations.registry import derivation

COSTS = {"shared": 7.0, "softmax": 2.0, "loss": 30.0}


def counted(labels, draws):
    """Operations of a sentence, one label after the other."""
    spent = COSTS["shared"]
    for label in range(labels):
        spent += COSTS["softmax"]
        spent += COSTS["loss"] if label < draws else 0.0
    return spent


def test_the_verdict():
    """The same cost for any number of labels is refuted."""
    assert derivation("cost.labels").verdict == REFUTED


def test_a_sampled_step_that_does_not_grow_is_found(planted):
    """The softmax is there."""
    planted("cost.labels", "one label more costs a sampled step c₁", 1, after=0 * c_1)


def test_a_draw_that_pays_every_loss_is_found(planted):
    """One draw has one loss."""
    title = "one draw pays the softmax for every label, the loss for one"
    planted("cost.labels", title, 0, after=ONE + (K - 1) * c_2)


def test_a_sum_over_labels_is_counted(planted):
    """K equal terms are K times one by counting, not by linearity."""
    title = "enumeration pays softmax and loss for every label"
    planted("cost.labels", title, 0, rule="linearity of the sum")


@pytest.mark.parametrize("labels", [1, 2, 17])
def test_operations_by_counting(labels):
    """All labels, some, and their ratio."""
    found = derivation("cost.labels")
    every = found.further["enumeration"](labels=labels, **COSTS)
    one = found.further["sampled"](labels=labels, draws=1, **COSTS)
    assert every == counted(labels, labels)
    assert one == counted(labels, 1)
    # Whole numbers on either side, and one division.
    np.testing.assert_array_equal(found.oracle(labels=labels, **COSTS), every / one)


def test_the_ratio_for_many_labels():
    """(c₁ + c₂)/c₁ with a softmax, and K without."""
    ratio = derivation("cost.labels").oracle
    limit = (COSTS["softmax"] + COSTS["loss"]) / COSTS["softmax"]
    # What is missing falls as 1/K, and is some twenty of it.
    assert ratio(labels=1e9, **COSTS) == pytest.approx(limit, rel=2e-7)
    assert ratio(labels=50, shared=0.0, softmax=0.0, loss=30.0) == 50.0


def test_the_best_number_of_draws():
    """No other number has a lower product of cost and variance."""
    found, between, by_label, labels = derivation("cost.labels"), 1.0, 40.0, 100
    best = float(found.further["draws"](labels=labels, between=between, by_label=by_label, **COSTS))

    def product(draws):
        cost = found.further["sampled"](labels=labels, draws=draws, **COSTS)
        return float(cost * (between + by_label / draws))

    assert product(best) < min(product(best * 0.99), product(best * 1.01))
