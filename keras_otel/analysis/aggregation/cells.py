"""Aggregate rows by one GROUP BY: those with the same features become a cell of sums, and only cells come back.

Every slice is a union of cells, so that its sums are the sums of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from keras_otel.analysis.aggregation.arrays import Codes, Floats, Mask
from keras_otel.analysis.aggregation.features import Feature


class Term(NamedTuple):
    """A predicate of a slice: the index of a feature and the codes of its first and last value."""

    place: int
    low: int
    high: int


Predicates = tuple[Term, ...]
"""The predicates of a slice, in the order of features."""


def totals(groups: Codes, values: Floats, count: int) -> Floats:
    """Sum the values in each of `count` groups; the sum of an empty group is 0."""
    return np.bincount(groups, values, count).astype(np.float64, copy=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """The C cells of the rows of one model and one evaluation.

    Attributes:
        features: The F features that cells differ in.
        codes: [C, F], the index of each cell's value in its feature's values; in column-major order.
        clusters: [C], the cluster of each cell; None where each row is a cluster of its own.
        rows: [C], evaluated rows.
        failed: [C], those of them that failed.
        weight: [C], sum of the rows' weights.
        failed_weight: [C], sum of the weights of those that failed.
        weight_squares: [C], sum of the squares of the weights.
        failed_squares: [C], sum of the squares of the weights of those that failed.
        errors: [C], rows whose evaluator failed; not counted above.
        traces: [C], all rows, evaluated or not.
        is_weighted: True if some weight is not 1.
    """

    features: tuple[Feature, ...]
    codes: Codes
    clusters: Codes | None
    rows: Floats
    failed: Floats
    weight: Floats
    failed_weight: Floats
    weight_squares: Floats
    failed_squares: Floats
    errors: Floats
    traces: Floats
    is_weighted: bool

    def within(self, mask: Mask) -> Cells:
        """Return the cells of a mask, [C]."""
        arrays = {name: getattr(self, name)[mask] for name in ("codes", *_SUMS)}
        clusters = None if self.clusters is None else self.clusters[mask]
        return replace(self, clusters=clusters, **arrays)

    def where(self, predicates: Predicates) -> Mask:
        """Return the mask of a slice's cells, [C]."""
        mask = np.ones(len(self.rows), dtype=np.bool_)
        for place, low, high in predicates:
            codes = self.codes[:, place]
            mask &= codes == low if low == high else (codes >= low) & (codes <= high)
        return mask

    def flipped(self) -> Cells:
        """Return the cells with failures and successes exchanged."""
        return replace(
            self,
            failed=self.rows - self.failed,
            failed_weight=self.weight - self.failed_weight,
            failed_squares=self.weight_squares - self.failed_squares,
        )

    def number(self, value: float) -> float:
        """Return a count for a report: an integer, unless it is a sum of weights."""
        return float(value) if self.is_weighted else int(value)

    def index(self, name: str) -> int | None:
        """Return the index of a feature; None if the cells do not have it."""
        names = [feature.name for feature in self.features]
        return names.index(name) if name in names else None


_SUMS = (
    "rows",
    "failed",
    "weight",
    "failed_weight",
    "weight_squares",
    "failed_squares",
    "errors",
    "traces",
)


def cells_by_family(
    table: ir.Table, features: Sequence[Feature], *, is_clustered: bool, is_weighted: bool
) -> Iterator[tuple[str, str, Cells]]:
    """Yield the cells of each evaluation name and model, sorted by names.

    Args:
        table: Rows, as in `row_table.Rows`.
        features: The features to group by.
        is_clustered: Whether to separate cells by cluster. A row without a cluster is one of its own.
        is_weighted: Whether weights differ from 1.

    Yields:
        Evaluation name, model, cells.
    """
    grouped = _grouped(table, features, is_clustered=is_clustered).to_pyarrow()
    families = grouped.select(["eval", "model"]).group_by(["eval", "model"]).aggregate([])
    for eval_name, model in sorted(zip(*families.to_pydict().values(), strict=True)):
        is_of_family = pc.and_(
            pc.equal(grouped.column("eval"), eval_name), pc.equal(grouped.column("model"), model)
        )
        yield (
            eval_name,
            model,
            _cells(grouped.filter(is_of_family), features, is_weighted=is_weighted),
        )


def _grouped(table: ir.Table, features: Sequence[Feature], *, is_clustered: bool) -> ir.Table:
    is_evaluated = table.failed.notnull() & ~table.error
    count = table["count"].cast("int64")
    evaluated = is_evaluated.cast("int64") * count
    failed = ibis.coalesce(is_evaluated & table.failed, False).cast("int64") * count
    weight = table.weight.cast("float64")
    keys: dict[str, Any] = {"eval": table["eval"], "model": table.model}
    for place, feature in enumerate(features):
        keys[f"f{place}"] = feature.values_in(table)
    if is_clustered:
        keys["cluster"] = ibis.coalesce(
            table.cluster.cast("string"), ibis.literal("trace ").concat(table.trace_id)
        )
    marked = table.select(
        **keys,
        evaluated=evaluated,
        failed=failed,
        w=weight * evaluated,
        wf=weight * failed,
        w2=weight * weight * evaluated,
        w2f=weight * weight * failed,
        error=ibis.coalesce(table.error, False).cast("int64") * count,
        traces=count,
    )
    return marked.group_by(list(keys)).aggregate(
        rows=marked.evaluated.sum(),
        failed=marked.failed.sum(),
        weight=marked.w.sum(),
        failed_weight=marked.wf.sum(),
        weight_squares=marked.w2.sum(),
        failed_squares=marked.w2f.sum(),
        errors=marked.error.sum(),
        traces=marked.traces.sum(),
    )


def _cells(grouped: pa.Table, features: Sequence[Feature], *, is_weighted: bool) -> Cells:
    codes = np.zeros((grouped.num_rows, len(features)), dtype=np.int64, order="F")
    for place, feature in enumerate(features):
        texts, indices = _encoded(grouped.column(f"f{place}"))
        code_of = {value: code for code, value in enumerate(feature.values)}
        codes[:, place] = np.array([code_of[text] for text in texts.to_pylist()], np.int64)[indices]
    clusters = None
    if "cluster" in grouped.column_names:
        texts, indices = _encoded(grouped.column("cluster"))
        clusters = pc.rank(texts).to_numpy().astype(np.int64)[indices] - 1
    sums = {name: grouped.column(name).to_numpy().astype(np.float64) for name in _SUMS}
    # Engines return groups in no fixed order: sorted, sums of floats are the same each time.
    keys = [*([] if clusters is None else [clusters]), *codes.T[::-1]]
    order = np.lexsort(keys) if keys else np.arange(len(codes))
    return Cells(
        features=tuple(features),
        codes=np.asfortranarray(codes[order]),
        clusters=None if clusters is None else clusters[order],
        is_weighted=is_weighted,
        **{name: values[order] for name, values in sums.items()},
    )


def _encoded(column: pa.ChunkedArray) -> tuple[pa.Array, Codes]:
    """Return the distinct texts of a column, and the index of each row's text among them."""
    encoded = column.combine_chunks().dictionary_encode()
    return encoded.dictionary, encoded.indices.to_numpy().astype(np.int64)
