"""The program's own spans and log records with text that is no valid UTF-8."""

from __future__ import annotations

from pathlib import Path

import pytest
from programs import Programs
from received import Telemetry, read_json_lines
from receivers import Sink

MENDED = "half \ufffd"


@pytest.mark.parametrize("target", ["http", "file"])
def test_no_text_costs_the_batch_that_it_is_in(
    programs: Programs, sink: Sink, tmp_path: Path, target: str
) -> None:
    """Everything arrives, each text mended, also the service's name from the environment."""
    path = tmp_path / "traces.jsonl"
    ended = programs.run(
        "unfit.py",
        sink.url if target == "http" else f"file:{path}",
        OTEL_SERVICE_NAME="caf\udce9",  # as a Latin-1 environment reads
    )

    assert ended.stderr == ""
    telemetry: Telemetry = sink.telemetry if target == "http" else read_json_lines(path)
    spans = {span.name: span for span in telemetry.spans}
    assert len(telemetry.spans) == 25
    assert set(spans) == {"fine", MENDED, "attribute", "error", "event", "link"}
    assert spans["fine"].value("app.text") == "Rückgabe 😀"
    assert spans["attribute"].value("app.text") == MENDED
    assert spans["attribute"].value(MENDED) == 1
    assert spans["error"].message == f"ValueError: {MENDED}"
    assert [event.name for event in spans["event"].events] == [MENDED]
    assert {span.resource["service.name"][1] for span in telemetry.spans} == {"caf\ufffd"}
    assert len(telemetry.logs) == 3
    assert {record.event_name for record in telemetry.logs} == {"", MENDED}
    assert {point.metric for point in telemetry.points} == {"app.counter"}
