"""What a user's own code raises, reported as an error of the user."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

from gradproof.errors import GradproofError


class UserCodeError(GradproofError, ValueError):
    """The user's own code raised an error, or did not do what it should: the message says which."""


@contextlib.contextmanager
def blame(function: object, what: str, kind: type[UserCodeError] = UserCodeError) -> Iterator[None]:
    """Tell whatever a user's function raises as an error of the user's, with the line it is on.

    Raises:
        UserCodeError: of this kind, from what was raised.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        code = getattr(function, "__code__", None)
        module = sys.modules.get(type(function).__module__)
        file = code.co_filename if code else getattr(module, "__file__", None)
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == file]
        place = f" at {Path(file).name}:{lines[-1]}" if file and lines else ""
        raise kind(
            f"{what} raised {type(error).__name__}{place}: {error}; --traceback shows more"
        ) from error
