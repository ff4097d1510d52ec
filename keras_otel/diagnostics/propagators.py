"""The propagators that carry a request's context, and its predictions, to other services."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from keras_otel.diagnostics.components import entry_point_names, split_list
from keras_otel.diagnostics.findings import Findings
from keras_otel.diagnostics.variable_names import closest_match
from keras_otel.options import ACCEPT_MODELS, accepted_models

PROPAGATORS_VARIABLE: Final = "OTEL_PROPAGATORS"

_ENTRY_POINT_GROUP: Final = "opentelemetry_propagator"
_KERAS: Final = "keras"
_BAGGAGE: Final = "baggage"
_CORRECT_ORDER: Final = "tracecontext,baggage,keras"
_NAMES_BY_CLASS: Final = {
    "KerasPropagator": _KERAS,
    "W3CBaggagePropagator": _BAGGAGE,
    "TraceContextTextMapPropagator": "tracecontext",
}
_DISTRIBUTIONS: Final = {
    "b3": "opentelemetry-propagator-b3",
    "b3multi": "opentelemetry-propagator-b3",
    "jaeger": "opentelemetry-propagator-jaeger",
    "xray": "opentelemetry-propagator-aws-xray",
    "ottrace": "opentelemetry-propagator-ot-trace",
}


def check_propagators(findings: Findings, environ: Mapping[str, str]) -> None:
    """Check the propagators of the environment: installed, and in an order that keeps predictions."""
    names = split_list(environ.get(PROPAGATORS_VARIABLE, ""))
    if "none" in map(str.lower, names):
        findings.add_note(
            f"{PROPAGATORS_VARIABLE}=none: no request carries its trace context to another service"
        )
        return
    known = entry_point_names(_ENTRY_POINT_GROUP)
    for name in names:
        if name not in known:
            findings.add_problem(
                f"{PROPAGATORS_VARIABLE} names {name!r}, which is not installed: importing "
                "OpenTelemetry raises an error",
                _installation_fix(name, known),
            )
    _check_order(findings, names, f"Write {PROPAGATORS_VARIABLE}={_CORRECT_ORDER}")
    if _KERAS in names and accepted_models(environ) is None:
        findings.add_note(
            f"keras in {PROPAGATORS_VARIABLE}: any caller of this service can claim predictions of "
            f"any model. Set {ACCEPT_MODELS} to the models that other services predict with, or to "
            "none where the service is public"
        )


def check_process_propagators(findings: Findings) -> None:
    """Check the order of the propagators that this process uses."""
    # Where nothing has imported OpenTelemetry's propagators, none are in use.
    propagate: Any = sys.modules.get("opentelemetry.propagate")
    if propagate is None:
        return
    textmap = propagate.get_global_textmap()
    propagators = getattr(textmap, "_propagators", [textmap])
    class_names = [type(propagator).__name__ for propagator in propagators]
    names = [_NAMES_BY_CLASS.get(class_name, class_name) for class_name in class_names]
    findings.add_fact("propagators", "Propagators", ", ".join(names) or "none", names)
    _check_order(findings, names, f"Put them in the order {_CORRECT_ORDER}")


def installed_propagators(environ: Mapping[str, str]) -> str:
    """Return the value of OTEL_PROPAGATORS without the propagators that are not installed.

    OpenTelemetry loads propagators as it is imported, and raises for one that is not installed.
    """
    known = entry_point_names(_ENTRY_POINT_GROUP) | {"none"}
    names = split_list(environ.get(PROPAGATORS_VARIABLE, ""))
    return ",".join(name for name in names if name in known)


def _installation_fix(name: str, known: frozenset[str]) -> str:
    if name.lower() in _DISTRIBUTIONS:
        return f"pip install {_DISTRIBUTIONS[name.lower()]}"
    match = closest_match(name, known)
    return f"Write {match}" if match else f"Install it, or choose from {', '.join(sorted(known))}"


def _check_order(findings: Findings, names: Sequence[str], fix: str) -> None:
    if _KERAS not in names:
        return
    position = names.index(_KERAS)
    if _BAGGAGE in names[position + 1 :]:
        # Both write the `baggage` header, and the last one to write it wins.
        findings.add_problem(
            f"in {PROPAGATORS_VARIABLE} keras comes before baggage, which then overwrites the "
            "predictions",
            fix,
        )
    elif not set(names[:position]) - {_BAGGAGE}:
        # A prediction is accepted only together with the trace that it belongs to.
        findings.add_problem(
            f"in {PROPAGATORS_VARIABLE} no propagator of trace context comes before keras, and "
            "without a trace no prediction of another service is accepted",
            fix,
        )
