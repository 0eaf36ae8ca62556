"""The catalogue of estimators: each is what its row says, and a check of its mean sees that."""

import collections
import dataclasses
import re

import numpy as np
import pytest

from gradproof.checks.benchmark.bugs import ROWS
from gradproof.checks.benchmark.fixes import FIXES
from gradproof.checks.benchmark.not_by_mean import PEERS
from gradproof.checks.evidence import DIFFERS, HOLDS, PROPORTIONAL, REFUTED, UNDECIDED, ZERO
from gradproof.checks.user.estimator import check_estimator
from gradproof.estimators.enumeration.run import UnsupportedDraw

#: A bias below this share of the gradient would show less than its row says.
SMALLEST = 0.01

#: Bugs that leave no number at all.
NOT_A_NUMBER = {"masked-by-product"}

#: Bugs that are small beside the rest of the gradient, and large in the entries that have them.
SMALL_BESIDE_OTHERS = {"small-head-halved"}

#: Bugs that are none in the first run, and all the worse later.
RIGHT_ONCE = {"gradients-add-up"}


def cases(*, of=lambda row: True):
    """Rows as parameters, each with the mark of its framework."""
    found = [
        pytest.param(row, id=key, marks=pytest.mark.torch if row.framework == "torch" else ())
        for key, row in ROWS.items()
        if of(row)
    ]
    assert found
    return found


def checked(row):
    """What a check of a row's mean finds."""
    problem = row.make()
    return check_estimator(problem.estimate, problem.inputs, name=row.id, **problem.options())


def bias(found):
    """The mean's distance from the gradient, as a share of it."""
    off = [np.ravel(found.mean[key] - value) for key, value in found.exact.items()]
    size = [np.ravel(value) for value in found.exact.values()]
    return np.linalg.norm(np.concatenate(off)) / np.linalg.norm(np.concatenate(size))


def largest_bias(found):
    """The same of each entry by itself, where it is largest."""
    return max(
        float(np.max(np.abs(found.mean[key] - value) / np.abs(value)))
        for key, value in found.exact.items()
    )


@pytest.mark.parametrize("row", cases(of=lambda row: row.right))
def test_right_ones_hold(row):
    """The mean over all paths is the gradient."""
    found = checked(row)
    assert found.verdict == HOLDS, found.explain()
    is_integrated = row.make().integrate is not None
    assert found.method == ("integrated" if is_integrated else "enumerated")


@pytest.mark.parametrize(
    "row", cases(of=lambda row: not row.right and row.sees == "mean" and row.raises is None)
)
def test_wrong_ones_are_refuted(row):
    """It is not, by a bias that matters."""
    found = checked(row)
    assert found.verdict == REFUTED, found.explain()
    if row.id in NOT_A_NUMBER:
        assert np.isnan(bias(found))
    elif row.id in SMALL_BESIDE_OTHERS:
        assert bias(found) < SMALLEST <= largest_bias(found)
    else:
        assert bias(found) >= SMALLEST
    assert points_as_said(row, found)


def points_as_said(row, found):
    """Whether a mean points where its row says, by the factor that it says; or it says nothing."""
    direction = found.direction
    if row.direction is None:
        return True
    is_there = direction.verdict == row.direction
    factor = direction.factor if row.factor is None else row.factor
    return is_there and abs(direction.factor - factor) <= direction.factor_error


@pytest.mark.torch
def test_a_row_that_says_another_direction_is_seen():
    """Another kind, or a factor that is off in the sixth place."""
    row = ROWS["torch/padding-in-the-mean"]
    found = checked(row)
    for change in ({"factor": row.factor + 1e-6}, {"direction": DIFFERS}, {"direction": ZERO}):
        assert not points_as_said(dataclasses.replace(row, **change), found)


def test_directions_are_those_that_there_are():
    """A factor is that of a multiple; a right estimator has neither, and nothing to intend."""
    said = [row for row in ROWS.values() if row.direction is not None]
    assert len([row for row in said if row.factor is not None]) >= 10
    for row in ROWS.values():
        assert row.direction in (None, PROPORTIONAL, ZERO, DIFFERS), row.key
        assert (row.factor is not None) == (row.direction == PROPORTIONAL), row.key
        assert not (row.right and (row.direction or row.is_intended)), row.key


def test_what_is_intended_is_called_no_mistake():
    """Neither by its row nor by what is said of mending it."""
    intended = [row for row in ROWS.values() if row.is_intended]
    assert len({row.id for row in intended}) >= 15
    for row in intended:
        words = f"{row.statement} {row.source} {FIXES[row.id]}"
        assert "intended" in FIXES[row.id], row.key
        assert not re.search(r"\b(bug|mistake|wrongly|mend)", words), row.key


