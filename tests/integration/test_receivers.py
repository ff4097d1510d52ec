"""Spans, metrics and logs into real receivers, compared attribute by attribute."""

from __future__ import annotations

from pathlib import Path

import expected
import pytest
from programs import Programs
from received import read_json_lines
from receivers import Collector, Endpoints, Sink


@pytest.mark.parametrize(("scheme", "backend"), [("http", "tensorflow"), ("grpc", "numpy")])
def test_rotel_gets_everything(
    rotel: Endpoints, sink: Sink, programs: Programs, scheme: str, backend: str
) -> None:
    """Rotel passes on every span, metric and log of a program that just ends, types unchanged."""
    programs.run("every_head.py", rotel.target(scheme), KERAS_BACKEND=backend)
    expected.check(sink.wait_for(expected.is_complete), backend)


@pytest.mark.parametrize(("scheme", "backend"), [("http", "numpy"), ("grpc", "jax")])
def test_the_collector_gets_everything(
    collector: Collector, programs: Programs, scheme: str, backend: str
) -> None:
    """The OpenTelemetry Collector's file holds every span, metric and log, types unchanged."""
    programs.run("every_head.py", collector.ports.target(scheme), KERAS_BACKEND=backend)
    expected.check(collector.stop(), backend)


def test_a_file_gets_everything(programs: Programs, tmp_path: Path) -> None:
    """`export="file:..."` leaves OTLP JSON lines of all three signals."""
    programs.run("every_head.py", "file:traces.jsonl")
    expected.check(read_json_lines(tmp_path / "traces.jsonl"), "numpy")


def test_a_file_is_appended_to(programs: Programs, tmp_path: Path) -> None:
    """A second program that writes to the same file keeps what the first one wrote."""
    path = tmp_path / "traces.jsonl"
    programs.run("every_head.py", "file:traces.jsonl")
    first = path.read_text()
    programs.run("every_head.py", "file:traces.jsonl")
    assert path.read_text().startswith(first)
    assert len(read_json_lines(path).keras_spans()) == 2 * len(expected.SPANS)
