"""The checks, a module for each family of claims and a row for each variant."""
