"""Endpoints that do not answer, and providers that are there already."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import Programs
from received import read_json_lines
from receivers import free_port


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen()
        yield hole.getsockname()[1]


@pytest.mark.parametrize("scheme", ["http", "grpc"])
@pytest.mark.parametrize("kind", ["refused", "silent"])
def test_an_unreachable_endpoint_changes_no_prediction(
    programs: Programs, silent_port: int, scheme: str, kind: str
) -> None:
    """The answers are those of a program without us, and the program ends by itself."""
    port = silent_port if kind == "silent" else free_port()
    instrumented = programs.run("answers.py", f"{scheme}://127.0.0.1:{port}")
    assert json.loads(instrumented.stdout) == json.loads(programs.run("answers.py").stdout)
    assert "Traceback" not in instrumented.stderr


@pytest.mark.parametrize(
    "own", [["traces"], ["metrics"], ["logs"], ["traces", "metrics", "logs"], []], ids=" ".join
)
def test_export_never_replaces_a_provider(
    programs: Programs, tmp_path: Path, own: list[str]
) -> None:
    """`export=` serves the signals that nobody has set up, and only those."""
    said = json.loads(programs.run("own_providers.py", *own).stdout)
    assert said == {
        "kept": own,
        "spans": 1 if "traces" in own else 0,
        "has_metrics": "metrics" in own,
    }
    path = tmp_path / "filled.jsonl"
    filled = read_json_lines(path) if path.exists() else None
    arrived = {
        "traces": bool(filled and filled.keras_spans()),
        "metrics": bool(filled and filled.points),
        "logs": bool(filled and filled.logs),
    }
    assert [signal for signal, has_arrived in arrived.items() if not has_arrived] == own
