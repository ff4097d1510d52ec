"""The demo in examples/intent_router: its parts, and what it says to a wrong call.

The whole of it runs in tests/stack, into real servers.
"""

from __future__ import annotations

import base64
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

DEMO = Path(__file__).parents[1] / "examples" / "intent_router"

pytestmark = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("chatterbot_corpus", "fastapi", "openai", "yaml")),
    reason="the demo needs keras-otel[demo]",
)


@pytest.fixture(autouse=True)
def beside_each_other(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The demo's modules import each other by name, as its programs do."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(DEMO)
    yield
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) == str(DEMO / f"{name}.py"):
            del sys.modules[name]


def run_demo(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the demo without this process's own OpenTelemetry and Keras settings."""
    inherited = {
        k: v for k, v in os.environ.items() if not k.startswith(("OTEL_", "KERAS_", "OPENAI_"))
    }
    return subprocess.run(
        [sys.executable, str(DEMO), *map(str, arguments)],
        env=inherited | {"PYTHONIOENCODING": "utf-8"} | environment,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The demo's folder and screen after a short run without any server."""
    out = tmp_path_factory.mktemp("demo")
    # A key alone is not to send anything to its owner's LLM.
    done = run_demo("--out", out, "--requests", "60", OPENAI_API_KEY="sk-real")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return out, done.stdout


def test_the_screen_tells_the_story(outcome: tuple[Path, str]) -> None:
    """Training, progress, the table, the page and what to do next."""
    out, shown = outcome

    assert "v1: trained on 294 questions" in shown
    assert "60 of 60" in shown
    assert "answer_correct by upstream model intent" in shown
    assert str(out / "report.html") in shown
    assert "docker compose up" in shown


def test_nothing_of_the_last_seconds_is_lost(outcome: tuple[Path, str]) -> None:
    """The service has exported every span, log record and metric when it ends."""
    out, _ = outcome
    lines = [json.loads(line) for line in (out / "traces.jsonl").read_text().splitlines()]
    spans = [
        span["name"].split()[0]
        for line in lines
        for resource in line.get("resourceSpans", ())
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]
    logs = [
        record["eventName"]
        for line in lines
        for resource in line.get("resourceLogs", ())
        for scope in resource["scopeLogs"]
        for record in scope["logRecords"]
    ]

    assert spans.count("call") == spans.count("evaluate") == spans.count("outcome") == 60
    assert logs.count("gen_ai.evaluation.result") == 60
    assert any("resourceMetrics" in line for line in lines)


def test_questions_stay_in_the_process(outcome: tuple[Path, str]) -> None:
    """What the users type is nowhere in the exported file."""
    import users

    out, _ = outcome
    text = (out / "traces.jsonl").read_text(encoding="utf-8")
    asked = [message.text for message in islice(users.messages(random.Random(1)), 60)]

    assert [question for question in asked if len(question) > 12 and question in text] == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--seed", "-1"], "'-1' is not a whole number from 0"),
        (["--requests", "3"], "'3' is not a whole number from 20"),
        (["--out", __file__], "no such folder can be made"),
        (["--otlp", "localhost:4318"], "write http://localhost:4318"),
        (["--otlp", "http://127.0.0.1:1"], "nothing answers at"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, arguments: list[str], complaint: str) -> None:
    """What is wrong is said before any training, with the mend and without a traceback."""
    done = run_demo("--out", tmp_path, *arguments)

    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_question_is_either_learnt_or_held_out() -> None:
    """No question that users ask was in the training, whatever the topic."""
    import corpus

    for topic in corpus.TOPICS:
        learnt = {question.case for question in corpus.train_questions(topic)}
        asked = {question.case for question in corpus.held_out_questions(topic)}

        assert len(asked) >= 5
        assert len(learnt) >= 2 * len(asked) or len(learnt) == 100
        assert not learnt & asked


def test_cases_name_one_question() -> None:
    """The short names that the judge goes by are unique over all topics."""
    import corpus

    cases = [question.case for topic in corpus.TOPICS for question in corpus.questions(topic)]

    assert len(set(cases)) == len(cases)


def test_the_right_shelf_has_the_answer() -> None:
    """Routed to its own topic, nearly every question as typed gets its reference answer."""
    import corpus
    import judge
    import library
    import users

    shelves, by_case = library.Library(), {}
    for topic in corpus.TOPICS:
        by_case |= {question.case: question for question in corpus.questions(topic)}
    right = []
    for message in islice(users.messages(random.Random(3)), 300):
        question = by_case[message.case]
        note = shelves.search(question.topic, message.text)[0]
        right.append(max(judge.f1(note.answer, answer) for answer in question.answers) >= 0.5)

    assert np.mean(right) > 0.97


def test_f1() -> None:
    """Shared words, each as often as both texts have it."""
    from judge import f1

    assert f1("Sputnik 1", "sputnik 1.") == 1
    assert f1("no", "yes") == 0
    assert f1("", "") == 1
    assert f1("", "word") == 0
    assert f1("a a b", "a b c") == pytest.approx(2 / 3)


def test_the_local_llm_without_notes() -> None:
    """A question that comes without notes, or with what is no JSON, gets an answer too."""
    import llm

    def ask(system: str) -> str:
        messages = [
            llm.Message(role="system", content=system),
            llm.Message(role="user", content="Who?"),
        ]
        completion = llm.complete(llm.Request(model="m", messages=messages))
        text: str = completion["choices"][0]["message"]["content"]
        return text

    assert ask("Be kind.") == ask("Be kind.\nnot json") == ask("Be kind.\n{}") == "I do not know."
    assert ask('Notes:\n[{"question": "Who?", "answer": "Ada"}]') == "Ada"


def test_features_are_of_unit_length() -> None:
    """Each text is a row; what two texts share makes them alike; an empty one is all zeros."""
    from features import features

    rows = features(["What is AI?", "what is ai", "Who won?", ""])

    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 1, 1, 0])
    assert rows[0] @ rows[1] == pytest.approx(1)
    assert rows[0] @ rows[2] < 0.5


