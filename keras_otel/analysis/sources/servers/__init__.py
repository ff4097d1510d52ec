"""Servers and engines that traces and evaluations are read from."""
