"""Fixtures: servers for the command line to check, and addresses without one."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse


@dataclass
class HttpServer:
    """A server that gives every POST the same response, and keeps the last request."""

    url: str
    status: int = 200
    kind: str = "application/x-protobuf"
    path: str | None = None
    headers: Mapping[str, str] | None = None
    body: bytes | None = None


@pytest.fixture
def http_server() -> Iterator[HttpServer]:
    """A real HTTP server on a free port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            server_state.path, server_state.headers = self.path, dict(self.headers.items())
            server_state.body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(server_state.status)
            self.send_header("Content-Type", server_state.kind)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format, *args):  # noqa: A002 - the base class's name
            """Keep the tests' output clean."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server_state = HttpServer(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server_state
        server.shutdown()
        thread.join()


class _Receiver(trace_service_pb2_grpc.TraceServiceServicer):
    def Export(self, request, context):  # noqa: N802 - the name in the protocol
        if dict(context.invocation_metadata()).get("x-key", "right") != "right":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "wrong key")
        return ExportTraceServiceResponse()


@pytest.fixture
def grpc_address(request) -> Iterator[str]:
    """A real gRPC server that accepts OTLP traces, or nothing where the parameter is False."""
    server = grpc.server(ThreadPoolExecutor(1))
    if getattr(request, "param", True):
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Receiver(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.fixture
def unresponsive_address() -> Iterator[str]:
    """A port that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def closed_address() -> str:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def _respond_404_over_http2(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection, connection.makefile("rb") as stream:
        stream.read(len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
        connection.sendall(b"\0\0\0\4\0\0\0\0\0")  # SETTINGS, none
        while frame := stream.read(9):
            stream.read(int.from_bytes(frame[:3]))
            if frame[3] == 1:  # HEADERS: the request; 0x8d is `:status: 404`
                connection.sendall(b"\0\0\1\1\5" + frame[5:9] + b"\x8d")


@pytest.fixture
def http2_address() -> Iterator[str]:
    """A web server that speaks HTTP/2 but not gRPC, for one connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_respond_404_over_http2, args=(listener,))
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join()
