"""Parts of OpenTelemetry that variables choose by name: exporters and the sampler."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Final

from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.variable_names import nearest

_SIGNALS: Final = ("traces", "metrics", "logs")
_SAMPLERS: Final = frozenset(
    {
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    }
)


# What opentelemetry-instrument loads by name, and stops at where it is not there.
_LOADED: Final = {
    "OTEL_PYTHON_ID_GENERATOR": "opentelemetry_id_generator",
    "OTEL_PYTHON_DISTRO": "opentelemetry_distro",
    "OTEL_PYTHON_CONFIGURATOR": "opentelemetry_configurator",
}


def check_components(findings: Findings, environ: Mapping[str, str]) -> None:
    """Parts that are not installed, a sampler that is unknown or keeps nothing."""
    for signal in _SIGNALS:
        _check_exporters(findings, environ, signal)
    for variable, group in _LOADED.items():
        name, known = environ.get(variable, "").strip(), installed(group)
        if name and name not in known:
            findings.wrong(
                f"{variable} names {name!r}, which is not installed",
                f"Write one of {', '.join(sorted(known))}, or unset it" if known else "Unset it",
            )
    _check_sampler(findings, environ)


def installed(group: str) -> frozenset[str]:
    """The names that packages offer under an entry point's group."""
    return frozenset(entry.name for entry in metadata.entry_points(group=group))


def listed(text: str) -> list[str]:
    """The parts of a list with commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _check_exporters(findings: Findings, environ: Mapping[str, str], signal: str) -> None:
    variable = f"OTEL_{signal.upper()}_EXPORTER"
    names = listed(environ.get(variable, ""))
    if signal == "traces" and set(names) == {"none"}:
        findings.wrong(
            f"{variable}=none drops every span under opentelemetry-instrument",
            "Set it to otlp, or unset it",
        )
    known = installed(f"opentelemetry_{signal}_exporter") | {"otlp", "none"}
    for name in names:
        if name not in known:
            meant = nearest(name, known)
            findings.wrong(
                f"{variable} names {name!r}, and no such exporter is installed: "
                "opentelemetry-instrument sets nothing up then",
                f"Write {meant}" if meant else f"Install it, or write {', '.join(sorted(known))}",
            )


def _check_sampler(findings: Findings, environ: Mapping[str, str]) -> None:
    sampler = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    if sampler.endswith("always_off"):
        findings.wrong(
            f"OTEL_TRACES_SAMPLER={sampler} drops every span", "Set it to parentbased_always_on"
        )
    elif sampler.endswith("traceidratio"):
        _check_ratio(findings, environ, sampler)
    known = _SAMPLERS | installed("opentelemetry_traces_sampler")
    if sampler and sampler not in known:
        meant = nearest(sampler, known)
        findings.wrong(
            f"OTEL_TRACES_SAMPLER={sampler} is unknown, and the SDK keeps every trace",
            f"Write {meant}" if meant else f"Write one of {', '.join(sorted(known))}",
        )


def _check_ratio(findings: Findings, environ: Mapping[str, str], sampler: str) -> None:
    ratio = environ.get("OTEL_TRACES_SAMPLER_ARG", "").strip()
    if not ratio:
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
