"""What to do where an environment of Gymnasium draws what cannot be enumerated."""

from __future__ import annotations

import sys
import traceback
from typing import Any

#: What is said of a draw that has no outcomes to count, and of no other refusal.
UNCOUNTED = "its outcomes cannot be enumerated"


def environment_hint(error: BaseException) -> str:
    """Which environment draws it, and what to do, to be added to a message; empty if none does."""
    kind: Any = getattr(sys.modules.get("gymnasium"), "Env", None)
    if kind is None or UNCOUNTED not in str(error):
        return ""
    hint = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        owner, method = frame.f_locals.get("self"), frame.f_code.co_name
        if method in ("reset", "step") and isinstance(owner, kind):  # the innermost counts
            name = f"{type(owner).__name__}.{method}()"
            begin = "begin in one of a few states" if method == "reset" else "draw one of a few"
            hint = f" ({name} draws it: override it in a subclass, and {begin})"
    return hint
