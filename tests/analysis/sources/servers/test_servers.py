"""Servers that answer too much, too slowly, wrongly or for ever: bounded, and one line each."""

from __future__ import annotations

import base64
import gzip
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from keras_otel.analysis.sources.reader import open_sources
from keras_otel.analysis.sources.servers import http_json, jaeger_api, phoenix
from keras_otel.analysis.sources.servers.http_json import Access
from keras_otel.errors import SourceError

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SLOWEST = 20


class Server(ThreadingHTTPServer):
    """Answers by a function of the request's handler, and keeps what it was asked."""

    daemon_threads = True

    def __init__(self, answer):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.requests = []
        self.is_over = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self):
        return f"127.0.0.1:{self.server_port}"

    def handle_error(self, *_):
        """Nothing: whoever asks hangs up."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append((self.path, dict(self.headers)))
        self.server.answer(self)

    def log_message(self, *_):
        """Nothing."""

    def reply(self, body, status=200, **headers):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(content))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def serve():
    """Start servers."""
    servers = []

    def start(answer):
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.is_over.set()
        server.shutdown()
        server.server_close()


def read(source, access):
    """The number of spans that are read, and what is not."""
    with open_sources([source], access=access) as telemetry:
        count = telemetry.spans.count().to_pyarrow().as_py()
    return count, [problem.message for problem in telemetry.problems]


def silent(request):
    request.server.is_over.wait(30)


def slow_body(request):
    request.reply(b"", Content_Length="1000")
    slowly(request, b"[")


def slow_headers(request):
    request.wfile.write(b"HTTP/1.1 200 OK\r\n")
    slowly(request, b"X")


def slowly(request, byte):
    while not request.server.is_over.wait(0.2):
        request.wfile.write(byte)


def endless(request):
    request.send_response(200)
    request.end_headers()
    while not request.server.is_over.is_set():
        request.wfile.write(b" " * 65536)


BOMB = gzip.compress(b" " * 2**25)


def circles(request):
    request.reply(b"", 302, Location="/elsewhere")


def replying(body, status=200, **headers):
    return lambda request: request.reply(body, status, **headers)


ANSWERS = {
    "silence": (silent, "has not answered within 1 s"),
    "a byte now and then": (slow_body, "has not answered within 1 s"),
    "headers now and then": (slow_headers, "has not answered within 1 s"),
    "an endless body": (endless, "answers with more than"),
    "a small body that unpacks to a large one": (
        replying(BOMB, Content_Encoding="gzip"),
        "answers with more than",
    ),
    "a cut body": (replying(b'{"data"', Content_Length="1000"), "cannot be reached"),
    "no HTTP": (lambda request: request.wfile.write(b"SSH-2.0\r\n"), "cannot be reached"),
    "deep lists": (replying(b"[" * 200_000), "does not answer in JSON"),
    "deep objects": (replying(b'{"data":' * 100_000), "does not answer in JSON"),
    "a page": (replying(b"<html>"), "does not answer in JSON"),
    "bytes": (replying(b"\xff\xfe\x00"), "does not answer in JSON"),
    "a list": (replying([1]), "answers with no object"),
    "no list": (replying({"data": 5}), "answers with no list under 'data'"),
    "nobody known": (replying(b"", 401), "--header 'Authorization: Bearer TOKEN'"),
    "nothing there": (replying(b"", 404), "answers 404"),
    "a fault": (replying(b"", 500), "answers 500"),
    "too much to do": (replying(b"", 503, Retry_After="3600"), "answers 503"),
    "redirects in circles": (circles, "round in circles"),
    "a redirect to nothing": (replying(b"", 302, Location="//"), "round in circles"),
    "a redirect to a file": (replying(b"", 302, Location="file:///etc/hosts"), "another server"),
}


@pytest.mark.parametrize("scheme", ["http", "phoenix+http"])
@pytest.mark.parametrize("answer", ANSWERS)
def test_one_line(serve, monkeypatch, scheme, answer):
    """Whatever a server does, soon there is one line that says what."""
    monkeypatch.setattr(http_json, "LARGEST_ANSWER", 2**20)
    reply, message = ANSWERS[answer]
    server = serve(reply)
    start = time.monotonic()
    access = Access(timeout_s=1 if "within 1 s" in message else SLOWEST)

    with pytest.raises(SourceError) as caught:
        read(f"{scheme}://user:hunter2@{server.address}", access)

    text = str(caught.value)
    assert message in text
    assert "\n" not in text
    assert "hunter2" not in text
    assert time.monotonic() - start < SLOWEST
    assert len(server.requests) < 10


def test_a_server_that_was_busy(serve):
    """An answer that it is too busy is not its last."""
    left = [503, 429]

    def answer(request):
        request.reply({"data": []}, left.pop() if left else 200)

    assert read(f"phoenix+http://{serve(answer).address}", Access()) == (0, [])


def test_credentials(serve, monkeypatch, tmp_path):
    """Headers and the address's user go to the server; a .netrc is left alone."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login other password other\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    server = serve(replying({"data": []}))
    access = Access(headers={"Authorization": "Bearer hunter2"})

    read(f"phoenix+http://{server.address}", access)
    read(f"phoenix+http://us%40er:p%2Fw@{server.address}", Access(headers={"X-Key": "k"}))

    (_, first), (_, second) = server.requests
    assert first["Authorization"] == "Bearer hunter2"
    assert second["Authorization"] == f"Basic {base64.b64encode(b'us@er:p/w').decode()}"
    assert second["X-Key"] == "k"


