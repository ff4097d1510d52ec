"""Exporters, samplers and propagators that are named and not there."""

from __future__ import annotations

import pytest

from keras_otel.diagnostics.components import check_components
from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.propagators import check_propagators, without_unknown


def checked(**environ: str) -> Findings:
    """What these variables give."""
    findings = Findings()
    check_components(findings, environ)
    check_propagators(findings, environ)
    return findings


@pytest.mark.parametrize(
    ("name", "value", "what", "fix"),
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
        ("OTEL_PROPAGATORS", "baggage,keras", "carries the trace", "tracecontext,baggage,keras"),
        ("OTEL_PROPAGATORS", "baggage,keras,tracecontext", "carries the trace", "tracecontext,bag"),
    ],
)
def test_names_what_is_wrong_and_the_fix(name, value, what, fix):
    """A value that is not there, or in a place where it does not work, is one problem."""
    (problem,) = checked(**{name: value}).problems
    assert what in problem.what
    assert problem.what.count(name) == 1
    assert fix in problem.mend


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
def test_is_silent_on_what_works(environ):
    """What OpenTelemetry accepts is no problem."""
    assert checked(**environ).problems == []


def test_what_can_be_loaded_is_what_is_installed():
    """OpenTelemetry loads its propagators as it is imported: the doctor leaves out the unknown."""
    assert without_unknown({}) is None
    assert without_unknown({"OTEL_PROPAGATORS": "tracecontext,baggage"}) is None
    assert (
        without_unknown({"OTEL_PROPAGATORS": "tracecontext,bagage,keras"}) == "tracecontext,keras"
    )
    assert without_unknown({"OTEL_PROPAGATORS": "bagage"}) == ""
