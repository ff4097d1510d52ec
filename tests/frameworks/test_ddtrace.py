"""ddtrace as the OpenTelemetry provider takes no span processors: what it gets, and who says so."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any, NamedTuple

import pytest
from answers import CLASS_KEY, LABELS
from chat_completions import ChatCompletions
from conftest import ALONE, APPS, Program
from programs import Programs

from keras_otel import semconv

PROGRAM = Program(app="ddtrace_provider.py", environment=".venv-traceai")


class Ran(NamedTuple):
    """What ddtrace got, and what the program's log says."""

    spans: list[dict[str, Any]]
    log: str


@pytest.fixture(scope="module")
def ran(server: ChatCompletions, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    finished: subprocess.CompletedProcess[str] = Programs(tmp_path_factory.mktemp("ddtrace")).run(
        os.fspath(APPS / PROGRAM.app),
        server.base_url,
        launcher=(os.fspath(PROGRAM.interpreter()),),
        **ALONE,
    )
    return Ran(json.loads(finished.stdout), finished.stderr)


def test_inference_spans_arrive_whole(ran: Ran) -> None:
    """Each inference is a span of ddtrace with its class and its duration."""
    tags = [span["tags"] for span in ran.spans if semconv.MODEL_NAME in span["tags"]]
    # Not in the order of the calls: one that a later span needed was recorded before the worker came.
    classes = [each[semconv.PREDICTION_CLASS] for each in tags]
    assert sorted(classes) == sorted([*LABELS, *LABELS])
    assert all(each[semconv.INFERENCE_DURATION] > 0 for each in tags)


def test_llm_spans_carry_nothing_and_one_line_says_why(ran: Ran) -> None:
    """No span carries a class that nobody could put there, and the log names the way out."""
    assert {"chat", "createChatCompletion"} < {span["name"] for span in ran.spans}
    assert not any(CLASS_KEY in span["tags"] for span in ran.spans)
    (line,) = (line for line in ran.log.splitlines() if line.startswith("keras_otel"))
    assert "takes no span processors" in line
