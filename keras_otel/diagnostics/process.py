"""The instrumentation of the process that asks."""

from __future__ import annotations

import sys
from dataclasses import fields
from typing import Any, Final

from keras_otel._guard import failure_counts
from keras_otel._secrets import redacted
from keras_otel.diagnostics.calls import check_calls
from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.instrumentation import check_counts, group_by_owner
from keras_otel.diagnostics.propagators import check_process_propagators
from keras_otel.diagnostics.providers import check_export_is_used, check_providers
from keras_otel.instrumentor import ignored_options, patched
from keras_otel.metrics import dropped_counts
from keras_otel.options import Options, in_force

_KERAS_PACKAGES: Final = ("keras", "tf_keras")


def check_process(findings: Findings) -> None:
    """Check whether this process is instrumented, with which options, and where its spans go."""
    active_options = in_force()
    is_instrumented = active_options is not None
    options = active_options or Options()
    # A package that is being imported has no `Model` yet.
    is_imported = any(hasattr(sys.modules.get(name), "Model") for name in _KERAS_PACKAGES)
    findings.add_fact(
        "instrumented",
        "Instrumented",
        f"{'yes' if is_instrumented else 'no'}, "
        f"Keras {'imported' if is_imported else 'not imported yet'}",
        is_instrumented,
    )
    if not is_instrumented:
        findings.add_problem(
            "this process is not instrumented",
            "Call keras_otel.instrument(), or start it with opentelemetry-instrument",
        )
    _check_patches(findings, is_expected=is_instrumented and is_imported)
    values = _displayed_values(options)
    findings.add_fact("options", "Options", _format_changed(values), values)
    check_providers(findings, options)
    _check_ignored_options(findings)
    check_export_is_used(findings, options)
    check_process_propagators(findings)
    check_calls(findings)
    check_counts(findings, failure_counts(), dropped_counts())


def _check_patches(findings: Findings, *, is_expected: bool) -> None:
    names = patched()
    findings.add_fact("patched", "Patched", group_by_owner(names), list(names))
    if is_expected and not names:
        findings.add_problem(
            "Keras is imported, but none of its methods is patched",
            "Call keras_otel.uninstrument() and keras_otel.instrument() again, and read the log",
        )


def _check_ignored_options(findings: Findings) -> None:
    for names in ignored_options():
        findings.add_problem(
            f"instrument() was called again with other options ({', '.join(names)}), which are "
            "ignored: the first call wins",
            "Call it once with all options, or call keras_otel.uninstrument() before",
        )


def _displayed_values(options: Options) -> dict[str, Any]:
    """Return the options as JSON values without secrets; providers are shown elsewhere."""
    values: dict[str, Any] = {}
    for option in fields(options):
        if option.name.endswith("_provider"):
            continue
        value = getattr(options, option.name)
        is_json = isinstance(value, (bool, int, type(None)))
        values[option.name] = value if is_json else redacted(str(value))
    return values


def _format_changed(values: dict[str, Any]) -> str:
    defaults = _displayed_values(Options())
    changed = [f"{name}={value}" for name, value in values.items() if value != defaults[name]]
    return ", ".join(changed) or "all defaults"
