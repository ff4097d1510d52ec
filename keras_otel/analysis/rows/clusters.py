"""Measure how much rows depend on one another, as those of a session do, and choose the clusters of rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import ibis
import ibis.expr.types as ir

from keras_otel import semconv
from keras_otel.analysis.sources.tables.fetch import fetch_rows

AUTO: Final = "auto"
"""Instead of a name: the first of the usual attributes whose values repeat."""

ATTRIBUTES: Final = (
    "session.id",
    semconv.GENAI_CONVERSATION,
    "langfuse.session.id",
    "user.id",
    "enduser.id",
    "langfuse.user.id",
)
"""Attributes whose rows with the same value depend on one another, the most specific first."""

_COLUMNS: Final = (
    "sessionid",
    "session",
    "genaiconversationid",
    "conversationid",
    "conversation",
    "userid",
    "user",
    "enduserid",
    "traceid",
    "rowid",
    "id",
)
"""The usual names of such columns in ready rows, without case and punctuation."""

LEAST: Final = 20
"""Fewest clusters for which rates are tested by cluster."""
_NOTABLE: Final = 1.1
_STANDARD_ERRORS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Clusters:
    """The clusters of rows by an attribute.

    Attributes:
        name: Name of the attribute or column.
        count: Number of clusters, in the family with the most.
        repeats: Whether some cluster has several rows.
        effect: The design effect: the variance of the overall rate divided by that of as many independent
            rows, in the family where it is largest; 1 where no cluster repeats.
    """

    name: str
    count: int
    repeats: bool
    effect: float

    @property
    def is_usable(self) -> bool:
        """Whether rates can be tested by these clusters, and the result differs from that of single rows."""
        return self.repeats and self.count >= LEAST

    @property
    def is_notable(self) -> bool:
        """Whether rates vary significantly more than those of independent rows, and by more than a tenth."""
        noise = _STANDARD_ERRORS * math.sqrt(2 / max(self.count, 1))
        return self.is_usable and self.effect > _NOTABLE and self.effect > 1 + noise


def likely_clusters(columns: Sequence[str]) -> list[str]:
    """Return the columns of ready rows with a usual name of clusters, the most specific first."""
    plain = {name: "".join(filter(str.isalnum, name.lower())) for name in columns}
    return [name for usual in _COLUMNS for name in columns if plain[name] == usual]


def measure_clusters(table: ir.Table, columns: Mapping[str, str]) -> list[Clusters]:
    """Measure the design effect of the clusters in each of several columns.

    The variance of a rate p = K/N by clusters is Σ(k - p·n)²/N² over each cluster's sums n and k, that of
    independent rows Σw²(y - p)²/N² (Kish 1965, Survey Sampling, 5.4).

    Args:
        table: The rows, as in `row_table.Rows`.
        columns: The column of the table with the clusters of each name.
    """
    return [_measure(table, name, column) for name, column in columns.items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clustering:
    """The clusters that were chosen.

    Attributes:
        name: Name of the attribute or column; None where each row is a cluster of its own.
        warnings: Sentences on the choice.
    """

    name: str | None
    warnings: tuple[str, ...] = ()


def with_clusters(
    rows: ir.Table, requested: str | None, columns: Mapping[str, str]
) -> tuple[ir.Table, Clustering]:
    """Add the clusters of rows, and warn of those that they could have.

    Args:
        rows: As in `row_table.Rows`; already with clusters where these are requested by name.
        requested: The name, `auto`, or None.
        columns: The column with the possible clusters of each name.
    """
    if requested not in (None, AUTO):
        return rows, Clustering(name=requested)
    candidates = measure_clusters(rows, columns)
    if requested is None:
        return rows, Clustering(name=None, warnings=tuple(cluster_warnings(candidates)))
    name, sentence = choose_clusters(candidates)
    if name is not None:
        rows = rows.mutate(cluster=rows[columns[name]].cast("string"))
    return rows, Clustering(name=name, warnings=(sentence,))


def cluster_warnings(candidates: Sequence[Clusters]) -> Iterator[str]:
    """Yield a sentence on the first clusters with a notable effect."""
    for clusters in candidates:
        if clusters.is_notable:
            yield (
                f"rows with the same {clusters.name} resemble one another: rates vary "
                f"{clusters.effect:.1f} times as much as those of independent rows, which makes findings of "
                f"chance; give --cluster {clusters.name}"
            )
            return


def choose_clusters(candidates: Sequence[Clusters]) -> tuple[str | None, str]:
    """Return the name of the clusters that `auto` chooses, and a sentence on it."""
    for clusters in candidates:
        if clusters.is_usable:
            return clusters.name, f"rows are clustered by {clusters.name}"
    return None, (
        "no usual attribute of sessions or users repeats: rows count as independent; name another with "
        "--cluster"
    )


def _measure(table: ir.Table, name: str, column: str) -> Clusters:
    families = fetch_rows(_sums_by_family(table, column))
    return Clusters(
        name=name,
        count=max((int(sums["clusters"]) for sums in families), default=0),
        repeats=any(sums["most"] > 1 for sums in families),
        effect=max((_design_effect(sums) for sums in families), default=1.0),
    )


def _sums_by_family(table: ir.Table, column: str) -> ir.Table:
    rows = table.filter(table.failed.notnull() & ~table.error)
    weight, many = rows.weight.cast("float64"), rows["count"].cast("float64")
    failure = rows.failed.cast("float64")
    by_cluster = (
        rows.select(
            eval=rows["eval"],
            model=rows.model,
            cluster=ibis.coalesce(
                rows[column].cast("string"), ibis.literal("trace ").concat(rows.trace_id)
            ),
            many=many,
            w=weight * many,
            wf=weight * many * failure,
            w2=weight * weight * many,
            w2f=weight * weight * many * failure,
        )
        .group_by(["eval", "model", "cluster"])
        .aggregate(
            rows=lambda t: t.many.sum(),
            n=lambda t: t.w.sum(),
            k=lambda t: t.wf.sum(),
            w2=lambda t: t.w2.sum(),
            w2f=lambda t: t.w2f.sum(),
        )
    )
    return by_cluster.group_by(["eval", "model"]).aggregate(
        clusters=by_cluster.count(),
        most=by_cluster.rows.max(),
        n=by_cluster.n.sum(),
        k=by_cluster.k.sum(),
        nn=(by_cluster.n * by_cluster.n).sum(),
        nk=(by_cluster.n * by_cluster.k).sum(),
        kk=(by_cluster.k * by_cluster.k).sum(),
        w2=by_cluster.w2.sum(),
        w2f=by_cluster.w2f.sum(),
    )


def _design_effect(sums: Mapping[str, Any]) -> float:
    """Return the ratio of the two variances in `measure_clusters`."""
    if not sums["n"]:
        return 1.0
    p = sums["k"] / sums["n"]
    by_cluster = sums["kk"] - 2 * p * sums["nk"] + p * p * sums["nn"]
    independent = sums["w2f"] * (1 - 2 * p) + p * p * sums["w2"]
    return float(by_cluster / independent) if independent > 0 else 1.0
