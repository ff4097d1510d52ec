"""Cells become slices: candidates, tests, confounding, and which of them to report."""
