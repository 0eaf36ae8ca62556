"""Prove or refute claims about gradients estimated from sampled labels."""
