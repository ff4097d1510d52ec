"""The one GROUP BY: rows with the same features become one cell of sums, and only cells come back.

Every slice is a union of cells, so that its sums are the sums of theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import ibis
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from keras_otel.analysis.aggregation.features import Feature

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class Term(NamedTuple):
    """One predicate of a slice: a feature's place and the codes of its first and last value."""

    place: int
    low: int
    high: int


Predicates = tuple[Term, ...]
"""What the rows of a slice have in common, by place."""


def totals(groups: Codes, values: Floats, count: int) -> Floats:
    """The sum of the values in each of `count` groups; the sum over nothing is 0."""
    return np.bincount(groups, values, count).astype(np.float64, copy=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """Cells of the rows behind one model and one evaluation; C of them.

    Attributes:
        features: What they differ in, F of them.
        codes: [C, F], the index of each cell's value among its feature's; a feature's lie side by side.
        clusters: [C], the cluster that a cell is of; None where each row stands for itself.
        rows: [C], evaluated rows.
        failed: [C], those of them that failed.
        weight: [C], sum of the rows' weights.
        failed_weight: [C], of those that failed.
        weight_squares: [C], sum of the squares of the weights.
        failed_squares: [C], of those that failed.
        errors: [C], rows whose evaluator failed; in none of the above.
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
        """Those of the mask, [C]."""
        taken = {name: getattr(self, name)[mask] for name in ("codes", *_SUMS)}
        clusters = None if self.clusters is None else self.clusters[mask]
        return replace(self, clusters=clusters, **taken)

    def where(self, predicates: Predicates) -> Mask:
        """The cells of a slice, [C]."""
        mask = np.ones(len(self.rows), dtype=np.bool_)
        for place, low, high in predicates:
            codes = self.codes[:, place]
            mask &= codes == low if low == high else (codes >= low) & (codes <= high)
        return mask

    def flipped(self) -> Cells:
        """The cells where successes count as failures."""
        return replace(
            self,
            failed=self.rows - self.failed,
            failed_weight=self.weight - self.failed_weight,
            failed_squares=self.weight_squares - self.failed_squares,
        )

    def number(self, value: float) -> float:
        """A count as it is told: whole, unless it is a sum of weights."""
        return float(value) if self.is_weighted else int(value)

    def index(self, name: str) -> int | None:
        """The place of a feature; None if it is none of the cells'."""
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
    """The cells of each evaluation name and model, in order of their names.

    Args:
        table: Rows, as in `row_table.Rows`.
        features: What to group by.
        is_clustered: Whether to keep clusters apart. A row without one stands for itself.
        is_weighted: Whether weights differ from 1.

    Yields:
        Evaluation name, model, cells.
    """
    grouped = _grouped(table, features, is_clustered=is_clustered).to_pyarrow()
    families = grouped.select(["eval", "model"]).group_by(["eval", "model"]).aggregate([])
    for eval_name, model in sorted(zip(*families.to_pydict().values(), strict=True)):
        is_here = pc.and_(
            pc.equal(grouped.column("eval"), eval_name), pc.equal(grouped.column("model"), model)
        )
        yield eval_name, model, _cells(grouped.filter(is_here), features, is_weighted=is_weighted)


def _grouped(table: ir.Table, features: Sequence[Feature], *, is_clustered: bool) -> ir.Table:
    is_evaluated = table.failed.notnull() & ~table.error
    many = table["count"].cast("int64")
    one = is_evaluated.cast("int64") * many
    failure = ibis.coalesce(is_evaluated & table.failed, False).cast("int64") * many
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
        one=one,
        failure=failure,
        w=weight * one,
        wf=weight * failure,
        w2=weight * weight * one,
        w2f=weight * weight * failure,
        error=ibis.coalesce(table.error, False).cast("int64") * many,
        many=many,
    )
    return marked.group_by(list(keys)).aggregate(
        rows=marked.one.sum(),
        failed=marked.failure.sum(),
        weight=marked.w.sum(),
        failed_weight=marked.wf.sum(),
        weight_squares=marked.w2.sum(),
        failed_squares=marked.w2f.sum(),
        errors=marked.error.sum(),
        traces=marked.many.sum(),
    )


def _cells(grouped: pa.Table, features: Sequence[Feature], *, is_weighted: bool) -> Cells:
    codes = np.zeros((grouped.num_rows, len(features)), dtype=np.int64, order="F")
    for place, feature in enumerate(features):
        texts, indices = _encoded(grouped.column(f"f{place}"))
        known = {value: code for code, value in enumerate(feature.values)}
        codes[:, place] = np.array([known[text] for text in texts.to_pylist()], np.int64)[indices]
    clusters = None
    if "cluster" in grouped.column_names:
        texts, indices = _encoded(grouped.column("cluster"))
        clusters = pc.rank(texts).to_numpy().astype(np.int64)[indices] - 1
    sums = {name: grouped.column(name).to_numpy().astype(np.float64) for name in _SUMS}
    # Engines return groups in no order: sums over many slices must not depend on it.
    keys = [*([] if clusters is None else [clusters]), *codes.T[::-1]]
    order = np.lexsort(keys) if keys else np.arange(len(codes))
    return Cells(
        features=tuple(features),
        codes=np.asfortranarray(codes[order]),
        clusters=None if clusters is None else clusters[order],
        is_weighted=is_weighted,
        **{name: values[order] for name, values in sums.items()},
    )


def _encoded(column: pa.ChunkedArray) -> tuple[pa.Array, npt.NDArray[np.int64]]:
    """The different texts of a column, and the place of each row's among them."""
    encoded = column.combine_chunks().dictionary_encode()
    return encoded.dictionary, encoded.indices.to_numpy().astype(np.int64)
