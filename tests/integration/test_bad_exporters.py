"""An exporter that is down, slow or refused: the caller notices nothing, and what is lost is counted."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from programs import Programs
from receivers import free_port

DELAY_S = 10.0
"""The slow endpoint's, longer than an export may take (4 s)."""

EXIT_S = 30.0
"""After which the SDK gives a queue up. Five exports of 4 s each are the most that this one takes."""

LOSES = {
    "down": "queue_full",
    "slow": "queue_full",
    "refusing": "status 400",
    "failing": "status 500",
    "unavailable": "queue_full",
}
"""What is counted at each endpoint. The exporter tries again where the status is 503, not at 500."""


GIVEN_UP = {"unavailable": ("status 503",)}
"""What may be counted besides, on a machine that is slow enough."""


@contextmanager
def server(status: int, delay_s: float = 0.0) -> Iterator[int]:
    """An OTLP endpoint that answers each request with this status, after a while."""
    is_over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            is_over.wait(delay_s)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:
                assert is_over.is_set() or delay_s

        def log_message(self, *args: object) -> None:
            """Say nothing on stderr."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    try:
        yield listener.server_address[1]
    finally:
        is_over.set()
        listener.shutdown()
        listener.server_close()
        thread.join()


@contextmanager
def endpoint(kind: str) -> Iterator[int]:
    """The port of a bad endpoint."""
    if kind == "down":
        yield free_port()
        return
    status = {"slow": 200, "refusing": 400, "failing": 500, "unavailable": 503}[kind]
    with server(status, DELAY_S if kind == "slow" else 0.0) as port:
        yield port


@pytest.fixture
def expected(programs: Programs) -> Any:
    """What the program answers without keras_otel."""
    return json.loads(programs.run("busy.py").stdout)


@pytest.mark.parametrize("kind", LOSES)
def test_a_bad_exporter(programs: Programs, expected: Any, kind: str) -> None:
    """Thousands of predictions are what they were, none waits, lost spans are counted, and it ends."""
    with endpoint(kind) as port:
        finished = programs.run(
            "busy.py",
            f"http://127.0.0.1:{port}",
            OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED="true",
        )
        said = json.loads(finished.stdout)
        exit_s = time.time() - said["ended_at_s"]
    print(f"{kind}: exit {exit_s:.1f} s, {said}, without keras_otel: {expected}")

    assert said["answers"] == expected["answers"]
    # Not a figure of speed: all predictions together take less than one answer of the exporter.
    assert said["total_s"] < DELAY_S
    assert said["lost"][LOSES[kind]] > 0
    # Nothing was lost in keras_otel. An exporter that is asked to try again gives a batch up in the end.
    assert set(said["lost"]) <= {"queue_full", LOSES[kind], *GIVEN_UP.get(kind, ())}
    assert exit_s < EXIT_S
    assert "Traceback" not in finished.stderr
