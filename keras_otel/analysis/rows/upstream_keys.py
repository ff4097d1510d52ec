"""What evaluated spans and evaluations say of upstream predictions: the `keras.upstream.*` keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import ibis
import ibis.expr.types as ir

from keras_otel import semconv

STAMPED: Final[dict[str, str]] = {
    semconv.UPSTREAM_CLASS: semconv.PREDICTION_CLASS,
    semconv.UPSTREAM_VERSION: semconv.MODEL_VERSION,
    semconv.UPSTREAM_CONFIDENCE: semconv.PREDICTION_CONFIDENCE,
    semconv.UPSTREAM_VALUE: semconv.PREDICTION_VALUE,
    semconv.UPSTREAM_LABELS: semconv.PREDICTION_LABELS,
}
"""The part of a stamped key, and the attribute of an inference that it repeats."""

_NUMBERS: Final = (semconv.UPSTREAM_CONFIDENCE, semconv.UPSTREAM_VALUE)
_PREFIX: Final = f"{semconv.UPSTREAM_PREFIX}."


def segments(table: ir.Table, columns: Iterable[str]) -> list[str]:
    """The models that these columns of maps name, as segments of keys."""
    found = set()
    for column in columns:
        present = table.filter(table[column].notnull())
        keys = present.select(key=present[column].keys().unnest()).distinct()
        for key in keys.key.to_pyarrow().to_pylist():
            segment, _, part = (key or "").removeprefix(_PREFIX).rpartition(".")
            if (key or "").startswith(_PREFIX) and part in STAMPED and segment:
                found.add(segment)
    return sorted(found)


def stamp_columns(
    table: ir.Table, columns: Iterable[str], wanted: Iterable[str]
) -> dict[str, ir.Value]:
    """One column for each part of each segment's key, from the first map that has it."""
    return {
        column_of(segment, part): _stamp(table, tuple(columns), segment, part)
        for segment in wanted
        for part in STAMPED
    }


def column_of(segment: str, part: str) -> str:
    """The name of such a column."""
    return f"{_PREFIX}{segment}.{part}"


def _stamp(table: ir.Table, columns: tuple[str, ...], segment: str, part: str) -> ir.Value:
    key, missing = column_of(segment, part), ibis.null("string")
    text = ibis.coalesce(*(table[column].get(key, missing).nullif("") for column in columns))
    return text.try_cast("float64") if part in _NUMBERS else text


def said_of(table: ir.Table, segment: str) -> dict[str, ir.Value]:
    """What is said of one model, by the attribute of an inference that it repeats."""
    return {attribute: table[column_of(segment, part)] for part, attribute in STAMPED.items()}


def said_of_own_model(joined: ir.Table, models: Mapping[str, str]) -> dict[str, ir.Value]:
    """What is said of each row's own model.

    Args:
        joined: Has a column `model` and the columns of `stamp_columns`.
        models: Each segment, and the model that it means.
    """
    said = {}
    for part, attribute in STAMPED.items():
        own = [(joined.model == model, joined[column_of(s, part)]) for s, model in models.items()]
        type_ = "float64" if part in _NUMBERS else "string"
        said[attribute] = ibis.cases(*own) if own else ibis.null(type_)
    return said


def is_said(said: Mapping[str, ir.Value]) -> ir.BooleanValue:
    """True where anything is said."""
    return ibis.or_(*(value.notnull() for value in said.values()))
