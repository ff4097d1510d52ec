"""Whether span ids use up random numbers of the program."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from keras_otel.diagnostics.findings import Findings


def check_id_generator(findings: Findings, tracer_provider: Any) -> None:
    """Note a provider that draws its ids from Python's global random generator."""
    # Exactly the SDK's own class: a subclass may draw from elsewhere.
    if type(getattr(tracer_provider, "id_generator", None)) is RandomIdGenerator:
        findings.add_note(
            "Span ids are drawn from Python's global random generator, from which Keras also draws "
            "its seeds: a seeded program gets other weights. Create the provider with "
            "TracerProvider(id_generator=keras_otel.ids.IndependentIdGenerator())"
        )
