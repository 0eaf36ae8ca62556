"""Comparisons and verdicts: what counts as an error, what it is held against, what is said."""

import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.checks.evidence import (
    COARSEST,
    GAP,
    HOLDS,
    REFUTED,
    UNDECIDED,
    Comparison,
    Evidence,
    NothingCompared,
    compare,
    compare_sets,
    judge,
    resolution,
    unresolved_quantities,
    worst_of,
)

SIZES = st.floats(0.0, 1e300)
NAMES = st.sampled_from("abcdef")
COMPARISONS = st.builds(
    Comparison,
    what=NAMES,
    count=st.integers(1, 9),
    error=st.one_of(SIZES, st.just(math.inf)),
    bound=SIZES,
    signal=SIZES,
    subject=NAMES,
    kind=NAMES,
)


def number(error=0.0, bound=1e-12, signal=1.0, what="a", **fields):
    """One comparison, of one number."""
    values = {"count": 1, "subject": "planted"} | fields
    return Comparison(what=what, error=error, bound=bound, signal=signal, **values)


def evidence(**fields):
    """Evidence that holds, with some fields changed."""
    values = {
        "claim": "gradient.e",
        "variant": "printed",
        "backend": "autograd",
        "statement": "L ds + dH + dL",
        "expected": HOLDS,
        "verdict": HOLDS,
        "comparisons": 9,
        "error": 1e-16,
        "bound": 1e-12,
        "signal": 2.0,
        "worst": "e.embedding of tabular: K=2",
        "note": "",
        "resolution": 5e-13,
        "bound_reason": "rounding",
        "subjects": ("seqdgm on names-8",),
        "seed": 5,
        "seconds": 0.25,
    }
    return Evidence(**values | fields)


# ------------------------------------------------------------------ compare


@given(
    st.lists(st.floats(-1e150, 1e150), min_size=1, max_size=6),
    st.lists(st.floats(-1e150, 1e150), min_size=1, max_size=6),
)
def test_the_error_is_the_largest_difference(found, expected):
    """Entry by entry, whatever the others are; the signal is the largest expected magnitude."""
    size = min(len(found), len(expected))
    found, expected = np.array(found[:size]), np.array(expected[:size])
    made = compare("a", found, expected, 1.0, "s")
    assert made.error == max(abs(f - e) for f, e in zip(found, expected, strict=True))
    assert made.signal == max(map(abs, expected))
    assert made.count == size
    assert made.note == ""


@pytest.mark.parametrize(
    ("found", "expected"),
    [((2, 3), (3, 2)), ((1, 3), (3,)), ((3,), ()), ((0,), (1,)), ((2,), (2, 1))],
)
def test_another_shape_is_an_infinite_error(found, expected):
    """Arrays are never broadcast against each other: the note has both shapes."""
    made = compare("w.bias", np.zeros(found), np.zeros(expected), 1.0, "s")
    assert made.error == math.inf
    assert made.note == f"w.bias has shape {found}, expected {expected}"
    assert judge([made]) == REFUTED


@given(st.integers(1, 5), st.data())
def test_nan_is_an_infinite_error(size, data):
    """One NaN among right entries is enough, and the note counts them."""
    expected = np.arange(1.0, size + 1.0)
    places = data.draw(st.sets(st.integers(0, size - 1), min_size=1))
    found = expected.copy()
    found[list(places)] = np.nan
    made = compare("L", found, expected, 1.0, "s")
    assert made.error == math.inf
    assert made.note == f"L is NaN in {len(places)} entries"


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_infinity_is_an_infinite_error(sign):
    """However wide the bound is."""
    made = compare("L", np.array([sign * np.inf, 1.0]), np.ones(2), 1e300, "s")
    assert made.error == math.inf
    assert judge([made]) == REFUTED


@pytest.mark.parametrize("field", ["error", "bound", "signal"])
def test_nan_is_no_error_bound_or_signal(field):
    """NaN compares as neither within nor beyond, so that a verdict on it would be a coin's."""
    with pytest.raises(ValueError, match=rf"a of planted: .*{field} nan.* must be numbers"):
        number(**{field: math.nan})


def test_an_oracle_that_is_nan_is_an_error():
    """What is compared with NaN is neither right nor wrong, even if it is NaN too."""
    for found in (1.0, np.nan):
        with pytest.raises(ValueError, match="signal nan"):
            compare("L", found, np.nan, 1.0, "s")


def test_booleans_and_integers_are_compared_as_numbers():
    """Places and counts, too."""
    made = compare("places", np.array([True, False]), np.array([True, True]), 0.0, "s", signal=1.0)
    assert made.error == 1.0
    assert made.signal == 1.0
    assert compare("counts", np.array([3]), np.array([5]), 0.0, "s").error == 2.0


