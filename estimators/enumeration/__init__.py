"""Any estimator, run once for every outcome of its discrete draws; verdicts are made elsewhere."""
