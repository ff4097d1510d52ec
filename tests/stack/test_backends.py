"""The demo's traces in Phoenix and MLflow: spans, kinds and evaluations, read back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.parts import missing_part
from tests.stack.conftest import DEMO, DemoRun
from tests.stack.servers import ROOT, ask, free_port, process, wait_until
from tests.stack.slices import same, slice_of

TRACES = 200
SPANS_OF_A_TRACE = 8

READ_MLFLOW = """
import json, sys
import mlflow

mlflow.set_tracking_uri(sys.argv[1])
traces = mlflow.search_traces(locations=["0"], max_results=500, return_type="list")
spans = [
    {"name": span.name, "kind": span.span_type, "attributes": dict(span.attributes)}
    for trace in traces
    for span in trace.data.spans
]
print(json.dumps(spans))
"""


@pytest.fixture(scope="module")
def some(demo: DemoRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first traces of the demo's file."""
    path = tmp_path_factory.mktemp("some") / "traces.jsonl"
    kept: set[str] = set()
    with path.open("w", encoding="utf-8") as out, (demo.out / "traces.jsonl").open() as lines:
        for document in filter(lambda each: "resourceSpans" in each, map(json.loads, lines)):
            for resource in document["resourceSpans"]:
                for scope in resource["scopeSpans"]:
                    scope["spans"] = [span for span in scope["spans"] if _is_kept(span, kept)]
            out.write(json.dumps(document) + "\n")
    return path


def _is_kept(span: dict[str, Any], kept: set[str]) -> bool:
    if len(kept) < TRACES:
        kept.add(span["traceId"])
    return span["traceId"] in kept


def forward(path: Path, url: str, *options: str) -> None:
    """Send a file with the demo's own program."""
    command = [sys.executable, DEMO / "forward.py", path, url, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{TRACES * SPANS_OF_A_TRACE} spans sent to {url}\n"


@pytest.fixture(scope="module")
def phoenix(some: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Phoenix that has the traces."""
    program = ROOT / ".venv-phoenix" / "bin" / "phoenix"
    if not program.exists():
        missing_part("Phoenix is not installed: `make stack-servers` installs it")
    folder = tmp_path_factory.mktemp("phoenix")
    url = f"http://127.0.0.1:{free_port()}"
    settings = {
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": url.rpartition(":")[2],
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    with process([program, "serve"], f"{url}/healthz", folder / "log", **settings):
        forward(some, url)
        spans = f"{url}/v1/projects/default/spans"
        assert wait_until(lambda: len(_pages(spans)) == TRACES * SPANS_OF_A_TRACE)
        yield url


def _pages(url: str) -> list[dict[str, Any]]:
    """All spans that Phoenix lists."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = ask(url, limit=1000, **({"cursor": cursor} if cursor else {}), whole=True)
        found += page["data"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def test_phoenix_shows_each_span_s_kind(phoenix: str) -> None:
    """The classifier is a decision, the agent, the retrieval and the LLM are what they are."""
    spans = _pages(f"{phoenix}/v1/projects/default/spans")
    kinds = {(span["name"].split(maxsplit=1)[0], span["span_kind"]) for span in spans}

    assert {
        ("call", "DECISION"),
        ("invoke_agent", "AGENT"),
        ("retrieval", "RETRIEVER"),
        ("chat", "LLM"),
    } <= kinds
    llm = [span["attributes"] for span in spans if span["span_kind"] == "LLM"]
    assert len(llm) == TRACES
    assert all("keras.upstream.intent.class" in attributes for attributes in llm)


def test_phoenix_is_sliced(phoenix: str, some: Path) -> None:
    """What Phoenix has kept gives the document that the file gives."""
    assert same(slice_of(f"phoenix+{phoenix}")) == same(slice_of(str(some)))


@pytest.fixture(scope="module")
def mlflow(some: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    """The spans that MLflow has of the traces."""
    folder = ROOT / ".venv-mlflow" / "bin"
    if not (folder / "mlflow").exists():
        missing_part("MLflow is not installed: `make stack-servers` installs it")
    work = tmp_path_factory.mktemp("mlflow")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [folder / "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{work / 'mlflow.db'}", "--workers", "1"]
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PWD": str(work)}
    with process(command, f"{url}/health", work / "log", cwd=work, **settings):
        forward(some, url, "--header", "x-mlflow-experiment-id=0")
        done = subprocess.run(
            [folder / "python", "-c", READ_MLFLOW, url],
            env={**os.environ, "MLFLOW_ENABLE_ASYNC_LOGGING": "false"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        yield json.loads(done.stdout.splitlines()[-1])


def test_mlflow_has_the_spans(mlflow: list[dict[str, Any]]) -> None:
    """Every span is there, the agent and the LLM as what they are, with the upstream prediction."""
    kinds = {(span["name"].split(maxsplit=1)[0], span["kind"]) for span in mlflow}
    llm = [span["attributes"] for span in mlflow if span["kind"] == "CHAT_MODEL"]

    assert len(mlflow) == TRACES * SPANS_OF_A_TRACE
    assert {("invoke_agent", "AGENT"), ("chat", "CHAT_MODEL")} <= kinds
    assert len(llm) == TRACES
    assert all("keras.upstream.intent.class" in attributes for attributes in llm)


def test_mlflow_has_the_evaluations(mlflow: list[dict[str, Any]]) -> None:
    """Each evaluation has its verdict and the prediction before it."""
    told = [span["attributes"] for span in mlflow if span["name"] == "evaluate answer_correct"]

    assert len(told) == TRACES
    assert {each["keras.evaluation.passed"] for each in told} == {True, False}
    assert all("keras.upstream.intent.version" in each for each in told)
