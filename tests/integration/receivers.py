"""Real receivers on 127.0.0.1: a sink of our own, rotel, and the OpenTelemetry Collector."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import metadata
from pathlib import Path

from received import REQUESTS, Telemetry, from_protobuf, read_json_lines

_READY_TIMEOUT_S = 30.0

_COLLECTOR_CONFIG = """
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{grpc}"}}
      http: {{endpoint: "127.0.0.1:{http}"}}
processors:
  batch: {{timeout: 100ms}}
exporters:
  file: {{path: "{path}"}}
service:
  telemetry:
    metrics: {{level: none}}
  pipelines:
    traces: {{receivers: [otlp], processors: [batch], exporters: [file]}}
    metrics: {{receivers: [otlp], processors: [batch], exporters: [file]}}
    logs: {{receivers: [otlp], processors: [batch], exporters: [file]}}
"""


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Sink:
    """An OTLP/HTTP server that keeps what it gets."""

    def __init__(self) -> None:
        self.telemetry = Telemetry()
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def wait_for(
        self, is_enough: Callable[[Telemetry], bool], *, timeout_s: float = 30.0
    ) -> Telemetry:
        """Wait until enough arrived; the caller asserts on what there is after the timeout too."""
        with self._changed:
            self._changed.wait_for(lambda: is_enough(self.telemetry), timeout_s)
        return self.telemetry

    @contextmanager
    def serving(self) -> Iterator[Sink]:
        """Serve until the block ends."""
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def _take(self, signal: str, payload: bytes) -> None:
        with self._changed:
            self.telemetry.add(signal, from_protobuf(signal, payload))
            self._changed.notify_all()

    def _handler(sink) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler has its own self
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                signal = self.path.rpartition("/")[2]
                if signal in REQUESTS:
                    sink._take(signal, body)
                self.send_response(200 if signal in REQUESTS else 404)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                """Tell Logfire's client which project its token is of."""
                project = json.dumps({"project_name": "chat", "project_url": sink.url}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(project)))
                self.end_headers()
                self.wfile.write(project)

            def log_message(self, *args: object) -> None:
                """Say nothing on stderr."""

        return Handler


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a receiver listens."""

    grpc_port: int
    http_port: int

    def target(self, scheme: str) -> str:
        """The `export=` text for `http` or `grpc`."""
        return f"{scheme}://127.0.0.1:{self.grpc_port if scheme == 'grpc' else self.http_port}"


@contextmanager
def rotel_into(sink: Sink) -> Iterator[Endpoints]:
    """A rotel that forwards all signals to the sink over OTLP/HTTP."""
    ports = Endpoints(free_port(), free_port())
    (binary,) = (f for f in metadata.files("rotel") or () if f.name == "rotel-agent")
    command = [
        os.fspath(binary.locate()),
        "start",
        *("--otlp-grpc-endpoint", f"127.0.0.1:{ports.grpc_port}"),
        *("--otlp-http-endpoint", f"127.0.0.1:{ports.http_port}"),
        *("--exporter", "otlp", "--otlp-exporter-protocol", "http"),
        *("--otlp-exporter-endpoint", sink.url, "--batch-timeout", "100ms"),
    ]
    with _running(command, ports):
        yield ports


class Collector:
    """A running OpenTelemetry Collector that writes all signals to one file."""

    def __init__(self, ports: Endpoints, path: Path, process: subprocess.Popen[bytes]) -> None:
        self.ports = ports
        self._path = path
        self._process = process

    def stop(self) -> Telemetry:
        """Stop it, which makes it write its last batch, and read its file."""
        _stop(self._process)
        return read_json_lines(self._path)


@contextmanager
def collector_in(folder: Path, binary: Path) -> Iterator[Collector]:
    """A Collector whose file exporter writes into `folder`."""
    ports = Endpoints(free_port(), free_port())
    output = folder / "collected.jsonl"
    config = folder / "collector.yaml"
    config.write_text(
        _COLLECTOR_CONFIG.format(grpc=ports.grpc_port, http=ports.http_port, path=output)
    )
    with _running([os.fspath(binary), "--config", os.fspath(config)], ports) as process:
        yield Collector(ports, output, process)


@contextmanager
def _running(command: list[str], ports: Endpoints) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said: list[bytes] = []
    assert process.stdout is not None
    # Read all the time: a server whose pipe is full stands still.
    reader = threading.Thread(target=lambda: said.extend(process.stdout or ()), daemon=True)
    reader.start()
    try:
        for port in (ports.grpc_port, ports.http_port):
            _wait_until_open(port, process, said)
        yield process
    finally:
        _stop(process)
        reader.join()
        process.stdout.close()


def _wait_until_open(port: int, process: subprocess.Popen[bytes], said: list[bytes]) -> None:
    deadline = time.monotonic() + _READY_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nobody listens on port {port}: {b''.join(said).decode()}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
