"""Find a few failed rows of each slice that is reported.

One query serves all slices: it returns the first failed rows of each combination of values of the
attributes in their predicates, and the rows of a slice are looked up among those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import ibis
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from keras_otel.analysis.result import Example, Predicate

MOST: Final = 3

_EXPLANATION: Final = "explanation"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleRequest:
    """The slices of one family to find examples of."""

    eval_name: str
    model: str
    slices: tuple[tuple[Predicate, ...], ...]


def example_traces(
    table: ir.Table, requests: Sequence[ExampleRequest], values_of: Callable[[str], ir.Value]
) -> list[list[tuple[Example, ...]]]:
    """Find the first failed traces of each slice, in order of their ids, in one query.

    Args:
        table: The rows; examples have the explanation of a column `explanation`.
        requests: The slices of each family.
        values_of: Returns the column of an attribute, with the values that predicates have.

    Returns:
        Up to three examples of each slice of each family.
    """
    slices = [predicates for request in requests for predicates in request.slices]
    attributes = list(dict.fromkeys(p.attribute for predicates in slices for p in predicates))
    if not slices:
        return [[] for _ in requests]
    columns = {name: f"value{place}" for place, name in enumerate(attributes)}
    first_failed = _first_failed(
        table, {column: values_of(name) for name, column in columns.items()}
    ).to_pyarrow()
    rows = _EncodedRows(first_failed.sort_by([("trace_id", "ascending")]), columns)
    return [
        [
            rows.examples(request.eval_name, request.model, predicates)
            for predicates in request.slices
        ]
        for request in requests
    ]


def _first_failed(table: ir.Table, values: Mapping[str, ir.Value]) -> ir.Table:
    """Select the first failed rows of each combination of values."""
    explanation = (
        table[_EXPLANATION].cast("string") if _EXPLANATION in table.columns else ibis.null("string")
    )
    failed = table.select(
        "eval", "model", "trace_id", failed=table.failed, explanation=explanation, **values
    )
    failed = failed.filter(failed.failed, failed.trace_id.notnull()).drop("failed")
    group = [failed[name] for name in ("eval", "model", *values)]
    ranked = failed.mutate(place=ibis.row_number().over(group_by=group, order_by=[failed.trace_id]))
    return ranked.filter(ranked.place < MOST).drop("place")


class _EncodedRows:
    """The rows that the query returned, with the values of each column as numbers."""

    def __init__(self, table: pa.Table, columns: Mapping[str, str]) -> None:
        self._columns = columns
        self._codes: dict[str, npt.NDArray[np.int64]] = {}
        self._values: dict[str, dict[Any, int]] = {}
        for name in ("eval", "model", *columns.values()):
            encoded = table.column(name).combine_chunks().dictionary_encode()
            self._codes[name] = pc.fill_null(encoded.indices, -1).to_numpy().astype(np.int64)
            self._values[name] = {v: n for n, v in enumerate(encoded.dictionary.to_pylist())}
        self._trace_ids = table.column("trace_id")
        self._explanations = table.column(_EXPLANATION)

    def examples(
        self, eval_name: str, model: str, predicates: Sequence[Predicate]
    ) -> tuple[Example, ...]:
        """Return the examples of one slice."""
        mask = self._has_value("eval", (eval_name,)) & self._has_value("model", (model,))
        for predicate in predicates:
            column = self._columns[predicate.attribute]
            mask &= self._has_value(column, predicate.values or (predicate.value,))
        examples: dict[str, Example] = {}
        for index in np.flatnonzero(mask):
            trace_id = self._trace_ids[index].as_py()
            explanation = self._explanations[index].as_py()
            example = Example(trace_id=trace_id, explanation=explanation or None)
            examples.setdefault(trace_id, example)
            if len(examples) == MOST:
                break
        return tuple(examples.values())

    def _has_value(self, column: str, values: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Return which rows have one of these values."""
        known = self._values[column]
        codes = self._codes[column]
        mask = np.zeros(len(codes), dtype=np.bool_)
        for value in values:
            if value in known:
                mask |= codes == known[value]
        return mask
