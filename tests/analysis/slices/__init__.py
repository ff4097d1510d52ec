"""Slices: tests, intervals, and the choice of what is reported."""
