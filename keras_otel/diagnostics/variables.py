"""What the environment variables say, and which of them defeat the purpose."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from keras_otel.diagnostics.components import check_components
from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.propagators import check_propagators
from keras_otel.diagnostics.variable_names import check_names
from keras_otel.diagnostics.variable_values import check_values
from keras_otel.errors import OptionError
from keras_otel.options import ENVIRONMENT, resolve

HOOK: Final = ENVIRONMENT["on_prediction"]

_SPAN_ATTRIBUTES: Final = 32  # an inference span has up to 25


def check_variables(findings: Findings, environ: Mapping[str, str]) -> None:
    """Our own options, then OpenTelemetry's switches."""
    _check_options(findings, environ)
    check_names(findings, environ)
    _check_switches(findings, environ)
    check_components(findings, environ)
    check_propagators(findings, environ)
    check_values(findings, environ)
    _check_limits(findings, environ)
    _check_config_file(findings, environ)


def _check_options(findings: Findings, environ: Mapping[str, str]) -> None:
    shown: dict[str, object] = {}
    for option, variable in ENVIRONMENT.items():
        if not environ.get(variable, "").strip():
            continue
        if variable == HOOK:
            # Loading it would run the user's program in this process; the trial loads it.
            shown[option] = environ[variable]
            _check_hook(findings, environ[variable])
            continue
        try:
            options = resolve({}, {variable: environ[variable]})
        except OptionError as error:
            findings.wrong(str(error), f"Correct {variable} or unset it")
        else:
            shown[option] = getattr(options, option)
    text = ", ".join(f"{name}={value}" for name, value in shown.items() if name != "export")
    rest = {name: value for name, value in shown.items() if name != "export"}
    findings.fact("options", "Options", text or "all as by default", rest)


def _check_hook(findings: Findings, text: str) -> None:
    module, colon, function = text.strip().partition(":")
    if not (module and colon and function):
        findings.wrong(f"{HOOK} cannot be {text!r}", "Write module:function")
    elif find_spec(module.partition(".")[0]) is None:
        findings.wrong(
            f"{HOOK} names the module {module!r}, which is not found from here",
            "Install it or add its folder to PYTHONPATH",
        )


def _check_switches(findings: Findings, environ: Mapping[str, str]) -> None:
    disabled = environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")
    if {"keras", "*"} & {name.strip() for name in disabled.split(",")}:
        findings.wrong(
            f"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS={disabled} keeps keras_otel switched off under "
            "opentelemetry-instrument",
            "Take keras (or *) out of it",
        )
    is_disabled = environ.get("OTEL_SDK_DISABLED", "").strip().lower()
    if is_disabled == "true":
        findings.wrong("OTEL_SDK_DISABLED=true drops every span", "Unset it")
    elif is_disabled not in ("", "false"):
        findings.note(f"OTEL_SDK_DISABLED={is_disabled} disables nothing: the SDK reads only true")
    if not _has_service_name(environ):
        findings.note(
            "No service name: backends show the spans under unknown_service. Set OTEL_SERVICE_NAME"
        )


def _has_service_name(environ: Mapping[str, str]) -> bool:
    attributes = environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return bool(environ.get("OTEL_SERVICE_NAME")) or "service.name=" in attributes


def _check_limits(findings: Findings, environ: Mapping[str, str]) -> None:
    for name in ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"):
        limit = environ.get(name, "").strip()
        if limit.isdecimal() and int(limit) < _SPAN_ATTRIBUTES:
            findings.wrong(
                f"{name}={limit} is fewer than an inference span has",
                f"Set it to {_SPAN_ATTRIBUTES} or more",
            )


def _check_config_file(findings: Findings, environ: Mapping[str, str]) -> None:
    path = environ.get("OTEL_CONFIG_FILE", "").strip()
    if not path:
        return
    if not Path(path).is_file():
        findings.wrong(f"OTEL_CONFIG_FILE names {path}, which is no file", "Correct the path")
        return
    if find_spec("opentelemetry.configuration") is None:
        findings.wrong(
            "OTEL_CONFIG_FILE is set and opentelemetry-configuration is not installed",
            "pip install opentelemetry-configuration",
        )
    findings.note(
        f"The SDK is configured by {path}, and then ignores its other OTEL_ variables: "
        "ask for the endpoint with --endpoint"
    )
