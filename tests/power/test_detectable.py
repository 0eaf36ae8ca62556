"""How small a bias is found: as small as the evidence says, in every parameter."""

import dataclasses
import functools

import numpy as np
import pytest

from gradproof.checks.evidence import (
    COARSEST,
    GAP,
    HOLDS,
    REFUTED,
    UNDECIDED,
    judge,
    resolution,
    worst_of,
)
from gradproof.checks.note.cases import typical_tabular
from gradproof.checks.note.registry import CHECKS
from gradproof.checks.note.study import Study
from gradproof.checks.note.text import TextOptions, prepare_text, text_subject
from gradproof.estimators import backends
from gradproof.estimators.note.bench import Bench
from gradproof.estimators.note.exact import reference

#: One check of each way to compare a gradient with an oracle from outside of the framework.
ORACLES = (
    "gradient.phi_theta/batch-form",
    "baseline.reconstruction/held",
    "baseline.unbiased/leave-one-out",
    "constant.theano/held",
    "labelled/as-it-stands",
)


@dataclasses.dataclass(frozen=True)
class Biased:
    """NumPy and autograd, with one parameter's gradient off by a factor."""

    parameter: str
    factor: float
    inner: object = dataclasses.field(default_factory=functools.partial(backends.load, "autograd"))
    name: str = "autograd"

    def evaluate(self, *arguments):
        """As it is."""
        return self.inner.evaluate(*arguments)

    def differentiate(self, *arguments):
        """Off, in one parameter."""
        function = self.inner.differentiate(*arguments)

        def call(parameters, inputs):
            found = function(parameters, inputs)
            if self.parameter in found:
                found[self.parameter] = self.factor * found[self.parameter]
            return found

        return call


def typical(seed, dtype):
    """A tabular case in general position, in a precision."""
    case = typical_tabular(np.random.default_rng(seed), sentences=(2, 2), supports=False)
    return dataclasses.replace(case, dtype=dtype).subject()


@functools.cache
def on_text(model, seed):
    """A sequence model on three last names."""
    options = TextOptions(length=4)
    return text_subject(model, prepare_text("names-8", options, seed), options, seed)


def subject_of(kind, seed):
    """By its precision, or by its model."""
    return typical(seed, kind) if kind.startswith("float") else on_text(kind, seed)


@functools.cache
def known(kind, seed):
    """The reference of a subject, which no bias is in."""
    return reference(subject_of(kind, seed))


def compared(check, kind, seed, backend):
    """The comparisons that a check makes on a subject in a framework."""
    study = Study(Bench(backend), subject_of(kind, seed), known(kind, seed))
    return CHECKS[check].compare(study)


@functools.cache
def right(check, kind, seed):
    """The comparisons that a check makes on a subject, without a bias."""
    return compared(check, kind, seed, backends.load("autograd"))


@pytest.fixture
def seed(pytestconfig):
    """The run's own, which the header names."""
    return int(pytestconfig.option.hypothesis_seed)


#: The smallest relative error that a subject in float64 must be able to show, in every parameter.
#: Over three hundred seeds the worst was 1e-9, and 1e-8 for an LSTM.
PROMISED = 1e-6


@pytest.mark.parametrize("kind", ["float64", "seqdgm", "seqdgm-a"])
@pytest.mark.parametrize("check", ORACLES)
def test_a_small_bias_could_be_seen(check, kind, seed, record_property):
    """The bounds are not wider than what they must tell apart; the measured number is printed."""
    made = right(check, kind, seed)
    seen = resolution(made)
    record_property("smallest visible relative error", seen)
    print(f"{check} on {kind}: smallest visible relative error {seen:.1e}")  # noqa: T201 - measured
    assert seen < PROMISED
    assert judge(made) == HOLDS


def test_most_cases_in_float32_could_show_a_hundredth(seed, record_property):
    """Where gradients are small by chance some cannot; no verdict rests on float32 alone."""
    seen = [resolution(right("constant.theano/held", "float32", seed + i)) for i in range(40)]
    record_property("median smallest visible relative error", float(np.median(seen)))
    print(f"float32: smallest visible relative error {np.median(seen):.1e}")  # noqa: T201 - measured
    assert np.median(seen) < COARSEST


#: Enumerating an LSTM anew for each of its parameters takes minutes, one draw of it seconds.
BIASED = [(check, "float64") for check in ORACLES] + [
    ("constant.theano/held", "seqdgm"),
    ("constant.theano/held", "seqdgm-a"),
]


@pytest.mark.parametrize(("check", "kind"), BIASED)
def test_a_bias_as_small_as_is_claimed_is_refuted(check, kind, seed):
    """In one parameter alone, at a little more than the gap times what the evidence says.

    The resolution is for the largest entry, which a factor moves by its share; what rounding did to
    that entry already, one bound at most, is on top.
    """
    made = [one for one in right(check, kind, seed) if "direction" not in one.what]
    assert made
    for one in made:
        bias = (GAP + 1.001) * one.resolution
        found = compared(check, kind, seed, Biased(one.what, 1.0 + bias))
        assert judge(found) == REFUTED, (one.what, bias)
        assert worst_of(found).what == one.what


@pytest.mark.parametrize(("check", "kind"), BIASED)
def test_between_the_bound_and_the_gap_it_is_undecided(check, kind, seed):
    """A bias that rounding hardly explains is neither let pass nor called a bug."""
    one = min(right(check, kind, seed), key=lambda comparison: comparison.resolution)
    found = compared(check, kind, seed, Biased(one.what, 1.0 + 4.0 * one.resolution))
    assert judge(found) == UNDECIDED


@pytest.mark.parametrize("kind", ["float64", "seqdgm", "seqdgm-a"])
def test_one_part_in_a_million_is_refuted_in_each_parameter(kind, seed):
    """In float64, of whatever size the parameter's gradient is beside the others."""
    for name in subject_of(kind, seed).parameters:
        worst = worst_of(compared("constant.theano/held", kind, seed, Biased(name, 1.0 + 1e-6)))
        assert worst.ratio > GAP, name
        assert worst.what == name
