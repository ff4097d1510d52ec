"""Read the upstream predictions that evaluated spans and evaluations carry: the keys `keras.upstream.*`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import ibis
import ibis.expr.types as ir

from keras_otel import semconv
from keras_otel.analysis.sources.tables.fetch import fetch_values

REPEATED: Final[dict[str, str]] = {
    semconv.UPSTREAM_CLASS: semconv.PREDICTION_CLASS,
    semconv.UPSTREAM_VERSION: semconv.MODEL_VERSION,
    semconv.UPSTREAM_CONFIDENCE: semconv.PREDICTION_CONFIDENCE,
    semconv.UPSTREAM_VALUE: semconv.PREDICTION_VALUE,
    semconv.UPSTREAM_LABELS: semconv.PREDICTION_LABELS,
}
"""The last part of an upstream key, and the attribute of an inference that it repeats."""

_NUMBERS: Final = (semconv.UPSTREAM_CONFIDENCE, semconv.UPSTREAM_VALUE)
_PREFIX: Final = f"{semconv.UPSTREAM_PREFIX}."


def segments(table: ir.Table, columns: Iterable[str]) -> list[str]:
    """Return the models that the keys in these columns of maps name, as segments of keys."""
    models = set()
    for column in columns:
        present = table.filter(table[column].notnull())
        keys = present.select(key=present[column].keys().unnest()).distinct()
        for key in fetch_values(keys.key):
            segment, _, part = (key or "").removeprefix(_PREFIX).rpartition(".")
            if (key or "").startswith(_PREFIX) and part in REPEATED and segment:
                models.add(segment)
    return sorted(models)


def upstream_columns(
    table: ir.Table, columns: Iterable[str], models: Iterable[str]
) -> dict[str, ir.Value]:
    """Return a column for each part of each model's keys, from the first map that has it."""
    return {
        column_of(segment, part): _upstream_value(table, tuple(columns), segment, part)
        for segment in models
        for part in REPEATED
    }


def column_of(segment: str, part: str) -> str:
    """Return the key of a part of a model's prediction, which is also the name of its column."""
    return f"{_PREFIX}{segment}.{part}"


def _upstream_value(table: ir.Table, columns: tuple[str, ...], segment: str, part: str) -> ir.Value:
    key, missing = column_of(segment, part), ibis.null("string")
    text = ibis.coalesce(*(table[column].get(key, missing).nullif("") for column in columns))
    return text.try_cast("float64") if part in _NUMBERS else text


def upstream_of(table: ir.Table, segment: str) -> dict[str, ir.Value]:
    """Return the upstream prediction of a model, by the attributes of an inference that it repeats."""
    return {attribute: table[column_of(segment, part)] for part, attribute in REPEATED.items()}


def upstream_of_own_model(joined: ir.Table, models: Mapping[str, str]) -> dict[str, ir.Value]:
    """Return the upstream prediction of each row's own model, likewise.

    Args:
        joined: Table with a column `model` and the columns of `upstream_columns`.
        models: The model that each segment of the keys means.
    """
    values = {}
    for part, attribute in REPEATED.items():
        own = [
            (joined.model == model, joined[column_of(segment, part)])
            for segment, model in models.items()
        ]
        type_ = "float64" if part in _NUMBERS else "string"
        values[attribute] = ibis.cases(*own) if own else ibis.null(type_)
    return values


def has_any(upstream: Mapping[str, ir.Value]) -> ir.BooleanValue:
    """Return True where any part of an upstream prediction is present."""
    return ibis.or_(*(value.notnull() for value in upstream.values()))
