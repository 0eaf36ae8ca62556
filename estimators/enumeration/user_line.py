"""Where in a user's own code an error came from."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

#: Where Python's own modules and installed packages are, which are no user's.
INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")})


def user_line(error: BaseException) -> str:
    """The innermost line outside of installed packages, as FILE:LINE; empty if there is none."""
    line = ""
    for frame, number in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        ours = str(frame.f_globals.get("__name__", "")).startswith("gradproof.")
        if not (ours or file.startswith((*INSTALLED, "<frozen"))):
            line = f"{Path(file).name}:{number}"
    return line
