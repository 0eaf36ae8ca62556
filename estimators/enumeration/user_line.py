"""Where in a user's own code an error came from."""

from __future__ import annotations

import traceback
from pathlib import Path

#: Packages that are no user's.
NOT_A_USERS = ("gradproof", "torch", "numpy")


def user_line(error: BaseException) -> str:
    """The innermost line outside gradproof and the frameworks, as FILE:LINE; empty if none."""
    line = ""
    for frame, number in traceback.walk_tb(error.__traceback__):
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if package not in NOT_A_USERS:
            line = f"{Path(frame.f_code.co_filename).name}:{number}"
    return line
