"""Why a claim holds: one SymPy program per claim, which prints its steps and hands on an oracle."""
