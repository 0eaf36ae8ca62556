"""Anytime-valid tests, which may stop after any draw, with a stated false-alarm probability."""
