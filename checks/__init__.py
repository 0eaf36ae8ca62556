"""Whether a claim holds: comparisons that return evidence, and verdicts drawn from it."""
