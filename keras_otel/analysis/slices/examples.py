"""A few failed rows of each slice that is told, to look at.

One query serves any number of slices: it brings the first failed rows of each combination of the values
that the slices speak of, and what a slice holds is looked up among those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import ibis
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from keras_otel.analysis.result import Example, Predicate

MOST: Final = 3

Wanted = tuple[str, str, Sequence[tuple[Predicate, ...]]]
"""An evaluation's name, a model, and the slices to find rows of."""

_EXPLANATION: Final = "explanation"


def example_traces(
    table: ir.Table, wanted: Sequence[Wanted], values_of: Callable[[str], ir.Value]
) -> list[list[tuple[Example, ...]]]:
    """Find the first failed traces of each slice, in order of their ids, in one query.

    Args:
        table: The rows; with a column `explanation` each example has it.
        wanted: For each family, its slices.
        values_of: The value of each row of the table for an attribute, as slices name it.

    Returns:
        For each family and slice up to three examples.
    """
    slices = [each for _, _, family in wanted for each in family]
    attributes = list(dict.fromkeys(p.attribute for each in slices for p in each))
    if not slices:
        return [[] for _ in wanted]
    columns = {name: f"value{place}" for place, name in enumerate(attributes)}
    found = _first_failed(
        table, {column: values_of(name) for name, column in columns.items()}
    ).to_pyarrow()
    found = found.sort_by([("trace_id", "ascending")])
    rows = _Rows(found, columns)
    return [
        [rows.examples(eval_name, model, predicates) for predicates in family]
        for eval_name, model, family in wanted
    ]


def _first_failed(table: ir.Table, values: Mapping[str, ir.Value]) -> ir.Table:
    """The first failed rows of each combination of values."""
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


class _Rows:
    """The rows that came back, each value of a column as a number."""

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
        """Those of one slice."""
        mask = self._are("eval", (eval_name,)) & self._are("model", (model,))
        for predicate in predicates:
            column = self._columns[predicate.attribute]
            mask &= self._are(column, predicate.values or (predicate.value,))
        found: dict[str, Example] = {}
        for index in np.flatnonzero(mask):
            trace_id = self._trace_ids[index].as_py()
            explanation = self._explanations[index].as_py()
            found.setdefault(trace_id, Example(trace_id=trace_id, explanation=explanation or None))
            if len(found) == MOST:
                break
        return tuple(found.values())

    def _are(self, column: str, values: Sequence[str]) -> npt.NDArray[np.bool_]:
        known = self._values[column]
        codes = self._codes[column]
        mask = np.zeros(len(codes), dtype=np.bool_)
        for value in values:
            if value in known:
                mask |= codes == known[value]
        return mask
