"""Checks of a gradient estimator of your own: its mean, its derivatives, invariances."""
