"""Rows: what is matched, counted and left out."""
