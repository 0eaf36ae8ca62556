"""Docstrings as paragraphs: what begins with Estimand, Shape or Reference stands on its own."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension

#: What the project's docstrings begin paragraphs with, besides Google's sections.
WORDS = ("Estimand", "Estimator", "Valid when", "Shape", "Reference")


class Paragraphs(Extension):
    """A blank line before each of these words, which is set bold."""

    def on_instance(self, *, obj: Any, **_: Any) -> None:
        """Called by griffe for each object that it has read."""
        if obj.docstring is not None:
            obj.docstring.value = paragraphs(obj.docstring.value)


def paragraphs(text: str) -> str:
    """A docstring with these paragraphs set apart."""
    text = re.sub(rf"^({'|'.join(WORDS)}):\s*\n +", r"\1: ", text, flags=re.MULTILINE)
    text = re.sub(rf"^({'|'.join(WORDS)}):", r"\n**\1:**", text, flags=re.MULTILINE)
    # :func:`.module.name` is what editors show; a page shows the name.
    return re.sub(r":\w+:`[.\w]*?(\w+)`", r"`\1`", text)
