"""What baselines do to the variance, by the parameter and along a training run."""
