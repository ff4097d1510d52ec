"""Fixtures: the command line, and endpoints for it to check."""

from tests.command_line import environ, keras_otel_cli
from tests.otlp_endpoints import closed_address, http_server

__all__ = ["closed_address", "environ", "http_server", "keras_otel_cli"]
