"""Estimators side by side, along a path, and where one of them is off most."""

import math

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from gradproof import NothingCompared
from gradproof.checks.user.comparison_curve import compare_along
from gradproof.checks.user.estimator_comparison import compare_estimators
from gradproof.checks.user.worst_case import find_worst_case

LOGITS = np.array([0.3, -0.2, 0.5])
COSTS = np.array([1.0, 3.0, 2.0])
rng = np.random.default_rng()


def exact(logits):
    """Of the expected cost."""
    p = softmax(logits)
    return p * (COSTS - p @ COSTS)


def with_baseline(baseline, samples=2):
    """A group of samples, each with a baseline that is made of all their costs."""

    def estimate(logits):
        p = softmax(logits)
        y = [rng.choice(3, p=p) for _ in range(samples)]
        costs = COSTS[y]
        weights = costs - baseline(costs)
        return sum(w * (np.eye(3)[one] - p) for w, one in zip(weights, y, strict=True)) / samples

    return estimate


ESTIMATORS = {
    "none": with_baseline(lambda c: 0.0),
    "leave one out": with_baseline(lambda c: (c.sum() - c) / (len(c) - 1)),
    "own mean": with_baseline(lambda c: c.mean()),
    "itself": with_baseline(lambda c: c),
}


def by_hand(estimate, samples=2):
    """Mean and total variance by a loop over all pairs, of the estimator without draws."""
    p = softmax(LOGITS)
    total, square = np.zeros(3), 0.0
    for one in range(3):
        for two in range(3):
            costs = COSTS[[one, two]]
            weights = costs - estimate(costs)
            scores = [np.eye(3)[each] - p for each in (one, two)]
            value = sum(w * s for w, s in zip(weights, scores, strict=True)) / samples
            total += p[one] * p[two] * value
            square += p[one] * p[two] * value @ value
    return total, square - total @ total


def test_a_refuted_mean_of_one_entry_is_refuted():
    """Where it points is undecided, since one entry is a multiple of any; not that it is off."""

    def estimate(rate):
        return 2.0 * rate * (rng.random() < 0.5)

    found = compare_estimators({"off": estimate}, [np.array([0.5])], exact=np.array([0.25]))
    assert found["off"].report.direction.verdict == "undecided"
    assert found["off"].verdict == found["off"].report.verdict == "refuted"


def test_every_number_is_that_of_a_loop_by_hand():
    """Bias, factor, cosine, variance, signal to noise, error at equal cost."""
    costs = {"none": 2.0, "leave one out": 2.5}
    found = compare_estimators(ESTIMATORS, [LOGITS], exact=exact, costs=costs, budget=50.0)
    gradient = exact(LOGITS)
    unit = np.linalg.norm(gradient)
    for name, baseline in {
        "none": lambda c: 0.0,
        "leave one out": lambda c: (c.sum() - c) / (len(c) - 1),
        "own mean": lambda c: c.mean(),
    }.items():
        mean, variance = by_hand(baseline)
        row = found[name]
        close = {"rel": 1e-9, "abs": 1e-12}  # rounding
        assert row.bias == pytest.approx(np.linalg.norm(mean - gradient) / unit, **close)
        assert row.factor == pytest.approx(mean @ gradient / unit**2, **close)
        cosine = mean @ gradient / unit / np.linalg.norm(mean)
        assert row.cosine == pytest.approx(cosine, **close)
        assert row.variance == pytest.approx(variance / unit**2, **close)
        noise = np.linalg.norm(mean) / math.sqrt(variance)
        assert row.signal_to_noise == pytest.approx(noise, **close)
        cost = costs.get(name, 1.0)
        assert row.variance_at_cost == pytest.approx(variance * cost / unit**2, **close)
        error = (mean - gradient) @ (mean - gradient) / unit**2 + row.variance * cost / 50.0
        assert row.mean_squared_error(50.0) == pytest.approx(error, **close)


