"""Plots as inline SVG, drawn by matplotlib."""
