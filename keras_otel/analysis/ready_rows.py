"""Rows that are there already."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Final, get_args

import ibis

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
"""What stands in the place of a model's name."""
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
        count: The column that says how many rows a row stands for, as in a table of counts.
        cluster: The column whose values are not independent of one another within, such as a session;
            `auto` for the first that is called like one and whose values repeat.
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
        SourceError: A column is not there, or holds what it cannot.
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
    given = None if cluster == AUTO else cluster
    named = [
        failed,
        *by,
        *adjust_for,
        *(name for name in (weight, count, given) if name is not None),
    ]
    for name in named:
        if name not in table.columns:
            there = nearest_first(name, table.columns)
            raise SourceError(f"the rows have no column {name!r}: there is {there}")
    if failed in {*by, *adjust_for, weight, count, given}:
        raise SourceError(f"column {failed!r} says which rows failed, and can be nothing else")
    taken = {failed, weight, count, given, TRACE_ID, EXPLANATION}
    others = [name for name in table.columns if name not in taken]
    features = tuple(dict.fromkeys([*(by or others), *adjust_for]))
    usual = [name for name in likely_clusters(table.columns) if name not in {failed, weight, count}]
    has_ids = TRACE_ID in table.columns
    prepared = table.select(
        trace_id=table[TRACE_ID].cast("string") if has_ids else ibis.row_number().cast("string"),
        model=ibis.literal(MODEL),
        eval=ibis.literal(failed),
        failed=failed_column(table, failed),
        error=ibis.literal(False),  # noqa: FBT003 - SQL
        explanation=explanation_column(table),
        count=count_column(table, count),
        weight=weight_column(table, weight),
        cluster=ibis.null("string") if given is None else table[given].cast("string"),
        **{
            column_of(name): table[name].cast("string")
            for name in dict.fromkeys([*features, *(name for name in usual if name != TRACE_ID)])
        },
    )
    prepared = materialised(prepared.filter(prepared["count"] > 0), "rows")
    columns = {name: name if name == TRACE_ID else column_of(name) for name in usual}
    prepared, clustering = with_clusters(prepared, cluster, columns)
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
            asked=tuple(by),
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


def _require_settings(*, min_support: int | None, max_predicates: int, fdr: str) -> None:
    if min_support is not None and min_support < 1:
        raise SourceError(f"min_support is {min_support}: a slice has at least 1 row")
    if max_predicates not in _LEVELS:
        raise SourceError(f"max_predicates is {max_predicates}: a slice has 1 to 3 predicates")
    if fdr not in get_args(Correction):
        raise SourceError(f"fdr is {fdr!r}: it is one of {', '.join(get_args(Correction))}")
