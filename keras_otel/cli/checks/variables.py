"""What the environment variables say, and which of them defeat the purpose."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from keras_otel.cli.checks.findings import Findings
from keras_otel.errors import OptionError
from keras_otel.options import ENVIRONMENT, resolve

PREFIX: Final = "OTEL_PYTHON_KERAS_"
HOOK: Final = ENVIRONMENT["on_prediction"]

_MISREMEMBERED: Final = ("KERAS_OTEL_", "OTEL_KERAS_", "OTEL_INSTRUMENTATION_KERAS_")
_SPAN_ATTRIBUTES: Final = 32  # an inference span has up to 25


def check_variables(findings: Findings, environ: Mapping[str, str]) -> None:
    """Our own options, then OpenTelemetry's switches."""
    _check_options(findings, environ)
    _check_names(findings, environ)
    _check_switches(findings, environ)
    _check_sampler(findings, environ)
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


def _check_names(findings: Findings, environ: Mapping[str, str]) -> None:
    known = list(ENVIRONMENT.values())
    for name in sorted(environ):
        if not name.startswith((PREFIX, *_MISREMEMBERED)) or name in known:
            continue
        option = name
        for prefix in (PREFIX, *_MISREMEMBERED):
            option = option.removeprefix(prefix)
        near = difflib.get_close_matches(option, [k.removeprefix(PREFIX) for k in known], n=1)
        mend = f"Write {PREFIX}{near[0]}" if near else f"Known are {', '.join(known)}"
        findings.wrong(f"nobody reads the variable {name}", mend)


def _check_switches(findings: Findings, environ: Mapping[str, str]) -> None:
    disabled = environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "")
    if {"keras", "*"} & {name.strip() for name in disabled.split(",")}:
        findings.wrong(
            f"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS={disabled} keeps keras_otel switched off under "
            "opentelemetry-instrument",
            "Take keras (or *) out of it",
        )
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        findings.wrong("OTEL_SDK_DISABLED=true drops every span", "Unset it")
    exporters = {name.strip() for name in environ.get("OTEL_TRACES_EXPORTER", "").split(",")}
    if exporters == {"none"}:
        findings.wrong(
            "OTEL_TRACES_EXPORTER=none drops every span under opentelemetry-instrument",
            "Set it to otlp, or unset it",
        )
    if not _has_service_name(environ):
        findings.note(
            "No service name: backends show the spans under unknown_service. Set OTEL_SERVICE_NAME"
        )


def _has_service_name(environ: Mapping[str, str]) -> bool:
    attributes = environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return bool(environ.get("OTEL_SERVICE_NAME")) or "service.name=" in attributes


def _check_sampler(findings: Findings, environ: Mapping[str, str]) -> None:
    sampler = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    ratio = environ.get("OTEL_TRACES_SAMPLER_ARG", "").strip()
    if sampler.endswith("always_off"):
        findings.wrong(
            f"OTEL_TRACES_SAMPLER={sampler} drops every span", "Set it to parentbased_always_on"
        )
    if not sampler.endswith("traceidratio") or not ratio:
        return
    try:
        kept = float(ratio)
    except ValueError:
        findings.wrong(
            f"OTEL_TRACES_SAMPLER_ARG={ratio} is no number",
            "Write a share from 0 to 1, such as 0.1",
        )
        return
    if kept <= 0:
        findings.wrong(
            f"OTEL_TRACES_SAMPLER_ARG={ratio} drops every span", "Write a share over 0, up to 1"
        )
    elif kept < 1:
        findings.note(f"{sampler} keeps {kept:.3g} of the traces; metrics count every inference")


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
