"""What all inferences of one model by one operation share, prepared once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.util.types import AttributeValue

from keras_otel import semconv
from keras_otel._unicode import name_of
from keras_otel.records import ModelIdentity


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFacts:
    """What all inferences of one model by one operation share, ready to be copied into a span."""

    identity: ModelIdentity
    span_name: str
    details: Mapping[str, AttributeValue]
    naming: Mapping[str, AttributeValue]
    duration_attributes: Mapping[str, AttributeValue]
    model_attributes: Mapping[str, AttributeValue]
    class_attributes: dict[str, Mapping[str, AttributeValue]] = field(default_factory=dict)


def call_facts(
    *,
    operation: str,
    identity: ModelIdentity,
    model_class: str,
    precision: str | None,
    runtime: tuple[str, str, str],
) -> CallFacts:
    """Build the facts of one model and operation; `runtime` is (name, backend, Keras version)."""
    runtime_name, backend, keras_version = runtime
    model = _without_none(
        {semconv.MODEL_NAME: identity.name, semconv.MODEL_VERSION: identity.version}
    )
    shared = {
        semconv.OPERATION_NAME: operation,
        **model,
        semconv.BACKEND_NAME: backend,
        semconv.RUNTIME_NAME: runtime_name,
    }
    return CallFacts(
        identity=identity,
        span_name=f"{operation} {identity.name}",
        details=_without_none(
            {
                semconv.BACKEND_NAME: backend,
                semconv.RUNTIME_NAME: runtime_name,
                semconv.MODEL_FINGERPRINT: identity.fingerprint,
                semconv.MODEL_VERSION_CONFLICT: identity.version_conflict or None,
                semconv.MODEL_CLASS: name_of(model_class),
                semconv.MODEL_PRECISION: None if precision is None else name_of(precision),
                semconv.KERAS_VERSION: keras_version,
            }
        ),
        naming={**model, semconv.OPERATION_NAME: operation},
        duration_attributes=shared,
        model_attributes=model,
    )


def _without_none(attributes: Mapping[str, Any]) -> dict[str, AttributeValue]:
    return {key: value for key, value in attributes.items() if value is not None}
