"""Read attributes out of their maps early: maps are expensive to sort and to join."""

from __future__ import annotations

from collections.abc import Iterable

import ibis
import ibis.expr.types as ir

from keras_otel import semconv
from keras_otel.analysis.sources.tables.fetch import fetch_values
from keras_otel.analysis.sources.tables.schema import PROMOTED, UPSTREAM

OWN = "own "
ANSWER = "answer "
TRACE = "trace "
"""Prefixes of the columns with an attribute of the inference, the evaluated span and the trace."""


def in_maps(keys: Iterable[str]) -> list[str]:
    """Return those of `keys` that have no column of their own."""
    return [key for key in dict.fromkeys(keys) if key not in PROMOTED]


def own_columns(predictions: ir.Table, keys: Iterable[str]) -> dict[str, ir.Value]:
    """Return a column for each attribute of an inference span, or else of its resource."""
    return {
        f"{OWN}{key}": _first(predictions, ("attributes", "resource"), key) for key in in_maps(keys)
    }


def answer_columns(
    answers: ir.Table, maps: tuple[str, str], upstream_maps: tuple[str, ...], keys: Iterable[str]
) -> dict[str, ir.Value]:
    """Return a column for each attribute of an evaluated span, or else of its resource.

    Args:
        answers: Evaluated spans with their maps.
        maps: The columns with the span's and the resource's attributes.
        upstream_maps: The columns with `keras.upstream.*`, for keys of that kind.
        keys: The attributes.
    """
    return {
        f"{ANSWER}{key}": _first(answers, upstream_maps if is_upstream(key) else maps, key)
        for key in in_maps(keys)
    }


def is_upstream(key: str) -> bool:
    """Return True for `keras.upstream.*`."""
    return key.startswith(f"{semconv.UPSTREAM_PREFIX}.")


def attribute(row: ir.Table, key: str) -> ir.Value:
    """Return an attribute as text: of the inference, else of the evaluated span, else of the trace."""
    if key in PROMOTED:
        return row[key].cast("string").nullif("")
    columns = [f"{prefix}{key}" for prefix in (OWN, ANSWER, TRACE)]
    return ibis.coalesce(*(row[column] for column in columns if column in row.columns))


def in_map(table: ir.Table, column: str, key: str) -> ir.Value:
    """Return an attribute in one of the maps, as text; null where it is missing or empty."""
    return table[column].get(key, ibis.null("string")).nullif("")


def _first(table: ir.Table, columns: tuple[str, ...], key: str) -> ir.Value:
    return ibis.coalesce(*(in_map(table, column, key) for column in columns))


def attribute_names(spans: ir.Table) -> set[str]:
    """Return the names of all attributes of spans and resources."""
    names = set(PROMOTED)
    for column in ("attributes", "resource", UPSTREAM):
        keys = spans.filter(spans[column].notnull()).select(key=spans[column].keys().unnest())
        names |= set(fetch_values(keys.distinct().key))
    return names - {None}
