"""Whether a library is there, for tests of those that cannot be imported as a whole."""

import os
from importlib.util import find_spec

import pytest


@pytest.fixture
def installed_library():
    """Skips where a library is missing; an error where GRADPROOF_MUST_HAVE_LIBRARIES is set."""

    def look(name):
        if find_spec(name) is None:
            if os.environ.get("GRADPROOF_MUST_HAVE_LIBRARIES"):
                raise ModuleNotFoundError(
                    f"GRADPROOF_MUST_HAVE_LIBRARIES is set, and {name} is not installed here"
                )
            pytest.skip(f"{name} is not installed here")

    return look
