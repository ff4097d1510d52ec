"""A few failed traces of each slice that is told, to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import ibis
import ibis.expr.types as ir

from keras_otel.analysis.features import MISSING, OTHER, column_of
from keras_otel.analysis.result import Predicate

MOST: Final = 3

Wanted = tuple[str, str, Sequence[tuple[Predicate, ...]]]
"""An evaluation's name, a model, and the slices to find traces of."""


def example_traces(table: ir.Table, wanted: Sequence[Wanted]) -> list[list[tuple[str, ...]]]:
    """Find the first failed traces of each slice, by their ids, in one query.

    A slice of the values that were put together has none: which values those are differs.

    Args:
        table: The rows.
        wanted: For each family, its slices.

    Returns:
        For each family and slice up to three trace ids.
    """
    parts = []
    for family, (eval_name, model, slices) in enumerate(wanted):
        for place, predicates in enumerate(slices):
            if any(predicate.value == OTHER for predicate in predicates):
                continue
            chosen = [table["eval"] == eval_name, table.model == model, table.failed]
            chosen += [_holds(table, predicate) for predicate in predicates]
            few = table.filter(*chosen, table.trace_id.notnull())
            few = few.order_by(few.trace_id).limit(MOST)
            parts.append(
                few.select(
                    family=ibis.literal(family, "int32"),
                    place=ibis.literal(place, "int32"),
                    trace_id=few.trace_id,
                )
            )
    found: dict[tuple[int, int], list[str]] = {}
    for row in _rows(parts):
        found.setdefault((row["family"], row["place"]), []).append(row["trace_id"])
    return [
        [tuple(sorted(found.get((family, place), ()))) for place in range(len(slices))]
        for family, (_, _, slices) in enumerate(wanted)
    ]


def _holds(table: ir.Table, predicate: Predicate) -> ir.BooleanValue:
    holds: ir.BooleanValue = (
        ibis.coalesce(table[column_of(predicate.attribute)].cast("string"), MISSING)
        == predicate.value
    )
    return holds


def _rows(parts: Sequence[ir.Table]) -> list[dict[str, Any]]:
    if not parts:
        return []
    joined = ibis.union(*parts) if len(parts) > 1 else parts[0]
    found: list[dict[str, Any]] = joined.to_pyarrow().to_pylist()
    return found
