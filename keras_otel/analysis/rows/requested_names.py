"""What is asked for by name, held to what there is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import ibis.expr.types as ir

from keras_otel import semconv
from keras_otel.analysis.rows.suggestions import nearest_first
from keras_otel.errors import SourceError


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """The models there are, and which of them each segment of a key means."""

    predicted: tuple[str, ...]
    named: Mapping[str, str]


def models_of(usable: ir.Table, segments: Sequence[str], unread: str) -> Models:
    """The models that predicted, or that keys name; `unread` begins the line where there is none.

    Raises:
        SourceError: There is none.
    """
    predicted = values_of(usable.model)
    known: dict[str, list[str]] = {}
    for model in predicted:
        known.setdefault(semconv.key_segment(model), []).append(model)
    named = {
        segment: known[segment][0] if len(known.get(segment, ())) == 1 else segment
        for segment in segments
    }
    if not predicted and not named:
        raise SourceError(
            f"{unread}no prediction was found: call keras_otel.instrument() in the service, and check that its "
            "spans are in this source and time"
        )
    return Models(predicted=tuple(predicted), named=named)


def wanted_models(models: Models, wanted: Sequence[str]) -> tuple[str, ...]:
    """Those asked for, or all.

    Raises:
        SourceError: There is none of that name.
    """
    there = sorted({*models.predicted, *models.named.values()})
    _require_known("model", wanted, there)
    return tuple(wanted) or tuple(there)


def wanted_evaluations(evaluations: ir.Table, wanted: Sequence[str], unread: str) -> ir.Table:
    """Those asked for, or all; `unread` begins the line where there is none.

    Raises:
        SourceError: There is none, or none of that name.
    """
    there = values_of(evaluations.name)
    if not there:
        raise SourceError(
            f"{unread}no evaluation was found: call keras_otel.record_evaluation(...) in the service, or name a "
            "file of them with --evals (CSV, JSON lines or Parquet with trace_id, name, passed)"
        )
    _require_known("evaluation", wanted, there)
    return evaluations.filter(evaluations.name.isin(list(wanted))) if wanted else evaluations


def _require_known(what: str, wanted: Iterable[str], there: Sequence[str]) -> None:
    for name in wanted:
        if name not in there:
            raise SourceError(f"no {what} is named {name!r}: there is {nearest_first(name, there)}")


def values_of(column: ir.Column) -> list[str]:
    """The different values of a column, in order."""
    found = column.as_table().distinct().to_pyarrow().column(0).to_pylist()
    return sorted(value for value in found if value is not None)