def test_redirects(serve):
    """Within a server a redirect is followed; another server gets neither a question nor a header."""
    other = serve(replying({"data": []}))
    place = ["/moved"]

    def answer(request):
        if request.path == "/moved":
            request.reply({"data": []})
        else:
            request.reply(b"", 307, Location=place[0])

    server = serve(answer)
    access = Access(headers={"X-Key": "hunter2"})

    assert read(f"phoenix+http://{server.address}", access) == (0, [])
    assert server.requests[-1][1]["X-Key"] == "hunter2"
    place[0] = f"http://user:hunter2@{other.address}/moved"
    with pytest.raises(SourceError, match=rf"to another server, http://{other.address}: name"):
        read(f"phoenix+http://{server.address}", access)
    assert other.requests == []


def span(number):
    ids = {"trace_id": TRACE, "span_id": f"{number + 1:016x}"}
    times = {"start_time_unix_nano": 10**18, "end_time_unix_nano": 10**18 + 1}
    return {**ids, "name": "s", **times}


def same_cursor(query):
    return {"data": [span(int(query.get("cursor", ["0"])[0]))], "next_cursor": "1"}


def cursor_forgotten(query):
    return {"data": [span(0)], "next_cursor": str(int(query.get("cursor", ["0"])[0]) + 1)}


def cursors_in_circles(query):
    number = int(query.get("cursor", ["0"])[0])
    return {"data": [span(number)], "next_cursor": str((number + 1) % 3)}


def empty_pages(query):
    number = int(query.get("cursor", ["0"])[0])
    return {"data": [span(0)] if not number else [], "next_cursor": str(number + 1)}


def ever_more(query):
    number = int(query.get("cursor", ["0"])[0])
    return {"data": [span(number)], "next_cursor": str(number + 1)}


@pytest.mark.parametrize(
    ("pages", "spans", "message"),
    [
        (same_cursor, 2, "it has no end of pages"),
        (cursor_forgotten, 1, "its pages repeat"),
        (cursors_in_circles, 3, "its pages repeat"),
        (empty_pages, 1, "it has no end of pages"),
        (ever_more, 21, "it has no end of pages"),
    ],
)
def test_pages_without_end(serve, monkeypatch, pages, spans, message):
    """What is new is read once, the rest is not asked for, and that is said."""
    monkeypatch.setattr(phoenix, "_MOST_PAGES", 20)

    def answer(request):
        parts = urlsplit(request.path)
        is_spans = parts.path.endswith("otlpv1")
        request.reply(pages(parse_qs(parts.query)) if is_spans else {"data": []})

    server = serve(answer)

    count, problems = read(f"phoenix+http://{server.address}/default", Access())

    assert count == spans
    assert [problem.partition(";")[0] for problem in problems] == [message]
    assert len(server.requests) < 30


def test_odd_elements(serve):
    """What is no span or annotation in an answer costs none of the others."""
    deep = span(5)
    for _ in range(400):
        deep = {"attributes": [deep]}

    def answer(request):
        is_spans = "otlpv1" in request.path
        odd = [5, None, "x", [], {"trace_id": 5}, deep]
        annotations = [{"span_id": 5, "result": 7, "name": "x"}, *odd]
        request.reply({"data": [*odd, span(1)] if is_spans else annotations})

    count, _ = read(f"phoenix+http://{serve(answer).address}/default", Access())

    assert count == 1


def jaeger_trace(number, start_us):
    ids = {"traceID": f"{number + 1:032x}", "spanID": SPAN, "processID": "p1"}
    one = {**ids, "operationName": "s", "startTime": start_us, "duration": 1, "tags": []}
    return {"traceID": ids["traceID"], "spans": [one], "processes": {"p1": {"serviceName": "s"}}}


def test_jaeger_that_ignores_the_time(serve):
    """Traces of another time are read once, and not asked for again in ever smaller pieces."""
    traces = [jaeger_trace(number, 10**15) for number in range(500)]

    def answer(request):
        request.reply({"data": ["s"] if request.path.endswith("services") else traces})

    server = serve(answer)

    count, problems = read(f"http://{server.address}", Access())

    assert count == 500
    assert any("traces of another time" in problem for problem in problems)
    assert len(server.requests) == 2


def test_jaeger_without_end(serve, monkeypatch):
    """However full each piece of time is, there is a last question."""
    monkeypatch.setattr(jaeger_api, "_MOST_ANSWERS", 20)

    def answer(request):
        start = int(parse_qs(urlsplit(request.path).query).get("start", ["0"])[0])
        traces = [jaeger_trace(start + number, start) for number in range(500)]
        request.reply({"data": ["s"] if request.path.endswith("services") else traces})

    server = serve(answer)

    count, problems = read(f"http://{server.address}", Access())

    assert count == 500
    assert any("more than 20 answers" in problem for problem in problems)
    assert len(server.requests) == 21
