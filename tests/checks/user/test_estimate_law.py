"""The estimates of all paths: exact shares of the bias, and verdicts that do not depend on them."""

import dataclasses
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradproof import check_estimator
from gradproof.checks.json_records import to_json
from gradproof.checks.user import estimate_law
from gradproof.checks.user.plotted_report import locate

THETA = np.array([0.3, -0.2, 0.5, 0.1])
COSTS = np.array([1.0, 3.0, 2.0, 5.0])

#: Roundings of sums of some hundred numbers of about 1.
ROUNDING = 1e-12


def softmax(theta):
    """Probabilities."""
    odds = np.exp(theta - theta.max())
    return odds / odds.sum()


def exact(theta):
    """The gradient of the expected cost."""
    q = softmax(theta)
    return q * (COSTS - q @ COSTS)


def two_samples(weight=lambda one, other: 1.0):
    """REINFORCE by the mean of two samples, each pair of which has a weight."""
    rng = np.random.default_rng()

    def estimate(theta):
        q = softmax(theta)
        one, other = rng.choice(4, p=q), rng.choice(4, p=q)
        score = COSTS[one] * (np.eye(4)[one] - q) + COSTS[other] * (np.eye(4)[other] - q)
        return 0.5 * weight(one, other) * score

    return estimate


def one_sample(cost=COSTS):
    """REINFORCE by one sample."""
    rng = np.random.default_rng()

    def estimate(theta):
        q = softmax(theta)
        drawn = rng.choice(4, p=q)
        return cost[drawn] * (np.eye(4)[drawn] - q)

    return estimate


def kept(estimate, **options):
    """The report with all paths."""
    return check_estimator(estimate, (THETA,), exact=exact, keep_paths=True, **options)


def test_a_law_is_every_estimate_and_its_probability():
    """Of one draw: its four outcomes, as they are computed by hand."""
    report, q = kept(one_sample()), softmax(THETA)
    estimates = COSTS[:, None] * (np.eye(4) - q)
    for entry in range(4):
        values, weights = report.law.of_entry("gradient", (entry,))
        order = np.argsort(estimates[:, entry])
        np.testing.assert_array_equal(values, estimates[order, entry])
        np.testing.assert_allclose(weights, q[order], rtol=ROUNDING)


def test_values_that_several_paths_give_are_one():
    """Their probabilities are added up."""
    report = kept(two_samples())
    values, weights = report.law.of_entry("gradient", (0,))
    assert (report.paths, len(values)) == (16, 10)  # pairs in either order give the same
    assert weights @ values == pytest.approx(report.mean["gradient"][0], rel=ROUNDING)


def test_the_pair_that_is_wrong_is_the_guilty_one():
    """When both samples are 3 the weight is 0: it is named first, in words."""
    report = kept(two_samples(lambda one, other: 0.0 if one == other == 3 else 1.0))
    first, second = report.guilty_paths(most=2)
    assert [outcome for _, outcome in first.outcomes] == [3, 3]
    assert (first.estimate, first.paths) == (0.0, 1)
    assert first.probability == pytest.approx(softmax(THETA)[3] ** 2, rel=ROUNDING)
    assert first.share > 0.5 > second.share
    assert str(first).startswith("when both draws are 3, the estimate is 0 where 2.5")
    assert f"{first.share:.0%} of the bias" in str(first)


def test_of_one_draw_shares_are_as_they_are_defined():
    """Probability x (estimate - exact) / bias, as computed by hand."""
    wrong = np.array([1.0, 3.0, 0.0, 5.0])
    report, q = kept(one_sample(wrong)), softmax(THETA)
    off = wrong * (np.eye(4)[:, 2] - q[2]) - exact(THETA)[2]
    shares = report.law.shares("gradient", (2,), float(exact(THETA)[2]))
    np.testing.assert_allclose(shares, q * off / (q @ off), rtol=ROUNDING)
    guilty = report.guilty_paths("gradient[2]")
    assert [path.outcomes[0][1] for path in guilty] == [
        place for place in np.argsort(-shares) if shares[place] > 0.0
    ]


