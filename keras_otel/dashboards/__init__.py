"""Dashboards and rules for what keras_otel emits, made from the names in `semconv`."""

from keras_otel.dashboards.documents import documents, export
from keras_otel.dashboards.jaeger import Places

__all__ = ["Places", "documents", "export"]
