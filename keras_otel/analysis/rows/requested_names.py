"""Check the models and evaluations that are requested by name against those in the data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import ibis.expr.types as ir

from keras_otel import semconv
from keras_otel.analysis.rows.suggestions import nearest_first
from keras_otel.analysis.sources.tables.fetch import fetch_values
from keras_otel.errors import SourceError


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """The models in the data.

    Attributes:
        predicted: Models with a prediction.
        by_segment: The model that each segment of an upstream key means.
    """

    predicted: tuple[str, ...]
    by_segment: Mapping[str, str]


def known_models(usable: ir.Table, segments: Sequence[str], unread_prefix: str) -> Models:
    """Return the models with a prediction or in an upstream key; `unread_prefix` begins the error line.

    Raises:
        SourceError: There is no model.
    """
    predicted = distinct_values(usable.model)
    models: dict[str, list[str]] = {}
    for model in predicted:
        models.setdefault(semconv.key_segment(model), []).append(model)
    by_segment = {
        segment: models[segment][0] if len(models.get(segment, ())) == 1 else segment
        for segment in segments
    }
    if not predicted and not by_segment:
        raise SourceError(
            f"{unread_prefix}no prediction was found: call keras_otel.instrument() in the service, and check that its "
            "spans are in this source and time"
        )
    return Models(predicted=tuple(predicted), by_segment=by_segment)


def requested_models(models: Models, requested: Sequence[str]) -> tuple[str, ...]:
    """Return the requested models, or all.

    Raises:
        SourceError: A requested model does not exist.
    """
    existing = sorted({*models.predicted, *models.by_segment.values()})
    _require_known("model", requested, existing)
    return tuple(requested) or tuple(existing)


def requested_evaluations(
    evaluations: ir.Table, requested: Sequence[str], unread_prefix: str
) -> ir.Table:
    """Return the requested evaluations, or all; `unread_prefix` begins the error line.

    Raises:
        SourceError: There is no evaluation, or a requested one does not exist.
    """
    existing = distinct_values(evaluations.name)
    if not existing:
        raise SourceError(
            f"{unread_prefix}no evaluation was found: call keras_otel.record_evaluation(...) in the service, or name a "
            "file of them with --evals (CSV, JSON lines or Parquet with trace_id, name, passed)"
        )
    _require_known("evaluation", requested, existing)
    return evaluations.filter(evaluations.name.isin(list(requested))) if requested else evaluations


def _require_known(kind: str, requested: Iterable[str], existing: Sequence[str]) -> None:
    for name in requested:
        if name not in existing:
            raise SourceError(
                f"no {kind} is named {name!r}: there is {nearest_first(name, existing)}"
            )


def distinct_values(column: ir.Column) -> list[str]:
    """Return the distinct values of a column, sorted."""
    values = fetch_values(column.name("value").as_table().distinct()["value"])
    return sorted(value for value in values if value is not None)