@settings(max_examples=20)  # half a second each
@given(weights=st.lists(st.floats(-2.0, 2.0), min_size=16, max_size=16), entry=st.integers(0, 3))
def test_shares_of_a_bias_add_up_to_one(weights, entry):
    """Whatever the estimates are; and the reference has the mean that there should be."""
    table = np.reshape(weights, (4, 4))
    report = kept(two_samples(lambda one, other: table[one, other]))
    wanted = float(report.exact["gradient"][entry])
    reference = report.law.reference("gradient", (entry,), wanted)
    size = np.abs(reference).max() + 1.0
    assert abs(report.law.probabilities @ reference - wanted) <= ROUNDING * size
    shares = report.law.shares("gradient", (entry,), wanted)
    if report.ratios["gradient"][entry] > 1.0:
        assert shares.sum() == pytest.approx(1.0, abs=ROUNDING * np.abs(shares).sum())


def test_where_single_draws_explain_all_they_are_not_taken_away():
    """Nothing would be left but each outcome's probability, which tells nobody anything."""
    report = kept(two_samples(lambda one, other: 0.5))
    wanted = float(exact(THETA)[1])
    assert set(report.law.reference("gradient", (1,), wanted)) == {wanted}
    assert report.law.shares("gradient", (1,), wanted).sum() == pytest.approx(1.0, abs=ROUNDING)


def test_what_does_not_matter_is_not_named():
    """A draw after which the estimate is the same whatever it is: one line for all its outcomes."""
    rng = np.random.default_rng()

    def estimate(theta):
        q = softmax(theta)
        drawn = rng.choice(4, p=q)
        rng.integers(3)
        return (COSTS[drawn] if drawn != 2 else 0.0) * (np.eye(4)[drawn] - q)

    (first, *_) = kept(estimate).guilty_paths("gradient[2]")
    assert (first.paths, [taken for _, taken in first.outcomes]) == (3, [3])
    assert first.when == "draw 1 is 3"


def test_estimates_that_are_no_numbers_have_the_bias():
    """All of it, whatever else is off."""
    report = kept(two_samples(lambda one, other: np.inf if one == other == 1 else 2.0))
    (first, *rest) = report.guilty_paths("gradient[1]")
    assert (first.share, rest) == (1.0, [])
    assert first.when == "both draws are 1"


def test_an_unbiased_one_has_no_guilty_paths():
    """Nor has an entry that is within its bound."""
    assert kept(one_sample()).guilty_paths() == ()


RIGHT_AND_WRONG = {
    "right": one_sample,
    "right, two": two_samples,
    "wrong": lambda: two_samples(lambda one, other: float(one != other)),
    "wrong by little": lambda: two_samples(lambda one, other: 1.0 + 1e-13 * one),
    "infinite": lambda: two_samples(lambda one, other: np.inf if one else 1.0),
}


@pytest.mark.parametrize("make", RIGHT_AND_WRONG.values(), ids=RIGHT_AND_WRONG)
def test_keeping_paths_changes_nothing_else(make):
    """The same report, but for its paths, seconds, and the lines that repeat it."""
    plain, more = check_estimator(make(), (THETA,), exact=exact), kept(make())
    assert plain.law is None
    bare = [
        dataclasses.replace(report, law=None, seconds=0.0, snippet="") for report in (plain, more)
    ]
    assert to_json(bare[0]) == to_json(bare[1])


def raise_error():
    """As an estimator may that can be called so often only."""
    raise RuntimeError("no more of it")


