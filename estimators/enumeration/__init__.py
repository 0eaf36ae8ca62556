"""Anyone's estimator, run once for every outcome of its discrete draws. It judges nothing."""
