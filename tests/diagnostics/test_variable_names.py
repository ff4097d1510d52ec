"""Misspelt names of variables, and names that other packages read."""

from __future__ import annotations

import pytest
from opentelemetry.sdk import environment_variables

from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.variable_names import check_names


def checked(*names: str) -> Findings:
    """Check variables of these names."""
    findings = Findings()
    check_names(findings, dict.fromkeys(names, "1"))
    return findings


@pytest.mark.parametrize(
    ("name", "intended"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPONT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("OTEL_EXPORTER_OLTP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("OTEL_EXPORTER_OTLP_TRACE_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        ("OTEL_EXPORTER_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("OTEL_EXPORTER_OTLP_HEADER", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("OTEL_TRACE_EXPORTER", "OTEL_TRACES_EXPORTER"),
        ("OTEL_SERVCIE_NAME", "OTEL_SERVICE_NAME"),
        ("OTEL_SERVICENAME", "OTEL_SERVICE_NAME"),
        ("OTEL_RESOURCE_ATTRIBUTE", "OTEL_RESOURCE_ATTRIBUTES"),
        ("OTEL_PROPAGATOR", "OTEL_PROPAGATORS"),
        ("OTEL_SDK_DISABLE", "OTEL_SDK_DISABLED"),
        ("OTEL_TRACES_SAMPLER_ARGS", "OTEL_TRACES_SAMPLER_ARG"),
        ("OTEL_PYTHON_DISABLED_INSTRUMENTATION", "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"),
        ("otel_service_name", "OTEL_SERVICE_NAME"),
        ("OTEL_PYTHON_KERAS_PROPOGATE", "OTEL_PYTHON_KERAS_PROPAGATE"),
        ("OTEL_KERAS_EXPORT", "OTEL_PYTHON_KERAS_EXPORT"),
    ],
)
def test_a_typo_is_named_with_the_intended_name(name, intended):
    """An unknown variable is one problem, with the name that is read."""
    (problem,) = checked(name).problems
    assert problem.message == f"unknown variable {name}"
    assert problem.fix == f"Rename it to {intended}"


def test_names_of_other_packages_are_no_typos():
    """What other instrumentations, distributions and languages read is no typo."""
    others = (
        "OTEL_PYTHON_FLASK_EXCLUDED_URLS",
        "OTEL_PYTHON_DJANGO_INSTRUMENT",
        "OTEL_PYTHON_FASTAPI_EXCLUDED_URLS",
        "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST",
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
        "OTEL_INSTRUMENTATION_GENAI_UPLOAD_BASE_PATH",
        "OTEL_PYTHON_LOG_CORRELATION",
        "OTEL_EXPORTER_JAEGER_ENDPOINT",
        "OTEL_EXPORTER_ZIPKIN_ENDPOINT",
        "OTEL_EXPORTER_PROMETHEUS_PORT",
        "OTEL_DOTNET_AUTO_HOME",
        "OTEL_AWS_APPLICATION_SIGNALS_ENABLED",
        "PATH",
        "SERVICE_NAME",
    )
    assert checked(*others).problems == []


def test_every_variable_of_the_sdk_is_known():
    """What OpenTelemetry itself reads is never taken for a typo of something else."""
    names = [n for n in vars(environment_variables) if n.startswith("OTEL_")]
    assert len(names) > 50
    assert checked(*names).problems == []
