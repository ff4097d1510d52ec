"""Each variable that can be wrong, wrong."""

from __future__ import annotations

import pytest

from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.variables import check_variables


def checked(**environ: str) -> Findings:
    """What these variables, and a service name, give."""
    findings = Findings()
    check_variables(findings, {"OTEL_SERVICE_NAME": "tests", **environ})
    return findings


@pytest.mark.parametrize(
    ("name", "value", "what", "mend"),
    [
        ("OTEL_PYTHON_KERAS_MAX_ROWS", "many", "whole number from 1", "MAX_ROWS or unset"),
        ("OTEL_PYTHON_KERAS_METRICS", "maybe", "must be true or false", "METRICS or unset"),
        ("OTEL_PYTHON_KERAS_PROPAGATE", "some", "must be one of", "PROPAGATE or unset"),
        ("OTEL_PYTHON_KERAS_EXPORT", "localhost:4318", "cannot be", "EXPORT or unset"),
        ("OTEL_PYTHON_KERAS_ON_PREDICTION", "hooks", "cannot be", "module:function"),
        ("OTEL_PYTHON_KERAS_ON_PREDICTION", "no_such_app:f", "is not found", "PYTHONPATH"),
        ("OTEL_PYTHON_KERAS_MAX_ROW", "3", "nobody reads", "OTEL_PYTHON_KERAS_MAX_ROWS"),
        ("KERAS_OTEL_EXPORT", "file:x", "nobody reads", "OTEL_PYTHON_KERAS_EXPORT"),
        ("OTEL_PYTHON_KERAS_QQQQQQQ", "1", "nobody reads", "Known are"),
        ("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "flask, keras", "switched off", "Take keras"),
        ("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "*", "switched off", "(or *)"),
        ("OTEL_SDK_DISABLED", "TRUE", "drops every span", "Unset it"),
        ("OTEL_TRACES_EXPORTER", "none", "drops every span", "otlp"),
        ("OTEL_TRACES_SAMPLER", "always_off", "drops every span", "parentbased_always_on"),
        ("OTEL_TRACES_SAMPLER", "parentbased_always_off", "drops every span", "always_on"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "10", "fewer than", "32 or more"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "lots", "no whole number", "or unset it"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "-1", "stops with a traceback", "whole number"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon", "no whole number over 0", "or unset it"),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "0", "no whole number over 0", "or unset it"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "10s", "no number over 0", "or unset it"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "nan", "no number over 0", "or unset it"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team", "1 of 1 entries", "name=value"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=a,=b", "1 of 2 entries", "name=value"),
        ("OTEL_CONFIG_FILE", "/no/such/file.yaml", "is no file", "Correct the path"),
    ],
)
def test_names_what_is_wrong_and_the_mend(name, value, what, mend):
    """A variable that defeats the purpose is one problem with its mend."""
    (problem,) = checked(**{name: value}).problems
    assert what in problem.what
    assert mend in problem.mend


@pytest.mark.parametrize(("share", "problems"), [("0", 1), ("half", 1), ("0.25", 0), ("1", 0)])
def test_reads_the_share_of_a_ratio_sampler(share, problems):
    """A share of nothing is wrong, a share of something is only worth knowing."""
    findings = checked(
        OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG=share
    )
    assert len(findings.problems) == problems
    assert any("keeps 0.25" in note for note in findings.notes) == (share == "0.25")


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
def test_finds_nothing_wrong_in_good_variables(environ):
    """Variables with a good value are no problem."""
    assert checked(**environ).problems == []


def test_shows_the_options_that_were_set():
    """Options with a value of their own are shown as keras_otel understands them."""
    findings = checked(OTEL_PYTHON_KERAS_MAX_ROWS="16", OTEL_PYTHON_KERAS_METRICS="off")
    assert findings.as_json()["facts"]["options"] == {"max_rows": 16, "metrics": False}


def test_asks_for_a_service_name():
    """Spans without a service name are hard to find, so that is said."""
    findings = Findings()
    check_variables(findings, {})
    assert "OTEL_SERVICE_NAME" in findings.notes[0]
    check_variables(named := Findings(), {"OTEL_RESOURCE_ATTRIBUTES": "service.name=shop"})
    assert named.notes == []
