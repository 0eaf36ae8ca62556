"""What a report calls a user's code."""

import functools

from gradproof.checks.user.code_name import code_name


def reinforce(kind):
    """Some variant."""
    return kind


class Trainer:
    """Something with a method."""

    def loss(self):
        """Called of an object."""

    def __call__(self):
        """Called itself."""


def test_functions_methods_and_objects_have_their_own_names():
    """As Python says them."""
    assert code_name(reinforce) == "reinforce"
    assert code_name(Trainer().loss) == "Trainer.loss"
    assert code_name(Trainer()) == code_name(Trainer) == "Trainer"


def test_a_partial_is_called_as_what_it_calls():
    """It has no name of its own."""
    assert code_name(functools.partial(functools.partial(reinforce), kind="mean")) == "reinforce"
    assert code_name(functools.partial(Trainer())) == "Trainer"


def test_a_name_that_somebody_gave_is_used():
    """In a loop over variants, say."""
    variant = lambda: reinforce("mean")  # noqa: E731 - this is what a lambda is called
    assert code_name(variant).endswith("<lambda>")
    variant.__name__ = "mean"
    assert code_name(variant) == "mean"
