"""The samplers of each library, and parameters to draw with: rows of benchmarks/samplers.py."""