@pytest.mark.torch
@pytest.mark.parametrize("id", ["arm", "sticking-the-landing", "relaxed-bernoulli"])
def test_numbers_that_are_used_are_refused_where_nothing_is_integrated(id):
    """A row says that it is to be integrated; without that there is no verdict of it."""
    problem = dataclasses.replace(ROWS[f"torch/{id}"].make(), integrate=None)
    with pytest.raises(UnsupportedDraw, match="integrate=1e-6"):
        check_estimator(problem.estimate, problem.inputs, **problem.options())


@pytest.mark.torch
def test_relaxed_bits_hold_for_their_own_cost_only():
    """One estimator is right for relaxed bits and wrong for bits: the estimands differ."""
    relaxed, bits = (
        ROWS[f"torch/{id}"].make() for id in ("relaxed-bernoulli", "relaxed-bernoulli-for-bits")
    )
    means = [
        check_estimator(one.estimate, one.inputs, **one.options()).mean for one in (relaxed, bits)
    ]
    for key, mean in means[0].items():
        assert np.array_equal(mean, means[1][key])
    assert not np.allclose(relaxed.exact[0], bits.exact[0], rtol=0.1, atol=0.0)  # off by a third


@pytest.mark.parametrize("row", cases(of=lambda row: row.sees != "mean" and row.raises is None))
def test_what_the_mean_does_not_show(row):
    """Some bugs leave every mean as it is: another method has to see them."""
    assert not row.right
    found = checked(row)
    assert found.verdict == (UNDECIDED if row.id in RIGHT_ONCE else HOLDS), found.explain()
    assert bool(found.changed) == (row.sees == "state")


@pytest.mark.parametrize("row", cases(of=lambda row: row.id in RIGHT_ONCE))
def test_what_is_right_once_is_said_to_be_wrong_later(row):
    """The reason names what is kept, and says that the first run is right."""
    found = checked(row)
    assert "the state that it was given in its mean is the exact gradient" in found.reason
    assert all(name in found.reason for name in found.changed)


@pytest.mark.parametrize("row", cases(of=lambda row: row.id == "parameters-changed"))
def test_an_input_that_is_changed_is_named(row):
    """The first of the inputs, which is put back."""
    found = checked(row)
    assert len(found.changed) == 1
    assert "[0]" in found.changed[0]


@pytest.mark.parametrize("row", cases(of=lambda row: row.raises is not None))
def test_what_cannot_be_enumerated_is_an_error(row):
    """Where there is no mean to be had, nothing holds, and it is said at once."""
    with pytest.raises(row.raises):
        checked(row)


@pytest.mark.parametrize("row", cases(of=lambda row: row.sees == "variance"))
def test_variance_is_more_than_it_should_be(row):
    """Of a bug that only the variance shows, at least one and a half times."""
    peer = ROWS[f"{row.framework}/{PEERS[row.id]}"]
    assert checked(row).total_variance > 1.5 * checked(peer).total_variance


@pytest.mark.parametrize("row", cases())
def test_problems_are_new_each_time(row):
    """No two share an input, so that none can be changed by another's estimator."""
    first, second = row.make(), row.make()
    assert first.inputs
    assert first.estimate is not second.estimate
    assert not {id(each) for each in first.inputs} & {id(each) for each in second.inputs}


def test_the_catalogue_is_as_large_as_it_is_said_to_be():
    """Bugs and right estimators by name, and frameworks."""
    right = {row.id for row in ROWS.values() if row.right}
    bugs = {row.id for row in ROWS.values() if not row.right}
    assert len(bugs) >= 170
    assert len(right) >= 100
    assert not bugs & right
    frameworks = collections.Counter(row.framework for row in ROWS.values())
    assert min(frameworks["torch"], frameworks["numpy"]) >= 60


def test_every_row_says_what_and_where():
    """A statement in a sentence, and a source."""
    for key, row in ROWS.items():
        assert key == f"{row.framework}/{row.id}"
        assert row.statement.endswith("."), key
        assert row.source, key
    said = collections.Counter({(row.id, row.statement) for row in ROWS.values()})
    assert len(said) == len({row.id for row in ROWS.values()})


@pytest.mark.torch
def test_derivatives_of_surrogates_say_nothing_of_their_means():
    """``gradcheck`` passes a surrogate that is biased, and fails one that is right."""
    import torch

    def passes(name):
        problem = ROWS[f"torch/{name}"].make()

        def one_draw(*inputs):
            with torch.random.fork_rng():
                torch.manual_seed(0)  # the same labels at every step
                return problem.surrogate(*inputs)

        return torch.autograd.gradcheck(one_draw, problem.inputs, raise_exception=False)

    assert passes("reward-not-detached")
    assert not passes("no-baseline")
