"""Training with the surrogates that are verified: one step, a run's options, its checkpoints."""
