"""Fixtures: the command line, and endpoints that respond or do not."""

from tests.command_line import environ, keras_otel_cli
from tests.otlp_endpoints import (
    closed_address,
    grpc_address,
    http2_address,
    http_server,
    unresponsive_address,
)

__all__ = [
    "closed_address",
    "environ",
    "grpc_address",
    "http2_address",
    "http_server",
    "keras_otel_cli",
    "unresponsive_address",
]
