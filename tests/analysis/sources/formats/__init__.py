"""Formats of files, good and bad."""
