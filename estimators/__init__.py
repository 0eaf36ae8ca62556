"""How the estimand is estimated: one gradient per draw, and the exact moments over all draws."""