def test_a_float32_difference_is_taken_in_float64():
    """The difference itself must not round."""
    found, expected = np.float32(1.0), 1.0 + 1e-12
    assert compare("a", found, expected, 1.0, "s").error == expected - 1.0 > 0.0


def test_comparing_empty_arrays_counts_nothing():
    """An empty array is no evidence, not even of equality."""
    made = compare("a", np.zeros(0), np.zeros(0), 1.0, "s")
    assert made.count == 0
    with pytest.raises(NothingCompared):
        judge([made])


# ------------------------------------------------------------------ ratio and resolution


@given(COMPARISONS)
def test_the_ratio_is_the_error_in_units_of_its_bound(made):
    """With 0 for no error, and infinity for an error where none is allowed."""
    if made.error == 0.0:
        assert made.ratio == 0.0
    elif made.bound == 0.0:
        assert made.ratio == math.inf
    else:
        assert made.ratio == made.error / made.bound


def test_without_a_bound_only_equality_will_do():
    """Bits and counts: the smallest error refutes, none holds."""
    assert judge([number(error=0.0, bound=0.0)]) == HOLDS
    assert judge([number(error=5e-324, bound=0.0)]) == REFUTED


@given(SIZES)
def test_without_a_signal_nothing_could_be_seen(bound):
    """Zero against zero has no smallest relative error, and does not hold."""
    made = number(bound=bound, signal=0.0)
    assert made.resolution == math.inf
    assert judge([made]) == UNDECIDED


@given(st.lists(COMPARISONS, min_size=1, max_size=8))
def test_resolution_is_the_best_of_each_and_the_worst_of_all(made):
    """One subject of a kind that shows a quantity is enough; each must be shown on each kind."""
    best = {}
    for one in made:
        best.setdefault((one.kind, one.what), []).append(one.resolution)
    assert resolution(made) == max(map(min, best.values()))
    hidden = {f"{what} of {kind}" for (kind, what), seen in best.items() if min(seen) > COARSEST}
    assert set(unresolved_quantities(made)) == hidden
    assert (resolution(made) > COARSEST) is bool(hidden)


def test_one_kind_does_not_vouch_for_another():
    """A drawn case shows nothing of a text model's parameter, though it has the same name."""
    drawn, text = (
        number(what="w.bias", kind=kind, signal=signal)
        for kind, signal in (("drawn cases", 1.0), ("seqdgm on words", 0.0))
    )
    assert judge([drawn]) == HOLDS
    assert judge([drawn, text]) == UNDECIDED
    assert unresolved_quantities([drawn, text]) == ("w.bias of seqdgm on words",)
    other = dataclasses.replace(text, kind="drawn cases")
    assert judge([drawn, other]) == HOLDS
    assert unresolved_quantities([drawn, other]) == ()
    assert unresolved_quantities([number(signal=0.0)]) == ("a",)


def test_resolution_of_nothing_is_infinite():
    """What was not compared could not have been seen."""
    assert resolution([]) == math.inf


# ------------------------------------------------------------------ judge


@given(st.lists(COMPARISONS, min_size=1, max_size=8))
def test_the_verdict_is_what_is_said_of_it(made):
    """Refuted beyond the gap, held within every bound and seen, undecided otherwise."""
    largest = max(one.ratio for one in made)
    if largest > GAP:
        assert judge(made) == REFUTED
    elif largest <= 1.0 and resolution(made) <= COARSEST:
        assert judge(made) == HOLDS
    else:
        assert judge(made) == UNDECIDED


