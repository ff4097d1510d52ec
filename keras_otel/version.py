"""The version of keras_otel."""

__version__ = "0.1.0"
