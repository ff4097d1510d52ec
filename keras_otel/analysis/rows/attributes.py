"""Attributes asked for by name, taken out of their maps early: maps are heavy to sort and to join."""

from __future__ import annotations

from collections.abc import Iterable

import ibis
import ibis.expr.types as ir

from keras_otel import semconv
from keras_otel.analysis.sources.tables.schema import PROMOTED, UPSTREAM

OWN = "own "
ANSWER = "answer "
TRACE = "trace "
"""What a column's name starts with while an attribute is on its way into a row."""


def in_maps(keys: Iterable[str]) -> list[str]:
    """Those of `keys` that are no column of their own."""
    return [key for key in dict.fromkeys(keys) if key not in PROMOTED]


def own_columns(predictions: ir.Table, keys: Iterable[str]) -> dict[str, ir.Value]:
    """Each attribute of an inference span, or else of its resource."""
    return {
        f"{OWN}{key}": _first(predictions, ("attributes", "resource"), key) for key in in_maps(keys)
    }


def answer_columns(
    answers: ir.Table, places: tuple[str, str], upstreams: tuple[str, ...], keys: Iterable[str]
) -> dict[str, ir.Value]:
    """Each attribute of an evaluated span, or else of its resource.

    Args:
        answers: Has the maps.
        places: The columns with the span's and the resource's attributes.
        upstreams: The columns with `keras.upstream.*`, for keys of that kind.
        keys: What is asked for.
    """
    return {
        f"{ANSWER}{key}": _first(answers, upstreams if is_upstream(key) else places, key)
        for key in in_maps(keys)
    }


def is_upstream(key: str) -> bool:
    """True for `keras.upstream.*`."""
    return key.startswith(f"{semconv.UPSTREAM_PREFIX}.")


def attribute(row: ir.Table, key: str) -> ir.Value:
    """An attribute as text: of the inference, else of the evaluated span, else what its trace has."""
    if key in PROMOTED:
        return row[key].cast("string").nullif("")
    found = [f"{place}{key}" for place in (OWN, ANSWER, TRACE)]
    return ibis.coalesce(*(row[column] for column in found if column in row.columns))


def in_map(table: ir.Table, column: str, key: str) -> ir.Value:
    """An attribute out of one of the maps, as text; null where it is not there or empty."""
    return table[column].get(key, ibis.null("string")).nullif("")


def _first(table: ir.Table, columns: tuple[str, ...], key: str) -> ir.Value:
    return ibis.coalesce(*(in_map(table, column, key) for column in columns))


def attribute_names(spans: ir.Table) -> set[str]:
    """Every attribute that spans and resources have."""
    found = set(PROMOTED)
    for column in ("attributes", "resource", UPSTREAM):
        keys = spans.filter(spans[column].notnull()).select(key=spans[column].keys().unnest())
        found |= set(keys.distinct().key.to_pyarrow().to_pylist())
    return found - {None}
