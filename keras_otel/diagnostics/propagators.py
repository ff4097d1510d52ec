"""What carries a request's context, and predictions, from one service to the next."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from keras_otel.diagnostics.components import installed, listed
from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.variable_names import nearest
from keras_otel.options import ACCEPT_MODELS, accepted_models

VARIABLE: Final = "OTEL_PROPAGATORS"

_OURS: Final = "keras"
_BAGGAGE: Final = "baggage"
_RIGHT: Final = "tracecontext,baggage,keras"
_PACKAGES: Final = {
    "b3": "opentelemetry-propagator-b3",
    "b3multi": "opentelemetry-propagator-b3",
    "jaeger": "opentelemetry-propagator-jaeger",
    "xray": "opentelemetry-propagator-aws-xray",
    "ottrace": "opentelemetry-propagator-ot-trace",
}


def check_propagators(findings: Findings, environ: Mapping[str, str]) -> None:
    """Propagators that are not installed, and an order in which predictions get lost."""
    names = listed(environ.get(VARIABLE, ""))
    if "none" in map(str.lower, names):
        findings.note(f"{VARIABLE}=none: no request carries its trace on to another service")
        return
    known = installed("opentelemetry_propagator")
    for name in names:
        if name not in known:
            findings.wrong(
                f"{VARIABLE} names {name!r}, which is not installed: whatever uses OpenTelemetry "
                "stops with a traceback",
                _fix(name, known),
            )
    _check_order(findings, names, f"Write {VARIABLE}={_RIGHT}")
    if _OURS in names and accepted_models(environ) is None:
        findings.note(
            f"keras in {VARIABLE}: whoever calls this service may say what any model predicted. "
            f"Name the models that others predict with in {ACCEPT_MODELS}, or write none where the "
            "public can call"
        )


def check_process_propagators(findings: Findings) -> None:
    """The same of the propagators that this process really uses."""
    propagate: Any = sys.modules.get("opentelemetry.propagate")
    if propagate is None:
        return
    composite = propagate.get_global_textmap()
    kinds = {
        "KerasPropagator": _OURS,
        "W3CBaggagePropagator": _BAGGAGE,
        "TraceContextTextMapPropagator": "tracecontext",
    }
    parts = getattr(composite, "_propagators", [composite])
    names = [kinds.get(type(part).__name__, type(part).__name__) for part in parts]
    findings.fact("propagators", "Propagators", ", ".join(names) or "none", names)
    _check_order(findings, names, f"Put them in the order {_RIGHT}")


def without_unknown(environ: Mapping[str, str]) -> str | None:
    """The propagators of the environment that can be loaded; None where all can.

    OpenTelemetry loads them as it is imported, and raises for one that is missing.
    """
    names = listed(environ.get(VARIABLE, ""))
    known = installed("opentelemetry_propagator") | {"none"}
    usable = [name for name in names if name in known]
    return None if usable == names else ",".join(usable)


def _fix(name: str, known: frozenset[str]) -> str:
    if name.lower() in _PACKAGES:
        return f"pip install {_PACKAGES[name.lower()]}"
    meant = nearest(name, known)
    return f"Write {meant}" if meant else f"Install it, or choose from {', '.join(sorted(known))}"


def _check_order(findings: Findings, names: Sequence[str], fix: str) -> None:
    if _OURS not in names:
        return
    before = list(names[: names.index(_OURS)])
    after = names[names.index(_OURS) + 1 :]
    if _BAGGAGE in after:
        findings.wrong(
            f"in {VARIABLE} keras stands before baggage, which then writes over the predictions",
            fix,
        )
    elif not [name for name in before if name != _BAGGAGE]:
        findings.wrong(
            f"in {VARIABLE} nothing before keras carries the trace, and without its trace no "
            "prediction is taken from another service",
            fix,
        )
