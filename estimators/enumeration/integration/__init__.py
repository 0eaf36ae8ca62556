"""Means over continuous draws, by quadrature: each run takes a node of each number that is used."""
