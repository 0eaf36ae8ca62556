"""Tests that may stop after any draw, with a stated probability of a false alarm."""
