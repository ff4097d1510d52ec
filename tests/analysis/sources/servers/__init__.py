"""Servers and engines, real where they can be."""
