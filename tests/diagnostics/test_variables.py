"""Every variable that can be invalid, with an invalid value."""

from __future__ import annotations

import pytest

from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.variables import check_variables


def checked(**environ: str) -> Findings:
    """Check these variables and a service name."""
    findings = Findings()
    check_variables(findings, {"OTEL_SERVICE_NAME": "tests", **environ})
    return findings


@pytest.mark.parametrize(
    ("name", "value", "message", "fix"),
    [
        ("OTEL_PYTHON_KERAS_MAX_ROWS", "many", "whole number from 1", "MAX_ROWS or unset"),
        ("OTEL_PYTHON_KERAS_METRICS", "maybe", "must be true or false", "METRICS or unset"),
        ("OTEL_PYTHON_KERAS_PROPAGATE", "some", "must be one of", "PROPAGATE or unset"),
        ("OTEL_PYTHON_KERAS_EXPORT", "localhost:4318", "cannot be", "EXPORT or unset"),
        ("OTEL_PYTHON_KERAS_ON_PREDICTION", "hooks", "cannot be", "module:function"),
        ("OTEL_PYTHON_KERAS_ON_PREDICTION", "no_such_app:f", "cannot be found", "PYTHONPATH"),
        ("OTEL_PYTHON_KERAS_MAX_ROW", "3", "unknown variable", "OTEL_PYTHON_KERAS_MAX_ROWS"),
        ("KERAS_OTEL_EXPORT", "file:x", "unknown variable", "OTEL_PYTHON_KERAS_EXPORT"),
        ("OTEL_PYTHON_KERAS_QQQQQQQ", "1", "unknown variable", "Use one of"),
        (
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS",
            "flask, keras",
            "disables keras_otel",
            "Remove keras",
        ),
        ("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "*", "disables keras_otel", "(or *)"),
        ("OTEL_SDK_DISABLED", "TRUE", "drops every span", "Unset it"),
        ("OTEL_TRACES_EXPORTER", "none", "drops every span", "otlp"),
        ("OTEL_TRACES_SAMPLER", "always_off", "drops every span", "parentbased_always_on"),
        ("OTEL_TRACES_SAMPLER", "parentbased_always_off", "drops every span", "always_on"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "10", "is lower than", "32 or more"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "lots", "not a non-negative integer", "or unset it"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "-1", "raises an error", "integer"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon", "not a positive integer", "or unset it"),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "0", "not a positive integer", "or unset it"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "10s", "not a positive number", "or unset it"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "nan", "not a positive number", "or unset it"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team", "1 of 1 entries", "name=value"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=a,=b", "1 of 2 entries", "name=value"),
        ("OTEL_CONFIG_FILE", "/no/such/file.yaml", "is not a file", "Correct the path"),
    ],
)
def test_names_the_problem_and_the_fix(name, value, message, fix):
    """A variable that is invalid, or prevents spans, is one problem with its fix."""
    (problem,) = checked(**{name: value}).problems
    assert message in problem.message
    assert fix in problem.fix


@pytest.mark.parametrize(("ratio", "problems"), [("0", 1), ("half", 1), ("0.25", 0), ("1", 0)])
def test_reads_the_ratio_of_a_sampler(ratio, problems):
    """A ratio of 0 is a problem, a ratio between 0 and 1 only a note."""
    findings = checked(
        OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG=ratio
    )
    assert len(findings.problems) == problems
    assert any("samples 0.25" in note for note in findings.notes) == (ratio == "0.25")


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "flask"},
        {"OTEL_SDK_DISABLED": "false"},
        {"OTEL_TRACES_EXPORTER": "otlp"},
        {"OTEL_TRACES_SAMPLER": "always_on"},
        {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "", "OTEL_SPAN_EVENT_COUNT_LIMIT": " 0 "},
        {"OTEL_BSP_SCHEDULE_DELAY": "500", "OTEL_EXPORTER_OTLP_TIMEOUT": "2.5"},
        {"OTEL_RESOURCE_ATTRIBUTES": "team=a, service.version=1.2=3,"},
        {"OTEL_PYTHON_KERAS_MAX_ROWS": "16", "OTEL_PYTHON_KERAS_METRICS": "off"},
    ],
)
def test_valid_variables_are_no_problem(environ):
    """Variables with a valid value are no problem."""
    assert checked(**environ).problems == []


def test_shows_the_options_that_were_set():
    """Options with a value of their own are shown as keras_otel understands them."""
    findings = checked(OTEL_PYTHON_KERAS_MAX_ROWS="16", OTEL_PYTHON_KERAS_METRICS="off")
    assert findings.as_json()["facts"]["options"] == {"max_rows": 16, "metrics": False}


def test_asks_for_a_service_name():
    """Spans without a service name are hard to find, so there is a note."""
    findings = Findings()
    check_variables(findings, {})
    assert "OTEL_SERVICE_NAME" in findings.notes[0]
    check_variables(named := Findings(), {"OTEL_RESOURCE_ATTRIBUTES": "service.name=shop"})
    assert named.notes == []
