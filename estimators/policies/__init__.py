"""Policies over sequences of tokens: all completions, their exact goals, and losses on groups."""
