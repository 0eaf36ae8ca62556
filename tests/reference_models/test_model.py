"""What is asked of parameters and labels before anything is differentiated at them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradproof.reference_models.model import (
    BASELINE_GROUP,
    GROUPS,
    check_classes,
    check_parameters,
    every_label,
    group_of,
    one_hot,
)
from gradproof.reference_models.registry import make_model
from gradproof.reference_models.seqdgm import SeqDGM
from gradproof.reference_models.seqdgm_a import SeqDGMA
from gradproof.reference_models.tabular import TabularModel

FLOATS = "expected all float64 or all float32"


REFUSED = {
    "none": ({}, "no parameters given; a model needs at least one"),
    "integers": ({"e.x": np.array([1, 2])}, rf"dtypes \['int64'\], {FLOATS}"),
    "half precision": ({"e.x": np.ones(2, np.float16)}, rf"dtypes \['float16'\], {FLOATS}"),
    "complex": ({"e.x": np.ones(2, complex)}, rf"dtypes \['complex128'\], {FLOATS}"),
    "mixed": (
        {"e.x": np.ones(2), "w.x": np.ones(2, np.float32)},
        rf"dtypes \['float32', 'float64'\], {FLOATS}",
    ),
    "unknown group": (
        {"e.x": np.ones(2), "psi.x": np.ones(2)},
        "parameter 'psi.x' is in no group; begin its name with one of e, w, phi, theta or lambda",
    ),
    "no group": ({"embedding": np.ones(2)}, "parameter 'embedding' is in no group"),
}


@pytest.mark.parametrize(("parameters", "message"), REFUSED.values(), ids=REFUSED)
def test_parameters_out_of_order_are_named(parameters, message):
    """Parameters that cannot be differentiated at are refused, with what was found and expected."""
    with pytest.raises(ValueError, match=message):
        check_parameters(parameters)


@given(
    shape=st.lists(st.integers(1, 3), max_size=3).map(tuple),
    bad=st.sampled_from([np.nan, np.inf, -np.inf]),
    dtype=st.sampled_from([np.float32, np.float64]),
    data=st.data(),
)
def test_a_value_that_is_not_finite_is_found_wherever_it_is(shape, bad, dtype, data):
    """One NaN or infinity in any array, a scalar too, is refused at its own coordinate."""
    place = tuple(data.draw(st.integers(0, size - 1)) for size in shape)
    array = np.zeros(shape, dtype)
    check_parameters({"e.x": np.ones(2, dtype), "w.y": array})
    array[place] = bad
    with pytest.raises(ValueError, match=r"parameter 'w\.y' is ") as raised:
        check_parameters({"e.x": np.ones(2, dtype), "w.y": array})
    assert f"is {bad} at {place}, expected a finite value" in str(raised.value)


@pytest.mark.parametrize("group", [*GROUPS, BASELINE_GROUP])
def test_every_group_is_known(group):
    """A parameter of each group of the note, and of a baseline, is taken."""
    assert group_of(f"{group}.lstm.bias") == group
    check_parameters({f"{group}.lstm.bias": np.zeros(())})


NEEDS_LABELS = {
    "check_classes": check_classes,
    "SeqDGM": lambda classes: SeqDGM(classes, 5),
    "SeqDGMA": lambda classes: SeqDGMA(classes, 5),
    "TabularModel": lambda classes: TabularModel(classes, 5, 2),
    "make_model": lambda classes: make_model("seqdgm", classes, 5),
}


@pytest.mark.parametrize("classes", [1, 0, -3])
@pytest.mark.parametrize("make", NEEDS_LABELS.values(), ids=NEEDS_LABELS)
def test_one_label_is_too_few(make, classes):
    """With one label there is nothing to estimate, and each model says so."""
    with pytest.raises(
        ValueError, match=rf"K = {classes}: a model needs at least 2 labels; .*zero"
    ):
        make(classes)


def test_two_labels_are_enough():
    """The least number of labels is taken."""
    assert check_classes(2) == 2


@given(n=st.integers(1, 4), classes=st.integers(2, 5))
def test_every_label_gives_each_label_to_all(n, classes):
    """Assignment k gives label k, and no other, to each sentence."""
    labels = every_label(n, classes)
    assert labels.shape == (classes, n, classes)
    for k in range(classes):
        for sentence in range(n):
            assert [int(i == k) for i in range(classes)] == labels[k, sentence].tolist()


@given(classes=st.integers(2, 5), data=st.data())
def test_one_hot_marks_the_label(classes, data):
    """Each row has a single 1, where the label is."""
    labels = data.draw(st.lists(st.integers(0, classes - 1), min_size=1, max_size=4))
    rows = one_hot(np.array(labels), classes)
    assert rows.shape == (len(labels), classes)
    np.testing.assert_array_equal(rows.argmax(axis=1), labels)
    np.testing.assert_array_equal(np.sort(rows, axis=1)[:, :-1], 0.0)
    np.testing.assert_array_equal(rows.max(axis=1), 1.0)


@pytest.mark.parametrize(("name", "kind"), [("seqdgm", SeqDGM), ("seqdgm-a", SeqDGMA)])
def test_models_go_by_their_names(name, kind):
    """The name that a command takes makes the model that carries it."""
    model = make_model(name, 3, 7)
    assert isinstance(model, kind)
    assert (model.name, model.classes, model.vocabulary) == (name, 3, 7)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("seqdgm_a", r"unknown model 'seqdgm_a', .* seqdgm, seqdgm-a; did you mean 'seqdgm-a'\?"),
        ("lda", r"unknown model 'lda', expected one of seqdgm, seqdgm-a$"),
    ],
)
def test_an_unknown_model_is_an_error(name, message):
    """A name that no model has is answered with the names there are, and the nearest."""
    with pytest.raises(ValueError, match=message):
        make_model(name, 3, 7)
