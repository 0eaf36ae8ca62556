"""What an error within its bound may be; it imports nothing, for pytest reads it in any session."""

from __future__ import annotations


def error_words(method: str) -> str:
    """What an error within its bound may be, by how the mean was found."""
    words = {
        "enumerated": "rounding",
        "additive": "rounding",
        "integrated": "the estimated error of the integral",
    }
    return words.get(method, "sampling noise")
