"""What all tests share: a Hypothesis profile, a printed seed, frameworks that may be missing."""

import os
import secrets
from importlib import import_module
from importlib.util import find_spec

import pytest
from hypothesis import settings

FRAMEWORKS = ("torch", "theano")  # each is also a mark
MUST_HAVE = "GRADPROOF_MUST_HAVE"

# The parent is named because Hypothesis loads a derandomised profile by itself where CI is set, and
# drawing the same examples on every run hides whatever the others would find.
settings.register_profile(
    "gradproof",
    settings.get_profile("default"),
    deadline=None,  # the first call of a framework takes seconds, later ones microseconds
    derandomize=False,
    print_blob=True,  # a failure prints the line that runs its example again
)
settings.load_profile("gradproof")


@pytest.hookimpl(tryfirst=True)  # Hypothesis reads the option in this same hook
def pytest_configure(config):
    """Choose a seed unless one was given, so that the header can name it."""
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = str(secrets.randbits(32))


@pytest.fixture
def library():
    """Imports a module that belongs to tox's environment ``libraries``, or skips.

    Where GRADPROOF_MUST_HAVE_LIBRARIES is set, one that is missing is an error.
    """

    def load(name):
        if find_spec(name) is None:
            if os.environ.get("GRADPROOF_MUST_HAVE_LIBRARIES"):
                raise ModuleNotFoundError(
                    f"GRADPROOF_MUST_HAVE_LIBRARIES is set, and {name} is not installed here"
                )
            pytest.skip(f"{name} is not installed here")
        return import_module(name)

    return load


def pytest_report_header(config):
    """Say how to draw the same examples again."""
    seed = config.option.hypothesis_seed
    return f"hypothesis seed {seed}, again with: pytest --hypothesis-seed={seed}"


def pytest_collection_modifyitems(items):
    """Skip tests of a framework that is missing, unless the environment demands it."""
    missing = {name for name in FRAMEWORKS if find_spec(name) is None}
    demanded = {name.strip() for name in os.environ.get(MUST_HAVE, "").split(",")} - {""}
    if unknown := demanded - set(FRAMEWORKS):
        raise pytest.UsageError(f"{MUST_HAVE} names {sorted(unknown)}, known are {FRAMEWORKS}")
    if absent := demanded & missing:
        raise pytest.UsageError(f"{MUST_HAVE} demands {sorted(absent)}, not installed here")
    for item in items:
        for name in sorted(missing):
            if item.get_closest_marker(name):
                item.add_marker(pytest.mark.skip(reason=f"{name} is not installed here"))