@given(st.lists(COMPARISONS, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_comparisons_does_not_matter(made, random):
    """Nor does it for the resolution."""
    shuffled = random.sample(made, len(made))
    assert judge(shuffled) == judge(made)
    assert resolution(shuffled) == resolution(made)
    assert worst_of(shuffled).ratio == worst_of(made).ratio


@given(st.lists(COMPARISONS), st.lists(COMPARISONS), st.floats(1.001 * GAP, 1e300))
def test_a_refutation_stays_one(before, after, error):
    """Nothing that is compared besides takes it back."""
    assert judge([*before, number(error=error, bound=1.0), *after]) == REFUTED


@pytest.mark.parametrize("made", [[], [number(count=0)], [number(count=0, error=1.0)] * 2])
def test_zero_comparisons_are_an_error(made):
    """Not a verdict of any kind; the message says what to look at."""
    for function in (judge, worst_of):
        with pytest.raises(NothingCompared, match="zero comparisons: a verdict needs at least"):
            function(made)


def test_the_worst_is_by_ratio_and_then_by_error():
    """A large error within a large bound is not the worst."""
    large, small = number(error=1.0, bound=10.0), number(error=1e-11, bound=1e-12)
    assert worst_of([large, small]) is small
    assert worst_of([number(error=1.0, bound=0.0), number(error=2.0, bound=0.0)]).error == 2.0


def test_one_part_in_a_hundred_must_have_been_seen():
    """At the coarsest resolution it holds, a little coarser it is undecided."""
    assert judge([number(bound=COARSEST, signal=1.0)]) == HOLDS
    assert judge([number(bound=1.0001 * COARSEST, signal=1.0)]) == UNDECIDED
    assert judge([number(bound=COARSEST, signal=0.9999)]) == UNDECIDED


# ------------------------------------------------------------------ sets


@given(st.sets(NAMES), st.sets(NAMES))
def test_sets_differ_by_the_names_in_one_alone(found, expected):
    """The error counts them, the note names them, no bound forgives them."""
    made = compare_sets("shared", found, expected, "s")
    assert made.error == len(found ^ expected)
    assert made.count == len(found | expected)
    assert (made.note == "") is (found == expected)
    for names, verb in ((found - expected, "has also"), (expected - found, "lacks")):
        said = f"shared {verb} {', '.join(sorted(names))}"
        assert (said in made.note) is bool(names)
    if found | expected:
        assert judge([made]) == (HOLDS if found == expected else REFUTED)


# ------------------------------------------------------------------ evidence


def test_records_are_frozen():
    """Whoever reads a verdict cannot change it."""
    for record, field in ((evidence(), "verdict"), (number(), "error")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, field, REFUTED)


@given(
    st.builds(
        evidence,
        error=st.floats(),
        bound=st.floats(),
        signal=st.floats().map(np.float64),
        resolution=st.floats(),
        note=st.text(),
        counterexample=st.text(),
        subjects=st.lists(st.text()).map(tuple),
    )
)
def test_as_dict_is_strict_json(found):
    """NaN and infinity become strings: JSON has no numbers for them, and many readers choke."""
    text = json.dumps(found.as_dict(), allow_nan=False)
    back = json.loads(text)
    assert set(back) == {field.name for field in dataclasses.fields(Evidence)} | {"as_expected"}
    for name in ("error", "bound", "signal", "resolution"):
        value = getattr(found, name)
        if math.isfinite(value):
            assert back[name] == value
        else:
            assert back[name] == str(float(value))
    assert back["subjects"] == list(found.subjects)


@pytest.mark.parametrize("verdict", [HOLDS, REFUTED, UNDECIDED])
@pytest.mark.parametrize("expected", [HOLDS, REFUTED])
def test_as_expected_compares_with_the_record(verdict, expected):
    """Undecided is never what was expected."""
    found = evidence(verdict=verdict, expected=expected)
    assert found.as_expected is (verdict == expected)
    assert found.as_dict()["as_expected"] is found.as_expected
    assert found.id == "gradient.e/printed"


def test_explain_gives_both_numbers_in_scientific_notation():
    """What came out, what it should be and why, how large it is, how many were compared."""
    said = evidence(verdict=REFUTED, error=0.5, note="a note", snippet="print(1)\n").explain()
    assert said == (
        "gradient.e/printed [autograd]: refuted, expected holds.\n"
        "e.embedding of tabular: K=2: error 5.000e-01, should be at most 1.000e-12 (rounding), "
        "where the quantity is 2.000e+00; 9 numbers compared.\n"
        "a note\n"
        "Reproduce with:\nprint(1)\n"
    )


def test_explain_says_what_kept_a_check_from_finishing():
    """A crash has no numbers: none are printed."""
    nan = math.nan
    found = evidence(
        verdict=UNDECIDED, crash="ValueError: no", error=nan, bound=nan, signal=nan, worst=""
    )
    assert found.explain() == (
        "gradient.e/printed [autograd]: undecided, expected holds.\n"
        "The check could not finish: ValueError: no"
    )


def test_explain_names_what_could_not_have_been_seen():
    """Undecided though nothing differs: the reader is told of which parameter, on which subject."""
    blind = ("w.bias of seqdgm on words", "e.embedding of drawn cases")
    said = evidence(verdict=UNDECIDED, unresolved=blind).explain()
    assert (
        "\nAn error of 1% would not have been seen in w.bias of seqdgm on words, e.embedding of "
        "drawn cases: too small beside what rounding can do there."
    ) in said
    assert "w.bias" not in evidence(verdict=REFUTED, unresolved=blind).explain()
