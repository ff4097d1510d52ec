"""ClickHouse's HTTP interface over chdb, which is ClickHouse's own engine: a program of its own.

It stores an OTLP JSON file in the Collector's tables, prints its port, and answers until its standard
input ends. `/answered` lists the number of rows of each answer so far.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from chdb.session import Session

from tests.analysis.sources.servers.clickhouse_tables import fill

# Parameters of the protocol that are no settings of a query.
_NO_SETTINGS = {
    "query", "database", "session_id", "session_check", "session_timeout", "client_protocol_version",
    "enable_http_compression", "wait_end_of_query", "send_progress_in_http_headers", "compress",
    "http_headers_progress_interval_ms", "query_id", "user", "password", "quota_key", "buffer_size",
    "default_format",
}  # fmt: skip


class _Server(ThreadingHTTPServer):
    """Hands every query to the thread that owns the engine."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.queries: queue.Queue[tuple[str, dict[str, str], Future[bytes]] | None] = queue.Queue()
        self.answered: list[int] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: Any) -> None:
        """Nothing: a test's output is about the test."""

    def do_GET(self) -> None:
        """Answer a ping, or how many rows were answered."""
        is_ping = not self.path.startswith("/answered")
        self._send(200, b"Ok.\n" if is_ping else json.dumps(self.server.answered).encode())

    def do_POST(self) -> None:
        """Answer a query in the URL, the body, or both."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        parameters = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        query = "\n".join(part for part in (parameters.get("query", ""), body) if part.strip())
        answer: Future[bytes] = Future()
        self.server.queries.put((query, parameters, answer))
        try:
            self._send(200, answer.result())
        except Exception as error:  # noqa: BLE001 - the engine's error is the server's answer
            self._send(400, str(error).encode())

    def _send(self, status: int, answer: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        if status != 200:
            self.send_header("X-ClickHouse-Exception-Code", "1")
        self.end_headers()
        self.wfile.write(answer)


def _answer(session: Session, server: _Server, query: str, parameters: dict[str, str]) -> bytes:
    text, _, wanted = query.rstrip().rstrip(";").rpartition("FORMAT ")
    if not text or " " in wanted.strip():
        text, wanted = query, parameters.get("default_format", "TabSeparated")
    if "database" in parameters:
        session.query(f"USE {parameters['database']}")
    for key, value in parameters.items():
        if key not in _NO_SETTINGS:
            session.query(f"SET {key} = '{value}'")
    answer = session.query(text, wanted.strip())
    if query.startswith(("SELECT", "WITH")) and "system." not in query:
        server.answered.append(answer.rows_read())
    return bytes(answer.bytes() or b"")


def _stop_at_end_of_input(server: _Server) -> None:
    sys.stdin.read()
    server.queries.put(None)


def main() -> None:
    """Serve the file that the first argument names."""
    session, server = Session(), _Server()
    fill(session, Path(sys.argv[1]))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    threading.Thread(target=_stop_at_end_of_input, args=(server,), daemon=True).start()
    print(server.server_port, flush=True)
    while (item := server.queries.get()) is not None:
        query, parameters, answer = item
        try:
            answer.set_result(_answer(session, server, query, parameters))
        except Exception as error:  # noqa: BLE001 - as above
            answer.set_exception(error)
    os._exit(0)  # the engine's own end is noisy


if __name__ == "__main__":
    main()