@pytest.fixture
def backend() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """A server that takes spans as protobuf: its address, and what it was sent."""
    received: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Type"] == "application/x-protobuf"
            received.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200 if self.headers["api-key"] == "k" else 401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", received
        server.shutdown()


def forward(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the program that sends a file on."""
    command = [sys.executable, str(DEMO / "forward.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_spans_are_forwarded(
    tmp_path: Path, backend: tuple[str, list[ExportTraceServiceRequest]]
) -> None:
    """Lines of other signals and broken lines are passed over; ids and links arrive as they were."""
    url, received = backend
    link = {"traceId": "0b" * 16, "spanId": "0c" * 8}
    span = {"traceId": "0a" * 16, "spanId": "ff" * 8, "parentSpanId": "", "name": "s"}
    line = {"resourceSpans": [{"scopeSpans": [{"spans": [{**span, "links": [link]}]}]}]}
    path = tmp_path / "traces.jsonl"
    path.write_text(
        '{"resourceMetrics": []}\n{"resourceSpans": [{\n' + json.dumps(line) + '\n{"resourceSp'
    )

    done = forward(path, url, "--header", "api-key=k")

    assert (done.returncode, done.stdout) == (0, f"1 spans sent to {url}\n")
    assert done.stderr.startswith(f"forward: {path}, line 2 is left out: ")
    assert len(done.stderr.splitlines()) == 1
    (arrived,) = received[0].resource_spans[0].scope_spans[0].spans
    assert (arrived.trace_id.hex(), arrived.span_id.hex()) == ("0a" * 16, "ff" * 8)
    assert base64.b64encode(arrived.links[0].trace_id) == base64.b64encode(b"\x0b" * 16)
    assert forward(path, url, "--header", "api-key=wrong").returncode == 2


def test_forward_says_what_is_wrong(tmp_path: Path) -> None:
    """No file, no backend, a header without a value: one line each."""
    path = tmp_path / "traces.jsonl"
    missing = forward(path, "http://127.0.0.1:1")
    path.write_text('{"resourceSpans": []}\n')
    for done, said in (
        (missing, f"{path}: No such file"),
        (forward(path, "http://127.0.0.1:1"), "does not take the spans: "),
    ):
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
