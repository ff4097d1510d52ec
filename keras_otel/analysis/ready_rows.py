"""Slice rows that the user has already: a table or data frame with a row for each answer."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

import ibis
import ibis.expr.types as ir

from keras_otel.analysis.ready_columns import (
    EXPLANATION,
    count_column,
    count_warnings,
    explanation_column,
    failed_column,
    weight_column,
)
from keras_otel.analysis.ready_table import table_of
from keras_otel.analysis.result import SliceResult
from keras_otel.analysis.rows.clusters import AUTO, likely_clusters, with_clusters
from keras_otel.analysis.rows.feature_columns import column_of
from keras_otel.analysis.rows.materialise import materialised
from keras_otel.analysis.rows.row_table import Rows
from keras_otel.analysis.rows.suggestions import nearest_first
from keras_otel.analysis.slices.settings import Settings
from keras_otel.analysis.slices.significance import Correction
from keras_otel.analysis.slices.slicing import slice_rows
from keras_otel.errors import SourceError

MODEL: Final = "rows"
"""The model name of ready rows, which have no model."""
TRACE_ID: Final = "trace_id"

_LEVELS: Final = range(1, 4)


def slice_failures(  # noqa: PLR0913 - the options of the command line, by the same names
    rows: Any,
    *,
    failed: str,
    by: Sequence[str] = (),
    weight: str | None = None,
    count: str | None = None,
    cluster: str | None = None,
    adjust_for: Sequence[str] = (),
    min_support: int | None = None,
    max_predicates: int = 3,
    fdr: Correction = "bh",
    list_all: bool = False,
    better: bool = False,
    max_level: int | None = None,
) -> SliceResult:
    """Find the slices in which failures concentrate.

    Args:
        rows: An Ibis table, an Arrow table, or a pandas or Polars data frame: one row for each answer. A
            column `trace_id`, if there is one, gives the examples, and a column `explanation` the reasons.
        failed: The column that is true, or 1, where the answer failed; rows without a value leave the
            denominator.
        by: Columns to slice by; all others by default.
        weight: The column with a row's sampling weight: 1 divided by the probability that it was kept.
        count: The column with the number of rows that a row stands for, as in a table of counts.
        cluster: The column whose rows with the same value depend on one another, such as a session; `auto`
            for the first with a usual name of clusters whose values repeat.
        adjust_for: Columns to hold fixed, to see whether that changes a risk ratio.
        min_support: Fewest rows of a slice; 30 or 0.5 % of all rows by default.
        max_predicates: Maximum number of predicates in a slice, 1 to 3.
        fdr: `bh` (Benjamini-Hochberg) or `by` (Benjamini-Yekutieli).
        list_all: Whether all slices tested are listed, at most 500 of them.
        better: Whether slices that fail less often than the rest are reported too.
        max_level: Deprecated name of `max_predicates`; it takes precedence if both are given.

    Returns:
        One family of slices; its records are those of `keras_otel.analysis.result`.

    Raises:
        SourceError: A column does not exist, or has values of the wrong kind.
    """
    if max_level is not None:
        warnings.warn(
            "slice_failures(max_level=...) is deprecated: use max_predicates=...",
            DeprecationWarning,
            stacklevel=2,
        )
        max_predicates = max_level
    _require_settings(min_support=min_support, max_predicates=max_predicates, fdr=fdr)
    table = table_of(rows)
    special = _SpecialColumns(
        failed=failed, weight=weight, count=count, cluster=None if cluster == AUTO else cluster
    )
    _require_columns(table, special, (*by, *adjust_for))
    features = tuple(dict.fromkeys([*(by or special.others(table)), *adjust_for]))
    possible_clusters = {
        name: name if name == TRACE_ID else column_of(name)
        for name in likely_clusters(table.columns)
        if name not in {failed, weight, count}
    }
    cluster_columns = [name for name in possible_clusters if name != TRACE_ID]
    prepared = materialised(_row_table(table, special, (*features, *cluster_columns)), "rows")
    prepared, clustering = with_clusters(prepared, cluster, possible_clusters)
    if not by:
        features = tuple(name for name in features if name != clustering.name)
    return slice_rows(
        Rows(
            table=prepared,
            features=features,
            is_weighted=weight is not None,
            is_clustered=clustering.name is not None,
            accounting=None,
            warnings=(
                *count_warnings(table, weight=weight, features=features),
                *clustering.warnings,
            ),
            requested=tuple(by),
        ),
        Settings(
            by=tuple(by) or features,
            adjust_for=tuple(adjust_for),
            min_support=min_support,
            max_predicates=max_predicates,
            fdr=fdr,
            list_all=list_all,
            better=better,
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _SpecialColumns:
    """The names of columns with another meaning than a feature."""

    failed: str
    weight: str | None
    count: str | None
    cluster: str | None

    def names(self) -> list[str]:
        """Return those that there are."""
        names = (self.failed, self.weight, self.count, self.cluster)
        return [name for name in names if name is not None]

    def others(self, table: ir.Table) -> list[str]:
        """Return the columns of a table that may be features."""
        reserved = {*self.names(), TRACE_ID, EXPLANATION}
        return [name for name in table.columns if name not in reserved]


def _require_columns(table: ir.Table, special: _SpecialColumns, features: Sequence[str]) -> None:
    """Check that all named columns exist, and that the column of failures has no other use."""
    for name in (*special.names(), *features):
        if name not in table.columns:
            existing = nearest_first(name, table.columns)
            raise SourceError(f"the rows have no column {name!r}: there is {existing}")
    if special.failed in {*features, special.weight, special.count, special.cluster}:
        raise SourceError(
            f"column {special.failed!r} says which rows failed, and can be nothing else"
        )


def _row_table(table: ir.Table, special: _SpecialColumns, names: Sequence[str]) -> ir.Table:
    """Return the rows by `row_table.Rows`, with the columns of these names as text."""
    has_ids = TRACE_ID in table.columns
    cluster = special.cluster
    rows = table.select(
        trace_id=table[TRACE_ID].cast("string") if has_ids else ibis.row_number().cast("string"),
        model=ibis.literal(MODEL),
        eval=ibis.literal(special.failed),
        failed=failed_column(table, special.failed),
        error=ibis.literal(False),  # noqa: FBT003 - SQL
        explanation=explanation_column(table),
        count=count_column(table, special.count),
        weight=weight_column(table, special.weight),
        cluster=ibis.null("string") if cluster is None else table[cluster].cast("string"),
        **{column_of(name): table[name].cast("string") for name in dict.fromkeys(names)},
    )
    return rows.filter(rows["count"] > 0)


def _require_settings(*, min_support: int | None, max_predicates: int, fdr: str) -> None:
    if min_support is not None and min_support < 1:
        raise SourceError(f"min_support is {min_support}: a slice has at least 1 row")
    if max_predicates not in _LEVELS:
        raise SourceError(f"max_predicates is {max_predicates}: a slice has 1 to 3 predicates")
    if fdr not in get_args(Correction):
        raise SourceError(f"fdr is {fdr!r}: it is one of {', '.join(get_args(Correction))}")
