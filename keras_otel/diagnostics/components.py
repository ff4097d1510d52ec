"""Components of OpenTelemetry that variables choose by name: exporters, sampler and others."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Final

from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.variable_names import closest_match

_SIGNALS: Final = ("traces", "metrics", "logs")
_SDK_SAMPLERS: Final = frozenset(
    {
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    }
)
# Variables whose component opentelemetry-instrument loads from an entry point, and their groups.
_ENTRY_POINT_GROUPS: Final = {
    "OTEL_PYTHON_ID_GENERATOR": "opentelemetry_id_generator",
    "OTEL_PYTHON_DISTRO": "opentelemetry_distro",
    "OTEL_PYTHON_CONFIGURATOR": "opentelemetry_configurator",
}


def check_components(findings: Findings, environ: Mapping[str, str]) -> None:
    """Check that named components are installed and that the sampler keeps some traces."""
    for signal in _SIGNALS:
        _check_exporters(findings, environ, signal)
    for variable, group in _ENTRY_POINT_GROUPS.items():
        name, known = environ.get(variable, "").strip(), entry_point_names(group)
        if name and name not in known:
            findings.add_problem(
                f"{variable} names {name!r}, which is not installed",
                f"Write one of {', '.join(sorted(known))}, or unset it" if known else "Unset it",
            )
    _check_sampler(findings, environ)


def entry_point_names(group: str) -> frozenset[str]:
    """Return the names that installed packages offer under an entry point's group."""
    return frozenset(entry_point.name for entry_point in metadata.entry_points(group=group))


def split_list(text: str) -> list[str]:
    """Return the non-empty entries of a comma-separated list."""
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def _check_exporters(findings: Findings, environ: Mapping[str, str], signal: str) -> None:
    variable = f"OTEL_{signal.upper()}_EXPORTER"
    names = split_list(environ.get(variable, ""))
    if signal == "traces" and set(names) == {"none"}:
        findings.add_problem(
            f"{variable}=none drops every span under opentelemetry-instrument",
            "Set it to otlp, or unset it",
        )
    known = entry_point_names(f"opentelemetry_{signal}_exporter") | {"otlp", "none"}
    for name in names:
        if name not in known:
            match = closest_match(name, known)
            findings.add_problem(
                f"{variable} names the exporter {name!r}, which is not installed: "
                "opentelemetry-instrument then sets up no SDK",
                f"Write {match}" if match else f"Install it, or write {', '.join(sorted(known))}",
            )


def _check_sampler(findings: Findings, environ: Mapping[str, str]) -> None:
    sampler = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    if sampler.endswith("always_off"):
        findings.add_problem(
            f"OTEL_TRACES_SAMPLER={sampler} drops every span", "Set it to parentbased_always_on"
        )
    elif sampler.endswith("traceidratio"):
        _check_sampling_ratio(findings, environ, sampler)
    known = _SDK_SAMPLERS | entry_point_names("opentelemetry_traces_sampler")
    if sampler and sampler not in known:
        match = closest_match(sampler, known)
        findings.add_problem(
            f"OTEL_TRACES_SAMPLER={sampler} is unknown, so the SDK keeps every trace",
            f"Write {match}" if match else f"Write one of {', '.join(sorted(known))}",
        )


def _check_sampling_ratio(findings: Findings, environ: Mapping[str, str], sampler: str) -> None:
    text = environ.get("OTEL_TRACES_SAMPLER_ARG", "").strip()
    if not text:
        return
    try:
        ratio = float(text)
    except ValueError:
        findings.add_problem(
            f"OTEL_TRACES_SAMPLER_ARG={text} is not a number",
            "Write a ratio from 0 to 1, such as 0.1",
        )
        return
    if ratio <= 0:
        findings.add_problem(
            f"OTEL_TRACES_SAMPLER_ARG={text} drops every span",
            "Write a ratio greater than 0, up to 1",
        )
    elif ratio < 1:
        findings.add_note(
            f"{sampler} samples {ratio:.3g} of the traces; metrics count every inference"
        )