@pytest.mark.parametrize(
    ("otherwise", "words"),
    [
        (raise_error, "Paths were not kept, for they could not be run once more (RuntimeError: no"),
        (lambda: np.ones(4), "Paths were not kept, for they gave other gradients when they were"),
    ],
)
def test_paths_that_cannot_be_run_again_are_said(monkeypatch, otherwise, words):
    """The verdict is the one that there was by then."""
    late = [False]
    keep = estimate_law.keep_law
    monkeypatch.setattr(
        "gradproof.checks.user.enumerated.keep_law",
        lambda *arguments: late.__setitem__(0, True) or keep(*arguments),
    )
    estimate = one_sample()
    report = kept(lambda theta: otherwise() if late[0] else estimate(theta))
    assert report.unbiased
    assert report.law is None
    assert any(note.startswith(words) for note in report.notes), report.notes


def test_memory_is_bounded_and_the_worst_are_kept(monkeypatch):
    """Of four paths with one draw there is room for two entries, and then for none."""
    wrong = np.array([1.0, 3.0, 0.0, 5.0])
    monkeypatch.setattr(estimate_law, "MOST_CELLS", 4 * 5)
    report = kept(one_sample(wrong))
    assert report.law.estimates.shape == (4, 2)
    worst = np.argsort(-report.ratios["gradient"])
    assert set(np.flatnonzero(report.law.columns["gradient"] >= 0)) == set(worst[:2])
    assert report.guilty_paths()
    with pytest.raises(ValueError, match=r"of gradient\[\d\] were not kept"):
        report.guilty_paths(("gradient", (int(worst[3]),)))
    monkeypatch.setattr(estimate_law, "MOST_CELLS", 4 * 3)
    report = kept(one_sample(wrong))
    assert report.law is None
    assert "Paths were not kept, for 4 paths of 1 draws are more than there" in report.explain()


def test_what_single_draws_explain_is_not_found_for_too_many(monkeypatch):
    """Then the exact gradient is what is to be expected."""
    report = kept(two_samples(lambda one, other: float(one != other)))
    monkeypatch.setattr(estimate_law, "MOST_FITTED", 1)
    assert set(report.law.reference("gradient", (0,), 0.5)) == {0.5}


def test_without_paths_it_says_what_to_do():
    """And a report with them can be sent elsewhere."""
    report = check_estimator(one_sample(), (THETA,), exact=exact)
    with pytest.raises(ValueError, match="pass keep_paths=True to check_estimator"):
        report.guilty_paths()
    again = pickle.loads(pickle.dumps(kept(one_sample())))
    assert again.law.probabilities.sum() == pytest.approx(1.0, abs=ROUNDING)


RATIOS = {"w": np.array([[0.1, 3.0], [2.0, 0.0]]), "b": np.array(4.0), "w[0]": np.zeros(2)}


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        (None, ("b", ())),
        ("w", ("w", (0, 1))),
        ("w[1, 0]", ("w", (1, 0))),
        ("w[0][1]", ("w[0]", (1,))),
        (("w", (1, 1)), ("w", (1, 1))),
        ("b", ("b", ())),
    ],
)
def test_an_entry_is_found(entry, place):
    """By name, by index, or the worst."""
    assert locate(entry, RATIOS) == place


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("v", "there is no 'v'; there are w, b"),
        ("w[0, 2]", r"w has shape \(2, 2\), expected an index of it such as 'w\[0, 1\]'"),
        ("w[1]", r"w has shape \(2, 2\)"),
        (("b", (0,)), r"b has shape \(\), expected an index of it such as 'b'"),
    ],
)
def test_an_entry_that_there_is_not_is_an_error(entry, words):
    """With what there is."""
    with pytest.raises(ValueError, match=words):
        locate(entry, RATIOS)


def test_draws_of_different_kinds_are_named_in_order():
    """What draws twice in a row is named once; by numbers they are short, as a figure needs."""
    outcomes = (("choice", 1), ("random", 1), ("random", 0), ("choice", 0))
    path = estimate_law.GuiltyPath(outcomes, 4, 1, 0.1, 1.0, 0.5, 0.4)
    assert path.when == "choice gives 1, then random gives 1 and 0, then choice gives 0"
    assert path.numbered == "the draws are 1, 1, 0, 0"
