"""Estimators that are right, and ones that are wrong in ways that were seen: a row each."""
