"""Where the ids of spans are drawn from."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

from keras_otel.diagnostics.findings import Findings


def check_ids(findings: Findings, tracers: Any) -> None:
    """Note a provider whose spans use up the random numbers that a seeded program counts on."""
    if type(getattr(tracers, "id_generator", None)) is RandomIdGenerator:
        findings.note(
            "Ids of spans are drawn from Python's global random generator, and Keras draws its "
            "seeds from the same one: a seeded program gets other weights. Make the provider with "
            "TracerProvider(id_generator=keras_otel.export.ids.IndependentIdGenerator())"
        )
