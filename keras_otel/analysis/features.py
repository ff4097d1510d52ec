"""What rows are sliced by: columns of text with a few dozen values each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import ibis
import ibis.expr.types as ir

MISSING: Final = "__missing__"
OTHER: Final = "__other__"
MAX_VALUES: Final = 50
MAX_FEATURES: Final = 12

_TAKEN: Final = frozenset(
    {"trace_id", "model", "eval", "failed", "error", "explanation", "count", "weight", "cluster"}
)

_IDENTIFIER_SHARE: Final = 0.5
"""Of the rows that have a value: with more different values than that they name the rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One column as it is sliced by.

    Attributes:
        name: Of the column.
        values: Those that it takes, `MISSING` and `OTHER` among them: in order of their text, or where
            they are ordered by what they mean, in that order, with `MISSING` and `OTHER` last.
        bounds: Lower and upper end of each value that is a range, None where open; empty where
            values have no order.
    """

    name: str
    values: tuple[str, ...]
    bounds: tuple[tuple[float | None, float | None], ...] = ()

    def of(self, table: ir.Table) -> ir.Value:
        """Each row's value: the column's own, `MISSING` where it has none, else `OTHER`."""
        text = ibis.coalesce(table[column_of(self.name)].cast("string"), MISSING)
        if OTHER not in self.values:
            return text
        kept = [value for value in self.values if value != OTHER]
        return ibis.cases((text.isin(kept), text), else_=OTHER)


def column_of(name: str) -> str:
    """The column that holds a feature: its own name, unless every row has a column of that name."""
    return f"{name} of the row" if name in _TAKEN else name


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What can be sliced by, and what was left out and why, a sentence each."""

    features: tuple[Feature, ...]
    left_out: tuple[str, ...]


def features_of(table: ir.Table, names: Sequence[str], asked: Sequence[str]) -> Features:
    """Choose the features of a table.

    A column whose values name the rows cannot be sliced by. Of a column with more than 50 values the
    rarest are put together. Where there are too many columns, those with one value go first.

    Args:
        table: The rows.
        names: Its columns that may be features, the most important first.
        asked: Those that the user asked for: they go before the others.
    """
    left_out: list[str] = []
    found = []
    for name in sorted(dict.fromkeys(names), key=lambda name: name not in asked):
        feature = _feature(table, name, is_asked=name in asked, left_out=left_out)
        if feature is not None:
            found.append(feature)
    found.sort(key=lambda feature: len(feature.values) < 2)
    left_out += [
        f"{feature.name} is not sliced by: {MAX_FEATURES} features are the most"
        for feature in found[MAX_FEATURES:]
    ]
    chosen = {feature.name: feature for feature in found[:MAX_FEATURES]}
    return Features(
        features=tuple(chosen[name] for name in dict.fromkeys(names) if name in chosen),
        left_out=tuple(left_out),
    )


def _feature(table: ir.Table, name: str, *, is_asked: bool, left_out: list[str]) -> Feature | None:
    column = table.select(value=table[column_of(name)].cast("string"))
    counts = column.group_by("value").aggregate(n=column.count())
    common = counts.order_by(counts.n.desc(), counts["value"]).limit(MAX_VALUES + 1)
    rows = _rows(common)
    values = [row["value"] for row in rows]
    if len(values) <= MAX_VALUES:
        texts = sorted(MISSING if value is None else value for value in values)
        return Feature(name=name, values=tuple(texts)) if texts else None
    told = column.filter(column["value"].notnull())
    (found,) = _rows(told.aggregate(n=told.count(), distinct=told["value"].nunique()))
    if found["distinct"] > _IDENTIFIER_SHARE * found["n"]:
        if is_asked:
            left_out.append(
                f"{name} is not sliced by: it has {found['distinct']:,} values in {found['n']:,} rows"
            )
        return None
    kept = [MISSING if value is None else value for value in values[: MAX_VALUES - 1]]
    return Feature(name=name, values=tuple(sorted([*kept, OTHER])))


def _rows(table: ir.Table) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table.to_pyarrow().to_pylist()
    return found
