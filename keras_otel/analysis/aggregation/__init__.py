"""Rows become features with a few dozen values each, and cells of sums."""
