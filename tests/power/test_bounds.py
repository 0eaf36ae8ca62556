"""Right estimators stay far below their bounds: what is measured here is the room they leave."""

import dataclasses

import numpy as np
import pytest
from hypothesis import Phase, given, settings, target

from gradproof.checks.evidence import HOLDS
from gradproof.checks.note.cases import TabularCase, tabular_cases, typical_tabular
from gradproof.checks.note.registry import CHECKS
from gradproof.checks.note.study import Study
from gradproof.estimators import backends
from gradproof.estimators.note.bench import Bench

#: Checks of gradients and values that hold on any tabular case with all labels possible.
RIGHT = [
    check
    for check in CHECKS.values()
    if check.expected == HOLDS and check.cases is not None and not check.claim.startswith("kl.")
]

#: Half of the bound; the evidence module says that right estimators are below a tenth of it, and a
#: run of this file with other seeds must not fail by chance.
ROOM = 0.5


def ratios(study):
    """The errors of all right estimators on a subject, in units of their bounds."""
    return {
        (check.id, comparison.what): comparison.ratio
        for check in RIGHT
        if study.bench.name in check.backends
        for comparison in check.compare(study)
    }


def largest(found):
    """The largest ratio, and where it is."""
    where = max(found, key=found.get)
    return found[where], where


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("backend", "cases"),
    [
        ("autograd", 12),
        pytest.param("torch", 12, marks=pytest.mark.torch),
        pytest.param("theano", 3, marks=pytest.mark.theano),
    ],
)
def test_typical_errors_are_far_below_their_bounds(
    backend, cases, dtype, pytestconfig, record_property
):
    """In every framework and precision, with parameters from small to large."""
    rng = np.random.default_rng(int(pytestconfig.option.hypothesis_seed))
    bench = Bench(backends.load(backend))
    found = {}
    for scale in np.resize([0.1, 1.0, 3.0], cases):
        case = typical_tabular(rng, sentences=(2, 2), labelled=True, supports=False)
        subject = dataclasses.replace(case, dtype=dtype).subject()
        parameters = {k: (scale * v).astype(dtype) for k, v in subject.parameters.items()}
        for place, ratio in ratios(Study(bench, subject.replace(parameters=parameters))).items():
            found[place] = max(ratio, found.get(place, 0.0))
    ratio, where = largest(found)
    record_property("largest error/bound", ratio)
    print(f"{backend} {dtype}: largest error/bound {ratio:.2g} in {where}")  # noqa: T201 - measured
    assert ratio < ROOM, where
    assert len(found) > 80
    assert any(found.values())  # equality everywhere would mean that nothing was computed twice


#: What a bound may be of what it is about, in the median over cases, in double precision: larger
#: ones would let errors through that are seen today. Measured: at most 1.2e-9, and 1e-14 of values.
WIDEST, WIDEST_OF_VALUES = 4e-9, 1e-12


def test_bounds_are_no_wider_than_rounding_makes_them(pytestconfig):
    """A bound a thousand times as wide is as wrong as a check that is missing."""
    rng = np.random.default_rng(int(pytestconfig.option.hypothesis_seed))
    bench = Bench(backends.load("autograd"))
    widths = {}
    for scale in np.resize([0.1, 1.0], 12):
        subject = typical_tabular(rng, sentences=(2, 2), labelled=True, supports=False).subject()
        parameters = {k: scale * v for k, v in subject.parameters.items()}
        study = Study(bench, subject.replace(parameters=parameters))
        for check in RIGHT:
            if bench.name in check.backends:
                found = [one.bound / one.signal for one in check.compare(study) if one.signal > 0.0]
                widths.setdefault(check.id, []).extend(found)
    typical = {key: float(np.median(found)) for key, found in widths.items() if found}
    allowed = {key: WIDEST_OF_VALUES if key == "forward/values" else WIDEST for key in typical}
    assert len(typical) > 40
    assert {key: width for key, width in typical.items() if width > allowed[key]} == {}
    assert any(width > 0.0 for width in typical.values())


@pytest.mark.slow
@given(case=tabular_cases(labelled=True, supports=False))
# Without a failure's explanation: a case takes half a second, and that phase wants hundreds.
@settings(max_examples=60, phases=[Phase.generate, Phase.target, Phase.shrink])
def test_no_right_estimator_is_refuted_or_undecided(case):
    """In 60 cases, steered towards the largest error, each in both precisions."""
    bench = Bench(backends.load("autograd"))
    worst = {}
    for precision in ("float64", "float32"):
        study = Study(bench, dataclasses.replace(case, dtype=precision).subject())
        worst |= {(precision, *place): ratio for place, ratio in ratios(study).items()}
    ratio, where = largest(worst)
    target(min(ratio, 1.0), label="error/bound")
    assert ratio < 1.0, where


#: Score gradients by e that cancel: the classifier's rows are equal, so that e moves no log q.
CANCELLING = TabularCase(
    tokens=((0,),),
    labels=(-1,),
    embedding=((0.0,), (0.0,), (0.0,)),
    weight=((1.0,), (1.0,), (1.0,)),
    bias=(0.0, 0.0, -1.0),
    phi=((0.0,), (0.0,), (0.0,)),
    theta=((0.0,), (0.0,), (0.0,)),
    noise=((0.0,),),
)


def test_gradients_that_cancel_are_not_refuted():
    """What is left of 1/3 + 1/3 + 1/3 - 1 is rounding, and no refutation of anything."""
    ratio, where = largest(ratios(Study(Bench(backends.load("autograd")), CANCELLING.subject())))
    assert ratio < 1.0, where
