"""The demo in examples/intent_router, run as a user runs it."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

DEMO = Path(__file__).parents[1] / "examples" / "intent_router"
TOPICS = {"ai", "coding", "emotion", "psychology", "tech_support", "trivia"}
OPERATIONS = {"predict", "predict_on_batch", "call", "traced"}
VERSION = re.compile(r"sha256:[0-9a-f]{12}")

pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("tensorflow", "chatterbot_corpus", "yaml", "rich")),
    reason="the demo needs keras-otel[demo]",
)


def run_demo(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the demo without this process's own OpenTelemetry and Keras settings."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "KERAS_"))}
    return subprocess.run(
        [sys.executable, str(DEMO), *map(str, arguments)],
        env=inherited | {"PYTHONIOENCODING": "utf-8"} | environment,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


def spans_in(path: Path) -> list[dict[str, Any]]:
    """The spans of a file of OTLP JSON lines."""
    return [
        span
        for line in path.read_text(encoding="utf-8").splitlines()
        for resource in json.loads(line).get("resourceSpans", ())
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def facts_of(span: dict[str, Any]) -> dict[str, Any]:
    """A span's attributes, without their types."""
    return {pair["key"]: next(iter(pair["value"].values())) for pair in span["attributes"]}


class Run:
    """One finished run and what it left behind."""

    def __init__(self, out: Path, *arguments: str, **environment: str) -> None:
        done = run_demo("--out", out, "--epochs", "2", *arguments, **environment)
        assert done.returncode == 0, done.stderr
        self.stdout, self.stderr = done.stdout, done.stderr
        self.file = out / "traces.jsonl"
        self.text = self.file.read_text(encoding="utf-8")
        self.spans = spans_in(self.file)
        self.facts = [facts_of(span) for span in self.spans]
        self.versions = {facts["keras.model.version"] for facts in self.facts}
        card = out / "models" / "intent.keras.card.json"
        self.card = json.loads(card.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that two runs write to, one after the other."""
    return tmp_path_factory.mktemp("demo") / "out"


@pytest.fixture(scope="module")
def first(folder: Path) -> Run:
    """A run with seed 1."""
    return Run(folder, "--seed", "1")


@pytest.fixture(scope="module")
def second(folder: Path, first: Run) -> Run:
    """A run with seed 2 in the same folder, after the first."""
    return Run(folder, "--seed", "2")


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """A server that takes OTLP over HTTP: its address, and the traces it was sent."""
    received: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path == "/v1/traces":
                received.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()


def test_every_inference_is_one_span(first: Run) -> None:
    """Each of the four ways of calling the model gives one span for each question."""
    assert Counter(facts["keras.operation.name"] for facts in first.facts) == dict.fromkeys(
        OPERATIONS, 6
    )


def test_spans_say_what_was_predicted(first: Run) -> None:
    """Each span has a topic as its class, a probability, and the version of one model."""
    for facts in first.facts:
        assert facts["keras.model.name"] == "intent"
        assert facts["keras.prediction.class"] in TOPICS
        assert 0.0 < facts["keras.prediction.confidence"] <= 1.0
        assert facts["keras.inference.duration"] > 0.0
    (version,) = first.versions
    assert VERSION.fullmatch(version)


def test_the_version_is_the_saved_models(first: Run) -> None:
    """The process that serves finds the fingerprint that the training process put on the card."""
    assert first.versions == {first.card["fingerprint"]}


def test_the_screen_shows_the_table(first: Run) -> None:
    """The screen has progress, a row for each inference, and nothing of TensorFlow's noise."""
    (version,) = first.versions
    assert "epoch  2/2" in first.stdout
    assert len(re.findall(rf"{version} +\d+\.\d$", first.stdout, re.MULTILINE)) == 24
    assert first.stderr == ""


def test_questions_stay_in_the_process(first: Run) -> None:
    """A question on the screen is nowhere in the exported file."""
    question = "I forgot my password."
    assert question in first.stdout
    assert question not in first.text


def test_another_seed_shows_another_version(first: Run, second: Run) -> None:
    """A retrain under the same name has a version of its own, and the screen names both."""
    assert len(second.spans) == 24
    assert second.versions.isdisjoint(first.versions)
    for version in first.versions | second.versions:
        assert version in second.stdout


def test_spans_go_to_a_server(
    tmp_path: Path, receiver: tuple[str, list[ExportTraceServiceRequest]]
) -> None:
    """With an endpoint set, the spans on the screen are the spans that the server received."""
    endpoint, received = receiver
    run = Run(tmp_path / "out", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
    arrived = {
        span.span_id.hex(): {pair.key for pair in span.attributes}
        for request in received
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    }
    assert arrived == {
        span["spanId"]: set(facts) for span, facts in zip(run.spans, run.facts, strict=True)
    }
    assert endpoint in run.stdout


@pytest.mark.parametrize(
    ("arguments", "endpoint", "complaint"),
    [
        (["--seed", "-1"], "", "'-1' is not a whole number from 0"),
        (["--epochs", "0"], "", "'0' is not a whole number from 1"),
        (["--out", __file__], "", "no such folder can be made"),
        ([], "localhost:4318", "write http://localhost:4318"),
        ([], "http://127.0.0.1:1", "nothing answers at"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path, arguments: list[str], endpoint: str, complaint: str
) -> None:
    """What is wrong is said before any training, with the mend and without a traceback."""
    done = run_demo("--out", tmp_path, *arguments, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