def test_rows_are_sorted_and_say_where_the_mean_points():
    """The least error first; refuted ones by direction."""
    found = compare_estimators(ESTIMATORS, [LOGITS], exact=exact)
    errors = [row.mean_squared_error(found.budget) for row in found.rows]
    assert errors == sorted(errors)
    verdicts = {row.name: row.verdict for row in found.rows}
    assert verdicts == {
        "none": "holds",
        "leave one out": "holds",
        "own mean": "proportional",
        "itself": "zero",
    }
    assert (found.verdict, found.accepted) == ("2 of 4 hold", False)
    assert "1 - 1/2" in found.explain()
    loose = compare_estimators(
        {"own mean": ESTIMATORS["own mean"]}, [LOGITS], exact=exact, judge="direction"
    )
    assert loose.accepted


def test_what_cannot_be_checked_has_a_row_that_says_why():
    """And only if there is nothing else is it an error."""

    def normal(logits):
        return rng.normal() * logits

    found = compare_estimators({**ESTIMATORS, "normal": normal}, [LOGITS], exact=exact)
    assert found.rows[-1].name == "normal"
    assert found["normal"].verdict == "not checked"
    assert math.isnan(found["normal"].bias)
    assert "normal: not checked: Generator.normal()" in found.explain()
    assert found.table().rows[-1][2:] == ("",) * 10
    with pytest.raises(NothingCompared, match="none of the estimators can be checked: normal"):
        compare_estimators({"normal": normal}, [LOGITS], exact=exact)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"estimators": [ESTIMATORS["none"]]}, TypeError, "expected functions by name"),
        ({"estimators": {}}, ValueError, "estimators is empty"),
        ({"costs": {"nine": 1.0}}, ValueError, "costs has 'nine', expected some of none"),
        ({"costs": {"none": 0.0}}, ValueError, r"costs\['none'\] = 0.0, expected a positive"),
        ({"budget": -1.0}, ValueError, "budget = -1.0, expected a positive number"),
    ],
)
def test_bad_input_is_named(given, error, words):
    """The value, and what was expected."""
    options = {"estimators": ESTIMATORS, "exact": exact} | given
    with pytest.raises(error, match=words):
        compare_estimators(options.pop("estimators"), [LOGITS], **options)


def test_tables_for_pages_and_papers():
    """Markdown and LaTeX of the same rows, with what they read otherwise escaped."""
    found = compare_estimators({"a_b & c|d": ESTIMATORS["own mean"]}, [LOGITS], exact=exact)
    assert r"| a\_b & c\|d | proportional | 5.0e-01 | 0.5 | 1 |" in found.markdown()
    latex = found.latex()
    assert r"a\_b \& c|d & proportional & $5.0 \cdot 10^{-1}$ & 0.5 & 1 &" in latex
    assert latex.startswith(r"\begin{tabular}{llrrrrrrrrrr}")
    assert latex.count(r"\\") == 2
    assert found.as_dict()["estimators"][0]["factor"] == pytest.approx(0.5, abs=1e-12)  # rounding


def test_along_a_path_each_point_is_a_comparison():
    """The same numbers as at that point alone, and which is best where."""
    points = {t: (LOGITS / t,) for t in (0.25, 1.0, 4.0)}
    two = {name: ESTIMATORS[name] for name in ("none", "own mean")}
    path = compare_along(two, points, along="temperature", exact=exact)
    for point, inputs in points.items():
        alone = compare_estimators(two, inputs, exact=exact)
        there = path.comparisons[path.points.index(point)]
        for name in two:
            assert there[name].variance == alone[name].variance
            assert there[name].bias == alone[name].bias
        assert path.best()[point] == alone.rows[0].name
    assert [row[0] for row in path.table().rows] == ["0.25", "1", "4"]
    assert path.markdown().startswith("| temperature |")
    with pytest.raises(ValueError, match="same numbers at all points"):
        compare_along(two, points, exact=exact(LOGITS))
    with pytest.raises(ValueError, match="points is empty"):
        compare_along(two, {}, exact=exact)


OLD = np.zeros(3)
ADVANTAGES = np.array([2.0, -1.0, 0.5])


