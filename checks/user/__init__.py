"""What anyone asks of a gradient estimator of their own: its mean, its derivatives, invariances."""
