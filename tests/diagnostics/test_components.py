"""Exporters, samplers and propagators that are named and not installed."""

from __future__ import annotations

import pytest

from keras_otel.diagnostics.components import check_components
from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.propagators import check_propagators, installed_propagators


def checked(**environ: str) -> Findings:
    """Check these variables."""
    findings = Findings()
    check_components(findings, environ)
    check_propagators(findings, environ)
    return findings


@pytest.mark.parametrize(
    ("name", "value", "message", "fix"),
    [
        ("OTEL_TRACES_EXPORTER", "oltp", "'oltp'", "Write otlp"),
        ("OTEL_TRACES_EXPORTER", "console,otpl", "'otpl'", "Write otlp"),
        ("OTEL_METRICS_EXPORTER", "prometheus", "'prometheus'", "Install it, or write"),
        ("OTEL_LOGS_EXPORTER", "consol", "'consol'", "Write console"),
        ("OTEL_TRACES_SAMPLER", "alwayson", "is unknown", "Write always_on"),
        ("OTEL_TRACES_SAMPLER", "traceidratio_based", "is unknown", "Write traceidratio"),
        ("OTEL_TRACES_SAMPLER", "everything", "is unknown", "Write one of always_off"),
        ("OTEL_PYTHON_ID_GENERATOR", "rndom", "'rndom'", "Write one of random"),
        ("OTEL_PROPAGATORS", "tracecontext,bagage,keras", "'bagage'", "Write baggage"),
        ("OTEL_PROPAGATORS", "tracecontxt", "'tracecontxt'", "Write tracecontext"),
        ("OTEL_PROPAGATORS", "b3", "'b3'", "pip install opentelemetry-propagator-b3"),
        ("OTEL_PROPAGATORS", "mine", "'mine'", "Install it, or choose from"),
        ("OTEL_PROPAGATORS", "keras,baggage", "before baggage", "tracecontext,baggage,keras"),
        (
            "OTEL_PROPAGATORS",
            "tracecontext,keras,baggage",
            "before baggage",
            "tracecontext,baggage",
        ),
        (
            "OTEL_PROPAGATORS",
            "baggage,keras",
            "no propagator of trace context",
            "tracecontext,baggage,keras",
        ),
        (
            "OTEL_PROPAGATORS",
            "baggage,keras,tracecontext",
            "no propagator of trace context",
            "tracecontext,bag",
        ),
    ],
)
def test_names_the_problem_and_the_fix(name, value, message, fix):
    """A component that is not installed, or in the wrong order, is one problem."""
    (problem,) = checked(**{name: value}).problems
    assert message in problem.message
    assert problem.message.count(name) == 1
    assert fix in problem.fix


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "otlp, console", "OTEL_METRICS_EXPORTER": "none"},
        {"OTEL_TRACES_EXPORTER": "otlp_proto_http"},
        {"OTEL_TRACES_SAMPLER": "parentbased_always_on"},
        {"OTEL_TRACES_SAMPLER": "Always_On"},
        {"OTEL_PROPAGATORS": "tracecontext,baggage,keras"},
        {"OTEL_PROPAGATORS": " tracecontext , keras "},
        {"OTEL_PROPAGATORS": "baggage,tracecontext,keras"},
        {"OTEL_PROPAGATORS": "none"},
    ],
    ids=str,
)
def test_accepts_what_opentelemetry_accepts(environ):
    """A value that works is no problem."""
    assert checked(**environ).problems == []


def test_leaves_out_propagators_that_are_not_installed():
    """OpenTelemetry raises for one of these as it is imported."""
    assert installed_propagators({}) == ""
    for value, installed in (
        ("tracecontext,baggage", "tracecontext,baggage"),
        ("tracecontext,bagage,keras", "tracecontext,keras"),
        ("bagage", ""),
    ):
        assert installed_propagators({"OTEL_PROPAGATORS": value}) == installed
