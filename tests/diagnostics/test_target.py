"""Where spans go, by argument and by variable."""

from __future__ import annotations

import pytest

from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.target import check_target


def target(environ, endpoint=None):
    """The target of this environment, and the findings."""
    findings = Findings()
    return check_target(findings, environ, endpoint), findings


@pytest.mark.parametrize(
    ("environ", "shown", "source"),
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
def test_follows_the_exporters_own_rules(environ, shown, source):
    """The address is the one that the exporter itself would use."""
    found, findings = target(environ)
    assert found.shown == shown
    assert source in found.source
    assert findings.problems == []


def test_an_argument_goes_before_every_variable():
    """`--endpoint` is asked whatever the environment says."""
    found, _ = target({"OTEL_PYTHON_KERAS_EXPORT": "http://other:4318"}, "grpc://h:4317")
    assert found.shown == "grpc://h:4317"


def test_says_that_nothing_names_a_target():
    """No target at all is worth knowing and, as the program may set one, not wrong."""
    found, findings = target({})
    assert found is None
    assert findings.problems == []
    assert "OTEL_PYTHON_KERAS_EXPORT" in findings.notes[0]


def test_says_who_reads_opentelemetrys_own_variable():
    """`instrument()` alone does not read OTEL_EXPORTER_OTLP_ENDPOINT, which surprises people."""
    _, findings = target({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4317"})
    assert "keras_otel.instrument() alone reads OTEL_PYTHON_KERAS_EXPORT" in findings.notes[0]


@pytest.mark.parametrize(
    ("environ", "what"),
    [
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h", "OTEL_EXPORTER_OTLP_PROTOCOL": "http"},
            "OTEL_EXPORTER_OTLP_PROTOCOL cannot be 'http'",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "h", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
            "OTEL_EXPORTER_OTLP_ENDPOINT is no URL",
        ),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:99999"}, "has a bad port"),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4318?key=s3cret",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            },
            "has a query string",
        ),
    ],
)
def test_names_an_address_that_cannot_be(environ, what):
    """A protocol, URL or port that cannot be is one problem, and no target."""
    found, findings = target(environ)
    assert found is None
    (problem,) = findings.problems
    assert what in problem.what
