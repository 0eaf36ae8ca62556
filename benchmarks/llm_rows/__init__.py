"""Losses and trainers of libraries for language models: rows of benchmarks/llm.py."""
