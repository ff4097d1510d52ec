"""The environment variables: invalid ones, and those with which there are no spans."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from keras_otel.diagnostics.components import check_components, split_list
from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.propagators import check_propagators
from keras_otel.diagnostics.variable_names import check_names
from keras_otel.diagnostics.variable_values import check_values
from keras_otel.errors import OptionError
from keras_otel.options import ENVIRONMENT, resolve

HOOK_VARIABLE: Final = ENVIRONMENT["on_prediction"]

_MIN_ATTRIBUTE_LIMIT: Final = 32  # an inference span has up to 25


def check_variables(findings: Findings, environ: Mapping[str, str]) -> None:
    """Check keras_otel's options, then the variables of OpenTelemetry that affect its spans."""
    _check_options(findings, environ)
    check_names(findings, environ)
    _check_switches(findings, environ)
    _check_service_name(findings, environ)
    check_components(findings, environ)
    check_propagators(findings, environ)
    check_values(findings, environ)
    _check_attribute_limits(findings, environ)
    _check_config_file(findings, environ)


def _check_options(findings: Findings, environ: Mapping[str, str]) -> None:
    values: dict[str, object] = {}
    for option, variable in ENVIRONMENT.items():
        if not environ.get(variable, "").strip():
            continue
        if variable == HOOK_VARIABLE:
            # Loading it would run the user's program in this process; the trial loads it.
            values[option] = environ[variable]
            _check_hook(findings, environ[variable])
            continue
        try:
            options = resolve({}, {variable: environ[variable]})
        except OptionError as error:
            findings.add_problem(str(error), f"Correct {variable} or unset it")
        else:
            values[option] = getattr(options, option)
    values.pop("export", None)  # shown as the target
    text = ", ".join(f"{option}={value}" for option, value in values.items())
    findings.add_fact("options", "Options", text or "all defaults", values)


def _check_hook(findings: Findings, text: str) -> None:
    module, colon, function = text.strip().partition(":")
    if not (module and colon and function):
        findings.add_problem(f"{HOOK_VARIABLE} cannot be {text!r}", "Write module:function")
    elif find_spec(module.partition(".")[0]) is None:
        findings.add_problem(
            f"{HOOK_VARIABLE} names the module {module!r}, which cannot be found",
            "Install it or add its folder to PYTHONPATH",
        )


def _check_switches(findings: Findings, environ: Mapping[str, str]) -> None:
    disabled = environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")
    if {"keras", "*"} & set(split_list(disabled)):
        findings.add_problem(
            f"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS={disabled} disables keras_otel under "
            "opentelemetry-instrument",
            "Remove keras (or *) from it",
        )
    sdk_disabled = environ.get("OTEL_SDK_DISABLED", "").strip().lower()
    if sdk_disabled == "true":
        findings.add_problem("OTEL_SDK_DISABLED=true drops every span", "Unset it")
    elif sdk_disabled not in ("", "false"):
        findings.add_note(
            f"OTEL_SDK_DISABLED={sdk_disabled} has no effect: the SDK accepts only true"
        )


def _check_service_name(findings: Findings, environ: Mapping[str, str]) -> None:
    attributes = environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if not environ.get("OTEL_SERVICE_NAME") and "service.name=" not in attributes:
        findings.add_note(
            "No service name: backends show the spans under unknown_service. Set OTEL_SERVICE_NAME"
        )


def _check_attribute_limits(findings: Findings, environ: Mapping[str, str]) -> None:
    for variable in ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"):
        limit = environ.get(variable, "").strip()
        if limit.isdecimal() and int(limit) < _MIN_ATTRIBUTE_LIMIT:
            findings.add_problem(
                f"{variable}={limit} is lower than the number of attributes of an inference span",
                f"Set it to {_MIN_ATTRIBUTE_LIMIT} or more",
            )


def _check_config_file(findings: Findings, environ: Mapping[str, str]) -> None:
    path = environ.get("OTEL_CONFIG_FILE", "").strip()
    if not path:
        return
    if not Path(path).is_file():
        findings.add_problem(f"OTEL_CONFIG_FILE is {path}, which is not a file", "Correct the path")
        return
    if find_spec("opentelemetry.configuration") is None:
        findings.add_problem(
            "OTEL_CONFIG_FILE is set and opentelemetry-configuration is not installed",
            "pip install opentelemetry-configuration",
        )
    findings.add_note(
        f"The SDK is configured by {path}, and then ignores its other OTEL_ variables: "
        "name the endpoint to check with --endpoint"
    )
