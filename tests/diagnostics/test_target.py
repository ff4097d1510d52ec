"""Where spans go, by argument and by variable."""

from __future__ import annotations

import pytest

from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.target import check_target


def target(environ, endpoint=None):
    """Return the target of this environment, and the findings."""
    findings = Findings()
    return check_target(findings, environ, endpoint), findings


@pytest.mark.parametrize(
    ("environ", "url", "source"),
    [
        ({"OTEL_PYTHON_KERAS_EXPORT": "http://h:4318/"}, "http://h:4318/v1/traces", "EXPORT"),
        ({"OTEL_PYTHON_KERAS_EXPORT": "grpcs://h:4317"}, "grpcs://h:4317", "EXPORT"),
        ({"OTEL_PYTHON_KERAS_EXPORT": "file:t.jsonl"}, "file:t.jsonl", "EXPORT"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4317"}, "grpc://h:4317", "OTLP_ENDPOINT"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "h:4317"}, "grpcs://h:4317", "OTLP_ENDPOINT"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "h:4317", "OTEL_EXPORTER_OTLP_INSECURE": "true"},
            "grpc://h:4317",
            "OTLP_ENDPOINT",
        ),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "https://h/base",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            },
            "https://h/base/v1/traces",
            "OTLP_ENDPOINT",
        ),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://other:1",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://h:4318/as/it/is",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            },
            "http://h:4318/as/it/is",
            "TRACES_ENDPOINT",
        ),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "grpc://localhost:4317", "default"),
    ],
)
def test_follows_the_exporters_own_rules(environ, url, source):
    """The address is the one that the exporter itself would use."""
    found, findings = target(environ)
    assert found.display_url == url
    assert source in found.source
    assert findings.problems == []


def test_an_argument_overrides_every_variable():
    """`--endpoint` is the target whatever the environment says."""
    found, _ = target({"OTEL_PYTHON_KERAS_EXPORT": "http://other:4318"}, "grpc://h:4317")
    assert found.display_url == "grpc://h:4317"


def test_notes_that_there_is_no_target():
    """A missing target is a note and no problem, as the program may set one."""
    found, findings = target({})
    assert found is None
    assert findings.problems == []
    assert "OTEL_PYTHON_KERAS_EXPORT" in findings.notes[0]


def test_notes_who_reads_opentelemetrys_own_variable():
    """`instrument()` alone does not read OTEL_EXPORTER_OTLP_ENDPOINT, which surprises people."""
    _, findings = target({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4317"})
    assert "keras_otel.instrument() alone reads OTEL_PYTHON_KERAS_EXPORT" in findings.notes[0]


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h", "OTEL_EXPORTER_OTLP_PROTOCOL": "http"},
            "OTEL_EXPORTER_OTLP_PROTOCOL cannot be 'http'",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "h", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
            "OTEL_EXPORTER_OTLP_ENDPOINT is not a URL",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:99999"}, "has an invalid port"),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4318?key=s3cret",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            },
            "has a query string",
        ),
    ],
)
def test_names_an_invalid_url(environ, message):
    """An invalid protocol, URL or port is one problem, and there is no target."""
    found, findings = target(environ)
    assert found is None
    (problem,) = findings.problems
    assert message in problem.message