def clipped(logits):
    """PPO's ratio, clipped: right at the old policy only."""
    y = rng.choice(3, p=softmax(OLD))
    p = softmax(logits)
    ratio = math.exp(log_softmax(logits)[y] - log_softmax(OLD)[y])
    low, high = 0.8, 1.2
    within = low <= ratio <= high or (ratio < low) == (ADVANTAGES[y] > 0.0)
    return ADVANTAGES[y] * ratio * (np.eye(3)[y] - p) * within


def reward_gradient(logits):
    """Of the expected advantage."""
    p = softmax(logits)
    return p * (ADVANTAGES - p @ ADVANTAGES)


def test_a_search_finds_where_a_clipped_ratio_is_off():
    """It holds at the old policy; one logit that is moved is enough."""
    told = []
    worst = find_worst_case(
        clipped,
        [OLD],
        exact=reward_gradient,
        examples=100,
        progress=lambda *what: told.append(what),
    )
    assert told[1][:2] == (2, 101)  # the inputs given come first
    assert told[-1] == (worst.examples, worst.examples, "inputs, now for simple ones")
    assert worst.bias > 0.5
    assert worst.largest >= worst.bias
    assert worst.report.verdict == "refuted"
    assert np.count_nonzero(worst.inputs[0]) == 1
    assert "the mean is off by" in worst.explain()


def test_a_search_that_finds_nothing_says_so():
    """It proves nothing."""
    found = find_worst_case(ESTIMATORS["none"], [LOGITS], exact=exact, examples=20)
    assert (found.bias, found.largest) == (0.0, 0.0)
    assert "no bias was found at" in found.explain()
    with pytest.raises(TypeError, match="put a single input in a list"):
        find_worst_case(ESTIMATORS["none"], LOGITS, exact=exact)
    with pytest.raises(ValueError, match="exact= is numbers"):
        find_worst_case(ESTIMATORS["none"], [LOGITS], exact=exact(LOGITS))
    with pytest.raises(ValueError, match=r"inputs\[0\] is 3"):
        find_worst_case(ESTIMATORS["none"], [3], exact=exact)


def test_inputs_are_looked_for_between_low_and_high():
    """A hundredth that ``low`` is rounded to may be below it."""

    def doubled(theta):
        assert 0.004 <= theta[0] <= 0.02
        return 2.0 * theta

    worst = find_worst_case(
        doubled, [np.array([0.01])], exact=lambda theta: theta, low=0.004, high=0.02, examples=20
    )
    assert 0.01 <= worst.inputs[0][0] <= 0.02
    for wrong in ({"low": 3.0, "high": -3.0}, {"low": 0.001, "high": 0.004}, {"high": math.nan}):
        with pytest.raises(ValueError, match="a hundredth between"):
            find_worst_case(doubled, [np.array([0.01])], exact=lambda theta: theta, **wrong)
    with pytest.raises(ValueError, match="examples = 0"):
        find_worst_case(doubled, [np.array([0.01])], exact=lambda theta: theta, examples=0)


def test_what_rounding_leaves_of_nothing_is_no_worst_case():
    """At zero the gradient is a rounding, which the mean is off by; it is wrong elsewhere."""

    def half_of_what_is_large(theta):
        return (theta + rng.integers(2) - 0.5) * np.where(np.abs(theta) > 1.0, 0.5, 1.0)

    worst = find_worst_case(
        half_of_what_is_large,
        [np.zeros(2)],
        exact=lambda theta: theta + 0.1 + 0.2 - 0.3,  # not zero at zero, by a rounding
        examples=200,
    )
    assert worst.report.verdict == "refuted"
    assert worst.bias > 0.2
    assert np.abs(worst.inputs[0]).max() > 1.0


def test_points_that_are_no_numbers_are_named_first():
    """Before anything is run."""

    def never(theta):
        raise AssertionError("it was run")

    with pytest.raises(ValueError, match="points has the key 'warm', expected numbers"):
        compare_along({"a": never}, {"warm": (LOGITS,)}, exact=exact)
