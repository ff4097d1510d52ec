"""Slices, and what they are made of."""
