"""The version, which stands in pyproject.toml alone: what is installed says it."""

from __future__ import annotations

import importlib.metadata

__version__ = importlib.metadata.version("gradproof")
