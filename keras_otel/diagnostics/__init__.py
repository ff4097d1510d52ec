"""Checks of a process and its environment: one module for each part, all adding to `Findings`."""

from keras_otel.diagnostics.examine import report

__all__ = ["report"]
