"""Programs without a line of ours, instrumented by OpenTelemetry's own launcher and files."""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from programs import APPS, Programs
from received import read_json_lines
from receivers import Sink

from keras_otel.options import Options

LAUNCHER = (
    os.fspath(Path(sysconfig.get_path("scripts")) / "opentelemetry-instrument"),
    sys.executable,
)
PROVIDERS = {"tracer_provider", "meter_provider", "logger_provider"}
DECLARED: dict[str, Any] = {
    "export": "file:declared.jsonl",
    "propagate": "none",
    "on_prediction": "options:annotate",
    "max_rows": 4,
    "metrics": False,
    "openinference": True,
    "model_version": {"plain": "2026-11-01"},
    "record": "inline",
}


def exporting_to(sink: Sink) -> dict[str, str]:
    """The environment by which OpenTelemetry's launcher sends everything to the sink."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    }


@pytest.fixture
def declared(tmp_path: Path) -> dict[str, str]:
    """The environment of a program whose configuration file gives each option another value."""
    path = tmp_path / "otel.yaml"
    content = {"file_format": "1.1", "instrumentation/development": {"python": {"keras": DECLARED}}}
    path.write_text(json.dumps(content))  # JSON is YAML
    return {"OTEL_CONFIG_FILE": os.fspath(path), "PYTHONPATH": os.fspath(APPS)}


def test_a_program_without_a_line_of_ours_is_traced(programs: Programs, sink: Sink) -> None:
    """`opentelemetry-instrument python app.py` gives one span for each inference of the app."""
    programs.run("plain.py", launcher=LAUNCHER, **exporting_to(sink))
    arrived = sink.wait_for(lambda telemetry: len(telemetry.keras_spans()) >= 3)
    spans = arrived.keras_spans()
    assert [span.name for span in spans] == [
        "predict plain",
        "predict_on_batch plain",
        "call plain",
    ]
    assert len(arrived.spans) == 3
    assert spans[-1].value("keras.prediction.class") == "1"
    assert spans[-1].resource["service.name"] == ("string", "integration")


@pytest.mark.parametrize(
    ("disabled", "names"), [("keras", []), ("flask", ["predict_on_batch plain"])]
)
def test_it_can_be_disabled_by_name(
    programs: Programs, sink: Sink, disabled: str, names: list[str]
) -> None:
    """`OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=keras` leaves the program's own spans alone there."""
    programs.run(
        "suppressed.py",
        launcher=LAUNCHER,
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=disabled,
        **exporting_to(sink),
    )
    arrived = sink.wait_for(lambda telemetry: len(telemetry.spans) >= len(names) + 1)
    assert [span.name for span in arrived.keras_spans()] == names
    assert [span.name for span in arrived.spans if span.scope == "app"] == ["request"]


def test_suppressed_inferences_give_no_span(programs: Programs, sink: Sink) -> None:
    """What runs inside `suppress_instrumentation()` gives no span, what follows it does."""
    programs.run("suppressed.py", launcher=LAUNCHER, **exporting_to(sink))
    arrived = sink.wait_for(lambda telemetry: len(telemetry.spans) >= 2)
    (request,) = (span for span in arrived.spans if span.name == "request")
    (inference,) = arrived.keras_spans()
    assert inference.name == "predict_on_batch plain"
    assert inference.parent_id == request.span_id


def test_the_configuration_file_reaches_every_option(
    programs: Programs, declared: dict[str, str]
) -> None:
    """Every option that can be written in a file is in force as the file says."""
    assert set(DECLARED) == {field.name for field in fields(Options)} - PROVIDERS
    said = programs.run("options.py", launcher=LAUNCHER, **declared).stdout
    assert json.loads(said) == {**DECLARED, **dict.fromkeys(PROVIDERS)}


def test_options_of_the_configuration_file_have_their_effect(
    programs: Programs, declared: dict[str, str], tmp_path: Path
) -> None:
    """Version, rows, hook, OpenInference kind, target and metrics are as the file says."""
    programs.run("plain.py", launcher=LAUNCHER, **declared)
    arrived = read_json_lines(tmp_path / "declared.jsonl")
    five_rows, four_rows, one_row = arrived.keras_spans()
    assert "keras.prediction.classes" not in five_rows.attributes
    assert four_rows.attributes["keras.prediction.classes"] == ("string[]", ["1"] * 4)
    for span, operation in ((five_rows, "predict"), (one_row, "call")):
        assert span.value("keras.model.version") == "2026-11-01"
        assert span.value("openinference.span.kind") == "DECISION"
        assert span.value("app.hook") == operation
    assert arrived.points == []


def test_environment_variables_have_their_effect(programs: Programs, tmp_path: Path) -> None:
    """Each option can also be set by its environment variable, under the same launcher."""
    said = programs.run(
        "options.py",
        launcher=LAUNCHER,
        PYTHONPATH=os.fspath(APPS),
        OTEL_TRACES_EXPORTER="none",
        OTEL_METRICS_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
        OTEL_PYTHON_KERAS_EXPORT=DECLARED["export"],
        OTEL_PYTHON_KERAS_PROPAGATE="none",
        OTEL_PYTHON_KERAS_ON_PREDICTION=DECLARED["on_prediction"],
        OTEL_PYTHON_KERAS_MAX_ROWS="4",
        OTEL_PYTHON_KERAS_METRICS="false",
        OTEL_PYTHON_KERAS_OPENINFERENCE="true",
        OTEL_PYTHON_KERAS_MODEL_VERSION="plain=2026-11-01",
        OTEL_PYTHON_KERAS_RECORD="inline",
    ).stdout
    assert json.loads(said) == {**DECLARED, **dict.fromkeys(PROVIDERS)}
